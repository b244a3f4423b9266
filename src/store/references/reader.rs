//! Reading chunks of a reference set: from memory, or by one flight per chunk whatever the number of readers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use futures::FutureExt as _;
use tokio::runtime::Handle;

use super::RefKey;
use super::error::RefReadError;
use super::policy::{Policy, Refusal};
use super::source::Source;
use crate::location::Location;
use crate::refs::{Kind, RefSet, Target};
use crate::storage::Storage;
use crate::store::budget::Budget;
use crate::store::cache::{FieldCache, Kept};
use crate::store::decoders::Decoders;
use crate::store::disk::DiskCache;
use crate::store::failure::{FailureKind, ReadFailure};
use crate::store::failures::FailureLog;
use crate::store::origin::Origin;
use crate::store::reader::{Flight, Observed, Read, Statistics};
use crate::store::{lock, now_seconds};

/// How long a failure stands for the request that follows it: the kernel asks twice for the first page.
const FAILURE_STANDS: Duration = Duration::from_secs(1);
/// Part of the memory that records of Parquet directories may take; the rest is for chunks.
const FOR_RECORDS: u64 = 4;

/// Settings of a reader of reference sets.
#[derive(Clone, Debug)]
pub struct RefConfig {
    /// Bytes of records, messages and chunks in memory at once, in flight and kept together. Readers wait for their turn when it is
    /// used up. Default 1 GiB.
    pub memory_bytes: u64,
    /// Bytes of chunks kept, at most half of the memory. Default 256 MiB.
    pub cache_bytes: u64,
    /// Messages on disk. Default: none are kept there.
    pub disk: Option<Arc<DiskCache>>,
}

impl Default for RefConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            cache_bytes: 256 << 20,
            disk: None,
        }
    }
}

/// Reads chunks of a set.
#[derive(Debug)]
pub struct RefReader {
    pub(super) source: Arc<Source>,
    runtime: Handle,
    shared: Arc<Landing>,
    hits: AtomicU64,
    /// Sizes of whole objects, by URL.
    pub(super) sizes: Mutex<HashMap<String, u64>>,
}

/// What flights leave behind.
#[derive(Debug, Default)]
struct Landing {
    /// Flights, with the bytes that their readers will be handed when they land.
    flights: Mutex<HashMap<RefKey, (Flight, u64)>>,
    /// Failures that still stand, and since when.
    failed: Mutex<HashMap<RefKey, (Clock, ReadFailure)>>,
    failures: Mutex<FailureLog>,
    chunks: AtomicU64,
}

impl RefReader {
    /// A reader of a set's chunks, which follows the references that `policy` allows; flights run on `runtime`.
    #[must_use]
    pub fn new(
        mut set: RefSet,
        storage: Storage,
        runtime: Handle,
        policy: Policy,
        config: &RefConfig,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let records = if set.is_lazy() {
            config.memory_bytes / FOR_RECORDS
        } else {
            0
        };
        set.limit_records(usize::try_from(records).unwrap_or(usize::MAX));
        let memory_bytes = config.memory_bytes - records;
        let cache_bytes = config.cache_bytes.min(memory_bytes / 2);
        Self {
            source: Arc::new(Source {
                set: Arc::new(set),
                origin: Arc::new(Origin::new(storage, config.disk.clone())),
                policy,
                budget: Budget::new(memory_bytes),
                cache: Mutex::new(FieldCache::new(cache_bytes)),
                decoders: Decoders::new(cores),
            }),
            runtime,
            shared: Arc::default(),
            hits: AtomicU64::new(0),
            sizes: Mutex::default(),
        }
    }

    /// The set.
    #[must_use]
    pub fn set(&self) -> &Arc<RefSet> {
        &self.source.set
    }

    /// Where a URL of the set leads.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn resolve(&self, url: &str) -> Result<Location, Refusal> {
        self.source.policy.resolve(url)
    }

    /// Size in bytes of a chunk or file that exists; 1 where it cannot be known and reading it fails.
    #[must_use]
    pub fn size(&self, key: RefKey, target: &Target) -> u64 {
        let known = match key {
            RefKey::Chunk(node, _) => {
                match self.source.set.nodes.get(node).map(|node| &node.kind) {
                    Some(Kind::Array { info, .. }) => info.chunk_bytes(),
                    _ => None,
                }
            }
            RefKey::File(..) => None,
        };
        known.unwrap_or_else(|| match target {
            Target::Inline(bytes) => bytes.len() as u64,
            Target::Object {
                length: Some(length),
                ..
            } => *length,
            Target::Object { url, .. } => lock(&self.sizes).get(url).copied().unwrap_or(1),
            Target::NoTarget => 1,
        })
    }

    /// The bytes of a chunk or file whose size is `size`, of which `asked` will be handed to the reader: at once, or by one flight
    /// whatever the number of readers.
    pub fn read(&self, key: RefKey, size: u64, asked: u64) -> Read {
        let from_memory = || lock(&self.source.cache).get(key, asked, Clock::now());
        if let Some(bytes) = from_memory() {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Read::Now(Ok(bytes));
        }
        {
            let mut failed = lock(&self.shared.failed);
            failed.retain(|_, (since, _)| since.elapsed() < FAILURE_STANDS);
            if let Some((_, failure)) = failed.remove(&key) {
                return Read::Now(Err(failure));
            }
        }
        let mut flights = lock(&self.shared.flights);
        if let Some((flight, waiting)) = flights.get_mut(&key) {
            *waiting += asked;
            return Read::Later(flight.clone());
        }
        // A flight that landed between the two locks has left its bytes in the cache.
        if let Some(bytes) = from_memory() {
            return Read::Now(Ok(bytes));
        }
        if let Some(failure) = ReadFailure::of_spent(self.storage()) {
            lock(&self.shared.failures).push(now_seconds(), failure.kind, &failure.message);
            return Read::Now(Err(failure));
        }
        let flight = self.depart(key, size);
        flights.insert(key, (flight.clone(), asked));
        Read::Later(flight)
    }

    fn depart(&self, key: RefKey, size: u64) -> Flight {
        let (source, shared) = (Arc::clone(&self.source), Arc::clone(&self.shared));
        let task = self.runtime.spawn(async move {
            let outcome = match source.fetch(key).await {
                Ok(bytes) if bytes.len() as u64 != size => Err(RefReadError::Broken(format!(
                    "{} bytes where {size} are due",
                    bytes.len()
                ))),
                done => done,
            };
            let outcome = outcome.map_err(|error| ReadFailure {
                kind: error.kind(),
                object: None,
                message: format!("{}: {error}", source.label(key)),
            });
            shared.land(key, &outcome, &source);
            outcome
        });
        let shared = Arc::clone(&self.shared);
        async move {
            task.await.unwrap_or_else(|ended| {
                lock(&shared.flights).remove(&key);
                Err(ReadFailure {
                    kind: FailureKind::Internal,
                    object: None,
                    message: format!("a read ended abnormally: {ended}"),
                })
            })
        }
        .boxed()
        .shared()
    }

    /// Fetches, proves and decodes one chunk, past the cache: what `verify` looks at.
    ///
    /// # Errors
    /// [`RefReadError`].
    pub async fn fetch(&self, key: RefKey) -> Result<Bytes, RefReadError> {
        self.source.fetch(key).await
    }

    /// The failure of a chunk that is due and that the set does not have.
    pub fn broken(&self, key: RefKey, why: &str) -> ReadFailure {
        let failure = ReadFailure {
            kind: FailureKind::Pending,
            object: None,
            message: format!("{}: {why}", self.source.label(key)),
        };
        lock(&self.shared.failures).push(now_seconds(), failure.kind, &failure.message);
        failure
    }
}

impl RefReader {
    /// Counters so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        // One lock at a time, each let go at once: reads and landings take several, in an order of their own.
        let (failures, recent_failures) = {
            let log = lock(&self.shared.failures);
            (log.total(), log.recent())
        };
        let cached_bytes = lock(&self.source.cache).bytes();
        let in_flight = lock(&self.shared.flights).len() as u64;
        let (memory_bytes, memory_peak_bytes) = self.source.budget.used();
        Statistics {
            hits: self.hits.load(Ordering::Relaxed),
            fields: self.shared.chunks.load(Ordering::Relaxed),
            failures,
            cached_bytes,
            memory_bytes,
            memory_peak_bytes,
            in_flight,
            recent_failures,
            disk: self.source.origin.disk().map(|disk| disk.statistics()),
            ..Statistics::default()
        }
    }

    /// The storage that it reads from.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.source.origin.storage
    }
}

impl Observed for RefReader {
    fn statistics(&self) -> Statistics {
        Self::statistics(self)
    }

    fn storage(&self) -> &Storage {
        Self::storage(self)
    }
}

impl Landing {
    /// A chunk has come, or not. It is in the cache, or its failure stands, before its flight is gone from the list: no reader finds
    /// neither.
    fn land(&self, key: RefKey, outcome: &Result<Bytes, ReadFailure>, source: &Source) {
        let mut flights = lock(&self.flights);
        let handed_out = flights.remove(&key).map_or(0, |(_, asked)| asked);
        match outcome {
            Ok(bytes) => {
                self.chunks.fetch_add(1, Ordering::Relaxed);
                let kept = Kept {
                    field: bytes.clone(),
                    handed_out,
                    asked: Clock::now(),
                    bet: None,
                };
                lock(&source.cache).insert(key, kept);
            }
            Err(failure) => {
                lock(&self.failures).push(now_seconds(), failure.kind, &failure.message);
                lock(&self.failed).insert(key, (Clock::now(), failure.clone()));
            }
        }
    }
}

//! Reading chunks of a reference set: from memory, or by one flight per chunk whatever the number of readers.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::RefKey;
use super::error::RefReadError;
use super::policy::{Policy, Refusal};
use super::sizes::Sizes;
use super::source::Source;
use crate::location::Location;
use crate::refs::RefSet;
use crate::storage::Storage;
use crate::store::budget::Budget;
use crate::store::decoders::Decoders;
use crate::store::disk::DiskCache;
use crate::store::failure::{FailureKind, ReadFailure};
use crate::store::landing::{Flight, Landing};
use crate::store::origin::Origin;
use crate::store::reader::{Observed, Read, Statistics};

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
    pub(super) runtime: Handle,
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
                shared: Arc::new(Landing::new(cache_bytes)),
                decoders: Decoders::new(cores),
                sizes: Sizes::default(),
            }),
            runtime,
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

    /// Whether the reference of a chunk or file can be looked up without waiting for a record.
    #[must_use]
    pub fn is_known(&self, key: RefKey) -> bool {
        self.source.is_known(key)
    }

    /// The bytes of a chunk or file whose size is `size`, of which `asked` will be handed to the reader: at once, or by one flight
    /// whatever the number of readers.
    pub fn read(&self, key: RefKey, size: u64, asked: u64) -> Read {
        let name = || self.source.label(key);
        let depart = || self.depart(key, size);
        self.source
            .shared
            .read(key, asked, self.storage(), name, depart)
    }

    fn depart(&self, key: RefKey, size: u64) -> Flight {
        let source = Arc::clone(&self.source);
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
                object: source.object(key),
                message: format!("{}: {error}", source.label(key)),
            });
            source.shared.land(key, &outcome);
            outcome
        });
        self.source.shared.flight(key, task)
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
        self.source.shared.note(&failure);
        failure
    }
}

impl RefReader {
    /// Counters so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            disk: self.source.origin.disk().map(|disk| disk.statistics()),
            ..self.source.shared.statistics(&self.source.budget)
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

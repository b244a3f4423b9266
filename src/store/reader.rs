//! Reading fields by row: from memory, or by one flight per field whatever the number of readers.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant as Clock;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use lru::LruCache;
use tokio::runtime::Handle;
use tracing::Instrument as _;

use super::ahead::{Bet, Bets};
use super::budget::{Budget, Lease, leased};
use super::disk::{DiskCache, DiskStatistics};
use super::failure::{FailureKind, ReadFailure};
use super::failures::Failure;
use super::fetch::{FetchError, Source};
use super::heal::{HealStatistics, OnStale};
use super::landing::{Flight, InFlight, Landing};
use super::lock;
use super::rows::Located;
use super::side::Place;
use super::walk::{Ahead, Walks};
use crate::dataset::GridView;
use crate::dataset::archive::{RowId, RowSource};
use crate::storage::Storage;
use crate::time::step_text;

/// Arrays whose walks are followed at once.
const ARRAYS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// Part of the budget that look-ahead leaves to those who wait.
const LEFT_TO_READERS: u64 = 4;

/// Settings of a reader.
#[derive(Clone, Debug)]
pub struct ReaderConfig {
    /// Bytes of messages and fields in memory at once, in flight and kept together. Readers wait for their turn when it is used up.
    /// Default 1 GiB.
    pub memory_bytes: u64,
    /// Bytes of decoded fields kept, at most half of the memory. A field arrives at readers in 32 requests of 128 KiB, and the kernel's
    /// page cache keeps it from then on: this bridges those requests and readers that come side by side. Default 256 MiB.
    pub cache_bytes: u64,
    /// Fields fetched at most ahead of a reader that walks through an array; 0 looks never ahead. Half of the requests that one host
    /// is sent at once, so that a walk leaves room for others. Default 32.
    pub look_ahead: usize,
    /// Fields decoded at once: one per core.
    pub cores: usize,
    /// How each field is delivered: which part of it, turned how. Default: all of it as it is coded.
    pub view: GridView,
    /// Messages on disk. Default: none are kept there.
    pub disk: Option<Arc<DiskCache>>,
    /// What becomes of messages that are not where the index says. Default: they are searched for, as archives are rewritten and their
    /// indexes left as they were.
    pub on_stale: OnStale,
    /// Where the corrections of stale indexes are kept. Default: nowhere, they last as long as the reader.
    pub corrections: Option<PathBuf>,
}

impl Default for ReaderConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            memory_bytes: 1 << 30,
            cache_bytes: 256 << 20,
            look_ahead: 32,
            cores,
            view: GridView::default(),
            disk: None,
            on_stale: OnStale::default(),
            corrections: None,
        }
    }
}

/// Answer to a read.
#[derive(Clone, Debug)]
pub enum Read {
    /// The field's bytes, from memory, or a failure that still stands.
    Now(Result<Bytes, ReadFailure>),
    /// The field is being fetched.
    Later(Flight),
}

/// Counters of a reader.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// Reads answered from memory.
    pub hits: u64,
    /// Fields fetched and decoded.
    pub fields: u64,
    /// Fields fetched before they were asked for.
    pub ahead: u64,
    /// Bytes of messages fetched ahead that nobody has asked for yet.
    pub ahead_standing_bytes: u64,
    /// Bytes of messages fetched ahead that nobody asked for until they were let go.
    pub ahead_lost_bytes: u64,
    /// Reads that failed.
    pub failures: u64,
    /// Bytes of decoded fields kept.
    pub cached_bytes: u64,
    /// Bytes of the budget in use, and the most that ever were.
    pub memory_bytes: u64,
    /// The most of the budget that was ever in use.
    pub memory_peak_bytes: u64,
    /// Fields being fetched or decoded.
    pub in_flight: u64,
    /// The last failures, the newest last.
    pub recent_failures: Vec<Failure>,
    /// Messages on disk, if any are kept there.
    pub disk: Option<DiskStatistics>,
    /// Objects whose index is stale.
    pub healing: HealStatistics,
}

/// A reader whose work is told in status files and metrics.
pub trait Observed {
    /// Counters so far.
    fn statistics(&self) -> Statistics;

    /// The storage that it reads from.
    fn storage(&self) -> &Storage;
}

/// Reads fields of a table.
#[derive(Debug)]
pub struct FieldReader {
    source: Arc<Source>,
    runtime: Handle,
    shared: Arc<Landing<RowId>>,
    /// Walks through arrays, by the number that the caller gives an array.
    walks: Mutex<LruCache<u64, Walks>>,
    look_ahead: usize,
    budget: Arc<Budget>,
    bets: Arc<Bets>,
    ahead: AtomicU64,
}

impl FieldReader {
    /// A reader of a table's fields; flights run on `runtime`.
    #[must_use]
    pub fn new(
        rows: Arc<dyn RowSource>,
        storage: Storage,
        runtime: Handle,
        config: &ReaderConfig,
    ) -> Self {
        let cache_bytes = config.cache_bytes.min(config.memory_bytes / 2);
        Self {
            source: Arc::new(Source::new(rows, storage, config)),
            runtime,
            shared: Arc::new(Landing::new(cache_bytes)),
            walks: Mutex::new(LruCache::new(ARRAYS)),
            look_ahead: config.look_ahead,
            budget: Budget::new(config.memory_bytes),
            bets: Arc::default(),
            ahead: AtomicU64::new(0),
        }
    }

    /// The field of a row, of which `bytes` will be handed to the reader. A flight goes on when its readers leave; a failure answers the
    /// kernel's second try as well, then the next read tries anew.
    pub fn read(&self, row: RowId, bytes: u64) -> Read {
        let name = || format!("row {row}");
        self.shared.read(row, bytes, self.storage(), name, || {
            self.bets.read(self.source.sizes(row).message);
            self.depart(row, None)
        })
    }

    /// Says that a reader has come to the chunk `linear` of an array and whether it has to wait for it, and fetches what that reader will
    /// want next. `array` is the caller's number of the array, `grid` its chunk grid, `row_of` the row behind a chunk, if it has one.
    pub fn step(
        &self,
        array: u64,
        grid: &[u64],
        linear: u64,
        waited: bool,
        row_of: impl Fn(u64) -> Option<RowId>,
    ) {
        if self.look_ahead == 0 || self.storage().spent().is_some() {
            return;
        }
        let mut walks = lock(&self.walks);
        let mut flights = lock(&self.shared.flights);
        let mut reserved = Vec::new();
        walks.get_or_insert_mut(array, || Walks::new(grid)).step(
            linear,
            waited,
            self.look_ahead,
            |chunk| {
                let Some(row) = row_of(chunk) else {
                    return Ahead::Nothing;
                };
                if flights.contains_key(&row) || lock(&self.shared.cache).holds(row) {
                    return Ahead::Asked;
                }
                match self.reserve(row) {
                    Some((lease, bet)) => {
                        reserved.push((row, lease, bet));
                        Ahead::Asked
                    }
                    None => Ahead::Full,
                }
            },
        );
        if reserved.is_empty() {
            return;
        }
        let wanted: Vec<_> = reserved
            .iter()
            .filter_map(|(row, ..)| self.source.reference(*row))
            .collect();
        self.source.origin.expect(&wanted, &self.runtime);
        self.ahead
            .fetch_add(reserved.len() as u64, Ordering::Relaxed);
        for (row, lease, bet) in reserved {
            let departed = InFlight {
                flight: self.depart(row, Some(lease)),
                asked_bytes: 0,
                bet: Some(bet),
            };
            flights.insert(row, departed);
        }
    }

    /// Memory and leave to fetch a field that nobody has asked for yet, if there is room for it.
    fn reserve(&self, row: RowId) -> Option<(Lease, Bet)> {
        let sizes = self.source.sizes(row);
        let bet = self.bets.place(sizes.message)?;
        let needed = sizes.memory;
        let spare = self.budget.limit() / LEFT_TO_READERS;
        loop {
            let (used, _) = self.budget.used();
            if used + needed + spare <= self.budget.limit()
                && let Some(lease) = self.budget.try_take(needed)
            {
                return Some((lease, bet));
            }
            if !lock(&self.shared.cache).let_go_of_done() {
                bet.called_off();
                return None;
            }
        }
    }

    /// Sends for a field; it waits for memory unless it has a lease already.
    fn depart(&self, row: RowId, lease: Option<Lease>) -> Flight {
        let source = Arc::clone(&self.source);
        let shared = Arc::clone(&self.shared);
        let budget = Arc::clone(&self.budget);
        // The log of the requests below names the kernel's request that asked for the field.
        let span = tracing::Span::current();
        let flight = async move {
            let outcome = match source.locate(row).await {
                Ok(at) => {
                    let mut lease = match lease {
                        Some(lease) => lease,
                        None => {
                            let make_room = || lock(&shared.cache).make_room(Clock::now());
                            let needed = source.sizes_of(&at).memory;
                            budget.take(needed, make_room).await
                        }
                    };
                    let field = Arc::clone(&source).field(&at, &mut lease).await;
                    let range = Place::listed(&at.row).range();
                    source.origin.expect_no_more(at.row.object, range);
                    field
                        .map(|field| leased(field.bytes, lease))
                        .map_err(|error| failure(&source, &at, &error))
                }
                Err(error) => Err(ReadFailure {
                    kind: error.kind(),
                    message: format!("row {row}: {error}"),
                    object: None,
                }),
            };
            shared.land(row, &outcome);
            outcome
        };
        let task = self.runtime.spawn(flight.instrument(span));
        self.shared.flight(row, task)
    }

    /// Runs what takes time on a thread for such work.
    pub fn compute(
        &self,
        make: impl FnOnce() -> Bytes + Send + 'static,
    ) -> BoxFuture<'static, Result<Bytes, ReadFailure>> {
        let task = self.runtime.spawn_blocking(make);
        let failed = |ended: tokio::task::JoinError| ReadFailure {
            kind: FailureKind::Internal,
            message: format!("a computation ended abnormally: {ended}"),
            object: None,
        };
        task.map(move |made| made.map_err(failed)).boxed()
    }

    /// The row that came later for the cell of one that had not arrived.
    pub fn arrived(&self, pending: RowId) -> BoxFuture<'static, Option<RowId>> {
        let source = Arc::clone(&self.source);
        let asked = self.runtime.spawn_blocking(move || source.arrived(pending));
        async move { asked.await.ok().flatten() }.boxed()
    }

    /// The failure that reading a row gives that is known beforehand not to be readable.
    pub fn pending(&self, row: RowId) -> BoxFuture<'static, Result<Bytes, ReadFailure>> {
        let (source, shared) = (Arc::clone(&self.source), Arc::clone(&self.shared));
        async move {
            let (message, object) = match source.locate(row).await {
                Ok(at) => (why_pending(&source, &at), object_of(&source, &at)),
                Err(error) => (error.to_string(), None),
            };
            let failure = ReadFailure {
                kind: FailureKind::Pending,
                message,
                object,
            };
            shared.note(&failure);
            Err(failure)
        }
        .boxed()
    }
}

impl FieldReader {
    /// Counters so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let (ahead_standing_bytes, ahead_lost_bytes) = self.bets.in_vain();
        Statistics {
            ahead: self.ahead.load(Ordering::Relaxed),
            ahead_standing_bytes,
            ahead_lost_bytes,
            disk: self.source.origin.disk().map(|disk| disk.statistics()),
            healing: self.source.healer.statistics(),
            ..self.shared.statistics(&self.budget)
        }
    }

    /// The storage that it reads from.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.source.origin.storage
    }
}

impl Observed for FieldReader {
    fn statistics(&self) -> Statistics {
        Self::statistics(self)
    }

    fn storage(&self) -> &Storage {
        Self::storage(self)
    }
}

pub(super) fn failure(source: &Source, at: &Located, error: &FetchError) -> ReadFailure {
    ReadFailure {
        kind: error.kind(),
        message: format!("{}: {error}", describe(source, at)),
        object: object_of(source, at),
    }
}

pub(super) fn why_pending(source: &Source, at: &Located) -> String {
    let reason = at.row.reason.as_deref();
    format!(
        "{}: not readable ({}): {}",
        describe(source, at),
        at.row.status.as_str(),
        reason.unwrap_or("several messages claim this cell")
    )
}

/// The object that holds a row's message, as it is named in messages.
pub(super) fn object_of(source: &Source, at: &Located) -> Option<Arc<str>> {
    let object = source.origin.objects.get(at.row.object)?;
    Some(object.location.to_string().into())
}

/// Where a row's message lies and what it should be: `s3://b/k, bytes 0-99 (run 2026-11-22T00, step 6h)`.
pub(super) fn describe(source: &Source, at: &Located) -> String {
    let row = &at.row;
    let object = source.origin.objects.get(row.object);
    let location = object.map(|object| object.location.to_string());
    let range = Place::listed(row).range();
    let member = row
        .member
        .map(|member| format!(", member {member}"))
        .unwrap_or_default();
    format!(
        "{}, {range} (run {}, step {}{member})",
        location.unwrap_or_default(),
        row.reference.path_name(),
        step_text(row.window.end)
    )
}

//! Reading fields by row: from memory, or by one flight per field whatever the number of readers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::runtime::Handle;

use super::cache::FieldCache;
use super::failure::{FailureKind, ReadFailure};
use super::failures::{Failure, FailureLog};
use super::fetch::{FetchError, LocatedRow, Source};
use crate::dataset::GridView;
use crate::dataset::archive::{RowId, RowSource};
use crate::storage::Storage;
use crate::table::row::{Row, Table};
use crate::time::step_text;

/// How long a failure stands for the request that follows it. When a read fails, the kernel asks once more for the first page of
/// it, at once: that one gets the same answer instead of a new try, and the reader after it a new try.
const FAILURE_STANDS: Duration = Duration::from_secs(1);

type Flight = Shared<BoxFuture<'static, Result<Bytes, ReadFailure>>>;

/// Settings of a reader.
#[derive(Clone, Debug)]
pub struct ReaderConfig {
    /// Bytes of decoded fields kept. A field arrives at readers in 32 requests of 128 KiB, and the kernel's page cache keeps it
    /// from then on: this bridges those requests and readers that come side by side. Default 256 MiB.
    pub cache_bytes: u64,
    /// Fields decoded at once: one per core.
    pub cores: usize,
    /// How each field is delivered: which part of it, turned how. Default: all of it as it is coded.
    pub view: GridView,
}

impl Default for ReaderConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            cache_bytes: 256 << 20,
            cores,
            view: GridView::default(),
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
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Reads answered from memory.
    pub hits: u64,
    /// Fields fetched and decoded.
    pub fields: u64,
    /// Reads that failed.
    pub failures: u64,
    /// Bytes of decoded fields in memory.
    pub cached_bytes: u64,
    /// The last failures, the newest last.
    pub recent_failures: Vec<Failure>,
}

/// Reads fields of a table.
#[derive(Debug)]
pub struct FieldReader {
    source: Arc<Source>,
    runtime: Handle,
    cache: Arc<Mutex<FieldCache>>,
    flights: Arc<Mutex<HashMap<RowId, Flight>>>,
    /// Failures that still stand, and since when.
    failed: Arc<Mutex<HashMap<RowId, (Clock, ReadFailure)>>>,
    failures: Arc<Mutex<FailureLog>>,
    hits: AtomicU64,
    fields: Arc<AtomicU64>,
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
        Self {
            source: Arc::new(Source::new(rows, storage, config)),
            runtime,
            cache: Arc::new(Mutex::new(FieldCache::new(config.cache_bytes))),
            flights: Arc::default(),
            failed: Arc::default(),
            failures: Arc::default(),
            hits: AtomicU64::new(0),
            fields: Arc::default(),
        }
    }

    /// The field of a row. A flight goes on when its readers leave; a failure answers the
    /// kernel's second try as well, then the next read tries anew.
    pub fn read(&self, row: RowId) -> Read {
        if let Some(field) = lock(&self.cache).get(row) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Read::Now(Ok(field));
        }
        if let Some(failure) = self.standing_failure(row) {
            return Read::Now(Err(failure));
        }
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&row) {
            return Read::Later(flight.clone());
        }
        // A flight that landed between the two locks has left its field in the cache.
        if let Some(field) = lock(&self.cache).get(row) {
            return Read::Now(Ok(field));
        }
        let flight = self.depart(row);
        flights.insert(row, flight.clone());
        Read::Later(flight)
    }

    fn standing_failure(&self, row: RowId) -> Option<ReadFailure> {
        let mut failed = lock(&self.failed);
        failed.retain(|_, (since, _)| since.elapsed() < FAILURE_STANDS);
        failed.remove(&row).map(|(_, failure)| failure)
    }

    fn depart(&self, row: RowId) -> Flight {
        let source = Arc::clone(&self.source);
        let (cache, flights) = (Arc::clone(&self.cache), Arc::clone(&self.flights));
        let (failures, fields) = (Arc::clone(&self.failures), Arc::clone(&self.fields));
        let failed = Arc::clone(&self.failed);
        let task = self.runtime.spawn(async move {
            let outcome = match source.locate(row).await {
                Ok(located) => {
                    let label = label(&located);
                    let field = source.field(located).await;
                    field.map_err(|error| failure(&label, &error))
                }
                Err(error) => Err(failure(&format!("row {row}"), &error)),
            };
            match &outcome {
                Ok(field) => {
                    fields.fetch_add(1, Ordering::Relaxed);
                    lock(&cache).insert(row, field.clone());
                }
                Err(failure) => {
                    lock(&failures).push(now_seconds(), failure.kind, &failure.message);
                    lock(&failed).insert(row, (Clock::now(), failure.clone()));
                }
            }
            lock(&flights).remove(&row);
            outcome
        });
        let flights = Arc::clone(&self.flights);
        async move {
            task.await.unwrap_or_else(|ended| {
                lock(&flights).remove(&row);
                Err(ReadFailure {
                    kind: FailureKind::Internal,
                    message: format!("a read ended abnormally: {ended}"),
                })
            })
        }
        .boxed()
        .shared()
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
        };
        task.map(move |made| made.map_err(failed)).boxed()
    }

    /// The row that came later for the cell of one that had not arrived.
    pub fn arrived(&self, pending: RowId) -> BoxFuture<'static, Option<RowId>> {
        let source = Arc::clone(&self.source);
        let asked = self.runtime.spawn_blocking(move || source.rows.arrived(pending));
        async move { asked.await.ok().flatten() }.boxed()
    }

    /// The failure that reading a row gives that is known beforehand not to be readable.
    pub fn pending(&self, row: RowId) -> BoxFuture<'static, Result<Bytes, ReadFailure>> {
        let (source, failures) = (Arc::clone(&self.source), Arc::clone(&self.failures));
        async move {
            let text = match source.locate(row).await {
                Ok(located) => why_pending(&located),
                Err(error) => error.to_string(),
            };
            let failure = ReadFailure {
                kind: FailureKind::Pending,
                message: text,
            };
            lock(&failures).push(now_seconds(), failure.kind, &failure.message);
            Err(failure)
        }
        .boxed()
    }

    /// Counters so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let failures = lock(&self.failures);
        Statistics {
            hits: self.hits.load(Ordering::Relaxed),
            fields: self.fields.load(Ordering::Relaxed),
            failures: failures.total(),
            cached_bytes: lock(&self.cache).bytes(),
            recent_failures: failures.recent(),
        }
    }

    /// The storage that fields come from.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.source.storage
    }
}

fn failure(label: &str, error: &FetchError) -> ReadFailure {
    ReadFailure {
        kind: error.kind(),
        message: format!("{label}: {error}"),
    }
}

fn label(located: &LocatedRow) -> String {
    let row = located.row().ok();
    row.map(|row| describe(&located.table, row))
        .unwrap_or_default()
}

fn why_pending(located: &LocatedRow) -> String {
    let row = located.row().ok();
    let reason = row.and_then(|row| row.reason.as_deref());
    format!(
        "{}: not readable ({}): {}",
        label(located),
        row.map_or("lost", |row| row.status.as_str()),
        reason.unwrap_or("several messages claim this cell")
    )
}

/// Where a row's message lies and what it should be: `s3://b/k, bytes 0-99 (run 2026-11-22T00, step 6h)`.
fn describe(table: &Table, row: &Row) -> String {
    let location = table
        .objects
        .get(row.object as usize)
        .map(|object| object.location.to_string())
        .unwrap_or_default();
    let range = crate::location::ByteRange {
        offset: row.offset,
        length: row.length,
    };
    let member = row
        .member
        .map(|member| format!(", member {member}"))
        .unwrap_or_default();
    format!(
        "{location}, {range} (run {}, step {}{member})",
        row.reference.path_name(),
        step_text(row.window.end)
    )
}

fn now_seconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

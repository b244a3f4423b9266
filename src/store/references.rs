//! Chunks of a reference set: from a reference to bytes. GRIB messages are proven and decoded, everything else is handed on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use lru::LruCache;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::failure::{FailureKind, ReadFailure};
use super::failures::FailureLog;
use super::fetch::kind_of_storage;
use super::grib_chunk::{self, ChunkError};
use super::policy::{Policy, Refusal, shown};
use super::reader::{Flight, Read, Statistics};
use crate::location::{ByteRange, Location};
use crate::refs::{Coding, Kind, RefSet, RefsError, Target};
use crate::storage::{Fetched, Short, Storage, StorageError};

/// How long a failure stands for the request that follows it: the kernel asks twice for the first page.
const FAILURE_STANDS: Duration = Duration::from_secs(1);
/// Sizes of whole objects that are asked for when a set is mounted; sets with more are not of this world.
const MAX_SIZES: usize = 100_000;
/// Requests for sizes at once.
const SIZES_AT_ONCE: usize = 64;

/// A chunk of an array, or a file that belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefKey {
    /// Array and linear chunk number.
    Chunk(usize, u64),
    /// Group and position among its files.
    File(usize, usize),
}

/// Why a chunk could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RefReadError {
    /// The reference may not be followed.
    #[error("not followed: {0}")]
    Refused(#[from] Refusal),
    /// The record that holds the reference cannot be read.
    #[error("its record cannot be read: {0}")]
    Record(#[from] RefsError),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bytes are not the message that is wanted.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The object is another one than before.
    #[error("the object changed since it was first seen: {what} was {before}, now {after}")]
    Changed {
        /// What differs.
        what: &'static str,
        /// As first seen.
        before: String,
        /// As it is now.
        after: String,
    },
    /// The set does not hold what it refers to.
    #[error("{0}")]
    Broken(String),
    /// A bug.
    #[error("internal error: {0}")]
    Internal(String),
}

impl RefReadError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Refused(_) => FailureKind::Forbidden,
            Self::Record(_) => FailureKind::Unavailable,
            Self::Storage(error) => kind_of_storage(error),
            Self::Chunk(_) => FailureKind::Invalid,
            Self::Changed { .. } => FailureKind::Changed,
            Self::Broken(_) => FailureKind::Pending,
            Self::Internal(_) => FailureKind::Internal,
        }
    }

    /// A word for reports: `refused`, `dead`, `stale`, `wrong`, `unreadable`, `broken`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::NoFile { .. }) => "dead",
            Self::Refused(_) => "refused",
            Self::Record(_) | Self::Storage(_) => "dead",
            Self::Chunk(ChunkError::Other { .. }) => "wrong",
            Self::Chunk(ChunkError::Grib(_) | ChunkError::Size { .. }) | Self::Changed { .. } => {
                "stale"
            }
            Self::Chunk(ChunkError::Grid(_) | ChunkError::Decode(_)) => "unreadable",
            Self::Broken(_) => "broken",
            Self::Internal(_) => "internal",
        }
    }
}

#[derive(Debug)]
struct Cache {
    chunks: LruCache<RefKey, Bytes>,
    bytes: u64,
}

/// Size and `ETag` of an object as first seen.
type Pin = (Option<u64>, Option<String>);

#[derive(Debug)]
struct Source {
    set: Arc<RefSet>,
    storage: Storage,
    policy: Policy,
    pins: Mutex<HashMap<Location, Pin>>,
    cores: Semaphore,
}

/// Reads chunks of a set.
#[derive(Debug)]
pub struct RefReader {
    source: Arc<Source>,
    runtime: Handle,
    cache: Arc<Mutex<Cache>>,
    cache_bytes: u64,
    flights: Arc<Mutex<HashMap<RefKey, Flight>>>,
    failed: Arc<Mutex<HashMap<RefKey, (Clock, ReadFailure)>>>,
    failures: Arc<Mutex<FailureLog>>,
    hits: AtomicU64,
    read: Arc<AtomicU64>,
    /// Sizes of whole objects, by URL.
    sizes: Mutex<HashMap<String, u64>>,
}

impl RefReader {
    /// A reader of a set's chunks; flights run on `runtime`, `cache_bytes` of chunks are kept.
    #[must_use]
    pub fn new(
        set: Arc<RefSet>,
        storage: Storage,
        runtime: Handle,
        policy: Policy,
        cache_bytes: u64,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            source: Arc::new(Source {
                set,
                storage,
                policy,
                pins: Mutex::default(),
                cores: Semaphore::new(cores),
            }),
            runtime,
            cache: Arc::new(Mutex::new(Cache {
                chunks: LruCache::unbounded(),
                bytes: 0,
            })),
            cache_bytes,
            flights: Arc::default(),
            failed: Arc::default(),
            failures: Arc::default(),
            hits: AtomicU64::new(0),
            read: Arc::default(),
            sizes: Mutex::default(),
        }
    }

    /// The set.
    #[must_use]
    pub fn set(&self) -> &Arc<RefSet> {
        &self.source.set
    }

    /// The storage that chunks come from.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.source.storage
    }

    /// Where a URL of the set leads.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn resolve(&self, url: &str) -> Result<Location, Refusal> {
        self.source.policy.resolve(url)
    }

    /// Learns the sizes of objects that are referred to whole and are not GRIB, so that `stat` knows them.
    pub async fn learn_sizes(&self) {
        let mut urls: Vec<String> = Vec::new();
        let set = &self.source.set;
        let mut want = |target: Option<Target>| {
            if let Some(Target::Object {
                url, length: None, ..
            }) = target
            {
                urls.push(url);
            }
        };
        for (number, node, info) in set.arrays() {
            if !matches!(info.coding, Coding::Opaque)
                || !matches!(
                    node.kind,
                    Kind::Array {
                        chunks: Some(_),
                        ..
                    }
                )
            {
                continue;
            }
            let mut chunks = Vec::new();
            drop(set.present(number, 0, &mut |chunk| {
                chunks.push(chunk);
                chunks.len() < MAX_SIZES
            }));
            for chunk in chunks {
                want(set.chunk(number, chunk).ok().flatten());
            }
        }
        for node in &set.nodes {
            for (_, slot) in &node.files {
                want(set.target(slot));
            }
        }
        urls.sort_unstable();
        urls.dedup();
        urls.truncate(MAX_SIZES);
        let found = futures::stream::iter(urls)
            .map(|url| async move {
                let size = self.object_size(&url).await;
                (url, size)
            })
            .buffer_unordered(SIZES_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let mut sizes = lock(&self.sizes);
        for (url, size) in found {
            match size {
                Ok(size) => drop(sizes.insert(url, size)),
                Err(error) => {
                    tracing::warn!(url = shown(&url), %error, "its size could not be learnt");
                }
            }
        }
    }

    async fn object_size(&self, url: &str) -> Result<u64, RefReadError> {
        let location = self.source.policy.resolve(url)?;
        if let Some(path) = location.to_path() {
            let size = std::fs::metadata(&path).map(|found| found.len());
            return size.map_err(|error| RefReadError::Broken(error.to_string()));
        }
        let fetched = self
            .source
            .storage
            .get(&location, ByteRange::new(0, 1), Short::Allow)
            .await?;
        fetched
            .object_size
            .ok_or_else(|| RefReadError::Broken("the server does not tell its size".to_owned()))
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

    /// The bytes of a chunk: at once, or by one flight whatever the number of readers.
    pub fn read(&self, key: RefKey) -> Read {
        if let Some(bytes) = lock(&self.cache).chunks.get(&key) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Read::Now(Ok(bytes.clone()));
        }
        {
            let mut failed = lock(&self.failed);
            failed.retain(|_, (since, _)| since.elapsed() < FAILURE_STANDS);
            if let Some((_, failure)) = failed.remove(&key) {
                return Read::Now(Err(failure));
            }
        }
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&key) {
            return Read::Later(flight.clone());
        }
        if let Some(bytes) = lock(&self.cache).chunks.get(&key) {
            return Read::Now(Ok(bytes.clone()));
        }
        if let Some(failure) = ReadFailure::of_spent(self.storage()) {
            lock(&self.failures).push(now_seconds(), failure.kind, &failure.message);
            return Read::Now(Err(failure));
        }
        let flight = self.depart(key);
        flights.insert(key, flight.clone());
        Read::Later(flight)
    }

    fn depart(&self, key: RefKey) -> Flight {
        let source = Arc::clone(&self.source);
        let (cache, flights, failed) = (
            Arc::clone(&self.cache),
            Arc::clone(&self.flights),
            Arc::clone(&self.failed),
        );
        let (failures, read, limit) = (
            Arc::clone(&self.failures),
            Arc::clone(&self.read),
            self.cache_bytes,
        );
        let expected = self.expected_size(key);
        let task = self.runtime.spawn(async move {
            let outcome = Arc::clone(&source)
                .fetch(key)
                .await
                .and_then(|bytes| match expected {
                    Some(expected) if expected != bytes.len() as u64 => Err(RefReadError::Broken(
                        format!("{} bytes where {expected} are due", bytes.len()),
                    )),
                    _ => Ok(bytes),
                });
            let outcome = outcome.map_err(|error| ReadFailure {
                kind: error.kind(),
                object: None,
                message: format!("{}: {error}", source.label(key)),
            });
            match &outcome {
                Ok(bytes) => {
                    read.fetch_add(1, Ordering::Relaxed);
                    lock(&cache).insert(key, bytes.clone(), limit);
                }
                Err(failure) => {
                    lock(&failures).push(now_seconds(), failure.kind, &failure.message);
                    lock(&failed).insert(key, (Clock::now(), failure.clone()));
                }
            }
            lock(&flights).remove(&key);
            outcome
        });
        let flights = Arc::clone(&self.flights);
        let flight: BoxFuture<'static, Result<Bytes, ReadFailure>> = async move {
            task.await.unwrap_or_else(|ended| {
                lock(&flights).remove(&key);
                Err(ReadFailure {
                    kind: FailureKind::Internal,
                    object: None,
                    message: format!("a read ended abnormally: {ended}"),
                })
            })
        }
        .boxed();
        flight.shared()
    }

    /// The size that `stat` told, which the bytes must have.
    fn expected_size(&self, key: RefKey) -> Option<u64> {
        let target = self.source.target(key).ok().flatten()?;
        Some(self.size(key, &target))
    }

    /// Fetches, proves and decodes one chunk, past the cache: what `verify` looks at.
    ///
    /// # Errors
    /// [`RefReadError`].
    pub async fn fetch(&self, key: RefKey) -> Result<Bytes, RefReadError> {
        Arc::clone(&self.source).fetch(key).await
    }

    /// The failure of a chunk that is due and that the set does not have.
    pub fn broken(&self, key: RefKey, why: &str) -> ReadFailure {
        let failure = ReadFailure {
            kind: FailureKind::Pending,
            object: None,
            message: format!("{}: {why}", self.source.label(key)),
        };
        lock(&self.failures).push(now_seconds(), failure.kind, &failure.message);
        failure
    }

    /// Counters so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let failures = lock(&self.failures);
        Statistics {
            hits: self.hits.load(Ordering::Relaxed),
            fields: self.read.load(Ordering::Relaxed),
            failures: failures.total(),
            cached_bytes: lock(&self.cache).bytes,
            recent_failures: failures.recent(),
            ..Statistics::default()
        }
    }
}

impl Cache {
    fn insert(&mut self, key: RefKey, bytes: Bytes, limit: u64) {
        let size = bytes.len() as u64;
        if size > limit {
            return;
        }
        self.bytes += size;
        if let Some(old) = self.chunks.put(key, bytes) {
            self.bytes -= old.len() as u64;
        }
        while self.bytes > limit {
            let Some((_, oldest)) = self.chunks.pop_lru() else {
                break;
            };
            self.bytes -= oldest.len() as u64;
        }
    }
}

impl Source {
    fn target(&self, key: RefKey) -> Result<Option<Target>, RefsError> {
        match key {
            RefKey::Chunk(node, number) => self.set.chunk(node, number),
            RefKey::File(node, position) => {
                let slot = self
                    .set
                    .nodes
                    .get(node)
                    .and_then(|node| node.files.get(position));
                Ok(slot.and_then(|(_, slot)| self.set.target(slot)))
            }
        }
    }

    fn label(&self, key: RefKey) -> String {
        let (name, target) = match key {
            RefKey::Chunk(node, number) => {
                let grid = match self.set.nodes.get(node).map(|node| &node.kind) {
                    Some(Kind::Array { info, .. }) => info.grid.as_slice(),
                    _ => &[],
                };
                let chunk = if grid.is_empty() {
                    "0".to_owned()
                } else {
                    crate::zarr::key::chunk_key(number, grid)
                };
                (
                    format!("{}/{chunk}", self.set.path(node)),
                    self.set.chunk(node, number).ok().flatten(),
                )
            }
            RefKey::File(node, position) => {
                let file = self
                    .set
                    .nodes
                    .get(node)
                    .and_then(|node| node.files.get(position));
                let name = file.map_or("", |(name, _)| name);
                (
                    format!("{}/{name}", self.set.path(node)),
                    file.and_then(|(_, slot)| self.set.target(slot)),
                )
            }
        };
        match target {
            Some(Target::Object {
                url,
                offset,
                length,
            }) => {
                format!(
                    "{name} ({}, {})",
                    shown(&url),
                    ByteRange {
                        offset,
                        length: length.filter(|l| offset.checked_add(*l).is_some())
                    }
                )
            }
            Some(Target::Inline(_) | Target::NoTarget) | None => name,
        }
    }

    async fn fetch(self: Arc<Self>, key: RefKey) -> Result<Bytes, RefReadError> {
        let target = self.target(key)?;
        let grib = match key {
            RefKey::Chunk(node, _) => match self.set.nodes.get(node).map(|node| &node.kind) {
                Some(Kind::Array { info, .. }) => match &info.coding {
                    Coding::Grib { var, item_bytes } => Some((var.clone(), *item_bytes)),
                    Coding::Plain { .. } | Coding::Opaque => None,
                },
                _ => None,
            },
            RefKey::File(..) => None,
        };
        let bytes = match target {
            None => {
                return Err(RefReadError::Broken(
                    "the set has no reference for a chunk that must exist".to_owned(),
                ));
            }
            Some(Target::NoTarget) => {
                return Err(RefReadError::Broken(
                    "it refers to a default target, which the set does not hold".to_owned(),
                ));
            }
            Some(Target::Inline(bytes)) => bytes,
            Some(Target::Object {
                url,
                offset,
                length,
            }) => {
                if length == Some(0) {
                    return Err(RefReadError::Broken("a reference of no bytes".to_owned()));
                }
                let location = self.policy.resolve(&url)?;
                // A range may be longer than its message, past the end of the object; plain bytes may not.
                let short = if grib.is_some() {
                    Short::Allow
                } else {
                    Short::Refuse
                };
                let fetched = self
                    .storage
                    .get(&location, ByteRange { offset, length }, short)
                    .await?;
                self.pin(&location, &fetched)?;
                fetched.bytes
            }
        };
        let (Some((var, item_bytes)), RefKey::Chunk(node, number)) = (grib, key) else {
            return Ok(bytes);
        };
        let permit = self
            .cores
            .acquire()
            .await
            .map_err(|closed| RefReadError::Internal(closed.to_string()))?;
        let source = Arc::clone(&self);
        let decoded = tokio::task::spawn_blocking(move || {
            let wanted = source.set.expectation(node, number);
            grib_chunk::chunk(&bytes, &wanted, &var, item_bytes)
        })
        .await;
        drop(permit);
        match decoded {
            Ok(chunk) => Ok(chunk?),
            Err(panic) => Err(RefReadError::Internal(format!(
                "decoding ended abnormally: {panic}"
            ))),
        }
    }

    fn pin(&self, location: &Location, fetched: &Fetched) -> Result<(), RefReadError> {
        let mut pins = lock(&self.pins);
        let (size, etag) = pins.entry(location.clone()).or_default();
        if let (Some(before), Some(after)) = (*size, fetched.object_size)
            && before != after
        {
            return Err(RefReadError::Changed {
                what: "size",
                before: before.to_string(),
                after: after.to_string(),
            });
        }
        if let (Some(before), Some(after)) = (&*etag, &fetched.etag)
            && before != after
        {
            return Err(RefReadError::Changed {
                what: "ETag",
                before: before.clone(),
                after: after.clone(),
            });
        }
        *size = size.or(fetched.object_size);
        if etag.is_none() {
            etag.clone_from(&fetched.etag);
        }
        Ok(())
    }
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

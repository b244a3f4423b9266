//! What a reader's flights leave behind: their bytes in a cache, or a failure that stands for the kernel's second try.
//!
//! One flight per field or chunk, whatever the number of readers. Locks are taken in this order: flights, then one of the others, which
//! is let go before the next.
//!
//! Knows keys and bytes. Knows neither rows nor references.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::task::JoinHandle;
use tracing::debug;

use super::ahead::Bet;
use super::budget::Budget;
use super::cache::{FieldCache, Kept};
use super::failure::{FailureKind, ReadFailure};
use super::failures::FailureLog;
use super::reader::{Read, Statistics};
use super::{lock, now_seconds};
use crate::storage::Storage;

/// How long a failure stands for the request that follows it. When a read fails, the kernel asks once more for the first page of
/// it, at once: that one gets the same answer instead of a new try, and the reader after it a new try.
const FAILURE_STANDS: Duration = Duration::from_secs(1);

/// A read under way; all who want its bytes wait for it.
pub(super) type Flight = Shared<BoxFuture<'static, Result<Bytes, ReadFailure>>>;

/// A flight, and what is known of its readers.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) flight: Flight,
    /// Bytes that its readers will be handed when it lands.
    pub(super) asked_bytes: u64,
    /// It was sent ahead and nobody has asked for it yet.
    pub(super) bet: Option<Bet>,
}

/// Flights, what they left in memory, and what failed.
#[derive(Debug)]
pub(super) struct Landing<K: Hash + Eq> {
    pub(super) cache: Mutex<FieldCache<K>>,
    pub(super) flights: Mutex<HashMap<K, InFlight>>,
    /// Failures that still stand, and since when.
    failed: Mutex<HashMap<K, (Clock, ReadFailure)>>,
    failures: Mutex<FailureLog>,
    landed: AtomicU64,
    hits: AtomicU64,
}

impl<K: Copy + Hash + Eq> Landing<K> {
    pub(super) fn new(cache_bytes: u64) -> Self {
        Self {
            cache: Mutex::new(FieldCache::new(cache_bytes)),
            flights: Mutex::default(),
            failed: Mutex::default(),
            failures: Mutex::default(),
            landed: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }
    }

    /// What is in memory, of which `bytes` will be handed to the reader, or the failure that still stands; else the flight under way, or
    /// the one that `depart` begins. `name` is for the log.
    pub(super) fn read(
        &self,
        key: K,
        bytes: u64,
        storage: &Storage,
        name: impl Fn() -> String,
        depart: impl FnOnce() -> Flight,
    ) -> Read {
        let now = Clock::now();
        let from_memory = || lock(&self.cache).get(key, bytes, now);
        if let Some(field) = from_memory() {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Read::Now(Ok(field));
        }
        if let Some(failure) = self.standing_failure(key) {
            return Read::Now(Err(failure));
        }
        let mut flights = lock(&self.flights);
        if let Some(known) = flights.get_mut(&key) {
            known.asked_bytes += bytes;
            if let Some(bet) = known.bet.take() {
                bet.won();
            }
            debug!(
                "{} is being read for another request already: waits for that",
                name()
            );
            return Read::Later(known.flight.clone());
        }
        // A flight that landed between the two locks has left its field in the cache.
        if let Some(field) = from_memory() {
            return Read::Now(Ok(field));
        }
        if let Some(failure) = ReadFailure::of_spent(storage) {
            self.note(&failure);
            return Read::Now(Err(failure));
        }
        debug!("{} is read for this request", name());
        let flight = depart();
        let departed = InFlight {
            flight: flight.clone(),
            asked_bytes: bytes,
            bet: None,
        };
        flights.insert(key, departed);
        Read::Later(flight)
    }

    /// The flight that a task is, which lands by itself unless it ends abnormally.
    pub(super) fn flight(
        self: &Arc<Self>,
        key: K,
        task: JoinHandle<Result<Bytes, ReadFailure>>,
    ) -> Flight
    where
        K: Send + 'static,
    {
        let own = Arc::clone(self);
        async move {
            task.await.unwrap_or_else(|ended| {
                lock(&own.flights).remove(&key);
                Err(ReadFailure {
                    kind: FailureKind::Internal,
                    message: format!("a read ended abnormally: {ended}"),
                    object: None,
                })
            })
        }
        .boxed()
        .shared()
    }

    /// A field has come, or not. It is in the cache, or its failure stands, before its flight is gone from the list: no reader finds neither.
    pub(super) fn land(&self, key: K, outcome: &Result<Bytes, ReadFailure>) {
        let mut flights = lock(&self.flights);
        let (handed_out, bet) = flights
            .remove(&key)
            .map_or((0, None), |known| (known.asked_bytes, known.bet));
        match outcome {
            Ok(field) => {
                self.landed.fetch_add(1, Ordering::Relaxed);
                let kept = Kept {
                    field: field.clone(),
                    handed_out,
                    asked: Clock::now(),
                    bet,
                };
                lock(&self.cache).insert(key, kept);
            }
            // Nobody was told of it: whoever comes makes a try of his own.
            Err(failure) if bet.is_some() => debug!("ahead of readers: {failure}"),
            Err(failure) => {
                self.note(failure);
                lock(&self.failed).insert(key, (Clock::now(), failure.clone()));
            }
        }
    }

    /// Remembers a failure that a reader is told of, for the status file.
    pub(super) fn note(&self, failure: &ReadFailure) {
        lock(&self.failures).push(now_seconds(), failure.kind, &failure.message);
    }

    /// Counters so far, of what is known here and of a budget.
    pub(super) fn statistics(&self, budget: &Budget) -> Statistics {
        let (failures, recent_failures) = {
            let log = lock(&self.failures);
            (log.total(), log.recent())
        };
        let cached_bytes = lock(&self.cache).bytes();
        let in_flight = lock(&self.flights).len() as u64;
        let (memory_bytes, memory_peak_bytes) = budget.used();
        Statistics {
            hits: self.hits.load(Ordering::Relaxed),
            fields: self.landed.load(Ordering::Relaxed),
            failures,
            cached_bytes,
            memory_bytes,
            memory_peak_bytes,
            in_flight,
            recent_failures,
            ..Statistics::default()
        }
    }

    fn standing_failure(&self, key: K) -> Option<ReadFailure> {
        let mut failed = lock(&self.failed);
        failed.retain(|_, (since, _)| since.elapsed() < FAILURE_STANDS);
        failed.remove(&key).map(|(_, failure)| failure)
    }
}

//! What storage has cost so far.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Totals since the storage was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests sent, retries and pages of listings included; reads of local files count as one each.
    pub requests: u64,
    /// Bytes of bodies received, those of failed attempts included.
    pub bytes: u64,
    /// Requests that were repetitions.
    pub retries: u64,
    /// Answers 429 and 503: the server asks for less.
    pub throttled: u64,
    /// Operations that failed in the end.
    pub failures: u64,
    /// Requests of a second origin because the first was slow.
    pub hedges: u64,
    /// Reads that another origin than the first answered.
    pub mirrored: u64,
    /// Ranges that came along in the request of a neighbour.
    pub joined: u64,
    /// Bytes between such neighbours, fetched for nobody.
    pub gap_bytes: u64,
}

/// The counting side of [`Counters`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    requests: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    failures: AtomicU64,
    hedges: AtomicU64,
    mirrored: AtomicU64,
    joined: AtomicU64,
    gap_bytes: AtomicU64,
}

impl Tally {
    pub(super) fn requested(&self, again: bool) {
        self.requests.fetch_add(1, Relaxed);
        self.retries.fetch_add(u64::from(again), Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes
            .fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn throttled(&self) {
        self.throttled.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn hedged(&self) {
        self.hedges.fetch_add(1, Relaxed);
    }

    pub(super) fn mirrored(&self) {
        self.mirrored.fetch_add(1, Relaxed);
    }

    pub(super) fn joined(&self, ranges: u64, gap_bytes: u64) {
        self.joined.fetch_add(ranges, Relaxed);
        self.gap_bytes.fetch_add(gap_bytes, Relaxed);
    }

    pub(super) fn read(&self) -> Counters {
        Counters {
            requests: self.requests.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            retries: self.retries.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            failures: self.failures.load(Relaxed),
            hedges: self.hedges.load(Relaxed),
            mirrored: self.mirrored.load(Relaxed),
            joined: self.joined.load(Relaxed),
            gap_bytes: self.gap_bytes.load(Relaxed),
        }
    }
}

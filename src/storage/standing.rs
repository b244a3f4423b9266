//! How an origin is doing: what it may be sent at once, how fast it answers, what it cost, and whether it is down.
//!
//! Three failed reads in a row make an origin one that is down: for half a minute its mirrors are asked first. Then one read
//! tries it again, and while that one has not succeeded the others keep away.
//!
//! Knows counts and times. Knows no addresses and no requests.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::counters::{Counters, Tally};
use super::latency::Latencies;
use super::limit::Limiter;

/// Failures in a row after which an origin counts as down.
const FAILURES: u32 = 3;
/// How long it is left alone then.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// Reads that pay for one hedge: hedges stay below a twentieth of the reads.
const READS_PER_HEDGE: i64 = 20;
/// Hedges that may be saved up: a burst of lost requests is met at once.
const HEDGES_SAVED: i64 = 10;
/// Hedges that an origin begins with: as many as it takes to tell that it is down.
const HEDGES_AT_FIRST: i64 = 3;
/// Answers from which on a percentile says something.
const ANSWERS: usize = 20;
/// When a second origin is asked while it is not known how fast the first one answers: far beyond what a healthy one takes.
const HEDGE_UNKNOWN: Duration = Duration::from_secs(1);
/// Never sooner: below this a scheduler's hiccup looks like a slow server.
const HEDGE_SOONEST: Duration = Duration::from_millis(10);

/// No time of a clock.
const NEVER_TOLD: i64 = i64::MIN;

/// What is known of one origin.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) limiter: Limiter,
    pub(super) latencies: Latencies,
    pub(super) tally: Tally,
    /// Its clock less this machine's, seconds; [`NEVER_TOLD`] before it said what time it is.
    clock: AtomicI64,
    /// Credit for hedges, in reads.
    credit: AtomicI64,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    failures: u32,
    down_until: Option<Instant>,
}

/// One origin, as the status file shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginStatus {
    /// Scheme and host or bucket.
    pub origin: String,
    /// What it cost so far.
    pub counters: Counters,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests that are allowed at once now.
    pub limit: usize,
    /// Median time to the head of an answer, of the last 128.
    pub p50: Option<Duration>,
    /// The time within which 95 of 100 answers began.
    pub p95: Option<Duration>,
    /// Its clock less this machine's in seconds, by the last answer, where it told the time.
    pub clock_seconds: Option<i64>,
    /// Whether its mirrors are asked first because it fails.
    pub is_down: bool,
}

impl Standing {
    pub(super) fn new(max_requests: usize) -> Self {
        Self {
            limiter: Limiter::new(max_requests),
            latencies: Latencies::default(),
            tally: Tally::default(),
            clock: AtomicI64::new(NEVER_TOLD),
            credit: AtomicI64::new(HEDGES_AT_FIRST * READS_PER_HEDGE),
            health: Mutex::default(),
        }
    }

    pub(super) fn status(&self, origin: &str, now: Instant) -> OriginStatus {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        OriginStatus {
            origin: origin.to_owned(),
            counters: self.tally.read(),
            in_flight: self.limiter.in_flight(),
            limit: self.limiter.limit(),
            p50: self.latencies.percentile(50, 1),
            p95: self.latencies.percentile(95, 1),
            clock_seconds: Some(self.clock.load(Relaxed)).filter(|told| *told != NEVER_TOLD),
            is_down: health.down_until.is_some_and(|until| now < until),
        }
    }

    /// The origin said in an answer that it is `its` now, `ours` by our own clock; seconds since 1970.
    pub(super) fn told_time(&self, its: i64, ours: i64) {
        self.clock.store(its.saturating_sub(ours), Relaxed);
    }

    /// Silence after which another origin is asked as well.
    pub(super) fn hedge_after(&self) -> Duration {
        self.latencies
            .percentile(95, ANSWERS)
            .map_or(HEDGE_UNKNOWN, |p95| p95.max(HEDGE_SOONEST))
    }

    /// A read that begins here: it pays in for hedges.
    pub(super) fn pay_in(&self) {
        let most = HEDGES_SAVED * READS_PER_HEDGE;
        if self.credit.fetch_add(1, Relaxed) >= most {
            self.credit.fetch_sub(1, Relaxed);
        }
    }

    /// Whether one hedge can be paid for; pays for it.
    pub(super) fn take_hedge(&self) -> bool {
        let paid = |credit: i64| (credit >= READS_PER_HEDGE).then(|| credit - READS_PER_HEDGE);
        self.credit.fetch_update(Relaxed, Relaxed, paid).is_ok()
    }

    pub(super) fn succeeded(&self) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        *health = Health::default();
    }

    pub(super) fn failed(&self, now: Instant) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.failures = health.failures.saturating_add(1);
        if health.failures >= FAILURES {
            health.down_until = now.checked_add(LEFT_ALONE);
        }
    }

    /// Whether others should be asked first. Once the time is over the first who asks is told no, and is the one who tries.
    pub(super) fn is_avoided(&self, now: Instant) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match health.down_until {
            None => false,
            Some(until) if now < until => true,
            Some(_) => {
                health.down_until = now.checked_add(LEFT_ALONE);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_that_fails_is_left_alone_and_tried_by_one() {
        let standing = Standing::new(4);
        let start = Instant::now();
        standing.failed(start);
        standing.failed(start);
        assert!(!standing.is_avoided(start));
        standing.failed(start);
        assert!(standing.is_avoided(start));
        let later = start + LEFT_ALONE;
        assert!(!standing.is_avoided(later), "one tries");
        assert!(standing.is_avoided(later), "the others wait for it");
        standing.succeeded();
        assert!(!standing.is_avoided(later));
    }

    #[test]
    fn hedges_are_paid_for_by_reads() {
        let standing = Standing::new(4);
        let hedges = |reads: u32| {
            let mut hedges = 0;
            for _ in 0..reads {
                standing.pay_in();
                hedges += u32::from(standing.take_hedge());
            }
            hedges
        };
        assert_eq!(hedges(1000), 3 + 50);
        for _ in 0..100_000 {
            standing.pay_in();
        }
        assert_eq!(hedges(1), 1);
        let burst = (0..100).filter(|_| standing.take_hedge()).count();
        assert!(burst < 10, "{burst} saved up");
    }

    #[test]
    fn silence_is_measured_against_what_is_usual() {
        let standing = Standing::new(4);
        assert_eq!(standing.hedge_after(), HEDGE_UNKNOWN);
        for _ in 0..ANSWERS {
            standing.latencies.record(Duration::from_millis(30));
        }
        assert_eq!(standing.hedge_after(), Duration::from_millis(30));
    }
}

//! How long an origin takes to answer: the last times, and their percentiles.
//!
//! A time runs from the sending of a request to the head of its answer, so the size of a message does not count. After
//! 100 answers in 30 ms and one in 2 s, p50 is 30 ms and p99 is 30 ms or 2 s; a single outlier moves neither p50 nor p95.
//!
//! Knows durations. Knows no requests.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Times that are remembered: enough for a p95, few enough to follow a server's mood within a minute of reading.
const REMEMBERED: usize = 128;

/// The last times.
#[derive(Debug, Default)]
pub(super) struct Latencies(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    times: Vec<Duration>,
    next: usize,
}

impl Latencies {
    pub(super) fn record(&self, time: Duration) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = ring.next;
        match ring.times.get_mut(at) {
            Some(place) => *place = time,
            None => ring.times.push(time),
        }
        ring.next = (at + 1) % REMEMBERED;
    }

    /// The time within which `percent` of the last answers came, if there were at least `least`.
    pub(super) fn percentile(&self, percent: usize, least: usize) -> Option<Duration> {
        let mut times = {
            let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            ring.times.clone()
        };
        if times.len() < least.max(1) {
            return None;
        }
        times.sort_unstable();
        let at = (times.len() * percent).div_ceil(100).max(1) - 1;
        times.get(at).or(times.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[test]
    fn percentiles_follow_the_last_times() {
        let latencies = Latencies::default();
        assert_eq!(latencies.percentile(50, 1), None);
        for time in 1..=100 {
            latencies.record(ms(time));
        }
        assert_eq!(latencies.percentile(50, 1), Some(ms(50)));
        assert_eq!(latencies.percentile(95, 1), Some(ms(95)));
        assert_eq!(latencies.percentile(100, 1), Some(ms(100)));
        assert_eq!(latencies.percentile(95, 101), None, "too few to tell");
        for _ in 0..1000 {
            latencies.record(ms(7));
        }
        assert_eq!(latencies.percentile(99, 1), Some(ms(7)), "old times go");
    }
}

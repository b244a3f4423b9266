//! How many requests one origin may have in flight: a cap, and below it a limit that follows the server's mood.
//!
//! Additive increase, multiplicative decrease: a 503 or 429 halves the limit (once a second at most, since a burst of
//! refusals is one event), a full round of answers without one raises it by one. 64, refused -> 32; 32 good answers -> 33.
//!
//! Knows counts. Knows no requests, no servers, no retries.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Refusals within this time of a cut belong to the same burst.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// The limit of one origin.
#[derive(Debug)]
pub(super) struct Limiter {
    permits: Semaphore,
    state: Mutex<State>,
    max: usize,
}

#[derive(Debug)]
struct State {
    /// Requests allowed at once.
    limit: usize,
    /// Permits that are still out but will not come back: the limit fell below what was in flight.
    debt: usize,
    /// Good answers since the limit last changed.
    good: usize,
    last_cut: Option<Instant>,
}

/// Leave to have one request in flight, until dropped.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    limiter: &'a Limiter,
    inner: Option<SemaphorePermit<'a>>,
}

impl Limiter {
    /// A limiter that starts at its cap. `max` is at least 1.
    pub(super) fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            permits: Semaphore::new(max),
            state: Mutex::new(State {
                limit: max,
                debt: 0,
                good: 0,
                last_cut: None,
            }),
            max,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters stay consistent under a panic elsewhere: nothing between lock and unlock can unwind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, first come first served, until one more request is allowed.
    pub(super) async fn acquire(&self) -> Permit<'_> {
        Permit {
            limiter: self,
            // The semaphore is never closed; without a permit the request would just go unlimited.
            inner: self.permits.acquire().await.ok(),
        }
    }

    /// The server refused for load.
    pub(super) fn throttled(&self, now: Instant) {
        let mut state = self.state();
        if state
            .last_cut
            .is_some_and(|at| now.saturating_duration_since(at) < COOL_DOWN)
        {
            return;
        }
        let lower = (state.limit / 2).max(1);
        let cut = state.limit - lower;
        let gone = self.permits.forget_permits(cut);
        state.debt += cut - gone;
        state.limit = lower;
        state.good = 0;
        state.last_cut = Some(now);
    }

    /// The server answered as it should.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        if state.limit >= self.max {
            return;
        }
        state.good += 1;
        if state.good >= state.limit {
            state.good = 0;
            state.limit += 1;
            if state.debt > 0 {
                state.debt -= 1;
            } else {
                self.permits.add_permits(1);
            }
        }
    }

    /// Requests allowed at once, now.
    pub(super) fn limit(&self) -> usize {
        self.state().limit
    }

    /// Requests in flight, now.
    pub(super) fn in_flight(&self) -> usize {
        let state = self.state();
        // Permits that are owed are out as well.
        (state.limit + state.debt).saturating_sub(self.permits.available_permits())
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.inner.take() else {
            return;
        };
        let mut state = self.limiter.state();
        if state.debt > 0 {
            state.debt -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_halves_and_good_answers_restore() {
        let limiter = Limiter::new(8);
        let start = Instant::now();
        limiter.throttled(start);
        limiter.throttled(start + Duration::from_millis(10)); // the same burst
        assert_eq!(
            (limiter.limit(), limiter.permits.available_permits()),
            (4, 4)
        );
        for _ in 0..4 {
            limiter.succeeded();
        }
        assert_eq!(
            (limiter.limit(), limiter.permits.available_permits()),
            (5, 5)
        );
        for _ in 0..1000 {
            limiter.succeeded();
        }
        assert_eq!(
            (limiter.limit(), limiter.permits.available_permits()),
            (8, 8)
        );
    }

    #[tokio::test]
    async fn requests_in_flight_pay_the_debt_when_they_end() {
        let limiter = Limiter::new(4);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(limiter.acquire().await);
        }
        limiter.throttled(Instant::now());
        assert_eq!((limiter.limit(), limiter.in_flight()), (2, 4));
        held.truncate(2);
        assert_eq!(
            limiter.permits.available_permits(),
            0,
            "two are allowed, two are out"
        );
        held.clear();
        assert_eq!(limiter.permits.available_permits(), 2);
    }

    #[tokio::test]
    async fn the_limit_never_falls_below_one() {
        let limiter = Limiter::new(1);
        limiter.throttled(Instant::now());
        drop(limiter.acquire().await);
        assert_eq!(limiter.limit(), 1);
    }
}

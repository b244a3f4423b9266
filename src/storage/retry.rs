//! When to try again, and how long to wait first.
//!
//! Waits double from 50 ms and are drawn between half and the whole, so that readers refused together do not come back
//! together: 25-50 ms, 50-100 ms, ... . A `Retry-After` is a floor under the wait.
//!
//! Knows times and headers. Sends nothing; the deadline is the caller's.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// First wait. A lost connection is usually replaced within it.
const FIRST: Duration = Duration::from_millis(50);
/// Longest wait without a `Retry-After`: with it a server that is back is noticed within seconds.
const LONGEST: Duration = Duration::from_secs(5);

/// The wait before the next attempt, after `failed` attempts (1 or more) have failed.
pub(super) fn wait(failed: u32, retry_after: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failed.saturating_sub(1).min(10));
    let whole = doubled.min(LONGEST);
    let drawn = whole / 2 + whole.mul_f64(0.5 * random());
    match retry_after {
        // On top of the floor, or all who were told the same second come back in it together.
        Some(floor) => floor.saturating_add(drawn.min(Duration::from_secs(1))),
        None => drawn,
    }
}

/// A number from 0 to 1. Not for secrets: the hasher's keys differ from call to call, and that is all it takes.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 40;
    // 24 bits fit a u32 and an f64 exactly.
    f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(1_u32 << 24)
}

/// Reads a `Retry-After` header: seconds, or an HTTP date.
///
/// Source: RFC 9110, section 10.2.3.
pub(super) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(value).ok()?;
    // A date that has passed asks for no wait.
    Some((at.with_timezone(&Utc) - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_bounds() {
        for failed in 1..40 {
            let wait = wait(failed, None);
            assert!(wait >= FIRST / 2 && wait <= LONGEST, "{failed}: {wait:?}");
        }
        assert!(wait(1, None) <= FIRST);
        assert!(wait(6, None) >= FIRST * 16);
        assert!(wait(1, Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        // A server may say anything: this one ended the process.
        assert_eq!(wait(5, Some(Duration::MAX)), Duration::MAX);
        let longest = retry_after("18446744073709551615", Utc::now());
        assert!(wait(5, longest) >= Duration::from_secs(u64::MAX));
    }

    #[test]
    fn waits_differ() {
        let first = wait(5, None);
        assert!((0..20).any(|_| wait(5, None) != first));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc2822("Sun, 22 Nov 2026 06:00:00 GMT")
            .unwrap()
            .with_timezone(&Utc);
        assert_eq!(retry_after("3", now), Some(Duration::from_secs(3)));
        assert_eq!(
            retry_after("Sun, 22 Nov 2026 06:01:00 GMT", now),
            Some(Duration::from_secs(60))
        );
        assert_eq!(
            retry_after("Sun, 22 Nov 2026 05:00:00 GMT", now),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon", now), None);
    }
}

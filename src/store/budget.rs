//! One budget for the bytes of all fields that are being fetched, decoded or kept.
//!
//! A lease is taken before the bytes are asked for and is given back when the last user of them lets go, wherever that is: the
//! field's buffer carries it. `take` waits until there is room and says at each try that something may have to go.
//!
//! Knows bytes. Knows no fields and no cache.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

/// How often one that waits looks again without being told: what is kept may have grown old enough to go.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A number of bytes that may be in use at once.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    used: Mutex<Used>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Used {
    bytes: u64,
    peak: u64,
}

/// Bytes of the budget, until dropped.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.max(1),
            used: Mutex::default(),
            freed: Notify::new(),
        })
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes in use, and the most that ever were.
    pub(super) fn used(&self) -> (u64, u64) {
        let used = self.lock();
        (used.bytes, used.peak)
    }

    /// A lease of so many bytes, if there is room for them. More than the whole budget is granted when nothing else is in use: a field
    /// larger than it can still be read, alone.
    pub(super) fn try_take(self: &Arc<Self>, bytes: u64) -> Option<Lease> {
        let mut used = self.lock();
        if used.bytes > 0 && used.bytes.saturating_add(bytes) > self.limit {
            return None;
        }
        used.bytes = used.bytes.saturating_add(bytes);
        used.peak = used.peak.max(used.bytes);
        Some(Lease {
            budget: Arc::clone(self),
            bytes,
        })
    }

    /// A lease of so many bytes, as soon as there is room. `make_room` lets go of something and says whether it did.
    pub(super) async fn take(self: &Arc<Self>, bytes: u64, make_room: impl Fn() -> bool) -> Lease {
        loop {
            let freed = self.freed.notified();
            if let Some(lease) = self.try_take(bytes) {
                return lease;
            }
            if !make_room() {
                // Whether told or not, the next try decides.
                let _ = tokio::time::timeout(LOOK_AGAIN, freed).await;
            }
        }
    }

    fn give_back(&self, bytes: u64) {
        self.lock().bytes -= bytes;
        self.freed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Takes a part of the bytes out, at most all of them, as a lease of its own.
    pub(super) fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self {
            budget: Arc::clone(&self.budget),
            bytes,
        }
    }

    /// Takes out what is there for `bytes` more than the `kept` that stay.
    pub(super) fn split_spare(&mut self, kept: u64, bytes: u64) -> Self {
        self.split(bytes.min(self.bytes.saturating_sub(kept)))
    }

    /// Gives back all but `bytes`.
    pub(super) fn shrink(&mut self, bytes: u64) {
        if let Some(rest) = self.bytes.checked_sub(bytes).filter(|rest| *rest > 0) {
            self.bytes = bytes;
            self.budget.give_back(rest);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

/// Bytes that give their part of the budget back when nobody has them any more.
pub(super) fn leased(bytes: Bytes, mut lease: Lease) -> Bytes {
    struct Held {
        bytes: Bytes,
        _lease: Lease,
    }
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    lease.shrink(bytes.len() as u64);
    Bytes::from_owner(Held {
        bytes,
        _lease: lease,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_back_and_wake_those_who_wait() {
        let budget = Budget::new(10);
        let mut first = budget.try_take(6).unwrap();
        assert!(budget.try_take(5).is_none());
        let waiting = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.take(7, || false).await }
        });
        tokio::task::yield_now().await;
        first.shrink(3);
        let second = waiting.await.unwrap();
        assert_eq!(budget.used(), (10, 10));
        drop((first, second));
        assert_eq!(budget.used(), (0, 10));
    }

    #[tokio::test]
    async fn a_lease_is_given_back_in_parts() {
        let budget = Budget::new(10);
        let mut whole = budget.try_take(9).unwrap();
        let part = whole.split(3);
        let spare = whole.split_spare(5, 4);
        assert_eq!((spare.bytes, whole.bytes), (1, 5));
        drop(spare);
        assert_eq!(whole.split(100).bytes, 5);
        assert_eq!(budget.used().0, 3);
        drop(part);
        drop(whole);
        assert_eq!(budget.used().0, 0);
    }

    #[tokio::test]
    async fn what_is_larger_than_the_budget_goes_alone() {
        let budget = Budget::new(10);
        let small = budget.try_take(1).unwrap();
        assert!(budget.try_take(50).is_none());
        drop(small);
        let large = budget.take(50, || false).await;
        assert!(budget.try_take(1).is_none());
        drop(large);
    }

    #[tokio::test]
    async fn one_that_waits_makes_room_itself() {
        let budget = Budget::new(10);
        let kept = Mutex::new(vec![
            budget.try_take(5).unwrap(),
            budget.try_take(5).unwrap(),
        ]);
        let lease = budget
            .take(8, || kept.lock().unwrap().pop().is_some())
            .await;
        assert!(kept.lock().unwrap().is_empty());
        drop(lease);
    }
}

//! Look-ahead as a bet: what is fetched before anybody asked for it is paid for in bytes, won when it is read, lost when not.
//!
//! Bets that stand and bets that were lost together stay below a tenth of the bytes that were read, and a stake to begin with.
//! So a walk gets all the window it needs, and a reader that walks and leaves again and again is soon given less.
//!
//! Knows bytes. Knows no chunks and no walks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of messages that may be fetched ahead before anything was read: twenty fields of a global quarter-degree grid.
const STAKE_BYTES: u64 = 16 << 20;
/// One in so many bytes may be fetched in vain.
const ONE_IN: u64 = 10;

/// The bets of a reader.
#[derive(Debug, Default)]
pub(super) struct Bets {
    read: AtomicU64,
    standing: AtomicU64,
    lost: AtomicU64,
}

/// A message fetched ahead. Dropped without [`Bet::won`], it is lost.
#[derive(Debug)]
pub(super) struct Bet {
    bets: Arc<Bets>,
    bytes: u64,
}

impl Bets {
    /// Bytes of a message that somebody asked for.
    pub(super) fn read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that nobody has asked for yet, and bytes that nobody ever did.
    pub(super) fn in_vain(&self) -> (u64, u64) {
        (
            self.standing.load(Ordering::Relaxed),
            self.lost.load(Ordering::Relaxed),
        )
    }

    /// Leave to fetch a message ahead.
    pub(super) fn place(self: &Arc<Self>, bytes: u64) -> Option<Bet> {
        let (standing, lost) = self.in_vain();
        let allowed = STAKE_BYTES + self.read.load(Ordering::Relaxed) / ONE_IN;
        // Lookers-ahead come one after the other (they hold the walks' lock), so this needs no exchange.
        if standing + lost + bytes > allowed {
            return None;
        }
        self.standing.fetch_add(bytes, Ordering::Relaxed);
        Some(Bet {
            bets: Arc::clone(self),
            bytes,
        })
    }
}

impl Bet {
    /// Somebody reads the message.
    pub(super) fn won(mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bets.standing.fetch_sub(bytes, Ordering::Relaxed);
        self.bets.read(bytes);
    }

    /// The message is not fetched after all.
    pub(super) fn called_off(mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bets.standing.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Bet {
    fn drop(&mut self) {
        self.bets.standing.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bets.lost.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_bets_are_paid_for_by_reading() {
        let bets = Arc::new(Bets::default());
        let half = STAKE_BYTES / 2;
        let (first, second) = (bets.place(half).unwrap(), bets.place(half).unwrap());
        assert!(bets.place(1).is_none());
        first.won();
        drop(second);
        assert_eq!(bets.in_vain(), (0, half));
        // Half the stake is lost; a tenth of what was read came on top.
        assert!(bets.place(half + half / 10 + 1).is_none());
        let third = bets.place(half + half / 10).unwrap();
        bets.read(1_000_000);
        assert!(bets.place(100_001).is_none());
        let fourth = bets.place(100_000).unwrap();
        third.called_off();
        drop(fourth);
        assert_eq!(bets.in_vain(), (0, half + 100_000));
    }
}

//! Decoded fields in memory, counted in bytes, until the kernel has them.
//!
//! A field arrives at its readers in pieces of 128 KiB, and the kernel keeps the pieces in its page cache. So a field goes first
//! that was handed out whole; then the one that was asked for longest ago. Under pressure, one whose pieces are still being asked for
//! stays: taking it away in the middle would mean fetching it again for the next piece.

use std::hash::Hash;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lru::LruCache;

use super::ahead::Bet;

/// A field that was asked for within this time is still being read.
const BEING_READ: Duration = Duration::from_millis(500);

/// Bytes of fields kept that were handed out whole: the kernel has them. A few bridge readers that come side by side past its page cache;
/// more would keep buffers from being used again while they are still in the processor's caches.
const DONE_BYTES: u64 = 32 << 20;

/// A decoded field and what became of it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) field: Bytes,
    /// Bytes handed out so far.
    pub(super) handed_out: u64,
    /// When it was last asked for.
    pub(super) asked: Instant,
    /// It was fetched ahead and nobody has asked for it yet.
    pub(super) bet: Option<Bet>,
}

impl Kept {
    fn size(&self) -> u64 {
        self.field.len() as u64
    }

    /// Every byte was handed out.
    fn is_done(&self) -> bool {
        self.handed_out >= self.size()
    }
}

/// A byte-counted cache of decoded fields by whatever names them: a row, a chunk of a reference set.
#[derive(Debug)]
pub(super) struct FieldCache<K: Hash + Eq> {
    /// Fields of which readers may want more.
    wanted: LruCache<K, Kept>,
    /// Fields that were handed out whole.
    done: LruCache<K, Kept>,
    bytes: u64,
    /// Those of the fields in `done`.
    done_bytes: u64,
    limit_bytes: u64,
}

impl<K: Copy + Hash + Eq> FieldCache<K> {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self {
            wanted: LruCache::unbounded(),
            done: LruCache::unbounded(),
            bytes: 0,
            done_bytes: 0,
            limit_bytes,
        }
    }

    pub(super) fn holds(&self, row: K) -> bool {
        self.wanted.contains(&row) || self.done.contains(&row)
    }

    /// A field of which `bytes` are handed out now.
    pub(super) fn get(&mut self, row: K, bytes: u64, now: Instant) -> Option<Bytes> {
        if let Some(kept) = self.done.get(&row) {
            return Some(kept.field.clone());
        }
        let kept = self.wanted.get_mut(&row)?;
        kept.asked = now;
        kept.handed_out = kept.handed_out.saturating_add(bytes);
        if let Some(bet) = kept.bet.take() {
            bet.won();
        }
        let field = kept.field.clone();
        if kept.is_done()
            && let Some(kept) = self.wanted.pop(&row)
        {
            self.put_done(row, kept);
        }
        Some(field)
    }

    /// Keeps a field, and lets go of others beyond the limit.
    pub(super) fn insert(&mut self, row: K, kept: Kept) {
        let size = kept.size();
        if size > self.limit_bytes {
            return;
        }
        self.remove(row);
        while self.bytes + size > self.limit_bytes && self.let_go_of_oldest() {}
        self.bytes += size;
        if kept.is_done() {
            self.put_done(row, kept);
        } else {
            self.wanted.put(row, kept);
        }
    }

    /// Keeps a field that was handed out whole, whose bytes are counted already, for a while.
    fn put_done(&mut self, row: K, kept: Kept) {
        self.done_bytes += kept.size();
        self.done.put(row, kept);
        while self.done_bytes > DONE_BYTES && self.let_go_of_done() {}
    }

    /// Lets go of a field to make room for one that is waited for; says whether there was one that may go now.
    pub(super) fn make_room(&mut self, now: Instant) -> bool {
        if self.let_go_of_done() {
            return true;
        }
        let idle = self
            .wanted
            .peek_lru()
            .is_some_and(|(_, kept)| now.saturating_duration_since(kept.asked) > BEING_READ);
        idle && self.let_go_of_oldest()
    }

    /// Lets go of a field that was handed out whole, if there is one.
    pub(super) fn let_go_of_done(&mut self) -> bool {
        let Some((_, gone)) = self.done.pop_lru() else {
            return false;
        };
        self.bytes -= gone.size();
        self.done_bytes -= gone.size();
        true
    }

    fn let_go_of_oldest(&mut self) -> bool {
        if self.let_go_of_done() {
            return true;
        }
        let Some((_, gone)) = self.wanted.pop_lru() else {
            return false;
        };
        self.bytes -= gone.size();
        true
    }

    fn remove(&mut self, row: K) {
        if let Some(gone) = self.wanted.pop(&row) {
            self.bytes -= gone.size();
        }
        if let Some(gone) = self.done.pop(&row) {
            self.bytes -= gone.size();
            self.done_bytes -= gone.size();
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(size: usize, asked: Instant) -> Kept {
        Kept {
            field: Bytes::from(vec![0; size]),
            handed_out: 0,
            asked,
            bet: None,
        }
    }

    #[test]
    fn the_oldest_fields_go_first_and_bytes_are_counted() {
        let now = Instant::now();
        let mut cache = FieldCache::new(10);
        cache.insert(1, kept(4, now));
        cache.insert(2, kept(4, now));
        assert!(cache.get(1, 1, now).is_some());
        cache.insert(3, kept(4, now));
        assert!(cache.holds(1) && !cache.holds(2) && cache.holds(3));
        assert_eq!(cache.bytes(), 8);
        cache.insert(1, kept(2, now));
        assert_eq!(cache.bytes(), 6);
        cache.insert(4, kept(11, now));
        assert!(!cache.holds(4));
    }

    #[test]
    fn a_field_that_was_handed_out_whole_goes_before_older_ones() {
        let now = Instant::now();
        let mut cache = FieldCache::new(100);
        cache.insert(1, kept(4, now));
        cache.insert(2, kept(4, now));
        assert!(cache.get(2, 3, now).is_some() && !cache.make_room(now));
        assert!(cache.get(2, 1, now).is_some());
        assert!(cache.make_room(now));
        assert!(cache.holds(1) && !cache.holds(2));
    }

    #[test]
    fn few_fields_that_were_handed_out_whole_are_kept() {
        let (now, size) = (Instant::now(), 8 << 20);
        let mut cache = FieldCache::new(1 << 30);
        for row in 0..6 {
            cache.insert(row, kept(size, now));
            assert!(cache.get(row, size as u64, now).is_some());
        }
        cache.insert(6, kept(size, now));
        let held: Vec<u64> = (0..7).filter(|row| cache.holds(*row)).collect();
        assert_eq!(held, [2, 3, 4, 5, 6]);
        assert_eq!(cache.bytes(), 5 * size as u64);
    }

    #[test]
    fn a_field_in_the_middle_of_being_read_is_not_taken_away() {
        let now = Instant::now();
        let mut cache = FieldCache::new(100);
        cache.insert(1, kept(4, now));
        assert!(!cache.make_room(now + BEING_READ / 2));
        assert!(cache.make_room(now + BEING_READ * 2));
        assert_eq!(cache.bytes(), 0);
    }
}

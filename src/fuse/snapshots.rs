//! Files that change, as they were when they were opened: whoever reads one in pieces gets pieces of one text.
//!
//! `status.json` is made anew twice a second. Without this a reader whose second piece came after that got the end of another
//! document behind the beginning of the first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fuser::FileHandle;

/// The handle of files that need no memory.
pub(super) const STATELESS: FileHandle = FileHandle(0);
/// Texts that are kept at once; beyond, files are read as they are at each piece.
const KEPT: usize = 4096;

/// Texts of open files.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    last: AtomicU64,
    kept: Mutex<HashMap<u64, Bytes>>,
}

impl Snapshots {
    /// Keeps a text until [`Snapshots::release`]; gives its handle.
    pub(super) fn keep(&self, text: Bytes) -> FileHandle {
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            return STATELESS;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        kept.insert(number, text);
        FileHandle(number)
    }

    /// Up to `size` bytes from `offset` on of what was kept.
    pub(super) fn read(&self, handle: FileHandle, offset: u64, size: u32) -> Option<Bytes> {
        if handle == STATELESS {
            return None;
        }
        let text = self.kept().get(&handle.0)?.clone();
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(text.len());
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let end = start.saturating_add(size).min(text.len());
        Some(text.slice(start..end))
    }

    /// Forgets a text.
    pub(super) fn release(&self, handle: FileHandle) {
        if handle != STATELESS {
            self.kept().remove(&handle.0);
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<u64, Bytes>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_in_pieces_until_it_is_released() {
        let snapshots = Snapshots::default();
        let first = snapshots.keep(Bytes::from_static(b"first"));
        let second = snapshots.keep(Bytes::from_static(b"second text"));
        assert_eq!(snapshots.read(first, 0, 3).unwrap(), "fir");
        assert_eq!(snapshots.read(first, 3, 100).unwrap(), "st");
        assert_eq!(snapshots.read(second, 7, 100).unwrap(), "text");
        for past in [5, 100, u64::MAX] {
            assert_eq!(snapshots.read(first, past, 100).unwrap(), "");
        }
        snapshots.release(first);
        snapshots.release(STATELESS);
        assert_eq!(snapshots.read(first, 0, 3), None);
        assert_eq!(snapshots.read(STATELESS, 0, 3), None);
        for _ in 0..2 * KEPT {
            snapshots.keep(Bytes::new());
        }
        assert_eq!(snapshots.kept().len(), KEPT);
        assert_eq!(snapshots.read(second, 0, 6).unwrap(), "second");
    }
}

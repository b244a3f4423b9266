//! The stores that somebody has looked up: their numbers for good, their nodes while they are used.
//!
//! A store is made from its collection, which never changes, so what is let go comes out the same when it is made again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use lru::LruCache;

use super::inode::STORES;
use super::nodes::StoreNodes;
use crate::slices::SliceKind;

/// Bytes of documents that stay in memory.
const KEPT_BYTES: usize = 128 << 20;

/// Stores that stay in memory whatever they take.
const KEPT_STORES: usize = 8;

/// What a store is of: a collection and a slice of it.
pub(super) type StoreKey = (usize, SliceKind);

type Slot = Arc<OnceLock<Arc<StoreNodes>>>;

/// All stores; numbers count from 1.
#[derive(Debug)]
pub(super) struct Stores {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    all: Vec<StoreKey>,
    numbers: HashMap<StoreKey, usize>,
    made: LruCache<usize, Slot>,
    bytes: usize,
}

impl Stores {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                all: Vec::new(),
                numbers: HashMap::new(),
                made: LruCache::unbounded(),
                bytes: 0,
            }),
        }
    }

    /// Number of a store, given when it is first asked for.
    pub(super) fn number(&self, key: StoreKey) -> Option<usize> {
        let mut state = self.lock();
        if let Some(number) = state.numbers.get(&key) {
            return Some(*number);
        }
        (state.all.len() + 1 < STORES).then(|| {
            state.all.push(key);
            let number = state.all.len();
            state.numbers.insert(key, number);
            number
        })
    }

    /// Number of a store that was asked for already.
    pub(super) fn known(&self, key: StoreKey) -> Option<usize> {
        self.lock().numbers.get(&key).copied()
    }

    pub(super) fn key(&self, number: usize) -> Option<StoreKey> {
        self.lock().all.get(number.checked_sub(1)?).copied()
    }

    /// Whether a store is in memory.
    pub(super) fn is_made(&self, number: usize) -> bool {
        let state = self.lock();
        state
            .made
            .peek(&number)
            .is_some_and(|slot| slot.get().is_some())
    }

    /// A store's nodes, made if need be: that may take time.
    pub(super) fn get(
        &self,
        number: usize,
        make: impl FnOnce(StoreKey) -> Option<StoreNodes>,
    ) -> Option<Arc<StoreNodes>> {
        let key = self.key(number)?;
        let slot = {
            let mut state = self.lock();
            Arc::clone(state.made.get_or_insert(number, Slot::default))
        };
        if let Some(made) = slot.get() {
            return Some(Arc::clone(made));
        }
        let made = make(key).map(Arc::new)?;
        let bytes = made.bytes();
        let is_first = slot.set(Arc::clone(&made)).is_ok();
        if is_first {
            let mut state = self.lock();
            state.bytes += bytes;
            while state.bytes > KEPT_BYTES && state.made.len() > KEPT_STORES {
                let Some((_, oldest)) = state.made.pop_lru() else {
                    break;
                };
                let freed = oldest.get().map_or(0, |nodes| nodes.bytes());
                state.bytes = state.bytes.saturating_sub(freed);
            }
        }
        slot.get().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

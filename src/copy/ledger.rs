//! The state of a copy while its blocks end, many at once: cells that are left as fill are in the document before their chunk is there.
//!
//! The document holds all of them, so it is not written for each: who comes while it is being written waits for the next writing, which is for
//! all who wait, and between two writings passes four times as long as the last one took.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::report::CopyError;
use super::state::State;
use crate::location::Location;
use crate::storage::Storage;
use crate::sync::lock;

/// Pause between two writings, in times of what the last one took.
const PAUSE: u32 = 4;

/// The state of a copy under way.
#[derive(Debug)]
pub(super) struct Ledger {
    holes: Mutex<Holes>,
    written: AsyncMutex<Written>,
}

/// Cells left as fill, and how often some were added.
#[derive(Debug)]
struct Holes {
    missing: BTreeMap<String, String>,
    added: u64,
}

/// The document as it was written last.
#[derive(Debug)]
struct Written {
    state: State,
    added: u64,
    /// No writing before this.
    next: Instant,
}

impl Ledger {
    pub(super) fn new(state: State) -> Self {
        let holes = Holes {
            missing: state.missing.clone(),
            added: 0,
        };
        Self {
            holes: Mutex::new(holes),
            written: AsyncMutex::new(Written {
                state,
                added: 0,
                next: Instant::now(),
            }),
        }
    }

    /// Whether a cell is left as fill.
    pub(super) fn is_missing(&self, cell: &str) -> bool {
        lock(&self.holes).missing.contains_key(cell)
    }

    /// Whether any cell is.
    pub(super) fn has_holes(&self) -> bool {
        !lock(&self.holes).missing.is_empty()
    }

    /// Notes of the cells of a block which are left as fill, and why; comes back when the document says so.
    pub(super) async fn note(
        &self,
        cells: Vec<String>,
        lost: Vec<(String, String)>,
        (storage, destination): (&Storage, &Location),
    ) -> Result<(), CopyError> {
        let own = {
            let mut holes = lock(&self.holes);
            let is_known = |(cell, _): &(String, String)| holes.missing.contains_key(cell);
            let all_known = lost.iter().all(is_known);
            for cell in cells {
                holes.missing.remove(&cell);
            }
            holes.missing.extend(lost);
            // One that closes is forgotten at the end: to try it again does no harm.
            if all_known {
                return Ok(());
            }
            holes.added += 1;
            holes.added
        };
        let mut written = self.written.lock().await;
        if written.added >= own {
            return Ok(());
        }
        tokio::time::sleep_until(written.next).await;
        let added = {
            let holes = lock(&self.holes);
            written.state.missing.clone_from(&holes.missing);
            holes.added
        };
        let begun = Instant::now();
        written.state.write(storage, destination).await?;
        written.added = added;
        let pause = begun.elapsed().saturating_mul(PAUSE);
        written.next = Instant::now() + pause.min(Duration::from_secs(60));
        Ok(())
    }

    /// The state at the end.
    pub(super) async fn state(&self) -> State {
        let mut state = self.written.lock().await.state.clone();
        state.missing.clone_from(&lock(&self.holes).missing);
        state
    }
}

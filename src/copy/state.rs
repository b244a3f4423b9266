//! The state document of a copy under way: what it is of, and which cells it could not have.
//!
//! `.gribfs-copy.json` lies in the destination from before the first chunk until after the last document. Chunks are whole or not there, so
//! which are done is what lies there; cells that were left as fill are noted here before their chunk is written, and are tried again.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::location::Location;
use crate::storage::{ErrorKind, Storage, StorageError};

/// Name of the state document.
pub const STATE: &str = ".gribfs-copy.json";
/// Largest state document.
const MAX_BYTES: u64 = 256 << 20;

/// State of a copy.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct State {
    /// Version of this document.
    pub(super) version: u32,
    /// What the copy is of, and how it is written: another copy does not go on with this one.
    pub(super) plan: Value,
    /// A number of the cells that had a message when its chunks were written: of a table that has grown it is another. `None` where some
    /// chunks may be of before that.
    #[serde(default)]
    pub(super) cells: Option<u64>,
    /// The store is there, with cells left as fill.
    #[serde(default)]
    pub(super) finished: bool,
    /// Cells left as fill, `t2m[3,0]`, and why.
    pub(super) missing: BTreeMap<String, String>,
}

impl State {
    pub(super) const fn new(plan: Value, cells: u64) -> Self {
        Self {
            version: 1,
            plan,
            cells: Some(cells),
            finished: false,
            missing: BTreeMap::new(),
        }
    }

    /// The state that lies in a destination, if one does; `Err` holds a text that is none.
    pub(super) async fn read(
        storage: &Storage,
        destination: &Location,
    ) -> Result<Option<Result<Self, String>>, StorageError> {
        let place = destination.with_suffix(&format!("/{STATE}"));
        match storage.get_whole(&place, MAX_BYTES).await {
            Ok(fetched) => {
                let read = serde_json::from_slice::<Self>(&fetched.bytes);
                Ok(Some(read.map_err(|error| format!("{place}: {error}"))))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn write(
        &self,
        storage: &Storage,
        destination: &Location,
    ) -> Result<(), StorageError> {
        let place = destination.with_suffix(&format!("/{STATE}"));
        let text = serde_json::to_vec(self).unwrap_or_default();
        storage.put(&place, Bytes::from(text)).await
    }

    pub(super) async fn remove(
        storage: &Storage,
        destination: &Location,
    ) -> Result<(), StorageError> {
        let place = destination.with_suffix(&format!("/{STATE}"));
        storage.remove(&place).await
    }
}

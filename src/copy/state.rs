//! The state document of a copy under way: what it is of, and which cells it could not have.
//!
//! `.gribfs-copy.json` lies in the destination from before the first chunk until after the last document. Chunks are whole or not there, so
//! which are done is what lies there; cells that were left as fill are noted here before their chunk is written, and are tried again.
//!
//! One process writes it. Who goes on with a copy takes it over, and whoever wrote it before is told at its next write and stops: each write
//! is of the version that this process wrote last. On disk, where the folder is held too, that is never needed.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::report::CopyError;
use crate::location::Location;
use crate::storage::{ErrorKind, Expected, Storage, StorageError};

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
    /// What a part of a copy did, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) counts: Option<Counts>,
    /// Who writes it, until it is finished: a word of this process alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Name of the document: that of a part is another.
    #[serde(skip)]
    pub(super) name: Option<String>,
    /// What lies in the destination, as far as this process knows.
    #[serde(skip, default = "nothing")]
    there: Expected,
}

const fn nothing() -> Expected {
    Expected::Nothing
}

/// What a part of a copy did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Counts {
    /// Fields that it has.
    pub(super) fields: u64,
    /// Bytes of them, not compressed.
    pub(super) raw_bytes: u64,
    /// Bytes of chunk files that its last process wrote.
    pub(super) written_bytes: u64,
}

impl State {
    pub(super) const fn new(plan: Value, cells: Option<u64>) -> Self {
        Self {
            version: 1,
            plan,
            cells,
            finished: false,
            missing: BTreeMap::new(),
            counts: None,
            owner: None,
            name: None,
            there: Expected::Nothing,
        }
    }

    /// This state instead of one that lies in the destination.
    pub(super) fn instead_of(self, known: Self) -> Self {
        Self {
            there: known.there,
            ..self
        }
    }

    /// Whether this process has written it.
    pub(super) const fn is_ours(&self) -> bool {
        self.owner.is_some()
    }

    /// Whether chunks may be there that know nothing of some cells that the table has now, whose number is `cells`. If so, the state says it
    /// until they do.
    pub(super) fn outgrown(&mut self, cells: u64) -> bool {
        let grown = self.cells != Some(cells);
        if grown {
            self.cells = None;
        }
        grown
    }

    /// The state that lies in a destination, if one does; `Err` holds a text that is none.
    pub(super) async fn read(
        storage: &Storage,
        destination: &Location,
    ) -> Result<Option<Result<Self, String>>, StorageError> {
        Self::read_named(storage, destination, STATE).await
    }

    /// The same of the document of a name.
    pub(super) async fn read_named(
        storage: &Storage,
        destination: &Location,
        name: &str,
    ) -> Result<Option<Result<Self, String>>, StorageError> {
        let place = destination.below(name);
        match storage.get_whole(&place, MAX_BYTES).await {
            Ok(fetched) => {
                let read = serde_json::from_slice::<Self>(&fetched.bytes);
                let named = read.map(|state| Self {
                    name: (name != STATE).then(|| name.to_owned()),
                    owner: None,
                    there: Expected::This(fetched.version()),
                    ..state
                });
                Ok(Some(named.map_err(|error| format!("{place}: {error}"))))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it as that of a copy under way.
    ///
    /// # Errors
    /// [`CopyError::Occupied`] if another process has taken the copy over, or began one at the same moment.
    pub(super) async fn write(
        &mut self,
        storage: &Storage,
        destination: &Location,
    ) -> Result<(), CopyError> {
        self.owner.get_or_insert_with(word);
        self.replace(storage, destination).await
    }

    /// Writes it as that of a copy, or of a part, that is done.
    ///
    /// # Errors
    /// As [`State::write`].
    pub(super) async fn finish(
        &mut self,
        storage: &Storage,
        destination: &Location,
    ) -> Result<(), CopyError> {
        // The same bytes whoever wrote them.
        self.owner = None;
        self.finished = true;
        self.replace(storage, destination).await
    }

    async fn replace(
        &mut self,
        storage: &Storage,
        destination: &Location,
    ) -> Result<(), CopyError> {
        let name = self.name.as_deref().unwrap_or(STATE);
        let place = destination.below(name);
        let text = Bytes::from(serde_json::to_vec(self).unwrap_or_default());
        let version = match storage.put_if(&place, text.clone(), &self.there).await {
            Err(error) if error.kind() == ErrorKind::Changed => {
                // The first attempt of this write may have come through, and its answer not.
                let found = storage.get_whole(&place, MAX_BYTES).await;
                match found.ok().filter(|found| found.bytes == text) {
                    Some(found) => found.version(),
                    None => {
                        return Err(CopyError::Occupied {
                            place: destination.to_string(),
                            what: "is being written by another process, which has begun there or has taken this copy over: leave it to that one"
                                .to_owned(),
                        });
                    }
                }
            }
            done => done?,
        };
        self.there = Expected::This(version);
        Ok(())
    }

    pub(super) async fn remove(
        storage: &Storage,
        destination: &Location,
    ) -> Result<(), StorageError> {
        let place = destination.below(STATE);
        storage.remove(&place).await
    }
}

/// A word that no other process has.
fn word() -> String {
    let draw = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", draw(), draw())
}

//! What lies in a destination: a store, a copy under way, its parts, or something else that is left alone.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::Value;

use super::append::{Stopped, stopped};
use super::job::root_name;
use super::parts::Part;
use super::report::CopyError;
use super::state::{STATE, State};
use crate::location::Location;
use crate::storage::{ErrorKind, Hold, Holders, Storage};
use crate::zarr::Format;
use crate::zarr::metadata::{CONSOLIDATED, GROUP};
use crate::zarr::metadata_v3;

/// Largest root document.
const MAX_DOCUMENT: u64 = 256 << 20;

/// What lies in a destination.
pub(super) enum Found {
    /// Nothing, or a copy like this one: the state to go on from.
    Begun(Box<State>),
    /// A store.
    Store,
}

/// What is expected to be in a destination beside a copy like this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// Nothing.
    None,
    /// The store that is extended.
    Store,
    /// Parts of the same copy.
    Parts,
}

/// The files of a destination.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Chunk files, by their names below the root: `t2m/0.0.0`.
    pub(super) chunks: HashSet<String>,
    /// Parts whose records are there.
    pub(super) parts: Vec<Part>,
}

/// A destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination<'a> {
    pub(super) storage: &'a Storage,
    pub(super) place: &'a Location,
}

impl Destination<'_> {
    /// What lies there, for a copy whose identity is `plan`, whose cells have the number `cells`, and which `extends` a store.
    pub(super) async fn look(
        &self,
        plan: Value,
        cells: Option<u64>,
        extends: bool,
    ) -> Result<Found, CopyError> {
        let mut state = State::new(plan, cells);
        match State::read(self.storage, self.place).await? {
            Some(Ok(known)) if known.plan == state.plan => {
                return Ok(Found::Begun(Box::new(known)));
            }
            Some(Ok(known)) if extends => {
                let stopped = if known.finished {
                    Stopped::Done
                } else {
                    stopped(&known.plan, &state.plan)
                };
                match stopped {
                    Stopped::Done => {}
                    // Chunks of several fields may lack those that come behind.
                    Stopped::Begun => state.cells = None,
                    Stopped::Other => {
                        let what = format!(
                            "holds an append of something else that was stopped ({}); the store is as it was before: give that command again, then this one",
                            difference(&known.plan, &state.plan)
                        );
                        return Err(self.occupied(&what));
                    }
                }
                // Cells that were missing then still are.
                state.missing.clone_from(&known.missing);
                return Ok(Found::Begun(Box::new(state.instead_of(known))));
            }
            Some(Ok(known)) if known.finished => return Ok(Found::Store),
            Some(Ok(known)) => {
                let what = format!(
                    "holds an unfinished copy of something else ({}): finish that one, or remove it",
                    difference(&known.plan, &state.plan)
                );
                return Err(self.occupied(&what));
            }
            Some(Err(text)) => return Err(self.occupied(&format!("has no sound state: {text}"))),
            None if extends => return Ok(Found::Begun(Box::new(state))),
            None => {}
        }
        if self.is_store().await? {
            return Ok(Found::Store);
        }
        Ok(Found::Begun(Box::new(state)))
    }

    /// Makes the folder and holds it against other processes, where that can be done: alone, or with those that make other parts.
    pub(super) async fn hold(&self, holders: Holders) -> Result<Hold, CopyError> {
        if self.place.to_path().is_some_and(|path| path.is_file()) {
            return Err(self.occupied("is a file: a store is a directory"));
        }
        match self.storage.hold(self.place, holders).await? {
            Some(hold) => Ok(hold),
            None => Err(self.occupied(
                "is being written by another process: wait until it has ended, or end it",
            )),
        }
    }

    /// Whether a store is there.
    pub(super) async fn is_store(&self) -> Result<bool, CopyError> {
        for name in [CONSOLIDATED, GROUP, metadata_v3::DOCUMENT] {
            if self.document(name).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A document at the root.
    pub(super) async fn document(&self, name: &str) -> Result<Option<Bytes>, CopyError> {
        let place = self.place.below(name);
        match self.storage.get_whole(&place, MAX_DOCUMENT).await {
            Ok(fetched) => Ok(Some(fetched.bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Names and sizes of all that is there.
    pub(super) async fn list(&self) -> Result<Vec<(String, u64)>, CopyError> {
        let listed = match self.storage.list(&self.place.with_suffix("/")).await {
            Ok(listed) => listed,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let files = listed.into_iter();
        Ok(files
            .map(|file| (below(self.place, &file.location), file.size))
            .collect())
    }

    /// That the store is what it was before this process said that it writes, namely one whose root document was `seen`, or none.
    pub(super) async fn still(&self, format: Format, seen: Option<Bytes>) -> Result<(), CopyError> {
        if self.document(root_name(format)).await? == seen {
            return Ok(());
        }
        // What is there is not what this state goes on from.
        State::remove(self.storage, self.place).await?;
        Err(self.occupied("was written by another process meanwhile: give the command again"))
    }

    /// The files that are there; what is no copy of ours is told apart and left alone.
    pub(super) async fn files(&self, company: Company) -> Result<Files, CopyError> {
        let mut files = Files::default();
        let mut foreign = None;
        let mut has_state = false;
        for (name, size) in self.list().await? {
            if let Some(part) = Part::of_record(&name) {
                files.parts.push(part);
            } else if name == STATE {
                has_state = true;
            } else {
                // What a power failure left is empty.
                if size > 0 {
                    files.chunks.insert(name.clone());
                }
                foreign = foreign.or(Some(name));
            }
        }
        let own = match company {
            Company::None => has_state,
            Company::Store => true,
            Company::Parts => !files.parts.is_empty(),
        };
        if company != Company::Parts
            && let Some(part) = files.parts.first()
        {
            return Err(self.occupied(&format!(
                "holds a copy in {} parts that is not finished: finish it with --finish, or remove it",
                part.of
            )));
        }
        if company == Company::Parts && has_state {
            return Err(self.occupied(
                "holds a copy that one process began: go on with that one, without --part, or remove it",
            ));
        }
        match foreign {
            Some(name) if !own => Err(self.occupied(&format!(
                "is not empty and no copy of gribfs (it holds {name}): give a new place"
            ))),
            _ => Ok(files),
        }
    }

    /// The error of a destination that is not free.
    pub(super) fn occupied(&self, what: &str) -> CopyError {
        CopyError::Occupied {
            place: self.place.to_string(),
            what: what.to_owned(),
        }
    }

    /// That a store is there.
    pub(super) fn is_taken(&self) -> CopyError {
        self.occupied(
            "is a store already: remove it, extend it with --append DIM, or give --resume if it may be complete",
        )
    }
}

/// The name of an object below a destination.
fn below(destination: &Location, location: &Location) -> String {
    match (destination.to_path(), location.to_path()) {
        (Some(folder), Some(path)) => path
            .strip_prefix(&folder)
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        _ => location
            .as_str()
            .strip_prefix(destination.as_str())
            .unwrap_or(location.as_str())
            .trim_start_matches('/')
            .to_owned(),
    }
}

/// The first thing in which two copies differ.
pub(super) fn difference(one: &Value, other: &Value) -> String {
    let keys = [
        "source",
        "codec",
        "zarr_format",
        "round_bits",
        "deaccumulate",
        "parts",
        "arrays",
        "axes",
    ];
    let found = keys.iter().find(|key| one.get(**key) != other.get(**key));
    match found {
        Some(&"arrays") => "its arrays, shapes or chunks are others".to_owned(),
        Some(&"axes") => "its times, levels or other axes are others".to_owned(),
        Some(key) => {
            let text = |value: &Value| value.get(*key).map_or(String::new(), Value::to_string);
            format!("{key} is {}, now {}", text(one), text(other))
        }
        None => "its settings are others".to_owned(),
    }
}

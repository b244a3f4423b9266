//! What `gribfs copy` copies from: a table, a reference set, or what stands behind a mounted path.
//!
//! A path in a mount (`/mnt/gfs`, `/mnt/gfs/best_available.zarr`) stands for the mount's table and the slice that the path names: the
//! messages come from the archive, not through the kernel. A mount of a part of its table is refused, as its flags are not known.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::output::count_text;
use super::{Failure, load_failure};
use crate::config;
use crate::dataset::archive::{RowSource, rows_of};
use crate::dataset::{Archive, Collection};
use crate::location::Location;
use crate::refs::RefSet;
use crate::scan::{Library, SaveError};
use crate::slices::SliceKind;
use crate::storage::Storage;
use crate::store::references::policy::Policy;
use crate::time::Instant;

/// A source as it was named.
#[derive(Debug)]
pub(super) struct Named {
    text: String,
    /// The table.
    pub(super) table: Location,
    /// The slice that the name tells.
    pub(super) slice: Option<SliceKind>,
    /// What a mount shows of the table: names of its runs, count of its arrays.
    shown: Option<(Vec<String>, u64)>,
}

/// Reads the name of a source.
pub(super) fn named(text: &str) -> Result<Named, Failure> {
    let location = config::location(text).map_err(Failure::usage)?;
    let plain = |table| Named {
        text: text.to_owned(),
        table,
        slice: None,
        shown: None,
    };
    let Some(path) = location.to_path() else {
        return Ok(plain(location));
    };
    let status = path.ancestors().find_map(|folder| {
        let text = std::fs::read(folder.join(".gribfs/status.json")).ok()?;
        let status: Value = serde_json::from_slice(&text).ok()?;
        Some((folder, status))
    });
    match status {
        Some((folder, status)) => mounted(text, &path, folder, &status),
        None => Ok(plain(location)),
    }
}

/// The source behind a path in a mount.
fn mounted(text: &str, path: &Path, folder: &Path, status: &Value) -> Result<Named, Failure> {
    let refused = |why: &str| Failure::usage(format!("{text}: {why}"));
    let source = status.get("source").and_then(Value::as_str);
    let source = source.ok_or_else(|| refused("its mount does not say what it is of"))?;
    let Some(runs) = status.get("runs").and_then(Value::as_array) else {
        // A reference set: its status has no runs.
        if path != folder {
            return Err(refused(
                "a reference set is copied from the root of its mount; --variable selects arrays",
            ));
        }
        return Ok(Named {
            text: source.to_owned(),
            table: config::location(source).map_err(Failure::usage)?,
            slice: None,
            shown: None,
        });
    };
    let runs = runs.iter().filter_map(Value::as_str).map(str::to_owned);
    let arrays = status.get("arrays").and_then(Value::as_u64);
    let inside = path.strip_prefix(folder).unwrap_or(Path::new(""));
    let slice = match inside.to_string_lossy().strip_suffix(".zarr") {
        None if inside.as_os_str().is_empty() => None,
        Some(name) => {
            let slice = name.parse::<SliceKind>();
            Some(slice.map_err(|_error| {
                refused(
                    "not a store at the root of a mount; name the table, with --slice and --as-of",
                )
            })?)
        }
        None => return Err(refused("not a store of a mount")),
    };
    Ok(Named {
        text: source.to_owned(),
        table: config::location(source).map_err(Failure::usage)?,
        slice,
        shown: Some((runs.collect(), arrays.unwrap_or(0))),
    })
}

/// What a source holds.
pub(super) enum Opened {
    /// A collection, and its rows.
    Table(Box<Collection>, Arc<dyn RowSource>),
    /// A reference set, and what it may refer to.
    Set(Box<RefSet>, Policy),
}

/// The whole collection of a source and its rows, or a reference set.
pub(super) fn open(
    named: &Named,
    (as_of, partial): (Option<Instant>, bool),
    allowed: &[PathBuf],
    storage: &Storage,
    runtime: &tokio::runtime::Runtime,
) -> Result<Opened, Failure> {
    let source = &named.table;
    let opened = super::refs::open(&named.text, source, storage, runtime, allowed)?;
    let (archive, rows) = match opened {
        super::refs::Opened::Set(set, policy) => return Ok(Opened::Set(set, policy)),
        super::refs::Opened::Table(table, _) => {
            let table = Arc::new(*table);
            (Archive::of_table(Arc::clone(&table)), rows_of(table))
        }
        super::refs::Opened::Other => {
            let most_open = config::open_files_limit() / 2;
            let handle = runtime.handle().clone();
            let library = Library::new(source.clone(), storage.clone(), handle, most_open);
            let found = runtime
                .block_on(library.look())
                .map_err(|error| load_failure(&error))?;
            if let Some(bad) = found.bad.first() {
                return Err(Failure::failed(format!("{}: {}", bad.name, bad.reason)));
            }
            if found.archive.parts.is_empty() {
                return Err(load_failure(&SaveError::Empty(source.clone())));
            }
            (found.archive, library.rows())
        }
    };
    // Where no run is called complete, nobody has looked.
    let knows = archive
        .parts
        .iter()
        .any(|part| !part.complete_runs.is_empty());
    let runs = archive.parts.iter().flat_map(|part| part.runs.iter());
    let left_out: BTreeSet<Instant> = runs
        .filter(|run| !partial && knows && !archive.is_complete(**run))
        .copied()
        .collect();
    if let Some(last) = left_out.last() {
        say!(
            "{source}: {} left out that {} not complete, the last of them {}: --partial takes them as they are",
            count_text(left_out.len() as u64, "run"),
            if left_out.len() == 1 { "is" } else { "are" },
            last.path_name(),
        );
    }
    let collection = Collection::of_runs(archive, as_of, |run| !left_out.contains(&run));
    if collection.groups.is_empty() {
        return Err(Failure::failed(format!(
            "{source}: no message of this table can be shown; `gribfs info` says why"
        )));
    }
    if let Some((runs, arrays)) = &named.shown {
        let own: Vec<String> = collection.runs.iter().map(|run| run.path_name()).collect();
        let count: usize = collection
            .groups
            .iter()
            .map(|group| group.arrays.len())
            .sum();
        if own != *runs || count as u64 != *arrays {
            return Err(Failure::usage(format!(
                "the mount shows a part of {source}, or the table has grown since: copy from the table, with the flags that are meant"
            )));
        }
    }
    Ok(Opened::Table(Box::new(collection), rows))
}

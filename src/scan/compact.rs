//! Many small tables of a directory into few: so that a directory of thousands of runs opens with few reads.
//!
//! Neighbouring runs that are complete are put together, up to so many rows in a file; runs that are still arriving stay as they
//! are, for they are written again and again. A manifest of what all files hold is written at the end.

use bytes::Bytes;

use super::folder::{file_in, is_leftover, is_table, name_of, runs_of, with_slash};
use super::save::{SaveError, kind_columns, load_file, write_table};
use crate::location::Location;
use crate::storage::{Listed, Storage};
use crate::table::manifest::{MANIFEST_NAME, Manifest, TableId};
use crate::table::merge::merge;
use crate::table::meta::Summary;
use crate::table::read::read_summary;
use crate::table::row::Table;
use crate::time::Instant;

/// Rows of one file, about: as many as a mount reads in half a second.
const MOST_ROWS: usize = 4_000_000;

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compacted {
    /// Tables before.
    pub before: usize,
    /// Tables after.
    pub after: usize,
    /// Old files that could not be removed. They are harmless: the new ones cover them.
    pub left: usize,
}

/// Merges the tables of a directory, and writes its manifest.
///
/// # Errors
/// [`SaveError`], naming the file. Whatever happens, the directory holds all that it held.
pub async fn compact(folder: &Location, storage: &Storage) -> Result<Compacted, SaveError> {
    let listed = tables_of(folder, storage).await?;
    if listed.is_empty() {
        return Err(SaveError::Empty(folder.clone()));
    }
    let mut done = Compacted {
        before: listed.len(),
        ..Compacted::default()
    };
    let mut dated: Vec<(Instant, Instant, &Listed)> = Vec::new();
    for file in &listed {
        if let Some((first, last)) = runs_of(file.location.file_name()) {
            dated.push((first, last, file));
        }
    }
    dated.sort_by_key(|(first, last, _)| (*first, *last));
    let mut group = Group::default();
    for (first, last, file) in dated {
        let table = load_file(&file.location, storage).await?;
        // What is still arriving is written again and again, so it stays small.
        let is_whole = !table.complete_runs.is_empty()
            && table
                .rows
                .iter()
                .all(|row| table.complete_runs.contains(&row.reference));
        if !is_whole || group.rows + table.rows.len() > MOST_ROWS {
            done.left += group.write(folder, storage).await?;
        }
        if is_whole {
            group.rows += table.rows.len();
            group.first.get_or_insert(first);
            group.last = Some(last);
            group.tables.push(table);
            group.files.push(file.location.clone());
        }
    }
    done.left += group.write(folder, storage).await?;
    done.after = write_manifest(folder, storage).await?;
    Ok(done)
}

/// Tables that become one file.
#[derive(Debug, Default)]
struct Group {
    tables: Vec<Table>,
    files: Vec<Location>,
    rows: usize,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Group {
    /// Writes the file, removes the old ones; gives the count of those that could not be removed.
    async fn write(&mut self, folder: &Location, storage: &Storage) -> Result<usize, SaveError> {
        let group = std::mem::take(self);
        let (Some(first), Some(last)) = (group.first, group.last) else {
            return Ok(0);
        };
        if group.tables.len() < 2 {
            return Ok(0);
        }
        let file = file_in(folder, &name_of(first, last));
        let table = merge(group.tables).map_err(|error| SaveError::Table {
            location: file.clone(),
            error,
        })?;
        write_table(&table, &file, storage).await?;
        let mut left = 0;
        for old in group.files.iter().filter(|old| **old != file) {
            match old.to_path() {
                Some(path) if std::fs::remove_file(&path).is_ok() => {}
                Some(_) | None => left += 1,
            }
        }
        Ok(left)
    }
}

/// The tables of a directory that are to be read, as a listing shows them.
pub(super) async fn tables_of(
    folder: &Location,
    storage: &Storage,
) -> Result<Vec<Listed>, SaveError> {
    let mut listed = storage.list(&with_slash(folder)).await?;
    listed.retain(|file| is_table(file.location.file_name()));
    let names: Vec<String> = listed
        .iter()
        .map(|file| file.location.file_name().to_owned())
        .collect();
    listed.retain(|file| !is_leftover(file.location.file_name(), &names));
    Ok(listed)
}

/// Writes the manifest of a directory; gives the count of its tables. What the last manifest says of unchanged tables is kept.
pub(super) async fn write_manifest(
    folder: &Location,
    storage: &Storage,
) -> Result<usize, SaveError> {
    let known = read_manifest(folder, storage).await.unwrap_or_default();
    let manifest = file_in(folder, MANIFEST_NAME);
    let wrong = |location: &Location| {
        let location = location.clone();
        |error| SaveError::Table { location, error }
    };
    let mut summaries: Vec<(TableId, Summary)> = Vec::new();
    for file in tables_of(folder, storage).await? {
        let id = TableId {
            name: file.location.file_name().to_owned(),
            size: file.size,
            version: file.etag.clone(),
        };
        let summary = match known.find(&id) {
            Some(entry) => known.summary(entry),
            None => {
                let bytes = super::save::whole(&file.location, storage).await?;
                read_summary(bytes).map_err(wrong(&file.location))?
            }
        };
        summaries.push((id, summary));
    }
    let bytes = Manifest::encode(summaries.iter().map(|(id, summary)| (id, summary)))
        .map_err(wrong(&manifest))?;
    storage.put(&manifest, Bytes::from(bytes)).await?;
    Ok(summaries.len())
}

/// The manifest of a directory.
pub(super) async fn read_manifest(
    folder: &Location,
    storage: &Storage,
) -> Result<Manifest, SaveError> {
    let location = file_in(folder, MANIFEST_NAME);
    let bytes = super::save::whole(&location, storage).await?;
    Manifest::decode(&bytes).map_err(|error| SaveError::Table { location, error })
}

/// A table's bytes.
pub(super) fn encode(table: &Table, location: &Location) -> Result<Vec<u8>, SaveError> {
    let mut bytes = Vec::new();
    crate::table::write::write(table, kind_columns, &mut bytes).map_err(|error| {
        SaveError::Table {
            location: location.clone(),
            error,
        }
    })?;
    Ok(bytes)
}

//! Tables on disk or in storage: one `.parquet` file, or a directory of one `<run>.parquet` per run.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use bytes::Bytes;

use crate::grib::naming::name_array;
use crate::location::{ByteRange, Location};
use crate::storage::{ErrorKind, Short, Storage, StorageError};
use crate::table::atomic::write_file_atomically;
use crate::table::merge::merge;
use crate::table::read::read;
use crate::table::row::{Kind, Table};
use crate::table::schema::{KindColumns, TableError};
use crate::table::write::write;
use crate::time::Instant;

/// Suffix of a table's file.
const SUFFIX: &str = ".parquet";

/// What a save did.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// Files written, and bytes in them.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that held all of it already.
    pub unchanged: usize,
}

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file is no table of ours, or cannot be written.
    #[error("{location}: {error}")]
    Table {
        /// The file.
        location: Location,
        /// What is wrong.
        #[source]
        error: TableError,
    },
    /// There is nothing.
    #[error("{0}: no such table")]
    NotFound(Location),
    /// A directory without tables.
    #[error("{0}: no table (*.parquet) in this directory")]
    Empty(Location),
    /// The directory cannot be made.
    #[error("{path}: {reason}")]
    Directory {
        /// The directory.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a table: a file, or all tables of a directory as one.
///
/// # Errors
/// [`SaveError`], naming the file.
pub async fn load(location: &Location, storage: &Storage) -> Result<Table, SaveError> {
    if let Some(path) = location.to_path() {
        if !path.exists() {
            return Err(SaveError::NotFound(location.clone()));
        }
        if !path.is_dir() {
            return load_file(location, storage).await;
        }
    } else if location.as_str().ends_with(SUFFIX) {
        return load_file(location, storage).await;
    }
    let folder = if location.as_str().ends_with('/') {
        location.clone()
    } else {
        location.with_suffix("/")
    };
    let listed = storage.list(&folder).await?;
    let mut tables = Vec::new();
    for file in listed
        .iter()
        .filter(|file| is_table(file.location.file_name()))
    {
        tables.push(load_file(&file.location, storage).await?);
    }
    if tables.is_empty() {
        return Err(SaveError::Empty(location.clone()));
    }
    merge(tables).map_err(|error| SaveError::Table {
        location: location.clone(),
        error,
    })
}

fn is_table(name: &str) -> bool {
    name.ends_with(SUFFIX) && !name.starts_with('.')
}

async fn load_file(location: &Location, storage: &Storage) -> Result<Table, SaveError> {
    let range = ByteRange {
        offset: 0,
        length: None,
    };
    let fetched = storage.get(location, range, Short::Refuse).await?;
    let table = tokio::task::spawn_blocking(move || read(fetched.bytes)).await;
    let table = table.unwrap_or_else(|panic| {
        Err(TableError::Io {
            action: "reading a table".to_owned(),
            reason: panic.to_string(),
        })
    });
    table.map_err(|error| SaveError::Table {
        location: location.clone(),
        error,
    })
}

/// Writes a table to `destination`: to one file if it ends in `.parquet`, else one file per run into that directory.
///
/// What is there already stays, but for the rows of files that were indexed again. Each file is replaced as a whole or not at
/// all; a file that would not change is not touched.
///
/// # Errors
/// [`SaveError`], naming the file.
pub async fn save(
    table: Table,
    destination: &Location,
    storage: &Storage,
) -> Result<Saved, SaveError> {
    let mut saved = Saved::default();
    if destination.as_str().ends_with(SUFFIX) {
        save_file(table, destination, storage, &mut saved).await?;
        return Ok(saved);
    }
    if let Some(path) = destination.to_path() {
        make_directory(&path)?;
    }
    let folder = destination.as_str().trim_end_matches('/');
    for (run, part) in by_run(table) {
        let file = destination.with_text(&format!("{folder}/{}{SUFFIX}", run.path_name()));
        save_file(part, &file, storage, &mut saved).await?;
    }
    Ok(saved)
}

fn make_directory(path: &Path) -> Result<(), SaveError> {
    std::fs::create_dir_all(path).map_err(|error| SaveError::Directory {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

async fn save_file(
    new: Table,
    file: &Location,
    storage: &Storage,
    saved: &mut Saved,
) -> Result<(), SaveError> {
    let wrong = |error| SaveError::Table {
        location: file.clone(),
        error,
    };
    let existing = match storage
        .get(
            file,
            ByteRange {
                offset: 0,
                length: None,
            },
            Short::Refuse,
        )
        .await
    {
        Ok(found) => Some(found.bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let table = match existing.clone() {
        Some(bytes) => extend(read(bytes).map_err(wrong)?, new).map_err(wrong)?,
        None => new,
    };
    let mut bytes = Vec::new();
    write(&table, kind_columns, &mut bytes).map_err(wrong)?;
    if existing.is_some_and(|existing| existing.as_ref() == bytes.as_slice()) {
        saved.unchanged += 1;
        return Ok(());
    }
    saved.files += 1;
    saved.bytes += bytes.len() as u64;
    match file.to_path() {
        Some(path) => write_file_atomically(&path, &bytes).map_err(wrong),
        None => Ok(storage.put(file, Bytes::from(bytes)).await?),
    }
}

/// An older table with the rows of a newer one: what the newer says of a file replaces what the older said of it.
fn extend(mut older: Table, newer: Table) -> Result<Table, TableError> {
    let again: HashSet<&Location> = newer
        .objects
        .iter()
        .map(|object| &object.location)
        .collect();
    let replaced: Vec<bool> = older
        .objects
        .iter()
        .map(|object| again.contains(&object.location))
        .collect();
    older
        .rows
        .retain(|row| !replaced.get(row.object as usize).copied().unwrap_or(false));
    merge(vec![older, newer])
}

/// A table's rows as one table per run.
fn by_run(table: Table) -> BTreeMap<Instant, Table> {
    let Table {
        kinds,
        grids,
        objects,
        rows,
        complete_runs,
    } = table;
    let mut parts: BTreeMap<Instant, Table> = BTreeMap::new();
    for row in rows {
        parts.entry(row.reference).or_default().rows.push(row);
    }
    for (run, part) in &mut parts {
        part.complete_runs = complete_runs
            .iter()
            .copied()
            .filter(|complete| complete == run)
            .collect();
        part.kinds.clone_from(&kinds);
        part.grids.clone_from(&grids);
        part.objects.clone_from(&objects);
    }
    parts
}

/// The columns of a kind that are made for people.
#[must_use]
pub fn kind_columns(kind: &Kind) -> KindColumns {
    let Some(identity) = &kind.identity else {
        return KindColumns {
            varname: String::new(),
            type_of_level: String::new(),
            step_type: String::new(),
            name: kind.words.clone(),
            units: String::new(),
            level: None,
            level2: None,
        };
    };
    let naming = name_array(identity, kind.bucket_seconds);
    KindColumns {
        type_of_level: naming.level_type.name.to_string(),
        varname: naming.array,
        step_type: naming.step_type.to_owned(),
        name: naming.long_name,
        units: naming.units,
        level: naming.level.map(|(first, _)| first),
        level2: naming.level.and_then(|(_, second)| second),
    }
}

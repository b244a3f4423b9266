//! Tables on disk or in storage: one `.parquet` file, or a directory of one `<run>.parquet` per run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt as _;

use super::compact::{encode, read_manifest, tables_of, write_manifest};
use super::extend::save_file;
use super::folder::{SUFFIX, file_in, file_of, name_of, with_slash};
use crate::grib::naming::name_array;
use crate::location::{ByteRange, Location};
use crate::storage::{ErrorKind, Expected, Short, Storage, StorageError, Version};
use crate::table::atomic::write_file_atomically;
use crate::table::manifest::MANIFEST_NAME;
use crate::table::merge::merge;
use crate::table::read::read;
use crate::table::row::{Kind, Table};
use crate::table::schema::{KindColumns, TableError};
use crate::time::Instant;

/// Tables of a directory that are read at once.
const FILES_AT_ONCE: usize = 64;
/// A file from its first byte to its last.
pub(super) const WHOLE: ByteRange = ByteRange {
    offset: 0,
    length: None,
};

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
/// Where the directory cannot be listed (plain HTTP servers) its manifest says which tables there are.
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
    let files: Vec<Location> = match tables_of(location, storage).await {
        Ok(listed) => listed.into_iter().map(|file| file.location).collect(),
        Err(SaveError::Storage(error)) if error.kind() == ErrorKind::Unsupported => {
            let manifest = read_manifest(location, storage).await?;
            let names = manifest.tables.iter().map(|table| &table.id.name);
            names.map(|name| file_in(location, name)).collect()
        }
        Err(error) => return Err(error),
    };
    if files.is_empty() {
        return Err(SaveError::Empty(location.clone()));
    }
    let mut loads = futures::stream::iter(files)
        .map(|file| async move { load_file(&file, storage).await })
        .buffered(FILES_AT_ONCE);
    let mut tables = Vec::new();
    while let Some(table) = loads.next().await {
        tables.push(table?);
    }
    if tables.len() == 1
        && let Some(only) = tables.pop()
    {
        return Ok(only);
    }
    merge(tables).map_err(|error| SaveError::Table {
        location: location.clone(),
        error,
    })
}

/// What a table holds of some runs, to go on with: all of it if it is one file, else the files that these runs belong to. `None`
/// if there is nothing yet.
///
/// # Errors
/// [`SaveError`], naming the file.
pub async fn load_runs(
    destination: &Location,
    runs: &BTreeSet<Instant>,
    storage: &Storage,
) -> Result<Option<Table>, SaveError> {
    let files: BTreeSet<Location> = if destination.as_str().ends_with(SUFFIX) {
        std::iter::once(destination.clone()).collect()
    } else {
        let names = names_in(destination, storage).await?;
        runs.iter()
            .map(|run| file_in(destination, &file_of(*run, &names)))
            .collect()
    };
    let mut tables = Vec::new();
    for file in &files {
        match load_file(file, storage).await {
            Ok(table) => tables.push(table),
            Err(SaveError::Storage(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if tables.is_empty() {
        return Ok(None);
    }
    let merged = merge(tables).map_err(|error| SaveError::Table {
        location: destination.clone(),
        error,
    })?;
    Ok(Some(merged))
}

/// Names of the files of a directory; none if it does not exist or cannot be listed.
pub(super) async fn names_in(
    folder: &Location,
    storage: &Storage,
) -> Result<Vec<String>, SaveError> {
    if folder.to_path().is_some_and(|path| !path.exists()) {
        return Ok(Vec::new());
    }
    match storage.list(&with_slash(folder)).await {
        Ok(listed) => Ok(listed
            .iter()
            .map(|file| file.location.file_name().to_owned())
            .collect()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// All bytes of a file.
pub(super) async fn whole(location: &Location, storage: &Storage) -> Result<Bytes, SaveError> {
    Ok(storage.get(location, WHOLE, Short::Refuse).await?.bytes)
}

pub(super) async fn load_file(location: &Location, storage: &Storage) -> Result<Table, SaveError> {
    let bytes = whole(location, storage).await?;
    let table = tokio::task::spawn_blocking(move || read(bytes)).await;
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

/// Writes a table to `destination`: to one file if it ends in `.parquet`, else one file per run into that directory (or into the
/// file of many runs that covers it).
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
    let names = names_in(destination, storage).await?;
    for (name, part) in by_file(table, &names) {
        save_file(part, &file_in(destination, &name), storage, &mut saved).await?;
    }
    if saved.files > 0 && names.iter().any(|name| name == MANIFEST_NAME) {
        write_manifest(destination, storage).await?;
    }
    Ok(saved)
}

/// Writes all rows of one run that is known whole, and gives the file's version then: where the file is still the version `written`, it
/// need not be read first. Else as [`save`].
///
/// # Errors
/// As [`save`].
pub(super) async fn save_run(
    table: &Table,
    run: Instant,
    written: Option<Version>,
    destination: &Location,
    storage: &Storage,
) -> Result<Option<Version>, SaveError> {
    if destination.as_str().ends_with(SUFFIX) {
        save(table.clone(), destination, storage).await?;
        return Ok(None);
    }
    let own = file_in(destination, &name_of(run, run));
    let alone = table.rows.iter().all(|row| row.reference == run);
    if let Some(version) = written.filter(|version| alone && *version != Version::default()) {
        let bytes = Bytes::from(encode(table, &own)?);
        match storage.put_if(&own, bytes, &Expected::This(version)).await {
            Ok(version) => {
                let names = names_in(destination, storage).await?;
                if names.iter().any(|name| name == MANIFEST_NAME) {
                    write_manifest(destination, storage).await?;
                }
                return Ok(Some(version));
            }
            Err(error) if error.kind() == ErrorKind::Changed => {}
            Err(error) => return Err(error.into()),
        }
    }
    save(table.clone(), destination, storage).await?;
    let first = ByteRange::new(0, 1);
    let found = storage.get(&own, first, Short::Allow).await;
    Ok(found.ok().map(|found| found.version()))
}

pub(super) fn make_directory(path: &Path) -> Result<(), SaveError> {
    std::fs::create_dir_all(path).map_err(|error| SaveError::Directory {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

/// Writes a table in place of whatever is there.
pub(super) async fn write_table(
    table: &Table,
    file: &Location,
    storage: &Storage,
) -> Result<(), SaveError> {
    put(file, encode(table, file)?, storage).await
}

pub(super) async fn put(
    file: &Location,
    bytes: Vec<u8>,
    storage: &Storage,
) -> Result<(), SaveError> {
    match file.to_path() {
        Some(path) => write_file_atomically(&path, &bytes).map_err(|error| SaveError::Table {
            location: file.clone(),
            error,
        }),
        None => Ok(storage.put(file, Bytes::from(bytes)).await?),
    }
}

/// A table's rows as one table per file of the directory.
pub(super) fn by_file(table: Table, names: &[String]) -> BTreeMap<String, Table> {
    let Table {
        kinds,
        grids,
        objects,
        rows,
        complete_runs,
    } = table;
    let mut files: HashMap<Instant, String> = HashMap::new();
    let mut parts: BTreeMap<String, (Table, HashMap<u32, u32>)> = BTreeMap::new();
    for mut row in rows {
        let name = files
            .entry(row.reference)
            .or_insert_with(|| file_of(row.reference, names));
        if !parts.contains_key(name) {
            let part = Table {
                kinds: kinds.clone(),
                grids: grids.clone(),
                ..Table::default()
            };
            parts.insert(name.clone(), (part, HashMap::new()));
        }
        let Some((part, numbers)) = parts.get_mut(name) else {
            continue;
        };
        row.object = *numbers.entry(row.object).or_insert_with(|| {
            let number = u32::try_from(part.objects.len()).unwrap_or(u32::MAX);
            let object = objects.get(row.object as usize);
            part.objects.extend(object.cloned());
            number
        });
        part.rows.push(row);
    }
    for run in complete_runs {
        let part = files.get(&run).and_then(|name| parts.get_mut(name));
        if let Some((part, _)) = part {
            part.complete_runs.push(run);
        }
    }
    let parts = parts.into_iter().map(|(name, (part, _))| (name, part));
    parts.collect()
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

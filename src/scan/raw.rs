//! A raw copy: the selected messages themselves, unchanged, in objects of one's own, and tables that point to them.
//!
//! Messages of one source object lie together, in its order, in objects of at most [`PART_BYTES`](super::PART_BYTES); a message that several fields share
//! is there once. An object's name is made from what it holds, it is written as a whole, and a file of its SHA-256 follows it: so a copy
//! that was stopped goes on where it was, and an object that is there with its checksum is right. Tables come last: until then the copy
//! shows nothing, or what it showed before.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::compact::{encode, write_manifest};
use super::folder::file_in;
use super::raw_part::{
    Check, Message, Part, hex, laid_out, name_of_part, parts, proven, put_all, size_if_whole,
    sum_of,
};
use super::save::{SaveError, by_file, load_file, names_in, put};
use crate::dataset::Collection;
use crate::dataset::archive::{RowId, RowSource};
use crate::location::{ByteRange, Location};
use crate::storage::{ErrorKind, Joining, Short, Storage};
use crate::table::manifest::MANIFEST_NAME;
use crate::table::merge::merge;
use crate::table::row::{GridRecord, Kind, Object, Row, Status, Table};
use crate::table::schema::TableError;
use crate::time::Instant;

/// Objects that are fetched and written at once: with their joined requests about half a gigabyte.
const AT_ONCE: usize = 6;

/// How far a raw copy is; read it while it runs.
#[derive(Debug, Default)]
pub struct RawProgress {
    done: AtomicU64,
    total: AtomicU64,
}

impl RawProgress {
    /// Messages done, and all of them (0 until that is known).
    #[must_use]
    pub fn messages(&self) -> (u64, u64) {
        (self.done.load(Relaxed), self.total.load(Relaxed))
    }
}

/// What a raw copy did.
#[derive(Clone, Debug, Default)]
pub struct RawReport {
    /// Messages of the selection that exist.
    pub messages: u64,
    /// Those that were there already.
    pub kept: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Objects that hold them.
    pub objects: u64,
    /// Tables written.
    pub tables: usize,
    /// Messages that could not be had: where they lie, and why. The copy's tables call them pending.
    pub missing: Vec<(String, String)>,
}

/// Why a raw copy failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum RawError {
    /// A table could not be read or written, or an object not written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// Rows of the source could not be read.
    #[error("{0}")]
    Rows(String),
    /// There is nothing to copy.
    #[error("the selection holds no message")]
    Nothing,
}

/// What became of a part.
struct Copied {
    location: Location,
    size: u64,
    kept: bool,
    /// Messages, in the order of the object, with offset and length there.
    messages: Vec<(Message, u64, u64)>,
    /// Those that could not be had.
    missing: Vec<(Message, String)>,
}

/// Copies the messages of a collection from `source` to the folder `destination`, with tables that point to them.
///
/// # Errors
/// [`RawError`]. A message that cannot be had is none: it is in [`RawReport::missing`].
pub async fn raw_copy(
    collection: &Collection,
    rows: &Arc<dyn RowSource>,
    (source, target): (&Storage, &Storage),
    destination: &Location,
    check: &Check,
    progress: &RawProgress,
) -> Result<RawReport, RawError> {
    let wanted = selected(collection);
    if wanted.is_empty() {
        return Err(RawError::Nothing);
    }
    let rows = Arc::clone(rows);
    let gathered = tokio::task::spawn_blocking(move || gather(&wanted, rows.as_ref())).await;
    let mut table = gathered.map_err(|panic| RawError::Rows(panic.to_string()))??;
    let parts = parts(&table);
    let count = |parts: &[Part]| parts.iter().map(|part| part.messages.len() as u64).sum();
    progress.total.store(count(&parts), Relaxed);
    let mut report = RawReport {
        messages: count(&parts),
        ..RawReport::default()
    };
    let mut copies = futures::stream::iter(parts)
        .map(|part| {
            let table = &table;
            async move {
                let count = part.messages.len() as u64;
                let copied = copy_part(table, part, (source, target), destination, check).await;
                progress.done.fetch_add(count, Relaxed);
                copied
            }
        })
        .buffer_unordered(AT_ONCE);
    let mut all = Vec::new();
    while let Some(copied) = copies.next().await {
        all.push(copied?);
    }
    drop(copies);
    all.sort_by(|a, b| a.location.cmp(&b.location));
    let mut failed_runs = BTreeSet::new();
    for copied in all {
        let object = u32::try_from(table.objects.len()).unwrap_or(u32::MAX);
        if !copied.messages.is_empty() {
            report.objects += 1;
            report.bytes += copied.size;
            report.kept += if copied.kept {
                copied.messages.len() as u64
            } else {
                0
            };
            table.objects.push(Object {
                location: copied.location,
                size: Some(copied.size),
                etag: None,
            });
        }
        for (message, offset, length) in copied.messages {
            for at in message.rows {
                if let Some(row) = table.rows.get_mut(at) {
                    (row.object, row.offset, row.length) = (object, offset, Some(length));
                }
            }
        }
        for (message, reason) in copied.missing {
            let reason: Arc<str> = format!("it could not be copied: {reason}").into();
            for at in message.rows {
                let Some(row) = table.rows.get_mut(at) else {
                    continue;
                };
                failed_runs.insert(row.reference);
                row.status = Status::Pending;
                row.reason = Some(Arc::clone(&reason));
                let object = table.objects.get(row.object as usize);
                let place = object.map_or_else(String::new, |object| object.location.to_string());
                report
                    .missing
                    .push((format!("{place} at {}", row.offset), reason.to_string()));
            }
        }
    }
    let complete =
        |run: &&Instant| collection.archive.is_complete(**run) && !failed_runs.contains(*run);
    table.complete_runs = collection.runs.iter().filter(complete).copied().collect();
    report.tables = publish(table, destination, target).await?;
    Ok(report)
}

/// Numbers of the rows of all cells, ascending, each once.
fn selected(collection: &Collection) -> Vec<RowId> {
    let arrays = collection.groups.iter().flat_map(|group| &group.arrays);
    let mut rows: Vec<RowId> = arrays
        .flat_map(|array| array.cells.iter().map(|(_, row)| row))
        .collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// The rows as one table.
fn gather(wanted: &[RowId], rows: &dyn RowSource) -> Result<Table, RawError> {
    let mut tables: Vec<Table> = Vec::new();
    let mut last: Option<Arc<Table>> = None;
    for number in wanted {
        let (table, at) = rows.locate(*number).map_err(RawError::Rows)?;
        let is_same = last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &table));
        if !is_same {
            tables.push(Table {
                kinds: table.kinds.clone(),
                grids: table.grids.clone(),
                objects: table.objects.clone(),
                ..Table::default()
            });
        }
        let row = table.rows.get(at).cloned();
        let row = row.ok_or_else(|| RawError::Rows(format!("row {number} is not there")))?;
        if let Some(own) = tables.last_mut() {
            own.rows.push(row);
        }
        last = Some(table);
    }
    merge(tables).map_err(|error| RawError::Rows(error.to_string()))
}

/// Copies a part, or finds that it is there.
async fn copy_part(
    table: &Table,
    part: Part,
    (source, target): (&Storage, &Storage),
    destination: &Location,
    check: &Check,
) -> Result<Copied, SaveError> {
    let Some(object) = table.objects.get(part.object as usize) else {
        return Err(SaveError::NotFound(destination.clone()));
    };
    let location = name_of_part(destination, object, part.run, &part.messages);
    if let Some(size) = size_if_whole(&location, target).await? {
        return Ok(Copied {
            messages: laid_out(part.messages, size),
            missing: Vec::new(),
            kept: true,
            location,
            size,
        });
    }
    let ranges: Vec<ByteRange> = part.messages.iter().map(|message| message.range).collect();
    let joining = Joining::default();
    let fetched = source.get_ranges(&object.location, &ranges, Short::Allow, &joining);
    let (mut good, mut missing) = (Vec::new(), Vec::new());
    let mut bytes = BytesMut::new();
    for (message, fetched) in part.messages.into_iter().zip(fetched.await) {
        let sound = fetched
            .map_err(|error| error.to_string())
            .and_then(|fetched| {
                match (&object.etag, &fetched.etag) {
                    (Some(then), Some(now)) if then != now => {
                        return Err("the object changed since it was indexed".to_owned());
                    }
                    _ => {}
                }
                proven(table, &message, &fetched.bytes, check)?;
                Ok(fetched.bytes)
            });
        match sound {
            Ok(own) => {
                good.push((message, bytes.len() as u64, own.len() as u64));
                bytes.extend_from_slice(&own);
            }
            Err(reason) => missing.push((message, reason)),
        }
    }
    let size = bytes.len() as u64;
    // What lacks a message has another name, so that the next copy fetches it again.
    let held: Vec<Message> = good.iter().map(|(message, ..)| message.clone()).collect();
    let location = name_of_part(destination, object, part.run, &held);
    if !good.is_empty() {
        let bytes = bytes.freeze();
        let sum = format!(
            "{}  {}\n",
            hex(&Sha256::digest(&bytes)),
            location.file_name()
        );
        put_all(&location, bytes, target).await?;
        put_all(&sum_of(&location), Bytes::from(sum), target).await?;
    }
    Ok(Copied {
        location,
        size,
        kept: false,
        messages: good,
        missing,
    })
}

/// What makes two rows the same cell: quantity, grid, run, window, member.
type Cell = (Kind, Option<GridRecord>, Instant, (i64, i64), Option<i16>);

fn cell_of(table: &Table, row: &Row) -> Option<Cell> {
    let kind = table.kinds.get(row.kind as usize)?.clone();
    let grid = kind
        .grid
        .and_then(|grid| table.grids.get(grid as usize).cloned());
    // The words of index lines differ where the messages do not.
    let kind = Kind {
        grid: None,
        words: String::new(),
        ..kind
    };
    let window = (row.window.start, row.window.end);
    Some((kind, grid, row.reference, window, row.member))
}

/// Writes the tables: what is there already stays, but for the cells that are copied now. Returns how many were written.
async fn publish(
    table: Table,
    destination: &Location,
    target: &Storage,
) -> Result<usize, SaveError> {
    if let Some(path) = destination.to_path() {
        super::save::make_directory(&path)?;
    }
    let names = names_in(destination, target).await?;
    let mut written = 0;
    for (name, new) in by_file(table, &names) {
        let file = file_in(destination, &name);
        let wrong = |error: TableError| SaveError::Table {
            location: file.clone(),
            error,
        };
        let old = match load_file(&file, target).await {
            Ok(old) => Some(old),
            Err(SaveError::Storage(error)) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let before = old.as_ref().map(|old| encode(old, &file)).transpose()?;
        let merged = match old {
            Some(old) => merge(vec![without(old, &new), new]).map_err(wrong)?,
            None => new,
        };
        let bytes = encode(&merged, &file)?;
        if before.as_ref() != Some(&bytes) {
            put(&file, bytes, target).await?;
            written += 1;
        }
    }
    if written > 0 && names.iter().any(|name| name == MANIFEST_NAME) {
        write_manifest(destination, target).await?;
    }
    Ok(written)
}

/// The older table without the cells of the newer one, and without what nothing refers to then.
fn without(mut old: Table, new: &Table) -> Table {
    let cells: HashSet<Cell> = new
        .rows
        .iter()
        .filter_map(|row| cell_of(new, row))
        .collect();
    let rows = std::mem::take(&mut old.rows);
    let mut objects: HashMap<u32, u32> = HashMap::new();
    let mut kept = Vec::new();
    for mut row in rows {
        if cell_of(&old, &row).is_some_and(|cell| cells.contains(&cell)) {
            continue;
        }
        let object = old.objects.get(row.object as usize);
        let Some(object) = object.cloned() else {
            continue;
        };
        row.object = *objects.entry(row.object).or_insert_with(|| {
            kept.push(object);
            u32::try_from(kept.len() - 1).unwrap_or(u32::MAX)
        });
        old.rows.push(row);
    }
    old.objects = kept;
    old
}

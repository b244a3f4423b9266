//! The rows of tables that are open: found by number, read in blocks, of which the last ones used stay in memory.

use std::fs::{File, Metadata};
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use lru::LruCache;
use tokio::runtime::Handle;

use crate::dataset::archive::{PartLayout, PartSource, RowId, RowSource};
use crate::location::{ByteRange, Location};
use crate::storage::{Short, Storage};
use crate::sync::lock;
use crate::table::read::{TableFile, TableSource};
use crate::table::row::{GridRecord, Kind, Row, Status, Table};
use crate::time::Instant;

/// Rows of a block: what is decoded, and kept, at once.
const BLOCK_ROWS: u64 = 32_768;

/// Blocks kept: about 3 MB each.
const BLOCKS: usize = 24;

/// Open tables kept, with all that their footers say.
const TABLES: usize = 8;

/// Rows remembered of those that came late.
const ARRIVED: usize = 100_000;

/// What all parts share.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) storage: Storage,
    runtime: Handle,
    parts: Mutex<Numbering>,
    blocks: Mutex<LruCache<RowId, Arc<Table>>>,
    tables: Mutex<LruCache<RowId, Arc<TableFile>>>,
    /// Rows that came for those that had not arrived.
    arrived: Mutex<LruCache<RowId, RowId>>,
}

/// Numbers of rows: each part's are its own for good.
#[derive(Debug, Default)]
struct Numbering {
    next: RowId,
    /// Parts by the number of their first row.
    parts: Vec<(RowId, Weak<StoredPart>)>,
}

impl Shelf {
    pub(super) fn new(storage: Storage, runtime: Handle) -> Self {
        let cache = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        Self {
            storage,
            runtime,
            parts: Mutex::default(),
            blocks: Mutex::new(LruCache::new(cache(BLOCKS))),
            tables: Mutex::new(LruCache::new(cache(TABLES))),
            arrived: Mutex::new(LruCache::new(cache(ARRIVED))),
        }
    }

    /// Gives a part's rows their numbers.
    pub(super) fn add(&self, part: StoredPart) -> Arc<StoredPart> {
        let mut numbering = lock(&self.parts);
        let base = numbering.next;
        let part = Arc::new(StoredPart { base, ..part });
        numbering.next = base.saturating_add(part.rows.max(1));
        numbering.parts.retain(|(_, part)| part.strong_count() > 0);
        numbering.parts.push((base, Arc::downgrade(&part)));
        part
    }

    fn part_of(&self, row: RowId) -> Option<Arc<StoredPart>> {
        let numbering = lock(&self.parts);
        let after = numbering.parts.partition_point(|(base, _)| *base <= row);
        let part = numbering.parts.get(after.checked_sub(1)?)?.1.upgrade()?;
        (row - part.base < part.rows).then_some(part)
    }

    pub(super) fn remote(&self, location: &Location, size: u64, state: &State) -> RemoteTable {
        RemoteTable {
            storage: self.storage.clone(),
            runtime: self.runtime.clone(),
            location: location.clone(),
            size,
            state: state.clone(),
        }
    }
}

impl RowSource for Shelf {
    fn locate(&self, row: RowId) -> Result<(Arc<Table>, usize), String> {
        let part = self
            .part_of(row)
            .ok_or_else(|| format!("the table of row {row} is shown no more"))?;
        let block = (row - part.base) / BLOCK_ROWS;
        let table = part.block(self, block)?;
        let at = usize::try_from((row - part.base) % BLOCK_ROWS).unwrap_or(usize::MAX);
        Ok((table, at))
    }

    fn peek(&self, row: RowId) -> Option<(Arc<Table>, usize)> {
        let part = self.part_of(row)?;
        let position = row - part.base;
        let block = part.base + position / BLOCK_ROWS * BLOCK_ROWS;
        let table = Arc::clone(lock(&self.blocks).get(&block)?);
        Some((table, usize::try_from(position % BLOCK_ROWS).ok()?))
    }

    fn companions(&self, row: RowId) -> Result<Arc<Table>, String> {
        let (table, at) = self.locate(row)?;
        let object = |table: &Table, row: &Row| table.objects.get(row.object as usize).cloned();
        let wanted = table.rows.get(at).and_then(|row| object(&table, row));
        let part = self
            .part_of(row)
            .ok_or_else(|| format!("the table of row {row} is shown no more"))?;
        let mut found = Table {
            kinds: table.kinds.clone(),
            grids: table.grids.clone(),
            objects: wanted.clone().into_iter().collect(),
            ..Table::default()
        };
        for block in 0..part.rows.div_ceil(BLOCK_ROWS) {
            let table = part.block(self, block)?;
            let rows = table.rows.iter();
            let same = rows.filter(|row| object(&table, row) == wanted);
            found.rows.extend(same.map(|row| Row {
                object: 0,
                ..row.clone()
            }));
        }
        Ok(Arc::new(found))
    }

    fn arrived(&self, pending: RowId) -> Option<RowId> {
        if let Some(known) = lock(&self.arrived).get(&pending) {
            return Some(*known);
        }
        let (table, at) = self.locate(pending).ok()?;
        let row = table.rows.get(at)?;
        let own = Kinds {
            kinds: &table.kinds,
            grids: &table.grids,
        };
        let newer: Vec<Arc<StoredPart>> = {
            let numbering = lock(&self.parts);
            let after = numbering
                .parts
                .partition_point(|(base, _)| *base <= pending);
            let newer = numbering.parts.get(after..).unwrap_or_default().iter();
            newer.rev().filter_map(|(_, part)| part.upgrade()).collect()
        };
        let found = newer
            .iter()
            .filter(|part| part.runs.binary_search(&row.reference).is_ok())
            .find_map(|part| part.find(self, own, row))?;
        lock(&self.arrived).put(pending, found);
        Some(found)
    }
}

/// The rows of one table file.
#[derive(Debug)]
pub(super) struct StoredPart {
    pub(super) base: RowId,
    pub(super) rows: u64,
    pub(super) location: Location,
    pub(super) size: u64,
    pub(super) state: State,
    pub(super) pin: Option<Arc<File>>,
    pub(super) runs: Arc<[Instant]>,
    pub(super) layout: Arc<PartLayout>,
    pub(super) shelf: Weak<Shelf>,
}

impl StoredPart {
    fn open(&self, shelf: &Shelf) -> Result<Arc<TableFile>, String> {
        if let Some(open) = lock(&shelf.tables).get(&self.base) {
            return Ok(Arc::clone(open));
        }
        let source = match (&self.pin, self.location.to_path()) {
            (Some(file), _) => AnySource::File(Arc::clone(file), self.state.clone()),
            (None, Some(path)) => {
                let file =
                    File::open(path).map_err(|error| format!("{}: {error}", self.location))?;
                AnySource::File(Arc::new(file), self.state.clone())
            }
            (None, None) => AnySource::Remote(shelf.remote(&self.location, self.size, &self.state)),
        };
        let file =
            TableFile::open(source).map_err(|error| format!("{}: {error}", self.location))?;
        let (layout, runs) = PartLayout::of_summary(file.summary());
        if layout != *self.layout || runs != self.runs {
            return Err(format!("{}: the table was replaced", self.location));
        }
        let file = Arc::new(file);
        lock(&shelf.tables).put(self.base, Arc::clone(&file));
        Ok(file)
    }

    /// The number of the placed row for the same cell as a row of another table.
    fn find(&self, shelf: &Shelf, others: Kinds<'_>, wanted: &Row) -> Option<RowId> {
        let own = Kinds {
            kinds: &self.layout.kinds,
            grids: &self.layout.grids,
        };
        let spans = self.layout.spans.iter().enumerate();
        let of_kind = spans.filter(|(kind, _)| own.is_same(*kind, others, wanted.kind as usize));
        for (_, span) in of_kind {
            for position in span.first_row..span.first_row.saturating_add(span.rows) {
                let table = self.block(shelf, position / BLOCK_ROWS).ok()?;
                let at = usize::try_from(position % BLOCK_ROWS).ok()?;
                let row = table.rows.get(at)?;
                let same_cell = (row.reference, row.window, row.member)
                    == (wanted.reference, wanted.window, wanted.member);
                if same_cell && row.status == Status::Placed {
                    return Some(self.base.saturating_add(position));
                }
            }
        }
        None
    }

    /// A block of rows, from memory if it is there.
    fn block(&self, shelf: &Shelf, block: u64) -> Result<Arc<Table>, String> {
        let start = block.saturating_mul(BLOCK_ROWS);
        let number = self.base.saturating_add(start);
        if let Some(known) = lock(&shelf.blocks).get(&number) {
            return Ok(Arc::clone(known));
        }
        let end = start.saturating_add(BLOCK_ROWS).min(self.rows);
        let table = self
            .open(shelf)?
            .rows(start..end)
            .map_err(|error| format!("{}: {error}", self.location))?;
        let table = Arc::new(table);
        lock(&shelf.blocks).put(number, Arc::clone(&table));
        Ok(table)
    }
}

impl PartSource for StoredPart {
    fn rows(&self, range: Range<u64>) -> Result<Arc<Table>, String> {
        let shelf = self
            .shelf
            .upgrade()
            .ok_or_else(|| "the tables are closed".to_owned())?;
        let table = self
            .open(&shelf)?
            .rows(range)
            .map_err(|error| format!("{}: {error}", self.location))?;
        Ok(Arc::new(table))
    }

    fn lengths(&self) -> Result<Vec<Option<NonZeroU64>>, String> {
        let shelf = self
            .shelf
            .upgrade()
            .ok_or_else(|| "the tables are closed".to_owned())?;
        self.open(&shelf)?
            .lengths()
            .map_err(|error| format!("{}: {error}", self.location))
    }
}

/// Kinds, and the grids that they name.
#[derive(Clone, Copy)]
struct Kinds<'a> {
    kinds: &'a [Kind],
    grids: &'a [GridRecord],
}

impl Kinds<'_> {
    /// Whether a kind is the same as one of other kinds: all of it, and the grid that it names.
    fn is_same(self, own: usize, others: Kinds<'_>, other: usize) -> bool {
        let at = |all: Kinds<'_>, kind: usize| {
            let kind = all.kinds.get(kind)?.clone();
            let grid = kind
                .grid
                .and_then(|grid| all.grids.get(grid as usize).cloned());
            Some((Kind { grid: None, ..kind }, grid))
        };
        at(self, own).is_some_and(|kind| Some(kind) == at(others, other))
    }
}

/// The state in which a table was first read: its rows have their numbers by it, so no other one is read under them.
#[derive(Clone, Debug, Default)]
pub(super) struct State(Arc<OnceLock<Seen>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// Size in bytes, and time of the last change.
    File(u64, Option<SystemTime>),
    /// The `ETag`.
    Object(String),
}

impl State {
    fn check(&self, now: &Seen) -> std::io::Result<()> {
        if *self.0.get_or_init(|| now.clone()) == *now {
            return Ok(());
        }
        Err(std::io::Error::other(
            "the table was replaced after it was first read",
        ))
    }

    fn check_file(&self, file: &Metadata) -> std::io::Result<()> {
        self.check(&Seen::File(file.len(), file.modified().ok()))
    }
}

/// A table's bytes.
pub(super) enum AnySource {
    File(Arc<File>, State),
    Bytes(Bytes),
    Remote(RemoteTable),
}

impl TableSource for AnySource {
    fn size(&self) -> std::io::Result<u64> {
        match self {
            Self::File(file, _) => TableSource::size(file.as_ref()),
            Self::Bytes(bytes) => bytes.size(),
            Self::Remote(remote) => Ok(remote.size),
        }
    }

    fn read(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
        match self {
            Self::File(file, state) => {
                let bytes = TableSource::read(file.as_ref(), offset, length)?;
                // After the read: what was written over it before is seen, and what is written later is not in it.
                state.check_file(&file.metadata()?)?;
                Ok(bytes)
            }
            Self::Bytes(bytes) => bytes.read(offset, length),
            Self::Remote(remote) => remote.read(offset, length),
        }
    }
}

/// A table on a server, read by ranges. Not for threads of the runtime: it waits.
#[derive(Debug)]
pub(super) struct RemoteTable {
    storage: Storage,
    runtime: Handle,
    location: Location,
    size: u64,
    state: State,
}

impl RemoteTable {
    fn read(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
        let range = ByteRange {
            offset,
            length: Some(length as u64),
        };
        let read = self.storage.get(&self.location, range, Short::Refuse);
        let fetched = self.runtime.block_on(read).map_err(std::io::Error::other)?;
        if let Some(etag) = fetched.etag {
            self.state.check(&Seen::Object(etag))?;
        }
        Ok(fetched.bytes)
    }
}

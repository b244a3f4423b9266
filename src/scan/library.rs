//! Tables as a mount needs them: what each holds is known from its footer (or the directory's manifest), rows are read when wanted.
//!
//! A table file that is replaced is another part with other row numbers; whoever still shows the old one goes on reading it, since its
//! file is held open. Rows come in blocks, of which the last ones used stay in memory.

use std::collections::HashMap;
use std::fs::File;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use futures::StreamExt as _;
use lru::LruCache;
use tokio::runtime::Handle;

use super::compact::{read_manifest, tables_of};
use super::folder::{SUFFIX, file_in};
use super::save::{SaveError, whole};
use crate::dataset::archive::{Archive, Part, PartLayout, PartSource, RowId, RowSource};
use crate::location::{ByteRange, Location};
use crate::storage::{ErrorKind, Short, Storage};
use crate::table::manifest::{Manifest, TableId};
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

/// Footers that are read at once.
const FOOTERS_AT_ONCE: usize = 64;

/// A table that cannot be shown, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BadTable {
    /// Name of its file.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

/// What a look at the source found.
#[derive(Clone, Debug)]
pub struct Found {
    /// All tables that can be shown.
    pub archive: Arc<Archive>,
    /// Those that cannot.
    pub bad: Vec<BadTable>,
}

/// The tables of a file, a directory or a prefix.
#[derive(Debug)]
pub struct Library {
    source: Location,
    shelf: Arc<Shelf>,
    known: Mutex<HashMap<TableId, Weak<Part>>>,
    layouts: Mutex<Vec<Weak<PartLayout>>>,
    /// Files that may be held open.
    most_open: usize,
}

/// What all parts share.
#[derive(Debug)]
struct Shelf {
    storage: Storage,
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

impl Library {
    /// The tables at a location; `most_open` local files are held open.
    #[must_use]
    pub fn new(source: Location, storage: Storage, runtime: Handle, most_open: usize) -> Self {
        let cache = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        Self {
            source,
            shelf: Arc::new(Shelf {
                storage,
                runtime,
                parts: Mutex::default(),
                blocks: Mutex::new(LruCache::new(cache(BLOCKS))),
                tables: Mutex::new(LruCache::new(cache(TABLES))),
                arrived: Mutex::new(LruCache::new(cache(ARRIVED))),
            }),
            known: Mutex::default(),
            layouts: Mutex::default(),
            most_open,
        }
    }

    /// The rows of all parts that somebody still shows.
    #[must_use]
    pub fn rows(&self) -> Arc<dyn RowSource> {
        Arc::clone(&self.shelf) as Arc<dyn RowSource>
    }

    /// Looks at the source: which tables are there now.
    ///
    /// # Errors
    /// [`SaveError`] if the source itself cannot be read or is not there. A table that cannot be read is told of in
    /// [`Found::bad`].
    pub async fn look(&self) -> Result<Found, SaveError> {
        let (ids, manifest) = self.listed().await?;
        let mut looks = futures::stream::iter(ids)
            .map(|id| {
                let manifest = manifest.as_ref();
                async move {
                    let part = self.part(&id, manifest).await;
                    part.map_err(|reason| BadTable {
                        name: id.name,
                        reason,
                    })
                }
            })
            .buffered(FOOTERS_AT_ONCE);
        let mut archive = Archive::default();
        let mut bad = Vec::new();
        while let Some(part) = looks.next().await {
            match part {
                Ok(part) => archive.parts.push(part),
                Err(table) => bad.push(table),
            }
        }
        Ok(Found {
            archive: Arc::new(archive),
            bad,
        })
    }

    /// The tables of the source as a listing shows them, and the manifest that may know them.
    async fn listed(&self) -> Result<(Vec<TableId>, Option<Manifest>), SaveError> {
        let storage = &self.shelf.storage;
        if self.is_file() {
            let name = self.source.file_name().to_owned();
            if let Some(path) = self.source.to_path() {
                let found = std::fs::metadata(path)
                    .map_err(|_error| SaveError::NotFound(self.source.clone()))?;
                let version = found.modified().ok().map(|at| format!("{at:?}"));
                let size = found.len();
                return Ok((
                    vec![TableId {
                        name,
                        size,
                        version,
                    }],
                    None,
                ));
            }
            let range = ByteRange {
                offset: 0,
                length: Some(1),
            };
            let head = storage.get(&self.source, range, Short::Allow).await?;
            let id = TableId {
                name,
                size: head.object_size.unwrap_or_default(),
                version: head.etag,
            };
            return Ok((vec![id], None));
        }
        if self.source.to_path().is_some_and(|path| !path.exists()) {
            return Err(SaveError::NotFound(self.source.clone()));
        }
        match tables_of(&self.source, storage).await {
            Ok(listed) => {
                let ids: Vec<TableId> = listed
                    .iter()
                    .map(|file| TableId {
                        name: file.location.file_name().to_owned(),
                        size: file.size,
                        version: file.etag.clone(),
                    })
                    .collect();
                let news = {
                    let known = lock(&self.known);
                    ids.iter().filter(|id| !known.contains_key(*id)).count()
                };
                // A manifest spares reading many footers; of few it spares nothing.
                let manifest = match news {
                    0..=2 => None,
                    _ => read_manifest(&self.source, storage).await.ok(),
                };
                Ok((ids, manifest))
            }
            Err(SaveError::Storage(error)) if error.kind() == ErrorKind::Unsupported => {
                let manifest = read_manifest(&self.source, storage).await?;
                let ids = manifest.tables.iter().map(|table| table.id.clone());
                Ok((ids.collect(), Some(manifest)))
            }
            Err(error) => Err(error),
        }
    }

    fn is_file(&self) -> bool {
        match self.source.to_path() {
            Some(path) if path.exists() => !path.is_dir(),
            Some(_) | None => self.source.as_str().ends_with(SUFFIX),
        }
    }

    async fn part(&self, id: &TableId, manifest: Option<&Manifest>) -> Result<Arc<Part>, String> {
        if let Some(part) = lock(&self.known).get(id).and_then(Weak::upgrade) {
            return Ok(part);
        }
        let location = if self.is_file() {
            self.source.clone()
        } else {
            file_in(&self.source, &id.name)
        };
        let pin = self.pin(&location);
        let known = manifest.and_then(|manifest| Some((manifest, manifest.find(id)?)));
        let (layout, runs, complete_runs, rows) = match known {
            Some((manifest, entry)) => (
                self.layout_of_entry(manifest, entry),
                Arc::clone(&entry.runs),
                Arc::clone(&entry.complete_runs),
                entry.rows,
            ),
            None => {
                let bytes = self.source_of(&location, id.size, pin.clone()).await?;
                let opened = tokio::task::spawn_blocking(move || {
                    let file = TableFile::open(bytes)?;
                    let (layout, runs) = PartLayout::of_summary(file.summary());
                    let complete: Arc<[_]> = file.summary().complete_runs.clone().into();
                    Ok((layout, runs, complete, file.summary().rows))
                });
                let opened: Result<_, crate::table::schema::TableError> =
                    opened.await.map_err(|panic| panic.to_string())?;
                let (layout, runs, complete, rows) = opened.map_err(|error| error.to_string())?;
                (self.shared(layout), runs, complete, rows)
            }
        };
        let stored = self.shelf.add(StoredPart {
            base: 0,
            rows,
            location,
            size: id.size,
            pin,
            runs: Arc::clone(&runs),
            layout: Arc::clone(&layout),
            shelf: Arc::downgrade(&self.shelf),
        });
        let part = Arc::new(Part {
            base: stored.base,
            rows,
            layout,
            runs,
            complete_runs,
            source: stored,
        });
        let mut known = lock(&self.known);
        known.retain(|_, part| part.strong_count() > 0);
        known.insert(id.clone(), Arc::downgrade(&part));
        Ok(part)
    }

    /// A local file held open, so that what is shown of it can be read when it is long replaced.
    fn pin(&self, location: &Location) -> Option<Arc<File>> {
        let open = lock(&self.known).len();
        let path = location.to_path().filter(|_| open < self.most_open)?;
        File::open(path).ok().map(Arc::new)
    }

    /// The bytes of a new table: ranges of a local file, and of small remote tables all of them at once.
    async fn source_of(
        &self,
        location: &Location,
        size: u64,
        pin: Option<Arc<File>>,
    ) -> Result<AnySource, String> {
        match (pin, location.to_path()) {
            (Some(file), _) => Ok(AnySource::File(file)),
            (None, Some(path)) => {
                let file = File::open(path).map_err(|error| error.to_string())?;
                Ok(AnySource::File(Arc::new(file)))
            }
            (None, None) if size == 0 => {
                let bytes = whole(location, &self.shelf.storage).await;
                bytes
                    .map(AnySource::Bytes)
                    .map_err(|error| error.to_string())
            }
            (None, None) => Ok(AnySource::Remote(self.shelf.remote(location, size))),
        }
    }

    /// The same layout as some known part's, or a new one.
    fn shared(&self, layout: PartLayout) -> Arc<PartLayout> {
        let mut layouts = lock(&self.layouts);
        layouts.retain(|known| known.strong_count() > 0);
        let known = layouts.iter().rev().filter_map(Weak::upgrade);
        for known in known.take(16) {
            if *known == layout {
                return known;
            }
        }
        let layout = Arc::new(layout);
        layouts.push(Arc::downgrade(&layout));
        layout
    }

    fn layout_of_entry(
        &self,
        manifest: &Manifest,
        entry: &crate::table::manifest::TableEntry,
    ) -> Arc<PartLayout> {
        self.shared(PartLayout::of_entry(manifest, entry))
    }
}

impl Shelf {
    /// Gives a part's rows their numbers.
    fn add(&self, part: StoredPart) -> Arc<StoredPart> {
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

    fn remote(&self, location: &Location, size: u64) -> RemoteTable {
        RemoteTable {
            storage: self.storage.clone(),
            runtime: self.runtime.clone(),
            location: location.clone(),
            size,
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
struct StoredPart {
    base: RowId,
    rows: u64,
    location: Location,
    size: u64,
    pin: Option<Arc<File>>,
    runs: Arc<[Instant]>,
    layout: Arc<PartLayout>,
    shelf: Weak<Shelf>,
}

impl StoredPart {
    fn open(&self, shelf: &Shelf) -> Result<Arc<TableFile>, String> {
        if let Some(open) = lock(&shelf.tables).get(&self.base) {
            return Ok(Arc::clone(open));
        }
        let source = match (&self.pin, self.location.to_path()) {
            (Some(file), _) => AnySource::File(Arc::clone(file)),
            (None, Some(path)) => {
                let file =
                    File::open(path).map_err(|error| format!("{}: {error}", self.location))?;
                AnySource::File(Arc::new(file))
            }
            (None, None) => AnySource::Remote(shelf.remote(&self.location, self.size)),
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

/// A table's bytes.
enum AnySource {
    File(Arc<File>),
    Bytes(Bytes),
    Remote(RemoteTable),
}

impl TableSource for AnySource {
    fn size(&self) -> std::io::Result<u64> {
        match self {
            Self::File(file) => TableSource::size(file.as_ref()),
            Self::Bytes(bytes) => bytes.size(),
            Self::Remote(remote) => Ok(remote.size),
        }
    }

    fn read(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
        match self {
            Self::File(file) => TableSource::read(file.as_ref(), offset, length),
            Self::Bytes(bytes) => bytes.read(offset, length),
            Self::Remote(remote) => remote.read(offset, length),
        }
    }
}

/// A table on a server, read by ranges. Not for threads of the runtime: it waits.
#[derive(Debug)]
struct RemoteTable {
    storage: Storage,
    runtime: Handle,
    location: Location,
    size: u64,
}

impl RemoteTable {
    fn read(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
        let range = ByteRange {
            offset,
            length: Some(length as u64),
        };
        let read = self.storage.get(&self.location, range, Short::Refuse);
        let fetched = self.runtime.block_on(read).map_err(std::io::Error::other)?;
        Ok(fetched.bytes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Tables as a mount needs them: what each holds is known from its footer (or the directory's manifest), rows are read when wanted.
//!
//! A table file that is replaced is another part with other row numbers; whoever still shows the old one goes on reading it, since its
//! file is held open. Rows come in blocks, of which the last ones used stay in memory.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, Weak};

use futures::StreamExt as _;
use tokio::runtime::Handle;

use super::compact::{read_manifest, tables_of};
use super::folder::{SUFFIX, file_in};
use super::save::{SaveError, whole};
use super::shelf::{AnySource, Shelf, State, StoredPart};
use crate::dataset::archive::{Archive, Part, PartCounts, PartLayout, RowSource};
use crate::location::{ByteRange, Location};
use crate::storage::{ErrorKind, Short, Storage};
use crate::sync::lock;
use crate::table::manifest::{Manifest, TableEntry, TableId};
use crate::table::read::TableFile;

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

impl Library {
    /// The tables at a location; `most_open` local files are held open.
    #[must_use]
    pub fn new(source: Location, storage: Storage, runtime: Handle, most_open: usize) -> Self {
        Self {
            source,
            shelf: Arc::new(Shelf::new(storage, runtime)),
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
        let manifest = manifest.map(|manifest| KnownTables {
            layouts: Mutex::new(vec![None; manifest.layouts.len()]),
            manifest,
        });
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

    async fn part(
        &self,
        id: &TableId,
        manifest: Option<&KnownTables>,
    ) -> Result<Arc<Part>, String> {
        if let Some(part) = lock(&self.known).get(id).and_then(Weak::upgrade) {
            return Ok(part);
        }
        let location = if self.is_file() {
            self.source.clone()
        } else {
            file_in(&self.source, &id.name)
        };
        let (pin, state) = (self.pin(&location), State::default());
        let known = manifest.and_then(|known| Some((known, known.manifest.find(id)?)));
        let (layout, runs, complete_runs, rows, counts) = match known {
            Some((known, entry)) => (
                self.layout_of_entry(known, entry),
                Arc::clone(&entry.runs),
                Arc::clone(&entry.complete_runs),
                entry.rows,
                PartCounts {
                    objects: entry.objects,
                    statuses: entry.statuses.clone(),
                },
            ),
            None => {
                let bytes = self
                    .source_of(&location, id.size, pin.clone(), &state)
                    .await?;
                let opened = tokio::task::spawn_blocking(move || {
                    let file = TableFile::open(bytes)?;
                    let (layout, runs) = PartLayout::of_summary(file.summary());
                    let complete: Arc<[_]> = file.summary().complete_runs.clone().into();
                    let counts = PartCounts {
                        objects: file.summary().objects,
                        statuses: file.summary().statuses.clone(),
                    };
                    Ok((layout, runs, complete, file.summary().rows, counts))
                });
                let opened: Result<_, crate::table::schema::TableError> =
                    opened.await.map_err(|panic| panic.to_string())?;
                let (layout, runs, complete, rows, counts) =
                    opened.map_err(|error| error.to_string())?;
                (self.shared(layout), runs, complete, rows, counts)
            }
        };
        let stored = self.shelf.add(StoredPart {
            base: 0,
            rows,
            location,
            size: id.size,
            state,
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
            counts,
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
        state: &State,
    ) -> Result<AnySource, String> {
        match (pin, location.to_path()) {
            (Some(file), _) => Ok(AnySource::File(file, state.clone())),
            (None, Some(path)) => {
                let file = File::open(path).map_err(|error| error.to_string())?;
                Ok(AnySource::File(Arc::new(file), state.clone()))
            }
            (None, None) if size == 0 => {
                let bytes = whole(location, &self.shelf.storage).await;
                bytes
                    .map(AnySource::Bytes)
                    .map_err(|error| error.to_string())
            }
            (None, None) => Ok(AnySource::Remote(self.shelf.remote(location, size, state))),
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

    fn layout_of_entry(&self, known: &KnownTables, entry: &TableEntry) -> Arc<PartLayout> {
        let mut layouts = lock(&known.layouts);
        let at = usize::try_from(entry.layout).ok();
        let slot = at.and_then(|at| layouts.get_mut(at));
        let make = || self.shared(PartLayout::of_entry(&known.manifest, entry));
        slot.map_or_else(make, |slot| Arc::clone(slot.get_or_insert_with(make)))
    }
}

/// A manifest, and its layouts that were unfolded: thousands of tables share one.
struct KnownTables {
    manifest: Manifest,
    layouts: Mutex<Vec<Option<Arc<PartLayout>>>>,
}

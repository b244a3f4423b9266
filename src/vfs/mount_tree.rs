//! The tree of a mounted table.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use futures::FutureExt as _;

use super::inode::{Address, NODES, STORES};
use super::metrics::metrics;
use super::nodes::{Item, StoreNodes};
use super::status::{latest, status};
use super::top::{Named, Place, ROOT_PLACES, STATUS_FILES, find, stores};
use super::tree::{
    Answer, Attributes, Entry, FailureKind, Inode, Missing, NAME_MAX, NodeKind, ReadFailure, Tree,
};
use crate::dataset::{CellState, Collection};
use crate::slices::{BestRule, Layout, SliceKind, StoreView};
use crate::store::{FieldReader, Read};
use crate::time::Instant;
use crate::zarr::Format;

/// How long the kernel may keep what never changes.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long it may keep the rest.
const BRIEFLY: Duration = Duration::from_secs(1);
/// How old a status document may be.
const STATUS_AGE: Duration = Duration::from_millis(500);

/// Settings of a tree.
#[derive(Clone, Debug)]
pub struct TreeConfig {
    /// What is mounted, as the user named it; shown in the status file.
    pub source: String,
    /// What BestAvailable takes.
    pub best: BestRule,
    /// How the arrays of a store are laid out.
    pub layout: Layout,
    /// Version of the metadata documents.
    pub format: Format,
    /// Modification time of all files, seconds since 1970; constant while the mount lives.
    pub modified_seconds: i64,
}

/// The file tree of a mounted table.
#[derive(Debug)]
pub struct MountTree {
    config: TreeConfig,
    reader: Arc<FieldReader>,
    /// The mounted collection, then those as they stood at some instant.
    collections: RwLock<Collections>,
    stores: RwLock<Stores>,
    /// Documents of `.gribfs/` as last made: a reader's pieces come from one.
    documents: Mutex<HashMap<Place, (Clock, Bytes)>>,
    mounted: Clock,
    totals: (u64, u64),
}

#[derive(Debug)]
struct Collections {
    all: Vec<(Option<Instant>, Arc<Collection>)>,
}

#[derive(Debug, Default)]
struct Stores {
    /// Collection, kind and nodes; the number of a store is its position + 1.
    all: Vec<(usize, SliceKind, Arc<StoreNodes>)>,
    numbers: HashMap<(usize, SliceKind), usize>,
}

impl MountTree {
    /// The tree of a collection whose fields `reader` reads.
    #[must_use]
    pub fn new(collection: Arc<Collection>, reader: Arc<FieldReader>, config: TreeConfig) -> Self {
        let whole = StoreView::new(SliceKind::RunTime, Arc::clone(&collection), config.best);
        let whole = StoreNodes::new(whole, config.layout, config.format);
        let totals = whole.totals();
        Self {
            config,
            reader,
            collections: RwLock::new(Collections {
                all: vec![(None, collection)],
            }),
            stores: RwLock::default(),
            documents: Mutex::default(),
            mounted: Clock::now(),
            totals,
        }
    }

    fn collection(&self, number: usize) -> Option<Arc<Collection>> {
        let collections = self
            .collections
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        collections
            .all
            .get(number)
            .map(|(_, collection)| Arc::clone(collection))
    }

    /// Number of the collection as it stood at an instant; built when first looked up.
    fn collection_as_of(&self, instant: Instant) -> Option<usize> {
        let known = |all: &[(Option<Instant>, Arc<Collection>)]| {
            all.iter().position(|(as_of, _)| *as_of == Some(instant))
        };
        let base = {
            let collections = self
                .collections
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(number) = known(&collections.all) {
                return Some(number);
            }
            Arc::clone(&collections.all.first()?.1)
        };
        // As it stood then, and no later than what is mounted itself.
        let limit = base.as_of.map_or(instant, |limit| limit.min(instant));
        let built = Collection::build(Arc::clone(&base.table), Some(limit));
        let built = Arc::new(base.selection.apply(built));
        let mut collections = self
            .collections
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known(&collections.all).or_else(|| {
            (collections.all.len() < NODES).then(|| {
                collections.all.push((Some(instant), built));
                collections.all.len() - 1
            })
        })
    }

    fn store(&self, number: usize) -> Option<(usize, SliceKind, Arc<StoreNodes>)> {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        stores
            .all
            .get(number.checked_sub(1)?)
            .map(|(at, kind, nodes)| (*at, *kind, Arc::clone(nodes)))
    }

    /// Number of a store; made when first looked up.
    fn store_number(&self, collection: usize, kind: SliceKind) -> Option<usize> {
        let key = (collection, kind);
        if let Some(number) = self
            .stores
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .numbers
            .get(&key)
        {
            return Some(*number);
        }
        let view = StoreView::new(kind, self.collection(collection)?, self.config.best);
        let nodes = StoreNodes::new(view, self.config.layout, self.config.format);
        let mut stores = self.stores.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = stores.numbers.get(&key) {
            return Some(*number);
        }
        if stores.all.len() + 1 >= STORES {
            return None;
        }
        stores.all.push((collection, kind, Arc::new(nodes)));
        let number = stores.all.len();
        stores.numbers.insert(key, number);
        Some(number)
    }

    /// Counters in the text format of Prometheus, as in `.gribfs/metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        metrics(&self.reader, self.mounted.elapsed())
    }

    /// A document of `.gribfs/`: a new one if it is wanted fresh and the last is not.
    fn document(&self, place: Place, fresh: bool) -> Bytes {
        let mut documents: MutexGuard<'_, _> = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match documents.get(&place) {
            Some((at, bytes)) if !fresh || at.elapsed() < STATUS_AGE => bytes.clone(),
            Some(_) | None => {
                let text = if place == Place::MetricsFile {
                    self.metrics()
                } else {
                    let up = self.mounted.elapsed();
                    self.collection(0)
                        .map(|collection| {
                            status(&self.config.source, &collection, &self.reader, up)
                        })
                        .unwrap_or_default()
                };
                let bytes = Bytes::from(text);
                documents.insert(place, (Clock::now(), bytes.clone()));
                bytes
            }
        }
    }

    fn directory(&self, inode: Inode, ttl: Duration) -> Attributes {
        Attributes {
            inode,
            kind: NodeKind::Directory,
            size: 0,
            modified_seconds: self.config.modified_seconds,
            ttl,
            immutable: true,
        }
    }

    fn file(&self, inode: Inode, size: u64, immutable: bool) -> Attributes {
        let ttl = if immutable { FOREVER } else { Duration::ZERO };
        Attributes {
            inode,
            kind: NodeKind::File,
            size,
            modified_seconds: self.config.modified_seconds,
            ttl,
            immutable,
        }
    }

    fn attributes_at(&self, address: Address) -> Result<Attributes, Missing> {
        let inode = address.inode();
        if address.store != 0 {
            let (.., nodes) = self.store(address.store).ok_or(Missing::NoSuchInode)?;
            return match nodes
                .item(address.node, address.local)
                .ok_or(Missing::NoSuchInode)?
            {
                Item::Directory => Ok(self.directory(inode, FOREVER)),
                Item::Bytes(bytes) => Ok(self.file(inode, bytes.len() as u64, true)),
                Item::Deferred(deferred) => Ok(self.file(inode, deferred.length, true)),
                Item::Field { bytes, .. } => Ok(self.file(inode, bytes, true)),
            };
        }
        let place = Place::of(address.local).ok_or(Missing::NoSuchInode)?;
        let collection = self.collection(address.node).ok_or(Missing::NoSuchInode)?;
        Ok(match place {
            Place::Latest => self.file(inode, latest(&collection).len() as u64, false),
            Place::StatusFile | Place::MetricsFile => {
                self.file(inode, self.document(place, true).len() as u64, false)
            }
            Place::Root
            | Place::Runs
            | Place::Leads
            | Place::Valid
            | Place::AsOf
            | Place::Status => self.directory(inode, BRIEFLY),
        })
    }

    /// A reader has come to a chunk: fetches what it will want next.
    fn look_ahead(&self, address: Address, nodes: &StoreNodes, waited: bool) {
        let Some((grid, linear)) = nodes.place(address.node, address.local) else {
            return;
        };
        let array = Address {
            local: 0,
            ..address
        };
        let row_of = |chunk| match nodes.field(address.node, chunk)? {
            CellState::Present(row) => Some(row),
            CellState::Pending(_) | CellState::Gap => None,
        };
        self.reader
            .step(array.inode(), grid, linear, waited, row_of);
    }

    /// `offset..offset + size` of bytes in memory.
    fn slice(bytes: &Bytes, offset: u64, size: usize) -> Bytes {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        bytes.slice(start..start.saturating_add(size).min(bytes.len()))
    }
}

impl Tree for MountTree {
    fn lookup(&self, parent: Inode, name: &OsStr) -> Result<Attributes, Missing> {
        if name.len() > NAME_MAX {
            return Err(Missing::NameTooLong);
        }
        let address = Address::of(parent);
        // What a mount shows never changes but for the folders of stores.
        let none = Missing::NoSuchName {
            ttl: if address.store == 0 { BRIEFLY } else { FOREVER },
        };
        let name = name.to_str().ok_or(none)?;
        if address.store != 0 {
            let (.., nodes) = self.store(address.store).ok_or(Missing::NoSuchInode)?;
            if address.local != 0 {
                return Err(Missing::NotADirectory);
            }
            let (node, local) = nodes.find(address.node, name).ok_or(none)?;
            return self.attributes_at(Address {
                store: address.store,
                node,
                local,
            });
        }
        let place = Place::of(address.local).ok_or(Missing::NoSuchInode)?;
        if !place.is_directory() {
            return Err(Missing::NotADirectory);
        }
        let collection = self.collection(address.node).ok_or(Missing::NoSuchInode)?;
        let target = match find(place, name, &collection, address.node == 0).ok_or(none)? {
            Named::Place(place) => Address {
                store: 0,
                node: address.node,
                local: place as u64,
            },
            Named::Store(kind) => Address {
                store: self.store_number(address.node, kind).ok_or(none)?,
                node: 0,
                local: 0,
            },
            Named::AsOf(instant) => Address {
                store: 0,
                node: self.collection_as_of(instant).ok_or(none)?,
                local: Place::Root as u64,
            },
        };
        self.attributes_at(target)
    }

    fn attributes(&self, inode: Inode) -> Result<Attributes, Missing> {
        self.attributes_at(Address::of(inode))
    }

    fn parent(&self, inode: Inode) -> Result<Inode, Missing> {
        let address = Address::of(inode);
        let above = |node, place: Place| {
            Address {
                store: 0,
                node,
                local: place as u64,
            }
            .inode()
        };
        if address.store == 0 {
            let place = Place::of(address.local).ok_or(Missing::NoSuchInode)?;
            let as_of_root = place == Place::Root && address.node != 0;
            return Ok(if as_of_root {
                above(0, Place::AsOf)
            } else {
                above(address.node, place.parent())
            });
        }
        let (collection, kind, nodes) = self.store(address.store).ok_or(Missing::NoSuchInode)?;
        if address.node == 0 && address.local == 0 {
            return Ok(above(
                collection,
                match kind {
                    SliceKind::Run(_) => Place::Runs,
                    SliceKind::Lead(_) => Place::Leads,
                    SliceKind::Valid(_) => Place::Valid,
                    SliceKind::RunTime
                    | SliceKind::ValidTime
                    | SliceKind::Horizon
                    | SliceKind::BestAvailable => Place::Root,
                },
            ));
        }
        let node = if address.local == 0 {
            nodes.parent(address.node).ok_or(Missing::NoSuchInode)?
        } else {
            address.node
        };
        Ok(Address {
            store: address.store,
            node,
            local: 0,
        }
        .inode())
    }

    fn list(
        &self,
        directory: Inode,
        offset: u64,
        sink: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), Missing> {
        let address = Address::of(directory);
        if address.store != 0 {
            let (.., nodes) = self.store(address.store).ok_or(Missing::NoSuchInode)?;
            if address.local != 0 {
                return Err(Missing::NotADirectory);
            }
            nodes.list(address.node, offset, &mut |listed| {
                let inode = Address {
                    store: address.store,
                    node: listed.node,
                    local: listed.local,
                }
                .inode();
                let kind = if listed.directory {
                    NodeKind::Directory
                } else {
                    NodeKind::File
                };
                sink(Entry {
                    next_offset: listed.next,
                    inode,
                    kind,
                    name: listed.name,
                })
            });
            return Ok(());
        }
        let place = Place::of(address.local).ok_or(Missing::NoSuchInode)?;
        if !place.is_directory() {
            return Err(Missing::NotADirectory);
        }
        let collection = self.collection(address.node).ok_or(Missing::NoSuchInode)?;
        let mut names: Vec<(String, Named)> = Vec::new();
        for kind in stores(place, &collection) {
            let path = kind.to_string();
            let name = path.rsplit('/').next().unwrap_or_default();
            names.push((format!("{name}.zarr"), Named::Store(kind)));
        }
        if place == Place::Root {
            let shown = ROOT_PLACES
                .iter()
                .filter(|(.., base_only)| address.node == 0 || !base_only);
            names.extend(shown.map(|(place, name, _)| ((*name).to_owned(), Named::Place(*place))));
        }
        if place == Place::Status {
            let files = STATUS_FILES.iter();
            names.extend(files.map(|(place, name)| ((*name).to_owned(), Named::Place(*place))));
        }
        for (number, (name, named)) in names
            .into_iter()
            .enumerate()
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        {
            let (target, kind) = match named {
                Named::Place(place) => {
                    let kind = if place.is_directory() {
                        NodeKind::Directory
                    } else {
                        NodeKind::File
                    };
                    (
                        Address {
                            store: 0,
                            node: address.node,
                            local: place as u64,
                        },
                        kind,
                    )
                }
                // A listing makes no stores: the number shown is the folder's own, lookups tell the true one.
                Named::Store(_) | Named::AsOf(_) => (address, NodeKind::Directory),
            };
            if !sink(Entry {
                next_offset: number as u64 + 1,
                inode: target.inode(),
                kind,
                name,
            }) {
                break;
            }
        }
        Ok(())
    }

    fn open(&self, inode: Inode) -> Result<Attributes, Missing> {
        let attributes = self.attributes(inode)?;
        if attributes.kind == NodeKind::Directory {
            Err(Missing::IsADirectory)
        } else {
            Ok(attributes)
        }
    }

    fn read(&self, inode: Inode, offset: u64, size: usize) -> Answer {
        let address = Address::of(inode);
        let lost = || {
            let message = format!("no file has the inode {inode}");
            Answer::Now(Err(ReadFailure {
                kind: FailureKind::Internal,
                message,
                object: None,
            }))
        };
        if address.store == 0 {
            return match (Place::of(address.local), self.collection(address.node)) {
                (Some(Place::Latest), Some(collection)) => Answer::Now(Ok(Self::slice(
                    &Bytes::from(latest(&collection)),
                    offset,
                    size,
                ))),
                (Some(place @ (Place::StatusFile | Place::MetricsFile)), _) => {
                    Answer::Now(Ok(Self::slice(&self.document(place, false), offset, size)))
                }
                _ => lost(),
            };
        }
        let Some((.., nodes)) = self.store(address.store) else {
            return lost();
        };
        let Some(item) = nodes.item(address.node, address.local) else {
            return lost();
        };
        match item {
            Item::Directory => lost(),
            Item::Bytes(bytes) => Answer::Now(Ok(Self::slice(&bytes, offset, size))),
            Item::Deferred(deferred) => match deferred.source.ready() {
                Some(bytes) => Answer::Now(Ok(Self::slice(&bytes, offset, size))),
                None => {
                    let made = self.reader.compute(move || deferred.source.make());
                    Answer::Later(
                        made.map(move |bytes| bytes.map(|bytes| Self::slice(&bytes, offset, size)))
                            .boxed(),
                    )
                }
            },
            Item::Field { bytes, .. } if offset >= bytes => Answer::Now(Ok(Bytes::new())),
            Item::Field {
                state: CellState::Present(row),
                bytes,
            } => {
                let wanted = size.min(usize::try_from(bytes - offset).unwrap_or(usize::MAX));
                let read = self.reader.read(row, wanted as u64);
                if offset == 0 {
                    let waited = matches!(read, Read::Later(_));
                    self.look_ahead(address, &nodes, waited);
                }
                match read {
                    Read::Now(field) => {
                        Answer::Now(field.map(|field| Self::slice(&field, offset, size)))
                    }
                    Read::Later(flight) => Answer::Later(
                        flight
                            .map(move |field| field.map(|field| Self::slice(&field, offset, size)))
                            .boxed(),
                    ),
                }
            }
            Item::Field {
                state: CellState::Pending(row),
                ..
            } => Answer::Now(Err(self.reader.pending(row))),
            Item::Field {
                state: CellState::Gap,
                ..
            } => lost(),
        }
    }

    fn totals(&self) -> (u64, u64) {
        self.totals
    }
}

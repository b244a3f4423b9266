//! The tree of a mounted table.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;

use super::collections::{Collections, Follow, Scope};
use super::inode::Address;
use super::metrics::metrics;
use super::nodes::{Item, StoreNodes};
use super::status::{Tables, latest, status};
use super::stores::{StoreKey, Stores};
use super::top::{Named, Place, exists, names, read_name};
use super::tree::{
    Answer, Attributes, Entry, FailureKind, Inode, Missing, NAME_MAX, NodeKind, ReadFailure, Tree,
    Usage,
};
use crate::dataset::horizontal::dimensions;
use crate::dataset::{Archive, Collection};
use crate::slices::{BestRule, Layout, SliceKind, StoreView};
use crate::store::FieldReader;
use crate::sync::lock;
use crate::time::Instant;
use crate::zarr::Format;

/// How long the kernel may keep what never changes.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long it may keep the rest.
const BRIEFLY: Duration = Duration::from_secs(1);
/// How long it may believe that a run is not there which may come any moment: short, but it spares asking twice for one open.
const AT_ONCE: Duration = Duration::from_millis(50);

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
    /// How the tables are followed, if they are.
    pub follow: Option<Follow>,
    /// Modification time of all files, seconds since 1970; constant while the mount lives.
    pub modified_seconds: i64,
}

/// The file tree of a mounted table.
#[derive(Debug)]
pub struct MountTree {
    pub(super) config: TreeConfig,
    pub(super) reader: Arc<FieldReader>,
    collections: Collections,
    stores: Stores,
    tables: Mutex<Tables>,
    usage: Usage,
    mounted: Clock,
    totals: (u64, u64),
}

impl MountTree {
    /// The tree of a collection whose fields `reader` reads.
    #[must_use]
    pub fn new(collection: Arc<Collection>, reader: Arc<FieldReader>, config: TreeConfig) -> Self {
        let tables = Tables {
            followed: config.follow.is_some(),
            ..Tables::default()
        };
        Self {
            totals: totals(&collection),
            collections: Collections::new(collection, config.follow),
            stores: Stores::new(),
            tables: Mutex::new(tables),
            usage: Usage::default(),
            mounted: Clock::now(),
            config,
            reader,
        }
    }

    /// Shows what has come to the tables, `moment` being now: new names appear, what is there stays as it is. `bad` are tables that
    /// cannot be shown, with the reason. Gives the runs that came. May take time.
    pub fn renew(
        &self,
        archive: Arc<Archive>,
        bad: Vec<(String, String)>,
        moment: Instant,
    ) -> Vec<Instant> {
        self.note_bad(bad);
        self.collections.renew(archive, moment)
    }

    /// Notes the tables that cannot be shown, and why.
    pub fn note_bad(&self, bad: Vec<(String, String)>) {
        let mut tables = lock(&self.tables);
        tables.bad = bad;
        tables.failure = None;
    }

    /// Notes that the tables cannot be looked at; what is shown stays.
    pub fn cannot_look(&self, reason: String) {
        lock(&self.tables).failure = Some(reason);
    }

    fn collection(&self, number: usize) -> Result<Arc<Collection>, Missing> {
        self.collections.get(number).ok_or(Missing::NoSuchInode)
    }

    pub(super) fn store(&self, number: usize) -> Result<Arc<StoreNodes>, Missing> {
        let make = |(collection, kind)| {
            let view = StoreView::new(kind, self.collections.get(collection)?, self.config.best);
            Some(StoreNodes::new(
                view,
                self.config.layout,
                self.config.format,
            ))
        };
        self.stores.get(number, make).ok_or(Missing::NoSuchInode)
    }

    /// What a name above the stores stands for: a store's key, or a place.
    fn resolve(&self, place: Place, name: &str, number: usize) -> Option<Resolved> {
        let above = |node, place: Place| {
            Resolved::Above(Address {
                store: 0,
                node,
                local: place as u64,
            })
        };
        match read_name(place, name, number == 0)? {
            Named::Place(place) => Some(above(number, place)),
            Named::AsOf(instant) => Some(above(self.collections.as_of(instant)?, Place::Root)),
            Named::Store(SliceKind::Run(run)) if number == 0 => {
                let own = self.collections.of_run(run)?;
                Some(Resolved::Store((own, SliceKind::Run(run))))
            }
            Named::Store(kind) => {
                let collection = self.collections.get(number)?;
                exists(kind, &collection).then_some(Resolved::Store((number, kind)))
            }
        }
    }

    /// Counters in the text format of Prometheus, as in `.gribfs/metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        metrics(self.reader.as_ref(), self.mounted.elapsed())
    }

    /// A document of `.gribfs/`, as of now.
    pub(super) fn document(&self, place: Place) -> Bytes {
        let up = self.mounted.elapsed();
        let text = if place == Place::MetricsFile {
            self.metrics()
        } else {
            let tables = lock(&self.tables).clone();
            let source = &self.config.source;
            status(
                source,
                &self.collections,
                &tables,
                &self.reader,
                &self.usage,
                up,
            )
        };
        Bytes::from(text)
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
            if address.local == 0 && address.node == 0 {
                let known = self.stores.key(address.store).ok_or(Missing::NoSuchInode);
                return known.map(|_| self.directory(inode, FOREVER));
            }
            let item = self
                .store(address.store)?
                .item(address.node, address.local)
                .ok_or(Missing::NoSuchInode)?;
            return Ok(match item {
                Item::Directory => self.directory(inode, FOREVER),
                Item::Bytes(bytes) => self.file(inode, bytes.len() as u64, true),
                Item::Deferred(deferred) => self.file(inode, deferred.length, true),
                Item::Field { bytes, .. } => self.file(inode, bytes, true),
            });
        }
        let place = Place::of(address.local).ok_or(Missing::NoSuchInode)?;
        if self.collections.scope(address.node).is_none() {
            return Err(Missing::NoSuchInode);
        }
        Ok(match place {
            Place::Latest => self.file(inode, self.latest(address.node)?.len() as u64, false),
            Place::StatusFile | Place::MetricsFile => {
                self.file(inode, self.document(place).len() as u64, false)
            }
            Place::Root
            | Place::Runs
            | Place::Leads
            | Place::Valid
            | Place::AsOf
            | Place::Status => self.directory(inode, BRIEFLY),
        })
    }

    /// The text of `latest` of a collection.
    pub(super) fn latest(&self, number: usize) -> Result<String, Missing> {
        if number == 0 {
            return Ok(latest(self.collections.latest()));
        }
        let collection = self.collection(number)?;
        let is_complete = |run: &&Instant| collection.archive.is_complete(**run);
        let newest = collection.runs.iter().rfind(is_complete);
        Ok(latest(newest.or(collection.runs.last()).copied()))
    }

    fn list_store(
        &self,
        address: Address,
        offset: u64,
        sink: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Missing> {
        if address.local != 0 {
            return Err(Missing::NotADirectory);
        }
        self.store(address.store)?
            .list(address.node, offset, &mut |listed| {
                let inode = Address {
                    store: address.store,
                    node: listed.node,
                    local: listed.local,
                };
                sink(Entry {
                    next_offset: listed.next,
                    inode: inode.inode(),
                    kind: kind_of(listed.directory),
                    name: listed.name,
                })
            });
        Ok(())
    }

    fn list_above(
        &self,
        address: Address,
        offset: u64,
        sink: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Missing> {
        let place = Place::of(address.local).ok_or(Missing::NoSuchInode)?;
        if !place.is_directory() {
            return Err(Missing::NotADirectory);
        }
        let collection = self.collection(address.node)?;
        let is_mounted = address.node == 0;
        let runs = if is_mounted {
            self.collections.runs()
        } else {
            collection.runs.clone()
        };
        let instants = self.collections.instants();
        let names = names(place, &collection, is_mounted, &runs, &instants);
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (number, (name, named)) in (1..).zip(names).skip(skipped) {
            // A listing makes no stores: the number shown is the folder's own, lookups tell the true one.
            let (local, kind) = match named {
                Named::Place(place) => (place as u64, kind_of(place.is_directory())),
                Named::Store(_) | Named::AsOf(_) => (address.local, NodeKind::Directory),
            };
            let entry = Entry {
                next_offset: number,
                inode: Address { local, ..address }.inode(),
                kind,
                name: &name,
            };
            if !sink(entry) {
                break;
            }
        }
        Ok(())
    }
}

/// What a name above the stores leads to.
enum Resolved {
    Above(Address),
    Store(StoreKey),
}

impl Tree for MountTree {
    fn is_ready(&self, inode: Inode, name: Option<&OsStr>) -> bool {
        let address = Address::of(inode);
        if address.store != 0 {
            return self.stores.is_made(address.store);
        }
        if !self.collections.is_built(address.node) {
            return false;
        }
        let (Some(place), Some(name)) = (Place::of(address.local), name.and_then(OsStr::to_str))
        else {
            return true;
        };
        match self.resolve(place, name, address.node) {
            Some(Resolved::Store(key)) => {
                let known = self.stores.known(key);
                known.is_some_and(|number| self.stores.is_made(number))
            }
            Some(Resolved::Above(_)) | None => true,
        }
    }

    fn lookup(&self, parent: Inode, name: &OsStr) -> Result<Attributes, Missing> {
        if name.len() > NAME_MAX {
            return Err(Missing::NameTooLong);
        }
        let address = Address::of(parent);
        // What a mount shows never changes but for the folders of stores.
        let none = Missing::NoSuchName {
            ttl: match (address.store, self.config.follow) {
                (0, Some(_)) => AT_ONCE,
                (0, None) => BRIEFLY,
                _ => FOREVER,
            },
        };
        let name = name.to_str().ok_or(none)?;
        if address.store != 0 {
            if address.local != 0 {
                return Err(Missing::NotADirectory);
            }
            let found = self.store(address.store)?.find(address.node, name);
            let (node, local) = found.ok_or(none)?;
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
        match self.resolve(place, name, address.node).ok_or(none)? {
            Resolved::Above(address) => self.attributes_at(address),
            Resolved::Store(key) => {
                let store = self.stores.number(key).ok_or(none)?;
                // Made now, where that may take time: what follows is asked in a hurry.
                self.store(store)?;
                self.attributes_at(Address {
                    store,
                    node: 0,
                    local: 0,
                })
            }
        }
    }

    fn attributes(&self, inode: Inode) -> Result<Attributes, Missing> {
        self.attributes_at(Address::of(inode))
    }

    fn parent(&self, inode: Inode) -> Result<Inode, Missing> {
        let address = Address::of(inode);
        let above = |node, place: Place| {
            let address = Address {
                store: 0,
                node,
                local: place as u64,
            };
            Ok(address.inode())
        };
        if address.store == 0 {
            let place = Place::of(address.local).ok_or(Missing::NoSuchInode)?;
            return if place == Place::Root && address.node != 0 {
                above(0, Place::AsOf)
            } else {
                above(address.node, place.parent())
            };
        }
        if address.node == 0 && address.local == 0 {
            let key = self.stores.key(address.store);
            let (collection, kind) = key.ok_or(Missing::NoSuchInode)?;
            // A run that came later lies beside the others.
            let node = match self.collections.scope(collection) {
                Some(Scope::Run(_)) => 0,
                Some(Scope::Mounted | Scope::AsOf(_)) | None => collection,
            };
            return above(
                node,
                match kind {
                    SliceKind::Run(_) => Place::Runs,
                    SliceKind::Lead(_) => Place::Leads,
                    SliceKind::Valid(_) => Place::Valid,
                    SliceKind::RunTime
                    | SliceKind::BestAvailable
                    | SliceKind::ValidTime
                    | SliceKind::Horizon => Place::Root,
                },
            );
        }
        let nodes = self.store(address.store)?;
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
        sink: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Missing> {
        let address = Address::of(directory);
        if address.store == 0 {
            self.list_above(address, offset, sink)
        } else {
            self.list_store(address, offset, sink)
        }
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
        let answer = if address.store == 0 {
            self.read_above(address, offset, size)
        } else {
            self.read_item(address, offset, size)
        };
        answer.unwrap_or_else(|| {
            Answer::Now(Err(ReadFailure {
                kind: FailureKind::Internal,
                message: format!("no file has the inode {inode}"),
                object: None,
            }))
        })
    }

    fn usage(&self) -> Option<&Usage> {
        Some(&self.usage)
    }

    fn totals(&self) -> (u64, u64) {
        self.totals
    }
}

/// Bytes and number of the chunk files of a collection.
fn totals(collection: &Collection) -> (u64, u64) {
    let mut totals = (0_u64, 0_u64);
    for group in &collection.groups {
        let shape = dimensions(&group.grid, group.crop.as_ref());
        let points: u64 = shape.iter().map(|(_, length)| length).product();
        let cells = group.arrays.iter().map(|array| array.cells.len() as u64);
        let cells: u64 = cells.sum();
        totals.0 = totals.0.saturating_add(cells.saturating_mul(points * 4));
        totals.1 = totals.1.saturating_add(cells);
    }
    totals
}

const fn kind_of(is_directory: bool) -> NodeKind {
    if is_directory {
        NodeKind::Directory
    } else {
        NodeKind::File
    }
}

//! The tree of a mounted reference set: its own hierarchy, decoded.
//!
//! `t2m/3.0.0` is looked up by its number in the array's references; its size follows from `.zarray`, or from the reference where
//! bytes are handed on as they are.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use futures::FutureExt as _;
use serde_json::json;

use super::metrics::metrics;
use super::status::{disk, failures, origins};
use super::tree::{
    Answer, Attributes, Entry, FailureKind, Inode, Missing, NAME_MAX, NodeKind, ReadFailure, Tree,
    Usage,
};
use crate::refs::{ArrayInfo, Kind, Node, Target};
use crate::store::{Read, RefKey, RefReader};
use crate::zarr::key::ChunkKeys;

/// How long the kernel may keep what never changes, and the rest.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
const BRIEFLY: Duration = Duration::from_secs(1);

const LOCAL_BITS: u32 = 43;
/// Local numbers below this are documents; the rest are chunks or files.
const FIRST_CHUNK: u64 = 8;
/// The node `.gribfs`: 0 is the directory, then its files.
const STATUS: usize = (1 << 20) - 1;
const STATUS_DIRECTORY: &str = ".gribfs";
const STATUS_FILES: [&str; 2] = ["status.json", "metrics"];

/// The file tree of a reference set.
#[derive(Debug)]
pub struct RefTree {
    reader: Arc<RefReader>,
    source: String,
    modified_seconds: i64,
    mounted: Clock,
    usage: Usage,
    totals: (u64, u64),
}

/// What a name or number stands for.
enum Item<'a> {
    Directory,
    Document(&'a Bytes),
    Chunk {
        key: RefKey,
        size: u64,
        found: Found,
    },
    /// A file of `.gribfs`, by its place among them.
    Status(usize),
}

/// What is known of a chunk that is shown.
enum Found {
    /// It has a reference.
    Yes,
    /// It may have one, in a record that could not be read now, or the size of its object could not be learnt.
    Unread,
    /// It has none and must have one.
    Lost,
}

impl RefTree {
    /// The tree of the set that `reader` reads; `source` is shown in the status file.
    #[must_use]
    pub fn new(reader: Arc<RefReader>, source: String, modified_seconds: i64) -> Self {
        let (mut bytes, mut files) = (0_u64, 0_u64);
        for (_, _, info) in reader.set().arrays() {
            let count = info.chunk_count();
            files = files.saturating_add(count);
            bytes = bytes.saturating_add(count.saturating_mul(info.chunk_bytes().unwrap_or(0)));
        }
        Self {
            reader,
            source,
            modified_seconds,
            mounted: Clock::now(),
            usage: Usage::default(),
            totals: (bytes, files),
        }
    }

    fn node(&self, number: usize) -> Option<&Node> {
        self.reader.set().nodes.get(number)
    }

    fn item(&self, inode: Inode) -> Option<Item<'_>> {
        let (number, local) = split(inode)?;
        if number == STATUS {
            let Some(file) = local.checked_sub(1) else {
                return Some(Item::Directory);
            };
            let file = usize::try_from(file).ok()?;
            return (file < STATUS_FILES.len()).then_some(Item::Status(file));
        }
        let node = self.node(number)?;
        if local == 0 {
            return Some(Item::Directory);
        }
        if local < FIRST_CHUNK {
            let position = usize::try_from(local - 1).ok()?;
            return node
                .documents
                .get(position)
                .map(|(_, bytes)| Item::Document(bytes));
        }
        let rest = local - FIRST_CHUNK;
        match &node.kind {
            Kind::Array { info, .. } => self.chunk(number, rest, info),
            Kind::Group => {
                let position = usize::try_from(rest).ok()?;
                let target = self.reader.set().target(&node.files.get(position)?.1)?;
                Some(self.found(RefKey::File(number, position), &target))
            }
        }
    }

    fn chunk(&self, node: usize, number: u64, info: &ArrayInfo) -> Option<Item<'_>> {
        if number >= info.chunk_count() {
            return None;
        }
        let key = RefKey::Chunk(node, number);
        let unknown = || info.chunk_bytes().unwrap_or(1);
        match self.reader.set().chunk(node, number) {
            Ok(Some(target)) => Some(self.found(key, &target)),
            Ok(None) if info.must_be_whole => Some(Item::Chunk {
                key,
                size: unknown(),
                found: Found::Lost,
            }),
            Ok(None) => None,
            // Whether it exists is not known: it is shown, and reading it says why it fails.
            Err(_) => Some(Item::Chunk {
                key,
                size: unknown(),
                found: Found::Unread,
            }),
        }
    }

    /// A chunk or file that has a reference. May wait for the size of its object, unless [`Tree::is_ready`].
    fn found<'a>(&self, key: RefKey, target: &Target) -> Item<'a> {
        let (size, is_known) = self.reader.size(key, target);
        let found = if is_known { Found::Yes } else { Found::Unread };
        Item::Chunk { key, size, found }
    }

    fn attributes_of(&self, inode: Inode, item: &Item<'_>) -> Attributes {
        let (kind, size, ttl, immutable) = match item {
            Item::Directory => (NodeKind::Directory, 0, FOREVER, true),
            Item::Document(bytes) => (NodeKind::File, bytes.len() as u64, FOREVER, true),
            // Not for long: with the record comes whether it exists, and its size.
            Item::Chunk {
                size,
                found: Found::Unread,
                ..
            } => (NodeKind::File, *size, Duration::ZERO, false),
            Item::Chunk { size, .. } => (NodeKind::File, *size, FOREVER, true),
            Item::Status(file) => (
                NodeKind::File,
                self.document(*file).len() as u64,
                Duration::ZERO,
                false,
            ),
        };
        Attributes {
            inode,
            kind,
            size,
            modified_seconds: self.modified_seconds,
            ttl,
            immutable,
        }
    }

    /// Counters in the text format of Prometheus, as in `.gribfs/metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        metrics(self.reader.as_ref(), self.mounted.elapsed())
    }

    /// A file of `.gribfs`, as of now.
    fn document(&self, file: usize) -> Bytes {
        Bytes::from(if file == 0 {
            self.status()
        } else {
            self.metrics()
        })
    }

    fn status(&self) -> String {
        let set = self.reader.set();
        let statistics = self.reader.statistics();
        let counters = self.reader.storage().counters();
        let document = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "source": self.source,
            "arrays": set.arrays().count(),
            "notes": set.notes,
            "defects": set.defect_counts,
            "first_defects": set.defects,
            "uptime_seconds": self.mounted.elapsed().as_secs(),
            "chunks_read": statistics.fields,
            "readers": self.usage.most(),
            "cache": { "hits": statistics.hits, "bytes": statistics.cached_bytes },
            "in_flight": statistics.in_flight,
            "memory": { "bytes": statistics.memory_bytes, "peak_bytes": statistics.memory_peak_bytes },
            "disk_cache": statistics.disk.as_ref().map(disk),
            "storage": {
                "requests": counters.requests,
                "bytes": counters.bytes,
                "retries": counters.retries,
                "throttled": counters.throttled,
                "failures": counters.failures,
                "origins": origins(self.reader.as_ref()),
            },
            "failures": statistics.failures,
            "last_failures": failures(&statistics.recent_failures),
        });
        serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
    }

    fn list_node(
        &self,
        number: usize,
        node: &Node,
        offset: u64,
        sink: &mut dyn FnMut(Entry<'_>) -> bool,
    ) {
        let mut at = 0_u64;
        let mut put = |inode: Inode, kind: NodeKind, name: &str| {
            at += 1;
            at <= offset
                || sink(Entry {
                    next_offset: at,
                    inode,
                    kind,
                    name,
                })
        };
        for (local, (name, _)) in (1..).zip(&node.documents) {
            if !put(inode_of(number, local), NodeKind::File, name) {
                return;
            }
        }
        for (name, child) in &node.children {
            if !put(inode_of(*child, 0), NodeKind::Directory, name) {
                return;
            }
        }
        if number == 0 && !put(inode_of(STATUS, 0), NodeKind::Directory, STATUS_DIRECTORY) {
            return;
        }
        for (local, (name, _)) in (FIRST_CHUNK..).zip(&node.files) {
            if !put(inode_of(number, local), NodeKind::File, name) {
                return;
            }
        }
        let Kind::Array { info, .. } = &node.kind else {
            return;
        };
        let before = at;
        let next = std::cell::Cell::new(offset.saturating_sub(before));
        let mut keys = ChunkKeys::new(&info.grid);
        let mut entry = |chunk: u64| {
            next.set(chunk + 1);
            sink(Entry {
                next_offset: before + chunk + 1,
                inode: inode_of(number, FIRST_CHUNK + chunk),
                kind: NodeKind::File,
                name: if info.shape.is_empty() {
                    "0"
                } else {
                    keys.key(chunk)
                },
            })
        };
        let mut full = false;
        let from = offset.saturating_sub(before);
        if info.must_be_whole {
            for chunk in from..info.chunk_count() {
                if !entry(chunk) {
                    return;
                }
            }
            return;
        }
        let told = self.reader.set().present(number, from, &mut |chunk| {
            full = !entry(chunk);
            !full
        });
        if told.is_err() && !full {
            // A record that cannot be read may hold all of its chunks.
            for chunk in next.get()..info.chunk_count() {
                if !entry(chunk) {
                    return;
                }
            }
        }
    }
}

fn inode_of(node: usize, local: u64) -> Inode {
    ((node as u64) << LOCAL_BITS | local) + 1
}

fn split(inode: Inode) -> Option<(usize, u64)> {
    let number = inode.checked_sub(1)?;
    Some((
        usize::try_from(number >> LOCAL_BITS).ok()?,
        number & ((1 << LOCAL_BITS) - 1),
    ))
}

fn slice(bytes: &Bytes, offset: u64, size: usize) -> Bytes {
    let start = usize::try_from(offset)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    bytes.slice(start..start.saturating_add(size).min(bytes.len()))
}

impl Tree for RefTree {
    /// Chunks whose reference lies in a record that was not read yet are looked up where that may take time, and whole objects of
    /// unknown size.
    fn is_ready(&self, inode: Inode, name: Option<&OsStr>) -> bool {
        let Some((number, local)) = split(inode) else {
            return true;
        };
        let (set, Some(node)) = (self.reader.set(), self.node(number)) else {
            return true;
        };
        let name = name.and_then(OsStr::to_str);
        let key = match (&node.kind, local) {
            (_, 1..FIRST_CHUNK) => None,
            (Kind::Array { .. }, 0) if name.is_none() => return set.is_listed(number),
            (Kind::Array { info, .. }, 0) => name
                .and_then(|name| info.chunk_number(name))
                .map(|chunk| RefKey::Chunk(number, chunk)),
            (Kind::Array { .. }, _) => Some(RefKey::Chunk(number, local - FIRST_CHUNK)),
            (Kind::Group, 0) => name
                .and_then(|name| node.file(name))
                .map(|position| RefKey::File(number, position)),
            (Kind::Group, _) => usize::try_from(local - FIRST_CHUNK)
                .ok()
                .map(|position| RefKey::File(number, position)),
        };
        key.is_none_or(|key| self.reader.is_known(key) && self.reader.is_sized(key))
    }

    fn lookup(&self, parent: Inode, name: &OsStr) -> Result<Attributes, Missing> {
        if name.len() > NAME_MAX {
            return Err(Missing::NameTooLong);
        }
        let (number, local) = split(parent).ok_or(Missing::NoSuchInode)?;
        let none = Missing::NoSuchName { ttl: FOREVER };
        let name = name.to_str().ok_or(none)?;
        if local != 0 {
            return Err(Missing::NotADirectory);
        }
        if number == STATUS {
            let file = (1..).zip(STATUS_FILES).find(|(_, own)| *own == name);
            let (local, _) = file.ok_or(Missing::NoSuchName { ttl: BRIEFLY })?;
            return self.attributes(inode_of(STATUS, local));
        }
        let node = self.node(number).ok_or(Missing::NoSuchInode)?;
        if let Some((local, _)) = (1..)
            .zip(&node.documents)
            .find(|(_, (own, _))| *own == name)
        {
            return self.attributes(inode_of(number, local));
        }
        if let Some(child) = node.children.get(name) {
            return self.attributes(inode_of(*child, 0));
        }
        if number == 0 && name == STATUS_DIRECTORY {
            return self.attributes(inode_of(STATUS, 0));
        }
        if let Some(position) = node.file(name) {
            return self.attributes(inode_of(number, FIRST_CHUNK + position as u64));
        }
        let Kind::Array { info, .. } = &node.kind else {
            return Err(none);
        };
        let chunk = info.chunk_number(name).ok_or(none)?;
        let item = self.chunk(number, chunk, info).ok_or(none)?;
        Ok(self.attributes_of(inode_of(number, FIRST_CHUNK + chunk), &item))
    }

    fn attributes(&self, inode: Inode) -> Result<Attributes, Missing> {
        let item = self.item(inode).ok_or(Missing::NoSuchInode)?;
        Ok(self.attributes_of(inode, &item))
    }

    fn parent(&self, inode: Inode) -> Result<Inode, Missing> {
        let (number, local) = split(inode).ok_or(Missing::NoSuchInode)?;
        if number == STATUS {
            return Ok(inode_of(if local == 0 { 0 } else { STATUS }, 0));
        }
        let node = self.node(number).ok_or(Missing::NoSuchInode)?;
        Ok(inode_of(if local == 0 { node.parent } else { number }, 0))
    }

    fn list(
        &self,
        directory: Inode,
        offset: u64,
        sink: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Missing> {
        let (number, local) = split(directory).ok_or(Missing::NoSuchInode)?;
        if local != 0 {
            return Err(Missing::NotADirectory);
        }
        if number == STATUS {
            for (local, name) in (1..).zip(STATUS_FILES) {
                let entry = Entry {
                    next_offset: local,
                    inode: inode_of(STATUS, local),
                    kind: NodeKind::File,
                    name,
                };
                if local > offset && !sink(entry) {
                    break;
                }
            }
            return Ok(());
        }
        let node = self.node(number).ok_or(Missing::NoSuchInode)?;
        self.list_node(number, node, offset, sink);
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
        let lost = || {
            Answer::Now(Err(ReadFailure {
                kind: FailureKind::Internal,
                object: None,
                message: format!("no file has the inode {inode}"),
            }))
        };
        match self.item(inode) {
            None | Some(Item::Directory) => lost(),
            Some(Item::Document(bytes)) => Answer::Now(Ok(slice(bytes, offset, size))),
            Some(Item::Status(file)) => Answer::Now(Ok(slice(&self.document(file), offset, size))),
            Some(Item::Chunk { size: whole, .. }) if offset >= whole => {
                Answer::Now(Ok(Bytes::new()))
            }
            Some(Item::Chunk {
                key,
                found: Found::Lost,
                ..
            }) => {
                let why = "it has no reference, and no fill value would be honest";
                Answer::Now(Err(self.reader.broken(key, why)))
            }
            Some(Item::Chunk {
                key,
                found: Found::Yes | Found::Unread,
                size: whole,
            }) => {
                // Inline bytes need no flight; those of GRIB are a message.
                if let RefKey::Chunk(node, number) = key
                    && let Some(Kind::Array { info, .. }) = self.node(node).map(|node| &node.kind)
                    && !info.is_grib()
                    && let Ok(Some(Target::Inline(bytes))) = self.reader.set().chunk(node, number)
                    && bytes.len() as u64 == whole
                {
                    return Answer::Now(Ok(slice(&bytes, offset, size)));
                }
                let asked = (size as u64).min(whole - offset);
                match self.reader.read(key, whole, asked) {
                    Read::Now(bytes) => Answer::Now(bytes.map(|bytes| slice(&bytes, offset, size))),
                    Read::Later(flight) => Answer::Later(
                        flight
                            .map(move |bytes| bytes.map(|bytes| slice(&bytes, offset, size)))
                            .boxed(),
                    ),
                }
            }
        }
    }

    fn usage(&self) -> Option<&Usage> {
        Some(&self.usage)
    }

    fn totals(&self) -> (u64, u64) {
        self.totals
    }
}

//! A small tree in memory whose files behave well, badly, slowly or not at all.

#![expect(
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "a small tree on a 64-bit machine"
)]

use std::ffi::OsStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gribfs::vfs::tree::{
    Answer, Attributes, Entry, FailureKind, Inode, Missing, NodeKind, ROOT, ReadFailure, Tree,
};

/// Names of the folder `million`.
pub(crate) const MILLION: u64 = 1_000_000;
/// Bytes of each of them.
const COMPUTED_BYTES: u64 = 64;
/// First inode of the folder `million`.
const COMPUTED: Inode = 1 << 40;
/// How long a slow read takes.
pub(crate) const SLOW: Duration = Duration::from_millis(300);
/// Time that the kernel may keep names and attributes.
const TTL: Duration = Duration::from_secs(3600);

/// What a node does.
#[derive(Clone, Debug)]
enum Does {
    Directory,
    ComputedDirectory,
    PanicsInList,
    Now(Bytes),
    Later(Bytes, Duration),
    FailsNow(FailureKind),
    FailsLater(FailureKind),
    PanicsInRead,
    PanicsLater,
    Never,
    /// Answers this many bytes too few or too many, declared 10 000.
    Wrong {
        by: isize,
        later: bool,
    },
    /// Another text at each read.
    Live,
}

#[derive(Debug)]
struct Node {
    parent: Inode,
    name: String,
    does: Does,
}

/// The tree. A node's inode is its place in the list + 1.
#[derive(Debug)]
pub(crate) struct FakeTree {
    nodes: Vec<Node>,
    /// Reads that reached the tree.
    pub(crate) reads: AtomicU64,
    /// Lookups that reached the tree.
    pub(crate) lookups: AtomicU64,
}

/// Bytes that are different everywhere.
pub(crate) fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|i| ((i * 2_654_435_761) >> 13) as u8)
        .collect()
}

/// Size of `chunk`: no multiple of anything.
pub(crate) const CHUNK_BYTES: usize = 4 * 1024 * 1024 + 123;

pub(crate) const FAILURES: [(FailureKind, &str, i32); 8] = [
    (FailureKind::Unavailable, "unavailable", libc::EIO),
    (FailureKind::Forbidden, "forbidden", libc::EACCES),
    (FailureKind::Changed, "changed", libc::ESTALE),
    (FailureKind::TimedOut, "timed_out", libc::ETIMEDOUT),
    (FailureKind::Invalid, "invalid", libc::EIO),
    (FailureKind::Pending, "pending", libc::EIO),
    (FailureKind::Spent, "spent", libc::EDQUOT),
    (FailureKind::Internal, "internal", libc::EIO),
];

impl FakeTree {
    pub(crate) fn new() -> Self {
        let mut tree = Self {
            nodes: Vec::new(),
            reads: AtomicU64::new(0),
            lookups: AtomicU64::new(0),
        };
        let root = tree.add(ROOT, "", Does::Directory);
        assert_eq!(root, ROOT);
        tree.add(root, "hello", Does::Now(Bytes::from_static(b"hello world")));
        tree.add(root, "empty", Does::Now(Bytes::new()));
        tree.add(root, "chunk", Does::Now(pattern(CHUNK_BYTES)));
        tree.add(
            root,
            "fetched",
            Does::Later(pattern(CHUNK_BYTES), Duration::from_millis(1)),
        );
        let folder = tree.add(root, "folder", Does::Directory);
        let deeper = tree.add(folder, "deeper", Does::Directory);
        tree.add(deeper, "0.0.0", Does::Now(pattern(1000)));
        tree.add(root, "million", Does::ComputedDirectory);
        let slow = tree.add(root, "slow", Does::Directory);
        for i in 0..64 {
            tree.add(slow, &i.to_string(), Does::Later(pattern(100_000), SLOW));
        }
        let later = tree.add(root, "fails_later", Does::Directory);
        let now = tree.add(root, "fails_now", Does::Directory);
        for (kind, name, _) in FAILURES {
            tree.add(later, name, Does::FailsLater(kind));
            tree.add(now, name, Does::FailsNow(kind));
        }
        let panics = tree.add(root, "panics", Does::Directory);
        tree.add(panics, "now", Does::PanicsInRead);
        tree.add(panics, "later", Does::PanicsLater);
        tree.add(panics, "list", Does::PanicsInList);
        let wrong = tree.add(root, "wrong", Does::Directory);
        for (name, by, later) in [
            ("short_now", -1, false),
            ("short_later", -100, true),
            ("nothing", -10_000, false),
            ("long_now", 1, false),
            ("long_later", 1, true),
        ] {
            tree.add(wrong, name, Does::Wrong { by, later });
        }
        tree.add(root, "never", Does::Never);
        tree.add(root, "live", Does::Live);
        tree
    }

    fn add(&mut self, parent: Inode, name: &str, does: Does) -> Inode {
        self.nodes.push(Node {
            parent,
            name: name.to_owned(),
            does,
        });
        self.nodes.len() as Inode
    }

    fn node(&self, inode: Inode) -> Result<&Node, Missing> {
        let index = inode.checked_sub(1).ok_or(Missing::NoSuchInode)?;
        self.nodes.get(index as usize).ok_or(Missing::NoSuchInode)
    }

    fn failure(kind: FailureKind, inode: Inode) -> ReadFailure {
        ReadFailure {
            kind,
            message: format!("planted failure {kind:?} of inode {inode}"),
            object: None,
        }
    }
}

fn piece(bytes: &Bytes, offset: u64, size: usize) -> Bytes {
    let start = bytes.len().min(offset as usize);
    let end = bytes.len().min(start + size);
    bytes.slice(start..end)
}

fn missing() -> Missing {
    Missing::NoSuchName { ttl: TTL }
}

impl Tree for FakeTree {
    fn lookup(&self, parent: Inode, name: &OsStr) -> Result<Attributes, Missing> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let name = name.to_str().ok_or_else(missing)?;
        assert_ne!(name, "panic_in_lookup", "planted");
        if matches!(self.node(parent)?.does, Does::ComputedDirectory) {
            let index: u64 = name.parse().ok().ok_or_else(missing)?;
            if index >= MILLION || index.to_string() != name {
                return Err(missing());
            }
            return self.attributes(COMPUTED + index);
        }
        let index = self
            .nodes
            .iter()
            .position(|node| node.parent == parent && node.name == name)
            .ok_or_else(missing)?;
        self.attributes(index as Inode + 1)
    }

    fn attributes(&self, inode: Inode) -> Result<Attributes, Missing> {
        let (kind, size, immutable) = if inode >= COMPUTED {
            (NodeKind::File, COMPUTED_BYTES, true)
        } else {
            match &self.node(inode)?.does {
                Does::Directory | Does::ComputedDirectory | Does::PanicsInList => {
                    (NodeKind::Directory, 0, true)
                }
                Does::Now(bytes) | Does::Later(bytes, _) => {
                    (NodeKind::File, bytes.len() as u64, true)
                }
                Does::Live => (NodeKind::File, 1, false),
                _ => (NodeKind::File, 10_000, true),
            }
        };
        Ok(Attributes {
            inode,
            kind,
            size,
            modified_seconds: 1_700_000_000,
            ttl: TTL,
            immutable,
        })
    }

    fn parent(&self, inode: Inode) -> Result<Inode, Missing> {
        self.node(inode).map(|node| node.parent)
    }

    fn list(
        &self,
        directory: Inode,
        offset: u64,
        sink: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Missing> {
        match self.node(directory)?.does {
            Does::ComputedDirectory => {
                for index in offset..MILLION {
                    let more = sink(Entry {
                        next_offset: index + 1,
                        inode: COMPUTED + index,
                        kind: NodeKind::File,
                        name: &index.to_string(),
                    });
                    if !more {
                        break;
                    }
                }
                Ok(())
            }
            Does::Directory => {
                for (index, node) in self.nodes.iter().enumerate().skip(offset as usize) {
                    let inode = index as Inode + 1;
                    if node.parent != directory || inode == ROOT {
                        continue;
                    }
                    let more = sink(Entry {
                        next_offset: index as u64 + 1,
                        inode,
                        kind: self.attributes(inode)?.kind,
                        name: &node.name,
                    });
                    if !more {
                        break;
                    }
                }
                Ok(())
            }
            Does::PanicsInList => {
                let entry = Entry {
                    next_offset: 1,
                    inode: 77,
                    kind: NodeKind::File,
                    name: "one",
                };
                assert!(sink(entry));
                panic!("planted in a listing");
            }
            _ => Err(Missing::NotADirectory),
        }
    }

    fn open(&self, inode: Inode) -> Result<Attributes, Missing> {
        self.attributes(inode)
    }

    fn read(&self, inode: Inode, offset: u64, size: usize) -> Answer {
        let count = self.reads.fetch_add(1, Ordering::Relaxed);
        if inode >= COMPUTED {
            return Answer::Now(Ok(piece(&pattern(COMPUTED_BYTES as usize), offset, size)));
        }
        match self.node(inode).unwrap().does.clone() {
            Does::Now(bytes) => Answer::Now(Ok(piece(&bytes, offset, size))),
            Does::Later(bytes, pause) => Answer::Later(Box::pin(async move {
                tokio::time::sleep(pause).await;
                Ok(piece(&bytes, offset, size))
            })),
            Does::FailsNow(kind) => Answer::Now(Err(Self::failure(kind, inode))),
            Does::FailsLater(kind) => Answer::Later(Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Err(Self::failure(kind, inode))
            })),
            Does::PanicsInRead => panic!("planted in a read"),
            Does::PanicsLater => Answer::Later(Box::pin(async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                panic!("planted in a later read")
            })),
            Does::Never => Answer::Later(Box::pin(std::future::pending())),
            Does::Wrong { by, later } => {
                let right = 10_000_usize.saturating_sub(offset as usize).min(size);
                let bytes = pattern(right.saturating_add_signed(by));
                if later {
                    Answer::Later(Box::pin(async move { Ok(bytes) }))
                } else {
                    Answer::Now(Ok(bytes))
                }
            }
            Does::Live => {
                let text = format!("read number {count}, longer than declared");
                Answer::Now(Ok(piece(&Bytes::from(text), offset, size)))
            }
            Does::Directory | Does::ComputedDirectory | Does::PanicsInList => {
                Answer::Now(Err(Self::failure(FailureKind::Internal, inode)))
            }
        }
    }

    fn totals(&self) -> (u64, u64) {
        (MILLION * COMPUTED_BYTES, MILLION + self.nodes.len() as u64)
    }
}

//! The contract between a file tree and whoever shows it (a FUSE adapter, a test).
//!
//! Metadata calls answer at once from memory: they touch no network and never block, but for the first look at a store
//! ([`Tree::is_ready`]). Of the others only [`Tree::read`] may take time.

use std::ffi::OsStr;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

pub use super::usage::Usage;
pub use crate::store::{FailureKind, ReadFailure};

/// Number of a node. Computed from what the node is, stable for the life of the mount; the root is [`ROOT`].
pub type Inode = u64;

/// Inode of the root directory.
pub const ROOT: Inode = 1;

/// Longest file name, as Linux has it.
pub const NAME_MAX: usize = 255;

/// Whether a node is a directory or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
}

/// What `stat` tells of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The node.
    pub inode: Inode,
    /// Directory or file.
    pub kind: NodeKind,
    /// Size in bytes, exact before anything is fetched; 0 for directories.
    pub size: u64,
    /// Modification time, seconds since 1970; constant for what is immutable.
    pub modified_seconds: i64,
    /// How long the kernel may keep these attributes and the name.
    pub ttl: Duration,
    /// The content never changes while the mount lives: pages may be kept across opens.
    pub immutable: bool,
}

/// One name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Cookie to resume the listing after this entry (its position + 1).
    pub next_offset: u64,
    /// The node.
    pub inode: Inode,
    /// Directory or file.
    pub kind: NodeKind,
    /// File name, without `.` and `..`, which the adapter adds.
    pub name: &'a str,
}

/// Why a metadata call found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is no such name; the kernel may remember that for as long as told.
    NoSuchName {
        /// How long a negative answer holds.
        ttl: Duration,
    },
    /// The parent is a file.
    NotADirectory,
    /// The node is a directory where a file is wanted.
    IsADirectory,
    /// The name is longer than [`NAME_MAX`].
    NameTooLong,
    /// No node has this inode.
    NoSuchInode,
}

/// Answer to a read: at once, or later.
pub enum Answer {
    /// From memory. Shorter than asked only at the end of the file.
    Now(Result<Bytes, ReadFailure>),
    /// Being fetched; the future never blocks its thread and ends within the read deadline.
    Later(BoxFuture<'static, Result<Bytes, ReadFailure>>),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(result) => f
                .debug_tuple("Now")
                .field(&result.as_ref().map(Bytes::len))
                .finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// A read-only tree of directories and files.
pub trait Tree: Send + Sync + 'static {
    /// Whether all is in memory for what may be asked of a node, or of `name` in it. If not, the other calls take time: ask from a
    /// thread that may wait. By default all is.
    fn is_ready(&self, _inode: Inode, _name: Option<&OsStr>) -> bool {
        true
    }

    /// The node called `name` in directory `parent`.
    ///
    /// # Errors
    /// [`Missing`], where there is none.
    fn lookup(&self, parent: Inode, name: &OsStr) -> Result<Attributes, Missing>;

    /// Attributes of a node.
    ///
    /// # Errors
    /// [`Missing::NoSuchInode`].
    fn attributes(&self, inode: Inode) -> Result<Attributes, Missing>;

    /// The directory above a directory (the root is its own parent).
    ///
    /// # Errors
    /// [`Missing::NoSuchInode`].
    fn parent(&self, inode: Inode) -> Result<Inode, Missing>;

    /// Hands the entries of a directory from position `offset` on to `sink`, until it returns `false` (its buffer is full).
    ///
    /// # Errors
    /// [`Missing::NotADirectory`] or [`Missing::NoSuchInode`].
    fn list(
        &self,
        directory: Inode,
        offset: u64,
        sink: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Missing>;

    /// Called when a file is opened; a hint, must not block.
    ///
    /// # Errors
    /// [`Missing::IsADirectory`] or [`Missing::NoSuchInode`]; never for what goes wrong with a chunk.
    fn open(&self, inode: Inode) -> Result<Attributes, Missing>;

    /// `size` bytes of a file from `offset`; fewer only at its end, none past it.
    fn read(&self, inode: Inode, offset: u64, size: usize) -> Answer;

    /// Where it is noted who reads how much, if the tree shows that.
    fn usage(&self) -> Option<&Usage> {
        None
    }

    /// Total bytes and number of files shown, for `statfs`; local and constant-time.
    fn totals(&self) -> (u64, u64);
}

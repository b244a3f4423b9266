//! What a copy has done: counters while it runs, the report at its end, and how it fails.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::layout::LayoutError;
use crate::storage::StorageError;
use crate::store::ReadFailure;

/// Counters of a copy under way; another thread may watch them.
#[derive(Debug, Default)]
pub struct CopyProgress {
    /// Fields that the copy is of.
    pub(super) fields: AtomicU64,
    /// Fields that were there already or were written.
    pub(super) done: AtomicU64,
    /// Bytes of chunk files written.
    pub(super) written: AtomicU64,
    /// Fields left as fill.
    pub(super) missing: AtomicU64,
}

impl CopyProgress {
    /// Fields that the copy is of; 0 while that is counted.
    #[must_use]
    pub fn fields(&self) -> u64 {
        self.fields.load(Relaxed)
    }

    /// Fields that are in the destination, or could not be had.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Bytes of chunk files written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Fields left as fill so far.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing.load(Relaxed)
    }

    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Relaxed);
    }
}

/// A cell that was left as fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingCell {
    /// Its array and positions along the leading axes: `t2m[3,0]`.
    pub cell: String,
    /// Why it could not be had.
    pub reason: String,
}

/// What a copy has done.
#[derive(Clone, Debug, Default)]
pub struct CopyReport {
    /// Arrays of fields.
    pub arrays: u64,
    /// Fields that the copy is of.
    pub fields: u64,
    /// Those that lay in the destination already.
    pub kept: u64,
    /// Bytes of all fields, not compressed.
    pub raw_bytes: u64,
    /// Bytes of chunk files written by this process.
    pub written_bytes: u64,
    /// Cells that were left as fill, all of the store's.
    pub missing: Vec<MissingCell>,
    /// Whether the destination was complete before.
    pub nothing_to_do: bool,
}

/// What a copy would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyPlan {
    /// Arrays of fields.
    pub arrays: u64,
    /// Fields to write.
    pub fields: u64,
    /// Messages to fetch: a message may hold several fields, or stand in several arrays.
    pub messages: u64,
    /// Their bytes; those of messages whose end the table does not know are guessed.
    pub message_bytes: u64,
    /// Fields that are known not to be readable.
    pub missing: u64,
    /// Chunk files to write.
    pub files: u64,
    /// Bytes of the fields, not compressed.
    pub raw_bytes: u64,
}

/// Why a copy ended.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The destination holds a store, or something else.
    #[error("{place} {what}")]
    Occupied {
        /// The destination.
        place: String,
        /// What is there, and what to do.
        what: String,
    },
    /// The store cannot be laid out as asked.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// What is asked of a reference set cannot be done.
    #[error("{0}")]
    Selection(String),
    /// What cannot be had has no fill value.
    #[error("{0}; it has no fill value that would say so")]
    NoFill(String),
    /// The destination cannot be extended.
    #[error("cannot append: {0}")]
    Append(String),
    /// Parts of the copy are not done.
    #[error("{0}")]
    Parts(String),
    /// Nothing is there to copy.
    #[error("nothing to copy: the slice has no message")]
    Empty,
    /// Reading or writing the destination failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The table cannot be read.
    #[error(transparent)]
    Table(#[from] ReadFailure),
    /// The scratch directory fails.
    #[error("scratch directory {0}")]
    Scratch(String),
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl CopyError {
    /// Whether the command was wrong, rather than that something failed.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Occupied { .. }
                | Self::Layout(_)
                | Self::Selection(_)
                | Self::Append(_)
                | Self::Empty
        )
    }
}

//! Why a chunk of a reference set could not be had, and what `verify` calls that.

use super::grib_chunk::ChunkError;
use super::policy::Refusal;
use crate::refs::RefsError;
use crate::storage::StorageError;
use crate::store::failure::FailureKind;
use crate::store::fetch::{FetchError, kind_of_storage};

/// Why a chunk could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RefReadError {
    /// The reference may not be followed.
    #[error("not followed: {0}")]
    Refused(#[from] Refusal),
    /// The record that holds the reference cannot be read.
    #[error("its record cannot be read: {0}")]
    Record(#[from] RefsError),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bytes are not the message that is wanted.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The object is another one than before.
    #[error("the object changed since it was first seen: {what} was {before}, now {after}")]
    Changed {
        /// What differs.
        what: &'static str,
        /// As first seen.
        before: String,
        /// As it is now.
        after: String,
    },
    /// The set does not hold what it refers to.
    #[error("{0}")]
    Broken(String),
    /// A bug.
    #[error("internal error: {0}")]
    Internal(String),
}

impl RefReadError {
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Refused(_) => FailureKind::Forbidden,
            Self::Record(_) => FailureKind::Unavailable,
            Self::Storage(error) => kind_of_storage(error),
            Self::Chunk(_) => FailureKind::Invalid,
            Self::Changed { .. } => FailureKind::Changed,
            Self::Broken(_) => FailureKind::Pending,
            Self::Internal(_) => FailureKind::Internal,
        }
    }

    /// A word for reports: `refused`, `dead`, `stale`, `wrong`, `unreadable`, `broken`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::NoFile { .. }) => "dead",
            Self::Refused(_) => "refused",
            Self::Record(_) | Self::Storage(_) => "dead",
            Self::Chunk(ChunkError::Other { .. }) => "wrong",
            Self::Chunk(ChunkError::Grib(_) | ChunkError::Size { .. }) | Self::Changed { .. } => {
                "stale"
            }
            Self::Chunk(ChunkError::Grid(_) | ChunkError::Decode(_)) => "unreadable",
            Self::Broken(_) => "broken",
            Self::Internal(_) => "internal",
        }
    }
}

impl From<FetchError> for RefReadError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Storage(error) => Self::Storage(error),
            FetchError::Changed {
                what,
                before,
                after,
            } => Self::Changed {
                what,
                before,
                after,
            },
            // What only rows of tables meet.
            other @ (FetchError::Verify(_)
            | FetchError::Decode(_)
            | FetchError::Stale { .. }
            | FetchError::Pending(_)
            | FetchError::Lost(_)
            | FetchError::Internal(_)) => Self::Internal(other.to_string()),
        }
    }
}

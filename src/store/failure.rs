//! How a read fails: in kinds that a mount can turn into an errno, with a sentence for people.

use std::fmt;
use std::sync::Arc;

use crate::storage::Storage;

/// What kind of failure kept a chunk from being read. Errno is decided from it, in `fuse/errno.rs` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The object is not there (404), the server failed, the body was short.
    Unavailable,
    /// 401 or 403.
    Forbidden,
    /// The object is not the one that was indexed or first seen.
    Changed,
    /// The deadline passed.
    TimedOut,
    /// The bytes are no such message: bad GRIB, another message, a decoder's error.
    Invalid,
    /// The message should exist but could not be placed or has not arrived.
    Pending,
    /// The mount has read as many bytes as it may.
    Spent,
    /// A panic or a bug of ours.
    Internal,
}

/// A failed read: its kind and the sentence for log and status file (chunk, location, byte range, cause).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFailure {
    /// Kind of failure.
    pub kind: FailureKind,
    /// What failed, where and why; never holds credentials.
    pub message: String,
    /// The object of the archive that is to blame, if one is: failures of one are told together.
    pub object: Option<Arc<str>>,
}

impl ReadFailure {
    /// The failure of reads that storage may not make any more, if it has read all that it may. One sentence and one culprit for all
    /// of them, so that the log says it once.
    pub(super) fn of_spent(storage: &Storage) -> Option<Self> {
        let limit = storage.spent()?;
        Some(Self {
            kind: FailureKind::Spent,
            message: format!(
                "this mount has read the {limit} bytes that --max-bytes allows; what is in memory is served on, mount anew for more"
            ),
            object: Some("--max-bytes".into()),
        })
    }
}

impl fmt::Display for ReadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadFailure {}

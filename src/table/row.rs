//! Rows of the table in memory, and what they share.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::grib::identity::Identity;
use crate::location::Location;
use crate::time::{Instant, Window};

/// What became of one expected message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Placed: the reference can be read.
    Placed,
    /// Equal to another row in all of its identity; that one is used.
    Twin,
    /// Same identity as another row but other bytes: neither can be told to be the right one.
    Conflict,
    /// Expected, but it has not arrived yet.
    Pending,
    /// Listed by the index, but what it is could not be learnt (its header could not be read, its line makes no sense).
    Unplaced,
    /// Known, but of a grid, packing or edition that is not supported.
    Unsupported,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Placed,
        Self::Twin,
        Self::Conflict,
        Self::Pending,
        Self::Unplaced,
        Self::Unsupported,
    ];

    /// The word in the Parquet column `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Twin => "twin",
            Self::Conflict => "conflict",
            Self::Pending => "pending",
            Self::Unplaced => "unplaced",
            Self::Unsupported => "unsupported",
        }
    }

    /// The status that a word of the column names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// An object that holds messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Where it lies.
    pub location: Location,
    /// Its size when it was indexed, where that was learnt without asking for it.
    pub size: Option<u64>,
    /// Its `ETag` then.
    pub etag: Option<String>,
}

/// A kind of field: what many rows have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind {
    /// What the field is; `None` for rows that could not be placed.
    pub identity: Option<Identity>,
    /// Reset period in seconds of an accumulation's windows: `Some(0)` counts from the start of the run, `None` for anything but
    /// accumulations.
    pub bucket_seconds: Option<i64>,
    /// Index into [`Table::grids`]; `None` if not known.
    pub grid: Option<u32>,
    /// The words of the index line that are the same for all steps (`TMP:2 m above ground`), or empty if it came from a scan.
    pub words: String,
}

/// A grid: section 3 as coded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GridRecord {
    /// Section 3 of a message on this grid, verbatim, from its length octets on.
    pub section3: Vec<u8>,
}

/// One field of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Index into [`Table::kinds`].
    pub kind: u32,
    /// Reference time of the run.
    pub reference: Instant,
    /// Start and end step.
    pub window: Window,
    /// Ensemble member; control is 0, the negatively perturbed twin of member n is -n. `None` where the product has no members.
    pub member: Option<i16>,
    /// Index into [`Table::objects`].
    pub object: u32,
    /// Offset of the message.
    pub offset: u64,
    /// Length of the message; `None` for the last of a file whose size is not known.
    pub length: Option<u64>,
    /// Position of the field in its message, from 0.
    pub field: u16,
    /// What became of it.
    pub status: Status,
    /// Why it is not placed; `None` if it is.
    pub reason: Option<Arc<str>>,
}

/// A table: rows and what they refer to. Indices are valid by construction of the readers and builders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Kinds of field.
    pub kinds: Vec<Kind>,
    /// Grids.
    pub grids: Vec<GridRecord>,
    /// Objects.
    pub objects: Vec<Object>,
    /// Rows.
    pub rows: Vec<Row>,
    /// Runs known to be complete (all expected files indexed).
    pub complete_runs: Vec<Instant>,
}

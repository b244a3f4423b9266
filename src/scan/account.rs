//! The account of a build: how many messages there are, how many are placed, and what became of each other one.

use crate::location::Location;
use crate::table::row::Status;

/// A message or a file that is not placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The GRIB file.
    pub location: Location,
    /// The message, as its index line names it or by its offset; `None` for a whole file.
    pub message: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Why.
    pub reason: String,
}

/// What a build found.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// GRIB files asked for.
    pub files: usize,
    /// Files read by their index file.
    pub indexed_files: usize,
    /// Files that the table held already, unchanged.
    pub kept_files: usize,
    /// Files whose section headers were walked.
    pub scanned_files: usize,
    /// Messages (fields) that the files hold, as far as known.
    pub messages: u64,
    /// Messages placed.
    pub placed: u64,
    /// Messages equal to another in all of their identity.
    pub twins: u64,
    /// Messages whose section 0 was read and found where the index says (`--check`).
    pub checked: u64,
    /// Everything else, one by one.
    pub problems: Vec<Problem>,
    /// Remarks that change nothing (an index file that was not believed, say).
    pub remarks: Vec<String>,
}

impl Account {
    /// Whether every message that is expected is placed (or a twin of one that is).
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.indexed_files += other.indexed_files;
        self.scanned_files += other.scanned_files;
        self.messages += other.messages;
        self.placed += other.placed;
        self.twins += other.twins;
        self.checked += other.checked;
        self.problems.extend(other.problems);
        self.remarks.extend(other.remarks);
    }
}

//! What can be wrong with a reference set: errors that end reading it, and defects that are listed while the rest is kept.

use std::fmt;

/// Why a set cannot be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RefsError {
    /// Not of a known format.
    #[error("not a reference set: {0}")]
    Unknown(String),
    /// The text is not what its format says.
    #[error("{what}, at byte {at}")]
    Syntax {
        /// What is wrong.
        what: String,
        /// Where, counted from the start of the text.
        at: u64,
    },
    /// A version that does not exist.
    #[error("reference set of version {0}; 0 and 1 are known")]
    Version(String),
    /// A template that cannot be expanded.
    #[error("template `{text}`: {what}")]
    Template {
        /// The offending text.
        text: String,
        /// What is wrong.
        what: String,
    },
    /// One key with two different values.
    #[error("key `{0}` occurs twice with different values")]
    Duplicate(String),
    /// Parquet that cannot be read.
    #[error("Parquet: {0}")]
    Parquet(String),
    /// A limit that no honest set reaches.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The set has metadata and no data.
    #[error(
        "deflated: the set has metadata but no references to data; reinflate it with its index first"
    )]
    Deflated,
    /// Reading the set's bytes failed.
    #[error("cannot read: {0}")]
    Read(String),
    /// The sets of members do not fit together.
    #[error("members do not fit together: {0}")]
    Members(String),
}

/// Something of a set that is wrong, and was left out, repaired, or will fail when read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Defect {
    /// A word for programs: `key`, `outside-shape`, `refused`, `time`, ...
    pub kind: &'static str,
    /// Key or path that it concerns.
    pub at: String,
    /// What is wrong, for people.
    pub what: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

//! What is asked of a copy, and the texts in which it is asked.

use std::path::PathBuf;

use super::codec::Codec;
use super::derive::Deaccumulate;
use super::round::Rounding;
use super::statistic::Statistic;
use crate::location::Location;
use crate::slices::Layout;
use crate::zarr::Format;

/// Lengths by the name of a dimension.
pub type Lengths = Vec<(String, u64)>;

/// Settings of a copy.
#[derive(Clone, Debug)]
pub struct CopySettings {
    /// Where the store is written: a folder, or a prefix of an object store.
    pub destination: Location,
    /// Chunk lengths by dimension; dimensions that are not named have one field per chunk: 1 along all but the grid axes.
    pub chunks: Lengths,
    /// Lengths of shards (Zarr v3): chunk files that hold many chunks. Empty: none.
    pub shards: Lengths,
    /// Compression.
    pub codec: Codec,
    /// How arrays are laid out in groups.
    pub layout: Layout,
    /// Version of the metadata.
    pub format: Format,
    /// Rounding of the values.
    pub rounding: Rounding,
    /// Statistics over members, in place of the members. Empty: none.
    pub statistics: Vec<Statistic>,
    /// Whether accumulations are written as differences between steps.
    pub deaccumulate: Option<Deaccumulate>,
    /// Bytes for messages, fields and chunks in memory together.
    pub memory_bytes: u64,
    /// Where chunks wait that do not fit into memory.
    pub scratch: PathBuf,
    /// Dimension along which an existing store is extended.
    pub append: Option<String>,
    /// Whether a destination that is complete already is no error.
    pub resume: bool,
    /// What the copy is of, for the state document: a copy of something else does not go on with it.
    pub source: String,
}

/// Reads `time=24,latitude=256`.
///
/// # Errors
/// What is wrong with it, for people.
pub fn lengths(text: &str) -> Result<Lengths, String> {
    let mut all = Lengths::new();
    for part in text.split(',') {
        let pair = part.split_once('=');
        let length = pair.and_then(|(name, length)| {
            let length = length
                .trim()
                .parse::<u64>()
                .ok()
                .filter(|length| *length > 0);
            Some((name.trim().to_owned(), length?))
        });
        let (name, length) =
            length.ok_or_else(|| format!("`{part}`: lengths are written time=24,latitude=256"))?;
        if all.iter().any(|(known, _)| *known == name) {
            return Err(format!("{name} stands there twice"));
        }
        all.push((name, length));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read() {
        let read = lengths("time=24, latitude=256").unwrap();
        assert_eq!(
            read,
            [("time".to_owned(), 24), ("latitude".to_owned(), 256)]
        );
        for text in ["", "time", "time=0", "time=-1", "time=1,time=2", "time=1,"] {
            assert!(lengths(text).is_err(), "{text}");
        }
    }
}

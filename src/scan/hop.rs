//! Walking the section headers of a GRIB file by ranged reads: for files without an index file, and for later fields of a message.

use super::learn::{LearnError, Learned, Sample, sentence};
use crate::location::Location;
use crate::storage::Storage;

/// A field found by a walk.
#[derive(Clone, Debug)]
pub(super) struct Hopped {
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
    pub(super) field: u16,
    pub(super) learned: Result<Learned, LearnError>,
}

/// What a walk found.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    pub(super) fields: Vec<Hopped>,
    pub(super) object_size: Option<u64>,
    pub(super) etag: Option<String>,
}

pub(super) async fn hop(
    location: &Location,
    _from: u64,
    _storage: &Storage,
) -> Result<Walk, LearnError> {
    Err(sentence(format!("{location}: no index file")))
}

pub(super) async fn fields_of_message(
    sample: &Sample,
    _storage: &Storage,
) -> Result<Vec<Hopped>, LearnError> {
    Err(sentence(format!(
        "{}: later fields of a message",
        sample.location
    )))
}

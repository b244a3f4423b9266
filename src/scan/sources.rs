//! Sources as users name them, to objects: URLs, files, globs, brace patterns, directories and prefixes.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::braces::{MOST_NAMES, expand_braces};
use crate::index::{sidecar_names, url_facts};
use crate::location::{Location, LocationError};
use crate::storage::{Listed, Short, Storage, StorageError};
use crate::time::Instant;

/// A GRIB file to index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it lies.
    pub location: Location,
    /// Its size, where a listing told.
    pub size: Option<u64>,
    /// Its `ETag`, where a listing told.
    pub etag: Option<String>,
    /// When it was last written, where a listing told.
    pub modified: Option<Instant>,
    /// The index file beside it: `None` if nobody has looked yet, `Some(None)` if a listing shows that there is none.
    pub sidecar: Option<Option<Location>>,
    /// The member that its messages are of an ensemble, where they do not say so themselves.
    pub member: Option<i16>,
}

/// Why sources could not be found.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not a URL.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The listing failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Nothing is there.
    #[error("{0}: no such file or directory")]
    NotFound(String),
    /// A pattern that matches nothing.
    #[error("{0}: nothing matches")]
    NoMatch(String),
    /// A directory without GRIB files.
    #[error("{0}: no GRIB file and no index file in it")]
    Empty(String),
    /// A pattern that stands for too many names.
    #[error("{0}: stands for more than {MOST_NAMES} names")]
    TooMany(String),
    /// A glob that is none.
    #[error("{pattern}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Expands one source of the command line.
///
/// # Errors
/// [`SourceError`] if it names nothing, or a listing fails.
pub async fn expand(
    text: &str,
    base: &Path,
    storage: &Storage,
) -> Result<Vec<Source>, SourceError> {
    let names = expand_braces(text).ok_or_else(|| SourceError::TooMany(text.to_owned()))?;
    let mut sources = Vec::new();
    for name in &names {
        let location = Location::parse(name, base)?;
        if name.contains(['*', '?']) && (location.to_path().is_some() || name.contains('*')) {
            sources.extend(glob(name, &location, storage).await?);
        } else if let Some(path) = location.to_path() {
            match std::fs::metadata(&path) {
                Ok(found) if found.is_dir() => {
                    sources.extend(folder(text, &location, storage).await?);
                }
                Ok(found) => sources.push(Source {
                    size: Some(found.len()),
                    ..Source::named(location)
                }),
                // A file of a pattern that is not there is a missing file of the run, not a mistake of the user's.
                Err(_missing) if names.len() > 1 => sources.push(Source::named(location)),
                Err(_missing) => return Err(SourceError::NotFound(name.clone())),
            }
        } else if name.ends_with('/') {
            sources.extend(folder(text, &location, storage).await?);
        } else {
            sources.push(Source::named(location));
        }
    }
    Ok(sources)
}

impl Source {
    /// A file of which only the name is known.
    #[must_use]
    pub const fn named(location: Location) -> Self {
        Self {
            location,
            size: None,
            etag: None,
            modified: None,
            sidecar: None,
            member: None,
        }
    }
}

/// The run that a file's name tells, where it does.
#[must_use]
pub fn run_in_name(location: &Location) -> Option<Instant> {
    url_facts(location.as_str()).run
}

/// The GRIB files below a directory or prefix.
async fn folder(
    text: &str,
    location: &Location,
    storage: &Storage,
) -> Result<Vec<Source>, SourceError> {
    let sources = grib_files(storage.list(location).await?, storage).await;
    if sources.is_empty() {
        Err(SourceError::Empty(text.to_owned()))
    } else {
        Ok(sources)
    }
}

async fn glob(
    text: &str,
    location: &Location,
    storage: &Storage,
) -> Result<Vec<Source>, SourceError> {
    let url = location.as_str();
    let wrong = |error: glob::PatternError| SourceError::Pattern {
        pattern: text.to_owned(),
        reason: error.to_string(),
    };
    // A `?` of a file URL is percent-encoded, for it would begin a query.
    let pattern = glob::Pattern::new(&url.replace("%3F", "?")).map_err(wrong)?;
    let fixed = url
        .find(['*', '?'])
        .or_else(|| url.find("%3F"))
        .unwrap_or(url.len());
    let prefix = url.get(..fixed).unwrap_or(url);
    let prefix = if location.to_path().is_some() {
        prefix.rsplit_once('/').map_or(prefix, |(folder, _)| folder)
    } else {
        prefix
    };
    let listed = storage.list(&location.with_text(prefix)).await?;
    let options = glob::MatchOptions {
        require_literal_separator: true,
        ..glob::MatchOptions::new()
    };
    let all: HashSet<String> = listed
        .iter()
        .map(|object| object.location.as_str().to_owned())
        .collect();
    let matching = |object: &Listed| pattern.matches_with(object.location.as_str(), options);
    let sources: Vec<Source> = listed
        .iter()
        .filter(|object| matching(object) && !is_sidecar(object.location.file_name()))
        .map(|object| with_sidecar(object, &all))
        .collect();
    if sources.is_empty() {
        Err(SourceError::NoMatch(text.to_owned()))
    } else {
        Ok(sources)
    }
}

/// Of a listing, the objects that are GRIB files: those with an index file beside them, with a suffix of GRIB, or (on disk, where
/// looking costs nothing) with its magic.
async fn grib_files(listed: Vec<Listed>, storage: &Storage) -> Vec<Source> {
    let all: HashSet<String> = listed
        .iter()
        .map(|object| object.location.as_str().to_owned())
        .collect();
    let mut sources = Vec::new();
    for object in listed
        .iter()
        .filter(|object| !is_sidecar(object.location.file_name()))
    {
        let source = with_sidecar(object, &all);
        let suffix = [".grib2", ".grb2", ".grib", ".grb"]
            .iter()
            .any(|suffix| object.location.file_name().ends_with(suffix));
        if matches!(source.sidecar, Some(Some(_)))
            || suffix
            || has_magic(&object.location, storage).await
        {
            sources.push(source);
        }
    }
    sources
}

async fn has_magic(location: &Location, storage: &Storage) -> bool {
    if location.to_path().is_none() {
        return false;
    }
    let start = storage
        .get(
            location,
            crate::location::ByteRange::new(0, 4),
            Short::Allow,
        )
        .await;
    start.is_ok_and(|start| start.bytes.as_ref() == b"GRIB")
}

fn with_sidecar(object: &Listed, all: &HashSet<String>) -> Source {
    let sidecar = sidecar_names(object.location.file_name())
        .iter()
        .map(|name| object.location.with_file_name(name))
        .find(|candidate| all.contains(candidate.as_str()));
    Source {
        location: object.location.clone(),
        size: Some(object.size),
        etag: object.etag.clone(),
        modified: object.modified,
        sidecar: Some(sidecar),
        member: None,
    }
}

fn is_sidecar(name: &str) -> bool {
    [
        ".idx", ".index", ".inv", ".parquet", ".json", ".md5", ".sha256", ".txt", ".csv",
    ]
    .iter()
    .any(|suffix| name.ends_with(suffix))
}

/// Drops sources that were named twice, the first stays.
pub(super) fn without_repetition(sources: Vec<Source>) -> Vec<Source> {
    let mut seen: HashMap<Location, ()> = HashMap::new();
    sources
        .into_iter()
        .filter(|source| seen.insert(source.location.clone(), ()).is_none())
        .collect()
}

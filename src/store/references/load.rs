//! From what a user names to a reference set: a file, a directory, a pattern, on disk or anywhere, packed or not.
//!
//! What it is, is told by its content. A file that is no reference set is [`Loaded::Other`], for tables to look at.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::files::Files;
use super::records::{LocalRecords, MAX_METADATA_BYTES, METADATA, RemoteRecords};
use crate::location::Location;
use crate::refs::{
    self, Defect, Format, MessageRef, RefSet, RefsError, decompress, member_in_name,
    read_directory, read_gik, read_json, read_k_index, step_messages,
};
use crate::storage::{ErrorKind, Listed, Storage, StorageError};
use crate::store::disk::Version;

/// Most files of a pattern.
const MAX_FILES: usize = 100_000;

/// What a source holds.
#[derive(Debug)]
pub enum Loaded {
    /// A reference set, with the directory that it lies in on this machine.
    Set(Box<RefSet>, Option<PathBuf>),
    /// A list of messages, to be indexed; with what is wrong with it, and the directory likewise.
    Messages(Vec<MessageRef>, Vec<Defect>, Option<PathBuf>),
    /// Something else.
    Other,
}

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file is no sound set.
    #[error("{location}: {error}")]
    Refs {
        /// The file.
        location: Location,
        /// What is wrong.
        error: RefsError,
    },
    /// The system failed.
    #[error("{what}: {error}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system says.
        error: io::Error,
    },
    /// A pattern that cannot be read, or that nothing matches.
    #[error("{0}")]
    Pattern(String),
}

impl LoadError {
    /// A file that is no sound set.
    pub(super) fn refs(location: &Location, error: RefsError) -> Self {
        Self::Refs {
            location: location.clone(),
            error,
        }
    }
}

/// Reads what `text` names; `location` is its location. Blocks; must not be called on a thread of the runtime.
///
/// # Errors
/// [`LoadError`].
pub fn load_refs(
    text: &str,
    location: &Location,
    storage: &Storage,
    runtime: &Handle,
) -> Result<Loaded, LoadError> {
    let files = Files { storage, runtime };
    let loader = Loader {
        storage,
        runtime,
        files,
    };
    let exists = location.to_path().is_some_and(|path| path.exists());
    if text.contains(['*', '?', '[']) && !exists && !text.contains("://")
        || text.contains("://") && text.contains('*')
    {
        let files = loader.matching(location)?;
        return loader.together(&files);
    }
    if let Some(path) = location.to_path() {
        if path.is_dir() {
            return loader.local_directory(&path);
        }
        if !path.exists() {
            return Ok(Loaded::Other);
        }
        return loader.file(location);
    }
    let name = location.file_name();
    let like_a_file = [".parquet", ".par", ".json", ".gz", ".zst", ".zstd"]
        .iter()
        .any(|end| name.ends_with(end));
    if !like_a_file && let Some(set) = loader.remote_directory(location)? {
        return Ok(set);
    }
    if name.is_empty() {
        let files: Vec<Location> = parquet_of(runtime.block_on(storage.list(location))?);
        return loader.together(&files);
    }
    match loader.file(location) {
        // A directory of tables has no slash at its end.
        Err(LoadError::Storage(error)) if error.kind() == ErrorKind::NotFound && !like_a_file => {
            Ok(Loaded::Other)
        }
        other => other,
    }
}

fn parquet_of(listed: Vec<Listed>) -> Vec<Location> {
    listed
        .into_iter()
        .map(|file| file.location)
        .filter(|file| {
            [".parquet", ".par"]
                .iter()
                .any(|end| file.file_name().ends_with(end))
        })
        .collect()
}

struct Loader<'a> {
    storage: &'a Storage,
    runtime: &'a Handle,
    files: Files<'a>,
}

impl Loader<'_> {
    /// The files that a pattern matches.
    fn matching(&self, pattern: &Location) -> Result<Vec<Location>, LoadError> {
        let wrong = |what: String| LoadError::Pattern(format!("{pattern}: {what}"));
        let text = match pattern.to_path() {
            Some(path) => path.display().to_string(),
            None => pattern.as_str().to_owned(),
        };
        let parsed = glob::Pattern::new(&text).map_err(|error| wrong(error.to_string()))?;
        let fixed = text
            .find(['*', '?', '['])
            .and_then(|at| text.get(..at))
            .unwrap_or(&text);
        let folder = fixed
            .rfind('/')
            .and_then(|at| fixed.get(..=at))
            .unwrap_or(fixed);
        let prefix = match pattern.to_path() {
            Some(_) => Location::from_path(Path::new(folder)),
            None => pattern.with_text(folder),
        };
        let listed = self.runtime.block_on(self.storage.list(&prefix))?;
        let options = glob::MatchOptions {
            require_literal_separator: true,
            ..glob::MatchOptions::new()
        };
        let files: Vec<Location> = listed
            .into_iter()
            .map(|file| file.location)
            .filter(|file| {
                let name = file.to_path().map_or_else(
                    || file.as_str().to_owned(),
                    |path| path.display().to_string(),
                );
                parsed.matches_with(&name, options)
            })
            .take(MAX_FILES)
            .collect();
        if files.is_empty() {
            Err(wrong("nothing matches".to_owned()))
        } else {
            Ok(files)
        }
    }

    /// Several files as one: members of an ensemble, or lists of messages.
    fn together(&self, files: &[Location]) -> Result<Loaded, LoadError> {
        let (mut sets, mut messages) = (Vec::new(), Vec::new());
        let mut defects = Vec::new();
        // Of files in several directories none is what relative URLs begin at: they are not followed.
        let folder = |file: &Location| Some(file.to_path()?.parent()?.to_owned());
        let own = files.first().and_then(folder);
        let own = own.filter(|own| files.iter().all(|file| folder(file).as_ref() == Some(own)));
        for file in files {
            match self.file(file)? {
                Loaded::Set(set, _) => {
                    sets.push((file, *set));
                }
                Loaded::Messages(found, wrong, _) => {
                    defects.extend(wrong);
                    messages.extend(found);
                }
                Loaded::Other => return Ok(Loaded::Other),
            }
        }
        if !messages.is_empty() {
            messages.sort_unstable();
            messages.dedup();
            return Ok(Loaded::Messages(messages, defects, own));
        }
        if sets.len() == 1
            && let Some((_, set)) = sets.pop()
        {
            return Ok(Loaded::Set(Box::new(set), own));
        }
        let mut members = Vec::new();
        let mut first = None;
        for (file, set) in sets {
            let number = member_in_name(file.file_name()).ok_or_else(|| {
                LoadError::Pattern(format!("{file}: its name does not tell its member"))
            })?;
            first.get_or_insert_with(|| file.clone());
            members.push((number, set));
        }
        let Some(first) = first else {
            return Ok(Loaded::Other);
        };
        let set = refs::combine(members).map_err(|error| LoadError::refs(&first, error))?;
        Ok(Loaded::Set(Box::new(set), own))
    }

    fn local_directory(&self, path: &Path) -> Result<Loaded, LoadError> {
        let io = |error| LoadError::Io {
            what: path.display().to_string(),
            error,
        };
        let zmetadata = path.join(METADATA);
        if zmetadata.is_file() {
            let source = Arc::new(LocalRecords::new(path).map_err(io)?);
            let text = source.metadata().map_err(io)?;
            let set = read_directory(&text, source)
                .map_err(|error| LoadError::refs(&Location::from_path(&zmetadata), error))?;
            return Ok(Loaded::Set(Box::new(set), Some(path.to_owned())));
        }
        let mut files: Vec<PathBuf> = std::fs::read_dir(path)
            .and_then(|entries| {
                entries
                    .map(|entry| Ok(entry?.path()))
                    .collect::<io::Result<_>>()
            })
            .map_err(io)?;
        files.retain(|file| {
            file.is_file()
                && file
                    .extension()
                    .is_some_and(|end| end == "par" || end == "parquet")
        });
        files.sort();
        let files: Vec<Location> = files.iter().map(|file| Location::from_path(file)).collect();
        // Tables of ours are told by the first of them.
        match files.first() {
            None => Ok(Loaded::Other),
            Some(first)
                if matches!(
                    self.files.format(first)?.0,
                    Format::OtherParquet | Format::Other
                ) =>
            {
                Ok(Loaded::Other)
            }
            Some(_) => self.together(&files),
        }
    }

    fn remote_directory(&self, location: &Location) -> Result<Option<Loaded>, LoadError> {
        let zmetadata = location.below(METADATA);
        let fetched = match self
            .runtime
            .block_on(self.storage.get_whole(&zmetadata, MAX_METADATA_BYTES))
        {
            Ok(fetched) => fetched,
            // Some buckets say 403 for what is not there; then it is a file, or reading that fails.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::Forbidden | ErrorKind::NotData
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let source = Arc::new(RemoteRecords {
            folder: location.clone(),
            mounted: Version {
                etag: fetched.etag,
                size: Some(fetched.bytes.len() as u64),
                // Mirrors set it anew.
                modified: None,
            },
            storage: self.storage.clone(),
            runtime: self.runtime.clone(),
        });
        let set = read_directory(&fetched.bytes, source)
            .map_err(|error| LoadError::refs(&zmetadata, error))?;
        Ok(Some(Loaded::Set(Box::new(set), None)))
    }

    fn file(&self, location: &Location) -> Result<Loaded, LoadError> {
        let wrong = |error| LoadError::refs(location, error);
        let files = self.files;
        let (format, compression) = files.format(location)?;
        let own = location
            .to_path()
            .and_then(|path| path.parent().map(Path::to_owned));
        Ok(match format {
            Format::Other | Format::OtherParquet => Loaded::Other,
            Format::KIndex => Loaded::Messages(
                read_k_index(files.whole(location, compression)?).map_err(wrong)?,
                Vec::new(),
                own,
            ),
            Format::Gik => {
                let mut set = read_gik(files.whole(location, compression)?).map_err(wrong)?;
                if let Some(member) = member_in_name(location.file_name()) {
                    set.set_member(member);
                }
                self.usable(location, set, own)?
            }
            Format::Json => {
                let reader = decompress(files.open(location)?, compression).map_err(wrong)?;
                let set = read_json(reader).map_err(wrong)?;
                self.usable(location, set, own)?
            }
        })
    }

    /// A set with data, or the messages that its `step_` keys name.
    fn usable(
        &self,
        location: &Location,
        set: RefSet,
        own: Option<PathBuf>,
    ) -> Result<Loaded, LoadError> {
        let _ = self;
        let messages = step_messages(&set);
        if !messages.is_empty() {
            return Ok(Loaded::Messages(messages, set.defects, own));
        }
        if set.is_deflated() {
            return Err(LoadError::Refs {
                location: location.clone(),
                error: RefsError::Deflated,
            });
        }
        Ok(Loaded::Set(Box::new(set), own))
    }
}

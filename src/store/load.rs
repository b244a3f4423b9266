//! From what a user names to a reference set: a file, a directory, a pattern, on disk or anywhere, packed or not.
//!
//! What it is, is told by its content. A file that is no reference set is [`Loaded::Other`], for tables to look at.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::location::{ByteRange, Location};
use crate::refs::{
    self, Compression, Defect, Format, MessageRef, RecordSource, RefSet, RefsError, decompress,
    member_in_name, parquet_footer, parquet_footer_length, read_directory, read_gik, read_json,
    read_k_index, sniff, sniff_compression, step_messages,
};
use crate::storage::{ErrorKind, Listed, Short, Storage, StorageError};

/// Bytes of a remote file that are fetched at once.
const PIECE: u64 = 8 << 20;
/// Largest Parquet file that is held in memory once unpacked.
const MAX_PARQUET: u64 = 8 << 30;
/// Largest `.zmetadata`.
const MAX_ZMETADATA: u64 = 256 << 20;
/// Most files of a pattern.
const MAX_FILES: usize = 100_000;
/// How long a record file may take to come.
const RECORD_DEADLINE: Duration = Duration::from_secs(60);

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
    let loader = Loader { storage, runtime };
    let exists = location.to_path().is_some_and(|path| path.exists());
    if text.contains(['*', '?', '[']) && !exists && !text.contains("://")
        || text.contains("://") && text.contains('*')
    {
        let files = loader.matching(location)?;
        return loader.files(&files);
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
        return loader.files(&files);
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
    fn files(&self, files: &[Location]) -> Result<Loaded, LoadError> {
        let (mut sets, mut messages, mut own) = (Vec::new(), Vec::new(), None);
        let mut defects = Vec::new();
        for file in files {
            match self.file(file)? {
                Loaded::Set(set, folder) => {
                    own = folder;
                    sets.push((file, *set));
                }
                Loaded::Messages(found, wrong, folder) => {
                    own = folder;
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
        let set = refs::combine(members).map_err(|error| LoadError::Refs {
            location: first,
            error,
        })?;
        Ok(Loaded::Set(Box::new(set), own))
    }

    fn local_directory(&self, path: &Path) -> Result<Loaded, LoadError> {
        let io = |error| LoadError::Io {
            what: path.display().to_string(),
            error,
        };
        let zmetadata = path.join(".zmetadata");
        if zmetadata.is_file() {
            let text = std::fs::read(&zmetadata).map_err(io)?;
            let source = Arc::new(LocalRecords(path.to_owned()));
            let set = read_directory(&text, source).map_err(|error| LoadError::Refs {
                location: Location::from_path(&zmetadata),
                error,
            })?;
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
            Some(first) if matches!(self.format(first)?, Format::OtherParquet | Format::Other) => {
                Ok(Loaded::Other)
            }
            Some(_) => self.files(&files),
        }
    }

    fn remote_directory(&self, location: &Location) -> Result<Option<Loaded>, LoadError> {
        let folder = location.as_str().trim_end_matches('/');
        let zmetadata = location.with_text(&format!("{folder}/.zmetadata"));
        let text = match self
            .runtime
            .block_on(self.storage.get_whole(&zmetadata, MAX_ZMETADATA))
        {
            Ok(fetched) => fetched.bytes,
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
            folder: location.with_text(folder),
            storage: self.storage.clone(),
            runtime: self.runtime.clone(),
        });
        let set = read_directory(&text, source).map_err(|error| LoadError::Refs {
            location: zmetadata,
            error,
        })?;
        Ok(Some(Loaded::Set(Box::new(set), None)))
    }

    fn format(&self, location: &Location) -> Result<Format, LoadError> {
        let wrong = |error| LoadError::Refs {
            location: location.clone(),
            error,
        };
        let (head, compression) = self.head(location)?;
        sniff(&head, || {
            self.footer(location, compression)
                .map_err(|error| RefsError::Read(error.to_string()))
        })
        .map_err(wrong)
    }

    /// The first bytes of a file, unpacked, and how it is packed.
    fn head(&self, location: &Location) -> Result<(Vec<u8>, Compression), LoadError> {
        let mut reader = self.open(location)?;
        let mut packed = Vec::new();
        let read = (&mut reader).take(4).read_to_end(&mut packed);
        read.map_err(|error| self.io(location, error))?;
        let compression = sniff_compression(&packed);
        if compression == Compression::None {
            let rest = (&mut reader).take(508).read_to_end(&mut packed);
            rest.map_err(|error| self.io(location, error))?;
            return Ok((packed, compression));
        }
        let chained = io::Cursor::new(packed).chain(reader);
        let mut unpacked = decompress(chained, compression).map_err(|error| LoadError::Refs {
            location: location.clone(),
            error,
        })?;
        let mut head = Vec::new();
        let read = (&mut unpacked).take(512).read_to_end(&mut head);
        read.map_err(|error| self.io(location, error))?;
        Ok((head, compression))
    }

    fn io(&self, location: &Location, error: io::Error) -> LoadError {
        let _ = self;
        match error.downcast::<StorageError>() {
            Ok(error) => LoadError::Storage(error),
            Err(error) => LoadError::Io {
                what: location.to_string(),
                error,
            },
        }
    }

    fn open(&self, location: &Location) -> Result<Box<dyn Read>, LoadError> {
        if let Some(path) = location.to_path() {
            let file = File::open(&path).map_err(|error| self.io(location, error))?;
            return Ok(Box::new(file));
        }
        Ok(Box::new(RemoteFile {
            location: location.clone(),
            storage: self.storage.clone(),
            runtime: self.runtime.clone(),
            at: 0,
            piece: Bytes::new(),
            ended: false,
        }))
    }

    /// The footer of a Parquet file, by two small reads where it is not packed.
    fn footer(&self, location: &Location, compression: Compression) -> Result<Bytes, LoadError> {
        let wrong = |error| LoadError::Refs {
            location: location.clone(),
            error,
        };
        let size = match (compression, location.to_path()) {
            (Compression::None, Some(path)) => Some(
                std::fs::metadata(path)
                    .map_err(|error| self.io(location, error))?
                    .len(),
            ),
            (Compression::None, None) => {
                let probe = self
                    .storage
                    .get(location, ByteRange::new(0, 8), Short::Allow);
                self.runtime.block_on(probe)?.object_size
            }
            (Compression::Gzip | Compression::Zstd, _) => None,
        };
        let Some(size) = size.filter(|size| *size > 12) else {
            let whole = self.whole(location, compression)?;
            return Ok(Bytes::copy_from_slice(
                parquet_footer(&whole).map_err(wrong)?,
            ));
        };
        let read = |offset: u64, length: u64| {
            self.runtime.block_on(self.storage.get(
                location,
                ByteRange::new(offset, length),
                Short::Refuse,
            ))
        };
        let end = read(size - 8, 8)?.bytes;
        let length = match end.first_chunk::<8>() {
            Some(end) => parquet_footer_length(end).map_err(wrong)? as u64,
            None => 0,
        };
        if length == 0 || length > MAX_ZMETADATA || length > size - 12 {
            return Err(wrong(RefsError::Parquet(
                "a footer that cannot be".to_owned(),
            )));
        }
        Ok(read(size - 8 - length, length)?.bytes)
    }

    fn whole(&self, location: &Location, compression: Compression) -> Result<Bytes, LoadError> {
        let wrong = |error| LoadError::Refs {
            location: location.clone(),
            error,
        };
        let reader = decompress(self.open(location)?, compression).map_err(wrong)?;
        let mut bytes = Vec::new();
        let read = reader.take(MAX_PARQUET + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.io(location, error))?;
        if bytes.len() as u64 > MAX_PARQUET {
            return Err(wrong(RefsError::TooLarge(
                "a Parquet file of more than 8 GiB".to_owned(),
            )));
        }
        Ok(Bytes::from(bytes))
    }

    fn file(&self, location: &Location) -> Result<Loaded, LoadError> {
        let wrong = |error| LoadError::Refs {
            location: location.clone(),
            error,
        };
        let (head, compression) = self.head(location)?;
        let format = sniff(&head, || {
            self.footer(location, compression)
                .map_err(|error| RefsError::Read(error.to_string()))
        })
        .map_err(wrong)?;
        let own = location
            .to_path()
            .and_then(|path| path.parent().map(Path::to_owned));
        Ok(match format {
            Format::Other | Format::OtherParquet => Loaded::Other,
            Format::KIndex => Loaded::Messages(
                read_k_index(self.whole(location, compression)?).map_err(wrong)?,
                Vec::new(),
                own,
            ),
            Format::Gik => {
                let mut set = read_gik(self.whole(location, compression)?).map_err(wrong)?;
                if let Some(member) = member_in_name(location.file_name()) {
                    set.set_member(member);
                }
                self.usable(location, set, own)?
            }
            Format::Json => {
                let reader = decompress(self.open(location)?, compression).map_err(wrong)?;
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

/// Record files of a directory on disk.
struct LocalRecords(PathBuf);

impl RecordSource for LocalRecords {
    fn record(&self, key: &str) -> Result<Option<Bytes>, String> {
        match std::fs::read(self.0.join(key)) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{key}: {error}")),
        }
    }
}

/// Record files of a directory elsewhere.
struct RemoteRecords {
    folder: Location,
    storage: Storage,
    runtime: Handle,
}

impl RecordSource for RemoteRecords {
    fn record(&self, key: &str) -> Result<Option<Bytes>, String> {
        let location = self.folder.with_suffix(&format!("/{key}"));
        let storage = self.storage.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let read = storage.get_whole(&location, MAX_ZMETADATA).await;
            let answer = match read {
                Ok(fetched) => Ok(Some(fetched.bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.to_string()),
            };
            // Whoever asked may have gone.
            drop(sender.send(answer));
        });
        receiver
            .recv_timeout(RECORD_DEADLINE)
            .unwrap_or_else(|error| Err(format!("{key}: {error}")))
    }
}

/// A remote file as a stream of ranged reads.
struct RemoteFile {
    location: Location,
    storage: Storage,
    runtime: Handle,
    at: u64,
    piece: Bytes,
    ended: bool,
}

impl Read for RemoteFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && !self.ended {
            let range = ByteRange::new(self.at, PIECE);
            let read = self
                .runtime
                .block_on(self.storage.get(&self.location, range, Short::Allow));
            match read {
                Ok(fetched) => {
                    self.at += fetched.bytes.len() as u64;
                    self.ended = fetched
                        .object_size
                        .map_or((fetched.bytes.len() as u64) < PIECE, |size| self.at >= size);
                    self.piece = fetched.bytes;
                }
                // The object ended exactly where the last piece did.
                Err(error) if error.kind() == ErrorKind::Truncated && self.at > 0 => {
                    self.ended = true;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let count = out.len().min(self.piece.len());
        let piece = self.piece.split_to(count);
        if let Some(place) = out.get_mut(..count) {
            place.copy_from_slice(&piece);
        }
        Ok(count)
    }
}

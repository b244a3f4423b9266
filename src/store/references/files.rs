//! The bytes of files that a set is loaded from: in one piece, as a stream, or just what tells their format; on disk or anywhere,
//! packed or not. Blocks.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::load::LoadError;
use crate::location::{ByteRange, Location};
use crate::refs::{
    Compression, Format, RefsError, decompress, parquet_footer, parquet_footer_length, sniff,
    sniff_compression,
};
use crate::storage::{ErrorKind, Short, Storage, StorageError};
use crate::store::disk::Version;

/// Bytes of a remote file that are fetched at once.
const PIECE: u64 = 8 << 20;
/// Largest Parquet file that is held in memory.
const MAX_PARQUET: u64 = 8 << 30;
/// Largest one that comes packed: a megabyte can unpack to a thousand.
const MAX_UNPACKED: u64 = 1 << 30;
/// Largest footer of a Parquet file.
const MAX_FOOTER: u64 = 256 << 20;

/// Reads files.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) storage: &'a Storage,
    pub(super) runtime: &'a Handle,
}

impl Files<'_> {
    /// What a file is, by its content, and how it is packed.
    pub(super) fn format(&self, location: &Location) -> Result<(Format, Compression), LoadError> {
        let (head, compression) = self.head(location)?;
        let footer = || {
            self.footer(location, compression)
                .map_err(|error| RefsError::Read(error.to_string()))
        };
        let format = sniff(&head, footer).map_err(|error| LoadError::refs(location, error))?;
        Ok((format, compression))
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
        let mut unpacked =
            decompress(chained, compression).map_err(|error| LoadError::refs(location, error))?;
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

    pub(super) fn open(&self, location: &Location) -> Result<Box<dyn Read>, LoadError> {
        if let Some(path) = location.to_path() {
            let file = File::open(&path).map_err(|error| self.io(location, error))?;
            return Ok(Box::new(file));
        }
        Ok(Box::new(RemoteFile {
            location: location.clone(),
            storage: self.storage.clone(),
            runtime: self.runtime.clone(),
            at: 0,
            first: None,
            piece: Bytes::new(),
            ended: false,
        }))
    }

    /// The footer of a Parquet file, by two small reads where it is not packed.
    fn footer(&self, location: &Location, compression: Compression) -> Result<Bytes, LoadError> {
        let wrong = |error| LoadError::refs(location, error);
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
        if length == 0 || length > MAX_FOOTER || length > size - 12 {
            return Err(wrong(RefsError::Parquet(
                "a footer that cannot be".to_owned(),
            )));
        }
        Ok(read(size - 8 - length, length)?.bytes)
    }

    pub(super) fn whole(
        &self,
        location: &Location,
        compression: Compression,
    ) -> Result<Bytes, LoadError> {
        let wrong = |error| LoadError::refs(location, error);
        let reader = decompress(self.open(location)?, compression).map_err(wrong)?;
        let most = match compression {
            Compression::None => MAX_PARQUET,
            Compression::Gzip | Compression::Zstd => MAX_UNPACKED,
        };
        let mut bytes = Vec::new();
        let read = reader.take(most + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.io(location, error))?;
        if bytes.len() as u64 > most {
            return Err(wrong(RefsError::TooLarge(format!(
                "a Parquet file of more than {} GiB",
                most >> 30
            ))));
        }
        Ok(Bytes::from(bytes))
    }
}

/// A remote file as a stream of ranged reads.
struct RemoteFile {
    location: Location,
    storage: Storage,
    runtime: Handle,
    at: u64,
    /// The object as the first piece told it, but for its time, which mirrors set anew: all pieces are of one object.
    first: Option<Version>,
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
                    let now = Version {
                        modified: None,
                        ..Version::of(&fetched)
                    };
                    let first = self.first.get_or_insert_with(|| now.clone());
                    if !first.agrees(&now) || first.size != now.size {
                        return Err(io::Error::other(
                            "it was written anew while it was being read; try again",
                        ));
                    }
                    self.at += fetched.bytes.len() as u64;
                    self.ended = fetched
                        .object_size
                        .map_or((fetched.bytes.len() as u64) < PIECE, |size| self.at >= size);
                    self.piece = fetched.bytes;
                }
                // An object of unknown size ended exactly where the last piece did.
                Err(error)
                    if error.kind() == ErrorKind::Truncated
                        && self
                            .first
                            .as_ref()
                            .is_some_and(|first| first.size.is_none()) =>
                {
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

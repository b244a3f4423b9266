//! Where the bytes of a table come from: a file, bytes in memory, or one row group of it.

use std::fs::File;
use std::io;

use bytes::{Buf as _, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::files::At as _;

/// Ranged reads of a table's bytes: a file, bytes in memory, a local copy of a remote object.
pub trait TableSource: Send + Sync {
    /// Size in bytes.
    ///
    /// # Errors
    /// Whatever the source says.
    fn size(&self) -> io::Result<u64>;

    /// Exactly `length` bytes from `offset`; callers ask within the size only.
    ///
    /// # Errors
    /// Whatever the source says; fewer bytes than asked for are an error.
    fn read(&self, offset: u64, length: usize) -> io::Result<Bytes>;
}

impl TableSource for Bytes {
    fn size(&self) -> io::Result<u64> {
        u64::try_from(self.len()).map_err(io::Error::other)
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        match start.checked_add(length) {
            Some(end) if end <= self.len() => Ok(self.slice(start..end)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl TableSource for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, offset)?;
        Ok(bytes.into())
    }
}

/// Bytes of one row group, at their place in the file.
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) bytes: Bytes,
    pub(super) size: u64,
}

impl Span {
    fn from(&self, offset: u64) -> Result<Bytes, ParquetError> {
        let at = offset
            .checked_sub(self.start)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| *at <= self.bytes.len())
            .ok_or_else(|| ParquetError::EOF("outside the row group".to_owned()))?;
        Ok(self.bytes.slice(at..))
    }
}

impl Length for Span {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Span {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let rest = self.from(start)?;
        if length > rest.len() {
            return Err(ParquetError::EOF("outside the row group".to_owned()));
        }
        Ok(rest.slice(..length))
    }
}

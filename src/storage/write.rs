//! Writes and removals of whole objects: readers see the old one or the new one, never a part.

use std::time::Duration;

use bytes::Bytes;

use super::call::Call;
use super::config::StorageConfig;
use super::error::{ErrorKind, Operation, StorageError};
use super::served::file_path;
use super::{Storage, local, remote};
use crate::location::Location;

/// Whether a write waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Now,
    Later,
}

/// Slowest line on which a write may take longer than the timeout of a read.
const WRITE_BYTES_PER_SECOND: u64 = 256 << 10;
/// Most of an answer to a write that is read.
pub(super) const ANSWER_BYTES: u64 = 1 << 20;

/// How long a write may take.
pub(super) fn timeout(config: &StorageConfig, size: usize) -> Duration {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    config.timeout + Duration::from_secs(size / WRITE_BYTES_PER_SECOND)
}

impl Storage {
    /// Writes a whole object so that readers see the old one or the new one: files by rename, objects by one
    /// PUT, or in parts that are put together at the end.
    ///
    /// # Errors
    /// [`StorageError`]; [`ErrorKind::Unsupported`] for `gs://` without credentials.
    pub async fn put(&self, location: &Location, bytes: Bytes) -> Result<(), StorageError> {
        self.write(location, bytes, Settled::Now).await
    }

    /// The same without waiting for the disk: many files, then [`Storage::settle`] once. Until then a power failure may leave files of
    /// them that are shorter than they should be; the end of this process does not.
    ///
    /// # Errors
    /// As [`Storage::put`].
    pub async fn put_unsettled(
        &self,
        location: &Location,
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        self.write(location, bytes, Settled::Later).await
    }

    async fn write(
        &self,
        location: &Location,
        bytes: Bytes,
        settled: Settled,
    ) -> Result<(), StorageError> {
        let timeout = timeout(&self.0.config, bytes.len());
        let call = Call::new(Operation::Write, location, timeout, ANSWER_BYTES);
        self.count(call.run(async {
            if let Some(path) = file_path(location)? {
                let now = settled == Settled::Now;
                return self.on_disk(move || local::write(&path, &bytes, now)).await;
            }
            self.on_origin(&call, |origin| remote::put(origin, &call, bytes.clone()))
                .await
                .map(|_version| ())
        }))
        .await
    }

    /// Waits until everything written to the file system of a local file or folder is on its disk. Of other places nothing is to be
    /// waited for.
    ///
    /// # Errors
    /// [`StorageError`] if the disk fails.
    pub async fn settle(&self, location: &Location) -> Result<(), StorageError> {
        let call = Call::new(
            Operation::Write,
            location,
            self.0.config.timeout.saturating_mul(10),
            ANSWER_BYTES,
        );
        self.count(call.run(async {
            match file_path(location)? {
                Some(path) => self.on_disk(move || local::settle(&path)).await,
                None => Ok(()),
            }
        }))
        .await
    }

    /// Removes an object. One that is not there is no error.
    ///
    /// # Errors
    /// [`StorageError`] of any kind but [`ErrorKind::NotFound`].
    pub async fn remove(&self, location: &Location) -> Result<(), StorageError> {
        let call = Call::new(
            Operation::Remove,
            location,
            self.0.config.timeout,
            ANSWER_BYTES,
        );
        let done = call
            .run(async {
                if let Some(path) = file_path(location)? {
                    return self.on_disk(move || local::remove(&path)).await;
                }
                self.on_origin(&call, |origin| remote::remove(origin, &call))
                    .await
            })
            .await;
        match done {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => self.count(async { done }).await,
        }
    }
}

//! Writes of whole objects: readers see the old one or the new one, never a part.

use std::time::Duration;

use bytes::Bytes;

use super::call::Call;
use super::error::{Operation, StorageError};
use super::served::file_path;
use super::{Storage, local, remote};
use crate::location::Location;

/// Slowest line on which a write may take longer than the timeout of a read.
const WRITE_BYTES_PER_SECOND: u64 = 256 << 10;
/// Most of an answer to a write that is read.
const ANSWER_BYTES: u64 = 1 << 20;

impl Storage {
    /// Writes a whole object so that readers see the old one or the new one: files by rename, objects by one PUT.
    ///
    /// # Errors
    /// [`StorageError`]; [`ErrorKind::Unsupported`](super::ErrorKind::Unsupported) for `gs://` without credentials.
    pub async fn put(&self, location: &Location, bytes: Bytes) -> Result<(), StorageError> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let timeout = self.0.config.timeout + Duration::from_secs(size / WRITE_BYTES_PER_SECOND);
        let call = Call::new(Operation::Write, location, timeout, ANSWER_BYTES);
        self.count(call.run(async {
            if let Some(path) = file_path(location)? {
                return self.on_disk(move || local::write(&path, &bytes)).await;
            }
            self.on_origin(&call, |origin| remote::put(origin, &call, bytes.clone()))
                .await
        }))
        .await
    }
}

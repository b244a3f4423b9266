//! Record files of kerchunk Parquet directories, on disk and elsewhere. Reading one takes time: not on a thread of the runtime.
//!
//! A set that is removed or written anew while it is mounted would read as fill values, or as a mixture of two sets: nothing is taken
//! from it unless its `.zmetadata` is the one that was mounted.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::files::open_regular;
use crate::location::{ByteRange, Location};
use crate::refs::RecordSource;
use crate::storage::{ErrorKind, Short, Storage, StorageError, file_etag};
use crate::store::disk::Version;

/// Name of the document that makes a directory a set.
pub(super) const METADATA: &str = ".zmetadata";
/// Largest record file.
const MAX_RECORD_BYTES: u64 = 256 << 20;
/// Largest `.zmetadata`.
pub(super) const MAX_METADATA_BYTES: u64 = 256 << 20;
/// How long a record file may take to come where storage itself sets no limit.
const RECORD_DEADLINE: Duration = Duration::from_secs(600);

const CHANGED: &str = "the set was removed or written anew since it was mounted; mount it again to read it as it is now";

/// Record files of a directory on disk.
pub(super) struct LocalRecords {
    /// Without links.
    folder: PathBuf,
    /// Of its `.zmetadata` when it was mounted.
    etag: String,
}

impl LocalRecords {
    /// Of the set that lies in a directory, as it is now.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let folder = folder.canonicalize()?;
        let etag = file_etag(&folder.join(METADATA))?;
        Ok(Self { folder, etag })
    }

    /// The set's metadata.
    pub(super) fn metadata(&self) -> io::Result<Vec<u8>> {
        let text = bounded(&self.folder.join(METADATA), MAX_METADATA_BYTES)?;
        if self.is_as_mounted() {
            Ok(text)
        } else {
            Err(io::Error::other("it is being written; try again"))
        }
    }

    fn is_as_mounted(&self) -> bool {
        file_etag(&self.folder.join(METADATA)).is_ok_and(|now| now == self.etag)
    }

    fn read(&self, key: &str) -> io::Result<Option<Bytes>> {
        let path = match self.folder.join(key).canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !path.starts_with(&self.folder) {
            return Err(io::Error::other(
                "a link that leads out of the set's directory",
            ));
        }
        Ok(Some(Bytes::from(bounded(&path, MAX_RECORD_BYTES)?)))
    }
}

impl RecordSource for LocalRecords {
    fn record(&self, key: &str) -> Result<Option<Bytes>, String> {
        let read = self.read(key);
        if !self.is_as_mounted() {
            return Err(format!("{key}: {CHANGED}"));
        }
        read.map_err(|error| format!("{key}: {error}"))
    }
}

/// A regular file of bounded size. Never waits, as a pipe would make it.
fn bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("more than {most} bytes")));
    }
    Ok(bytes)
}

/// Record files of a directory elsewhere.
pub(super) struct RemoteRecords {
    pub(super) folder: Location,
    /// Of its `.zmetadata` when it was mounted.
    pub(super) mounted: Version,
    pub(super) storage: Storage,
    pub(super) runtime: Handle,
}

impl RemoteRecords {
    /// Reads a record, and asks at the same time whether the set is the one that was mounted.
    async fn read(
        storage: &Storage,
        record: &Location,
        metadata: &Location,
        mounted: &Version,
    ) -> Result<Option<Bytes>, String> {
        let first = ByteRange::new(0, 1);
        let (record, metadata) = tokio::join!(
            storage.get_whole(record, MAX_RECORD_BYTES),
            storage.get(metadata, first, Short::Allow)
        );
        let told = |error: StorageError| error.to_string();
        match metadata {
            Ok(now) if mounted.agrees(&Version::of(&now)) => {}
            Ok(_) => return Err(CHANGED.to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(CHANGED.to_owned()),
            Err(error) => return Err(told(error)),
        }
        match record {
            Ok(fetched) => Ok(Some(fetched.bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(told(error)),
        }
    }
}

impl RecordSource for RemoteRecords {
    fn record(&self, key: &str) -> Result<Option<Bytes>, String> {
        let (record, metadata) = (self.folder.below(key), self.folder.below(METADATA));
        let (storage, mounted) = (self.storage.clone(), self.mounted.clone());
        let (sender, receiver) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let answer = Self::read(&storage, &record, &metadata, &mounted).await;
            // Whoever asked may have gone.
            drop(sender.send(answer));
        });
        receiver
            .recv_timeout(RECORD_DEADLINE)
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|error| format!("{key}: {error}"))
    }
}

//! Record files of kerchunk Parquet directories, on disk and elsewhere. Reading one takes time: not on a thread of the runtime.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::location::Location;
use crate::refs::RecordSource;
use crate::storage::{ErrorKind, Storage};

/// Largest record file.
const MAX_RECORD_BYTES: u64 = 256 << 20;
/// How long a record file may take to come.
const RECORD_DEADLINE: Duration = Duration::from_secs(60);

/// Record files of a directory on disk.
pub(super) struct LocalRecords(pub(super) PathBuf);

impl RecordSource for LocalRecords {
    fn record(&self, key: &str) -> Result<Option<Bytes>, String> {
        let path = self.0.join(key);
        let told = |error: io::Error| format!("{key}: {error}");
        match std::fs::metadata(&path) {
            Ok(found) if found.len() > MAX_RECORD_BYTES => {
                Err(format!("{key}: {} bytes are no record file", found.len()))
            }
            Ok(_) => Ok(Some(Bytes::from(std::fs::read(&path).map_err(told)?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(told(error)),
        }
    }
}

/// Record files of a directory elsewhere.
pub(super) struct RemoteRecords {
    pub(super) folder: Location,
    pub(super) storage: Storage,
    pub(super) runtime: Handle,
}

impl RecordSource for RemoteRecords {
    fn record(&self, key: &str) -> Result<Option<Bytes>, String> {
        let location = self.folder.with_suffix(&format!("/{key}"));
        let storage = self.storage.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let read = storage.get_whole(&location, MAX_RECORD_BYTES).await;
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

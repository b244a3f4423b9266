//! A folder that one process writes, or several that know of each other: a lock that ends with the process, however it ends.
//!
//! Advisory, by `flock(2)` on the folder itself, so nothing lies there for it. Places that cannot be locked (buckets, some network file
//! systems, other systems than Unix) are held by nobody and by everybody.

use std::fs::File;
use std::io;
use std::path::Path;

use super::Storage;
use super::call::Call;
use super::error::{Fault, Operation, StorageError};
use super::local;
use super::served::file_path;
use super::write;
use crate::files::{Lock, lock};
use crate::location::Location;

/// With whom a folder is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holders {
    /// Alone.
    One,
    /// With others that say the same.
    Several,
}

/// A folder that is held, until this is dropped.
#[derive(Debug)]
pub struct Hold {
    /// The open folder.
    _folder: Option<File>,
}

impl Storage {
    /// Makes a folder, if it is not there, and holds it; `None` if another process does.
    ///
    /// # Errors
    /// [`StorageError`] if the folder cannot be made or opened.
    pub async fn hold(
        &self,
        folder: &Location,
        holders: Holders,
    ) -> Result<Option<Hold>, StorageError> {
        let timeout = self.0.config.timeout;
        let call = Call::new(Operation::Write, folder, timeout, write::ANSWER_BYTES);
        self.count(call.run(async {
            match file_path(folder)? {
                Some(path) => self.on_disk(move || hold(&path, holders)).await,
                None => Ok(Some(Hold { _folder: None })),
            }
        }))
        .await
    }
}

fn hold(path: &Path, holders: Holders) -> Result<Option<Hold>, Fault> {
    std::fs::create_dir_all(path).map_err(|error| local::fault(&error))?;
    let wanted = match holders {
        Holders::One => Lock::AtOnce,
        Holders::Several => Lock::Shared,
    };
    // Where a folder cannot be opened, that is Windows.
    let locked = File::open(path).and_then(|folder| lock(&folder, wanted).map(|()| folder));
    match locked {
        Ok(folder) => Ok(Some(Hold {
            _folder: Some(folder),
        })),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "the folder cannot be locked");
            Ok(Some(Hold { _folder: None }))
        }
    }
}

/// Holds a file that is about to be replaced, once nobody else does; nothing if it is not there or cannot be held.
pub(super) fn of_file(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    lock(&file, Lock::Wait).ok()?;
    Some(file)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn one_alone_or_several_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let one = hold(&path, Holders::One).unwrap().unwrap();
        assert!(hold(&path, Holders::One).unwrap().is_none());
        assert!(hold(&path, Holders::Several).unwrap().is_none());
        drop(one);
        let several = hold(&path, Holders::Several).unwrap().unwrap();
        let more = hold(&path, Holders::Several).unwrap().unwrap();
        assert!(hold(&path, Holders::One).unwrap().is_none());
        drop((several, more));
        assert!(hold(&path, Holders::One).unwrap().is_some());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }
}

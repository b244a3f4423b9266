//! The folder of a disk cache: whose it is, and what lies where.
//!
//! ```text
//! DIR/gribfs-messages-1/
//!   0a3/0a3f...-77c1...   one message each; the first part names URL and byte range, the second the version of the object
//!   new/                  files being written; each is locked by its writer, so one without a lock is a dead writer's
//!   usage                 bytes of all entries, kept by all processes together under a lock
//!   lock                  held by the one process that makes room
//! ```
//!
//! `DIR` belongs to the user and is left as it is; the folder in it is for its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::system::{HAS_LOCKS, make_private, objection, private_files};
use crate::files::{Lock, lock};

/// Name of the folder, with the number of the layout.
const NAME: &str = "gribfs-messages-1";
/// Name of the folder of files being written.
const NEW: &str = "new";
/// Age in seconds from which a file in it is dead where files cannot be locked.
const DEAD_SECONDS: u64 = 24 * 3600;

/// Makes the folder `name` in `parent` if it is not there, for its owner alone. Gives its path.
///
/// # Errors
/// Says why it cannot be used: not to be made, of another user, open to others.
pub(in crate::store) fn owned(parent: &Path, name: &str) -> io::Result<PathBuf> {
    let path = parent.join(name);
    let made = make_private(&path);
    let found = match (fs::symlink_metadata(&path), made) {
        (Ok(found), _) => found,
        (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(error),
    };
    let refuse = |reason: &str| {
        Err(io::Error::new(
            ErrorKind::PermissionDenied,
            format!("{} {reason}", path.display()),
        ))
    };
    if !found.is_dir() {
        return refuse("is not a directory");
    }
    match objection(&found) {
        Some(reason) => refuse(reason),
        None => Ok(path),
    }
}

/// The folder of a cache.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

/// A file being written: locked, and gone when dropped before it is in its place.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) file: File,
    path: PathBuf,
    placed: bool,
}

impl Folder {
    /// # Errors
    /// Where the folder cannot be used. One on a read-only disk can: it has been filled before.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        if !HAS_LOCKS {
            let reason =
                "a disk cache needs locks between processes, which gribfs has on Unix alone";
            return Err(io::Error::new(ErrorKind::Unsupported, reason));
        }
        Ok(Self {
            root: owned(directory, NAME)?,
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn shard(&self, shard: &str) -> PathBuf {
        self.root.join(shard)
    }

    /// All folders of entries there are.
    pub(super) fn shards(&self) -> io::Result<Vec<PathBuf>> {
        let mut shards = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let shard = name.to_str().is_some_and(|name| {
                name.len() == 3 && name != NEW && name.bytes().all(|b| b.is_ascii_hexdigit())
            });
            if shard {
                shards.push(entry.path());
            }
        }
        Ok(shards)
    }

    /// A small file that all processes share, opened for reading and writing.
    pub(super) fn shared(&self, name: &str) -> io::Result<File> {
        private_files()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.root.join(name))
    }

    /// A new file to write an entry into. `number` differs from file to file of this process.
    pub(super) fn new_file(&self, number: u64) -> io::Result<NewFile> {
        let folder = self.root.join(NEW);
        let path = folder.join(format!("{}-{number}", std::process::id()));
        let create = || private_files().write(true).create_new(true).open(&path);
        let file = match create() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_private(&folder)?;
                create()?
            }
            // Of a process of this number that is dead, or lives in another container.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                remove_if_dead(&path);
                create()?
            }
            made => made?,
        };
        let new = NewFile {
            file,
            path,
            placed: false,
        };
        // Without locks dead files are told by their age.
        let _locked = lock(&new.file, Lock::AtOnce);
        Ok(new)
    }

    /// Puts a written file in its place as `name`.
    pub(super) fn place(&self, mut new: NewFile, shard: &str, name: &str) -> io::Result<()> {
        let folder = self.shard(shard);
        let target = folder.join(name);
        match fs::rename(&new.path, &target) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_private(&folder)?;
                fs::rename(&new.path, &target)?;
            }
            done => done?,
        }
        new.placed = true;
        Ok(())
    }

    /// Removes what writers that died have left.
    pub(super) fn remove_dead_files(&self) -> u64 {
        let Ok(entries) = fs::read_dir(self.root.join(NEW)) else {
            return 0;
        };
        let dead = entries
            .flatten()
            .filter(|entry| remove_if_dead(&entry.path()));
        dead.count() as u64
    }
}

/// Removes a file that no living writer has locked.
fn remove_if_dead(path: &Path) -> bool {
    let Ok(file) = OpenOptions::new().write(true).open(path) else {
        return false;
    };
    let dead = match lock(&file, Lock::AtOnce) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(_) => {
            let modified = file.metadata().and_then(|found| found.modified());
            let age = modified.ok().and_then(|modified| modified.elapsed().ok());
            age.is_some_and(|age| age.as_secs() > DEAD_SECONDS)
        }
    };
    dead && fs::remove_file(path).is_ok()
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.placed {
            // What cannot be removed now is found dead later.
            let _left = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_of_others_is_refused_and_a_new_one_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.root()), 0o700);
        let new = folder.new_file(1).unwrap();
        folder.place(new, "0a3", "x").unwrap();
        assert_eq!(mode(&folder.shard("0a3")), 0o700);
        assert_eq!(mode(&folder.shard("0a3").join("x")), 0o600);
        assert_eq!(folder.shards().unwrap(), [folder.shard("0a3")]);
        fs::set_permissions(folder.root(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(
            Folder::open(parent.path())
                .unwrap_err()
                .to_string()
                .contains("chmod")
        );
    }

    #[test]
    fn what_a_dead_writer_left_goes_and_a_living_ones_stays() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        let alive = folder.new_file(1).unwrap();
        fs::write(folder.root().join(NEW).join("999999-1"), b"torn").unwrap();
        assert_eq!(folder.remove_dead_files(), 1);
        folder.place(alive, "0a3", "x").unwrap();
        drop(folder.new_file(2).unwrap());
        assert_eq!(fs::read_dir(folder.root().join(NEW)).unwrap().count(), 0);
    }
}

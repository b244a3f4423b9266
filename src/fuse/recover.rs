//! Makes a directory ready to be mounted on: there, a directory, empty, and no longer covered by a dead mount of ours.
//!
//! A mount whose server was killed stays and answers ENOTCONN, which is what its readers need. The next
//! `gribfs mount` on the same directory clears it, after the kernel's mount table has told that it is one of ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use tracing::warn;

use super::error::MountError;
use super::mounts;
use super::umount;

/// Dead mounts that may lie on top of each other before this is somebody's fault.
const MAX_DEAD: usize = 16;
/// A directory that does not answer within this time belongs to a server that hangs.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Runs a call that may hang (it asks a file system's server) and waits for it no longer than `deadline`.
///
/// # Errors
/// `TimedOut`, or what the call says.
pub(super) fn within<T: Send + 'static>(
    deadline: Duration,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || drop(tell.send(call())))?;
    told.recv_timeout(deadline)
        .unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))
}

/// Whether the error is that of a mount without a server.
pub(super) fn is_dead(error: &io::Error) -> bool {
    [Errno::NOTCONN, Errno::CONNABORTED]
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&error.raw_os_error())
}

/// Whether a directory has entries. Opening it always asks the server, so a dead mount cannot answer from a cache.
fn is_empty(path: PathBuf) -> io::Result<bool> {
    within(ANSWER_DEADLINE, move || match fs::read_dir(path)?.next() {
        None => Ok(true),
        Some(Ok(_)) => Ok(false),
        Some(Err(error)) => Err(error),
    })
}

/// Whether the mount at a directory has lost its server.
pub(super) fn is_dead_at(mountpoint: &Path) -> bool {
    is_empty(mountpoint.to_owned()).is_err_and(|error| is_dead(&error))
}

/// The resolved mount point, ready to be mounted on; clears dead mounts of ours from it.
///
/// # Errors
/// [`MountError`] with what is wrong with the directory.
pub(super) fn prepare(mountpoint: &Path) -> Result<PathBuf, MountError> {
    let unreadable = |source: io::Error| {
        let path = mountpoint.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            MountError::Absent { path }
        } else if source.kind() == io::ErrorKind::NotADirectory {
            MountError::NotADirectory { path }
        } else {
            MountError::Unreadable { path, source }
        }
    };
    let path = mounts::resolve(mountpoint).map_err(unreadable)?;
    for _ in 0..MAX_DEAD {
        let on_top = mounts::at(&path).map_err(unreadable)?;
        match (is_empty(path.clone()), on_top) {
            (Err(error), Some(entry)) if is_dead(&error) && entry.is_ours() => {
                warn!(
                    "{} holds a dead mount of {}, whose server ended without unmounting; clearing it",
                    path.display(),
                    entry.source
                );
                umount::detach(&entry).map_err(|source| MountError::DeadMount { source })?;
            }
            (Err(error), Some(entry)) if is_dead(&error) => {
                return Err(MountError::DeadOther {
                    path,
                    fs_type: entry.fs_type,
                });
            }
            (_, Some(entry)) if entry.is_ours() => {
                return Err(MountError::AlreadyMounted {
                    path,
                    source_name: entry.source,
                });
            }
            (Err(error), _) => return Err(unreadable(error)),
            (Ok(false), _) => return Err(MountError::NotEmpty { path }),
            (Ok(true), _) => return Ok(path),
        }
    }
    Err(MountError::Unreadable {
        path,
        source: io::Error::from(Errno::NOTCONN),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_directory_is_ready() {
        let directory = tempfile::tempdir().unwrap();
        let path = prepare(directory.path()).unwrap();
        assert_eq!(path, fs::canonicalize(directory.path()).unwrap());
    }

    #[test]
    fn what_is_wrong_with_a_directory_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        let cases = [
            (directory.path().to_owned(), "is not empty"),
            (file.clone(), "is not a directory"),
            (directory.path().join("absent"), "does not exist"),
            (directory.path().join("absent/deeper"), "does not exist"),
            (file.join("below"), "is not a directory"),
        ];
        for (path, sentence) in cases {
            let error = prepare(&path).unwrap_err();
            assert!(error.to_string().contains(sentence), "{error}");
        }
    }

    #[test]
    fn a_call_that_hangs_is_left() {
        let error = within(Duration::from_millis(20), || {
            thread::sleep(Duration::from_secs(5));
            Ok(())
        })
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

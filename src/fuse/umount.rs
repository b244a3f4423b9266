//! Unmounting, plainly: it works when nothing is open, and else says who holds the mount.
//!
//! Never lazily. A lazy unmount leaves an empty directory to readers that still hold a store's metadata, and an empty
//! directory reads as fill values.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::device;
use super::holders::{self, Holders};
use super::mounts::{self, MountEntry};

/// What `fusermount3` asks before it unmounts; a link on each distribution, and missing in roots that were only unpacked.
const MTAB: &str = "/etc/mtab";
/// A mount that is busy without a holder is busy for an instant only: a process just ended. How often, and how far
/// apart, it is tried again.
const RETRIES: u32 = 10;
/// Pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Why a mount is still there.
#[derive(Debug, thiserror::Error)]
pub enum UmountError {
    /// Nothing is mounted at this path.
    #[error("nothing is mounted at {}", path.display())]
    NotMounted {
        /// The path.
        path: PathBuf,
    },
    /// The path is inside a mount, not its mount point.
    #[error("{} is not a mount point but inside one: unmount {}", path.display(), mountpoint.display())]
    Inside {
        /// The path given.
        path: PathBuf,
        /// Where the mount is.
        mountpoint: PathBuf,
    },
    /// Another file system is mounted there.
    #[error("{} is a mount of {fs_type}, not of gribfs; left alone", path.display())]
    NotOurs {
        /// The path.
        path: PathBuf,
        /// Type of what is mounted.
        fs_type: String,
    },
    /// Something is open in it.
    #[error("{} is busy: {holders}", path.display())]
    Busy {
        /// Mount point.
        path: PathBuf,
        /// Who holds it.
        holders: Box<Holders>,
    },
    /// The mount was made by the program that passed its descriptor.
    #[error("{} was mounted by another program, which has to unmount it", path.display())]
    NotByUs {
        /// The descriptor.
        path: PathBuf,
    },
    /// `fusermount3` is needed and missing.
    #[error(
        "cannot unmount {}: fusermount3 was not found; install the package fuse3, or unmount as root",
        path.display()
    )]
    NoHelper {
        /// Mount point.
        path: PathBuf,
    },
    /// The kernel or `fusermount3` refused.
    #[error("cannot unmount {}: {reason}", path.display())]
    Refused {
        /// Mount point.
        path: PathBuf,
        /// Their word.
        reason: String,
    },
    /// `/proc` or the path could not be read.
    #[error("cannot look at {}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Unmounts the mount of this program at `directory`, dead or alive.
///
/// # Errors
/// [`UmountError`]: nothing or something else is mounted there, it is busy (with its holders), or it is not permitted.
pub fn umount(directory: &Path) -> Result<(), UmountError> {
    let failed = |source| UmountError::Io {
        path: directory.to_owned(),
        source,
    };
    let path = mounts::resolve(directory).map_err(failed)?;
    let Some(entry) = mounts::at(&path).map_err(failed)? else {
        let around = mounts::read()
            .map_err(failed)?
            .into_iter()
            .find(|mount| mount.is_ours() && path.starts_with(&mount.mountpoint));
        return Err(match around {
            Some(mount) => UmountError::Inside {
                path,
                mountpoint: mount.mountpoint,
            },
            None => UmountError::NotMounted { path },
        });
    };
    if !entry.is_ours() {
        return Err(UmountError::NotOurs {
            path,
            fs_type: entry.fs_type,
        });
    }
    detach(&entry)
}

/// Unmounts this very mount, wherever it is by now.
///
/// # Errors
/// As [`umount`].
pub(super) fn detach(entry: &MountEntry) -> Result<(), UmountError> {
    let failed = |source| UmountError::Io {
        path: entry.mountpoint.clone(),
        source,
    };
    let mut tries_left = RETRIES;
    loop {
        let Some(now) = mounts::again(entry).map_err(failed)? else {
            return Err(UmountError::NotMounted {
                path: entry.mountpoint.clone(),
            });
        };
        // A path means the topmost mount there, which may be another one by now.
        let on_top = mounts::at(&now.mountpoint).map_err(failed)?;
        let result = if on_top.as_ref() == Some(&now) {
            by_system_call(&now.mountpoint)
        } else {
            Err(busy(now.mountpoint.clone()))
        };
        match result {
            Err(UmountError::Busy { path, .. }) => {
                let holders = holders::of(&now);
                if tries_left == 0 || holders != Holders::default() {
                    return Err(UmountError::Busy {
                        path,
                        holders: Box::new(holders),
                    });
                }
            }
            outcome => return outcome,
        }
        tries_left -= 1;
        thread::sleep(RETRY_PAUSE);
    }
}

fn by_system_call(path: &Path) -> Result<(), UmountError> {
    let path = path.to_owned();
    match rustix::mount::unmount(&path, UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(busy(path)),
        Err(Errno::INVAL) => Err(UmountError::NotMounted { path }),
        Err(Errno::PERM) => by_helper(path),
        Err(errno) => Err(UmountError::Refused {
            path,
            reason: errno.to_string(),
        }),
    }
}

fn by_helper(path: PathBuf) -> Result<(), UmountError> {
    let output = device::helper(|command| command.args(["-u", "--"]).arg(&path).output());
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            if said.contains("busy") {
                return Err(busy(path));
            }
            // Somebody else was faster. The first is said to users, the second (EINVAL) to root.
            if said.contains("not found in") || said.contains("Invalid argument") {
                return Err(UmountError::NotMounted { path });
            }
            let reason = if said.is_empty() {
                format!("fusermount3 ended with {}", output.status)
            } else if said.contains(MTAB) {
                format!("{said}; it wants that file: as root, `ln -s /proc/self/mounts {MTAB}`")
            } else {
                said
            };
            Err(UmountError::Refused { path, reason })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(UmountError::NoHelper { path })
        }
        Err(source) => Err(UmountError::Io { path, source }),
    }
}

/// Busy, before anybody looked who holds it.
fn busy(path: PathBuf) -> UmountError {
    UmountError::Busy {
        path,
        holders: Box::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_mount_point_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let error = umount(directory.path()).unwrap_err();
        assert!(matches!(error, UmountError::NotMounted { .. }), "{error}");
        let error = umount(&directory.path().join("no/where")).unwrap_err();
        assert!(matches!(error, UmountError::Io { .. }), "{error}");
    }

    #[test]
    fn whoever_comes_second_is_told_that_nothing_is_mounted() {
        if device::helper(|command| command.arg("-V").output()).is_err()
            || !Path::new(MTAB).exists()
        {
            println!("skipped: fusermount3 or {MTAB} is missing");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let error = by_helper(directory.path().to_owned()).unwrap_err();
        assert!(matches!(error, UmountError::NotMounted { .. }), "{error}");
    }

    #[test]
    fn other_file_systems_are_left_alone() {
        let error = umount(Path::new("/proc")).unwrap_err();
        assert!(matches!(error, UmountError::NotOurs { .. }), "{error}");
        assert!(error.to_string().contains("mount of proc"), "{error}");
    }
}

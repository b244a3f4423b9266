//! Why there is no mount, in sentences that say what to do about it.

use std::io;
use std::path::PathBuf;

use super::umount::UmountError;

/// Why there is no mount.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// No `/dev/fuse`.
    #[error(
        "there is no /dev/fuse: load the kernel module with `modprobe fuse`, or give the container `--device /dev/fuse`"
    )]
    NoDevice,
    /// `/dev/fuse` is closed to this user.
    #[error(
        "/dev/fuse may not be opened by this user: it needs mode 0666 (usual on distributions), or mount as root"
    )]
    DeviceDenied,
    /// `/dev/fuse` cannot be used for another reason.
    #[error("cannot use /dev/fuse: {source}")]
    Device {
        /// The cause.
        source: io::Error,
    },
    /// The mount point is missing.
    #[error("mount point {} does not exist: create it with mkdir", path.display())]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// The mount point is a file.
    #[error("mount point {} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The mount point holds files, which a mount would hide.
    #[error("mount point {} is not empty: choose an empty directory", path.display())]
    NotEmpty {
        /// The path.
        path: PathBuf,
    },
    /// The mount point cannot be looked into.
    #[error("cannot look into mount point {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A mount of this program is there and lives.
    #[error(
        "{source_name} is already mounted at {}: unmount it with `gribfs umount`, or choose another directory",
        path.display()
    )]
    AlreadyMounted {
        /// Mount point.
        path: PathBuf,
        /// What is mounted.
        source_name: String,
    },
    /// A dead mount of this program is there and cannot be cleared.
    #[error("a dead mount is in the way: {source}")]
    DeadMount {
        /// Why it could not be cleared.
        source: UmountError,
    },
    /// A dead mount of another program is there.
    #[error(
        "{} holds a dead mount of {fs_type}, which is not ours: clear it with `fusermount3 -u` or umount",
        path.display()
    )]
    DeadOther {
        /// Mount point.
        path: PathBuf,
        /// Type of the dead mount.
        fs_type: String,
    },
    /// Users need `fusermount3`.
    #[error("fusermount3 was not found: install the package fuse3, or mount as root")]
    NoHelper,
    /// Users need a line in a file for `allow_other`.
    #[error(
        "allow_other is refused to users: add the line `user_allow_other` to /etc/fuse.conf, or leave it out"
    )]
    AllowOther,
    /// The kernel or `fusermount3` refused.
    #[error("cannot mount at {}: {reason}", path.display())]
    Refused {
        /// Mount point.
        path: PathBuf,
        /// Their word.
        reason: String,
    },
    /// The kernel and this program do not understand each other.
    #[error("the kernel's FUSE greeting failed: {source}")]
    Handshake {
        /// The cause.
        source: io::Error,
    },
    /// Mounted, but the root does not answer.
    #[error("mounted at {}, but its root does not answer: {source}", path.display())]
    Silent {
        /// Mount point.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// `/dev/fd/N` is not what it should be.
    #[error(
        "/dev/fd/{number} must be /dev/fuse, opened by the program that starts this one: {reason}"
    )]
    NotPassed {
        /// The descriptor's number.
        number: i32,
        /// What is wrong with it.
        reason: String,
    },
    /// A mount option has a value that is none.
    #[error("mount option `{option}`: {reason}")]
    Option {
        /// The option as given.
        option: String,
        /// What is wrong with it.
        reason: String,
    },
}

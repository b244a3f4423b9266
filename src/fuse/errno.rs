//! The one place where a failure becomes an errno, and where it is decided how loudly it is logged.
//!
//! Zarr readers take ENOENT, ENOTDIR and EISDIR for "this chunk is all fill value", and the C library retries on EINTR
//! and EAGAIN. So none of these may ever stand for a failure: a chunk that exists and cannot be had is an errno that
//! readers raise. ENOENT is the answer to a lookup of a name that the index proves absent, and to nothing else.
//!
//! The matches have no wildcard: a new kind of failure does not compile until somebody decides here.

use fuser::Errno;
use tracing::Level;

use crate::vfs::tree::{FailureKind, Missing};

/// A write of any kind: the mount is read-only.
pub(super) const READ_ONLY: Errno = Errno::EROFS;
/// A read through a handle whose file is not known.
pub(super) const UNKNOWN_HANDLE: Errno = Errno::EBADF;
/// Not a symbolic link: the tree has none.
pub(super) const NO_LINK: Errno = Errno::EINVAL;
/// Not a terminal: no ioctl is known.
pub(super) const NO_IOCTL: Errno = Errno::ENOTTY;
/// Operations that the kernel does by itself, or stops asking for, once it has been told so.
pub(super) const NOT_OFFERED: Errno = Errno::ENOSYS;
/// A name longer than the tree allows.
pub(super) const NAME_TOO_LONG: Errno = Errno::ENAMETOOLONG;
/// A directory operation on a file.
pub(super) const NOT_A_DIRECTORY: Errno = Errno::ENOTDIR;

/// Errno of a failed read, raised by every reader that was tried.
pub(super) fn of_failure(kind: FailureKind) -> Errno {
    match kind {
        FailureKind::Unavailable
        | FailureKind::Invalid
        | FailureKind::Pending
        | FailureKind::Internal => Errno::EIO,
        FailureKind::Forbidden => Errno::EACCES,
        FailureKind::Changed => Errno::ESTALE,
        FailureKind::TimedOut => Errno::ETIMEDOUT,
        FailureKind::Spent => Errno::EDQUOT,
    }
}

/// Errno of a metadata call that found nothing.
///
/// An inode that the tree does not know is a failure (the kernel had it from us), so it is ESTALE rather than ENOENT.
pub(super) fn of_missing(missing: Missing) -> Errno {
    match missing {
        Missing::NoSuchName { .. } => Errno::ENOENT,
        Missing::NotADirectory => NOT_A_DIRECTORY,
        Missing::IsADirectory => Errno::EISDIR,
        Missing::NameTooLong => NAME_TOO_LONG,
        Missing::NoSuchInode => Errno::ESTALE,
    }
}

/// How loudly a failed read is logged: what the archive did is a warning, what we did is an error.
pub(super) fn level(kind: FailureKind) -> Level {
    match kind {
        FailureKind::Unavailable
        | FailureKind::Forbidden
        | FailureKind::Changed
        | FailureKind::TimedOut
        | FailureKind::Invalid
        | FailureKind::Spent
        | FailureKind::Pending => Level::WARN,
        FailureKind::Internal => Level::ERROR,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Errnos that readers take for "no such chunk", or that libraries retry or swallow.
    const SILENT: [Errno; 6] = [
        Errno::ENOENT,
        Errno::ENOTDIR,
        Errno::EISDIR,
        Errno::EINTR,
        Errno::EAGAIN,
        Errno::EWOULDBLOCK,
    ];

    /// Every kind of failure. The match is there so that a new kind fails to compile until it is added to the list.
    fn all_failures() -> Vec<FailureKind> {
        let all = vec![
            FailureKind::Unavailable,
            FailureKind::Forbidden,
            FailureKind::Changed,
            FailureKind::TimedOut,
            FailureKind::Invalid,
            FailureKind::Pending,
            FailureKind::Spent,
            FailureKind::Internal,
        ];
        for kind in &all {
            match kind {
                FailureKind::Unavailable
                | FailureKind::Forbidden
                | FailureKind::Changed
                | FailureKind::TimedOut
                | FailureKind::Invalid
                | FailureKind::Pending
                | FailureKind::Spent
                | FailureKind::Internal => {}
            }
        }
        all
    }

    #[test]
    fn no_failure_becomes_an_errno_that_readers_swallow() {
        for kind in all_failures() {
            let errno = of_failure(kind);
            assert!(!SILENT.contains(&errno), "{kind:?} is {errno:?}");
        }
        for constant in [UNKNOWN_HANDLE, READ_ONLY, of_missing(Missing::NoSuchInode)] {
            assert!(!SILENT.contains(&constant), "{constant:?}");
        }
    }

    #[test]
    fn failures_have_the_documented_errnos_and_levels() {
        let got: Vec<_> = all_failures()
            .into_iter()
            .map(|kind| (of_failure(kind), level(kind)))
            .collect();
        assert_eq!(
            got,
            [
                (Errno::EIO, Level::WARN),
                (Errno::EACCES, Level::WARN),
                (Errno::ESTALE, Level::WARN),
                (Errno::ETIMEDOUT, Level::WARN),
                (Errno::EIO, Level::WARN),
                (Errno::EIO, Level::WARN),
                (Errno::EDQUOT, Level::WARN),
                (Errno::EIO, Level::ERROR),
            ]
        );
    }

    #[test]
    fn what_is_truly_missing_says_so() {
        let ttl = Duration::ZERO;
        assert_eq!(of_missing(Missing::NoSuchName { ttl }), Errno::ENOENT);
        assert_eq!(of_missing(Missing::NotADirectory), Errno::ENOTDIR);
        assert_eq!(of_missing(Missing::IsADirectory), Errno::EISDIR);
        assert_eq!(of_missing(Missing::NameTooLong), Errno::ENAMETOOLONG);
        assert_eq!(of_missing(Missing::NoSuchInode), Errno::ESTALE);
    }
}

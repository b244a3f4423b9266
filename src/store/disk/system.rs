//! What a disk cache asks of the system: locks between processes, room on the disk, folders for their owner alone.
//!
//! Elsewhere than on Unix there are no locks (the standard library has them from Rust 1.89 on), and so no disk cache: opening one says so.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Whether processes can share a folder here.
pub(super) const HAS_LOCKS: bool = cfg!(unix);

/// Bytes of the disk that a path lies on, and those of them that are free for this user.
#[cfg(unix)]
pub(super) fn disk_bytes(path: &Path) -> io::Result<(u64, u64)> {
    let disk = rustix::fs::statvfs(path)?;
    Ok((
        disk.f_blocks.saturating_mul(disk.f_frsize),
        disk.f_bavail.saturating_mul(disk.f_frsize),
    ))
}

#[cfg(not(unix))]
pub(super) fn disk_bytes(_path: &Path) -> io::Result<(u64, u64)> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes a folder and those above it, for their owner alone.
#[cfg(unix)]
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(folder)
}

/// Options under which new files are for their owner alone.
#[cfg(unix)]
pub(super) fn private_files() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(not(unix))]
pub(super) fn private_files() -> OpenOptions {
    OpenOptions::new()
}

/// Why a folder must not be used: it is another user's, or others may look into it.
#[cfg(unix)]
pub(super) fn objection(found: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Some("belongs to another user");
    }
    (found.permissions().mode() & 0o077 != 0).then_some("is open to other users; chmod it to 700")
}

#[cfg(not(unix))]
pub(super) fn objection(_found: &Metadata) -> Option<&'static str> {
    None
}

//! What the standard library does not have of files on each system: reads and writes at a place of their own, locks between processes.
//!
//! It has `read_exact_at` and `write_all_at` on Unix only (on Windows the single reads and writes that they are made of), and locks from Rust
//! 1.89 on.

use std::fs::File;
use std::io;
use std::path::Path;

/// Reads and writes at an offset that leave no position behind, so that threads can share a file.
pub trait At {
    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the file ends before that; else what the system says.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` from `offset` on.
    ///
    /// # Errors
    /// What the system says; then part of them may be written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
}

/// How a file is locked, or a folder: by `flock(2)`, until it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Alone, once nobody else has it.
    Wait,
    /// Alone, or [`io::ErrorKind::WouldBlock`].
    AtOnce,
    /// With others that share it, or [`io::ErrorKind::WouldBlock`].
    Shared,
}

/// Locks a file or a folder against other processes, and against other openings in this one, until it is closed.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`]; [`io::ErrorKind::Unsupported`] elsewhere than on Unix; what the system says of file systems without locks.
#[cfg(unix)]
pub fn lock(file: &File, lock: Lock) -> io::Result<()> {
    use rustix::fs::FlockOperation;
    let operation = match lock {
        Lock::Wait => FlockOperation::LockExclusive,
        Lock::AtOnce => FlockOperation::NonBlockingLockExclusive,
        Lock::Shared => FlockOperation::NonBlockingLockShared,
    };
    Ok(rustix::fs::flock(file, operation)?)
}

/// There are no locks here.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`].
#[cfg(not(unix))]
pub fn lock(_file: &File, _lock: Lock) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens a file that other people may have named for reading: a regular one, never a pipe that makes the reader wait or a device, and
/// not through a link at its end.
///
/// # Errors
/// What the system says; that it is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits();
        options.custom_flags(flags.cast_signed());
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

#[cfg(unix)]
impl At for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }
}

#[cfg(windows)]
impl At for File {
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = buffer.get_mut(read..).unwrap_or_default();
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(self, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_the_end_are_errors_and_writes_reach_their_place() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"abcdef", 4).unwrap();
        let mut four = [0; 4];
        file.read_exact_at(&mut four, 3).unwrap();
        assert_eq!(&four, b"\0abc");
        let past = file.read_exact_at(&mut four, 8).unwrap_err();
        assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
    }
}

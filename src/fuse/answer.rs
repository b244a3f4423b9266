//! What is said to the kernel about a node and about a read: attributes, and bytes that were checked.
//!
//! Knows replies, but no callback and no thread: `adapter` decides where these run.

use std::any::Any;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fuser::{FileAttr, FileType, INodeNo, ReplyData};

use super::errno;
use super::failure_log::FailureLog;
use crate::vfs::tree::{Attributes, FailureKind, NodeKind, ReadFailure};

/// Preferred read size of files, bytes: what the kernel asks for at a time. Buffers of this size read a chunk as
/// fast as any, while the usual 4096 is eight times slower where the page cache is bypassed.
const FILE_BLOCK_BYTES: u32 = 128 * 1024;
/// Preferred size of directory reads, bytes.
const DIRECTORY_BLOCK_BYTES: u32 = 4096;
/// Unit of `st_blocks`, bytes, whatever the block size says.
const STAT_BLOCK_BYTES: u64 = 512;

/// Owner and permissions that all nodes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// User that owns every node.
    pub(super) uid: u32,
    /// Group of every node.
    pub(super) gid: u32,
    /// Permission bits of files.
    pub(super) file_mode: u16,
    /// Permission bits of directories.
    pub(super) directory_mode: u16,
}

impl Look {
    /// The kernel's form of a node's attributes.
    pub(super) fn attributes(&self, node: &Attributes) -> FileAttr {
        let modified = instant(node.modified_seconds);
        let (perm, blksize) = match node.kind {
            NodeKind::Directory => (self.directory_mode, DIRECTORY_BLOCK_BYTES),
            NodeKind::File => (self.file_mode, FILE_BLOCK_BYTES),
        };
        FileAttr {
            ino: INodeNo(node.inode),
            size: node.size,
            // The full count, so that tools which look for holes do not take a chunk for one.
            blocks: node.size.div_ceil(STAT_BLOCK_BYTES),
            atime: modified,
            mtime: modified,
            ctime: modified,
            crtime: modified,
            kind: file_type(node.kind),
            perm,
            // 1 also for directories: "the number of subdirectories is not told", which `find` understands.
            nlink: 1,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize,
            flags: 0,
        }
    }

    /// The answer "there is no such name", which the kernel keeps as long as an entry: inode 0.
    pub(super) fn absent(&self) -> FileAttr {
        self.attributes(&Attributes {
            inode: 0,
            kind: NodeKind::File,
            size: 0,
            modified_seconds: 0,
            ttl: Duration::ZERO,
            immutable: false,
        })
    }
}

/// The kernel's word for a kind of node.
pub(super) fn file_type(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::Directory => FileType::Directory,
        NodeKind::File => FileType::RegularFile,
    }
}

/// Seconds since 1970 as a time; what does not fit is 1970.
fn instant(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(UNIX_EPOCH)
}

/// One read as the kernel asked for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The file, with the size that was declared for it.
    pub(super) file: Attributes,
    /// First byte.
    pub(super) offset: u64,
    /// Bytes asked for; may reach past the end of the file.
    pub(super) size: usize,
}

impl Wanted {
    /// How many bytes the answer must have.
    pub(super) fn expected(&self) -> u64 {
        let left = self.file.size.saturating_sub(self.offset);
        left.min(u64::try_from(self.size).unwrap_or(u64::MAX))
    }

    /// The bytes, if they are as many as were asked for.
    ///
    /// # Errors
    /// [`FailureKind::Internal`] otherwise. A short answer would make the kernel shrink the file it has cached, and
    /// later readers would see the rest of the chunk missing without any error. Files that may change (`latest`) are
    /// read around the page cache, so for them fewer bytes are only the end of the file.
    pub(super) fn checked(&self, result: Result<Bytes, ReadFailure>) -> Result<Bytes, ReadFailure> {
        let bytes = result?;
        let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let fits = if self.file.immutable {
            got == self.expected()
        } else {
            bytes.len() <= self.size
        };
        if fits {
            return Ok(bytes);
        }
        Err(ReadFailure {
            kind: FailureKind::Internal,
            message: format!(
                "a read of {} bytes at offset {} of {} was answered with {got}; refused",
                self.size, self.offset, self.file.size
            ),
            object: None,
        })
    }
}

/// Answers a read: the bytes if they are what was asked for, else an errno and a line in the log.
pub(super) fn reply_read(
    wanted: &Wanted,
    result: Result<Bytes, ReadFailure>,
    log: &FailureLog,
    reply: ReplyData,
) {
    match wanted.checked(result) {
        Ok(bytes) => reply.data(&bytes),
        Err(failure) => {
            log.note(wanted.file.inode, &failure);
            reply.error(errno::of_failure(failure.kind));
        }
    }
}

/// What a panic said, on one line.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text");
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64, immutable: bool) -> Attributes {
        Attributes {
            inode: 7,
            kind: NodeKind::File,
            size,
            modified_seconds: -1,
            ttl: Duration::ZERO,
            immutable,
        }
    }

    fn wanted(file: Attributes, offset: u64, size: usize) -> Wanted {
        Wanted { file, offset, size }
    }

    #[test]
    fn an_answer_is_exact_up_to_the_end_of_the_file() {
        let node = file(1000, true);
        for (offset, size, len) in [(0, 400, 400), (900, 400, 100), (1000, 4, 0), (5000, 4, 0)] {
            let read = wanted(node, offset, size);
            assert_eq!(
                read.checked(Ok(Bytes::from(vec![1; len]))).unwrap().len(),
                len
            );
            for wrong in [len + 1, len.saturating_sub(1)] {
                let got = read.checked(Ok(Bytes::from(vec![1; wrong])));
                assert_eq!(wrong == len, got.is_ok(), "{offset} {size} {wrong}");
                if let Err(failure) = got {
                    assert_eq!(failure.kind, FailureKind::Internal);
                }
            }
        }
    }

    #[test]
    fn a_live_file_may_end_earlier_but_is_never_longer_than_asked() {
        let read = wanted(file(1000, false), 0, 500);
        assert!(read.checked(Ok(Bytes::from(vec![1; 20]))).is_ok());
        assert!(read.checked(Ok(Bytes::from(vec![1; 501]))).is_err());
    }

    #[test]
    fn attributes_count_every_block_and_survive_odd_times() {
        let look = Look {
            uid: 3,
            gid: 4,
            file_mode: 0o444,
            directory_mode: 0o555,
        };
        let attributes = look.attributes(&file(1025, true));
        assert_eq!((attributes.blocks, attributes.perm), (3, 0o444));
        assert!(attributes.mtime < UNIX_EPOCH);
        assert_eq!(instant(i64::MIN), instant(i64::MIN));
        assert_eq!(look.absent().ino, INodeNo(0));
    }
}

//! The callbacks: each parses its arguments, asks the tree, answers and returns. None of them blocks.
//!
//! Everything runs inside [`fenced`]: a panic ends fuser's loop and with it the mount, so it is caught, logged and
//! answered EIO (an unanswered reply answers EIO when it is dropped). A read that is not in memory moves its reply
//! into a task of the runtime, with the same fence and a deadline around it.
//!
//! Worked example: `cat t2m/0.0.0` is a `lookup` per path component (kept by the kernel for the entry's lifetime), an
//! `open` that allows the page cache to stay, some `read`s of 128 KiB, and a `release`.

use std::any::Any;
use std::ffi::OsStr;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, PollEvents,
    PollFlags, PollNotifier, RenameFlags, ReplyAttr, ReplyBmap, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen,
    ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tracing::{debug, error};

use super::answer::{FailureLog, Look, Wanted, file_type, panic_text, reply_read};
use super::errno;
use crate::vfs::tree::{
    Answer, Attributes, FailureKind, Inode, Missing, NAME_MAX, NodeKind, ReadFailure, Tree,
};

/// Requests that the kernel may have waiting in the background (buffered reads are). Its default of 16 would make 64
/// readers of slow chunks take turns, four waves instead of one, and readers of chunks in memory wait behind them.
const MAX_BACKGROUND: u16 = 1024;

/// What the kernel is asked for, one at a time: one refused bit of several refuses them all.
const OPTIONAL_CAPABILITIES: [(&str, InitFlags); 4] = [
    // Several reads of one file at once, so readahead does not wait for itself.
    ("ASYNC_READ", InitFlags::FUSE_ASYNC_READ),
    // Lookups and listings of one directory at once.
    ("PARALLEL_DIROPS", InitFlags::FUSE_PARALLEL_DIROPS),
    // Reads past the page cache may be split into parallel requests.
    ("ASYNC_DIO", InitFlags::FUSE_ASYNC_DIO),
    // Files read past the page cache can still be mapped shared; ENODEV without it.
    ("DIRECT_IO_ALLOW_MMAP", InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP),
];

/// Unit of `statfs`, bytes.
const STATFS_BLOCK_BYTES: u32 = 4096;

/// Offsets of a listing before the tree's own entries: `.` and `..`.
const DOT_ENTRIES: u64 = 2;

/// A tree as a FUSE file system.
pub(super) struct Adapter {
    /// What is shown.
    pub(super) tree: Arc<dyn Tree>,
    /// Where reads that take time are waited for.
    pub(super) runtime: Handle,
    /// Owner and permissions.
    pub(super) look: Look,
    /// Reads go past the page cache.
    pub(super) direct_io: bool,
    /// Longest time a read may take; the tree has its own, shorter deadline, this one only catches a bug in it.
    pub(super) read_deadline: Duration,
    /// Failed reads, once each.
    pub(super) failures: Arc<FailureLog>,
}

/// Runs the body of a callback; a panic in it is logged and goes no further.
fn fenced(operation: &'static str, inode: INodeNo, body: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        let text = panic_text(payload.as_ref());
        error!(
            inode = inode.0,
            "panic in {operation}, answered with EIO: {text}"
        );
    }
}

/// A panic as the failure of a read.
fn panicked(inode: Inode, payload: &(dyn Any + Send)) -> ReadFailure {
    ReadFailure {
        kind: FailureKind::Internal,
        message: format!("inode {inode}: panic in a read: {}", panic_text(payload)),
    }
}

/// A read's result once it is there: at the latest at the deadline, and whatever happens.
async fn settled(
    future: BoxFuture<'static, Result<Bytes, ReadFailure>>,
    inode: Inode,
    deadline: Duration,
) -> Result<Bytes, ReadFailure> {
    let bounded = AssertUnwindSafe(async { tokio::time::timeout(deadline, future).await });
    match bounded.catch_unwind().await {
        Ok(Ok(result)) => result,
        Ok(Err(_elapsed)) => Err(ReadFailure {
            kind: FailureKind::TimedOut,
            message: format!(
                "inode {inode}: no answer within {} s, given up",
                deadline.as_secs()
            ),
        }),
        Err(payload) => Err(panicked(inode, payload.as_ref())),
    }
}

impl Adapter {
    /// The attributes if the node is a directory.
    fn directory(&self, inode: INodeNo) -> Result<Attributes, Missing> {
        let node = self.tree.attributes(inode.0)?;
        match node.kind {
            NodeKind::Directory => Ok(node),
            NodeKind::File => Err(Missing::NotADirectory),
        }
    }

    /// How a file is opened. What never changes may stay in the page cache for good; what changes (`latest`) is read
    /// around it, since the kernel would cut it to the size it remembers.
    fn open_flags(&self, node: &Attributes) -> FopenFlags {
        if self.direct_io || !node.immutable {
            FopenFlags::FOPEN_DIRECT_IO
        } else {
            FopenFlags::FOPEN_KEEP_CACHE
        }
    }

    /// Fills a listing from `offset` on: 0 is `.`, 1 is `..`, then the tree's own offsets follow.
    fn list(&self, inode: INodeNo, offset: u64, reply: &mut ReplyDirectory) -> Result<(), Missing> {
        let directory = file_type(NodeKind::Directory);
        if offset < 1 && reply.add(inode, 1, directory, ".") {
            return Ok(());
        }
        if offset < DOT_ENTRIES {
            let parent = INodeNo(self.tree.parent(inode.0)?);
            if reply.add(parent, DOT_ENTRIES, directory, "..") {
                return Ok(());
            }
        }
        let from = offset.saturating_sub(DOT_ENTRIES);
        self.tree.list(inode.0, from, &mut |entry| {
            let next = entry.next_offset.saturating_add(DOT_ENTRIES);
            let full = reply.add(
                INodeNo(entry.inode),
                next,
                file_type(entry.kind),
                &entry.name,
            );
            !full
        })
    }

    /// The tree's answer. A panic in it becomes a failure like others, since the kernel asks again for what failed and
    /// the log should not repeat itself.
    fn ask(&self, inode: Inode, offset: u64, size: usize) -> Answer {
        let answer = catch_unwind(AssertUnwindSafe(|| self.tree.read(inode, offset, size)));
        answer.unwrap_or_else(|payload| Answer::Now(Err(panicked(inode, payload.as_ref()))))
    }

    fn answer_read(&self, inode: INodeNo, offset: u64, size: u32, reply: ReplyData) {
        let Ok(file) = self.tree.attributes(inode.0) else {
            debug!(inode = inode.0, "read of an unknown handle");
            return reply.error(errno::UNKNOWN_HANDLE);
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let wanted = Wanted { file, offset, size };
        match self.ask(inode.0, offset, size) {
            Answer::Now(result) => reply_read(&wanted, result, &self.failures, reply),
            Answer::Later(future) => {
                let failures = Arc::clone(&self.failures);
                let deadline = self.read_deadline;
                // If the runtime is gone the task is dropped, and with it the reply: EIO.
                drop(self.runtime.spawn(async move {
                    let result = settled(future, wanted.file.inode, deadline).await;
                    reply_read(&wanted, result, &failures, reply);
                }));
            }
        }
    }
}

/// A write of some kind: refused, since the mount is read-only.
fn refuse(operation: &'static str, inode: INodeNo) -> fuser::Errno {
    debug!(inode = inode.0, "{operation} refused: read-only");
    errno::READ_ONLY
}

impl Filesystem for Adapter {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for result in [
            config.set_max_background(MAX_BACKGROUND),
            config.set_congestion_threshold(MAX_BACKGROUND),
        ] {
            if let Err(nearest) = result {
                debug!("the kernel's background limit is {nearest}");
            }
        }
        for (name, capability) in OPTIONAL_CAPABILITIES {
            if config.add_capabilities(capability).is_err() {
                debug!("this kernel does not offer {name}");
            }
        }
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        fenced("lookup", parent, move || {
            let found = if name.len() > NAME_MAX {
                Err(Missing::NameTooLong)
            } else {
                self.tree.lookup(parent.0, name)
            };
            match found {
                Ok(node) => {
                    reply.entry(&node.ttl, &self.look.attributes(&node), Generation(0));
                }
                Err(Missing::NoSuchName { ttl }) if !ttl.is_zero() => {
                    reply.entry(&ttl, &self.look.absent(), Generation(0));
                }
                Err(missing) => {
                    debug!(parent = parent.0, ?name, "lookup: {missing:?}");
                    reply.error(errno::of_missing(missing));
                }
            }
        });
    }

    // Inodes are computed, so there is nothing to forget.
    fn forget(&self, _request: &Request, _inode: INodeNo, _lookups: u64) {}

    fn getattr(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        fenced("getattr", inode, move || {
            match self.tree.attributes(inode.0) {
                Ok(node) => reply.attr(&node.ttl, &self.look.attributes(&node)),
                Err(missing) => reply.error(errno::of_missing(missing)),
            }
        });
    }

    fn readlink(&self, _request: &Request, _inode: INodeNo, reply: ReplyData) {
        reply.error(errno::NO_LINK);
    }

    fn open(&self, _request: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        fenced("open", inode, move || {
            if flags.acc_mode() != OpenAccMode::O_RDONLY {
                return reply.error(refuse("open for writing", inode));
            }
            match self.tree.open(inode.0) {
                Ok(node) => reply.opened(FileHandle(0), self.open_flags(&node)),
                Err(missing) => reply.error(errno::of_missing(missing)),
            }
        });
    }

    fn read(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        fenced("read", inode, move || {
            self.answer_read(inode, offset, size, reply);
        });
    }

    fn opendir(&self, _request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        fenced("opendir", inode, move || match self.directory(inode) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(missing) => reply.error(errno::of_missing(missing)),
        });
    }

    fn readdir(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        fenced("readdir", inode, move || {
            match self.list(inode, offset, &mut reply) {
                Ok(()) => reply.ok(),
                Err(missing) => reply.error(errno::of_missing(missing)),
            }
        });
    }

    fn statfs(&self, _request: &Request, inode: INodeNo, reply: ReplyStatfs) {
        fenced("statfs", inode, move || {
            let (bytes, files) = self.tree.totals();
            let blocks = bytes.div_ceil(u64::from(STATFS_BLOCK_BYTES));
            let name_max = u32::try_from(NAME_MAX).unwrap_or(u32::MAX);
            reply.statfs(
                blocks,
                0,
                0,
                files,
                0,
                STATFS_BLOCK_BYTES,
                name_max,
                STATFS_BLOCK_BYTES,
            );
        });
    }

    fn access(&self, _request: &Request, inode: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        // The kernel checks the permission bits itself; this is asked only where it was told not to.
        if mask.contains(AccessFlags::W_OK) {
            reply.error(refuse("access for writing", inode));
        } else {
            reply.ok();
        }
    }

    // What the kernel stops asking for once it was told that it is not offered.

    fn flush(&self, _r: &Request, _i: INodeNo, _h: FileHandle, _o: LockOwner, reply: ReplyEmpty) {
        reply.error(errno::NOT_OFFERED);
    }

    fn fsync(&self, _r: &Request, _i: INodeNo, _h: FileHandle, _data: bool, reply: ReplyEmpty) {
        reply.error(errno::NOT_OFFERED);
    }

    fn fsyncdir(&self, _r: &Request, _i: INodeNo, _h: FileHandle, _data: bool, reply: ReplyEmpty) {
        reply.error(errno::NOT_OFFERED);
    }

    fn getxattr(&self, _r: &Request, _i: INodeNo, _name: &OsStr, _size: u32, reply: ReplyXattr) {
        reply.error(errno::NOT_OFFERED);
    }

    fn listxattr(&self, _r: &Request, _i: INodeNo, _size: u32, reply: ReplyXattr) {
        reply.error(errno::NOT_OFFERED);
    }

    fn getlk(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        _start: u64,
        _end: u64,
        _kind: i32,
        _pid: u32,
        reply: ReplyLock,
    ) {
        reply.error(errno::NOT_OFFERED);
    }

    fn setlk(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        _start: u64,
        _end: u64,
        _kind: i32,
        _pid: u32,
        _sleep: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(errno::NOT_OFFERED);
    }

    fn bmap(&self, _r: &Request, _i: INodeNo, _block_bytes: u32, _index: u64, reply: ReplyBmap) {
        reply.error(errno::NOT_OFFERED);
    }

    fn ioctl(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _flags: IoctlFlags,
        _command: u32,
        _input: &[u8],
        _output_bytes: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(errno::NO_IOCTL);
    }

    fn poll(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _notifier: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(errno::NOT_OFFERED);
    }

    fn lseek(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _offset: i64,
        _whence: i32,
        reply: ReplyLseek,
    ) {
        reply.error(errno::NOT_OFFERED);
    }

    // Writes. The mount is read-only, so the kernel refuses them before we are asked, unless somebody else mounted.

    fn setattr(
        &self,
        _request: &Request,
        inode: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _accessed: Option<TimeOrNow>,
        _modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _flags_changed: Option<SystemTime>,
        _backed_up: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(refuse("setattr", inode));
    }

    fn mknod(
        &self,
        _request: &Request,
        parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _device: u32,
        reply: ReplyEntry,
    ) {
        reply.error(refuse("mknod", parent));
    }

    fn mkdir(
        &self,
        _request: &Request,
        parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        reply.error(refuse("mkdir", parent));
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(refuse("unlink", parent));
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(refuse("rmdir", parent));
    }

    fn symlink(
        &self,
        _request: &Request,
        parent: INodeNo,
        _name: &OsStr,
        _target: &Path,
        reply: ReplyEntry,
    ) {
        reply.error(refuse("symlink", parent));
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        _name: &OsStr,
        _new_parent: INodeNo,
        _new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(refuse("rename", parent));
    }

    fn link(
        &self,
        _request: &Request,
        inode: INodeNo,
        _new_parent: INodeNo,
        _new_name: &OsStr,
        reply: ReplyEntry,
    ) {
        reply.error(refuse("link", inode));
    }

    fn write(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _offset: u64,
        _bytes: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.error(refuse("write", inode));
    }

    fn setxattr(
        &self,
        _request: &Request,
        inode: INodeNo,
        _name: &OsStr,
        _value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(refuse("setxattr", inode));
    }

    fn removexattr(&self, _request: &Request, inode: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(refuse("removexattr", inode));
    }

    fn create(
        &self,
        _request: &Request,
        parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(refuse("create", parent));
    }

    fn fallocate(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        _offset: u64,
        _length: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(refuse("fallocate", inode));
    }

    fn copy_file_range(
        &self,
        _request: &Request,
        _from: INodeNo,
        _from_handle: FileHandle,
        _from_offset: u64,
        to: INodeNo,
        _to_handle: FileHandle,
        _to_offset: u64,
        _length: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(refuse("copy_file_range", to));
    }
}

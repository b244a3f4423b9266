//! The kernel's operations, one callback each, behind the fence of [`fenced`](super::adapter::fenced).
//!
//! Names and attributes are answered from the tree's memory, reads by [`Adapter::answer_read`]. What changes files is
//! refused, and what the kernel can do without us it is told to do without us.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, PollEvents,
    PollFlags, PollNotifier, RenameFlags, ReplyAttr, ReplyBmap, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen,
    ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use tracing::debug;

use super::adapter::{Adapter, fenced};
use super::errno;
use crate::vfs::tree::{Missing, NAME_MAX};

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
        if name.len() > NAME_MAX {
            return reply.error(errno::of_missing(Missing::NameTooLong));
        }
        let owned = name.to_owned();
        self.when_ready("lookup", parent, Some(name), move |own| {
            let name = owned;
            match own.tree.lookup(parent.0, &name) {
                Ok(node) => {
                    reply.entry(&node.ttl, &own.look.attributes(&node), Generation(0));
                }
                Err(Missing::NoSuchName { ttl }) if !ttl.is_zero() => {
                    reply.entry(&ttl, &own.look.absent(), Generation(0));
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
        self.when_ready("getattr", inode, None, move |own| {
            match own.tree.attributes(inode.0) {
                Ok(node) => reply.attr(&node.ttl, &own.look.attributes(&node)),
                Err(missing) => reply.error(errno::of_missing(missing)),
            }
        });
    }

    fn readlink(&self, _request: &Request, _inode: INodeNo, reply: ReplyData) {
        reply.error(errno::NO_LINK);
    }

    fn open(&self, _request: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.when_ready("open", inode, None, move |own| {
            if flags.acc_mode() != OpenAccMode::O_RDONLY {
                return reply.error(refuse("open for writing", inode));
            }
            match own.tree.open(inode.0) {
                Ok(node) => reply.opened(own.handle(&node), own.open_flags(&node)),
                Err(missing) => reply.error(errno::of_missing(missing)),
            }
        });
    }

    fn release(
        &self,
        _request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        fenced("release", inode, move || {
            self.snapshots.release(handle);
            reply.ok();
        });
    }

    fn read(
        &self,
        request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if let Some(piece) = self.snapshots.read(handle, offset, size) {
            return reply.data(&piece);
        }
        let (id, pid) = (request.unique(), request.pid());
        self.when_ready("read", inode, None, move |own| {
            own.answer_read(id, pid, inode, offset, size, reply);
        });
    }

    fn opendir(&self, _request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.when_ready("opendir", inode, None, move |own| {
            match own.directory(inode) {
                Ok(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
                Err(missing) => reply.error(errno::of_missing(missing)),
            }
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
        self.when_ready("readdir", inode, None, move |own| {
            match own.list(inode, offset, &mut reply) {
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

//! What stands between the kernel's operations (`callbacks`) and the tree: none of it blocks, none of it panics.
//!
//! Every callback runs inside [`fenced`]: a panic ends fuser's loop and with it the mount, so it is caught, logged and
//! answered EIO (an unanswered reply answers EIO when it is dropped). A read that is not in memory moves its reply
//! into a task of the runtime, with the same fence and a deadline around it.
//!
//! Worked example: `cat t2m/0.0.0` is a `lookup` per path component (kept by the kernel for the entry's lifetime), an
//! `open` that allows the page cache to stay, some `read`s of 128 KiB, and a `release`.

use std::any::Any;
use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fuser::{FileHandle, FopenFlags, INodeNo, ReplyData, ReplyDirectory, RequestId};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tracing::{Instrument as _, debug, debug_span, error};

use super::answer::{Look, Wanted, file_type, panic_text, reply_read};
use super::errno;
use super::failure_log::FailureLog;
use super::snapshots::{STATELESS, Snapshots};
use crate::vfs::tree::{
    Answer, Attributes, FailureKind, Inode, Missing, NodeKind, ReadFailure, Tree, Usage,
};

/// Offsets of a listing before the tree's own entries: `.` and `..`.
const DOT_ENTRIES: u64 = 2;

/// A tree as a FUSE file system.
#[derive(Clone)]
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
    /// Files that change, as they were opened.
    pub(super) snapshots: Arc<Snapshots>,
}

/// Runs the body of a callback; a panic in it is logged and goes no further.
pub(super) fn fenced(operation: &'static str, inode: INodeNo, body: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        let text = panic_text(payload.as_ref());
        error!(
            inode = inode.0,
            "panic in {operation}, answered with EIO: {text}"
        );
    }
}

/// A panic as the failure of a read.
fn panicked(payload: &(dyn Any + Send)) -> ReadFailure {
    ReadFailure {
        kind: FailureKind::Internal,
        message: format!("panic in a read: {}", panic_text(payload)),
        object: None,
    }
}

/// A read's result once it is there: at the latest at the deadline, and whatever happens.
async fn settled(
    future: BoxFuture<'static, Result<Bytes, ReadFailure>>,
    deadline: Duration,
) -> Result<Bytes, ReadFailure> {
    let bounded = AssertUnwindSafe(async { tokio::time::timeout(deadline, future).await });
    match bounded.catch_unwind().await {
        Ok(Ok(result)) => result,
        Ok(Err(_elapsed)) => Err(ReadFailure {
            kind: FailureKind::TimedOut,
            message: format!("no answer within {} s, given up", deadline.as_secs()),
            object: None,
        }),
        Err(payload) => Err(panicked(payload.as_ref())),
    }
}

impl Adapter {
    /// Runs the body of a callback: here if the tree has in memory what it needs of a node (or of a name in it), else on a thread
    /// that may wait, for the first look at a store makes it.
    pub(super) fn when_ready(
        &self,
        operation: &'static str,
        inode: INodeNo,
        name: Option<&OsStr>,
        body: impl FnOnce(&Self) + Send + 'static,
    ) {
        let ready = catch_unwind(AssertUnwindSafe(|| self.tree.is_ready(inode.0, name)));
        if ready.unwrap_or(true) {
            return fenced(operation, inode, || body(self));
        }
        let own = self.clone();
        // If the runtime is gone the task is dropped, and with it the reply: EIO.
        drop(self.runtime.spawn_blocking(move || {
            fenced(operation, inode, || body(&own));
        }));
    }

    /// The attributes if the node is a directory.
    pub(super) fn directory(&self, inode: INodeNo) -> Result<Attributes, Missing> {
        let node = self.tree.attributes(inode.0)?;
        match node.kind {
            NodeKind::Directory => Ok(node),
            NodeKind::File => Err(Missing::NotADirectory),
        }
    }

    /// How a file is opened. What never changes may stay in the page cache for good; what changes (`latest`) is read
    /// around it, since the kernel would cut it to the size it remembers.
    pub(super) fn open_flags(&self, node: &Attributes) -> FopenFlags {
        if self.direct_io || !node.immutable {
            FopenFlags::FOPEN_DIRECT_IO
        } else {
            FopenFlags::FOPEN_KEEP_CACHE
        }
    }

    /// The handle of a file: of one that changes, of what it says now.
    pub(super) fn handle(&self, node: &Attributes) -> FileHandle {
        if node.immutable {
            return STATELESS;
        }
        match self.ask(node.inode, 0, usize::MAX) {
            Answer::Now(Ok(text)) => self.snapshots.keep(text),
            Answer::Now(Err(_)) | Answer::Later(_) => STATELESS,
        }
    }

    /// Fills a listing from `offset` on: 0 is `.`, 1 is `..`, then the tree's own offsets follow.
    pub(super) fn list(
        &self,
        inode: INodeNo,
        offset: u64,
        reply: &mut ReplyDirectory,
    ) -> Result<(), Missing> {
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
                entry.name,
            );
            !full
        })
    }

    /// The tree's answer. A panic in it becomes a failure like others, since the kernel asks again for what failed and
    /// the log should not repeat itself.
    fn ask(&self, inode: Inode, offset: u64, size: usize) -> Answer {
        let answer = catch_unwind(AssertUnwindSafe(|| self.tree.read(inode, offset, size)));
        answer.unwrap_or_else(|payload| Answer::Now(Err(panicked(payload.as_ref()))))
    }

    /// Answers a read: from memory at once, else from a task.
    pub(super) fn answer_read(
        &self,
        request: RequestId,
        pid: u32,
        inode: INodeNo,
        offset: u64,
        size: u32,
        reply: ReplyData,
    ) {
        // The kernel's number of this request, in every line that the log has of it down to the HTTP request.
        let span = debug_span!("read", id = request.0, inode = inode.0);
        let entered = span.enter();
        debug!(offset, size, "asked");
        let Ok(file) = self.tree.attributes(inode.0) else {
            debug!(inode = inode.0, "read of an unknown handle");
            return reply.error(errno::UNKNOWN_HANDLE);
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let wanted = Wanted { file, offset, size };
        let usage = self.tree.usage();
        if let Some(usage) = usage.filter(|_| file.immutable) {
            usage.note(pid, wanted.expected());
        }
        match self.ask(inode.0, offset, size) {
            // Whoever looks into the log wants to know who it was.
            Answer::Now(Err(spent)) if spent.kind == FailureKind::Spent => {
                let greatest = usage.and_then(Usage::greatest);
                let message = match greatest {
                    Some(greatest) => {
                        format!("{}; most was asked for by {greatest}", spent.message)
                    }
                    None => spent.message.clone(),
                };
                let spent = ReadFailure { message, ..spent };
                reply_read(&wanted, Err(spent), &self.failures, reply);
            }
            Answer::Now(result) => reply_read(&wanted, result, &self.failures, reply),
            Answer::Later(future) => {
                drop(entered);
                let failures = Arc::clone(&self.failures);
                let deadline = self.read_deadline;
                // If the runtime is gone the task is dropped, and with it the reply: EIO.
                let answer = async move {
                    let result = settled(future, deadline).await;
                    reply_read(&wanted, result, &failures, reply);
                };
                drop(self.runtime.spawn(answer.instrument(span)));
            }
        }
    }
}

//! The life of a mount: it begins when its root answers, and ends by an unmount.
//!
//! SIGINT and SIGTERM unmount if nothing is open. If something is, the log says who holds it and the mount is served
//! on; the next signal ends the program and leaves the mount dead, so that readers get an error and not emptiness.
//! A mount that ends in any other way stays as a dead mount too, and the next [`mount`] there clears it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fuser::SessionACL;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};

use super::adapter::Adapter;
use super::answer::{FailureLog, Look};
use super::device;
use super::mounts::{self, MountEntry};
use super::options::MountConfig;
use super::recover;
use super::umount::{self, UmountError};
use crate::vfs::tree::Tree;

/// How long the kernel may take to end our loop after an unmount, before this is worth a word.
const FAREWELL: Duration = Duration::from_secs(2);

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
    /// A mount option has a value that is none.
    #[error("mount option `{option}`: {reason}")]
    Option {
        /// The option as given.
        option: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// How a mount ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was unmounted.
    Unmounted,
    /// The kernel cut the connection, or the loop that answers it failed: the mount is dead but still there.
    Broken {
        /// What happened.
        reason: String,
    },
    /// A second signal came while it was busy: leaving now makes the mount a dead one.
    Abandoned,
}

/// The signals that end a mount. Listen before mounting, or one that comes in between leaves a dead mount.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes SIGINT, SIGTERM and SIGHUP over from now on, for the whole process.
    ///
    /// # Errors
    /// If a handler cannot be installed.
    pub fn listen(runtime: &Handle) -> io::Result<Self> {
        let _entered = runtime.enter();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal's name, and whether somebody insists by it. SIGHUP comes of itself when a terminal closes,
    /// more than once, so it never does.
    async fn next(&mut self) -> (&'static str, bool) {
        tokio::select! {
            Some(()) = self.interrupt.recv() => ("SIGINT", true),
            Some(()) = self.terminate.recv() => ("SIGTERM", true),
            Some(()) = self.hangup.recv() => ("SIGHUP", false),
            else => std::future::pending().await,
        }
    }
}

/// A mount that is being served. Dropping it changes nothing: the mount lives until it is unmounted.
#[derive(Debug)]
pub struct Session {
    entry: MountEntry,
    ended: oneshot::Receiver<io::Result<()>>,
}

/// Mounts `tree` at an empty directory and serves it from threads of its own; returns once its root answers.
///
/// Reads that take time run on `runtime`, whose time driver must be enabled.
///
/// # Errors
/// [`MountError`], whose sentences say what to do. Nothing is left mounted.
pub fn mount(
    tree: Arc<dyn Tree>,
    runtime: Handle,
    mountpoint: &Path,
    config: &MountConfig,
) -> Result<Session, MountError> {
    // Before a dead mount is cleared, so that the directory stands empty for as short a time as can be.
    let device = device::open()?;
    let path = recover::prepare(mountpoint)?;
    let adapter = Adapter {
        tree,
        runtime,
        look: Look {
            uid: config
                .uid
                .unwrap_or_else(|| rustix::process::getuid().as_raw()),
            gid: config
                .gid
                .unwrap_or_else(|| rustix::process::getgid().as_raw()),
            file_mode: config.file_mode,
            directory_mode: config.directory_mode,
        },
        direct_io: config.direct_io,
        read_deadline: config.read_deadline,
        failures: Arc::new(FailureLog::default()),
    };
    let device = device::attach(device, &path, config)?;
    let refused = |reason: String| MountError::Refused {
        path: path.clone(),
        reason,
    };
    let entry = mounts::at(&path)
        .map_err(|error| refused(error.to_string()))?
        .filter(MountEntry::is_ours)
        .ok_or_else(|| refused("the mount does not show in /proc/self/mountinfo".to_owned()))?;
    let session = serve(adapter, device, config, entry.clone())
        .and_then(|session| session.answers(config.start_deadline).map(|()| session));
    if session.is_err()
        && let Err(error) = umount::detach(&entry)
    {
        warn!("{error}");
    }
    session
}

/// Greets the kernel and starts the threads that answer it.
fn serve(
    adapter: Adapter,
    device: std::os::fd::OwnedFd,
    config: &MountConfig,
    entry: MountEntry,
) -> Result<Session, MountError> {
    let handshake = |source| MountError::Handshake { source };
    let mut threads = fuser::Config::default();
    threads.n_threads = Some(config.threads.max(1));
    // The kernel itself keeps other users out unless allow_other was given.
    let session =
        fuser::Session::from_fd(adapter, device, SessionACL::All, threads).map_err(handshake)?;
    let (tell, ended) = oneshot::channel();
    thread::Builder::new()
        .name("fuse".to_owned())
        .spawn(move || drop(tell.send(session.run())))
        .map_err(handshake)?;
    info!("mounted {} at {}", entry.source, entry.mountpoint.display());
    Ok(Session { entry, ended })
}

impl Session {
    /// The directory that shows the tree, resolved.
    #[must_use]
    pub fn mountpoint(&self) -> &Path {
        &self.entry.mountpoint
    }

    /// Waits until the root answers a `stat`.
    fn answers(&self, deadline: Duration) -> Result<(), MountError> {
        let path = self.entry.mountpoint.clone();
        match recover::within(deadline, || fs::metadata(path)) {
            Ok(_) => Ok(()),
            Err(source) => Err(MountError::Silent {
                path: self.entry.mountpoint.clone(),
                source,
            }),
        }
    }

    /// Unmounts, if nothing is open.
    ///
    /// # Errors
    /// [`UmountError::Busy`] with the holders, or why it is not permitted.
    pub fn unmount(&self) -> Result<(), UmountError> {
        umount::detach(&self.entry)
    }

    /// Waits for the end without minding signals. Not for use within a task.
    #[must_use]
    pub fn wait(self) -> Ended {
        let Self { entry, ended } = self;
        judge(&entry, ended.blocking_recv())
    }

    /// Serves until somebody unmounts or signals end it.
    ///
    /// After [`Ended::Abandoned`] and [`Ended::Broken`] the program should exit with 1, without waiting for tasks.
    pub async fn run_until_unmounted(mut self, mut signals: Signals) -> Ended {
        let mut insisted = 0_u32;
        loop {
            let (name, insists) = tokio::select! {
                biased;
                result = &mut self.ended => return judge(&self.entry, result),
                signal = signals.next() => signal,
            };
            insisted = insisted.saturating_add(u32::from(insists));
            let entry = self.entry.clone();
            let outcome = tokio::task::spawn_blocking(move || umount::detach(&entry)).await;
            let reason = match outcome {
                Ok(Ok(()) | Err(UmountError::NotMounted { .. })) => {
                    if let Ok(result) = tokio::time::timeout(FAREWELL, &mut self.ended).await {
                        return judge(&self.entry, result);
                    }
                    "unmounted here, but another mount namespace still shows it".to_owned()
                }
                Ok(Err(error)) => error.to_string(),
                Err(panicked) => panicked.to_string(),
            };
            if insisted > 1 {
                error!(
                    "{name} again: {reason}. Leaving a dead mount; the next mount there clears it"
                );
                return Ended::Abandoned;
            }
            warn!("{name}: {reason}. Still serving; signal once more to leave a dead mount");
        }
    }
}

/// What the end of the loop means: the kernel ends it alike for an unmount and for an abort.
fn judge(entry: &MountEntry, result: Result<io::Result<()>, oneshot::error::RecvError>) -> Ended {
    let still_there = mounts::at(&entry.mountpoint)
        .ok()
        .flatten()
        .is_some_and(|on_top| on_top == *entry);
    let reason = match result {
        Ok(Ok(())) if !still_there => {
            info!("unmounted {}", entry.mountpoint.display());
            return Ended::Unmounted;
        }
        Ok(Ok(())) => "the kernel cut the connection".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_dropped) => "the thread that answers the kernel is gone".to_owned(),
    };
    if still_there {
        error!("{} is dead: {reason}", entry.mountpoint.display());
        Ended::Broken { reason }
    } else {
        debug!("after the unmount: {reason}");
        Ended::Unmounted
    }
}

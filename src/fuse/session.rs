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
use tracing::{error, info, warn};

use super::adapter::Adapter;
use super::answer::Look;
use super::device;
use super::error::MountError;
use super::failure_log::FailureLog;
use super::mounts::{self, MountEntry};
use super::options::MountConfig;
use super::recover;
use super::umount::{self, UmountError};
use crate::vfs::tree::Tree;

/// How long the kernel may take to end our loop after an unmount, before this is worth a word.
const FAREWELL: Duration = Duration::from_secs(2);

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

/// Who mounted, and so may unmount.
#[derive(Clone, Debug)]
enum Mounted {
    /// This process.
    ByUs(MountEntry),
    /// The program that passed the descriptor `/dev/fd/N`; where the mount shows is its business.
    ByAnother(PathBuf),
}

impl Mounted {
    fn mountpoint(&self) -> &Path {
        match self {
            Self::ByUs(entry) => &entry.mountpoint,
            Self::ByAnother(descriptor) => descriptor,
        }
    }

    fn detach(&self) -> Result<(), UmountError> {
        match self {
            Self::ByUs(entry) => umount::detach(entry),
            Self::ByAnother(descriptor) => Err(UmountError::NotByUs {
                path: descriptor.clone(),
            }),
        }
    }

    /// Whether the mount is still there although nobody answers it any more.
    fn is_dead(&self) -> bool {
        match self {
            // Another mount may have its numbers by now, but that one answers.
            Self::ByUs(entry) => mounts::again(entry)
                .ok()
                .flatten()
                .is_some_and(|now| recover::is_dead_at(&now.mountpoint)),
            Self::ByAnother(_) => false,
        }
    }
}

/// A mount that is being served. Dropping it changes nothing: the mount lives until it is unmounted.
#[derive(Debug)]
pub struct Session {
    mounted: Mounted,
    thread: thread::JoinHandle<()>,
    ended: oneshot::Receiver<io::Result<()>>,
}

/// Mounts `tree` at an empty directory and serves it from threads of its own; returns once its root answers.
///
/// Reads that take time run on `runtime`, whose time driver must be enabled. A mount point `/dev/fd/N` stands for a
/// descriptor on which the starting program mounts and unmounts; then this returns as soon as the kernel has greeted.
///
/// # Errors
/// [`MountError`], whose sentences say what to do. Nothing is left mounted.
pub fn mount(
    tree: Arc<dyn Tree>,
    runtime: Handle,
    mountpoint: &Path,
    config: &MountConfig,
) -> Result<Session, MountError> {
    let adapter = Adapter {
        tree,
        failures: Arc::new(FailureLog::new(runtime.clone())),
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
        snapshots: Arc::default(),
        direct_io: config.direct_io,
        read_deadline: config.read_deadline,
    };
    if let Some(number) = device::passed(mountpoint) {
        let mounted = Mounted::ByAnother(mountpoint.to_owned());
        return serve(adapter, device::adopt(number)?, config, mounted);
    }
    // Before a dead mount is cleared, so that the directory stands empty for as short a time as can be.
    let device = device::open()?;
    let path = recover::prepare(mountpoint)?;
    let device = device::attach(device, &path, config)?;
    let refused = |reason: String| MountError::Refused {
        path: path.clone(),
        reason,
    };
    let entry = mounts::at(&path)
        .map_err(|error| refused(error.to_string()))?
        .filter(MountEntry::is_ours)
        .ok_or_else(|| refused("the mount does not show in /proc/self/mountinfo".to_owned()))?;
    let session = serve(adapter, device, config, Mounted::ByUs(entry.clone()))
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
    mounted: Mounted,
) -> Result<Session, MountError> {
    let handshake = |source| MountError::Handshake { source };
    let mut threads = fuser::Config::default();
    threads.n_threads = Some(config.threads.max(1));
    // The kernel itself keeps other users out unless allow_other was given.
    let session =
        fuser::Session::from_fd(adapter, device, SessionACL::All, threads).map_err(handshake)?;
    let (tell, ended) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("fuse".to_owned())
        .spawn(move || drop(tell.send(session.run())))
        .map_err(handshake)?;
    info!(
        "mounted {} at {}",
        config.source_name,
        mounted.mountpoint().display()
    );
    Ok(Session {
        mounted,
        thread,
        ended,
    })
}

impl Session {
    /// The directory that shows the tree, resolved.
    #[must_use]
    pub fn mountpoint(&self) -> &Path {
        self.mounted.mountpoint()
    }

    /// Waits until the root answers a `stat`.
    fn answers(&self, deadline: Duration) -> Result<(), MountError> {
        let path = self.mountpoint().to_owned();
        match recover::within(deadline, || fs::metadata(path)) {
            Ok(_) => Ok(()),
            Err(source) => Err(MountError::Silent {
                path: self.mountpoint().to_owned(),
                source,
            }),
        }
    }

    /// Unmounts, if nothing is open.
    ///
    /// # Errors
    /// [`UmountError::Busy`] with the holders, or why it is not permitted.
    pub fn unmount(&self) -> Result<(), UmountError> {
        // The numbers of a mount that ended may be those of another one by now.
        if self.thread.is_finished() {
            let path = self.mountpoint().to_owned();
            return Err(UmountError::NotMounted { path });
        }
        self.mounted.detach()
    }

    /// Waits for the end without minding signals. Not for use within a task.
    #[must_use]
    pub fn wait(self) -> Ended {
        let Self { mounted, ended, .. } = self;
        judge(&mounted, ended.blocking_recv())
    }

    /// Serves until somebody unmounts or signals end it.
    ///
    /// After [`Ended::Abandoned`] and [`Ended::Broken`] the program should exit with 1, without waiting for tasks.
    pub async fn run_until_unmounted(mut self, mut signals: Signals) -> Ended {
        let mut insisted = 0_u32;
        loop {
            let (name, insists) = tokio::select! {
                biased;
                result = &mut self.ended => return judge(&self.mounted, result),
                signal = signals.next() => signal,
            };
            insisted = insisted.saturating_add(u32::from(insists));
            let mounted = self.mounted.clone();
            let outcome = tokio::task::spawn_blocking(move || mounted.detach()).await;
            let reason = match outcome {
                Ok(Ok(()) | Err(UmountError::NotMounted { .. })) => {
                    if let Ok(result) = tokio::time::timeout(FAREWELL, &mut self.ended).await {
                        return judge(&self.mounted, result);
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
fn judge(mounted: &Mounted, result: Result<io::Result<()>, oneshot::error::RecvError>) -> Ended {
    let is_dead = mounted.is_dead();
    let path = mounted.mountpoint().display();
    let reason = match result {
        Ok(Ok(())) if is_dead => "the kernel cut the connection".to_owned(),
        Ok(Ok(())) => {
            info!("unmounted {path}");
            return Ended::Unmounted;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_dropped) => "the thread that answers the kernel is gone".to_owned(),
    };
    error!("{path} is dead: {reason}");
    Ended::Broken { reason }
}

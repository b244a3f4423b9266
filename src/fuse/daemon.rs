//! A command that goes into the background once it works: the parent starts the program anew, waits for its word and
//! passes that on as its own.
//!
//! Forking is no choice once threads exist, and starting anew needs none. The child's standard output is the pipe. It
//! writes `ready`, or `failed` and the reason; whatever else comes before is passed over. Standard error stays the
//! terminal's until then, so warnings of the start are seen.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use gribfs::fuse::daemon;
//! // Parent: `gribfs mount X DIR` becomes `gribfs mount --in-background X DIR`.
//! let program = std::env::current_exe()?;
//! daemon::spawn(&program, ["mount", "--in-background", "X", "DIR"], daemon::START_DEADLINE)?;
//! // Child, first thing in its life, and again when the mount answers:
//! let child = daemon::Child::begin()?;
//! child.ready(None)?;
//! # Ok(())
//! # }
//! ```

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, setsid};

/// How long a start may take: a table at a URL has to be read first.
pub const START_DEADLINE: Duration = Duration::from_secs(120);
/// How long a child that did not start in time may take to unmount what it has mounted.
const END_DEADLINE: Duration = Duration::from_secs(5);
/// The most that is kept of a child's reason, bytes.
const MAX_REASON_BYTES: u64 = 64 * 1024;

const READY: &str = "ready";
const FAILED: &str = "failed";

/// Why nothing runs in the background.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The program could not be started.
    #[error("cannot start {program} in the background: {source}")]
    Start {
        /// The program.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// The child gave up, and said why.
    #[error("{reason}")]
    Failed {
        /// The child's word.
        reason: String,
        /// Its exit code, if it had one.
        code: Option<i32>,
    },
    /// The child ended without a word.
    #[error("the background process ended before it was ready: {status}")]
    Died {
        /// How it ended.
        status: ExitStatus,
    },
    /// The child neither got ready nor gave up.
    #[error("no sign of the background process within {seconds} s; it was stopped")]
    Late {
        /// The deadline, seconds.
        seconds: u64,
    },
}

/// What a child said.
enum Word {
    Ready,
    Failed(String),
    Nothing,
}

/// Starts `program` in the background, waits until it is ready, and returns its process id.
///
/// # Errors
/// [`DaemonError`]; then no process is left.
pub fn spawn(
    program: &Path,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    deadline: Duration,
) -> Result<u32, DaemonError> {
    let cannot = |source| DaemonError::Start {
        program: program.display().to_string(),
        source,
    };
    let mut child = Command::new(program)
        .args(arguments.into_iter().map(Into::into))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let pid = child.id();
    let Some(output) = child.stdout.take() else {
        return Err(cannot(io::ErrorKind::BrokenPipe.into()));
    };
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name("child".to_owned())
        .spawn(move || drop(tell.send(listen(BufReader::new(output)))))
        .map_err(cannot)?;
    match told.recv_timeout(deadline) {
        Ok(Word::Ready) => Ok(pid),
        Ok(Word::Failed(reason)) => Err(DaemonError::Failed {
            reason,
            code: child.wait().map_err(cannot)?.code(),
        }),
        Ok(Word::Nothing) => {
            let status = child.wait().map_err(cannot)?;
            Err(DaemonError::Died { status })
        }
        Err(_late) => {
            stop(&mut child);
            Err(DaemonError::Late {
                seconds: deadline.as_secs(),
            })
        }
    }
}

/// Reads what the child writes up to its word.
fn listen(mut output: impl io::BufRead) -> Word {
    let mut line = Vec::new();
    loop {
        line.clear();
        match output.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Word::Nothing,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if text.trim_end() == READY {
            return Word::Ready;
        }
        if text.trim_end() == FAILED {
            let mut reason = Vec::new();
            // Cut short, a reason is still one.
            drop(output.take(MAX_REASON_BYTES).read_to_end(&mut reason));
            let reason = String::from_utf8_lossy(&reason).trim_end().to_owned();
            return Word::Failed(reason);
        }
    }
}

/// Asks a child to end, so that it can unmount, and then makes it.
fn stop(child: &mut std::process::Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        kill_process(pid, Signal::TERM).ok();
    }
    let until = Instant::now() + END_DEADLINE;
    while Instant::now() < until {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    drop(child.kill());
    drop(child.wait());
}

/// The child's side. Its standard output belongs to the parent until it is ready.
#[derive(Debug)]
pub struct Child {
    null: File,
}

impl Child {
    /// Leaves the parent's session, so that its terminal's signals and its end do not reach here. To be called first
    /// thing, before there are threads that write.
    ///
    /// # Errors
    /// If the process leads a group (it was not started by [`spawn`]) or `/dev/null` cannot be opened.
    pub fn begin() -> io::Result<Self> {
        setsid()?;
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        Ok(Self { null })
    }

    /// Tells the parent that all is well, leaves the working directory, and turns standard error and output to `log`
    /// (or nowhere).
    ///
    /// # Errors
    /// If the parent is gone: somebody interrupted it, and nobody waits for this process.
    pub fn ready(self, log: Option<&File>) -> io::Result<()> {
        let onward = log.unwrap_or(&self.null);
        std::env::set_current_dir("/")?;
        rustix::stdio::dup2_stdin(self.null.as_fd())?;
        rustix::stdio::dup2_stderr(onward.as_fd())?;
        say(&format!("{READY}\n"))?;
        rustix::stdio::dup2_stdout(onward.as_fd())?;
        Ok(())
    }

    /// Tells the parent why this process gives up; it should exit now, with the code that the parent is to have.
    ///
    /// # Errors
    /// If the parent is gone.
    pub fn failed(self, reason: &str) -> io::Result<()> {
        say(&format!("{FAILED}\n{reason}\n"))
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Tells systemd that the service is up, where `socket` is the value of `NOTIFY_SOCKET`.
///
/// # Errors
/// If the socket cannot be reached.
pub fn notify_ready(socket: &OsStr) -> io::Result<()> {
    // A leading `@` stands for the abstract name space, where names begin with a zero byte.
    let address = match socket.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(b"READY=1", &address)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, deadline: Duration) -> Result<u32, DaemonError> {
        spawn(Path::new("/bin/sh"), ["-c", script], deadline)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_parent_passes_on_what_its_child_says() {
        assert!(shell("echo noise; echo ready; exit 0", LONG).unwrap() > 0);
        let error = shell(
            "echo failed; echo no such table; echo try again; exit 2",
            LONG,
        );
        let DaemonError::Failed { reason, code } = error.unwrap_err() else {
            panic!("the child's word was lost");
        };
        assert_eq!(reason, "no such table\ntry again");
        assert_eq!(code, Some(2));
        let error = shell("echo noise; exit 3", LONG).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        let error = spawn(Path::new("/absent/program"), [""; 0], LONG).unwrap_err();
        assert!(error.to_string().contains("/absent/program"), "{error}");
    }

    #[test]
    fn a_child_without_a_word_is_stopped() {
        let started = Instant::now();
        let error = shell("exec sleep 600", Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, DaemonError::Late { .. }), "{error}");
        assert!(started.elapsed() < LONG);
    }

    #[test]
    fn systemd_hears_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        notify_ready(path.as_os_str()).unwrap();
        let mut bytes = [0; 32];
        let length = socket.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"READY=1");

        let name = format!("gribfs-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        notify_ready(OsStr::new(&format!("@{name}"))).unwrap();
        assert_eq!(socket.recv(&mut bytes).unwrap(), b"READY=1".len());
    }
}

//! Where log lines go: the terminal, a file, the system's log; changed while the program runs.
//!
//! A daemon begins on its parent's terminal and goes on in a file (`--log-file`, opened anew when logrotate asks for it) or in the
//! system's log: a datagram per line to `/dev/log`, which journald, rsyslog and syslog-ng listen to. Under systemd standard
//! error is the journal already, and lines begin with `<4>`, which it takes for their level.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// The system's log.
pub const SYSTEM_LOG: &str = "/dev/log";
/// Longest line sent there, bytes: what every syslog takes.
const SYSTEM_LINE: usize = 8000;
/// Facility `daemon` (RFC 5424, table 1), as it is written in a line's priority.
const FACILITY: u8 = 3 << 3;

/// Where lines go now.
#[derive(Debug)]
enum Place {
    /// Standard error; whether that is the journal.
    Stderr { is_journal: bool },
    /// A file, by its path.
    File(PathBuf, File),
    /// The system's log.
    System(UnixDatagram),
}

/// Where lines go; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Sink(Arc<Mutex<Place>>);

impl Sink {
    /// Standard error.
    pub(super) fn stderr() -> Self {
        let is_journal = stderr_is_journal();
        Self(Arc::new(Mutex::new(Place::Stderr { is_journal })))
    }

    /// From now on the end of a file.
    ///
    /// # Errors
    /// If it cannot be written to; then nothing changes.
    pub(super) fn to_file(&self, path: &Path) -> io::Result<()> {
        let file = append(path)?;
        *self.place() = Place::File(path.to_owned(), file);
        Ok(())
    }

    /// From now on the system's log.
    ///
    /// # Errors
    /// If nobody listens there; then nothing changes.
    pub(super) fn to_system(&self) -> io::Result<()> {
        let socket = connect(Path::new(SYSTEM_LOG))?;
        *self.place() = Place::System(socket);
        Ok(())
    }

    /// Opens the file anew, which may have been renamed, or connects to the system's log anew.
    ///
    /// # Errors
    /// If that cannot be done; then lines go where they went.
    pub(super) fn reopen(&self) -> io::Result<()> {
        let mut place = self.place();
        match &mut *place {
            Place::Stderr { .. } => {}
            Place::File(path, file) => *file = append(path)?,
            Place::System(socket) => *socket = connect(Path::new(SYSTEM_LOG))?,
        }
        Ok(())
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether whoever takes the lines notes the time by himself.
    fn has_clock(&self) -> bool {
        match &*self.place() {
            Place::Stderr { is_journal } => *is_journal,
            Place::File(..) => false,
            Place::System(_) => true,
        }
    }
}

/// Whether standard error is a connection to the journal, as `JOURNAL_STREAM` says (systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|own| named == format!("{}:{}", own.dev(), own.ino()))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    // A log that does not keep up loses lines; it does not hold up readers.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Severity of syslog (RFC 5424, table 2).
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// One line on its way.
#[derive(Debug)]
pub(super) struct Line<'a> {
    sink: &'a Sink,
    level: Level,
}

impl Write for Line<'_> {
    /// A whole line, as the formatter hands it over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let severity = severity(self.level);
        match &mut *self.sink.place() {
            Place::Stderr { is_journal: false } => io::stderr().write_all(line)?,
            Place::Stderr { is_journal: true } => {
                let mut text = format!("<{severity}>").into_bytes();
                text.extend_from_slice(line.trim_ascii_start());
                io::stderr().write_all(&text)?;
            }
            Place::File(_, file) => file.write_all(line)?,
            Place::System(socket) => {
                let head = format!("<{}>gribfs[{}]: ", FACILITY | severity, std::process::id());
                let mut text = head.into_bytes();
                text.extend_from_slice(line.trim_ascii());
                text.truncate(SYSTEM_LINE);
                if let Err(error) = socket.send(&text)
                    && error.kind() != io::ErrorKind::WouldBlock
                {
                    // The log was started anew.
                    *socket = connect(Path::new(SYSTEM_LOG))?;
                    socket.send(&text)?;
                }
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            sink: self,
            level: Level::INFO,
        }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line {
            sink: self,
            level: *meta.level(),
        }
    }
}

/// The time at the head of a line, where nobody else notes it.
#[derive(Debug)]
pub(super) struct Clock(pub(super) Sink);

impl FormatTime for Clock {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        if self.0.has_clock() {
            return Ok(());
        }
        SystemTime.format_time(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_rotated_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sink = Sink::stderr();
        let say = |text: &[u8]| sink.make_writer().write_all(text).unwrap();
        sink.to_file(&path).unwrap();
        say(b"one\n");
        let rotated = folder.path().join("log.1");
        std::fs::rename(&path, &rotated).unwrap();
        say(b"two\n");
        sink.reopen().unwrap();
        say(b"three\n");
        assert_eq!(std::fs::read(&rotated).unwrap(), b"one\ntwo\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"three\n");
        assert!(sink.to_file(&folder.path().join("absent/log")).is_err());
        say(b"four\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"three\nfour\n");
    }

    #[test]
    fn the_system_log_hears_the_level_and_not_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let listener = UnixDatagram::bind(&path).unwrap();
        let sink = Sink(Arc::new(Mutex::new(Place::System(connect(&path).unwrap()))));
        assert!(sink.has_clock());
        let mut line = Line {
            sink: &sink,
            level: Level::WARN,
        };
        line.write_all(b"  WARN it rains\n").unwrap();
        let mut bytes = [0; 100];
        let length = listener.recv(&mut bytes).unwrap();
        let text = format!("<28>gribfs[{}]: WARN it rains", std::process::id());
        assert_eq!(std::str::from_utf8(&bytes[..length]).unwrap(), text);
        line.write_all(&[b'x'; 20_000]).unwrap();
        let mut bytes = [0; 20_000];
        assert_eq!(listener.recv(&mut bytes).unwrap(), SYSTEM_LINE);
    }
}

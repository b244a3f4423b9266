//! What the program says of itself: a log, and counters over HTTP where that is wanted.

pub mod endpoint;
#[cfg(unix)]
mod log;

#[cfg(unix)]
pub use log::SYSTEM_LOG;

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, reload};

/// How much a log says, from little to much: what SIGUSR2 goes through.
#[cfg(unix)]
const VERBOSITIES: [i8; 3] = [0, 1, 2];

/// Sets the filter of the log that runs.
#[cfg(unix)]
type SetFilter = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// The log of this process. Clones are the same log.
#[derive(Clone)]
pub struct Log {
    #[cfg(unix)]
    sink: log::Sink,
    #[cfg(unix)]
    set_filter: Arc<SetFilter>,
    verbosity: Arc<Mutex<i8>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("verbosity", &self.verbosity)
            .finish_non_exhaustive()
    }
}

/// The filter of a verbosity: warnings, then information, then more.
fn directives(verbosity: i8) -> String {
    let level = match verbosity {
        i8::MIN..=-2 => LevelFilter::OFF,
        -1 => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        3.. => LevelFilter::TRACE,
    };
    format!("warn,gribfs={level}")
}

/// Starts the log on standard error. `verbosity` counts `-v` less `-q`: warnings, then information, then more. `filter` is the
/// value of `GRIBFS_LOG` (or `RUST_LOG`) in the syntax of tracing's filters, which wins. `is_plain`: no colours, whatever
/// standard error is, as the log will go elsewhere.
#[must_use]
pub fn start(verbosity: i8, filter: Option<&str>, is_plain: bool) -> Log {
    let directives = filter.map_or_else(|| directives(verbosity), str::to_owned);
    let (filter, handle) = reload::Layer::new(EnvFilter::new(directives));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(!is_plain && io::stderr().is_terminal())
        // Lines of a read name the kernel's request that it serves, from all layers alike: `read{id=17 inode=..}: request ..`.
        .with_target(false);
    #[cfg(unix)]
    let sink = log::Sink::stderr();
    #[cfg(unix)]
    let lines = lines
        .with_timer(log::Clock(sink.clone()))
        .with_writer(sink.clone());
    #[cfg(not(unix))]
    let lines = lines.with_writer(io::stderr);
    // Only signals change the filter later.
    #[cfg(not(unix))]
    drop(handle);
    // A second start in one process (tests) keeps the first log.
    drop(
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init(),
    );
    Log {
        #[cfg(unix)]
        sink,
        #[cfg(unix)]
        set_filter: Arc::new(move |filter| handle.reload(filter)),
        verbosity: Arc::new(Mutex::new(verbosity)),
    }
}

#[cfg(unix)]
impl Log {
    /// Goes on at the end of a file.
    ///
    /// # Errors
    /// If it cannot be written to; then the log stays where it is.
    pub fn to_file(&self, path: &std::path::Path) -> io::Result<()> {
        self.sink.to_file(path)
    }

    /// Goes on in the system's log (journal or syslog).
    ///
    /// # Errors
    /// If there is none; then the log stays where it is.
    pub fn to_system(&self) -> io::Result<()> {
        self.sink.to_system()
    }

    /// Opens the log's file anew, after logrotate has renamed it.
    ///
    /// # Errors
    /// If it cannot be opened; then the log goes on in the old one.
    pub fn reopen(&self) -> io::Result<()> {
        self.sink.reopen()
    }

    /// Says more, and after the most least again: warnings, information, each request. Gives the new level's name.
    ///
    /// # Errors
    /// If the log is gone.
    pub fn cycle(&self) -> io::Result<&'static str> {
        let mut verbosity = self
            .verbosity
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let next = VERBOSITIES
            .into_iter()
            .find(|more| *more > *verbosity)
            .unwrap_or(0);
        (self.set_filter)(EnvFilter::new(directives(next))).map_err(io::Error::other)?;
        *verbosity = next;
        Ok(match next {
            0 => "warnings",
            1 => "information",
            _ => "every request",
        })
    }
}

//! What the program says of itself: a log on standard error, and counters over HTTP where that is wanted.

pub mod endpoint;

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// Starts the log on standard error. `verbosity` counts `-v` less `-q`: warnings, then information, then more. `filter` is the
/// value of `GRIBFS_LOG` (or `RUST_LOG`) in the syntax of tracing's filters, which wins.
pub fn start(verbosity: i8, filter: Option<&str>) {
    let level = match verbosity {
        i8::MIN..=-2 => LevelFilter::OFF,
        -1 => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        3.. => LevelFilter::TRACE,
    };
    let directives = filter.map_or_else(|| format!("warn,gribfs={level}"), str::to_owned);
    let started = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // Lines of a read name the kernel's request that it serves, from all layers alike: `read{id=17 inode=..}: request ..`.
        .try_init();
    // A second start in one process (tests) keeps the first log.
    drop(started);
}

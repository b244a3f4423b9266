//! Signals for the log of a mount: SIGUSR1 opens its file anew (logrotate), SIGUSR2 makes it say more, and in the end less again.

use std::io;

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::telemetry::Log;

/// Takes both signals over from now on, for the whole process.
///
/// # Errors
/// If a handler cannot be installed.
pub(super) fn listen(runtime: &Handle, log: &Log) -> io::Result<()> {
    let _entered = runtime.enter();
    let mut reopen = signal(SignalKind::user_defined1())?;
    let mut cycle = signal(SignalKind::user_defined2())?;
    let log = log.clone();
    let minding = async move {
        loop {
            tokio::select! {
                Some(()) = reopen.recv() => match log.reopen() {
                    Ok(()) => tracing::info!("SIGUSR1: the log was opened anew"),
                    Err(error) => tracing::error!("SIGUSR1: the log cannot be opened anew: {error}"),
                },
                Some(()) = cycle.recv() => match log.cycle() {
                    // A warning, so that it is seen at every level.
                    Ok(level) => tracing::warn!("SIGUSR2: the log shows {level} now"),
                    Err(error) => tracing::error!("SIGUSR2: {error}"),
                },
                else => return,
            }
        }
    };
    drop(runtime.spawn(minding));
    Ok(())
}

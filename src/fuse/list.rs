//! The mounts of this program that can be seen from here, and whether somebody answers for them.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::mounts;
use super::recover;

/// How long a mount may take to open its root before it counts as one that hangs.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether a mount is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountState {
    /// Its root answers.
    Serving,
    /// Nobody answers; the next mount there clears it.
    Dead,
    /// No answer in time.
    Silent,
    /// Another user's, who keeps it to himself.
    Closed,
    /// Another mount lies on top of it.
    Covered,
}

impl MountState {
    /// A word for people and scripts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Dead => "dead",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::Covered => "covered",
        }
    }
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMount {
    /// Where it is.
    pub mountpoint: PathBuf,
    /// What is mounted, as it was named.
    pub source: String,
    /// Whether it is served.
    pub state: MountState,
}

/// The mounts of this program in this process's namespace, in the order in which they were made.
///
/// # Errors
/// If `/proc` is not there.
pub fn list() -> io::Result<Vec<ListedMount>> {
    let all = mounts::read()?;
    let ours = all.iter().filter(|mount| mount.is_ours());
    Ok(ours
        .map(|mount| {
            let top = all
                .iter()
                .rev()
                .find(|other| other.mountpoint == mount.mountpoint);
            let state = if top.is_some_and(|top| top.id == mount.id) {
                state_at(mount.mountpoint.clone())
            } else {
                MountState::Covered
            };
            ListedMount {
                mountpoint: mount.mountpoint.clone(),
                source: mount.source.clone(),
                state,
            }
        })
        .collect())
}

fn state_at(path: PathBuf) -> MountState {
    // Opening a directory asks the server, whatever the kernel remembers of it.
    match recover::within(PATIENCE, move || std::fs::read_dir(path).map(drop)) {
        Ok(()) => MountState::Serving,
        Err(error) if recover::is_dead(&error) => MountState::Dead,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => MountState::Closed,
        Err(_) => MountState::Silent,
    }
}

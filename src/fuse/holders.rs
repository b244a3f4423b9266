//! Who keeps a mount busy: processes with open files, a working directory or a memory map in it, and mounts below it.
//!
//! Looks at `/proc` only and never at the mount itself, which may be dead. Processes of other users are visible to
//! root alone; the sentence says so when nothing was found.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::mounts::{self, MountEntry};

/// How a process holds a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// An open file.
    OpenFile(PathBuf),
    /// The working directory.
    WorkingDirectory(PathBuf),
    /// A memory map.
    MemoryMap(PathBuf),
    /// The process's root directory.
    RootDirectory(PathBuf),
}

/// A process and how it holds the mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Its short name.
    pub command: String,
    /// What it holds, one of possibly several.
    pub hold: Hold,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, command, hold } = self;
        write!(f, "{command} (pid {pid}) ")?;
        match hold {
            Hold::OpenFile(path) => write!(f, "has {} open", path.display()),
            Hold::WorkingDirectory(path) => write!(f, "works in {}", path.display()),
            Hold::MemoryMap(path) => write!(f, "maps {}", path.display()),
            Hold::RootDirectory(path) => write!(f, "has its root at {}", path.display()),
        }
    }
}

/// Everything that keeps a mount busy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Processes, one hold each.
    pub processes: Vec<Holder>,
    /// Mount points of other file systems below.
    pub mounts_below: Vec<PathBuf>,
}

impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// As many as a line can bear.
        const SHOWN: usize = 8;
        let mut parts: Vec<String> = self
            .mounts_below
            .iter()
            .map(|path| format!("{} is mounted in it", path.display()))
            .chain(self.processes.iter().map(Holder::to_string))
            .collect();
        if parts.is_empty() {
            return f.write_str("no process of yours holds it; as root, see those of other users");
        }
        let hidden = parts.len().saturating_sub(SHOWN);
        parts.truncate(SHOWN);
        f.write_str(&parts.join("; "))?;
        if hidden > 0 {
            write!(f, "; and {hidden} more")?;
        }
        Ok(())
    }
}

/// Looks for all that holds `mount`.
#[must_use]
pub fn of(mount: &MountEntry) -> Holders {
    let mounts_below = mounts::read()
        .unwrap_or_default()
        .into_iter()
        .filter(|other| other.parent == mount.id)
        .map(|other| other.mountpoint)
        .collect();
    let mut processes: Vec<Holder> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let directory = entry.path();
            let hold = hold(&directory, mount)?;
            let command = fs::read_to_string(directory.join("comm")).unwrap_or_default();
            Some(Holder {
                pid,
                command: command.trim_end().to_owned(),
                hold,
            })
        })
        .collect();
    processes.sort_by_key(|holder| holder.pid);
    Holders {
        processes,
        mounts_below,
    }
}

/// The first hold of one process, whose folder in `/proc` is given.
fn hold(process: &Path, mount: &MountEntry) -> Option<Hold> {
    // Links are read but not followed: following one would ask the mount.
    let inside = |path: &Path| path.starts_with(&mount.mountpoint);
    let link = |name: &str| fs::read_link(process.join(name)).ok();
    open_file(process, mount)
        .map(Hold::OpenFile)
        .or_else(|| {
            link("cwd")
                .filter(|path| inside(path))
                .map(Hold::WorkingDirectory)
        })
        .or_else(|| memory_map(process, mount).map(Hold::MemoryMap))
        .or_else(|| {
            link("root")
                .filter(|path| inside(path))
                .map(Hold::RootDirectory)
        })
}

/// A file that the process has open in the mount. The mount's number tells, so a path in another namespace or a name
/// that only looks alike does not mislead.
fn open_file(process: &Path, mount: &MountEntry) -> Option<PathBuf> {
    let wanted = mount.id.to_string();
    fs::read_dir(process.join("fdinfo"))
        .ok()?
        .flatten()
        .find(|entry| {
            fs::read_to_string(entry.path()).is_ok_and(|text| {
                text.lines()
                    .filter_map(|line| line.strip_prefix("mnt_id:"))
                    .any(|id| id.trim() == wanted)
            })
        })
        .map(|entry| fs::read_link(process.join("fd").join(entry.file_name())).unwrap_or_default())
}

/// A file of the mount that the process maps: `maps` names the device in hexadecimal, and the path last.
fn memory_map(process: &Path, mount: &MountEntry) -> Option<PathBuf> {
    let (major, minor) = mount.device;
    let wanted = format!("{major:02x}:{minor:02x}");
    let maps = fs::read_to_string(process.join("maps")).ok()?;
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let device = fields.nth(3)?;
        let _inode = fields.next()?;
        (device == wanted).then(|| PathBuf::from(fields.collect::<Vec<_>>().join(" ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(pid: u32, hold: Hold) -> Holder {
        Holder {
            pid,
            command: "python3".into(),
            hold,
        }
    }

    #[test]
    fn the_sentence_names_processes_and_mounts() {
        let holders = Holders {
            processes: vec![
                holder(12, Hold::OpenFile("/mnt/x/t2m/0.0.0".into())),
                holder(13, Hold::WorkingDirectory("/mnt/x".into())),
            ],
            mounts_below: vec!["/mnt/x/below".into()],
        };
        assert_eq!(
            holders.to_string(),
            "/mnt/x/below is mounted in it; python3 (pid 12) has /mnt/x/t2m/0.0.0 open; \
             python3 (pid 13) works in /mnt/x"
        );
        assert!(Holders::default().to_string().contains("as root"));
    }

    #[test]
    fn a_long_list_is_cut() {
        let holders = Holders {
            processes: (0..20)
                .map(|pid| holder(pid, Hold::MemoryMap("/mnt/x/a".into())))
                .collect(),
            mounts_below: vec![],
        };
        assert!(holders.to_string().ends_with("; and 12 more"));
    }

    #[test]
    fn an_open_file_of_this_process_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = fs::canonicalize(file.path()).unwrap();
        let mount = mounts::read()
            .unwrap()
            .into_iter()
            .filter(|mount| path.starts_with(&mount.mountpoint))
            .max_by_key(|mount| mount.mountpoint.as_os_str().len())
            .unwrap();
        let found = of(&mount);
        assert!(
            found
                .processes
                .iter()
                .any(|holder| holder.pid == std::process::id())
        );
    }
}

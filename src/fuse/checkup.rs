//! What mounting needs of a machine, looked at piece by piece, and tried: for `gribfs doctor`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Resource, geteuid, getrlimit};
use tokio::runtime::Handle;

use super::device;
use super::error::MountError;
use super::options::MountConfig;
use super::session::mount;
use crate::vfs::tree::{Answer, Attributes, Entry, Inode, Missing, NodeKind, ROOT, Tree};

/// Settings of `fusermount3`.
const FUSE_CONF: &str = "/etc/fuse.conf";
/// Fewer open files than this are few for a mount: connections, tables, readers.
const FEW_FILES: u64 = 4096;

/// How good a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, with limits that are told.
    Note,
    /// Does not work; what to do is told.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What: a word or two.
    pub what: String,
    /// How good it is.
    pub verdict: Verdict,
    /// What was found, and what to do.
    pub text: String,
}

impl Finding {
    /// A finding.
    #[must_use]
    pub fn new(what: &str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            verdict,
            text: text.into(),
        }
    }
}

/// Looks at what mounting needs, and mounts an empty tree at a folder of its own for a moment. Waits for the kernel.
#[must_use]
pub fn checkup(runtime: &Handle) -> Vec<Finding> {
    let is_root = geteuid().is_root();
    vec![
        match device::open() {
            Ok(_device) => Finding::new("/dev/fuse", Verdict::Good, "can be opened"),
            Err(error) => Finding::new("/dev/fuse", Verdict::Bad, error.to_string()),
        },
        helper(is_root),
        allow_other(is_root),
        open_files(),
        trial(runtime),
    ]
}

fn helper(is_root: bool) -> Finding {
    const WHAT: &str = "fusermount3";
    match device::helper(|command| command.arg("-V").output()) {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let paths = std::env::var_os("PATH").unwrap_or_default();
            let found = std::env::split_paths(&paths)
                .chain(["/usr/bin", "/bin"].map(PathBuf::from))
                .map(|folder| folder.join(WHAT))
                .find_map(|path| Some((fs::metadata(&path).ok()?, path)));
            match found {
                Some((file, path))
                    if !is_root && (file.mode() & 0o4000 == 0 || file.uid() != 0) =>
                {
                    let text = format!(
                        "{} is not set-uid root, so it cannot mount for users: ask for the package fuse3 to be installed anew",
                        path.display()
                    );
                    Finding::new(WHAT, Verdict::Note, text)
                }
                _ => Finding::new(WHAT, Verdict::Good, said),
            }
        }
        Err(_) if is_root => Finding::new(
            WHAT,
            Verdict::Note,
            "not found; root mounts without it, users cannot",
        ),
        Err(_) => Finding::new(
            WHAT,
            Verdict::Note,
            format!(
                "{}; `unshare -Urm` gives a namespace in which you need it not",
                MountError::NoHelper
            ),
        ),
    }
}

fn allow_other(is_root: bool) -> Finding {
    const WHAT: &str = "allow_other";
    if is_root {
        return Finding::new(WHAT, Verdict::Good, "root may give it");
    }
    let text = fs::read_to_string(FUSE_CONF).unwrap_or_default();
    if text.lines().any(|line| line.trim() == "user_allow_other") {
        let text = format!("users may give it: {FUSE_CONF} has user_allow_other");
        return Finding::new(WHAT, Verdict::Good, text);
    }
    let text = format!(
        "others than you cannot read your mounts: {FUSE_CONF} has no line `user_allow_other`"
    );
    Finding::new(WHAT, Verdict::Note, text)
}

fn open_files() -> Finding {
    const WHAT: &str = "open files";
    // Raised to the hard limit by every mount.
    let Some(hard) = getrlimit(Resource::Nofile).maximum else {
        return Finding::new(WHAT, Verdict::Good, "no limit");
    };
    if hard < FEW_FILES {
        let text = format!(
            "at most {hard}, which is few for large folders of tables: raise `ulimit -Hn` (limits.conf, LimitNOFILE=)"
        );
        return Finding::new(WHAT, Verdict::Note, text);
    }
    Finding::new(WHAT, Verdict::Good, format!("up to {hard}"))
}

/// Mounts for a moment.
fn trial(runtime: &Handle) -> Finding {
    const WHAT: &str = "a mount";
    let folder = std::env::temp_dir().join(format!("gribfs-doctor-{}", std::process::id()));
    if let Err(error) = fs::create_dir(&folder) {
        let text = format!("not tried: {}: {error}", folder.display());
        return Finding::new(WHAT, Verdict::Note, text);
    }
    let config = MountConfig {
        source_name: "gribfs-doctor".to_owned(),
        ..MountConfig::default()
    };
    let tried = mount(Arc::new(Nothing), runtime.clone(), &folder, &config)
        .map_err(|error| error.to_string())
        .and_then(|session| session.unmount().map_err(|error| error.to_string()));
    // It stays where the mount does.
    drop(fs::remove_dir(&folder));
    match tried {
        Ok(()) => Finding::new(WHAT, Verdict::Good, "mounted and unmounted for trial"),
        Err(error) => Finding::new(WHAT, Verdict::Bad, advised(&folder, error)),
    }
}

/// A mount that the kernel refuses: where, and what may help.
fn advised(folder: &Path, error: String) -> String {
    if error.contains("Operation not permitted") || error.contains("not permitted") {
        return format!(
            "{error}. In a container: `--cap-add SYS_ADMIN --device /dev/fuse` (and `--security-opt apparmor=unconfined`), or mount outside and bind the folder in; \
             tried at {}",
            folder.display()
        );
    }
    error
}

/// A tree that has a root and nothing in it.
#[derive(Debug)]
struct Nothing;

impl Nothing {
    const ROOT: Attributes = Attributes {
        inode: ROOT,
        kind: NodeKind::Directory,
        size: 0,
        modified_seconds: 0,
        ttl: Duration::ZERO,
        immutable: true,
    };
}

impl Tree for Nothing {
    fn lookup(&self, _parent: Inode, _name: &OsStr) -> Result<Attributes, Missing> {
        Err(Missing::NoSuchName {
            ttl: Duration::ZERO,
        })
    }

    fn attributes(&self, inode: Inode) -> Result<Attributes, Missing> {
        (inode == ROOT)
            .then_some(Self::ROOT)
            .ok_or(Missing::NoSuchInode)
    }

    fn parent(&self, _inode: Inode) -> Result<Inode, Missing> {
        Ok(ROOT)
    }

    fn list(
        &self,
        _directory: Inode,
        _offset: u64,
        _sink: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Missing> {
        Ok(())
    }

    fn open(&self, _inode: Inode) -> Result<Attributes, Missing> {
        Err(Missing::IsADirectory)
    }

    fn read(&self, _inode: Inode, _offset: u64, _size: usize) -> Answer {
        Answer::Now(Ok(Bytes::new()))
    }

    fn totals(&self) -> (u64, u64) {
        (0, 0)
    }
}

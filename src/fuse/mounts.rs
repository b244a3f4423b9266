//! What is mounted where, as `/proc/self/mountinfo` has it.
//!
//! The list is the kernel's own, so reading it asks no file system anything: it answers also for a mount that is dead
//! or hangs. One line, and what is taken from it (proc(5), "mountinfo"):
//!
//! ```text
//! 36 27 0:31 / /mnt/gfs\0401 ro,nosuid,nodev - fuse.gribfs gfs.parquet ro,user_id=0,group_id=0
//! id parent device root point options        type        source      ...
//! ```

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// File system type of our mounts.
pub const FS_TYPE: &str = "fuse.gribfs";

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// The kernel's number of this mount; used again once it is unmounted.
    pub id: u64,
    /// Number of the mount that this one is mounted on.
    pub parent: u64,
    /// Device as `major:minor`; used again once the file system is gone.
    pub device: (u32, u32),
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// Type with subtype, as in `fuse.gribfs`.
    pub fs_type: String,
    /// What was mounted, for display.
    pub source: String,
}

impl MountEntry {
    /// Whether this is a mount of this program.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.fs_type == FS_TYPE
    }
}

/// All mounts of this process's namespace, in the order in which they were made.
///
/// # Errors
/// If `/proc` is not there.
pub fn read() -> io::Result<Vec<MountEntry>> {
    let text = fs::read("/proc/self/mountinfo")?;
    Ok(text
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .collect())
}

/// The topmost mount at exactly this path (resolved, see [`resolve`]).
///
/// # Errors
/// If `/proc` is not there.
pub fn at(mountpoint: &Path) -> io::Result<Option<MountEntry>> {
    let mounts = read()?;
    // Of several at one path the last one made is on top.
    Ok(mounts
        .into_iter()
        .rev()
        .find(|mount| mount.mountpoint == mountpoint))
}

/// The same mount as it is now: its directory may have been renamed since.
///
/// While the mount lives nothing else has its numbers; afterwards another mount may get them.
///
/// # Errors
/// If `/proc` is not there.
pub fn again(mount: &MountEntry) -> io::Result<Option<MountEntry>> {
    Ok(read()?
        .into_iter()
        .find(|now| now.id == mount.id && now.device == mount.device))
}

/// The absolute path without symbolic links, also for a mount point whose server is dead.
///
/// # Errors
/// If a directory on the way does not exist or cannot be read.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let whole = match fs::canonicalize(path) {
        Ok(resolved) => return Ok(resolved),
        Err(error) => error,
    };
    // A dead mount answers nothing about its own root, but its parent is on another file system.
    let absolute = std::path::absolute(path)?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => Ok(fs::canonicalize(parent)?.join(name)),
        _ => Err(whole),
    }
}

fn parse(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let (major, minor) = std::str::from_utf8(fields.next()?).ok()?.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let _root = fields.next()?;
    let mountpoint = PathBuf::from(OsString::from_vec(unescape(fields.next()?)));
    // Options and any number of tags stand before the separator.
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let fs_type = String::from_utf8_lossy(&unescape(rest.next()?)).into_owned();
    let source = String::from_utf8_lossy(&unescape(rest.next()?)).into_owned();
    Some(MountEntry {
        id,
        parent,
        device,
        mountpoint,
        fs_type,
        source,
    })
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Undoes the kernel's `\040` for space, tab, newline, backslash and hash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_tags_and_escapes_is_understood() {
        let line = br"36 27 0:31 / /mnt/a\040b\134c ro,nosuid shared:7 master:1 - fuse.gribfs x\040y ro,user_id=0";
        let entry = parse(line).unwrap();
        assert_eq!(entry.id, 36);
        assert_eq!(entry.parent, 27);
        assert_eq!(entry.device, (0, 31));
        assert_eq!(entry.mountpoint, Path::new(r"/mnt/a b\c"));
        assert_eq!(entry.source, "x y");
        assert!(entry.is_ours());
    }

    #[test]
    fn lines_that_are_no_mounts_are_passed_over() {
        for line in [
            &b""[..],
            b"36",
            b"36 27 0:31 / /mnt",
            b"x y z / / - a b",
            b"36 27 031 / /mnt ro - a b",
            b"36 27 0:31 / /mnt ro -",
            b"36 27 0:31 / /mnt\\9 ro a b",
        ] {
            assert_eq!(parse(line), None);
        }
    }

    #[test]
    fn the_root_of_this_namespace_is_mounted() {
        assert!(at(Path::new("/")).unwrap().is_some());
        assert!(!at(Path::new("/")).unwrap().unwrap().is_ours());
    }

    #[test]
    fn a_path_that_cannot_be_resolved_is_resolved_by_its_parent() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        assert_eq!(
            resolve(&directory.path().join("absent")).unwrap(),
            root.join("absent")
        );
        assert!(resolve(&directory.path().join("absent/deeper")).is_err());
    }
}

//! Files of this machine: read in one piece, listed by walking, written beside their place and renamed.
//!
//! A file has no `ETag`; `mtime-size-inode` (elsewhere than on Unix `mtime-size-0`) stands for one, so that a file that was written
//! again is noticed as an object is. Everything here blocks and runs on tokio's blocking threads.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use super::error::{ErrorKind, Fault};
use super::versioned::{Expected, Version, not_as_expected};
use super::{Fetched, Folder, Listed, hold};
use crate::location::{ByteRange, Location};
use crate::time::Instant;

/// Part of the name of a file that is being written; listings leave such files out.
const UNFINISHED: &str = ".gribfs-unfinished-";

/// The fault of an error of the file system.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign enum: all else is the disk's trouble"
)]
pub(super) fn fault(error: &io::Error) -> Fault {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::Forbidden,
        _ => ErrorKind::Local,
    };
    Fault::new(kind, error.to_string())
}

/// Nanoseconds from 1970 to when a file was last written; 0 where the system does not tell.
fn written_at(metadata: &Metadata) -> i128 {
    let Ok(time) = metadata.modified() else {
        return 0;
    };
    let nanoseconds = |time: std::time::Duration| i128::try_from(time.as_nanos()).unwrap_or(0);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => nanoseconds(since),
        Err(before) => -nanoseconds(before.duration()),
    }
}

/// The same in whole seconds.
fn modified(metadata: &Metadata) -> Instant {
    let seconds = written_at(metadata).div_euclid(1_000_000_000);
    Instant(i64::try_from(seconds).unwrap_or(0))
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> u64 {
    0
}

/// What stands for the `ETag` of a file.
///
/// # Errors
/// What the system says.
pub fn file_etag(path: &Path) -> io::Result<String> {
    Ok(etag(&std::fs::metadata(path)?))
}

fn etag(metadata: &Metadata) -> String {
    let (nanoseconds, inode) = (written_at(metadata), inode(metadata));
    format!("\"{nanoseconds:x}-{:x}-{inode:x}\"", metadata.len())
}

/// Reads a range, or to the end where it is open. A range that reaches past the end gives what there is.
pub(super) fn read(path: &Path, range: ByteRange, max_bytes: u64) -> Result<Fetched, Fault> {
    // Before `open`, which waits for ever on a named pipe.
    let before = std::fs::metadata(path).map_err(|error| fault(&error))?;
    if !before.is_file() {
        return Err(Fault::new(ErrorKind::Local, "not a regular file"));
    }
    let mut file = File::open(path).map_err(|error| fault(&error))?;
    let opened = file.metadata().map_err(|error| fault(&error))?;
    let size = opened.len();
    let left = size.checked_sub(range.offset);
    let length = match (left, range.length) {
        (Some(left), Some(length)) if left > 0 => length.min(left),
        (Some(left), None) if left > 0 || range.offset == 0 => left,
        // An empty file read whole is empty; a range of it cannot be.
        (Some(_) | None, _) => {
            let cause = format!("the file has {size} bytes");
            return Err(Fault::new(ErrorKind::Truncated, cause));
        }
    };
    if length > max_bytes {
        let cause = format!("{length} bytes, the limit is {max_bytes}");
        return Err(Fault::new(ErrorKind::TooLarge, cause));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.seek(SeekFrom::Start(range.offset))
        .and_then(|_| (&mut file).take(length).read_to_end(&mut bytes))
        .map_err(|error| fault(&error))?;
    let after = file.metadata().map_err(|error| fault(&error))?;
    if etag(&after) != etag(&opened) || u64::try_from(bytes.len()) != Ok(length) {
        let cause = "the file was written while it was read";
        return Err(Fault::new(ErrorKind::Changed, cause));
    }
    Ok(Fetched {
        bytes: Bytes::from(bytes),
        object_size: Some(size),
        etag: Some(etag(&opened)),
        number: None,
        modified: Some(modified(&opened)),
    })
}

/// Lists the files below a folder; of a path that is no folder, the files and folders whose path begins so.
pub(super) fn list(prefix: &Path) -> Result<Vec<Listed>, Fault> {
    let mut listed = Vec::new();
    match std::fs::metadata(prefix) {
        Ok(metadata) if metadata.is_dir() => walk(prefix, &mut Vec::new(), &mut listed)?,
        Ok(metadata) => listed.push(entry(prefix, &metadata)),
        Err(error) => {
            let (Some(parent), Some(start)) = (prefix.parent(), prefix.file_name()) else {
                return Err(fault(&error));
            };
            let start = start.to_string_lossy();
            for path in children(parent)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with(start.as_ref()) {
                    visit(&path, &mut Vec::new(), &mut listed)?;
                }
            }
            if listed.is_empty() {
                return Err(fault(&error));
            }
        }
    }
    listed.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(listed)
}

/// Lists one level of a folder.
pub(super) fn list_folder(path: &Path) -> Result<Folder, Fault> {
    let mut folder = Folder::default();
    for path in children(path)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                folder
                    .folders
                    .push(Location::from_path(&path).with_suffix("/"));
            }
            Ok(metadata) if metadata.is_file() && !name.contains(UNFINISHED) => {
                folder.files.push(entry(&path, &metadata));
            }
            // Dangling links and what is neither.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(folder)
}

fn children(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(|error| Fault::new(fault(&error).kind, format!("{}: {error}", folder.display())))
}

/// The folders that lead to where a walk is, without symbolic links.
type Way = Vec<PathBuf>;

fn walk(folder: &Path, way: &mut Way, listed: &mut Vec<Listed>) -> Result<(), Fault> {
    let here = folder.canonicalize().map_err(|error| fault(&error))?;
    // A symbolic link that leads back up shows nothing new.
    if way.contains(&here) {
        return Ok(());
    }
    way.push(here);
    for path in children(folder)? {
        visit(&path, way, listed)?;
    }
    way.pop();
    Ok(())
}

fn visit(path: &Path, way: &mut Way, listed: &mut Vec<Listed>) -> Result<(), Fault> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        tracing::warn!(path = %path.display(), "left out of the listing: the name is not UTF-8");
        return Ok(());
    };
    if name.contains(UNFINISHED) {
        return Ok(());
    }
    // Dangling links and files that vanish meanwhile are not there.
    let Ok(metadata) = std::fs::metadata(path) else {
        return Ok(());
    };
    if metadata.is_dir() {
        return walk(path, way, listed);
    }
    if metadata.is_file() {
        listed.push(entry(path, &metadata));
    }
    Ok(())
}

fn entry(path: &Path, metadata: &Metadata) -> Listed {
    Listed {
        location: Location::from_path(path),
        size: metadata.len(),
        etag: Some(etag(metadata)),
        modified: Some(modified(metadata)),
    }
}

/// Writes a file so that its path holds the old bytes or the new ones, never part of them. Makes missing folders. With `settled` it is on
/// the disk before it has its name: a rename can reach the disk before the bytes do.
pub(super) fn write(path: &Path, bytes: &[u8], settled: bool) -> Result<(), Fault> {
    Unfinished::write(path, bytes, settled)?.rename(path)
}

/// Writes a file if what lies there is what is expected; gives its version.
pub(super) fn write_if(path: &Path, bytes: &[u8], expected: &Expected) -> Result<Version, Fault> {
    let unfinished = Unfinished::write(path, bytes, true)?;
    let written = std::fs::metadata(&unfinished.path).map_err(|error| fault(&error))?;
    // Whoever comes between the look and the rename waits here, and finds another file then.
    let _held = hold::of_file(path);
    let there = std::fs::metadata(path);
    match (expected, &there) {
        (Expected::Nothing, Err(_)) => match std::fs::hard_link(&unfinished.path, path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(not_as_expected(expected, ""));
            }
            // A file system that knows no links.
            Err(_) => unfinished.rename(path)?,
        },
        (Expected::This(version), Ok(there)) if version.etag == Some(etag(there)) => {
            unfinished.rename(path)?;
        }
        (Expected::Nothing | Expected::This(_), Ok(_) | Err(_)) => {
            return Err(not_as_expected(expected, ""));
        }
    }
    Ok(Version {
        etag: Some(etag(&written)),
        number: None,
    })
}

/// A file that is written beside its place, and removed if it never gets there.
struct Unfinished {
    path: PathBuf,
    renamed: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.renamed {
            // What went wrong before is the failure to tell; what is left has a name that says what it is.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

impl Unfinished {
    fn write(place: &Path, bytes: &[u8], settled: bool) -> Result<Self, Fault> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else {
            return Err(Fault::new(ErrorKind::Local, "not the path of a file"));
        };
        let path = folder.join(format!(
            ".{}{UNFINISHED}{}-{}",
            name.to_string_lossy(),
            std::process::id(),
            COUNT.fetch_add(1, Relaxed)
        ));
        // Asked for the folder only where the file shows that it is missing: most files of a store share few folders.
        let made = match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(folder).and_then(|()| File::create_new(&path))
            }
            made => made,
        };
        let unfinished = Self {
            path,
            renamed: false,
        };
        let written = made.and_then(|mut file| {
            file.write_all(bytes)?;
            if settled { file.sync_all() } else { Ok(()) }
        });
        written.map(|()| unfinished).map_err(|error| fault(&error))
    }

    fn rename(mut self, place: &Path) -> Result<(), Fault> {
        std::fs::rename(&self.path, place).map_err(|error| fault(&error))?;
        self.renamed = true;
        Ok(())
    }
}

/// Waits until what was written to the file system of a path is on its disk.
#[cfg(target_os = "linux")]
pub(super) fn settle(path: &Path) -> Result<(), Fault> {
    let folder = File::open(path).map_err(|error| fault(&error))?;
    rustix::fs::syncfs(&folder).map_err(|error| fault(&io::Error::from(error)))
}

/// Other systems put everything that was written on its disk, or nothing (Windows does it when it likes).
#[cfg(not(target_os = "linux"))]
pub(super) fn settle(_path: &Path) -> Result<(), Fault> {
    #[cfg(unix)]
    rustix::fs::sync();
    Ok(())
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> Result<(), Fault> {
    std::fs::remove_file(path).map_err(|error| fault(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_files_are_read_and_ends_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"0123456789").unwrap();
        let read = |offset, length| read(&path, ByteRange { offset, length }, 100);
        let whole = read(2, Some(3)).unwrap();
        assert_eq!(&whole.bytes[..], b"234");
        assert_eq!(whole.object_size, Some(10));
        assert_eq!(&read(7, None).unwrap().bytes[..], b"789");
        assert_eq!(&read(7, Some(9)).unwrap().bytes[..], b"789");
        assert_eq!(read(10, Some(1)).unwrap_err().kind, ErrorKind::Truncated);
        assert_eq!(read(11, None).unwrap_err().kind, ErrorKind::Truncated);
        std::fs::write(&path, b"").unwrap();
        assert!(read(0, None).unwrap().bytes.is_empty());
    }

    #[test]
    fn etags_follow_rewrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/a");
        let range = ByteRange::new(0, 1);
        write(&path, b"one", true).unwrap();
        let first = read(&path, range, 100).unwrap().etag;
        assert_eq!(read(&path, range, 100).unwrap().etag, first);
        write(&path, b"two", false).unwrap();
        assert_ne!(read(&path, range, 100).unwrap().etag, first);
        assert_eq!(children(path.parent().unwrap()).unwrap().len(), 1);
    }

    #[test]
    fn conditional_writes_leave_what_others_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/a");
        let first = write_if(&path, b"one", &Expected::Nothing).unwrap();
        let refused = |expected: &Expected| write_if(&path, b"no", expected).unwrap_err().kind;
        assert_eq!(refused(&Expected::Nothing), ErrorKind::Changed);
        let second = write_if(&path, b"two", &Expected::This(first.clone())).unwrap();
        assert_ne!(first, second);
        assert_eq!(refused(&Expected::This(first)), ErrorKind::Changed);
        let read = read(&path, ByteRange::new(0, 3), 100).unwrap();
        assert_eq!(
            (&read.bytes[..], read.version()),
            (&b"two"[..], second.clone())
        );
        remove(&path).unwrap();
        assert_eq!(refused(&Expected::This(second)), ErrorKind::Changed);
        assert_eq!(children(path.parent().unwrap()).unwrap().len(), 0);
    }

    #[test]
    fn listings_are_sorted_deep_and_by_prefix() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/two", "a", "b/one", "bc", ".x.gribfs-unfinished-1-1"] {
            write(&folder.path().join(name), b"x", true).unwrap();
        }
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
        let names = |prefix: &Path| {
            let listed = list(prefix).unwrap();
            let names = listed.iter().map(|one| one.location.to_path().unwrap());
            names
                .map(|path| {
                    path.strip_prefix(folder.path())
                        .unwrap()
                        .display()
                        .to_string()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(names(folder.path()), ["a", "b/one", "b/two", "bc"]);
        assert_eq!(names(&folder.path().join("b")), ["b/one", "b/two"]);
        assert_eq!(names(&folder.path().join("bc")), ["bc"]);
        assert_eq!(names(&folder.path().join("b/o")), ["b/one"]);
        assert_eq!(
            list(&folder.path().join("zzz")).unwrap_err().kind,
            ErrorKind::NotFound
        );
    }

    #[test]
    fn a_loop_of_links_ends() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        write(&folder.path().join("a"), b"x", true).unwrap();
        assert_eq!(list(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn pipes_and_folders_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path(), ByteRange::new(0, 1), 100).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Local);
    }
}

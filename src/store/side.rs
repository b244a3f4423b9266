//! What rescans of objects found, on disk: the next mount reads it instead of walking the object again.
//!
//! One JSON file per object in a folder for its owner alone, `<DIR>/gribfs-corrections-1/<digest of the URL>.json`:
//!
//! ```json
//! {"object": "https://host/f006", "etag": "\"1a\"", "size": 91043, "scanned": 1795600000, "requests": 31,
//!  "messages": {"5d0b8a...": {"at": [1200, 512, 0]}, "77e1...": "absent", "90ff...": {"times": 2}}}
//! ```
//!
//! A message is named by a digest of the row that wants it: what it is, and where the table lists it. So a table that is put right finds
//! nothing here that concerns it. What stands here is a hint: a message is verified wherever it is read.
//!
//! Knows files. Knows no requests.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::disk::{Version, hexadecimal, owned};
use crate::location::{ByteRange, Location};
use crate::table::atomic::write_file_atomically;
use crate::table::row::{Row, Table};
use crate::time::Instant;

/// Name of the folder, with the number of the layout.
const NAME: &str = "gribfs-corrections-1";
/// Largest file that is read: some 100,000 messages.
const FILE_BYTES: u64 = 16 << 20;

/// Most files: a year of a model with four runs a day, 10 files of each rewritten.
const FILES: usize = 16_384;

/// Where a field lies: its message, and its position in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
    pub(super) field: u16,
}

impl Place {
    /// Where the table lists a row.
    pub(super) fn listed(row: &Row) -> Self {
        Self {
            offset: row.offset,
            length: row.length,
            field: row.field,
        }
    }

    pub(super) fn range(self) -> ByteRange {
        ByteRange {
            offset: self.offset,
            length: self.length,
        }
    }
}

/// What a rescan found of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// It is there once: offset, length, position of the field.
    At(u64, u64, u16),
    /// It is not in the object.
    Absent,
    /// It is there so many times: nobody can tell which is meant.
    Times(usize),
}

/// What a rescan found of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scan {
    /// The object, for people; without the query, which can be a signature.
    pub(super) object: String,
    etag: Option<String>,
    size: Option<u64>,
    modified: Option<i64>,
    /// When, seconds since 1970.
    pub(super) scanned: i64,
    /// Requests that it took.
    pub(super) requests: u64,
    /// By the digest of a row.
    pub(super) messages: BTreeMap<String, Verdict>,
}

impl Scan {
    pub(super) fn new(location: &Location, version: &Version, scanned: i64, requests: u64) -> Self {
        Self {
            object: location.to_string(),
            etag: version.etag.clone(),
            size: version.size,
            modified: version.modified.map(Instant::seconds),
            scanned,
            requests,
            messages: BTreeMap::new(),
        }
    }

    /// The version of the object that was scanned.
    pub(super) fn version(&self) -> Version {
        Version {
            etag: self.etag.clone(),
            size: self.size,
            modified: self.modified.map(Instant),
        }
    }

    /// Where a row's message was found.
    pub(super) fn place(&self, digest: &str) -> Option<Place> {
        match self.messages.get(digest)? {
            Verdict::At(offset, length, field) => Some(Place {
                offset: *offset,
                length: Some(*length),
                field: *field,
            }),
            Verdict::Absent | Verdict::Times(_) => None,
        }
    }
}

/// Names a row by what it is and where the table lists it.
pub(super) fn digest(table: &Table, row: &Row) -> String {
    let kind = table.kinds.get(row.kind as usize);
    let identity = kind.and_then(|kind| serde_json::to_vec(&kind.identity).ok());
    let grid = kind
        .and_then(|kind| table.grids.get(kind.grid? as usize))
        .map(|grid| grid.section3.as_slice());
    let mut hash = Sha256::new();
    for part in [identity.as_deref(), grid].map(Option::unwrap_or_default) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let length = row.length.unwrap_or(u64::MAX);
    for number in [row.reference.seconds(), row.window.start, row.window.end] {
        hash.update(number.to_le_bytes());
    }
    hash.update(row.member.unwrap_or(i16::MIN).to_le_bytes());
    hash.update(row.offset.to_le_bytes());
    hash.update(length.to_le_bytes());
    hash.update(row.field.to_le_bytes());
    hexadecimal(&hash.finalize(), 12)
}

/// The files of a folder.
#[derive(Debug)]
pub(super) struct SideFiles {
    directory: PathBuf,
    /// Files that were there when the folder was opened: for others nobody looks before something is wrong.
    names: HashSet<String>,
}

impl SideFiles {
    /// Looks into the folder, if it is there; it is made when there is something to keep.
    ///
    /// # Errors
    /// If it is there and cannot be used.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let mut names = HashSet::new();
        if directory.join(NAME).exists() {
            let entries = fs::read_dir(owned(directory, NAME)?)?;
            let entries = bounded(entries.flatten().collect());
            names.extend(
                entries
                    .into_iter()
                    .filter_map(|entry| entry.file_name().into_string().ok()),
            );
        }
        Ok(Self {
            directory: directory.to_owned(),
            names,
        })
    }

    /// Whether there was a file of an object from the start.
    pub(super) fn had(&self, location: &Location) -> bool {
        !self.names.is_empty() && self.names.contains(&name(location))
    }

    fn path(&self, location: &Location) -> PathBuf {
        self.directory.join(NAME).join(name(location))
    }

    /// What the file of an object says; `None` if there is none, or it cannot be read.
    pub(super) fn read(&self, location: &Location) -> Option<Scan> {
        let path = self.path(location);
        let size = fs::metadata(&path).ok()?.len();
        if size > FILE_BYTES {
            return None;
        }
        let bytes = fs::read(&path).ok()?;
        match serde_json::from_slice(&bytes) {
            Ok(scan) => Some(scan),
            Err(error) => {
                tracing::warn!("corrections: {} is passed over: {error}", path.display());
                None
            }
        }
    }

    /// Writes a scan, with what is known of other rows of the same version.
    pub(super) fn write(&self, location: &Location, scan: &Scan) {
        let mut whole = scan.clone();
        if let Some(other) = self.read(location)
            && other.version() == scan.version()
        {
            for (row, verdict) in other.messages {
                whole.messages.entry(row).or_insert(verdict);
            }
        }
        let path = self.path(location);
        let written = owned(&self.directory, NAME)
            .map_err(|error| error.to_string())
            .and_then(|_folder| serde_json::to_vec(&whole).map_err(|error| error.to_string()))
            .and_then(|bytes| {
                write_file_atomically(&path, &bytes).map_err(|error| error.to_string())
            });
        if let Err(error) = written {
            tracing::warn!("corrections are kept in memory only: {error}");
        }
    }
}

/// Removes the files that were written first if there are too many, and gives the others.
fn bounded(mut entries: Vec<DirEntry>) -> Vec<DirEntry> {
    if entries.len() > FILES {
        let written = |entry: &DirEntry| entry.metadata().and_then(|found| found.modified()).ok();
        entries.sort_by_cached_key(|entry| std::cmp::Reverse(written(entry)));
        for oldest in entries.split_off(FILES / 4 * 3) {
            // One that stays is found again next time.
            let _stays = fs::remove_file(oldest.path());
        }
    }
    entries
}

fn name(location: &Location) -> String {
    let digest = Sha256::digest(location.as_str().as_bytes());
    format!("{}.json", hexadecimal(&digest, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location() -> Location {
        Location::parse("https://host/a?sig=SECRET", Path::new("/")).unwrap()
    }

    #[test]
    fn what_is_kept_comes_back_and_holds_no_secret() {
        let parent = tempfile::tempdir().unwrap();
        let files = SideFiles::open(parent.path()).unwrap();
        assert!(!files.had(&location()) && files.read(&location()).is_none());
        let version = Version {
            etag: Some("\"a\"".to_owned()),
            size: Some(5),
            modified: None,
        };
        let mut scan = Scan::new(&location(), &version, 7, 3);
        scan.messages.insert("one".to_owned(), Verdict::At(1, 2, 0));
        files.write(&location(), &scan);
        let mut second = Scan::new(&location(), &version, 8, 3);
        second.messages.insert("two".to_owned(), Verdict::Absent);
        second
            .messages
            .insert("three".to_owned(), Verdict::Times(2));
        files.write(&location(), &second);
        let files = SideFiles::open(parent.path()).unwrap();
        assert!(files.had(&location()));
        let read = files.read(&location()).unwrap();
        assert_eq!((read.messages.len(), read.version()), (3, version));
        assert_eq!(read.place("one").map(|place| place.offset), Some(1));
        let text = fs::read_to_string(files.path(&location())).unwrap();
        assert!(!text.contains("SECRET"), "{text}");
    }

    #[test]
    fn a_torn_file_is_passed_over() {
        let parent = tempfile::tempdir().unwrap();
        let files = SideFiles::open(parent.path()).unwrap();
        owned(parent.path(), NAME).unwrap();
        fs::write(files.path(&location()), b"{\"object\":").unwrap();
        assert_eq!(files.read(&location()), None);
    }
}

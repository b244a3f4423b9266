//! Room on the disk: how much the entries take, how much is free, and which go first.
//!
//! All processes that share a folder keep one number together, the bytes of all entries, in a file that is read, changed and
//! written under a lock: a few microseconds a write. A process that dies between its write and its count leaves the number off by
//! one entry; whoever makes room counts anew.
//!
//! Room is made by one process at a time, in two passes over all entries: the first counts bytes by the time since their last use,
//! on a scale that is exact to 1.6 % of that time, the second removes what is older than where enough lies. So memory does not grow with the
//! number of entries. An entry whose time of use lies in the future was written under a wrong clock and goes first.

use std::fs::{self, File, Metadata};
use std::io;
use std::time::{Duration, SystemTime};

use super::entry::is_entry_name;
use super::folder::Folder;
use super::system::disk_bytes;
use crate::files::{At as _, Lock, lock};

/// Room is made for more than is needed now, so that it is not made for every message: a tenth of the limit.
const AT_ONCE: u64 = 10;
/// The disk keeps this free: the smaller of a twentieth of it ...
const FREE_PART: u64 = 20;
/// ... and 1 GiB.
const FREE_BYTES: u64 = 1 << 30;

/// Octets of the file of the shared number: the number, and a sum over it.
const USAGE_BYTES: usize = 12;

/// Steps of the scale of ages: 64 to each doubling of microseconds.
const STEPS: usize = 64 * 64;

/// What making room came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Freed {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// Bytes of the entries that are left.
    pub(super) left: u64,
}

/// Holds a lock on a file until dropped (closing a file ends its locks).
fn locked(file: File, how: Lock) -> io::Result<File> {
    lock(&file, how)?;
    Ok(file)
}

/// Changes the number of bytes in use, and gives the new one. `None` where there is none yet, or it cannot be trusted.
pub(super) fn add(folder: &Folder, bytes: i64) -> io::Result<Option<u64>> {
    let file = locked(folder.shared("usage")?, Lock::Wait)?;
    let mut octets = [0; USAGE_BYTES];
    if file.read_exact_at(&mut octets, 0).is_err() {
        return Ok(None);
    }
    let Some(before) = parse(&octets) else {
        return Ok(None);
    };
    let after = before.saturating_add_signed(bytes);
    if bytes != 0 {
        file.write_all_at(&print(after), 0)?;
    }
    Ok(Some(after))
}

/// Sets the number of bytes in use.
fn set(folder: &Folder, bytes: u64) -> io::Result<()> {
    let file = locked(folder.shared("usage")?, Lock::Wait)?;
    file.write_all_at(&print(bytes), 0)
}

fn print(bytes: u64) -> [u8; USAGE_BYTES] {
    let mut octets = [0; USAGE_BYTES];
    let number = bytes.to_le_bytes();
    let sum = crc32fast::hash(&number).to_le_bytes();
    for (to, from) in octets.iter_mut().zip(number.into_iter().chain(sum)) {
        *to = from;
    }
    octets
}

fn parse(octets: &[u8; USAGE_BYTES]) -> Option<u64> {
    let (number, sum) = octets.split_first_chunk::<8>()?;
    (crc32fast::hash(number).to_le_bytes() == sum).then(|| u64::from_le_bytes(*number))
}

/// Bytes that are missing on the disk before `needed` more may be written, so that it keeps its floor; 0 if there is room.
pub(super) fn missing_bytes(folder: &Folder, needed: u64) -> io::Result<u64> {
    let (all, free) = disk_bytes(folder.root())?;
    let floor = (all / FREE_PART).min(FREE_BYTES);
    Ok(floor.saturating_add(needed).saturating_sub(free))
}

/// Removes the entries that were used least lately until `limit` holds with a tenth to spare, and at least `bytes` are free more than before.
/// Counts anew. `None` if another process is at it.
pub(super) fn make(folder: &Folder, limit: u64, bytes: u64) -> io::Result<Option<Freed>> {
    let lock = match locked(folder.shared("lock")?, Lock::AtOnce) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        lock => lock?,
    };
    let now = SystemTime::now();
    let mut by_age = vec![0_u64; STEPS + 1];
    let mut total = 0_u64;
    each(folder, &mut |_, found| {
        let size = found.len();
        total = total.saturating_add(size);
        if let Some(sum) = by_age.get_mut(step(found, now)) {
            *sum = sum.saturating_add(size);
        }
        Ok(())
    })?;
    let target = if total > limit || bytes > 0 {
        total.saturating_sub(limit - limit / AT_ONCE).max(bytes)
    } else {
        0
    };
    let mut freed = Freed::default();
    if target > 0 {
        let mut older = 0_u64;
        let oldest_kept = by_age
            .iter()
            .rposition(|sum| {
                older = older.saturating_add(*sum);
                older >= target
            })
            .unwrap_or(0);
        each(folder, &mut |path, found| {
            if freed.bytes < target && step(found, now) >= oldest_kept {
                match fs::remove_file(path) {
                    Ok(()) => {
                        freed.entries += 1;
                        freed.bytes = freed.bytes.saturating_add(found.len());
                    }
                    // Somebody found it broken meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })?;
    }
    freed.left = total.saturating_sub(freed.bytes);
    set(folder, freed.left)?;
    drop(lock);
    Ok(Some(freed))
}

/// Calls `visit` with each entry. What goes meanwhile is passed over.
fn each(
    folder: &Folder,
    visit: &mut dyn FnMut(&std::path::Path, &Metadata) -> io::Result<()>,
) -> io::Result<()> {
    for shard in folder.shards()? {
        for entry in fs::read_dir(&shard)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(is_entry_name) {
                continue;
            }
            match entry.metadata() {
                Ok(found) => visit(&entry.path(), &found)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Step on the scale of ages; those from the future count as oldest.
fn step(found: &Metadata, now: SystemTime) -> usize {
    let age = found.modified().map(|used| now.duration_since(used));
    let Ok(Ok(age)) = age else {
        return STEPS;
    };
    step_of(age)
}

fn step_of(age: Duration) -> usize {
    let micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX).max(1);
    let doublings = micros.ilog2();
    // The six bits behind the leading one.
    let rest = if doublings >= 6 {
        (micros >> (doublings - 6)) & 63
    } else {
        (micros << (6 - doublings)) & 63
    };
    let step = u64::from(doublings) * 64 + rest;
    usize::try_from(step).map_or(STEPS - 1, |step| step.min(STEPS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(folder: &Folder, number: u32, size: usize, used: SystemTime) -> std::path::PathBuf {
        let name = format!("{number:032x}-{number:016x}");
        let path = folder.shard("000").join(name);
        fs::create_dir_all(folder.shard("000")).unwrap();
        fs::write(&path, vec![0; size]).unwrap();
        File::open(&path).unwrap().set_modified(used).unwrap();
        path
    }

    #[test]
    fn what_was_used_least_lately_goes_first_and_a_wrong_clock_before_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        let ago = |seconds| SystemTime::now() - Duration::from_secs(seconds);
        let paths = [
            entry(&folder, 1, 1000, ago(10)),
            entry(&folder, 2, 1000, ago(100)),
            entry(&folder, 3, 1000, ago(1000)),
            entry(
                &folder,
                4,
                1000,
                SystemTime::now() + Duration::from_secs(1000),
            ),
        ];
        let there = || paths.clone().map(|path| path.exists());
        let counted = make(&folder, 5000, 0).unwrap().unwrap();
        assert_eq!((counted.entries, counted.left), (0, 4000));
        assert_eq!(add(&folder, 0).unwrap(), Some(4000));
        assert_eq!(make(&folder, 3500, 0).unwrap().unwrap().left, 3000);
        assert_eq!(there(), [true, true, true, false]);
        assert_eq!(make(&folder, 5000, 1500).unwrap().unwrap().left, 1000);
        assert_eq!(there(), [true, false, false, false]);
        assert_eq!(add(&folder, -600).unwrap(), Some(400));
    }

    #[test]
    fn a_number_that_was_torn_is_counted_anew() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        assert_eq!(add(&folder, 5).unwrap(), None);
        make(&folder, 10, 0).unwrap();
        assert_eq!(add(&folder, 5).unwrap(), Some(5));
        fs::write(folder.root().join("usage"), b"torn").unwrap();
        assert_eq!(add(&folder, 5).unwrap(), None);
    }

    #[test]
    fn one_process_makes_room_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        let held = locked(folder.shared("lock").unwrap(), Lock::Wait).unwrap();
        assert_eq!(make(&folder, 10, 0).unwrap(), None);
        drop(held);
        assert!(make(&folder, 10, 0).unwrap().is_some());
    }

    #[test]
    fn the_scale_of_ages_never_turns_back() {
        let ages = (0..63).flat_map(|bits| (0..7).map(move |part| (1_u64 << bits) + part));
        let mut ages: Vec<u64> = ages.collect();
        ages.sort_unstable();
        let steps: Vec<usize> = ages
            .iter()
            .map(|age| step_of(Duration::from_micros(*age)))
            .collect();
        assert!(steps.is_sorted());
        assert!(steps.iter().all(|step| *step < STEPS));
    }
}

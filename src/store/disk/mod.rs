//! Messages on disk, so that what was read once is not fetched again: by the next mount, beside this one, or without the network.
//!
//! An entry is one file: the message as it came, with the URL, byte range and version (`ETag`, size, time) it is a copy of, and checksums.
//! It is written behind the answer by one thread, under another name, and renamed; nothing is synced, because what a crash tears the checksums
//! refuse. Any number of processes share a folder; see [`folder`] for its layout, [`entry`] for that of a file, [`room`] for how it
//! stays within its limit. Nothing here fails a read: what does not work is said once in the log and done without.
//!
//! Own code, because no crate does this: `cacache` neither bounds its size nor ages, `foyer` owns its device in one process, and download
//! caches know whole files only.
//!
//! Knows keys, versions and bytes. Knows no messages: what goes in was verified by its owner, and what comes out is verified again.

mod entry;
mod folder;
mod room;
mod system;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Clock, SystemTime};

use bytes::Bytes;

use self::entry::{ENTRY_BYTES, head};
pub(super) use self::entry::{Key, Version, hexadecimal};
use self::folder::Folder;
pub(super) use self::folder::owned;

/// An entry's time of use is renewed when it is older than this: not at every hit.
const USE_AGE: Duration = Duration::from_secs(60);
/// Pause of writing after the disk was full or refused.
const PAUSE: Duration = Duration::from_secs(60);

/// Settings of a disk cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// Where its folder lies. Several mounts may name the same.
    pub directory: PathBuf,
    /// Most bytes of all entries. Where mounts differ, the least holds.
    pub limit_bytes: u64,
    /// Most bytes of messages that wait to be written; more are not kept. They are part of the reader's memory.
    pub waiting_bytes: u64,
}

/// Counters of a disk cache. Of this process, but for `bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStatistics {
    /// Messages that came from the disk.
    pub hits: u64,
    /// Their bytes.
    pub hit_bytes: u64,
    /// Of them, those that came while the origin could not be reached.
    pub offline_hits: u64,
    /// Messages that were looked for in vain.
    pub misses: u64,
    /// Messages written.
    pub written: u64,
    /// Their bytes.
    pub written_bytes: u64,
    /// Messages not written: the disk too full, or too slow to keep up.
    pub skipped: u64,
    /// Entries removed to make room.
    pub evicted: u64,
    /// Their bytes.
    pub evicted_bytes: u64,
    /// Entries that were broken, and removed.
    pub corrupt: u64,
    /// Writes, reads and counts that failed.
    pub errors: u64,
    /// Bytes of all entries of all processes, as last counted.
    pub bytes: u64,
    /// Most bytes of all entries.
    pub limit_bytes: u64,
}

/// Messages on disk.
#[derive(Debug)]
pub struct DiskCache {
    shared: Arc<Shared>,
    jobs: Mutex<Sender<Job>>,
}

#[derive(Debug)]
struct Shared {
    folder: Folder,
    limit_bytes: u64,
    tally: Tally,
    most_waiting_bytes: u64,
    waiting_bytes: AtomicU64,
    /// Until when nothing is written.
    paused: Mutex<Option<Clock>>,
    said: Said,
    files: AtomicU64,
}

/// What has been said in the log.
#[derive(Debug, Default)]
struct Said {
    write: AtomicBool,
    read: AtomicBool,
    full: AtomicBool,
    corrupt: AtomicBool,
}

#[derive(Debug, Default)]
struct Tally {
    hits: AtomicU64,
    hit_bytes: AtomicU64,
    offline_hits: AtomicU64,
    misses: AtomicU64,
    written: AtomicU64,
    written_bytes: AtomicU64,
    skipped: AtomicU64,
    evicted: AtomicU64,
    evicted_bytes: AtomicU64,
    corrupt: AtomicU64,
    errors: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug)]
enum Job {
    Write(Key, Version, Bytes),
    /// Tells when all before it is done.
    Tell(Sender<()>),
}

/// A message found on disk.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) version: Version,
    pub(super) message: Bytes,
}

impl DiskCache {
    /// Opens the folder, makes it if need be, and clears up after writers that died.
    ///
    /// # Errors
    /// If the folder can neither be made nor used: not a directory, of another user, open to others.
    pub fn open(config: &DiskConfig) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            folder: Folder::open(&config.directory)?,
            limit_bytes: config.limit_bytes,
            most_waiting_bytes: config.waiting_bytes,
            tally: Tally::default(),
            waiting_bytes: AtomicU64::new(0),
            paused: Mutex::default(),
            said: Said::default(),
            files: AtomicU64::new(0),
        });
        let (jobs, queue) = channel();
        let writer = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("gribfs-disk".to_owned())
            .spawn(move || writer.work(&queue))?;
        Ok(Arc::new(Self {
            shared,
            jobs: Mutex::new(jobs),
        }))
    }

    /// The newest sound message under a key whose version `fits`. Takes as long as the disk does.
    pub(super) fn get(&self, key: Key, expected: &Version) -> Option<Found> {
        self.shared.get(key, expected)
    }

    /// Counts a message that was served from here.
    pub(super) fn served(&self, bytes: usize, offline: bool) {
        let tally = &self.shared.tally;
        tally.hits.fetch_add(1, Relaxed);
        tally.hit_bytes.fetch_add(bytes as u64, Relaxed);
        tally.offline_hits.fetch_add(u64::from(offline), Relaxed);
    }

    /// Counts a message that was not found, or not the one that is wanted.
    pub(super) fn missed(&self) {
        self.shared.tally.misses.fetch_add(1, Relaxed);
    }

    /// Writes a verified message, later, if there is room for it.
    pub(super) fn put(&self, key: Key, version: Version, message: Bytes) {
        if !version.identifies() {
            return;
        }
        let shared = &self.shared;
        let bytes = message.len() as u64;
        let waiting = shared.waiting_bytes.fetch_add(bytes, Relaxed);
        if waiting + bytes > shared.most_waiting_bytes && waiting > 0 {
            shared.waiting_bytes.fetch_sub(bytes, Relaxed);
            shared.tally.skipped.fetch_add(1, Relaxed);
            return;
        }
        self.send(Job::Write(key, version, message));
    }

    /// Removes an entry that did not hold what it should.
    pub(super) fn discard(&self, key: Key, version: &Version) {
        let shared = &self.shared;
        let path = shared.folder.shard(&key.shard()).join(key.name(version));
        shared.remove_broken(&path);
    }

    /// Waits until everything that was put is written or given up.
    pub fn flush(&self) {
        let (tell, told) = channel();
        self.send(Job::Tell(tell));
        // A writer that is gone has nothing left to do.
        let _gone = told.recv();
    }

    /// Counters so far.
    #[must_use]
    pub fn statistics(&self) -> DiskStatistics {
        let tally = &self.shared.tally;
        DiskStatistics {
            hits: tally.hits.load(Relaxed),
            hit_bytes: tally.hit_bytes.load(Relaxed),
            offline_hits: tally.offline_hits.load(Relaxed),
            misses: tally.misses.load(Relaxed),
            written: tally.written.load(Relaxed),
            written_bytes: tally.written_bytes.load(Relaxed),
            skipped: tally.skipped.load(Relaxed),
            evicted: tally.evicted.load(Relaxed),
            evicted_bytes: tally.evicted_bytes.load(Relaxed),
            corrupt: tally.corrupt.load(Relaxed),
            errors: tally.errors.load(Relaxed),
            bytes: tally.bytes.load(Relaxed),
            limit_bytes: self.shared.limit_bytes,
        }
    }

    /// The folder of the entries.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.shared.folder.root()
    }

    fn send(&self, job: Job) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // The writer lives as long as this sender.
        let _gone = jobs.send(job);
    }
}

impl Shared {
    fn get(&self, key: Key, expected: &Version) -> Option<Found> {
        let shard = self.folder.shard(&key.shard());
        if expected.etag.is_some() {
            // The name is known: no folder is listed.
            let path = shard.join(key.name(expected));
            if let Some(found) = self.read(key, &path) {
                return expected.agrees(&found.version).then_some(found);
            }
        }
        let mut candidates = self.candidates(key, &shard);
        candidates.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        candidates
            .into_iter()
            .filter_map(|(_, path)| self.read(key, &path))
            .find(|found| expected.agrees(&found.version))
    }

    /// Entries of all versions of a key, with their time of use.
    fn candidates(&self, key: Key, shard: &Path) -> Vec<(SystemTime, PathBuf)> {
        let stem = key.stem();
        let entries = match fs::read_dir(shard) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    self.say(&self.said.read, "cannot be read", &error);
                }
                return Vec::new();
            }
        };
        entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                name.to_str().is_some_and(|name| name.starts_with(&stem))
            })
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect()
    }

    /// Reads and checks a file; a broken one is removed.
    fn read(&self, key: Key, path: &Path) -> Option<Found> {
        let (file, octets) = match read_file(path) {
            Ok(read) => read,
            Err(error) => {
                if error.kind() == ErrorKind::InvalidData {
                    self.remove_broken(path);
                } else if error.kind() != ErrorKind::NotFound {
                    self.say(&self.said.read, "cannot be read", &error);
                }
                return None;
            }
        };
        let Some((version, message)) = entry::open(key, &octets.into()) else {
            self.remove_broken(path);
            return None;
        };
        renew(&file);
        Some(Found { version, message })
    }

    fn remove_broken(&self, path: &Path) {
        self.tally.corrupt.fetch_add(1, Relaxed);
        if !self.said.corrupt.swap(true, Relaxed) {
            tracing::warn!(
                "disk cache: {} is broken and is fetched again; is the disk sound?",
                path.display()
            );
        }
        let size = fs::metadata(path).map_or(0, |found| found.len());
        if fs::remove_file(path).is_ok() {
            let gone = i64::try_from(size).map_or(0, |size| -size);
            // A number that is off is put right when room is made.
            let _off = room::add(&self.folder, gone);
        }
    }

    fn work(&self, queue: &Receiver<Job>) {
        self.folder.remove_dead_files();
        match room::add(&self.folder, 0) {
            Ok(Some(bytes)) if bytes <= self.limit_bytes => self.tally.bytes.store(bytes, Relaxed),
            Ok(_) => self.make_room(0),
            Err(error) => self.say(&self.said.write, "is read only", &error),
        }
        for job in queue {
            match job {
                Job::Write(key, version, message) => {
                    self.write(key, &version, &message);
                    self.waiting_bytes.fetch_sub(message.len() as u64, Relaxed);
                }
                Job::Tell(done) => {
                    // Whoever asked may have left.
                    let _left = done.send(());
                }
            }
        }
    }

    fn write(&self, key: Key, version: &Version, message: &[u8]) {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        let resting = paused.is_some_and(|until| Clock::now() < until);
        let done = if resting {
            Ok(false)
        } else {
            self.try_write(key, version, message)
        };
        match done {
            Ok(true) => {
                *paused = None;
            }
            Ok(false) => {
                self.tally.skipped.fetch_add(1, Relaxed);
            }
            Err(error) => {
                *paused = Some(Clock::now() + PAUSE);
                self.tally.skipped.fetch_add(1, Relaxed);
                if error.kind() == ErrorKind::StorageFull
                    || error.kind() == ErrorKind::QuotaExceeded
                {
                    self.say(&self.said.full, "has no room on its disk", &error);
                } else {
                    self.say(&self.said.write, "cannot be written", &error);
                }
            }
        }
    }

    /// Whether the message is on disk now.
    fn try_write(&self, key: Key, version: &Version, message: &[u8]) -> io::Result<bool> {
        let (shard, name) = (key.shard(), key.name(version));
        if self.folder.shard(&shard).join(&name).exists() {
            return Ok(true);
        }
        let head = head(key, version, message);
        let size = (head.len() + message.len()) as u64;
        if size > self.limit_bytes / 2 || size > ENTRY_BYTES {
            return Ok(false);
        }
        let missing = room::missing_bytes(&self.folder, size)?;
        if missing > 0 {
            // Somewhat more, so that the next message finds room.
            self.make_room(missing.saturating_add(self.tally.bytes.load(Relaxed) / 20));
            if room::missing_bytes(&self.folder, size)? > 0 {
                return Err(io::Error::new(
                    ErrorKind::StorageFull,
                    "the disk is nearly full",
                ));
            }
        }
        let number = self.files.fetch_add(1, Relaxed);
        let mut new = self.folder.new_file(number)?;
        new.file.write_all(&head)?;
        new.file.write_all(message)?;
        self.folder.place(new, &shard, &name)?;
        self.tally.written.fetch_add(1, Relaxed);
        self.tally
            .written_bytes
            .fetch_add(message.len() as u64, Relaxed);
        match room::add(&self.folder, i64::try_from(size).unwrap_or(i64::MAX))? {
            Some(bytes) if bytes <= self.limit_bytes => self.tally.bytes.store(bytes, Relaxed),
            Some(_) | None => self.make_room(0),
        }
        Ok(true)
    }

    fn make_room(&self, bytes: u64) {
        match room::make(&self.folder, self.limit_bytes, bytes) {
            Ok(Some(freed)) => {
                self.tally.evicted.fetch_add(freed.entries, Relaxed);
                self.tally.evicted_bytes.fetch_add(freed.bytes, Relaxed);
                self.tally.bytes.store(freed.left, Relaxed);
            }
            // Another process is at it.
            Ok(None) => {}
            Err(error) => self.say(&self.said.write, "cannot be cleared", &error),
        }
    }

    /// Says what is wrong, the first time.
    fn say(&self, said: &AtomicBool, what: &str, error: &io::Error) {
        self.tally.errors.fetch_add(1, Relaxed);
        let folder = self.folder.root().display();
        if said.swap(true, Relaxed) {
            tracing::debug!("disk cache: {folder} {what}: {error}");
        } else {
            tracing::warn!("disk cache: {folder} {what}: {error}; going on without it");
        }
    }
}

/// A whole file of no more than an entry's size; [`ErrorKind::InvalidData`] for what cannot be one.
fn read_file(path: &Path) -> io::Result<(File, Vec<u8>)> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    let size = usize::try_from(found.len()).unwrap_or(usize::MAX);
    if !found.is_file() || found.len() > ENTRY_BYTES {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut octets = Vec::new();
    octets
        .try_reserve_exact(size + 1)
        .map_err(|_too_large| ErrorKind::OutOfMemory)?;
    (&file).take(found.len()).read_to_end(&mut octets)?;
    Ok((file, octets))
}

/// Renews the time of use of an entry, if that is old or lies in the future. A disk that refuses ages by time of writing.
fn renew(file: &File) {
    let now = SystemTime::now();
    let used = file.metadata().and_then(|found| found.modified());
    let fresh = used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age < USE_AGE));
    if !fresh {
        let _refused = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::{ByteRange, Location};
    use crate::store::budget::{Budget, leased};

    /// A cache whose messages wait until the test works them off.
    fn waiting(directory: &Path, waiting_bytes: u64) -> (DiskCache, Receiver<Job>) {
        let shared = Arc::new(Shared {
            folder: Folder::open(directory).unwrap(),
            limit_bytes: 1 << 30,
            tally: Tally::default(),
            most_waiting_bytes: waiting_bytes,
            waiting_bytes: AtomicU64::new(0),
            paused: Mutex::default(),
            said: Said::default(),
            files: AtomicU64::new(0),
        });
        let (jobs, queue) = channel();
        let jobs = Mutex::new(jobs);
        (DiskCache { shared, jobs }, queue)
    }

    #[test]
    fn messages_that_wait_for_the_disk_are_part_of_the_memory() {
        let directory = tempfile::tempdir().unwrap();
        let (cache, queue) = waiting(directory.path(), 250);
        let budget = Budget::new(1000);
        let location = Location::parse("http://127.0.0.1/a", directory.path()).unwrap();
        for offset in [0, 100, 200] {
            let message = leased(Bytes::from(vec![7_u8; 100]), budget.try_take(100).unwrap());
            let version = Version {
                etag: Some("x".to_owned()),
                ..Version::default()
            };
            cache.put(
                Key::new(&location, None, ByteRange::new(offset, 100)),
                version,
                message,
            );
        }
        // The third was one too many.
        assert_eq!((budget.used().0, cache.statistics().skipped), (200, 1));
        let DiskCache { shared, jobs } = cache;
        drop(jobs);
        shared.work(&queue);
        assert_eq!(
            (budget.used().0, shared.tally.written.load(Relaxed)),
            (0, 2)
        );
    }
}

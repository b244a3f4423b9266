//! Messages on disk: read instead of fetched, and never believed when torn, changed or flipped; shared; within their limits.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gribfs::dataset::archive::rows_of;
use gribfs::location::Location;
use gribfs::storage::{Storage, StorageConfig};
use gribfs::store::{
    DiskCache, DiskConfig, DiskStatistics, FailureKind, FieldReader, Read, ReadFailure,
    ReaderConfig,
};
use gribfs::table::row::{Status, Table};
use tokio::runtime::Runtime;

use crate::fuse_mount::is_skipped;
use crate::mount_tree::Bed;
use crate::support::http::Fault;

const FILE: &str = "gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f006";
const FOLDER: &str = "gribfs-messages-1";

/// An archive on a server, its table without sizes and tags, and a directory for a cache.
struct Cached {
    bed: Bed,
    table: Arc<Table>,
    directory: tempfile::TempDir,
}

/// A reader with a cache.
struct Mounted {
    reader: FieldReader,
    disk: Arc<DiskCache>,
}

impl Cached {
    fn new() -> Self {
        let bed = Bed::new();
        let (mut table, _) = bed.index();
        for object in &mut Arc::make_mut(&mut table).objects {
            (object.size, object.etag) = (None, None);
        }
        Self {
            bed,
            table,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Rows of one file.
    fn rows(&self) -> Vec<u32> {
        let rows = (0_u32..).zip(&self.table.rows);
        rows.filter(|(_, row)| {
            let object = &self.table.objects[row.object as usize];
            row.status == Status::Placed && object.location.as_str().ends_with(FILE)
        })
        .map(|(number, _)| number)
        .collect()
    }

    fn mount(&self) -> Mounted {
        self.mount_with(self.directory.path(), 1 << 30)
    }

    fn mount_with(&self, directory: &Path, limit_bytes: u64) -> Mounted {
        self.bed.server.forget();
        Mounted::new(
            &self.table,
            &self.bed.storage,
            &self.bed.runtime,
            directory,
            limit_bytes,
        )
    }

    fn requests(&self) -> usize {
        self.bed.server.requests().len()
    }

    /// What the rows hold, by a reader without a cache.
    fn right(&self, rows: &[u32]) -> Vec<Bytes> {
        let config = ReaderConfig::default();
        let table = rows_of(Arc::clone(&self.table));
        let handle = self.bed.runtime.handle().clone();
        let reader = FieldReader::new(table, self.bed.storage.clone(), handle, &config);
        rows.iter()
            .map(|row| read(&self.bed.runtime, &reader, *row).unwrap())
            .collect()
    }

    fn read(&self, mounted: &Mounted, row: u32) -> Result<Bytes, ReadFailure> {
        read(&self.bed.runtime, &mounted.reader, row)
    }

    fn read_right(&self, mounted: &Mounted, rows: &[u32], right: &[Bytes]) {
        for (row, right) in rows.iter().zip(right) {
            assert!(
                self.read(mounted, *row).unwrap() == *right,
                "row {row}: other values"
            );
        }
    }

    /// Reads rows into the cache.
    fn fill(&self, rows: &[u32]) -> Vec<Bytes> {
        let mounted = self.mount();
        let fields = rows
            .iter()
            .map(|row| self.read(&mounted, *row).unwrap())
            .collect();
        mounted.disk.flush();
        assert_eq!(mounted.statistics().written, rows.len() as u64);
        fields
    }

    fn entries(&self) -> Vec<PathBuf> {
        entries(self.directory.path())
    }
}

impl Mounted {
    fn new(
        table: &Arc<Table>,
        storage: &Storage,
        runtime: &Runtime,
        directory: &Path,
        limit_bytes: u64,
    ) -> Self {
        let config = DiskConfig {
            directory: directory.to_owned(),
            limit_bytes,
            waiting_bytes: 32 << 20,
        };
        let disk = DiskCache::open(&config).unwrap();
        let config = ReaderConfig {
            disk: Some(Arc::clone(&disk)),
            // Each read asks the disk.
            cache_bytes: 0,
            ..ReaderConfig::default()
        };
        let handle = runtime.handle().clone();
        let reader = FieldReader::new(rows_of(Arc::clone(table)), storage.clone(), handle, &config);
        Self { reader, disk }
    }

    fn statistics(&self) -> DiskStatistics {
        self.reader.statistics().disk.unwrap()
    }
}

fn read(runtime: &Runtime, reader: &FieldReader, row: u32) -> Result<Bytes, ReadFailure> {
    // The second try of the kernel is told what the first was.
    match reader.read(u64::from(row), 4) {
        Read::Now(field) => field,
        Read::Later(flight) => runtime.block_on(flight),
    }
}

/// Files of entries.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for shard in fs::read_dir(directory.join(FOLDER)).unwrap().flatten() {
        let name = shard.file_name().into_string().unwrap();
        if shard.path().is_dir() && name != "new" {
            all.extend(
                fs::read_dir(shard.path())
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    all.sort();
    all
}

fn bytes_of(entries: &[PathBuf]) -> u64 {
    entries
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum()
}

#[test]
fn the_next_mount_reads_the_disk_after_one_probe_of_the_object() {
    let cached = Cached::new();
    let rows = cached.rows();
    let right = cached.fill(&rows);
    let mounted = cached.mount();
    cached.read_right(&mounted, &rows, &right);
    let seen = cached.bed.server.requests();
    assert_eq!(seen.len(), 1, "{seen:?}");
    let offset = cached.table.rows[rows[0] as usize].offset;
    assert_eq!(
        seen[0].range.clone().unwrap(),
        format!("bytes={offset}-{}", offset + 15)
    );
    let statistics = mounted.statistics();
    assert_eq!((statistics.hits, statistics.misses), (rows.len() as u64, 0));
    assert!(statistics.hit_bytes > 0 && statistics.bytes == bytes_of(&cached.entries()));
}

#[test]
fn an_indexed_tag_needs_no_probe() {
    let mut cached = Cached::new();
    let rows = cached.rows();
    let right = cached.fill(&rows);
    let object = cached.table.rows[rows[0] as usize].object as usize;
    let location = cached.bed.location(FILE);
    let told = cached.bed.storage.get_whole(&location, 1 << 30);
    let etag = cached.bed.runtime.block_on(told).unwrap().etag;
    Arc::make_mut(&mut cached.table).objects[object].etag = etag;
    let mounted = cached.mount();
    cached.read_right(&mounted, &rows, &right);
    assert_eq!(cached.requests(), 0);
}

#[test]
fn a_changed_object_is_fetched_anew_and_older_mounts_are_told() {
    let cached = Cached::new();
    let rows = cached.rows();
    cached.fill(&rows);
    let old = cached.mount();
    cached.read(&old, rows[0]).unwrap();
    let path = format!("/{FILE}");
    let mut bytes = cached.bed.server.object(&path).unwrap();
    // Padding at the end: the same messages, another version.
    bytes.extend_from_slice(&[0; 8]);
    cached.bed.server.put(&path, bytes);
    let new = cached.mount();
    cached.read(&new, rows[1]).unwrap();
    assert_eq!(cached.requests(), 2, "a probe, and the message");
    new.disk.flush();
    assert_eq!(new.statistics().hits, 0);
    // What the old mount pinned is on disk, and what is not there is of a changed object.
    cached.read(&old, rows[2]).unwrap();
    for entry in cached.entries() {
        fs::remove_file(entry).unwrap();
    }
    assert_eq!(
        cached.read(&old, rows[3]).unwrap_err().kind,
        FailureKind::Changed
    );
}

#[test]
fn without_tags_the_end_of_the_message_is_compared() {
    let cached = Cached::new();
    cached.bed.server.fault("*", Fault::NoETag);
    let rows = cached.rows();
    let right = cached.fill(&rows);
    let mounted = cached.mount();
    cached.read_right(&mounted, &rows, &right);
    assert_eq!(mounted.statistics().hits, rows.len() as u64);
    assert_eq!(cached.requests(), rows.len(), "one probe each");

    // A rerun: same size, same headers, same time; one bit of the data differs.
    let path = format!("/{FILE}");
    let mut bytes = cached.bed.server.object(&path).unwrap();
    let row = &cached.table.rows[rows[0] as usize];
    let at = usize::try_from(row.offset + row.length.unwrap()).unwrap() - 6;
    bytes[at] ^= 1;
    cached.bed.server.put(&path, bytes);
    let right = cached.right(&rows[..1]);
    let mounted = cached.mount();
    cached.read_right(&mounted, &rows[..1], &right);
    assert_eq!(mounted.statistics().hits, 0);
}

#[test]
fn offline_what_is_on_disk_is_read_and_the_rest_fails() {
    let cached = Cached::new();
    let rows = cached.rows();
    let (kept, others) = rows.split_at(rows.len() / 2);
    let right = cached.fill(kept);
    for fault in [Fault::Reset, Fault::Status(503)] {
        cached.bed.server.heal();
        cached.bed.server.fault("*", fault);
        let mounted = cached.mount();
        cached.read_right(&mounted, kept, &right);
        assert_eq!(
            mounted.statistics().offline_hits,
            1,
            "after the first the version is pinned"
        );
        assert!(cached.requests() <= 2, "one probe with its repetition");
        let failure = cached.read(&mounted, others[0]).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
    }
}

#[test]
fn offline_two_versions_are_not_mixed() {
    let cached = Cached::new();
    let rows = cached.rows();
    cached.fill(&rows[..1]);
    let path = format!("/{FILE}");
    let mut bytes = cached.bed.server.object(&path).unwrap();
    bytes.extend_from_slice(&[0; 8]);
    cached.bed.server.put(&path, bytes);
    cached.fill(&rows[1..2]);
    cached.bed.server.fault("*", Fault::Reset);
    let mounted = cached.mount();
    assert!(cached.read(&mounted, rows[0]).is_ok());
    assert!(
        cached.read(&mounted, rows[1]).is_err(),
        "of another version than the first"
    );
}

#[test]
fn an_object_that_is_gone_or_forbidden_is_not_offline() {
    let cached = Cached::new();
    let rows = cached.rows();
    cached.fill(&rows);
    for (status, kind) in [
        (404, FailureKind::Unavailable),
        (403, FailureKind::Forbidden),
    ] {
        cached.bed.server.heal();
        cached.bed.server.fault("*", Fault::Status(status));
        let mounted = cached.mount();
        assert_eq!(cached.read(&mounted, rows[0]).unwrap_err().kind, kind);
        assert_eq!(mounted.statistics().hits, 0);
    }
}

#[test]
fn broken_entries_are_fetched_again() {
    let cached = Cached::new();
    let rows = cached.rows();
    let right = cached.fill(&rows);
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("a bit of the message", |file| {
            *file.last_mut().unwrap() ^= 1;
        }),
        ("a bit of the head", |file| file[9] ^= 0x10),
        ("torn", |file| file.truncate(file.len() / 2)),
        ("empty", Vec::clear),
        ("zeros after a power cut", |file| file.fill(0)),
    ];
    for (what, damage) in damages {
        let files = cached.entries();
        assert_eq!(files.len(), rows.len());
        for path in &files {
            let mut file = fs::read(path).unwrap();
            damage(&mut file);
            fs::write(path, file).unwrap();
        }
        let mounted = cached.mount();
        cached.read_right(&mounted, &rows, &right);
        mounted.disk.flush();
        let statistics = mounted.statistics();
        assert_eq!(
            (statistics.hits, statistics.corrupt),
            (0, rows.len() as u64),
            "{what}"
        );
        // What a torn file has lost stays counted until room is made.
        assert!(statistics.bytes >= bytes_of(&cached.entries()), "{what}");
    }
}

#[test]
fn an_entry_under_the_name_of_another_is_not_believed() {
    let cached = Cached::new();
    let rows = cached.rows();
    let right = cached.fill(&rows);
    let files = cached.entries();
    let contents: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path, content) in files.iter().zip(contents.iter().cycle().skip(1)) {
        fs::write(path, content).unwrap();
    }
    cached.read_right(&cached.mount(), &rows, &right);
}

#[test]
fn only_verified_messages_go_in() {
    let cached = Cached::new();
    let rows = cached.rows();
    cached.bed.server.fault("*", Fault::Flip(3));
    let mounted = cached.mount();
    cached.read(&mounted, rows[0]).unwrap_err();
    mounted.disk.flush();
    assert_eq!(
        (mounted.statistics().written, cached.entries().len()),
        (0, 0)
    );
}

#[test]
fn all_files_are_the_owners_alone() {
    let cached = Cached::new();
    cached.fill(&cached.rows());
    let mut folders = vec![cached.directory.path().join(FOLDER)];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
            }
        }
    }
    assert!(files > 10);
}

#[test]
fn the_limit_holds_and_what_was_used_least_lately_goes() {
    let cached = Cached::new();
    let rows = cached.rows();
    let right = cached.fill(&rows);
    let total = bytes_of(&cached.entries());
    let limit = total / 2;
    let mounted = cached.mount_with(cached.directory.path(), limit);
    mounted.disk.flush();
    assert!(
        bytes_of(&cached.entries()) <= limit,
        "a smaller limit holds at once"
    );
    for _ in 0..3 {
        cached.read_right(&mounted, &rows, &right);
        mounted.disk.flush();
        let statistics = mounted.statistics();
        let on_disk = bytes_of(&cached.entries());
        assert!(
            on_disk <= limit && on_disk > limit / 2,
            "{on_disk} of {limit}"
        );
        assert_eq!(statistics.bytes, on_disk);
        assert!(statistics.evicted > 0 && statistics.evicted_bytes > 0);
    }
}

#[test]
fn a_clock_that_jumps_neither_keeps_entries_for_ever_nor_loses_them() {
    let cached = Cached::new();
    let rows = cached.rows();
    let right = cached.fill(&rows);
    let set = |time: SystemTime| {
        for path in cached.entries() {
            fs::File::open(path).unwrap().set_modified(time).unwrap();
        }
    };
    let year = Duration::from_secs(365 * 24 * 3600);
    for time in [
        SystemTime::now() + 10 * year,
        SystemTime::UNIX_EPOCH + Duration::from_secs(1),
    ] {
        set(time);
        let mounted = cached.mount();
        cached.read_right(&mounted, &rows, &right);
        assert_eq!(mounted.statistics().hits, rows.len() as u64);
        let now = SystemTime::now() + Duration::from_secs(5);
        for path in cached.entries() {
            let used = fs::metadata(path).unwrap().modified().unwrap();
            assert!(
                used <= now && used > now - Duration::from_secs(3600),
                "its use renews it"
            );
        }
    }
    // Those that nobody uses go before all others.
    set(SystemTime::now() + 10 * year);
    cached.read(&cached.mount(), rows[0]).unwrap();
    let total = bytes_of(&cached.entries());
    let small = cached.mount_with(cached.directory.path(), total * 3 / 4);
    small.disk.flush();
    cached.bed.server.forget();
    cached.read(&small, rows[0]).unwrap();
    assert_eq!(small.statistics().hits, 1);
}

/// A process that reads all rows of a table with a cache, over and over; started by the tests below.
#[test]
#[ignore = "a part of other tests, which start it"]
fn child_that_reads() {
    let (Some(table), Some(directory)) = (
        std::env::var_os("GRIBFS_TEST_TABLE"),
        std::env::var_os("GRIBFS_TEST_CACHE"),
    ) else {
        return;
    };
    let passes: usize = std::env::var("GRIBFS_TEST_PASSES")
        .unwrap()
        .parse()
        .unwrap();
    let runtime = Runtime::new().unwrap();
    let storage = Storage::new(StorageConfig::default()).unwrap();
    let source = Location::from_path(Path::new(&table));
    let table = Arc::new(
        runtime
            .block_on(gribfs::scan::load(&source, &storage))
            .unwrap(),
    );
    for _ in 0..passes {
        let mounted = Mounted::new(&table, &storage, &runtime, Path::new(&directory), 1 << 20);
        for (number, row) in (0_u32..).zip(&table.rows) {
            if row.status == Status::Placed {
                read(&runtime, &mounted.reader, number).unwrap();
            }
        }
        mounted.disk.flush();
    }
}

fn child(table: &Path, directory: &Path, passes: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "disk_cache::child_that_reads", "--ignored"])
        .env("GRIBFS_TEST_TABLE", table)
        .env("GRIBFS_TEST_CACHE", directory)
        .env("GRIBFS_TEST_PASSES", passes.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The table as a file for other processes.
fn table_file(cached: &Cached) -> PathBuf {
    let path = cached.directory.path().join("table.parquet");
    let mut index = Command::new(env!("CARGO_BIN_EXE_gribfs"));
    index.arg("index").arg("-o").arg(&path);
    index.args(
        cached
            .bed
            .files
            .iter()
            .map(|key| cached.bed.location(key).as_str().to_owned()),
    );
    assert!(index.stdout(Stdio::null()).status().unwrap().success());
    path
}

#[test]
fn writers_that_are_killed_leave_nothing_wrong() {
    let cached = Cached::new();
    let table = table_file(&cached);
    let rows = cached.rows();
    let right = cached.right(&rows);
    for round in 0..8_u64 {
        let mut child = child(&table, cached.directory.path(), 1000);
        let folder = cached.directory.path().join(FOLDER);
        // Somewhere in its work: from its first entries on.
        while !folder.is_dir() || entries(cached.directory.path()).is_empty() {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the child ended by itself"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(23 * round));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // As if one had died in the middle of a file.
    let new = cached.directory.path().join(FOLDER).join("new");
    fs::create_dir_all(&new).unwrap();
    fs::write(new.join("1-1"), b"gribfsM\x01 torn").unwrap();
    let mounted = cached.mount_with(cached.directory.path(), 1 << 20);
    mounted.disk.flush();
    assert_eq!(
        fs::read_dir(&new).unwrap().count(),
        0,
        "what dead writers left is gone"
    );
    cached.read_right(&mounted, &rows, &right);
    let statistics = mounted.statistics();
    assert_eq!(
        (statistics.corrupt, statistics.errors),
        (0, 0),
        "a killed process tears no entry"
    );
}

#[test]
fn processes_share_a_folder_within_its_limit() {
    let cached = Cached::new();
    let table = table_file(&cached);
    let rows = cached.rows();
    let right = cached.right(&rows);
    let mut children = [1, 2].map(|_| child(&table, cached.directory.path(), 2));
    let mounted = cached.mount_with(cached.directory.path(), 1 << 20);
    for _ in 0..5 {
        cached.read_right(&mounted, &rows, &right);
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    mounted.disk.flush();
    let statistics = mounted.statistics();
    assert_eq!((statistics.corrupt, statistics.errors), (0, 0));
    let on_disk = bytes_of(&cached.entries());
    assert!(on_disk <= 1 << 20 && on_disk > 0, "{on_disk}");
}

/// By the program itself: a directory named from where it was started, status, another mount without a network, flags that make no sense.
#[test]
fn a_mount_reads_what_an_earlier_one_left() {
    if is_skipped() {
        return;
    }
    let cached = Cached::new();
    let place = cached.directory.path();
    table_file(&cached);
    let gribfs = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gribfs"));
        command.args(arguments).current_dir(place);
        // What is learnt of archives stays in this test.
        command.env("XDG_STATE_HOME", place).output().unwrap()
    };
    fs::create_dir(place.join("mnt")).unwrap();
    let chunk = place.join("mnt/run_time.zarr/t2m/0.2.0.0");
    let status = place.join("mnt/.gribfs/status.json");
    let mut read = Vec::new();
    for online in [true, false] {
        if !online {
            cached.bed.server.fault("*", Fault::Reset);
        }
        let mounted = gribfs(&[
            "mount",
            "table.parquet",
            "mnt",
            "--cache-dir",
            "c/d",
            "--cache-size",
            "1M",
        ]);
        assert!(
            mounted.status.success(),
            "{}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        let field = fs::read(&chunk);
        let told = || -> serde_json::Value {
            serde_json::from_slice(&fs::read(&status).unwrap()).unwrap()
        };
        let mut disk = told()["disk_cache"].clone();
        for _ in 0..200 {
            if !online || disk["written"] == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            disk = told()["disk_cache"].clone();
        }
        assert!(gribfs(&["umount", "mnt"]).status.success());
        read.push(field.unwrap());
        let (hits, written) = if online { (0, 1) } else { (1, 0) };
        assert_eq!(
            (&disk["hits"], &disk["written"]),
            (&hits.into(), &written.into()),
            "{disk}"
        );
        assert_eq!(disk["limit_bytes"], 1 << 20);
    }
    assert!(read[0] == read[1]);
    assert_eq!(entries(&place.join("c/d")).len(), 1);

    for wrong in [
        ["--cache-size", "1M"].as_slice(),
        &["--cache-dir", "c", "--cache-size", "much"],
        &["--cache-dir", "table.parquet"],
        &["--on-stale", "guess"],
    ] {
        let refused = gribfs(&[&["mount", "table.parquet", "mnt"], wrong].concat());
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
    }
}

/// A small disk of its own, if this process may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(bytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "gribfs-test"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(directory));
        }
        println!("skipped: no right to mount a small disk");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let done = Command::new("mount")
            .args(["-o", &options])
            .arg(self.path())
            .status();
        assert!(done.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_disk_that_others_fill_keeps_its_floor_and_reads_go_on() {
    let Some(small) = SmallDisk::new(1 << 20) else {
        return;
    };
    let cached = Cached::new();
    let rows = cached.rows();
    let right = cached.right(&rows);
    let free = || {
        let disk = rustix::fs::statvfs(small.path()).unwrap();
        disk.f_bavail * disk.f_frsize
    };
    // Others leave room for a few messages above the floor.
    let floor = (1 << 20) / 20;
    fs::write(
        small.path().join("others"),
        vec![1; usize::try_from(free() - floor).unwrap() - 60_000],
    )
    .unwrap();
    let mounted = cached.mount_with(small.path(), 1 << 30);
    for _ in 0..3 {
        cached.read_right(&mounted, &rows, &right);
        mounted.disk.flush();
        assert!(free() >= floor, "{} left", free());
    }
    let statistics = mounted.statistics();
    assert!(
        statistics.written > 0 && statistics.evicted + statistics.skipped > 0,
        "{statistics:?}"
    );

    // Others take the rest.
    let rest = usize::try_from(free()).unwrap();
    let _full = fs::write(small.path().join("more"), vec![1; rest]);
    let full = cached.mount_with(small.path(), 1 << 30);
    cached.read_right(&full, &rows, &right);
    full.disk.flush();
    assert!(
        full.statistics().skipped + full.statistics().evicted > 0,
        "{:?}",
        full.statistics()
    );
}

#[test]
fn a_read_only_disk_is_read_and_a_lost_one_is_done_without() {
    let Some(small) = SmallDisk::new(8 << 20) else {
        return;
    };
    let cached = Cached::new();
    let rows = cached.rows();
    let (kept, others) = rows.split_at(rows.len() / 2);
    let right = cached.right(&rows);
    let mounted = cached.mount_with(small.path(), 1 << 30);
    cached.read_right(&mounted, kept, &right);
    mounted.disk.flush();
    small.remount("ro");
    let mounted = cached.mount_with(small.path(), 1 << 30);
    cached.read_right(&mounted, &rows, &right);
    mounted.disk.flush();
    let statistics = mounted.statistics();
    assert_eq!(
        (statistics.hits, statistics.misses),
        (kept.len() as u64, others.len() as u64)
    );
    assert!(statistics.errors > 0 && statistics.written == 0);

    small.remount("rw");
    fs::remove_dir_all(small.path().join(FOLDER)).unwrap();
    cached.read_right(&mounted, &rows, &right);
}

//! The tree of a mounted table, without a kernel: an archive on a server that counts and fails, indexed, shown, read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gribfs::dataset::archive::rows_of;
use gribfs::dataset::{Archive, Collection};
use gribfs::location::Location;
use gribfs::scan::{Account, Progress, ScanConfig, Source, build};
use gribfs::slices::BestRule;
use gribfs::storage::{Storage, StorageConfig};
use gribfs::store::{FailureKind, FieldReader, ReadFailure, ReaderConfig};
use gribfs::table::row::Status;
use gribfs::vfs::tree::{Answer, Attributes, Inode, Missing, ROOT, Tree as _};
use gribfs::vfs::{MountTree, TreeConfig};
use tokio::runtime::Runtime;

use crate::support::http::{Fault, TestServer};

/// The run, step and array that most tests read: `t2m`, first run, 6 h.
const FILE: &str = "gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f006";
const CHUNK: &str = "run_time.zarr/t2m/0.2.0.0";

/// A server with the fixtures' GFS archive, and what is needed to index and show it.
pub(crate) struct Bed {
    pub(crate) server: TestServer,
    pub(crate) runtime: Runtime,
    pub(crate) storage: Storage,
    pub(crate) files: Vec<String>,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let server = TestServer::start();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/archive");
        let mut files = Vec::new();
        for path in files_below(&root.join("gfs.20261122")) {
            let key = path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            server.put(&format!("/{key}"), fs::read(&path).unwrap());
            if !key.ends_with(".idx") {
                files.push(key);
            }
        }
        files.sort();
        let runtime = Runtime::new().unwrap();
        let config = StorageConfig {
            timeout: Duration::from_secs(5),
            max_attempts: 2,
            ..StorageConfig::default()
        };
        Self {
            server,
            runtime,
            storage: Storage::new(config).unwrap(),
            files,
        }
    }

    pub(crate) fn index(&self) -> (Arc<gribfs::table::row::Table>, Account) {
        let sources = self
            .files
            .iter()
            .map(|key| Source::named(self.location(key)))
            .collect();
        let scan = ScanConfig::default();
        let built =
            self.runtime
                .block_on(build(sources, &self.storage, &scan, &Progress::default()));
        let (table, account) = built.unwrap();
        (Arc::new(table), account)
    }

    pub(crate) fn location(&self, key: &str) -> Location {
        Location::parse(&self.server.url(&format!("/{key}")), Path::new("/")).unwrap()
    }

    /// The tree of a freshly indexed archive; what was asked so far is forgotten.
    pub(crate) fn mount(&self) -> MountTree {
        self.show(self.index().0)
    }

    pub(crate) fn show(&self, table: Arc<gribfs::table::row::Table>) -> MountTree {
        self.show_with(table, &ReaderConfig::default())
    }

    pub(crate) fn show_with(
        &self,
        table: Arc<gribfs::table::row::Table>,
        reader: &ReaderConfig,
    ) -> MountTree {
        let collection = Arc::new(Collection::build(
            Archive::of_table(Arc::clone(&table)),
            None,
        ));
        let reader = FieldReader::new(
            rows_of(table),
            self.storage.clone(),
            self.runtime.handle().clone(),
            reader,
        );
        let config = TreeConfig {
            source: "test".to_owned(),
            best: BestRule::default(),
            layout: gribfs::slices::Layout::Flat,
            format: gribfs::zarr::Format::V2,
            follow: None,
            modified_seconds: 1_800_000_000,
        };
        self.server.forget();
        MountTree::new(collection, Arc::new(reader), config)
    }

    pub(crate) fn read(&self, tree: &MountTree, path: &str) -> Result<Bytes, ReadFailure> {
        let at = find(tree, path).unwrap();
        match tree.read(at.inode, 0, usize::try_from(at.size).unwrap()) {
            Answer::Now(result) => result,
            Answer::Later(future) => self.runtime.block_on(future),
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

pub(crate) fn find(tree: &MountTree, path: &str) -> Result<Attributes, Missing> {
    let mut at = tree.attributes(ROOT)?;
    for name in path.split('/') {
        at = tree.lookup(at.inode, OsStr::new(name))?;
    }
    Ok(at)
}

pub(crate) fn names(tree: &MountTree, inode: Inode) -> Vec<String> {
    let mut found = Vec::new();
    tree.list(inode, 0, &mut |entry| {
        found.push(entry.name.to_owned());
        true
    })
    .unwrap();
    found
}

#[test]
fn a_cold_chunk_is_one_get_of_exactly_its_message() {
    let bed = Bed::new();
    let (table, _) = bed.index();
    let tree = bed.show(Arc::clone(&table));
    let row = table
        .rows
        .iter()
        .find(|row| {
            let kind = &table.kinds[row.kind as usize];
            let object = &table.objects[row.object as usize];
            kind.words.starts_with("TMP:2 m above ground")
                && object.location.as_str().ends_with(FILE)
        })
        .unwrap();
    let field = bed.read(&tree, CHUNK).unwrap();
    assert_eq!(field.len(), 61 * 120 * 4);
    let seen = bed.server.requests();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("GET", format!("/{FILE}").as_str())
    );
    let range = format!(
        "bytes={}-{}",
        row.offset,
        row.offset + row.length.unwrap() - 1
    );
    assert_eq!(seen[0].range.as_deref(), Some(range.as_str()));
    assert_eq!(bed.read(&tree, CHUNK).unwrap(), field);
    assert_eq!(
        bed.server.requests().len(),
        1,
        "the second read comes from memory"
    );
}

#[test]
fn the_last_message_of_a_file_of_unknown_size_is_one_open_get() {
    let bed = Bed::new();
    let tree = bed.mount();
    // Sea surface temperature is the last message of each file.
    assert_eq!(
        bed.read(&tree, "run_time.zarr/sst/0.2.0.0").unwrap().len(),
        61 * 120 * 4
    );
    let seen = bed.server.requests();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn metadata_asks_nothing_of_the_server() {
    let bed = Bed::new();
    let tree = bed.mount();
    let mut open = vec![ROOT];
    let mut files = 0;
    while let Some(directory) = open.pop() {
        for name in names(&tree, directory) {
            let at = tree
                .lookup(directory, OsStr::new(&name))
                .unwrap_or_else(|_| panic!("{name} is listed"));
            assert_eq!(tree.attributes(at.inode).unwrap().inode, at.inode);
            if at.kind == gribfs::vfs::tree::NodeKind::Directory {
                open.push(at.inode);
                assert_eq!(tree.parent(at.inode).unwrap(), directory, "{name}");
            } else {
                files += 1;
                assert_eq!(tree.open(at.inode).unwrap().inode, at.inode);
            }
        }
    }
    assert!(files > 1000, "{files} files");
    assert!(bed.server.requests().is_empty());
}

#[test]
fn many_readers_of_a_chunk_are_one_get() {
    let bed = Bed::new();
    let tree = bed.mount();
    bed.server.latency(Duration::from_millis(50));
    let at = find(&tree, CHUNK).unwrap();
    let answers: Vec<Answer> = (0..16)
        .map(|part| tree.read(at.inode, part * 1000, 1000))
        .collect();
    for answer in answers {
        let Answer::Later(future) = answer else {
            panic!("nothing is in memory yet")
        };
        assert_eq!(bed.runtime.block_on(future).unwrap().len(), 1000);
    }
    assert_eq!(bed.server.requests().len(), 1);
}

#[test]
fn every_fault_has_its_kind_and_the_next_read_works() {
    let bed = Bed::new();
    let tree = bed.mount();
    let faults: Vec<(Fault, FailureKind)> = vec![
        (Fault::Status(404), FailureKind::Unavailable),
        (Fault::Status(403), FailureKind::Forbidden),
        (Fault::Status(503), FailureKind::Unavailable),
        (Fault::Truncate(50), FailureKind::Unavailable),
        (Fault::Reset, FailureKind::Unavailable),
        (Fault::IgnoreRange, FailureKind::Unavailable),
        (Fault::Page, FailureKind::Unavailable),
        (Fault::OtherRange, FailureKind::Unavailable),
        (Fault::Flip(0), FailureKind::Invalid),
        (Fault::OtherETag, FailureKind::Changed),
    ];
    let path = format!("/{FILE}");
    // Pins the ETag, and proves that the chunk can be read.
    bed.read(&tree, "run_time.zarr/u10/0.2.0.0").unwrap();
    for (fault, kind) in faults {
        let what = format!("{fault:?}");
        bed.server.fault(&path, fault);
        let failure = bed.read(&tree, CHUNK).unwrap_err();
        assert_eq!(failure.kind, kind, "{what}: {failure}");
        assert!(
            failure.message.contains(FILE) && failure.message.contains("bytes "),
            "{what}: {failure}"
        );
        bed.server.heal();
        // The kernel asks again at once: that is no new try. The read after it is.
        assert_eq!(bed.read(&tree, CHUNK).unwrap_err(), failure, "{what}");
    }
    bed.read(&tree, CHUNK).unwrap();
}

#[test]
fn another_message_at_the_offset_is_never_served() {
    let bed = Bed::new();
    let (table, _) = bed.index();
    let tree = bed.show(Arc::clone(&table));
    // The same file of another run: equal layout, other numbers. Only the run tells.
    let other = bed
        .server
        .object(&format!(
            "/{}",
            FILE.replace("/00/", "/06/").replace("t00z", "t06z")
        ))
        .unwrap();
    bed.server.put(&format!("/{FILE}"), other);
    let mut failed = 0;
    for array in ["t2m", "u10", "prmsl", "r2"] {
        match bed.read(&tree, &format!("run_time.zarr/{array}/0.2.0.0")) {
            Ok(_) => panic!("{array} of another run was served"),
            Err(failure) => {
                failed += 1;
                assert!(
                    matches!(
                        failure.kind,
                        FailureKind::Invalid | FailureKind::Changed | FailureKind::Unavailable
                    ),
                    "{failure}"
                );
            }
        }
    }
    assert_eq!(failed, 4);
}

#[test]
fn a_gap_is_no_file_and_what_could_not_be_placed_is_a_file_that_fails() {
    let bed = Bed::new();
    // No accumulation at step 0: the index proves it.
    let tree = bed.mount();
    assert!(matches!(
        find(&tree, "run_time.zarr/tp/0.0.0.0"),
        Err(Missing::NoSuchName { .. })
    ));
    assert!(find(&tree, "run_time.zarr/tp/0.2.0.0").is_ok());

    // A file of the list that is missing: its cells are there, have their size, and raise.
    bed.server.fault(&format!("/{FILE}"), Fault::Status(404));
    bed.server
        .fault(&format!("/{FILE}.idx"), Fault::Status(404));
    let (table, account) = bed.index();
    assert!(!account.is_complete());
    let mut by_status: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &table.rows {
        *by_status.entry(row.status.as_str()).or_default() += 1;
    }
    assert!(
        by_status
            .get(Status::Pending.as_str())
            .is_some_and(|count| *count > 10),
        "{by_status:?}"
    );
    let tree = bed.show(table);
    for chunk in [
        CHUNK,
        "run_time.zarr/tp/0.2.0.0",
        "run_time.zarr/t/0.2.1.0.0",
        "runs/2026-11-22T00.zarr/t2m/2.0.0",
    ] {
        assert_eq!(find(&tree, chunk).unwrap().size, 61 * 120 * 4);
        let failure = bed.read(&tree, chunk).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Pending, "{chunk}: {failure}");
    }
    // Best available takes the run that has the cell.
    assert!(bed.read(&tree, "best_available.zarr/t2m/2.0.0").is_ok());
}

#[test]
fn an_index_of_another_file_is_not_believed_where_a_header_shows_it() {
    let mut bed = Bed::new();
    // Alone, the first file is the sample of all its kinds. Its index is that of the step before with other words: every offset is wrong.
    bed.files.truncate(1);
    let first = &bed.files[0];
    let index = bed
        .server
        .object(&format!("/{}.idx", first.replace("f000", "f003")))
        .unwrap();
    let index = String::from_utf8(index)
        .unwrap()
        .replace("3 hour fcst", "anl");
    bed.server.put(&format!("/{first}.idx"), index.into_bytes());
    let (table, account) = bed.index();
    assert_eq!(account.scanned_files, 1, "{:?}", account.remarks);
    assert!(
        account.remarks.iter().any(|remark| remark.contains(first)),
        "{:?}",
        account.remarks
    );
    assert!(account.is_complete(), "{:?}", account.problems);
    assert!(
        bed.read(&bed.show(table), "run_time.zarr/t2m/0.0.0.0")
            .is_ok()
    );
}

#[test]
fn an_index_of_another_file_is_never_served_wrong() {
    let bed = Bed::new();
    let arrays =
        ["t2m", "u10", "v10", "r2", "sst"].map(|array| format!("run_time.zarr/{array}/0.2.0.0"));
    let right = {
        let tree = bed.mount();
        arrays.clone().map(|chunk| bed.read(&tree, &chunk).unwrap())
    };
    let index = bed
        .server
        .object(&format!("/{}.idx", FILE.replace("f006", "f012")))
        .unwrap();
    let other = String::from_utf8(index)
        .unwrap()
        .replace("6-12 hour", "0-6 hour")
        .replace("12 hour", "6 hour");
    bed.server.put(&format!("/{FILE}.idx"), other.into_bytes());
    let tree = bed.mount();
    for (chunk, right) in arrays.iter().zip(right) {
        match bed.read(&tree, chunk) {
            Ok(field) => assert!(field == right, "{chunk}: another message was served"),
            Err(failure) => {
                let honest = matches!(
                    failure.kind,
                    FailureKind::Invalid | FailureKind::Unavailable
                );
                assert!(honest, "{chunk}: {failure}");
            }
        }
    }
}

#[test]
fn the_index_costs_two_requests_a_file_at_most_and_one_header_a_kind() {
    let bed = Bed::new();
    let (table, _) = bed.index();
    let seen = bed.server.requests();
    let indexes = seen
        .iter()
        .filter(|request| request.path.ends_with(".idx"))
        .count();
    assert_eq!(indexes, bed.files.len());
    let headers = seen.len() - indexes;
    let kinds: std::collections::BTreeSet<&str> =
        table.kinds.iter().map(|kind| kind.words.as_str()).collect();
    // Lines that are equal in words and time have their own headers read as well, and of each file its last message is looked at.
    let (repeated, ends) = (12 + 2, bed.files.len());
    assert!(
        headers <= kinds.len() + repeated + ends,
        "{headers} headers for {} kinds",
        kinds.len()
    );
    assert!(seen.iter().all(|request| request.method == "GET"));
    for request in seen
        .iter()
        .filter(|request| !request.path.ends_with(".idx"))
    {
        let range = request
            .range
            .as_deref()
            .unwrap()
            .trim_start_matches("bytes=");
        let (from, to) = range.split_once('-').unwrap();
        assert!(
            to.parse::<u64>().unwrap() - from.parse::<u64>().unwrap() < 600,
            "{range}"
        );
    }
}

#[test]
fn asof_shows_what_stood_then() {
    let bed = Bed::new();
    let tree = bed.mount();
    let runs = |path: &str| names(&tree, find(&tree, path).unwrap().inode);
    assert_eq!(
        runs("runs"),
        [
            "2026-11-22T00.zarr",
            "2026-11-22T06.zarr",
            "2026-11-22T12.zarr"
        ]
    );
    assert_eq!(
        runs("asof/2026-11-22T06/runs"),
        ["2026-11-22T00.zarr", "2026-11-22T06.zarr"]
    );
    assert!(matches!(
        find(&tree, "asof/2026-11-21T00"),
        Err(Missing::NoSuchName { .. })
    ));
    assert!(matches!(
        find(&tree, "asof/2026-11-22T0600"),
        Err(Missing::NoSuchName { .. })
    ));
    let then = bed
        .read(&tree, "asof/2026-11-22T06/best_available.zarr/t2m/4.0.0")
        .unwrap();
    let six = bed
        .read(&tree, "runs/2026-11-22T06.zarr/t2m/2.0.0")
        .unwrap();
    assert_eq!(
        then, six,
        "12 UTC as of 06 UTC is the 06 UTC run's 6 h forecast"
    );
}

//! Building tables: runs that arrive, index files that lie, shorthands, following, compaction; and the shared corpus.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant as Clock, SystemTime};

use gribfs::location::Location;
use gribfs::scan::{
    Account, FollowConfig, FollowEvent, Indexer, Plan, Progress, ScanConfig, Shorthand, Source,
    build, compact, expand, follow, load, load_runs, save,
};
use gribfs::storage::{Storage, StorageConfig};
use gribfs::table::row::{Status, Table};
use gribfs::time::Instant;
use tokio::runtime::Runtime;

use crate::support::http::{Fault, TestServer};

/// Hours of the fixtures' GFS steps; the run of 06 lacks 9.
const STEPS: [u32; 5] = [0, 3, 6, 9, 12];
const STEPS_06: [u32; 4] = [0, 3, 6, 12];

struct Bed {
    server: TestServer,
    runtime: Runtime,
    storage: Storage,
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let config = StorageConfig {
            timeout: Duration::from_secs(5),
            max_attempts: 2,
            ..StorageConfig::default()
        };
        Self {
            server: TestServer::start(),
            runtime: Runtime::new().unwrap(),
            storage: Storage::new(config).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Puts a file of the fixtures on the server, under its own name and that of the product `gfs`.
    fn arrive(&self, hour: &str, step: u32, index: bool) {
        let (ours, path) = (fixture(hour, step), product_path(hour, step));
        self.server.put(&path, fs::read(&ours).unwrap());
        if index {
            self.server.put(
                &format!("{path}.idx"),
                fs::read(format!("{}.idx", ours.display())).unwrap(),
            );
        }
    }

    fn sources(&self, hour: &str, steps: &[u32]) -> Vec<Source> {
        let location = |step: &u32| {
            Location::parse(&self.server.url(&product_path(hour, *step)), Path::new("/")).unwrap()
        };
        steps
            .iter()
            .map(|step| Source::named(location(step)))
            .collect()
    }

    fn table_folder(&self) -> Location {
        Location::from_path(&self.folder.path().join("table"))
    }

    /// As the command does it: on top of what the table holds of these runs.
    fn index(&self, sources: Vec<Source>, scan: &ScanConfig) -> (Table, Account) {
        self.runtime.block_on(async {
            let runs = sources
                .iter()
                .filter_map(|source| gribfs::scan::run_in_name(&source.location));
            let runs: BTreeSet<Instant> = runs.collect();
            let destination = self.table_folder();
            let table = load_runs(&destination, &runs, &self.storage).await.unwrap();
            let plan = Plan {
                sources,
                table,
                ..Plan::default()
            };
            let indexer = Indexer::new(&self.storage, scan);
            let (table, account) = indexer.build(plan, &Progress::default()).await.unwrap();
            save(table.clone(), &destination, &self.storage)
                .await
                .unwrap();
            (table, account)
        })
    }

    fn load(&self) -> Table {
        self.runtime
            .block_on(load(&self.table_folder(), &self.storage))
            .unwrap()
    }
}

fn fixture(hour: &str, step: u32) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/archive/gfs.20261122");
    root.join(format!("{hour}/atmos/gfs.t{hour}z.pgrb2.3p00.f{step:03}"))
}

fn product_path(hour: &str, step: u32) -> String {
    format!("/gfs.20261122/{hour}/atmos/gfs.t{hour}z.pgrb2.0p25.f{step:03}")
}

fn run(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

pub(crate) fn by_status(table: &Table) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for row in &table.rows {
        *counts.entry(row.status.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn a_run_that_still_arrives_is_incomplete_and_running_again_adds_what_is_new() {
    let bed = Bed::new();
    for step in [0, 3, 6] {
        bed.arrive("00", step, true);
    }
    for step in STEPS_06 {
        bed.arrive("06", step, true);
    }
    let mut sources = bed.sources("00", &STEPS);
    sources.extend(bed.sources("06", &STEPS_06));
    let (table, account) = bed.index(sources.clone(), &ScanConfig::default());
    assert_eq!(table.complete_runs, [run("2026-11-22T06")]);
    assert!(!account.is_complete());
    assert!(by_status(&table)["pending"] > 20, "{:?}", by_status(&table));

    let other = bed.folder.path().join("table/2026-11-22T06.parquet");
    let before = (
        fs::read(&other).unwrap(),
        fs::metadata(&other).unwrap().modified().unwrap(),
    );
    for step in [9, 12] {
        bed.arrive("00", step, true);
    }
    bed.server.forget();
    let (table, account) = bed.index(sources, &ScanConfig::default());
    assert_eq!(
        table.complete_runs,
        [run("2026-11-22T00"), run("2026-11-22T06")]
    );
    assert!(account.is_complete(), "{:?}", account.problems);
    assert_eq!(
        (account.files, account.kept_files, account.indexed_files),
        (9, 7, 2)
    );
    for asked in bed.server.requests() {
        let new = ["t00z.pgrb2.0p25.f009", "t00z.pgrb2.0p25.f012"];
        assert!(
            new.iter().any(|name| asked.path.contains(name)),
            "{}",
            asked.path
        );
    }
    let after = (
        fs::read(&other).unwrap(),
        fs::metadata(&other).unwrap().modified().unwrap(),
    );
    assert!(before == after, "the other run's table is not touched");
    assert_eq!(bed.load().complete_runs, table.complete_runs);
    assert!(!by_status(&bed.load()).contains_key("pending"));

    // What was built in two steps is what is built in one.
    let mut sources = bed.sources("00", &STEPS);
    sources.extend(bed.sources("06", &STEPS_06));
    let (whole, _) = bed
        .runtime
        .block_on(build(
            sources,
            &bed.storage,
            &ScanConfig::default(),
            &Progress::default(),
        ))
        .unwrap();
    assert_eq!(lines(&bed.load()), lines(&whole));
}

/// What rows say, in an order of their own; without what was learnt of objects by the way.
fn lines(table: &Table) -> Vec<String> {
    let mut lines: Vec<String> = table
        .rows
        .iter()
        .map(|row| {
            let kind = gribfs::table::row::Kind {
                grid: None,
                ..table.kinds[row.kind as usize].clone()
            };
            let object = &table.objects[row.object as usize].location;
            let place = (row.offset, row.length, row.field);
            format!(
                "{kind:?} {object} {} {:?} {:?} {place:?} {:?}",
                row.reference, row.window, row.member, row.status
            )
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_run_of_which_nothing_tells_what_is_missing_is_incomplete_too() {
    let bed = Bed::new();
    // Step 0 is no model for the others.
    bed.arrive("00", 0, true);
    let (table, account) = bed.index(bed.sources("00", &[0, 3]), &ScanConfig::default());
    assert!(table.complete_runs.is_empty());
    assert_eq!(account.problems.len(), 1);
    assert_eq!(by_status(&table)["pending"], 1);
    bed.arrive("00", 3, true);
    let (table, account) = bed.index(bed.sources("00", &[0, 3]), &ScanConfig::default());
    assert_eq!(table.complete_runs, [run("2026-11-22T00")]);
    assert!(account.is_complete());
    assert!(!by_status(&table).contains_key("pending"));
}

/// Two files on disk, the second with the index of another step's file, its words put right.
fn archive_with_a_lying_index(folder: &Path) -> [PathBuf; 2] {
    let paths = [3, 6].map(|step| folder.join(format!("gfs.20261122.t00z.pgrb2.f{step:03}")));
    for (step, path) in [3, 6].into_iter().zip(&paths) {
        let index =
            |step| fs::read_to_string(format!("{}.idx", fixture("00", step).display())).unwrap();
        fs::copy(fixture("00", step), path).unwrap();
        let text = match step {
            6 => index(9)
                .replace(":6-9 hour", ":0-6 hour")
                .replace(":0-9 hour", ":0-6 hour")
                .replace(":9 hour", ":6 hour"),
            _ => index(step),
        };
        fs::write(format!("{}.idx", path.display()), text).unwrap();
    }
    paths
}

fn set_age(path: &Path, seconds: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
        .unwrap();
}

#[test]
fn an_index_older_than_its_grib_is_held_against_it() {
    let bed = Bed::new();
    let folder = bed.folder.path().join("grib");
    fs::create_dir(&folder).unwrap();
    let paths = archive_with_a_lying_index(&folder);
    for path in &paths {
        set_age(path, 100);
        set_age(Path::new(&format!("{}.idx", path.display())), 200);
    }
    let pattern = format!("{}/", folder.display());
    let sources = bed
        .runtime
        .block_on(expand(&pattern, Path::new("/"), &bed.storage))
        .unwrap();
    let (table, account) = bed.index(sources, &ScanConfig::default());
    assert!(account.is_complete(), "{:?}", account.problems);
    assert_eq!((account.indexed_files, account.scanned_files), (1, 1));
    let remark = &account.remarks[0];
    assert!(
        remark.contains("f006.idx") && remark.contains("walked instead"),
        "{remark}"
    );
    // By its headers each message is what it is.
    for row in &table.rows {
        let object = &table.objects[row.object as usize].location;
        let kind = &table.kinds[row.kind as usize];
        assert_eq!(
            kind.words.is_empty(),
            object.as_str().ends_with("f006"),
            "{object}"
        );
    }
}

#[test]
fn check_reads_section_0_of_every_message() {
    let bed = Bed::new();
    for step in STEPS {
        bed.arrive("00", step, true);
    }
    let check = ScanConfig {
        check: true,
        ..ScanConfig::default()
    };
    let (table, account) = bed.index(bed.sources("00", &STEPS), &check);
    assert_eq!(account.checked, table.rows.len() as u64);
    assert_eq!((account.indexed_files, account.scanned_files), (5, 0));
    let sixteen = |range: &str| {
        let (from, to) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        to.parse::<u64>().unwrap() - from.parse::<u64>().unwrap() == 15
    };
    let reads = bed.server.requests();
    let reads = reads
        .iter()
        .filter(|seen| seen.range.as_deref().is_some_and(sixteen))
        .count();
    assert_eq!(reads, table.rows.len());

    // Another GRIB of the same size behind a good index.
    let path = product_path("00", 6);
    let mut grib = bed.server.object(&path).unwrap();
    let end = grib.len();
    grib.copy_within(3813.., 3800);
    grib.truncate(end);
    bed.server.put(&path, grib);
    let again = ScanConfig {
        refresh: true,
        ..check
    };
    let (_, account) = bed.index(bed.sources("00", &STEPS), &again);
    let remark = account
        .remarks
        .iter()
        .find(|remark| remark.contains("f006.idx"))
        .unwrap();
    assert!(
        remark.contains("section headers are walked instead"),
        "{remark}"
    );
    assert_eq!(account.scanned_files, 1);
}

#[test]
fn warnings_are_sentences() {
    let bed = Bed::new();
    bed.arrive("00", 6, true);
    let path = format!("{}.idx", product_path("00", 6));
    let text = String::from_utf8(bed.server.object(&path).unwrap()).unwrap();
    bed.server
        .put(&path, text.replace("\n2:3813:", "\n2:900000:").into_bytes());
    let (_, account) = bed.index(bed.sources("00", &[6]), &ScanConfig::default());
    let remark = &account.remarks[0];
    assert!(
        remark.contains("contradict each other") && !remark.contains("Disorder"),
        "{remark}"
    );
}

/// Runs the program.
fn gribfs(arguments: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_gribfs"))
        .args(arguments)
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    (done.status.code(), text)
}

#[test]
fn shorthands_stand_for_the_files_below_a_root() {
    let bed = Bed::new();
    for step in [0, 3, 6] {
        bed.arrive("00", step, true);
    }
    let root = bed.server.url("");
    let table = bed.folder.path().join("table");
    let table = table.to_str().unwrap();
    let (code, text) = gribfs(&[
        "index",
        "gfs:2026-11-22T00/0..6..3",
        "--root",
        &root,
        "-o",
        table,
    ]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("3 files (3 by index"), "{text}");
    assert_eq!(bed.load().complete_runs, [run("2026-11-22T00")]);
    let asked = bed.server.requests();
    assert!(
        asked
            .iter()
            .all(|seen| seen.path.ends_with(".idx") || seen.path.contains(".f00"))
    );

    // One more file is expected now.
    let (code, text) = gribfs(&[
        "index",
        "gfs:2026-11-22T00/0..9..3",
        "--root",
        &root,
        "-o",
        table,
    ]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("incomplete: 2026-11-22T00"), "{text}");
    assert!(bed.load().complete_runs.is_empty());

    let (code, text) = gribfs(&["index", "icon:2026-11-22T00", "-o", table]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("known are gfs, ") && text.contains("aifs-ens"),
        "{text}"
    );
}

#[test]
fn a_local_folder_with_the_same_tree_is_a_root_too() {
    let bed = Bed::new();
    for step in [0, 3] {
        let path = bed
            .folder
            .path()
            .join(product_path("00", step).trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(fixture("00", step), &path).unwrap();
        fs::copy(
            format!("{}.idx", fixture("00", step).display()),
            format!("{}.idx", path.display()),
        )
        .unwrap();
    }
    let root = bed.folder.path().to_str().unwrap();
    let table = bed.folder.path().join("table");
    let (code, text) = gribfs(&[
        "index",
        "gfs:2026-11-22T00/0..3..3",
        "--root",
        root,
        "-o",
        table.to_str().unwrap(),
    ]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(bed.load().complete_runs, [run("2026-11-22T00")]);
}

#[test]
fn following_writes_each_file_as_it_appears_and_the_run_when_it_is_whole() {
    let bed = Bed::new();
    let shorthand = Shorthand::parse("gfs:2026-11-22T00/0..12..3")
        .unwrap()
        .unwrap();
    let config = FollowConfig {
        interval: Duration::from_millis(100),
        runs: None,
        root: Some(bed.server.url("")),
        base: PathBuf::from("/"),
        files_at_once: 64,
    };
    bed.arrive("00", 0, true);
    // A GRIB without its index yet, and an index that is half written.
    bed.arrive("00", 3, false);
    bed.arrive("00", 6, false);
    let index = fs::read(format!("{}.idx", fixture("00", 6).display())).unwrap();
    bed.server
        .put(&format!("{}.idx", product_path("00", 6)), &index[..200]);

    let destination = bed.table_folder();
    let (sender, receiver) = std::sync::mpsc::channel();
    let (storage, to) = (bed.storage.clone(), destination.clone());
    let following = bed.runtime.spawn(async move {
        follow(&shorthand, &config, &to, &storage, move |event| {
            sender.send(event).unwrap();
        })
        .await
    });
    let next = || receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    let at = run("2026-11-22T00");
    assert_eq!(
        next(),
        FollowEvent::Arrived {
            run: at,
            files: 1,
            missing: 4
        }
    );
    assert!(bed.load().complete_runs.is_empty());
    std::thread::sleep(Duration::from_millis(500));
    assert!(receiver.try_recv().is_err(), "nothing else can be read yet");

    for (missing, step) in [(3, 3), (2, 6), (1, 9), (0, 12)] {
        let appeared = Clock::now();
        bed.arrive("00", step, true);
        assert_eq!(
            next(),
            FollowEvent::Arrived {
                run: at,
                files: 1,
                missing
            }
        );
        let rows = bed.load().rows;
        let placed = |row: &&gribfs::table::row::Row| {
            row.window.end == i64::from(step) * 3600 && row.status == Status::Placed
        };
        assert!(rows.iter().filter(placed).count() > 10);
        // Seconds stand for a machine under load; at 100 ms it is a fraction of one.
        assert!(
            appeared.elapsed() < Duration::from_secs(10),
            "{:?}",
            appeared.elapsed()
        );
    }
    assert!(matches!(next(), FollowEvent::Complete { run, .. } if run == at));
    bed.runtime.block_on(following).unwrap().unwrap();
    assert_eq!(bed.load().complete_runs, [at]);
    assert!(!by_status(&bed.load()).contains_key("pending"));
    // Polite: no whole GRIB, and files that are in the table are not asked for again.
    let first = format!("{}.idx", product_path("00", 0));
    assert!(bed.server.requests_of(&first).len() <= 2);
}

#[test]
fn the_newest_run_is_followed_on_to_the_next() {
    let bed = Bed::new();
    let table = bed.folder.path().join("table");
    // Nothing of any run of today: the first file of the newest run is asked for, and little else.
    let root = bed.server.url("");
    let mut program = Command::new(env!("CARGO_BIN_EXE_gribfs"))
        .args([
            "index",
            "gfs:latest",
            "--follow",
            "--interval",
            "0.1",
            "--root",
            &root,
            "-o",
            table.to_str().unwrap(),
        ])
        .spawn()
        .unwrap();
    let began = Clock::now();
    while bed.server.requests().len() < 218 && began.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
    }
    bed.server.forget();
    std::thread::sleep(Duration::from_secs(1));
    let asked: BTreeSet<String> = bed
        .server
        .requests()
        .into_iter()
        .map(|seen| seen.path)
        .collect();
    assert!(asked.len() <= 2, "{asked:?}");
    let pid = program.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(program.wait().unwrap().code(), Some(0));
}

#[test]
fn many_tables_become_few_and_say_the_same() {
    let bed = Bed::new();
    for hour in ["00", "06", "12"] {
        for step in STEPS_06 {
            bed.arrive(hour, step, true);
        }
    }
    for hour in ["00", "12"] {
        bed.index(bed.sources(hour, &STEPS_06), &ScanConfig::default());
    }
    let before = bed.load();
    let folder = bed.table_folder();
    let done = bed
        .runtime
        .block_on(compact(&folder, &bed.storage))
        .unwrap();
    assert_eq!((done.before, done.after, done.left), (2, 1, 0));
    let path = bed.folder.path().join("table");
    let names = || {
        let names = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<String>>()
    };
    let merged = "2026-11-22T00_2026-11-22T12.parquet";
    assert_eq!(
        names(),
        BTreeSet::from([".gribfs-manifest".to_owned(), merged.to_owned()])
    );
    let after = bed.load();
    assert_eq!(lines(&after), lines(&before));
    assert_eq!(after.complete_runs, before.complete_runs);

    // A run between the others goes where it belongs, and the manifest knows it.
    bed.index(bed.sources("06", &STEPS_06), &ScanConfig::default());
    assert_eq!(names().len(), 2);
    let three = bed.load();
    assert_eq!(three.complete_runs.len(), 3);
    assert!(three.rows.len() > after.rows.len());

    // A leftover of a compaction that was killed is not read.
    let one = Table {
        rows: Vec::new(),
        ..before.clone()
    };
    let mut leftover = one;
    leftover.rows.extend(
        before
            .rows
            .iter()
            .filter(|row| row.reference == run("2026-11-22T12"))
            .cloned(),
    );
    let file = Location::from_path(&path.join("2026-11-22T12.parquet"));
    bed.runtime
        .block_on(save(leftover, &file, &bed.storage))
        .unwrap();
    assert_eq!(lines(&bed.load()), lines(&three));

    // A server that cannot list: the manifest names the tables.
    for name in [merged, ".gribfs-manifest"] {
        bed.server.put(
            &format!("/tables/{name}"),
            fs::read(path.join(name)).unwrap(),
        );
    }
    bed.server.forget();
    let remote = Location::parse(&bed.server.url("/tables/"), Path::new("/")).unwrap();
    let loaded = bed.runtime.block_on(load(&remote, &bed.storage)).unwrap();
    assert_eq!(lines(&loaded), lines(&three));
    assert!(
        bed.server.requests().len() <= 4,
        "{:?}",
        bed.server.requests()
    );
}

#[test]
fn a_server_that_is_down_leaves_the_table_as_it_is() {
    let bed = Bed::new();
    for step in STEPS {
        bed.arrive("00", step, true);
    }
    let (table, _) = bed.index(bed.sources("00", &STEPS), &ScanConfig::default());
    bed.server.fault("*", Fault::Status(503));
    let (again, account) = bed.index(bed.sources("00", &STEPS), &ScanConfig::default());
    assert_eq!(account.kept_files, STEPS.len());
    assert_eq!(again.rows.len(), table.rows.len());
}

/// The shared corpus, or `None` with a printed line.
fn corpus() -> Option<PathBuf> {
    let data = std::env::var_os("GRIBFS_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    if data.join("index").is_dir() {
        return Some(data);
    }
    println!("skipped: no test data at {}", data.display());
    None
}

/// Indexes files on disk as they lie there.
pub(crate) fn index_local(paths: &[PathBuf], scan: &ScanConfig) -> (Table, Account) {
    let runtime = Runtime::new().unwrap();
    let storage = Storage::new(StorageConfig::default()).unwrap();
    let sources = paths
        .iter()
        .map(|path| Source::named(Location::from_path(path)))
        .collect();
    runtime
        .block_on(build(sources, &storage, scan, &Progress::default()))
        .unwrap()
}

#[test]
fn every_line_with_a_grib_at_hand_is_placed() {
    let Some(data) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (index, grib, lines, by_index) in [
        (
            "wgrib2/ref_gdaswave.t00z.wcoast.0p16.f000.grib2.inv",
            "wgrib2/gdaswave.t00z.wcoast.0p16.f000.grib2",
            19,
            true,
        ),
        (
            "gribberish/gfswave.t18z.atlocn.0p16.f001.grib2.idx",
            "gribberish/gfswave.t18z.atlocn.0p16.f001.grib2",
            19,
            true,
        ),
        // JSON of another producer: refused by name, and the headers are walked.
        (
            "reformatters/s2s_control_2026-08-10T00Z.grib2.index",
            "reformatters/s2s_control_2026-08-10T00Z.grib2",
            0,
            false,
        ),
    ] {
        let name = Path::new(grib).file_name().unwrap().to_str().unwrap();
        let path = folder.path().join(name);
        fs::copy(data.join("grib").join(grib), &path).unwrap();
        let suffix = if index.ends_with(".inv") {
            "inv"
        } else {
            index.rsplit('.').next().unwrap()
        };
        fs::copy(
            data.join("index").join(index),
            folder.path().join(format!("{name}.{suffix}")),
        )
        .unwrap();
        let (table, account) = index_local(
            std::slice::from_ref(&path),
            &ScanConfig {
                check: true,
                ..ScanConfig::default()
            },
        );
        let unplaced: Vec<_> = account
            .problems
            .iter()
            .filter(|problem| problem.status != Status::Unsupported)
            .collect();
        assert!(
            unplaced.is_empty(),
            "{name}: {unplaced:?} {:?}",
            account.remarks
        );
        assert_eq!(
            account.indexed_files == 1,
            by_index,
            "{name}: {:?}",
            account.remarks
        );
        if by_index {
            assert_eq!(table.rows.len(), lines, "{name}");
        }
        let (walked, _) = index_local(
            &[path],
            &ScanConfig {
                always_scan: true,
                ..ScanConfig::default()
            },
        );
        let cells = |table: &Table| {
            let cells = table.rows.iter().map(|row| {
                let identity = table.kinds[row.kind as usize].identity.clone();
                (
                    identity,
                    row.reference,
                    row.window,
                    row.member,
                    row.offset,
                    row.field,
                )
            });
            let mut cells: Vec<_> = cells.collect();
            cells.sort();
            cells
        };
        assert_eq!(
            cells(&table),
            cells(&walked),
            "{name}: the index and the headers say the same"
        );
    }
}

#[test]
fn files_of_several_fields_are_placed_or_refused_field_by_field() {
    let Some(data) = corpus() else { return };
    for name in [
        "pygrib/eta.grb",
        "pygrib/gfs.t12z.pgrbf120.2p5deg.grib2",
        "grib-rs/Z__C_RJTD_20160822020000_NOWC_GPV_Ggis10km_Pphw10_FH0000-0100_grib2.bin",
        "grib-rs/Z__C_RJTD_20170221120000_MSG_GPV_Gll0p5deg_Pys_B20170221120000_F2017022115-2017022212_grib2.bin",
    ] {
        let expected = fs::read(data.join(format!("grib/expected/{name}.json"))).unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        let messages = expected["messages"].as_array().unwrap();
        let fields: usize = messages
            .iter()
            .map(|message| message["fields"].as_array().unwrap().len())
            .sum();
        let scan = ScanConfig {
            always_scan: true,
            ..ScanConfig::default()
        };
        let (table, account) = index_local(&[data.join("grib").join(name)], &scan);
        assert_eq!(table.rows.len(), fields, "{name}");
        let counts = by_status(&table);
        assert!(
            !counts.contains_key("unplaced"),
            "{name}: {counts:?} {:?}",
            account.problems.first()
        );
        assert_eq!(
            account.placed + account.twins + account.problems.len() as u64,
            fields as u64,
            "{name}"
        );
        for problem in &account.problems {
            assert_eq!(problem.status, Status::Unsupported, "{name}: {problem:?}");
            assert!(!problem.reason.is_empty());
        }
        println!("{name}: {counts:?}");
    }
}

#[test]
fn every_index_file_of_the_corpus_is_read_or_refused_with_a_reason() {
    let Some(data) = corpus() else { return };
    let mut folders = vec![data.join("index")];
    let (mut read, mut lines) = (0, 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if [".idx", ".inv", ".index"]
                .iter()
                .any(|suffix| name.ends_with(suffix))
            {
                let bytes = fs::read(&path).unwrap();
                match gribfs::index::parse(&bytes, None) {
                    Ok(file) => {
                        read += 1;
                        lines += file.lines.len();
                        assert!(
                            file.lines.iter().all(|line| !file.words(line).is_empty()),
                            "{name}"
                        );
                    }
                    Err(reason) => {
                        let reason = reason.to_string();
                        let refused = [
                            "9093e.idx",
                            "cut_line",
                            "empty",
                            "html_error",
                            "s2s_control",
                            "rrfs",
                            "mars",
                            "quote",
                        ];
                        assert!(
                            refused.iter().any(|part| name.contains(part)),
                            "{name}: {reason}"
                        );
                        assert!(reason.contains("scan the GRIB itself"), "{name}: {reason}");
                    }
                }
            }
        }
    }
    println!("{read} index files, {lines} lines");
    assert!(read > 30 && lines > 6000, "{read} {lines}");
}

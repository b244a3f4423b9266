//! Tables opened for a mount: what their footers say is what their rows say, and rows are there when they are wanted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gribfs::dataset::archive::{RowSource, rows_of};
use gribfs::dataset::cells::CellKey;
use gribfs::dataset::{Archive, CellState, Collection};
use gribfs::location::Location;
use gribfs::scan::{Library, Progress, ScanConfig, Source, build, compact, load, save};
use gribfs::storage::{Storage, StorageConfig};
use gribfs::table::row::{Status, Table};
use gribfs::time::Instant;
use tokio::runtime::Runtime;

use crate::support::http::{Fault, TestServer};

struct Bed {
    runtime: Runtime,
    storage: Storage,
    folder: tempfile::TempDir,
    table: Table,
}

impl Bed {
    /// Tables of the fixtures' archives, one per run.
    fn new(products: &[&str]) -> Self {
        let runtime = Runtime::new().unwrap();
        let storage = Storage::new(StorageConfig::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut sources = Vec::new();
        for product in products {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/archive");
            add_files(&root.join(product), &mut sources);
        }
        let (table, _) = runtime
            .block_on(build(
                sources,
                &storage,
                &ScanConfig::default(),
                &Progress::default(),
            ))
            .unwrap();
        let bed = Self {
            runtime,
            storage,
            folder,
            table,
        };
        bed.save(bed.table.clone());
        bed
    }

    fn tables(&self) -> Location {
        Location::from_path(self.folder.path())
    }

    fn save(&self, table: Table) {
        self.runtime
            .block_on(save(table, &self.tables(), &self.storage))
            .unwrap();
    }

    fn library(&self, most_open: usize) -> Library {
        let handle = self.runtime.handle().clone();
        Library::new(self.tables(), self.storage.clone(), handle, most_open)
    }

    fn look(&self, library: &Library) -> gribfs::scan::Found {
        self.runtime.block_on(library.look()).unwrap()
    }

    fn by_rows(&self) -> Arc<Table> {
        Arc::new(
            self.runtime
                .block_on(load(&self.tables(), &self.storage))
                .unwrap(),
        )
    }
}

fn add_files(folder: &Path, sources: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            add_files(&path, sources);
        } else if !path.to_str().unwrap().ends_with(".idx")
            && !path.to_str().unwrap().ends_with(".index")
        {
            sources.push(Source::named(Location::from_path(&path)));
        }
    }
}

/// Coordinates of a cell: array, run, step, level position, member.
type Place = (String, Instant, i64, u32, Option<i16>);

/// Every cell of a collection by its coordinates, with its state and the message that it is read from.
fn cells(
    collection: &Collection,
    rows: &dyn RowSource,
) -> BTreeMap<Place, (bool, String, u64, u16)> {
    let mut all = BTreeMap::new();
    for group in &collection.groups {
        for array in &group.arrays {
            for (key, _) in array.cells.iter() {
                let CellKey {
                    run,
                    step,
                    level,
                    member,
                } = key;
                let (present, row) = match array.cells.get(key) {
                    CellState::Present(row) => (true, row),
                    CellState::Pending(row) => (false, row),
                    CellState::Gap => panic!("a cell that is listed is a gap"),
                };
                let (table, at) = rows.locate(row).unwrap();
                let row = &table.rows[at];
                assert_eq!(row.reference, collection.runs[run as usize]);
                assert_eq!(row.window.end, group.steps[step as usize]);
                let number = array.members.then(|| group.members[member as usize]);
                if let Some(member) = number {
                    assert_eq!(row.member.unwrap_or(0), member);
                }
                let place = (
                    format!("{}/{}", group.name, array.naming.array),
                    collection.runs[run as usize],
                    group.steps[step as usize],
                    level,
                    number,
                );
                let object = table.objects[row.object as usize].location.to_string();
                all.insert(place, (present, object, row.offset, row.field));
            }
        }
    }
    all
}

fn same(a: (&Collection, &dyn RowSource), b: (&Collection, &dyn RowSource)) {
    assert_eq!(a.0.runs, b.0.runs);
    for (one, other) in a.0.groups.iter().zip(&b.0.groups) {
        assert_eq!(one.steps, other.steps);
        assert_eq!(one.members, other.members);
        let levels = |group: &gribfs::dataset::GridGroup| {
            let axes = group.levels.iter();
            let named = axes.map(|axis| (axis.level_type.name.to_string(), axis.values.clone()));
            named.collect::<Vec<_>>()
        };
        assert_eq!(levels(one), levels(other));
        for (one, other) in one.arrays.iter().zip(&other.arrays) {
            assert_eq!(
                one.cells.coverage(),
                other.cells.coverage(),
                "{}",
                one.naming.array
            );
        }
    }
    let (ours, theirs) = (cells(a.0, a.1), cells(b.0, b.1));
    assert!(
        ours == theirs && ours.len() > 10,
        "{} cells, {} cells",
        ours.len(),
        theirs.len()
    );
}

fn check(bed: &Bed) {
    let library = bed.library(100);
    let found = bed.look(&library);
    assert!(found.bad.is_empty(), "{:?}", found.bad);
    let rows = library.rows();
    let table = bed.by_rows();
    let whole = Archive::of_table(Arc::clone(&table));
    let by_rows = rows_of(Arc::clone(&table));
    let limits = table
        .rows
        .iter()
        .map(|row| Some(row.reference))
        .chain([None]);
    let limits: std::collections::BTreeSet<Option<Instant>> = limits.collect();
    for as_of in limits {
        same(
            (
                &Collection::build(Arc::clone(&found.archive), as_of),
                rows.as_ref(),
            ),
            (
                &Collection::build(Arc::clone(&whole), as_of),
                by_rows.as_ref(),
            ),
        );
    }
}

#[test]
fn footers_say_what_rows_say() {
    for product in ["gfs.20261122", "gefs.20261122", "hrrr.20261122", "ecmwf"] {
        check(&Bed::new(&[product]));
    }
    check(&Bed::new(&["gfs.20261122", "hrrr.20261122"]));
}

#[test]
fn so_do_manifests_and_tables_of_many_runs() {
    let bed = Bed::new(&["gfs.20261122"]);
    bed.runtime
        .block_on(compact(&bed.tables(), &bed.storage))
        .unwrap();
    check(&bed);
    assert!(bed.folder.path().join(".gribfs-manifest").exists());
}

#[test]
fn kinds_with_holes_are_read_row_by_row() {
    let bed = Bed::new(&["gfs.20261122"]);
    let mut table = bed.table.clone();
    for row in table.rows.iter_mut().step_by(7) {
        row.status = Status::Pending;
        row.reason = Some("it has not arrived".into());
    }
    fs::remove_dir_all(bed.folder.path()).unwrap();
    bed.save(table);
    check(&bed);
}

#[test]
fn runs_in_two_tables_are_settled_as_ever() {
    let bed = Bed::new(&["gfs.20261122"]);
    let first = bed.folder.path().join("2026-11-22T00.parquet");
    fs::copy(&first, bed.folder.path().join("again.parquet")).unwrap();
    check(&bed);
}

#[test]
fn rows_of_a_replaced_table_are_read_on_and_those_of_a_lost_one_are_an_error() {
    let bed = Bed::new(&["gfs.20261122"]);
    for (most_open, survives) in [(100, true), (0, false)] {
        let library = bed.library(most_open);
        let found = bed.look(&library);
        let rows = library.rows();
        // A table that was read already is held open, so of those that may not be none is.
        let collection = survives.then(|| Collection::build(Arc::clone(&found.archive), None));
        let first = found.archive.parts[0].base;
        let path = bed.folder.path().join("2026-11-22T00.parquet");
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::copy(bed.folder.path().join("2026-11-22T06.parquet"), &path).unwrap();
        assert_eq!(rows.locate(first).is_ok(), survives);
        let now = bed.look(&library);
        assert_eq!(now.archive.parts.len(), found.archive.parts.len());
        assert_ne!(
            now.archive.parts[0].base, first,
            "another table has other numbers"
        );
        assert_eq!(
            now.archive.parts[1].base, found.archive.parts[1].base,
            "what stays keeps its own"
        );
        if let Some(collection) = &collection {
            assert!(!cells(collection, rows.as_ref()).is_empty());
        }
        drop((collection, found));
        assert!(rows.locate(first).is_err(), "nobody shows it any more");
        fs::write(&path, kept).unwrap();
    }
}

/// The table of one run with every message a little further on: the same layout, other places.
fn moved(bed: &Bed, folder: &Path) -> Vec<u8> {
    let mut table = bed.table.clone();
    for row in &mut table.rows {
        row.offset += 1;
    }
    bed.runtime
        .block_on(save(table, &Location::from_path(folder), &bed.storage))
        .unwrap();
    fs::read(folder.join("2026-11-22T00.parquet")).unwrap()
}

#[test]
fn rows_are_not_taken_from_another_table_of_the_same_layout() {
    for most_open in [100, 0] {
        let bed = Bed::new(&["gfs.20261122"]);
        let elsewhere = tempfile::tempdir().unwrap();
        let other = moved(&bed, elsewhere.path());
        let library = bed.library(most_open);
        let found = bed.look(&library);
        let first = found.archive.parts[0].base;
        let path = bed.folder.path().join("2026-11-22T00.parquet");
        std::thread::sleep(Duration::from_millis(20));
        // In place, as `cp` does it: a file that is held open shows it too.
        fs::write(&path, other).unwrap();
        let error = library.rows().locate(first).unwrap_err();
        assert!(error.contains("2026-11-22T00.parquet: "), "{error}");
        assert!(
            error.contains("replaced after it was first read"),
            "{error}"
        );
        let now = bed.look(&library);
        assert_ne!(now.archive.parts[0].base, first);
        assert!(library.rows().locate(now.archive.parts[0].base).is_ok());
    }
}

#[test]
fn nor_are_those_of_a_table_on_a_server() {
    let bed = Bed::new(&["gfs.20261122"]);
    let server = TestServer::start();
    let bytes = fs::read(bed.folder.path().join("2026-11-22T00.parquet")).unwrap();
    server.put("/run.parquet", bytes);
    let handle = bed.runtime.handle().clone();
    let location = Location::parse(&server.url("/run.parquet"), Path::new("/")).unwrap();
    let library = Library::new(location, bed.storage.clone(), handle, 100);
    let found = bed.look(&library);
    server.fault("/run.parquet", Fault::OtherETag);
    let error = library
        .rows()
        .locate(found.archive.parts[0].base)
        .unwrap_err();
    assert!(
        error.contains("replaced after it was first read"),
        "{error}"
    );
}

#[test]
fn damaged_tables_are_told_of_and_the_others_are_there() {
    let bed = Bed::new(&["gfs.20261122"]);
    let good = fs::read(bed.folder.path().join("2026-11-22T06.parquet")).unwrap();
    fs::write(
        bed.folder.path().join("2026-11-22T06.parquet"),
        &good[..good.len() / 2],
    )
    .unwrap();
    fs::write(bed.folder.path().join("zero.parquet"), b"").unwrap();
    fs::create_dir(bed.folder.path().join("folder.parquet")).unwrap();
    let found = bed.look(&bed.library(100));
    assert_eq!(found.archive.parts.len(), 2);
    let names: Vec<&str> = found.bad.iter().map(|bad| bad.name.as_str()).collect();
    assert!(
        names.contains(&"2026-11-22T06.parquet") && names.contains(&"zero.parquet"),
        "{names:?}"
    );
}

#[test]
fn a_damaged_block_of_rows_makes_cells_that_fail_and_no_gaps() {
    let bed = Bed::new(&["gfs.20261122"]);
    let mut table = bed.table.clone();
    for row in table.rows.iter_mut().filter(|row| row.window.end == 0) {
        row.status = Status::Pending;
    }
    fs::remove_dir_all(bed.folder.path()).unwrap();
    bed.save(table);
    let intact = bed.look(&bed.library(100));
    let before = Collection::build(Arc::clone(&intact.archive), None);
    for entry in fs::read_dir(bed.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes[64] ^= 0xFF;
        fs::write(&path, bytes).unwrap();
    }
    let damaged = bed.look(&bed.library(100));
    assert!(damaged.bad.is_empty(), "the footers are whole");
    let after = Collection::build(Arc::clone(&damaged.archive), None);
    for (one, other) in before.groups[0].arrays.iter().zip(&after.groups[0].arrays) {
        for (key, _) in one.cells.iter() {
            assert_ne!(
                other.cells.get(key),
                CellState::Gap,
                "{} {key:?}",
                one.naming.array
            );
        }
    }
}

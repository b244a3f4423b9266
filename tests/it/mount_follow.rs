//! A tree that follows its tables, without a kernel: names come, what a name stands for stays.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;

use bytes::Bytes;
use gribfs::dataset::archive::{Part, rows_of};
use gribfs::dataset::{Archive, Collection};
use gribfs::slices::{BestRule, Layout};
use gribfs::storage::{Storage, StorageConfig};
use gribfs::store::{FieldReader, ReaderConfig};
use gribfs::table::row::{Status, Table};
use gribfs::time::{Instant, Window};
use gribfs::vfs::tree::{Answer, Inode, Missing, NodeKind, ROOT, Tree as _};
use gribfs::vfs::{Follow, MountTree, TreeConfig};
use gribfs::zarr::Format;
use tokio::runtime::Runtime;

use crate::support::messages_table;

const HOUR: i64 = 3600;
const NOW: Instant = Instant(1_800_000_000);

/// Tables of single runs: the rows of a real one, moved in time.
struct Bed {
    runtime: Runtime,
    table: Table,
}

impl Bed {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let table = messages_table(&runtime);
        Self { runtime, table }
    }

    /// A run that starts at an hour and has some steps.
    fn part(&self, hour: i64, steps: &[i64], complete: bool) -> Arc<Part> {
        let mut table = Table {
            complete_runs: Vec::new(),
            ..self.table.clone()
        };
        let reference = Instant(hour * HOUR);
        table.rows.clear();
        for row in &self.table.rows {
            for step in steps.iter().filter(|_| row.window.end == 0) {
                let mut row = row.clone();
                row.reference = reference;
                row.window = Window::instant(step * HOUR);
                table.rows.push(row);
            }
        }
        if complete {
            table.complete_runs.push(reference);
        } else if let Some(last) = table.rows.last_mut() {
            last.status = Status::Pending;
        }
        Arc::new(Part::of_table(Arc::new(table)))
    }

    fn tree(&self, parts: &[Arc<Part>], partial: bool) -> MountTree {
        let archive = archive(parts);
        let complete = Arc::clone(&archive);
        let collection =
            Collection::of_runs(archive, None, |run| partial || complete.is_complete(run));
        let reader = FieldReader::new(
            rows_of(Arc::new(self.table.clone())),
            Storage::new(StorageConfig::default()).unwrap(),
            self.runtime.handle().clone(),
            &ReaderConfig::default(),
        );
        let config = TreeConfig {
            source: "test".to_owned(),
            best: BestRule::default(),
            layout: Layout::Flat,
            format: Format::V2,
            follow: Some(Follow { partial }),
            modified_seconds: 0,
        };
        MountTree::new(Arc::new(collection), Arc::new(reader), config)
    }
}

fn archive(parts: &[Arc<Part>]) -> Arc<Archive> {
    Arc::new(Archive {
        parts: parts.to_vec(),
    })
}

fn find(tree: &MountTree, path: &str) -> Result<Inode, Missing> {
    let mut at = ROOT;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        at = tree.lookup(at, OsStr::new(name))?.inode;
    }
    Ok(at)
}

fn names(tree: &MountTree, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    tree.list(find(tree, path).unwrap(), 0, &mut |entry| {
        found.push(entry.name.to_owned());
        true
    })
    .unwrap();
    found
}

/// Size of every file below a folder, and the bytes of those that are in memory.
fn picture(tree: &MountTree, path: &str, all: &mut BTreeMap<String, (u64, Option<Bytes>)>) {
    for name in names(tree, path) {
        let own = format!("{path}/{name}");
        let inode = find(tree, &own).unwrap();
        let at = tree.attributes(inode).unwrap();
        if at.kind == NodeKind::Directory {
            picture(tree, &own, all);
        } else {
            let bytes = match name.starts_with(".z").then(|| tree.read(inode, 0, 1 << 20)) {
                Some(Answer::Now(bytes)) => bytes.ok(),
                Some(Answer::Later(_)) | None => None,
            };
            all.insert(own, (at.size, bytes));
        }
    }
}

fn all_stores(tree: &MountTree) -> BTreeMap<String, (u64, Option<Bytes>)> {
    let mut all = BTreeMap::new();
    for name in [
        "run_time.zarr",
        "valid_time.zarr",
        "horizon.zarr",
        "best_available.zarr",
        "leads",
        "valid",
        "runs/1970-01-01T12.zarr",
        "asof/1970-01-01T12",
    ] {
        picture(tree, name, &mut all);
    }
    all
}

#[test]
fn what_was_there_stays_whatever_comes_and_goes() {
    let bed = Bed::new();
    let (old, first, new) = (
        bed.part(6, &[0, 3], true),
        bed.part(12, &[0, 3], true),
        bed.part(18, &[0, 3], true),
    );
    let tree = bed.tree(std::slice::from_ref(&first), false);
    let before = all_stores(&tree);
    assert!(before.len() > 50);
    let late = bed.part(12, &[0, 3, 6], true);
    let steps: [(&[Arc<Part>], &str); 5] = [
        (&[Arc::clone(&old), Arc::clone(&first)], "1970-01-01T12\n"),
        (
            &[Arc::clone(&old), Arc::clone(&first), Arc::clone(&new)],
            "1970-01-01T18\n",
        ),
        (
            &[Arc::clone(&old), Arc::clone(&late), Arc::clone(&new)],
            "1970-01-01T18\n",
        ),
        (&[Arc::clone(&old)], "1970-01-01T06\n"),
        (&[], ""),
    ];
    for (parts, latest) in steps {
        tree.renew(archive(parts), Vec::new(), NOW);
        assert!(all_stores(&tree) == before, "after {latest:?}");
        let inode = find(&tree, "latest").unwrap();
        let Answer::Now(Ok(text)) = tree.read(inode, 0, 100) else {
            panic!("latest is in memory");
        };
        assert_eq!(text, latest);
        assert_eq!(names(&tree, "runs").len(), parts.len());
    }
    // A run that is gone is listed no more; who holds its path goes on, so it must not become a gap.
    for run in ["06", "12", "18"] {
        assert!(
            find(&tree, &format!("runs/1970-01-01T{run}.zarr/.zgroup")).is_ok(),
            "{run}"
        );
    }
}

#[test]
fn a_run_is_what_it_was_when_it_came() {
    let bed = Bed::new();
    let tree = bed.tree(&[bed.part(0, &[0, 3], true)], false);
    assert!(matches!(
        find(&tree, "runs/1970-01-01T06.zarr"),
        Err(Missing::NoSuchName { .. })
    ));
    tree.renew(
        archive(&[bed.part(0, &[0, 3], true), bed.part(6, &[0, 3], true)]),
        Vec::new(),
        NOW,
    );
    // It is looked up only after it has changed.
    tree.renew(
        archive(&[bed.part(0, &[0, 3], true), bed.part(6, &[0, 3, 6, 9], true)]),
        Vec::new(),
        NOW,
    );
    let mut run = BTreeMap::new();
    picture(&tree, "runs/1970-01-01T06.zarr/valid_time", &mut run);
    assert_eq!(
        run["runs/1970-01-01T06.zarr/valid_time/0"].0, 16,
        "two moments"
    );
    // And `asof/` of the newest run is what was known when it came; later instants are new names.
    let mut then = BTreeMap::new();
    picture(&tree, "asof/1970-01-01T06/horizon.zarr/step", &mut then);
    assert_eq!(then["asof/1970-01-01T06/horizon.zarr/step/0"].0, 16);
    let listed = names(&tree, "asof");
    assert_eq!(listed.first().map(String::as_str), Some("1970-01-01T06"));
    let newest = listed.last().unwrap();
    let mut now = BTreeMap::new();
    picture(&tree, &format!("asof/{newest}/horizon.zarr/step"), &mut now);
    assert_eq!(now[&format!("asof/{newest}/horizon.zarr/step/0")].0, 32);
    assert!(
        find(&tree, "asof/2099-01-01T00").is_err(),
        "what will stand then is not known"
    );
}

#[test]
fn incomplete_runs_are_hidden_unless_asked_for() {
    let bed = Bed::new();
    let parts = [bed.part(0, &[0, 3], true), bed.part(6, &[0, 3], false)];
    let (strict, partial) = (bed.tree(&parts, false), bed.tree(&parts, true));
    assert_eq!(names(&strict, "runs"), ["1970-01-01T00.zarr"]);
    assert_eq!(
        names(&partial, "runs"),
        ["1970-01-01T00.zarr", "1970-01-01T06.zarr"]
    );
    for tree in [&strict, &partial] {
        let Answer::Now(Ok(text)) = tree.read(find(tree, "latest").unwrap(), 0, 100) else {
            panic!("latest is in memory");
        };
        assert_eq!(text, "1970-01-01T00\n");
    }
    let came = strict.renew(
        archive(&[bed.part(0, &[0, 3], true), bed.part(6, &[0, 3], true)]),
        Vec::new(),
        NOW,
    );
    assert_eq!(came, [Instant(6 * HOUR)]);
}

#[test]
fn a_mount_of_nothing_takes_the_first_that_comes_for_its_collection() {
    let bed = Bed::new();
    let tree = bed.tree(&[], false);
    assert!(
        find(&tree, "run_time.zarr").is_err()
            && !names(&tree, "").contains(&"run_time.zarr".to_owned())
    );
    tree.renew(archive(&[bed.part(0, &[0, 3], true)]), Vec::new(), NOW);
    assert!(find(&tree, "run_time.zarr/.zgroup").is_ok());
    assert_eq!(names(&tree, "runs"), ["1970-01-01T00.zarr"]);
}

#[test]
fn the_parent_of_a_run_that_came_later_is_the_folder_that_lists_it() {
    let bed = Bed::new();
    let tree = bed.tree(&[bed.part(0, &[0], true)], false);
    tree.renew(
        archive(&[bed.part(0, &[0], true), bed.part(6, &[0], true)]),
        Vec::new(),
        NOW,
    );
    let folder = find(&tree, "runs").unwrap();
    for run in ["00", "06"] {
        let store = find(&tree, &format!("runs/1970-01-01T{run}.zarr")).unwrap();
        assert_eq!(tree.parent(store).unwrap(), folder);
    }
}

#[test]
fn the_first_look_at_a_store_is_told_to_take_time() {
    let bed = Bed::new();
    let tree = bed.tree(&[bed.part(0, &[0], true)], false);
    let name = OsStr::new("run_time.zarr");
    assert!(!tree.is_ready(ROOT, Some(name)));
    let store = tree.lookup(ROOT, name).unwrap().inode;
    assert!(tree.is_ready(ROOT, Some(name)) && tree.is_ready(store, None));
    assert!(
        tree.is_ready(ROOT, Some(OsStr::new("latest")))
            && tree.is_ready(ROOT, Some(OsStr::new("nothing")))
    );
}

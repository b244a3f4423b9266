//! Building tables: runs that arrive, index files that lie, shorthands, following, compaction, ensembles; and the shared corpus.

mod arriving;
pub(crate) mod corpus;
mod ensembles;
mod following;
mod wrong;

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

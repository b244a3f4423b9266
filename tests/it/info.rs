//! `gribfs info` of tables as large as archives are: the chart fits the terminal and shows every hole, the numbers add up.

use std::path::Path;
use std::process::Command;

use gribfs::location::Location;
use gribfs::scan::{Progress, ScanConfig, Source, build, kind_columns};
use gribfs::storage::{Storage, StorageConfig};
use gribfs::table::row::{Row, Status, Table};
use gribfs::table::write::write;
use gribfs::time::{Instant, Window};
use tokio::runtime::Runtime;

/// The instant kinds of a GFS file, as the fixtures' archive has them.
fn kinds() -> Table {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/archive/gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f000");
    let source = Source::named(Location::from_path(&file));
    let storage = Storage::new(StorageConfig::default()).unwrap();
    let (config, progress) = (ScanConfig::default(), Progress::default());
    let built = build(vec![source], &storage, &config, &progress);
    Runtime::new().unwrap().block_on(built).unwrap().0
}

/// Every kind at every run and hourly step, messages of 1000 bytes, without those that `lacks` names by run and step.
fn archive(runs: u32, steps: u32, lacks: impl Fn(u32, u32) -> bool) -> Table {
    let sample = kinds();
    let mut rows = Vec::new();
    for (kind, _) in (0_u32..).zip(&sample.kinds) {
        for run in 0..runs {
            for step in (0..steps).filter(|step| !lacks(run, *step)) {
                rows.push(Row {
                    kind,
                    reference: Instant(1_800_000_000 + i64::from(run) * 21_600),
                    window: Window::instant(i64::from(step) * 3600),
                    member: None,
                    object: 0,
                    offset: rows.len() as u64 * 1000,
                    length: Some(1000),
                    field: 0,
                    status: Status::Placed,
                    reason: None,
                });
            }
        }
    }
    Table { rows, ..sample }
}

fn info(table: &Table, args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let mut file = std::fs::File::create(&path).unwrap();
    write(table, kind_columns, &mut file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gribfs"));
    command.arg("info").arg(&path).args(args);
    command.env("COLUMNS", "90").env("LC_ALL", "C");
    let done = command.output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_hundred_runs_of_two_hundred_steps_are_a_line_each() {
    let table = archive(100, 200, |run, step| (run, step) == (42, 131));
    let text = info(&table, &[]);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("  20") && line.contains("##"))
        .collect();
    assert_eq!(lines.len(), 100);
    let longest = text
        .lines()
        .filter(|line| line.contains('#'))
        .map(str::len)
        .max();
    assert!(longest.unwrap() <= 90, "{longest:?}");
    let odd: Vec<usize> = (0..100).filter(|at| lines[*at].contains('+')).collect();
    assert_eq!(odd, [42], "one run has a hole, in a sign of several steps");
    // 3 steps to a sign: step 131 is in the 44th.
    assert_eq!(
        lines[42].split_whitespace().nth(1).unwrap().find('+'),
        Some(43)
    );
}

#[test]
fn sizes_and_coverage_add_up() {
    let table = archive(3, 4, |run, step| run == 1 && step > 1);
    let told: serde_json::Value = serde_json::from_str(&info(&table, &["--json"])).unwrap();
    let rows = table.rows.len() as u64;
    assert_eq!(told["messages"], rows);
    assert_eq!(told["real_bytes"], rows * 1000);
    assert_eq!(told["virtual_bytes"], rows * 61 * 120 * 4);
    let coverage: Vec<&str> = told["groups"][0]["coverage"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["steps"].as_str().unwrap())
        .collect();
    assert_eq!(coverage, ["cccc", "cc..", "cccc"]);
    assert_eq!(told["not_placed"], serde_json::json!([]));
}

#[test]
fn what_has_not_arrived_is_pending_and_listed() {
    let mut table = archive(2, 3, |_, _| false);
    let late = table.rows.last_mut().unwrap();
    late.status = Status::Pending;
    late.length = None;
    late.reason = Some("it has not arrived".into());
    let told: serde_json::Value = serde_json::from_str(&info(&table, &["--json"])).unwrap();
    assert_eq!(told["groups"][0]["coverage"][1]["steps"], "cc?");
    assert_eq!(told["not_placed"][0]["reason"], "it has not arrived");
    assert_eq!(told["unknown_lengths"], 0, "it has no length yet");
    assert!(info(&table, &[]).contains("##?"));
}

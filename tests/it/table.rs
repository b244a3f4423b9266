//! The table's Parquet form: what is written is read, stays small, and damaged files are errors.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "the numbers are small"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gribfs::grib::identity::{Identity, Parameter, Surface};
use gribfs::location::Location;
use gribfs::table::atomic::write_file_atomically;
use gribfs::table::manifest::{Manifest, TableId};
use gribfs::table::merge::merge;
use gribfs::table::read::{TableFile, read, read_summary};
use gribfs::table::row::{GridRecord, Kind, Object, Row, Status, Table};
use gribfs::table::schema::{KindColumns, TableError};
use gribfs::table::write::write;
use gribfs::time::{Instant, Window};
use proptest::prelude::*;

/// Numbers that look random and are the same in every run (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }
}

fn identity(number: u8, level: i64, ensemble: bool) -> Identity {
    Identity {
        parameter: Parameter {
            discipline: 0,
            category: number / 20,
            number: number % 20,
            centre: 7,
            sub_centre: 0,
            master_table: 2,
            local_table: 1,
        },
        surfaces: (
            Surface {
                kind: 100,
                scaled: Some((0, level)),
            },
            Surface::NONE,
        ),
        statistic: None,
        generating_process: 2,
        ensemble,
        derived: None,
        probability: None,
        percentile: None,
        constituent: None,
        further: None,
    }
}

fn kinds(count: usize, ensemble: bool) -> Vec<Kind> {
    (0..count)
        .map(|index| {
            let (number, level) = ((index / 20) as u8, 50 * (1 + index as i64 % 20));
            Kind {
                identity: Some(identity(number, 100 * level, ensemble)),
                bucket_seconds: None,
                grid: Some(0),
                words: format!("VAR{number}:{level} mb"),
            }
        })
        .collect()
}

fn naming(kind: &Kind) -> KindColumns {
    let Some(identity) = &kind.identity else {
        return KindColumns::default();
    };
    let parameter = identity.parameter;
    KindColumns {
        varname: format!("p{}_{}", parameter.category, parameter.number),
        type_of_level: "isobaricInhPa".to_owned(),
        step_type: if kind.bucket_seconds.is_some() {
            "accum"
        } else {
            "instant"
        }
        .to_owned(),
        name: format!("Parameter {} of {}", parameter.number, parameter.category),
        units: "K".to_owned(),
        level: identity.surfaces.0.value().map(|pascal| pascal / 100.0),
        level2: None,
    }
}

fn run() -> Instant {
    Instant::from_calendar(2026, 11, 22, 0, 0, 0).unwrap()
}

fn object(url: &str) -> Object {
    Object {
        location: Location::parse(url, Path::new("/")).unwrap(),
        size: None,
        etag: None,
    }
}

fn placed(kind: u32, step_hours: i64, member: Option<i16>, object: u32) -> Row {
    Row {
        kind,
        reference: run(),
        window: Window::instant(3600 * step_hours),
        member,
        object,
        offset: 0,
        length: None,
        field: 0,
        status: Status::Placed,
        reason: None,
    }
}

fn grid() -> GridRecord {
    GridRecord {
        section3: (0..72).collect(),
    }
}

/// Files whose messages lie in an order of their own, each file with every kind for all `members`.
fn product(
    kind_count: usize,
    files: impl Iterator<Item = (i64, Vec<Option<i16>>, String)>,
    sizes: std::ops::Range<u64>,
    listed: bool,
) -> Table {
    let mut random = Random(7);
    let mut table = Table {
        kinds: kinds(kind_count, true),
        grids: vec![grid()],
        complete_runs: vec![run()],
        ..Table::default()
    };
    for (number, (step, members, url)) in files.enumerate() {
        let mut rows: Vec<Row> = members
            .iter()
            .flat_map(|member| {
                (0..kind_count as u32).map(|kind| placed(kind, step, *member, number as u32))
            })
            .collect();
        for index in 1..rows.len() {
            rows.swap(index, random.within(0, index as u64 + 1) as usize);
        }
        let mut offset = 0;
        let last = rows.len() - 1;
        for (index, row) in rows.iter_mut().enumerate() {
            let length = random.within(sizes.start, sizes.end);
            row.offset = offset;
            row.length = (listed || index != last).then_some(length);
            offset += length;
        }
        table.rows.append(&mut rows);
        let mut object = object(&url);
        if listed {
            object.size = Some(offset);
            object.etag = Some(format!("\"{:016x}{:016x}\"", random.next(), random.next()));
        }
        table.objects.push(object);
    }
    table
}

fn gefs(listed: bool) -> Table {
    let files = (0..81).flat_map(|step| {
        (1..=30_i16).map(move |member| {
            let hours = 3 * step;
            let url = format!(
                "s3://noaa-gefs-pds/gefs.20261122/00/atmos/pgrb2ap5/gep{member:02}.t00z.pgrb2a.0p50.f{hours:03}"
            );
            (hours, vec![Some(member)], url)
        })
    });
    product(38, files, 40_000..300_000, listed)
}

fn ecmwf(listed: bool) -> Table {
    let files = (0..85).map(|step| {
        let hours = if step <= 48 { 3 * step } else { 144 + 6 * (step - 48) };
        let url = format!(
            "https://data.ecmwf.int/forecasts/20261122/00z/ifs/0p25/enfo/20261122000000-{hours}h-enfo-ef.grib2"
        );
        (hours, (0..51).map(Some).collect(), url)
    });
    product(160, files, 300_000..800_000, listed)
}

fn gfs(listed: bool) -> Table {
    let files = (0..164).map(|step| {
        let hours = if step <= 120 {
            step
        } else {
            120 + 3 * (step - 120)
        };
        let url =
            format!("s3://noaa-gfs-bdp-pds/gfs.20261122/00/atmos/gfs.t00z.pgrb2.0p25.f{hours:03}");
        (hours, vec![None], url)
    });
    product(743, files, 200_000..1_200_000, listed)
}

fn bytes_of(table: &Table) -> Bytes {
    let mut bytes = Vec::new();
    let summary = write(table, naming, &mut bytes).unwrap();
    assert_eq!(summary.bytes, bytes.len() as u64);
    assert_eq!(summary.rows, table.rows.len() as u64);
    bytes.into()
}

/// Rows with what they refer to, sorted: equal for tables that say the same in another order.
fn content(table: &Table) -> Vec<String> {
    let mut rows: Vec<String> = table
        .rows
        .iter()
        .map(|row| {
            let kind = &table.kinds[row.kind as usize];
            let grid = kind.grid.map(|grid| &table.grids[grid as usize]);
            let object = &table.objects[row.object as usize];
            let kind = (&kind.identity, kind.bucket_seconds, &kind.words);
            let row = Row {
                kind: 0,
                object: 0,
                ..row.clone()
            };
            format!("{kind:?} {grid:?} {object:?} {row:?}")
        })
        .collect();
    rows.sort();
    rows
}

/// CPU time of this thread where the system tells it (other work on the machine does not count), else wall time.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let cpu = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let nanoseconds = text.split(' ').next()?.parse().ok()?;
        Some(Duration::from_nanos(nanoseconds))
    };
    let (clock, before) = (std::time::Instant::now(), cpu());
    let result = work();
    let took = match (before, cpu()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => clock.elapsed(),
    };
    (result, took)
}

#[test]
fn tables_take_at_most_eight_bytes_per_row() {
    for (name, make) in [
        ("GEFS", gefs as fn(bool) -> Table),
        ("ECMWF ensemble", ecmwf),
        ("GFS", gfs),
    ] {
        for listed in [false, true] {
            let table = make(listed);
            let (bytes, written) = timed(|| bytes_of(&table));
            let (back, took) = timed(|| read(bytes.clone()).unwrap());
            let per_row = bytes.len() as f64 / table.rows.len() as f64;
            println!(
                "{name}{}: {} rows, {per_row:.2} bytes per row, CPU time to write {written:.1?}, to read {took:.1?}",
                if listed { " with sizes and ETags" } else { "" },
                table.rows.len()
            );
            assert_eq!(back.rows.len(), table.rows.len());
            assert!(per_row <= 8.0, "{name}: {per_row} bytes per row");
        }
    }
}

#[test]
fn reading_gives_what_was_written_in_canonical_order() {
    let mut table = gefs(true);
    table.rows.truncate(5000);
    let bytes = bytes_of(&table);
    let back = read(bytes.clone()).unwrap();
    assert_eq!(content(&back), content(&table));
    assert_eq!(back.grids, table.grids);
    assert_eq!(back.complete_runs, table.complete_runs);
    assert!(back.rows.is_sorted_by_key(|row| (
        row.kind,
        row.reference,
        row.window.end,
        row.member
    )));
    // Written again, and in another order of rows, kinds and objects: the same bytes.
    assert_eq!(bytes_of(&back), bytes);
    table.rows.reverse();
    table.kinds.reverse();
    table.objects.reverse();
    let (kinds, objects) = (table.kinds.len() as u32, table.objects.len() as u32);
    for row in &mut table.rows {
        row.kind = kinds - 1 - row.kind;
        row.object = objects - 1 - row.object;
    }
    assert_eq!(bytes_of(&table), bytes);
}

#[test]
fn the_summary_knows_the_axes_without_the_rows() {
    let mut table = ecmwf(false);
    table.rows.retain(|row| row.window.end <= 6 * 3600);
    let missing = table.rows.iter().position(|row| row.kind == 3).unwrap();
    table.rows.remove(missing);
    let bytes = bytes_of(&table);
    let summary = read_summary(bytes.clone()).unwrap();
    assert_eq!(summary.rows, table.rows.len() as u64);
    assert_eq!(summary.runs(), vec![run()]);
    assert_eq!(summary.objects, 3);
    assert_eq!(summary.statuses, vec![(Status::Placed, summary.rows)]);
    assert_eq!(
        summary.spans.iter().filter(|span| !span.is_dense()).count(),
        1
    );
    let file = TableFile::open(bytes).unwrap();
    let all = file.rows(0..summary.rows).unwrap();
    for (kind, span) in summary.spans.iter().enumerate() {
        let rows = file
            .rows(span.first_row..span.first_row + span.rows)
            .unwrap();
        assert!(rows.rows.iter().all(|row| row.kind as usize == kind));
        assert_eq!(content(&rows).len() as u64, span.rows);
        assert_eq!(span.windows.len(), 3);
        assert_eq!(span.members.len(), 51);
        let first = &all.rows[span.first_row as usize];
        assert_eq!(rows.rows[0].offset, first.offset);
    }
}

#[test]
fn other_files_are_refused_with_a_reason() {
    for bytes in [&b""[..], b"GRIB", b"PAR1PAR1PAR1", &[0; 4096]] {
        let error = read(Bytes::copy_from_slice(bytes)).unwrap_err();
        println!("{error}");
    }
    let error = read(Bytes::from_static(b"a text that is long enough")).unwrap_err();
    assert_eq!(error.to_string(), "not a gribfs table: not a Parquet file");
}

#[test]
fn rows_that_refer_to_nothing_are_not_written() {
    let mut table = product(
        2,
        [(0, vec![None], "s3://b/k".to_owned())].into_iter(),
        1..9,
        false,
    );
    table.rows[1].object = 5;
    let error = write(&table, naming, Vec::new()).unwrap_err();
    assert!(matches!(error, TableError::Row { row: 1, .. }), "{error}");
    table.rows[1].object = 0;
    table.rows[0].kind = 9;
    assert!(write(&table, naming, Vec::new()).is_err());
    table.rows[0].kind = 0;
    table.rows[0].offset = u64::MAX;
    assert!(write(&table, naming, Vec::new()).is_err());
    table.rows[0].offset = 0;
    table.grids.clear();
    assert!(write(&table, naming, Vec::new()).is_err());
}

#[test]
fn an_empty_table_is_a_table() {
    let table = Table::default();
    assert_eq!(read(bytes_of(&table)).unwrap(), table);
}

#[test]
fn tables_merge_and_share_what_is_equal() {
    let one = gefs(false);
    let mut two = one.clone();
    for row in &mut two.rows {
        row.reference = run().plus(6 * 3600);
    }
    let rows = one.rows.len();
    let merged = merge(vec![one.clone(), two]).unwrap();
    assert_eq!(merged.rows.len(), 2 * rows);
    assert_eq!(merged.kinds.len(), one.kinds.len());
    assert_eq!(merged.objects.len(), one.objects.len());
    assert_eq!(merged.grids.len(), 1);
    assert_eq!(merge(vec![one.clone()]).unwrap(), one);
}

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let mut table = gefs(true);
    table.rows.truncate(600);
    table.rows[5].reason = Some(Arc::from("its index line makes no sense"));
    table.rows[5].status = Status::Unplaced;
    let bytes = bytes_of(&table);
    for cut in (0..bytes.len()).step_by(97) {
        assert!(read(bytes.slice(..cut)).is_err(), "cut at {cut}");
    }
    let mut random = Random(3);
    let expected = content(&table);
    let (mut refused, mut unharmed) = (0, 0);
    for _ in 0..3000 {
        let mut damaged = bytes.to_vec();
        for _ in 0..random.within(1, 4) {
            let at = random.within(0, damaged.len() as u64) as usize;
            damaged[at] ^= 1 << random.within(0, 8);
        }
        match read(Bytes::from(damaged)) {
            Ok(back) => {
                // What is not noticed must not matter (statistics, say).
                unharmed += 1;
                assert!(content(&back) == expected);
            }
            Err(TableError::Damaged { reason }) => {
                refused += 1;
                if reason.contains("cannot be decoded") {
                    println!("fenced: {reason}");
                }
            }
            Err(_) => refused += 1,
        }
    }
    println!("{refused} refused, {unharmed} read");
    assert!(refused > 0);
}

#[test]
fn a_manifest_gives_back_the_summaries_of_its_tables() {
    let mut tables = Vec::new();
    let base = product(
        40,
        (0..20).map(|step| (step, vec![None], format!("s3://b/f{step:03}"))),
        1..9,
        false,
    );
    for number in 0..50_i64 {
        let mut table = base.clone();
        for row in &mut table.rows {
            row.reference = run().plus(number * 21_600);
        }
        table.complete_runs = vec![run().plus(number * 21_600)];
        if number % 10 == 3 {
            // Half a run: another layout; and a second run in some rows only.
            table.rows.retain(|row| row.window.end < 36_000);
            table.complete_runs.clear();
            table.rows[0].reference = run();
        }
        let bytes = bytes_of(&table);
        let id = TableId {
            name: format!("{}.parquet", run().plus(number * 21_600).path_name()),
            size: bytes.len() as u64,
            version: Some(format!("\"{number}\"")),
        };
        tables.push((id, read_summary(bytes).unwrap()));
    }
    let bytes = Manifest::encode(tables.iter().rev().map(|(id, summary)| (id, summary))).unwrap();
    println!("{} bytes for {} tables", bytes.len(), tables.len());
    let manifest = Manifest::decode(&bytes).unwrap();
    assert!(manifest.layouts.len() <= 6);
    assert_eq!(manifest.kinds.len(), 40);
    for (id, summary) in &tables {
        let entry = manifest.find(id).unwrap();
        assert_eq!(&manifest.summary(entry), summary);
    }
    let stale = TableId {
        size: 1,
        ..tables[0].0.clone()
    };
    assert_eq!(manifest.find(&stale), None);
    let mut random = Random(5);
    for _ in 0..500 {
        let mut damaged = bytes.clone();
        let at = random.within(0, damaged.len() as u64) as usize;
        damaged[at] ^= 1 << random.within(0, 8);
        if let Ok(back) = Manifest::decode(&damaged) {
            assert_eq!(back, manifest);
        }
        assert!(Manifest::decode(&bytes[..at]).is_err());
    }
}

/// Runs a script over a table in a Python that has pandas and pyarrow, and whichever of `DuckDB` and Polars there are.
#[test]
fn pandas_polars_and_duckdb_read_the_columns() {
    let Some(python) = std::env::var_os("GRIBFS_PYTHON") else {
        println!("skipped: GRIBFS_PYTHON is not set");
        return;
    };
    let mut table = gefs(true);
    table.rows.truncate(76);
    table.rows[3].status = Status::Pending;
    table.rows[3].reason = Some(Arc::from("not there yet"));
    table.rows[4].length = None;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    write_file_atomically(&path, &bytes_of(&table)).unwrap();
    let output = std::process::Command::new(python)
        .args(["-c", READERS])
        .arg(&path)
        .output()
        .unwrap();
    println!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success());
}

const READERS: &str = r#"
import base64, json, sys, importlib
path = sys.argv[1]
import pandas, pyarrow.parquet as pq
f = pandas.read_parquet(path)
assert len(f) == 76, len(f)
row = f[(f.varname == "p0_0") & (f.level == 50) & (f.number == 2)].iloc[0]
assert row.typeOfLevel == "isobaricInhPa" and row.stepType == "instant" and row.units == "K"
assert row.time == pandas.Timestamp("2026-11-22") and row.step == pandas.Timedelta(0)
assert row.valid_time == row.time + row.step
assert row.uri.endswith("gep02.t00z.pgrb2a.0p50.f000"), row.uri
assert 40_000 <= row.length < 300_000 and row.offset >= 0
assert f.length.isna().sum() == 1 and f.level2.isna().all()
assert (f.status == "pending").sum() == 1 and f.reason.notna().sum() == 1
assert f.number.dropna().astype(int).between(1, 2).all()
meta = pq.read_metadata(path).metadata
assert meta[b"gribfs.schema_version"] == b"1"
assert len(base64.b64decode(json.loads(meta[b"gribfs.grids"])[0])) == 72
print("pandas", pandas.__version__, dict(f.dtypes.astype(str)))
def have(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        print("skipped:", name, "is not installed")
if have("polars"):
    import polars
    p = polars.read_parquet(path)
    q = p.filter((polars.col("varname").cast(str) == "p0_0") & (polars.col("level") == 50) & (polars.col("number") == 2)).row(0, named=True)
    assert q["uri"] == row.uri and q["offset"] == row.offset and q["length"] == row.length
    assert q["time"] == row.time.to_pydatetime() and q["step"].total_seconds() == 0
    print("polars", polars.__version__, dict(p.schema))
if have("duckdb"):
    import duckdb
    got = duckdb.sql(f'''select uri, "offset", length, time, step, valid_time, number from '{path}'
        where varname = 'p0_0' and level = 50 and number = 2''').fetchall()
    assert got == [(row.uri, row.offset, row.length, row.time.to_pydatetime(), 0, row.time.to_pydatetime(), 2)], got
    print("duckdb", duckdb.__version__, duckdb.sql(f"describe select * from '{path}'").fetchall())
"#;

fn statuses() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL.to_vec())
}

prop_compose! {
    fn rows()(
        kind in 0_u32..4,
        hour in -30_i64..30,
        end in -100_000_i64..10_000_000,
        length_of_window in 0_i64..100_000,
        member in prop::option::of(i16::MIN..=i16::MAX),
        object in 0_u32..3,
        offset in 0_u64..=i64::MAX as u64,
        length in prop::option::of(0_u64..=i64::MAX as u64),
        field in 0_u16..=u16::MAX,
        status in statuses(),
        reason in prop::option::of("[ -~]{0,12}"),
    ) -> Row {
        Row {
            kind,
            reference: run().plus(3600 * hour),
            window: Window { start: end - length_of_window, end },
            member,
            object,
            offset,
            length,
            field,
            status,
            reason: reason.map(Arc::from),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_rows_come_back(rows in prop::collection::vec(rows(), 0..200)) {
        let mut table_kinds = kinds(3, false);
        table_kinds.push(Kind { identity: None, bucket_seconds: Some(21_600), grid: None, words: "APCP:surface".to_owned() });
        let table = Table {
            kinds: table_kinds,
            grids: vec![grid()],
            objects: vec![
                object("s3://bucket/a"),
                Object { size: Some(12), ..object("s3://bucket/a") },
                Object { etag: Some(String::new()), ..object("file:///data/b%20c") },
            ],
            rows,
            complete_runs: vec![run()],
        };
        let bytes = bytes_of(&table);
        let back = read(bytes.clone()).unwrap();
        prop_assert_eq!(content(&back), content(&table));
        prop_assert_eq!(bytes_of(&back), bytes);
    }
}

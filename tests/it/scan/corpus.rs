//! The shared corpus.

use super::*;

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

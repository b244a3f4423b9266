//! Runs that are still arriving, shorthands, and folders of many tables.

use super::*;

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

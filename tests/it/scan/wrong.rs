//! Index files that do not fit their GRIB.

use super::*;

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
    // Each message once; the last of each file is looked at anyway.
    assert_eq!(reads, table.rows.len() + STEPS.len());

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

/// Puts a file of the fixtures with an index of its own making; gives what became of it and its remark.
fn indexed_with(bed: &Bed, change: impl Fn(String) -> String) -> (Table, Account) {
    for step in [3, 6, 9] {
        bed.arrive("00", step, true);
    }
    let path = format!("{}.idx", product_path("00", 9));
    let text = String::from_utf8(bed.server.object(&path).unwrap()).unwrap();
    bed.server.put(&path, change(text).into_bytes());
    bed.index(bed.sources("00", &[3, 6, 9]), &ScanConfig::default())
}

/// Holds that the index was not believed, and that every message is in the table all the same.
fn is_rescanned(bed: &Bed, (table, account): (Table, Account), words: &str) {
    assert_eq!(
        (account.indexed_files, account.scanned_files),
        (2, 1),
        "{words}: {:?}",
        account.remarks
    );
    let remark = &account.remarks[0];
    assert!(
        remark.contains("f009.idx") && remark.contains(words) && remark.contains("walked instead"),
        "{words}: {remark}"
    );
    let scan = ScanConfig {
        always_scan: true,
        refresh: true,
        ..ScanConfig::default()
    };
    let (walked, _) = bed.index(bed.sources("00", &[3, 6, 9]), &scan);
    assert_eq!(places(&table), places(&walked), "{words}");
}

/// What each row is and where it lies.
fn places(table: &Table) -> Vec<String> {
    let mut places: Vec<String> = table
        .rows
        .iter()
        .map(|row| {
            let identity = &table.kinds[row.kind as usize].identity;
            let object = &table.objects[row.object as usize].location;
            let place = (row.offset, row.length, row.status.as_str());
            format!("{object} {place:?} {:?} {identity:?}", row.window)
        })
        .collect();
    places.sort();
    places
}

fn cut_at_line(text: &str, count: usize) -> String {
    text.split_inclusive('\n').take(count).collect()
}

#[test]
fn an_index_that_lacks_its_end_is_noticed() {
    let bed = Bed::new();
    let outcome = indexed_with(&bed, |text| cut_at_line(&text, 5));
    is_rescanned(&bed, outcome, "the object goes on for");
}

#[test]
fn an_index_that_goes_on_past_the_object_is_noticed() {
    let bed = Bed::new();
    let outcome = indexed_with(&bed, |text| {
        text + "99:99999999:d=2026112200:HGT:surface:9 hour fcst:\n"
    });
    is_rescanned(&bed, outcome, "99999999");
}

#[test]
fn an_index_of_another_state_of_the_file_is_noticed() {
    // Every message a little longer than it is now, the words the same.
    let bed = Bed::new();
    let outcome = indexed_with(&bed, |text| {
        let lines = text.lines().map(|line| {
            let mut parts: Vec<String> = line.split(':').map(str::to_owned).collect();
            let offset: u64 = parts[1].parse().unwrap();
            parts[1] = (offset + offset / 1000).to_string();
            parts.join(":") + "\n"
        });
        lines.collect()
    });
    is_rescanned(&bed, outcome, "message at byte");
}

#[test]
fn an_index_of_another_run_is_noticed() {
    let bed = Bed::new();
    let outcome = indexed_with(&bed, |text| text.replace("d=2026112200", "d=2026112118"));
    is_rescanned(
        &bed,
        outcome,
        "is of the run 2026-11-21T18, the URL says 2026-11-22T00",
    );
}

#[test]
fn an_index_whose_offsets_do_not_ascend_is_noticed() {
    let bed = Bed::new();
    let outcome = indexed_with(&bed, |text| {
        let mut lines: Vec<&str> = text.lines().collect();
        let (a, b) = (
            lines[2].split(':').nth(1).unwrap(),
            lines[3].split(':').nth(1).unwrap(),
        );
        let (third, fourth) = (lines[2].replace(a, b), lines[3].replace(b, a));
        (lines[2], lines[3]) = (&third, &fourth);
        lines.join("\n") + "\n"
    });
    is_rescanned(&bed, outcome, "contradict each other");
}

#[test]
fn a_wrong_offset_in_the_middle_of_a_file_on_disk_is_noticed() {
    let bed = Bed::new();
    let folder = bed.folder.path().join("grib");
    fs::create_dir(&folder).unwrap();
    for step in [3, 6] {
        let path = folder.join(format!("gfs.20261122.t00z.pgrb2.f{step:03}"));
        fs::copy(fixture("00", step), &path).unwrap();
        let index = fs::read_to_string(format!("{}.idx", fixture("00", step).display())).unwrap();
        let wrong = |line: &str| {
            let parts: Vec<&str> = line.split(':').collect();
            let offset: u64 = parts[1].parse().unwrap();
            line.replacen(parts[1], &(offset + 1).to_string(), 1)
        };
        let lines = index.lines().enumerate();
        let text: Vec<String> = lines
            .map(|(number, line)| match (step, number) {
                (6, 4) => wrong(line),
                _ => line.to_owned(),
            })
            .collect();
        fs::write(format!("{}.idx", path.display()), text.join("\n") + "\n").unwrap();
    }
    let pattern = format!("{}/", folder.display());
    let sources = bed
        .runtime
        .block_on(expand(&pattern, Path::new("/"), &bed.storage))
        .unwrap();
    let (_, account) = bed.index(sources, &ScanConfig::default());
    assert_eq!((account.indexed_files, account.scanned_files), (1, 1));
    assert!(
        account.remarks[0].contains("does not begin with GRIB"),
        "{:?}",
        account.remarks
    );
}

#[test]
fn ranges_that_overlap_are_noticed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/archive/ecmwf/20261122/00z/ifs/3p00/enfo");
    let bed = Bed::new();
    let stem = folder.join("20261122000000-6h-enfo-ef");
    let text = fs::read_to_string(stem.with_extension("index")).unwrap();
    let text = text.replacen("\"_offset\": 5370,", "\"_offset\": 5300,", 1);
    let path = "/20261122/00z/ifs/3p00/enfo/20261122000000-6h-enfo-ef";
    bed.server.put(&format!("{path}.index"), text);
    bed.server.put(
        &format!("{path}.grib2"),
        fs::read(stem.with_extension("grib2")).unwrap(),
    );
    let url = bed.server.url(&format!("{path}.grib2"));
    let sources = vec![Source::named(
        Location::parse(&url, Path::new("/")).unwrap(),
    )];
    let (_, account) = bed.index(sources, &ScanConfig::default());
    assert_eq!((account.indexed_files, account.scanned_files), (0, 1));
    assert!(
        account.remarks[0].contains("begins inside"),
        "{:?}",
        account.remarks
    );
}

#[test]
fn a_grib_that_is_missing_beside_a_good_index_is_pending() {
    let bed = Bed::new();
    for step in [3, 6, 9] {
        bed.arrive("00", step, true);
    }
    bed.server.remove(&product_path("00", 9));
    let (table, account) = bed.index(bed.sources("00", &[3, 6, 9]), &ScanConfig::default());
    assert!(table.complete_runs.is_empty());
    let pending = table
        .rows
        .iter()
        .filter(|row| row.status == Status::Pending);
    assert!(pending.clone().count() > 10);
    assert!(pending.clone().all(|row| row.window.end == 9 * 3600));
    assert_eq!(account.problems.len(), 1, "{:?}", account.problems);
}

#[test]
fn a_file_is_looked_at_by_one_read_of_16_bytes() {
    let bed = Bed::new();
    for step in STEPS {
        bed.arrive("00", step, true);
    }
    bed.index(bed.sources("00", &STEPS), &ScanConfig::default());
    bed.server.forget();
    let again = ScanConfig {
        refresh: true,
        ..ScanConfig::default()
    };
    let (table, _) = bed.index(bed.sources("00", &[6]), &again);
    let path = product_path("00", 6);
    let sixteen = |seen: &crate::support::http::Seen| {
        let range = seen.range.as_deref().unwrap_or_default();
        let (from, to) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        to.parse::<u64>().unwrap() - from.parse::<u64>().unwrap() == 15
    };
    let reads = bed.server.requests_of(&path);
    assert_eq!(reads.iter().filter(|seen| sixteen(seen)).count(), 1);
    // Which tells the size, and so the length of the last message.
    let size = fs::metadata(fixture("00", 6)).unwrap().len();
    let object = table
        .objects
        .iter()
        .position(|object| object.location.as_str().ends_with("f006"));
    assert_eq!(table.objects[object.unwrap()].size, Some(size));
    assert!(table.rows.iter().all(|row| row.length.is_some()));
}

#[test]
fn messages_of_one_identity_and_different_lengths_are_conflicting() {
    let bed = Bed::new();
    // At 6 h bucket and total have the same words: a third copy, of another length, is no twin of theirs.
    for step in [3, 6] {
        bed.arrive("00", step, true);
    }
    let (path, index) = (
        product_path("00", 6),
        format!("{}.idx", product_path("00", 6)),
    );
    let text = String::from_utf8(bed.server.object(&index).unwrap()).unwrap();
    let (_, before) = bed.index(bed.sources("00", &[3, 6]), &ScanConfig::default());
    let twins = before.twins;
    assert!(twins > 0 && before.is_complete());
    let line = text.lines().find(|line| line.contains(":TMP:2 m")).unwrap();
    let wind = text
        .lines()
        .find(|line| line.contains(":UGRD:10 m"))
        .unwrap();
    let offset = |line: &str| line.split(':').nth(1).unwrap().parse::<usize>().unwrap();
    let mut grib = bed.server.object(&path).unwrap();
    let length = |grib: &[u8], at: usize| {
        usize::try_from(u64::from_be_bytes(
            grib[at + 8..at + 16].try_into().unwrap(),
        ))
        .unwrap()
    };
    // The wind with the head of the temperature before its data: another length, the same identity.
    let (t, u) = (offset(line), offset(wind));
    assert_ne!(length(&grib, t), length(&grib, u));
    let mut copy = grib[u..u + length(&grib, u)].to_vec();
    let section4 = |grib: &[u8], from: usize| {
        let mut at = from + 16;
        while grib[at + 4] != 4 {
            at +=
                usize::try_from(u32::from_be_bytes(grib[at..at + 4].try_into().unwrap())).unwrap();
        }
        at
    };
    let (to, from) = (section4(&copy, 0), section4(&grib, t));
    copy[to..to + 34].copy_from_slice(&grib[from..from + 34]);
    let end = grib.len();
    grib.extend(copy);
    bed.server.put(&path, grib);
    let words: Vec<&str> = line.split(':').skip(2).collect();
    bed.server
        .put(&index, format!("{text}99:{end}:{}\n", words.join(":")));
    let again = ScanConfig {
        refresh: true,
        ..ScanConfig::default()
    };
    let (table, account) = bed.index(bed.sources("00", &[3, 6]), &again);
    assert_eq!(by_status(&table)["conflict"], 2);
    assert_eq!(account.twins, twins);
    assert!(!account.is_complete());
    assert!(
        account
            .problems
            .iter()
            .all(|problem| problem.status == Status::Conflict)
    );
}

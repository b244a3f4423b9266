//! Ensembles: the control in files of its own, pairs of perturbations, members that only the file's name or the header tells.

use gribfs::dataset::{Archive, CellState, Collection};
use serde_json::{Value, json};

use super::*;

/// A message of the fixtures' ECMWF ensemble with its index line.
struct Member {
    line: Value,
    message: Vec<u8>,
}

impl Member {
    fn is_control(&self) -> bool {
        self.line["type"] == "cf"
    }

    /// As a deterministic forecast: no octets of an ensemble in section 4 (template 0 for 1, 8 for 11), no word of it in the line.
    fn deterministic(mut self) -> Self {
        let mut at = 16;
        while self.message[at + 4] != 4 {
            at += usize::try_from(u32_at(&self.message, at)).unwrap();
        }
        let template = u16::from_be_bytes([self.message[at + 7], self.message[at + 8]]);
        let plain: u16 = if template == 1 { 0 } else { 8 };
        assert!(matches!(template, 1 | 11), "{template}");
        self.message[at + 7..at + 9].copy_from_slice(&plain.to_be_bytes());
        let length = u32_at(&self.message, at) - 3;
        self.message[at..at + 4].copy_from_slice(&length.to_be_bytes());
        self.message.drain(at + 34..at + 37);
        let total = self.message.len() as u64;
        self.message[8..16].copy_from_slice(&total.to_be_bytes());
        self.line["type"] = json!("fc");
        self.line["stream"] = json!("oper");
        self
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The messages of one step.
fn ecmwf(step: u32) -> Vec<Member> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/archive/ecmwf/20261122/00z/ifs/3p00/enfo");
    let stem = folder.join(format!("20261122000000-{step}h-enfo-ef"));
    let grib = fs::read(stem.with_extension("grib2")).unwrap();
    let text = fs::read_to_string(stem.with_extension("index")).unwrap();
    let member = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = |key: &str| usize::try_from(line[key].as_u64().unwrap()).unwrap();
        let (offset, length) = (number("_offset"), number("_length"));
        Member {
            message: grib[offset..offset + length].to_vec(),
            line,
        }
    };
    text.lines().map(member).collect()
}

/// Puts messages as one file with its index at a path without suffix.
fn put(bed: &Bed, stem: &str, members: Vec<Member>) {
    let (mut grib, mut text) = (Vec::new(), String::new());
    for Member { mut line, message } in members {
        line["_offset"] = json!(grib.len());
        line["_length"] = json!(message.len());
        text += &format!("{line}\n");
        grib.extend(message);
    }
    bed.server.put(&format!("{stem}.index"), text);
    bed.server.put(&format!("{stem}.grib2"), grib);
}

/// Members, and how many cells each array has.
fn cells(table: &Table) -> (Vec<i16>, BTreeMap<String, usize>) {
    let collection = Collection::build(Archive::of_table(std::sync::Arc::new(table.clone())), None);
    assert_eq!(collection.groups.len(), 1);
    let group = &collection.groups[0];
    let arrays = group
        .arrays
        .iter()
        .inspect(|array| assert!(array.members, "{}", array.naming.array))
        .map(|array| (array.naming.array.clone(), array.cells.present()));
    (group.members.clone(), arrays.collect())
}

fn index_shorthand(bed: &Bed, text: &str) -> Table {
    let root = bed.server.url("");
    let table = bed.folder.path().join("table");
    let arguments = [
        "index",
        text,
        "--root",
        &root,
        "-o",
        table.to_str().unwrap(),
    ];
    let (code, text) = gribfs(&arguments);
    assert_eq!(code, Some(0), "{text}");
    bed.load()
}

/// What the fixtures have in all: 4 members, 2 steps; precipitation at one of them.
fn all_cells() -> (Vec<i16>, BTreeMap<String, usize>) {
    let arrays = [("t2m", 8), ("tp", 4), ("u", 16)];
    let arrays = arrays.map(|(name, count)| (name.to_owned(), count));
    (vec![0, 1, 2, 3], BTreeMap::from(arrays))
}

#[test]
fn the_control_in_the_files_of_the_deterministic_forecast_is_member_0() {
    let bed = Bed::new();
    for step in [0, 6] {
        let (control, members): (Vec<_>, Vec<_>) =
            ecmwf(step).into_iter().partition(Member::is_control);
        let control = control.into_iter().map(Member::deterministic).collect();
        let path = |stream: &str, kind: &str| {
            format!("/20261122/00z/ifs/0p25/{stream}/20261122000000-{step}h-{stream}-{kind}")
        };
        put(&bed, &path("oper", "fc"), control);
        put(&bed, &path("enfo", "ef"), members);
    }
    let table = index_shorthand(&bed, "ecmwf-ens:2026-11-22T00/0..6..6");
    assert_eq!(table.complete_runs, [run("2026-11-22T00")]);
    assert_eq!(cells(&table), all_cells());
    // For those who read the table as it is.
    for row in &table.rows {
        let object = table.objects[row.object as usize].location.as_str();
        assert_eq!(
            row.member == Some(0),
            object.contains("oper-fc"),
            "{object}"
        );
        assert!(row.member.is_some());
    }

    // One of the two missing leaves the run incomplete, and the control's cells are no gaps.
    bed.server
        .remove("/20261122/00z/ifs/0p25/oper/20261122000000-6h-oper-fc.index");
    bed.server
        .remove("/20261122/00z/ifs/0p25/oper/20261122000000-6h-oper-fc.grib2");
    let other = Location::from_path(&bed.folder.path().join("other"));
    let root = bed.server.url("");
    let (code, text) = gribfs(&[
        "index",
        "ecmwf-ens:2026-11-22T00/0..6..6",
        "--root",
        &root,
        "-o",
        other.to_path().unwrap().to_str().unwrap(),
    ]);
    assert_eq!(code, Some(1), "{text}");
    let table = bed.runtime.block_on(load(&other, &bed.storage)).unwrap();
    assert!(table.complete_runs.is_empty());
    assert!(by_status(&table)["pending"] > 0);
}

#[test]
fn control_and_members_of_aifs_come_in_two_files() {
    let bed = Bed::new();
    for step in [0, 6] {
        let (control, members): (Vec<_>, Vec<_>) =
            ecmwf(step).into_iter().partition(Member::is_control);
        let path = |kind: &str| {
            format!("/20261122/00z/aifs-ens/0p25/enfo/20261122000000-{step}h-enfo-{kind}")
        };
        put(&bed, &path("cf"), control);
        put(&bed, &path("pf"), members);
    }
    let table = index_shorthand(&bed, "aifs-ens:2026-11-22T00/0..6");
    assert_eq!(table.complete_runs, [run("2026-11-22T00")]);
    assert_eq!(cells(&table), all_cells());
}

#[test]
fn a_deterministic_forecast_beside_an_ensemble_with_its_own_control_is_not_taken_for_it() {
    let bed = Bed::new();
    let mut sources = Vec::new();
    for step in [0, 6] {
        let control = ecmwf(step).into_iter().filter(Member::is_control);
        let deterministic = control.map(Member::deterministic).collect();
        let path = |stream: &str, kind: &str| {
            format!("/20260101/00z/ifs/0p25/{stream}/{step}h-{stream}-{kind}")
        };
        put(&bed, &path("oper", "fc"), deterministic);
        put(&bed, &path("enfo", "ef"), ecmwf(step));
        for stem in [path("oper", "fc"), path("enfo", "ef")] {
            let url = bed
                .server
                .url(&format!("{}.grib2", stem.replace("20260101", "x")));
            let (from, to) = (format!("{stem}.grib2"), stem.replace("20260101", "x"));
            bed.server
                .put(&format!("{to}.grib2"), bed.server.object(&from).unwrap());
            let index = bed.server.object(&format!("{stem}.index")).unwrap();
            bed.server.put(&format!("{to}.index"), index);
            sources.push(Source::named(
                Location::parse(&url, Path::new("/")).unwrap(),
            ));
        }
    }
    let (table, account) = bed.index(sources, &ScanConfig::default());
    assert!(account.is_complete(), "{:?}", account.problems);
    assert_eq!(cells(&table), all_cells());
    let table = std::sync::Arc::new(table);
    let archive = Archive::of_table(std::sync::Arc::clone(&table));
    let collection = Collection::build(archive, None);
    for array in &collection.groups[0].arrays {
        for (key, row) in array.cells.iter() {
            let row = usize::try_from(row).unwrap();
            let object = table.rows[row].object as usize;
            let object = table.objects[object].location.as_str();
            let present = matches!(array.cells.get(key), CellState::Present(_));
            assert!(present && object.contains("enfo-ef"), "{object}");
        }
    }
}

/// A file of the GEFS fixtures as another member: kind and number in the header, `words` in place of `ENS=+1`.
fn gefs(bed: &Bed, name: &str, kind: u8, number: u8, words: &str) -> Source {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/archive/gefs.20261122/00/atmos/pgrb2ap5");
    let path = folder.join("gep01.t00z.pgrb2a.3p00.f006");
    let mut grib = fs::read(&path).unwrap();
    let text = fs::read_to_string(format!("{}.idx", path.display())).unwrap();
    let mut start = 0;
    while start < grib.len() {
        let mut at = start + 16;
        while grib[at + 4] != 4 {
            at += usize::try_from(u32_at(&grib, at)).unwrap();
        }
        assert_eq!(grib[at + 34..at + 36], [3, 1]);
        grib[at + 34..at + 36].copy_from_slice(&[kind, number]);
        start += usize::try_from(u32_at(&grib, start + 12)).unwrap();
    }
    let path = format!("/{name}.t00z.pgrb2a.3p00.f006");
    bed.server
        .put(&format!("{path}.idx"), text.replace(":ENS=+1", words));
    bed.server.put(&path, grib);
    Source::named(Location::parse(&bed.server.url(&path), Path::new("/")).unwrap())
}

#[test]
fn pairs_of_perturbations_are_two_members() {
    let bed = Bed::new();
    let sources = vec![
        gefs(&bed, "control", 1, 0, ":ENS=low-res ctl"),
        gefs(&bed, "n1", 2, 1, ":ENS=-1"),
        gefs(&bed, "n2", 2, 2, ":ENS=-2"),
        gefs(&bed, "p1", 3, 1, ":ENS=+1"),
        gefs(&bed, "p2", 3, 2, ":ENS=+2"),
    ];
    let (table, account) = bed.index(sources.clone(), &ScanConfig::default());
    assert!(account.is_complete(), "{:?}", account.problems);
    assert_eq!((account.indexed_files, account.scanned_files), (5, 0));
    let (members, arrays) = cells(&table);
    assert_eq!(members, [-2, -1, 0, 1, 2]);
    assert!(arrays.values().all(|present| *present == 5), "{arrays:?}");
    // Their headers say the same.
    let scan = ScanConfig {
        always_scan: true,
        refresh: true,
        ..ScanConfig::default()
    };
    let (walked, _) = bed.index(sources, &scan);
    assert_eq!(cells(&walked), (members, arrays));
    // And so does what is read back from the table's file.
    assert_eq!(cells(&bed.load()).0, [-2, -1, 0, 1, 2]);
}

#[test]
fn members_that_the_lines_do_not_name_are_told_by_name_or_header() {
    let bed = Bed::new();
    let sources = vec![
        gefs(&bed, "gep01", 3, 1, ""),
        gefs(&bed, "gep02", 3, 2, ""),
        gefs(&bed, "gep03", 3, 3, ""),
    ];
    let (table, account) = bed.index(sources, &ScanConfig::default());
    assert!(account.is_complete(), "{:?}", account.problems);
    assert_eq!(cells(&table).0, [1, 2, 3]);

    let bed = Bed::new();
    let sources = vec![
        gefs(&bed, "one", 3, 1, ""),
        gefs(&bed, "two", 3, 2, ""),
        gefs(&bed, "three", 2, 3, ""),
    ];
    let (table, account) = bed.index(sources, &ScanConfig::default());
    assert!(account.is_complete(), "{:?}", account.problems);
    assert_eq!(cells(&table).0, [-3, 1, 2]);
}

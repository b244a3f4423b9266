//! Whole files: our own small ones, and the shared folder of real ones against the facts about them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gribfs::index::{
    Dialect, Doubt, IndexFile, KindWords, NoaaLine, Warning, When, parse, parse_level,
};
use gribfs::time::Instant;

use super::reads_again;

fn own(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/index/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

#[test]
fn own_files_that_are_no_index_are_refused_with_their_reason() {
    for (name, reason) in [
        (
            "cut.idx",
            "line 2, the last, is cut off (the forecast time is incomplete)",
        ),
        ("overflown.idx", "line 3: negative offset"),
        ("empty.idx", "empty (0 bytes)"),
        ("not_found.idx", "an HTML page of a server"),
        ("slow_down.index", "an XML answer of a server"),
        ("pickle.idx", "a Python pickle"),
        ("other_producer.index", "no `_offset`, `_length`, `param`"),
        (
            "cut.index",
            "line 2, the last, is cut off (not a JSON object",
        ),
        (
            "throttled.index",
            "line 2: an error body of a server inside the file",
        ),
    ] {
        let error = parse(&own(name), None).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn own_files_of_noaas_dialect_are_read() {
    let read = |name: &str, size, each: &dyn Fn(&IndexFile<'_>)| {
        let bytes = own(name);
        let file = parse(&bytes, size).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!file.asks_rescan(), "{name}: {:?}", file.warnings);
        assert_eq!(file.run(), Instant::parse("2026110106"), "{name}");
        each(&file);
        reads_again(&file, name);
    };
    read("fields_of_a_message.idx", Some(5_000_001_000), &|file| {
        let places = file.lines.iter().map(|line| (line.field, line.length));
        assert_eq!(
            places.collect::<Vec<_>>(),
            [
                (0, Some(5_000_000_000)),
                (1, Some(5_000_000_000)),
                (0, Some(700)),
                (8, Some(300)),
                (9, Some(300))
            ]
        );
    });
    read("bucket_and_total.idx", None, &|file| {
        let repeats = file.lines.iter().map(|line| line.repeat);
        assert_eq!(repeats.collect::<Vec<_>>(), [1, 2, 0]);
    });
    read("times_of_all_kinds.idx", None, &|file| {
        let doubts = file.lines.iter().map(|line| line.doubt);
        let time = Some(Doubt::Time);
        assert_eq!(
            doubts.collect::<Vec<_>>(),
            [time, time, None, None, None, None, time]
        );
        let month = file.lines[5].when.window().unwrap();
        assert_eq!(month.end, 30 * 86_400, "November");
    });
    read("one_parameter_many_kinds.idx", None, &|file| {
        assert_eq!(
            file.kinds.len(),
            9,
            "members share a kind: {:?}",
            file.kinds
        );
        assert_eq!(file.warnings, []);
    });
    read("any_order.idx", None, &|file| {
        let lengths = file.lines.iter().map(|line| line.length);
        assert_eq!(lengths.collect::<Vec<_>>(), [None, Some(1000), Some(1000)]);
    });
    read("crlf_and_blanks.idx", None, &|file| {
        let numbers = file.lines.iter().map(|line| line.line);
        assert_eq!(numbers.collect::<Vec<_>>(), [2, 4]);
    });
    read("no_final_newline.idx", None, &|file| {
        assert_eq!(file.warnings, [Warning::NoFinalNewline]);
        assert_eq!(file.lines[1].doubt, Some(Doubt::Tail));
    });
}

#[test]
fn an_own_file_of_ecmwfs_dialect_is_read() {
    let bytes = own("ensemble.index");
    let file = parse(&bytes, Some(4227)).unwrap();
    assert_eq!(file.warnings, []);
    let numbers = file.lines.iter().map(|line| line.member.map(|m| m.number));
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        [Some(0), Some(21), Some(50), None, None]
    );
    let kinds = file.lines.iter().map(|line| line.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), [0, 1, 1, 2, 3]);
    let window = file.lines[3].when.window();
    assert_eq!(window.map(|window| window.end), Some(86_400));
    assert!(
        matches!(&file.kinds[3].parts, KindWords::Ecmwf(words) if words.is_bufr() && words.get("param") == Some("tf"))
    );
    reads_again(&file, "ensemble.index");
}

/// Where shared test data lies, if it is there.
fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("GRIBFS_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let folder = root.join("index");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no shared test data at {}", root.display());
    None
}

fn count<'s>(texts: impl Iterator<Item = &'s str>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(text.to_owned()).or_insert(0) += 1;
    }
    counts
}

fn counts_of(facts: &serde_json::Value, key: &str) -> BTreeMap<String, u64> {
    let object = facts[key].as_object().unwrap().iter();
    object
        .map(|(key, count)| (key.clone(), count.as_u64().unwrap()))
        .collect()
}

/// Every file of the shared folder: what it holds equals the facts about it, or it is refused for the right reason.
#[test]
fn every_shared_file_is_placed_or_refused_with_its_reason() {
    let Some(folder) = shared() else { return };
    let facts = std::fs::read_to_string(folder.join("facts.json")).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
    let (mut read, mut refused) = (0, 0);
    for (name, facts) in facts.as_object().unwrap() {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let result = parse(&bytes, None);
        let reason = match name.rsplit('/').next().unwrap() {
            "cut_line.idx" => Some("line 3, the last, is cut off"),
            "ecmwf_cut_line.index" => Some("line 2, the last, is cut off"),
            "html_error_page.idx" => Some("an HTML page"),
            "empty.idx" => Some("empty (0 bytes)"),
            "hrrr.t06z.wrfsfcf01-TMP.grib2.9093e.idx" => Some("a Python pickle"),
            "s2s_control_2026-08-10T00Z.grib2.index" => Some("JSON of another dialect"),
            "ref_rrfs.t18z.prslev.f000.grib2.inv" => Some("line 369: negative offset"),
            _ => None,
        };
        if let Some(reason) = reason {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
            refused += 1;
            continue;
        }
        let file = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        read += 1;
        assert_eq!(facts["lines"], file.lines.len(), "{name}");
        let offsets: Vec<u64> = file.lines.iter().map(|line| line.offset).collect();
        assert_eq!(
            facts["offsets"]["sum"],
            offsets.iter().sum::<u64>(),
            "{name}"
        );
        assert_eq!(facts["offsets"]["first"], offsets[0], "{name}");
        assert_eq!(
            facts["offsets"]["last"],
            offsets[offsets.len() - 1],
            "{name}"
        );
        assert!(!file.asks_rescan(), "{name}: {:?}", file.warnings);
        match file.dialect {
            Dialect::Noaa => noaa_facts(name, &file, facts),
            Dialect::Ecmwf => ecmwf_facts(name, &file, facts),
        }
    }
    assert_eq!(refused, 7);
    assert!(read >= 40, "{read}");
}

fn noaa_facts(name: &str, file: &IndexFile<'_>, facts: &serde_json::Value) {
    assert_eq!(facts["dialect"], "noaa", "{name}");
    let fields: Vec<_> = file
        .lines
        .iter()
        .map(|line| NoaaLine::parse(file.source(line)).unwrap())
        .collect();
    let parameters = count(fields.iter().map(|line| line.variable));
    assert_eq!(parameters, counts_of(facts, "parameters"), "{name}");
    let steps = count(fields.iter().map(|line| line.ftime));
    assert_eq!(steps, counts_of(facts, "steps"), "{name}");
    let levels = count(fields.iter().map(|line| line.level));
    assert_eq!(facts["levels"], levels.len(), "{name}");
    let rest = count(fields.iter().map(|line| line.misc));
    assert_eq!(rest, counts_of(facts, "rest"), "{name}");
    let subs = file.lines.iter().filter(|line| line.numbered_field);
    assert_eq!(facts["submessage_lines"], subs.count(), "{name}");
    let seen = file.lines.iter().filter(|line| line.repeat > 1).count();
    assert_eq!(facts["lines_with_an_identity_seen_before"], seen, "{name}");
    let unknown: Vec<_> = levels
        .keys()
        .filter(|level| parse_level(level).is_none())
        .collect();
    let edge = name.starts_with("edge/");
    assert!(unknown.is_empty() || edge, "{name}: {unknown:?}");
    for (line, fields) in file.lines.iter().zip(&fields) {
        let headers = !matches!(line.doubt, None | Some(Doubt::Repeat));
        let excused = edge || fields.ftime.is_empty();
        assert!(!headers || excused, "{name}: {fields}: {:?}", line.doubt);
    }
    let lengths: u64 = file.lines.iter().filter_map(|line| line.length).sum();
    assert!(lengths > 0, "{name}");
    reads_again(file, name);
}

fn ecmwf_facts(name: &str, file: &IndexFile<'_>, facts: &serde_json::Value) {
    assert_eq!(facts["dialect"], "json lines", "{name}");
    let lengths: u64 = file.lines.iter().filter_map(|line| line.length).sum();
    assert_eq!(facts["lengths_sum"], lengths, "{name}");
    let parameters = file
        .lines
        .iter()
        .map(|line| match &file.kind(line).unwrap().parts {
            KindWords::Ecmwf(words) => words.get("param").unwrap(),
            KindWords::Noaa(_) => panic!("NOAA"),
        });
    assert_eq!(count(parameters), counts_of(facts, "parameters"), "{name}");
    let hours: Vec<_> = file
        .lines
        .iter()
        .map(|line| match line.when {
            When::End(step) => (step / 3600).to_string(),
            When::Window(window) => format!("{}-{}", window.start / 3600, window.end / 3600),
            When::Header => "?".to_owned(),
        })
        .collect();
    let hours = count(hours.iter().map(String::as_str));
    assert_eq!(hours, counts_of(facts, "steps"), "{name}");
    reads_again(file, name);
}

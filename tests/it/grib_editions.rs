//! What is not read is told when an archive is indexed: edition 1, packings and grids that are not supported.

use std::fs;
use std::path::Path;

use gribfs::scan::{Account, ScanConfig};
use gribfs::table::row::{Status, Table};
use gribfs::time::Instant;

use crate::grib_corpus::{corpus, samples};
use crate::scan::{by_status, corpus::index_local};

/// What is said of a message of edition 1 that a walk finds.
const REFUSED: &str = "GRIB edition 1 is not supported";

/// A message of edition 1: 2 x 2 points of table 2's temperature at 2 m, on 14 February 2005 at 6 UTC.
fn edition_1() -> Vec<u8> {
    let mut section1 = vec![0, 0, 28, 2, 98, 145, 255, 0x80, 11, 105, 0, 2];
    section1.extend([5, 2, 14, 6, 0, 1, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0]);
    let mut section2 = vec![0, 0, 32, 0, 255, 0, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0x80];
    section2.extend([
        0x80, 0x03, 0xe8, 0, 0x03, 0xe8, 0x03, 0xe8, 0x03, 0xe8, 0, 0, 0, 0, 0,
    ]);
    let section4 = [0, 0, 15, 8, 0, 0, 0x43, 0x11, 0x20, 0, 8, 0, 1, 2, 3];
    let mut message = b"GRIB\0\0\0\x01".to_vec();
    message.extend([&section1[..], &section2, &section4, b"7777"].concat());
    message[6] = u8::try_from(message.len()).unwrap();
    message
}

/// A small message of edition 2.
fn edition_2() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/packings/simple.grib2");
    let mut messages = fs::read(path).unwrap();
    let length = u64::from_be_bytes(messages[8..16].try_into().unwrap());
    messages.truncate(usize::try_from(length).unwrap());
    messages
}

/// Where a section starts in a message of one field.
fn section_at(message: &[u8], number: u8) -> usize {
    let mut at = 16;
    while message[at + 4] != number {
        at += u32::from_be_bytes(message[at..at + 4].try_into().unwrap()) as usize;
    }
    at
}

/// Indexes a file by its headers.
fn index(folder: &Path, name: &str, bytes: &[u8]) -> (Table, Account) {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    index_local(&[path], &ScanConfig::default())
}

#[test]
fn messages_of_edition_1_are_rows_that_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (edition_1(), edition_2());
    let file = [&old[..], &new, &old, b"\0\0", &old].concat();
    let (table, account) = index(folder.path(), "mixed.grib", &file);
    let mut rows: Vec<(u64, Option<u64>, Status)> = table
        .rows
        .iter()
        .map(|row| (row.offset, row.length, row.status))
        .collect();
    let (one, two) = (old.len() as u64, new.len() as u64);
    let expected = [
        (0, Some(one), Status::Unsupported),
        (one, Some(two), Status::Placed),
        (one + two, Some(one), Status::Unsupported),
        (2 * one + two + 2, Some(one), Status::Unsupported),
    ];
    rows.sort_by_key(|row| row.0);
    assert_eq!(rows, expected);
    let reference = Instant::from_calendar(2005, 2, 14, 6, 0, 0).unwrap();
    for row in &table.rows {
        assert_eq!(
            row.reference == reference,
            row.status == Status::Unsupported
        );
    }
    assert_eq!((account.messages, account.placed), (4, 1));
    assert_eq!(account.problems.len(), 3);
    for problem in &account.problems {
        assert_eq!(problem.reason, REFUSED);
    }
}

/// An index file tells nothing of editions: the message itself does.
#[test]
fn a_message_of_edition_1_that_an_index_lists_is_refused_by_its_edition() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (edition_1(), edition_2());
    let line = |number: usize, offset: usize, name: &str| {
        format!("{number}:{offset}:d=2025010100:{name}:surface:anl:\n")
    };
    let lines =
        line(1, 0, "TMP") + &line(2, new.len(), "PRES") + &line(3, new.len() + old.len(), "TMP");
    fs::write(folder.path().join("a.grib2.idx"), lines).unwrap();
    let file = [&new[..], &old, &new].concat();
    let (table, account) = index(folder.path(), "a.grib2", &file);
    assert_eq!(table.rows.len(), 3, "{account:?}");
    let refused: Vec<&str> = account
        .problems
        .iter()
        .map(|problem| problem.reason.as_str())
        .filter(|reason| reason.contains("edition 1"))
        .collect();
    assert_eq!(refused.len(), 1, "{account:?}");
}

#[test]
fn every_message_of_edition_1_of_the_corpus_is_a_row() {
    let Some(corpus) = corpus() else { return };
    let (mut files, mut messages) = (0, 0);
    for sample in samples(&corpus) {
        let listed = sample.expected["messages"].as_array().unwrap();
        let old: Vec<(u64, Option<u64>)> = listed
            .iter()
            .filter(|message| message["edition"] == 1 && message["error"].is_null())
            .map(|message| {
                (
                    message["offset"].as_u64().unwrap(),
                    message["length"].as_u64(),
                )
            })
            .collect();
        if old.is_empty() {
            continue;
        }
        let scan = ScanConfig {
            always_scan: true,
            ..ScanConfig::default()
        };
        let (table, account) = index_local(&[corpus.join(&sample.name)], &scan);
        let mut rows: Vec<(u64, Option<u64>)> = table
            .rows
            .iter()
            .filter(|row| row.reason.as_deref() == Some(REFUSED))
            .inspect(|row| assert_eq!(row.status, Status::Unsupported))
            .map(|row| (row.offset, row.length))
            .collect();
        rows.sort_unstable();
        assert_eq!(rows, old, "{}: {:?}", sample.name, by_status(&table));
        assert!(account.messages >= old.len() as u64);
        files += 1;
        messages += old.len();
    }
    println!("{messages} messages of edition 1 in {files} files");
    assert!(files > 10);
}

/// Spectral fields, fields after a logarithm, and what is local to a centre.
#[test]
fn packings_that_are_not_supported_are_refused_by_name_when_indexed() {
    let folder = tempfile::tempdir().unwrap();
    for (template, name) in [
        (1_u16, "matrix, simple"),
        (50, "spectral, simple"),
        (51, "spectral, complex"),
        (53, "spectral, bi-Fourier"),
        (61, "simple with logarithm pre-processing"),
        (50_000, "local to the centre"),
        (4242, "unknown"),
    ] {
        let mut message = edition_2();
        let at = section_at(&message, 5);
        message[at + 9..at + 11].copy_from_slice(&template.to_be_bytes());
        let (table, account) = index(folder.path(), &format!("{template}.grib2"), &message);
        assert_eq!(by_status(&table), [("unsupported", 1)].into());
        let reason = &account.problems[0].reason;
        assert!(
            reason.contains(name) && reason.contains(&format!("5.{template}")),
            "{template}: {reason}"
        );
    }
}

//! Hostile and odd reference sets: an error or a defect, in bounded time and memory, never a panic.

use std::sync::Arc;

use bytes::Bytes;
use gribfs::refs::{
    ExportArray, RecordSource, Target, parse_literal, read_directory, read_gik, read_json,
    read_k_index, read_record, record_bytes,
};
use proptest::prelude::*;
use serde_json::json;

const SET: &str = r#"{"version":1,"refs":{".zgroup":"{\"zarr_format\":2}","a/.zarray":"{\"shape\":[3,4],\"chunks\":[1,4],\"dtype\":\"<f8\",\"fill_value\":NaN,\"filters\":[{\"id\":\"grib\",\"var\":\"t\"}]}","a/.zattrs":"{\"_ARRAY_DIMENSIONS\":[\"x\",\"y\"]}","a/0.0":["s3://b/k",1,2],"a/2.0":"base64:AAEC"}}"#;

struct Files(Vec<(String, Bytes)>);

impl RecordSource for Files {
    fn record(&self, key: &str) -> Result<Option<Bytes>, String> {
        Ok(self
            .0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, bytes)| bytes.clone()))
    }
}

fn array(chunks: Vec<(u64, Target)>) -> ExportArray {
    ExportArray {
        path: "a".to_owned(),
        zarray: json!({"shape": [5], "chunks": [1], "dtype": "<f8", "zarr_format": 2}),
        zattrs: json!({}),
        grid: vec![5],
        chunks,
    }
}

#[test]
fn what_is_written_as_records_comes_back() {
    let object = |offset, length| Target::Object {
        url: "s3://b/k".to_owned(),
        offset,
        length,
    };
    let chunks = vec![
        (0, object(5, Some(6))),
        (1, Target::Inline(Bytes::from_static(b"x"))),
        (4, object(0, None)),
    ];
    let files = record_bytes(&array(chunks.clone()), 2).unwrap();
    assert_eq!(
        files.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [0, 2],
        "no file for what has no chunk"
    );
    let files = files
        .into_iter()
        .map(|(number, bytes)| (format!("a/refs.{number}.parq"), bytes))
        .collect();
    let metadata =
        json!({"metadata": {"a/.zarray": array(Vec::new()).zarray}, "record_size": 2}).to_string();
    let set = read_directory(metadata.as_bytes(), Arc::new(Files(files))).unwrap();
    let node = set.find("a").unwrap();
    for number in 0..6 {
        let expected = chunks
            .iter()
            .find(|(at, _)| *at == number)
            .map(|(_, target)| target.clone());
        assert_eq!(set.chunk(node, number).unwrap(), expected, "{number}");
    }
    let mut present = Vec::new();
    set.present(node, 1, &mut |number| {
        present.push(number);
        true
    })
    .unwrap();
    assert_eq!(present, [1, 4]);
}

#[test]
fn a_record_that_cannot_be_read_is_an_error_and_not_absence() {
    let metadata =
        json!({"metadata": {"a/.zarray": array(Vec::new()).zarray}, "record_size": 2}).to_string();
    let files = Files(vec![(
        "a/refs.0.parq".to_owned(),
        Bytes::from_static(b"PAR1 no"),
    )]);
    let set = read_directory(metadata.as_bytes(), Arc::new(files)).unwrap();
    let node = set.find("a").unwrap();
    assert!(set.chunk(node, 0).is_err());
    assert_eq!(
        set.chunk(node, 3).unwrap(),
        None,
        "a missing file is absence"
    );
}

#[test]
fn a_record_of_a_few_kilobytes_does_not_stand_for_gigabytes() {
    // One value in the dictionary, and rows that name it.
    let value = Bytes::from(vec![7_u8; 1 << 20]);
    let rows = (0..257).map(|row| (row, Target::Inline(value.clone())));
    let whole = ExportArray {
        grid: vec![300],
        ..array(rows.collect())
    };
    let (_, file) = record_bytes(&whole, 300).unwrap().swap_remove(0);
    assert!(file.len() < 4 << 20, "{}", file.len());
    let error = read_record(file, 300).unwrap_err().to_string();
    assert!(error.contains("bytes of inline references"), "{error}");
}

/// A small file of each format.
const FIXTURES: [&str; 9] = [
    "v1.json",
    "gik_v1.par",
    "gik_v2.par",
    "gik_v3.par",
    "gik_v4.par",
    "gik_v5.par",
    "k_index.parquet",
    "records_fastparquet.parq/t2m/instant/heightAboveGround/t2m/refs.0.parq",
    "records_pyarrow.parq/t2m/instant/heightAboveGround/t2m/refs.0.parq",
];

/// Reads bytes as whatever they may be taken for, and looks at every chunk that came of it.
fn read_as_anything(bytes: &Bytes) {
    let sets = [read_json(bytes.as_ref()), read_gik(bytes.clone())];
    for set in sets.into_iter().flatten() {
        for (node, _, info) in set.arrays() {
            let mut left = 50;
            drop(set.present(node, 0, &mut |number| {
                drop((set.chunk(node, number), set.expectation(node, number)));
                left -= 1;
                left > 0
            }));
            drop((info.chunk_bytes(), info.chunk_name(info.chunk_count())));
        }
    }
    drop(read_k_index(bytes.clone()));
    drop(read_record(bytes.clone(), 8));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_files_of_every_format_never_panic(
        which in 0..FIXTURES.len(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/refs");
        let mut bytes = std::fs::read(folder.join(FIXTURES[which])).unwrap();
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            let at = cut.index(bytes.len());
            bytes.drain(at..);
        }
        read_as_anything(&Bytes::from(bytes));
    }

    #[test]
    fn damaged_json_never_panics(at in 0_usize..SET.len(), byte in any::<u8>(), cut in 0_usize..SET.len()) {
        let mut bytes = SET.as_bytes().to_vec();
        bytes[at] = byte;
        drop(read_json(bytes.as_slice()));
        drop(read_json(&SET.as_bytes()[..cut]));
    }

    #[test]
    fn damaged_literals_never_panic(text in ".{0,80}", at in 0_usize..60) {
        drop(parse_literal(&text));
        let whole = r"{'a': ['s3://b/k', 0, 1], 'b': b'\x00', 'c': '\u00e9'}";
        if let Some(part) = whole.get(..at.min(whole.len())) {
            drop(parse_literal(&format!("{part}{text}")));
        }
    }

    #[test]
    fn damaged_parquet_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let chunks = vec![(0, Target::Inline(Bytes::from_static(b"x")))];
        let file = record_bytes(&array(chunks), 4).unwrap().remove(0).1;
        let mut bytes = file.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let bytes = Bytes::from(bytes);
        drop(read_record(bytes.clone(), 4));
        drop(read_gik(bytes.clone()));
        drop(read_k_index(bytes));
    }
}

#[test]
fn damage_that_readers_of_parquet_do_not_survive_is_an_error() {
    // Found by fuzzing: the first is refused before the reader sees it, the second ends at the fence.
    for (name, words) in [
        ("column_before_the_file.parq", "lies outside of the file"),
        ("levels_cut_short.parq", "the file is damaged"),
        // Readers made room for them, and a process without that much memory ends there.
        ("page_that_claims_two_gigabytes.parq", "unpacked"),
        // Readers count to two thousand million, again and again: minutes.
        (
            "list_of_more_items_than_bytes.parq",
            "more items than it has bytes",
        ),
    ] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bad/refs_parquet");
        let bytes = Bytes::from(std::fs::read(format!("{folder}/{name}")).unwrap());
        let ends = [
            read_record(bytes.clone(), 1000).unwrap_err(),
            read_gik(bytes).unwrap_err(),
        ];
        let found = ends.iter().any(|error| error.to_string().contains(words));
        assert!(found, "{name}: {ends:?}");
    }
}

#[test]
fn rows_of_several_batches_are_what_was_written_whether_plain_or_mixed() {
    let object = |row: u64| Target::Object {
        url: format!("s3://b/{}", row / 7),
        offset: row % 7 * 1000,
        // No range at all is the whole object.
        length: (row % 14 != 7).then_some(900 + row),
    };
    let plain: Vec<(u64, Target)> = (0..20_000).map(|row| (row, object(row))).collect();
    let mut mixed = plain.clone();
    mixed[9_000].1 = Target::Inline(Bytes::from_static(b"inline"));
    mixed.remove(15_000);
    for written in [plain, mixed] {
        let (_, file) = record_bytes(&array(written.clone()), 20_000)
            .unwrap()
            .remove(0);
        let read = read_record(file, 20_000).unwrap();
        let read: Vec<(u64, Target)> = (0..)
            .zip(read)
            .filter_map(|(row, target)| Some((row, target?)))
            .collect();
        assert!(read == written, "other targets");
    }
}

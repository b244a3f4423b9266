//! References to whole objects: their size is asked for when somebody looks, once, and a size that cannot be had is not made up.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use gribfs::refs::{ExportArray, Target, record_bytes};
use gribfs::store::{RefConfig, RefReader};
use gribfs::vfs::RefTree;
use gribfs::vfs::tree::{Answer, Attributes, ROOT, ReadFailure, Tree as _};
use serde_json::json;

use crate::support::http::{Fault, TestServer};
use crate::support::sets::Bed;

/// Bytes of the object that chunk 0 is; nothing decodes them.
const OBJECT: &[u8] = b"twenty-four bytes of it.";

/// The metadata of an array `a` of three packed chunks.
fn zarray() -> serde_json::Value {
    json!({"shape": [3], "chunks": [1], "dtype": "<f8", "zarr_format": 2, "fill_value": 0, "compressor": {"id": "zlib", "level": 1}})
}

/// Where the chunks of `a` lie: two whole objects.
fn whole(server: &TestServer) -> Vec<(u64, Target)> {
    (0..2)
        .map(|number| {
            let target = Target::Object {
                url: server.url(&format!("/objects/{number}")),
                offset: 0,
                length: None,
            };
            (number, target)
        })
        .collect()
}

/// A set of Parquet records on the server, below `/set`.
fn serve_records(server: &TestServer) -> String {
    let array = ExportArray {
        path: "a".to_owned(),
        zarray: zarray(),
        zattrs: json!({}),
        grid: vec![3],
        chunks: whole(server),
    };
    let metadata = json!({"metadata": {".zgroup": {"zarr_format": 2}, "a/.zarray": zarray()}, "record_size": 10});
    server.put("/set/.zmetadata", metadata.to_string());
    for (number, bytes) in record_bytes(&array, 10).unwrap() {
        server.put(&format!("/set/a/refs.{number}.parq"), bytes.to_vec());
    }
    server.put("/objects/0", OBJECT);
    server.url("/set")
}

/// A reader of a set on a server.
fn reader(bed: &Bed, url: &str) -> Arc<RefReader> {
    Arc::new(bed.reader(bed.set(url), None, &RefConfig::default()))
}

fn read(bed: &Bed, tree: &RefTree, file: &Attributes) -> Result<Vec<u8>, ReadFailure> {
    let answer = match tree.read(file.inode, 0, 1000) {
        Answer::Now(answer) => answer,
        Answer::Later(flight) => bed.runtime.block_on(flight),
    };
    answer.map(|bytes| bytes.to_vec())
}

#[test]
fn a_whole_object_of_a_set_of_records_has_the_size_that_it_has() {
    let (bed, server) = (Bed::new(), TestServer::start());
    let tree = RefTree::new(reader(&bed, &serve_records(&server)), "x".to_owned(), 0);
    let array = tree.lookup(ROOT, OsStr::new("a")).unwrap().inode;
    let chunk = OsStr::new("0");
    assert!(
        !tree.is_ready(array, Some(chunk)),
        "its record must be read"
    );
    let file = tree.lookup(array, chunk).unwrap();
    assert_eq!(file.size, OBJECT.len() as u64);
    assert!(file.immutable && tree.is_ready(array, Some(chunk)) && tree.is_ready(file.inode, None));
    assert!(
        !tree.is_ready(array, Some(OsStr::new("1"))),
        "the record is there, the size is not"
    );
    assert_eq!(read(&bed, &tree, &file).unwrap(), OBJECT);
    let ranges: Vec<_> = server
        .requests_of("/objects/0")
        .into_iter()
        .map(|seen| seen.range)
        .collect();
    assert_eq!(
        ranges,
        ["bytes=0-0", "bytes=0-"].map(|range| Some(range.to_owned()))
    );
}

#[test]
fn a_size_that_cannot_be_had_is_not_kept_for_one_and_not_asked_for_again_at_once() {
    let (bed, server) = (Bed::new(), TestServer::start());
    let tree = RefTree::new(reader(&bed, &serve_records(&server)), "x".to_owned(), 0);
    let array = tree.lookup(ROOT, OsStr::new("a")).unwrap().inode;
    for _ in 0..3 {
        let file = tree.lookup(array, OsStr::new("1")).unwrap();
        assert!(!file.immutable && file.ttl == Duration::ZERO);
        assert!(tree.is_ready(file.inode, None), "nobody waits for it again");
    }
    assert_eq!(server.requests_of("/objects/1").len(), 1);
    let file = tree.lookup(array, OsStr::new("1")).unwrap();
    let failure = read(&bed, &tree, &file).unwrap_err();
    assert!(failure.message.contains("404"), "{}", failure.message);
    // Failures of one object are told together: a thousand chunks of it are one line of the log.
    assert_eq!(failure.object, Some(server.url("/objects/1").into()));
}

#[test]
fn sizes_are_learnt_beside_the_mount_and_an_origin_that_fails_is_let_be() {
    let (bed, server) = (Bed::new(), TestServer::start());
    let (good, bad) = (TestServer::start(), TestServer::start());
    bad.fault("*", Fault::Status(403));
    let mut refs = serde_json::Map::new();
    refs.insert(".zgroup".to_owned(), json!("{\"zarr_format\":2}"));
    for number in 0..200 {
        good.put(&format!("/{number}"), OBJECT);
        refs.insert(
            format!("good{number}"),
            json!([good.url(&format!("/{number}"))]),
        );
        refs.insert(
            format!("bad{number}"),
            json!([bad.url(&format!("/{number}"))]),
        );
    }
    server.put("/set.json", json!({"version": 1, "refs": refs}).to_string());
    let reader = reader(&bed, &server.url("/set.json"));
    reader.learn_sizes();
    for _ in 0..500 {
        if good.requests().len() == 200 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(good.requests().len(), 200, "all that can be had");
    assert!(bad.requests().len() < 100, "{}", bad.requests().len());
}

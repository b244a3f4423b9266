//! Record files of kerchunk Parquet sets that change, fail or lead elsewhere while the set is mounted: an error each time, never the
//! fill value of a chunk that is not proven absent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use gribfs::refs::{RecordSource, RefSet, RefsError, read_directory, read_json};
use serde_json::json;

use crate::support::http::{Fault, TestServer};
use crate::support::sets::Bed;

const ARRAY: &str = "t2m/instant/heightAboveGround/t2m";
const OTHER: &str = "t2m/instant/heightAboveGround/latitude";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/refs/records_pyarrow.parq")
}

/// The files of the set that these tests read, by their keys.
fn files() -> Vec<(String, Vec<u8>)> {
    [
        ".zmetadata".to_owned(),
        format!("{ARRAY}/refs.0.parq"),
        format!("{OTHER}/refs.0.parq"),
    ]
    .into_iter()
    .map(|key| {
        let bytes = std::fs::read(fixture().join(&key)).unwrap();
        (key, bytes)
    })
    .collect()
}

/// What reading the first chunk of an array says.
fn first(set: &RefSet, path: &str) -> String {
    match set.chunk(set.find(path).unwrap(), 0) {
        Ok(Some(_)) => "there".to_owned(),
        Ok(None) => "absent".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// A copy of the set on disk.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (key, bytes) in files() {
        let path = folder.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

fn mounted(folder: &Path) -> RefSet {
    Bed::new().set(folder.to_str().unwrap())
}

/// A copy of the set on a server, below `/set`.
fn served(server: &TestServer) -> String {
    for (key, bytes) in files() {
        server.put(&format!("/set/{key}"), bytes);
    }
    server.url("/set")
}

#[test]
fn a_set_that_was_removed_from_under_a_mount_is_not_made_of_absent_chunks() {
    let folder = copy();
    let set = mounted(folder.path());
    assert_eq!(first(&set, ARRAY), "there");
    std::fs::remove_dir_all(folder.path()).unwrap();
    let told = first(&set, OTHER);
    assert!(told.contains("removed or written anew"), "{told}");
}

#[test]
fn a_set_that_was_written_anew_is_not_mixed_with_the_one_before() {
    let folder = copy();
    let set = mounted(folder.path());
    let (other, metadata) = (folder.path().join("anew"), folder.path().join(".zmetadata"));
    std::fs::copy(&metadata, &other).unwrap();
    std::fs::rename(&other, &metadata).unwrap();
    let told = first(&set, ARRAY);
    assert!(told.contains("removed or written anew"), "{told}");
    assert_eq!(first(&mounted(folder.path()), ARRAY), "there");
}

#[cfg(unix)]
#[test]
fn a_record_that_is_a_pipe_or_a_link_out_of_the_set_is_refused() {
    let folder = copy();
    let set = mounted(folder.path());
    let (one, two) = (
        folder.path().join(format!("{ARRAY}/refs.0.parq")),
        folder.path().join(format!("{OTHER}/refs.0.parq")),
    );
    std::fs::remove_file(&one).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&one).status();
    assert!(made.unwrap().success());
    std::fs::remove_file(&two).unwrap();
    std::os::unix::fs::symlink(fixture().join(format!("{OTHER}/refs.0.parq")), &two).unwrap();
    let told = first(&set, ARRAY);
    assert!(told.contains("not a regular file"), "{told}");
    let told = first(&set, OTHER);
    assert!(told.contains("leads out of the set"), "{told}");
}

#[cfg(unix)]
#[test]
fn a_link_within_the_set_is_followed() {
    let folder = copy();
    let path = folder.path().join(format!("{ARRAY}/refs.0.parq"));
    std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
    assert_eq!(first(&mounted(folder.path()), ARRAY), "there");
}

#[test]
fn a_remote_set_that_was_removed_or_written_anew_is_an_error_too() {
    let (bed, server) = (Bed::new(), TestServer::start());
    let url = served(&server);
    let removed = bed.set(&url);
    assert_eq!(first(&removed, ARRAY), "there");
    for (key, _) in files() {
        server.remove(&format!("/set/{key}"));
    }
    let told = first(&removed, OTHER);
    assert!(told.contains("removed or written anew"), "{told}");

    served(&server);
    let anew = bed.set(&url);
    // The last character of white space: the same size and meaning, another object.
    let mut metadata = files().swap_remove(0).1;
    let space = metadata.iter().rposition(|byte| *byte == b' ').unwrap();
    metadata[space] = b'\n';
    server.put("/set/.zmetadata", metadata);
    let told = first(&anew, ARRAY);
    assert!(told.contains("removed or written anew"), "{told}");
}

#[test]
fn a_record_that_is_absent_in_a_set_that_stands_is_absent() {
    let (bed, server) = (Bed::new(), TestServer::start());
    let set = bed.set(&served(&server));
    server.remove(&format!("/set/{OTHER}/refs.0.parq"));
    assert_eq!(first(&set, OTHER), "absent");
    let folder = copy();
    let set = mounted(folder.path());
    std::fs::remove_file(folder.path().join(format!("{OTHER}/refs.0.parq"))).unwrap();
    assert_eq!(first(&set, OTHER), "absent");
}

#[test]
fn those_who_wait_for_a_record_that_fails_do_not_fail_one_after_another() {
    let (bed, server) = (Bed::new(), TestServer::start());
    let set = bed.set(&served(&server));
    let record = format!("/set/{ARRAY}/refs.0.parq");
    server.fault(&record, Fault::Status(403));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| first(&set, ARRAY)))
            .collect();
        for reader in readers {
            let told = reader.join().unwrap();
            assert!(told.contains("403"), "{told}");
        }
    });
    assert_eq!(server.requests_of(&record).len(), 1);
}

#[test]
fn pieces_of_a_json_set_are_of_one_object() {
    let (bed, server) = (Bed::new(), TestServer::start());
    // Two pieces: chunk names are as long as they like to be.
    let text = |letter: char| {
        let filler = letter.to_string().repeat(9 << 20);
        json!({"version": 1, "refs": {".zgroup": "{\"zarr_format\":2}", "note": filler}})
            .to_string()
    };
    server.put("/one.json", text('a'));
    assert!(bed.load(&server.url("/one.json")).is_ok());
    let whole = server.requests_of("/one.json").len();
    assert!(whole >= 2, "{whole}");
    server.put("/two.json", text('a'));
    // Sniffed, then read from the beginning; what comes after the first piece is of another object.
    let first_pieces = whole - 1;
    for _ in 0..first_pieces {
        server.fault("/two.json", Fault::Slow(std::time::Duration::ZERO).times(1));
    }
    server.fault("/two.json", Fault::OtherETag);
    let told = bed.load(&server.url("/two.json")).unwrap_err().to_string();
    assert!(
        told.contains("written anew while it was being read"),
        "{told}"
    );
}

struct NoRecords;

impl RecordSource for NoRecords {
    fn record(&self, _: &str) -> Result<Option<Bytes>, String> {
        Ok(None)
    }
}

#[test]
fn an_array_that_claims_a_trillion_records_is_not_walked_to_its_end() {
    let zarray = json!({"shape": [1_u64 << 40], "chunks": [1], "dtype": "<f8", "zarr_format": 2, "fill_value": 0});
    let metadata = json!({"metadata": {"a/.zarray": zarray}, "record_size": 1}).to_string();
    let set = read_directory(metadata.as_bytes(), Arc::new(NoRecords)).unwrap();
    let node = set.find("a").unwrap();
    let error = set.present(node, 0, &mut |_| true).unwrap_err();
    assert!(
        error.to_string().contains("in a row are missing"),
        "{error}"
    );
    // One that is honest may lack its last thousands.
    let sparse = metadata.replace("1099511627776", "9000");
    let set = read_directory(sparse.as_bytes(), Arc::new(NoRecords)).unwrap();
    set.present(node, 0, &mut |_| true).unwrap();
}

/// Whether the only array of a set of Parquet records must be whole.
fn must_be_whole(zarray: &serde_json::Value) -> bool {
    let metadata = json!({"metadata": {"a/.zarray": zarray}, "record_size": 2}).to_string();
    let set = read_directory(metadata.as_bytes(), Arc::new(NoRecords)).unwrap();
    set.arrays().next().unwrap().2.must_be_whole
}

#[test]
fn an_absent_chunk_of_packed_numbers_without_fill_is_not_zeros() {
    let zarray = |dtype: &str, fill: serde_json::Value, compressor: serde_json::Value| {
        json!({"shape": [5], "chunks": [1], "dtype": dtype, "zarr_format": 2,
               "fill_value": fill, "compressor": compressor})
    };
    let zlib = json!({"id": "zlib", "level": 4});
    for dtype in ["<i2", "<u4", "|b1", "<f4", "<M8[ns]"] {
        assert!(
            must_be_whole(&zarray(dtype, json!(null), zlib.clone())),
            "{dtype}"
        );
        assert!(
            !must_be_whole(&zarray(dtype, json!(0), zlib.clone())),
            "{dtype}"
        );
    }
    // Plain floats get NaN, names nothing.
    assert!(!must_be_whole(&zarray("<f4", json!(null), json!(null))));
    assert!(!must_be_whole(&zarray("|S4", json!(null), zlib)));
}

#[test]
fn a_second_zarray_that_numbers_chunks_otherwise_is_refused() {
    let zarray = |rows: u32| {
        json!({"shape": [rows, 4], "chunks": [1, 2], "dtype": "<f8", "fill_value": 0, "zarr_format": 2})
            .to_string()
    };
    let set = |second: &str| {
        // By hand: a map of ours would not hold one key twice.
        format!(
            r#"{{"version":1,"refs":{{".zgroup":"{{\"zarr_format\":2}}","a/.zarray":{},"a/1.0":"abc","a/.zarray":{}}}}}"#,
            json!(zarray(3)),
            json!(second)
        )
    };
    let error = read_json(set(&zarray(3).replace("[3,4]", "[3,8]")).as_bytes()).unwrap_err();
    assert!(matches!(error, RefsError::Duplicate(_)), "{error}");
    assert!(read_json(set(&zarray(3)).as_bytes()).is_ok());
}

//! A small set in every format, cell by cell against what ecCodes reads from the same messages: `tests/data/refs`, written with its
//! expected values by `scripts/make_ref_fixtures.py`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use gribfs::refs::Kind;
use gribfs::store::{Loaded, Read, RefConfig, RefKey, RefReader};
use gribfs::vfs::RefTree;
use gribfs::vfs::tree::{Answer, ROOT, Tree as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::sets::Bed;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn expected() -> Value {
    let text = std::fs::read(data().join("refs/expected.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// A fixture, as it is named to be loaded.
fn fixture(name: &str) -> String {
    data().join("refs").join(name).display().to_string()
}

/// A reader of a fixture; relative URLs of these sets begin at `tests/data`.
fn reader(bed: &Bed, name: &str, config: &RefConfig) -> RefReader {
    bed.reader(bed.set(&fixture(name)), Some(&data()), config)
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether a chunk is what is expected: its hash, or every 101st of its doubles, to a millionth.
fn is_right(bytes: &Bytes, expected: &Value) -> bool {
    match expected {
        Value::String(hash) => digest(bytes) == *hash,
        Value::Array(values) => {
            let cells = bytes.chunks_exact(8).step_by(101);
            let cells: Vec<f64> = cells
                .map(|cell| f64::from_le_bytes(cell.try_into().unwrap()))
                .collect();
            cells.len() == values.len()
                && cells
                    .iter()
                    .zip(values)
                    .all(|(cell, value)| (cell - value.as_f64().unwrap()).abs() < 2e-6)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

#[test]
fn sets_of_every_format_have_the_values_of_eccodes() {
    let (bed, expected) = (Bed::new(), expected());
    let sets = expected["sets"].as_object().unwrap();
    assert_eq!(sets.len(), 14);
    for (name, number) in sets {
        let wanted: &serde_json::Map<String, Value> = expected["values"]
            [usize::try_from(number.as_u64().unwrap()).unwrap()]
        .as_object()
        .unwrap();
        let reader = reader(&bed, name, &RefConfig::default());
        let set = Arc::clone(reader.set());
        let mut wrong = Vec::new();
        for (path, chunks) in wanted {
            let Some(node) = set.find(path) else {
                wrong.push(format!("{path} is missing"));
                continue;
            };
            let Kind::Array { info, .. } = &set.nodes[node].kind else {
                wrong.push(format!("{path} is no array"));
                continue;
            };
            let mut present: BTreeMap<String, u64> = BTreeMap::new();
            set.present(node, 0, &mut |number| {
                present.insert(info.chunk_name(number), number);
                true
            })
            .unwrap();
            let chunks = chunks.as_object().unwrap();
            if !present
                .keys()
                .eq(chunks.keys().collect::<std::collections::BTreeSet<_>>())
            {
                wrong.push(format!("{path} has the chunks {:?}", present.keys()));
            }
            for (chunk, number) in present {
                let key = RefKey::Chunk(node, number);
                match bed.runtime.block_on(reader.fetch(key)) {
                    Ok(bytes) if is_right(&bytes, &chunks[&chunk]) => {}
                    Ok(bytes) => wrong.push(format!("{path}/{chunk}: {} other bytes", bytes.len())),
                    Err(error) => wrong.push(format!("{path}/{chunk}: {error}")),
                }
            }
        }
        assert!(wrong.is_empty(), "{name}: {}", wrong.join("\n"));
    }
}

#[test]
fn lists_of_every_format_name_their_messages() {
    let (bed, expected) = (Bed::new(), expected());
    for (name, told) in expected["lists"].as_object().unwrap() {
        let Loaded::Messages(messages, ..) = bed.load(&fixture(name)).unwrap() else {
            panic!("{name} is no list");
        };
        let found: Vec<Value> = messages
            .iter()
            .map(|m| serde_json::json!([m.url, m.offset, m.length]))
            .collect();
        assert_eq!(Value::from(found), *told, "{name}");
    }
}

#[test]
fn lists_become_tables_whose_messages_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(data().join("archive"), folder.path().join("archive")).unwrap();
    let root = data();
    let gribfs = |arguments: &[&str], source: &Path| -> Value {
        let done = Command::new(env!("CARGO_BIN_EXE_gribfs"))
            .args(arguments)
            .arg(source)
            .args(["--json", "--allow-root"])
            .arg(&root)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&done.stderr);
        serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{error}"))
    };
    for (name, told) in expected()["lists"].as_object().unwrap() {
        let path = folder.path().join(name);
        std::fs::copy(data().join("refs").join(name), &path).unwrap();
        let info = gribfs(&["info"], &path);
        let count = told.as_array().unwrap().len();
        assert_eq!(info["messages"], count, "{name}");
        assert_eq!(info["runs"], serde_json::json!(["2026-11-22T00"]), "{name}");
        let steps = &info["groups"][0]["steps_seconds"];
        let hours = if name.starts_with("stage3") {
            [0, 6]
        } else {
            [3, 9]
        };
        assert_eq!(
            *steps,
            serde_json::json!(hours.map(|hour| hour * 3600)),
            "{name}"
        );
        let report = gribfs(&["verify"], &path);
        assert_eq!(report["counts"], serde_json::json!({}), "{name}: {report}");
        assert!(report["sound"].as_u64().unwrap() > 0, "{name}");
    }
}

#[test]
fn relative_urls_of_sets_in_several_directories_begin_at_none_of_them() {
    let (bed, folder) = (Bed::new(), tempfile::tempdir().unwrap());
    for (at, name) in [
        ("one", "ens_01.par"),
        ("one", "ens_02.par"),
        ("two", "ens_02.par"),
    ] {
        std::fs::create_dir_all(folder.path().join(at)).unwrap();
        std::fs::copy(
            data().join("refs").join(name),
            folder.path().join(at).join(name),
        )
        .unwrap();
    }
    let begins_at = |pattern: &str| {
        let text = folder.path().join(pattern).display().to_string();
        match bed.load(&text).unwrap() {
            Loaded::Set(_, own) => own,
            other @ (Loaded::Messages(..) | Loaded::Other) => panic!("{other:?}"),
        }
    };
    assert_eq!(begins_at("one/ens_*.par"), Some(folder.path().join("one")));
    std::fs::remove_file(folder.path().join("one/ens_02.par")).unwrap();
    assert_eq!(begins_at("*/ens_*.par"), None);
}

#[test]
fn info_counts_what_is_there_and_what_is_not() {
    let done = Command::new(env!("CARGO_BIN_EXE_gribfs"))
        .args(["info", "--json"])
        .arg(data().join("refs/gik_v3.par"))
        .output()
        .unwrap();
    let info: Value = serde_json::from_slice(&done.stdout).unwrap();
    let arrays = info["arrays"].as_array().unwrap();
    let wind = arrays
        .iter()
        .find(|array| array["name"] == "u/instant/isobaricInhPa/u")
        .unwrap();
    assert_eq!((&wind["present"], &wind["absent"]), (&5.into(), &1.into()));
}

#[test]
fn records_are_not_read_where_the_kernel_waits() {
    let bed = Bed::new();
    let reader = reader(&bed, "records_pyarrow.parq", &RefConfig::default());
    let set = Arc::clone(reader.set());
    let tree = RefTree::new(Arc::new(reader), "x".to_owned(), 0);
    let mut at = ROOT;
    for name in ["u", "instant", "isobaricInhPa", "u"] {
        assert!(tree.is_ready(at, Some(OsStr::new(name))), "{name}");
        at = tree.lookup(at, OsStr::new(name)).unwrap().inode;
    }
    let chunk = OsStr::new("0.0.0.0");
    for name in [".zarray", "nothing", "9.9.9.9"] {
        assert!(tree.is_ready(at, Some(OsStr::new(name))), "{name}");
    }
    assert!(!tree.is_ready(at, Some(chunk)) && !tree.is_ready(at, None));
    let found = tree.lookup(at, chunk).unwrap();
    assert!(tree.is_ready(at, Some(chunk)) && tree.is_ready(found.inode, None));
    assert!(
        !tree.is_ready(at, Some(OsStr::new("2.1.0.0"))),
        "a chunk of another record"
    );
    assert!(!tree.is_ready(at, None), "one record of two");
    let mut names = Vec::new();
    tree.list(at, 0, &mut |entry| {
        names.push(entry.name.to_owned());
        true
    })
    .unwrap();
    assert_eq!(names.len(), 2 + 5, "{names:?}");
    assert!(tree.is_ready(at, None));
    assert!(set.is_lazy());
    // Nothing that stands still in memory makes the runtime wait either.
    let Answer::Later(flight) = tree.read(found.inode, 0, 100) else {
        panic!("the chunk came from nowhere");
    };
    assert_eq!(bed.runtime.block_on(flight).unwrap().len(), 100);
}

#[test]
fn chunks_of_sets_share_one_budget_of_memory() {
    let bed = Bed::new();
    let chunk_bytes = 61 * 120 * 8;
    // Room for two chunks in flight.
    let config = RefConfig {
        memory_bytes: 2 * chunk_bytes + 40_000,
        ..RefConfig::default()
    };
    let reader = reader(&bed, "v1.json", &config);
    let node = reader.set().find("u/instant/isobaricInhPa/u").unwrap();
    for _ in 0..2 {
        let flights: Vec<Read> = [0, 1, 2, 4, 5]
            .iter()
            .map(|number| reader.read(RefKey::Chunk(node, *number), chunk_bytes, chunk_bytes))
            .collect();
        // Each in a task of its own, as a mount answers: whoever waits in line with bytes in hand would hold up the rest.
        let answers: Vec<_> = flights
            .into_iter()
            .map(|read| {
                bed.runtime.spawn(async move {
                    let bytes = match read {
                        Read::Now(bytes) => bytes,
                        Read::Later(flight) => flight.await,
                    };
                    bytes.unwrap().len() as u64
                })
            })
            .collect();
        for answer in answers {
            assert_eq!(bed.runtime.block_on(answer).unwrap(), chunk_bytes);
        }
    }
    let statistics = reader.statistics();
    assert!(
        statistics.memory_peak_bytes <= config.memory_bytes,
        "{statistics:?}"
    );
    assert!(statistics.cached_bytes <= config.memory_bytes / 2);
}

#[test]
fn counters_of_a_set_can_be_read_while_reads_fail() {
    let bed = Bed::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let config = RefConfig::default();
    let set = bed.set(&fixture("v0.json"));
    let node = set.find("u/instant/isobaricInhPa/u").unwrap();
    let reader = bed.reader(set, Some(elsewhere.path()), &config);
    let reader = Arc::new(reader);
    let reads: Vec<_> = (0..4)
        .map(|number| {
            let reader = Arc::clone(&reader);
            bed.runtime.spawn(async move {
                for _ in 0..500 {
                    let read = reader.read(RefKey::Chunk(node, number), 58_560, 1);
                    let failed = match read {
                        Read::Now(outcome) => outcome,
                        Read::Later(flight) => flight.await,
                    };
                    assert!(failed.is_err());
                }
            })
        })
        .collect();
    while !reads.iter().all(tokio::task::JoinHandle::is_finished) {
        assert!(reader.statistics().cached_bytes == 0);
    }
    for read in reads {
        bed.runtime.block_on(read).unwrap();
    }
    assert!(reader.statistics().failures > 0);
}

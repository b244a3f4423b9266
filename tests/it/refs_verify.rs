//! What `gribfs verify` says of reference sets that claim too much, or lead where they may not.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

fn verify(path: &Path) -> Value {
    let done = Command::new(env!("CARGO_BIN_EXE_gribfs"))
        .args(["verify", "--json"])
        .arg(path)
        .output()
        .unwrap();
    serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)))
}

/// A set of one array `a`, with the references to its chunks.
fn set(zarray: &Value, chunks: &[(&str, Value)]) -> Value {
    let mut refs = serde_json::Map::new();
    refs.insert(".zgroup".to_owned(), json!("{\"zarr_format\":2}"));
    refs.insert("a/.zarray".to_owned(), json!(zarray.to_string()));
    for (name, reference) in chunks {
        refs.insert(format!("a/{name}"), reference.clone());
    }
    json!({"version": 1, "refs": refs})
}

#[test]
fn an_array_of_a_trillion_chunks_that_are_due_is_one_finding_for_each_gap() {
    let zarray = json!({"shape": [1_u64 << 40], "chunks": [1], "dtype": "<i4", "zarr_format": 2, "fill_value": null});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let chunks = [
        ("1", json!("abcd")),
        ("2", json!("efgh")),
        ("5", json!("ijkl")),
    ];
    std::fs::write(&path, set(&zarray, &chunks).to_string()).unwrap();
    let report = verify(&path);
    assert_eq!(report["sound"], 3);
    assert_eq!(report["looked_at"], 1_u64 << 40);
    assert_eq!(report["counts"]["broken"], (1_u64 << 40) - 3);
    let at: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["at"].as_str().unwrap())
        .collect();
    assert_eq!(at, ["a/0", "a/3", "a/6"], "{report}");
}

#[test]
fn places_that_are_not_followed_are_listed_with_their_counts() {
    let zarray =
        json!({"shape": [5], "chunks": [1], "dtype": "<f8", "zarr_format": 2, "fill_value": 0});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let chunks = [
        ("0", json!(["/etc/passwd", 0, 8])),
        ("1", json!(["file:///etc/shadow", 0, 8])),
        (
            "2",
            json!(["http://169.254.169.254/latest/x?token=secret", 0, 8]),
        ),
        ("3", json!(["/etc/ssl/a", 0, 8])),
        ("4", json!(["gopher://h/x", 0, 8])),
    ];
    std::fs::write(&path, set(&zarray, &chunks).to_string()).unwrap();
    let report = verify(&path);
    assert_eq!(report["counts"], json!({"refused": 5}));
    assert_eq!(
        report["not_followed"],
        json!({"/etc/": 1, "file:///etc/": 1, "/etc/ssl/": 1, "http://169.254.169.254/latest/": 1, "gopher://h/": 1})
    );
    assert!(!report.to_string().contains("secret"));
}

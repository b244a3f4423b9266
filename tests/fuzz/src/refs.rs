//! Reference sets of any content.

use std::sync::Arc;

use bytes::Bytes;
use gribfs::refs::{RecordSource, RefSet, parse_literal, read_directory, read_gik, read_json, read_k_index, read_record};

/// Reads JSON of any content, and walks what came of it.
pub fn run_json(input: &[u8]) {
    if let Ok(set) = read_json(input) {
        walk(&set);
    }
}

/// Reads a Python literal of any content.
pub fn run_literal(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(literal) = parse_literal(text)
    {
        let _ = literal.to_json();
    }
}

/// Reads Parquet of any content in every way; the first byte parts `.zmetadata` from a record.
pub fn run_parquet(input: &[u8]) {
    let file = Bytes::copy_from_slice(input);
    if let Ok(set) = read_gik(file.clone()) {
        walk(&set);
    }
    let _ = read_k_index(file.clone());
    let _ = read_record(file.clone(), 1000);
    let metadata = br#"{"metadata":{"a/.zarray":{"shape":[9],"chunks":[1],"dtype":"<f8"}},"record_size":4}"#;
    if let Ok(set) = read_directory(metadata, Arc::new(Always(file))) {
        walk(&set);
    }
}

struct Always(Bytes);

impl RecordSource for Always {
    fn record(&self, _key: &str) -> Result<Option<Bytes>, String> {
        Ok(Some(self.0.clone()))
    }
}

fn walk(set: &RefSet) {
    for (node, _, info) in set.arrays() {
        let mut left = 100;
        let _ = set.present(node, 0, &mut |number| {
            let _ = set.chunk(node, number);
            let _ = set.expectation(node, number);
            left -= 1;
            left > 0
        });
        let _ = (info.chunk_bytes(), info.chunk_count());
    }
}

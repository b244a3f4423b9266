//! Fuzz target: a line of an index file in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gribfs_fuzz::index::run_json(input));

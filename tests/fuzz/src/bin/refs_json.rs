//! Fuzz target: reference sets, json.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gribfs_fuzz::refs::run_json(input));

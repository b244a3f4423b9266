//! Fuzz target: index files of both dialects.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gribfs_fuzz::index::run(input));

//! Fuzz target: section 3.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gribfs_fuzz::grid::run(input));

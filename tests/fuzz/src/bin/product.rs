//! Fuzz target: sections 1 and 4.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gribfs_fuzz::product::run(input));

//! Fuzz target: sections 5, 6 and 7 of any content.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gribfs_fuzz::decode::run(input));

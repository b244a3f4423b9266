//! Fuzz target: reference sets, literal.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gribfs_fuzz::refs::run_literal(input));

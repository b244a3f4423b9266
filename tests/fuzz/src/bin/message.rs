//! Fuzz target: a file of messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gribfs_fuzz::message::run(input));

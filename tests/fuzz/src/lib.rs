//! What is fuzzed: one module per target, each with a function `run` that takes any octets and panics over a find.
//!
//! The modules are shared: `src/bin` hands them to the fuzzer, `tests/it/fuzz_finds.rs` runs them over the files of
//! `tests/data/bad` and over seeds that it breaks itself.

pub mod decode;
pub mod grid;
pub mod index;
pub mod message;
pub mod product;

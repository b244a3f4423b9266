//! Integration tests: one binary, one module per room of the house.

mod table;
//! All integration tests.
mod decode_corpus;

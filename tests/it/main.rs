//! All integration tests.

mod decode_corpus;

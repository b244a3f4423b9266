//! All integration tests.

#[cfg(test)]
mod decode_corpus;

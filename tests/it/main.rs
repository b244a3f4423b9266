//! Integration tests, one binary.

#[cfg(test)]
mod grib_corpus;

//! Integration tests, one binary.

mod grib_corpus;

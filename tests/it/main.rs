//! Integration tests.

mod naming;

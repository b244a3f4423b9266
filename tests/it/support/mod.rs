//! What several rooms of the test house use.

pub mod http;

//! What several rooms of the test house use.

pub(crate) mod http;

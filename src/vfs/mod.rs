//! The tree that a mount shows: names, attributes, listings, bytes. Knows no FUSE.

pub mod tree;

//! Integration tests: one binary, one module per room of the house.

mod table;
//! All integration tests.
mod decode_corpus;
//! Integration tests, one module per room.
// `cfg(test)` tells clippy that these modules are tests, helpers included.
#[cfg(test)]
mod fuse_mount; // a tree on the real /dev/fuse
mod fuse_tree; // the tree that it shows

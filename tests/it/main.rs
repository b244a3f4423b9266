<<<<<<< HEAD
//! Integration tests: one binary, one module per room of the house.

// `cfg(test)` tells clippy that these modules are tests, helpers included.
#[cfg(test)]
mod decode_corpus; // decoded values against ecCodes
#[cfg(test)]
mod fuse_mount; // a tree on the real /dev/fuse
#[cfg(test)]
mod fuse_tree; // the tree that it shows
#[cfg(test)]
mod table; // Parquet: round trips, readers, hostile bytes
=======
//! Integration tests.

mod naming;
>>>>>>> names

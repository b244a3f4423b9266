//! Integration tests, one module per room.

// `cfg(test)` tells clippy that these modules are tests, helpers included.
#[cfg(test)]
mod fuse_life; // mounting, unmounting, signals, crashes, privileges
#[cfg(test)]
mod fuse_mount; // a tree on the real /dev/fuse
#[cfg(test)]
mod fuse_tree; // the tree that it shows

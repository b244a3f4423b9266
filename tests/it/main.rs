//! Integration tests, one module per room.

mod fuse_mount; // a tree on the real /dev/fuse
mod fuse_tree; // the tree that it shows

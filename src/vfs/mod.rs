//! The tree that a mount shows: names, attributes, listings, bytes. Knows no FUSE.
//!
//! `run_time.zarr/t2m/0.3.0.0` is looked up by arithmetic: the store's view says which cell the chunk is, the cell says whether
//! the name exists, the array's shape says its size. Only reading it fetches anything.

mod collections;
mod inode;
mod metrics;
mod mount_tree;
mod nodes;
mod reading;
mod ref_tree;
mod status;
mod stores;
mod top;
pub mod tree;
mod usage;

pub use collections::Follow;
pub use mount_tree::{MountTree, TreeConfig};
pub use ref_tree::RefTree;

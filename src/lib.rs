//! gribfs shows weather archives as Zarr: an index table says where every GRIB2 message lies, a FUSE mount decodes a
//! message into a plain chunk file when somebody reads it.
//!
//! Three rings; nothing points outwards (`tests/it/architecture.rs` holds the table):
//! the edge (`cli`, `fuse`), services that move bytes (`vfs`, `store`, `storage`, `scan`, `copy`), and a pure core
//! (`slices`, `dataset`, `table`, `index`, `grib`, `zarr`, `picture`, `location`, `files`, `time`).

#[cfg(panic = "abort")]
compile_error!("gribfs fences decoder panics: build it with panic = \"unwind\"");

pub mod cli;
pub mod config;
pub mod copy;
pub mod dataset;
pub mod files;
#[cfg(feature = "fuse")]
pub mod fuse;
pub mod grib;
pub mod index;
pub mod location;
mod pages;
pub mod picture;
pub mod refs;
pub mod scan;
pub mod slices;
pub mod storage;
pub mod store;
mod sync;
pub mod table;
pub mod telemetry;
pub mod time;
pub mod vfs;
pub mod zarr;

//! Zarr as files: what a hierarchy holds, its metadata documents, its chunk keys. No bytes of chunks, no GRIB.

pub mod key;
pub mod metadata;
pub mod model;

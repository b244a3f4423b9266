//! Zarr as files: what a hierarchy holds, its metadata documents, its chunk keys. No bytes of chunks, no GRIB.

pub mod key;
pub mod metadata;
pub mod metadata_v3;
pub mod model;

/// Version of the metadata documents; the chunk files are the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Zarr v2: what every reader tried can read.
    #[default]
    V2,
    /// Zarr v3.
    V3,
}

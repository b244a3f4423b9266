//! Reference sets as something to read from: found and loaded ([`load`](load_refs)), followed as far as they may be ([`policy`]), each
//! chunk proven and decoded ([`grib_chunk`]) or handed on as it is, once for all its readers ([`RefReader`]).
//!
//! `t2m/3.0.0` is array and number, [`RefKey::Chunk`]; the set says `["s3://b/f003", 0, 11357]`; those bytes are fetched as
//! messages of a table are, with the same disk cache, pins and budget of memory.

mod error;
mod files;
pub mod grib_chunk;
mod load;
pub mod policy;
mod reader;
mod records;
mod sizes;
mod source;

pub use error::RefReadError;
pub use load::{LoadError, Loaded, load_refs};
pub use reader::{RefConfig, RefReader};

/// A chunk of an array, or a file that belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefKey {
    /// Array and linear chunk number.
    Chunk(usize, u64),
    /// Group and position among its files.
    File(usize, usize),
}

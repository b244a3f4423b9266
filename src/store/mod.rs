//! Bytes of chunks: one flight per field, a cache of decoded fields, verification of every message.
//!
//! `reader.read(row)` answers at once from memory or with a future that fetches exactly the message's range, proves that it is
//! the message that the table names, and decodes it. Knows rows and bytes. Knows no paths and no errno.

mod ahead;
mod budget;
mod cache;
mod failure;
mod failures;
mod fetch;
pub mod grib_chunk;
mod load;
pub mod policy;
mod reader;
mod references;
pub mod verify;
mod walk;

pub use failure::{FailureKind, ReadFailure};
pub use failures::Failure;
pub use load::{LoadError, Loaded, load_refs};
pub use reader::{FieldReader, Read, ReaderConfig, Statistics};
pub use references::{RefKey, RefReadError, RefReader};

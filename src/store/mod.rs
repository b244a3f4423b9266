//! Bytes of chunks: one flight per field, a cache of decoded fields, verification of every message.
//!
//! `reader.read(row)` answers at once from memory or with a future that fetches exactly the message's range, proves that it is
//! the message that the table names, and decodes it. Raw messages may be kept on disk ([`DiskCache`]); a message that does not lie where the
//! table says is looked for in its object ([`OnStale`]). Knows rows and bytes. Knows no paths and no errno.

mod ahead;
mod budget;
mod buffers;
mod bulk;
mod cache;
mod decoders;
mod disk;
mod failure;
mod failures;
mod fetch;
mod heal;
mod landing;
mod origin;
mod part;
mod pins;
mod reader;
pub mod references;
mod rescan;
mod rows;
mod side;
pub mod verify;
mod walk;

use std::time::{SystemTime, UNIX_EPOCH};

pub use bulk::{Arrivals, BulkField, BulkReader, Place as MessagePlace};
pub use disk::{DiskCache, DiskConfig, DiskStatistics};
pub use failure::{FailureKind, ReadFailure};
pub use failures::Failure;
pub use heal::{HealStatistics, Healed, OnStale};
pub use reader::{FieldReader, Observed, Read, ReaderConfig, Statistics};
pub use references::{LoadError, Loaded, RefConfig, RefKey, RefReadError, RefReader, load_refs};

use crate::sync::lock;

/// Seconds since 1970.
fn now_seconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

//! Ranged reads, listings and writes by location: S3, Google Cloud Storage, Azure, HTTP, files.
//!
//! A read is one ranged GET, checked (206, `Content-Range`, length), sent again while that helps, and over by its deadline:
//! `storage.get(&"s3://noaa-gfs-bdp-pds/gfs.20261122/00/atmos/gfs.t00z.pgrb2.0p25.f000", bytes 0-99, Short::Refuse)` gives
//! 100 bytes with the object's `ETag` and size, or says why not.
//!
//! Knows locations and bytes. Knows no GRIB, no tables, no chunks. `object_store` is named here and nowhere else.

mod addresses;
mod call;
mod client;
mod config;
mod counters;
mod error;
mod hold;
mod join;
mod latency;
mod limit;
mod listing;
mod local;
mod mirror;
mod origins;
mod outlook;
mod page;
mod profile;
mod public;
mod range;
mod read;
mod remote;
mod retry;
mod served;
mod standing;
mod upload;
mod versioned;
mod wire;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

pub use self::addresses::is_link_local;
pub use self::config::{Environment, StorageConfig};
pub use self::counters::Counters;
pub use self::error::{ErrorKind, Operation, StorageError};
pub use self::hold::{Hold, Holders};
pub use self::join::{Joined, Joining, join};
pub use self::local::file_etag;
pub use self::mirror::{Mirror, MirrorError};
pub use self::outlook::{Credentials, credentials};
pub use self::standing::OriginStatus;
pub use self::versioned::{Expected, Version};

use self::counters::Tally;
use self::error::Fault;
use self::mirror::MirrorPins;
use self::origins::Origin;
use self::standing::Standing;
use self::wire::Common;
use crate::location::Location;
use crate::time::Instant;

/// What to do when an object ends before the range does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// Fail with [`ErrorKind::Truncated`].
    Refuse,
    /// Give what there is, provided that it reaches to the object's end.
    Allow,
}

/// Bytes that were read, and what their object said of itself.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The bytes.
    pub bytes: Bytes,
    /// Size of the whole object in bytes, where the server tells.
    pub object_size: Option<u64>,
    /// The object's `ETag` as the server writes it; of files, one made of time, size and inode. None where a mirror answered: its
    /// `ETag`s are others than those of the first place, and storage itself holds it to them.
    pub etag: Option<String>,
    /// The number of its version, where the service counts them: the generation of Google Cloud Storage.
    pub(crate) number: Option<String>,
    /// When the object was last written, where known.
    pub modified: Option<Instant>,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it lies.
    pub location: Location,
    /// Its size in bytes.
    pub size: u64,
    /// Its `ETag`, where the listing has it.
    pub etag: Option<String>,
    /// When it was last written, where known.
    pub modified: Option<Instant>,
}

/// One level of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// Folders, with a slash at their end.
    pub folders: Vec<Location>,
    /// Objects that lie directly there.
    pub files: Vec<Listed>,
}

/// Access to all storage, by location. Clones share connections, limits and counters. Needs a tokio runtime to run in.
#[derive(Clone)]
pub struct Storage(Arc<Shared>);

struct Shared {
    config: StorageConfig,
    tally: Arc<Tally>,
    /// Made when the first remote location is asked for: reading certificates takes longer than reading a local table.
    common: OnceLock<Result<Arc<Common>, Fault>>,
    origins: Mutex<HashMap<String, Origin>>,
    mirror_pins: MirrorPins,
    standings: Mutex<BTreeMap<String, Arc<Standing>>>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("config", &self.0.config)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

impl Storage {
    /// The server that has a bucket of the location's scheme, where that is set and not the vendor's own.
    #[must_use]
    pub fn endpoint_of(&self, location: &Location) -> Option<&str> {
        match location.scheme() {
            "file" | "http" | "https" => None,
            _ => self.0.config.endpoint_url.as_deref(),
        }
    }

    /// Storage with these settings. Opens no connection and looks for no credentials yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for limits of zero, an endpoint that is no URL, a profile that does not exist.
    pub fn new(config: StorageConfig) -> Result<Self, StorageError> {
        for (name, zero) in [
            ("max requests", config.max_requests == 0),
            ("max requests in all", config.max_requests_in_all == 0),
            ("timeout", config.timeout.is_zero()),
            ("stall timeout", config.stall_timeout.is_zero()),
            ("max attempts", config.max_attempts == 0),
        ] {
            if zero {
                return Err(StorageError::config(format!("{name} must not be 0")));
            }
        }
        // Told now, not when the first chunk is read.
        origins::check(&config).map_err(|fault| StorageError::config(fault.cause))?;
        Ok(Self(Arc::new(Shared {
            config,
            tally: Arc::default(),
            common: OnceLock::new(),
            origins: Mutex::default(),
            mirror_pins: MirrorPins::default(),
            standings: Mutex::default(),
        })))
    }

    /// What storage has cost so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.tally.read()
    }

    /// The limit of bytes in all, if as many have been read. Whoever reads much asks before; storage itself goes on, since what a
    /// mount needs to show its names is read through it too.
    #[must_use]
    pub fn spent(&self) -> Option<u64> {
        let limit = self.0.config.max_bytes_in_all?;
        (self.counters().bytes >= limit).then_some(limit)
    }

    /// How each origin that was asked for something is doing, by name.
    #[must_use]
    pub fn origins(&self) -> Vec<OriginStatus> {
        let now = std::time::Instant::now();
        let standings = &self.0.standings;
        let standings = standings.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |(origin, standing): (&String, &Arc<Standing>)| standing.status(origin, now);
        standings.iter().map(status).collect()
    }

    async fn count<T>(
        &self,
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let done = work.await;
        if done.is_err() {
            self.0.tally.failed();
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_looked_at_before_they_are_used() {
        for (endpoint, right) in [
            ("http://127.0.0.1:9000", true),
            ("https://minio.example", true),
            ("minio.example", false),
            ("ftp://minio.example", false),
            ("https://me:hush@minio.example", false),
        ] {
            let config = StorageConfig {
                endpoint_url: Some(endpoint.to_owned()),
                ..StorageConfig::default()
            };
            let made = Storage::new(config);
            assert_eq!(made.is_ok(), right, "{endpoint}");
            if let Err(error) = made {
                assert!(!error.to_string().contains("hush"), "{error}");
            }
        }
    }

    #[test]
    fn limits_of_zero_are_refused() {
        let config = StorageConfig {
            max_requests: 0,
            ..StorageConfig::default()
        };
        assert_eq!(Storage::new(config).unwrap_err().kind(), ErrorKind::Config);
    }
}

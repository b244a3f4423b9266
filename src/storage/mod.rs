//! Ranged reads, listings and writes by location: S3, Google Cloud Storage, Azure, HTTP, files.
//!
//! A read is one ranged GET, checked (206, `Content-Range`, length), sent again while that helps, and over by its deadline:
//! `storage.get(&"s3://noaa-gfs-bdp-pds/gfs.20261122/00/atmos/gfs.t00z.pgrb2.0p25.f000", bytes 0-99, Short::Refuse)` gives
//! 100 bytes with the object's `ETag` and size, or says why not.
//!
//! Knows locations and bytes. Knows no GRIB, no tables, no chunks. `object_store` is named here and nowhere else.

mod call;
mod client;
mod config;
mod counters;
mod error;
mod limit;
mod local;
mod origins;
mod page;
mod profile;
mod public;
mod range;
mod remote;
mod retry;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;

pub use self::config::{Environment, StorageConfig};
pub use self::counters::Counters;
pub use self::error::{ErrorKind, Operation, StorageError};

use self::call::Call;
use self::counters::Tally;
use self::error::Fault;
use self::limit::Limiter;
use self::origins::Origin;
use self::wire::{Common, Wire};
use crate::location::{ByteRange, Location};
use crate::time::Instant;

/// Largest page of a listing. `WebDAV` sends a whole tree as one page, at about 1 kB for a file.
const PAGE_BYTES: u64 = 64 << 20;
/// Slowest line on which a write may take longer than the timeout of a read.
const WRITE_BYTES_PER_SECOND: u64 = 256 << 10;
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
    /// The object's `ETag` as the server writes it; of files, one made of time, size and inode.
    pub etag: Option<String>,
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
    origins: Mutex<HashMap<String, Served>>,
    files: Limiter,
}

/// An origin with its limiter, which outlives a change of region.
#[derive(Clone)]
struct Served {
    origin: Origin,
    limiter: Arc<Limiter>,
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
    /// Storage with these settings. Opens no connection and looks for no credentials yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for limits of zero, an endpoint that is no URL, a profile that does not exist.
    pub fn new(config: StorageConfig) -> Result<Self, StorageError> {
        for (name, zero) in [
            ("max requests", config.max_requests == 0),
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
            files: Limiter::new(config.max_requests),
            config,
            tally: Arc::default(),
            common: OnceLock::new(),
            origins: Mutex::default(),
        })))
    }

    /// Reads a range by exactly one GET (and its repetitions, should it fail), never a HEAD.
    ///
    /// The bytes are exactly those of the range, or up to the object's end where the range is open or `short` allows it.
    ///
    /// # Errors
    /// [`StorageError`] of any kind; [`ErrorKind::Truncated`] where the object ends before the range begins.
    pub async fn get(
        &self,
        location: &Location,
        range: ByteRange,
        short: Short,
    ) -> Result<Fetched, StorageError> {
        let config = &self.0.config;
        let call = Call::new(
            Operation::Read(range),
            location,
            config.timeout,
            config.max_read_bytes,
        );
        let fetched = self
            .count(call.run(async {
                refuse_impossible(range, call.max_bytes)?;
                if range.length == Some(0) {
                    return Ok(Fetched {
                        bytes: Bytes::new(),
                        object_size: None,
                        etag: None,
                        modified: None,
                    });
                }
                let fetched = self.read(&call, Some(range)).await?;
                check_end(range, short, &fetched)?;
                Ok(fetched)
            }))
            .await?;
        Ok(fetched)
    }

    /// Reads a whole object of at most `max_bytes` by one GET: index files, manifests.
    ///
    /// # Errors
    /// [`StorageError`] of any kind; [`ErrorKind::TooLarge`] beyond `max_bytes`, [`ErrorKind::NotData`] for a web page.
    pub async fn get_whole(
        &self,
        location: &Location,
        max_bytes: u64,
    ) -> Result<Fetched, StorageError> {
        let config = &self.0.config;
        let limit = max_bytes.min(config.max_read_bytes);
        let call = Call::new(Operation::ReadWhole, location, config.timeout, limit);
        self.count(call.run(self.read(&call, None))).await
    }

    /// Lists the objects whose URL begins with `prefix`, sorted. A folder of files or of a `WebDAV` server is listed to its
    /// depths; end a bucket's prefix with a slash to mean a folder. Each page has the timeout of a read.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on plain HTTP servers; others as for reads. A prefix without objects is empty on object
    /// stores, and [`ErrorKind::NotFound`] on disk.
    pub async fn list(&self, prefix: &Location) -> Result<Vec<Listed>, StorageError> {
        Ok(self.list_level(prefix, false).await?.files)
    }

    /// Lists one level of a folder: `s3://bucket/gfs.20261122/` gives its folders `00/`, `06/`, ... without their content.
    ///
    /// # Errors
    /// As [`Storage::list`].
    pub async fn list_folder(&self, folder: &Location) -> Result<Folder, StorageError> {
        let folder = if folder.as_str().ends_with('/') {
            folder.clone()
        } else {
            folder.with_suffix("/")
        };
        self.list_level(&folder, true).await
    }

    async fn list_level(&self, prefix: &Location, level: bool) -> Result<Folder, StorageError> {
        let mut whole = Folder::default();
        let mut token = None;
        loop {
            let call = Call::new(Operation::List, prefix, self.0.config.timeout, PAGE_BYTES);
            let work = call.run(self.list_page(&call, token.clone(), level));
            let (page, next) = self.count(work).await?;
            whole.folders.extend(page.folders);
            whole.files.extend(page.files);
            match next {
                None => break,
                // A server that repeats its token would be asked for ever.
                Some(next) if token.as_ref() == Some(&next) => {
                    let cause = "the listing does not end: the server repeats a page token";
                    return Err(call.failed(Fault::new(ErrorKind::Unavailable, cause)));
                }
                Some(next) => token = Some(next),
            }
        }
        whole.files.sort_by(|a, b| a.location.cmp(&b.location));
        whole.folders.sort();
        Ok(whole)
    }

    /// Writes a whole object so that readers see the old one or the new one: files by rename, objects by one PUT.
    ///
    /// # Errors
    /// [`StorageError`]; [`ErrorKind::Unsupported`] for `gs://` without credentials.
    pub async fn put(&self, location: &Location, bytes: Bytes) -> Result<(), StorageError> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let timeout = self.0.config.timeout + Duration::from_secs(size / WRITE_BYTES_PER_SECOND);
        let call = Call::new(Operation::Write, location, timeout, PAGE_BYTES);
        self.count(call.run(async {
            if let Some(path) = file_path(location)? {
                return self.on_disk(move || local::write(&path, &bytes)).await;
            }
            self.on_origin(&call, |origin| remote::put(origin, &call, bytes.clone()))
                .await
        }))
        .await
    }

    /// What storage has cost so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.tally.read()
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

    async fn read(&self, call: &Call, range: Option<ByteRange>) -> Result<Fetched, Fault> {
        if let Some(path) = file_path(&call.location)? {
            let max_bytes = call.max_bytes;
            let range = range.unwrap_or(ByteRange {
                offset: 0,
                length: None,
            });
            let fetched = self
                .on_disk(move || local::read(&path, range, max_bytes))
                .await?;
            self.0.tally.received(fetched.bytes.len());
            return Ok(fetched);
        }
        self.on_origin(call, |origin| remote::fetch(origin, call, range))
            .await
    }

    async fn list_page(
        &self,
        call: &Call,
        token: Option<String>,
        level: bool,
    ) -> Result<(Folder, Option<String>), Fault> {
        if let Some(path) = file_path(&call.location)? {
            let list = move || {
                if level {
                    return local::list_folder(&path);
                }
                let files = local::list(&path)?;
                Ok(Folder {
                    folders: Vec::new(),
                    files,
                })
            };
            return Ok((self.on_disk(list).await?, None));
        }
        self.on_origin(call, |origin| {
            remote::list_page(origin, call, token.clone(), level)
        })
        .await
    }

    /// Runs blocking work on files.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let _permit = self.0.files.acquire().await;
        self.0.tally.requested(false);
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => Err(Fault::new(ErrorKind::Local, error.to_string())),
        }
    }

    /// Runs `work` with the origin of the call's location, and once more where S3 names another region for the bucket.
    async fn on_origin<T, F>(
        &self,
        call: &Call,
        work: impl Fn(Origin) -> F + Send,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let origin = self.origin(&call.location, None)?;
        let known = match &origin {
            Origin::Bucket(bucket) => bucket.region.clone(),
            Origin::Web(_) => None,
        };
        let failed = match work(origin).await {
            Ok(done) => return Ok(done),
            Err(fault) => fault,
        };
        let named = call.story().region.take();
        let (Some(known), Some(named)) = (known, named) else {
            return Err(failed);
        };
        if known == named || !is_region(&named) {
            return Err(failed);
        }
        {
            let mut story = call.story();
            story.fault = None;
            story.refusal = None;
        }
        work(self.origin(&call.location, Some(&named))?).await
    }

    /// The origin of a location, made when first asked for; made again in `region` if one is given.
    fn origin(&self, location: &Location, region: Option<&str>) -> Result<Origin, Fault> {
        let common = self.0.common.get_or_init(|| {
            let config = &self.0.config;
            Ok(Arc::new(Common::new(
                client::build(config)?,
                Arc::clone(&self.0.tally),
                config.stall_timeout,
                config.max_attempts,
            )))
        });
        let common = common.as_ref().map_err(Clone::clone)?;
        let key = location.origin();
        let mut origins = self
            .0
            .origins
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let served = origins.get(key);
        if let (Some(served), None) = (served, region) {
            return Ok(served.origin.clone());
        }
        let limiter = match served {
            Some(served) => Arc::clone(&served.limiter),
            None => Arc::new(Limiter::new(self.0.config.max_requests)),
        };
        let wire = Wire::new(Arc::clone(common), Arc::clone(&limiter));
        let origin = origins::build(&self.0.config, location, region, wire)?;
        let served = Served {
            origin: origin.clone(),
            limiter,
        };
        origins.insert(key.to_owned(), served);
        Ok(origin)
    }
}

/// The path of a file's location, or `None` for a remote one.
fn file_path(location: &Location) -> Result<Option<PathBuf>, Fault> {
    if location.scheme() != "file" {
        return Ok(None);
    }
    match location.to_path() {
        Some(path) => Ok(Some(path)),
        None => Err(Fault::new(
            ErrorKind::Unsupported,
            "the path is not UTF-8 once decoded",
        )),
    }
}

/// Refuses ranges that no object can have, and those beyond the limit, before anything is asked.
fn refuse_impossible(range: ByteRange, max_bytes: u64) -> Result<(), Fault> {
    let length = range.length.unwrap_or(0);
    if range.offset.checked_add(length).is_none() {
        let cause = "the range reaches beyond what numbers can say";
        return Err(Fault::new(ErrorKind::Unsupported, cause));
    }
    if length > max_bytes {
        let cause = format!("a range of {length} bytes, the limit is {max_bytes}");
        return Err(Fault::new(ErrorKind::TooLarge, cause));
    }
    Ok(())
}

/// Compares the count of bytes with the range.
fn check_end(range: ByteRange, short: Short, fetched: &Fetched) -> Result<(), Fault> {
    let Some(length) = range.length else {
        return Ok(());
    };
    let got = u64::try_from(fetched.bytes.len()).unwrap_or(u64::MAX);
    if got == length {
        return Ok(());
    }
    if got > length {
        let cause = format!("{got} bytes came");
        return Err(Fault::new(ErrorKind::NotRanged, cause));
    }
    let at_end = fetched.object_size == Some(range.offset.saturating_add(got));
    if short == Short::Allow && at_end {
        return Ok(());
    }
    let cause = match fetched.object_size {
        Some(size) => format!("{got} bytes came, the object has {size}"),
        None => format!("{got} bytes came"),
    };
    Err(Fault::new(ErrorKind::Truncated, cause))
}

/// Whether a server's word for a region can stand in a host name.
fn is_region(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 40
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_a_word() {
        assert!(is_region("eu-central-1"));
        assert!(!is_region("evil.example/"));
        assert!(!is_region(""));
    }

    /// The bucket behind a URL, built with keys in the environment. Nothing is sent.
    fn bucket(url: &str, config: StorageConfig) -> origins::Bucket {
        let variables = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B")];
        let environment =
            Environment::from_variables(variables.map(|(name, value)| (name.into(), value.into())));
        let storage = Storage::new(StorageConfig {
            environment,
            ..config
        });
        let location = Location::parse(url, std::path::Path::new("/")).unwrap();
        match storage.unwrap().origin(&location, None).unwrap() {
            Origin::Bucket(bucket) => bucket,
            Origin::Web(_) => panic!("{url} is a bucket"),
        }
    }

    #[test]
    fn known_buckets_are_anonymous_in_their_region_and_others_are_signed() {
        let plain = StorageConfig::default;
        let open = bucket("s3://noaa-gfs-bdp-pds/x", plain());
        assert_eq!(
            (open.anonymous, open.region.as_deref()),
            (true, Some("us-east-1"))
        );
        let open = bucket("s3://ecmwf-forecasts/x", plain());
        assert_eq!(
            (open.anonymous, open.region.as_deref()),
            (true, Some("eu-central-1"))
        );
        assert!(bucket("gs://global-forecast-system/x", plain()).anonymous);
        assert!(bucket("az://ecmwf/x", plain()).anonymous);
        assert!(
            bucket(
                "abfss://ecmwf@ai4edataeuwest.dfs.core.windows.net/x",
                plain()
            )
            .anonymous
        );
        assert!(!bucket("s3://mine/x", plain()).anonymous);

        let anonymous = StorageConfig {
            anonymous: true,
            ..plain()
        };
        assert!(bucket("s3://mine/x", anonymous).anonymous);
        let paying = StorageConfig {
            requester_pays: true,
            ..plain()
        };
        assert!(!bucket("s3://noaa-gfs-bdp-pds/x", paying).anonymous);
    }

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

    #[test]
    fn short_answers_are_welcome_only_at_the_end() {
        let fetched = |bytes: &'static [u8], object_size| Fetched {
            bytes: Bytes::from_static(bytes),
            object_size,
            etag: None,
            modified: None,
        };
        let range = ByteRange::new(10, 5);
        assert!(check_end(range, Short::Refuse, &fetched(b"12345", None)).is_ok());
        assert!(check_end(range, Short::Allow, &fetched(b"123", Some(13))).is_ok());
        assert!(check_end(range, Short::Refuse, &fetched(b"123", Some(13))).is_err());
        assert!(check_end(range, Short::Allow, &fetched(b"123", Some(14))).is_err());
        assert!(check_end(range, Short::Allow, &fetched(b"123", None)).is_err());
    }
}

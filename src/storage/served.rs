//! Who serves a location: the origins known so far, each with its limits, and the local disk.
//!
//! An origin is made when its first location is asked for and kept; a bucket that turns out to lie in another region is
//! made again there, under the limits it had.
//!
//! Knows origins and where work runs. Knows no ranges and no retries.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use super::call::Call;
use super::error::{ErrorKind, Fault};
use super::origins::{self, Origin};
use super::standing::Standing;
use super::wire::{Common, Wire};
use super::{Storage, client};
use crate::location::Location;

impl Storage {
    /// Runs blocking work on files.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let disk = self.standing_of("file://");
        let _permit = disk.limiter.acquire().await;
        self.0.tally.requested(false);
        disk.tally.requested(false);
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => Err(Fault::new(ErrorKind::Local, error.to_string())),
        }
    }

    /// Runs `work` with the origin of the call's location, and once more where S3 names another region for the bucket.
    pub(super) async fn on_origin<T, F>(
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
        call.forget_refusal();
        work(self.origin(&call.location, Some(&named))?).await
    }

    /// How the origin of a location is doing; it outlives a change of region.
    pub(super) fn standing(&self, location: &Location) -> Arc<Standing> {
        self.standing_of(location.origin())
    }

    fn standing_of(&self, origin: &str) -> Arc<Standing> {
        let standings = &self.0.standings;
        let mut standings = standings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = standings.get(origin) {
            return Arc::clone(known);
        }
        let made = Arc::new(Standing::new(self.0.config.max_requests));
        standings.insert(origin.to_owned(), Arc::clone(&made));
        made
    }

    /// The origin of a location, made when first asked for; made again in `region` if one is given.
    pub(super) fn origin(
        &self,
        location: &Location,
        region: Option<&str>,
    ) -> Result<Origin, Fault> {
        let common = self.0.common.get_or_init(|| {
            let config = &self.0.config;
            Ok(Arc::new(Common::new(
                client::build(config)?,
                Arc::clone(&self.0.tally),
                config,
            )))
        });
        let common = common.as_ref().map_err(Clone::clone)?;
        let key = location.origin();
        let mut origins = self
            .0
            .origins
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let (Some(origin), None) = (origins.get(key), region) {
            return Ok(origin.clone());
        }
        let wire = Wire::new(Arc::clone(common), self.standing(location));
        let origin = origins::build(&self.0.config, location, region, wire)?;
        origins.insert(key.to_owned(), origin.clone());
        Ok(origin)
    }
}

/// The path of a file's location, or `None` for a remote one.
pub(super) fn file_path(location: &Location) -> Result<Option<PathBuf>, Fault> {
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
    use crate::storage::{Environment, StorageConfig};

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
}

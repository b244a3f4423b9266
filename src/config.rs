//! Settings that several commands share, validated, each with the reason for its default.

use std::path::PathBuf;
use std::time::Duration;

use crate::location::{Location, LocationError};
use crate::storage::{Storage, StorageConfig, StorageError};

/// The directory that relative paths on the command line are against.
///
/// # Errors
/// If there is none (it was removed under the process).
pub fn working_directory() -> std::io::Result<PathBuf> {
    std::env::current_dir()
}

/// Reads a URL or path of the command line.
///
/// # Errors
/// [`LocationError`] for what is neither.
pub fn location(text: &str) -> Result<Location, LocationError> {
    let base = working_directory().map_err(|error| LocationError::Malformed {
        url: text.to_owned(),
        reason: format!("no working directory: {error}"),
    })?;
    Location::parse(text, &base)
}

/// Storage flags as given, before they become a [`StorageConfig`].
#[derive(Clone, Debug)]
pub struct StorageSettings {
    /// Never sign requests.
    pub anonymous: bool,
    /// Profile of the AWS configuration.
    pub profile: Option<String>,
    /// Server in place of the vendor's.
    pub endpoint_url: Option<String>,
    /// Pay for requests.
    pub requester_pays: bool,
    /// Requests in flight per host.
    pub max_requests: usize,
    /// Seconds for one read, retries included.
    pub timeout_seconds: f64,
}

impl StorageSettings {
    /// Storage with these settings and the environment's credentials.
    ///
    /// # Errors
    /// [`StorageError`] for settings that make no sense.
    pub fn storage(&self) -> Result<Storage, StorageError> {
        let defaults = StorageConfig::from_env();
        let timeout = Duration::try_from_secs_f64(self.timeout_seconds).unwrap_or(defaults.timeout);
        Storage::new(StorageConfig {
            anonymous: self.anonymous,
            profile: self.profile.clone(),
            endpoint_url: self.endpoint_url.clone(),
            requester_pays: self.requester_pays,
            max_requests: self.max_requests,
            timeout,
            stall_timeout: defaults.stall_timeout.min(timeout),
            ..defaults
        })
    }
}

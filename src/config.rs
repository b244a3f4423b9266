//! Settings that several commands share, validated, each with the reason for its default.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::location::{Location, LocationError};
use crate::storage::{Mirror, MirrorError, Storage, StorageConfig, StorageError};

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

/// Largest default of the memory budget: a mount is one of many programs on a large machine.
const MEMORY_AT_MOST: u64 = 4 << 30;
/// The default where the machine does not tell how much memory it has.
const MEMORY_OTHERWISE: u64 = 1 << 30;

/// Bytes that a mount may use for messages and fields by default: a quarter of the machine's memory, or of what its control group
/// allows if that is less, and at most 4 GiB.
#[must_use]
pub fn memory_default() -> u64 {
    let quarter = machine_memory()
        .into_iter()
        .chain(control_group_memory())
        .min()
        .map_or(MEMORY_OTHERWISE, |bytes| bytes / 4);
    quarter.min(MEMORY_AT_MOST)
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn machine_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The least limit among this process's control group and those above it (version 2), or of the memory controller (version 1), in bytes.
fn control_group_memory() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (root, file) = match (number, controllers) {
            ("0", "") => ("/sys/fs/cgroup", "memory.max"),
            (_, "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        // Inside a container the path is often that of the outside: then the root is the container's own.
        Path::new(path.trim_start_matches('/'))
            .ancestors()
            .filter_map(|folder| {
                std::fs::read_to_string(Path::new(root).join(folder).join(file)).ok()
            })
            .filter_map(|text| text.trim().parse::<u64>().ok())
            .min()
    });
    limits.min()
}

/// Reads a number of bytes: `256M`, `1.5GiB`, `4000000`. A unit of one letter counts in 1024, as memory is counted.
///
/// # Errors
/// What is wrong with it, for people.
pub fn byte_count(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let letter = text.chars().last().filter(char::is_ascii_alphabetic);
    let binary = match letter.map(|letter| letter.to_ascii_uppercase()) {
        Some('K' | 'M' | 'G' | 'T') => format!("{text}iB"),
        _ => text.to_owned(),
    };
    let size: bytesize::ByteSize = binary
        .parse()
        .map_err(|error| format!("`{text}` is no number of bytes such as 256M or 4G: {error}"))?;
    Ok(size.as_u64())
}

/// Where a program of this user keeps what it has learnt: `gribfs` in `$XDG_STATE_HOME`, else in `~/.local/state`; under systemd the
/// service's own directory. None where the environment names no place.
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    let path = |name: &str| {
        let value = PathBuf::from(std::env::var_os(name)?);
        value.is_absolute().then_some(value)
    };
    path("STATE_DIRECTORY")
        .or_else(|| Some(path("XDG_STATE_HOME")?.join("gribfs")))
        .or_else(|| Some(path("HOME")?.join(".local/state/gribfs")))
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
    /// Other places of the same objects, each `URL=URL`.
    pub mirrors: Vec<String>,
    /// Seconds for one read, retries included.
    pub timeout_seconds: f64,
    /// Most bytes to read in all.
    pub max_bytes: Option<u64>,
}

/// Why storage flags make no sense.
#[derive(Debug, thiserror::Error)]
pub enum StorageSettingsError {
    /// What storage says of them.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A mirror is none.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// Paths cannot be made absolute.
    #[error("no working directory: {0}")]
    WorkingDirectory(#[from] std::io::Error),
}

impl StorageSettings {
    /// Storage with these settings and the environment's credentials.
    ///
    /// # Errors
    /// [`StorageSettingsError`] for settings that make no sense.
    pub fn storage(&self) -> Result<Storage, StorageSettingsError> {
        let defaults = StorageConfig::from_env();
        let timeout = Duration::try_from_secs_f64(self.timeout_seconds).unwrap_or(defaults.timeout);
        let base = working_directory()?;
        let mirrors: Result<Vec<_>, _> = self
            .mirrors
            .iter()
            .map(|text| Mirror::parse(text, &base))
            .collect();
        Ok(Storage::new(StorageConfig {
            mirrors: mirrors?,
            anonymous: self.anonymous,
            profile: self.profile.clone(),
            endpoint_url: self.endpoint_url.clone(),
            requester_pays: self.requester_pays,
            max_requests: self.max_requests,
            max_bytes_in_all: self.max_bytes,
            timeout,
            stall_timeout: defaults.stall_timeout.min(timeout),
            ..defaults
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_and_without_units() {
        for (text, bytes) in [
            ("256M", 256 << 20),
            ("1.5GiB", 3 << 29),
            ("4G", 4 << 30),
            ("64 k", 64 << 10),
            ("1MB", 1_000_000),
            ("4000000", 4_000_000),
        ] {
            assert_eq!(byte_count(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-1M", "many", "1 apple"] {
            assert!(byte_count(text).unwrap_err().contains("256M"), "{text}");
        }
    }

    #[test]
    fn the_default_memory_is_at_most_a_quarter() {
        let default = memory_default();
        assert!(default > 0 && default <= MEMORY_AT_MOST);
        assert!(machine_memory().is_none_or(|bytes| default <= bytes / 4));
    }
}

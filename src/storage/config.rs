//! Settings of storage, each with the reason for its default.
//!
//! The command line builds a [`StorageConfig`] with [`StorageConfig::from_env`] and its flags; nothing else here looks at
//! the environment (HTTP proxies excepted, which the HTTP client takes from the usual variables by itself).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::mirror::Mirror;

/// Settings of a [`Storage`](super::Storage).
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// Never sign a request and never look for credentials. Off: known public buckets are read so anyhow.
    pub anonymous: bool,
    /// Profile of the AWS configuration files. None: keys from the environment, else `AWS_PROFILE`, else `default`.
    pub profile: Option<String>,
    /// Server that speaks the dialect of `s3://`, `gs://` or `az://` in place of the vendor's own. None: the vendor's.
    pub endpoint_url: Option<String>,
    /// Agree to pay for requests to buckets of others. Off: it costs money.
    pub requester_pays: bool,
    /// Requests in flight per origin (host or bucket). 64: enough to fill a fast line with messages of 1 MB at 30 ms,
    /// and as many as public servers take from one client without refusing.
    pub max_requests: usize,
    /// Requests in flight to all origins together. 512: half of the files that a process may have open by default, and more
    /// than seven origins at their limits.
    pub max_requests_in_all: usize,
    /// Other places of the same objects, in the order in which they are tried. None: each object has one place.
    pub mirrors: Vec<Mirror>,
    /// Time for one read, retries included. 60 s: longer than a busy server takes, shorter than users wait before they
    /// think that the mount hangs.
    pub timeout: Duration,
    /// Silence on a connection after which a request counts as lost and is sent again. 10 s: no healthy server is
    /// silent that long, and a read can outlive several lost requests within its timeout.
    pub stall_timeout: Duration,
    /// Requests for one read. 8: the waits between them add up to 6 s, after which the next try is the reader's.
    pub max_attempts: u32,
    /// Most bytes of one read. 1 GiB: far above any message (the largest in use are near 100 MB), and a bound where a
    /// range is open or a server answers with something else.
    pub max_read_bytes: u64,
    /// Most bytes of all reads together, after which readers of chunks are refused ([`Storage::spent`](super::Storage::spent)). None:
    /// no limit, as a mount is there to be read.
    pub max_bytes_in_all: Option<u64>,
    /// Credentials and regions of the environment. Empty: none.
    pub environment: Environment,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            anonymous: false,
            profile: None,
            endpoint_url: None,
            requester_pays: false,
            max_requests: 64,
            max_requests_in_all: 512,
            mirrors: Vec::new(),
            timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(10),
            max_attempts: 8,
            max_read_bytes: 1 << 30,
            max_bytes_in_all: None,
            environment: Environment::default(),
        }
    }
}

impl StorageConfig {
    /// The defaults, with what this process's environment says about credentials and regions.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            environment: Environment::from_variables(std::env::vars_os()),
            ..Self::default()
        }
    }
}

/// The variables of the environment that concern storage: `AWS_*`, `GOOGLE_*`, `AZURE_*` and the home folder. Its debug
/// text shows names only, as the values are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Picks the variables that matter.
    pub fn from_variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let wanted = |name: &str| {
            ["AWS_", "GOOGLE_", "AZURE_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
                || matches!(name, "HOME" | "SERVICE_ACCOUNT" | "IDENTITY_ENDPOINT")
        };
        Self(
            variables
                .into_iter()
                .filter_map(|(name, value)| {
                    let name = name.into_string().ok().filter(|name| wanted(name))?;
                    let value = value.into_string().ok().filter(|value| !value.is_empty())?;
                    Some((name, value))
                })
                .collect(),
        )
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Those of the variables `names` that are set.
    pub(super) fn among(
        &self,
        names: &'static [&'static str],
    ) -> impl Iterator<Item = (&'static str, &str)> {
        names
            .iter()
            .filter_map(|name| Some((*name, self.get(name)?)))
    }

    /// A file of the AWS configuration: `variable`'s value, else `~/.aws/<name>`.
    pub(super) fn aws_file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        match self.get(variable) {
            Some(path) => Some(PathBuf::from(path)),
            None => Some(PathBuf::from(self.get("HOME")?).join(".aws").join(name)),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_picked_and_never_shown() {
        let variables = [
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("HOME", "/home/me"),
            ("PATH", "/bin"),
            ("AWS_REGION", ""),
        ];
        let environment = Environment::from_variables(
            variables.map(|(name, value)| (OsString::from(name), OsString::from(value))),
        );
        assert_eq!(environment.get("AWS_SECRET_ACCESS_KEY"), Some("hush"));
        assert_eq!(environment.get("PATH"), None);
        assert_eq!(
            environment.get("AWS_REGION"),
            None,
            "an empty variable is not set"
        );
        assert_eq!(
            environment.aws_file("AWS_CONFIG_FILE", "config"),
            Some(PathBuf::from("/home/me/.aws/config"))
        );
        let config = StorageConfig {
            environment,
            ..StorageConfig::default()
        };
        assert!(!format!("{config:?}").contains("hush"));
    }
}

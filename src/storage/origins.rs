//! From a bucket's name to somebody who serves it: dialect, address, region, credentials.
//!
//! `s3://noaa-gfs-bdp-pds` is known to be open and lies in us-east-1: nobody is asked for credentials. `s3://mine` takes the
//! keys of `--profile`, else of the environment, else of the default profile, else of the role of the instance.
//! `--endpoint-url` replaces the vendor's address; there an absence of keys means an open server.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::list::PaginatedListStore;
use object_store::{ObjectStore, RetryConfig};
use url::Url;

use super::config::StorageConfig;
use super::error::{ErrorKind, Fault};
use super::profile::{self, Keys};
use super::public;
use super::wire::{Connector, Wire};
use crate::location::Location;

// Of the environment only credentials are handed on: other variables that object_store knows name buckets or endpoints,
// and would send the reads of one location to another.
const AWS_CREDENTIALS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];
/// Where the role of an instance is asked for, if not at the usual address.
const INSTANCE_METADATA: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
/// `true` where the instance must not be asked.
pub(super) const INSTANCE_METADATA_DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
pub(super) const GOOGLE_CREDENTIALS: &[&str] = &[
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];
pub(super) const AZURE_CREDENTIALS: &[&str] = &[
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
];

/// Who serves a location's origin.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A bucket or container.
    Bucket(Bucket),
    /// A web server: each URL is a store of its own, so that queries and odd paths reach the server as they are.
    Web(Wire),
}

/// A bucket of S3, Google Cloud Storage or Azure.
#[derive(Clone)]
pub(super) struct Bucket {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) pages: Arc<dyn PaginatedListStore>,
    /// S3's region, so that another one named by the server is noticed.
    pub(super) region: Option<String>,
    /// Whether requests go out without a signature.
    pub(super) anonymous: bool,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket")
            .field("region", &self.region)
            .field("anonymous", &self.anonymous)
            .finish_non_exhaustive()
    }
}

impl Bucket {
    fn new<S: ObjectStore + PaginatedListStore>(
        store: S,
        region: Option<String>,
        anonymous: bool,
    ) -> Self {
        let store = Arc::new(store);
        Self {
            objects: Arc::<S>::clone(&store),
            pages: store,
            region,
            anonymous,
        }
    }
}

/// The origin of a location. `region` overrides what is known of an S3 bucket's region.
///
/// # Errors
/// [`ErrorKind::Config`] for settings that do not fit, [`ErrorKind::Unsupported`] for a scheme without an origin.
pub(super) fn build(
    config: &StorageConfig,
    location: &Location,
    region: Option<&str>,
    wire: Wire,
) -> Result<Origin, Fault> {
    let scheme = location.scheme();
    let name = location.origin().split("://").nth(1).unwrap_or("");
    match scheme {
        "http" | "https" => Ok(Origin::Web(wire)),
        "s3" => s3(config, name, region, wire).map(Origin::Bucket),
        "gs" => gs(config, name, wire).map(Origin::Bucket),
        "az" | "abfs" | "abfss" => az(config, scheme, name, wire).map(Origin::Bucket),
        _ => Err(Fault::new(
            ErrorKind::Unsupported,
            format!("scheme `{scheme}`"),
        )),
    }
}

/// The store whose root is exactly this URL.
pub(super) fn web(url: &str, wire: Wire) -> Result<impl ObjectStore, Fault> {
    HttpBuilder::new()
        .with_url(url)
        .with_retry(no_retries())
        .with_http_connector(Connector(wire))
        .build()
        .map_err(config_fault)
}

/// Repetitions are [`wire`](super::wire)'s work: `object_store`'s do not wait as long as `Retry-After` says.
fn no_retries() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    }
}

fn config_fault(error: impl std::fmt::Display) -> Fault {
    Fault::new(ErrorKind::Config, error.to_string())
}

/// Looks at the settings that can be wrong before any location is known.
///
/// # Errors
/// [`ErrorKind::Config`].
pub(super) fn check(config: &StorageConfig) -> Result<(), Fault> {
    if let Some(text) = &config.endpoint_url {
        endpoint(text, false)?;
    }
    if let Some(name) = config.profile.as_deref().filter(|_| !config.anonymous) {
        profile::read(&config.environment, name, true).map_err(config_fault)?;
    }
    Ok(())
}

/// Reads an endpoint. Credentials that travel as they are (`bearer`) must not travel in the clear beyond this machine.
fn endpoint(text: &str, bearer: bool) -> Result<Url, Fault> {
    let bad = |what: &str| Fault::new(ErrorKind::Config, format!("endpoint {what}"));
    let url = Url::parse(text).map_err(|error| bad(&format!("is not a URL: {error}")))?;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(bad("has no host")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("must not hold a name and password"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback || !bearer => Ok(url),
        "http" => Err(bad("must be https where tokens are sent")),
        scheme => Err(bad(&format!("has scheme `{scheme}`; http or https is due"))),
    }
}

fn s3(
    config: &StorageConfig,
    bucket: &str,
    region: Option<&str>,
    wire: Wire,
) -> Result<Bucket, Fault> {
    let environment = &config.environment;
    let address = config.endpoint_url.as_deref().or_else(|| {
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
            .iter()
            .find_map(|name| environment.get(name))
    });
    let address = address.map(|text| endpoint(text, false)).transpose()?;
    let public =
        public::lookup("s3", bucket, None).filter(|_| address.is_none() && !config.requester_pays);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_retry(no_retries())
        .with_request_payer(config.requester_pays)
        .with_http_connector(Connector(wire));
    let access = if config.anonymous || public.is_some() {
        S3Access::Anonymous
    } else {
        s3_access(config, address.is_some())?
    };
    let mut profile_region = None;
    let anonymous = match access {
        S3Access::Anonymous => {
            builder = builder.with_skip_signature(true);
            true
        }
        S3Access::Keys(keys, region) => {
            builder = builder
                .with_access_key_id(keys.id)
                .with_secret_access_key(keys.secret);
            if let Some(token) = keys.token {
                builder = builder.with_token(token);
            }
            profile_region = region;
            false
        }
        S3Access::Environment(region) => {
            for (name, value) in environment.among(AWS_CREDENTIALS) {
                if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            if let Some(text) = environment.get(INSTANCE_METADATA) {
                builder = builder.with_metadata_endpoint(text.trim_end_matches('/'));
            }
            profile_region = region;
            false
        }
    };
    let region = region
        .or(public.map(|public| public.region))
        .or_else(|| environment.get("AWS_REGION"))
        .or_else(|| environment.get("AWS_DEFAULT_REGION"))
        .or(profile_region.as_deref())
        .unwrap_or("us-east-1")
        .to_owned();
    builder = builder.with_region(&region);
    if let Some(address) = address {
        builder = builder
            .with_endpoint(address.as_str().trim_end_matches('/'))
            .with_virtual_hosted_style_request(false);
    }
    let store = builder.build().map_err(config_fault)?;
    Ok(Bucket::new(store, Some(region), anonymous))
}

/// How S3 requests are signed.
enum S3Access {
    Anonymous,
    /// Keys of a profile, and its region.
    Keys(Keys, Option<String>),
    /// Whatever the environment offers, down to the role of the instance; with the default profile's region.
    Environment(Option<String>),
}

fn s3_access(config: &StorageConfig, own_endpoint: bool) -> Result<S3Access, Fault> {
    let environment = &config.environment;
    if let Some(name) = &config.profile {
        let profile = profile::read(environment, name, true).map_err(config_fault)?;
        return match profile.keys {
            Some(keys) => Ok(S3Access::Keys(keys, profile.region)),
            None => Err(config_fault(format!("profile `{name}` has no keys"))),
        };
    }
    if environment.get("AWS_ACCESS_KEY_ID").is_some() {
        return Ok(S3Access::Environment(None));
    }
    let named = environment.get("AWS_PROFILE");
    let name = named.unwrap_or("default");
    let profile = profile::read(environment, name, named.is_some()).map_err(config_fault)?;
    if let Some(keys) = profile.keys {
        return Ok(S3Access::Keys(keys, profile.region));
    }
    let offers = [
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    let offered = offers.iter().any(|name| environment.get(name).is_some());
    let asks_instance = environment.get(INSTANCE_METADATA).is_some();
    let disabled = environment
        .get(INSTANCE_METADATA_DISABLED)
        .is_some_and(|word| word.eq_ignore_ascii_case("true"));
    match (offered, own_endpoint) {
        (false, true) if disabled || !asks_instance => Ok(S3Access::Anonymous),
        (false, false) if disabled => Err(config_fault(format!(
            "no credentials, and {INSTANCE_METADATA_DISABLED} forbids to ask the machine for them: give --anonymous, --profile, or keys in the environment"
        ))),
        (true | false, true | false) => Ok(S3Access::Environment(profile.region)),
    }
}

fn gs(config: &StorageConfig, bucket: &str, wire: Wire) -> Result<Bucket, Fault> {
    let environment = &config.environment;
    let offered = environment.among(GOOGLE_CREDENTIALS).next().is_some()
        || environment.get("SERVICE_ACCOUNT").is_some();
    let own_endpoint = config.endpoint_url.is_some();
    let anonymous = config.anonymous
        || (public::lookup("gs", bucket, None).is_some() && !own_endpoint)
        || (own_endpoint && !offered);
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_retry(no_retries())
        .with_http_connector(Connector(wire));
    if anonymous {
        // A credential of no content keeps the builder from reading the files where credentials may lie.
        let none = StaticCredentialProvider::new(GcpCredential {
            bearer: String::new(),
        });
        builder = builder
            .with_skip_signature(true)
            .with_credentials(Arc::new(none));
    } else {
        for (name, value) in environment.among(GOOGLE_CREDENTIALS) {
            if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(path) = environment.get("SERVICE_ACCOUNT") {
            builder = builder.with_service_account_path(path);
        }
    }
    if let Some(text) = &config.endpoint_url {
        let address = endpoint(text, !anonymous)?;
        builder = builder.with_base_url(address.as_str().trim_end_matches('/'));
    }
    let store = builder.build().map_err(config_fault)?;
    Ok(Bucket::new(store, None, anonymous))
}

fn az(config: &StorageConfig, scheme: &str, name: &str, wire: Wire) -> Result<Bucket, Fault> {
    let environment = &config.environment;
    // abfs://container@account.dfs.core.windows.net/key, or az://container/key with the account from elsewhere.
    let (container, host) = match name.split_once('@') {
        Some((container, host)) => (container, Some(host)),
        None => (name, None),
    };
    let named = host.and_then(|host| host.split('.').next());
    let own_endpoint = config.endpoint_url.is_some();
    let public = public::lookup(scheme, container, named).filter(|_| !own_endpoint);
    let offered = environment.among(AZURE_CREDENTIALS).next().is_some();
    let anonymous = config.anonymous || public.is_some() || (own_endpoint && !offered);
    let address = config
        .endpoint_url
        .as_deref()
        .map(|text| endpoint(text, !anonymous))
        .transpose()?;
    let from_endpoint = address.as_ref().and_then(|url| {
        let path = url.path_segments()?.rfind(|part| !part.is_empty());
        path.or_else(|| url.host_str()?.split('.').next())
    });
    let account = named
        .or(public.map(|public| public.account))
        .or_else(|| environment.get("AZURE_STORAGE_ACCOUNT_NAME"))
        .or_else(|| environment.get("AZURE_STORAGE_ACCOUNT"))
        .or(from_endpoint)
        .ok_or_else(|| {
            Fault::new(
                ErrorKind::Config,
                "no storage account: set AZURE_STORAGE_ACCOUNT_NAME or write abfs://container@account.dfs.core.windows.net/...",
            )
        })?;
    let mut builder = MicrosoftAzureBuilder::new();
    if !anonymous {
        for (name, value) in environment.among(AZURE_CREDENTIALS) {
            if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(text) = environment.get("IDENTITY_ENDPOINT") {
            builder = builder.with_msi_endpoint(text);
        }
    }
    builder = builder
        .with_account(account)
        .with_container_name(container)
        .with_skip_signature(anonymous)
        .with_retry(no_retries())
        .with_http_connector(Connector(wire));
    if let Some(address) = &address {
        builder = builder.with_endpoint(address.as_str().trim_end_matches('/').to_owned());
    }
    let store = builder.build().map_err(config_fault)?;
    Ok(Bucket::new(store, None, anonymous))
}

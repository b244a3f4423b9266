//! Storage against a server that misbehaves: each fault ends as the right bytes or as an honest error, by its deadline.

mod faults;
mod join;
mod limits;
mod mirrors;
mod origins;
mod proxy;
mod reads;
mod writes;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gribfs::location::{ByteRange, Location};
use gribfs::storage::{Environment, Short, Storage, StorageConfig, StorageError};

use crate::support::http::TestServer;

const PATH: &str = "/data/a.grib2";

fn config() -> StorageConfig {
    StorageConfig {
        timeout: Duration::from_secs(3),
        stall_timeout: Duration::from_millis(400),
        ..StorageConfig::default()
    }
}

fn storage() -> Storage {
    Storage::new(config()).unwrap()
}

fn location(url: &str) -> Location {
    Location::parse(url, Path::new("/")).unwrap()
}

fn object() -> Vec<u8> {
    (0..10_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// A server with one object, and its location.
fn served() -> (TestServer, Location) {
    let server = TestServer::start();
    server.put(PATH, object());
    let location = location(&server.url(PATH));
    (server, location)
}

const RANGE: ByteRange = ByteRange {
    offset: 1000,
    length: Some(20_000),
};

fn right(bytes: &Bytes) {
    assert_eq!(&bytes[..], &object()[1000..21_000]);
}

/// Reads [`RANGE`] and finds it right.
async fn reads_right(storage: &Storage, location: &Location) {
    match storage.get(location, RANGE, Short::Refuse).await {
        Ok(fetched) => right(&fetched.bytes),
        Err(error) => panic!("{error}"),
    }
}

/// The error of a read of [`RANGE`].
async fn error_of(storage: &Storage, location: &Location) -> StorageError {
    let read = storage.get(location, RANGE, Short::Refuse).await;
    read.unwrap_err()
}

/// A file of a service account of Google's that nobody has, in a folder; `None` where no key can be made.
fn google_account(folder: &Path) -> Option<String> {
    let made = std::process::Command::new("openssl")
        .args(["genrsa", "2048"])
        .output();
    let Ok(key) = made.map(|made| String::from_utf8(made.stdout).unwrap()) else {
        println!("skipped: no openssl here to make a key");
        return None;
    };
    let account = format!(
        r#"{{"type":"service_account","private_key":"{}","private_key_id":"1","client_email":"me@x","disable_oauth":true}}"#,
        key.replace('\n', "\\n")
    );
    let path = folder.join("account.json");
    std::fs::write(&path, account).unwrap();
    Some(path.to_str().unwrap().to_owned())
}

fn own_endpoint(server: &TestServer, environment: &[(&str, &str)]) -> Storage {
    let variables = environment
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    Storage::new(StorageConfig {
        endpoint_url: Some(server.url("")),
        environment: Environment::from_variables(variables),
        ..config()
    })
    .unwrap()
}

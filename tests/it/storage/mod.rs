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

//! Storage against a server that misbehaves: each fault ends as the right bytes or as an honest error, by its deadline.

mod join;

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gribfs::location::{ByteRange, Location};
use gribfs::storage::{Environment, ErrorKind, Short, Storage, StorageConfig, StorageError};

use crate::support::http::{Fault, TestServer};

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

/// Reads [`RANGE`] of a fresh server with these faults: the outcome and the count of requests.
async fn read_with(
    fault: impl Into<crate::support::http::Times>,
) -> (Result<Bytes, StorageError>, usize) {
    let (server, location) = served();
    server.fault(PATH, fault);
    let read = storage().get(&location, RANGE, Short::Refuse).await;
    (read.map(|fetched| fetched.bytes), server.requests().len())
}

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

#[tokio::test]
async fn a_read_is_one_ranged_get() {
    let (server, location) = served();
    let storage = storage();
    let fetched = storage.get(&location, RANGE, Short::Refuse).await.unwrap();
    right(&fetched.bytes);
    assert_eq!(fetched.object_size, Some(40_000));
    assert!(fetched.etag.unwrap().starts_with('"'));
    assert_eq!(
        fetched.modified.unwrap().to_string(),
        "2026-11-22T06:00:00Z"
    );
    let seen = server.requests_of(PATH);
    assert_eq!((seen.len(), server.requests().len()), (1, 1));
    assert_eq!(
        (
            seen[0].method.as_str(),
            seen[0].path.as_str(),
            seen[0].range.as_deref()
        ),
        ("GET", PATH, Some("bytes=1000-20999"))
    );
    let counters = storage.counters();
    assert_eq!((counters.requests, counters.bytes), (1, 20_000));
    assert_eq!((counters.retries, counters.failures), (0, 0));
}

#[tokio::test]
async fn an_open_range_reaches_to_the_end() {
    let (server, location) = served();
    let range = ByteRange {
        offset: 39_000,
        length: None,
    };
    let fetched = storage()
        .get(&location, range, Short::Refuse)
        .await
        .unwrap();
    assert_eq!(&fetched.bytes[..], &object()[39_000..]);
    assert_eq!(server.requests()[0].range.as_deref(), Some("bytes=39000-"));
}

#[tokio::test]
async fn ranges_past_the_end_are_short_only_where_that_is_welcome() {
    let (_server, location) = served();
    let storage = storage();
    let range = ByteRange::new(39_000, 5_000);
    let fetched = storage.get(&location, range, Short::Allow).await.unwrap();
    assert_eq!(&fetched.bytes[..], &object()[39_000..]);
    let error = storage
        .get(&location, range, Short::Refuse)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    let beyond = ByteRange::new(50_000, 10);
    let error = storage
        .get(&location, beyond, Short::Allow)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    let absurd = ByteRange::new(u64::MAX, 10);
    let error = storage
        .get(&location, absurd, Short::Allow)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[tokio::test]
async fn whole_objects_are_read_within_a_limit() {
    let (server, location) = served();
    let storage = storage();
    let fetched = storage.get_whole(&location, 40_000).await.unwrap();
    assert_eq!(&fetched.bytes[..], &object()[..]);
    assert_eq!(server.requests().len(), 1);
    let error = storage.get_whole(&location, 39_999).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
}

#[tokio::test]
async fn transient_faults_are_survived() {
    for fault in [
        Fault::Status(500).times(1),
        Fault::Status(503).times(2),
        Fault::Status(429).times(1),
        Fault::Status(408).times(1),
        Fault::Reset.times(2),
        Fault::Truncate(50).times(2),
        Fault::Truncate(0).times(1),
        Fault::Hang.times(1),
        Fault::Stall(50).times(1),
        Fault::Slow(Duration::from_millis(100)).times(1),
    ] {
        let text = format!("{fault:?}");
        let (read, requests) = read_with(fault).await;
        right(&read.unwrap_or_else(|error| panic!("{text}: {error}")));
        assert!(requests <= 3, "{text}: {requests} requests");
    }
}

#[tokio::test]
async fn permanent_faults_have_their_kinds() {
    for (fault, kind, most) in [
        (Fault::Status(404), ErrorKind::NotFound, 1),
        (Fault::Status(410), ErrorKind::NotFound, 1),
        (Fault::Status(403), ErrorKind::Forbidden, 1),
        (Fault::Status(401), ErrorKind::Forbidden, 1),
        (Fault::Status(412), ErrorKind::Changed, 1),
        (Fault::Status(416), ErrorKind::Truncated, 1),
        (Fault::Status(400), ErrorKind::Unavailable, 1),
        (Fault::Status(204), ErrorKind::NotRanged, 1),
        (Fault::IgnoreRange, ErrorKind::NotRanged, 1),
        (Fault::OtherRange, ErrorKind::NotRanged, 1),
        (Fault::Page, ErrorKind::NotData, 1),
    ] {
        let text = format!("{fault:?}");
        let (read, requests) = read_with(fault).await;
        let error = read.unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(requests <= most, "{text}: {requests} requests");
        let message = error.to_string();
        assert!(
            message.contains("bytes 1000-20999 of http://127.0.0.1"),
            "{message}"
        );
        assert!(message.contains("1 request"), "{message}");
    }
}

#[tokio::test]
async fn faults_that_stay_end_the_read() {
    for (fault, kinds) in [
        (Fault::Status(503), &[ErrorKind::Unavailable][..]),
        (Fault::Reset, &[ErrorKind::Unavailable]),
        (Fault::Truncate(30), &[ErrorKind::Truncated]),
        // The deadline strikes while the last request still hangs, or the wait before the next would outlast it.
        (Fault::Hang, &[ErrorKind::TimedOut]),
        (Fault::Stall(30), &[ErrorKind::TimedOut]),
    ] {
        let text = format!("{fault:?}");
        let (server, location) = served();
        server.fault(PATH, fault);
        let storage = Storage::new(StorageConfig {
            max_attempts: 4,
            ..config()
        })
        .unwrap();
        let started = Instant::now();
        let read = storage.get(&location, RANGE, Short::Refuse).await;
        let error = read.unwrap_err();
        assert!(kinds.contains(&error.kind()), "{text}: {error}");
        assert!(started.elapsed() < Duration::from_millis(3500), "{text}");
        assert_eq!(server.requests().len(), 4, "{text}");
        assert_eq!(error.requests(), 4, "{text}");
        assert_eq!(storage.counters().retries, 3, "{text}");
        assert_eq!(storage.counters().failures, 1, "{text}");
    }
}

#[tokio::test]
async fn a_hang_ends_at_the_deadline() {
    let (server, location) = served();
    server.fault(PATH, Fault::Hang);
    let storage = Storage::new(StorageConfig {
        timeout: Duration::from_millis(300),
        ..StorageConfig::default()
    })
    .unwrap();
    let started = Instant::now();
    let error = error_of(&storage, &location).await;
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(300) && elapsed < Duration::from_secs(1));
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let (server, location) = served();
    let busy = Fault::Answer(503, vec!["Retry-After: 1".to_owned()], String::new());
    server.fault(PATH, busy.times(1));
    let started = Instant::now();
    reads_right(&storage(), &location).await;
    assert!(started.elapsed() >= Duration::from_secs(1));

    // A wait beyond the deadline is not waited for.
    let closed = Fault::Answer(429, vec!["Retry-After: 3600".to_owned()], String::new());
    server.fault(PATH, closed);
    let started = Instant::now();
    let error = error_of(&storage(), &location).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_connection_is_kept_between_reads() {
    let (server, location) = served();
    let storage = storage();
    for _ in 0..5 {
        reads_right(&storage, &location).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn nobody_there_is_told_soon() {
    let server = TestServer::start();
    let location = location(&server.url(PATH));
    drop(server);
    let started = Instant::now();
    let error = error_of(&storage(), &location).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("cannot connect"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_size_that_is_not_told_is_not_invented() {
    let (server, location) = served();
    server.fault(PATH, Fault::UnknownSize);
    let storage = storage();
    let fetched = storage.get(&location, RANGE, Short::Refuse).await.unwrap();
    right(&fetched.bytes);
    assert_eq!(fetched.object_size, None);
    let range = ByteRange::new(39_000, 5_000);
    let error = storage
        .get(&location, range, Short::Allow)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotRanged, "{error}");
}

#[tokio::test]
async fn another_etag_is_handed_on() {
    let (server, location) = served();
    let storage = storage();
    let first = storage.get(&location, RANGE, Short::Refuse).await.unwrap();
    server.fault(PATH, Fault::OtherETag);
    let second = storage.get(&location, RANGE, Short::Refuse).await.unwrap();
    assert_ne!(first.etag, second.etag);
}

#[tokio::test]
async fn a_flipped_byte_is_for_verification_to_find() {
    let (server, location) = served();
    server.fault(PATH, Fault::Flip(7));
    let storage = storage();
    let fetched = storage.get(&location, RANGE, Short::Refuse).await.unwrap();
    assert_ne!(&fetched.bytes[..], &object()[1000..21_000]);
    assert_eq!(fetched.bytes.len(), 20_000);
}

#[tokio::test]
async fn redirects_are_followed_to_data_but_not_to_a_login_page() {
    let (server, location) = served();
    server.put("/mirror/a.grib2", object());
    server.fault(PATH, Fault::Redirect("/mirror/a.grib2".to_owned()).times(1));
    server.fault(PATH, Fault::Redirect("/login".to_owned()));
    server.fault("/login", Fault::Page);
    let storage = storage();
    reads_right(&storage, &location).await;
    let error = error_of(&storage, &location).await;
    assert_eq!(error.kind(), ErrorKind::NotData, "{error}");
    let error = storage.get_whole(&location, 1 << 20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotData, "{error}");
}

#[tokio::test]
async fn a_page_saved_as_an_index_is_refused() {
    let server = TestServer::start();
    server.put(
        "/a.idx",
        &b"<html><body>Too many requests</body></html>"[..],
    );
    let location = location(&server.url("/a.idx"));
    let error = storage().get_whole(&location, 1 << 20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotData, "{error}");
}

#[tokio::test]
async fn urls_reach_the_server_as_they_are_and_queries_are_not_shown() {
    let server = TestServer::start();
    server.put("/a//b c/x.grib2", object());
    let signed = location(&format!("{}?sig=HUSH%2F", server.url("/a//b%20c/x.grib2")));
    let storage = storage();
    reads_right(&storage, &signed).await;
    assert_eq!(server.requests()[0].path, "/a//b c/x.grib2?sig=HUSH%2F");
    server.remove("/a//b c/x.grib2");
    let error = error_of(&storage, &signed).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let message = format!("{error} {error:?}");
    assert!(!message.contains("HUSH"), "{message}");
}

#[tokio::test]
async fn sixty_four_reads_go_at_once_and_no_more() {
    let (server, location) = served();
    server.latency(Duration::from_millis(100));
    let storage = storage();
    let started = Instant::now();
    let reads = (0..128_u64).map(|number| {
        let (storage, location) = (storage.clone(), location.clone());
        tokio::spawn(async move {
            let range = ByteRange::new(number * 100, 100);
            storage.get(&location, range, Short::Refuse).await
        })
    });
    for (number, read) in (0_usize..).zip(reads.collect::<Vec<_>>()) {
        let fetched = read.await.unwrap().unwrap();
        assert_eq!(&fetched.bytes[..], &object()[number * 100..][..100]);
    }
    assert_eq!(server.most_in_flight(), 64);
    assert_eq!(server.requests().len(), 128);
    assert!(
        started.elapsed() < Duration::from_millis(1500),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_refuses_for_load_is_asked_less_at_once() {
    let (server, location) = served();
    server.latency(Duration::from_millis(20));
    server.fault(PATH, Fault::Status(503).times(10));
    let storage = storage();
    let read = |number: u64| {
        let (storage, location) = (storage.clone(), location.clone());
        tokio::spawn(async move {
            let range = ByteRange::new(number * 100, 100);
            storage.get(&location, range, Short::Refuse).await
        })
    };
    storage
        .get(&location, RANGE, Short::Refuse)
        .await
        .unwrap_err();
    server.heal();
    server.forget();
    let reads: Vec<_> = (0..96).map(read).collect();
    for read in reads {
        read.await.unwrap().unwrap();
    }
    // Halved at least once from 64, and not yet grown back.
    assert!(server.most_in_flight() <= 40, "{}", server.most_in_flight());
}

#[tokio::test]
async fn a_slow_origin_does_not_stall_another() {
    let (slow, slow_location) = served();
    slow.fault(PATH, Fault::Hang);
    let (_quick, quick_location) = served();
    let storage = storage();
    let waiting = {
        let storage = storage.clone();
        tokio::spawn(async move {
            let reads = (0..100).map(|_| storage.get(&slow_location, RANGE, Short::Refuse));
            futures::future::join_all(reads).await
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    reads_right(&storage, &quick_location).await;
    assert!(started.elapsed() < Duration::from_millis(200));
    for read in waiting.await.unwrap() {
        assert_eq!(read.unwrap_err().kind(), ErrorKind::TimedOut);
    }
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

#[tokio::test]
async fn object_stores_are_read_anonymously_at_an_own_endpoint() {
    let server = TestServer::start();
    server.put("/bucket/deep/a b#1.grib2", object());
    server.put("/account/bucket/deep/a b#1.grib2", object());
    let azure = Storage::new(StorageConfig {
        endpoint_url: Some(server.url("account")),
        ..config()
    })
    .unwrap();
    for (storage, url) in [
        (own_endpoint(&server, &[]), "s3://bucket/deep/a b#1.grib2"),
        (own_endpoint(&server, &[]), "gs://bucket/deep/a b#1.grib2"),
        (azure, "az://bucket/deep/a b#1.grib2"),
    ] {
        server.forget();
        let fetched = storage.get(&location(url), RANGE, Short::Refuse).await;
        right(&fetched.unwrap_or_else(|error| panic!("{error}")).bytes);
        let seen = server.requests();
        assert_eq!(seen.len(), 1, "{url}");
        assert_eq!(seen[0].range.as_deref(), Some("bytes=1000-20999"), "{url}");
        assert_eq!(seen[0].authorization, None, "{url}");
    }
}

#[tokio::test]
async fn keys_of_the_environment_sign_unless_anonymous() {
    let server = TestServer::start();
    server.put("/bucket/a", object());
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AK"),
        ("AWS_SECRET_ACCESS_KEY", "HUSH"),
    ];
    let storage = own_endpoint(&server, &keys);
    let place = location("s3://bucket/a");
    reads_right(&storage, &place).await;
    let signature = server.requests()[0].authorization.clone().unwrap();
    assert!(signature.contains("Credential=AK/"), "{signature}");
    assert!(!signature.contains("HUSH"));
    assert!(!format!("{storage:?}").contains("HUSH"));

    server.forget();
    server.fault("/bucket/a", Fault::Status(403));
    let error = error_of(&storage, &place).await;
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.to_string().ends_with("try --anonymous"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_bucket_in_another_region_is_found_there_and_remembered() {
    let server = TestServer::start();
    server.put("/bucket/a", object());
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AK"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_REGION", "us-west-2"),
        ("AWS_BUCKET", "other"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
    ];
    let storage = own_endpoint(&server, &keys);
    let place = location("s3://bucket/a");
    let moved = vec!["x-amz-bucket-region: eu-central-1".to_owned()];
    server.fault(
        "/bucket/a",
        Fault::Answer(301, moved, String::new()).times(1),
    );
    for _ in 0..2 {
        let read = storage.get(&place, RANGE, Short::Refuse);
        right(&read.await.unwrap().bytes);
    }
    let scopes: Vec<_> = server
        .requests()
        .into_iter()
        .map(|seen| seen.authorization.unwrap())
        .collect();
    assert_eq!(scopes.len(), 3);
    assert!(scopes[0].contains("/us-west-2/s3/"), "{scopes:?}");
    assert!(scopes[1].contains("/eu-central-1/s3/"), "{scopes:?}");
    assert!(scopes[2].contains("/eu-central-1/s3/"), "{scopes:?}");
    assert_eq!(storage.counters().failures, 0);
}

#[tokio::test]
async fn a_profile_signs_and_a_wrong_one_is_told() {
    let server = TestServer::start();
    server.put("/bucket/a", object());
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(
        home.path().join(".aws/credentials"),
        "[lab]\naws_access_key_id=LAB\naws_secret_access_key=s\n",
    )
    .unwrap();
    let with = |profile: &str| {
        Storage::new(StorageConfig {
            profile: Some(profile.to_owned()),
            endpoint_url: Some(server.url("")),
            environment: Environment::from_variables([("HOME".into(), home.path().into())]),
            ..config()
        })
    };
    let place = location("s3://bucket/a");
    let lab = with("lab").unwrap();
    reads_right(&lab, &place).await;
    let signature = server.requests()[0].authorization.clone().unwrap();
    assert!(signature.contains("Credential=LAB/"), "{signature}");
    let error = with("home").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("no profile `home`"), "{error}");
}

#[tokio::test]
async fn listings_are_whole_and_sorted() {
    let server = TestServer::start();
    let names = ["b/1", "b/2", "b/deep/3", "b/deep/4", "b/5", "ba/6", "c"];
    for name in names {
        server.put(&format!("/bucket/{name}"), name.as_bytes());
    }
    let storage = own_endpoint(&server, &[]);
    let keys = |listed: &[gribfs::storage::Listed]| {
        let keys = listed.iter().map(|one| one.location.key().to_owned());
        keys.collect::<Vec<_>>()
    };
    let listed = storage.list(&location("s3://bucket/b/")).await.unwrap();
    assert_eq!(keys(&listed), ["b/1", "b/2", "b/5", "b/deep/3", "b/deep/4"]);
    assert_eq!(listed[0].size, 3);
    assert!(listed[0].etag.is_some() && listed[0].modified.is_some());
    assert_eq!(server.requests().len(), 2, "two pages of three keys");
    let listed = storage.list(&location("s3://bucket/b")).await.unwrap();
    assert_eq!(listed.len(), 6, "a prefix without a slash is a prefix");
    assert!(
        storage
            .list(&location("s3://bucket/none/"))
            .await
            .unwrap()
            .is_empty()
    );

    let folder = storage
        .list_folder(&location("s3://bucket/b"))
        .await
        .unwrap();
    assert_eq!(keys(&folder.files), ["b/1", "b/2", "b/5"]);
    assert_eq!(folder.folders, [location("s3://bucket/b/deep/")]);

    server.fault("/bucket", Fault::Status(503).times(1));
    assert_eq!(
        storage
            .list(&location("s3://bucket/b/"))
            .await
            .unwrap()
            .len(),
        5
    );
}

#[tokio::test]
async fn web_servers_list_by_webdav_or_say_that_they_cannot() {
    let server = TestServer::start();
    server.put("/data/x/a b.grib2", object());
    server.put("/data/x/c.grib2", object());
    let storage = storage();
    let folder = location(&server.url("/data/x/"));
    for (fault, kind) in [
        (None, ErrorKind::Unsupported),
        (Some(Fault::Page), ErrorKind::Unsupported),
        (Some(Fault::Status(403)), ErrorKind::Unsupported),
        (Some(Fault::Status(401)), ErrorKind::Forbidden),
        (Some(Fault::Status(404)), ErrorKind::NotFound),
    ] {
        let text = format!("{fault:?}");
        if let Some(fault) = fault {
            server.fault("/data/x", fault.times(1));
        }
        let error = storage.list(&folder).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
    }
    server.allow_webdav();
    let listed = storage.list(&folder).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        listed[0].location.as_str(),
        server.url("/data/x/a%20b.grib2")
    );
    let fetched = storage.get(&listed[0].location, RANGE, Short::Refuse).await;
    right(&fetched.unwrap().bytes);
}

#[tokio::test]
async fn objects_are_written_and_written_again_after_a_fault() {
    let server = TestServer::start();
    let storage = own_endpoint(&server, &[]);
    server.fault("/bucket/t/x", Fault::Status(503).times(1));
    let bytes = Bytes::from(object());
    storage
        .put(&location("s3://bucket/t/x"), bytes.clone())
        .await
        .unwrap();
    assert_eq!(server.object("/bucket/t/x"), Some(object()));
    let web = location(&server.url("/dav/y"));
    storage.put(&web, bytes.clone()).await.unwrap();
    assert_eq!(server.object("/dav/y"), Some(object()));
    let error = storage
        .put(&location("gs://bucket/x"), bytes)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(server.object("/bucket/x"), None);
}

#[tokio::test]
async fn files_are_storage_too() {
    let folder = tempfile::tempdir().unwrap();
    let storage = storage();
    let place = Location::from_path(&folder.path().join("deep/a b.grib2"));
    let error = error_of(&storage, &place).await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    storage.put(&place, Bytes::from(object())).await.unwrap();
    let fetched = storage.get(&place, RANGE, Short::Refuse).await.unwrap();
    right(&fetched.bytes);
    let range = ByteRange::new(39_000, 5_000);
    let short = storage.get(&place, range, Short::Allow).await.unwrap();
    assert_eq!(&short.bytes[..], &object()[39_000..]);
    let error = storage.get(&place, range, Short::Refuse).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    let whole = storage.get_whole(&place, 40_000).await.unwrap();
    assert_eq!(whole.bytes.len(), 40_000);
    let listed = storage
        .list(&Location::from_path(folder.path()))
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0].location, &listed[0].etag),
        (&place, &whole.etag)
    );
    let level = storage
        .list_folder(&Location::from_path(folder.path()))
        .await
        .unwrap();
    assert_eq!((level.folders.len(), level.files.len()), (1, 0));
}

//! Reads, listings and writes as they should be: which requests, which bytes.

use bytes::Bytes;
use gribfs::location::{ByteRange, Location};
use gribfs::storage::{ErrorKind, Short};

use super::{
    PATH, RANGE, error_of, location, object, own_endpoint, reads_right, right, served, storage,
};
use crate::support::http::{Fault, TestServer};

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
async fn a_connection_is_kept_between_reads() {
    let (server, location) = served();
    let storage = storage();
    for _ in 0..5 {
        reads_right(&storage, &location).await;
    }
    assert_eq!(server.connections(), 1);
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

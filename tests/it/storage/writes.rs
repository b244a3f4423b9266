//! Writes: whole objects, in parts where they are large, and on condition.

use gribfs::storage::{ErrorKind, Expected};

use super::*;
use crate::support::http::Fault;

const MIB: usize = 1 << 20;

fn bucket(server: &TestServer) -> Storage {
    let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B")];
    own_endpoint(server, &keys)
}

/// Bytes of which no two parts are alike.
fn large(size: usize) -> Bytes {
    let words = (0..size / 4).map(|at| u32::try_from(at).unwrap());
    words.flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into()
}

#[tokio::test]
async fn large_objects_go_up_in_parts_and_only_a_lost_one_goes_again() {
    let server = TestServer::start();
    let (storage, place) = (bucket(&server), location("s3://bucket/deep/x"));
    storage.put(&place, large(32 * MIB)).await.unwrap();
    assert_eq!(server.requests().len(), 1, "one PUT");
    server.forget();
    let bytes = large(42 * MIB);
    // Of the requests behind the first, which begins the upload.
    server.fault("/bucket/deep/x", Fault::Slow(Duration::ZERO).times(1));
    server.fault("/bucket/deep/x", Fault::Status(503).times(1));
    storage.put_unsettled(&place, bytes.clone()).await.unwrap();
    assert!(server.object("/bucket/deep/x").unwrap() == bytes);
    let seen = server.requests();
    let count = |method: &str| seen.iter().filter(|seen| seen.method == method).count();
    assert_eq!(
        (count("POST"), count("PUT"), seen.len()),
        (2, 7, 9),
        "6 parts, one of them twice"
    );
    assert!(seen.iter().all(|seen| seen.authorization.is_some()));
}

#[tokio::test]
async fn an_upload_whose_completion_was_answered_to_nobody_is_made_again() {
    let server = TestServer::start();
    let (storage, place) = (bucket(&server), location("s3://bucket/x"));
    server.fault("/bucket/x", Fault::Slow(Duration::ZERO).times(7));
    server.fault("/bucket/x", Fault::LostAnswer.times(1));
    let bytes = large(41 * MIB);
    storage.put(&place, bytes.clone()).await.unwrap();
    assert!(server.object("/bucket/x").unwrap() == bytes);
}

#[tokio::test]
async fn an_upload_that_fails_leaves_what_was_there() {
    let server = TestServer::start();
    let (storage, place) = (bucket(&server), location("s3://bucket/x"));
    server.put("/bucket/x", object());
    server.fault("/bucket/x", Fault::Slow(Duration::ZERO).times(3));
    server.fault("/bucket/x", Fault::Status(403).times(1));
    let error = storage.put(&place, large(50 * MIB)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    assert_eq!(server.object("/bucket/x"), Some(object()));
    let given_up = server.requests().iter().any(|seen| seen.method == "DELETE");
    assert!(given_up, "{:?}", server.requests());
}

/// Writes on condition to a place, and its removal, as each service tells versions apart.
async fn writes_on_condition(storage: &Storage, place: &Location) {
    let put = async |text: &'static str, expected: &Expected| {
        storage.put_if(place, Bytes::from(text), expected).await
    };
    let first = Expected::This(put("one", &Expected::Nothing).await.unwrap());
    let error = put("no", &Expected::Nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{place}: {error}");
    let read = storage.get_whole(place, 100).await.unwrap();
    assert_eq!(Expected::This(read.version()), first, "{place}");
    let second = Expected::This(put("two", &first).await.unwrap());
    let error = put("no", &first).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{place}: {error}");
    assert_eq!(
        &storage.get_whole(place, 100).await.unwrap().bytes[..],
        b"two"
    );
    storage.remove(place).await.unwrap();
    let error = put("no", &second).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{place}: {error}");
}

#[tokio::test]
async fn a_write_on_condition_is_of_what_was_seen() {
    let server = TestServer::start();
    let folder = tempfile::tempdir().unwrap();
    let places = [
        location("s3://bucket/state"),
        Location::from_path(&folder.path().join("deep/state")),
    ];
    for place in places {
        writes_on_condition(&bucket(&server), &place).await;
    }
}

#[tokio::test]
async fn azure_and_google_are_written_in_parts_and_on_condition_too() {
    let server = TestServer::start();
    let folder = tempfile::tempdir().unwrap();
    let key = ("AZURE_STORAGE_ACCOUNT_KEY".into(), "a2V5".into());
    let azure = Storage::new(StorageConfig {
        endpoint_url: Some(server.url("account")),
        environment: Environment::from_variables([key]),
        ..config()
    });
    let mut all = vec![(azure.unwrap(), "az://c/deep/x", "/account/c/deep/x")];
    if let Some(path) = google_account(folder.path()) {
        let google = own_endpoint(&server, &[("GOOGLE_APPLICATION_CREDENTIALS", &path)]);
        all.push((google, "gs://bucket/deep/x", "/bucket/deep/x"));
    }
    for (storage, url, path) in all {
        let place = location(url);
        writes_on_condition(&storage, &place).await;
        let bytes = large(42 * MIB);
        server.forget();
        storage.put(&place, bytes.clone()).await.unwrap();
        assert!(server.object(path).unwrap() == bytes, "{url}");
        let seen = server.requests();
        assert!(
            seen.len() >= 7,
            "{url}: 6 parts and what puts them together: {}",
            seen.len()
        );
        assert!(
            seen.iter()
                .all(|seen| seen.authorization.is_some() || url.starts_with("gs"))
        );
    }
}

#[tokio::test]
async fn servers_without_conditions_are_written_without() {
    let server = TestServer::start();
    let (storage, place) = (bucket(&server), location("s3://bucket/state"));
    server.fault("/bucket/state", Fault::Status(501).times(1));
    storage
        .put_if(&place, Bytes::from("one"), &Expected::Nothing)
        .await
        .unwrap();
    assert_eq!(server.object("/bucket/state"), Some(b"one".to_vec()));
    assert_eq!(
        server.requests().len(),
        2,
        "a server that does not know it is not asked again"
    );
    let web = location(&server.url("/dav/state"));
    storage
        .put_if(&web, Bytes::from("two"), &Expected::Nothing)
        .await
        .unwrap();
    assert_eq!(server.object("/dav/state"), Some(b"two".to_vec()));
    server.fault("/bucket/state", Fault::Status(409).times(1));
    let error = storage
        .put_if(&place, Bytes::from("no"), &Expected::Nothing)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Changed,
        "what Azure says of a name that is taken: {error}"
    );
}

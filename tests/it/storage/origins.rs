//! Who is asked and with which credentials: every dialect at an endpoint of our own.

use gribfs::storage::{Environment, ErrorKind, Short, Storage, StorageConfig};

use super::{
    RANGE, config, error_of, google_account, location, object, own_endpoint, reads_right, right,
};
use crate::support::http::{Fault, TestServer};

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
async fn the_payer_says_so_in_each_request() {
    let server = TestServer::start();
    server.put("/bucket/a", object());
    let variables = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let environment = variables.map(|(name, value)| (name.into(), value.into()));
    let storage = Storage::new(StorageConfig {
        requester_pays: true,
        endpoint_url: Some(server.url("")),
        environment: Environment::from_variables(environment),
        ..config()
    })
    .unwrap();
    reads_right(&storage, &location("s3://bucket/a")).await;
    let seen = server.requests();
    assert_eq!(seen[0].header("x-amz-request-payer"), Some("requester"));
    let signed = seen[0].authorization.as_deref().unwrap();
    assert!(signed.contains("x-amz-request-payer"), "{signed}");
}

#[tokio::test]
async fn temporary_keys_send_their_token() {
    let server = TestServer::start();
    server.put("/bucket/a", object());
    let storage = own_endpoint(
        &server,
        &[
            ("AWS_ACCESS_KEY_ID", "AK"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SESSION_TOKEN", "TOK"),
        ],
    );
    reads_right(&storage, &location("s3://bucket/a")).await;
    let seen = server.requests();
    assert_eq!(seen[0].header("x-amz-security-token"), Some("TOK"));
}

const ROLE_KEYS: &str = r#"{"AccessKeyId":"ROLE","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z","Code":"Success"}"#;

#[tokio::test]
async fn a_container_gets_its_keys_from_its_agent_once() {
    let server = TestServer::start();
    server.put("/bucket/a", object());
    server.put("/keys", ROLE_KEYS);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "pod").unwrap();
    let storage = own_endpoint(
        &server,
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &server.url("/keys")),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                token.to_str().unwrap(),
            ),
        ],
    );
    for _ in 0..2 {
        reads_right(&storage, &location("s3://bucket/a")).await;
    }
    let asked = server.requests_of("/keys");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].authorization.as_deref(), Some("pod"));
    for seen in server.requests_of("/bucket/a") {
        let signed = seen.authorization.unwrap();
        assert!(signed.contains("Credential=ROLE/"), "{signed}");
    }
}

#[tokio::test]
async fn an_instance_signs_by_its_role() {
    let server = TestServer::start();
    server.put("/bucket/a", object());
    server.put("/latest/api/token", "session");
    server.put("/latest/meta-data/iam/security-credentials/", "reader");
    server.put(
        "/latest/meta-data/iam/security-credentials/reader",
        ROLE_KEYS,
    );
    let storage = own_endpoint(
        &server,
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url(""))],
    );
    reads_right(&storage, &location("s3://bucket/a")).await;
    let seen = server.requests_of("/bucket/a");
    let signed = seen[0].authorization.as_deref().unwrap();
    assert!(signed.contains("Credential=ROLE/"), "{signed}");
}

#[tokio::test]
async fn azure_takes_a_key_or_a_shared_signature() {
    let server = TestServer::start();
    server.put("/account/c/a", object());
    let place = location("az://c/a");
    // The key is base64 for `key`; the signature of a URL is what the portal hands out.
    for (variable, value) in [
        ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5"),
        ("AZURE_STORAGE_SAS_TOKEN", "?sv=2024-11-04&sig=HUSH"),
    ] {
        server.forget();
        let environment = [(variable.into(), value.into())];
        let storage = Storage::new(StorageConfig {
            endpoint_url: Some(server.url("account")),
            environment: Environment::from_variables(environment),
            ..config()
        })
        .unwrap();
        reads_right(&storage, &place).await;
        let seen = server.requests();
        assert_eq!(seen.len(), 1);
        if variable.ends_with("KEY") {
            let signed = seen[0].authorization.as_deref().unwrap();
            assert!(signed.starts_with("SharedKey account:"), "{signed}");
        } else {
            assert!(seen[0].path.contains("sig=HUSH"), "{}", seen[0].path);
        }
        server.fault("/account/c/a", Fault::Status(403).times(1));
        let text = error_of(&storage, &place).await.to_string();
        assert!(!text.contains("HUSH") && !text.contains("a2V5"), "{text}");
    }
}

#[tokio::test]
async fn google_takes_a_service_account_file() {
    let server = TestServer::start();
    server.put("/bucket/a", object());
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = google_account(folder.path()) else {
        return;
    };
    let storage = own_endpoint(&server, &[("GOOGLE_APPLICATION_CREDENTIALS", &path)]);
    reads_right(&storage, &location("gs://bucket/a")).await;
    let missing = own_endpoint(&server, &[("GOOGLE_APPLICATION_CREDENTIALS", "/none.json")]);
    let error = error_of(&missing, &location("gs://bucket/a")).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

#[tokio::test]
async fn an_instance_that_must_not_be_asked_is_not() {
    let server = TestServer::start();
    server.put("/bucket/a", object());
    server.put("/latest/api/token", "session");
    let disabled = ("AWS_EC2_METADATA_DISABLED", "true");
    let url = server.url("");
    let storage = own_endpoint(
        &server,
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url), disabled],
    );
    reads_right(&storage, &location("s3://bucket/a")).await;
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.path == "/bucket/a")
    );
    let variables = [("AWS_EC2_METADATA_DISABLED".into(), "true".into())];
    let storage = Storage::new(StorageConfig {
        environment: Environment::from_variables(variables),
        ..config()
    })
    .unwrap();
    let text = error_of(&storage, &location("s3://bucket/a"))
        .await
        .to_string();
    assert!(
        text.contains("no credentials, and AWS_EC2_METADATA_DISABLED"),
        "{text}"
    );
}

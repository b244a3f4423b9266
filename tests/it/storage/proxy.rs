//! Proxies of the environment: requests for other hosts go to them, those for this machine where it says so do not.

use std::path::Path;
use std::process::Command;

use crate::support::http::TestServer;

/// A GRIB file of the repository and its index file.
fn sample() -> (Vec<u8>, Vec<u8>) {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/archive/gfs.20261122/00/atmos");
    let read = |name: &str| std::fs::read(root.join(name)).unwrap();
    (
        read("gfs.t00z.pgrb2.3p00.f006"),
        read("gfs.t00z.pgrb2.3p00.f006.idx"),
    )
}

/// Runs `gribfs index URL` with these variables and none of the caller's that say proxy.
fn index(url: &str, variables: &[(&str, &str)]) -> std::process::Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gribfs"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
        .envs(variables.iter().copied())
        .args(["index", "--timeout", "10", url, "-o"])
        .arg(folder.path().join("t.parquet"))
        .output()
        .unwrap()
}

#[test]
fn a_proxy_of_the_environment_is_asked_for_hosts_that_only_it_knows() {
    let proxy = TestServer::start();
    let url = "http://archive.invalid/f006";
    let (grib, lines) = sample();
    proxy.put(url, grib);
    proxy.put(&format!("{url}.idx"), lines);
    let done = index(url, &[("http_proxy", &proxy.url(""))]);
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{text}");
    let seen = proxy.requests();
    assert!(seen.len() > 1 && seen.iter().all(|seen| seen.path.starts_with(url)));
    assert!(seen.iter().all(|seen| seen.method == "GET"));
}

#[test]
fn https_asks_the_proxy_for_a_tunnel_and_says_when_there_is_none() {
    let proxy = TestServer::start();
    let done = index(
        "https://archive.invalid/f006",
        &[("https_proxy", &proxy.url(""))],
    );
    assert_eq!(done.status.code(), Some(1));
    let seen = proxy.requests();
    assert!(seen.iter().all(|seen| seen.method == "CONNECT"), "{seen:?}");
    assert_eq!(seen[0].path, "archive.invalid:443");
}

#[test]
fn no_proxy_is_heeded() {
    let (proxy, server) = (TestServer::start(), TestServer::start());
    let (grib, lines) = sample();
    server.put("/f006", grib);
    server.put("/f006.idx", lines);
    let done = index(
        &server.url("/f006"),
        &[("http_proxy", &proxy.url("")), ("no_proxy", "127.0.0.1")],
    );
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(proxy.requests().is_empty());
    assert!(!server.requests().is_empty());
}

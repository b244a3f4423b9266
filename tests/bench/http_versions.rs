//! HTTP/1.1 on many connections against HTTP/2 on one, for the ranged reads of a mount, with TLS, 30 ms away.
//!
//! `cargo bench --bench http_versions`. Needs nginx and openssl. A server on loopback gives ranges of one file; a proxy of this program's own
//! holds back what passes by 15 ms each way, and a new connection by one more round trip, as its handshake would take. Bandwidth and
//! losses are the loopback's: none of HTTP/2's cost by a window that grows slowly or a lost packet is seen, so the comparison favours it.
//!
//! *cold*: a new client opens its connections; *warm*: the same client again. Medians of interleaved rounds.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark prints, and ends at the first surprise"
)]

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use reqwest::header::RANGE;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const ONE_WAY: Duration = Duration::from_millis(15);
const MESSAGE_BYTES: u64 = 700_000;
const ROUNDS: usize = 9;

/// Passes bytes on, each 15 ms after it came.
async fn delayed(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
) {
    let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(4096);
    tokio::spawn(async move {
        while let Some((came, bytes)) = receive.recv().await {
            tokio::time::sleep_until((came + ONE_WAY).into()).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The other side may have closed first.
        drop(to.shutdown().await);
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let bytes = buffer.iter().take(count).copied().collect();
        if send.send((Instant::now(), bytes)).await.is_err() {
            return;
        }
    }
}

async fn proxy(listener: TcpListener, server: u16) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(async move {
            tokio::time::sleep(2 * ONE_WAY).await;
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
                return;
            };
            let (client, server) = (client.into_split(), server.into_split());
            tokio::join!(delayed(client.0, server.1), delayed(server.0, client.1));
        });
    }
}

/// nginx with TLS and HTTP/2 on a port, until dropped.
struct Server(Child);

impl Server {
    fn start(folder: &Path, port: u16) -> Self {
        std::fs::write(folder.join("archive"), vec![7_u8; 64 * 700_000]).expect("a file");
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args([
                "-subj",
                "/CN=localhost",
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
            ])
            .current_dir(folder)
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{made:?}");
        let root = folder.display();
        let config = format!(
            "daemon off; pid {root}/pid; error_log {root}/log; worker_processes 1;
             events {{ worker_connections 1024; }}
             http {{ access_log off; keepalive_requests 100000; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
               fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
               server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;
                 http2_max_concurrent_streams 256; root {root}; }} }}"
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, config).expect("a configuration");
        let running = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .arg("-e")
            .arg(folder.join("log"))
            .spawn()
            .expect("nginx");
        Self(running)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its end by itself would leave the worker behind.
        let ended = Command::new("kill").arg(self.0.id().to_string()).status();
        drop((ended, self.0.wait()));
    }
}

/// How a client speaks.
#[derive(Clone, Copy)]
enum Speech {
    One,
    /// HTTP/2 with windows that grow by what is measured.
    Adaptive,
    /// HTTP/2 with windows larger than all that is asked for.
    Wide,
}

fn client(speech: Speech) -> reqwest::Client {
    let builder = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .pool_max_idle_per_host(64)
        .no_proxy();
    let builder = match speech {
        Speech::One => builder.http1_only(),
        Speech::Adaptive => builder.http2_adaptive_window(true),
        Speech::Wide => builder
            .http2_initial_stream_window_size(16 << 20)
            .http2_initial_connection_window_size(256 << 20),
    };
    builder.build().expect("a client")
}

async fn message(client: &reqwest::Client, url: &str, number: u64) -> Bytes {
    let first = number * MESSAGE_BYTES;
    let range = format!("bytes={first}-{}", first + MESSAGE_BYTES - 1);
    let answer = client.get(url).header(RANGE, range).send().await;
    let bytes = answer.expect("an answer").bytes().await.expect("a body");
    assert_eq!(bytes.len() as u64, MESSAGE_BYTES, "a short body");
    bytes
}

/// Milliseconds of so many reads at once.
async fn together(client: &reqwest::Client, url: &str, count: u64) -> f64 {
    let start = Instant::now();
    let all = (0..count).map(|number| message(client, url, number));
    assert_eq!(
        join_all(all).await.len() as u64,
        count,
        "an answer is missing"
    );
    start.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[tokio::main]
async fn main() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir().expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let _server = Server::start(folder.path(), port);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "https://{}/archive",
        listener.local_addr().expect("an address")
    );
    tokio::spawn(proxy(listener, port));
    tokio::time::sleep(Duration::from_secs(1)).await;
    for count in [1, 8, 64] {
        let mut times = [const { Vec::new() }; 6];
        for _ in 0..ROUNDS {
            for speech in [Speech::One, Speech::Adaptive, Speech::Wide] {
                let client = client(speech);
                for warm in [false, true] {
                    let taken = together(&client, &url, count).await;
                    if let Some(times) = times.get_mut(speech as usize + 3 * usize::from(warm)) {
                        times.push(taken);
                    }
                }
            }
        }
        let [one, adaptive, wide, one_warm, adaptive_warm, wide_warm] = times.map(median);
        println!(
            "{count:2} messages: cold HTTP/1.1 {one:.0} ms, HTTP/2 {adaptive:.0}, wide {wide:.0}; \
             warm {one_warm:.0}, {adaptive_warm:.0}, {wide_warm:.0}"
        );
    }
}

//! The counters over HTTP, for `--metrics-addr`: `GET /metrics`, and nothing else.
//!
//! Listens where it is told, on loopback if only a port is given. It shows counters and the names of origins, no
//! credentials, and takes no input but the path.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Scrapes served at once; more than a few are no scrapes.
const CONNECTIONS: usize = 16;
/// Time in which a client says what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after the system could not accept a connection (no descriptors left).
const PAUSE: Duration = Duration::from_millis(200);

/// Makes the document that is served.
type Page = Arc<dyn Fn() -> String + Send + Sync>;

/// Reads `PORT` (of loopback) or `ADDRESS:PORT`.
///
/// # Errors
/// What is wrong with it, for people.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse()
        .map_err(|_error| format!("`{text}` is no address such as 127.0.0.1:9100, and no port"))
}

/// Serves `page` at `address` from tasks of `runtime` for as long as that lives; gives the address with the port that was taken.
///
/// # Errors
/// If nobody can listen there.
pub fn serve(
    address: SocketAddr,
    runtime: &Handle,
    page: impl Fn() -> String + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let taken = listener.local_addr()?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let page: Page = Arc::new(page);
    let serving = async move {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let page = Arc::clone(&page);
            let service = service_fn(move |request| answer(request, Arc::clone(&page)));
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            drop(tokio::spawn(async move {
                let done = tokio::time::timeout(PATIENCE * 2, serving).await;
                // A client that leaves early is its own affair.
                drop((done, place));
            }));
        }
    };
    drop(runtime.spawn(serving));
    tracing::info!("counters at http://{taken}/metrics");
    Ok(taken)
}

async fn answer(
    request: Request<Incoming>,
    page: Page,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, page()),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "GET it\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "see /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, kind);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_port_alone_is_loopback() {
        assert_eq!(address("9100").unwrap().to_string(), "127.0.0.1:9100");
        assert_eq!(address("0.0.0.0:1").unwrap().to_string(), "0.0.0.0:1");
        assert_eq!(address("[::1]:1").unwrap().to_string(), "[::1]:1");
        assert!(address("localhost").is_err());
    }

    #[tokio::test]
    async fn counters_are_served_and_nothing_else() {
        let free = address("0").unwrap();
        let at = serve(free, &Handle::current(), || "a 1\n".to_owned()).unwrap();
        for (request, status, body) in [
            ("GET /metrics", "200 OK", "a 1\n"),
            ("POST /metrics", "405 Method Not Allowed", "GET it\n"),
            ("GET /", "404 Not Found", "see /metrics\n"),
        ] {
            let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
            let text = format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
            assert!(answer.ends_with(body), "{answer}");
        }
        assert!(serve(at, &Handle::current(), String::new).is_err(), "taken");
    }
}

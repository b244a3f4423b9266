//! A small HTTP server for tests: objects by path, byte ranges, `ETag`s, faults on demand, and a record of what was asked.
//!
//! ```ignore
//! let server = TestServer::start();
//! server.put("/bucket/a.grib2", bytes);
//! server.fault("/bucket/a.grib2", Fault::Status(503).times(2));
//! let location = server.url("/bucket/a.grib2");     // http://127.0.0.1:PORT/bucket/a.grib2
//! assert_eq!(server.requests().len(), 3);            // method, path, range of each
//! ```
//!
//! A thread per connection, keep-alive, no dependencies. It also answers what object stores are asked: writes (`uploads`), S3's
//! `?list-type=2` (bucket = first segment of the path, pages of [`PAGE`] keys), and PROPFIND after
//! [`TestServer::allow_webdav`]. Dropping it ends all connections.

mod uploads;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Keys in one page of an S3 listing.
pub(crate) const PAGE: usize = 3;

/// One request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path with query, as sent.
    pub(crate) path: String,
    /// The `Range` header.
    pub(crate) range: Option<String>,
    /// The `Authorization` header: whether the request was signed.
    pub(crate) authorization: Option<String>,
    headers: BTreeMap<String, String>,
}

impl Seen {
    /// A header by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What goes wrong. `Fault::X` is for ever, `Fault::X.times(n)` for the next n requests of that path.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// An answer with this status and a short body.
    Status(u16),
    /// An answer with this status, these headers (`"Name: value"`) and this body.
    Answer(u16, Vec<String>, String),
    /// The announced length, but only this percentage of the body, then the end of the connection.
    Truncate(usize),
    /// The connection is cut before an answer.
    Reset,
    /// Nothing comes, until the client leaves.
    Hang,
    /// Headers and this percentage of the body come, then nothing.
    Stall(usize),
    /// So many bytes of the head of the answer come, then the connection is cut.
    CutHead(usize),
    /// So many bytes of the head of the answer come, then nothing.
    StallHead(usize),
    /// The body comes in pieces of so many bytes with pauses of so long.
    Drip(usize, Duration),
    /// The answer comes after this time.
    Slow(Duration),
    /// Status 200 and the whole object, whatever the range.
    IgnoreRange,
    /// A 206 with the bytes of another range: shifted by one.
    OtherRange,
    /// A 206 whose `Content-Range` does not tell the size.
    UnknownSize,
    /// Another `ETag` than before, and the same bytes.
    OtherETag,
    /// No `ETag`.
    NoETag,
    /// The right length, but the byte at this offset of the body is changed.
    Flip(usize),
    /// What is asked is done, but the connection is cut instead of an answer: a write.
    LostAnswer,
    /// Status 200 and a web page.
    Page,
    /// A redirect to this path or URL.
    Redirect(String),
}

impl Fault {
    /// The fault for the next `count` requests only.
    pub(crate) fn times(self, count: usize) -> Times {
        Times {
            fault: self,
            count: Some(count),
        }
    }
}

/// A fault and for how many requests it lasts.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    fault: Fault,
    count: Option<usize>,
}

impl From<Fault> for Times {
    fn from(fault: Fault) -> Self {
        Self { fault, count: None }
    }
}

/// The server; stops when dropped.
pub(crate) struct TestServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<BTreeMap<String, Arc<Object>>>,
    uploads: Mutex<HashMap<String, uploads::Parts>>,
    faults: Mutex<HashMap<String, VecDeque<Times>>>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<Vec<TcpStream>>,
    latency: Mutex<Duration>,
    open_connections: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    webdav: AtomicBool,
    stopped: AtomicBool,
}

struct Object {
    bytes: Vec<u8>,
    etag: String,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl TestServer {
    /// Starts a server on a free port of the loopback address.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                stream.set_nodelay(true).unwrap();
                if let Ok(copy) = stream.try_clone() {
                    lock(&accepting.connections).push(copy);
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || {
                    shared.open_connections.fetch_add(1, Ordering::SeqCst);
                    // A client that leaves is an ordinary end.
                    let _ended = shared.serve(&stream);
                    let _closed = stream.shutdown(Shutdown::Both);
                    shared.open_connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, shared }
    }

    /// The URL of a path: `http://127.0.0.1:PORT/path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, path.trim_start_matches('/'))
    }

    /// Stores an object. Its `ETag` is a function of its bytes.
    pub(crate) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.shared.put(path, bytes.into());
    }

    /// Removes an object.
    pub(crate) fn remove(&self, path: &str) {
        lock(&self.shared.objects).remove(path);
    }

    /// The bytes of an object.
    pub(crate) fn object(&self, path: &str) -> Option<Vec<u8>> {
        lock(&self.shared.objects)
            .get(path)
            .map(|object| object.bytes.clone())
    }

    /// Adds a fault for a path; faults of a path come one after another. `"*"` is every path without faults of its own.
    pub(crate) fn fault(&self, path: &str, fault: impl Into<Times>) {
        lock(&self.shared.faults)
            .entry(path.to_owned())
            .or_default()
            .push_back(fault.into());
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Every answer comes after this time, as over a long line.
    pub(crate) fn latency(&self, latency: Duration) {
        *lock(&self.shared.latency) = latency;
    }

    /// Answers PROPFIND from now on.
    pub(crate) fn allow_webdav(&self) {
        self.shared.webdav.store(true, Ordering::SeqCst);
    }

    /// The requests so far, in the order in which they came.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// The requests so far of one path, queries left out.
    pub(crate) fn requests_of(&self, path: &str) -> Vec<Seen> {
        let same = |seen: &Seen| seen.path.split('?').next() == Some(path);
        self.requests().into_iter().filter(same).collect()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        lock(&self.shared.seen).clear();
        self.shared.most_in_flight.store(0, Ordering::SeqCst);
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.shared.connections).len()
    }

    /// Connections that are open now.
    pub(crate) fn open_connections(&self) -> usize {
        self.shared.open_connections.load(Ordering::SeqCst)
    }

    /// Most requests that were being answered at one time.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::SeqCst)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for stream in lock(&self.shared.connections).drain(..) {
            let _closed = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    /// Stores an object; gives its `ETag`.
    fn put(&self, path: &str, bytes: Vec<u8>) -> String {
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        let etag = format!("\"{hash:016x}\"");
        let object = Object {
            bytes,
            etag: etag.clone(),
        };
        lock(&self.objects).insert(path.to_owned(), Arc::new(object));
        etag
    }

    fn fault_of(&self, path: &str) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        for key in [path, "*"] {
            let Some(queue) = faults.get_mut(key) else {
                continue;
            };
            while let Some(times) = queue.front_mut() {
                match &mut times.count {
                    Some(0) => {
                        queue.pop_front();
                    }
                    Some(count) => {
                        *count -= 1;
                        return Some(times.fault.clone());
                    }
                    None => return Some(times.fault.clone()),
                }
            }
        }
        None
    }

    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = read_request(&mut reader)? {
            let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_in_flight.fetch_max(now, Ordering::SeqCst);
            let target = match request.query.as_str() {
                "" => request.path.clone(),
                query => format!("{}?{query}", request.path),
            };
            lock(&self.seen).push(Seen {
                method: request.method.clone(),
                path: target,
                range: request.headers.get("range").cloned(),
                authorization: request.headers.get("authorization").cloned(),
                headers: request.headers.clone().into_iter().collect(),
            });
            let latency = *lock(&self.latency);
            std::thread::sleep(latency);
            let kept = self.answer(&request, stream);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            if !kept? {
                break;
            }
        }
        Ok(())
    }

    /// Answers one request; false ends the connection.
    fn answer(&self, request: &Request, stream: &TcpStream) -> std::io::Result<bool> {
        let fault = self.fault_of(&request.path);
        match &fault {
            Some(Fault::Status(status)) => {
                let headers = vec!["Content-Type: text/plain".to_owned()];
                return send(stream, *status, &headers, b"fault\n");
            }
            Some(Fault::Answer(status, headers, body)) => {
                return send(stream, *status, headers, body.as_bytes());
            }
            Some(Fault::Reset) => return Ok(false),
            Some(Fault::CutHead(bytes) | Fault::StallHead(bytes)) => {
                let head =
                    b"HTTP/1.1 206 Partial Content\r\nContent-Type: application/octet-stream\r\n";
                (&mut &*stream).write_all(&head[..*bytes])?;
                return match fault {
                    Some(Fault::StallHead(_)) => wait_for_end(stream),
                    _ => Ok(false),
                };
            }
            Some(Fault::Hang) => return wait_for_end(stream),
            Some(Fault::Page) => {
                let headers = vec!["Content-Type: text/html; charset=utf-8".to_owned()];
                return send(
                    stream,
                    200,
                    &headers,
                    b"<!DOCTYPE html><p>Please log in.</p>",
                );
            }
            Some(Fault::Redirect(target)) => {
                let headers = vec![format!("Location: {target}")];
                return send(stream, 302, &headers, b"");
            }
            Some(Fault::Slow(time)) => std::thread::sleep(*time),
            _ => {}
        }
        match request.method.as_str() {
            "GET" if request.query.contains("list-type=2") => self.list_s3(request, stream),
            "GET" | "HEAD" => self.get(request, fault.as_ref(), stream),
            "PUT" | "POST" | "DELETE" => self.write(request, fault.as_ref(), stream),
            "PROPFIND" if self.webdav.load(Ordering::SeqCst) => self.list_webdav(request, stream),
            _ => send(stream, 405, &[], b""),
        }
    }

    fn get(
        &self,
        request: &Request,
        fault: Option<&Fault>,
        stream: &TcpStream,
    ) -> std::io::Result<bool> {
        let Some(object) = lock(&self.objects).get(&request.path).cloned() else {
            let headers = vec!["Content-Type: application/xml".to_owned()];
            let body = b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>";
            return send(stream, 404, &headers, body);
        };
        let size = object.bytes.len();
        let etag = match fault {
            Some(Fault::OtherETag) => "\"other\"",
            _ => object.etag.as_str(),
        };
        let tag = (!matches!(fault, Some(Fault::NoETag))).then(|| format!("ETag: {etag}"));
        let mut headers: Vec<String> = tag.into_iter().collect();
        headers.push(format!(
            "x-goog-generation: {}",
            uploads::generation(&object.etag)
        ));
        headers.extend([
            "Last-Modified: Sun, 22 Nov 2026 06:00:00 GMT".to_owned(),
            "Accept-Ranges: bytes".to_owned(),
        ]);
        let range = request
            .headers
            .get("range")
            .filter(|_| !matches!(fault, Some(Fault::IgnoreRange)))
            .and_then(|header| parse_range(header, size));
        let (status, mut body) = match range {
            None => (200, object.bytes.clone()),
            Some((first, end)) if first >= size || first >= end => {
                headers.push(format!("Content-Range: bytes */{size}"));
                (416, Vec::new())
            }
            Some((first, end)) => {
                let shift = usize::from(matches!(fault, Some(Fault::OtherRange)));
                let (first, end) = (first + shift, (end + shift).min(size));
                let total = match fault {
                    Some(Fault::UnknownSize) => "*".to_owned(),
                    _ => size.to_string(),
                };
                headers.push(format!("Content-Range: bytes {first}-{}/{total}", end - 1));
                (206, object.bytes[first..end].to_vec())
            }
        };
        if request.method == "HEAD" {
            headers.push(format!("Content-Length: {}", body.len()));
            write_head(stream, status, &headers)?;
            return Ok(true);
        }
        let part = |percent: usize| body.len() * percent / 100;
        match fault {
            Some(Fault::Truncate(percent)) => {
                let sent = part(*percent);
                headers.push(format!("Content-Length: {}", body.len()));
                write_head(stream, status, &headers)?;
                (&mut &*stream).write_all(&body[..sent])?;
                Ok(false)
            }
            Some(Fault::Stall(percent)) => {
                let sent = part(*percent);
                headers.push(format!("Content-Length: {}", body.len()));
                write_head(stream, status, &headers)?;
                (&mut &*stream).write_all(&body[..sent])?;
                wait_for_end(stream)
            }
            Some(Fault::Drip(bytes, pause)) => {
                headers.push(format!("Content-Length: {}", body.len()));
                write_head(stream, status, &headers)?;
                for piece in body.chunks(*bytes) {
                    (&mut &*stream).write_all(piece)?;
                    std::thread::sleep(*pause);
                }
                Ok(true)
            }
            Some(Fault::Flip(offset)) => {
                if let Some(byte) = body.get_mut(*offset) {
                    *byte ^= 0xff;
                }
                send(stream, status, &headers, &body)
            }
            _ => send(stream, status, &headers, &body),
        }
    }

    /// S3's `ListObjectsV2` of `/bucket`, with prefix, delimiter and continuation.
    fn list_s3(&self, request: &Request, stream: &TcpStream) -> std::io::Result<bool> {
        let parameters: HashMap<String, String> = request
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decode(value)))
            .collect();
        let get = |name: &str| parameters.get(name).map_or("", String::as_str);
        let bucket = format!("{}/", request.path.trim_end_matches('/'));
        let (prefix, after) = (get("prefix"), get("continuation-token"));
        // Keys, and with a delimiter the prefixes that stand for several of them, in one order.
        let mut entries: BTreeMap<String, Option<Arc<Object>>> = BTreeMap::new();
        for (path, object) in lock(&self.objects).iter() {
            let Some(key) = path.strip_prefix(&bucket) else {
                continue;
            };
            let Some(rest) = key.strip_prefix(prefix) else {
                continue;
            };
            match rest.split_once('/') {
                Some((folder, _)) if get("delimiter") == "/" => {
                    entries.insert(format!("{prefix}{folder}/"), None);
                }
                _ => {
                    entries.insert(key.to_owned(), Some(Arc::clone(object)));
                }
            }
        }
        let left: Vec<_> = entries
            .into_iter()
            .filter(|(key, _)| key.as_str() > after)
            .collect();
        let mut xml = String::from(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
        );
        for (key, object) in left.iter().take(PAGE) {
            match object {
                Some(object) => xml.push_str(&format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-11-22T06:00:00.000Z</LastModified>\
                     <ETag>{}</ETag><Size>{}</Size></Contents>",
                    object.etag.replace('"', "&quot;"),
                    object.bytes.len()
                )),
                None => xml.push_str(&format!(
                    "<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"
                )),
            }
        }
        let more = left.len() > PAGE;
        xml.push_str(&format!("<IsTruncated>{more}</IsTruncated>"));
        if let Some((last, _)) = left.get(PAGE - 1).filter(|_| more) {
            xml.push_str(&format!(
                "<NextContinuationToken>{last}</NextContinuationToken>"
            ));
        }
        xml.push_str("</ListBucketResult>");
        let headers = vec!["Content-Type: application/xml".to_owned()];
        send(stream, 200, &headers, xml.as_bytes())
    }

    /// A multistatus of everything below the path, whatever the depth asked for.
    fn list_webdav(&self, request: &Request, stream: &TcpStream) -> std::io::Result<bool> {
        let folder = format!("{}/", request.path.trim_end_matches('/'));
        let mut xml = String::from("<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">");
        for (path, object) in lock(&self.objects).iter() {
            if !path.starts_with(&folder) {
                continue;
            }
            xml.push_str(&format!(
                "<D:response><D:href>{path}</D:href><D:propstat><D:prop><D:getcontentlength>{}</D:getcontentlength>\
                 <D:getlastmodified>Sun, 22 Nov 2026 06:00:00 GMT</D:getlastmodified><D:resourcetype></D:resourcetype>\
                 </D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>",
                object.bytes.len()
            ));
        }
        xml.push_str("</D:multistatus>");
        let headers = vec!["Content-Type: application/xml".to_owned()];
        send(stream, 207, &headers, xml.as_bytes())
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or("").to_owned();
    let target = words.next().unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (decode(path), query.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request {
        method,
        path,
        query,
        headers,
        body,
    }))
}

/// First byte and end (exclusive) of `bytes=a-b`, `bytes=a-` or `bytes=-n`, cut at the size.
fn parse_range(header: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        return Some((size.saturating_sub(last.parse().ok()?), size));
    }
    let end = match last {
        "" => size,
        last => last.parse::<usize>().ok()?.saturating_add(1).min(size),
    };
    Some((first.parse().ok()?, end))
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

fn write_head(stream: &TcpStream, status: u16, headers: &[String]) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Status\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    (&mut &*stream).write_all(head.as_bytes())
}

fn send(stream: &TcpStream, status: u16, headers: &[String], body: &[u8]) -> std::io::Result<bool> {
    let mut headers = headers.to_vec();
    headers.push(format!("Content-Length: {}", body.len()));
    write_head(stream, status, &headers)?;
    (&mut &*stream).write_all(body)?;
    Ok(true)
}

/// Says nothing until the client closes the connection, or the server is dropped.
fn wait_for_end(mut stream: &TcpStream) -> std::io::Result<bool> {
    let mut buffer = [0; 64];
    while stream.read(&mut buffer)? > 0 {}
    Ok(false)
}

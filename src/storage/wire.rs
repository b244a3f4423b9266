//! One HTTP exchange, made trustworthy: limited, timed, checked, tried again, read to its end.
//!
//! `object_store` knows the dialects (signatures, listings, addresses); every request that it makes comes through
//! [`Wire`], which waits for leave, sends, and hands back an answer only when its body is complete. A refused or lost
//! request is sent again until the call's deadline; a range is compared with what came. For example a 503 with
//! `Retry-After: 2` halves the limit of that origin, waits two seconds without holding a place, and asks again.
//!
//! Knows HTTP. Knows no buckets, no credentials, no listings.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::header::{
    AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use reqwest::{Method, StatusCode};
use tokio::sync::Semaphore;

use super::addresses::is_metadata;
use super::call::Call;
use super::config::StorageConfig;
use super::counters::Tally;
use super::error::{ErrorKind, Fault};
use super::page;
use super::range::{self, Wanted};
use super::retry;
use super::standing::Standing;

/// Requests to a server that cannot be reached: a server that restarts is back within these, a mistyped name is told soon.
const CONNECT_ATTEMPTS: u32 = 4;
/// Requests to an origin while another one has the object too, and the longest wait between them.
const ATTEMPTS_BESIDE_OTHERS: u32 = 2;
const WAIT_BESIDE_OTHERS: Duration = Duration::from_millis(500);
/// Bytes per second below which a request counts as lost although something comes: a sixtieth of what makes a read of a
/// message of 1 MB end within its time.
const SLOWEST: u64 = 8 << 10;
/// An instance metadata service is on the same machine or there is none.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an absent metadata service is taken for absent, so that one read pays for the hunt and not all.
const METADATA_ABSENT: Duration = Duration::from_secs(60);
/// Most of an error document that is read for its code.
const ERROR_BYTES: u64 = 16 << 10;
/// Slowest upload for which a server may be silent: the answer comes after the last byte.
const UPLOAD_BYTES_PER_SECOND: u64 = 256 << 10;
/// First allocation for a body whose length only the server vouches for.
const FIRST_ALLOCATION: u64 = 8 << 20;
/// S3 names a bucket's region with every answer from another one.
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// What all origins share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) client: reqwest::Client,
    pub(super) tally: Arc<Tally>,
    pub(super) stall_timeout: Duration,
    pub(super) max_attempts: u32,
    /// Leave for one request, of all origins together.
    in_all: Semaphore,
    metadata_absent: Mutex<Option<Instant>>,
}

impl Common {
    pub(super) fn new(client: reqwest::Client, tally: Arc<Tally>, config: &StorageConfig) -> Self {
        let in_all = config.max_requests_in_all.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            client,
            tally,
            stall_timeout: config.stall_timeout,
            max_attempts: config.max_attempts.max(1),
            in_all: Semaphore::new(in_all),
            metadata_absent: Mutex::default(),
        }
    }
}

/// The way to one origin.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    common: Arc<Common>,
    standing: Arc<Standing>,
}

/// An attempt that did not succeed, and whether another may.
#[derive(Debug)]
struct Setback {
    fault: Fault,
    /// Attempts in all that are worth making; 1 for a failure that will repeat itself.
    attempts: u32,
    throttled: bool,
    retry_after: Option<Duration>,
}

impl Wire {
    pub(super) fn new(common: Arc<Common>, standing: Arc<Standing>) -> Self {
        Self { common, standing }
    }

    /// Counts for this origin and for all.
    fn count(&self, event: impl Fn(&Tally)) {
        event(&self.common.tally);
        event(&self.standing.tally);
    }

    fn again(&self, kind: ErrorKind, cause: impl Into<String>) -> Setback {
        Setback {
            fault: Fault::new(kind, cause),
            attempts: self.common.max_attempts,
            throttled: false,
            retry_after: None,
        }
    }

    /// Sends once and reads the answer whole.
    async fn attempt(
        &self,
        request: HttpRequest,
        wanted: Option<Wanted>,
        call: Option<&Call>,
    ) -> Result<HttpResponse, Setback> {
        let stall = self.common.stall_timeout;
        let upload_bytes = u64::try_from(request.body().content_length()).unwrap_or(u64::MAX);
        let mut upload = Duration::from_secs(upload_bytes / UPLOAD_BYTES_PER_SECOND);
        if let Some(call) = call.filter(|_| puts_together(&request)) {
            upload = call.deadline.saturating_duration_since(Instant::now());
        }
        let method = request.method().clone();
        let sent = Instant::now();
        if let Some(call) = call {
            call.story().sent = Some((sent, false));
        }
        let response = tokio::time::timeout(stall + upload, self.common.client.call(request))
            .await
            .map_err(|_elapsed| {
                let cause = format!("no answer for {:.1} s", (stall + upload).as_secs_f64());
                self.again(ErrorKind::TimedOut, cause)
            })?
            .map_err(|error| self.lost(&error))?;
        if let Some(call) = call {
            call.story().sent = Some((sent, true));
        }
        if let Some(date) = text(response.headers(), &DATE)
            && let Ok(its) = chrono::DateTime::parse_from_rfc2822(date)
        {
            // What a cache hands out is dated when it was made.
            let age = number(response.headers(), &AGE).and_then(|age| i64::try_from(age).ok());
            let its = its.timestamp().saturating_add(age.unwrap_or(0));
            self.standing.told_time(its, chrono::Utc::now().timestamp());
        }
        let status = response.status();
        if !status.is_success() {
            return self.refused(response, call).await;
        }
        // An upload's answer waits for the upload.
        if upload_bytes == 0 {
            self.standing.latencies.record(sent.elapsed());
        }
        let (mut parts, body) = response.into_parts();
        let announced = number(&parts.headers, &CONTENT_LENGTH);
        let limit = call.map_or(ERROR_BYTES, |call| call.max_bytes);
        let expected = match wanted {
            Some(wanted) => {
                let key = call.map_or("", |call| call.location.key());
                page::refuse_page(text(&parts.headers, &CONTENT_TYPE), key).map_err(finally)?;
                let answer = range::check(
                    wanted,
                    status.as_u16(),
                    text(&parts.headers, &CONTENT_RANGE),
                    announced,
                )
                .map_err(finally)?;
                if let Some(header) = answer.replacement() {
                    // object_store cannot read `bytes 0-9/*`; the length is checked here and the size is not taken from it.
                    if let Ok(value) = HeaderValue::from_str(&header) {
                        parts.headers.insert(CONTENT_RANGE, value);
                    }
                    if let Some(call) = call {
                        call.story().size_unknown = true;
                    }
                }
                Some(answer.length())
            }
            None => announced,
        };
        // HEAD announces a body that does not come; nothing here sends one, but credentials may.
        let expected = expected.filter(|_| method != Method::HEAD);
        let vouched = wanted.is_some_and(Wanted::is_bounded);
        let reading = self.body(body, expected, limit, vouched);
        let bytes = match expected.map(|size| stall + Duration::from_secs(size / SLOWEST)) {
            Some(patience) => {
                tokio::time::timeout(patience, reading)
                    .await
                    .map_err(|_elapsed| {
                        let cause = format!(
                            "{} bytes did not come within {:.1} s",
                            expected.unwrap_or(0),
                            patience.as_secs_f64()
                        );
                        self.again(ErrorKind::TimedOut, cause)
                    })??
            }
            None => reading.await?,
        };
        tracing::debug!(
            %method,
            status = status.as_u16(),
            bytes = bytes.len(),
            ms = sent.elapsed().as_millis(),
            "answered"
        );
        if !parts.headers.contains_key(CONTENT_LENGTH) {
            parts
                .headers
                .insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
        Ok(HttpResponse::from_parts(
            parts,
            HttpResponseBody::from(bytes),
        ))
    }

    /// Reads a body to its end. `vouched`: the expected length is the caller's own, not only the server's word.
    async fn body(
        &self,
        body: HttpResponseBody,
        expected: Option<u64>,
        limit: u64,
        vouched: bool,
    ) -> Result<Bytes, Setback> {
        let too_large = |size: u64| {
            let cause = format!("a body of {size} bytes, the limit is {limit}");
            finally(Fault::new(ErrorKind::TooLarge, cause))
        };
        if let Some(size) = expected.filter(|size| *size > limit) {
            return Err(too_large(size));
        }
        let first = match expected {
            Some(size) if vouched => size,
            Some(size) => size.min(FIRST_ALLOCATION),
            None => 0,
        };
        let mut collected = Vec::with_capacity(usize::try_from(first).unwrap_or(0));
        let mut frames = body.bytes_stream();
        loop {
            let stall = self.common.stall_timeout;
            let frame = tokio::time::timeout(stall, frames.next())
                .await
                .map_err(|_elapsed| {
                    let cause = format!(
                        "silence for {:.1} s after {} bytes",
                        stall.as_secs_f64(),
                        collected.len()
                    );
                    self.again(ErrorKind::TimedOut, cause)
                })?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| {
                let cause = format!(
                    "cut off after {} bytes: {}",
                    collected.len(),
                    root_cause(&error)
                );
                self.again(ErrorKind::Truncated, cause)
            })?;
            self.count(|tally| tally.received(frame.len()));
            collected.extend_from_slice(&frame);
            let size = length_of(&collected);
            if size > limit {
                return Err(too_large(size));
            }
            // What is not wanted is not kept either.
            if expected.is_some_and(|expected| size > expected) {
                break;
            }
        }
        match expected {
            Some(size) if size != length_of(&collected) => Err(self.again(
                ErrorKind::Truncated,
                format!("{} bytes came, {size} were announced", collected.len()),
            )),
            Some(_) | None => Ok(Bytes::from(collected)),
        }
    }

    /// No answer: the connection failed.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a foreign enum that may grow: all else is a lost connection"
    )]
    fn lost(&self, error: &HttpError) -> Setback {
        let cause = root_cause(error);
        match error.kind() {
            HttpErrorKind::Connect => Setback {
                attempts: self.common.max_attempts.min(CONNECT_ATTEMPTS),
                ..self.again(ErrorKind::Unavailable, format!("cannot connect: {cause}"))
            },
            HttpErrorKind::Timeout => self.again(ErrorKind::TimedOut, cause),
            // Redirect loops and the like are among the unknown ones: they cost a few requests more.
            _ => self.again(ErrorKind::Unavailable, format!("connection lost: {cause}")),
        }
    }

    /// An answer that is no success: tried again if the server may think better of it, else handed to `object_store`, to which
    /// some refusals mean something (a bucket exists, a folder is missing).
    async fn refused(
        &self,
        response: HttpResponse,
        call: Option<&Call>,
    ) -> Result<HttpResponse, Setback> {
        let status = response.status();
        let (mut parts, body) = response.into_parts();
        if let Some(region) = text(&parts.headers, &BUCKET_REGION)
            && let Some(call) = call
        {
            call.story().region = Some(region.to_owned());
        }
        let retry_after = text(&parts.headers, &RETRY_AFTER)
            .and_then(|value| retry::retry_after(value, chrono::Utc::now()));
        // The document explains the status; a status without a readable one is told all the same.
        let document = self
            .body(body, None, ERROR_BYTES, false)
            .await
            .unwrap_or_default();
        let mut cause = format!(
            "{} {}",
            status.as_u16(),
            status.canonical_reason().unwrap_or("")
        );
        if let Some(words) = page::error_words(&document) {
            cause.push_str(", ");
            cause.push_str(&words);
        }
        let throttled = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        // What a server does not know it will not know later either.
        let passes = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        if throttled || passes || status == StatusCode::REQUEST_TIMEOUT {
            return Err(Setback {
                throttled,
                retry_after,
                ..self.again(ErrorKind::Unavailable, cause)
            });
        }
        if let Some(call) = call {
            call.story().refusal = Some((status.as_u16(), cause));
        }
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
        Ok(HttpResponse::from_parts(
            parts,
            HttpResponseBody::from(document),
        ))
    }

    /// Asks the instance metadata service: once, briefly, and not again soon if there is none.
    async fn ask_metadata(
        &self,
        request: HttpRequest,
        call: Option<&Call>,
    ) -> Result<HttpResponse, HttpError> {
        let absent = || {
            self.common
                .metadata_absent
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let known_absent = absent().is_some_and(|at| at.elapsed() < METADATA_ABSENT);
        let answer = if known_absent {
            None
        } else {
            let ask = self.common.client.call(request);
            tokio::time::timeout(METADATA_TIMEOUT, ask)
                .await
                .ok()
                .and_then(Result::ok)
        };
        if answer.is_none() && !known_absent {
            *absent() = Some(Instant::now());
        }
        if let Some(answer) = answer.filter(|answer| answer.status().is_success()) {
            return Ok(answer);
        }
        let fault = Fault::new(ErrorKind::Forbidden, "no credentials found").advising(
            "give --anonymous, --profile, or keys in the environment (AWS_ACCESS_KEY_ID, \
             GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY)",
        );
        if let Some(call) = call {
            call.story().fault = Some(fault.clone());
        }
        Err(HttpError::new(HttpErrorKind::Unknown, fault))
    }
}

#[async_trait::async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let call = Call::current();
        let call = call.as_deref();
        if request.uri().host().is_some_and(is_metadata) {
            return self.ask_metadata(request, call).await;
        }
        let wanted = Wanted::of(text(request.headers(), &reqwest::header::RANGE));
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome = {
                let _permit = self.standing.limiter.acquire().await;
                // The semaphore is never closed; without leave the request would just go.
                let _leave = self.common.in_all.acquire().await.ok();
                self.count(|tally| tally.requested(attempt > 1));
                if let Some(call) = call {
                    call.story().requests += 1;
                }
                tracing::debug!(
                    method = %request.method(),
                    host = request.uri().host(),
                    path = request.uri().path(),
                    range = text(request.headers(), &reqwest::header::RANGE),
                    attempt,
                    "request"
                );
                self.attempt(request.clone(), wanted, call).await
            };
            let setback = match outcome {
                Ok(response) => {
                    self.standing.limiter.succeeded();
                    return Ok(response);
                }
                Err(setback) => setback,
            };
            if setback.throttled {
                self.count(Tally::throttled);
                self.standing.limiter.throttled(Instant::now());
            }
            let wait = retry::wait(attempt, setback.retry_after);
            let left = call.map_or(self.common.stall_timeout, |call| {
                call.deadline.saturating_duration_since(Instant::now())
            });
            let hopeless = call.is_some_and(|call| call.has_alternative)
                && (attempt >= ATTEMPTS_BESIDE_OTHERS
                    || wait >= WAIT_BESIDE_OTHERS
                    || setback.fault.kind == ErrorKind::TimedOut);
            // A wait beyond the deadline would only turn a known cause into a timeout.
            if attempt >= setback.attempts || wait >= left || hopeless {
                if let Some(call) = call {
                    call.story().fault = Some(setback.fault.clone());
                }
                return Err(HttpError::new(HttpErrorKind::Unknown, setback.fault));
            }
            tracing::debug!(attempt, wait_ms = wait.as_millis(), cause = %setback.fault, "request is sent again");
            if let Some(call) = call {
                call.story().last_cause = Some(setback.fault.to_string());
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// Hands `object_store` the wire as its HTTP client.
#[derive(Debug)]
pub(super) struct Connector(pub(super) Wire);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// A failure that would repeat itself.
fn finally(fault: Fault) -> Setback {
    Setback {
        fault,
        attempts: 1,
        throttled: false,
        retry_after: None,
    }
}

/// Whether a request makes an object of the parts that were sent: that takes the service a while, and done is done.
fn puts_together(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    match *request.method() {
        // S3 and Google Cloud Storage.
        Method::POST => query.contains("uploadId="),
        // Azure.
        Method::PUT => query.contains("comp=blocklist"),
        _ => false,
    }
}

/// The innermost words of an error; the outer ones only say that a request failed.
fn root_cause(error: &HttpError) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    if error.source().is_none() {
        return error.to_string();
    }
    inner.to_string()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    text(headers, name)?.trim().parse().ok()
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

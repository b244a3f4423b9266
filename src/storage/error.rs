//! Why bytes did not come: one error type whose kind a caller acts on and whose text a person reads.
//!
//! `cannot read bytes 812-1630 of s3://b/k: access denied: 403 Forbidden, AccessDenied (1 request, 0.1 s); try
//! --anonymous`: what was tried, where, what happened, what it cost, what to do.
//!
//! Texts never hold credentials: query strings of URLs are cut, of a server's answer only its code and message are kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::location::{ByteRange, Location};

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// There is no such object: 404, 410, no such file.
    NotFound,
    /// Not allowed: 401, 403, no credentials, file permissions.
    Forbidden,
    /// No answer within the deadline.
    TimedOut,
    /// The server fails or cannot be reached: 5xx, 429, connections refused or cut, after retries.
    Unavailable,
    /// The object ends before the range does, or bodies arrived cut short, after retries.
    Truncated,
    /// The server answered with other bytes than the range asked for (200 for a range, a wrong `Content-Range`).
    NotRanged,
    /// A web page or an error document came where data were expected.
    NotData,
    /// The object is not the same as before: 412, or a file that changed while it was read.
    Changed,
    /// More bytes than the caller's or the configured limit.
    TooLarge,
    /// This kind of storage cannot do it, such as listing over plain HTTP.
    Unsupported,
    /// Settings do not fit: unknown profile, bad endpoint.
    Config,
    /// The local disk fails.
    Local,
}

impl ErrorKind {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        match self {
            Self::TimedOut | Self::Unavailable | Self::Truncated => true,
            Self::NotFound
            | Self::Forbidden
            | Self::NotRanged
            | Self::NotData
            | Self::Changed
            | Self::TooLarge
            | Self::Unsupported
            | Self::Config
            | Self::Local => false,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::Forbidden => "access denied",
            Self::TimedOut => "timed out",
            Self::Unavailable => "unavailable",
            Self::Truncated => "truncated",
            Self::NotRanged => "the server does not serve the range",
            Self::NotData => "not data",
            Self::Changed => "changed",
            Self::TooLarge => "too large",
            Self::Unsupported => "not supported",
            Self::Config => "bad configuration",
            Self::Local => "local input/output error",
        }
    }
}

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A ranged read.
    Read(ByteRange),
    /// A read of a whole object.
    ReadWhole,
    /// A listing.
    List,
    /// A write of a whole object.
    Write,
    /// The removal of an object.
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(ByteRange {
                offset,
                length: Some(length),
            }) => {
                let last = offset.saturating_add(*length).saturating_sub(1);
                write!(f, "read bytes {offset}-{last} of")
            }
            Self::Read(ByteRange {
                offset,
                length: None,
            }) => write!(f, "read bytes {offset}- of"),
            Self::ReadWhole => f.write_str("read"),
            Self::List => f.write_str("list"),
            Self::Write => f.write_str("write"),
            Self::Remove => f.write_str("remove"),
        }
    }
}

/// A failed operation. Cheap to clone: one failure is handed to all readers that wait for it.
#[derive(Clone, thiserror::Error)]
#[error("{0}")]
pub struct StorageError(Arc<Failure>);

/// The facts of a failure.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) operation: Operation,
    pub(super) location: Option<Location>,
    pub(super) requests: u32,
    pub(super) elapsed: Duration,
}

/// Kind and cause of a failure, before it is known what it stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) cause: String,
    pub(super) advice: &'static str,
}

impl Fault {
    pub(super) fn new(kind: ErrorKind, cause: impl Into<String>) -> Self {
        Self {
            kind,
            cause: cause.into(),
            advice: "",
        }
    }

    pub(super) fn advising(self, advice: &'static str) -> Self {
        Self { advice, ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.text(), self.cause)
    }
}

impl std::error::Error for Fault {}

impl fmt::Debug for StorageError {
    /// The kind and the message: the location as it stands may hold a signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorageError({:?}, \"{self}\")", self.kind())
    }
}

impl StorageError {
    pub(super) fn new(failure: Failure) -> Self {
        Self(Arc::new(failure))
    }

    /// A failure of the settings, before any location is known.
    pub(super) fn config(cause: impl Into<String>) -> Self {
        Self::new(Failure {
            fault: Fault::new(ErrorKind::Config, cause),
            operation: Operation::ReadWhole,
            location: None,
            requests: 0,
            elapsed: Duration::ZERO,
        })
    }

    /// What is wrong with what one request brought.
    pub(super) fn of_read(fault: Fault, operation: Operation, location: &Location) -> Self {
        Self::new(Failure {
            fault,
            operation,
            location: Some(location.clone()),
            requests: 1,
            elapsed: Duration::ZERO,
        })
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.fault.kind
    }

    /// Kind, cause and advice.
    pub(super) fn fault(&self) -> &Fault {
        &self.0.fault
    }

    /// What was being done.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// Where, if the failure belongs to one location.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        self.0.location.as_ref()
    }

    /// Requests sent, retries included.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.0.requests
    }

    /// The cause alone, without place and cost.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.0.fault.cause
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "cannot {} {}: ", self.operation, location)?;
        }
        write!(f, "{}", self.fault)?;
        if self.requests > 0 {
            let plural = if self.requests == 1 { "" } else { "s" };
            write!(
                f,
                " ({} request{plural}, {:.1} s)",
                self.requests,
                self.elapsed.as_secs_f64()
            )?;
        }
        if !self.fault.advice.is_empty() {
            write!(f, "; {}", self.fault.advice)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn messages_name_place_range_cost_and_advice_but_no_signature() {
        let location = Location::parse("https://host/a.grib2?sig=SECRET", Path::new("/")).unwrap();
        let error = StorageError::new(Failure {
            fault: Fault::new(ErrorKind::Forbidden, "403 Forbidden").advising("try --anonymous"),
            operation: Operation::Read(ByteRange::new(812, 819)),
            location: Some(location),
            requests: 2,
            elapsed: Duration::from_millis(1500),
        });
        assert_eq!(
            error.to_string(),
            "cannot read bytes 812-1630 of https://host/a.grib2?...: access denied: 403 Forbidden (2 requests, 1.5 s); \
             try --anonymous"
        );
    }

    #[test]
    fn a_range_at_the_end_of_numbers_can_be_shown() {
        let operation = Operation::Read(ByteRange::new(u64::MAX, u64::MAX));
        assert!(operation.to_string().starts_with("read bytes"));
    }
}

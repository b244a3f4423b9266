//! Whether an answer holds the range that was asked for.
//!
//! `Range: bytes=100-199` of an object of 150 bytes is answered by `206`, `Content-Range: bytes 100-149/150`: the range,
//! cut at the object's end and nowhere else. Anything else is refused: a server that answers 200 sends other bytes.
//!
//! Knows header texts. Whether a short answer is welcome is the caller's question.

use super::error::{ErrorKind, Fault};

/// A range asked for, as in the `Range` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    first: u64,
    /// Last byte; `None` reaches to the object's end.
    last: Option<u64>,
}

/// A range that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    first: u64,
    last: u64,
    size: Option<u64>,
}

impl Wanted {
    /// Reads a `Range` header with one range that has a start.
    pub(super) fn of(header: Option<&str>) -> Option<Self> {
        let (first, last) = header?.trim().strip_prefix("bytes=")?.split_once('-')?;
        let last = match last.trim() {
            "" => None,
            last => Some(last.parse().ok()?),
        };
        Some(Self {
            first: first.trim().parse().ok()?,
            last,
        })
    }

    /// Whether the range has an end, and with it a length that the caller chose.
    pub(super) fn is_bounded(self) -> bool {
        self.last.is_some()
    }
}

impl Answer {
    /// Bytes that must come.
    pub(super) fn length(self) -> u64 {
        // `parse` has seen to first <= last; the whole range of numbers cannot be a length and is refused later.
        (self.last - self.first).saturating_add(1)
    }

    /// A `Content-Range` that names a size, if the server's does not: the end of the range.
    pub(super) fn replacement(self) -> Option<String> {
        match self.size {
            Some(_) => None,
            None => Some(format!(
                "bytes {}-{}/{}",
                self.first,
                self.last,
                self.last.saturating_add(1)
            )),
        }
    }

    /// Reads `bytes 0-9/100` or `bytes 0-9/*`.
    ///
    /// Source: RFC 9110, section 14.4.
    fn parse(header: &str) -> Option<Self> {
        let (range, size) = header
            .trim()
            .strip_prefix("bytes")?
            .trim()
            .split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let size = match size.trim() {
            "*" => None,
            size => Some(size.parse().ok()?),
        };
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first <= last && size.is_none_or(|size| last < size)).then_some(Self { first, last, size })
    }
}

/// Compares an answer's head with the range asked for.
///
/// # Errors
/// [`ErrorKind::NotRanged`], with what is wrong.
pub(super) fn check(
    wanted: Wanted,
    status: u16,
    content_range: Option<&str>,
    content_length: Option<u64>,
) -> Result<Answer, Fault> {
    let refuse = |cause: String| Err(Fault::new(ErrorKind::NotRanged, cause));
    if status != 206 {
        return refuse(format!("status {status} where 206 was due"));
    }
    let Some(header) = content_range else {
        return refuse("206 without Content-Range".to_owned());
    };
    let Some(answer) = Answer::parse(header) else {
        return refuse(format!("unreadable Content-Range `{header}`"));
    };
    let due = match (wanted.last, answer.size) {
        (Some(last), Some(size)) => Some(last.min(size - 1)),
        (Some(last), None) => Some(last),
        (None, Some(size)) => Some(size - 1),
        // Nobody can tell whether that is the end.
        (None, None) => None,
    };
    if answer.first != wanted.first || Some(answer.last) != due {
        return refuse(format!("other bytes came: Content-Range `{header}`"));
    }
    match content_length {
        Some(length) if length != answer.length() => refuse(format!(
            "Content-Range `{header}` with a body of {length} bytes"
        )),
        Some(_) | None => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(header: &str) -> Wanted {
        Wanted::of(Some(header)).unwrap()
    }

    #[test]
    fn range_headers_are_read() {
        let open = wanted("bytes=5-");
        assert_eq!((open.first, open.last), (5, None));
        let closed = wanted("bytes=5-9");
        assert_eq!((closed.first, closed.last), (5, Some(9)));
        assert_eq!(Wanted::of(Some("bytes=-9")), None);
        assert_eq!(Wanted::of(None), None);
    }

    #[test]
    fn the_range_asked_for_passes() {
        let closed = wanted("bytes=10-19");
        for (header, length) in [
            ("bytes 10-19/100", 10),
            ("bytes 10-14/15", 5),
            ("bytes 10-19/*", 10),
        ] {
            let answer = check(closed, 206, Some(header), Some(length)).unwrap();
            assert_eq!(answer.length(), length, "{header}");
        }
        let open = wanted("bytes=10-");
        assert_eq!(
            check(open, 206, Some("bytes 10-99/100"), None)
                .unwrap()
                .length(),
            90
        );
    }

    #[test]
    fn anything_else_is_refused() {
        let closed = wanted("bytes=10-19");
        for (status, header, length) in [
            (200, None, Some(10)),
            (200, Some("bytes 10-19/100"), Some(10)),
            (206, None, Some(10)),
            (206, Some("bytes 0-9/100"), Some(10)),
            (206, Some("bytes 10-18/100"), Some(9)),
            (206, Some("bytes 10-20/100"), Some(11)),
            (206, Some("bytes 10-19/100"), Some(11)),
            (206, Some("bytes 10-19/15"), Some(10)),
            (206, Some("bytes 19-10/100"), None),
            (206, Some("bytes 10-14/*"), Some(5)),
            (206, Some("pages 10-19/100"), Some(10)),
            (206, Some("bytes 10-99999999999999999999/100"), None),
        ] {
            let fault = check(closed, status, header, length).unwrap_err();
            assert_eq!(fault.kind, ErrorKind::NotRanged, "{status} {header:?}");
        }
        let open = wanted("bytes=10-");
        assert!(check(open, 206, Some("bytes 10-50/100"), None).is_err());
        assert!(check(open, 206, Some("bytes 10-50/*"), None).is_err());
    }
}

//! Where bytes lie: URLs and byte ranges.
//!
//! Every location is a URL: `file:///data/a.grib2`, `https://host/a.grib2`, `s3://bucket/key`. A plain path that a user
//! types is made a `file:` URL here and nowhere else.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// Characters of a path that would change the meaning of a URL.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// The URL of one object. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(Arc<str>);

/// Why a text is no location.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LocationError {
    /// The scheme is not one that gribfs reads.
    #[error(
        "{url}: scheme `{scheme}` is not supported (file, http, https, s3, gs, az, abfs, abfss)"
    )]
    Scheme {
        /// The URL as given.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// The text cannot be read as a URL.
    #[error("{url}: not a URL: {reason}")]
    Malformed {
        /// The URL as given.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

impl Location {
    /// Reads a URL, or makes a `file:` URL of a path (relative paths against `base`).
    ///
    /// # Errors
    /// [`LocationError`] for an unknown scheme, credentials inside the URL, or a missing host or bucket.
    pub fn parse(text: &str, base: &Path) -> Result<Self, LocationError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let path = if Path::new(text).is_absolute() {
                PathBuf::from(text)
            } else {
                base.join(text)
            };
            return Ok(Self::from_path(&path));
        };
        let malformed = |reason: &str| LocationError::Malformed {
            url: without_query(text).into_owned(),
            reason: reason.to_owned(),
        };
        match scheme {
            "file" => {
                if !rest.starts_with('/') {
                    return Err(malformed("a file URL has three slashes"));
                }
                Ok(Self(text.into()))
            }
            "http" | "https" | "s3" | "gs" | "az" | "abfs" | "abfss" => {
                let host = rest.split(['/', '?']).next().unwrap_or_default();
                if host.is_empty() {
                    return Err(malformed("no host or bucket"));
                }
                if host.contains('@') && scheme.starts_with("http") {
                    return Err(LocationError::Malformed {
                        url: format!(
                            "{scheme}://...@{}",
                            host.rsplit('@').next().unwrap_or_default()
                        ),
                        reason: "user names and passwords in URLs are not taken".to_owned(),
                    });
                }
                Ok(Self(text.into()))
            }
            _ => Err(LocationError::Scheme {
                url: without_query(text).into_owned(),
                scheme: scheme.to_owned(),
            }),
        }
    }

    /// The `file:` URL of an absolute path.
    #[must_use]
    pub fn from_path(path: &Path) -> Self {
        Self(
            format!(
                "file://{}",
                utf8_percent_encode(&path.to_string_lossy(), PATH)
            )
            .into(),
        )
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scheme: `file`, `https`, `s3`, ...
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0
            .split_once("://")
            .map_or("file", |(scheme, _)| scheme)
    }

    /// The path on this machine, if the scheme is `file`.
    #[must_use]
    pub fn to_path(&self) -> Option<PathBuf> {
        let path = self.0.strip_prefix("file://")?;
        Some(PathBuf::from(
            percent_decode_str(path).decode_utf8().ok()?.as_ref(),
        ))
    }

    /// Scheme and host or bucket, e.g. `s3://noaa-gfs-bdp-pds`; `file://` for paths.
    #[must_use]
    pub fn origin(&self) -> &str {
        origin_of(&self.0)
    }

    /// What follows the origin, without the leading slash.
    #[must_use]
    pub fn key(&self) -> &str {
        self.0
            .get(self.origin().len()..)
            .unwrap_or("")
            .trim_start_matches('/')
    }

    /// The URL without its query, and the query from its `?` on: what a web server is told beside the path. Keys of buckets and paths
    /// have none.
    fn split_query(&self) -> (&str, &str) {
        let at = match self.scheme() {
            "http" | "https" => self.0.find('?').unwrap_or(self.0.len()),
            _ => self.0.len(),
        };
        self.0.split_at(at)
    }

    /// The last segment of the path.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.split_query().0.rsplit('/').next().unwrap_or("")
    }

    /// The location whose path is this one's with `suffix` appended: a sidecar. A query stays at the end.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        let (path, query) = self.split_query();
        Self(format!("{path}{suffix}{query}").into())
    }

    /// The location of a file below this folder, by its names as they are: `t2m/0.0`. Signs that mean something in a URL are written so that
    /// they do not, where locations are URLs; keys of buckets are written as they are.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        let (path, query) = self.split_query();
        let folder = path.trim_end_matches('/');
        match self.scheme() {
            "file" | "http" | "https" => {
                Self(format!("{folder}/{}{query}", utf8_percent_encode(name, PATH)).into())
            }
            _ => Self(format!("{folder}/{name}").into()),
        }
    }

    /// Another location of the same scheme: `text` is its URL.
    #[must_use]
    pub fn with_text(&self, text: &str) -> Self {
        Self(text.into())
    }

    /// The location beside this one with another file name.
    #[must_use]
    pub fn with_file_name(&self, name: &str) -> Self {
        let (path, query) = self.split_query();
        let folder = path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("");
        Self(format!("{folder}{name}{query}").into())
    }
}

/// As it may be shown and kept anywhere: a query can be a signature, which opens the object to whoever has it.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_path() {
            Some(path) => write!(f, "{}", path.display()),
            None => f.write_str(&without_query(&self.0)),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location")
            .field(&format_args!("{self}"))
            .finish()
    }
}

/// Scheme and host or bucket of a URL.
pub(crate) fn origin_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url
        .get(start..)
        .and_then(|rest| rest.find('/'))
        .map_or(url.len(), |at| start + at);
    url.get(..end).unwrap_or(url)
}

/// A URL without what stands behind a `?` where that is more than a part of a key: `https://host/a?...`.
fn without_query(url: &str) -> Cow<'_, str> {
    match url.split_once('?') {
        Some((head, query)) if query.contains('=') || head.starts_with("http") => {
            Cow::Owned(format!("{head}?..."))
        }
        _ => Cow::Borrowed(url),
    }
}

/// Bytes of an object: `length` from `offset`, or to the object's end where the length is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// Count of bytes; `None` reaches to the end of the object.
    pub length: Option<u64>,
}

impl ByteRange {
    /// A range of known length.
    #[must_use]
    pub const fn new(offset: u64, length: u64) -> Self {
        Self {
            offset,
            length: Some(length),
        }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length {
            Some(length) => write!(
                f,
                "bytes {}-{}",
                self.offset,
                (self.offset + length).saturating_sub(1)
            ),
            None => write!(f, "bytes {}-", self.offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_a_folder_are_names_and_no_parts_of_urls() {
        let folder = Location::from_path(Path::new("/data/a 100%.zarr"));
        for name in [
            "t2m/0.0",
            "%2e%2e/%2e%2e/x",
            "a%2fb",
            "rh%41/0",
            "a?b",
            "a#b/c d",
        ] {
            let path = folder.below(name).to_path().unwrap();
            assert_eq!(path, Path::new("/data/a 100%.zarr").join(name));
        }
        let place = |url| Location::parse(url, Path::new("/")).unwrap();
        let folder = place("s3://bucket/a.zarr");
        assert_eq!(folder.below("rh%41/0").key(), "a.zarr/rh%41/0");
        let folder = place("https://host/a.zarr");
        assert_eq!(
            folder.below("rh%41/0").as_str(),
            "https://host/a.zarr/rh%2541/0"
        );
    }

    #[test]
    fn paths_become_file_urls_and_come_back() {
        let location = Location::parse("a b/c#1.grib2", Path::new("/data")).unwrap();
        assert_eq!(location.as_str(), "file:///data/a%20b/c%231.grib2");
        assert_eq!(
            location.to_path().unwrap(),
            Path::new("/data/a b/c#1.grib2")
        );
        assert_eq!(location.origin(), "file://");
    }

    #[test]
    fn a_signature_is_shown_nowhere_and_stays_behind_the_path() {
        for url in [
            "https://host/a/set.parq?sig=hush",
            "az://container/a/set.parq?sv=1&sig=hush",
            "s3://bucket/a/set.parq?X-Amz-Signature=hush",
        ] {
            let location = Location::parse(url, Path::new("/")).unwrap();
            let (shown, debugged) = (location.to_string(), format!("{location:?}"));
            assert!(shown.contains("a/set.parq?...") && debugged.contains("set.parq"));
            assert!(
                !shown.contains("hush") && !debugged.contains("hush"),
                "{shown}"
            );
            assert_eq!(location.as_str(), url);
        }
        let signed = Location::parse("https://host/a/f000?sig=1", Path::new("/")).unwrap();
        for (made, path) in [
            (signed.with_suffix(".idx"), "https://host/a/f000.idx?sig=1"),
            (signed.below("t2m/0"), "https://host/a/f000/t2m/0?sig=1"),
            (signed.with_file_name("b"), "https://host/a/b?sig=1"),
        ] {
            assert_eq!(made.as_str(), path);
        }
        assert_eq!(signed.file_name(), "f000");
        let odd = Location::parse("s3://bucket/what?.grib2", Path::new("/")).unwrap();
        assert_eq!(odd.to_string(), "s3://bucket/what?.grib2");
        assert_eq!(
            odd.with_suffix(".idx").as_str(),
            "s3://bucket/what?.grib2.idx"
        );
    }

    #[test]
    fn urls_are_taken_apart() {
        let location = Location::parse("s3://bucket/gfs.20260101/00/f000", Path::new("/")).unwrap();
        assert_eq!(
            (location.scheme(), location.origin(), location.key()),
            ("s3", "s3://bucket", "gfs.20260101/00/f000")
        );
        assert_eq!(location.with_suffix(".idx").file_name(), "f000.idx");
        assert_eq!(
            location.with_file_name("x").as_str(),
            "s3://bucket/gfs.20260101/00/x"
        );
    }

    #[test]
    fn credentials_and_unknown_schemes_are_refused() {
        let error = Location::parse("https://me:secret@host/x", Path::new("/"))
            .unwrap_err()
            .to_string();
        assert!(!error.contains("secret"), "{error}");
        assert!(matches!(
            Location::parse("ftp://host/x", Path::new("/")),
            Err(LocationError::Scheme { .. })
        ));
        assert!(Location::parse("http:///x", Path::new("/")).is_err());
    }
}

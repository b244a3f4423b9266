//! One message on disk: what it is a copy of, its bytes, and checksums over both.
//!
//! ```text
//! 8  magic, with the number of the layout in its last octet
//! 32 SHA-256 of URL and byte range
//! 8  size of the object, all ones if it was not told      } the version of the object
//! 8  when it was last written, least number if not told   }
//! 4  length of its ETag, all ones if there was none       }
//! n  ETag                                                 }
//! 8  length of the message
//! 4  CRC-32 of the message
//! 4  CRC-32 of all of the above
//! m  message
//! ```
//!
//! Numbers are little-endian. URLs are kept as digests alone: a query string can be a signature.
//!
//! Knows bytes. Knows no files.

use std::fmt::Write as _;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::location::{ByteRange, Location};
use crate::storage::Fetched;
use crate::time::Instant;

/// Magic, and layout 1.
const MAGIC: [u8; 8] = *b"gribfsM\x01";
/// Octets of a head without its `ETag`.
const FIXED_BYTES: usize = 8 + 32 + 8 + 8 + 4 + 8 + 4 + 4;
/// Longest `ETag`; real ones have some 40 octets.
const ETAG_BYTES: usize = 1024;
/// Largest file that is read back: the largest message that storage reads, and its head.
pub(super) const ENTRY_BYTES: u64 = (1 << 30) + 4096;

/// What identifies an object's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Version {
    /// Its `ETag`, where the server tells.
    pub(in crate::store) etag: Option<String>,
    /// Its size in bytes, where the server tells.
    pub(in crate::store) size: Option<u64>,
    /// When it was last written, where the server tells.
    pub(in crate::store) modified: Option<Instant>,
}

impl Version {
    /// What an answer says of its object.
    pub(in crate::store) fn of(fetched: &Fetched) -> Self {
        Self {
            etag: fetched.etag.clone(),
            size: fetched.object_size,
            modified: fetched.modified,
        }
    }

    /// Whether nothing speaks against both being one: what both know is equal.
    pub(in crate::store) fn agrees(&self, other: &Self) -> bool {
        fn fits<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
            !matches!((a, b), (Some(a), Some(b)) if a != b)
        }
        let equal_tags = self.etag.is_some() && self.etag == other.etag;
        fits(self.etag.as_ref(), other.etag.as_ref())
            && fits(self.size.as_ref(), other.size.as_ref())
            // An equal tag is worth more than a time that a mirror may set anew.
            && (equal_tags || fits(self.modified.as_ref(), other.modified.as_ref()))
    }

    /// Whether this is enough to hold later answers against it.
    pub(super) fn identifies(&self) -> bool {
        self.etag
            .as_ref()
            .is_some_and(|etag| etag.len() <= ETAG_BYTES)
            || (self.etag.is_none() && self.size.is_some())
    }

    /// Eight octets for a file name.
    fn digest(&self) -> u64 {
        let mut hash = Sha256::new();
        match &self.etag {
            Some(etag) => hash.update(etag.as_bytes()),
            None => {
                hash.update([0]);
                hash.update(self.size.unwrap_or(u64::MAX).to_le_bytes());
                let modified = self.modified.map_or(i64::MIN, Instant::seconds);
                hash.update(modified.to_le_bytes());
            }
        }
        first8(&hash.finalize())
    }
}

/// Which bytes of which object: its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::store) struct Key([u8; 32]);

impl Key {
    /// `endpoint` is the server that has the location's bucket, where that is not the one of the bucket's vendor.
    pub(in crate::store) fn new(
        location: &Location,
        endpoint: Option<&str>,
        range: ByteRange,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(location.as_str().as_bytes());
        hash.update([0]);
        if let Some(endpoint) = endpoint {
            hash.update(endpoint.as_bytes());
            hash.update([1]);
        }
        hash.update(range.offset.to_le_bytes());
        // No range is that long.
        hash.update(range.length.unwrap_or(u64::MAX).to_le_bytes());
        Self(hash.finalize().into())
    }

    /// The folder of this key's files, of 4096: three hexadecimal digits.
    pub(super) fn shard(self) -> String {
        let mut text = self.stem();
        text.truncate(3);
        text
    }

    /// What the names of this key's files begin with.
    pub(super) fn stem(self) -> String {
        hexadecimal(&self.0, 16)
    }

    /// Name of the file of one version.
    pub(super) fn name(self, version: &Version) -> String {
        format!("{}-{:016x}", self.stem(), version.digest())
    }
}

/// Whether a file name is one of an entry.
pub(super) fn is_entry_name(name: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    name.split_once('-').is_some_and(|(stem, version)| {
        stem.len() == 32 && version.len() == 16 && digits(stem) && digits(version)
    })
}

/// The first `count` octets in hexadecimal digits.
pub(in crate::store) fn hexadecimal(octets: &[u8], count: usize) -> String {
    let mut text = String::with_capacity(2 * count);
    for octet in octets.iter().take(count) {
        // Writing to a string does not fail.
        let _written = write!(text, "{octet:02x}");
    }
    text
}

fn first8(digest: &[u8]) -> u64 {
    digest
        .first_chunk::<8>()
        .map_or(0, |octets| u64::from_be_bytes(*octets))
}

/// What stands before the message.
pub(super) fn head(key: Key, version: &Version, message: &[u8]) -> Vec<u8> {
    let etag = version.etag.as_deref().map(str::as_bytes);
    let mut head = Vec::with_capacity(FIXED_BYTES + etag.map_or(0, <[u8]>::len));
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(&key.0);
    head.extend_from_slice(&version.size.unwrap_or(u64::MAX).to_le_bytes());
    let modified = version.modified.map_or(i64::MIN, Instant::seconds);
    head.extend_from_slice(&modified.to_le_bytes());
    let length = etag.map_or(u32::MAX, |etag| u32::try_from(etag.len()).unwrap_or(0));
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(etag.unwrap_or_default());
    head.extend_from_slice(&(message.len() as u64).to_le_bytes());
    head.extend_from_slice(&crc32fast::hash(message).to_le_bytes());
    let sum = crc32fast::hash(&head);
    head.extend_from_slice(&sum.to_le_bytes());
    head
}

/// Takes a file apart: the version, and the message without a copy. `None` for whatever is not a whole, sound entry of this key.
pub(super) fn open(key: Key, file: &Bytes) -> Option<(Version, Bytes)> {
    fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
        let (taken, left) = rest.split_at_checked(count)?;
        *rest = left;
        Some(taken)
    }
    fn number<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        take(rest, N)?.try_into().ok()
    }
    let mut rest: &[u8] = file;
    if take(&mut rest, 8)? != MAGIC || take(&mut rest, 32)? != key.0 {
        return None;
    }
    let size = u64::from_le_bytes(number(&mut rest)?);
    let modified = i64::from_le_bytes(number(&mut rest)?);
    let etag = match u32::from_le_bytes(number(&mut rest)?) {
        u32::MAX => None,
        length => {
            let length = usize::try_from(length)
                .ok()
                .filter(|length| *length <= ETAG_BYTES)?;
            Some(
                std::str::from_utf8(take(&mut rest, length)?)
                    .ok()?
                    .to_owned(),
            )
        }
    };
    let length = u64::from_le_bytes(number(&mut rest)?);
    let message_sum = u32::from_le_bytes(number(&mut rest)?);
    let summed = file.len() - rest.len();
    let head_sum = u32::from_le_bytes(number(&mut rest)?);
    if crc32fast::hash(file.get(..summed)?) != head_sum
        || rest.len() as u64 != length
        || crc32fast::hash(rest) != message_sum
    {
        return None;
    }
    let start = file.len() - rest.len();
    let version = Version {
        etag,
        size: (size != u64::MAX).then_some(size),
        modified: (modified != i64::MIN).then_some(Instant(modified)),
    };
    Some((version, file.slice(start..)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn key() -> Key {
        let location = Location::parse("https://host/a?sig=SECRET", Path::new("/")).unwrap();
        Key::new(&location, None, ByteRange::new(10, 5))
    }

    fn version(etag: Option<&str>) -> Version {
        Version {
            etag: etag.map(str::to_owned),
            size: Some(100),
            modified: Some(Instant(7)),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        for version in [version(Some("\"a\"")), version(None), Version::default()] {
            let mut file = head(key(), &version, b"GRIB7");
            file.extend_from_slice(b"GRIB7");
            let (read, message) = open(key(), &file.clone().into()).unwrap();
            assert_eq!((read, &message[..]), (version, &b"GRIB7"[..]));
            for length in 0..file.len() {
                assert!(
                    open(key(), &file[..length].to_vec().into()).is_none(),
                    "{length}"
                );
            }
            for at in 0..file.len() * 8 {
                let mut flipped = file.clone();
                flipped[at / 8] ^= 1 << (at % 8);
                assert!(open(key(), &flipped.into()).is_none(), "bit {at}");
            }
            file.push(0);
            assert!(open(key(), &file.into()).is_none());
        }
    }

    #[test]
    fn names_tell_keys_and_versions_apart_and_no_secret() {
        let other = Location::parse("https://host/b", Path::new("/")).unwrap();
        let (one, tag) = (key(), version(Some("\"a\"")));
        assert!(is_entry_name(&one.name(&tag)) && one.name(&tag).starts_with(&one.shard()));
        assert_ne!(one.name(&tag), one.name(&version(Some("\"b\""))));
        assert_ne!(one.name(&version(None)), one.name(&Version::default()));
        assert_ne!(one, Key::new(&other, None, ByteRange::new(10, 5)));
        let elsewhere = Key::new(&other, Some("http://127.0.0.1:9000"), ByteRange::new(10, 5));
        assert_ne!(elsewhere, Key::new(&other, None, ByteRange::new(10, 5)));
        assert!(!is_entry_name("usage") && !is_entry_name(&one.stem()));
        let file = head(one, &tag, b"");
        assert!(!String::from_utf8_lossy(&file).contains("SECRET"));
    }

    #[test]
    fn versions_agree_where_nothing_speaks_against_it() {
        let (a, b, bare) = (version(Some("a")), version(Some("b")), Version::default());
        assert!(a.agrees(&a) && !a.agrees(&b) && a.agrees(&bare) && bare.agrees(&a));
        let resized = Version {
            size: Some(1),
            ..a.clone()
        };
        assert!(!a.agrees(&resized));
        let touched = Version {
            modified: Some(Instant(8)),
            ..a.clone()
        };
        assert!(a.agrees(&touched), "the tag is equal");
        let touched = Version {
            modified: Some(Instant(8)),
            ..version(None)
        };
        assert!(!version(None).agrees(&touched));
    }
}

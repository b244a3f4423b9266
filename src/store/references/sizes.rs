//! Sizes of objects that a set refers to whole: a file's size must be known before it is read, and how much memory a message takes.
//!
//! What is in memory of a set is asked for while it is mounted ([`RefReader::learn_sizes`]), the rest when somebody looks at it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock};

use futures::StreamExt as _;

use super::RefKey;
use super::error::RefReadError;
use super::policy::shown;
use super::reader::RefReader;
use super::source::Source;
use crate::location::{ByteRange, origin_of};
use crate::refs::{Coding, Kind, Target};
use crate::storage::Short;
use crate::store::lock;

/// Sizes that are asked for when a set is mounted; sets with more whole objects are not of this world.
const MAX_SIZES: usize = 100_000;
/// Requests for sizes at once.
const SIZES_AT_ONCE: usize = 64;
/// An origin that failed so often is asked no more while a set is mounted.
const MOST_FAILURES: usize = 8;
/// How long a size that could not be learnt is not asked for again.
const FAILED_FOR: Duration = Duration::from_secs(10);

/// Sizes by URL.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<HashMap<String, Size>>);

#[derive(Clone, Copy, Debug)]
enum Size {
    Bytes(u64),
    FailedAt(Clock),
}

impl Sizes {
    /// The size of an object; `None` where it is not known.
    pub(super) fn get(&self, url: &str) -> Option<u64> {
        match lock(&self.0).get(url) {
            Some(Size::Bytes(bytes)) => Some(*bytes),
            Some(Size::FailedAt(_)) | None => None,
        }
    }

    /// Whether nothing is gained by asking now.
    fn is_settled(&self, url: &str) -> bool {
        match lock(&self.0).get(url) {
            Some(Size::Bytes(_)) => true,
            Some(Size::FailedAt(at)) => at.elapsed() < FAILED_FOR,
            None => false,
        }
    }
}

impl Source {
    /// The size of an object, asked for where it is not known.
    pub(super) async fn object_size(&self, url: &str) -> Result<u64, RefReadError> {
        if let Some(bytes) = self.sizes.get(url) {
            return Ok(bytes);
        }
        let asked = self.ask_size(url).await;
        let size = match &asked {
            Ok(bytes) => Size::Bytes(*bytes),
            Err(_) => Size::FailedAt(Clock::now()),
        };
        lock(&self.sizes.0).insert(url.to_owned(), size);
        asked
    }

    async fn ask_size(&self, url: &str) -> Result<u64, RefReadError> {
        let location = self.policy.resolve(url)?;
        if let Some(path) = location.to_path() {
            let size = std::fs::metadata(&path).map(|found| found.len());
            return size.map_err(|error| RefReadError::Broken(error.to_string()));
        }
        let start = ByteRange::new(0, 1);
        let fetched = self
            .origin
            .storage
            .get(&location, start, Short::Allow)
            .await?;
        fetched
            .object_size
            .ok_or_else(|| RefReadError::Broken("the server does not tell its size".to_owned()))
    }

    /// The URL of a chunk or file whose size is that of a whole object.
    fn sized_by(&self, key: RefKey) -> Option<String> {
        if self.chunk_bytes(key).is_some() {
            return None;
        }
        match self.target(key) {
            Ok(Some(Target::Object {
                url, length: None, ..
            })) => Some(url),
            _ => None,
        }
    }
}

impl RefReader {
    /// Whether the size of a chunk or file can be told without asking anybody. Its record must be known.
    #[must_use]
    pub fn is_sized(&self, key: RefKey) -> bool {
        let url = self.source.sized_by(key);
        url.is_none_or(|url| self.source.sizes.is_settled(&url))
    }

    /// Size in bytes of a chunk or file that exists, and whether that is so: 1 byte is for what could not be learnt, and reading it
    /// fails. May wait for the origin unless [`Self::is_sized`]; must not be called on a thread of the runtime.
    #[must_use]
    pub fn size(&self, key: RefKey, target: &Target) -> (u64, bool) {
        let known = self.source.chunk_bytes(key).or_else(|| match target {
            Target::Inline(bytes) => Some(bytes.len() as u64),
            Target::Object {
                length: Some(length),
                ..
            } => Some(*length),
            Target::Object { url, .. } => self.learn_size(url),
            // Reading it fails for good.
            Target::NoTarget => Some(1),
        });
        (known.unwrap_or(1), known.is_some())
    }

    /// The size of a whole object, asked for where that is of use.
    fn learn_size(&self, url: &str) -> Option<u64> {
        let sizes = &self.source.sizes;
        if sizes.is_settled(url) {
            return sizes.get(url);
        }
        let asked = self.runtime.block_on(self.source.object_size(url));
        asked
            .inspect_err(|error| {
                tracing::debug!(url = shown(url), %error, "its size could not be learnt");
            })
            .ok()
    }

    /// Learns the sizes of the whole objects that are not GRIB, of those references that are in memory, while the set is in use.
    pub fn learn_sizes(&self) {
        let urls = self.whole_objects();
        if urls.is_empty() {
            return;
        }
        let source = Arc::clone(&self.source);
        self.runtime.spawn(async move {
            let failures: Mutex<HashMap<String, usize>> = Mutex::default();
            futures::stream::iter(urls)
                .for_each_concurrent(SIZES_AT_ONCE, |url| {
                    let (source, failures) = (&source, &failures);
                    async move {
                        let origin = origin_of(&url);
                        if lock(failures)
                            .get(origin)
                            .is_some_and(|count| *count >= MOST_FAILURES)
                        {
                            return;
                        }
                        if let Err(error) = source.object_size(&url).await {
                            let mut failures = lock(failures);
                            let count = failures.entry(origin.to_owned()).or_default();
                            *count += 1;
                            if *count == 1 {
                                tracing::warn!(url = shown(&url), %error, "its size could not be learnt");
                            }
                        }
                    }
                })
                .await;
        });
    }

    /// URLs of whole objects that are handed on as they are, of those references that are in memory.
    fn whole_objects(&self) -> Vec<String> {
        let set = self.set();
        let mut urls: Vec<String> = Vec::new();
        let mut want = |target: Option<Target>| {
            if let Some(Target::Object {
                url, length: None, ..
            }) = target
                && urls.len() < MAX_SIZES
            {
                urls.push(url);
            }
        };
        for (_, node, info) in set.arrays() {
            if let (
                Coding::Opaque,
                Kind::Array {
                    chunks: Some(chunks),
                    ..
                },
            ) = (&info.coding, &node.kind)
            {
                for number in chunks.whole_objects() {
                    want(chunks.get(number).and_then(|slot| set.target(&slot)));
                }
            }
        }
        for node in &set.nodes {
            for (_, slot) in &node.files {
                want(set.target(slot));
            }
        }
        urls.sort_unstable();
        urls.dedup();
        urls
    }
}

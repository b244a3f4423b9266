//! Sizes of objects that a set refers to whole, learnt when it is mounted, so that `stat` knows them.

use futures::StreamExt as _;

use super::error::RefReadError;
use super::policy::shown;
use super::reader::RefReader;
use crate::location::ByteRange;
use crate::refs::{Coding, Kind, Target};
use crate::storage::Short;
use crate::store::lock;

/// Sizes that are asked for; sets with more whole objects are not of this world.
const MAX_SIZES: usize = 100_000;
/// Requests for sizes at once.
const SIZES_AT_ONCE: usize = 64;

impl RefReader {
    /// Learns the sizes of objects that are referred to whole and are not GRIB.
    pub async fn learn_sizes(&self) {
        let found = futures::stream::iter(self.whole_objects())
            .map(|url| async move {
                let size = self.object_size(&url).await;
                (url, size)
            })
            .buffer_unordered(SIZES_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let mut sizes = lock(&self.sizes);
        for (url, size) in found {
            match size {
                Ok(size) => drop(sizes.insert(url, size)),
                Err(error) => {
                    tracing::warn!(url = shown(&url), %error, "its size could not be learnt");
                }
            }
        }
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

    async fn object_size(&self, url: &str) -> Result<u64, RefReadError> {
        let location = self.resolve(url)?;
        if let Some(path) = location.to_path() {
            let size = std::fs::metadata(&path).map(|found| found.len());
            return size.map_err(|error| RefReadError::Broken(error.to_string()));
        }
        let start = ByteRange::new(0, 1);
        let fetched = self.storage().get(&location, start, Short::Allow).await?;
        fetched
            .object_size
            .ok_or_else(|| RefReadError::Broken("the server does not tell its size".to_owned()))
    }
}

//! Finding and reading the index file beside a GRIB file.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::sources::Source;
use crate::index::{product_key, sidecar_names};
use crate::location::Location;
use crate::storage::{ErrorKind, Fetched, Storage, StorageError};

/// Largest index file that is read; the largest in use (51 members) has 2 MB.
const MOST_BYTES: u64 = 256 << 20;

/// Bytes of index files in memory at once, with what they are taken apart into: 16 of ECMWF's ensemble.
const BYTES_AT_ONCE: u64 = 32 << 20;

/// Bytes that one permit stands for.
const PERMIT: u64 = 64 << 10;

/// What an index file is taken for before any was seen.
const USUAL_BYTES: u64 = 1 << 20;

/// Reads index files, and remembers which of the customary names each product uses.
#[derive(Debug)]
pub(super) struct Sidecars {
    /// Product -> position among the customary names that was right last time.
    found: Mutex<HashMap<String, usize>>,
    /// Size of the largest so far; the next is likely to be as large.
    largest: AtomicU64,
    memory: Semaphore,
}

impl Default for Sidecars {
    fn default() -> Self {
        Self {
            found: Mutex::default(),
            largest: AtomicU64::new(0),
            memory: Semaphore::new(usize::try_from(BYTES_AT_ONCE / PERMIT).unwrap_or(1)),
        }
    }
}

impl Sidecars {
    /// Waits until there is room for one more index file; the room is held until it is given back.
    pub(super) async fn room(&self) -> Option<SemaphorePermit<'_>> {
        let expected = match self.largest.load(Ordering::Relaxed) {
            0 => USUAL_BYTES,
            largest => largest.min(BYTES_AT_ONCE),
        };
        let permits = u32::try_from(expected.div_ceil(PERMIT)).unwrap_or(1);
        // The semaphore is never closed.
        self.memory.acquire_many(permits).await.ok()
    }

    /// The index file beside a source: `None` where there is none under any customary name.
    pub(super) async fn read(
        &self,
        source: &Source,
        storage: &Storage,
    ) -> Result<Option<(Location, Fetched)>, StorageError> {
        let found = self.find(source, storage).await?;
        if let Some((_, fetched)) = &found {
            let bytes = fetched.bytes.len() as u64;
            self.largest.fetch_max(bytes, Ordering::Relaxed);
        }
        Ok(found)
    }

    async fn find(
        &self,
        source: &Source,
        storage: &Storage,
    ) -> Result<Option<(Location, Fetched)>, StorageError> {
        match &source.sidecar {
            Some(None) => return Ok(None),
            Some(Some(location)) => {
                return match storage.get_whole(location, MOST_BYTES).await {
                    Ok(fetched) => Ok(Some((location.clone(), fetched))),
                    Err(error) if is_absent(&error) => Ok(None),
                    Err(error) => Err(error),
                };
            }
            None => {}
        }
        let names = sidecar_names(source.location.file_name());
        let product = product_key(source.location.as_str());
        let first = self
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&product)
            .copied()
            .unwrap_or(0);
        let order = std::iter::once(first).chain((0..names.len()).filter(|other| *other != first));
        for (position, name) in order.filter_map(|position| Some((position, names.get(position)?)))
        {
            let location = source.location.with_file_name(name);
            if location.to_path().is_some_and(|path| !path.exists()) {
                continue;
            }
            match storage.get_whole(&location, MOST_BYTES).await {
                Ok(fetched) => {
                    self.found
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(product, position);
                    return Ok(Some((location, fetched)));
                }
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Buckets that may not be listed answer 403 for what is not there.
fn is_absent(error: &StorageError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden)
}

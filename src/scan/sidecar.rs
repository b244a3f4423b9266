//! Finding and reading the index file beside a GRIB file.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::sources::Source;
use crate::index::{product_key, sidecar_names};
use crate::location::Location;
use crate::storage::{ErrorKind, Fetched, Storage, StorageError};

/// Largest index file that is read; the largest in use (51 members) has 2 MB.
const MOST_BYTES: u64 = 256 << 20;

/// Reads index files, and remembers which of the customary names each product uses.
#[derive(Debug, Default)]
pub(super) struct Sidecars {
    /// Product -> position among the customary names that was right last time.
    found: Mutex<HashMap<String, usize>>,
}

impl Sidecars {
    /// The index file beside a source: `None` where there is none under any customary name.
    pub(super) async fn read(
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

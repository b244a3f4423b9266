//! kerchunk Parquet directories: metadata at once, references when first asked for, a record file at a time.
//!
//! Chunk `n` is row `n % record_size` of `<array>/refs.<n / record_size>.parq`. A record that was read is kept as columns.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use serde_json::Value;

use super::builder::SetBuilder;
use super::cells::{Counts, Texts, batches};
use super::chunks::{ChunkTable, Slot};
use super::error::RefsError;
use super::json_text::parse_lenient;
use super::set::{RefSet, Target};
use super::urls::Urls;
use super::value::{RefValue, text_of};

/// Bytes of decoded records that are kept.
const KEPT_BYTES: usize = 192 << 20;
/// Largest record size that is believed.
const MAX_RECORD: u64 = 1 << 26;

/// Reads record files of a set.
pub trait RecordSource: Send + Sync {
    /// The bytes of a file below the set's directory, named by its key; `None` where it is proven that there is none.
    ///
    /// # Errors
    /// Why it could not be read.
    fn record(&self, key: &str) -> Result<Option<Bytes>, String>;
}

/// One record file, decoded.
struct Record {
    urls: Urls,
    chunks: ChunkTable,
    memory: usize,
}

/// The records of a set.
pub(crate) struct Records {
    source: Arc<dyn RecordSource>,
    record_size: u64,
    kept: Mutex<Kept>,
}

struct Kept {
    records: LruCache<(String, u64), Option<Arc<Record>>>,
    bytes: usize,
    reading: HashMap<(String, u64), Arc<Mutex<()>>>,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("record_size", &self.record_size)
            .finish_non_exhaustive()
    }
}

/// Reads the `.zmetadata` of a kerchunk Parquet directory; its records come from `source` later.
///
/// # Errors
/// [`RefsError`].
pub fn read_directory(
    zmetadata: &[u8],
    source: Arc<dyn RecordSource>,
) -> Result<RefSet, RefsError> {
    let document = parse_lenient(zmetadata).map_err(RefsError::Unknown)?;
    let record_size = document
        .get("record_size")
        .and_then(super::value::whole_number)
        .filter(|size| (1..=MAX_RECORD).contains(size))
        .ok_or_else(|| RefsError::Unknown("no sound record_size in .zmetadata".to_owned()))?;
    let Some(Value::Object(metadata)) = document.get("metadata") else {
        return Err(RefsError::Unknown("no metadata in .zmetadata".to_owned()));
    };
    let mut builder = SetBuilder::default();
    for (key, value) in metadata {
        let text = text_of(value);
        builder.insert(key, RefValue::Inline(Bytes::from(text)))?;
    }
    let kept = Kept {
        records: LruCache::unbounded(),
        bytes: 0,
        reading: HashMap::new(),
    };
    let records = Records {
        source,
        record_size,
        kept: Mutex::new(kept),
    };
    builder.finish_with(Some(records))
}

impl Records {
    pub(crate) fn chunk(&self, path: &str, number: u64) -> Result<Option<Target>, RefsError> {
        let Some(record) = self.record(path, number / self.record_size)? else {
            return Ok(None);
        };
        let Some(slot) = record.chunks.get(number % self.record_size) else {
            return Ok(None);
        };
        Ok(Some(match slot {
            Slot::Inline(bytes) => Target::Inline(bytes),
            Slot::NoTarget => Target::NoTarget,
            Slot::Object {
                url,
                offset,
                length,
            } => Target::Object {
                url: record.urls.get(url).unwrap_or_default().to_owned(),
                offset,
                length,
            },
        }))
    }

    pub(crate) fn present(
        &self,
        path: &str,
        count: u64,
        first: u64,
        sink: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), RefsError> {
        let mut record_number = first / self.record_size;
        while record_number * self.record_size < count {
            let start = record_number * self.record_size;
            if let Some(record) = self.record(path, record_number)? {
                for row in record.chunks.numbers_from(first.saturating_sub(start)) {
                    // Rows past the last chunk are padding.
                    if start + row >= count || !sink(start + row) {
                        return Ok(());
                    }
                }
            }
            record_number += 1;
        }
        Ok(())
    }

    fn record(&self, path: &str, number: u64) -> Result<Option<Arc<Record>>, RefsError> {
        let key = (path.to_owned(), number);
        let turn = {
            let mut kept = self.kept();
            if let Some(record) = kept.records.get(&key) {
                return Ok(record.clone());
            }
            Arc::clone(kept.reading.entry(key.clone()).or_default())
        };
        // One reads, the others wait for it.
        let turn_taken = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = self.kept().records.get(&key) {
            return Ok(record.clone());
        }
        let name = if path.is_empty() {
            format!("refs.{number}.parq")
        } else {
            format!("{path}/refs.{number}.parq")
        };
        let read = match self.source.record(&name).map_err(RefsError::Read) {
            Ok(Some(bytes)) => decode(bytes, self.record_size).map(|record| Some(Arc::new(record))),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let mut kept = self.kept();
        kept.reading.remove(&key);
        if let Ok(record) = &read {
            kept.bytes += record.as_ref().map_or(64, |record| record.memory);
            kept.records.put(key, record.clone());
            while kept.bytes > KEPT_BYTES && kept.records.len() > 1 {
                let oldest = kept.records.pop_lru();
                let freed = oldest
                    .and_then(|(_, record)| record)
                    .map_or(64, |record| record.memory);
                kept.bytes = kept.bytes.saturating_sub(freed);
            }
        }
        drop(turn_taken);
        read
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one record file on its own: the reference of each row, and how many rows there are.
///
/// # Errors
/// [`RefsError::Parquet`].
pub fn read_record(file: Bytes, max_rows: u64) -> Result<Vec<Option<Target>>, RefsError> {
    let record = decode(file, max_rows)?;
    let last = record
        .chunks
        .numbers_from(0)
        .last()
        .map_or(0, |last| last + 1);
    Ok((0..last)
        .map(|row| {
            Some(match record.chunks.get(row)? {
                Slot::Inline(bytes) => Target::Inline(bytes),
                Slot::NoTarget => Target::NoTarget,
                Slot::Object {
                    url,
                    offset,
                    length,
                } => Target::Object {
                    url: record.urls.get(url)?.to_owned(),
                    offset,
                    length,
                },
            })
        })
        .collect())
}

fn decode(file: Bytes, record_size: u64) -> Result<Record, RefsError> {
    let mut urls = Urls::default();
    let mut chunks = ChunkTable::default();
    let mut row_number = 0_u64;
    batches(file, &mut |batch| {
        let (paths, raws) = (Texts::of(batch, "path"), Texts::of(batch, "raw"));
        let (offsets, sizes) = (Counts::of(batch, "offset"), Counts::of(batch, "size"));
        for row in 0..batch.num_rows() {
            if row_number >= record_size {
                return Ok(());
            }
            row_number += 1;
            let slot = if let Some(raw) = raws.get(row) {
                Some(Slot::Inline(Bytes::copy_from_slice(raw)))
            } else if let Some(path) = paths.get(row) {
                let bad =
                    |what: String| RefsError::Parquet(format!("row {}: {what}", row_number - 1));
                let path = std::str::from_utf8(path)
                    .map_err(|_not| bad("a path that is no text".to_owned()))?;
                if path.contains("{{") {
                    return Err(bad(format!(
                        "path `{path}` holds a template that was never expanded"
                    )));
                }
                let count = |counts: &Counts<'_>, name: &str| {
                    counts
                        .get(row)
                        .map(Option::unwrap_or_default)
                        .map_err(|number| bad(format!("{name} is {number}")))
                };
                let (offset, size) = (count(&offsets, "offset")?, count(&sizes, "size")?);
                let url = urls
                    .intern(path)
                    .ok_or_else(|| bad("too many URLs".to_owned()))?;
                let length = (offset != 0 || size != 0).then_some(size);
                Some(Slot::Object {
                    url,
                    offset,
                    length,
                })
            } else {
                None
            };
            match slot {
                Some(slot) => chunks.push_row(&slot),
                None => chunks.push_absent(),
            }
        }
        Ok(())
    })?;
    urls.seal();
    chunks.seal();
    let memory = chunks.memory() + urls.iter().map(|url| url.len() + 8).sum::<usize>() + 256;
    Ok(Record {
        urls,
        chunks,
        memory,
    })
}

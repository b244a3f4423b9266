//! kerchunk Parquet directories: metadata at once, references when first asked for, a record file at a time.
//!
//! Chunk `n` is row `n % record_size` of `<array>/refs.<n / record_size>.parq`. A record that was read is kept as columns.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use lru::LruCache;
use serde_json::Value;

use super::builder::SetBuilder;
use super::cells::{Counts, Dictionary, Texts, Words, batches_with};
use super::chunks::{ChunkTable, Slot, Target};
use super::error::RefsError;
use super::json_text::parse_lenient;
use super::set::RefSet;
use super::urls::Urls;
use super::value::text_of;
use crate::sync::lock;

/// Bytes of decoded records that are kept where nobody says otherwise.
const KEPT_BYTES: usize = 192 << 20;
/// Records of one array that are looked at to tell whether all are in memory.
const MAX_LISTED: u64 = 256;
/// Rows of a record for which room is made before it is read.
const RESERVED_ROWS: u64 = 1 << 17;
/// Most records of an array that may be missing one after another where its chunks are listed: an array can claim to have more of them
/// than there are seconds.
const MAX_MISSING: u64 = 10_000;
/// How long a record that could not be read is not asked for again.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// Most bytes of inline references in one record: a dictionary of a few kilobytes can stand for gigabytes.
const MAX_RAW: usize = 256 << 20;
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
    /// Bytes of records that are kept.
    limit: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    /// By array and number of the record; `None` where there is no file.
    records: LruCache<(usize, u64), Option<Arc<Record>>>,
    bytes: usize,
    reading: HashMap<(usize, u64), Arc<Mutex<()>>>,
    /// What failed just now, so that those who wait for the same record do not wait one after another.
    failed: HashMap<(usize, u64), (Clock, RefsError)>,
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
        builder.insert(key, Target::Inline(Bytes::from(text)))?;
    }
    let kept = Kept {
        records: LruCache::unbounded(),
        bytes: 0,
        reading: HashMap::new(),
        failed: HashMap::new(),
    };
    let records = Records {
        source,
        record_size,
        limit: KEPT_BYTES,
        kept: Mutex::new(kept),
    };
    builder.finish_with(Some(records))
}

impl Records {
    /// The reference of a chunk of the array `node`, which lies at `path`.
    pub(crate) fn chunk(
        &self,
        node: usize,
        path: &str,
        number: u64,
    ) -> Result<Option<Target>, RefsError> {
        let Some(record) = self.record(node, path, number / self.record_size)? else {
            return Ok(None);
        };
        let slot = record.chunks.get(number % self.record_size);
        Ok(slot.and_then(|slot| slot.target(&record.urls)))
    }

    /// Whether [`Self::chunk`] answers from memory.
    pub(crate) fn is_known(&self, node: usize, number: u64) -> bool {
        // As one that was used now, so that it stays for the question that follows.
        let record = (node, number / self.record_size);
        self.kept().records.get(&record).is_some()
    }

    /// Whether all records of an array of so many chunks are in memory.
    pub(crate) fn is_listed(&self, node: usize, count: u64) -> bool {
        let records = count.div_ceil(self.record_size);
        let mut kept = self.kept();
        records <= MAX_LISTED
            && (0..records).all(|record| kept.records.get(&(node, record)).is_some())
    }

    /// Keeps at most so many bytes.
    pub(crate) fn limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Numbers of the chunks of an array (its node, path and count of chunks) that have references, ascending.
    pub(crate) fn present(
        &self,
        (node, path, count): (usize, &str, u64),
        first: u64,
        sink: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), RefsError> {
        let (mut record_number, mut missing) = (first / self.record_size, 0);
        while record_number * self.record_size < count {
            let start = record_number * self.record_size;
            if let Some(record) = self.record(node, path, record_number)? {
                missing = 0;
                for row in record.chunks.numbers_from(first.saturating_sub(start)) {
                    // Rows past the last chunk are padding.
                    if start + row >= count || !sink(start + row) {
                        return Ok(());
                    }
                }
            } else {
                missing += 1;
                if missing > MAX_MISSING {
                    return Err(RefsError::TooLarge(format!(
                        "{path}: {MAX_MISSING} record files in a row are missing, up to refs.{record_number}.parq"
                    )));
                }
            }
            record_number += 1;
        }
        Ok(())
    }

    fn record(
        &self,
        node: usize,
        path: &str,
        number: u64,
    ) -> Result<Option<Arc<Record>>, RefsError> {
        let key = (node, number);
        let turn = {
            let mut kept = self.kept();
            if let Some(told) = kept.told(key) {
                return told;
            }
            Arc::clone(kept.reading.entry(key).or_default())
        };
        // One reads, the others wait for it.
        let turn_taken = lock(&turn);
        if let Some(told) = self.kept().told(key) {
            return told;
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
        if let Err(error) = &read {
            kept.failed.retain(|_, (at, _)| at.elapsed() < FAILED_FOR);
            kept.failed.insert(key, (Clock::now(), error.clone()));
        }
        if let Ok(record) = &read {
            kept.failed.remove(&key);
            kept.bytes += record.as_ref().map_or(64, |record| record.memory);
            kept.records.put(key, record.clone());
            while kept.bytes > self.limit && kept.records.len() > 1 {
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
        lock(&self.kept)
    }
}

impl Kept {
    /// What is known of a record.
    fn told(&mut self, key: (usize, u64)) -> Option<Result<Option<Arc<Record>>, RefsError>> {
        if let Some(record) = self.records.get(&key) {
            return Some(Ok(record.clone()));
        }
        let (at, error) = self.failed.get(&key)?;
        (at.elapsed() < FAILED_FOR).then(|| Err(error.clone()))
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
    let target = |row| record.chunks.get(row)?.target(&record.urls);
    Ok((0..last).map(target).collect())
}

fn decode(file: Bytes, record_size: u64) -> Result<Record, RefsError> {
    let mut urls = Urls::default();
    let mut chunks = ChunkTable::default();
    let (mut row_number, mut raw_bytes) = (0_u64, 0_usize);
    let mut dictionary = Dictionary::default();
    // Most records are full.
    chunks.reserve(usize::try_from(record_size.min(RESERVED_ROWS)).unwrap_or_default());
    batches_with(file, "path", &mut |batch| {
        let mut number_of = |url: &str| {
            let is_template = url.contains("{{");
            if is_template { None } else { urls.intern(url) }
        };
        let paths = Words::of(batch, "path", &mut dictionary, &mut number_of);
        let raws = Texts::of(batch, "raw");
        let (offsets, sizes) = (Counts::of(batch, "offset"), Counts::of(batch, "size"));
        let rows = usize::try_from(record_size - row_number).unwrap_or(usize::MAX);
        let rows = rows.min(batch.num_rows());
        if raws.is_empty()
            && let Some((keys, numbers)) = paths.plain()
            && let (Some(offsets), Some(sizes)) = (offsets.plain(), sizes.plain())
            && push_plain(&mut chunks, rows, (keys, &numbers), offsets, sizes).is_some()
        {
            row_number += rows as u64;
            return Ok(());
        }
        for row in 0..rows {
            let bad = |what: String| RefsError::Parquet(format!("row {row_number}: {what}"));
            if let Some(raw) = raws.get(row) {
                raw_bytes += raw.len();
                if raw_bytes > MAX_RAW {
                    return Err(bad(format!(
                        "more than {MAX_RAW} bytes of inline references"
                    )));
                }
                chunks.push_row(&Slot::Inline(Bytes::copy_from_slice(raw)));
            } else if let Some(url) = paths.get(row, &mut number_of).map_err(|path| {
                bad(format!(
                    "path `{path}` is no URL: a template that was never expanded, or no text"
                ))
            })? {
                let count = |counts: &Counts<'_>, name: &str| {
                    counts
                        .get(row)
                        .map(Option::unwrap_or_default)
                        .map_err(|number| bad(format!("{name} is {number}")))
                };
                let (offset, size) = (count(&offsets, "offset")?, count(&sizes, "size")?);
                chunks.push_object(url, offset, length_of(offset, size));
            } else {
                chunks.push_absent();
            }
            row_number += 1;
        }
        Ok(())
    })?;
    urls.seal();
    chunks.seal();
    let memory = chunks.memory() + urls.memory() + 256;
    Ok(Record {
        urls,
        chunks,
        memory,
    })
}

/// Adds rows as nearly all writers write them: texts in a dictionary, numbers without nulls. `None` where a number is out of place; then
/// nothing is added.
fn push_plain(
    chunks: &mut ChunkTable,
    rows: usize,
    (keys, numbers): (&[i32], &[u32]),
    offsets: &[i64],
    sizes: &[i64],
) -> Option<()> {
    let (keys, offsets, sizes) = (keys.get(..rows)?, offsets.get(..rows)?, sizes.get(..rows)?);
    let number_of = |key: i32| numbers.get(usize::try_from(key).ok()?).copied();
    let negative = |counts: &[i64]| counts.iter().any(|count| *count < 0);
    if negative(offsets) || negative(sizes) || keys.iter().any(|key| number_of(*key).is_none()) {
        return None;
    }
    for ((key, offset), size) in keys.iter().zip(offsets).zip(sizes) {
        let (offset, size) = (offset.unsigned_abs(), size.unsigned_abs());
        chunks.push_object(number_of(*key)?, offset, length_of(offset, size));
    }
    Some(())
}

/// The length that a row's size means: none, for no range at all, is the whole object.
fn length_of(offset: u64, size: u64) -> Option<u64> {
    (offset != 0 || size != 0).then_some(size)
}

//! The work: chunks of the set fetched, decoded, put into blocks, encoded and written, as many at once as memory allows.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::engine::on_a_thread;
use super::super::layout::LayoutError;
use super::super::ledger::Ledger;
use super::super::report::{CopyError, CopyProgress};
use super::super::settings::{CopySettings, Parts};
use super::super::shard;
use super::blocks::{Block, block, file_key, has, pieces, small};
use super::pick::{self, Grid};
use super::plan::{Recoded, SetArray, bytes_of};
use crate::refs::Target;
use crate::storage::Storage;
use crate::store::{RefKey, RefReadError, RefReader};
use crate::sync::lock;
use crate::zarr::key::chunk_positions;

/// Pieces of work under way at once.
const AT_ONCE: usize = 24;
/// Chunks of one block that are fetched at once.
const CHUNKS_AT_ONCE: usize = 24;
/// A unit of block memory, in bytes.
const UNIT: u64 = 64 << 10;
/// Largest coordinate that is read whole, in bytes.
const MOST_OF_COORDINATE: u64 = 1 << 30;
/// Times that a chunk is fetched of which what comes is not sound.
const TRIES: u32 = 3;

/// All that the work needs; shared by all of it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) settings: CopySettings,
    pub(super) reader: Arc<RefReader>,
    pub(super) storage: Storage,
    pub(super) arrays: Vec<SetArray>,
    pub(super) progress: Arc<CopyProgress>,
    /// Chunk files that lie in the destination.
    pub(super) existing: HashSet<String>,
    pub(super) ledger: Ledger,
    /// Chunks of the set that were or are in the copy, and those that were there already.
    pub(super) found: AtomicU64,
    pub(super) kept: AtomicU64,
    /// Memory of blocks, in units.
    pub(super) blocks: Arc<Semaphore>,
    /// Decoding and encoding take a core each.
    pub(super) cores: Arc<Semaphore>,
}

/// Units of memory that so many bytes take.
pub(super) fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

impl Work {
    /// Makes everything that is not there yet.
    pub(super) async fn run(self: &Arc<Self>) -> Result<(), CopyError> {
        let all = self.arrays.iter().enumerate();
        let weights: u128 = self.arrays.iter().map(SetArray::weight).sum();
        let mut before = 0;
        let pieces = all.flat_map(|(at, array)| {
            let first = before;
            before += array.weight();
            let (part, step) = (self.settings.parts, array.piece_weight());
            (0..array.count()).filter_map(move |number| {
                let is_ours = match part {
                    Parts::One(part) => part.has(first + u128::from(number) * step, weights),
                    Parts::Whole | Parts::Finish => true,
                };
                is_ours.then_some((at, number))
            })
        });
        futures::stream::iter(pieces)
            .map(|(at, number)| {
                let work = Arc::clone(self);
                async move {
                    let task = tokio::spawn(async move { work.piece(at, number).await });
                    task.await
                        .map_err(|error| CopyError::Internal(error.to_string()))?
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await
    }

    async fn piece(self: Arc<Self>, at: usize, number: u64) -> Result<(), CopyError> {
        let array = self.array(at)?;
        if array.recoded.is_some() {
            Arc::clone(&self).block(at, number).await?;
        } else {
            Arc::clone(&self).verbatim(at, number).await?;
        }
        CopyProgress::add(&self.progress.done, 1);
        Ok(())
    }

    fn array(&self, at: usize) -> Result<&SetArray, CopyError> {
        let array = self.arrays.get(at);
        array.ok_or_else(|| CopyError::Internal("no such array".to_owned()))
    }

    /// A chunk as it is.
    async fn verbatim(self: Arc<Self>, at: usize, number: u64) -> Result<(), CopyError> {
        let looking = Arc::clone(&self);
        let there = on_a_thread(move || {
            let array = looking.arrays.get(at)?;
            Some(has(looking.reader.set(), array, number))
        });
        if there.await? != Some(true) {
            return Ok(());
        }
        let array = self.array(at)?;
        let (name, cell) = (array.info.chunk_name(number), self.cell(array, number));
        self.found.fetch_add(1, Relaxed);
        let path = format!("{}/{name}", array.path);
        if self.existing.contains(&path) && !self.ledger.is_missing(&cell) {
            self.kept.fetch_add(1, Relaxed);
            return Ok(());
        }
        match self.fetch(array, number).await {
            Ok(bytes) => {
                self.note(vec![cell], Vec::new()).await?;
                self.write(&path, bytes).await
            }
            Err(reason) => {
                let lost = self.lost(array, number, reason)?;
                self.note(Vec::new(), vec![lost]).await
            }
        }
    }

    async fn block(self: Arc<Self>, at: usize, number: u64) -> Result<(), CopyError> {
        let looking = Arc::clone(&self);
        let block = on_a_thread(move || {
            let array = looking.arrays.get(at)?;
            let recoded = array.recoded.as_ref()?;
            Some(block(looking.reader.set(), array, recoded, number))
        });
        let block = block.await?;
        let block = block.ok_or_else(|| CopyError::Internal("no such block".to_owned()))?;
        let array = self.array(at)?;
        let Some(recoded) = &array.recoded else {
            return Ok(());
        };
        let count = block.chunks.len() as u64;
        self.found.fetch_add(count, Relaxed);
        if block.chunks.is_empty() {
            return Ok(());
        }
        if self.is_done(array, recoded, &block).await {
            self.kept.fetch_add(count, Relaxed);
            return Ok(());
        }
        let _permit = self.room(recoded, &block).await?;
        let elements: usize = block.shape.iter().product();
        let values = Arc::new(Mutex::new(recoded.fill.repeat(elements)));
        let block = Arc::new(block);
        let reads = futures::stream::iter(0..block.chunks.len())
            .map(|chunk| {
                let (work, block, values) =
                    (Arc::clone(&self), Arc::clone(&block), Arc::clone(&values));
                async move { work.chunk(at, block, chunk, values).await }
            })
            .buffer_unordered(CHUNKS_AT_ONCE);
        let outcomes: Vec<(u64, Result<(), String>)> = reads.try_collect().await?;
        let (mut here, mut lost) = (Vec::new(), Vec::new());
        for (number, outcome) in outcomes {
            match outcome {
                Ok(()) => here.push(self.cell(array, number)),
                Err(reason) => lost.push(self.lost(array, number, reason)?),
            }
        }
        let nothing_came = here.is_empty();
        self.note(here, lost).await?;
        if nothing_came {
            return Ok(());
        }
        let at_once = self.cores.available_permits().max(1);
        futures::stream::iter(block.files.clone())
            .map(|tile| {
                let (work, block, values) =
                    (Arc::clone(&self), Arc::clone(&block), Arc::clone(&values));
                async move {
                    let (encoding, own) = (Arc::clone(&work), Arc::clone(&block));
                    let made = work.on_a_core(move || encoding.encode(at, &own, tile, &values));
                    let made = made.await??;
                    let array = work.array(at)?;
                    let Some(recoded) = &array.recoded else {
                        return Ok(());
                    };
                    let path = format!("{}/{}", array.path, file_key(recoded, &block, tile));
                    work.write(&path, made).await
                }
            })
            .buffer_unordered(at_once)
            .try_for_each(|()| async { Ok(()) })
            .await
    }

    /// Fetches a chunk and puts its values into a block.
    async fn chunk(
        self: Arc<Self>,
        at: usize,
        block: Arc<Block>,
        chunk: usize,
        values: Arc<Mutex<Vec<u8>>>,
    ) -> Result<(u64, Result<(), String>), CopyError> {
        let number = block.chunks.get(chunk).map_or(0, |(number, _)| *number);
        let bytes = match self.fetch(self.array(at)?, number).await {
            Ok(bytes) => bytes,
            Err(reason) => return Ok((number, Err(reason))),
        };
        let work = Arc::clone(&self);
        let put = move || {
            let array = work.arrays.get(at);
            let found = array.and_then(|array| Some((array, array.recoded.as_ref()?)));
            let (array, recoded) = found.ok_or("no such array")?;
            let place = block.chunks.get(chunk).ok_or("no such chunk")?;
            let own = decoded(array, recoded, &bytes).map_err(|reason| {
                format!("{}/{}: {reason}", array.path, array.info.chunk_name(number))
            })?;
            let shape: Vec<usize> = array.info.chunks.iter().map(|size| small(*size)).collect();
            let grid = Grid {
                shape: &block.shape,
                item: recoded.element.bytes,
            };
            let pieces = pieces(recoded, array, &block.part, &place.1);
            pick::put(&mut lock(&values), &grid, &own, &shape, &pieces);
            Ok(())
        };
        Ok((number, self.on_a_core(put).await?))
    }

    fn encode(
        &self,
        at: usize,
        block: &Block,
        tile: usize,
        values: &Mutex<Vec<u8>>,
    ) -> Result<Bytes, CopyError> {
        let recoded = self.array(at)?.recoded.as_ref();
        let recoded = recoded.ok_or_else(|| CopyError::Internal("no such array".to_owned()))?;
        let files: Vec<usize> = recoded.files.iter().map(|file| small(*file)).collect();
        let item = recoded.element.bytes;
        let mut own = vec![0; files.iter().product::<usize>() * item];
        shard::Parts::new(&block.shape, &files, item).take(tile, &lock(values), &mut own);
        let encoded = recoded.encoder.encode(&own);
        encoded.map_err(|error| CopyError::Layout(LayoutError::Codec(error)))
    }

    async fn on_a_core<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CopyError> {
        let permit = Arc::clone(&self.cores).acquire_owned().await;
        let done = on_a_thread(work).await;
        drop(permit);
        done
    }

    async fn room(
        &self,
        recoded: &Recoded,
        block: &Block,
    ) -> Result<OwnedSemaphorePermit, CopyError> {
        let bytes: usize = block.shape.iter().product::<usize>() * recoded.element.bytes;
        let permit = Arc::clone(&self.blocks).acquire_many_owned(units(bytes as u64));
        let permit = permit.await;
        permit.map_err(|error| CopyError::Internal(error.to_string()))
    }

    /// Whether all chunk files of a block are there and none was written with a hole.
    async fn is_done(&self, array: &SetArray, recoded: &Recoded, block: &Block) -> bool {
        let key = |tile: &usize| format!("{}/{}", array.path, file_key(recoded, block, *tile));
        if self.existing.is_empty()
            || !block
                .files
                .iter()
                .all(|tile| self.existing.contains(&key(tile)))
        {
            return false;
        }
        let mut cells = block
            .chunks
            .iter()
            .map(|(number, _)| self.cell(array, *number));
        !cells.any(|cell| self.ledger.is_missing(&cell))
    }

    /// The bytes of a chunk as the mount shows it, or why they cannot be had.
    async fn fetch(&self, array: &SetArray, number: u64) -> Result<Bytes, String> {
        let key = RefKey::Chunk(array.node, number);
        let mut tries = 0;
        loop {
            tries += 1;
            match self.reader.fetch(key).await {
                Ok(bytes) => {
                    let due = array.info.chunk_bytes();
                    if due.is_some_and(|due| due != bytes.len() as u64) {
                        let due = due.unwrap_or_default();
                        return Err(format!(
                            "{}: {} bytes where {due} are due",
                            self.cell(array, number),
                            bytes.len()
                        ));
                    }
                    return Ok(bytes);
                }
                Err(RefReadError::Chunk(_)) if tries < TRIES => {
                    tokio::time::sleep(Duration::from_millis(200) * tries).await;
                }
                Err(error) => {
                    let object = match self.reader.set().chunk(array.node, number) {
                        Ok(Some(Target::Object { url, .. })) => {
                            format!(" ({})", crate::store::references::policy::shown(&url))
                        }
                        Ok(_) | Err(_) => String::new(),
                    };
                    return Err(format!("{}{object}: {error}", self.cell(array, number)));
                }
            }
        }
    }

    /// A chunk as it is named in the state, the report and the attributes: `t2m/3.0.0`, by its key in the set.
    fn cell(&self, array: &SetArray, number: u64) -> String {
        format!("{}/{}", array.path, array.info.chunk_name(number))
    }

    /// A chunk that is left as fill, if the array has a fill value that says so.
    fn lost(
        &self,
        array: &SetArray,
        number: u64,
        reason: String,
    ) -> Result<(String, String), CopyError> {
        if array.zarray.get("fill_value").is_none_or(Value::is_null) {
            return Err(CopyError::NoFill(reason));
        }
        Ok((self.cell(array, number), reason))
    }

    /// Writes the state where chunks are left as fill that were not before.
    async fn note(&self, here: Vec<String>, lost: Vec<(String, String)>) -> Result<(), CopyError> {
        CopyProgress::add(&self.progress.missing, lost.len());
        let place = (&self.storage, &self.settings.destination);
        self.ledger.note(here, lost, place).await
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<(), CopyError> {
        let place = self.settings.destination.below(path);
        CopyProgress::add(&self.progress.written, bytes.len());
        self.storage.put_unsettled(&place, bytes).await?;
        Ok(())
    }
}

/// The values of a chunk, rounded and turned as they are written.
pub(super) fn decoded(
    array: &SetArray,
    recoded: &Recoded,
    bytes: &[u8],
) -> Result<Vec<u8>, String> {
    let due = array
        .info
        .chunk_elements()
        .saturating_mul(recoded.element.bytes as u64);
    let mut values = recoded.chain.decode(bytes, small(due))?;
    if let Some(bits) = recoded.bits {
        recoded.element.round(&mut values, bits, &recoded.missing);
    }
    if recoded.turned {
        recoded.element.turn(&mut values);
    }
    Ok(values)
}

/// All values of an array as doubles: of coordinates.
pub(super) async fn numbers(reader: &RefReader, array: &SetArray) -> Result<Vec<f64>, CopyError> {
    let failed = |reason: String| {
        CopyError::Selection(format!("--bbox: {} cannot be read: {reason}", array.path))
    };
    let recoded = array.recoded.as_ref();
    let recoded = recoded.ok_or_else(|| failed("it is coded with what is not known".to_owned()))?;
    let part: Vec<(u64, u64)> = recoded.shape.iter().map(|length| (0, *length)).collect();
    let shape: Vec<usize> = recoded.shape.iter().map(|length| small(*length)).collect();
    let item = recoded.element.bytes;
    if bytes_of(&recoded.shape, recoded.element) > MOST_OF_COORDINATE {
        return Err(failed("it is larger than 1 GiB".to_owned()));
    }
    let mut values = recoded.fill.repeat(shape.iter().product());
    let grid = Grid {
        shape: &shape,
        item,
    };
    for number in 0..array.info.chunk_count() {
        let key = RefKey::Chunk(array.node, number);
        let bytes = reader
            .fetch(key)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let own = decoded(array, recoded, &bytes).map_err(failed)?;
        let at = chunk_positions(number, &array.info.grid);
        let sizes: Vec<usize> = array.info.chunks.iter().map(|size| small(*size)).collect();
        pick::put(
            &mut values,
            &grid,
            &own,
            &sizes,
            &pieces(recoded, array, &part, &at),
        );
    }
    Ok(values
        .chunks_exact(item)
        .map(|cell| recoded.element.number(cell))
        .collect())
}

//! The work itself: batches of messages fetched, decoded and put into blocks, as many at once as memory allows.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::destination::Destination;
use super::fields::Fields;
use super::kept::Kept;
use super::layout::{Layout, Target};
use super::ledger::Ledger;
use super::open::{Open, cell_name};
use super::plan::{self, Batch, Block, Limits, held};
use super::report::{CopyError, CopyProgress};
use super::settings::CopySettings;
use super::state::State;
use crate::dataset::archive::RowId;
use crate::slices::StoreView;
use crate::storage::Storage;
use crate::store::{BulkField, BulkReader, MessagePlace};

/// Batches under way at once, if memory allows: enough for a long line to be full while cores are busy.
const BATCHES: usize = 12;
/// A unit of block memory, in bytes.
pub(super) const UNIT: u64 = 64 << 10;

/// All that the work needs; shared by all batches.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) settings: CopySettings,
    pub(super) layout: Layout,
    pub(super) view: StoreView,
    pub(super) reader: BulkReader,
    /// Storage of the destination.
    pub(super) storage: Storage,
    pub(super) progress: Arc<CopyProgress>,
    /// Chunk files that lie in the destination: `t2m/0.0.0`.
    pub(super) existing: HashSet<String>,
    /// Whether the table may have cells that were not there when these were written.
    grown: bool,
    pub(super) ledger: Ledger,
    /// Memory of blocks, in units.
    blocks: Arc<Semaphore>,
    pub(super) block_units: u64,
    /// Encoding takes a core each.
    pub(super) cores: Arc<Semaphore>,
    /// Fields that a later batch takes too.
    pub(super) kept: Arc<Kept>,
}

impl Engine {
    pub(super) fn new(
        settings: CopySettings,
        layout: Layout,
        view: StoreView,
        reader: BulkReader,
        storage: Storage,
        progress: Arc<CopyProgress>,
        (existing, state, grown): (HashSet<String>, State, bool),
    ) -> Self {
        let block_units = (settings.memory_bytes / 2 / UNIT).clamp(1, u64::from(u32::MAX >> 4));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            blocks: Arc::new(Semaphore::new(usize::try_from(block_units).unwrap_or(1))),
            block_units,
            cores: Arc::new(Semaphore::new(cores)),
            kept: Arc::new(Kept::new(&settings.scratch)),
            settings,
            layout,
            view,
            reader,
            storage,
            progress,
            existing,
            grown,
            ledger: Ledger::new(state),
        }
    }

    pub(super) const fn there(&self) -> Destination<'_> {
        Destination {
            storage: &self.storage,
            place: &self.settings.destination,
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            blocks: self.block_units * UNIT / 4,
            messages: self.reader.memory_bytes() / 8,
        }
    }

    pub(super) fn target(&self, block: &Block) -> Result<(&Target, &Fields), CopyError> {
        let target = self.layout.targets.get(block.target);
        let found = target.and_then(|target| Some((target, target.fields.as_ref()?)));
        found.ok_or_else(|| CopyError::Internal("a block of no array".to_owned()))
    }

    /// Numbers and paths of the arrays that a block fills.
    pub(super) fn targets(&self, block: &Block) -> Vec<(usize, &str)> {
        let range = match block.recipe {
            Some(_) => self.layout.siblings(block.target),
            None => block.target..block.target + 1,
        };
        let path = |number: usize| Some((number, self.layout.targets.get(number)?.path.as_str()));
        range.filter_map(path).collect()
    }

    /// Fills all blocks that are not there yet. Gives the count of fields that were.
    pub(super) async fn run(self: &Arc<Self>) -> Result<u64, CopyError> {
        let mut under_way: JoinSet<Result<(), CopyError>> = JoinSet::new();
        let mut kept = 0_u64;
        for portion in 0..plan::portions(&self.layout) {
            let engine = Arc::clone(self);
            let listing = move || plan::blocks(&engine.view, &engine.layout, portion);
            let all = on_a_thread(listing).await?;
            let mut wanted = Vec::new();
            for block in all {
                if self.is_done(&block).await? {
                    kept += block.fields as u64;
                    CopyProgress::add(&self.progress.done, block.fields);
                } else {
                    wanted.push(block);
                }
            }
            let batches = plan::batches(wanted, &self.layout, &self.reader, self.limits()).await?;
            let mut left = plan::takers(&batches);
            for mut batch in batches {
                while under_way.len() >= BATCHES {
                    joined(under_way.join_next().await)?;
                }
                let permit = self.room(&batch).await?;
                plan::share(&mut batch, portion, &self.kept, &mut left);
                let engine = Arc::clone(self);
                under_way.spawn(async move { engine.batch(batch, permit).await });
            }
        }
        while !under_way.is_empty() {
            joined(under_way.join_next().await)?;
        }
        Ok(kept)
    }

    /// Whether all chunk files of a block are there and none was written with a hole.
    async fn is_done(&self, block: &Block) -> Result<bool, CopyError> {
        let (target, fields) = self.target(block)?;
        let recipe = block.recipe.as_ref();
        // A chunk of several fields may lack those that have come since.
        let of_several = recipe.is_some() || !fields.is_direct();
        if self.grown && of_several {
            return Ok(false);
        }
        let pending = recipe.map_or(block.pending.len(), |recipe| recipe.pending.len());
        if self.existing.is_empty() || pending > 0 || !block.carried.is_empty() {
            return Ok(false);
        }
        let (rows, columns) = fields.tile_grid();
        let targets = self.targets(block);
        let there = (0..rows * columns).all(|tile| {
            let key = fields.key(&block.at, (tile / columns, tile % columns));
            let mut files = targets.iter().map(|(_, path)| format!("{path}/{key}"));
            files.all(|file| self.existing.contains(&file))
        });
        if !there {
            return Ok(false);
        }
        // Of computed arrays all have the same holes.
        let cells = block.cells().into_iter();
        let mut cells = cells.map(|linear| cell_name(&target.path, fields, linear));
        Ok(!cells.any(|cell| self.ledger.is_missing(&cell)))
    }

    /// Memory for the blocks of a batch; one that does not fit gets what there is, and goes to disk.
    async fn room(&self, batch: &Batch) -> Result<OwnedSemaphorePermit, CopyError> {
        let bytes: u64 = batch
            .blocks
            .iter()
            .map(|block| held(block, &self.layout))
            .sum();
        let units = bytes.div_ceil(UNIT).min(self.block_units);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.blocks).acquire_many_owned(units).await;
        permit.map_err(|error| CopyError::Internal(error.to_string()))
    }

    async fn batch(
        self: Arc<Self>,
        batch: Batch,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), CopyError> {
        let bytes: u64 = batch
            .blocks
            .iter()
            .map(|block| held(block, &self.layout))
            .sum();
        let in_memory = bytes <= self.block_units * UNIT;
        let mut opened: Vec<Option<Open>> = Vec::new();
        let mut users: HashMap<RowId, Vec<(usize, usize, u64)>> = HashMap::new();
        let mut finishing: JoinSet<Result<(), CopyError>> = JoinSet::new();
        for (number, block) in batch.blocks.into_iter().enumerate() {
            for (row, slot, linear) in &block.rows {
                users
                    .entry(*row)
                    .or_default()
                    .push((number, *slot, *linear));
            }
            let open = self.open(block, in_memory).await?;
            if open.left == 0 {
                Arc::clone(&self).finish(open).await?;
                opened.push(None);
            } else {
                opened.push(Some(open));
            }
        }
        let limit = self.limits().messages;
        // One group ahead, so that the line is not idle while the fields of the last one are put away.
        let places = Arc::new(batch.places);
        let mut reads = futures::stream::iter(groups(&places, limit))
            .map(|group| {
                let (reader, places) = (self.reader.clone(), Arc::clone(&places));
                async move { reader.read(places.get(group).unwrap_or_default()).await }
            })
            .buffered(2);
        let mut duties = batch.duties;
        while let Some(mut arrivals) = reads.next().await {
            while let Some((row, field)) = arrivals.next().await {
                let field = field.map_err(|failure| failure.message);
                if let Some(duty) = duties.remove(&row) {
                    self.keep(&field, duty).await?;
                }
                let wanted = users.remove(&row).unwrap_or_default();
                let done = self.deliver(&wanted, &field, &mut opened).await?;
                for open in done {
                    finishing.spawn(Arc::clone(&self).finish(open));
                }
            }
        }
        // Last, when nothing is held that others wait for.
        for (row, mut promise) in batch.promised {
            let outcome = promise.outcome().await;
            let outcome = outcome.ok_or_else(|| {
                CopyError::Internal("a field was not kept for who needs it".to_owned())
            })?;
            let field = match outcome {
                Ok(place) => Ok(self.take_kept(place).await?),
                Err(reason) => Err(reason),
            };
            let wanted = users.remove(&row).unwrap_or_default();
            for open in self.deliver(&wanted, &field, &mut opened).await? {
                finishing.spawn(Arc::clone(&self).finish(open));
            }
        }
        while !finishing.is_empty() {
            joined(finishing.join_next().await)?;
        }
        drop(permit);
        Ok(())
    }

    /// Puts a field, or why it did not come, into the blocks that want it; gives those that have all of theirs then.
    async fn deliver(
        &self,
        wanted: &[(usize, usize, u64)],
        field: &Result<BulkField, String>,
        opened: &mut [Option<Open>],
    ) -> Result<Vec<Open>, CopyError> {
        let mut done = Vec::new();
        for (number, slot, linear) in wanted {
            let Some(place) = opened.get_mut(*number) else {
                continue;
            };
            let Some(open) = place.as_mut() else { continue };
            match field {
                Ok(field) => self.put(open, *slot, field).await?,
                Err(reason) => open.fail(*slot, *linear, reason.clone()),
            }
            open.left -= 1;
            if open.left == 0 {
                done.extend(place.take());
            }
        }
        Ok(done)
    }
}

/// Runs what takes a while on a thread for such work.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CopyError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| CopyError::Internal(error.to_string()))
}

/// Messages in groups that fit into a limit of bytes.
fn groups(places: &[MessagePlace], limit: u64) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut from, mut bytes) = (0, 0_u64);
    for (at, place) in places.iter().enumerate() {
        if at > from && bytes + place.memory_bytes > limit {
            groups.push(from..at);
            (from, bytes) = (at, 0);
        }
        bytes += place.memory_bytes;
    }
    if from < places.len() {
        groups.push(from..places.len());
    }
    groups
}

fn joined(
    done: Option<Result<Result<(), CopyError>, tokio::task::JoinError>>,
) -> Result<(), CopyError> {
    match done {
        Some(Ok(done)) => done,
        Some(Err(error)) => Err(CopyError::Internal(error.to_string())),
        None => Ok(()),
    }
}

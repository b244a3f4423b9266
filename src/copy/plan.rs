//! The work in portions: which blocks there are, whose messages, and in what order.
//!
//! A portion is one position along the chunks of the outermost axis, over all arrays: there neighbours in the archive are neighbours in
//! work, and however many messages a copy has, the plan of one portion is all that is held. Blocks that share a message (a total that stands
//! in two arrays, a message of several fields) go together, so that it is fetched once.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::fields::Fields;
use super::kept::{Duty, Kept, Promise};
use super::layout::Layout;
use super::recipe::{self, Recipe};
use crate::dataset::CellState;
use crate::dataset::archive::RowId;
use crate::slices::StoreView;
use crate::store::{BulkReader, MessagePlace, ReadFailure};

/// Most messages of a batch: enough for neighbours to share requests.
const BATCH_MESSAGES: usize = 64;

/// The same of blocks that take the fields of all members.
const BATCH_MESSAGES_OF_MEMBERS: usize = 512;

/// A block to be filled.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// Index of its array among the targets.
    pub(super) target: usize,
    /// Position along the chunks of the leading axes.
    pub(super) at: Vec<u64>,
    /// Rows of its fields: slot (of a computed block: number of the input), linear number of the cell (of a computed block: 0).
    pub(super) rows: Vec<(RowId, usize, u64)>,
    /// Cells whose rows are known not to be readable.
    pub(super) pending: Vec<(RowId, u64)>,
    /// Slots whose fields the store has already.
    pub(super) carried: Vec<usize>,
    /// Fields that are written.
    pub(super) fields: usize,
    /// How it is computed, if it is.
    pub(super) recipe: Option<Recipe>,
}

/// Blocks that are filled together, and the messages for it in the order in which they lie.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) blocks: Vec<Block>,
    pub(super) places: Vec<MessagePlace>,
    /// Rows whose fields an earlier batch keeps for this one.
    pub(super) promised: Vec<(RowId, Promise)>,
    /// Rows whose fields a later batch takes too.
    pub(super) duties: HashMap<RowId, Duty>,
}

/// Limits of a batch in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of its blocks in memory.
    pub(super) blocks: u64,
    /// Of its messages and fields.
    pub(super) messages: u64,
}

/// Count of portions.
pub(super) fn portions(layout: &Layout) -> u64 {
    let fields = layout
        .targets
        .iter()
        .filter_map(|target| target.fields.as_ref());
    let outermost = fields.map(|fields| fields.block_grid().first().copied().unwrap_or(1));
    outermost.max().unwrap_or(0)
}

/// The blocks of a portion that hold any message, array by array.
pub(super) fn blocks(view: &StoreView, layout: &Layout, portion: u64) -> Vec<Block> {
    let mut blocks = Vec::new();
    let share = layout.share.as_ref();
    if share.is_some_and(|share| !share.has_portion(portion)) {
        return blocks;
    }
    for (target, fields) in layout
        .targets
        .iter()
        .enumerate()
        .filter_map(|(number, target)| Some((number, target.fields.as_ref()?)))
    {
        let grid = fields.block_grid();
        let (outer, inner) = match grid.split_first() {
            Some((outer, inner)) => (*outer, inner.to_vec()),
            None => (1, Vec::new()),
        };
        if portion >= outer {
            continue;
        }
        for linear in 0..inner.iter().product::<u64>() {
            let mut at = crate::zarr::key::chunk_positions(linear, &inner);
            if !grid.is_empty() {
                at.insert(0, portion);
            }
            if share.is_some_and(|share| !share.has(target, &at)) {
                continue;
            }
            let block = match layout.targets.get(target).and_then(|target| target.derived) {
                None => block(view, fields, target, at),
                Some(derived) if derived.leader == target => {
                    recipe::block(view, layout, fields, target, at)
                }
                Some(_) => break,
            };
            if block.fields > 0 || !block.pending.is_empty() {
                blocks.push(block);
            }
        }
    }
    blocks
}

fn block(view: &StoreView, fields: &Fields, target: usize, at: Vec<u64>) -> Block {
    let mut rows = Vec::new();
    let (mut pending, mut carried) = (Vec::new(), Vec::new());
    for cell in fields.cells(&at) {
        let Some(source) = cell.source else {
            carried.push(cell.slot);
            continue;
        };
        match view.cell(fields.group, fields.number, &fields.source_grid, source) {
            CellState::Present(row) => rows.push((row, cell.slot, cell.linear)),
            CellState::Pending(row) => pending.push((row, cell.linear)),
            CellState::Gap => {}
        }
    }
    Block {
        target,
        at,
        fields: rows.len(),
        rows,
        pending,
        carried,
        recipe: None,
    }
}

impl Block {
    /// Numbers of its cells along the leading axes.
    pub(super) fn cells(&self) -> Vec<u64> {
        match &self.recipe {
            Some(recipe) => recipe.outputs.iter().map(|output| output.linear).collect(),
            None => self.rows.iter().map(|(_, _, linear)| *linear).collect(),
        }
    }

    /// Rows of its own cells: not those that are only subtracted from them.
    fn own_rows(&self) -> impl Iterator<Item = RowId> {
        let own = self.recipe.as_ref().map_or(usize::MAX, |recipe| recipe.own);
        let rows = self.rows.iter().filter(move |(_, slot, _)| *slot < own);
        rows.map(|(row, ..)| *row)
    }

    /// Rows that a block of a portion takes too, by that portion.
    fn again(&self) -> impl Iterator<Item = (RowId, u64)> {
        let again = self.recipe.iter().flat_map(|recipe| &recipe.again);
        again.filter_map(|(input, portion)| {
            // Inputs are listed in order.
            let at = self.rows.binary_search_by_key(input, |(_, slot, _)| *slot);
            Some((self.rows.get(at.ok()?)?.0, *portion))
        })
    }
}

/// Leaves out of a batch what an earlier one keeps for it, and notes what it has to keep. `left` counts the batches of this portion that are
/// still to come, by row.
pub(super) fn share(batch: &mut Batch, portion: u64, kept: &Kept, left: &mut HashMap<RowId, u32>) {
    let mut again: HashMap<RowId, u64> = HashMap::new();
    for (row, portion) in batch.blocks.iter().flat_map(Block::again) {
        let last = again.entry(row).or_default();
        *last = portion.max(*last);
    }
    for row in batch.rows() {
        if let Some(count) = left.get_mut(&row) {
            *count -= 1;
        }
    }
    let mut promised = Vec::new();
    batch.places.retain(|place| match kept.claim(place.row) {
        Some(promise) => {
            promised.push((place.row, promise));
            false
        }
        None => true,
    });
    batch.promised = promised;
    for place in &batch.places {
        let here = left.get(&place.row).is_some_and(|count| *count > 0);
        let later = again.get(&place.row).is_some_and(|last| *last > portion);
        if here || later {
            batch.duties.insert(place.row, kept.promise(place.row));
        }
    }
}

/// How many of some batches take each row of computed blocks.
pub(super) fn takers(batches: &[Batch]) -> HashMap<RowId, u32> {
    let mut count = HashMap::new();
    for batch in batches {
        for row in batch.rows() {
            *count.entry(row).or_insert(0) += 1;
        }
    }
    count
}

impl Batch {
    /// The rows of its computed blocks, each once.
    fn rows(&self) -> HashSet<RowId> {
        let computed = self.blocks.iter().filter(|block| block.recipe.is_some());
        computed
            .flat_map(|block| block.rows.iter().map(|(row, ..)| *row))
            .collect()
    }
}

/// Puts blocks into batches, in the order in which their messages lie.
pub(super) async fn batches(
    blocks: Vec<Block>,
    layout: &Layout,
    reader: &BulkReader,
    limits: Limits,
) -> Result<Vec<Batch>, ReadFailure> {
    let distinct: Vec<RowId> = {
        let mut seen = HashSet::new();
        let rows = blocks.iter().flat_map(|block| &block.rows);
        rows.map(|(row, ..)| *row)
            .filter(|row| seen.insert(*row))
            .collect()
    };
    let places = reader.places(&distinct).await?;
    let by_row: HashMap<RowId, MessagePlace> =
        places.into_iter().map(|place| (place.row, place)).collect();
    let of_members = layout.targets.iter().any(|target| {
        let derived = target.derived;
        derived.is_some_and(|derived| derived.statistic.is_some())
    });
    let most = if of_members {
        BATCH_MESSAGES_OF_MEMBERS
    } else {
        BATCH_MESSAGES
    };
    let mut clusters = clusters(blocks, &by_row);
    clusters.sort_by_key(|cluster| cluster.first);

    let mut batches: Vec<Batch> = Vec::new();
    let mut open: Vec<Block> = Vec::new();
    let (mut block_bytes, mut message_bytes, mut messages) = (0_u64, 0_u64, 0_usize);
    let close = |open: &mut Vec<Block>, batches: &mut Vec<Batch>| {
        if !open.is_empty() {
            batches.push(batch(std::mem::take(open), &by_row));
        }
    };
    for cluster in clusters {
        let own_blocks: u64 = cluster.blocks.iter().map(|block| held(block, layout)).sum();
        let rows = cluster.blocks.iter().flat_map(|block| &block.rows);
        let own_messages: u64 = rows
            .filter_map(|(row, ..)| by_row.get(row))
            .map(|place| place.memory_bytes)
            .sum();
        let count: usize = cluster.blocks.iter().map(|block| block.rows.len()).sum();
        let full = block_bytes + own_blocks > limits.blocks
            || message_bytes + own_messages > limits.messages
            || messages + count > most;
        if full {
            close(&mut open, &mut batches);
            (block_bytes, message_bytes, messages) = (0, 0, 0);
        }
        block_bytes += own_blocks;
        message_bytes += own_messages;
        messages += count;
        open.extend(cluster.blocks);
    }
    close(&mut open, &mut batches);
    Ok(batches)
}

/// Bytes that a block holds while its fields come.
pub(super) fn held(block: &Block, layout: &Layout) -> u64 {
    let fields = layout
        .targets
        .get(block.target)
        .and_then(|target| target.fields.as_ref());
    fields.map_or(0, |fields| match &block.recipe {
        Some(recipe) => {
            // What is computed waits beside what it is computed of.
            let results = layout.siblings(block.target).len() * fields.slots();
            fields.bytes_of(recipe.inputs.saturating_add(results))
        }
        None if fields.is_direct() => 0,
        None => fields.block_bytes(),
    })
}

fn batch(blocks: Vec<Block>, by_row: &HashMap<RowId, MessagePlace>) -> Batch {
    let rows = blocks.iter().flat_map(|block| &block.rows);
    let mut places: BTreeMap<(u32, u64, RowId), MessagePlace> = BTreeMap::new();
    for place in rows.filter_map(|(row, ..)| by_row.get(row)) {
        places.insert((place.object, place.offset, place.row), place.clone());
    }
    Batch {
        blocks,
        places: places.into_values().collect(),
        promised: Vec::new(),
        duties: HashMap::new(),
    }
}

/// Blocks that share messages.
struct Cluster {
    first: (u32, u64),
    blocks: Vec<Block>,
}

fn clusters(blocks: Vec<Block>, by_row: &HashMap<RowId, MessagePlace>) -> Vec<Cluster> {
    let mut parent: Vec<usize> = (0..blocks.len()).collect();
    let mut first = vec![(u32::MAX, u64::MAX); blocks.len()];
    let mut owner: HashMap<(u32, u64), usize> = HashMap::new();
    for (number, block) in blocks.iter().enumerate() {
        for place in block.own_rows().filter_map(|row| by_row.get(&row)) {
            let key = (place.object, place.offset);
            if let Some(least) = first.get_mut(number) {
                *least = key.min(*least);
            }
            let other = *owner.entry(key).or_insert(number);
            let (a, b) = (root(&parent, number), root(&parent, other));
            if let Some(slot) = parent.get_mut(a.max(b)) {
                *slot = a.min(b);
            }
        }
    }
    let mut by_root: BTreeMap<usize, Cluster> = BTreeMap::new();
    for (number, block) in blocks.into_iter().enumerate() {
        let least = first.get(number).copied().unwrap_or_default();
        let cluster = by_root.entry(root(&parent, number)).or_insert(Cluster {
            first: least,
            blocks: Vec::new(),
        });
        cluster.first = cluster.first.min(least);
        cluster.blocks.push(block);
    }
    by_root.into_values().collect()
}

/// The block that stands for those that a block shares messages with.
fn root(parent: &[usize], mut at: usize) -> usize {
    while let Some(next) = parent.get(at).copied().filter(|next| *next != at) {
        at = next;
    }
    at
}

//! Where the fields of an array lie in its blocks, and the blocks in chunk files.

use super::append::Along;
use crate::zarr::key::chunk_positions;

/// A cell of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// Its place in the block.
    pub(super) slot: usize,
    /// Its number along the leading axes of the store.
    pub(super) linear: u64,
    /// Its number in the mount's chunk grid; `None` if the store has it already, and not as a hole.
    pub(super) source: Option<u64>,
}

/// Geometry of an array of fields.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    /// Group and array of the collection.
    pub(super) group: usize,
    pub(super) number: usize,
    /// The chunk grid of the mount: one message per position.
    pub(super) source_grid: Vec<u64>,
    /// Lengths and chunk lengths of the leading axes.
    pub(super) lead: Vec<u64>,
    pub(super) lead_chunk: Vec<u64>,
    /// Rows and columns of a field and of a tile; grids of one axis have one row.
    pub(super) face: (usize, usize),
    pub(super) tile: (usize, usize),
    /// Axes of the face: 1 or 2.
    pub(super) face_axes: usize,
    /// The axis that grows, of a store that is extended.
    pub(super) along: Option<Along>,
}

impl Fields {
    /// Of an array of fields of so many points whose chunk files have the shape `chunks`; `source_grid` is that of the mount.
    pub(super) fn of(
        shape: &[u64],
        chunks: &[u64],
        points: u64,
        (group, number): (usize, usize),
        source_grid: Vec<u64>,
    ) -> Self {
        let face_axes = face_axes(shape, points);
        let lead_axes = shape.len().saturating_sub(face_axes);
        let split = |all: &[u64]| {
            let (lead, face) = all.split_at(lead_axes.min(all.len()));
            let side = |at: usize| face.get(at).copied().unwrap_or(1);
            let size = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
            let face = match face_axes {
                1 => (1, size(side(0))),
                _ => (size(side(0)), size(side(1))),
            };
            (lead.to_vec(), face)
        };
        let (lead, face) = split(shape);
        let (lead_chunk, tile) = split(chunks);
        Self {
            group,
            number,
            source_grid,
            lead,
            lead_chunk,
            face,
            tile,
            face_axes,
            along: None,
        }
    }

    /// Values of a field.
    pub(super) const fn points(&self) -> u64 {
        self.face.0.saturating_mul(self.face.1) as u64
    }

    /// Blocks along each leading axis.
    pub(super) fn block_grid(&self) -> Vec<u64> {
        let pairs = self.lead.iter().zip(&self.lead_chunk);
        pairs
            .map(|(length, chunk)| length.div_ceil(*chunk))
            .collect()
    }

    /// Tiles along rows and columns.
    pub(super) const fn tile_grid(&self) -> (usize, usize) {
        (
            self.face.0.div_ceil(self.tile.0),
            self.face.1.div_ceil(self.tile.1),
        )
    }

    /// Fields that a block holds when it is full.
    pub(super) fn slots(&self) -> usize {
        let lengths = self.lead_chunk.iter();
        let slots = lengths.fold(1_u64, |slots, length| slots.saturating_mul(*length));
        usize::try_from(slots).unwrap_or(usize::MAX)
    }

    /// Values of a tile of one field.
    pub(super) const fn tile_points(&self) -> usize {
        self.tile.0.saturating_mul(self.tile.1)
    }

    /// Bytes of a chunk file, not packed.
    pub(super) fn file_bytes(&self) -> u64 {
        let points = (self.tile_points() as u64).saturating_mul(self.slots() as u64);
        points.saturating_mul(4)
    }

    /// Bytes of a whole block in memory.
    pub(super) fn block_bytes(&self) -> u64 {
        self.bytes_of(self.slots())
    }

    /// Bytes of so many fields in tiles.
    pub(super) fn bytes_of(&self, fields: usize) -> u64 {
        let (rows, columns) = self.tile_grid();
        let points = rows
            .saturating_mul(columns)
            .saturating_mul(self.tile_points());
        (points as u64)
            .saturating_mul(fields as u64)
            .saturating_mul(4)
    }

    /// Whether each field is a chunk file by itself.
    pub(super) fn is_direct(&self) -> bool {
        self.slots() == 1 && self.tile == self.face
    }

    /// The cells of a block.
    pub(super) fn cells(&self, block: &[u64]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for slot in 0..self.slots() {
            let within = chunk_positions(slot as u64, &self.lead_chunk);
            let (mut linear, mut source) = (0, Some(0));
            let mut inside = true;
            for axis in 0..self.lead.len() {
                let of = |list: &[u64]| list.get(axis).copied().unwrap_or(0);
                let at = of(block) * of(&self.lead_chunk) + of(&within);
                inside &= at < of(&self.lead);
                linear = linear * of(&self.lead) + at;
                let own = match &self.along {
                    Some(along) if along.axis == axis => along.source(at),
                    Some(_) | None => Some(at),
                };
                source = source.and_then(|source| Some(source * of(&self.source_grid) + own?));
            }
            if source.is_none() {
                let along = self.along.as_ref();
                source = along.and_then(|along| along.again.get(&linear).copied());
            }
            if inside {
                cells.push(Cell {
                    slot,
                    linear,
                    source,
                });
            }
        }
        cells
    }

    /// The position along the chunks of the outermost axis of a cell at such positions along the slice's time-like axes, if it is one that is
    /// written.
    pub(super) fn portion_of(&self, positions: &[u64]) -> Option<u64> {
        let mut outermost = *positions.first()?;
        if let Some(along) = &self.along {
            let new = along.new.binary_search(positions.get(along.axis)?).ok()?;
            if along.axis == 0 {
                outermost = along.old + new as u64;
            }
        }
        Some(outermost / self.lead_chunk.first()?)
    }

    /// The key of a chunk file of a block, below its array.
    pub(super) fn key(&self, block: &[u64], (row, column): (usize, usize)) -> String {
        let mut parts: Vec<String> = block.iter().map(u64::to_string).collect();
        if self.face_axes > 1 {
            parts.push(row.to_string());
        }
        parts.push(column.to_string());
        parts.join(".")
    }
}

/// Axes of the grid of an array whose fields have so many points: 1 or 2.
pub(super) fn face_axes(shape: &[u64], points: u64) -> usize {
    let last = shape.last().copied().unwrap_or(1);
    if last == points || shape.len() < 2 {
        1
    } else {
        2
    }
}

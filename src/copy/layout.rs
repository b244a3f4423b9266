//! What is written: the arrays of a store with their new chunks, and the shape of the work that fills them.
//!
//! An array of fields has leading axes (times, members, levels) along which each message is one position, and a face (the grid). A block
//! is one position along the chunks of the leading axes; its tiles are the chunks of the face. Of `t2m[24 x 721 x 1440]` with chunks
//! `8 x 256 x 1440` there are 3 blocks of 8 messages and 3 tiles each.

use std::collections::BTreeMap;
use std::ops::Range;

use super::append::Along;
use super::codec::{Codec, CodecError, Encoder};
use super::derive::Derivation;
use super::settings::CopySettings;
use crate::zarr::Format;
use crate::zarr::key::{chunk_key, chunk_positions};
use crate::zarr::model::{Array, Content, DataType, Group};

/// Coordinates up to this size are not compressed: nothing is gained, and they can be read as they are.
const PLAIN_BYTES: u64 = 64 << 10;

/// Why a store cannot be laid out as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A dimension that no array has.
    #[error("no dimension {name}; there are: {known}")]
    NoDimension {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A shard that does not hold whole chunks.
    #[error("shards of {shard} along {name} do not hold whole chunks of {chunk}")]
    Shard {
        /// The dimension.
        name: String,
        /// Length of the shard.
        shard: u64,
        /// Length of the chunk.
        chunk: u64,
    },
    /// Shards are of Zarr v3.
    #[error("shards need --zarr-format 3")]
    ShardsOfV2,
    /// Statistics over members that nothing has.
    #[error("--stat: no array selected has members")]
    NoMembers,
    /// Differences of accumulations where there are none.
    #[error("--deaccumulate: no array selected is an accumulation")]
    NoAccumulation,
    /// Two arrays of one name.
    #[error("two arrays would be called {0}: select one of them with --variable")]
    Taken(String),
    /// The codec cannot be made.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// An array as it is written.
#[derive(Debug)]
pub(super) struct Target {
    /// Path below the store's root.
    pub(super) path: String,
    /// The array with its chunk files' shape as chunks.
    pub(super) array: Array,
    /// How its chunk files are compressed.
    pub(super) codec: Codec,
    /// Chunks inside the chunk files, where those are shards.
    pub(super) inner_chunks: Option<Vec<u64>>,
    pub(super) encoder: Encoder,
    /// The work that fills it; `None` for coordinates.
    pub(super) fields: Option<Fields>,
    /// Axis along which it was made longer, and its length before.
    pub(super) grown: Option<(usize, u64)>,
    /// How it is computed, if it is.
    pub(super) derived: Option<Derivation>,
}

/// A cell of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// Its place in the block.
    pub(super) slot: usize,
    /// Its number along the leading axes of the store.
    pub(super) linear: u64,
    /// Its number in the mount's chunk grid; `None` if the store has it already.
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

/// The store as it is written.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) root: Group,
    pub(super) targets: Vec<Target>,
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
        let slots: u64 = self.lead_chunk.iter().product();
        usize::try_from(slots).unwrap_or(usize::MAX)
    }

    /// Values of a tile of one field.
    pub(super) const fn tile_points(&self) -> usize {
        self.tile.0.saturating_mul(self.tile.1)
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

impl Layout {
    /// The arrays of a hierarchy with the chunks that are asked for; those that are computed are named by path.
    pub(super) fn new(
        root: &Group,
        settings: &CopySettings,
        derived: &BTreeMap<String, Derivation>,
    ) -> Result<Self, LayoutError> {
        let mut lengths: BTreeMap<String, u64> = BTreeMap::new();
        each_array(root, "", &mut |_, array| {
            for (name, length) in array.dimensions.iter().zip(&array.shape) {
                lengths.entry(name.clone()).or_insert(*length);
            }
        });
        for (name, _) in settings.chunks.iter().chain(&settings.shards) {
            if !lengths.contains_key(name) {
                return Err(LayoutError::NoDimension {
                    name: name.clone(),
                    known: lengths.keys().cloned().collect::<Vec<_>>().join(", "),
                });
            }
        }
        if !settings.shards.is_empty() && settings.format == Format::V2 {
            return Err(LayoutError::ShardsOfV2);
        }
        let mut targets = Vec::new();
        let mut failed = None;
        each_array(
            root,
            "",
            &mut |path, array| match target(path, array, settings) {
                Ok(target) => targets.push(target),
                Err(error) => failed = failed.take().or(Some(error)),
            },
        );
        if let Some(error) = failed {
            return Err(error);
        }
        let mut leader: Option<(usize, (usize, usize))> = None;
        for (number, target) in targets.iter_mut().enumerate() {
            let source = target.fields.as_ref().map(|f| (f.group, f.number));
            let Some((derivation, source)) = derived.get(&target.path).copied().zip(source) else {
                leader = None;
                continue;
            };
            // Arrays that are computed of the same fields stand side by side.
            let first = match leader {
                Some((first, same)) if same == source => first,
                Some(_) | None => number,
            };
            leader = Some((first, source));
            target.derived = Some(Derivation {
                leader: first,
                ..derivation
            });
        }
        Ok(Self {
            root: root.clone(),
            targets,
        })
    }

    /// An array whose chunks are not those of the others that are computed of the same fields.
    pub(super) fn uneven(&self) -> Option<&str> {
        let mut targets = self.targets.iter();
        let other = targets.find(|target| {
            let leader = target
                .derived
                .and_then(|derived| self.targets.get(derived.leader));
            leader.is_some_and(|leader| leader.array.chunks != target.array.chunks)
        });
        other.map(|target| target.path.as_str())
    }

    /// The arrays that the blocks of an array fill: itself, and those that are computed of the same fields.
    pub(super) fn siblings(&self, target: usize) -> Range<usize> {
        let computed = |number: usize| {
            let target = self.targets.get(number)?;
            target.derived.map(|derived| derived.leader)
        };
        let mut end = target + 1;
        while computed(end) == Some(target) {
            end += 1;
        }
        target..end
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

/// Calls `sink` with each array and its path.
fn each_array(group: &Group, prefix: &str, sink: &mut dyn FnMut(String, &Array)) {
    for array in &group.arrays {
        sink(format!("{prefix}{}", array.name), array);
    }
    for (name, inner) in &group.groups {
        each_array(inner, &format!("{prefix}{name}/"), sink);
    }
}

fn asked(lengths: &[(String, u64)], name: &str) -> Option<u64> {
    let found = lengths.iter().find(|(known, _)| known == name);
    found.map(|(_, length)| *length)
}

fn target(path: String, array: &Array, settings: &CopySettings) -> Result<Target, LayoutError> {
    let Content::Fields {
        group,
        array: number,
    } = array.content
    else {
        return coordinate(path, array, settings);
    };
    let axes = array.dimensions.iter().zip(&array.shape).zip(&array.chunks);
    let mut chunks = Vec::new();
    let mut files = Vec::new();
    for ((name, length), own) in axes {
        // Along time-like axes a chunk may be longer than what is there yet.
        let most = if grows(name) {
            u64::MAX
        } else {
            (*length).max(1)
        };
        let chunk = asked(&settings.chunks, name).unwrap_or(*own).clamp(1, most);
        let file = match asked(&settings.shards, name) {
            None => chunk,
            Some(shard) if shard % chunk == 0 => shard,
            // A shard as long as the axis holds all its chunks.
            Some(shard) if shard >= *length => length.div_ceil(chunk) * chunk,
            Some(shard) => {
                return Err(LayoutError::Shard {
                    name: name.clone(),
                    shard,
                    chunk,
                });
            }
        };
        chunks.push(chunk);
        files.push(file);
    }
    let inner_chunks = (!settings.shards.is_empty()).then_some(chunks);
    let points = array.chunks.iter().product();
    let fields = Fields::of(
        &array.shape,
        &files,
        points,
        (group, number),
        array.chunk_grid(),
    );
    let array = Array {
        chunks: files,
        ..array.clone()
    };
    Ok(Target {
        encoder: Encoder::new(&array, settings.codec, inner_chunks.as_deref())?,
        path,
        array,
        codec: settings.codec,
        inner_chunks,
        fields: Some(fields),
        grown: None,
        derived: None,
    })
}

/// Whether a store may be extended along a dimension.
pub(super) fn grows(name: &str) -> bool {
    matches!(name, "time" | "valid_time" | "step")
}

/// A coordinate: one chunk, or as long as the data's chunks along axes that may grow, so that what was written stays when they do.
fn coordinate(path: String, array: &Array, settings: &CopySettings) -> Result<Target, LayoutError> {
    let axes = array.dimensions.iter().zip(&array.shape);
    let chunks: Vec<u64> = axes
        .map(|(name, length)| {
            let own = (*length).max(1);
            if grows(name) {
                asked(&settings.chunks, name).unwrap_or(1).max(own)
            } else {
                own
            }
        })
        .collect();
    let is_axis = array.dimensions.len() == 1 && array.data_type == DataType::Int64;
    let bytes = array.shape.iter().product::<u64>() * array.data_type.size();
    let codec = if is_axis || bytes <= PLAIN_BYTES {
        Codec::None
    } else {
        settings.codec
    };
    let array = Array {
        chunks,
        ..array.clone()
    };
    Ok(Target {
        encoder: Encoder::new(&array, codec, None)?,
        path,
        array,
        codec,
        inner_chunks: None,
        fields: None,
        grown: None,
        derived: None,
    })
}

/// The chunk file number `linear` of a coordinate held in one piece: its values with the fill value behind the edges.
pub(super) fn piece(array: &Array, whole: &[u8], linear: u64, fill: &[u8]) -> (String, Vec<u8>) {
    let grid = array.chunk_grid();
    if array.chunks == array.shape {
        return (chunk_key(linear, &grid), whole.to_vec());
    }
    let at = chunk_positions(linear, &grid);
    let item = usize::try_from(array.data_type.size()).unwrap_or(8);
    let count = usize::try_from(array.chunks.iter().product::<u64>()).unwrap_or(0);
    let mut piece = Vec::with_capacity(count.saturating_mul(item));
    for element in 0..count as u64 {
        let value = element_of(array, &at, element)
            .and_then(|from| whole.get(from * item..(from + 1) * item));
        piece.extend_from_slice(value.unwrap_or(fill));
    }
    (chunk_key(linear, &grid), piece)
}

/// Number, in the whole array, of an element of the chunk at the positions `at`; `None` behind the edge.
pub(super) fn element_of(array: &Array, at: &[u64], element: u64) -> Option<usize> {
    let within = chunk_positions(element, &array.chunks);
    let mut number = 0_u64;
    for axis in 0..array.shape.len() {
        let of = |list: &[u64]| list.get(axis).copied().unwrap_or(0);
        let position = of(at) * of(&array.chunks) + of(&within);
        let length = of(&array.shape);
        if position >= length {
            return None;
        }
        number = number * length + position;
    }
    usize::try_from(number).ok()
}

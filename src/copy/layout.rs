//! What is written: the arrays of a store with their new chunks, and the shape of the work that fills them.
//!
//! An array of fields has leading axes (times, members, levels) along which each message is one position, and a face (the grid). A block
//! is one position along the chunks of the leading axes; its tiles are the chunks of the face. Of `t2m[24 x 721 x 1440]` with chunks
//! `8 x 256 x 1440` there are 3 blocks of 8 messages and 3 tiles each.

use std::collections::BTreeMap;
use std::ops::Range;

use super::append::Appended;
use super::codec::{Codec, CodecError, Encoder};
use super::derive::Derivation;
use super::fields::Fields;
use super::parts::Share;
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

/// The store as it is written.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) root: Group,
    pub(super) targets: Vec<Target>,
    /// The blocks that are wanted, where not all are: those of a part.
    pub(super) share: Option<Share>,
    /// Of a store that is extended: what its axis gets, in each group.
    pub(super) appended: BTreeMap<String, Appended>,
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
            share: None,
            appended: BTreeMap::new(),
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

//! Extension of a store along one of its axes, without touching what is there.
//!
//! New positions come behind the old ones. Chunk files that hold old positions only stay as they are; one that holds both is written again
//! with the old values in their places, and so are coordinates: whoever reads by the old shape meanwhile finds what was there before. The
//! new shape is shown by the root's document, which is written last. A crash before leaves the old store; the same command goes on.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::codec::{Codec, Encoder};
use super::derive::{DEACCUMULATED, ENSEMBLE_MEMBERS};
use super::fields::Fields;
use super::layout::{Layout, Target, element_of};
use super::report::CopyError;
use super::round::{ROUNDED, ROUNDED_TO_PACKING};
use crate::location::Location;
use crate::storage::{ErrorKind, Storage};
use crate::zarr::Format;
use crate::zarr::key::{chunk_key, chunk_positions};
use crate::zarr::metadata::{ARRAY, ATTRIBUTES};
use crate::zarr::model::{Array, Content, DataType, Fill};

/// Member of the identity of a copy: what an append adds.
pub(super) const APPENDED: &str = "appended";
/// Largest chunk file of a coordinate.
const MAX_COORDINATE: u64 = 1 << 30;

/// How the positions of an axis that grows are found in the slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Along {
    /// The axis among the leading ones.
    pub(super) axis: usize,
    /// Positions that were there before.
    pub(super) old: u64,
    /// Position in the slice of each position from `old` on.
    pub(super) new: Vec<u64>,
    /// Cells of before that were left as fill and are in the slice: their number along the leading axes of the store, and in the mount's
    /// chunk grid.
    pub(super) again: HashMap<u64, u64>,
}

impl Along {
    /// The position in the slice of a position of the store, if it is a new one.
    pub(super) fn source(&self, position: u64) -> Option<u64> {
        let new = usize::try_from(position.checked_sub(self.old)?).ok()?;
        self.new.get(new).copied()
    }
}

/// What an axis gets by an append.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Appended {
    /// Positions that were there before.
    old: usize,
    /// Values that come behind them.
    new: Vec<i64>,
}

/// What became of an append that was stopped, in view of the one that is to be made now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Its positions are the first ones of this one: what it wrote is what this one would write.
    Begun,
    /// It had come to its end, but for the removal of its state.
    Done,
    /// It was of something else.
    Other,
}

/// How the append whose plan is `known` stands to that of the plan `now`.
pub(super) fn stopped(known: &Value, now: &Value) -> Stopped {
    // Of one store the arrays are the same, and so are their axes but for what is appended.
    let rest = |plan: &Value| {
        let mut plan = plan.as_object().cloned().unwrap_or_default();
        plan.retain(|key, _| !["arrays", "axes", APPENDED].contains(&key.as_str()));
        plan
    };
    let appended = |plan: &Value| -> Option<BTreeMap<String, Appended>> {
        serde_json::from_value(plan.get(APPENDED)?.clone()).ok()
    };
    let (Some(before), Some(after)) = (appended(known), appended(now)) else {
        return Stopped::Other;
    };
    if rest(known) != rest(now) || !before.keys().eq(after.keys()) {
        return Stopped::Other;
    }
    let all = |fits: &dyn Fn(&Appended, &Appended) -> bool| {
        let mut pairs = before.values().zip(after.values());
        pairs.all(|(before, after)| fits(before, after))
    };
    if all(&|before, after| before.old == after.old && after.new.starts_with(&before.new)) {
        Stopped::Begun
    } else if all(&|before, after| before.old + before.new.len() == after.old) {
        Stopped::Done
    } else {
        Stopped::Other
    }
}

/// Changes a layout of a slice to one of the store in the destination with the slice's new positions behind its own.
pub(super) async fn extend(
    layout: &mut Layout,
    root: &Value,
    format: Format,
    (dimension, missing): (&str, &BTreeMap<String, String>),
    (storage, destination): (&Storage, &Location),
) -> Result<(), CopyError> {
    let fail = CopyError::Append;
    let documents = root
        .get(if format == Format::V2 {
            "metadata"
        } else {
            "consolidated_metadata"
        })
        .map(|inner| {
            if format == Format::V2 {
                inner
            } else {
                inner.get("metadata").unwrap_or(inner)
            }
        })
        .filter(|inner| inner.is_object())
        .ok_or_else(|| {
            fail(format!(
                "{destination} is no consolidated store of Zarr {}",
                if format == Format::V2 { 2 } else { 3 }
            ))
        })?;
    let document = |path: &str| match format {
        Format::V2 => documents.get(format!("{path}/{ARRAY}")),
        Format::V3 => documents.get(path),
    };
    let known = documents.as_object().map_or(0, |all| {
        let is_array = |(name, document): &(&String, &Value)| match format {
            Format::V2 => name.ends_with(ARRAY),
            Format::V3 => document.get("node_type").and_then(Value::as_str) == Some("array"),
        };
        all.iter().filter(is_array).count()
    });
    if known != layout.targets.len() {
        return Err(fail(format!(
            "the store has {known} arrays, the slice {}: select the same ones",
            layout.targets.len()
        )));
    }
    // The axes first, one in each group: they say where the others' positions go.
    let mut axes: BTreeMap<String, Axis> = BTreeMap::new();
    for target in &layout.targets {
        let (group, name) = split(&target.path);
        let is_axis = name == dimension && target.array.dimensions == [dimension];
        if target.fields.is_some() || !is_axis {
            continue;
        }
        let found = document(&target.path);
        let old = old_values(target, found, format, (storage, destination)).await?;
        let old: Vec<i64> = integers(&old.values);
        let Content::Inline(own) = &target.array.content else {
            return Err(fail(format!("{dimension} is no axis of times")));
        };
        let own = integers(own);
        let new = positions(&old, &own).map_err(|value| {
            fail(format!(
                "{dimension} {value} of the slice comes before the end of the store's, and the store does not have it: select later ones"
            ))
        })?;
        let values = new
            .iter()
            .filter_map(|at| own.get(usize::try_from(*at).ok()?));
        let appended = Appended {
            old: old.len(),
            new: values.copied().collect(),
        };
        layout.appended.insert(group.to_owned(), appended);
        axes.insert(group.to_owned(), Axis { old, own, new });
    }
    if axes.is_empty() {
        return Err(fail(format!("the slice has no axis {dimension}")));
    }
    for target in &mut layout.targets {
        let found = document(&target.path)
            .ok_or_else(|| fail(format!("the store has no array {}", target.path)))?;
        let attributes = match format {
            Format::V2 => documents.get(format!("{}/{ATTRIBUTES}", target.path)),
            Format::V3 => found.get("attributes"),
        };
        let same = |name: &str| {
            attributes.and_then(|attributes| attributes.get(name))
                == target.array.attributes.get(name)
        };
        if target.fields.is_some() && !(same(ROUNDED) && same(ROUNDED_TO_PACKING)) {
            return Err(fail(format!(
                "{} was rounded otherwise: give the same --round-bits",
                target.path
            )));
        }
        if target.fields.is_some() && !same(DEACCUMULATED) {
            return Err(fail(format!(
                "{} is of other windows: give the same --deaccumulate",
                target.path
            )));
        }
        if target.fields.is_some() && !same(ENSEMBLE_MEMBERS) {
            let members = |attributes: Option<&Value>| {
                let count = attributes.and_then(|all| all.get(ENSEMBLE_MEMBERS));
                count.map_or("no".to_owned(), Value::to_string)
            };
            return Err(fail(format!(
                "{} is of {} members in the store and of {} in the slice: select the same ones",
                target.path,
                members(attributes),
                target
                    .array
                    .attributes
                    .get(ENSEMBLE_MEMBERS)
                    .map_or("no".to_owned(), Value::to_string)
            )));
        }
        adopt(target, found, format)?;
        let at = target
            .array
            .dimensions
            .iter()
            .position(|name| name == dimension);
        let shape = numbers(found.get("shape"));
        check_shape(target, &shape, at)?;
        let Some(at) = at else {
            same_coordinate(target, storage, destination).await?;
            continue;
        };
        let axis = axes
            .get(split(&target.path).0)
            .ok_or_else(|| fail(format!("{} has no axis {dimension}", target.path)))?;
        let length = (axis.old.len() + axis.new.len()) as u64;
        if target.fields.is_some() {
            if let Some(slot) = target.array.shape.get_mut(at) {
                *slot = length;
            }
            if let Some(fields) = &mut target.fields {
                if let Some(slot) = fields.lead.get_mut(at) {
                    *slot = length;
                }
                fields.along = Some(Along {
                    axis: at,
                    old: axis.old.len() as u64,
                    new: axis.new.clone(),
                    again: again(&target.path, fields, (at, axis), missing),
                });
            }
        } else {
            let old = old_values(target, Some(found), format, (storage, destination)).await?;
            let merged = merged(target, &old, at, &axis.new)?;
            if let Some(slot) = target.array.shape.get_mut(at) {
                *slot = length;
            }
            target.array.content = Content::Inline(merged.into());
            target.grown = Some((at, old.shape.get(at).copied().unwrap_or(0)));
        }
        target.encoder = Encoder::new(&target.array, target.codec, target.inner_chunks.as_deref())
            .map_err(|error| CopyError::Layout(error.into()))?;
    }
    Ok(())
}

/// An axis that grows.
struct Axis {
    /// Values of the store.
    old: Vec<i64>,
    /// Values of the slice.
    own: Vec<i64>,
    /// Positions in the slice of those that come behind the store's.
    new: Vec<u64>,
}

/// The cells of an array that are named among `missing` and that the slice has: see [`Along::again`].
fn again(
    path: &str,
    fields: &Fields,
    (at, axis): (usize, &Axis),
    missing: &BTreeMap<String, String>,
) -> HashMap<u64, u64> {
    let own: HashMap<i64, u64> = axis.own.iter().copied().zip(0..).collect();
    let prefix = format!("{path}[");
    let cells = missing.range(prefix.clone()..);
    let cells = cells.map_while(|(cell, _)| cell.strip_prefix(prefix.as_str()));
    let places = cells.filter_map(|cell| {
        let positions = cell.trim_end_matches(']').split(',');
        let positions: Vec<u64> = positions
            .map(|text| text.parse().ok())
            .collect::<Option<_>>()?;
        let (mut linear, mut source) = (0, 0);
        for (number, position) in positions.iter().enumerate() {
            let length = *fields.lead.get(number)?;
            if *position >= length {
                return None;
            }
            linear = linear * length + position;
            let mut here = *position;
            if number == at {
                here = *own.get(axis.old.get(usize::try_from(*position).ok()?)?)?;
            }
            source = source * fields.source_grid.get(number)? + here;
        }
        (positions.len() == fields.lead.len()).then_some((linear, source))
    });
    places.collect()
}

/// Group and name of a path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Positions of a slice's values that come behind those of the store; `Err` is a value that would come between.
fn positions(old: &[i64], own: &[i64]) -> Result<Vec<u64>, i64> {
    let mut new = Vec::new();
    for (position, value) in (0_u64..).zip(own) {
        match old.last() {
            Some(last) if value <= last => {
                if old.binary_search(value).is_err() {
                    return Err(*value);
                }
            }
            Some(_) | None => new.push(position),
        }
    }
    Ok(new)
}

/// Takes chunks and codec of an array from its document in the store.
fn adopt(target: &mut Target, document: &Value, format: Format) -> Result<(), CopyError> {
    let fail = |what: &str| CopyError::Append(format!("{}: {what}", target.path));
    let (chunks, codec, inner) = match format {
        Format::V2 => {
            let compressor = document.get("compressor").unwrap_or(&Value::Null);
            (document.get("chunks"), Codec::of_v2(compressor), None)
        }
        Format::V3 => {
            let grid = document
                .get("chunk_grid")
                .and_then(|grid| grid.get("configuration"));
            let chain = document.get("codecs").unwrap_or(&Value::Null);
            let (codec, inner) = Codec::of_v3(chain);
            (grid.and_then(|grid| grid.get("chunk_shape")), codec, inner)
        }
    };
    let codec = codec.ok_or_else(|| fail("its codec is none that gribfs copy writes"))?;
    let chunks = numbers(chunks);
    if chunks.len() != target.array.shape.len() || chunks.contains(&0) {
        return Err(fail("the store's array has other dimensions"));
    }
    // Gaps of the old part stay gaps, though the new part has none.
    let fill = match format {
        Format::V2 => document.get("fill_value"),
        Format::V3 => document
            .get("attributes")
            .and_then(|all| all.get("_FillValue")),
    };
    if let (DataType::Int64, Some(fill)) = (target.array.data_type, fill.and_then(Value::as_i64)) {
        target.array.fill = Fill::Integer(fill);
    }
    target.array.chunks = chunks;
    target.codec = codec;
    target.inner_chunks = inner;
    if let Some(fields) = &mut target.fields {
        *fields = Fields::of(
            &target.array.shape,
            &target.array.chunks,
            fields.points(),
            (fields.group, fields.number),
            std::mem::take(&mut fields.source_grid),
        );
    }
    target.encoder = Encoder::new(&target.array, codec, target.inner_chunks.as_deref())
        .map_err(|error| CopyError::Layout(error.into()))?;
    Ok(())
}

/// Every axis but the one that grows is as long as the store's.
fn check_shape(target: &Target, shape: &[u64], grows: Option<usize>) -> Result<(), CopyError> {
    let same = shape.len() == target.array.shape.len()
        && shape
            .iter()
            .zip(&target.array.shape)
            .enumerate()
            .all(|(axis, (old, own))| Some(axis) == grows || old == own);
    if same {
        return Ok(());
    }
    Err(CopyError::Append(format!(
        "{} is {shape:?} in the store and {:?} in the slice ({}): all axes but the one that grows must be the same",
        target.path,
        target.array.shape,
        target.array.dimensions.join(", ")
    )))
}

/// A coordinate that does not grow holds what the store's holds.
async fn same_coordinate(
    target: &Target,
    storage: &Storage,
    destination: &Location,
) -> Result<(), CopyError> {
    for (key, wanted) in super::job::coordinate_files(target)? {
        let place = destination.below(&key);
        let there = storage.get_whole(&place, MAX_COORDINATE).await?;
        if there.bytes != wanted {
            return Err(CopyError::Append(format!(
                "{} of the slice holds other values than the store's",
                target.path
            )));
        }
    }
    Ok(())
}

/// What a coordinate of the store holds.
struct Old {
    shape: Vec<u64>,
    values: Vec<u8>,
}

async fn old_values(
    target: &Target,
    document: Option<&Value>,
    format: Format,
    (storage, destination): (&Storage, &Location),
) -> Result<Old, CopyError> {
    let fail = |what: String| CopyError::Append(format!("{}: {what}", target.path));
    let document = document.ok_or_else(|| fail("the store does not have it".to_owned()))?;
    let shape = numbers(document.get("shape"));
    let mut old = Target {
        path: target.path.clone(),
        array: target.array.clone(),
        codec: target.codec,
        inner_chunks: None,
        encoder: Encoder::new(&target.array, target.codec, None)
            .map_err(|error| CopyError::Layout(error.into()))?,
        fields: None,
        grown: None,
        derived: None,
    };
    adopt(&mut old, document, format)?;
    old.array.shape.clone_from(&shape);
    let item = usize::try_from(old.array.data_type.size()).unwrap_or(8);
    let count = usize::try_from(shape.iter().product::<u64>()).unwrap_or(usize::MAX);
    let mut values = vec![0_u8; count.saturating_mul(item)];
    let grid = old.array.chunk_grid();
    for linear in 0..old.array.chunk_count() {
        let key = chunk_key(linear, &grid);
        let place = destination.below(&format!("{}/{key}", target.path));
        let file = storage.get_whole(&place, MAX_COORDINATE).await?;
        let piece = old
            .encoder
            .decode(&file.bytes)
            .map_err(|error| fail(format!("{key}: {error}")))?;
        spread(&old.array, linear, &piece, &mut values, item);
    }
    Ok(Old { shape, values })
}

/// Puts the values of a chunk where they belong in the whole array.
fn spread(array: &Array, linear: u64, piece: &[u8], whole: &mut [u8], item: usize) {
    let at = chunk_positions(linear, &array.chunk_grid());
    for (element, value) in (0_u64..).zip(piece.chunks_exact(item)) {
        let place = element_of(array, &at, element)
            .and_then(|to| whole.get_mut(to * item..(to + 1) * item));
        if let Some(place) = place {
            place.copy_from_slice(value);
        }
    }
}

/// The store's values of a coordinate with the slice's new ones behind them along an axis.
fn merged(target: &Target, old: &Old, axis: usize, new: &[u64]) -> Result<Vec<u8>, CopyError> {
    let Content::Inline(own) = &target.array.content else {
        return Err(CopyError::Append(format!("{} cannot grow", target.path)));
    };
    let size = |numbers: &[u64]| usize::try_from(numbers.iter().product::<u64>()).unwrap_or(0);
    let (outer, rest) = old.shape.split_at(axis.min(old.shape.len()));
    let inner = size(rest.get(1..).unwrap_or_default())
        * usize::try_from(target.array.data_type.size()).unwrap_or(8);
    let before = usize::try_from(rest.first().copied().unwrap_or(0)).unwrap_or(0);
    let length = target.array.shape.get(axis).copied().unwrap_or(0);
    let length = usize::try_from(length).unwrap_or(0);
    let mut merged = Vec::new();
    for row in 0..size(outer) {
        let there = row * before * inner..(row + 1) * before * inner;
        merged.extend_from_slice(old.values.get(there).unwrap_or_default());
        for position in new.iter().filter_map(|at| usize::try_from(*at).ok()) {
            let from = (row * length + position) * inner;
            merged.extend_from_slice(own.get(from..from + inner).unwrap_or_default());
        }
    }
    Ok(merged)
}

fn integers(bytes: &[u8]) -> Vec<i64> {
    let (items, _) = bytes.as_chunks::<8>();
    items.iter().map(|item| i64::from_le_bytes(*item)).collect()
}

fn numbers(list: Option<&Value>) -> Vec<u64> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_u64).collect()
}

/// Reads a chunk file of the destination, if it is there.
pub(super) async fn old_file(
    storage: &Storage,
    place: &Location,
) -> Result<Option<bytes::Bytes>, CopyError> {
    match storage.get_whole(place, MAX_COORDINATE).await {
        Ok(file) => Ok(Some(file.bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_append_is_gone_on_with_where_its_positions_come_first() {
        let plan = |old: usize, new: &[i64], codec: &str| {
            serde_json::json!({
                "source": "a run_time", "codec": codec, "axes": format!("{old} {new:?}"),
                "appended": { "": { "old": old, "new": new } },
            })
        };
        let known = plan(4, &[60, 66], "zstd");
        for (now, wanted) in [
            (plan(4, &[60, 66], "zstd"), Stopped::Begun),
            (plan(4, &[60, 66, 72], "zstd"), Stopped::Begun),
            (plan(6, &[72], "zstd"), Stopped::Done),
            (plan(6, &[], "zstd"), Stopped::Done),
            (plan(4, &[66], "zstd"), Stopped::Other),
            (plan(4, &[60], "zstd"), Stopped::Other),
            (plan(5, &[66, 72], "zstd"), Stopped::Other),
            (plan(4, &[60, 66, 72], "gzip"), Stopped::Other),
            (
                serde_json::json!({ "source": "a run_time", "codec": "zstd" }),
                Stopped::Other,
            ),
        ] {
            assert_eq!(stopped(&known, &now), wanted, "{now}");
        }
    }

    #[test]
    fn new_positions_come_behind_the_old_ones() {
        assert_eq!(positions(&[0, 6], &[0, 6, 12, 24]), Ok(vec![2, 3]));
        assert_eq!(positions(&[0, 6], &[6, 12]), Ok(vec![1]));
        assert_eq!(positions(&[0, 6], &[0, 6]), Ok(vec![]));
        assert_eq!(positions(&[0, 6], &[3, 12]), Err(3));
        assert_eq!(positions(&[6], &[0, 6, 12]), Err(0));
        let along = Along {
            axis: 0,
            old: 2,
            again: HashMap::new(),
            new: vec![4, 7],
        };
        let found: Vec<_> = (0..5).map(|at| along.source(at)).collect();
        assert_eq!(found, [None, None, Some(4), Some(7), None]);
    }
}

//! What a box leaves of the axes of a set's grids: told by the latitudes and longitudes that lie beside the arrays.
//!
//! Of two axes the neighbouring rows and columns inside, of a grid of points (`latitude(y, x)`) the smallest window with all points inside.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::engine::numbers;
use super::pick::{Axis, range};
use super::plan::Candidate;
use super::{SetCopy, candidate, choose};
use crate::copy::report::CopyError;
use crate::copy::round::Rounding;
use crate::copy::settings::CopySettings;
use crate::refs::{Kind, RefSet};
use crate::zarr::Format;

impl SetCopy {
    /// What the box leaves of the dimensions of each group.
    pub(super) async fn windows(
        &self,
        kept: &BTreeSet<usize>,
        coordinates: &HashSet<usize>,
    ) -> Result<HashMap<(usize, String), Axis>, CopyError> {
        let mut windows = HashMap::new();
        let Some(bounds) = &self.choice.bounds else {
            return Ok(windows);
        };
        let set = self.reader.set();
        let refused =
            |path: &str, why: &str| CopyError::Selection(format!("--bbox: {path}: {why}"));
        let groups = kept.iter().filter(|number| {
            let node = set.nodes.get(**number);
            node.is_some_and(|node| matches!(node.kind, Kind::Group))
        });
        for group in groups {
            let found = |latitude: bool| {
                let children = set.nodes.get(*group)?.children.values();
                let mut places = children.filter(|child| {
                    let node = set.nodes.get(**child);
                    kept.contains(child)
                        && node.is_some_and(|node| choose::is_place(node, latitude))
                });
                places.next().copied()
            };
            let (Some(latitude), Some(longitude)) = (found(true), found(false)) else {
                continue;
            };
            let path = set.path(latitude);
            let plain = CopySettings {
                chunks: Vec::new(),
                shards: Vec::new(),
                rounding: Rounding::None,
                format: Format::V2,
                ..self.settings.clone()
            };
            let mut read = Vec::new();
            for number in [latitude, longitude] {
                let Some(mut own) = candidate(set, number, coordinates) else {
                    continue;
                };
                // Their values are wanted, whatever they are coded with.
                own.axes = Some(
                    own.info
                        .shape
                        .iter()
                        .map(|length| range(0, *length))
                        .collect(),
                );
                let own = own.plan(&plain, None)?;
                read.push(numbers(&self.reader, &own).await?);
            }
            let [latitudes, longitudes] = read.as_slice() else {
                continue;
            };
            let dimensions = (set.dimensions(latitude), set.dimensions(longitude));
            match (dimensions.0.as_slice(), dimensions.1.as_slice()) {
                ([south], [west]) if south != west => {
                    for (name, values, is_latitude) in
                        [(south, latitudes, true), (west, longitudes, false)]
                    {
                        let inside = values.iter().map(|value| {
                            if is_latitude {
                                bounds.has_latitude(*value)
                            } else {
                                bounds.has_longitude(*value)
                            }
                        });
                        let inside: Vec<bool> = inside.collect();
                        let axis = together(&inside).map_err(|why| refused(path, why))?;
                        windows.insert((*group, name.clone()), axis);
                    }
                }
                ([rows, columns], other) if *other == [rows.clone(), columns.clone()] => {
                    let width = set.nodes.get(latitude).and_then(|node| match &node.kind {
                        Kind::Array { info, .. } => info.shape.get(1).copied(),
                        Kind::Group => None,
                    });
                    let width = usize::try_from(width.unwrap_or(1)).unwrap_or(1).max(1);
                    let points = latitudes.iter().zip(longitudes);
                    let (mut row_in, mut column_in) =
                        (vec![false; latitudes.len() / width], vec![false; width]);
                    for (at, (latitude, longitude)) in points.enumerate() {
                        if bounds.has_latitude(*latitude) && bounds.has_longitude(*longitude) {
                            for (list, at) in
                                [(&mut row_in, at / width), (&mut column_in, at % width)]
                            {
                                if let Some(place) = list.get_mut(at) {
                                    *place = true;
                                }
                            }
                        }
                    }
                    for (name, inside) in [(rows, &row_in), (columns, &column_in)] {
                        let first = inside.iter().position(|inside| *inside);
                        let last = inside.iter().rposition(|inside| *inside);
                        let (Some(first), Some(last)) = (first, last) else {
                            return Err(refused(path, "no point of the grid lies in the box"));
                        };
                        let axis = range(first as u64, (last - first + 1) as u64);
                        windows.insert((*group, name.clone()), axis);
                    }
                }
                _ => {
                    return Err(refused(
                        path,
                        "latitudes and longitudes are neither two axes nor one grid of two axes",
                    ));
                }
            }
        }
        if windows.is_empty() {
            return Err(refused(
                "the set",
                "it has no latitude and longitude beside its arrays",
            ));
        }
        Ok(windows)
    }
}

/// What windows leave of the axes of an array; `None` if they have nothing to say of it.
pub(super) fn cut(
    set: &RefSet,
    array: &Candidate,
    group: usize,
    windows: &HashMap<(usize, String), Axis>,
) -> Option<Vec<Axis>> {
    if array.dimensions.len() != array.info.shape.len() {
        return None;
    }
    let window = |name: &String| {
        let mut at = group;
        loop {
            if let Some(axis) = windows.get(&(at, name.clone())) {
                return Some(axis.clone());
            }
            if at == 0 {
                return None;
            }
            at = set.nodes.get(at)?.parent;
        }
    };
    let found: Vec<Option<Axis>> = array.dimensions.iter().map(window).collect();
    found.iter().any(Option::is_some).then(|| {
        let axes = found.into_iter().zip(&array.info.shape);
        axes.map(|(axis, length)| axis.unwrap_or_else(|| range(0, *length)))
            .collect()
    })
}

/// The positions that are inside, which must be neighbours.
fn together(inside: &[bool]) -> Result<Axis, &'static str> {
    let first = inside.iter().position(|inside| *inside);
    let last = inside.iter().rposition(|inside| *inside);
    let (Some(first), Some(last)) = (first, last) else {
        return Err("no point of the grid lies in the box");
    };
    let count = last - first + 1;
    if inside.iter().skip(first).take(count).all(|inside| *inside) {
        return Ok(range(first as u64, count as u64));
    }
    Err(
        "the box reaches over the edge of the grid, where its longitudes begin: cut it in two there, or copy from a table",
    )
}

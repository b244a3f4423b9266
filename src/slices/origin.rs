//! Where the cells of a slice come from, as coordinates: runs, steps, valid times, and the windows of statistics.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::slice::{Slice, SliceKind, TimeAxis};
use crate::dataset::{Collection, GridGroup};
use crate::zarr::model::{Array, Attributes, DataType, FILL_INT64, Fill};

/// Name of the dimension of bounds.
pub(super) const BOUNDS_DIMENSION: &str = "bnds";

/// Auxiliary coordinates of a group, and which of them each array is described by.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// Arrays to show.
    pub(super) arrays: Vec<Array>,
    /// Per array of the group: names for its `coordinates` attribute.
    pub(super) of_array: BTreeMap<usize, Vec<String>>,
    /// Per array with windows: name of its bounds variable.
    pub(super) bounds_of_array: BTreeMap<usize, String>,
}

/// The coordinate variable of a time-like axis.
pub(super) fn axis_array(axis: &TimeAxis) -> Array {
    let dimensions = vec![axis.name.to_owned()];
    let shape = vec![axis.values.len() as u64];
    let mut attributes = time_attributes(axis.name);
    let cf_axis = if axis.name == "step" { None } else { Some("T") };
    if let Some(cf_axis) = cf_axis {
        attributes.insert("axis".to_owned(), json!(cf_axis));
    }
    integers(
        axis.name.to_owned(),
        dimensions,
        shape,
        axis.values.iter().map(|value| Some(*value)),
        attributes,
    )
}

/// The auxiliary coordinates of a slice on one grid.
pub(super) fn origins(slice: &Slice, collection: &Collection, group_index: usize) -> Origins {
    let (Some(group), Some(slice_group)) = (
        collection.groups.get(group_index),
        slice.groups.get(group_index),
    ) else {
        return Origins::default();
    };
    let mut origins = Origins::default();
    let axes = &slice_group.axes;
    if slice.kind == SliceKind::BestAvailable {
        best_origins(slice, collection, group_index, &mut origins);
    } else {
        for name in ["time", "step", "valid_time"] {
            if axes.iter().any(|axis| axis.name == name) {
                continue;
            }
            // Arithmetic, so right for every position, message or not.
            let values = positions(axes).map(|values| derived(slice.kind, name, &values));
            let shape = axes.iter().map(|axis| axis.values.len() as u64).collect();
            let dimensions = axes.iter().map(|axis| axis.name.to_owned()).collect();
            origins.arrays.push(integers(
                name.to_owned(),
                dimensions,
                shape,
                values,
                time_attributes(name),
            ));
            for array in &slice_group.arrays {
                origins
                    .of_array
                    .entry(*array)
                    .or_default()
                    .push(name.to_owned());
            }
        }
    }
    window_bounds(slice, collection, group, group_index, &mut origins);
    origins
}

/// All combinations of values along the axes, the last axis fastest.
fn positions(axes: &[TimeAxis]) -> impl Iterator<Item = Vec<i64>> + '_ {
    let count: usize = axes.iter().map(|axis| axis.values.len()).product();
    (0..count).map(move |linear| {
        let mut rest = linear;
        let mut values: Vec<i64> = axes
            .iter()
            .rev()
            .map(|axis| {
                let length = axis.values.len().max(1);
                let value = axis.values.get(rest % length).copied().unwrap_or_default();
                rest /= length;
                value
            })
            .collect();
        values.reverse();
        values
    })
}

fn derived(kind: SliceKind, name: &str, values: &[i64]) -> Option<i64> {
    let at = |axis: usize| values.get(axis).copied();
    match (kind, name) {
        (SliceKind::RunTime, _) => at(0)?.checked_add(at(1)?),
        (SliceKind::ValidTime, _) => at(0)?.checked_sub(at(1)?),
        (SliceKind::Horizon, _) => at(1)?.checked_sub(at(0)?),
        (SliceKind::Run(run), "time") => Some(run.seconds()),
        (SliceKind::Run(run), _) => at(0)?.checked_sub(run.seconds()),
        (SliceKind::Lead(step), "step") => Some(step),
        (SliceKind::Lead(step), _) => at(0)?.checked_sub(step),
        (SliceKind::Valid(moment), "valid_time") => Some(moment.seconds()),
        (SliceKind::Valid(moment), _) => moment.seconds().checked_sub(at(0)?),
        (SliceKind::BestAvailable, _) => None,
    }
}

/// `time` and `step` along `valid_time`: one pair for the arrays that come from the freshest run of each moment, a pair of its own for
/// each array that does not (`time_tcc_avg`, `step_tcc_avg`).
fn best_origins(slice: &Slice, collection: &Collection, group_index: usize, origins: &mut Origins) {
    let (Some(group), Some(slice_group)) = (
        collection.groups.get(group_index),
        slice.groups.get(group_index),
    ) else {
        return;
    };
    let Some(axis) = slice_group.axes.first() else {
        return;
    };
    let origin_of = |array: usize| -> Vec<Option<(i64, i64)>> {
        (0..axis.values.len())
            .map(|position| {
                let (run, step) =
                    slice.run_step(collection, group_index, array, &[position as u64])?;
                Some((
                    collection.runs.get(run as usize)?.seconds(),
                    *group.steps.get(step as usize)?,
                ))
            })
            .collect()
    };
    let all: Vec<(usize, Origin)> = slice_group
        .arrays
        .iter()
        .map(|array| (*array, origin_of(*array)))
        .collect();
    let freshest: Vec<Option<(i64, i64)>> = (0..axis.values.len())
        .map(|position| {
            all.iter()
                .filter_map(|(_, origin)| origin.get(position).copied().flatten())
                .min_by_key(|(_, step)| *step)
        })
        .collect();
    let mut add = |suffix: &str, origin: &[Option<(i64, i64)>]| -> Vec<String> {
        let names = [format!("time{suffix}"), format!("step{suffix}")];
        let shape = vec![origin.len() as u64];
        let dimensions = vec![axis.name.to_owned()];
        let [time, step] = names.clone();
        let times = origin.iter().map(|pair| pair.map(|(run, _)| run));
        origins.arrays.push(integers(
            time,
            dimensions.clone(),
            shape.clone(),
            times,
            time_attributes("time"),
        ));
        let steps = origin.iter().map(|pair| pair.map(|(_, step)| step));
        origins.arrays.push(integers(
            step,
            dimensions,
            shape,
            steps,
            time_attributes("step"),
        ));
        names.to_vec()
    };
    let common = add("", &freshest);
    let mut of_array = BTreeMap::new();
    for (array, origin) in &all {
        let same = origin
            .iter()
            .zip(&freshest)
            .all(|(own, fresh)| own.is_none() || own == fresh);
        let name = group
            .arrays
            .get(*array)
            .map_or("", |field| field.naming.array.as_str());
        let names = if same {
            common.clone()
        } else {
            add(&format!("_{name}"), origin)
        };
        of_array.insert(*array, names);
    }
    origins.of_array = of_array;
}

/// Run and step of each position along the axis, in seconds; `None` where no message is.
type Origin = Vec<Option<(i64, i64)>>;

/// Window starts of an array by the position of the slice: key is the linear position along the axes that the bounds need.
type Windows = BTreeMap<usize, (i64, i64)>;

/// Bounds variables: one per kind of window, shared by the arrays whose windows agree wherever both have one.
fn window_bounds(
    slice: &Slice,
    collection: &Collection,
    group: &GridGroup,
    group_index: usize,
    origins: &mut Origins,
) {
    let Some(slice_group) = slice.groups.get(group_index) else {
        return;
    };
    let windowed: Vec<usize> = slice_group
        .arrays
        .iter()
        .copied()
        .filter(|array| {
            group
                .arrays
                .get(*array)
                .is_some_and(|field| field.naming.step_type != "instant")
        })
        .collect();
    if windowed.is_empty() {
        return;
    }
    // Along the step alone where that is an axis and every run has the same windows; along all axes otherwise.
    let step_axis = slice_group.axes.iter().position(|axis| axis.name == "step");
    let by_step: Option<Vec<(usize, Windows)>> = step_axis.and_then(|axis| {
        windowed
            .iter()
            .map(|array| {
                Some((
                    *array,
                    windows(slice, collection, group_index, *array, Some(axis))?,
                ))
            })
            .collect()
    });
    let along_step = by_step.is_some();
    let of_arrays = by_step.unwrap_or_else(|| {
        windowed
            .iter()
            .map(|array| {
                (
                    *array,
                    windows(slice, collection, group_index, *array, None).unwrap_or_default(),
                )
            })
            .collect()
    });
    let axes: Vec<&TimeAxis> = slice_group
        .axes
        .iter()
        .enumerate()
        .filter(|(number, _)| !along_step || Some(*number) == step_axis)
        .map(|(_, a)| a)
        .collect();

    let mut kinds: Vec<(Windows, Vec<usize>)> = Vec::new();
    for (array, own) in of_arrays {
        let agrees = |known: &Windows| {
            own.iter()
                .all(|(position, window)| known.get(position).is_none_or(|other| other == window))
        };
        match kinds.iter_mut().find(|(known, _)| agrees(known)) {
            Some((known, arrays)) => {
                known.extend(own);
                arrays.push(array);
            }
            None => kinds.push((own, vec![array])),
        }
    }
    for (windows, arrays) in kinds {
        let from_start = windows.values().all(|(start, _)| *start == 0);
        let first = arrays
            .first()
            .and_then(|array| group.arrays.get(*array))
            .map_or("", |field| field.naming.array.as_str());
        let taken = |name: &str| origins.arrays.iter().any(|array| array.name == name);
        let name = if from_start && !taken("step_bounds") {
            "step_bounds".to_owned()
        } else {
            format!("step_bounds_{first}")
        };
        let count: usize = axes.iter().map(|axis| axis.values.len()).product();
        let values = (0..count).flat_map(|position| {
            let window = windows.get(&position);
            [window.map(|(start, _)| *start), window.map(|(_, end)| *end)]
        });
        let mut dimensions: Vec<String> = axes.iter().map(|axis| axis.name.to_owned()).collect();
        dimensions.push(BOUNDS_DIMENSION.to_owned());
        let mut shape: Vec<u64> = axes.iter().map(|axis| axis.values.len() as u64).collect();
        shape.push(2);
        let mut attributes = time_attributes("step");
        attributes.remove("standard_name");
        attributes.insert(
            "long_name".to_owned(),
            json!("start and end of the window, from the reference time"),
        );
        origins.arrays.push(integers(
            name.clone(),
            dimensions,
            shape,
            values,
            attributes,
        ));
        for array in arrays {
            origins
                .of_array
                .entry(array)
                .or_default()
                .push(name.clone());
            origins.bounds_of_array.insert(array, name.clone());
        }
    }
}

/// Windows of an array's cells (what is left of them, where they are shown as differences) by linear position along all axes, or along `only` one: then `None` if runs disagree.
fn windows(
    slice: &Slice,
    collection: &Collection,
    group_index: usize,
    array: usize,
    only: Option<usize>,
) -> Option<Windows> {
    let axes = &slice.groups.get(group_index)?.axes;
    let field = collection.groups.get(group_index)?.arrays.get(array)?;
    let mut windows = Windows::new();
    for cover in field.cells.coverage() {
        let at = slice.positions(collection, group_index, array, (cover.run, cover.step));
        let (Some(at), Some(end)) = (
            at,
            collection
                .groups
                .get(group_index)?
                .steps
                .get(cover.step as usize),
        ) else {
            continue;
        };
        let position = match only {
            Some(axis) => at.get(axis).copied()?,
            None => axes.iter().zip(&at).fold(0, |linear, (axis, position)| {
                linear * axis.values.len() + position
            }),
        };
        let intervals = slice.intervals.get(&(group_index, array));
        let interval = intervals.and_then(|all| all.get(cover.run, cover.step));
        let start = interval.map_or(cover.start, |interval| interval.start);
        let window = (start, *end);
        if windows
            .insert(position, window)
            .is_some_and(|known| known != window)
        {
            return None;
        }
    }
    Some(windows)
}

fn time_attributes(name: &str) -> Attributes {
    let mut attributes = Map::new();
    let mut put = |key: &str, value: Value| attributes.insert(key.to_owned(), value);
    match name {
        "step" => {
            put("long_name", json!("time since the reference time"));
            put("standard_name", json!("forecast_period"));
            put("units", json!("seconds"));
            put("dtype", json!("timedelta64[ns]"));
        }
        "time" => {
            put("long_name", json!("reference time of the run"));
            put("standard_name", json!("forecast_reference_time"));
            put("units", json!("seconds since 1970-01-01T00:00:00"));
            put("calendar", json!("proleptic_gregorian"));
        }
        _ => {
            put("long_name", json!("time for which the forecast holds"));
            put("standard_name", json!("time"));
            put("units", json!("seconds since 1970-01-01T00:00:00"));
            put("calendar", json!("proleptic_gregorian"));
        }
    }
    attributes
}

/// An int64 array held inline; `None` becomes the fill value.
pub(super) fn integers(
    name: String,
    dimensions: Vec<String>,
    shape: Vec<u64>,
    values: impl Iterator<Item = Option<i64>>,
    attributes: Attributes,
) -> Array {
    let mut gaps = false;
    let mut bytes = Vec::new();
    for value in values {
        gaps |= value.is_none();
        bytes.extend_from_slice(&value.unwrap_or(FILL_INT64).to_le_bytes());
    }
    let fill = if gaps {
        Fill::Integer(FILL_INT64)
    } else {
        Fill::None
    };
    let kind = (DataType::Int64, fill);
    Array::inline(name, dimensions, shape, kind, attributes, bytes.into())
}

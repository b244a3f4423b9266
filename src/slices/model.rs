//! The groups of a slice as Zarr: what arrays there are, their coordinates and attributes.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::origin::{BOUNDS_DIMENSION, axis_array, origins};
use super::slice::{Slice, SliceKind};
use crate::dataset::horizontal::{CellPlaces, HorizontalCoordinate, MAPPING, Values};
use crate::dataset::{Collection, FieldArray, GridGroup, Horizontal, LevelAxis};
use crate::zarr::model::{Array, Attributes, Content, DataType, Deferred, Fill, Group, Produce};

/// The arrays of a group of a slice.
pub(super) fn group_model(
    slice: &Slice,
    collection: &Collection,
    index: usize,
    group: &GridGroup,
) -> Group {
    let Some(slice_group) = slice.groups.get(index) else {
        return Group::default();
    };
    let origins = origins(slice, collection, index);
    let horizontal = Horizontal::of(group);
    let mut arrays = Vec::new();
    let shown: Vec<(usize, &FieldArray)> = slice_group
        .arrays
        .iter()
        .filter_map(|array| Some((*array, group.arrays.get(*array)?)))
        .collect();

    for (array, field) in &shown {
        let mut dimensions: Vec<String> = slice_group
            .axes
            .iter()
            .map(|axis| axis.name.to_owned())
            .collect();
        let mut shape: Vec<u64> = slice_group
            .axes
            .iter()
            .map(|axis| axis.values.len() as u64)
            .collect();
        if field.members {
            dimensions.push("number".to_owned());
            shape.push(group.members.len() as u64);
        }
        if let Some(axis) = field.level_axis.and_then(|axis| group.levels.get(axis)) {
            dimensions.push(axis.level_type.name.to_string());
            shape.push(axis.values.len() as u64);
        }
        let mut chunks = vec![1; shape.len()];
        for (name, length) in &horizontal.dimensions {
            dimensions.push(name.clone());
            shape.push(*length);
            chunks.push(*length);
        }
        let mut attributes = field_attributes(field);
        let mut auxiliary: Vec<String> = origins.of_array.get(array).cloned().unwrap_or_default();
        auxiliary.extend(horizontal.auxiliary.iter().cloned());
        if !auxiliary.is_empty() {
            attributes.insert("coordinates".to_owned(), json!(auxiliary.join(" ")));
        }
        if let Some(bounds) = origins.bounds_of_array.get(array) {
            attributes.insert("step_bounds".to_owned(), json!(bounds));
        }
        if horizontal.mapping.is_some() {
            attributes.insert("grid_mapping".to_owned(), json!(MAPPING));
        }
        arrays.push(Array {
            name: field.naming.array.clone(),
            dimensions,
            shape,
            chunks,
            data_type: DataType::Float32,
            fill: Fill::NaN,
            attributes,
            content: Content::Fields {
                group: index,
                array: *array,
            },
        });
    }

    arrays.extend(slice_group.axes.iter().map(axis_array));
    arrays.extend(origins.arrays);
    if shown.iter().any(|(_, field)| field.members) {
        arrays.push(number_array(&group.members));
    }
    for (axis, level) in group.levels.iter().enumerate() {
        if shown
            .iter()
            .any(|(_, field)| field.level_axis == Some(axis))
        {
            arrays.extend(level_arrays(level));
        }
    }
    arrays.extend(horizontal.coordinates.into_iter().map(horizontal_array));
    if let Some(mapping) = horizontal.mapping {
        arrays.push(Array::inline(
            MAPPING.to_owned(),
            // Of length 1: a variable without dimensions crashes netCDF-C 4.9.0.
            vec![MAPPING.to_owned()],
            vec![1],
            (DataType::Int32, Fill::None),
            mapping.into_iter().collect(),
            Bytes::from_static(&[0; 4]),
        ));
    }
    Group {
        attributes: group_attributes(slice.kind),
        arrays,
        groups: Vec::new(),
    }
}

fn group_attributes(kind: SliceKind) -> Attributes {
    let what = match kind {
        SliceKind::RunTime => "all runs, run by run".to_owned(),
        SliceKind::ValidTime => "all forecasts of each moment".to_owned(),
        SliceKind::Horizon => "each lead, across runs".to_owned(),
        SliceKind::BestAvailable => "the freshest forecast of each moment".to_owned(),
        SliceKind::Run(run) => format!("the run of {run}"),
        SliceKind::Lead(step) => format!("forecasts {} ahead", crate::time::step_text(step)),
        SliceKind::Valid(moment) => format!("all forecasts of {moment}"),
    };
    let mut attributes = Map::new();
    attributes.insert("Conventions".to_owned(), json!("CF-1.11"));
    attributes.insert(
        "title".to_owned(),
        json!(format!("Forecast collection: {what}")),
    );
    attributes.insert(
        "source".to_owned(),
        json!("GRIB messages, decoded when read"),
    );
    attributes
}

fn field_attributes(field: &FieldArray) -> Attributes {
    let naming = &field.naming;
    let mut attributes = Map::new();
    let mut put = |key: &str, value: Value| attributes.insert(key.to_owned(), value);
    put("long_name", json!(naming.long_name));
    put("units", json!(naming.units));
    if let Some(standard_name) = &naming.standard_name {
        put("standard_name", json!(standard_name));
    }
    if let Some(cell_methods) = &naming.cell_methods {
        put("cell_methods", json!(cell_methods));
    }
    for (key, value) in &naming.attributes {
        put(key, value.clone());
    }
    attributes
}

fn number_array(members: &[i16]) -> Array {
    let mut attributes = Map::new();
    attributes.insert(
        "long_name".to_owned(),
        json!("ensemble member; 0 is the control"),
    );
    attributes.insert("standard_name".to_owned(), json!("realization"));
    attributes.insert("units".to_owned(), json!("1"));
    attributes.insert("axis".to_owned(), json!("E"));
    let values = members.iter().map(|member| Some(i64::from(*member)));
    super::origin::integers(
        "number".to_owned(),
        vec!["number".to_owned()],
        vec![members.len() as u64],
        values,
        attributes,
    )
}

/// The coordinate of a level axis, and for layers its bounds.
fn level_arrays(axis: &LevelAxis) -> Vec<Array> {
    let name = axis.level_type.name.to_string();
    let mut attributes = Map::new();
    attributes.insert("long_name".to_owned(), json!(format!("level: {name}")));
    attributes.insert("units".to_owned(), json!(axis.level_type.units));
    if let Some(standard_name) = &axis.level_type.standard_name {
        attributes.insert("standard_name".to_owned(), json!(standard_name));
    }
    if let Some(positive) = &axis.level_type.positive {
        attributes.insert("positive".to_owned(), json!(positive));
    }
    attributes.insert("axis".to_owned(), json!("Z"));
    let count = axis.values.len() as u64;
    let layers = axis.values.iter().any(|(_, second)| second.is_some());
    let mut arrays = Vec::new();
    if layers {
        let bounds_name = format!("{name}_bounds");
        attributes.insert("bounds".to_owned(), json!(bounds_name));
        let values: Vec<f64> = axis
            .values
            .iter()
            .flat_map(|(first, second)| [*first, second.unwrap_or(*first)])
            .collect();
        let dimensions = vec![name.clone(), BOUNDS_DIMENSION.to_owned()];
        arrays.push(floats(
            bounds_name,
            dimensions,
            vec![count, 2],
            &values,
            Map::new(),
        ));
    }
    let values: Vec<f64> = axis.values.iter().map(|(first, _)| *first).collect();
    arrays.push(floats(
        name.clone(),
        vec![name],
        vec![count],
        &values,
        attributes,
    ));
    arrays
}

fn horizontal_array(coordinate: HorizontalCoordinate) -> Array {
    let attributes = coordinate.attributes.into_iter().collect();
    let (places, longitudes) = match coordinate.values {
        Values::Axis(values) => {
            return floats(
                coordinate.name,
                coordinate.dimensions,
                coordinate.shape,
                &values,
                attributes,
            );
        }
        Values::Latitudes(places) => (places, false),
        Values::Longitudes(places) => (places, true),
    };
    let length = coordinate.shape.iter().product::<u64>() * DataType::Float64.size();
    let source = Arc::new(CellCoordinate { places, longitudes });
    Array {
        content: Content::Deferred(Deferred { length, source }),
        ..floats(
            coordinate.name,
            coordinate.dimensions,
            coordinate.shape,
            &[],
            attributes,
        )
    }
}

/// Latitude or longitude of every cell.
struct CellCoordinate {
    places: Arc<CellPlaces>,
    longitudes: bool,
}

impl CellCoordinate {
    fn pick(&self, (latitudes, longitudes): &(Bytes, Bytes)) -> Bytes {
        if self.longitudes {
            longitudes.clone()
        } else {
            latitudes.clone()
        }
    }
}

impl Produce for CellCoordinate {
    fn ready(&self) -> Option<Bytes> {
        self.places.ready().map(|made| self.pick(made))
    }

    fn make(&self) -> Bytes {
        self.pick(self.places.make())
    }
}

fn floats(
    name: String,
    dimensions: Vec<String>,
    shape: Vec<u64>,
    values: &[f64],
    attributes: Attributes,
) -> Array {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let kind = (DataType::Float64, Fill::NaN);
    Array::inline(name, dimensions, shape, kind, attributes, bytes.into())
}

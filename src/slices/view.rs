//! A slice as a Zarr hierarchy: the documents of its store, and the cell behind each chunk.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::layout::{Layout, tree};
use super::origin::{BOUNDS_DIMENSION, axis_array, origins};
use super::slice::{BestRule, Slice, SliceKind};
use crate::dataset::cells::CellKey;
use crate::dataset::horizontal::{CellPlaces, HorizontalCoordinate, MAPPING, Values};
use crate::dataset::{
    CellState, Collection, FieldArray, GridGroup, Horizontal, Intervals, LevelAxis,
};
use crate::zarr::key::chunk_positions;
use crate::zarr::model::{Array, Attributes, Content, DataType, Deferred, Fill, Group, Produce};

/// One slice of a collection, ready to be shown as a store.
#[derive(Debug)]
pub struct StoreView {
    collection: Arc<Collection>,
    slice: Slice,
    /// One group per grid that the slice has data on; the first lies at the root.
    pub groups: Vec<ViewGroup>,
}

/// A grid's part of a store.
#[derive(Debug)]
pub struct ViewGroup {
    /// Index into the collection's groups.
    pub index: usize,
    /// Name below the root; empty for the group at the root.
    pub name: String,
    /// Documents and arrays.
    pub model: Group,
}

impl StoreView {
    /// The slice `kind` of a collection as a store.
    #[must_use]
    pub fn new(kind: SliceKind, collection: Arc<Collection>, best: BestRule) -> Self {
        let slice = Slice::new(kind, &collection, best);
        Self::of(slice, collection)
    }

    /// The same with accumulations as differences between steps of a run: bounds tell the windows that are left. Whoever fills the cells
    /// subtracts, as [`StoreView::intervals`] says.
    #[must_use]
    pub fn deaccumulated(kind: SliceKind, collection: Arc<Collection>, best: BestRule) -> Self {
        let slice = Slice::new(kind, &collection, best).deaccumulated(&collection);
        Self::of(slice, collection)
    }

    fn of(slice: Slice, collection: Arc<Collection>) -> Self {
        let mut groups: Vec<ViewGroup> = Vec::new();
        for (index, group) in collection.groups.iter().enumerate() {
            if slice
                .groups
                .get(index)
                .is_some_and(|slice_group| !slice_group.arrays.is_empty())
            {
                let name = if groups.is_empty() {
                    String::new()
                } else {
                    group.name.clone()
                };
                groups.push(ViewGroup {
                    index,
                    name,
                    model: group_model(&slice, &collection, index, group),
                });
            }
        }
        Self {
            collection,
            slice,
            groups,
        }
    }

    /// Which slice it is.
    #[must_use]
    pub fn kind(&self) -> SliceKind {
        self.slice.kind
    }

    /// The whole hierarchy: the main grid's arrays (by the tree, its groups) at the root, other grids as groups.
    #[must_use]
    pub fn hierarchy(&self, layout: Layout) -> Group {
        let laid_out = |group: &ViewGroup| match layout {
            Layout::Flat => group.model.clone(),
            Layout::Tree => tree(&group.model),
        };
        let mut groups = self.groups.iter();
        let mut root = groups.next().map(laid_out).unwrap_or_default();
        root.groups
            .extend(groups.map(|group| (group.name.clone(), laid_out(group))));
        root
    }

    /// State of the cell behind chunk `linear` of the collection's array `array` in its group `group`.
    #[must_use]
    pub fn cell(&self, group: usize, array: usize, grid: &[u64], linear: u64) -> CellState {
        let positions = chunk_positions(linear, grid);
        self.cell_at(group, array, &positions)
            .unwrap_or(CellState::Gap)
    }

    /// The chunks from `from` on that are no gaps, in order, until `sink` returns `false`. Positions along the time-like axes at which the
    /// array has nothing are passed over as a whole, so that a slice that is mostly gaps lists as fast as it is full.
    pub fn for_each_cell(
        &self,
        group: usize,
        array: usize,
        grid: &[u64],
        from: u64,
        sink: &mut dyn FnMut(u64) -> bool,
    ) {
        let (Some(slice_group), Some(field)) = (
            self.slice.groups.get(group),
            self.collection
                .groups
                .get(group)
                .and_then(|group| group.arrays.get(array)),
        ) else {
            return;
        };
        let (outer, inner) = grid.split_at(slice_group.axes.len().min(grid.len()));
        let (times, each) = (
            outer.iter().product::<u64>(),
            inner.iter().product::<u64>().max(1),
        );
        let shape = InnerShape::of(field, inner);
        for time in from / each..times {
            let positions = chunk_positions(time, outer);
            let here = self
                .slice
                .run_step(&self.collection, group, array, &positions)
                .filter(|(run, step)| field.cells.has(*run, *step));
            let Some((run, step)) = here else {
                continue;
            };
            let first = if time == from / each { from % each } else { 0 };
            for number in first..each {
                let is_there = shape
                    .key(run, step, number)
                    .is_some_and(|key| field.cells.get(key) != CellState::Gap);
                if is_there && !sink(time * each + number) {
                    return;
                }
            }
        }
    }

    /// An array of the collection.
    #[must_use]
    pub fn field(&self, group: usize, array: usize) -> Option<&FieldArray> {
        self.collection.groups.get(group)?.arrays.get(array)
    }

    /// Members along the axis `number` of a group.
    #[must_use]
    pub fn members(&self, group: usize) -> usize {
        let group = self.collection.groups.get(group);
        group.map_or(0, |group| group.members.len())
    }

    /// Time-like axes of a group.
    #[must_use]
    pub fn time_axes(&self, group: usize) -> usize {
        let group = self.slice.groups.get(group);
        group.map_or(0, |group| group.axes.len())
    }

    /// The end of a step of a group, seconds after the run.
    #[must_use]
    pub fn step_seconds(&self, group: usize, step: u32) -> Option<i64> {
        let group = self.collection.groups.get(group)?;
        group.steps.get(step as usize).copied()
    }

    /// What is to be subtracted in an array that is shown as differences; `None` for all others.
    #[must_use]
    pub fn intervals(&self, group: usize, array: usize) -> Option<&Intervals> {
        self.slice.intervals.get(&(group, array))
    }

    /// Positions along the time-like axes at which a run and step of an array stand, if the slice shows them.
    #[must_use]
    pub fn time_positions(
        &self,
        group: usize,
        array: usize,
        (run, step): (u32, u32),
    ) -> Option<Vec<u64>> {
        let positions = self
            .slice
            .positions(&self.collection, group, array, (run, step))?;
        Some(positions.into_iter().map(|at| at as u64).collect())
    }

    fn cell_at(&self, group: usize, array: usize, positions: &[u64]) -> Option<CellState> {
        let field = self.field(group, array)?;
        let key = self.key_at(group, array, positions, field.members)?;
        Some(field.cells.get(key))
    }

    /// The cell of an array at some positions along its axes, of which `number` is one if `has_members`; else it is the first member's.
    #[must_use]
    pub fn key_at(
        &self,
        group: usize,
        array: usize,
        positions: &[u64],
        has_members: bool,
    ) -> Option<CellKey> {
        let field = self.field(group, array)?;
        let time_axes = self.slice.groups.get(group)?.axes.len();
        let (run, step) =
            self.slice
                .run_step(&self.collection, group, array, positions.get(..time_axes)?)?;
        let mut rest = positions.get(time_axes..)?.iter().copied();
        let mut next = |has: bool| {
            if has {
                u32::try_from(rest.next()?).ok()
            } else {
                Some(0)
            }
        };
        let member = next(has_members)?;
        let level = next(field.level_axis.is_some())?;
        Some(CellKey {
            run,
            step,
            level,
            member,
        })
    }
}

/// The axes of an array behind its time-like ones: members, levels, and the grid, which is one chunk.
struct InnerShape {
    members: bool,
    levels: bool,
    /// Chunks of one member, and of one level.
    of_member: u64,
    of_level: u64,
}

impl InnerShape {
    fn of(field: &FieldArray, inner: &[u64]) -> Self {
        let levels = field.level_axis.is_some();
        let after = |axes: usize| -> u64 {
            let rest = inner.get(axes..).unwrap_or_default();
            rest.iter().product::<u64>().max(1)
        };
        let before_levels = usize::from(field.members);
        Self {
            members: field.members,
            levels,
            of_member: after(1),
            of_level: after(before_levels + 1),
        }
    }

    /// The cell of the chunk `number` of those at one run and step.
    fn key(&self, run: u32, step: u32, number: u64) -> Option<CellKey> {
        let (member, rest) = if self.members {
            (number / self.of_member, number % self.of_member)
        } else {
            (0, number)
        };
        let level = if self.levels { rest / self.of_level } else { 0 };
        Some(CellKey {
            run,
            step,
            level: u32::try_from(level).ok()?,
            member: u32::try_from(member).ok()?,
        })
    }
}

fn group_model(slice: &Slice, collection: &Collection, index: usize, group: &GridGroup) -> Group {
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
        arrays.push(Array {
            name: MAPPING.to_owned(),
            // Of length 1: a variable without dimensions crashes netCDF-C 4.9.0.
            dimensions: vec![MAPPING.to_owned()],
            shape: vec![1],
            chunks: vec![1],
            data_type: DataType::Int32,
            fill: Fill::None,
            attributes: mapping.into_iter().collect(),
            content: Content::Inline(Bytes::from_static(&[0; 4])),
        });
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
    let chunks = shape.clone();
    Array {
        name,
        dimensions,
        shape,
        chunks,
        data_type: DataType::Float64,
        fill: Fill::NaN,
        attributes,
        content: Content::Inline(bytes.into()),
    }
}

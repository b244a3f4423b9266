//! The horizontal dimensions of a grid: names, lengths, coordinates, CF grid mapping.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Value, json};

use super::collection::GridGroup;
use super::crop::Crop;
use crate::grib::coordinates::{Attribute, Axis};
use crate::grib::grid::Grid;

/// A horizontal coordinate variable.
#[derive(Clone, Debug)]
pub struct HorizontalCoordinate {
    /// Name.
    pub name: String,
    /// Names of its dimensions, outermost first.
    pub dimensions: Vec<String>,
    /// Their lengths.
    pub shape: Vec<u64>,
    /// Values, row by row.
    pub values: Values,
    /// CF attributes.
    pub attributes: Vec<(String, Value)>,
}

/// Values of a horizontal coordinate.
#[derive(Clone, Debug)]
pub enum Values {
    /// Of an axis: known now.
    Axis(Vec<f64>),
    /// Latitudes of all cells, made when first wanted.
    Latitudes(Arc<CellPlaces>),
    /// Longitudes of all cells, made when first wanted.
    Longitudes(Arc<CellPlaces>),
}

/// Where each cell shown lies. Made once for all stores, and not before somebody reads it: a large grid takes a second.
#[derive(Debug)]
pub struct CellPlaces {
    grid: Grid,
    crop: Option<Crop>,
    made: OnceLock<(Bytes, Bytes)>,
}

impl CellPlaces {
    /// The cells of a grid, or of the part of it that is shown.
    #[must_use]
    pub const fn new(grid: Grid, crop: Option<Crop>) -> Self {
        Self {
            grid,
            crop,
            made: OnceLock::new(),
        }
    }

    /// Latitudes and longitudes of all cells in degrees, row by row, as little-endian f64, if they are made already.
    #[must_use]
    pub fn ready(&self) -> Option<&(Bytes, Bytes)> {
        self.made.get()
    }

    /// The same, made now if need be.
    #[must_use]
    pub fn make(&self) -> &(Bytes, Bytes) {
        self.made.get_or_init(|| {
            let (latitudes, longitudes) = locations(&self.grid, self.crop.as_ref());
            let bytes = |values: Vec<f64>| {
                values
                    .into_iter()
                    .flat_map(f64::to_le_bytes)
                    .collect::<Vec<u8>>()
                    .into()
            };
            (bytes(latitudes), bytes(longitudes))
        })
    }
}

/// Horizontal dimensions of a grid and what describes them.
#[derive(Clone, Debug)]
pub struct Horizontal {
    /// Names and lengths, the slowest first.
    pub dimensions: Vec<(String, u64)>,
    /// Coordinate variables of the dimensions, and latitude and longitude of each cell where those are no dimensions.
    pub coordinates: Vec<HorizontalCoordinate>,
    /// Names of the coordinates that are no dimensions: for the `coordinates` attribute.
    pub auxiliary: Vec<String>,
    /// Attributes of the CF grid mapping (of plain latitudes and longitudes too: the figure of the earth), where the grid has one.
    pub mapping: Option<Vec<(String, Value)>>,
}

/// Name of the grid mapping variable.
pub const MAPPING: &str = "projection";

impl Horizontal {
    /// The horizontal part of every array on a grid, or on the part of it that is shown.
    #[must_use]
    pub fn of(group: &GridGroup) -> Self {
        let (grid, crop) = (&group.grid, group.crop.as_ref());
        let coordinates = grid.coordinates();
        let dimensions = dimensions(grid, crop);
        let mut arrays: Vec<HorizontalCoordinate> = coordinates
            .axes
            .iter()
            .enumerate()
            .filter(|(_, axis)| !axis.values.is_empty())
            .map(|(number, axis)| {
                let values = axis_values(axis, number, crop);
                let attributes = [
                    ("standard_name", axis.standard_name),
                    ("units", axis.units),
                    ("axis", axis.axis),
                ];
                HorizontalCoordinate {
                    name: axis.name.to_owned(),
                    dimensions: vec![axis.name.to_owned()],
                    shape: vec![values.len() as u64],
                    values: Values::Axis(values),
                    attributes: attributes
                        .into_iter()
                        .filter_map(|(key, value)| Some((key.to_owned(), json!(value?))))
                        .collect(),
                }
            })
            .collect();
        let mut auxiliary = Vec::new();
        if coordinates.has_locations {
            let places = group.places();
            for (name, units, values) in [
                (
                    "latitude",
                    "degrees_north",
                    Values::Latitudes(Arc::clone(places)),
                ),
                (
                    "longitude",
                    "degrees_east",
                    Values::Longitudes(Arc::clone(places)),
                ),
            ] {
                auxiliary.push(name.to_owned());
                arrays.push(HorizontalCoordinate {
                    name: name.to_owned(),
                    dimensions: dimensions.iter().map(|(name, _)| name.clone()).collect(),
                    shape: dimensions.iter().map(|(_, length)| *length).collect(),
                    values,
                    attributes: vec![
                        ("standard_name".to_owned(), json!(name)),
                        ("units".to_owned(), json!(units)),
                    ],
                });
            }
        }
        let mapping = (!coordinates.mapping.is_empty()).then(|| {
            coordinates
                .mapping
                .iter()
                .map(|(key, value)| ((*key).to_owned(), attribute(value)))
                .collect()
        });
        Self {
            dimensions,
            coordinates: arrays,
            auxiliary,
            mapping,
        }
    }
}

/// Values of a grid's axis, of the part that is shown: axis 0 runs along the rows, but for a grid that is one axis of cells.
fn axis_values(axis: &Axis, number: usize, crop: Option<&Crop>) -> Vec<f64> {
    match crop {
        None => axis.values.clone(),
        Some(crop) if number == 0 => crop
            .rows()
            .filter_map(|row| axis.values.get(row).copied())
            .collect(),
        Some(crop) => crop.column_values(&axis.values),
    }
}

/// Latitudes and longitudes of all cells shown, row by row.
fn locations(grid: &Grid, crop: Option<&Crop>) -> (Vec<f64>, Vec<f64>) {
    let Some(crop) = crop else {
        return grid.locator().locations();
    };
    crop.rows()
        .flat_map(|row| crop.columns().map(move |column| (row, column)))
        .filter_map(|(row, column)| grid.locator().locate(row, column))
        .unzip()
}

/// Names and lengths of the dimensions of a grid, or of the part of it that is shown, the slowest first.
#[must_use]
pub fn dimensions(grid: &Grid, crop: Option<&Crop>) -> Vec<(String, u64)> {
    let axes = &grid.coordinates().axes;
    let length = |number: usize, axis: &Axis| match crop.map(Crop::shape) {
        None => axis.length,
        Some((rows, _)) if number == 0 && axes.len() > 1 => rows,
        Some((_, columns)) => columns,
    };
    axes.iter()
        .enumerate()
        .map(|(number, axis)| (axis.name.to_owned(), length(number, axis) as u64))
        .collect()
}

/// Name, first and last value of each axis of the part of a grid that is shown.
#[must_use]
pub fn shown_ends(group: &GridGroup) -> Vec<(String, f64, f64)> {
    let axes = group.grid.coordinates().axes.iter().enumerate();
    axes.filter(|(_, axis)| !axis.values.is_empty())
        .filter_map(|(number, axis)| {
            let values = axis_values(axis, number, group.crop.as_ref());
            Some((axis.name.to_owned(), *values.first()?, *values.last()?))
        })
        .collect()
}

/// A grid in words: `regular_ll, 721 x 1440, latitude 90..-90, longitude 0..359.75`.
#[must_use]
pub fn describe(grid: &Grid) -> String {
    let lengths: Vec<String> = dimensions(grid, None)
        .iter()
        .map(|(_, length)| length.to_string())
        .collect();
    let mut text = format!("{}, {}", grid.kind(), lengths.join(" x "));
    for axis in &grid.coordinates().axes {
        if let (Some(first), Some(last)) = (axis.values.first(), axis.values.last()) {
            // Projected metres are computed: what lies below a millionth is rounding.
            let [first, last] = [first, last].map(|end| (end * 1e6).round() / 1e6);
            text += &format!(", {} {first}..{last}", axis.name);
        }
    }
    text
}

fn attribute(value: &Attribute) -> Value {
    match value {
        Attribute::Text(text) => json!(text),
        Attribute::Number(number) => json!(number),
        Attribute::Numbers(numbers) => json!(numbers),
    }
}

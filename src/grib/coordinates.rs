//! Coordinates of a grid, ready for a CF data set: axes, grid mapping, and the place of every cell.
//!
//! A regular lat/lon grid has axes `latitude` and `longitude` and nothing else. A projected grid has `y` and `x` in metres, a
//! rotated one `rlat` and `rlon`; those, and grids that are one axis of cells, have latitude and longitude per cell too
//! ([`Locator`]). Everything stands in the delivered order: row-major, i and j as coded (see [`super::scan`]).
//!
//! Knows numbers and CF words. Knows no octets.

use super::healpix::Healpix;
use super::projection::{Projection, Rotation, within_half_turn};

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(&'static str),
    /// A number.
    Number(f64),
    /// Several numbers.
    Numbers(Vec<f64>),
}

/// One horizontal dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Name of the dimension, and of the coordinate variable where there are values: `latitude`, `longitude`, `y`, `x`,
    /// `rlat`, `rlon` or `cell`.
    pub name: &'static str,
    /// CF standard name; none for `cell`.
    pub standard_name: Option<&'static str>,
    /// Units of the values: `degrees_north`, `degrees_east`, `degrees`, `m`; none for `cell`.
    pub units: Option<&'static str>,
    /// CF `axis`: `Y`, `X`; none for `cell`.
    pub axis: Option<&'static str>,
    /// Number of positions.
    pub length: usize,
    /// Coordinates, one per position; empty for `cell`.
    pub values: Vec<f64>,
}

impl Axis {
    const fn new(
        name: &'static str,
        standard_name: &'static str,
        units: &'static str,
        axis: &'static str,
        values: Vec<f64>,
    ) -> Self {
        Self {
            name,
            standard_name: Some(standard_name),
            units: Some(units),
            axis: Some(axis),
            length: values.len(),
            values,
        }
    }

    pub(super) const fn latitude(values: Vec<f64>) -> Self {
        Self::new("latitude", "latitude", "degrees_north", "Y", values)
    }

    pub(super) const fn longitude(values: Vec<f64>) -> Self {
        Self::new("longitude", "longitude", "degrees_east", "X", values)
    }

    pub(super) const fn rotated_latitude(values: Vec<f64>) -> Self {
        Self::new("rlat", "grid_latitude", "degrees", "Y", values)
    }

    pub(super) const fn rotated_longitude(values: Vec<f64>) -> Self {
        Self::new("rlon", "grid_longitude", "degrees", "X", values)
    }

    pub(super) const fn y(values: Vec<f64>) -> Self {
        Self::new("y", "projection_y_coordinate", "m", "Y", values)
    }

    pub(super) const fn x(values: Vec<f64>) -> Self {
        Self::new("x", "projection_x_coordinate", "m", "X", values)
    }

    pub(super) const fn cells(length: usize) -> Self {
        Self {
            name: "cell",
            standard_name: None,
            units: None,
            axis: None,
            length,
            values: Vec::new(),
        }
    }
}

/// Axes and grid mapping of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinates {
    /// Horizontal dimensions from the slowest to the fastest: two, or one of cells.
    pub axes: Vec<Axis>,
    /// Attributes of the CF grid mapping variable, `grid_mapping_name` first.
    pub mapping: Vec<(&'static str, Attribute)>,
    /// Whether latitude and longitude of each cell must be given beside the axes ([`Locator::locations`]).
    pub has_locations: bool,
}

/// One row of a reduced grid: cells along a parallel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    /// Cells before this row.
    pub(super) before: usize,
    /// Latitude in degrees.
    pub(super) latitude: f64,
    /// Longitude of the first cell, in degrees.
    pub(super) first: f64,
    /// Whole span of `steps` steps, in degrees.
    pub(super) span: f64,
    /// Steps in the span, at least 1.
    pub(super) steps: u32,
}

/// How positions on the axes become places on the earth.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Placement {
    /// The axes are latitude and longitude.
    Plain { y: Vec<f64>, x: Vec<f64> },
    /// The axes are those of a rotated frame.
    Rotated {
        y: Vec<f64>,
        x: Vec<f64>,
        rotation: Rotation,
    },
    /// The axes are metres of a projection.
    Projected {
        y: Vec<f64>,
        x: Vec<f64>,
        projection: Projection,
    },
    /// Rows of unequal length, one axis of cells.
    Rows {
        rows: Vec<Row>,
        rotation: Option<Rotation>,
    },
    /// HEALPix cells; degrees to add to the standard longitudes.
    Healpix { grid: Healpix, turn: f64 },
}

/// Tells where cells lie. Holds the axes (and rows), not the cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Locator {
    pub(super) placement: Placement,
    pub(super) ny: usize,
    pub(super) nx: usize,
    /// Longitudes run from -180, because the message codes a negative one; else from 0.
    pub(super) signed: bool,
}

impl Locator {
    /// Latitude and longitude, in degrees, of the cell in a row and a column (row 0 where there is one axis of cells);
    /// `None` outside of the grid.
    ///
    /// On plain lat/lon axes the longitude is that of the axis. Elsewhere it lies in 0 to 360, or in -180 to 180 if the
    /// message codes its first longitude as negative. Not a number where a projection shows no point of the earth.
    #[must_use]
    pub fn locate(&self, row: usize, column: usize) -> Option<(f64, f64)> {
        if row >= self.ny || column >= self.nx {
            return None;
        }
        let (latitude, longitude) = match &self.placement {
            Placement::Plain { y, x } => return Some((*y.get(row)?, *x.get(column)?)),
            Placement::Rotated { y, x, rotation } => {
                rotation.inverse(*y.get(row)?, *x.get(column)?)
            }
            Placement::Projected { y, x, projection } => {
                projection.inverse(*x.get(column)?, *y.get(row)?)
            }
            Placement::Rows { rows, rotation } => {
                let (latitude, longitude) = locate_in_rows(rows, column)?;
                rotation.map_or((latitude, longitude), |rotation| {
                    rotation.inverse(latitude, longitude)
                })
            }
            Placement::Healpix { grid, turn } => {
                let (latitude, longitude) = grid.centre(u32::try_from(column).ok()?);
                (latitude, longitude + turn)
            }
        };
        Some((latitude, self.normal(longitude)))
    }

    /// Latitudes and longitudes of all cells in the delivered order, `ny * nx` of each.
    #[must_use]
    pub fn locations(&self) -> (Vec<f64>, Vec<f64>) {
        (0..self.ny)
            .flat_map(|row| (0..self.nx).map(move |column| (row, column)))
            .filter_map(|(row, column)| self.locate(row, column))
            .unzip()
    }

    fn normal(&self, longitude: f64) -> f64 {
        if self.signed {
            within_half_turn(longitude)
        } else {
            // The remainder of a tiny negative number rounds up to the full circle.
            let turned = longitude.rem_euclid(360.0);
            if turned >= 360.0 { 0.0 } else { turned }
        }
    }
}

fn locate_in_rows(rows: &[Row], cell: usize) -> Option<(f64, f64)> {
    let after = rows.partition_point(|row| row.before <= cell);
    let row = rows.get(after.checked_sub(1)?)?;
    let place = u32::try_from(cell.checked_sub(row.before)?).ok()?;
    let longitude = row.first + row.span * f64::from(place) / f64::from(row.steps.max(1));
    Some((row.latitude, longitude))
}

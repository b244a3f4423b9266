//! How a grid is shown: which part of it, and turned how.

use super::crop::{BoundingBox, Crop};
use crate::grib::grid::Grid;

/// How grids are shown. The default is all of them, as they are coded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GridView {
    /// The part that is shown.
    pub bounds: Option<BoundingBox>,
    /// The first row is the northernmost: rows of grids that are coded from south to north come in the other order.
    pub north_up: bool,
    /// Longitudes run from -180 to 180: columns of a whole circle are turned to start at the date line.
    pub lon180: bool,
}

impl GridView {
    /// How a grid is shown: `None` if no cell of it lies in the box, else its cells in order, or `None` for all of them as they are
    /// coded.
    #[must_use]
    pub fn of(&self, grid: &Grid) -> Option<Option<Crop>> {
        let mut crop = match &self.bounds {
            Some(bounds) => Some(Crop::of(grid, bounds)?),
            None => None,
        };
        if self.north_up && is_south_up(grid) {
            crop = Some(crop.unwrap_or_else(|| Crop::whole(grid)).flipped());
        }
        if self.lon180
            && let Some(longitudes) = longitudes(grid)
        {
            let own = crop.unwrap_or_else(|| Crop::whole(grid));
            crop = Some(own.turned_at_date_line(longitudes));
        }
        Some(crop)
    }

    /// Why a flag can do nothing for a grid.
    #[must_use]
    pub fn refusal(&self, grid: &Grid) -> Option<&'static str> {
        let axes = &grid.coordinates().axes;
        if self.lon180 && longitudes(grid).is_none() {
            Some("--lon180: the grid has no axis of longitudes to turn")
        } else if self.north_up && axes.len() != 2 {
            Some("--north-up: the grid has no rows to turn")
        } else {
            None
        }
    }
}

/// The longitudes of a grid's columns, if they are an axis.
fn longitudes(grid: &Grid) -> Option<&[f64]> {
    match grid.coordinates().axes.as_slice() {
        [_, longitude] if !grid.coordinates().has_locations => Some(&longitude.values),
        _ => None,
    }
}

/// Whether a grid's rows run from south to north; on a projected grid, along its own y axis.
fn is_south_up(grid: &Grid) -> bool {
    let axes = grid.coordinates().axes.as_slice();
    let [rows, _] = axes else {
        return false;
    };
    matches!((rows.values.first(), rows.values.last()), (Some(first), Some(last)) if first < last)
}

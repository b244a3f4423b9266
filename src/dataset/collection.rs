//! The model of an archive: arrays over runs, steps, members and levels. `build` makes it.

use std::sync::{Arc, OnceLock};

use super::archive::Archive;
use super::cells::Cells;
use super::crop::Crop;
use super::horizontal::CellPlaces;
use super::levels::LevelAxis;
use super::selection::Selection;
use crate::grib::grid::Grid;
use crate::grib::naming::ArrayNaming;
use crate::time::Instant;

/// An archive as arrays over runs, steps, members and levels, on one or several grids.
#[derive(Debug)]
pub struct Collection {
    /// Where the rows are.
    pub archive: Arc<Archive>,
    /// Reference times, ascending.
    pub runs: Vec<Instant>,
    /// One group per grid; the first is the main one: the grid with most messages.
    pub groups: Vec<GridGroup>,
    /// Latest reference time that was let in, if there was a limit.
    pub as_of: Option<Instant>,
    /// What was selected of the table's rows.
    pub selection: Selection,
}

/// The arrays on one grid.
#[derive(Debug)]
pub struct GridGroup {
    /// Name of the group below a store; empty for the main grid.
    pub name: String,
    /// The grid.
    pub grid: Grid,
    /// The part of the grid that is shown, if not the whole.
    pub crop: Option<Crop>,
    pub(super) places: OnceLock<Arc<CellPlaces>>,
    /// Steps that exist, in seconds, ascending.
    pub steps: Vec<i64>,
    /// Members that exist, ascending.
    pub members: Vec<i16>,
    /// Level axes.
    pub levels: Vec<LevelAxis>,
    /// Arrays, by name.
    pub arrays: Vec<FieldArray>,
}

/// One array: a quantity over runs, steps, and where it has them members and levels.
#[derive(Debug)]
pub struct FieldArray {
    /// Name, attributes, step type.
    pub naming: ArrayNaming,
    /// Index into the group's level axes.
    pub level_axis: Option<usize>,
    /// Whether it has the axis `number`.
    pub members: bool,
    /// Reset period in seconds of an accumulation: 0 for run totals.
    pub bucket_seconds: Option<i64>,
    /// Cells.
    pub cells: Cells,
}

impl GridGroup {
    /// Where each cell shown lies; asked for when the part that is shown is settled.
    #[must_use]
    pub fn places(&self) -> &Arc<CellPlaces> {
        self.places
            .get_or_init(|| Arc::new(CellPlaces::new(self.grid.clone(), self.crop.clone())))
    }
}

impl FieldArray {
    /// Whether this is a total from the start of each run: its window would change from cell to cell in BestAvailable.
    #[must_use]
    pub fn is_run_total(&self) -> bool {
        self.bucket_seconds == Some(0)
    }

    /// Whether its values are sums over windows that may be subtracted from each other: accumulations of forecasts and of their means. The
    /// difference of two percentiles, probabilities or spreads is none of the difference.
    #[must_use]
    pub fn is_additive(&self) -> bool {
        let attribute = |name: &str| {
            let mut all = self.naming.attributes.iter();
            all.find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let mean = |value: &serde_json::Value| matches!(value.as_u64(), Some(0 | 1 | 6));
        self.naming.step_type == "accum"
            && !self.naming.is_error
            && attribute("GRIB_percentileValue").is_none()
            && attribute("GRIB_probabilityType").is_none()
            && attribute("GRIB_derivedForecast").is_none_or(mean)
    }
}

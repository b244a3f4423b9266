//! Cells in rows with their places, turned so that they read as a map.

use super::rings::Rings;

/// Where the cells of a field lie, in degrees.
#[derive(Clone, Debug, PartialEq)]
pub enum Places {
    /// A latitude for each row, a longitude for each column.
    Axes {
        /// One for each row.
        latitudes: Vec<f64>,
        /// One for each column.
        longitudes: Vec<f64>,
    },
    /// Both for each cell, row by row.
    Cells {
        /// Latitudes.
        latitudes: Vec<f64>,
        /// Longitudes.
        longitudes: Vec<f64>,
    },
}

/// A field to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Row by row from the top; NaN where there is nothing.
    pub(super) values: Vec<f32>,
    pub(super) places: Places,
    /// Width of a cell over its height.
    pub(super) cell_aspect: f64,
}

/// Why a field cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Counts of values and places differ.
    #[error("{values} values where {places} places are")]
    Count {
        /// Values.
        values: usize,
        /// Places.
        places: usize,
    },
    /// Nothing is left to draw.
    #[error("the box holds no cell of the grid")]
    Nothing,
}

impl Field {
    /// A field on axes of latitudes and longitudes, in whatever direction these run; a globe is turned to begin at the date line.
    ///
    /// # Errors
    /// [`FieldError`].
    pub fn on_axes(
        values: Vec<f32>,
        latitudes: Vec<f64>,
        longitudes: Vec<f64>,
    ) -> Result<Self, FieldError> {
        let (rows, columns) = (latitudes.len(), longitudes.len());
        let mut field = Self {
            rows,
            columns,
            values,
            places: Places::Axes {
                latitudes,
                longitudes,
            },
            cell_aspect: 1.0,
        };
        field.check(rows * columns)?;
        if field.axis_falls(false) {
            field.flip_columns();
        }
        if !field.axis_falls(true) {
            field.flip_rows();
        }
        field.turn_globe();
        Ok(field)
    }

    /// A field on a grid of rows and columns whose cells have places of their own. `up`: rows run from the bottom to the top;
    /// `leftwards`: columns from the right to the left; `cell_aspect`: width of a cell over its height.
    ///
    /// # Errors
    /// [`FieldError`].
    pub fn on_cells(
        columns: usize,
        values: Vec<f32>,
        (latitudes, longitudes): (Vec<f64>, Vec<f64>),
        (up, leftwards): (bool, bool),
        cell_aspect: f64,
    ) -> Result<Self, FieldError> {
        let places = latitudes.len().min(longitudes.len());
        let mut field = Self {
            rows: values.len() / columns.max(1),
            columns,
            values,
            places: Places::Cells {
                latitudes,
                longitudes,
            },
            cell_aspect,
        };
        field.check(places)?;
        if up {
            field.flip_rows();
        }
        if leftwards {
            field.flip_columns();
        }
        Ok(field)
    }

    /// A field whose cells come in one list, resampled to a latitude-longitude grid of about the same density: each place takes the nearest
    /// cell of the nearest row. Rows are cells of one latitude, as reduced Gaussian grids and HEALPix have them.
    ///
    /// # Errors
    /// [`FieldError`].
    pub fn of_points(
        values: &[f32],
        latitudes: &[f64],
        longitudes: &[f64],
    ) -> Result<Self, FieldError> {
        let places = latitudes.len().min(longitudes.len());
        if values.is_empty() {
            return Err(FieldError::Nothing);
        }
        if values.len() != places {
            return Err(FieldError::Count {
                values: values.len(),
                places,
            });
        }
        let rings = Rings::of(values, latitudes, longitudes);
        let (rows, columns) = rings.shape();
        let latitudes: Vec<f64> = (0..rows).map(|row| rings.latitude(row, rows)).collect();
        let longitudes: Vec<f64> = (0..columns)
            .map(|column| rings.west + (column as f64 + 0.5) / columns as f64 * rings.width)
            .collect();
        let mut cells = Vec::with_capacity(rows * columns);
        for latitude in &latitudes {
            let ring = rings.nearest(*latitude);
            cells.extend(longitudes.iter().map(|longitude| ring.nearest(*longitude)));
        }
        Self::on_axes(cells, latitudes, longitudes)
    }

    /// Values, row by row; NaN where there is nothing.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    fn check(&self, places: usize) -> Result<(), FieldError> {
        if self.values.is_empty() {
            return Err(FieldError::Nothing);
        }
        if self.values.len() != places || self.values.len() != self.rows * self.columns {
            return Err(FieldError::Count {
                values: self.values.len(),
                places,
            });
        }
        Ok(())
    }

    fn axis_falls(&self, rows: bool) -> bool {
        let Places::Axes {
            latitudes,
            longitudes,
        } = &self.places
        else {
            return false;
        };
        let axis = if rows { latitudes } else { longitudes };
        // An axis across the date line has one jump; most of its distances tell its direction.
        let pairs = axis.windows(2);
        let falling = pairs.filter(|pair| matches!(pair, [a, b] if b < a)).count();
        falling * 2 > axis.len().saturating_sub(1) || (rows && axis.len() < 2)
    }

    fn flip_rows(&mut self) {
        let columns = self.columns;
        self.values = flipped_rows(&self.values, columns);
        match &mut self.places {
            Places::Axes { latitudes, .. } => latitudes.reverse(),
            Places::Cells {
                latitudes,
                longitudes,
            } => {
                *latitudes = flipped_rows(latitudes, columns);
                *longitudes = flipped_rows(longitudes, columns);
            }
        }
    }

    fn flip_columns(&mut self) {
        let columns = self.columns.max(1);
        self.values.chunks_mut(columns).for_each(<[f32]>::reverse);
        match &mut self.places {
            Places::Axes { longitudes, .. } => longitudes.reverse(),
            Places::Cells {
                latitudes,
                longitudes,
            } => {
                latitudes.chunks_mut(columns).for_each(<[f64]>::reverse);
                longitudes.chunks_mut(columns).for_each(<[f64]>::reverse);
            }
        }
    }

    /// Longitudes ascend without jumps; those of a globe from -180, others from between -180 and 180.
    fn turn_globe(&mut self) {
        let Places::Axes { longitudes, .. } = &mut self.places else {
            return;
        };
        let Some(first) = longitudes.first().copied() else {
            return;
        };
        let mut before = first;
        for longitude in longitudes.iter_mut() {
            *longitude = before + wrapped(*longitude - before);
            before = *longitude;
        }
        let span = before - first;
        let spacing = span / (longitudes.len().max(2) - 1) as f64;
        let mut turn = 0;
        if span + spacing * 1.01 >= 360.0 && span < 360.0 - spacing * 0.5 {
            turn = longitudes
                .iter()
                .position(|longitude| wrapped(*longitude) < wrapped(first) - spacing * 0.01)
                .unwrap_or(0);
        }
        longitudes.rotate_left(turn);
        let start = longitudes.first().copied().unwrap_or_default();
        let shift = wrapped(start) - start;
        let mut before = f64::NEG_INFINITY;
        for longitude in longitudes.iter_mut() {
            *longitude += shift;
            while *longitude < before {
                *longitude += 360.0;
            }
            before = *longitude;
        }
        for row in self.values.chunks_mut(self.columns.max(1)) {
            row.rotate_left(turn);
        }
    }

    /// The smallest part that holds all cells within a box of south, west, north and east.
    ///
    /// # Errors
    /// [`FieldError::Nothing`] where no cell is within.
    pub fn cropped(&self, [south, west, north, east]: [f64; 4]) -> Result<Self, FieldError> {
        let width = if east > west {
            east - west
        } else {
            east - west + 360.0
        };
        let within_longitudes =
            |longitude: f64| width >= 360.0 || (longitude - west).rem_euclid(360.0) <= width;
        let within_latitudes = |latitude: f64| (south..=north).contains(&latitude);
        let is_within = |row: usize, column: usize| match &self.places {
            Places::Axes {
                latitudes,
                longitudes,
            } => {
                latitudes.get(row).copied().is_some_and(within_latitudes)
                    && longitudes
                        .get(column)
                        .copied()
                        .is_some_and(within_longitudes)
            }
            Places::Cells {
                latitudes,
                longitudes,
            } => {
                let at = row * self.columns + column;
                latitudes.get(at).copied().is_some_and(within_latitudes)
                    && longitudes.get(at).copied().is_some_and(within_longitudes)
            }
        };
        let mut used_rows = vec![false; self.rows];
        let mut used_columns = vec![false; self.columns];
        for (row, used) in used_rows.iter_mut().enumerate() {
            for (column, used_column) in used_columns.iter_mut().enumerate() {
                if is_within(row, column) {
                    *used = true;
                    *used_column = true;
                }
            }
        }
        let hull = |used: &[bool]| -> Vec<usize> {
            let first = used.iter().position(|used| *used).unwrap_or(0);
            let last = used
                .iter()
                .rposition(|used| *used)
                .map_or(0, |last| last + 1);
            (first..last).collect()
        };
        let rows = hull(&used_rows);
        let columns: Vec<usize> = match &self.places {
            // Across the seam of a globe the columns come in two pieces, the western one last.
            Places::Axes { longitudes, .. } => {
                let mut columns: Vec<usize> = (0..self.columns)
                    .filter(|column| used_columns.get(*column) == Some(&true))
                    .collect();
                columns.sort_by(|a, b| {
                    let from_west = |column: &usize| {
                        let longitude = longitudes.get(*column).copied().unwrap_or_default();
                        (longitude - west).rem_euclid(360.0)
                    };
                    from_west(a).total_cmp(&from_west(b))
                });
                columns
            }
            Places::Cells { .. } => hull(&used_columns),
        };
        self.part(&rows, &columns)
    }

    fn part(&self, rows: &[usize], columns: &[usize]) -> Result<Self, FieldError> {
        let cells = || {
            rows.iter().flat_map(|row| {
                columns
                    .iter()
                    .map(move |column| row * self.columns + column)
            })
        };
        let take =
            |all: &[f64]| -> Vec<f64> { cells().filter_map(|at| all.get(at).copied()).collect() };
        let pick = |all: &[f64], at: &[usize]| -> Vec<f64> {
            at.iter().filter_map(|at| all.get(*at).copied()).collect()
        };
        let values: Vec<f32> = cells()
            .filter_map(|at| self.values.get(at).copied())
            .collect();
        if values.is_empty() {
            return Err(FieldError::Nothing);
        }
        let mut part = Self {
            rows: rows.len(),
            columns: columns.len(),
            values,
            places: match &self.places {
                Places::Axes {
                    latitudes,
                    longitudes,
                } => Places::Axes {
                    latitudes: pick(latitudes, rows),
                    longitudes: pick(longitudes, columns),
                },
                Places::Cells {
                    latitudes,
                    longitudes,
                } => Places::Cells {
                    latitudes: take(latitudes),
                    longitudes: take(longitudes),
                },
            },
            cell_aspect: self.cell_aspect,
        };
        part.turn_globe();
        Ok(part)
    }

    /// Width of the map over its height: degrees of longitude are as long as in the middle of the map, but on a map of the globe.
    pub(super) fn aspect(&self) -> f64 {
        let cells = self.columns as f64 / self.rows.max(1) as f64;
        let Places::Axes {
            latitudes,
            longitudes,
        } = &self.places
        else {
            return cells * self.cell_aspect;
        };
        let (Some(north), Some(south), Some(west), Some(east)) = (
            latitudes.first(),
            latitudes.last(),
            longitudes.first(),
            longitudes.last(),
        ) else {
            return cells;
        };
        let per_row = (north - south) / (self.rows.max(2) - 1) as f64;
        let per_column = (east - west) / (self.columns.max(2) - 1) as f64;
        if per_row <= 0.0 || per_column <= 0.0 {
            return cells;
        }
        let middle = f64::midpoint(*north, *south);
        let shrink = if east - west > 180.0 {
            1.0
        } else {
            middle.to_radians().cos().max(0.2)
        };
        cells * per_column / per_row * shrink
    }

    /// Latitude and longitude at a place between cells: 0 is the middle of the first row or column.
    pub(super) fn place(&self, row: f64, column: f64) -> Option<(f64, f64)> {
        match &self.places {
            Places::Axes {
                latitudes,
                longitudes,
            } => Some((between(latitudes, row)?, between(longitudes, column)?)),
            Places::Cells {
                latitudes,
                longitudes,
            } => {
                let base = |at: f64, count: usize| -> (usize, f64) {
                    let most = count.saturating_sub(2) as f64;
                    let first = at.floor().clamp(0.0, most);
                    (first as usize, at - first)
                };
                let (r, down) = base(row, self.rows);
                let (c, right) = base(column, self.columns);
                let below = (r + 1).min(self.rows - 1);
                let beside = (c + 1).min(self.columns - 1);
                let at = |all: &[f64], row: usize, column: usize| {
                    all.get(row * self.columns + column).copied()
                };
                let mix = |all: &[f64], wrap: bool| {
                    let corner = at(all, r, c)?;
                    let away = |row, column| {
                        let distance = at(all, row, column)? - corner;
                        Some(if wrap { wrapped(distance) } else { distance })
                    };
                    let (east, south, both) =
                        (away(r, beside)?, away(below, c)?, away(below, beside)?);
                    let top = east * right;
                    let bottom = south + (both - south) * right;
                    Some(corner + top + (bottom - top) * down)
                };
                Some((mix(latitudes, false)?, mix(longitudes, true)?))
            }
        }
    }
}

/// Between two neighbours of an axis, or beyond its ends.
fn between(axis: &[f64], at: f64) -> Option<f64> {
    if let [only] = axis {
        return Some(*only);
    }
    let most = axis.len().checked_sub(2)? as f64;
    let first = at.floor().clamp(0.0, most);
    let (a, b) = (*axis.get(first as usize)?, *axis.get(first as usize + 1)?);
    Some(a + (b - a) * (at - first))
}

fn flipped_rows<T: Copy>(all: &[T], columns: usize) -> Vec<T> {
    let rows = all.chunks(columns.max(1)).rev();
    rows.flatten().copied().collect()
}

/// Degrees of longitude from -180 to below 180.
pub(super) fn wrapped(degrees: f64) -> f64 {
    (degrees + 180.0).rem_euclid(360.0) - 180.0
}

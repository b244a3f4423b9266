//! The part of a grid that lies in a box of latitudes and longitudes.
//!
//! On a latitude-longitude grid the part is exact: rows and columns in the box. A box that runs across the seam of the grid (0 to 359.75,
//! box from -10 to 30) gives one contiguous axis, turned so that it starts in the west of the box: columns 1400-1439, then 0-120.
//! On other grids of rows and columns it is the smallest range of both that holds all cells in the box; a grid that is one axis of
//! cells keeps exactly its cells in the box.

use std::fmt;
use std::ops::Range;

use crate::grib::grid::Grid;

/// Degrees by which a point may miss the box: coordinates are sums of decimal fractions.
const SLACK: f64 = 1e-7;

/// A box of latitudes and longitudes, in degrees. `west` may be east of `east` in number: then the box crosses the date line, or 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    south: f64,
    west: f64,
    north: f64,
    /// Degrees from west to east, 0 to 360.
    width: f64,
}

impl BoundingBox {
    /// The box between two parallels and two meridians, longitudes from -180 or from 0 as one likes; `None` if there is no such box.
    #[must_use]
    pub fn new(south: f64, west: f64, north: f64, east: f64) -> Option<Self> {
        let latitudes = -90.0 <= south && south <= north && north <= 90.0;
        let longitudes = [west, east]
            .iter()
            .all(|lon| (-360.0..=360.0).contains(lon));
        let way = east - west;
        let width = if way >= 360.0 {
            360.0
        } else {
            way.rem_euclid(360.0)
        };
        (latitudes && longitudes).then_some(Self {
            south,
            west,
            north,
            width,
        })
    }

    /// Whether a latitude lies in the box.
    #[must_use]
    pub fn has_latitude(&self, latitude: f64) -> bool {
        self.south - SLACK <= latitude && latitude <= self.north + SLACK
    }

    /// Whether a longitude, counted from wherever, lies in the box.
    #[must_use]
    pub fn has_longitude(&self, longitude: f64) -> bool {
        // Points a hair west of the box come out just under 360.
        (longitude - self.west + SLACK).rem_euclid(360.0) <= self.width + 2.0 * SLACK
    }

    /// A longitude of the box, as a number that grows from west to east: below 0 where `west` is.
    fn unwrapped(&self, longitude: f64) -> f64 {
        if longitude > self.west + self.width + SLACK {
            longitude - 360.0
        } else if longitude < self.west - SLACK {
            longitude + 360.0
        } else {
            longitude
        }
    }
}

impl fmt::Display for BoundingBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let east = self.west + self.width;
        write!(f, "{},{},{},{east}", self.south, self.west, self.north)
    }
}

/// Rows and columns of a grid that are shown; on a grid that is one axis of cells, row 0 and ranges of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Crop {
    rows: Range<usize>,
    /// The last row is shown first.
    flipped: bool,
    /// Ranges of columns in the order in which they are shown.
    columns: Vec<Range<usize>>,
    /// Columns of the whole grid.
    nx: usize,
    /// Longitudes of an axis that was turned at the seam, in the terms of the box.
    turned: Option<Vec<f64>>,
}

impl Crop {
    /// The part of a grid in a box; `None` if no cell lies in it.
    #[must_use]
    pub fn of(grid: &Grid, bounds: &BoundingBox) -> Option<Self> {
        match grid.coordinates().axes.as_slice() {
            [latitude, longitude] if !grid.coordinates().has_locations => {
                Self::of_axes(&latitude.values, &longitude.values, bounds)
            }
            [_, _] => Self::enclosing(grid, bounds),
            _ => Self::of_cells(grid, bounds),
        }
    }

    fn of_axes(latitudes: &[f64], longitudes: &[f64], bounds: &BoundingBox) -> Option<Self> {
        let mut rows = ranges(latitudes.iter().map(|at| bounds.has_latitude(*at)));
        let mut columns = ranges(longitudes.iter().map(|at| bounds.has_longitude(*at)));
        let (first, last) = (*longitudes.first()?, *longitudes.last()?);
        let nx = longitudes.len();
        let mut turned = None;
        if columns.len() > 1 && bounds.width < 360.0 {
            // Both ends of the grid lie in the box: turn the axis there. Of a meridian that stands at both ends, once.
            let twice = (last - first).abs() > 1.0 && same_meridian(first, last);
            columns.rotate_right(1);
            if let (true, Some(range)) = (twice, columns.first_mut()) {
                range.end -= 1;
            }
            columns.retain(|range| !range.is_empty());
            let values = columns.iter().flat_map(|range| range.clone());
            turned = Some(
                values
                    .filter_map(|at| longitudes.get(at))
                    .map(|at| bounds.unwrapped(*at))
                    .collect(),
            );
        }
        (!columns.is_empty()).then_some(Self {
            rows: rows.drain(..).next()?,
            flipped: false,
            columns,
            nx,
            turned,
        })
    }

    /// The smallest range of rows and of columns that holds all cells in the box.
    fn enclosing(grid: &Grid, bounds: &BoundingBox) -> Option<Self> {
        let (ny, nx) = grid.shape();
        let mut enclosing: Option<(Range<usize>, Range<usize>)> = None;
        for row in 0..ny {
            for column in 0..nx {
                if cell_in(grid, row, column, bounds) {
                    let (rows, columns) =
                        enclosing.get_or_insert((row..row + 1, column..column + 1));
                    *rows = rows.start.min(row)..rows.end.max(row + 1);
                    *columns = columns.start.min(column)..columns.end.max(column + 1);
                }
            }
        }
        let (rows, columns) = enclosing?;
        Some(Self {
            rows,
            flipped: false,
            columns: vec![columns],
            nx,
            turned: None,
        })
    }

    fn of_cells(grid: &Grid, bounds: &BoundingBox) -> Option<Self> {
        let (_, nx) = grid.shape();
        let columns = ranges((0..nx).map(|cell| cell_in(grid, 0, cell, bounds)));
        (!columns.is_empty()).then_some(Self {
            rows: 0..1,
            flipped: false,
            columns,
            nx,
            turned: None,
        })
    }

    /// Rows and columns that are shown.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (
            self.rows.len(),
            self.columns.iter().map(ExactSizeIterator::len).sum(),
        )
    }

    /// The whole of a grid, to be turned.
    pub(super) fn whole(grid: &Grid) -> Self {
        let (ny, nx) = grid.shape();
        Self {
            rows: 0..ny,
            flipped: false,
            columns: std::iter::once(0..nx).collect(),
            nx,
            turned: None,
        }
    }

    /// The same cells with the rows in the other order.
    #[must_use]
    pub(super) fn flipped(self) -> Self {
        Self {
            flipped: !self.flipped,
            ..self
        }
    }

    /// The same cells by longitudes from -180 to 180. A whole circle is turned so that it starts at the date line; a part of one
    /// stays in one piece, and starts in those numbers. `longitudes` are those of the whole grid's columns.
    #[must_use]
    pub(super) fn turned_at_date_line(mut self, longitudes: &[f64]) -> Self {
        let half_turn = |longitude: f64| (longitude + 180.0).rem_euclid(360.0) - 180.0;
        let mut columns: Vec<usize> = self.columns().collect();
        let at = |column: &usize| longitudes.get(*column).copied().unwrap_or(f64::NAN);
        let (Some(first), Some(last)) = (columns.first().map(at), columns.last().map(at)) else {
            return self;
        };
        let stride = match columns.as_slice() {
            [a, b, ..] => (at(b) - at(a)).abs().min(360.0),
            _ => 360.0,
        };
        let goes_east = self
            .column_values(longitudes)
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a < b));
        if columns.len() > 2 && same_meridian(first, last) {
            // One meridian stands at both ends: once it is turned, it would stand twice in the middle.
            columns.pop();
        }
        let circle = columns.last().map(at).is_some_and(|last| {
            let way = if goes_east {
                first - last
            } else {
                last - first
            };
            columns.len() > 2 && way.rem_euclid(360.0) < 1.5 * stride
        });
        let mut values: Vec<f64> = columns.iter().map(|column| half_turn(at(column))).collect();
        if circle {
            let start = values
                .windows(2)
                .position(|pair| matches!(pair, [a, b] if (a < b) != goes_east))
                .map_or(0, |before| before + 1);
            values.rotate_left(start);
            columns.rotate_left(start);
        } else {
            for at in 1..values.len() {
                let turn = match (values.get(at - 1), values.get(at)) {
                    (Some(before), Some(value)) if goes_east && value < before => 360.0,
                    (Some(before), Some(value)) if !goes_east && value > before => -360.0,
                    _ => 0.0,
                };
                if let Some(value) = values.get_mut(at) {
                    *value += turn;
                }
            }
        }
        self.columns = runs_of(&columns);
        self.turned = Some(values);
        self
    }

    /// Rows that are shown, in order.
    pub fn rows(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        let (first, last) = (self.rows.start, self.rows.end);
        let flipped = self.flipped;
        self.rows
            .clone()
            .map(move |row| if flipped { first + last - 1 - row } else { row })
    }

    /// Columns that are shown, in order.
    pub fn columns(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.columns.iter().flat_map(|range| range.clone())
    }

    /// Values of the column axis, of those of the whole axis.
    #[must_use]
    pub fn column_values(&self, whole: &[f64]) -> Vec<f64> {
        self.turned.clone().unwrap_or_else(|| {
            self.columns()
                .filter_map(|at| whole.get(at).copied())
                .collect()
        })
    }

    /// The values shown, row by row, of those of the whole grid.
    #[must_use]
    pub fn take<T: Copy>(&self, whole: &[T]) -> Vec<T> {
        let rows = self.cells_of_rows();
        self.take_of_rows(whole.get(rows).unwrap_or_default())
    }

    /// Places in the whole grid of the cells of the rows shown, whole rows.
    #[must_use]
    pub fn cells_of_rows(&self) -> Range<usize> {
        self.rows.start * self.nx..self.rows.end * self.nx
    }

    /// The values shown, row by row, of those of [`Crop::cells_of_rows`].
    #[must_use]
    pub fn take_of_rows<T: Copy>(&self, rows: &[T]) -> Vec<T> {
        let (ny, nx) = self.shape();
        let mut values = Vec::with_capacity(ny.saturating_mul(nx).min(rows.len()));
        for row in self.rows().map(|row| row - self.rows.start) {
            for range in &self.columns {
                let from = row * self.nx;
                values.extend_from_slice(
                    rows.get(from + range.start..from + range.end)
                        .unwrap_or_default(),
                );
            }
        }
        values
    }
}

/// Ranges of the columns that follow each other.
fn runs_of(columns: &[usize]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for column in columns {
        match ranges.last_mut() {
            Some(range) if range.end == *column => range.end += 1,
            _ => ranges.push(*column..*column + 1),
        }
    }
    ranges
}

fn cell_in(grid: &Grid, row: usize, column: usize, bounds: &BoundingBox) -> bool {
    grid.locator()
        .locate(row, column)
        .is_some_and(|(latitude, longitude)| {
            bounds.has_latitude(latitude) && bounds.has_longitude(longitude)
        })
}

fn same_meridian(a: f64, b: f64) -> bool {
    let turn = (a - b).rem_euclid(360.0);
    turn.min(360.0 - turn) <= SLACK
}

/// Ranges of consecutive positions that are in.
fn ranges(inside: impl Iterator<Item = bool>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (at, _) in inside.enumerate().filter(|(_, inside)| *inside) {
        match ranges.last_mut() {
            Some(range) if range.end == at => range.end += 1,
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crop(longitudes: &[f64], west: f64, east: f64) -> Option<(Vec<usize>, Vec<f64>)> {
        let bounds = BoundingBox::new(-10.0, west, 10.0, east).unwrap();
        let crop = Crop::of_axes(&[20.0, 10.0, 0.0, -10.0, -20.0], longitudes, &bounds)?;
        assert_eq!(crop.rows, 1..4);
        Some((crop.columns().collect(), crop.column_values(longitudes)))
    }

    fn globe(from: f64, to: f64) -> Vec<f64> {
        let step = if from < to { 90.0 } else { -90.0 };
        let mut all = vec![from];
        while let Some(last) = all.last().filter(|last| **last != to) {
            all.push(last + step);
        }
        all
    }

    #[test]
    fn a_box_across_the_seam_turns_the_axis() {
        let globe = globe(0.0, 270.0);
        assert_eq!(
            crop(&globe, 80.0, 190.0),
            Some((vec![1, 2], vec![90.0, 180.0]))
        );
        assert_eq!(
            crop(&globe, -90.0, 0.0),
            Some((vec![3, 0], vec![-90.0, 0.0]))
        );
        assert_eq!(
            crop(&globe, 260.0, 100.0),
            Some((vec![3, 0, 1], vec![270.0, 360.0, 450.0]))
        );
        assert_eq!(crop(&globe, -170.0, -80.0), Some((vec![3], vec![270.0])));
        assert_eq!(crop(&globe, 10.0, 80.0), None);
        let all = Some((vec![0, 1, 2, 3], globe.clone()));
        assert_eq!(crop(&globe, -180.0, 180.0), all);
        assert_eq!(crop(&globe, 0.0, 360.0), all);
    }

    #[test]
    fn so_does_a_box_across_the_date_line() {
        let globe = globe(-180.0, 90.0);
        assert_eq!(
            crop(&globe, 90.0, -180.0),
            Some((vec![3, 0], vec![90.0, 180.0]))
        );
        assert_eq!(
            crop(&globe, 80.0, 280.0),
            Some((vec![3, 0, 1], vec![90.0, 180.0, 270.0]))
        );
    }

    #[test]
    fn axes_may_run_west_and_meridians_stand_twice() {
        assert_eq!(
            crop(&globe(270.0, 0.0), -90.0, 90.0),
            Some((vec![2, 3, 0], vec![90.0, 0.0, -90.0]))
        );
        assert_eq!(
            crop(&globe(0.0, 360.0), -90.0, 90.0),
            Some((vec![3, 0, 1], vec![-90.0, 0.0, 90.0]))
        );
    }

    #[test]
    fn values_are_taken_row_by_row() {
        let crop = Crop {
            rows: 1..3,
            flipped: false,
            columns: vec![2..3, 0..1],
            nx: 3,
            turned: None,
        };
        assert_eq!(
            crop.take(&[0, 1, 2, 10, 11, 12, 20, 21, 22]),
            [12, 10, 22, 20]
        );
        assert_eq!(crop.shape(), (2, 2));
    }

    #[test]
    fn boxes_are_refused_that_are_none() {
        assert!(BoundingBox::new(10.0, 0.0, -10.0, 5.0).is_none());
        assert!(BoundingBox::new(-91.0, 0.0, 10.0, 5.0).is_none());
        assert!(BoundingBox::new(0.0, -400.0, 10.0, 5.0).is_none());
        assert!(BoundingBox::new(0.0, f64::NAN, 10.0, 5.0).is_none());
    }
    #[test]
    fn a_circle_is_turned_at_the_date_line_and_a_part_is_not_cut() {
        let turned = |columns: Vec<Range<usize>>, longitudes: &[f64]| {
            let crop = Crop {
                rows: 0..1,
                flipped: false,
                columns,
                nx: longitudes.len(),
                turned: None,
            };
            let crop = crop.turned_at_date_line(longitudes);
            let columns: Vec<usize> = crop.columns().collect();
            (columns, crop.column_values(longitudes))
        };
        let world = globe(0.0, 270.0);
        let all = std::iter::once(0..4).collect::<Vec<_>>();
        assert_eq!(
            turned(all.clone(), &world),
            (vec![2, 3, 0, 1], vec![-180.0, -90.0, 0.0, 90.0])
        );
        assert_eq!(
            turned(all, &globe(270.0, 0.0)),
            (vec![2, 3, 0, 1], vec![90.0, 0.0, -90.0, -180.0])
        );
        let five = std::iter::once(0..5).collect::<Vec<_>>();
        assert_eq!(
            turned(five, &globe(0.0, 360.0)),
            (vec![2, 3, 0, 1], vec![-180.0, -90.0, 0.0, 90.0])
        );
        let part = [170.0, 175.0, 180.0, 185.0];
        let four = std::iter::once(0..4).collect::<Vec<_>>();
        assert_eq!(
            turned(four.clone(), &part),
            (vec![0, 1, 2, 3], part.to_vec())
        );
        let west = [350.0, 352.0, 354.0, 356.0];
        let here = vec![-10.0, -8.0, -6.0, -4.0];
        assert_eq!(turned(four, &west), (vec![0, 1, 2, 3], here));
    }

    #[test]
    fn flipped_rows_are_taken_from_the_last() {
        let crop = Crop {
            rows: 1..3,
            flipped: true,
            columns: std::iter::once(0..2).collect(),
            nx: 2,
            turned: None,
        };
        assert_eq!(crop.rows().collect::<Vec<_>>(), [2, 1]);
        assert_eq!(crop.take(&[0, 1, 10, 11, 20, 21]), [20, 21, 10, 11]);
    }
}

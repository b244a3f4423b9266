//! Cells that lie in rows of latitude, each with its own longitudes: reduced grids.

use super::field::wrapped;

/// Most rows of a grid that cells are resampled to.
const MOST_ROWS: usize = 2000;

/// Cells sorted into rows of one latitude each, from north to south.
pub(super) struct Rings {
    rings: Vec<Ring>,
    pub(super) west: f64,
    pub(super) width: f64,
}

/// The cells of one latitude, by longitude.
#[derive(Default)]
pub(super) struct Ring {
    latitude: f64,
    /// From 0 to below 360.
    longitudes: Vec<f64>,
    values: Vec<f32>,
}

impl Rings {
    pub(super) fn of(values: &[f32], latitudes: &[f64], longitudes: &[f64]) -> Self {
        let mut cells: Vec<(f64, f64, f32)> = values
            .iter()
            .zip(latitudes.iter().zip(longitudes))
            .map(|(value, (latitude, longitude))| (*latitude, longitude.rem_euclid(360.0), *value))
            .collect();
        cells.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
        let mut rings: Vec<Ring> = Vec::new();
        for (latitude, longitude, value) in cells {
            if rings
                .last()
                .is_none_or(|ring| (ring.latitude - latitude).abs() > 1e-7)
            {
                rings.push(Ring {
                    latitude,
                    ..Ring::default()
                });
            }
            if let Some(ring) = rings.last_mut() {
                ring.longitudes.push(longitude);
                ring.values.push(value);
            }
        }
        // The part of the circle that has cells begins behind the widest stretch without any.
        let mut all: Vec<f64> = longitudes.iter().map(|own| own.rem_euclid(360.0)).collect();
        all.sort_by(f64::total_cmp);
        let first = all.first().copied().unwrap_or_default();
        let next = all.iter().skip(1).copied().chain([first + 360.0]);
        let widest = all.iter().zip(next).map(|(a, b)| (b - a, b));
        let (gap, after) = widest.fold((0.0, first), |a, b| if b.0 > a.0 { b } else { a });
        let (west, width) = if gap > 20.0 {
            (after, 360.0 - gap)
        } else {
            (-180.0, 360.0)
        };
        Self { rings, west, width }
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        let rows = self.rings.len().clamp(1, MOST_ROWS);
        let longest = self.rings.iter().map(|ring| ring.longitudes.len()).max();
        let columns = longest.unwrap_or(1).clamp(1, MOST_ROWS * 2);
        (rows, columns)
    }

    pub(super) fn latitude(&self, row: usize, rows: usize) -> f64 {
        let at = |ring: Option<&Ring>| ring.map_or(0.0, |ring| ring.latitude);
        let (north, south) = (at(self.rings.first()), at(self.rings.last()));
        north + (south - north) * row as f64 / (rows.max(2) - 1) as f64
    }

    pub(super) fn nearest(&self, latitude: f64) -> &Ring {
        let after = self.rings.partition_point(|ring| ring.latitude > latitude);
        let beside = [after.checked_sub(1), Some(after)];
        let rings = beside
            .into_iter()
            .flatten()
            .filter_map(|at| self.rings.get(at));
        let away = |ring: &&Ring| (ring.latitude - latitude).abs();
        static NONE: Ring = Ring {
            latitude: 0.0,
            longitudes: Vec::new(),
            values: Vec::new(),
        };
        rings
            .min_by(|a, b| away(a).total_cmp(&away(b)))
            .unwrap_or(&NONE)
    }
}

impl Ring {
    /// Value of the nearest cell, if it is not far away.
    pub(super) fn nearest(&self, longitude: f64) -> f32 {
        let longitude = longitude.rem_euclid(360.0);
        let after = self.longitudes.partition_point(|own| *own < longitude);
        let count = self.longitudes.len();
        if count == 0 {
            return f32::NAN;
        }
        let beside = [(after + count - 1) % count, after % count];
        let away = |at: usize| {
            let own = self.longitudes.get(at).copied().unwrap_or_default();
            wrapped(own - longitude).abs()
        };
        let [before, next] = beside;
        let nearest = if away(before) <= away(next) {
            before
        } else {
            next
        };
        let spacing = match self.longitudes.as_slice() {
            [first, second, ..] => second - first,
            _ => 360.0,
        };
        if away(nearest) > spacing {
            return f32::NAN;
        }
        self.values.get(nearest).copied().unwrap_or(f32::NAN)
    }
}

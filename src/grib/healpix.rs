//! HEALPix: cells of equal area on the sphere, numbered along rings or along nested squares.
//!
//! Source: K. M. Gorski et al. 2005, The Astrophysical Journal 622, 759 (equations 4 to 9 and the layout of base pixels).

/// Largest `Nside`: 12 * 8192^2 is 805 million cells.
pub const MAX_SIDE: u32 = 8192;

/// Row offset of the twelve base pixels, in units of Nside.
const FACE_ROW: [i64; 12] = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4];

/// Column offset of the twelve base pixels, in eighths of a turn.
const FACE_COLUMN: [i64; 12] = [1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7];

/// A HEALPix tessellation of the sphere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Healpix {
    /// Cells along the side of a base pixel, 1 to [`MAX_SIDE`].
    pub side: u32,
    /// Nested order; else rings.
    pub nested: bool,
}

impl Healpix {
    /// Latitude and longitude of a cell's centre, in degrees, longitude 0 to 360; the first cell of the northernmost ring
    /// lies at 45.
    #[must_use]
    pub fn centre(self, cell: u32) -> (f64, f64) {
        let (ring, place) = if self.nested {
            self.of_nested(i64::from(cell))
        } else {
            self.of_ring(i64::from(cell))
        };
        let side = i64::from(self.side);
        let (sine, count, shift) = self.ring(ring);
        // Places count from 1; rings of the caps and every second ring between them start half a cell off 0.
        let offset = if shift { 0.5 } else { 1.0 };
        let longitude = (float(place) - offset) * 360.0 / float(count);
        debug_assert!(ring > 0 && ring < 4 * side);
        (
            sine.clamp(-1.0, 1.0).asin().to_degrees(),
            longitude.rem_euclid(360.0),
        )
    }

    /// Sine of the latitude, cells, and whether the first cell is half a cell off longitude 0.
    fn ring(self, ring: i64) -> (f64, i64, bool) {
        let side = i64::from(self.side);
        let square = float(side) * float(side);
        if ring < side {
            (1.0 - float(ring * ring) / (3.0 * square), 4 * ring, true)
        } else if ring <= 3 * side {
            let sine = float(2 * side - ring) * 2.0 / (3.0 * float(side));
            (sine, 4 * side, (ring - side) % 2 == 0)
        } else {
            let below = 4 * side - ring;
            (float(below * below) / (3.0 * square) - 1.0, 4 * below, true)
        }
    }

    /// Ring (from 1) and place in it (from 1) by number along rings.
    fn of_ring(self, cell: i64) -> (i64, i64) {
        let side = i64::from(self.side);
        let cap = 2 * side * (side - 1);
        let all = 12 * side * side;
        if cell < cap {
            let ring = cap_ring(cell);
            (ring, cell + 1 - 2 * ring * (ring - 1))
        } else if cell < all - cap {
            let inner = cell - cap;
            (inner / (4 * side) + side, inner % (4 * side) + 1)
        } else {
            let left = all - 1 - cell;
            let below = cap_ring(left);
            let place = left + 1 - 2 * below * (below - 1);
            (4 * side - below, 4 * below + 1 - place)
        }
    }

    /// Ring (from 1) and place in it (from 1) by number in nested order.
    fn of_nested(self, cell: i64) -> (i64, i64) {
        let side = i64::from(self.side);
        let (face, inner) = (cell / (side * side), cell % (side * side));
        let (x, y) = (every_second_bit(inner), every_second_bit(inner >> 1));
        let at = |table: [i64; 12]| {
            usize::try_from(face)
                .ok()
                .and_then(|face| table.get(face).copied())
                .unwrap_or(0)
        };
        let ring = at(FACE_ROW) * side - x - y - 1;
        let (_, count, shift) = self.ring(ring);
        let quarter = count / 4;
        let half = i64::from(!shift);
        let place = (at(FACE_COLUMN) * quarter + x - y + 1 + half) / 2;
        let place = if place > count { place - count } else { place };
        (ring, if place < 1 { place + count } else { place })
    }
}

/// The ring, from 1, of a cell of the northern cap: the largest r with 2 r (r - 1) <= cell.
fn cap_ring(cell: i64) -> i64 {
    let twice = 2 * cell + 1;
    // r = (1 + sqrt(1 + 2 cell)) / 2 rounded down, with the root of an integer.
    i64::midpoint(1, twice.isqrt())
}

/// Bits 0, 2, 4, ... pushed together.
fn every_second_bit(value: i64) -> i64 {
    (0..31).fold(0, |bits, k| bits | (value >> (2 * k) & 1) << k)
}

#[expect(clippy::cast_precision_loss, reason = "counts of cells are below 2^53")]
fn float(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_hold_the_same_cells() {
        for side in [1, 2, 4, 8] {
            let mut orders = [false, true].map(|nested| {
                let grid = Healpix { side, nested };
                let mut cells: Vec<(i64, i64)> = (0..12 * side * side)
                    .map(|cell| {
                        let (north, east) = grid.centre(cell);
                        let scaled = |degrees: f64| (degrees * 1e6).round().to_string().parse();
                        (scaled(north).unwrap(), scaled(east).unwrap())
                    })
                    .collect();
                cells.sort_unstable();
                cells
            });
            orders[1].dedup();
            assert_eq!(orders[0], orders[1], "side {side}");
        }
    }

    #[test]
    fn rings_start_where_they_should() {
        let grid = Healpix {
            side: 2,
            nested: false,
        };
        let near = |cell: u32, latitude: f64, longitude: f64| {
            let (north, east) = grid.centre(cell);
            assert!((north - latitude).abs() < 1e-9 && (east - longitude).abs() < 1e-9);
        };
        near(0, 66.443_535_690_898_77, 45.0);
        near(6, 41.810_314_895_778_59, 112.5);
        near(12, 19.471_220_634_490_69, 0.0);
        near(47, -66.443_535_690_898_77, 315.0);
    }
}

//! Scanning mode: in which order the cells of a grid stand in the file, and how to bring them into rows.
//!
//! One order is delivered: row-major `(y, x)`, with i and j running as the message codes them. Two flags stand in its way:
//! 0x20 puts cells that are neighbours along j next to each other, 0x10 runs every second line backwards. With both, cell
//! 5 of a 3 x 2 grid in the file (columns of 2, second column reversed) is row 0, column 2 after the odd column 1.
//!
//! Source: Flag Table 3.4.

/// Scanning mode of a grid, Flag Table 3.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scan(pub u8);

impl Scan {
    /// Points run towards -i.
    #[must_use]
    pub const fn i_negative(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Rows run towards +j.
    #[must_use]
    pub const fn j_positive(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// Neighbours along j are consecutive.
    #[must_use]
    pub const fn j_consecutive(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// Every second line runs backwards.
    #[must_use]
    pub const fn alternating(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// Lines are shifted against each other, or of unequal length: no regular grid.
    #[must_use]
    pub const fn shifted(self) -> bool {
        self.0 & 0x0f != 0
    }
}

/// How cells of a grid of `ny` rows and `nx` columns stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CellOrder {
    /// Rows of the grid delivered.
    pub ny: usize,
    /// Columns of the grid delivered.
    pub nx: usize,
    /// Every second line of the file runs backwards (boustrophedon).
    pub alternating: bool,
    /// Lines of the file are columns of the grid.
    pub j_consecutive: bool,
}

/// The values are not as many as the grid has cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{values} values for a grid of {ny} x {nx} cells")]
pub struct CellCount {
    /// Values given.
    pub values: usize,
    /// Rows.
    pub ny: usize,
    /// Columns.
    pub nx: usize,
}

/// Side of the square tiles in which columns are turned into rows, in cells: source and target fit the first cache.
const TILE: usize = 32;

impl CellOrder {
    /// Whether the file's order is the delivered order already.
    #[must_use]
    pub const fn is_row_major(self) -> bool {
        !self.alternating && !self.j_consecutive
    }

    /// Row and column of a cell by its place in the file; `None` past the end.
    #[must_use]
    pub fn position(self, index: usize) -> Option<(usize, usize)> {
        let (lines, length) = self.lines();
        let (line, at) = (index.checked_div(length)?, index.checked_rem(length)?);
        if line >= lines {
            return None;
        }
        let at = if self.alternating && line % 2 == 1 {
            length - 1 - at
        } else {
            at
        };
        Some(if self.j_consecutive {
            (at, line)
        } else {
            (line, at)
        })
    }

    /// Brings values from the file's order into rows. Only j-consecutive grids take a second buffer.
    ///
    /// # Errors
    /// [`CellCount`] if there are not exactly `ny * nx` values; they stay as they are.
    pub fn reorder<T: Copy>(self, values: &mut Vec<T>) -> Result<(), CellCount> {
        if self.ny.checked_mul(self.nx) != Some(values.len()) {
            return Err(CellCount {
                values: values.len(),
                ny: self.ny,
                nx: self.nx,
            });
        }
        let (_, length) = self.lines();
        if self.alternating && length > 0 {
            values
                .chunks_exact_mut(length)
                .skip(1)
                .step_by(2)
                .for_each(<[T]>::reverse);
        }
        if self.j_consecutive {
            *values = self.transposed(values);
        }
        Ok(())
    }

    /// Number and length of the lines in the file.
    const fn lines(self) -> (usize, usize) {
        if self.j_consecutive {
            (self.nx, self.ny)
        } else {
            (self.ny, self.nx)
        }
    }

    /// Columns one after the other into rows one after the other.
    fn transposed<T: Copy>(self, columns: &[T]) -> Vec<T> {
        let mut rows = columns.to_vec();
        for top in (0..self.ny).step_by(TILE) {
            for left in (0..self.nx).step_by(TILE) {
                for y in top..self.ny.min(top + TILE) {
                    for x in left..self.nx.min(left + TILE) {
                        let cell = columns.get(x * self.ny + y);
                        if let (Some(to), Some(from)) = (rows.get_mut(y * self.nx + x), cell) {
                            *to = *from;
                        }
                    }
                }
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(alternating: bool, j_consecutive: bool) -> CellOrder {
        CellOrder {
            ny: 2,
            nx: 3,
            alternating,
            j_consecutive,
        }
    }

    #[test]
    fn every_order_becomes_rows() {
        // The grid is 11 12 13 / 21 22 23.
        for (alternating, j_consecutive, file) in [
            (false, false, [11, 12, 13, 21, 22, 23]),
            (true, false, [11, 12, 13, 23, 22, 21]),
            (false, true, [11, 21, 12, 22, 13, 23]),
            (true, true, [11, 21, 22, 12, 13, 23]),
        ] {
            let order = order(alternating, j_consecutive);
            let mut values = file.to_vec();
            order.reorder(&mut values).unwrap();
            assert_eq!(values, [11, 12, 13, 21, 22, 23]);
            for (index, value) in file.iter().enumerate() {
                let (y, x) = order.position(index).unwrap();
                assert_eq!(*value, (y + 1) * 10 + x + 1);
            }
            assert_eq!(order.position(6), None);
        }
    }

    #[test]
    fn tiles_meet() {
        let order = CellOrder {
            ny: 70,
            nx: 45,
            alternating: true,
            j_consecutive: true,
        };
        let mut values: Vec<usize> = (0..70 * 45).collect();
        order.reorder(&mut values).unwrap();
        for index in 0..70 * 45 {
            let (y, x) = order.position(index).unwrap();
            assert_eq!(values[y * 45 + x], index);
        }
    }

    #[test]
    fn a_wrong_count_is_refused() {
        let mut values = vec![1, 2, 3];
        assert!(order(true, true).reorder(&mut values).is_err());
        assert_eq!(values, [1, 2, 3]);
    }
}

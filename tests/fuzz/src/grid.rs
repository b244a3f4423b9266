//! Section 3 of any content: the grid, its coordinates, the order of its cells.

use gribfs::grib::grid::Grid;

/// Most cells that are all looked at: what is looked for does not grow with them.
const MOST_CELLS: usize = 4096;

/// Most parallels between pole and equator: the work grows with their square, up to a bound that has a test of its own.
const MOST_PARALLELS: u32 = 320;

/// Reads the octets as section 3.
///
/// # Panics
/// If anything panics, or if a grid contradicts itself: a find.
pub fn run(section3: &[u8]) {
    read(section3);
}

/// Reads section 3 and all that follows from it.
///
/// # Panics
/// As [`run`].
pub fn read(section3: &[u8]) {
    let parallels = section3
        .get(67..71)
        .and_then(|octets| octets.try_into().ok())
        .map(u32::from_be_bytes);
    let gaussian = matches!(section3.get(12..14), Some([0, 40 | 41]));
    if gaussian && parallels.is_some_and(|parallels| parallels > MOST_PARALLELS) {
        return;
    }
    let Ok(grid) = Grid::parse(section3) else {
        return;
    };
    let (ny, nx) = grid.shape();
    assert_eq!(ny * nx, grid.points());
    assert!(grid.points() > 0);
    let coordinates = grid.coordinates();
    let lengths: usize = coordinates.axes.iter().map(|axis| axis.length).product();
    assert_eq!(lengths, grid.points());
    for axis in &coordinates.axes {
        assert!(axis.values.is_empty() || axis.values.len() == axis.length);
        assert!(
            axis.values.iter().all(|value| value.is_finite()),
            "{}",
            axis.name
        );
    }
    let locator = grid.locator();
    assert_eq!(locator.locate(ny, 0), None);
    assert_eq!(locator.locate(0, nx), None);
    for (row, column) in [(0, 0), (ny - 1, nx - 1), (ny / 2, nx / 2)] {
        let (latitude, longitude) = locator.locate(row, column).expect("a cell of the grid");
        // Not a number where a projection shows no point of the earth.
        assert!(
            latitude.is_nan() || latitude.abs() <= 90.000_001 || !coordinates.has_locations,
            "{latitude}"
        );
        assert!(
            longitude.is_nan() || longitude.abs() <= 360.000_001 || !coordinates.has_locations,
            "{longitude}"
        );
    }
    if grid.points() <= MOST_CELLS {
        let (latitudes, longitudes) = locator.locations();
        assert_eq!(
            (latitudes.len(), longitudes.len()),
            (grid.points(), grid.points())
        );
        check_order(&grid);
    }
}

/// Every cell stands in the file once, and putting the cells in order puts each where its position says.
fn check_order(grid: &Grid) {
    let order = grid.cell_order();
    let nx = grid.shape().1;
    let mut cells: Vec<usize> = (0..grid.points()).collect();
    order
        .reorder(&mut cells)
        .expect("as many as there are cells");
    for index in 0..grid.points() {
        let (row, column) = order.position(index).expect("a cell of the grid");
        assert_eq!(cells[row * nx + column], index);
    }
    assert_eq!(order.position(grid.points()), None);
}

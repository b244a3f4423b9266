//! Projected grids on every shape of the earth against ecCodes (`tests/data/grid_cases.json`, made by
//! `scripts/make_grid_cases.py`): both hemispheres, one and two standard parallels, oblique and polar.

use gribfs::grib::grid::Grid;
use serde_json::Value;

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap())
        .collect()
}

/// Largest distance from ecCodes, in degrees, of the points of a case.
fn farthest(grid: &Grid, points: &Value) -> f64 {
    let (_, nx) = grid.shape();
    let far = points.as_array().unwrap().iter().map(|point| {
        let index = usize::try_from(point[0].as_u64().unwrap()).unwrap();
        let (latitude, longitude) = grid.locator().locate(index / nx, index % nx).unwrap();
        let turn = (longitude - point[2].as_f64().unwrap() + 180.0).rem_euclid(360.0) - 180.0;
        (latitude - point[1].as_f64().unwrap())
            .abs()
            .max(turn.abs())
    });
    far.fold(0.0, f64::max)
}

#[test]
fn projected_grids_lie_where_eccodes_puts_them() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../data/grid_cases.json")).unwrap();
    assert!(cases.len() > 100, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let section = bytes(&case["section3"]);
        let grid = Grid::parse(&section).unwrap();
        assert_eq!(Some(grid.kind()), case["kind"].as_str());
        let far = farthest(&grid, &case["points"]);
        if far.is_nan() || far > 1e-6 {
            let first = &case["points"][1];
            wrong.push(format!(
                "{} on earth {}: {far} at {first}",
                grid.kind(),
                section[14]
            ));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

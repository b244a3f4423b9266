//! Projected grids on every shape of the earth against ecCodes (`tests/data/grid_cases.json`, made by
//! `scripts/make_grid_cases.py`): both hemispheres, one and two standard parallels, oblique and polar.

use std::collections::BTreeMap;

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
    // Beside the earth's disc there is no place; ecCodes says 0, 0.
    let nowhere = |place: (f64, f64), point: &Value| {
        place.0.is_nan() && place.1.is_nan() && point[1] == 0.0 && point[2] == 0.0
    };
    let far = points.as_array().unwrap().iter().map(|point| {
        let index = usize::try_from(point[0].as_u64().unwrap()).unwrap();
        let (latitude, longitude) = grid.locator().locate(index / nx, index % nx).unwrap();
        if nowhere((latitude, longitude), point) {
            return 0.0;
        }
        let turn = (longitude - point[2].as_f64().unwrap() + 180.0).rem_euclid(360.0) - 180.0;
        (latitude - point[1].as_f64().unwrap())
            .abs()
            .max(turn.abs())
    });
    far.fold(0.0, |most, far| {
        if far > most || far.is_nan() {
            far
        } else {
            most
        }
    })
}

#[test]
fn projected_grids_lie_where_eccodes_puts_them() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../data/grid_cases.json")).unwrap();
    assert!(cases.len() > 100, "{} cases", cases.len());
    let mut wrong = Vec::new();
    let mut kinds = BTreeMap::new();
    for case in &cases {
        let section = bytes(&case["section3"]);
        let grid = Grid::parse(&section).unwrap();
        assert_eq!(Some(grid.kind()), case["kind"].as_str());
        let far = farthest(&grid, &case["points"]);
        *kinds.entry(grid.kind()).or_insert(0) += 1;
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
    assert!(kinds.len() == 5, "{kinds:?}");
}

/// What a satellite sees from elsewhere is refused by name: nothing to hold our reading of it against.
#[test]
fn space_views_that_eccodes_does_not_place_are_refused() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../data/grid_cases.json")).unwrap();
    let view = cases.iter().find(|case| case["kind"] == "space_view");
    let good = bytes(&view.unwrap()["section3"]);
    let refused = |octet: usize, octets: &[u8], word: &str| {
        let mut section = good.clone();
        section[octet - 1..octet - 1 + octets.len()].copy_from_slice(octets);
        let error = Grid::parse(&section).unwrap_err().to_string();
        assert!(error.contains(word), "{octet}: {error}");
    };
    refused(39, &[0, 0, 0, 1], "off the equator");
    refused(65, &[0, 0, 0, 1], "turned");
    refused(64, &[0x80], "another corner");
    refused(64, &[0x40], "another corner");
    refused(69, &[255; 4], "orthographic");
    refused(69, &[0, 0x0f, 0x42, 0x40], "inside of the earth");
    refused(48, &[0; 4], "missing");
    refused(52, &[255; 4], "missing");
    refused(56, &[255; 4], "missing");
}

//! Coordinates of every grid of the shared corpus against ecCodes.
//!
//! What is refused, and where ecCodes is not followed, stands in lists here, so that neither can grow in silence.

use std::collections::BTreeMap;

use gribfs::grib::grid::Grid;
use serde_json::Value;

use crate::grib_corpus::{Differences, for_each_field};

/// Grids whose coordinates ecCodes has wrong, and why.
const ECCODES_IS_WRONG: [(&str, &str); 3] = [
    // Rows run south (scanning mode 0), ecCodes runs north: it does not heed the flags on polar stereographic grids.
    (
        "eccodes/polar_stereographic_pl_grib2.tmpl",
        "polar_stereographic",
    ),
    // ecCodes gives the coordinates of the rotated frame, not of the earth; for the reduced one it gives the earth's.
    ("eccodes/rotated_gg_pl_grib2.tmpl", "rotated_gg"),
    // The last point is coded one increment too far; ecCodes stretches the columns to meet it.
    (
        "grib2io/gefs.chem.t00z.a2d_0p25.f000.grib2_subset",
        "regular_ll",
    ),
];

/// How far ecCodes' coordinates of a cell may lie from ours, in degrees of latitude and longitude.
///
/// ecCodes counts the latitudes of regular lat/lon grids by the coded increment, we divide first to last: the difference
/// grows with the row, and exactly so. It rounds the coordinates of rotated grids through single precision.
fn tolerance(grid: &Grid, row: usize, expected: &Value) -> (f64, f64) {
    match grid.kind() {
        "regular_ll" => {
            let axis = &grid.coordinates().axes[0].values;
            let step = axis.get(1).map_or(0.0, |second| (second - axis[0]).abs());
            let coded = expected["jDirectionIncrementInDegrees"]
                .as_f64()
                .unwrap_or(step);
            (
                1e-9 + (step - coded).abs() * f64::from(u32::try_from(row).unwrap()),
                1e-9,
            )
        }
        "regular_gg" | "reduced_gg" | "reduced_ll" | "healpix" => (1e-9, 1e-9),
        "rotated_ll" | "reduced_rotated_gg" => (4e-6, 16e-6),
        _ => (1e-6, 1e-6),
    }
}

fn check_points(differences: &mut Differences, at: &str, grid: &Grid, expected: &Value) {
    let (_, nx) = grid.shape();
    for point in expected["points"].as_array().unwrap() {
        let index = usize::try_from(point[0].as_u64().unwrap()).unwrap();
        // ecCodes gives alternating rows the coordinates of rows that do not alternate; its values do alternate.
        let order = grid.cell_order();
        let (row, column) = if order.alternating {
            (index / nx, index % nx)
        } else {
            order.position(index).unwrap()
        };
        let (latitude, longitude) = grid.locator().locate(row, column).unwrap();
        let (north, east) = (point[1].as_f64().unwrap(), point[2].as_f64().unwrap());
        // Beside the earth's disc there is no place; ecCodes says 0, 0.
        if latitude.is_nan() && longitude.is_nan() && (north, east) == (0.0, 0.0) {
            continue;
        }
        let turn = (longitude - east + 180.0).rem_euclid(360.0) - 180.0;
        let (far_north, far_east) = tolerance(grid, row, expected);
        let close = (latitude - north).abs() < far_north && turn.abs() < far_east;
        if !close {
            differences.0.push(format!(
                "{at} {} point {index}: {latitude} {longitude}, ecCodes {north} {east}",
                grid.kind()
            ));
            return;
        }
    }
}

fn check_axis(differences: &mut Differences, at: &str, values: &[f64], expected: &Value, far: f64) {
    let Some(count) = expected["count"].as_u64() else {
        return;
    };
    differences.check(at, "axis length", values.len() as u64, count);
    for (what, ours) in [
        ("first", values.first()),
        ("second", values.get(1)),
        ("last", values.last()),
    ] {
        if let (Some(ours), Some(theirs)) = (ours, expected[what].as_f64()) {
            let turn = (ours - theirs + 180.0).rem_euclid(360.0) - 180.0;
            if turn.abs() > far {
                differences
                    .0
                    .push(format!("{at} {what} of axis: {ours}, ecCodes {theirs}"));
            }
        }
    }
}

#[test]
fn coordinates_are_those_of_eccodes() {
    let mut differences = Differences::default();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let mut served: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unchecked = Vec::new();
    for_each_field(|at, field, expected| {
        let expected = &expected["grid"];
        let grid = match Grid::parse(field.section3) {
            Ok(grid) => grid,
            Err(error) => {
                *refused.entry(error.to_string()).or_default() += 1;
                return;
            }
        };
        *served.entry(grid.kind()).or_default() += 1;
        differences.check(
            at,
            "kind",
            grid.kind(),
            expected["gridType"].as_str().unwrap(),
        );
        differences.check(
            at,
            "points",
            grid.points() as u64,
            expected["numberOfDataPoints"].as_u64().unwrap(),
        );
        if ECCODES_IS_WRONG
            .iter()
            .any(|(file, kind)| at.starts_with(file) && grid.kind() == *kind)
        {
            return *wrong.entry(grid.kind()).or_default() += 1;
        }
        if expected["points"].is_array() {
            check_points(&mut differences, at, &grid, expected);
        } else {
            unchecked.push(format!("{at} {}", expected["error"]));
        }
        if let [y, x] = grid.coordinates().axes.as_slice()
            && !grid.coordinates().has_locations
        {
            // ecCodes sets the last latitude to the one that is coded, so only the second is counted.
            let far = tolerance(&grid, 1, expected).0;
            check_axis(&mut differences, at, &y.values, &expected["latitudes"], far);
            check_axis(
                &mut differences,
                at,
                &x.values,
                &expected["longitudes"],
                1e-9,
            );
        }
    });
    if served.is_empty() {
        return;
    }
    println!("served: {served:?}; ecCodes is wrong: {wrong:?}");
    assert_eq!(differences.0, Vec::<String>::new());
    assert_eq!(unchecked, Vec::<String>::new());
    let refused: Vec<(&str, usize)> = refused
        .iter()
        .map(|(text, count)| (text.as_str(), *count))
        .collect();
    assert_eq!(refused, REFUSED);
}

/// Grids of the corpus that are refused, with the number of fields.
const REFUSED: [(&str, usize); 10] = [
    (
        "18432 grid points announced, rows and columns make 12288",
        1,
    ),
    ("933120000 grid points are more than 200000000", 1),
    (
        "grid template 3.0 contradicts itself: its latitudes run against the scanning mode",
        1,
    ),
    (
        "grid template 3.101 (general unstructured grid, its coordinates are in another file) is not supported",
        8,
    ),
    (
        "grid template 3.12 (transverse Mercator) is not supported",
        1,
    ),
    (
        "grid template 3.32769 (rotated latitude/longitude, Arakawa other than E, of NCEP) is not supported",
        2,
    ),
    (
        "grid template 3.33 (Lambert conformal with modelling subdomains) is not supported",
        1,
    ),
    (
        "grid template 3.50 (spherical harmonic coefficients) is not supported",
        3,
    ),
    (
        "grid template 3.63 (bi-Fourier coefficients, Lambert conformal) is not supported",
        1,
    ),
    (
        "grid template 3.90 (space view scanned from another corner than the north-western) is not supported",
        1,
    ),
];

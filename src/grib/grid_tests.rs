//! Unit tests of grids: sections built by hand, octet by octet.

use super::*;

/// Section 3 of `length` octets, earth 6, with values of four octets (and one of one) put in.
fn section(
    template: u16,
    points: u32,
    length: usize,
    put: &[(usize, u32)],
    scan: (usize, u8),
) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[6..10].copy_from_slice(&points.to_be_bytes());
    bytes[12..14].copy_from_slice(&template.to_be_bytes());
    bytes[14] = 6;
    for (octet, value) in put {
        bytes[octet - 1..octet + 3].copy_from_slice(&value.to_be_bytes());
    }
    bytes[scan.0 - 1] = scan.1;
    bytes
}

/// 3.0: 3 rows from 90 to -90, 4 columns from 0 to 270.
fn global(scan: u8, change: &[(usize, u32)]) -> Vec<u8> {
    let mut put = vec![
        (31, 4),
        (35, 3),
        (47, 90_000_000),
        (51, 0),
        (56, 0x8000_0000 | 90_000_000),
        (60, 270_000_000),
        // Increments that lie.
        (64, 1),
        (68, 1),
    ];
    put.extend_from_slice(change);
    section(0, 12, 72, &put, (72, scan))
}

fn axes(section: &[u8]) -> (Vec<f64>, Vec<f64>) {
    let grid = Grid::parse(section).unwrap();
    let [y, x] = grid.coordinates().axes.clone().try_into().unwrap();
    (y.values, x.values)
}

#[test]
fn axes_come_from_first_last_and_count() {
    let (y, x) = axes(&global(0, &[]));
    assert_eq!(
        (y, x),
        (vec![90.0, 0.0, -90.0], vec![0.0, 90.0, 180.0, 270.0])
    );
    let grid = Grid::parse(&global(0, &[])).unwrap();
    assert_eq!(
        (grid.kind(), grid.shape(), grid.points()),
        ("regular_ll", (3, 4), 12)
    );
    assert!(!grid.coordinates().has_locations);
    assert_eq!(grid.locator().locate(2, 3), Some((-90.0, 270.0)));
    assert_eq!(grid.locator().locate(3, 0), None);
    assert_eq!(
        grid.coordinates().mapping,
        [
            ("grid_mapping_name", Attribute::Text("latitude_longitude")),
            ("earth_radius", Attribute::Number(6_371_229.0)),
        ]
    );
}

#[test]
fn tenths_are_the_doubles_that_their_text_names() {
    let put = [
        (31, 4),
        (47, 300_000),
        (56, 100_000),
        (51, 0),
        (60, 300_000),
    ];
    let (y, x) = axes(&global(0, &put));
    assert_eq!((y, x), (vec![0.3, 0.2, 0.1], vec![0.0, 0.1, 0.2, 0.3]));
}

#[test]
fn longitudes_run_on_across_the_meridian() {
    let (_, x) = axes(&global(0, &[(51, 350_000_000), (60, 20_000_000)]));
    assert_eq!(x, [-10.0, 0.0, 10.0, 20.0]);
    let (_, x) = axes(&global(0x80, &[(51, 20_000_000), (60, 350_000_000)]));
    assert_eq!(x, [20.0, 10.0, 0.0, -10.0]);
}

#[test]
fn an_end_coded_one_step_too_far_is_seen() {
    // 4 columns 90 degrees apart up to 360, 3 rows 10 degrees apart from 40 to 10.
    let put = [
        (47, 40_000_000),
        (56, 10_000_000),
        (60, 361_000_000),
        (64, 90_250_000),
        (68, 10_000_000),
    ];
    let mut bytes = global(0, &put);
    bytes[54] = 0x30;
    let (y, x) = axes(&bytes);
    assert_eq!(
        y,
        [40.0, 25.0, 10.0],
        "15 degrees are a whole number: the last row is believed"
    );
    assert_eq!(x, [0.0, 90.25, 180.5, 270.75]);
    // The same with longitudes that close the circle.
    let mut circle = global(0, &[(60, 0), (64, 90_000_000)]);
    circle[54] = 0x20;
    assert!(Grid::parse(&global(0, &[(60, 0), (64, 90_000_000)])).is_err());
    assert_eq!(axes(&circle).1, [0.0, 90.0, 180.0, 270.0]);
}

#[test]
fn angles_may_have_a_unit_of_their_own() {
    let put = [
        (39, 1),
        (43, 2),
        (47, 180),
        (56, 0x8000_0000 | 180),
        (60, 540),
    ];
    let (y, x) = axes(&global(0, &put));
    assert_eq!(
        (y, x),
        (vec![90.0, 0.0, -90.0], vec![0.0, 90.0, 180.0, 270.0])
    );
}

#[test]
fn contradictions_are_refused() {
    let invalid = |bytes: &[u8]| matches!(Grid::parse(bytes), Err(GridError::Invalid { .. }));
    assert!(invalid(&global(0x40, &[])));
    assert!(invalid(&global(0, &[(47, 90_000_001)])));
    assert!(invalid(&global(0, &[(60, 0)])));
    assert!(matches!(
        Grid::parse(&global(0, &[(35, 4)])),
        Err(GridError::PointCount {
            points: 12,
            cells: 16
        })
    ));
    assert!(matches!(
        Grid::parse(&global(0, &[(7, 0), (31, 0)])),
        Err(GridError::PointCount { .. })
    ));
    assert!(matches!(
        Grid::parse(&global(1, &[])),
        Err(GridError::Unsupported { template: 0, .. })
    ));
    assert!(matches!(
        Grid::parse(&global(0, &[(7, 933_120_000)])),
        Err(GridError::TooManyPoints { .. })
    ));
    assert!(matches!(
        Grid::parse(&global(0, &[])[..71]),
        Err(GridError::Length {
            need: 72,
            have: 71,
            ..
        })
    ));
}

/// Rows of no cells made a grid of no cells.
#[test]
fn a_grid_without_cells_is_refused() {
    let bytes = include_bytes!("../../tests/data/bad/grid/rows_without_cells");
    assert!(matches!(
        Grid::parse(bytes),
        Err(GridError::PointCount { points: 0, .. })
    ));
}

#[test]
fn other_templates_are_refused_by_name() {
    for (template, word) in [
        (50, "harmonic"),
        (101, "unstructured"),
        (12, "Mercator"),
        (999, "unknown"),
    ] {
        let bytes = section(template, 0, 15, &[], (12, 0));
        let text = Grid::parse(&bytes).unwrap_err().to_string();
        assert!(
            text.contains(word) && text.contains(&format!("3.{template}")),
            "{text}"
        );
    }
}

#[test]
fn hrrr_lies_where_noaa_says() {
    let put = [
        (31, 1799),
        (35, 1059),
        (39, 21_138_123),
        (43, 237_280_472),
        (48, 38_500_000),
        (52, 262_500_000),
        (56, 3_000_000),
        (60, 3_000_000),
        (66, 38_500_000),
        (70, 38_500_000),
    ];
    let grid = Grid::parse(&section(30, 1_905_141, 81, &put, (65, 0x40))).unwrap();
    assert_eq!((grid.kind(), grid.shape()), ("lambert", (1059, 1799)));
    // The far corner, from ecCodes.
    let (latitude, longitude) = grid.locator().locate(1058, 1798).unwrap();
    assert!((latitude - 47.842_195_022_488_66).abs() < 1e-9);
    assert!((longitude - 299.082_807_228_162_2).abs() < 1e-9);
    let [y, x] = grid.coordinates().axes.as_slice() else {
        panic!("two axes")
    };
    assert!((x.values[1] - x.values[0] - 3000.0).abs() < 1e-6);
    assert!(y.values[1] > y.values[0]);
    // The projection's origin lies at latitude 38.5 on the central meridian.
    assert!((y.values[0] + 1_587_306.0).abs() < 100.0 && (x.values[0] + 2_697_520.0).abs() < 100.0);
}

#[test]
fn reduced_rows_are_cells() {
    let put = [
        (31, u32::MAX),
        (35, 3),
        (47, 60_000_000),
        (56, 0x8000_0000 | 60_000_000),
        (60, 359_000_000),
    ];
    let mut bytes = section(0, 7, 72, &put, (72, 0));
    bytes[10] = 2;
    bytes[11] = 1;
    bytes.extend_from_slice(&[0, 2, 0, 4, 0, 1]);
    let grid = Grid::parse(&bytes).unwrap();
    assert_eq!((grid.kind(), grid.shape()), ("reduced_ll", (1, 7)));
    let (latitudes, longitudes) = grid.locator().locations();
    assert_eq!(latitudes, [60.0, 60.0, 0.0, 0.0, 0.0, 0.0, -60.0]);
    assert_eq!(longitudes, [0.0, 180.0, 0.0, 90.0, 180.0, 270.0, 0.0]);
    bytes.pop();
    assert!(matches!(
        Grid::parse(&bytes),
        Err(GridError::Length {
            need: 78,
            have: 77,
            ..
        })
    ));
}

#[test]
fn counts_of_rows_do_not_allocate() {
    let put = [(31, u32::MAX), (35, u32::MAX - 1), (47, 1), (60, 5)];
    let mut bytes = section(40, 7, 72, &put, (72, 0));
    bytes[10] = 4;
    bytes[11] = 1;
    assert!(matches!(Grid::parse(&bytes), Err(GridError::Length { .. })));
}

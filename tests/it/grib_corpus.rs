//! Every GRIB2 message of the shared corpus against what ecCodes says about it: walk, identity, time, coordinates.
//!
//! What is refused, and where ecCodes is not followed, stands in lists here, so that neither can grow in silence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gribfs::grib::grid::{Grid, GridError};
use gribfs::grib::head::{Head, HeadOutcome};
use gribfs::grib::identity::{Product, Surface};
use gribfs::grib::section::{Field, Message};
use gribfs::time::Instant;
use serde_json::Value;

/// The corpus, or `None` where the shared data is not there.
pub(crate) fn corpus() -> Option<PathBuf> {
    let data = std::env::var_os("GRIBFS_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let corpus = data.join("grib");
    if corpus.join("expected").is_dir() {
        return Some(corpus);
    }
    println!("skipped: no corpus at {}", corpus.display());
    None
}

/// One file: its name below the corpus, its bytes, and ecCodes' words on it.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Value,
}

/// All files that have an expectation, by name.
pub(crate) fn samples(corpus: &Path) -> Vec<Sample> {
    let expected = corpus.join("expected");
    let mut names = Vec::new();
    for folder in std::fs::read_dir(&expected).unwrap() {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                let name = path.strip_prefix(&expected).unwrap().to_str().unwrap();
                names.extend(name.strip_suffix(".json").map(str::to_owned));
            }
        }
    }
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let text = std::fs::read(expected.join(format!("{name}.json"))).unwrap();
            Sample {
                bytes: std::fs::read(corpus.join(&name)).unwrap(),
                expected: serde_json::from_slice(&text).unwrap(),
                name,
            }
        })
        .collect()
}

/// Every edition 2 message of a sample: offset, length, expectation.
pub(crate) fn messages(sample: &Sample) -> Vec<(usize, usize, &Value)> {
    let number = |value: &Value, key: &str| usize::try_from(value[key].as_u64().unwrap()).unwrap();
    sample.expected["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["edition"] == 2)
        .map(|message| {
            (
                number(message, "offset"),
                number(message, "length"),
                message,
            )
        })
        .collect()
}

/// Differences from ecCodes, gathered over the corpus.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn check<T: PartialEq + std::fmt::Debug>(&mut self, at: &str, what: &str, ours: T, theirs: T) {
        if ours != theirs {
            self.0
                .push(format!("{at} {what}: {ours:?}, ecCodes {theirs:?}"));
        }
    }
}

fn for_each_field(mut visit: impl FnMut(&str, &Field<'_>, &Value)) -> Option<usize> {
    let mut count = 0;
    for sample in samples(&corpus()?) {
        for (number, (offset, length, message)) in messages(&sample).into_iter().enumerate() {
            let bytes = &sample.bytes[offset..];
            let parsed = Message::parse(bytes)
                .unwrap_or_else(|error| panic!("{} message {}: {error}", sample.name, number + 1));
            assert_eq!(parsed.indicator.length, length as u64, "{}", sample.name);
            let fields = message["fields"].as_array().unwrap();
            assert_eq!(parsed.fields().len(), fields.len(), "{}", sample.name);
            for (index, (field, expected)) in parsed.fields().iter().zip(fields).enumerate() {
                let at = format!("{}:{}.{}", sample.name, number + 1, index + 1);
                visit(&at, field, expected);
                count += 1;
            }
        }
    }
    Some(count)
}

#[test]
fn every_message_is_walked_and_counts_agree() {
    let mut differences = Differences::default();
    let Some(count) = for_each_field(|at, field, expected| {
        let points = expected["grid"]["numberOfDataPoints"].as_u64();
        if let Some(points) = points {
            differences.check(at, "points", u64::from(field.points), points);
        }
        let bitmap = expected["data"]["bitmapPresent"].as_u64();
        if let Some(bitmap) = bitmap {
            differences.check(at, "bitmap", u64::from(field.bitmap.is_some()), bitmap);
        }
    }) else {
        return;
    };
    assert_eq!(differences.0, Vec::<String>::new());
    assert!(count >= 900, "{count} fields only");
}

#[test]
fn heads_hold_what_the_walk_finds() {
    let Some(corpus) = corpus() else { return };
    for sample in samples(&corpus) {
        for (offset, length, _) in messages(&sample) {
            let bytes = &sample.bytes[offset..offset + length];
            let message = Message::parse(bytes).unwrap();
            let first = &message.fields()[0];
            let mut have = 16;
            let head = loop {
                match Head::parse(&bytes[..have]).unwrap() {
                    HeadOutcome::Found(head) => break head,
                    HeadOutcome::NeedMore(need) => {
                        assert!(need > have, "{}: no progress", sample.name);
                        have = need.min(bytes.len());
                    }
                }
            };
            assert_eq!(head.section1, first.section1);
            assert_eq!(head.section2, first.section2);
            assert_eq!(head.section3, first.section3);
            assert_eq!(head.section4, first.section4);
            assert_eq!(head.section5, first.section5);
        }
    }
}

fn product(field: &Field<'_>) -> Product {
    Product::parse(field.discipline, field.section1, field.section4).unwrap()
}

fn check_surface(
    differences: &mut Differences,
    at: &str,
    which: &str,
    ours: Surface,
    expected: &Value,
) {
    let Some(kind) = expected[format!("typeOf{which}FixedSurface")].as_u64() else {
        return;
    };
    let factor = expected[format!("scaleFactorOf{which}FixedSurface")].as_i64();
    let value = expected[format!("scaledValueOf{which}FixedSurface")].as_i64();
    let theirs = factor.zip(value).filter(|_| kind != 255);
    differences.check(at, "surface type", u64::from(ours.kind), kind);
    let scaled = ours
        .scaled
        .map(|(factor, value)| (i64::from(factor), value));
    differences.check(at, "surface value", scaled, theirs);
}

fn check_ensemble(differences: &mut Differences, at: &str, product: &Product, expected: &Value) {
    let number = |key: &str| expected[key].as_u64();
    let member = product.member;
    differences.check(
        at,
        "member",
        member.map(|member| u64::from(member.number)),
        number("perturbationNumber"),
    );
    differences.check(
        at,
        "type of ensemble",
        member.map(|member| u64::from(member.kind)),
        number("typeOfEnsembleForecast"),
    );
    let identity = &product.identity;
    differences.check(
        at,
        "derived",
        identity.derived.map(u64::from),
        number("derivedForecast"),
    );
    differences.check(
        at,
        "percentile",
        identity.percentile.map(u64::from),
        number("percentileValue"),
    );
    let limit = |which: &str| {
        let part = |part: &str| expected[format!("{part}Of{which}Limit")].as_i64();
        part("scaleFactor").zip(part("scaledValue"))
    };
    let ours = identity.probability.map(|limits| {
        let wide =
            |limit: Option<(i8, i64)>| limit.map(|(factor, value)| (i64::from(factor), value));
        (
            u64::from(limits.kind),
            wide(limits.lower),
            wide(limits.upper),
        )
    });
    let theirs = number("probabilityType").map(|kind| (kind, limit("Lower"), limit("Upper")));
    differences.check(at, "probability", ours, theirs);
}

#[test]
fn products_are_what_eccodes_says() {
    let mut differences = Differences::default();
    for_each_field(|at, field, expected| {
        let product = product(field);
        let parameter = product.identity.parameter;
        for (what, ours) in [
            ("discipline", parameter.discipline),
            ("parameterCategory", parameter.category),
            ("parameterNumber", parameter.number),
            ("tablesVersion", parameter.master_table),
            ("localTablesVersion", parameter.local_table),
            (
                "typeOfGeneratingProcess",
                product.identity.generating_process,
            ),
        ] {
            if let Some(theirs) = expected[what].as_u64() {
                differences.check(at, what, u64::from(ours), theirs);
            }
        }
        let template = expected["productDefinitionTemplateNumber"]
            .as_u64()
            .unwrap();
        differences.check(at, "template", u64::from(product.template), template);
        if let Some(theirs) = expected["subCentre"].as_u64() {
            differences.check(at, "sub-centre", u64::from(parameter.sub_centre), theirs);
        }
        let (first, second) = product.identity.surfaces;
        check_surface(&mut differences, at, "First", first, expected);
        check_surface(&mut differences, at, "Second", second, expected);
        check_ensemble(&mut differences, at, &product, expected);
        check_time(&mut differences, at, &product, expected);
    });
    assert_eq!(differences.0, KNOWN_DIFFERENCES);
}

fn check_time(differences: &mut Differences, at: &str, product: &Product, expected: &Value) {
    let number = |key: &str| expected[key].as_i64();
    for (what, ours) in [
        ("startStep_seconds", product.window.start),
        ("endStep_seconds", product.window.end),
    ] {
        if let Some(theirs) = number(what) {
            differences.check(at, what, ours, theirs);
        }
    }
    let process = number("typeOfStatisticalProcessing");
    let statistic = product.identity.statistic.map(i64::from);
    differences.check(at, "statistic", statistic, process);
    let part = |value: i64, by: i64, size: i64| u32::try_from(value / by % size).unwrap();
    let (date, time) = (number("dataDate").unwrap(), number("dataTime").unwrap());
    let theirs = Instant::from_calendar(
        i32::try_from(date / 10_000).unwrap(),
        part(date, 100, 100),
        part(date, 1, 100),
        part(time, 100, 100),
        part(time, 1, 100),
        u32::try_from(number("second").unwrap_or(0)).unwrap(),
    );
    differences.check(at, "reference time", Some(product.reference), theirs);
}

/// Where ecCodes is not followed, and why.
const KNOWN_DIFFERENCES: [&str; 0] = [];

/// Largest distance from ecCodes' coordinates, in degrees, by kind of grid.
fn tolerance(kind: &str) -> f64 {
    match kind {
        "regular_ll" | "regular_gg" | "reduced_gg" | "healpix" => 1e-9,
        _ => 1e-6,
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
        let turn = (longitude - east + 180.0).rem_euclid(360.0) - 180.0;
        let far = tolerance(grid.kind());
        let close = (latitude - north).abs() < far && turn.abs() < far;
        if !close {
            differences.0.push(format!(
                "{at} {} point {index}: {latitude} {longitude}, ecCodes {north} {east}",
                grid.kind()
            ));
            return;
        }
    }
}

fn check_axis(differences: &mut Differences, at: &str, values: &[f64], expected: &Value) {
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
            if turn.abs() > 1e-9 {
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
        if expected["points"].is_array() {
            check_points(&mut differences, at, &grid, expected);
        } else {
            unchecked.push(format!("{at} {}", expected["error"]));
        }
        if let [y, x] = grid.coordinates().axes.as_slice()
            && !grid.coordinates().has_locations
        {
            check_axis(&mut differences, at, &y.values, &expected["latitudes"]);
            check_axis(&mut differences, at, &x.values, &expected["longitudes"]);
        }
    });
    if served.is_empty() {
        return;
    }
    println!("{served:#?}");
    assert_eq!(differences.0, Vec::<String>::new());
    assert_eq!(unchecked, Vec::<String>::new());
    let refused: Vec<(&str, usize)> = refused
        .iter()
        .map(|(text, count)| (text.as_str(), *count))
        .collect();
    assert_eq!(refused, REFUSED);
    let _: Option<GridError> = None;
}

/// Grids of the corpus that are refused, with the number of fields.
const REFUSED: [(&str, usize); 0] = [];

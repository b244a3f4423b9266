//! Every GRIB2 message of the shared corpus against what ecCodes says about it: walk, identity, time, coordinates.
//!
//! What is refused, and where ecCodes is not followed, stands in lists here, so that neither can grow in silence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gribfs::grib::grid::Grid;
use gribfs::grib::head::{Head, HeadOutcome};
use gribfs::grib::identity::{Product, Surface};
use gribfs::grib::section::{Field, Message};
use gribfs::grib::walker::{Found, Step, WalkedMessage, Walker, walk};
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
    fn check<T: PartialEq + std::fmt::Debug + Copy>(
        &mut self,
        at: &str,
        what: &str,
        ours: T,
        theirs: T,
    ) {
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
    assert!(count >= 882, "{count} fields only");
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
    let mut refused = Vec::new();
    let count = for_each_field(|at, field, expected| {
        let product = match Product::parse(field.discipline, field.section1, field.section4) {
            Ok(product) => product,
            Err(error) => return refused.push(format!("{at}: {error}")),
        };
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
    if count.is_some() {
        assert_eq!(differences.0, KNOWN_DIFFERENCES);
        assert_eq!(refused, REFUSED_PRODUCTS);
    }
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
const KNOWN_DIFFERENCES: [&str; 16] = [
    // The end of the window is a date and a length; where they disagree the date is taken, ecCodes takes the length.
    "grib-rs/ds.critfireo.bin:1.1 endStep_seconds: 21600, ecCodes 86400",
    // A surface of -2e-6 K m2 kg-1 s-1: surface values have a sign, ecCodes reads none.
    "gribberish/gfs.t12z.pgrb2.0p25.f023-PV-TMP-missing.grib2:1.1 surface value: Some((9, -2000)), ecCodes Some((9, 2147485648))",
    // As above: the end of 12 hours is coded as the forecast time.
    "pygrib/ds.maxt.bin:1.1 endStep_seconds: 7200, ecCodes 50400",
    "pygrib/ds.maxt.bin:2.1 endStep_seconds: 93600, ecCodes 136800",
    "pygrib/ds.maxt.bin:3.1 endStep_seconds: 180000, ecCodes 223200",
    "pygrib/ds.maxt.bin:4.1 endStep_seconds: 266400, ecCodes 309600",
    // NCEP's TMAX and TMIN with a statistic that is missing.
    "pygrib/flux.grb:3.1 statistic: Some(2), ecCodes Some(255)",
    "pygrib/flux.grb:4.1 statistic: Some(3), ecCodes Some(255)",
    "pygrib/gfs.t12z.pgrbf120.2p5deg.grib2:194.1 statistic: Some(2), ecCodes Some(255)",
    "pygrib/gfs.t12z.pgrbf120.2p5deg.grib2:195.1 statistic: Some(3), ecCodes Some(255)",
    // Negative surfaces again.
    "pygrib/gfs.t12z.pgrbf120.2p5deg.grib2:298.1 surface value: Some((9, -2000)), ecCodes Some((9, 2147485648))",
    "pygrib/gfs.t12z.pgrbf120.2p5deg.grib2:298.2 surface value: Some((9, -2000)), ecCodes Some((9, 2147485648))",
    "pygrib/gfs.t12z.pgrbf120.2p5deg.grib2:299.1 surface value: Some((9, -2000)), ecCodes Some((9, 2147485648))",
    "pygrib/gfs.t12z.pgrbf120.2p5deg.grib2:300.1 surface value: Some((9, -2000)), ecCodes Some((9, 2147485648))",
    "pygrib/gfs.t12z.pgrbf120.2p5deg.grib2:301.1 surface value: Some((9, -2000)), ecCodes Some((9, 2147485648))",
    "pygrib/gfs.t12z.pgrbf120.2p5deg.grib2:302.1 surface value: Some((9, -2000)), ecCodes Some((9, 2147485648))",
];

/// Products of the corpus that are refused.
const REFUSED_PRODUCTS: [&str; 3] = [
    // Put together for a test of grids: forecast time 150 h, end of the window 1 h after the reference time.
    "eccodes/lambert_azimuthal_equal_area.grib:4.1: window from 540000 s to 3600 s after the reference time ends before it starts",
    // A satellite template that was withdrawn for 4.31: it has no times.
    "eccodes/space_view.grib:2.1: product template 4.30 is not supported",
    // Forecast time 36 h, end of the window at 0 h, a length of -36 h in two's complement.
    "iris-test-data/jpeg2000__file.grib2:1.1: window from 129600 s to 0 s after the reference time ends before it starts",
];

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
        "grid template 3.90 (space view, perspective or orthographic) is not supported",
        2,
    ),
];

/// Walks a file by exact reads; answers what was found, and how many bytes were asked for in how many reads.
fn hop(file: &[u8]) -> (Vec<Found>, usize, usize) {
    let mut walker = Walker::new(file.len() as u64);
    let (mut found, mut bytes, mut reads) = (Vec::new(), 0, 0);
    loop {
        match walker.step() {
            Step::Found(one) => found.push(one),
            Step::Done => return (found, bytes, reads),
            Step::Read { offset, length } => {
                let from = usize::try_from(offset).unwrap();
                walker.give(offset, &file[from..from + length]);
                bytes += length;
                reads += 1;
            }
        }
    }
}

fn check_walked(message: &WalkedMessage, file: &[u8], name: &str) {
    let from = usize::try_from(message.offset).unwrap();
    let whole = Message::parse(&file[from..]).unwrap();
    assert_eq!(message.fields.len(), whole.fields().len(), "{name}");
    for (walked, field) in message.fields.iter().zip(whole.fields()) {
        assert_eq!(&*walked.section1, field.section1, "{name}");
        assert_eq!(&*walked.section3, field.section3, "{name}");
        assert_eq!(&*walked.section4, field.section4, "{name}");
        assert_eq!(&*walked.section5, field.section5, "{name}");
    }
}

#[test]
fn files_are_walked_by_their_headers() {
    let Some(corpus) = corpus() else { return };
    let mut broken = Vec::new();
    let (mut messages, mut all, mut asked, mut reads) = (0, 0, 0, 0);
    for sample in samples(&corpus) {
        let (found, bytes, count) = hop(&sample.bytes);
        let mut ours = Vec::new();
        for one in &found {
            match one {
                Found::Message(message) => {
                    check_walked(message, &sample.bytes, &sample.name);
                    ours.push((2, message.offset, message.length));
                }
                Found::Edition1 { offset, length } => ours.push((1, *offset, *length)),
                other @ (Found::Broken { .. } | Found::Lost { .. }) => {
                    broken.push(format!("{}: {other:?}", sample.name))
                }
            }
        }
        let number = |value: &Value, key: &str| value[key].as_u64().unwrap();
        let theirs: Vec<(u64, u64, u64)> = sample.expected["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|message| message["error"].is_null())
            .map(|message| {
                (
                    number(message, "edition"),
                    number(message, "offset"),
                    number(message, "length"),
                )
            })
            .collect();
        assert_eq!(ours, theirs, "{}", sample.name);
        messages += ours.len();
        all += sample.bytes.len();
        asked += bytes;
        reads += count;
    }
    println!("{messages} messages in {all} bytes: {reads} reads of {asked} bytes");
    assert_eq!(broken, BROKEN);
    assert!(reads < 2 * messages && asked < 2048 * messages);
}

/// What the walk reports as broken; ecCodes agrees.
const BROKEN: [&str; 1] =
    ["cfgrib/era5-levels-corrupted.grib: Broken { offset: 0, error: NoEnd { length: 1588 } }"];

/// A generator of numbers that is the same on every run (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// Reads everything that this module reads of a message, and does not care what comes of it.
fn read_all(bytes: &[u8]) {
    drop(Head::parse(bytes));
    drop(walk(bytes));
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    for field in message.fields() {
        drop(Product::parse(
            field.discipline,
            field.section1,
            field.section4,
        ));
        if let Ok(grid) = Grid::parse(field.section3) {
            let (ny, nx) = grid.shape();
            assert_eq!(ny * nx, grid.points());
            for (row, column) in [(0, 0), (ny - 1, nx - 1), (ny / 2, nx / 2), (ny, nx)] {
                let place = grid.locator().locate(row, column);
                assert_eq!(place.is_some(), row < ny && column < nx);
            }
        }
    }
}

/// Flips bits, sets octets to their extremes, cuts: most of it in the headers, where it hurts.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let within = if random.below(4) == 0 {
            bytes.len()
        } else {
            bytes.len().min(260)
        };
        let at = random.below(within);
        match random.below(8) {
            0 => bytes[at] = 0,
            1 => bytes[at] = 255,
            2 => bytes[at] = 0x80,
            3 => bytes[at] = random.next().to_le_bytes()[0],
            4 if bytes.len() > 40 => bytes.truncate(bytes.len() - random.below(20)),
            5 => {
                let to = bytes.len().min(at + 4);
                bytes[at..to].fill(255);
            }
            _ => bytes[at] ^= 1 << random.below(8),
        }
    }
}

#[test]
fn broken_messages_end_in_values_or_errors() {
    let Some(corpus) = corpus() else { return };
    let rounds: usize = std::env::var("GRIBFS_MUTATIONS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(5000);
    let mut seeds = Vec::new();
    for sample in samples(&corpus) {
        for (offset, length, _) in messages(&sample) {
            let bytes = &sample.bytes[offset..offset + length];
            // One of a kind, and short ones: the data does not matter here.
            let kind = (
                bytes.get(16 + 21..16 + 21 + 40).map(<[u8]>::to_vec),
                length / 4,
            );
            if length < 20_000 && !seeds.iter().any(|(known, _)| *known == kind) {
                seeds.push((kind, bytes.to_vec()));
            }
        }
    }
    assert!(seeds.len() > 30, "{} seeds", seeds.len());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..rounds {
        let mut bytes = seeds[round % seeds.len()].1.clone();
        mutate(&mut bytes, &mut random);
        // Half of the time the length fits, so that the walk goes deeper.
        if random.below(2) == 0 && bytes.len() > 20 {
            let length = bytes.len() as u64;
            bytes[8..16].copy_from_slice(&length.to_be_bytes());
            let end = bytes.len() - 4;
            bytes[end..].copy_from_slice(b"7777");
        }
        read_all(&bytes);
    }
}

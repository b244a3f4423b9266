//! Every GRIB2 message of the shared corpus against what ecCodes says about it: walk, identity, time.
//!
//! What is refused, and where ecCodes is not followed, stands in lists here, so that neither can grow in silence.

use std::path::{Path, PathBuf};

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
pub(crate) struct Differences(pub(crate) Vec<String>);

impl Differences {
    pub(crate) fn check<T: PartialEq + std::fmt::Debug + Copy>(
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

/// Calls back for every field of every edition 2 message of the corpus; answers their number.
pub(crate) fn for_each_field(mut visit: impl FnMut(&str, &Field<'_>, &Value)) -> Option<usize> {
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

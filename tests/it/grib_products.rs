//! Every product template as ecCodes writes it (`tests/data/product_cases.json`, made by `scripts/make_product_cases.py`):
//! each key holds a value of its own, so an octet read from the wrong place shows.

use gribfs::grib::identity::{Member, Product, Surface};
use gribfs::grib::section::GribError;
use gribfs::time::{Instant, Window};
use serde_json::Value;

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("../data/product_cases.json")).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap())
        .collect()
}

fn parse(case: &Value) -> Product {
    Product::parse(0, &bytes(&case["section1"]), &bytes(&case["section4"]))
        .unwrap_or_else(|error| panic!("template 4.{}: {error}", case["template"]))
}

#[test]
fn every_template_is_read_as_eccodes_writes_it() {
    let cases = cases();
    assert_eq!(cases.len(), 54);
    for case in &cases {
        let product = parse(case);
        let at = &case["template"];
        let holds = |key: &str| case["holds"][key].as_u64();
        let has = |key: &str| holds(key).is_some();
        let identity = &product.identity;

        assert_eq!(Some(u64::from(product.template)), at.as_u64());
        assert_eq!(product.reference, Instant::parse("2026-11-22T06").unwrap());
        assert_eq!(identity.generating_process, 4, "{at}");
        assert_eq!(
            Some(u64::from(product.process_id)).filter(|id| *id != 255),
            holds("generatingProcessIdentifier"),
            "{at}"
        );

        let start = if has("forecastTime") { 18 * 3600 } else { 0 };
        let windowed = has("hourOfEndOfOverallTimeInterval");
        let end = if windowed { 21 * 3600 } else { start };
        assert_eq!(product.window, Window { start, end }, "{at}");
        assert_eq!(identity.statistic, windowed.then_some(2), "{at}");

        let surface = |kind: u8, scaled: (i8, i64)| Surface {
            kind,
            scaled: Some(scaled),
        };
        let surfaces = if has("typeOfFirstFixedSurface") {
            (surface(100, (-2, 500)), surface(103, (1, 25)))
        } else {
            (Surface::NONE, Surface::NONE)
        };
        assert_eq!(identity.surfaces, surfaces, "{at}");

        let kind = if has("typeOfEnsembleForecast") {
            3
        } else {
            255
        };
        let member = has("perturbationNumber").then_some(Member { kind, number: 7 });
        assert_eq!(product.member, member, "{at}");
        assert_eq!(
            identity.derived,
            has("derivedForecast").then_some(4),
            "{at}"
        );
        assert_eq!(
            identity.percentile,
            has("percentileValue").then_some(30),
            "{at}"
        );
        assert_eq!(
            identity.constituent.map(u64::from),
            holds("constituentType"),
            "{at}"
        );
        assert_eq!(
            identity.probability.is_some(),
            has("probabilityType"),
            "{at}"
        );
        if let Some(limits) = identity.probability {
            assert_eq!((limits.number, limits.kind), ((2, 5), 1), "{at}");
            assert_eq!(
                (limits.lower, limits.upper),
                (Some((2, 123)), Some((3, 254))),
                "{at}"
            );
        }
    }
}

#[test]
fn identity_does_not_change_with_time_or_member() {
    for case in cases() {
        let one = bytes(&case["section1"]);
        let four = bytes(&case["section4"]);
        let product = parse(&case);
        // 20261123 03 as the end of a window becomes 05, the forecast time 18 becomes 19, member 7 becomes 8.
        let mut later = four.clone();
        for (from, to) in [
            (&[7, 0xea, 11, 23, 3][..], &[7, 0xea, 11, 23, 5][..]),
            (&[1, 0, 0, 0, 18], &[1, 0, 0, 0, 19]),
            (&[3, 7, 51], &[3, 8, 51]),
        ] {
            if let Some(at) = later.windows(from.len()).position(|octets| octets == from) {
                later[at..at + to.len()].copy_from_slice(to);
            }
        }
        let other = Product::parse(0, &one, &later).unwrap();
        assert_eq!(
            other.identity, product.identity,
            "template 4.{}",
            case["template"]
        );
        if case["holds"]["forecastTime"].is_u64() && case["template"] != 44 {
            assert_ne!(
                other.window, product.window,
                "template 4.{}",
                case["template"]
            );
        }
    }
}

#[test]
fn sections_shorter_than_their_template_are_refused() {
    for case in cases() {
        let (one, four) = (bytes(&case["section1"]), bytes(&case["section4"]));
        // Clusters end in the numbers of their members, which are not read.
        let unread = if matches!(case["template"].as_u64(), Some(3 | 4 | 13 | 14)) {
            3
        } else {
            0
        };
        let least = four.len() - unread;
        assert!(
            Product::parse(0, &one, &four[..least]).is_ok(),
            "template 4.{}",
            case["template"]
        );
        for length in 0..least {
            let parsed = Product::parse(0, &one, &four[..length]);
            let refused = matches!(
                parsed,
                Err(GribError::TemplateLength { section: 4, .. }
                    | GribError::ProductTemplate { .. })
            );
            assert!(
                refused,
                "template 4.{} of {length} octets: {parsed:?}",
                case["template"]
            );
        }
    }
}

//! Oracle: small fields of every packing (`scripts/make_packing_fixtures.py`) against what ecCodes reads from them.

use gribfs::grib::decode::{DecodeError, Packed, decode, decode_f64, decode_range, supported};
use serde_json::Value;

use crate::decode_corpus::{fields, sha256_f32, sha256_f64};

/// The committed fields: name, expectation, message.
pub(crate) fn packings() -> Vec<(String, Value, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/packings/");
    let expected = std::fs::read(format!("{folder}expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let mut all = Vec::new();
    for (file, expected) in expected.as_object().unwrap() {
        let octets = std::fs::read(format!("{folder}{file}")).unwrap();
        let mut rest = octets.as_slice();
        for expected in expected.as_array().unwrap() {
            let total = u64::from_be_bytes(rest[8..16].try_into().unwrap());
            let (message, later) = rest.split_at(usize::try_from(total).unwrap());
            let name = format!("{file}: {}", expected["name"].as_str().unwrap());
            all.push((name, expected.clone(), message.to_vec()));
            rest = later;
        }
        assert!(rest.is_empty(), "{file}");
    }
    all
}

#[test]
fn every_packing_has_the_values_that_eccodes_reads() {
    let mut wrong = Vec::new();
    let mut right = 0;
    for (name, expected, message) in packings() {
        let field = fields(&message)[0];
        if name.starts_with("refused") {
            let error = supported(field.section5).unwrap_err();
            assert!(
                matches!(error, DecodeError::Template { number: 61, .. }),
                "{error}"
            );
            continue;
        }
        let mut values = vec![0.0; field.points];
        let mut doubles = vec![0.0; field.points];
        match decode(&field, &mut values).and_then(|()| decode_f64(&field, &mut doubles)) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(()) => {
                let same = sha256_f32(&values) == expected["sha256_f32"].as_str().unwrap()
                    && sha256_f64(&doubles) == expected["sha256_f64"].as_str().unwrap();
                let missing = values.iter().filter(|value| value.is_nan()).count();
                if same {
                    right += 1;
                } else {
                    wrong.push(format!(
                        "{name}: {missing} missing, not {}",
                        expected["missing"]
                    ));
                }
            }
        }
        let mut part = vec![0.0; field.points / 2];
        if decode_range(&field, field.points / 4, &mut part).is_ok() {
            for (part, whole) in part.iter().zip(&values[field.points / 4..]) {
                assert_eq!(part.to_bits(), whole.to_bits(), "{name}");
            }
        }
    }
    println!("{right} right");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(right > 250);
}

#[test]
fn a_field_gives_all_of_its_values_or_an_error() {
    for (name, _, message) in packings() {
        let field = fields(&message)[0];
        for points in [0, field.points / 2, field.points * 2] {
            let mut values = vec![0.0; points];
            assert!(decode(&field, &mut values).is_err(), "{name}");
            // A bitmap without ones is as good for any number of points.
            assert!(
                name.contains("all missing")
                    || decode(&Packed { points, ..field }, &mut values).is_err(),
                "{name} with {points} points"
            );
        }
    }
}

//! What a message must be to be a set's chunk: one that differs in what the set says of it is refused by that.

use std::path::Path;

use gribfs::refs::{Expectation, GribVar};
use gribfs::store::references::grib_chunk;
use gribfs::time::Instant;

/// Temperature at the surface on 260 points, the analysis of 2025-01-01T12, as ecCodes says of it; template 4.0.
fn message() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/packings/ccsds.grib2");
    let mut bytes = std::fs::read(path).unwrap();
    let length = u64::from_be_bytes(bytes[8..16].try_into().unwrap());
    bytes.truncate(usize::try_from(length).unwrap());
    bytes
}

/// The same with another product definition template, whose octets beyond those of template 4.0 are `more`.
fn product(template: u16, more: &[u8]) -> Vec<u8> {
    let mut bytes = message();
    let mut at = 16;
    while bytes[at + 4] != 4 {
        at += u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    }
    let end = at + u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    bytes[at + 7..at + 9].copy_from_slice(&template.to_be_bytes());
    bytes.splice(end..end, more.iter().copied());
    let section = u32::try_from(end - at + more.len()).unwrap();
    bytes[at..at + 4].copy_from_slice(&section.to_be_bytes());
    let whole = bytes.len() as u64;
    bytes[8..16].copy_from_slice(&whole.to_be_bytes());
    bytes
}

fn wanted() -> Expectation {
    Expectation {
        elements: 260,
        is_values: true,
        name: Some("t".to_owned()),
        ..Expectation::default()
    }
}

/// What is wrong with a message, in words; `None` where it is decoded.
fn wrong(bytes: &[u8], wanted: &Expectation) -> Option<String> {
    let var = GribVar::Values(wanted.name.clone().unwrap_or_default());
    grib_chunk::chunk(bytes, wanted, &var, 8)
        .err()
        .map(|error| error.to_string())
}

#[track_caller]
fn refused(bytes: &[u8], wanted: &Expectation, word: &str) {
    let told = wrong(bytes, wanted).unwrap_or_default();
    assert!(told.contains(word), "`{told}` does not say `{word}`");
}

#[test]
fn a_level_of_another_type_is_another_level() {
    let of = |level_type: &str| Expectation {
        level_type: Some(level_type.to_owned()),
        level: Some(2.0),
        ..wanted()
    };
    for level_type in ["heightAboveGround", "isobaricInhPa", "meanSea"] {
        refused(&message(), &of(level_type), "the level type is surface");
    }
    for level_type in ["surface", "a name of later days"] {
        assert_eq!(wrong(&message(), &of(level_type)), None, "{level_type}");
    }
}

#[test]
fn a_variable_of_unknown_name_has_a_run_a_time_and_a_member_too() {
    let unknown = Expectation {
        name: None,
        ..wanted()
    };
    assert_eq!(wrong(&message(), &unknown), None);
    let noon = Instant::parse("2025-01-01T12:00").unwrap().seconds();
    let at = |run: i64, valid: i64, member: i64| Expectation {
        run: Some(run),
        valid_time: Some(valid),
        member: Some(member),
        ..unknown.clone()
    };
    assert_eq!(wrong(&message(), &at(noon, noon, 0)), None);
    refused(&message(), &at(noon - 21_600, noon, 0), "the run");
    refused(&message(), &at(noon, noon + 3600, 0), "the valid time");
    refused(&message(), &at(noon, noon, 3), "the member is 0");
}

#[test]
fn what_is_made_of_members_is_no_member() {
    let member = |number: i64| Expectation {
        member: Some(number),
        is_member: true,
        ..wanted()
    };
    let perturbed = product(1, &[3, 7, 30]);
    assert_eq!(wrong(&perturbed, &member(7)), None);
    refused(&perturbed, &member(8), "the member is 7");
    refused(&message(), &member(7), "the member is 0");
    let mean = product(2, &[0, 30]);
    let percentile = product(6, &[50]);
    let probability = product(5, &[1, 1, 1, 0, 0, 0, 1, 4, 0, 0, 0, 1, 44]);
    for (bytes, word) in [
        (&mean, "derived"),
        (&percentile, "percentile"),
        (&probability, "probability"),
    ] {
        for number in [0, 7] {
            refused(bytes, &member(number), word);
        }
        // Sets of such products have a scalar number 0, as all sets of their writers.
        let scalar = Expectation {
            member: Some(0),
            ..wanted()
        };
        assert_eq!(wrong(bytes, &scalar), None, "{word}");
    }
}

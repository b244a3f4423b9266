//! Oracle: every field of every GRIB2 message at hand against what ecCodes says about it.

#![expect(
    clippy::cast_possible_truncation,
    reason = "numbers of files that are at hand"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gribfs::grib::decode::{
    DecodeError, Packed, Packing, byte_range_of_values, decode, decode_f64, decode_range, supported,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The shared test data, or nothing where they are not at hand.
fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("GRIBFS_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    root.join("grib").is_dir().then_some(root)
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

/// The fields of a message of edition 2: just enough of a walk for good files.
pub(crate) fn fields(message: &[u8]) -> Vec<Packed<'_>> {
    let mut fields = Vec::new();
    let mut at = 16;
    let (mut points, mut section5, mut bitmap) = (0, &message[..0], None);
    while &message[at..at + 4] != b"7777" {
        let length = u32::from_be_bytes(message[at..at + 4].try_into().unwrap()) as usize;
        let section = &message[at..at + length];
        match section[4] {
            3 => points = u32::from_be_bytes(section[6..10].try_into().unwrap()) as usize,
            5 => section5 = section,
            6 => match section[5] {
                0 => bitmap = Some(&section[6..]),
                254 => {}
                _ => bitmap = None,
            },
            7 => fields.push(Packed {
                points,
                section5,
                bitmap,
                section7: section,
            }),
            _ => {}
        }
        at += length;
    }
    fields
}

fn sha256(octets: impl Iterator<Item = u8>) -> String {
    let octets: Vec<u8> = octets.collect();
    Sha256::digest(&octets)
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

pub(crate) fn sha256_f32(values: &[f32]) -> String {
    sha256(values.iter().flat_map(|value| value.to_le_bytes()))
}

pub(crate) fn sha256_f64(values: &[f64]) -> String {
    sha256(values.iter().flat_map(|value| value.to_le_bytes()))
}

#[derive(Default)]
struct Account {
    right: BTreeMap<u16, usize>,
    refused: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Account {
    fn file(&mut self, path: &Path, expected: &Path) {
        let bytes = std::fs::read(path).unwrap();
        let expected: Value = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
        for message in expected["messages"].as_array().unwrap() {
            if message["edition"] != 2 || message.get("error").is_some() {
                continue;
            }
            let from = message["offset"].as_u64().unwrap() as usize;
            let to = from + message["length"].as_u64().unwrap() as usize;
            let expected = message["fields"].as_array().unwrap();
            let fields = fields(&bytes[from..to]);
            assert_eq!(fields.len(), expected.len(), "{}", path.display());
            for (number, (field, expected)) in fields.iter().zip(expected).enumerate() {
                let name = format!("{} at {from}, field {number}", path.display());
                self.field(&name, field, &expected["data"]);
            }
        }
    }

    fn field(&mut self, name: &str, field: &Packed<'_>, expected: &Value) {
        let packing = match supported(field.section5) {
            Ok(packing) => packing,
            Err(error @ DecodeError::Template { .. }) => {
                *self.refused.entry(error.to_string()).or_default() += 1;
                return;
            }
            Err(error) => {
                self.wrong.push(format!("{name}: {error}"));
                return;
            }
        };
        let Some(want) = expected["sha256_f32"].as_str() else {
            return; // Too large for the oracle.
        };
        assert_eq!(
            expected["dataRepresentationTemplateNumber"],
            packing.template()
        );
        if expected["count"] != field.points {
            self.wrong.push(format!(
                "{name}: {} points, not {}",
                expected["count"], field.points
            ));
            return;
        }
        let mut values = vec![0.0; field.points];
        if let Err(error) = decode(field, &mut values) {
            self.wrong
                .push(format!("{name}: 5.{}: {error}", packing.template()));
            return;
        }
        let mut doubles = vec![0.0; field.points];
        decode_f64(field, &mut doubles).unwrap();
        let template = packing.template();
        if sha256_f32(&values) == want
            && sha256_f64(&doubles) == expected["sha256_f64"].as_str().unwrap()
        {
            *self.right.entry(template).or_default() += 1;
        } else {
            let sample = expected["samples"]
                .as_array()
                .unwrap()
                .iter()
                .find(|sample| {
                    let at = sample[0].as_u64().unwrap() as usize;
                    sample[1].as_f64().map_or(!doubles[at].is_nan(), |want| {
                        want.to_bits() != doubles[at].to_bits()
                    })
                });
            let got = sample.map(|sample| doubles[sample[0].as_u64().unwrap() as usize]);
            self.wrong.push(format!(
                "{name}: 5.{template} differs: wanted {sample:?}, got {got:?}, {packing:?}"
            ));
        }
        ranges(name, &packing, field, &values);
    }

    fn finish(self) -> (BTreeMap<u16, usize>, BTreeMap<String, usize>) {
        println!("right: {:?}\nrefused: {:?}", self.right, self.refused);
        assert!(
            self.wrong.is_empty(),
            "{} wrong:\n{}",
            self.wrong.len(),
            self.wrong.join("\n")
        );
        (self.right, self.refused)
    }
}

/// Parts of a field equal the same parts of the whole, also where only their own octets are at hand.
fn ranges(name: &str, packing: &Packing, field: &Packed<'_>, values: &[f32]) {
    let n = values.len();
    for (from, to) in [
        (0, n),
        (n / 3, n / 2),
        (n / 2, n / 2),
        (n - n / 7, n),
        (1.min(n), n),
    ] {
        let mut part = vec![0.0; to - from];
        decode_range(field, from, &mut part).unwrap();
        let same = |part: &[f32]| {
            part.iter()
                .map(|value| value.to_bits())
                .eq(values[from..to].iter().map(|value| value.to_bits()))
        };
        assert!(same(&part), "{name}: points {from}..{to}");
        let octets = byte_range_of_values(field.section5, from as u64, (to - from) as u64);
        if field.bitmap.is_none() && matches!(packing.template(), 0 | 4) {
            assert!(octets.is_some(), "{name}");
        }
        if let (Some(octets), None) = (octets, field.bitmap) {
            let mut section7 = vec![0; field.section7.len()];
            section7[..5].copy_from_slice(&field.section7[..5]);
            let octets = octets.start as usize..octets.end as usize;
            section7[octets.clone()].copy_from_slice(&field.section7[octets]);
            let field = Packed {
                section7: &section7,
                ..*field
            };
            decode_range(&field, from, &mut part).unwrap();
            assert!(same(&part), "{name}: octets of points {from}..{to}");
        }
    }
}

#[test]
fn every_real_field_has_the_values_that_eccodes_reads() {
    let Some(shared) = shared() else {
        println!("skipped: no shared test data (GRIBFS_TEST_DATA)");
        return;
    };
    let mut account = Account::default();
    let mut expected = Vec::new();
    files_below(&shared.join("grib/expected"), &mut expected);
    for json in expected {
        let inside = json.strip_prefix(shared.join("grib/expected")).unwrap();
        account.file(&shared.join("grib").join(inside.with_extension("")), &json);
    }
    let (right, refused) = account.finish();
    let least = [
        (0, 366),
        (2, 9),
        (3, 402),
        (4, 1),
        (40, 64),
        (41, 2),
        (42, 26),
        (200, 7),
    ];
    for (template, least) in least {
        assert!(
            right[&template] >= least,
            "5.{template}: {}",
            right[&template]
        );
    }
    let refused: Vec<&str> = refused.keys().map(String::as_str).collect();
    assert_eq!(
        refused,
        [
            "packing not supported: data representation template 5.50000 (local to the centre)",
            "packing not supported: data representation template 5.51 (spectral, complex)",
            "packing not supported: data representation template 5.53 (spectral, bi-Fourier)",
        ]
    );
}

#[test]
fn every_field_of_the_reference_archive_has_the_values_that_eccodes_reads() {
    let Some(shared) = shared() else {
        println!("skipped: no shared test data (GRIBFS_TEST_DATA)");
        return;
    };
    let mut account = Account::default();
    let mut files = Vec::new();
    files_below(&shared.join("refs/archive"), &mut files);
    let mut checked = 0;
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let expected = shared
            .join("refs/archive_expected")
            .join(format!("{name}.json"));
        if expected.is_file() {
            checked += 1;
            account.file(&file, &expected);
        }
    }
    assert!(checked >= 15);
    let (_, refused) = account.finish();
    assert!(refused.is_empty());
}

/// `shared/data/make/synthetic.py OUT`, then `expected.py -o OUT/expected OUT/*.grib2`; `GRIBFS_SYNTHETIC=OUT`.
#[test]
fn every_synthetic_field_has_the_values_that_eccodes_reads() {
    let Some(folder) = std::env::var_os("GRIBFS_SYNTHETIC")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
    else {
        println!("skipped: no synthetic fields (GRIBFS_SYNTHETIC)");
        return;
    };
    let mut account = Account::default();
    let mut expected = Vec::new();
    files_below(&folder.join("expected"), &mut expected);
    for json in expected {
        let name = json.file_stem().unwrap();
        account.file(&folder.join(name), &json);
    }
    account.finish();
}

//! ecCodes' answers: kept cases, and every field of the shared test data.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use gribfs::grib::identity::{Identity, Probability, Surface};
use gribfs::grib::levels::level_type;
use gribfs::grib::naming::name_array;
use gribfs::grib::parameters::{ParameterFacts, facts};
use serde_json::Value;

use super::{SURFACE, field};

/// ecCodes' answers about one field.
#[derive(Debug)]
pub(super) struct Answer {
    source: String,
    pub(super) identity: Identity,
    short_name: String,
    cf_var_name: String,
    name: String,
    units: String,
    standard_name: String,
    type_of_level: String,
    step_type: String,
}

/// What differs between ecCodes' answer and ours, as `key: theirs | ours`.
fn differences(answer: &Answer) -> Vec<String> {
    let ours = facts(&answer.identity);
    let mut out = Vec::new();
    let mut compare = |key: &str, theirs: &str, ours: &str| {
        if theirs != ours {
            out.push(format!("{key}: {theirs} | {ours}"));
        }
    };
    let word = |pick: fn(&ParameterFacts) -> &'static str| ours.as_ref().map_or("unknown", pick);
    compare("shortName", &answer.short_name, word(|f| f.short_name));
    compare("cfVarName", &answer.cf_var_name, word(|f| f.cf_var_name));
    compare("name", &answer.name, word(|f| f.name));
    compare("units", &answer.units, word(|f| f.units));
    compare(
        "cfName",
        &answer.standard_name,
        word(|f| f.standard_name.unwrap_or("unknown")),
    );
    let level = level_type(&answer.identity).name;
    let level = if level.starts_with("level_") || level == "nolevel" {
        "unknown".into()
    } else {
        level
    };
    // Always in hPa, see grib::levels.
    let theirs = answer
        .type_of_level
        .replace("isobaricInPa", "isobaricInhPa");
    compare("typeOfLevel", &theirs, &level);
    let step_type = name_array(&answer.identity, None).step_type;
    compare("stepType", &answer.step_type, step_type);
    out
}

fn naming_cases() -> Vec<Answer> {
    let text = include_str!("../../data/naming_cases.tsv");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
    lines
        .map(|line| {
            let row: HashMap<&str, &str> = header.iter().copied().zip(line.split('\t')).collect();
            let number = |key: &str| row[key].parse::<i64>().unwrap();
            let scaled = |which: &str| {
                let factor = row[format!("factor{which}").as_str()].parse().ok()?;
                Some((factor, row[format!("value{which}").as_str()].parse().ok()?))
            };
            let byte = |key: &str| u8::try_from(number(key)).unwrap();
            let mut identity = field(
                byte("discipline"),
                byte("category"),
                byte("number"),
                SURFACE,
            );
            identity.parameter.centre = u16::try_from(number("centre")).unwrap();
            identity.parameter.master_table = byte("tables");
            identity.parameter.local_table = byte("local");
            identity.surfaces = (
                Surface {
                    kind: byte("type1"),
                    scaled: scaled("1"),
                },
                Surface {
                    kind: byte("type2"),
                    scaled: scaled("2"),
                },
            );
            identity.statistic = row["statistic"].parse().ok();
            Answer {
                source: line.to_owned(),
                identity,
                short_name: row["shortName"].to_owned(),
                cf_var_name: row["cfVarName"].to_owned(),
                name: row["name"].to_owned(),
                units: row["units"].to_owned(),
                standard_name: row["cfName"].to_owned(),
                type_of_level: row["typeOfLevel"].to_owned(),
                step_type: row["stepType"].to_owned(),
            }
        })
        .collect()
}

#[test]
fn facts_are_those_of_eccodes() {
    let cases = naming_cases();
    assert!(cases.len() > 250);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let found = differences(case);
            (!found.is_empty()).then(|| format!("{}\n    {found:?}", case.source))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Where ecCodes' answers about real files differ from ours, `key: theirs | ours`, and why they may.
const EXPECTED: &[(&str, &[&str])] = &[
    (
        "ecCodes' name holds the length of the window (6 hours)",
        &[
            "shortName: dis06 | avg_dis",
            "cfVarName: dis06 | avg_dis",
            "name: Mean discharge in the last 6 hours | Time-mean discharge from rivers or streams",
        ],
    ),
    (
        "ECMWF's class mc, which is in its local section: the constituent is not in the name",
        &[
            "shortName: mass_mixrat | co",
            "cfVarName: mass_mixrat | co",
            "name: Mass mixing ratio | Carbon monoxide mass mixing ratio",
            "shortName: mass_mixrat | go3",
            "cfVarName: mass_mixrat | go3",
            "name: Mass mixing ratio | Ozone mass mixing ratio (full chemistry scheme)",
            "shortName: mass_mixrat | unknown",
            "cfVarName: mass_mixrat | unknown",
            "name: Mass mixing ratio | unknown",
            "units: kg kg**-1 | unknown",
        ],
    ),
    (
        "names of the S2S project, by the production status in section 1",
        &[
            "shortName: 2t | avg_2t",
            "cfVarName: t2m | avg_2t",
            "name: 2 metre temperature | Time-mean 2 metre temperature",
            "shortName: sm20 | sm",
            "cfVarName: sm20 | sm",
            "name: Soil moisture top 20 cm | Soil moisture",
        ],
    ),
    (
        "the staggering of the grid is in section 3",
        &[
            "shortName: tlat | lat",
            "cfVarName: tlat | lat",
            "name: Latitude on T grid | Latitude",
            "shortName: ulat | lat",
            "cfVarName: ulat | lat",
            "name: Latitude on U grid | Latitude",
            "shortName: vlat | lat",
            "cfVarName: vlat | lat",
            "name: Latitude on V grid | Latitude",
        ],
    ),
    (
        "a window whose statistic is coded as missing is no instant",
        &[
            "stepType: instant | max",
            "stepType: instant | min",
            "stepType: instant | window",
        ],
    ),
];

/// The folder of shared test data, if it is there.
pub(super) fn shared_data() -> Option<PathBuf> {
    let path = std::env::var_os("GRIBFS_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no test data at {}", path.display());
    None
}

fn json_files(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            json_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "json") {
            out.push(path);
        }
    }
    out.sort();
}

/// Fields of real GRIB2 files, each kind once.
pub(super) fn corpus(data: &Path) -> Vec<Answer> {
    let centres: HashMap<&str, u16> = include_str!("../../../src/grib/tables/centres.tsv")
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(number, name)| (name, number.parse().unwrap()))
        .collect();
    let mut files = Vec::new();
    json_files(&data.join("grib/expected"), &mut files);
    json_files(&data.join("refs/archive_expected"), &mut files);
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        for message in json["messages"].as_array().unwrap() {
            if message["edition"] != 2 {
                continue;
            }
            for value in message["fields"].as_array().into_iter().flatten() {
                let Some(answer) = answer(value, &file, &centres) else {
                    continue;
                };
                if seen.insert((answer.identity.clone(), answer.short_name.clone())) {
                    out.push(answer);
                }
            }
        }
    }
    out
}

fn answer(value: &Value, file: &Path, centres: &HashMap<&str, u16>) -> Option<Answer> {
    let number = |key: &str| value[key].as_i64();
    let byte = |key: &str| u8::try_from(value[key].as_i64()?).ok();
    let scaled = |which: &str| {
        let factor = i8::try_from(number(&format!("scaleFactorOf{which}"))?).ok()?;
        Some((factor, number(&format!("scaledValueOf{which}"))?))
    };
    let text = |key: &str| value[key].as_str().unwrap_or("unknown").to_owned();
    let centre = value["centre"].as_str()?;
    let template = u16::try_from(number("productDefinitionTemplateNumber")?).ok()?;
    let mut identity = field(
        byte("discipline")?,
        byte("parameterCategory")?,
        byte("parameterNumber")?,
        Surface {
            kind: byte("typeOfFirstFixedSurface").unwrap_or(255),
            scaled: scaled("FirstFixedSurface"),
        },
    );
    identity.surfaces.1 = Surface {
        kind: byte("typeOfSecondFixedSurface").unwrap_or(255),
        scaled: scaled("SecondFixedSurface"),
    };
    identity.parameter.centre = match centres.get(centre) {
        Some(number) => *number,
        None => centre.parse().ok()?,
    };
    identity.parameter.master_table = byte("tablesVersion")?;
    identity.parameter.local_table = byte("localTablesVersion")?;
    identity.generating_process = byte("typeOfGeneratingProcess").unwrap_or(255);
    identity.statistic = byte("typeOfStatisticalProcessing");
    identity.derived = byte("derivedForecast");
    identity.percentile = byte("percentileValue");
    identity.constituent = number("aerosolType")
        .or_else(|| number("constituentType"))
        .and_then(|n| u16::try_from(n).ok());
    if let Some(kind) = byte("probabilityType") {
        identity.probability = Some(Probability {
            number: (0, 255),
            kind,
            lower: scaled("LowerLimit"),
            upper: scaled("UpperLimit"),
        });
    }
    if matches!(template, 44..=49) {
        let mut octets = vec![byte("typeOfSizeInterval").unwrap_or(255)];
        octets.extend(limit_octets(scaled("FirstSize")));
        octets.extend(limit_octets(scaled("SecondSize")));
        if template >= 48 {
            octets.push(byte("typeOfWavelengthInterval").unwrap_or(255));
            octets.extend(limit_octets(scaled("FirstWavelength")));
            octets.extend(limit_octets(scaled("SecondWavelength")));
        }
        identity.further = Some((template, octets));
    }
    Some(Answer {
        source: file.display().to_string(),
        identity,
        short_name: text("shortName"),
        cf_var_name: text("cfVarName"),
        name: text("name"),
        units: text("units"),
        standard_name: text("cfName"),
        type_of_level: text("typeOfLevel"),
        step_type: text("stepType"),
    })
}

pub(super) fn limit_octets(limit: Option<(i8, i64)>) -> [u8; 5] {
    let Some((factor, value)) = limit else {
        return [255; 5];
    };
    let sign = |negative: bool| if negative { 0x80 } else { 0 };
    let [a, b, c, d] = u32::try_from(value.abs()).unwrap().to_be_bytes();
    [
        factor.unsigned_abs() | sign(factor < 0),
        a | sign(value < 0),
        b,
        c,
        d,
    ]
}

#[test]
fn facts_of_real_files_are_those_of_eccodes() {
    let Some(data) = shared_data() else { return };
    let fields = corpus(&data);
    assert!(fields.len() > 300, "{}", fields.len());
    let found: BTreeSet<String> = fields.iter().flat_map(differences).collect();
    let expected: BTreeSet<String> = EXPECTED
        .iter()
        .flat_map(|(_, differences)| differences.iter().map(|text| (*text).to_owned()))
        .collect();
    assert_eq!(found, expected);
}

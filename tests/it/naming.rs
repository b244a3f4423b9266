//! Names of arrays against ecCodes' answers, and against each other: one field one name, two fields two names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use gribfs::grib::identity::{Identity, Parameter, Probability, Surface};
use gribfs::grib::levels::level_type;
use gribfs::grib::naming::{ArrayNaming, name_array};
use gribfs::grib::parameters::facts;
use serde_json::Value;

/// An instant forecast of centre 7 with the tables of GFS.
fn field(discipline: u8, category: u8, number: u8, first: Surface) -> Identity {
    Identity {
        parameter: Parameter {
            discipline,
            category,
            number,
            centre: 7,
            sub_centre: 0,
            master_table: 2,
            local_table: 1,
        },
        surfaces: (first, Surface::NONE),
        statistic: None,
        generating_process: 2,
        ensemble: false,
        derived: None,
        probability: None,
        percentile: None,
        constituent: None,
        further: None,
    }
}

const fn at(kind: u8, factor: i8, scaled: i64) -> Surface {
    Surface {
        kind,
        scaled: Some((factor, scaled)),
    }
}

fn ecmwf(mut identity: Identity, master_table: u8) -> Identity {
    identity.parameter.centre = 98;
    identity.parameter.master_table = master_table;
    identity.parameter.local_table = 0;
    identity
}

fn layer(mut identity: Identity, second: Surface) -> Identity {
    identity.surfaces.1 = second;
    identity
}

fn over(mut identity: Identity, statistic: u8) -> Identity {
    identity.statistic = Some(statistic);
    identity
}

fn name(identity: &Identity) -> String {
    name_array(identity, None).array
}

const SURFACE: Surface = Surface::bare(1);
const HPA_500: Surface = at(100, 0, 50_000);
const TWO_METRES: Surface = at(103, 0, 2);
const TEN_METRES: Surface = at(103, 0, 10);

#[test]
fn typical_fields_have_the_names_that_people_expect() {
    let golden = [
        (field(0, 0, 0, TWO_METRES), "t2m"),
        (field(0, 0, 6, TWO_METRES), "d2m"),
        (field(0, 1, 1, TWO_METRES), "r2"),
        (field(0, 1, 0, TWO_METRES), "sh2"),
        (field(0, 2, 2, TEN_METRES), "u10"),
        (field(0, 2, 3, TEN_METRES), "v10"),
        (field(0, 2, 2, at(103, 0, 100)), "u100"),
        (field(0, 2, 2, at(103, 0, 80)), "u_heightAboveGround"),
        (field(0, 0, 0, at(103, 0, 80)), "t_heightAboveGround"),
        (field(0, 0, 0, SURFACE), "t_surface"),
        (field(0, 0, 0, HPA_500), "t"),
        (field(0, 2, 2, HPA_500), "u"),
        (field(0, 2, 3, HPA_500), "v"),
        (field(0, 3, 5, HPA_500), "gh"),
        (field(0, 1, 1, HPA_500), "r"),
        (field(0, 2, 8, HPA_500), "w"),
        (field(0, 2, 2, at(109, 9, 2000)), "u_potentialVorticity"),
        (field(0, 2, 2, Surface::bare(7)), "u_tropopause"),
        (field(0, 3, 1, Surface::bare(101)), "prmsl"),
        (field(0, 3, 192, Surface::bare(101)), "mslet"),
        (field(0, 3, 0, Surface::bare(101)), "msl"),
        (field(0, 3, 0, SURFACE), "sp"),
        (field(0, 7, 6, SURFACE), "cape"),
        (
            layer(field(0, 7, 6, at(108, 0, 18_000)), at(108, 0, 0)),
            "cape_pressureFromGroundLayer",
        ),
        (field(0, 6, 1, Surface::bare(10)), "tcc"),
        (over(field(0, 0, 0, TWO_METRES), 2), "mx2t"),
        (over(field(0, 0, 4, TWO_METRES), 2), "tmax"),
        (over(field(0, 0, 5, TWO_METRES), 3), "tmin"),
        (field(0, 16, 196, Surface::bare(10)), "refc"),
        (layer(field(2, 0, 2, at(106, 0, 0)), at(106, 1, 1)), "st"),
        (field(0, 16, 201, Surface::bare(10)), "p0_16_201_atmosphere"),
        (ecmwf(field(0, 3, 0, Surface::bare(101)), 28), "msl"),
        (ecmwf(field(0, 0, 0, TWO_METRES), 28), "t2m"),
        (ecmwf(field(0, 0, 0, TWO_METRES), 35), "t2m"),
        (over(ecmwf(field(0, 0, 0, TWO_METRES), 28), 2), "mx2t"),
    ];
    for (identity, expected) in golden {
        assert_eq!(name(&identity), expected, "{identity:?}");
    }
}

#[test]
fn accumulations_are_named_by_their_buckets() {
    let rain = over(field(0, 1, 8, SURFACE), 1);
    assert_eq!(name_array(&rain, Some(0)).array, "tp");
    assert_eq!(name_array(&rain, Some(21_600)).array, "tp_bucket6h");
    assert_eq!(name_array(&rain, Some(900)).array, "tp_bucket15m");
    assert_eq!(name(&over(field(0, 1, 8, SURFACE), 0)), "tp_avg");
    assert_eq!(name(&field(0, 1, 8, SURFACE)), "tp_instant");
    let old = over(ecmwf(field(0, 1, 193, SURFACE), 27), 1);
    assert_eq!(name_array(&old, Some(0)).array, "tp");
    assert_eq!(name_array(&old, Some(0)).units, "m");
}

#[test]
fn only_levels_with_a_value_make_an_axis() {
    let naming = name_array(&field(0, 0, 0, at(100, 0, 50)), None);
    assert_eq!(naming.level, Some((0.5, None)));
    let axis = naming.level_axis.unwrap();
    assert_eq!(axis.name, "isobaricInhPa");
    assert_eq!(axis.units, "hPa");
    assert_eq!(axis.positive, Some("down"));
    assert_eq!(axis.standard_name, Some("air_pressure"));

    let fixed = name_array(&field(0, 0, 0, TWO_METRES), None);
    assert_eq!((fixed.level_axis, fixed.level), (None, None));
    assert_eq!(name_array(&field(0, 3, 0, SURFACE), None).level_axis, None);

    let soil = layer(field(2, 0, 2, at(106, 0, 0)), at(106, 1, 1));
    let naming = name_array(&soil, None);
    assert_eq!(naming.level, Some((0.0, Some(0.1))));
    assert!(naming.level_axis.unwrap().layer);

    let swell = name_array(&field(10, 0, 8, at(241, 0, 1)), None);
    assert_eq!(swell.level_axis.unwrap().name, "orderedSequenceData");
}

#[test]
fn versions_and_kinds_of_process_do_not_change_a_name() {
    for base in [
        field(0, 0, 0, TWO_METRES),
        over(field(0, 1, 8, SURFACE), 1),
        ecmwf(field(0, 6, 1, layer_top()), 28),
    ] {
        let expected = name(&base);
        for process in [0, 1, 2, 3, 4] {
            for master in [2, 27, 28, 33, 34, 35] {
                let mut other = base.clone();
                other.generating_process = process;
                other.parameter.master_table = master;
                other.parameter.sub_centre = 4;
                assert_eq!(name(&other), expected, "{other:?}");
            }
        }
    }
}

const fn layer_top() -> Surface {
    Surface::bare(10)
}

#[test]
fn products_of_ensembles_have_suffixes() {
    let mut spread = field(0, 0, 0, TWO_METRES);
    spread.derived = Some(4);
    assert_eq!(name(&spread), "t2m_spread");
    let mut chance = over(field(0, 1, 8, SURFACE), 1);
    chance.probability = Some(Probability {
        number: (0, 255),
        kind: 1,
        lower: None,
        upper: Some((3, 254)),
    });
    assert_eq!(name_array(&chance, Some(0)).array, "tp_prob_gt_0p254");
    assert_eq!(name_array(&chance, Some(0)).units, "%");
    let mut median = over(field(0, 1, 8, SURFACE), 1);
    median.percentile = Some(50);
    assert_eq!(name_array(&median, Some(21_600)).array, "tp_bucket6h_p50");
    let mut error = field(0, 0, 0, TWO_METRES);
    error.generating_process = 7;
    assert_eq!(name(&error), "t2m_error");
}

/// ecCodes' answers about one field.
#[derive(Debug)]
struct Answer {
    source: String,
    identity: Identity,
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
    let word = |pick: fn(&gribfs::grib::parameters::ParameterFacts) -> &'static str| {
        ours.as_ref().map_or("unknown", pick)
    };
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
    let text = include_str!("../data/naming_cases.tsv");
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

/// The folder of shared test data, if it is there.
fn shared_data() -> Option<PathBuf> {
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
fn corpus(data: &Path) -> Vec<Answer> {
    let centres: HashMap<&str, u16> = include_str!("../../src/grib/tables/centres.tsv")
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

fn limit_octets(limit: Option<(i8, i64)>) -> [u8; 5] {
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
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for field in &fields {
        for difference in differences(field) {
            found.entry(difference).or_default().insert(format!(
                "{} {:?}",
                Path::new(&field.source).file_name().unwrap().display(),
                field.identity
            ));
        }
    }
    let found: Vec<String> = found
        .into_iter()
        .map(|(difference, fields)| format!("{difference} ({}) {:?}", fields.len(), fields.first()))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What tells two fields of one array apart on its axes, as text.
fn place(naming: &ArrayNaming) -> String {
    format!("{} {:?}", naming.array, naming.level)
}

#[test]
fn names_fit() {
    let Some(data) = shared_data() else { return };
    for field in corpus(&data) {
        let name = name(&field.identity);
        let mut letters = name.chars();
        assert!(
            letters
                .next()
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        );
        assert!(
            letters.all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "{name}"
        );
    }
}

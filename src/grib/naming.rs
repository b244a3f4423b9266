//! The name of an array: a function of one field's identity, whatever else is in the table.
//!
//! Temperature at 2 m is `t2m`, on pressure levels `t`, at 80 m `t_heightAboveGround`; precipitation since the start of
//! the run is `tp`, in six-hour buckets `tp_bucket6h`; the local parameter (0, 16, 201) is `p0_16_201_atmosphere`.
//!
//! A name is: base (ecCodes' cfVarName, or numbers), level type unless it is the base's home, step type unless it is the
//! base's usual one, bucket, suffixes (`grib::suffix`). Names that ecCodes gives to one level value have no level at all;
//! names that it gives to one statistic have no step type. Not part of a name, so that such fields share an array: tables
//! version, sub-centre, whether the process was an analysis, a forecast or an ensemble, the length of a window. ECMWF's
//! tables since version 34 are used for all of its messages; the older ones only for what the new ones do not know.
//!
//! Bases with their homes and usual step types are `grib::base_name`'s.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::base_name::Base;
use super::identity::Identity;
use super::levels::{self, Level, LevelType};
use super::parameters::ParameterFacts;
use super::suffix;
use crate::time::step_text;

/// The name of the array that a field belongs to, and what can be said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayNaming {
    /// Name of the array; matches `[A-Za-z_][A-Za-z0-9_]*`.
    pub array: String,
    /// The level axis; `None` if the level has no value or is fixed in the name.
    pub level_axis: Option<LevelType>,
    /// Position on that axis, in its units; both values for a layer.
    pub level: Option<(f64, Option<f64>)>,
    /// The level type, with or without an axis.
    pub level_type: LevelType,
    /// ecCodes' `stepType`: `instant`, `avg`, `accum`, `max`, ...
    pub step_type: &'static str,
    /// ecCodes' facts, if it knows the parameter.
    pub facts: Option<ParameterFacts>,
    /// Name in words.
    pub long_name: String,
    /// Units as ecCodes writes them; `%` for probabilities, `unknown` if nobody says.
    pub units: String,
    /// CF standard name.
    pub standard_name: Option<&'static str>,
    /// CF cell methods; `None` for an instant.
    pub cell_methods: Option<String>,
    /// Whether it is an error of the quantity rather than the quantity.
    pub is_error: bool,
    /// Further attributes: the `GRIB_` keys that cfgrib writes.
    pub attributes: Vec<(String, Value)>,
}

/// Names the array of a field. `bucket_seconds` is the reset period of an accumulation, `Some(0)` for one that counts
/// from the start of the run, `None` for anything else.
#[must_use]
pub fn name_array(identity: &Identity, bucket_seconds: Option<i64>) -> ArrayNaming {
    let base = Base::of(identity);
    let level = levels::level(identity);
    let step_type = step_type(identity);
    let mut array = base.name.clone();
    if !base.level_fixed {
        if base.home != level.kind.name {
            array.push('_');
            array.push_str(&level.kind.name);
        }
        array.push_str(&level.remark);
    }
    if !base.statistic_fixed && base.usual != step_type {
        array.push('_');
        array.push_str(step_type);
    }
    if let Some(seconds) = bucket_seconds.filter(|seconds| *seconds > 0) {
        array.push_str("_bucket");
        array.push_str(&step_text(seconds));
    }
    array.push_str(&suffix::of(
        identity,
        !base.constituent_fixed,
        !base.wavelength_fixed,
    ));
    let axis = level.kind.has_value && !base.level_fixed;
    ArrayNaming {
        array: fit(&array),
        level_axis: axis.then(|| level.kind.clone()),
        level: level.values.filter(|_| axis),
        step_type,
        long_name: long_name(identity, &base),
        units: units(identity, &base),
        standard_name: standard_name(identity, &base),
        cell_methods: cell_methods(identity),
        is_error: identity.is_error(),
        attributes: attributes(identity, &base, &level, step_type),
        facts: base.facts,
        level_type: level.kind,
    }
}

/// ecCodes' `stepType`. A window whose statistic is coded as missing is an `instant` to ecCodes; here it is a `window`, but
/// for NCEP's TMAX and TMIN, which say in words what they are.
fn step_type(identity: &Identity) -> &'static str {
    let parameter = identity.parameter;
    let number = (parameter.discipline, parameter.category, parameter.number);
    match identity.statistic {
        None => "instant",
        Some(0) => "avg",
        Some(1) => "accum",
        Some(2) => "max",
        Some(3) => "min",
        Some(4) => "diff",
        Some(5) => "rms",
        Some(6) => "sd",
        Some(7) => "cov",
        Some(8) => "sdiff",
        Some(9) => "ratio",
        Some(10) => "stdanom",
        Some(11) => "sum",
        Some(12) => "returnperiod",
        Some(13) => "median",
        Some(100) => "severity",
        Some(101) => "mode",
        Some(102) => "index",
        Some(255) => match (parameter.centre, number) {
            (7, (0, 0, 4)) => "max",
            (7, (0, 0, 5)) => "min",
            _ => "window",
        },
        Some(other) => numbered(other),
    }
}

/// `stat14` and so on, for statistics that have no name: one leaked-once table instead of a String in each naming.
fn numbered(statistic: u8) -> &'static str {
    static WORDS: LazyLock<Vec<String>> =
        LazyLock::new(|| (0..=255).map(|number| format!("stat{number}")).collect());
    WORDS
        .get(usize::from(statistic))
        .map_or("stat", String::as_str)
}

fn long_name(identity: &Identity, base: &Base) -> String {
    let parameter = identity.parameter;
    let mut text = base.facts.map_or_else(
        || {
            format!(
                "discipline {}, category {}, number {} (centre {})",
                parameter.discipline, parameter.category, parameter.number, parameter.centre
            )
        },
        |facts| facts.name.to_owned(),
    );
    let suffix = suffix::of(identity, !base.constituent_fixed, !base.wavelength_fixed);
    if !suffix.is_empty() {
        text.push_str(", ");
        text.push_str(suffix.trim_start_matches('_').replace('_', " ").as_str());
    }
    text
}

fn units(identity: &Identity, base: &Base) -> String {
    if identity.probability.is_some() {
        return "%".to_owned();
    }
    base.facts.map_or("unknown", |facts| facts.units).to_owned()
}

/// A probability or an error is not the quantity that the standard name means.
fn standard_name(identity: &Identity, base: &Base) -> Option<&'static str> {
    let plain = identity.probability.is_none()
        && !identity.is_error()
        && matches!(identity.derived, None | Some(0 | 1 | 6 | 8 | 9));
    base.facts
        .and_then(|facts| facts.standard_name)
        .filter(|_| plain)
}

/// CF cell methods over time and over members.
fn cell_methods(identity: &Identity) -> Option<String> {
    let time = match identity.statistic {
        Some(0) => Some("time: mean"),
        Some(1 | 11) => Some("time: sum"),
        Some(2) => Some("time: maximum"),
        Some(3) => Some("time: minimum"),
        Some(5) => Some("time: root_mean_square"),
        Some(6) => Some("time: standard_deviation"),
        Some(7) => Some("time: variance"),
        Some(13) => Some("time: median"),
        Some(101) => Some("time: mode"),
        Some(255) => match step_type(identity) {
            "max" => Some("time: maximum"),
            "min" => Some("time: minimum"),
            _ => None,
        },
        Some(_) | None => None,
    };
    let members = match identity.derived {
        Some(0 | 1 | 6) => Some("realization: mean"),
        Some(2 | 4) => Some("realization: standard_deviation"),
        Some(8) => Some("realization: minimum"),
        Some(9) => Some("realization: maximum"),
        Some(10) => Some("realization: variance"),
        Some(_) | None => None,
    };
    match (time, members) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (Some(one), Some(two)) => Some(format!("{one} {two}")),
    }
}

static CENTRES: LazyLock<HashMap<u16, &'static str>> = LazyLock::new(|| {
    include_str!("tables/centres.tsv")
        .lines()
        .filter_map(|line| {
            let (number, name) = line.split_once('\t')?;
            Some((number.parse().ok()?, name))
        })
        .collect()
});

fn attributes(
    identity: &Identity,
    base: &Base,
    level: &Level,
    step_type: &str,
) -> Vec<(String, Value)> {
    let parameter = identity.parameter;
    let mut out: Vec<(String, Value)> = Vec::new();
    let mut put = |key: &str, value: Value| out.push((format!("GRIB_{key}"), value));
    if let Some(facts) = base.facts {
        put("paramId", facts.param_id.into());
        put("shortName", facts.short_name.into());
        put("cfVarName", facts.cf_var_name.into());
        put("name", facts.name.into());
        put("units", facts.units.into());
        if let Some(standard_name) = facts.standard_name {
            put("cfName", standard_name.into());
        }
    }
    put("discipline", parameter.discipline.into());
    put("parameterCategory", parameter.category.into());
    put("parameterNumber", parameter.number.into());
    put("typeOfLevel", level.kind.name.as_ref().into());
    put("stepType", step_type.into());
    match CENTRES.get(&parameter.centre) {
        Some(name) => put("centre", (*name).into()),
        None => put("centre", parameter.centre.to_string().into()),
    }
    put("subCentre", parameter.sub_centre.into());
    if let Some(derived) = identity.derived {
        put("derivedForecast", derived.into());
    }
    if let Some(percentile) = identity.percentile {
        put("percentileValue", percentile.into());
    }
    if let Some(constituent) = identity.constituent {
        put("constituentType", constituent.into());
    }
    if let Some(limits) = identity.probability {
        put("probabilityType", limits.kind.into());
        for (key, limit) in [("lowerLimit", limits.lower), ("upperLimit", limits.upper)] {
            let number = limit.and_then(|(factor, scaled)| {
                format!("{scaled}e{}", -i32::from(factor))
                    .parse::<f64>()
                    .ok()
            });
            if let Some(number) = number {
                put(key, number.into());
            }
        }
    }
    out
}

/// The text with everything that a name may not hold replaced by `_`, and not beginning with a digit.
fn fit(text: &str) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) || out.is_empty() {
        out.insert(0, '_');
    }
    out
}

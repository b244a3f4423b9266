//! Arrays that are computed on the way, as the metadata shows them: differences of accumulations, statistics over members.
//!
//! Names say what an array holds. `tp` as rates is `tp_rate`; the statistics of `t2m` are `t2m_ens_mean`, `t2m_ens_p10`, .. without the axis
//! `number`, beside `t2m_ens_members`: how many members have a message at each time. (`t2m_max` would be a maximum over time.)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use super::fields::face_axes;
use super::layout::LayoutError;
use super::settings::CopySettings;
use super::statistic::Statistic;
use crate::dataset::CellState;
use crate::slices::StoreView;
use crate::zarr::key::chunk_positions;
use crate::zarr::model::{Array, Content, DataType, Fill, Group};

/// Name of the axis of members.
const MEMBERS: &str = "number";
/// Attribute of arrays of differences: `bucket` or `rate`.
pub(super) const DEACCUMULATED: &str = "deaccumulated";
/// Attribute of statistics: members along the axis that they are over.
pub(super) const ENSEMBLE_MEMBERS: &str = "ensemble_members";

/// How accumulations are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deaccumulate {
    /// As sums over each interval, in the same units.
    Bucket,
    /// As means over each interval, per second.
    Rate,
}

impl fmt::Display for Deaccumulate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bucket => "bucket",
            Self::Rate => "rate",
        })
    }
}

/// How an array is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Derivation {
    /// Of differences between steps.
    pub(super) difference: Option<Deaccumulate>,
    /// Over members.
    pub(super) statistic: Option<Statistic>,
    /// The first of the arrays that are computed of the same fields, among the layout's.
    pub(super) leader: usize,
}

/// Changes a hierarchy to what is written, and tells by path which arrays are computed.
pub(super) fn derive(
    root: &mut Group,
    view: &StoreView,
    settings: &CopySettings,
) -> Result<BTreeMap<String, Derivation>, LayoutError> {
    let mut derived = BTreeMap::new();
    if settings.statistics.is_empty() && settings.deaccumulate.is_none() {
        return Ok(derived);
    }
    of_group(root, "", view, settings, &mut derived)?;
    let has = |wanted: &dyn Fn(&Derivation) -> bool| derived.values().any(wanted);
    if !settings.statistics.is_empty() && !has(&|one| one.statistic.is_some()) {
        return Err(LayoutError::NoMembers);
    }
    if settings.deaccumulate.is_some() && !has(&|one| one.difference.is_some()) {
        return Err(LayoutError::NoAccumulation);
    }
    Ok(derived)
}

fn of_group(
    group: &mut Group,
    prefix: &str,
    view: &StoreView,
    settings: &CopySettings,
    derived: &mut BTreeMap<String, Derivation>,
) -> Result<(), LayoutError> {
    let mut arrays = Vec::new();
    for array in std::mem::take(&mut group.arrays) {
        let Content::Fields {
            group,
            array: number,
        } = array.content
        else {
            arrays.push(array);
            continue;
        };
        let difference = settings
            .deaccumulate
            .filter(|_| view.intervals(group, number).is_some());
        let base = match difference {
            Some(kind) => difference_of(array, kind),
            None => array,
        };
        let mut note = |name: &str, statistic| {
            let derivation = Derivation {
                difference,
                statistic,
                leader: 0,
            };
            derived.insert(format!("{prefix}{name}"), derivation);
        };
        let members = base.dimensions.iter().position(|name| name == MEMBERS);
        match members.filter(|_| !settings.statistics.is_empty()) {
            Some(axis) => {
                for statistic in &settings.statistics {
                    let made = statistic_of(&base, axis, *statistic);
                    note(&made.name, Some(*statistic));
                    arrays.push(made);
                }
                arrays.push(members_of(&base, axis, view, (group, number)));
            }
            None => {
                if difference.is_some() {
                    note(&base.name, None);
                }
                arrays.push(base);
            }
        }
    }
    let is_used = arrays
        .iter()
        .any(|array| array.name != MEMBERS && array.dimensions.iter().any(|name| name == MEMBERS));
    arrays.retain(|array| is_used || array.name != MEMBERS);
    let mut names = BTreeSet::new();
    if let Some(twice) = arrays.iter().find(|array| !names.insert(&array.name)) {
        return Err(LayoutError::Taken(format!("{prefix}{}", twice.name)));
    }
    group.arrays = arrays;
    for (name, inner) in &mut group.groups {
        of_group(inner, &format!("{prefix}{name}/"), view, settings, derived)?;
    }
    Ok(())
}

fn text(array: &Array, key: &str) -> String {
    let found = array.attributes.get(key).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

/// An accumulation as differences.
fn difference_of(mut array: Array, kind: Deaccumulate) -> Array {
    let (long_name, units) = (text(&array, "long_name"), text(&array, "units"));
    let methods = text(&array, "cell_methods");
    let mut put = |key: &str, value: String| array.attributes.insert(key.to_owned(), json!(value));
    put(DEACCUMULATED, kind.to_string());
    match kind {
        Deaccumulate::Bucket => {
            put("long_name", format!("{long_name}, by interval"));
        }
        Deaccumulate::Rate => {
            put("long_name", format!("{long_name}, mean rate by interval"));
            put("units", per_second(&units));
            put(
                "cell_methods",
                methods.replacen("time: sum", "time: mean", 1),
            );
            // They are those of the amount.
            array.attributes.retain(|key, _| !of_the_amount(key));
            array.name.push_str("_rate");
        }
    }
    array
}

/// Whether an attribute is true of a quantity in its own units alone.
fn of_the_amount(key: &str) -> bool {
    matches!(
        key,
        "standard_name"
            | "GRIB_units"
            | "GRIB_cfName"
            | "GRIB_paramId"
            | "GRIB_shortName"
            | "GRIB_name"
            | "GRIB_cfVarName"
            | "GRIB_stepType"
    )
}

/// Units per second, as ecCodes writes them.
fn per_second(units: &str) -> String {
    match units {
        "" | "unknown" => "unknown".to_owned(),
        "1" | "~" | "Numeric" | "(0 - 1)" | "Proportion" | "dimensionless" => "s**-1".to_owned(),
        other => format!("{other} s**-1"),
    }
}

/// A statistic over the members of an array, whose axis `axis` they are.
fn statistic_of(array: &Array, axis: usize, statistic: Statistic) -> Array {
    let mut made = array.clone();
    made.name = format!("{}_ens_{}", array.name, statistic.name());
    let members = array.shape.get(axis).copied().unwrap_or(0);
    for list in [&mut made.shape, &mut made.chunks] {
        list.remove(axis);
    }
    made.dimensions.remove(axis);
    let (long_name, units) = (text(array, "long_name"), text(array, "units"));
    let methods = text(array, "cell_methods");
    if statistic.is_pure() {
        made.attributes.retain(|key, _| !of_the_amount(key));
    }
    let attributes = &mut made.attributes;
    let mut put = |key: &str, value: Value| attributes.insert(key.to_owned(), value);
    let words = statistic.words();
    put("long_name", json!(format!("{long_name}, ensemble {words}")));
    if statistic.is_pure() {
        put("units", json!("1"));
    }
    if let Some(method) = statistic.cell_method() {
        let method = format!("realization: {method}");
        let all = [methods.as_str(), method.as_str()].join(" ");
        put("cell_methods", json!(all.trim_start()));
    }
    put("ensemble_statistic", json!(statistic.to_string()));
    if let Statistic::Probability(..) = statistic {
        put("threshold_units", json!(units));
    }
    put(ENSEMBLE_MEMBERS, json!(members));
    put("ancillary_variables", json!(members_name(array)));
    made
}

fn members_name(array: &Array) -> String {
    format!("{}_ens_members", array.name)
}

/// How many members have a message at each position of the other leading axes of an array.
fn members_of(
    array: &Array,
    axis: usize,
    view: &StoreView,
    (group, number): (usize, usize),
) -> Array {
    let points = array.chunks.iter().product();
    let lead = array.shape.len() - face_axes(&array.shape, points).min(array.shape.len());
    let mut shape = array.shape.get(..lead).unwrap_or_default().to_vec();
    let mut dimensions = array.dimensions.get(..lead).unwrap_or_default().to_vec();
    shape.remove(axis);
    dimensions.remove(axis);
    let mut counts = Vec::new();
    for linear in 0..shape.iter().product::<u64>() {
        let positions = chunk_positions(linear, &shape);
        let count = present(view, (group, number), &positions);
        counts.extend_from_slice(&count.to_le_bytes());
    }
    let long_name = format!("{}: members that have a message", text(array, "long_name"));
    let mut attributes = serde_json::Map::new();
    attributes.insert("long_name".to_owned(), json!(long_name));
    attributes.insert("units".to_owned(), json!("1"));
    if let Some(coordinates) = array.attributes.get("coordinates").and_then(Value::as_str) {
        // Of the grid's coordinates it has none.
        let own = |name: &&str| ["time", "step", "valid_time"].contains(name);
        let kept: Vec<&str> = coordinates.split(' ').filter(own).collect();
        if !kept.is_empty() {
            attributes.insert("coordinates".to_owned(), json!(kept.join(" ")));
        }
    }
    let kind = (DataType::Int32, Fill::None);
    let name = members_name(array);
    Array::inline(name, dimensions, shape, kind, attributes, counts.into())
}

/// Members that have a message at some positions along the leading axes but theirs.
fn present(view: &StoreView, (group, number): (usize, usize), positions: &[u64]) -> i32 {
    let (Some(field), Some(first)) = (
        view.field(group, number),
        view.key_at(group, number, positions, false),
    ) else {
        return 0;
    };
    let members = (0_u32..).take(view.members(group));
    let states = members.map(|member| {
        let key = crate::dataset::cells::CellKey { member, ..first };
        field.cells.get(key)
    });
    let count = states
        .filter(|state| matches!(state, CellState::Present(_)))
        .count();
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array() -> Array {
        let attributes = [
            ("long_name", "Total precipitation"),
            ("units", "kg m**-2"),
            ("standard_name", "precipitation_amount"),
            ("cell_methods", "time: sum"),
            ("GRIB_units", "kg m**-2"),
        ];
        Array {
            name: "tp".to_owned(),
            dimensions: ["step", "number", "y", "x"].map(str::to_owned).to_vec(),
            shape: vec![4, 3, 5, 6],
            chunks: vec![1, 1, 5, 6],
            data_type: DataType::Float32,
            fill: Fill::NaN,
            attributes: attributes
                .iter()
                .map(|(key, value)| ((*key).to_owned(), json!(value)))
                .collect(),
            content: Content::Fields { group: 0, array: 0 },
        }
    }

    #[test]
    fn attributes_say_what_was_done() {
        let rate = difference_of(array(), Deaccumulate::Rate);
        assert_eq!(
            (rate.name.as_str(), text(&rate, "units")),
            ("tp_rate", "kg m**-2 s**-1".to_owned())
        );
        assert_eq!(text(&rate, "cell_methods"), "time: mean");
        assert_eq!(text(&rate, "standard_name"), "");
        let bucket = difference_of(array(), Deaccumulate::Bucket);
        assert_eq!(
            (bucket.name.as_str(), text(&bucket, "units")),
            ("tp", "kg m**-2".to_owned())
        );
        assert_eq!(text(&bucket, "cell_methods"), "time: sum");

        let mean = statistic_of(&bucket, 1, Statistic::Mean);
        assert_eq!(mean.name, "tp_ens_mean");
        assert_eq!(mean.dimensions, ["step", "y", "x"]);
        assert_eq!(
            (mean.shape.as_slice(), mean.chunks.as_slice()),
            ([4, 5, 6].as_slice(), [1, 5, 6].as_slice())
        );
        assert_eq!(text(&mean, "cell_methods"), "time: sum realization: mean");
        assert_eq!(text(&mean, "units"), "kg m**-2");
        assert_eq!(mean.attributes.get(ENSEMBLE_MEMBERS), Some(&json!(3)));

        let probability = statistic_of(&rate, 1, "prob>0.1".parse().unwrap());
        assert_eq!(probability.name, "tp_rate_ens_prob_gt_0_1");
        assert_eq!(text(&probability, "units"), "1");
        assert_eq!(text(&probability, "threshold_units"), "kg m**-2 s**-1");
        assert_eq!(text(&probability, "cell_methods"), "time: mean");
        assert_eq!(per_second("(0 - 1)"), "s**-1");
    }
}

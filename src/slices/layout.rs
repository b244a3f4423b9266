//! Layouts of a store: all arrays in one group, or kerchunk's tree of groups.
//!
//! In the tree `t_heightAboveGround` is `t/instant/heightAboveGround/t`, and each leaf holds the coordinates of its arrays, so that it can be
//! opened alone. What the path says is left out of the name; what it does not say stays (`tp/accum/surface/tp_bucket6h`).

use std::collections::{BTreeMap, BTreeSet};

use crate::zarr::model::{Array, Content, Group};

/// How the arrays of a store are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// All arrays of a grid in one group: a store is one data set.
    #[default]
    Flat,
    /// Groups `variable/stepType/typeOfLevel`, one data set each.
    Tree,
}

/// Attributes that name further variables of the same data set, separated by blanks.
const REFERENCES: [&str; 4] = ["coordinates", "grid_mapping", "step_bounds", "bounds"];

/// A flat group's arrays as groups within groups.
pub(super) fn tree(flat: &Group) -> Group {
    let mut leaves: BTreeMap<[String; 3], Vec<Array>> = BTreeMap::new();
    for array in flat.arrays.iter().filter(|array| is_field(array)) {
        let (path, name) = place(array);
        let leaf = leaves.entry(path).or_default();
        // Names differ in more than the path as a rule; the full name always does.
        let taken = leaf.iter().any(|other| other.name == name);
        leaf.push(Array {
            name: if taken { array.name.clone() } else { name },
            ..array.clone()
        });
    }
    let mut root = Group {
        attributes: flat.attributes.clone(),
        ..Group::default()
    };
    for ([variable, step_type, level_type], mut arrays) in leaves {
        arrays.extend(companions(flat, &arrays));
        let leaf = Group {
            attributes: flat.attributes.clone(),
            arrays,
            groups: Vec::new(),
        };
        let group = |groups: &mut Vec<(String, Group)>, name: &String| {
            if groups.last().is_none_or(|(last, _)| last != name) {
                groups.push((name.clone(), Group::default()));
            }
        };
        // Leaves come sorted by path: a group that is there already is the last one.
        group(&mut root.groups, &variable);
        let Some((_, by_variable)) = root.groups.last_mut() else {
            continue;
        };
        group(&mut by_variable.groups, &step_type);
        if let Some((_, by_step_type)) = by_variable.groups.last_mut() {
            by_step_type.groups.push((level_type, leaf));
        }
    }
    root
}

fn is_field(array: &Array) -> bool {
    matches!(array.content, Content::Fields { .. })
}

/// Path and name of an array: variable, step type and level type as ecCodes calls them.
fn place(array: &Array) -> ([String; 3], String) {
    let key = |name: &str| {
        let text = array.attributes.get(name)?.as_str()?;
        (!text.is_empty() && text != "unknown").then(|| text.to_owned())
    };
    let level_type = key("GRIB_typeOfLevel").unwrap_or_else(|| "nolevel".to_owned());
    let step_type = key("GRIB_stepType").unwrap_or_else(|| "instant".to_owned());
    let mut name = array.name.clone();
    for said in [&level_type, &step_type] {
        let parts: Vec<&str> = name.split(&format!("_{said}")).collect();
        // Only whole words: `_max` is not in `_maxwind`.
        if let [before, after] = parts.as_slice()
            && (after.is_empty() || after.starts_with('_'))
        {
            name = format!("{before}{after}");
        }
    }
    let variable = key("GRIB_cfVarName").unwrap_or_else(|| name.clone());
    ([variable, step_type, level_type], name)
}

/// The coordinates, bounds and grid mappings that some arrays need.
fn companions(flat: &Group, arrays: &[Array]) -> Vec<Array> {
    let mut wanted = BTreeSet::new();
    for array in arrays {
        need(flat, array, &mut wanted);
    }
    let others = flat.arrays.iter().filter(|array| !is_field(array));
    others
        .filter(|array| wanted.contains(&array.name))
        .cloned()
        .collect()
}

fn need(flat: &Group, array: &Array, wanted: &mut BTreeSet<String>) {
    let named = REFERENCES
        .iter()
        .filter_map(|key| array.attributes.get(*key)?.as_str())
        .flat_map(str::split_whitespace);
    for name in array.dimensions.iter().map(String::as_str).chain(named) {
        let other = flat.arrays.iter().find(|other| other.name == name);
        if let Some(other) = other.filter(|other| !is_field(other))
            && wanted.insert(name.to_owned())
        {
            need(flat, other, wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zarr::model::{DataType, Fill};
    use serde_json::{Map, json};

    fn array(name: &str, dimensions: &[&str], attributes: &[(&str, &str)], field: bool) -> Array {
        Array {
            name: name.to_owned(),
            dimensions: dimensions.iter().map(|name| (*name).to_owned()).collect(),
            shape: vec![1; dimensions.len()],
            chunks: vec![1; dimensions.len()],
            data_type: DataType::Float32,
            fill: Fill::NaN,
            attributes: attributes
                .iter()
                .map(|(key, value)| ((*key).to_owned(), json!(value)))
                .collect(),
            content: if field {
                Content::Fields { group: 0, array: 0 }
            } else {
                Content::Inline(bytes::Bytes::new())
            },
        }
    }

    fn field(name: &str, variable: &str, step_type: &str, level_type: &str) -> Array {
        let attributes = [
            ("GRIB_cfVarName", variable),
            ("GRIB_stepType", step_type),
            ("GRIB_typeOfLevel", level_type),
        ];
        array(name, &["x"], &attributes, true)
    }

    #[test]
    fn names_lose_what_the_path_says() {
        for (flat, variable, step_type, level_type, leaf) in [
            ("t2m", "t2m", "instant", "heightAboveGround", "t2m"),
            (
                "t_heightAboveGround",
                "t",
                "instant",
                "heightAboveGround",
                "t",
            ),
            ("tcc_avg", "tcc", "avg", "atmosphere", "tcc"),
            ("tp_bucket6h", "tp", "accum", "surface", "tp_bucket6h"),
            ("u_maxWind_max", "u", "max", "maxWind", "u"),
        ] {
            let (path, name) = place(&field(flat, variable, step_type, level_type));
            assert_eq!(path, [variable, step_type, level_type]);
            assert_eq!(name, leaf);
        }
    }

    #[test]
    fn leaves_hold_the_coordinates_of_their_arrays() {
        let mut t = field("t", "t", "instant", "isobaricInhPa");
        t.attributes
            .insert("coordinates".to_owned(), json!("layer"));
        let flat = Group {
            attributes: Map::new(),
            arrays: vec![
                t,
                field("t_surface", "t", "instant", "surface"),
                array("x", &["x"], &[], false),
                array("layer", &["layer"], &[("bounds", "layer_bounds")], false),
                array("layer_bounds", &["layer", "bnds"], &[], false),
            ],
            groups: Vec::new(),
        };
        let root = tree(&flat);
        let [(_, t)] = root.groups.as_slice() else {
            panic!("one variable");
        };
        let [(_, instant)] = t.groups.as_slice() else {
            panic!("one step type");
        };
        let names: Vec<(&str, Vec<&str>)> = instant
            .groups
            .iter()
            .map(|(level_type, leaf)| {
                let arrays = leaf.arrays.iter().map(|array| array.name.as_str());
                (level_type.as_str(), arrays.collect())
            })
            .collect();
        assert_eq!(
            names,
            [
                ("isobaricInhPa", vec!["t", "x", "layer", "layer_bounds"]),
                ("surface", vec!["t", "x"])
            ]
        );
    }
}

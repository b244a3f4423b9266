//! Sets of single members as one set with an axis `number`.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};

use super::array::ArrayInfo;
use super::builder::SetBuilder;
use super::chunks::Target;
use super::error::RefsError;
use super::set::{Kind, RefSet};
use crate::zarr::key::{chunk_key, chunk_positions};

/// Dimensions that stand before the member axis.
const TIME_LIKE: [&str; 7] = [
    "time",
    "step",
    "valid_time",
    "valid_times",
    "run_times",
    "model_horizons",
    "forecast_reference_time",
];

/// The member that a file name speaks of: `control`, `ens_07`, `stage3_ens07_final`, `gep12`, `gec00`.
#[must_use]
pub fn member_in_name(name: &str) -> Option<u16> {
    let name = name.to_ascii_lowercase();
    for (word, control) in [
        ("ens_", false),
        ("ens", false),
        ("gep", false),
        ("gec", true),
        ("member_", false),
        ("mem", false),
    ] {
        for (at, _) in name.match_indices(word) {
            let digits: String = name
                .get(at + word.len()..)?
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            let before = at.checked_sub(1).and_then(|at| name.as_bytes().get(at));
            let starts = before.is_none_or(|byte| !byte.is_ascii_alphanumeric());
            if !digits.is_empty() && digits.len() <= 3 && starts {
                let number = digits.parse().ok()?;
                return Some(if control { 0 } else { number });
            }
        }
    }
    name.contains("control").then_some(0)
}

/// One set of many, each a member's. All must have the same arrays.
///
/// # Errors
/// [`RefsError::Members`] where shapes differ or a member comes twice.
pub fn combine(mut members: Vec<(u16, RefSet)>) -> Result<RefSet, RefsError> {
    members.sort_by_key(|(number, _)| *number);
    let numbers: BTreeSet<u16> = members.iter().map(|(number, _)| *number).collect();
    if numbers.len() != members.len() {
        return Err(RefsError::Members("one member has two files".to_owned()));
    }
    let mut builder = SetBuilder::default();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut defects = Vec::new();
    for (_, set) in &members {
        defects.extend(set.defects.iter().cloned());
        for (_, node, info) in set.arrays() {
            if !seen.insert(node.path.clone()) {
                continue;
            }
            if node.name == "number" {
                number_axis(&mut builder, &node.path, &numbers)?;
                continue;
            }
            let zarray = original(node.zarray.as_ref());
            if info.is_grib() && !is_coordinate(info) {
                let place = place_of_axis(&set.dimensions(find(set, &node.path)));
                array_with_axis(&mut builder, set, &node.path, zarray, place, numbers.len())?;
                for (position, (number, of)) in members.iter().enumerate() {
                    let Some(at) = of.find(&node.path) else {
                        continue;
                    };
                    let Some(Kind::Array { info: own, .. }) =
                        of.nodes.get(at).map(|node| &node.kind)
                    else {
                        continue;
                    };
                    if own.shape != info.shape || own.chunks != info.chunks {
                        return Err(RefsError::Members(format!(
                            "{} of member {number} has another shape",
                            node.path
                        )));
                    }
                    each_chunk(of, at, &mut |chunk, target| {
                        let mut positions = chunk_positions(chunk, &own.grid);
                        positions.insert(place.min(positions.len()), position as u64);
                        let key: Vec<String> = positions.iter().map(u64::to_string).collect();
                        builder.insert(&format!("{}/{}", node.path, key.join(".")), target)
                    })?;
                }
                let group = node.path.rsplit_once('/').map_or("", |(group, _)| group);
                let number_path = if group.is_empty() {
                    "number".to_owned()
                } else {
                    format!("{group}/number")
                };
                if seen.insert(number_path.clone()) {
                    number_axis(&mut builder, &number_path, &numbers)?;
                }
            } else {
                builder.insert(
                    &format!("{}/.zarray", node.path),
                    Target::Inline(Bytes::from(zarray.to_string())),
                )?;
                attributes(&mut builder, &node.path, node.attributes.clone())?;
                each_chunk(set, find(set, &node.path), &mut |chunk, target| {
                    let key = if info.shape.is_empty() {
                        "0".to_owned()
                    } else {
                        chunk_key(chunk, &info.grid)
                    };
                    builder.insert(&format!("{}/{key}", node.path), target)
                })?;
            }
        }
        for node in set
            .nodes
            .iter()
            .filter(|node| matches!(node.kind, Kind::Group))
        {
            if seen.insert(format!("{}/", node.path)) {
                attributes(&mut builder, &node.path, node.attributes.clone())?;
            }
        }
    }
    let mut combined = builder.finish()?;
    for (_, set) in members {
        combined.loose.extend(set.loose);
    }
    for defect in defects {
        combined.defect(defect.kind, defect.at, defect.what);
    }
    Ok(combined)
}

fn find(set: &RefSet, path: &str) -> usize {
    set.find(path).unwrap_or_default()
}

fn is_coordinate(info: &ArrayInfo) -> bool {
    use super::array::{Coding, GribVar};
    matches!(
        &info.coding,
        Coding::Grib {
            var: GribVar::Latitude | GribVar::Longitude,
            ..
        }
    )
}

fn original(zarray: Option<&Bytes>) -> Value {
    zarray
        .and_then(|text| super::json_text::parse_lenient(text).ok())
        .unwrap_or_default()
}

/// Behind the time-like dimensions.
fn place_of_axis(dimensions: &[String]) -> usize {
    dimensions
        .iter()
        .take_while(|name| TIME_LIKE.contains(&name.as_str()))
        .count()
}

fn array_with_axis(
    builder: &mut SetBuilder,
    set: &RefSet,
    path: &str,
    mut zarray: Value,
    place: usize,
    members: usize,
) -> Result<(), RefsError> {
    for (name, length) in [("shape", members), ("chunks", 1)] {
        if let Some(Value::Array(lengths)) = zarray.get_mut(name) {
            lengths.insert(place.min(lengths.len()), json!(length));
        }
    }
    builder.insert(
        &format!("{path}/.zarray"),
        Target::Inline(Bytes::from(zarray.to_string())),
    )?;
    let node = find(set, path);
    let mut own = set
        .nodes
        .get(node)
        .map(|node| node.attributes.clone())
        .unwrap_or_default();
    if let Some(Value::Array(names)) = own.get_mut("_ARRAY_DIMENSIONS") {
        names.insert(place.min(names.len()), json!("number"));
    }
    attributes(builder, path, own)
}

fn number_axis(
    builder: &mut SetBuilder,
    path: &str,
    numbers: &BTreeSet<u16>,
) -> Result<(), RefsError> {
    let zarray = json!({"shape": [numbers.len()], "chunks": [numbers.len()], "dtype": "<i8", "fill_value": null, "order": "C",
        "filters": null, "dimension_separator": ".", "compressor": null, "zarr_format": 2});
    builder.insert(
        &format!("{path}/.zarray"),
        Target::Inline(Bytes::from(zarray.to_string())),
    )?;
    let own = json!({"units": "1", "standard_name": "realization", "long_name": "ensemble member numerical id",
        "_ARRAY_DIMENSIONS": ["number"]});
    attributes(builder, path, own.as_object().cloned().unwrap_or_default())?;
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| i64::from(*number).to_le_bytes())
        .collect();
    builder.insert(&format!("{path}/0"), Target::Inline(Bytes::from(bytes)))
}

fn attributes(
    builder: &mut SetBuilder,
    path: &str,
    own: serde_json::Map<String, Value>,
) -> Result<(), RefsError> {
    let key = if path.is_empty() {
        ".zattrs".to_owned()
    } else {
        format!("{path}/.zattrs")
    };
    builder.insert(
        &key,
        Target::Inline(Bytes::from(Value::Object(own).to_string())),
    )
}

fn each_chunk(
    set: &RefSet,
    node: usize,
    each: &mut dyn FnMut(u64, Target) -> Result<(), RefsError>,
) -> Result<(), RefsError> {
    let mut numbers = Vec::new();
    set.present(node, 0, &mut |number| {
        numbers.push(number);
        true
    })?;
    for number in numbers {
        if let Some(target) = set.chunk(node, number)? {
            each(number, target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_from_names() {
        for (name, member) in [
            ("control.parquet", Some(0)),
            ("ens_07.parquet", Some(7)),
            ("v3_ecmwf_member_ens_07.parquet", Some(7)),
            ("stage3_ens07_final.parquet", Some(7)),
            ("gep12.par", Some(12)),
            ("gec00.par", Some(0)),
            ("gfs_20230928.par", None),
        ] {
            assert_eq!(member_in_name(name), member, "{name}");
        }
    }
}

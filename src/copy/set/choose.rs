//! Which arrays of a set are copied: those asked for, and the coordinates that go with them.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::super::report::CopyError;
use crate::dataset::selection::matches;
use crate::refs::{Coding, GribVar, Kind, Node, RefSet};

/// Attributes that name coordinates.
const NAMING: [&str; 4] = ["coordinates", "bounds", "grid_mapping", "climatology"];
/// Most names that an error lists.
const LISTED: usize = 40;

/// Numbers of the groups and arrays of a set that hang in its tree.
pub(super) fn reached(set: &RefSet) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![0];
    while let Some(number) = open.pop() {
        if let Some(node) = set.nodes.get(number).filter(|_| reached.insert(number)) {
            open.extend(node.children.values());
        }
    }
    reached
}

/// The arrays that say where and when values of others are.
pub(super) fn coordinates(set: &RefSet, nodes: &BTreeSet<usize>) -> HashSet<usize> {
    let mut named: HashSet<(usize, String)> = HashSet::new();
    let mut found = HashSet::new();
    let words = |node: &Node| -> Vec<String> {
        let texts = NAMING
            .iter()
            .filter_map(|key| node.attributes.get(*key)?.as_str());
        texts
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect()
    };
    let each = || {
        nodes
            .iter()
            .filter_map(|number| Some((*number, set.nodes.get(*number)?)))
    };
    for (number, node) in each() {
        let group = match node.kind {
            Kind::Group => number,
            Kind::Array { .. } => node.parent,
        };
        named.extend(words(node).into_iter().map(|word| (group, word)));
        if let Kind::Array { .. } = node.kind {
            named.extend(set.dimensions(number).into_iter().map(|name| (group, name)));
        }
    }
    for (number, node) in each() {
        let Kind::Array { info, .. } = &node.kind else {
            continue;
        };
        let is_place = matches!(
            info.coding,
            Coding::Grib {
                var: GribVar::Latitude | GribVar::Longitude,
                ..
            }
        );
        if info.shape.is_empty() || is_place || named.contains(&(node.parent, node.name.clone())) {
            found.insert(number);
        }
    }
    found
}

/// The groups and arrays that are copied: of the arrays of data those of which a pattern tells the name or the path, or all.
pub(super) fn chosen(
    set: &RefSet,
    nodes: &BTreeSet<usize>,
    coordinates: &HashSet<usize>,
    patterns: &[String],
) -> Result<BTreeSet<usize>, CopyError> {
    if patterns.is_empty() {
        return Ok(nodes.clone());
    }
    let each = || {
        nodes
            .iter()
            .filter_map(|number| Some((*number, set.nodes.get(*number)?)))
    };
    let data: Vec<(usize, &Node)> = each()
        .filter(|(number, node)| {
            matches!(node.kind, Kind::Array { .. }) && !coordinates.contains(number)
        })
        .collect();
    let fits =
        |pattern: &str, node: &Node| matches(pattern, &node.name) || matches(pattern, &node.path);
    for pattern in patterns {
        if !data.iter().any(|(_, node)| fits(pattern, node)) {
            let mut known: Vec<&str> = data.iter().map(|(_, node)| node.path.as_str()).collect();
            known.sort_unstable();
            let more = known.len().saturating_sub(LISTED);
            known.truncate(LISTED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            return Err(CopyError::Selection(format!(
                "no array {pattern}; there are: {}{more}",
                known.join(" ")
            )));
        }
    }
    let mut kept = BTreeSet::from([0]);
    let mut used: HashSet<(usize, String)> = HashSet::new();
    for (number, node) in data {
        if patterns.iter().any(|pattern| fits(pattern, node)) {
            kept.insert(number);
            used.extend(
                set.dimensions(number)
                    .into_iter()
                    .map(|name| (node.parent, name)),
            );
            let mut group = node.parent;
            while kept.insert(group) {
                group = set.nodes.get(group).map_or(0, |node| node.parent);
            }
        }
    }
    let groups = kept.clone();
    for (number, node) in each().filter(|(number, _)| coordinates.contains(number)) {
        let is_theirs = groups.contains(&node.parent)
            && (set.dimensions(number).iter()).all(|name| {
                used.contains(&(node.parent, name.clone()))
                    || is_of_bounds(set, node.parent, name, &used)
            });
        if is_theirs {
            kept.insert(number);
        }
    }
    Ok(kept)
}

/// Whether only coordinates have a dimension, as the two ends of bounds: no array of data of the group that is left out has it.
fn is_of_bounds(set: &RefSet, group: usize, name: &str, used: &HashSet<(usize, String)>) -> bool {
    let children = set.nodes.get(group).map(|group| &group.children);
    let mut others = children.into_iter().flatten().filter(|(_, child)| {
        let dimensions = set.dimensions(**child);
        let has = dimensions.iter().any(|own| own == name);
        has && !dimensions
            .iter()
            .any(|own| used.contains(&(group, own.clone())))
    });
    others.next().is_none()
}

/// Whether an array holds latitudes (or longitudes) in degrees.
pub(super) fn is_place(node: &Node, latitude: bool) -> bool {
    let (names, standard, unit) = if latitude {
        (["latitude", "lat"], "latitude", "degrees_north")
    } else {
        (["longitude", "lon"], "longitude", "degrees_east")
    };
    let text = |key: &str| node.attributes.get(key).and_then(Value::as_str);
    names.contains(&node.name.as_str())
        || text("standard_name") == Some(standard)
        || text("units") == Some(unit)
}

//! The metadata of a written store: the mount's documents with the chunks and codecs of the copy.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::layout::Target;
use crate::zarr::Format;
use crate::zarr::metadata::{ARRAY, ATTRIBUTES, CONSOLIDATED, GROUP, array_attributes};
use crate::zarr::model::Group;
use crate::zarr::{metadata, metadata_v3};

/// Documents in the order in which they are written: what makes the store visible comes last.
pub(super) fn documents(root: &Group, targets: &[Target], format: Format) -> Vec<(String, Bytes)> {
    let mut arrays: Vec<(String, Value)> = Vec::new();
    let mut groups: Vec<(String, Value)> = Vec::new();
    for target in targets {
        match format {
            Format::V2 => {
                arrays.push((format!("{}/{ARRAY}", target.path), array_v2(target)));
                let attributes = array_attributes(&target.array);
                arrays.push((format!("{}/{ATTRIBUTES}", target.path), attributes));
            }
            Format::V3 => arrays.push((target.path.clone(), array_v3(target))),
        }
    }
    each_group(root, "", &mut |prefix, group| match format {
        Format::V2 => {
            let attributes = Value::Object(group.attributes.clone());
            groups.push((format!("{prefix}{ATTRIBUTES}"), attributes));
            groups.push((format!("{prefix}{GROUP}"), metadata::group_document()));
        }
        Format::V3 => {
            let inner = Group {
                attributes: group.attributes.clone(),
                ..Group::default()
            };
            let name = prefix.trim_end_matches('/').to_owned();
            groups.push((name, metadata_v3::group_document(&inner)));
        }
    });
    let mut prefixes = Vec::new();
    each_group(root, "", &mut |prefix, _| prefixes.push(prefix.to_owned()));
    consolidated(arrays, groups, prefixes, format)
}

/// The documents of arrays and groups by their names, and those that hold all of a group at `prefixes`; the root stands first among
/// `groups` and `prefixes`.
pub(super) fn consolidated(
    arrays: Vec<(String, Value)>,
    mut groups: Vec<(String, Value)>,
    mut prefixes: Vec<String>,
    format: Format,
) -> Vec<(String, Bytes)> {
    let all: Map<String, Value> = groups
        .iter()
        .chain(&arrays)
        .map(|(name, document)| (name.clone(), document.clone()))
        .collect();
    // The root is visited first and written last.
    prefixes.reverse();
    groups.reverse();
    let mut written = Vec::new();
    match format {
        Format::V2 => {
            written.extend(arrays);
            written.extend(groups);
            for prefix in prefixes {
                let metadata = below(&all, &prefix);
                let document = json!({ "zarr_consolidated_format": 1, "metadata": metadata });
                written.push((format!("{prefix}{CONSOLIDATED}"), document));
            }
        }
        Format::V3 => {
            let file = metadata_v3::DOCUMENT;
            for (name, document) in arrays {
                written.push((format!("{name}/{file}"), document));
            }
            for (prefix, (_, mut document)) in prefixes.into_iter().zip(groups) {
                let consolidated = json!({
                    "kind": "inline", "must_understand": false, "metadata": below(&all, &prefix),
                });
                set(&mut document, "consolidated_metadata", consolidated);
                written.push((format!("{prefix}{file}"), document));
            }
        }
    }
    let bytes = |document: &Value| Bytes::from(document.to_string());
    written
        .iter()
        .map(|(name, document)| (name.clone(), bytes(document)))
        .collect()
}

fn each_group(group: &Group, prefix: &str, sink: &mut dyn FnMut(&str, &Group)) {
    sink(prefix, group);
    for (name, inner) in &group.groups {
        each_group(inner, &format!("{prefix}{name}/"), sink);
    }
}

fn array_v2(target: &Target) -> Value {
    let mut document = metadata::array_document(&target.array);
    set(&mut document, "compressor", target.codec.v2());
    document
}

fn array_v3(target: &Target) -> Value {
    let mut document = metadata_v3::array_document(&target.array);
    let item_bytes = target.array.data_type.size();
    let inner = target.inner_chunks.as_deref();
    set(
        &mut document,
        "codecs",
        target.codec.v3_chain(item_bytes, inner),
    );
    document
}

/// The documents below a group, by their names from there.
fn below(all: &Map<String, Value>, prefix: &str) -> Map<String, Value> {
    let inside = all.iter().filter_map(|(name, document)| {
        let name = name.strip_prefix(prefix).filter(|name| !name.is_empty())?;
        Some((name.to_owned(), document.clone()))
    });
    inside.collect()
}

fn set(document: &mut Value, key: &str, value: Value) {
    if let Some(members) = document.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

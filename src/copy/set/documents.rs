//! The metadata of a copied set: its own documents with the chunks and codecs of the copy.

use serde_json::Value;

use super::plan::SetArray;
use crate::copy::documents::consolidated;
use crate::copy::job::{mark, missing_attributes};
use crate::copy::report::MissingCell;
use crate::refs::RefSet;
use crate::zarr::Format;
use crate::zarr::metadata::{ARRAY, ATTRIBUTES, GROUP, group_document};
use crate::zarr::metadata_v3;

/// Documents in the order in which they are written: what makes the store visible comes last.
pub(super) fn documents_of(
    set: &RefSet,
    (own_groups, own_arrays): (&[(usize, String)], &[SetArray]),
    format: Format,
    (plan, missing): (&Value, &[MissingCell]),
) -> Vec<(String, bytes::Bytes)> {
    let (mut groups, mut arrays, mut prefixes) = (Vec::new(), Vec::new(), Vec::new());
    for (number, path) in own_groups {
        let mut attributes = set
            .nodes
            .get(*number)
            .map(|node| node.attributes.clone())
            .unwrap_or_default();
        if *number == 0 {
            mark(&mut attributes, plan, None);
            attributes.extend(missing_attributes(missing));
        }
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        match format {
            Format::V2 => {
                groups.push((format!("{prefix}{ATTRIBUTES}"), Value::Object(attributes)));
                groups.push((format!("{prefix}{GROUP}"), group_document()));
            }
            Format::V3 => {
                let group = crate::zarr::model::Group {
                    attributes,
                    ..Default::default()
                };
                groups.push((path.clone(), metadata_v3::group_document(&group)));
            }
        }
        prefixes.push(prefix);
    }
    for array in own_arrays {
        match format {
            Format::V2 => {
                arrays.push((format!("{}/{ARRAY}", array.path), array.v2()));
                let attributes = Value::Object(array.attributes.clone());
                arrays.push((format!("{}/{ATTRIBUTES}", array.path), attributes));
            }
            Format::V3 => arrays.extend(array.v3().map(|document| (array.path.clone(), document))),
        }
    }
    consolidated(arrays, groups, prefixes, format)
}

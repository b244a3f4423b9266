//! Metadata documents of Zarr v2: `.zgroup`, `.zattrs`, `.zarray` and the consolidated `.zmetadata`.
//!
//! Source: Zarr storage specification version 2; `.zmetadata` as zarr-python consolidates it.

use serde_json::{Map, Value, json};

use super::model::{Array, DataType, Fill, Group};

/// Name of the group document.
pub const GROUP: &str = ".zgroup";
/// Name of the array document.
pub const ARRAY: &str = ".zarray";
/// Name of the attributes document.
pub const ATTRIBUTES: &str = ".zattrs";
/// Name of the consolidated document.
pub const CONSOLIDATED: &str = ".zmetadata";

/// `.zgroup` of any group.
#[must_use]
pub fn group_document() -> Value {
    json!({ "zarr_format": 2 })
}

/// `.zarray` of an array: no compressor, no filter, `.` between positions.
#[must_use]
pub fn array_document(array: &Array) -> Value {
    let data_type = match array.data_type {
        DataType::Float32 => "<f4",
        DataType::Float64 => "<f8",
        DataType::Int32 => "<i4",
        DataType::Int64 => "<i8",
    };
    let fill = match array.fill {
        Fill::NaN => json!("NaN"),
        Fill::Integer(number) => json!(number),
        Fill::None => Value::Null,
    };
    json!({
        "zarr_format": 2,
        "shape": array.shape,
        "chunks": array.chunks,
        "dtype": data_type,
        "compressor": null,
        "filters": null,
        "fill_value": fill,
        "order": "C",
        "dimension_separator": ".",
    })
}

/// `.zattrs` of an array: its attributes and `_ARRAY_DIMENSIONS`.
#[must_use]
pub fn array_attributes(array: &Array) -> Value {
    let mut attributes = array.attributes.clone();
    attributes.insert("_ARRAY_DIMENSIONS".to_owned(), json!(array.dimensions));
    Value::Object(attributes)
}

/// `.zmetadata` of a group: every document at or below it, keys relative to it.
#[must_use]
pub fn consolidated_document(group: &Group) -> Value {
    let mut documents = Map::new();
    collect(group, "", &mut documents);
    json!({ "zarr_consolidated_format": 1, "metadata": documents })
}

fn collect(group: &Group, prefix: &str, documents: &mut Map<String, Value>) {
    documents.insert(format!("{prefix}{GROUP}"), group_document());
    documents.insert(
        format!("{prefix}{ATTRIBUTES}"),
        Value::Object(group.attributes.clone()),
    );
    for array in &group.arrays {
        documents.insert(
            format!("{prefix}{}/{ARRAY}", array.name),
            array_document(array),
        );
        documents.insert(
            format!("{prefix}{}/{ATTRIBUTES}", array.name),
            array_attributes(array),
        );
    }
    for (name, inner) in &group.groups {
        collect(inner, &format!("{prefix}{name}/"), documents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zarr::model::Content;

    #[test]
    fn a_group_consolidates_what_lies_below_it() {
        let array = Array {
            name: "t2m".to_owned(),
            dimensions: vec!["time".to_owned(), "x".to_owned()],
            shape: vec![3, 5],
            chunks: vec![1, 5],
            data_type: DataType::Float32,
            fill: Fill::NaN,
            attributes: Map::new(),
            content: Content::Fields { group: 0, array: 0 },
        };
        assert_eq!((array.chunk_count(), array.chunk_bytes()), (3, 20));
        let inner = Group {
            arrays: vec![array],
            ..Group::default()
        };
        let root = Group {
            groups: vec![("g".to_owned(), inner)],
            ..Group::default()
        };
        let document = consolidated_document(&root);
        assert_eq!(document["metadata"]["g/t2m/.zarray"]["fill_value"], "NaN");
        assert_eq!(
            document["metadata"]["g/t2m/.zattrs"]["_ARRAY_DIMENSIONS"],
            json!(["time", "x"])
        );
        assert_eq!(document["metadata"][".zgroup"]["zarr_format"], 2);
    }
}

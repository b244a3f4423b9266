//! Metadata documents of Zarr v3: `zarr.json` of groups and arrays, over the chunk files of v2 (`.` between positions).
//!
//! Source: Zarr core specification version 3.0; `consolidated_metadata` as zarr-python 3 writes it inline in a group's document.

use serde_json::{Map, Value, json};

use super::model::{Array, DataType, Fill, Group};

/// Name of the document of a group or array.
pub const DOCUMENT: &str = "zarr.json";

/// `zarr.json` of an array: the chunk keys of v2, one codec (little-endian bytes), no compression.
#[must_use]
pub fn array_document(array: &Array) -> Value {
    let data_type = match array.data_type {
        DataType::Float32 => "float32",
        DataType::Float64 => "float64",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
    };
    let mut attributes = array.attributes.clone();
    let fill = match array.fill {
        Fill::NaN => json!("NaN"),
        Fill::Integer(number) => {
            // In v3 the fill value says nothing about missing values; xarray looks at this attribute.
            attributes.insert("_FillValue".to_owned(), json!(number));
            json!(number)
        }
        Fill::None => json!(0),
    };
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": array.shape,
        "data_type": data_type,
        "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": array.chunks } },
        "chunk_key_encoding": { "name": "v2", "configuration": { "separator": "." } },
        "fill_value": fill,
        "codecs": [{ "name": "bytes", "configuration": { "endian": "little" } }],
        "attributes": attributes,
        "dimension_names": array.dimensions,
        "storage_transformers": [],
    })
}

/// `zarr.json` of a group, with every document below it inline, keyed by path.
#[must_use]
pub fn group_document(group: &Group) -> Value {
    let mut documents = Map::new();
    collect(group, "", &mut documents);
    group_with(group, &documents)
}

fn group_with(group: &Group, documents: &Map<String, Value>) -> Value {
    json!({
        "zarr_format": 3,
        "node_type": "group",
        "attributes": group.attributes,
        "consolidated_metadata": { "kind": "inline", "must_understand": false, "metadata": documents },
    })
}

fn collect(group: &Group, prefix: &str, documents: &mut Map<String, Value>) {
    for array in &group.arrays {
        documents.insert(format!("{prefix}{}", array.name), array_document(array));
    }
    for (name, inner) in &group.groups {
        let path = format!("{prefix}{name}");
        documents.insert(path.clone(), group_with(inner, &Map::new()));
        collect(inner, &format!("{path}/"), documents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zarr::model::Content;

    fn array(name: &str, data_type: DataType, fill: Fill) -> Array {
        Array {
            name: name.to_owned(),
            dimensions: vec!["time".to_owned(), "x".to_owned()],
            shape: vec![3, 5],
            chunks: vec![1, 5],
            data_type,
            fill,
            attributes: Map::new(),
            content: Content::Fields { group: 0, array: 0 },
        }
    }

    #[test]
    fn arrays_keep_the_chunk_keys_of_version_2() {
        let document = array_document(&array("t2m", DataType::Float32, Fill::NaN));
        assert_eq!(document["chunk_key_encoding"]["name"], "v2");
        assert_eq!(
            document["chunk_key_encoding"]["configuration"]["separator"],
            "."
        );
        assert_eq!(document["fill_value"], "NaN");
        assert_eq!(document["dimension_names"], json!(["time", "x"]));
        assert!(document["attributes"].get("_ARRAY_DIMENSIONS").is_none());
    }

    #[test]
    fn integers_with_gaps_name_their_missing_value() {
        let gaps = array_document(&array("step", DataType::Int64, Fill::Integer(-9)));
        assert_eq!(
            (&gaps["fill_value"], &gaps["attributes"]["_FillValue"]),
            (&json!(-9), &json!(-9))
        );
        let whole = array_document(&array("step", DataType::Int64, Fill::None));
        assert_eq!(whole["fill_value"], 0);
        assert!(whole["attributes"].get("_FillValue").is_none());
    }

    #[test]
    fn a_group_holds_the_documents_below_it() {
        let inner = Group {
            arrays: vec![array("t2m", DataType::Float32, Fill::NaN)],
            ..Group::default()
        };
        let root = Group {
            groups: vec![("g".to_owned(), inner)],
            ..Group::default()
        };
        let document = group_document(&root);
        let below = &document["consolidated_metadata"]["metadata"];
        assert_eq!(below["g"]["node_type"], "group");
        assert_eq!(below["g/t2m"]["node_type"], "array");
    }
}

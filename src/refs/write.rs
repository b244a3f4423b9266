//! Sets as kerchunk writes them: JSON of version 1, and Parquet directories with all four columns and real types.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use base64::Engine as _;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::{Map, Value, json};

use super::chunks::Target;
use super::error::RefsError;
use crate::zarr::key::chunk_key;

/// An array that is written: chunks by number, ascending.
#[derive(Clone, Debug)]
pub struct ExportArray {
    /// Path from the root.
    pub path: String,
    /// `.zarray`.
    pub zarray: Value,
    /// `.zattrs`.
    pub zattrs: Value,
    /// Chunks along each dimension.
    pub grid: Vec<u64>,
    /// Where chunks lie.
    pub chunks: Vec<(u64, Target)>,
}

/// A set as JSON, version 1: no templates, keys sorted, metadata as text, inline bytes as base64.
///
/// # Errors
/// [`RefsError::TooLarge`] is not one of them: whatever fits in memory is written.
pub fn json_set(groups: &[(String, Value)], arrays: &[ExportArray]) -> String {
    let mut refs: BTreeMap<String, Value> = BTreeMap::new();
    for (path, attributes) in groups {
        let at = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}/{name}")
            }
        };
        refs.insert(at(".zgroup"), json!(json!({"zarr_format": 2}).to_string()));
        refs.insert(at(".zattrs"), json!(attributes.to_string()));
    }
    for array in arrays {
        refs.insert(
            format!("{}/.zarray", array.path),
            json!(array.zarray.to_string()),
        );
        refs.insert(
            format!("{}/.zattrs", array.path),
            json!(array.zattrs.to_string()),
        );
        for (number, target) in &array.chunks {
            let value = match target {
                Target::Inline(bytes) => {
                    json!(format!(
                        "base64:{}",
                        base64::engine::general_purpose::STANDARD.encode(bytes)
                    ))
                }
                Target::Object {
                    url,
                    length: Some(length),
                    offset,
                } => json!([url, offset, length]),
                Target::Object {
                    url, length: None, ..
                } => json!([url]),
                Target::NoTarget => continue,
            };
            refs.insert(
                format!("{}/{}", array.path, chunk_key(*number, &array.grid)),
                value,
            );
        }
    }
    let refs: Map<String, Value> = refs.into_iter().collect();
    json!({"version": 1, "refs": refs}).to_string()
}

/// `.zmetadata` of a Parquet directory.
#[must_use]
pub fn zmetadata(groups: &[(String, Value)], arrays: &[ExportArray], record_size: u64) -> String {
    let mut metadata = Map::new();
    for (path, attributes) in groups {
        let at = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}/{name}")
            }
        };
        metadata.insert(at(".zgroup"), json!({"zarr_format": 2}));
        metadata.insert(at(".zattrs"), attributes.clone());
    }
    for array in arrays {
        metadata.insert(format!("{}/.zarray", array.path), array.zarray.clone());
        metadata.insert(format!("{}/.zattrs", array.path), array.zattrs.clone());
    }
    json!({"metadata": metadata, "record_size": record_size}).to_string()
}

/// The record files of an array by their number, each padded to `record_size` rows.
///
/// # Errors
/// [`RefsError::Parquet`].
pub fn record_bytes(array: &ExportArray, record_size: u64) -> Result<Vec<(u64, Bytes)>, RefsError> {
    let size = usize::try_from(record_size)
        .map_err(|_large| RefsError::TooLarge(format!("records of {record_size} rows")))?;
    let mut files = Vec::new();
    let mut rest = array.chunks.as_slice();
    while let Some((first, _)) = rest.first() {
        let record = first / record_size;
        let count = rest
            .iter()
            .take_while(|(number, _)| number / record_size == record)
            .count();
        let (own, tail) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        files.push((record, one_record(own, record_size, size)?));
        rest = tail;
    }
    Ok(files)
}

fn one_record(chunks: &[(u64, Target)], record_size: u64, size: usize) -> Result<Bytes, RefsError> {
    let failed = |error: &dyn std::fmt::Display| RefsError::Parquet(error.to_string());
    let mut paths: Vec<Option<&str>> = vec![None; size];
    let mut offsets = vec![0_i64; size];
    let mut sizes = vec![0_i64; size];
    let mut raws: Vec<Option<&[u8]>> = vec![None; size];
    for (number, target) in chunks {
        let Ok(row) = usize::try_from(number % record_size) else {
            continue;
        };
        match target {
            Target::Inline(bytes) => {
                if let Some(slot) = raws.get_mut(row) {
                    *slot = Some(bytes);
                }
            }
            Target::Object {
                url,
                offset,
                length,
            } => {
                let number = |value: u64| i64::try_from(value).map_err(|error| failed(&error));
                if let (Some(path), Some(at), Some(size)) =
                    (paths.get_mut(row), offsets.get_mut(row), sizes.get_mut(row))
                {
                    *path = Some(url);
                    *at = number(*offset)?;
                    *size = number(length.unwrap_or_default())?;
                }
            }
            Target::NoTarget => {}
        }
    }
    let schema = Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, true),
        Field::new("offset", DataType::Int64, false),
        Field::new("size", DataType::Int64, false),
        Field::new("raw", DataType::Binary, true),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(paths)),
        Arc::new(Int64Array::from(offsets)),
        Arc::new(Int64Array::from(sizes)),
        Arc::new(BinaryArray::from(raws)),
    ];
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| failed(&error))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(parquet::basic::ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        // Without a count of nulls fastparquet makes floats of integers, which no reader takes for offsets.
        .set_column_statistics_enabled("offset".into(), EnabledStatistics::Chunk)
        .set_column_statistics_enabled("size".into(), EnabledStatistics::Chunk)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties))
        .map_err(|error| failed(&error))?;
    writer.write(&batch).map_err(|error| failed(&error))?;
    writer.close().map_err(|error| failed(&error))?;
    Ok(Bytes::from(bytes))
}

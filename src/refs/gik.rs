//! GIK Parquet: a kerchunk set in one Parquet file, in five layouts.

use bytes::Bytes;
use serde_json::Value;

use super::builder::SetBuilder;
use super::cells::{Counts, Texts, batches, column_names};
use super::error::RefsError;
use super::literal::{Literal, each_member};
use super::set::RefSet;
use super::value::RefValue;

/// Whether these columns are those of a GIK file.
pub(crate) fn is_gik(columns: &[String]) -> bool {
    let has = |name: &str| columns.iter().any(|column| column == name);
    has("key") && (has("value") || has("reference"))
}

/// Reads a GIK file of any layout.
///
/// # Errors
/// [`RefsError`].
pub fn read_gik(file: Bytes) -> Result<RefSet, RefsError> {
    let columns = column_names(file.clone())?;
    if !is_gik(&columns) {
        return Err(RefsError::Unknown("Parquet without columns key and value".to_owned()));
    }
    let value_column = if columns.iter().any(|column| column == "value") { "value" } else { "reference" };
    let mut builder = SetBuilder::default();
    builder.step_keys = true;
    let mut rows = 0_u64;
    batches(file, &mut |batch| {
        let (keys, values) = (Texts::of(batch, "key"), Texts::of(batch, value_column));
        let paths = Texts::of(batch, "path");
        let (offsets, sizes) = (Counts::of(batch, "offset"), Counts::of(batch, "size"));
        for row in 0..batch.num_rows() {
            rows += 1;
            let Some(key) = keys.get(row) else { continue };
            let Ok(key) = std::str::from_utf8(key) else {
                builder.defect("key", &format!("row {rows}"), "a key that is no text");
                continue;
            };
            if key == "version" || key.starts_with('_') {
                continue;
            }
            if let Some(path) = paths.get(row) {
                let path = String::from_utf8_lossy(path);
                match (offsets.get(row), sizes.get(row)) {
                    (Ok(offset), Ok(length)) => builder.insert_object(key, &path, offset.unwrap_or_default(), length)?,
                    (Err(number), _) | (_, Err(number)) => {
                        builder.defect("value", key, format!("a range of {number}"));
                    }
                }
                continue;
            }
            let Some(cell) = values.get(row) else {
                builder.defect("value", key, "neither a value nor a path");
                continue;
            };
            let Ok(text) = std::str::from_utf8(cell) else {
                builder.insert(key, RefValue::Inline(Bytes::copy_from_slice(cell)))?;
                continue;
            };
            if key == "refs" && text.trim_start().starts_with('{') {
                literal_set(text, &mut builder)?;
                continue;
            }
            match RefValue::of_cell(text) {
                Some(value) => builder.insert(key, value)?,
                None => builder.defect("value", key, "base64 that cannot be read"),
            }
        }
        Ok(())
    })?;
    builder.finish()
}

/// A whole set as the `repr` of a dict.
fn literal_set(text: &str, builder: &mut SetBuilder) -> Result<(), RefsError> {
    each_member(text, &mut |key, value| match (key, value) {
        ("version", Literal::Integer(_)) => Ok(()),
        ("refs", Literal::Dict(members)) => {
            for (key, value) in members {
                if let Literal::Text(key) = key {
                    literal_member(&key, value, builder)?;
                }
            }
            Ok(())
        }
        (key, value) => literal_member(key, value, builder),
    })
}

fn literal_member(key: &str, value: Literal, builder: &mut SetBuilder) -> Result<(), RefsError> {
    if key.starts_with('_') {
        return Ok(());
    }
    let read = match &value {
        Literal::Text(text) => RefValue::inline(text),
        Literal::Bytes(bytes) => Some(RefValue::Inline(Bytes::copy_from_slice(bytes))),
        Literal::List(_) | Literal::Dict(_) => match value.to_json() {
            Value::Array(parts) => RefValue::of_parts(&parts),
            other => Some(RefValue::Inline(Bytes::from(other.to_string()))),
        },
        Literal::Integer(_) | Literal::Float(_) | Literal::Bool(_) | Literal::None => None,
    };
    match read {
        Some(value) => builder.insert(key, value),
        None => {
            builder.defect("value", key, "a value that the format does not know");
            Ok(())
        }
    }
}

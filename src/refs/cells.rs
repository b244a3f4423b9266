//! Cells of foreign Parquet: text, bytes and numbers whatever physical type a writer chose.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaDataReader;

use super::error::RefsError;
use super::value::whole_float;

/// Most rows that a file's footer is believed to have.
const MAX_ROWS: i64 = 1 << 31;

/// Hands the batches of a Parquet file to `each`. Damaged bytes are an error, never a panic.
pub(crate) fn batches(
    file: Bytes,
    each: &mut dyn FnMut(&RecordBatch) -> Result<(), RefsError>,
) -> Result<(), RefsError> {
    let failed = |error: &dyn std::fmt::Display| RefsError::Parquet(error.to_string());
    let work = || -> Result<(), RefsError> {
        // Without the writer's Arrow schema: its dictionaries, durations and extensions say nothing that is needed here.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
            .map_err(|error| failed(&error))?;
        let rows = builder.metadata().file_metadata().num_rows();
        if !(0..=MAX_ROWS).contains(&rows) {
            return Err(RefsError::Parquet(format!("{rows} rows")));
        }
        let reader = builder
            .with_batch_size(8192)
            .build()
            .map_err(|error| failed(&error))?;
        for batch in reader {
            each(&batch.map_err(|error| failed(&error))?)?;
        }
        Ok(())
    };
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_panic| Err(RefsError::Parquet("the file is damaged".to_owned())))
}

/// Names of a Parquet file's columns, from its footer (without the 8 bytes at the end); none of a table of our own.
pub(crate) fn column_names(footer: &[u8]) -> Result<Vec<String>, RefsError> {
    let work = || {
        let metadata = ParquetMetaDataReader::decode_metadata(footer)
            .map_err(|error| RefsError::Parquet(error.to_string()))?;
        let file = metadata.file_metadata();
        let entries = file.key_value_metadata().map_or(&[][..], Vec::as_slice);
        if entries.iter().any(|entry| entry.key.starts_with("gribfs.")) {
            return Ok(Vec::new());
        }
        Ok(file
            .schema()
            .get_fields()
            .iter()
            .map(|field| field.name().to_owned())
            .collect())
    };
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_panic| Err(RefsError::Parquet("the file is damaged".to_owned())))
}

/// The footer of a whole file.
pub(crate) fn footer_of(file: &[u8]) -> Result<&[u8], RefsError> {
    let damaged = || RefsError::Parquet("the file has no footer".to_owned());
    let (rest, end) = file.split_last_chunk::<8>().ok_or_else(damaged)?;
    let length = footer_length(end)?;
    let start = rest.len().checked_sub(length).ok_or_else(damaged)?;
    rest.get(start..).ok_or_else(damaged)
}

/// Length of the footer, from the last 8 bytes of the file.
pub(crate) fn footer_length(end: &[u8; 8]) -> Result<usize, RefsError> {
    let [a, b, c, d, magic @ ..] = *end;
    if magic != *b"PAR1" {
        return Err(RefsError::Parquet(
            "the file does not end as Parquet does".to_owned(),
        ));
    }
    usize::try_from(u32::from_le_bytes([a, b, c, d]))
        .map_err(|error| RefsError::Parquet(error.to_string()))
}

/// A column of text or bytes.
pub(crate) struct Texts<'a>(Option<&'a ArrayRef>);

impl<'a> Texts<'a> {
    pub(crate) fn of(batch: &'a RecordBatch, name: &str) -> Self {
        Self(batch.column_by_name(name))
    }

    /// The bytes of a row; `None` for null, for a column that is missing or that holds no text.
    pub(crate) fn get(&self, row: usize) -> Option<&'a [u8]> {
        let array = self.0?;
        if row >= array.len() || array.is_null(row) {
            return None;
        }
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "a foreign enum: all else is no text"
        )]
        match array.data_type() {
            DataType::Utf8 => Some(array.as_string_opt::<i32>()?.value(row).as_bytes()),
            DataType::LargeUtf8 => Some(array.as_string_opt::<i64>()?.value(row).as_bytes()),
            DataType::Binary => Some(array.as_binary_opt::<i32>()?.value(row)),
            DataType::LargeBinary => Some(array.as_binary_opt::<i64>()?.value(row)),
            DataType::Utf8View => Some(array.as_string_view_opt()?.value(row).as_bytes()),
            DataType::BinaryView => Some(array.as_binary_view_opt()?.value(row)),
            DataType::FixedSizeBinary(_) => Some(array.as_fixed_size_binary_opt()?.value(row)),
            _ => None,
        }
    }
}

/// A column of counts.
pub(crate) struct Counts<'a>(Option<&'a ArrayRef>);

impl<'a> Counts<'a> {
    pub(crate) fn of(batch: &'a RecordBatch, name: &str) -> Self {
        Self(batch.column_by_name(name))
    }

    /// The count of a row: `Ok(None)` for null.
    ///
    /// # Errors
    /// The text of a number that is no count.
    pub(crate) fn get(&self, row: usize) -> Result<Option<u64>, String> {
        let Some(array) = self
            .0
            .filter(|array| row < array.len() && !array.is_null(row))
        else {
            return Ok(None);
        };
        let signed = |number: i64| {
            u64::try_from(number)
                .map(Some)
                .map_err(|_negative| number.to_string())
        };
        let float = |number: f64| {
            if number.is_nan() {
                return Ok(None);
            }
            whole_float(number)
                .map(Some)
                .ok_or_else(|| number.to_string())
        };
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "a foreign enum: all else is no number"
        )]
        match array.data_type() {
            DataType::Int64 => array
                .as_primitive_opt::<Int64Type>()
                .map_or(Ok(None), |a| signed(a.value(row))),
            DataType::Int32 => array
                .as_primitive_opt::<Int32Type>()
                .map_or(Ok(None), |a| signed(a.value(row).into())),
            DataType::UInt64 => Ok(array.as_primitive_opt::<UInt64Type>().map(|a| a.value(row))),
            DataType::UInt32 => Ok(array
                .as_primitive_opt::<UInt32Type>()
                .map(|a| a.value(row).into())),
            DataType::Float64 => array
                .as_primitive_opt::<Float64Type>()
                .map_or(Ok(None), |a| float(a.value(row))),
            DataType::Float32 => array
                .as_primitive_opt::<Float32Type>()
                .map_or(Ok(None), |a| float(a.value(row).into())),
            _ => Ok(None),
        }
    }
}

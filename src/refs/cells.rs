//! Cells of foreign Parquet: text, bytes and numbers whatever physical type a writer chose.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array as _, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::error::RefsError;
use super::value::whole_float;
use crate::pages;

/// Rows of a batch: its columns are small enough for the allocator to use their memory again, which fresh pages are dearer than.
const BATCH_ROWS: usize = 8192;
/// Most rows that a file's footer is believed to have.
const MAX_ROWS: i64 = 1 << 31;

/// Hands the batches of a Parquet file to `each`. Damaged bytes are an error, never a panic.
pub(crate) fn batches(
    file: Bytes,
    each: &mut dyn FnMut(&RecordBatch) -> Result<(), RefsError>,
) -> Result<(), RefsError> {
    batches_with(file, "", each)
}

/// The same; the texts of the column `words`, few of which differ, come as a dictionary: see [`Words`].
pub(crate) fn batches_with(
    file: Bytes,
    words: &str,
    each: &mut dyn FnMut(&RecordBatch) -> Result<(), RefsError>,
) -> Result<(), RefsError> {
    let failed = |error: &dyn std::fmt::Display| RefsError::Parquet(error.to_string());
    let work = || -> Result<(), RefsError> {
        pages::check_footer(pages::footer_of(&file)).map_err(RefsError::Parquet)?;
        // Without the writer's Arrow schema: its dictionaries, durations and extensions say nothing that is needed here.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let mut metadata =
            ArrowReaderMetadata::load(&file, options.clone()).map_err(|error| failed(&error))?;
        if let Some(schema) = with_dictionary(metadata.schema(), words) {
            let options = options.with_schema(schema);
            metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)
                .map_err(|error| failed(&error))?;
        }
        within(metadata.metadata(), &file)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let rows = builder.metadata().file_metadata().num_rows();
        if !(0..=MAX_ROWS).contains(&rows) {
            return Err(RefsError::Parquet(format!("{rows} rows")));
        }
        let reader = builder
            .with_batch_size(BATCH_ROWS)
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

/// Refuses columns that lie outside of the file, at which the reader panics, and pages that claim to be far larger than they are.
fn within(metadata: &ParquetMetaData, file: &Bytes) -> Result<(), RefsError> {
    for group in metadata.row_groups() {
        let mut chunks = Vec::new();
        for chunk in group.columns() {
            let range = pages::span(chunk).and_then(|span| {
                Some(usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?)
            });
            let range = range.filter(|range| range.end <= file.len());
            chunks.push(range.ok_or_else(|| {
                let column = chunk.column_path().string();
                RefsError::Parquet(format!(
                    "column `{column}` lies outside of the file: its footer is damaged"
                ))
            })?);
        }
        pages::check(file, chunks).map_err(RefsError::Parquet)?;
    }
    Ok(())
}

/// The schema with a dictionary for the texts of a column, if there are any.
fn with_dictionary(schema: &SchemaRef, words: &str) -> Option<SchemaRef> {
    let mut changed = false;
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| {
            if field.name() != words || *field.data_type() != DataType::Utf8 {
                return Arc::clone(field);
            }
            changed = true;
            let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(field.as_ref().clone().with_data_type(kind))
        })
        .collect();
    changed.then(|| Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// Names of a Parquet file's columns, from its footer (without the 8 bytes at the end); none of a table of our own.
pub(crate) fn column_names(footer: &[u8]) -> Result<Vec<String>, RefsError> {
    let work = || {
        pages::check_footer(footer).map_err(RefsError::Parquet)?;
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

    /// Whether every row is null, or the column is missing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none_or(|array| array.null_count() == array.len())
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

/// The dictionary of the batch before, and the numbers of its texts: batches of one row group share theirs.
#[derive(Default)]
pub(crate) struct Dictionary(Option<(StringArray, Arc<[Option<u32>]>)>);

impl Dictionary {
    fn numbers(
        &mut self,
        texts: &StringArray,
        mut number_of: impl FnMut(&str) -> Option<u32>,
    ) -> Arc<[Option<u32>]> {
        if let Some((known, numbers)) = &self.0
            && known.value_offsets().as_ptr_range() == texts.value_offsets().as_ptr_range()
        {
            return Arc::clone(numbers);
        }
        let numbers: Arc<[Option<u32>]> = texts.iter().map(|text| number_of(text?)).collect();
        self.0 = Some((texts.clone(), Arc::clone(&numbers)));
        numbers
    }
}

/// A column of texts as numbers that an owner of texts gives them. A dictionary's are asked for once, not row by row.
pub(crate) enum Words<'a> {
    /// The key of each row, the text of each key, the number of each text.
    Dictionary(&'a Int32Array, &'a StringArray, Arc<[Option<u32>]>),
    Texts(Texts<'a>),
}

impl<'a> Words<'a> {
    /// `number_of` gives a text its number, or `None` where it must not stand.
    pub(crate) fn of(
        batch: &'a RecordBatch,
        name: &str,
        dictionary: &mut Dictionary,
        number_of: impl FnMut(&str) -> Option<u32>,
    ) -> Self {
        let column = batch
            .column_by_name(name)
            .and_then(|array| array.as_dictionary_opt::<Int32Type>());
        let texts = column.and_then(|column| column.values().as_string_opt::<i32>());
        match (column, texts) {
            (Some(column), Some(texts)) => {
                Self::Dictionary(column.keys(), texts, dictionary.numbers(texts, number_of))
            }
            _ => Self::Texts(Texts::of(batch, name)),
        }
    }

    /// The key of each row and the number of each key, of a dictionary without nulls whose texts may all stand.
    pub(crate) fn plain(&self) -> Option<(&'a [i32], Vec<u32>)> {
        match self {
            Self::Dictionary(keys, _, numbers) if keys.null_count() == 0 => {
                let numbers: Option<Vec<u32>> = numbers.iter().copied().collect();
                Some((keys.values(), numbers?))
            }
            Self::Dictionary(..) | Self::Texts(_) => None,
        }
    }

    /// The number of a row's text: `None` for null.
    ///
    /// # Errors
    /// The text, where it must not stand.
    pub(crate) fn get(
        &self,
        row: usize,
        number_of: &mut dyn FnMut(&str) -> Option<u32>,
    ) -> Result<Option<u32>, String> {
        match self {
            Self::Dictionary(keys, texts, numbers) => {
                if row >= keys.len() || keys.is_null(row) {
                    return Ok(None);
                }
                let key = usize::try_from(keys.value(row)).map_err(|error| error.to_string())?;
                match numbers.get(key) {
                    Some(Some(number)) => Ok(Some(*number)),
                    Some(None) if texts.is_valid(key) => Err(texts.value(key).to_owned()),
                    Some(None) | None => Ok(None),
                }
            }
            Self::Texts(texts) => {
                let Some(text) = texts.get(row) else {
                    return Ok(None);
                };
                let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
                number_of(text).map(Some).ok_or_else(|| text.to_owned())
            }
        }
    }
}

/// A column of counts.
pub(crate) enum Counts<'a> {
    Longs(&'a Int64Array),
    Other(Option<&'a ArrayRef>),
}

impl<'a> Counts<'a> {
    pub(crate) fn of(batch: &'a RecordBatch, name: &str) -> Self {
        let column = batch.column_by_name(name);
        match column.and_then(|array| array.as_primitive_opt::<Int64Type>()) {
            Some(longs) => Self::Longs(longs),
            None => Self::Other(column),
        }
    }

    /// The count of each row, of a column of longs without nulls; they may be negative.
    pub(crate) fn plain(&self) -> Option<&'a [i64]> {
        match self {
            Self::Longs(longs) if longs.null_count() == 0 => Some(longs.values()),
            Self::Longs(_) | Self::Other(_) => None,
        }
    }

    /// The count of a row: `Ok(None)` for null.
    ///
    /// # Errors
    /// The text of a number that is no count.
    pub(crate) fn get(&self, row: usize) -> Result<Option<u64>, String> {
        let array = match self {
            Self::Longs(longs) => {
                if row >= longs.len() || longs.is_null(row) {
                    return Ok(None);
                }
                let number = longs.value(row);
                return match u64::try_from(number) {
                    Ok(count) => Ok(Some(count)),
                    Err(_negative) => Err(number.to_string()),
                };
            }
            Self::Other(array) => *array,
        };
        let Some(array) = array.filter(|array| row < array.len() && !array.is_null(row)) else {
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

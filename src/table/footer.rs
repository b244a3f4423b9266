//! The footer of a table's Parquet file: found, held against the file's size, and given the types that we read columns as.
//!
//! Nothing in it is trusted: what it says of row groups is checked before anything is read by it, and a panic of the Parquet decoder
//! on damaged bytes becomes an error.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::schema::{self, ROW_COLUMNS, TableError};
use super::source::TableSource;
use crate::pages;

/// Bytes at a file's end that are read at once: the footers of all but the largest tables.
const TAIL_BYTES: u64 = 64 << 10;

/// Most rows of a row group that are believed; our own have 131,072.
const GROUP_ROWS_MAX: u64 = 16 << 20;

/// Most bytes of a row group.
pub(super) const GROUP_BYTES_MAX: u64 = 1 << 30;

/// Reads the footer of a Parquet file, in one or two reads from the end.
pub(super) fn read_footer(
    source: &dyn TableSource,
    size: u64,
) -> Result<ParquetMetaData, TableError> {
    let not_parquet = || TableError::NotATable {
        reason: "not a Parquet file".to_owned(),
    };
    if size < 12 {
        return Err(not_parquet());
    }
    let read = |offset: u64, length: u64| {
        let length = usize::try_from(length).map_err(|_error| not_parquet())?;
        source
            .read(offset, length)
            .map_err(|error| cannot_read(&error))
    };
    let tail_length = size.min(TAIL_BYTES);
    let tail = read(size - tail_length, tail_length)?;
    let (rest, end) = tail
        .len()
        .checked_sub(8)
        .and_then(|at| tail.split_at_checked(at))
        .ok_or_else(not_parquet)?;
    let (length, magic) = end.split_first_chunk::<4>().ok_or_else(not_parquet)?;
    if magic != b"PAR1" {
        return Err(not_parquet());
    }
    let length = u64::from(u32::from_le_bytes(*length));
    if length > size - 12 {
        return Err(TableError::damaged("the footer is longer than the file"));
    }
    let known = u64::try_from(rest.len()).unwrap_or_default();
    let decode = |footer: &[u8]| {
        pages::check_footer(footer).map_err(TableError::damaged)?;
        ParquetMetaDataReader::decode_metadata(footer)
            .map_err(|error| TableError::damaged(error.to_string()))
    };
    match known
        .checked_sub(length)
        .and_then(|skip| rest.get(usize::try_from(skip).ok()?..))
    {
        Some(footer) => decode(footer),
        None => decode(&read(size - 8 - length, length)?),
    }
}

/// Row groups must lie in the file, have sane sizes and add up.
pub(super) fn check_groups(
    footer: &ParquetMetaData,
    rows: u64,
    size: u64,
) -> Result<(), TableError> {
    let mut total = 0_u64;
    for group in footer.row_groups() {
        let count = u64::try_from(group.num_rows()).unwrap_or(u64::MAX);
        if count > GROUP_ROWS_MAX {
            return Err(TableError::damaged("a row group of too many rows"));
        }
        total += count;
        if group_span(group.columns()).is_none_or(|(_, end)| end > size) {
            return Err(TableError::damaged("a row group lies outside the file"));
        }
        let unpacked = group
            .columns()
            .iter()
            .map(|chunk| u64::try_from(chunk.uncompressed_size()).unwrap_or(u64::MAX))
            .fold(0_u64, u64::saturating_add);
        if unpacked > GROUP_BYTES_MAX {
            return Err(TableError::damaged(
                "a row group unfolds to more than 1 GiB",
            ));
        }
    }
    if total != rows {
        return Err(TableError::damaged("the row groups' rows do not add up"));
    }
    Ok(())
}

/// First byte and end of the column chunks.
pub(super) fn group_span(
    columns: &[parquet::file::metadata::ColumnChunkMetaData],
) -> Option<(u64, u64)> {
    let (mut start, mut end) = (u64::MAX, 0);
    for chunk in columns {
        let span = pages::span(chunk)?;
        start = start.min(span.start);
        end = end.max(span.end);
    }
    (start <= end).then_some((start, end))
}

/// The footer with the types that we read columns as.
pub(super) fn with_our_types(
    footer: Arc<ParquetMetaData>,
) -> Result<ArrowReaderMetadata, TableError> {
    let inferred = ArrowReaderMetadata::try_new(
        Arc::clone(&footer),
        ArrowReaderOptions::new().with_skip_arrow_metadata(true),
    )
    .map_err(|error| damaged(&error))?;
    let schema = schema_of(inferred.schema())?;
    ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new().with_schema(schema))
        .map_err(|error| damaged(&error))
}

/// Types that we read our columns as: the file's own physical types decide whether they fit.
fn schema_of(inferred: &SchemaRef) -> Result<SchemaRef, TableError> {
    let ours = schema::arrow_schema();
    for name in ROW_COLUMNS {
        if inferred.field_with_name(name).is_err() {
            return Err(TableError::damaged(format!("no column {name}")));
        }
    }
    let fields: Vec<Field> = inferred
        .fields()
        .iter()
        .map(|field| match ours.field_with_name(field.name()) {
            Ok(known) => known.clone().with_nullable(field.is_nullable()),
            Err(_) => field.as_ref().clone(),
        })
        .collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// Runs Parquet code over bytes that may be damaged: its panics become errors.
pub(super) fn fence<T>(work: impl FnOnce() -> Result<T, TableError>) -> Result<T, TableError> {
    // What the closure leaves half done is dropped with the error.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(TableError::damaged(format!(
            "its Parquet cannot be decoded: {text}"
        )))
    })
}

pub(super) fn damaged(error: &ParquetError) -> TableError {
    TableError::damaged(error.to_string())
}

pub(super) fn cannot_read(error: &io::Error) -> TableError {
    TableError::Io {
        action: "reading a table".to_owned(),
        reason: error.to_string(),
    }
}

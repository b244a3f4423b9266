//! Parquet to a table: all of it, a range of rows, or only the footer's summary.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gribfs::table::read::TableFile;
//! let file = TableFile::open(std::fs::File::open("gfs.parquet")?)?;
//! let first = &file.summary().spans[0];
//! let rows = file.rows(first.first_row..first.first_row + first.rows)?;
//! # Ok(()) }
//! ```
//!
//! Nothing in a file is trusted: every index is checked, counts reserve no memory before bytes back them, and a panic of
//! the Parquet decoder on damaged bytes becomes an error.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};

use super::footer::{
    GROUP_BYTES_MAX, cannot_read, check_groups, damaged, fence, group_span, read_footer,
    with_our_types,
};
use super::meta::{self, Checksums, Summary};
use super::row::{Object, Row, Table};
use super::rows::{ObjectSet, RowReader, lengths_of};
use super::schema::{ROW_COLUMNS, ROW_GROUP_ROWS, TableError, column};
use super::source::Span;
pub use super::source::TableSource;
use crate::pages;

/// Most rows that memory is reserved for at once, on the footer's word.
const RESERVED_ROWS: u64 = 1 << 20;

/// An open table: its summary is in memory, its rows are read when asked for.
pub struct TableFile {
    source: Box<dyn TableSource>,
    size: u64,
    footer: ArrowReaderMetadata,
    summary: Summary,
    checksums: Checksums,
}

impl std::fmt::Debug for TableFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableFile")
            .field("size", &self.size)
            .field("rows", &self.summary.rows)
            .finish_non_exhaustive()
    }
}

/// Reads a whole table.
///
/// # Errors
/// As [`TableFile::open`] and [`TableFile::rows`].
pub fn read(source: impl TableSource + 'static) -> Result<Table, TableError> {
    let file = TableFile::open(source)?;
    file.rows(0..file.summary.rows)
}

/// Reads what a table's footer says, without its rows.
///
/// # Errors
/// As [`TableFile::open`].
pub fn read_summary(source: impl TableSource + 'static) -> Result<Summary, TableError> {
    Ok(TableFile::open(source)?.summary)
}

impl TableFile {
    /// Opens a table: reads its footer, in one or two reads from the end.
    ///
    /// # Errors
    /// [`TableError::NotATable`] for other files and other Parquet files, [`TableError::TooNew`], [`TableError::Damaged`] for
    /// a footer that contradicts itself, [`TableError::Io`].
    pub fn open(source: impl TableSource + 'static) -> Result<Self, TableError> {
        let source: Box<dyn TableSource> = Box::new(source);
        let size = source.size().map_err(|error| cannot_read(&error))?;
        let footer = fence(|| read_footer(source.as_ref(), size))?;
        let rows = u64::try_from(footer.file_metadata().num_rows())
            .map_err(|_error| TableError::damaged("a negative count of rows"))?;
        let entries = footer
            .file_metadata()
            .key_value_metadata()
            .map_or(&[][..], Vec::as_slice);
        let (summary, checksums) = meta::parse(entries, rows)?;
        if checksums.row_groups.len() != footer.num_row_groups() {
            return Err(TableError::damaged("not one checksum for each row group"));
        }
        check_groups(&footer, rows, size)?;
        let footer = fence(|| with_our_types(Arc::new(footer)))?;
        Ok(Self {
            source,
            size,
            footer,
            summary,
            checksums,
        })
    }

    /// What the footer says.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Size of the file in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Reads rows by their positions, as a table with all kinds and grids, and the objects that these rows refer to.
    ///
    /// # Errors
    /// As [`TableFile::rows_and_objects`].
    pub fn rows(&self, range: Range<u64>) -> Result<Table, TableError> {
        let (rows, objects) = self.rows_and_objects(range)?;
        Ok(Table {
            kinds: self.summary.kinds.clone(),
            grids: self.summary.grids.clone(),
            objects,
            rows,
            complete_runs: self.summary.complete_runs.clone(),
        })
    }

    /// Reads rows by their positions, and the objects that they refer to by position in the second list. Kinds are those of
    /// [`TableFile::summary`]. Reads and decodes only the row groups that the range touches.
    ///
    /// # Errors
    /// [`TableError::Damaged`] if something does not hold, [`TableError::Io`].
    pub fn rows_and_objects(
        &self,
        range: Range<u64>,
    ) -> Result<(Vec<Row>, Vec<Object>), TableError> {
        let wanted = range.end.min(self.summary.rows).saturating_sub(range.start);
        let mut rows = Vec::with_capacity(usize::try_from(wanted.min(RESERVED_ROWS)).unwrap_or(0));
        let mut objects = ObjectSet::default();
        let mut group_start = 0_u64;
        for (index, group) in self.footer.metadata().row_groups().iter().enumerate() {
            let count = u64::try_from(group.num_rows()).unwrap_or_default();
            let group_end = group_start.saturating_add(count);
            let (start, end) = (range.start.max(group_start), range.end.min(group_end));
            if start < end {
                let skip = start - group_start;
                fence(|| self.group(index, skip, end - start, start, &mut rows, &mut objects))?;
            }
            group_start = group_end;
        }
        Ok((rows, objects.into_objects()))
    }

    /// Lengths of the messages of all rows, in order; `None` where it is not known. Decodes that column alone: 10 million rows take a
    /// fraction of a second.
    ///
    /// # Errors
    /// As [`TableFile::rows_and_objects`].
    pub fn lengths(&self) -> Result<Vec<Option<NonZeroU64>>, TableError> {
        let mut lengths = Vec::new();
        for (index, group) in self.footer.metadata().row_groups().iter().enumerate() {
            let count = usize::try_from(group.num_rows()).unwrap_or_default();
            let before = lengths.len();
            fence(|| {
                let span = self.group_bytes(index)?;
                let mask = ProjectionMask::columns(self.footer.parquet_schema(), [column::LENGTH]);
                let reader =
                    ParquetRecordBatchReaderBuilder::new_with_metadata(span, self.footer.clone())
                        .with_projection(mask)
                        .with_row_groups(vec![index])
                        .with_batch_size(ROW_GROUP_ROWS)
                        .build()
                        .map_err(|error| damaged(&error))?;
                for batch in reader {
                    let batch = batch.map_err(|error| TableError::damaged(error.to_string()))?;
                    lengths.extend(lengths_of(&batch)?);
                }
                Ok(())
            })?;
            if lengths.len() - before != count {
                return Err(TableError::damaged("a row group lacks rows"));
            }
        }
        Ok(lengths)
    }

    /// Appends `count` rows of one row group, after its first `skip`; `position` is the first one's in the file.
    fn group(
        &self,
        index: usize,
        skip: u64,
        count: u64,
        position: u64,
        rows: &mut Vec<Row>,
        objects: &mut ObjectSet,
    ) -> Result<(), TableError> {
        let columns = ROW_COLUMNS
            .into_iter()
            .filter(|name| !self.is_all_null(index, name));
        let mask = ProjectionMask::columns(self.footer.parquet_schema(), columns);
        let span = self.group_bytes(index)?;
        let to_usize = |number: u64| {
            usize::try_from(number).map_err(|_error| TableError::damaged("too large"))
        };
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(span, self.footer.clone())
            .with_projection(mask)
            .with_row_groups(vec![index])
            .with_batch_size(ROW_GROUP_ROWS)
            .with_offset(to_usize(skip)?)
            .with_limit(to_usize(count)?)
            .build()
            .map_err(|error| damaged(&error))?;
        let mut row_reader = RowReader::new(&self.summary, position, rows, objects);
        for batch in reader {
            row_reader.batch(&batch.map_err(|error| TableError::damaged(error.to_string()))?)?;
        }
        row_reader.finish(count)
    }

    /// Whether a text column that is mostly empty is empty in this row group: decoding nulls into a dictionary is slow.
    fn is_all_null(&self, index: usize, name: &str) -> bool {
        [column::REASON, column::OBJECT_ETAG].contains(&name)
            && self
                .footer
                .metadata()
                .row_groups()
                .get(index)
                .and_then(|group| {
                    let chunk = group
                        .columns()
                        .iter()
                        .find(|chunk| chunk.column_descr().name() == name)?;
                    let nulls = chunk.statistics()?.null_count_opt()?;
                    Some(u64::try_from(group.num_rows()) == Ok(nulls))
                })
                .unwrap_or(false)
    }

    /// All bytes of a row group, in one read.
    fn group_bytes(&self, index: usize) -> Result<Span, TableError> {
        let (start, end) = self
            .footer
            .metadata()
            .row_groups()
            .get(index)
            .and_then(|group| group_span(group.columns()))
            .filter(|(_, end)| *end <= self.size)
            .ok_or_else(|| TableError::damaged("a row group lies outside the file"))?;
        if end - start > GROUP_BYTES_MAX {
            return Err(TableError::damaged("a row group of more than 1 GiB"));
        }
        let length =
            usize::try_from(end - start).map_err(|_error| TableError::damaged("too large"))?;
        let bytes = self
            .source
            .read(start, length)
            .map_err(|error| cannot_read(&error))?;
        if self.checksums.row_groups.get(index) != Some(&crc32fast::hash(&bytes)) {
            return Err(TableError::damaged(format!(
                "the checksum of row group {index} does not hold"
            )));
        }
        let chunks = self.footer.metadata().row_groups().get(index);
        let chunks = chunks.into_iter().flat_map(|group| group.columns());
        let chunks = chunks.filter_map(|chunk| {
            let span = pages::span(chunk)?;
            let within = |at: u64| usize::try_from(at.checked_sub(start)?).ok();
            Some(within(span.start)?..within(span.end)?)
        });
        pages::check(&bytes, chunks).map_err(TableError::damaged)?;
        Ok(Span {
            start,
            bytes,
            size: self.size,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::{Kind, Status};
    use super::super::schema::KindColumns;
    use super::super::write::write;
    use super::*;
    use crate::location::Location;
    use crate::time::{Instant, Window};
    use bytes::Bytes;

    fn table() -> Table {
        let row = |index: u32| Row {
            kind: index % 2,
            reference: Instant(1_800_000_000),
            window: Window::instant(i64::from(index / 8) * 3600),
            member: (!index.is_multiple_of(3)).then_some(7),
            object: index % 5,
            offset: u64::from(index) * 7919,
            length: (!index.is_multiple_of(4)).then_some(7919),
            field: 0,
            status: Status::Placed,
            reason: None,
        };
        let kind = |words: &str| Kind {
            identity: None,
            bucket_seconds: None,
            grid: None,
            words: words.to_owned(),
        };
        let object = |index: u64| Object {
            location: Location::parse(&format!("s3://b/{index}"), std::path::Path::new("/"))
                .unwrap(),
            size: Some(index),
            etag: (index > 2).then(|| "e".to_owned()),
        };
        Table {
            kinds: vec![kind("A"), kind("B")],
            grids: Vec::new(),
            objects: (0..5).map(object).collect(),
            rows: (0..400).map(row).collect(),
            complete_runs: Vec::new(),
        }
    }

    #[test]
    fn hostile_row_groups_with_right_checksums_are_errors_or_valid_rows() {
        let mut bytes = Vec::new();
        write(&table(), |_| KindColumns::default(), &mut bytes).unwrap();
        let mut file = TableFile::open(Bytes::from(bytes.clone())).unwrap();
        let group = file.footer.metadata().row_group(0).columns();
        let (start, end) = group_span(group).unwrap();
        let (mut refused, mut read) = (0, 0);
        let mut at = start;
        while at < end {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[usize::try_from(at).unwrap()] ^= 1 << bit;
                let damaged = Bytes::from(damaged);
                let length = usize::try_from(end - start).unwrap();
                let group = damaged.read(start, length).unwrap();
                file.checksums.row_groups = vec![crc32fast::hash(&group)];
                file.source = Box::new(damaged);
                match file.rows(0..400) {
                    Ok(table) => {
                        read += 1;
                        assert_eq!(table.rows.len(), 400);
                        let objects = table.objects.len();
                        let known = |row: &Row| usize::try_from(row.object).unwrap() < objects;
                        assert!(table.rows.iter().all(|row| row.kind < 2 && known(row)));
                    }
                    Err(_) => refused += 1,
                }
            }
            at += 3;
        }
        assert!(refused > 100 && read > 0, "{refused} refused, {read} read");
    }

    #[test]
    fn a_flipped_bit_in_a_row_group_is_noticed() {
        let mut bytes = Vec::new();
        write(&table(), |_| KindColumns::default(), &mut bytes).unwrap();
        bytes[2000] ^= 1;
        let error = read(Bytes::from(bytes)).unwrap_err().to_string();
        assert!(error.contains("checksum"), "{error}");
    }
}

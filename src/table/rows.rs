//! Columns of one batch to rows, every value checked.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, DictionaryArray, DurationSecondArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};

use super::meta::Summary;
use super::row::{Object, Row, Status};
use super::schema::{TableError, column};
use crate::location::Location;
use crate::time::{Instant, Window};

/// Objects met so far, each once.
#[derive(Debug, Default)]
pub(crate) struct ObjectSet {
    objects: Vec<Object>,
    positions: HashMap<Object, u32>,
}

impl ObjectSet {
    fn position(
        &mut self,
        uri: &str,
        size: Option<u64>,
        etag: Option<&str>,
    ) -> Result<u32, TableError> {
        let location = uri
            .contains("://")
            .then(|| Location::parse(uri, Path::new("/")))
            .and_then(Result::ok)
            .ok_or_else(|| TableError::damaged(format!("not a URL: {uri:?}")))?;
        let object = Object {
            location,
            size,
            etag: etag.map(str::to_owned),
        };
        if let Some(found) = self.positions.get(&object) {
            return Ok(*found);
        }
        let position = u32::try_from(self.objects.len())
            .map_err(|_error| TableError::TooMany { what: "objects" })?;
        self.objects.push(object.clone());
        self.positions.insert(object, position);
        Ok(position)
    }

    pub(crate) fn into_objects(self) -> Vec<Object> {
        self.objects
    }
}

/// Appends the rows of batches to a list.
pub(crate) struct RowReader<'a> {
    summary: &'a Summary,
    /// Position in the file of the next row.
    position: u64,
    /// Kind that the summary promises for it.
    kind: usize,
    rows: &'a mut Vec<Row>,
    objects: &'a mut ObjectSet,
    taken: u64,
}

impl<'a> RowReader<'a> {
    pub(crate) fn new(
        summary: &'a Summary,
        position: u64,
        rows: &'a mut Vec<Row>,
        objects: &'a mut ObjectSet,
    ) -> Self {
        let kind = summary
            .spans
            .partition_point(|span| span.first_row + span.rows <= position);
        Self {
            summary,
            position,
            kind,
            rows,
            objects,
            taken: 0,
        }
    }

    /// Checks that all rows came.
    pub(crate) fn finish(self, expected: u64) -> Result<(), TableError> {
        if self.taken == expected {
            Ok(())
        } else {
            Err(TableError::damaged(format!(
                "a row group gave {} rows of {expected}",
                self.taken
            )))
        }
    }

    /// Takes the rows of a batch.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        let columns = Columns::of(batch)?;
        let mut objects = ObjectLookup::of(&columns);
        let statuses: Vec<Option<Status>> = columns
            .status
            .texts
            .iter()
            .map(|text| text.and_then(Status::from_word))
            .collect();
        let reasons: Vec<Option<Arc<str>>> = columns
            .reason
            .texts
            .iter()
            .map(|text| text.map(Arc::from))
            .collect();
        self.rows.reserve(batch.num_rows());
        for index in 0..batch.num_rows() {
            let row = self
                .row(&columns, index, &mut objects, &statuses, &reasons)
                .map_err(|reason| match reason {
                    Refusal::Column(name) => {
                        TableError::damaged(format!("row {}: {name} does not hold", self.position))
                    }
                    Refusal::Table(error) => error,
                })?;
            self.rows.push(row);
            self.position += 1;
            self.taken += 1;
        }
        Ok(())
    }

    fn row(
        &mut self,
        columns: &Columns<'_>,
        index: usize,
        objects: &mut ObjectLookup,
        statuses: &[Option<Status>],
        reasons: &[Option<Arc<str>>],
    ) -> Result<Row, Refusal> {
        while self
            .summary
            .spans
            .get(self.kind)
            .is_some_and(|span| span.first_row + span.rows <= self.position)
        {
            self.kind += 1;
        }
        let kind = columns
            .kind
            .get(index)
            .and_then(|kind| u32::try_from(*kind).ok())
            .filter(|kind| usize::try_from(*kind) == Ok(self.kind))
            .ok_or(Refusal::Column(column::KIND))?;
        let milliseconds = columns
            .time
            .get(index)
            .filter(|milliseconds| *milliseconds % 1000 == 0)
            .ok_or(Refusal::Column(column::TIME))?;
        let window = Window {
            start: columns
                .step_start
                .get(index)
                .copied()
                .ok_or(Refusal::Column(column::STEP_START))?,
            end: columns
                .step
                .get(index)
                .copied()
                .ok_or(Refusal::Column(column::STEP))?,
        };
        let status = columns
            .status
            .key(index)
            .and_then(|key| *statuses.get(key)?)
            .ok_or(Refusal::Column(column::STATUS))?;
        let reason = match columns.reason.key(index) {
            Some(key) => Some(
                reasons
                    .get(key)
                    .cloned()
                    .flatten()
                    .ok_or(Refusal::Column(column::REASON))?,
            ),
            None => None,
        };
        Ok(Row {
            kind,
            reference: Instant(milliseconds / 1000),
            window,
            member: columns
                .number
                .optional(index, column::NUMBER)?
                .map(|number| i16::try_from(*number))
                .transpose()
                .map_err(|_error| Refusal::Column(column::NUMBER))?,
            object: objects.position(columns, index, self.objects)?,
            offset: columns
                .offset
                .get(index)
                .and_then(|offset| u64::try_from(*offset).ok())
                .ok_or(Refusal::Column(column::OFFSET))?,
            length: columns.length.optional_u64(index, column::LENGTH)?,
            field: columns
                .field
                .get(index)
                .and_then(|field| u16::try_from(*field).ok())
                .ok_or(Refusal::Column(column::FIELD))?,
            status,
            reason,
        })
    }
}

/// What does not hold in a row.
enum Refusal {
    Column(&'static str),
    Table(TableError),
}

/// The columns that rows are made from.
struct Columns<'a> {
    time: &'a [i64],
    step: &'a [i64],
    step_start: &'a [i64],
    number: Nullable<'a, i32>,
    uri: Texts<'a>,
    offset: &'a [i64],
    length: Nullable<'a, i64>,
    field: &'a [i32],
    status: Texts<'a>,
    reason: Texts<'a>,
    kind: &'a [i32],
    size: Nullable<'a, i64>,
    etag: Texts<'a>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, TableError> {
        let number: &Int32Array = array(batch, column::NUMBER)?;
        let length: &Int64Array = array(batch, column::LENGTH)?;
        let size: &Int64Array = array(batch, column::OBJECT_SIZE)?;
        Ok(Self {
            time: whole::<TimestampMillisecondArray>(batch, column::TIME)?.values(),
            step: whole::<DurationSecondArray>(batch, column::STEP)?.values(),
            step_start: whole::<DurationSecondArray>(batch, column::STEP_START)?.values(),
            number: Nullable {
                values: number.values(),
                array: number,
            },
            uri: Texts::of(batch, column::URI)?,
            offset: whole::<Int64Array>(batch, column::OFFSET)?.values(),
            length: Nullable {
                values: length.values(),
                array: length,
            },
            field: whole::<Int32Array>(batch, column::FIELD)?.values(),
            status: Texts::of(batch, column::STATUS)?,
            reason: Texts::optional(batch, column::REASON)?,
            kind: whole::<Int32Array>(batch, column::KIND)?.values(),
            size: Nullable {
                values: size.values(),
                array: size,
            },
            etag: Texts::optional(batch, column::OBJECT_ETAG)?,
        })
    }
}

/// Lengths of the messages of a batch of rows; `None` where it is not known.
pub(crate) fn lengths_of(batch: &RecordBatch) -> Result<Vec<Option<NonZeroU64>>, TableError> {
    let lengths: &Int64Array = array(batch, column::LENGTH)?;
    let length = |value: Option<i64>| {
        let length = value.map(u64::try_from).transpose();
        length
            .map(|length| length.and_then(NonZeroU64::new))
            .map_err(|_error| TableError::damaged("a negative length"))
    };
    lengths.iter().map(length).collect()
}

fn array<'a, T: 'static>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a T, TableError> {
    batch
        .column_by_name(name)
        .and_then(|array| array.as_any().downcast_ref())
        .ok_or_else(|| TableError::damaged(format!("column {name} is missing or of another type")))
}

fn whole<'a, T: Array + 'static>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a T, TableError> {
    let array: &T = array(batch, name)?;
    if array.null_count() > 0 {
        return Err(TableError::damaged(format!("column {name} has nulls")));
    }
    Ok(array)
}

/// Numbers, some of which are null.
struct Nullable<'a, T> {
    values: &'a [T],
    array: &'a dyn Array,
}

impl<T> Nullable<'_, T> {
    fn optional(&self, index: usize, name: &'static str) -> Result<Option<&T>, Refusal> {
        let value = self.values.get(index).ok_or(Refusal::Column(name))?;
        Ok((!self.array.is_null(index)).then_some(value))
    }
}

impl Nullable<'_, i64> {
    fn optional_u64(&self, index: usize, name: &'static str) -> Result<Option<u64>, Refusal> {
        self.optional(index, name)?
            .map(|value| u64::try_from(*value))
            .transpose()
            .map_err(|_error| Refusal::Column(name))
    }
}

/// Texts through a dictionary.
struct Texts<'a> {
    /// `None` for a column of nulls, which is not even decoded.
    keys: Option<&'a Int32Array>,
    texts: Vec<Option<&'a str>>,
}

impl<'a> Texts<'a> {
    fn of(batch: &'a RecordBatch, name: &'static str) -> Result<Self, TableError> {
        let dictionary: &DictionaryArray<Int32Type> = array(batch, name)?;
        let values: &StringArray = dictionary
            .values()
            .as_any()
            .downcast_ref()
            .ok_or_else(|| TableError::damaged(format!("column {name} holds no text")))?;
        Ok(Self {
            keys: Some(dictionary.keys()),
            texts: values.iter().collect(),
        })
    }

    /// A column that may have been left out of the batch, being all null.
    fn optional(batch: &'a RecordBatch, name: &'static str) -> Result<Self, TableError> {
        if batch.column_by_name(name).is_none() {
            return Ok(Self {
                keys: None,
                texts: Vec::new(),
            });
        }
        Self::of(batch, name)
    }

    /// Position in the dictionary, or `None` for null.
    fn key(&self, index: usize) -> Option<usize> {
        let keys = self.keys?;
        if keys.is_null(index) {
            return None;
        }
        usize::try_from(*keys.values().get(index)?).ok()
    }
}

/// The rest of an object beside its URL, and its number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SeenObject {
    etag: Option<usize>,
    size: Option<u64>,
    position: u32,
}

/// Objects of a batch by their dictionary positions, so that a URL is parsed once and not per row.
struct ObjectLookup {
    /// By position of the URL: the object as last seen.
    last: Vec<Option<SeenObject>>,
}

impl ObjectLookup {
    fn of(columns: &Columns<'_>) -> Self {
        Self {
            last: vec![None; columns.uri.texts.len()],
        }
    }

    fn position(
        &mut self,
        columns: &Columns<'_>,
        index: usize,
        objects: &mut ObjectSet,
    ) -> Result<u32, Refusal> {
        let refuse = || Refusal::Column(column::URI);
        let uri = columns.uri.key(index).ok_or_else(refuse)?;
        let etag = columns.etag.key(index);
        let size = columns.size.optional_u64(index, column::OBJECT_SIZE)?;
        let slot = self.last.get_mut(uri).ok_or_else(refuse)?;
        if let Some(seen) = *slot
            && (seen.etag, seen.size) == (etag, size)
        {
            return Ok(seen.position);
        }
        let text = columns.uri.texts.get(uri).copied().flatten();
        let etag_text = match etag {
            Some(key) => Some(
                columns
                    .etag
                    .texts
                    .get(key)
                    .copied()
                    .flatten()
                    .ok_or(Refusal::Column(column::OBJECT_ETAG))?,
            ),
            None => None,
        };
        let position = objects
            .position(text.ok_or_else(refuse)?, size, etag_text)
            .map_err(Refusal::Table)?;
        *slot = Some(SeenObject {
            etag,
            size,
            position,
        });
        Ok(position)
    }
}

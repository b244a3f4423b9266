//! Rows in their final order to the columns of one row group.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, DurationSecondArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_schema::SchemaRef;

use super::row::{Kind, Object, Row, Status};
use super::schema::{KindColumns, TableError};

/// One kind in its final position, with its names.
#[derive(Debug)]
pub(crate) struct NamedKind<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) names: KindColumns,
}

/// A row of the table with the position of its kind in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed<'a> {
    /// Position of the row in the table given, for errors.
    pub(crate) position: usize,
    /// Final position of its kind.
    pub(crate) kind: usize,
    pub(crate) row: &'a Row,
}

/// Makes the columns of one row group.
///
/// # Errors
/// [`TableError::Row`] for an index out of range or a number that the column cannot hold.
pub(crate) fn batch(
    schema: SchemaRef,
    kinds: &[NamedKind<'_>],
    objects: &[Object],
    rows: &[Placed<'_>],
) -> Result<RecordBatch, TableError> {
    // Kinds ascend within a group, so the dictionaries of their texts are a slice of all kinds.
    let first = rows.first().map_or(0, |row| row.kind);
    let last = rows.last().map_or(0, |row| row.kind);
    let kinds_here = kinds.get(first..=last).unwrap_or_default();
    let kind_keys = rows
        .iter()
        .map(|row| i32::try_from(row.kind - first).map_err(|_error| too_many_kinds()))
        .collect::<Result<Vec<i32>, _>>()?;
    let text = |get: &dyn Fn(&NamedKind<'_>) -> String| -> Result<ArrayRef, TableError> {
        let values: Vec<String> = kinds_here.iter().map(get).collect();
        let keys: Int32Array = kind_keys
            .iter()
            .map(|&key| {
                let value = usize::try_from(key).ok().and_then(|at| values.get(at))?;
                (!value.is_empty()).then_some(key)
            })
            .collect();
        dictionary(keys, values)
    };
    let of_kind = |row: &Placed<'_>| -> Option<&NamedKind<'_>> { kinds_here.get(row.kind - first) };

    let objects_column = ObjectColumns::build(objects, rows)?;
    let columns: Vec<ArrayRef> = vec![
        text(&|kind| kind.names.varname.clone())?,
        text(&|kind| kind.names.type_of_level.clone())?,
        Arc::new(Float64Array::from_iter(
            rows.iter().map(|row| of_kind(row)?.names.level),
        )),
        Arc::new(Float64Array::from_iter(
            rows.iter().map(|row| of_kind(row)?.names.level2),
        )),
        text(&|kind| kind.names.step_type.clone())?,
        text(&|kind| kind.names.name.clone())?,
        text(&|kind| kind.names.units.clone())?,
        Arc::new(TimestampMillisecondArray::from(try_column(rows, |row| {
            row.reference
                .seconds()
                .checked_mul(1000)
                .ok_or("its run is too far from 1970")
        })?)),
        Arc::new(DurationSecondArray::from_iter_values(
            rows.iter().map(|row| row.row.window.end),
        )),
        Arc::new(DurationSecondArray::from_iter_values(
            rows.iter().map(|row| row.row.window.start),
        )),
        Arc::new(TimestampMillisecondArray::from_iter(rows.iter().map(
            |row| {
                let valid = row.row.reference.seconds();
                valid.checked_add(row.row.window.end)?.checked_mul(1000)
            },
        ))),
        Arc::new(Int32Array::from_iter(
            rows.iter().map(|row| row.row.member.map(i32::from)),
        )),
        objects_column.uri,
        Arc::new(Int64Array::from(try_column(rows, |row| {
            i64::try_from(row.offset).map_err(|_error| "its offset is beyond 2^63")
        })?)),
        Arc::new(Int64Array::from(try_column(rows, |row| {
            row.length
                .map(i64::try_from)
                .transpose()
                .map_err(|_error| "its length is beyond 2^63")
        })?)),
        Arc::new(Int32Array::from_iter_values(
            rows.iter().map(|row| i32::from(row.row.field)),
        )),
        statuses(rows)?,
        reasons(rows)?,
        text(&|kind| kind.kind.words.clone())?,
        Arc::new(Int64Array::from_iter(
            rows.iter().map(|row| of_kind(row)?.kind.bucket_seconds),
        )),
        Arc::new(Int32Array::from(try_column_of(rows, |row| {
            of_kind(row)
                .and_then(|kind| kind.kind.grid)
                .map(i32::try_from)
                .transpose()
                .map_err(|_error| "its grid's index is beyond 2^31")
        })?)),
        Arc::new(Int32Array::from(try_column_of(rows, |row| {
            i32::try_from(row.kind).map_err(|_error| "its kind's index is beyond 2^31")
        })?)),
        objects_column.size,
        objects_column.etag,
    ];
    RecordBatch::try_new(schema, columns).map_err(|error| failed(&error))
}

struct ObjectColumns {
    uri: ArrayRef,
    size: ArrayRef,
    etag: ArrayRef,
}

impl ObjectColumns {
    fn build(objects: &[Object], rows: &[Placed<'_>]) -> Result<Self, TableError> {
        // Positions in the group's dictionary, in order of first use. Rows of one object are often neighbours.
        let mut positions: HashMap<u32, i32> = HashMap::new();
        let (mut uris, mut etags) = (Vec::new(), Vec::new());
        let mut sizes = Vec::with_capacity(rows.len());
        let mut keys: Vec<i32> = Vec::with_capacity(rows.len());
        let mut etag_keys: Vec<Option<i32>> = Vec::with_capacity(rows.len());
        let mut last = None;
        for row in rows {
            let index = row.row.object;
            if last == Some(index)
                && let (Some(&key), Some(&size), Some(&etag)) =
                    (keys.last(), sizes.last(), etag_keys.last())
            {
                keys.push(key);
                sizes.push(size);
                etag_keys.push(etag);
                continue;
            }
            last = Some(index);
            let object = usize::try_from(index)
                .ok()
                .and_then(|at| objects.get(at))
                .ok_or_else(|| TableError::Row {
                    row: row.position,
                    reason: format!("object {index} of {}", objects.len()),
                })?;
            let key = match positions.get(&index) {
                Some(key) => *key,
                None => {
                    let key = i32::try_from(uris.len())
                        .map_err(|_error| TableError::TooMany { what: "objects" })?;
                    uris.push(object.location.as_str());
                    etags.push(object.etag.as_deref().unwrap_or_default());
                    positions.insert(index, key);
                    key
                }
            };
            keys.push(key);
            sizes.push(
                object
                    .size
                    .map(i64::try_from)
                    .transpose()
                    .map_err(|_error| TableError::Row {
                        row: row.position,
                        reason: "its object's size is beyond 2^63".to_owned(),
                    })?,
            );
            etag_keys.push(object.etag.is_some().then_some(key));
        }
        Ok(Self {
            uri: dictionary(Int32Array::from(keys), uris)?,
            size: Arc::new(Int64Array::from(sizes)),
            etag: dictionary(Int32Array::from(etag_keys), etags)?,
        })
    }
}

fn statuses(rows: &[Placed<'_>]) -> Result<ArrayRef, TableError> {
    let keys = Int32Array::from_iter(rows.iter().map(|row| {
        let at = Status::ALL
            .iter()
            .position(|status| *status == row.row.status)?;
        i32::try_from(at).ok()
    }));
    dictionary(
        keys,
        Status::ALL.iter().map(|status| status.as_str()).collect(),
    )
}

fn reasons(rows: &[Placed<'_>]) -> Result<ArrayRef, TableError> {
    let mut positions: HashMap<&str, i32> = HashMap::new();
    let mut texts: Vec<&str> = Vec::new();
    let mut keys: Vec<Option<i32>> = Vec::with_capacity(rows.len());
    // Rows of one file that has not arrived share their reason: the same text at the same place is not hashed again.
    let mut last: Option<(&Arc<str>, i32)> = None;
    for row in rows {
        let Some(shared) = &row.row.reason else {
            keys.push(None);
            continue;
        };
        if let Some((known, key)) = last
            && Arc::ptr_eq(known, shared)
        {
            keys.push(Some(key));
            continue;
        }
        let reason: &str = shared;
        let next = i32::try_from(texts.len()).map_err(|_error| too_many_kinds())?;
        let key = *positions.entry(reason).or_insert_with(|| {
            texts.push(reason);
            next
        });
        last = Some((shared, key));
        keys.push(Some(key));
    }
    dictionary(Int32Array::from(keys), texts)
}

fn dictionary<T: AsRef<str>>(keys: Int32Array, values: Vec<T>) -> Result<ArrayRef, TableError> {
    let values = Arc::new(StringArray::from_iter_values(values));
    DictionaryArray::<Int32Type>::try_new(keys, values)
        .map(|array| Arc::new(array) as ArrayRef)
        .map_err(|error| failed(&error))
}

fn try_column<T>(
    rows: &[Placed<'_>],
    get: impl Fn(&Row) -> Result<T, &'static str>,
) -> Result<Vec<T>, TableError> {
    try_column_of(rows, |row| get(row.row))
}

fn try_column_of<T>(
    rows: &[Placed<'_>],
    get: impl Fn(&Placed<'_>) -> Result<T, &'static str>,
) -> Result<Vec<T>, TableError> {
    rows.iter()
        .map(|row| {
            get(row).map_err(|reason| TableError::Row {
                row: row.position,
                reason: reason.to_owned(),
            })
        })
        .collect()
}

fn too_many_kinds() -> TableError {
    TableError::TooMany {
        what: "kinds or reasons",
    }
}

fn failed(error: &dyn std::fmt::Display) -> TableError {
    TableError::Io {
        action: "writing a table".to_owned(),
        reason: error.to_string(),
    }
}

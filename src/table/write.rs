//! A table to Parquet: canonical order, encodings, footer.
//!
//! Rows are sorted by kind (array name, level type, step type, levels), run, step, member, so that one array's rows lie
//! together and repeating columns fold to nothing. The order depends on what rows say only, not on how they came: the same
//! content gives the same bytes, and no time of writing is in them.
//!
//! Memory beside the table itself: 4 bytes per row for the order, and one row group.

use std::cmp::Ordering;
use std::io::Write;
use std::sync::Arc;

use parquet::arrow::ArrowWriter;

use super::columns::{self, NamedKind, Placed};
use super::meta::Gatherer;
use super::row::{Kind, Object, Row, Table};
use super::schema::{self, KindColumns, ROW_GROUP_ROWS, TableError};

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteSummary {
    /// Count of rows.
    pub rows: u64,
    /// Count of bytes.
    pub bytes: u64,
}

/// Writes a table to `sink`. `naming` gives the columns that are made for people from a kind.
///
/// Equal kinds become one, kinds without rows are left out, and the kinds' order is that of their names: a table that is
/// read back has the same rows and kinds in canonical order, the same grids, and the objects that rows refer to.
///
/// # Errors
/// [`TableError::Row`] for rows with indices out of range or numbers that do not fit, [`TableError::Io`] if the sink fails.
pub fn write(
    table: &Table,
    naming: impl Fn(&Kind) -> KindColumns,
    sink: impl Write + Send,
) -> Result<WriteSummary, TableError> {
    let kinds = KindOrder::of(table, naming)?;
    let order = row_order(table, &kinds);
    let schema = schema::arrow_schema();
    let properties = schema::writer_properties()?.build();
    let mut counting = Counting {
        sink,
        bytes: 0,
        hasher: crc32fast::Hasher::new(),
    };
    let mut checksums = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut counting, Arc::clone(&schema), Some(properties))
        .map_err(|error| failed(&error))?;

    for chunk in order.chunks(ROW_GROUP_ROWS) {
        let placed: Vec<Placed<'_>> = chunk
            .iter()
            .filter_map(|&index| {
                let position = usize::try_from(index).ok()?;
                let row = table.rows.get(position)?;
                Some(Placed {
                    position,
                    kind: kinds.rank(row.kind)?,
                    row,
                })
            })
            .collect();
        let batch = columns::batch(Arc::clone(&schema), &kinds.named, &table.objects, &placed)?;
        writer.write(&batch).map_err(|error| failed(&error))?;
        // What came since the last group (or the magic) is this row group, when nothing is held back.
        writer.sync().map_err(|error| failed(&error))?;
        writer.inner_mut().hasher.reset();
        writer.flush().map_err(|error| failed(&error))?;
        writer.sync().map_err(|error| failed(&error))?;
        checksums.push(writer.inner().hasher.clone().finalize());
    }

    let mut gatherer = Gatherer::new();
    let row_at = |index: &u32| table.rows.get(usize::try_from(*index).ok()?);
    let mut rest = order.as_slice();
    for rank in 0..kinds.named.len() {
        let count = rest.partition_point(|index| {
            row_at(index)
                .and_then(|row| kinds.rank(row.kind))
                .is_some_and(|other| other <= rank)
        });
        let (here, after) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        gatherer.kind(here.iter().filter_map(row_at));
        rest = after;
    }
    let used: Vec<&Kind> = kinds.named.iter().map(|named| named.kind).collect();
    let entries = gatherer.finish(
        &used,
        &table.grids,
        &table.complete_runs,
        objects_in_use(table),
        checksums,
    )?;
    for entry in entries {
        writer.append_key_value_metadata(entry);
    }
    writer.close().map_err(|error| failed(&error))?;
    Ok(WriteSummary {
        rows: u64::try_from(order.len()).unwrap_or(u64::MAX),
        bytes: counting.bytes,
    })
}

/// Kinds in canonical order, and the way from a table's own numbers to it.
struct KindOrder<'a> {
    named: Vec<NamedKind<'a>>,
    ranks: Vec<Option<usize>>,
}

impl<'a> KindOrder<'a> {
    fn of(table: &'a Table, naming: impl Fn(&Kind) -> KindColumns) -> Result<Self, TableError> {
        let mut used = vec![false; table.kinds.len()];
        for (position, row) in table.rows.iter().enumerate() {
            let slot = usize::try_from(row.kind)
                .ok()
                .and_then(|at| used.get_mut(at));
            let Some(slot) = slot else {
                return Err(TableError::Row {
                    row: position,
                    reason: format!("kind {} of {}", row.kind, table.kinds.len()),
                });
            };
            *slot = true;
        }
        let mut named: Vec<(usize, NamedKind<'a>)> = Vec::new();
        for (index, (kind, _)) in table
            .kinds
            .iter()
            .zip(&used)
            .enumerate()
            .filter(|(_, (_, used))| **used)
        {
            if let Some(grid) = kind.grid
                && usize::try_from(grid).is_ok_and(|grid| grid >= table.grids.len())
            {
                return Err(TableError::Row {
                    row: table
                        .rows
                        .iter()
                        .position(|row| usize::try_from(row.kind) == Ok(index))
                        .unwrap_or_default(),
                    reason: format!("its kind is on grid {grid} of {}", table.grids.len()),
                });
            }
            let names = naming(kind);
            named.push((index, NamedKind { kind, names }));
        }
        named.sort_by(|(_, a), (_, b)| compare_kinds(a, b));
        let mut ranks = vec![None; table.kinds.len()];
        let mut order: Vec<NamedKind<'a>> = Vec::with_capacity(named.len());
        for (index, kind) in named {
            if order.last().is_none_or(|last| last.kind != kind.kind) {
                order.push(kind);
            }
            if let Some(rank) = ranks.get_mut(index) {
                *rank = order.len().checked_sub(1);
            }
        }
        Ok(Self {
            named: order,
            ranks,
        })
    }

    fn rank(&self, kind: u32) -> Option<usize> {
        *self.ranks.get(usize::try_from(kind).ok()?)?
    }
}

/// By the names first, as readers filter by them; whatever is left is told apart by the kind itself.
fn compare_kinds(a: &NamedKind<'_>, b: &NamedKind<'_>) -> Ordering {
    let level = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    };
    let (x, y) = (&a.names, &b.names);
    (&x.varname, &x.type_of_level, &x.step_type)
        .cmp(&(&y.varname, &y.type_of_level, &y.step_type))
        .then_with(|| level(x.level, y.level))
        .then_with(|| level(x.level2, y.level2))
        .then_with(|| a.kind.cmp(b.kind))
}

/// What rows of one kind are sorted by, and the row.
type RowKey = (i64, i64, i64, Option<i16>, u32);

/// Positions of rows in their final order.
fn row_order(table: &Table, kinds: &KindOrder<'_>) -> Vec<u32> {
    let objects = object_ranks(&table.objects);
    let mut buckets: Vec<Vec<u32>> = vec![Vec::new(); kinds.named.len()];
    for (index, row) in (0_u32..).zip(&table.rows) {
        if let Some(bucket) = kinds.rank(row.kind).and_then(|rank| buckets.get_mut(rank)) {
            bucket.push(index);
        }
    }
    let mut order = Vec::with_capacity(table.rows.len());
    let mut keys: Vec<RowKey> = Vec::new();
    for bucket in buckets {
        let row_at = |index: u32| table.rows.get(usize::try_from(index).ok()?);
        keys.clear();
        keys.extend(bucket.iter().filter_map(|&index| {
            let row = row_at(index)?;
            let (start, end) = (row.window.start, row.window.end);
            Some((row.reference.0, end, start, row.member, index))
        }));
        keys.sort_unstable_by(|a, b| {
            (a.0, a.1, a.2, a.3)
                .cmp(&(b.0, b.1, b.2, b.3))
                .then_with(|| compare_rest(row_at(a.4), row_at(b.4), &objects))
        });
        order.extend(keys.iter().map(|key| key.4));
    }
    order
}

/// Rows of one cell: in an order that does not depend on how they came.
fn compare_rest(a: Option<&Row>, b: Option<&Row>, objects: &[u32]) -> Ordering {
    let key = |row: Option<&Row>| {
        row.map(|row| {
            let object = usize::try_from(row.object)
                .ok()
                .and_then(|at| objects.get(at));
            (
                row.status,
                object.copied(),
                row.offset,
                row.field,
                row.length,
            )
        })
    };
    key(a).cmp(&key(b)).then_with(|| {
        let reason = |row: Option<&Row>| row.and_then(|row| row.reason.clone());
        reason(a).cmp(&reason(b))
    })
}

/// Rank of each object among all by location, size and `ETag`.
fn object_ranks(objects: &[Object]) -> Vec<u32> {
    let mut order: Vec<(u32, &Object)> = (0_u32..).zip(objects).collect();
    order.sort_by(|a, b| a.1.cmp(b.1));
    let mut ranks = vec![0; objects.len()];
    let mut rank = 0;
    let mut last: Option<&Object> = None;
    for (index, object) in order {
        if last.is_some_and(|last| last != object) {
            rank += 1;
        }
        last = Some(object);
        if let Some(slot) = usize::try_from(index)
            .ok()
            .and_then(|index| ranks.get_mut(index))
        {
            *slot = rank;
        }
    }
    ranks
}

fn objects_in_use(table: &Table) -> usize {
    let mut used = vec![false; table.objects.len()];
    for row in &table.rows {
        if let Some(slot) = usize::try_from(row.object)
            .ok()
            .and_then(|at| used.get_mut(at))
        {
            *slot = true;
        }
    }
    used.into_iter().filter(|used| *used).count()
}

fn failed(error: &dyn std::fmt::Display) -> TableError {
    TableError::Io {
        action: "writing a table".to_owned(),
        reason: error.to_string(),
    }
}

/// Counts what goes to a sink, and sums it up.
struct Counting<W> {
    sink: W,
    bytes: u64,
    hasher: crc32fast::Hasher,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.bytes += u64::try_from(count).unwrap_or_default();
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

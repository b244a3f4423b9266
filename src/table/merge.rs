//! Several tables as one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use super::row::{Row, Table};
use super::schema::TableError;

/// Makes one table of several: kinds, grids and objects that are equal become one, rows are kept all and in order.
///
/// The first table's grids come first, so its main grid stays the main one. A run is complete if some table says so.
/// Rows that several tables share are not looked for: whoever adds to a table decides what replaces what.
///
/// # Errors
/// [`TableError::Row`] for an index out of range, [`TableError::TooMany`] beyond 2^32 of anything.
pub fn merge(tables: Vec<Table>) -> Result<Table, TableError> {
    let mut kinds = Interner::new("kinds");
    let mut grids = Interner::new("grids");
    let mut objects = Interner::new("objects");
    let mut merged = Table::default();
    for table in tables {
        let grid_ids = grids.add_all(table.grids)?;
        let mut table_kinds = table.kinds;
        for kind in &mut table_kinds {
            if let Some(grid) = kind.grid {
                kind.grid = Some(renumber(&grid_ids, grid).ok_or_else(|| {
                    TableError::damaged(format!("a kind is on grid {grid} of {}", grid_ids.len()))
                })?);
            }
        }
        let kind_ids = kinds.add_all(table_kinds)?;
        let object_ids = objects.add_all(table.objects)?;
        merged.rows.reserve(table.rows.len());
        for (position, row) in table.rows.into_iter().enumerate() {
            let ids = (
                renumber(&kind_ids, row.kind),
                renumber(&object_ids, row.object),
            );
            let (Some(kind), Some(object)) = ids else {
                return Err(TableError::Row {
                    row: position,
                    reason: format!("kind {} or object {} does not exist", row.kind, row.object),
                });
            };
            merged.rows.push(Row {
                kind,
                object,
                ..row
            });
        }
        merged.complete_runs.extend(table.complete_runs);
    }
    merged.complete_runs.sort_unstable();
    merged.complete_runs.dedup();
    merged.kinds = kinds.values;
    merged.grids = grids.values;
    merged.objects = objects.values;
    Ok(merged)
}

fn renumber(ids: &[u32], old: u32) -> Option<u32> {
    ids.get(usize::try_from(old).ok()?).copied()
}

/// Distinct values in order of first sight.
struct Interner<T> {
    what: &'static str,
    values: Vec<T>,
    positions: HashMap<T, u32>,
}

impl<T: Clone + Eq + Hash> Interner<T> {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            values: Vec::new(),
            positions: HashMap::new(),
        }
    }

    /// Positions of the values, parallel to them.
    fn add_all(&mut self, values: Vec<T>) -> Result<Vec<u32>, TableError> {
        values
            .into_iter()
            .map(|value| {
                let next = u32::try_from(self.values.len())
                    .map_err(|_error| TableError::TooMany { what: self.what })?;
                Ok(match self.positions.entry(value) {
                    Entry::Occupied(found) => *found.get(),
                    Entry::Vacant(free) => {
                        self.values.push(free.key().clone());
                        *free.insert(next)
                    }
                })
            })
            .collect()
    }
}

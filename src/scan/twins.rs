//! Messages that are equal in all of their identity: the first is used, the others are counted as its twins.

use std::collections::HashMap as StdMap;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::builder::Builder;
use crate::table::row::{Kind, Row, Status, Table};
use crate::time::{Instant, Window};

/// What rows of one cell have in common.
type Cell = (u32, Instant, Window, Option<u16>);

/// Marks every placed row but the first of each cell as its twin.
///
/// Where the file order of two runs of the same build differs the choice must not: the first by location, offset and field stays.
pub(super) fn mark(builder: &mut Builder) {
    let twins = find(builder.table());
    let reason: Arc<str> = "equal in all of its identity to another message".into();
    for index in &twins {
        if let Some(row) = builder.rows_mut().get_mut(*index) {
            row.status = Status::Twin;
            row.reason = Some(Arc::clone(&reason));
        }
    }
}

fn find(table: &Table) -> Vec<usize> {
    let cells = cells_of_kinds(&table.kinds);
    let ranks = ranks(table);
    let place = |row: &Row| (ranks.get(row.object as usize), row.offset, row.field);
    let mut first: HashMap<Cell, usize> = HashMap::with_capacity(table.rows.len());
    let mut twins = Vec::new();
    for (index, row) in table.rows.iter().enumerate() {
        let Some(Some(cell)) = cells.get(row.kind as usize) else {
            continue;
        };
        if row.status != Status::Placed {
            continue;
        }
        match first.entry((*cell, row.reference, row.window, row.member)) {
            Entry::Vacant(free) => {
                free.insert(index);
            }
            Entry::Occupied(mut taken) => {
                let other = table.rows.get(*taken.get());
                if other.is_some_and(|other| place(row) < place(other)) {
                    twins.push(taken.insert(index));
                } else {
                    twins.push(index);
                }
            }
        }
    }
    twins
}

/// Rank of each object by its location.
fn ranks(table: &Table) -> Vec<usize> {
    let mut by_location: Vec<usize> = (0..table.objects.len()).collect();
    by_location.sort_by_key(|object| table.objects.get(*object).map(|object| &object.location));
    let mut ranks = vec![0_usize; table.objects.len()];
    for (rank, object) in by_location.into_iter().enumerate() {
        if let Some(slot) = ranks.get_mut(object) {
            *slot = rank;
        }
    }
    ranks
}

/// A number per kind that is equal for kinds that differ in words alone; `None` for what is not known.
fn cells_of_kinds(kinds: &[Kind]) -> Vec<Option<u32>> {
    let mut numbers: StdMap<Kind, u32> = StdMap::new();
    let mut cells = Vec::with_capacity(kinds.len());
    for kind in kinds {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let own = Kind {
            words: String::new(),
            ..kind.clone()
        };
        cells.push(
            kind.identity
                .is_some()
                .then(|| *numbers.entry(own).or_insert(next)),
        );
    }
    cells
}

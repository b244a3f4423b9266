//! Messages that are equal in all of their identity.
//!
//! Of those that are equally long the first is used, the others are counted as its twins: GFS writes the first 6 hours as bucket and as
//! run total, byte for byte. Those of different lengths hold different things: neither is used, both are reported.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::builder::Builder;
use crate::table::row::{Kind, Row, Status, Table};
use crate::time::{Instant, Window};

/// What rows of one cell have in common.
type Cell = (u32, Instant, Window, Option<i16>);

/// Marks every placed row but the first of each cell as its twin, and rows of one cell that differ in length as conflicting.
///
/// Where the file order of two runs of the same build differs the choice must not: the first by location, offset and field stays.
pub(super) fn mark(builder: &mut Builder) {
    let found = find(builder.table());
    let mut set = |rows: &[usize], status: Status, reason: &str| {
        let reason: Arc<str> = reason.into();
        for index in rows {
            if let Some(row) = builder.rows_mut().get_mut(*index) {
                row.status = status;
                row.reason = Some(Arc::clone(&reason));
            }
        }
    };
    let twin = "equal in all of its identity to another message";
    set(&found.twins, Status::Twin, twin);
    let conflict = "equal in all of its identity to another message, and not of the same length: either may be the right one";
    set(&found.conflicts, Status::Conflict, conflict);
}

#[derive(Default)]
struct Found {
    twins: Vec<usize>,
    conflicts: Vec<usize>,
}

fn find(table: &Table) -> Found {
    let cells = cells_of_kinds(&table.kinds);
    let ranks = ranks(table);
    let place = |row: &Row| (ranks.get(row.object as usize), row.offset, row.field);
    // Row numbers alone: a run has a million rows, and what they have in common stands in the rows.
    let cell = |row: &Row| -> Option<Cell> {
        let kind = cells.get(row.kind as usize).copied().flatten()?;
        Some((kind, row.reference, row.window, row.member))
    };
    let cell_of = |number: u32| table.rows.get(number as usize).and_then(cell);
    let hasher = DefaultHashBuilder::default();
    let hash = |cell: &Option<Cell>| hasher.hash_one(cell);
    let mut first: HashTable<u32> = HashTable::with_capacity(table.rows.len());
    let mut found = Found::default();
    for (number, row) in (0_u32..).zip(&table.rows) {
        let own = cell(row);
        if own.is_none() || row.status != Status::Placed {
            continue;
        }
        let same = |other: &u32| cell_of(*other) == own;
        match first.entry(hash(&own), same, |other| hash(&cell_of(*other))) {
            Entry::Vacant(free) => {
                free.insert(number);
            }
            Entry::Occupied(mut taken) => {
                let index = number as usize;
                let before = *taken.get() as usize;
                let Some(other) = table.rows.get(before) else {
                    continue;
                };
                if row.length.zip(other.length).is_some_and(|(a, b)| a != b) {
                    found.conflicts.extend([before, index]);
                } else if place(row) < place(other) {
                    *taken.get_mut() = number;
                    found.twins.push(before);
                } else {
                    found.twins.push(index);
                }
            }
        }
    }
    found
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
    let mut numbers: HashMap<Kind, u32> = HashMap::new();
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

//! Messages that are equal in all of their identity: the first is used, the others are counted as its twins.

use std::collections::{HashMap, HashSet};

use super::builder::Builder;
use crate::table::row::{Kind, Status};
use crate::time::{Instant, Window};

/// Marks every placed row but the first of each cell as its twin; gives their number.
///
/// Where the file order of two runs of the same build differs the choice must not: the first by location, offset and field stays.
pub(super) fn mark(builder: &mut Builder) -> u64 {
    let table = builder.table();
    let cells = cells_of_kinds(&table.kinds);
    let mut by_location: Vec<usize> = (0..table.objects.len()).collect();
    by_location.sort_by_key(|object| table.objects.get(*object).map(|object| &object.location));
    let mut rank = vec![0_usize; table.objects.len()];
    for (place, object) in by_location.into_iter().enumerate() {
        if let Some(slot) = rank.get_mut(object) {
            *slot = place;
        }
    }
    let mut order: Vec<usize> = (0..table.rows.len()).collect();
    order.sort_by_key(|index| {
        table
            .rows
            .get(*index)
            .map(|row| (rank.get(row.object as usize), row.offset, row.field))
    });
    let mut seen: HashSet<(u32, Instant, Window, Option<u16>)> =
        HashSet::with_capacity(order.len());
    let mut twins = Vec::new();
    for index in order {
        let Some(row) = table
            .rows
            .get(index)
            .filter(|row| row.status == Status::Placed)
        else {
            continue;
        };
        let Some(Some(cell)) = cells.get(row.kind as usize) else {
            continue;
        };
        if !seen.insert((*cell, row.reference, row.window, row.member)) {
            twins.push(index);
        }
    }
    let count = twins.len() as u64;
    for index in twins {
        if let Some(row) = builder.rows_mut().get_mut(index) {
            row.status = Status::Twin;
            row.reason = Some("equal in all of its identity to another message".into());
        }
    }
    count
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

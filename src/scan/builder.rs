//! A table in the making: kinds, grids and objects, each kept once.

use std::collections::{HashMap, HashSet};

use crate::location::Location;
use crate::table::row::{GridRecord, Kind, Object, Row, Status, Table};
use crate::time::Instant;

/// Collects rows; files may be added from several threads behind one lock.
#[derive(Debug, Default)]
pub(super) struct Builder {
    table: Table,
    kinds: HashMap<Kind, u32>,
    grids: HashMap<Vec<u8>, u32>,
}

impl Builder {
    /// Goes on with a table: all of it but the rows of the files in `again`. Twins and conflicts are placed
    /// rows again, to be marked anew.
    pub(super) fn of(table: Table, again: &HashSet<Location>) -> Self {
        let mut builder = Self::default();
        for (number, grid) in (0..).zip(&table.grids) {
            builder.grids.entry(grid.section3.clone()).or_insert(number);
        }
        for (number, kind) in (0..).zip(&table.kinds) {
            builder.kinds.entry(kind.clone()).or_insert(number);
        }
        let dropped: Vec<bool> = table
            .objects
            .iter()
            .map(|object| again.contains(&object.location))
            .collect();
        builder.table = table;
        let rows = &mut builder.table.rows;
        rows.retain(|row| !dropped.get(row.object as usize).copied().unwrap_or(false));
        let is_marked = |row: &&mut Row| matches!(row.status, Status::Twin | Status::Conflict);
        for row in rows.iter_mut().filter(is_marked) {
            row.status = Status::Placed;
            row.reason = None;
        }
        builder
    }

    pub(super) fn grid(&mut self, section3: &[u8]) -> u32 {
        if let Some(known) = self.grids.get(section3) {
            return *known;
        }
        let number = number_of(self.table.grids.len());
        self.table.grids.push(GridRecord {
            section3: section3.to_vec(),
        });
        self.grids.insert(section3.to_vec(), number);
        number
    }

    pub(super) fn kind(&mut self, kind: Kind) -> u32 {
        if let Some(known) = self.kinds.get(&kind) {
            return *known;
        }
        let number = number_of(self.table.kinds.len());
        self.table.kinds.push(kind.clone());
        self.kinds.insert(kind, number);
        number
    }

    pub(super) fn object(&mut self, object: Object) -> u32 {
        self.table.objects.push(object);
        number_of(self.table.objects.len() - 1)
    }

    pub(super) fn rows(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.table.rows.extend(rows);
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn rows_mut(&mut self) -> &mut Vec<Row> {
        &mut self.table.rows
    }

    /// The table; complete are the runs in which nothing is pending, but for those in `incomplete`.
    pub(super) fn into_table(mut self, incomplete: &HashSet<Instant>) -> Table {
        self.table.complete_runs = complete_runs(&self.table, incomplete);
        self.table
    }
}

/// Runs of a table in which every expected file is indexed: none of their rows is pending.
pub(super) fn complete_runs(table: &Table, incomplete: &HashSet<Instant>) -> Vec<Instant> {
    let mut runs: HashMap<Instant, bool> = HashMap::new();
    let mut last: Option<(Instant, bool)> = None;
    for row in &table.rows {
        let here = (row.reference, row.status == Status::Pending);
        // Neighbours are of one run.
        if last != Some(here) {
            last = Some(here);
            *runs.entry(here.0).or_insert(false) |= here.1;
        }
    }
    let mut complete: Vec<Instant> = runs
        .into_iter()
        .filter(|(run, pending)| !pending && !incomplete.contains(run))
        .map(|(run, _)| run)
        .collect();
    complete.sort_unstable();
    complete
}

fn number_of(position: usize) -> u32 {
    // Four billion kinds, grids or files would not fit into memory long before.
    u32::try_from(position).unwrap_or(u32::MAX)
}

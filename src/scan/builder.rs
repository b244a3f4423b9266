//! A table in the making: kinds, grids and objects, each kept once.

use std::collections::HashMap;

use crate::table::row::{GridRecord, Kind, Object, Row, Table};

/// Collects rows; files may be added from several threads behind one lock.
#[derive(Debug, Default)]
pub(super) struct Builder {
    table: Table,
    kinds: HashMap<Kind, u32>,
    grids: HashMap<Vec<u8>, u32>,
}

impl Builder {
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

    pub(super) fn into_table(self) -> Table {
        self.table
    }
}

fn number_of(position: usize) -> u32 {
    // Four billion kinds, grids or files would not fit into memory long before.
    u32::try_from(position).unwrap_or(u32::MAX)
}

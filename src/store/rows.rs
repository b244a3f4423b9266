//! Rows as a reader needs them: with what they name, and with one number for each object, whatever table names it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fetch::{FetchError, missing};
use crate::dataset::archive::RowId;
use crate::location::Location;
use crate::table::row::{Kind, Object, Row, Table};

/// A row, and the table that holds what it names.
#[derive(Clone, Debug)]
pub(super) struct Located {
    /// The row; its object is a number of [`Objects`], not of the table.
    pub(super) row: Row,
    pub(super) table: Arc<Table>,
}

impl Located {
    /// What the row's message is.
    pub(super) fn kind(&self) -> Result<&Kind, FetchError> {
        let kind = self.table.kinds.get(self.row.kind as usize);
        kind.ok_or_else(|| missing("kind"))
    }

    /// Section 3 of the row's grid.
    pub(super) fn section3(&self) -> Result<&[u8], FetchError> {
        section3(&self.table, &self.row)
    }
}

/// Section 3 of a row's grid.
pub(super) fn section3<'a>(table: &'a Table, row: &Row) -> Result<&'a [u8], FetchError> {
    let kind = table.kinds.get(row.kind as usize);
    kind.and_then(|kind| table.grids.get(kind.grid? as usize))
        .map(|grid| grid.section3.as_slice())
        .ok_or_else(|| missing("grid"))
}

/// The objects of which rows were read, by number.
#[derive(Debug, Default)]
pub(super) struct Objects(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    numbers: HashMap<Arc<Object>, u32>,
    /// Each object, and some row of it.
    all: Vec<(Arc<Object>, RowId)>,
}

impl Objects {
    /// A row of a table with its object's number.
    pub(super) fn located(
        &self,
        number: RowId,
        table: Arc<Table>,
        at: usize,
    ) -> Result<Located, FetchError> {
        let row = table.rows.get(at).ok_or_else(|| missing("row"))?;
        let object = table.objects.get(row.object as usize);
        let object = self.number(object.ok_or_else(|| missing("object"))?, number)?;
        let row = Row {
            object,
            ..row.clone()
        };
        Ok(Located { row, table })
    }

    /// The number of an object that no table names.
    pub(super) fn named(&self, location: &Location) -> Result<u32, FetchError> {
        let object = Object {
            location: location.clone(),
            size: None,
            etag: None,
        };
        self.number(&object, 0)
    }

    fn number(&self, object: &Object, row: RowId) -> Result<u32, FetchError> {
        let mut state = self.lock();
        if let Some(known) = state.numbers.get(object) {
            return Ok(*known);
        }
        let number = u32::try_from(state.all.len())
            .map_err(|_error| FetchError::Internal("too many objects".to_owned()))?;
        let object = Arc::new(object.clone());
        state.numbers.insert(Arc::clone(&object), number);
        state.all.push((object, row));
        Ok(number)
    }

    pub(super) fn get(&self, number: u32) -> Option<Arc<Object>> {
        let state = self.lock();
        let (object, _) = state.all.get(number as usize)?;
        Some(Arc::clone(object))
    }

    /// Some row that lies in an object.
    pub(super) fn a_row_of(&self, number: u32) -> Option<RowId> {
        self.lock().all.get(number as usize).map(|(_, row)| *row)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

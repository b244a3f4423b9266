//! Cells of an array: which row, if any, holds the field at one position of run, step, level and member.

use std::ops::Range;

/// Position of a cell along the four axes of an array (0 where the array has no such axis).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// Index into the collection's runs.
    pub run: u32,
    /// Index into the group's steps.
    pub step: u32,
    /// Index into the level axis.
    pub level: u32,
    /// Index into the group's members.
    pub member: u32,
}

/// State of a cell (DESIGN, promise 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellState {
    /// A message exists: this row of the table.
    Present(u32),
    /// It should exist but has not arrived or could not be placed; this row says why. Reading it is an error.
    Pending(u32),
    /// A complete index proves that there is none.
    Gap,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    key: CellKey,
    row: u32,
    present: bool,
}

/// The cells of one array, sorted by run, step, level, member.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    cells: Vec<Cell>,
}

/// The cells of one run and step: how much of the level and member axes is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Index into the collection's runs.
    pub run: u32,
    /// Index into the group's steps.
    pub step: u32,
    /// Cells that are present.
    pub present: usize,
    /// A row of this run and step (its window stands for all of them).
    pub row: u32,
}

impl Cells {
    /// Sorts what was collected. Where several rows claim one cell, `settle` decides among them.
    pub(super) fn from_claims(
        mut claims: Vec<(CellKey, u32, bool)>,
        settle: impl Fn(&[(u32, bool)]) -> (u32, bool),
    ) -> Self {
        claims.sort_unstable();
        let mut cells = Vec::with_capacity(claims.len());
        for same in claims.chunk_by(|a, b| a.0 == b.0) {
            let rows: Vec<(u32, bool)> = same
                .iter()
                .map(|(_, row, present)| (*row, *present))
                .collect();
            let (Some((key, ..)), (row, present)) = (same.first(), settle(&rows)) else {
                continue;
            };
            cells.push(Cell {
                key: *key,
                row,
                present,
            });
        }
        Self { cells }
    }

    /// What is at a position.
    #[must_use]
    pub fn get(&self, key: CellKey) -> CellState {
        match self
            .cells
            .binary_search_by_key(&key, |cell| cell.key)
            .ok()
            .and_then(|at| self.cells.get(at))
        {
            Some(cell) if cell.present => CellState::Present(cell.row),
            Some(cell) => CellState::Pending(cell.row),
            None => CellState::Gap,
        }
    }

    /// Keeps the cells at some positions.
    pub(super) fn retain(&mut self, keep: impl Fn(CellKey) -> bool) {
        self.cells.retain(|cell| keep(cell.key));
    }

    /// Moves every cell to a new position, or drops it. The new positions must be in the order of the old ones.
    pub(super) fn remap(&mut self, moved: impl Fn(CellKey) -> Option<CellKey>) {
        self.cells.retain_mut(|cell| {
            let key = moved(cell.key);
            cell.key = key.unwrap_or(cell.key);
            key.is_some()
        });
    }

    /// Number of cells that are not gaps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether all cells are gaps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Number of present cells.
    #[must_use]
    pub fn present(&self) -> usize {
        self.cells.iter().filter(|cell| cell.present).count()
    }

    /// Keys and rows of all cells, in order; `true` for present ones.
    pub fn iter(&self) -> impl Iterator<Item = (CellKey, u32, bool)> + '_ {
        self.cells
            .iter()
            .map(|cell| (cell.key, cell.row, cell.present))
    }

    /// Whether the array has any cell in a run.
    #[must_use]
    pub fn has_run(&self, run: u32) -> bool {
        !self.range_of_run(run).is_empty()
    }

    /// Coverage of each run and step that has cells, in order.
    pub fn coverage(&self) -> impl Iterator<Item = Coverage> + '_ {
        self.cells
            .chunk_by(|a, b| (a.key.run, a.key.step) == (b.key.run, b.key.step))
            .filter_map(|same| {
                let first = same.first()?;
                let present = same.iter().filter(|cell| cell.present).count();
                Some(Coverage {
                    run: first.key.run,
                    step: first.key.step,
                    present,
                    row: first.row,
                })
            })
    }

    fn range_of_run(&self, run: u32) -> Range<usize> {
        self.cells.partition_point(|cell| cell.key.run < run)
            ..self.cells.partition_point(|cell| cell.key.run <= run)
    }
}

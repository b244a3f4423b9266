//! Rows of an archive as a collection needs them: whole kinds by what the tables' footers say, the rest one by one.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::archive::{Archive, Part, PartLayout, RowId, Span};
use crate::grib::grid::Grid;
use crate::table::row::{GridRecord, Kind, Row, Status};
use crate::time::Instant;

/// Rows of the wanted runs: whole kinds by what the footers say, the rest row by row.
#[derive(Debug, Default)]
pub(super) struct Rows<'a> {
    pub(super) kinds: Vec<Kind>,
    grids: Vec<GridRecord>,
    pub(super) whole: Vec<WholeKinds<'a>>,
    pub(super) loose: Vec<LooseRows>,
}

/// Kinds of parts that are laid out alike and have as many runs, of which every run, step and member is there.
#[derive(Debug)]
pub(super) struct WholeKinds<'a> {
    layout: &'a PartLayout,
    /// Numbers of the layout's kinds among all.
    pub(super) kind_ids: Arc<[u32]>,
    regular: Vec<bool>,
    parts: Vec<&'a Part>,
    /// The wanted runs of all these parts. Each list names a run once, so there are more than one where tables share a run.
    pub(super) runs: Vec<Vec<RunPlace>>,
}

/// A run, its position among its table's, and the number of its table's first row.
pub(super) type RunPlace = (Instant, u32, RowId);

/// Rows that are looked at one by one.
#[derive(Debug)]
pub(super) struct LooseRows {
    pub(super) kind_ids: Arc<[u32]>,
    pub(super) rows: Vec<(RowId, Row)>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(archive: &'a Archive, wanted: &dyn Fn(Instant) -> bool) -> Self {
        let mut rows = Self::default();
        let mut merger = Merger::default();
        let mut known: HashMap<(*const PartLayout, usize), usize> = HashMap::new();
        for part in &archive.parts {
            if !part.runs.iter().any(|run| wanted(*run)) {
                continue;
            }
            let key = (Arc::as_ptr(&part.layout), part.runs.len());
            let at = *known.entry(key).or_insert_with(|| {
                rows.whole.push(WholeKinds {
                    layout: &part.layout,
                    kind_ids: merger.add(&part.layout),
                    regular: part.regular(),
                    parts: Vec::new(),
                    runs: Vec::new(),
                });
                rows.whole.len() - 1
            });
            let Some(whole) = rows.whole.get_mut(at) else {
                continue;
            };
            whole.parts.push(part);
            if whole.regular.len() != part.layout.kinds.len() || whole.regular.contains(&false) {
                let kind_ids = Arc::clone(&whole.kind_ids);
                let ranges = part.irregular_rows();
                let read = ranges.into_iter().map(|range| LooseRows {
                    kind_ids: Arc::clone(&kind_ids),
                    rows: read_rows(part, range, wanted),
                });
                rows.loose.extend(read);
            }
        }
        for whole in &mut rows.whole {
            whole.runs = once_each(&whole.parts, |part| &part.runs, wanted);
        }
        rows.kinds = merger.kinds;
        rows.grids = merger.grids;
        rows
    }

    /// The grids that have rows, the one with most rows first; and the group of each grid.
    pub(super) fn grids_by_size(&self) -> (Vec<Grid>, Vec<Option<usize>>) {
        let mut counts = vec![0_u64; self.grids.len()];
        let mut add = |kind: Option<&u32>, rows: u64| {
            let grid = kind
                .and_then(|kind| self.kinds.get(*kind as usize))
                .and_then(|kind| kind.grid);
            if let Some(count) = grid.and_then(|grid| counts.get_mut(grid as usize)) {
                *count += rows;
            }
        };
        for whole in &self.whole {
            let runs: usize = whole.runs.iter().map(Vec::len).sum();
            for (number, span) in whole.spans() {
                let of_run = (span.windows.len() * span.members.len()) as u64;
                add(whole.kind_ids.get(number), of_run * runs as u64);
            }
        }
        for loose in &self.loose {
            for (_, row) in &loose.rows {
                add(loose.kind_ids.get(row.kind as usize), 1);
            }
        }
        let mut order: Vec<usize> = (0..counts.len())
            .filter(|grid| counts.get(*grid).is_some_and(|count| *count > 0))
            .collect();
        order.sort_by_key(|grid| std::cmp::Reverse(counts.get(*grid).copied()));
        let mut grids: Vec<Grid> = Vec::new();
        let mut group_of_grid = vec![None; counts.len()];
        for index in order {
            let parsed = self
                .grids
                .get(index)
                .map(|grid| Grid::parse(&grid.section3));
            let Some(Ok(grid)) = parsed else {
                continue;
            };
            // Grids that differ in octets only (a source code, say) are one.
            let group = grids
                .iter()
                .position(|known| *known == grid)
                .unwrap_or_else(|| {
                    grids.push(grid);
                    grids.len() - 1
                });
            if let Some(slot) = group_of_grid.get_mut(index) {
                *slot = Some(group);
            }
        }
        (grids, group_of_grid)
    }
}

impl<'a> WholeKinds<'a> {
    /// Whole kinds by number.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, &'a Span)> + '_ {
        let spans = self.layout.spans.iter().enumerate();
        spans.filter(|(number, _)| self.regular.get(*number).copied().unwrap_or(false))
    }
}

/// Runs of parts with their positions among their part's, and its first row's number; each list names a run once.
fn once_each<'a>(
    parts: &[&'a Part],
    runs_of: impl Fn(&'a Part) -> &'a [Instant],
    wanted: &dyn Fn(Instant) -> bool,
) -> Vec<Vec<RunPlace>> {
    let mut all: Vec<RunPlace> = Vec::new();
    for part in parts {
        let runs = (0_u32..).zip(runs_of(part));
        all.extend(
            runs.filter(|(_, run)| wanted(**run))
                .map(|(ordinal, run)| (*run, ordinal, part.base)),
        );
    }
    all.sort_unstable();
    let mut lists: Vec<Vec<RunPlace>> = Vec::new();
    for one in all {
        let free = lists
            .iter_mut()
            .find(|list| list.last().is_none_or(|last| last.0 != one.0));
        match free {
            Some(list) => list.push(one),
            None => lists.push(vec![one]),
        }
    }
    lists
}

/// Rows of the wanted runs in a range, with their numbers. Where they cannot be read, one row that cannot be read either stands for
/// each cell that the footer lets expect: it must not be taken for a gap.
fn read_rows(
    part: &Part,
    range: Range<u64>,
    wanted: &dyn Fn(Instant) -> bool,
) -> Vec<(RowId, Row)> {
    let first = part.base + range.start;
    let counts = |row: &Row| wanted(row.reference) && row.status != Status::Twin;
    match part.source.rows(range.clone()) {
        Ok(table) if table.kinds == part.layout.kinds => (first..)
            .zip(&table.rows)
            .filter(|(_, row)| counts(row))
            .map(|(number, row)| (number, row.clone()))
            .collect(),
        Ok(_) | Err(_) => expected_rows(part, &range)
            .filter(counts)
            .map(|row| (first, row))
            .collect(),
    }
}

fn expected_rows<'a>(part: &'a Part, range: &Range<u64>) -> impl Iterator<Item = Row> + 'a {
    let spans = (0_u32..).zip(&part.layout.spans);
    let range = range.clone();
    spans
        .filter(move |(_, span)| range.contains(&span.first_row))
        .flat_map(|(kind, span)| {
            let runs = span.runs.as_deref().unwrap_or(&part.runs);
            runs.iter().flat_map(move |run| {
                span.windows.iter().flat_map(move |window| {
                    span.members.iter().map(move |member| Row {
                        kind,
                        reference: *run,
                        window: *window,
                        member: *member,
                        object: 0,
                        offset: 0,
                        length: None,
                        field: 0,
                        status: Status::Unplaced,
                        reason: None,
                    })
                })
            })
        })
}

/// Kinds and grids of many layouts, each once.
#[derive(Debug, Default)]
struct Merger {
    kinds: Vec<Kind>,
    grids: Vec<GridRecord>,
    kind_ids: HashMap<Kind, u32>,
    grid_ids: HashMap<GridRecord, u32>,
}

impl Merger {
    /// Numbers of a layout's kinds.
    fn add(&mut self, layout: &PartLayout) -> Arc<[u32]> {
        let grids: Vec<u32> = layout
            .grids
            .iter()
            .map(|grid| intern(&mut self.grid_ids, &mut self.grids, grid.clone()))
            .collect();
        let kinds = layout.kinds.iter().map(|kind| Kind {
            grid: kind.grid.and_then(|grid| grids.get(grid as usize).copied()),
            ..kind.clone()
        });
        kinds
            .map(|kind| intern(&mut self.kind_ids, &mut self.kinds, kind))
            .collect()
    }
}

fn intern<T: Clone + Eq + std::hash::Hash>(
    ids: &mut HashMap<T, u32>,
    values: &mut Vec<T>,
    value: T,
) -> u32 {
    let next = u32::try_from(values.len()).unwrap_or(u32::MAX);
    *ids.entry(value).or_insert_with_key(|value| {
        values.push(value.clone());
        next
    })
}

//! Building a collection from a table.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::cells::{CellKey, CellState, Cells};
use super::crop::Crop;
use super::horizontal::CellPlaces;
use super::levels::LevelAxis;
use super::place::{ArrayDraft, GroupDraft, Place, place_kinds};
use super::selection::Selection;
use crate::grib::grid::Grid;
use crate::grib::naming::ArrayNaming;
use crate::table::row::{Row, Status, Table};
use crate::time::Instant;

/// An archive as arrays over runs, steps, members and levels, on one or several grids.
#[derive(Debug)]
pub struct Collection {
    /// The rows.
    pub table: Arc<Table>,
    /// Reference times, ascending.
    pub runs: Vec<Instant>,
    /// One group per grid; the first is the main one: the grid with most messages.
    pub groups: Vec<GridGroup>,
    /// Latest reference time that was let in, if there was a limit.
    pub as_of: Option<Instant>,
    /// What was selected of the table's rows.
    pub selection: Selection,
}

/// The arrays on one grid.
#[derive(Debug)]
pub struct GridGroup {
    /// Name of the group below a store; empty for the main grid.
    pub name: String,
    /// The grid.
    pub grid: Grid,
    /// The part of the grid that is shown, if not the whole.
    pub crop: Option<Crop>,
    pub(super) places: OnceLock<Arc<CellPlaces>>,
    /// Steps that exist, in seconds, ascending.
    pub steps: Vec<i64>,
    /// Members that exist, ascending.
    pub members: Vec<i16>,
    /// Level axes.
    pub levels: Vec<LevelAxis>,
    /// Arrays, by name.
    pub arrays: Vec<FieldArray>,
}

/// One array: a quantity over runs, steps, and where it has them members and levels.
#[derive(Debug)]
pub struct FieldArray {
    /// Name, attributes, step type.
    pub naming: ArrayNaming,
    /// Index into the group's level axes.
    pub level_axis: Option<usize>,
    /// Whether it has the axis `number`.
    pub members: bool,
    /// Reset period in seconds of an accumulation: 0 for run totals.
    pub bucket_seconds: Option<i64>,
    /// Cells.
    pub cells: Cells,
}

impl GridGroup {
    /// Where each cell shown lies; asked for when the part that is shown is settled.
    #[must_use]
    pub fn places(&self) -> &Arc<CellPlaces> {
        self.places
            .get_or_init(|| Arc::new(CellPlaces::new(self.grid.clone(), self.crop.clone())))
    }
}

impl FieldArray {
    /// Whether this is a total from the start of each run: its window would change from cell to cell in BestAvailable.
    #[must_use]
    pub fn is_run_total(&self) -> bool {
        self.bucket_seconds == Some(0)
    }
}

impl Collection {
    /// Builds the model of all rows of a table whose run is not later than `as_of`.
    ///
    /// Rows that cannot be shown (their grid is not supported, nothing tells what they are) are left out; the table says why.
    #[must_use]
    pub fn build(table: Arc<Table>, as_of: Option<Instant>) -> Self {
        let wanted = |row: &Row| {
            as_of.is_none_or(|limit| row.reference <= limit) && row.status != Status::Twin
        };
        let (grids, group_of_grid) = grids_by_size(&table, wanted);
        let mut drafts: Vec<GroupDraft> = grids.iter().map(|_| GroupDraft::default()).collect();
        let places = place_kinds(&table, &group_of_grid, &mut drafts);

        let axes = Axes::of(&table, &drafts, &places, wanted);
        let claims = claims(&table, &drafts, &places, &axes, wanted);
        let groups = drafts
            .into_iter()
            .zip(grids)
            .zip(axes.groups)
            .zip(claims)
            .enumerate()
            .map(|(number, (((draft, grid), (steps, members)), claims))| {
                let arrays = finish_arrays(&table, draft.arrays, claims);
                let name = if number == 0 {
                    String::new()
                } else {
                    format!("grid_{}x{}_{}", grid.shape().0, grid.shape().1, number)
                };
                GridGroup {
                    name,
                    grid,
                    crop: None,
                    places: OnceLock::new(),
                    steps,
                    members,
                    levels: draft.levels,
                    arrays,
                }
            })
            .collect();
        Self {
            table,
            runs: axes.runs,
            groups,
            as_of,
            selection: Selection::default(),
        }
    }
}

/// Runs, and per group steps and members, all ascending.
#[derive(Debug)]
struct Axes {
    runs: Vec<Instant>,
    groups: Vec<(Vec<i64>, Vec<i16>)>,
}

impl Axes {
    fn of(
        table: &Table,
        drafts: &[GroupDraft],
        places: &[Vec<Place>],
        wanted: impl Fn(&Row) -> bool,
    ) -> Self {
        let mut runs = BTreeSet::new();
        let mut groups: Vec<(BTreeSet<i64>, BTreeSet<i16>)> =
            drafts.iter().map(|_| Default::default()).collect();
        for row in table.rows.iter().filter(|row| wanted(row)) {
            for place in places.get(row.kind as usize).into_iter().flatten() {
                runs.insert(row.reference);
                let array = drafts
                    .get(place.group)
                    .and_then(|draft| draft.arrays.get(place.array));
                if let (Some((steps, members)), Some(array)) = (groups.get_mut(place.group), array)
                {
                    steps.insert(row.window.end);
                    members.extend(member_of(array, row));
                }
            }
        }
        let groups = groups
            .into_iter()
            .map(|(steps, members)| (steps.into_iter().collect(), members.into_iter().collect()));
        Self {
            runs: runs.into_iter().collect(),
            groups: groups.collect(),
        }
    }
}

/// The member that a row is in an array; a forecast without a member among members is the control.
fn member_of(array: &ArrayDraft, row: &Row) -> Option<i16> {
    array.members.then(|| row.member.unwrap_or(0))
}

/// A row's claim to a cell: the cell, the row, and whether it is placed.
type Claim = (CellKey, u32, bool);

/// Claims of all rows, per group and array.
fn claims(
    table: &Table,
    drafts: &[GroupDraft],
    places: &[Vec<Place>],
    axes: &Axes,
    wanted: impl Fn(&Row) -> bool,
) -> Vec<Vec<Vec<Claim>>> {
    let mut claims: Vec<Vec<Vec<Claim>>> = drafts
        .iter()
        .map(|draft| vec![Vec::new(); draft.arrays.len()])
        .collect();
    for (index, row) in table.rows.iter().enumerate().filter(|(_, row)| wanted(row)) {
        let Ok(index) = u32::try_from(index) else {
            break;
        };
        for place in places.get(row.kind as usize).into_iter().flatten() {
            let early = |period: i64| row.window.start == 0 && row.window.end <= period;
            let also = place
                .also
                .iter()
                .filter(|(period, _)| early(*period))
                .map(|(_, array)| *array);
            for array in std::iter::once(place.array).chain(also) {
                let key = cell_key(drafts, axes, place, array, row);
                let list = claims
                    .get_mut(place.group)
                    .and_then(|group| group.get_mut(array));
                if let (Some(key), Some(list)) = (key, list) {
                    list.push((key, index, row.status == Status::Placed));
                }
            }
        }
    }
    claims
}

fn cell_key(
    drafts: &[GroupDraft],
    axes: &Axes,
    place: &Place,
    array: usize,
    row: &Row,
) -> Option<CellKey> {
    let draft = drafts.get(place.group)?;
    let (steps, members) = axes.groups.get(place.group)?;
    let array = draft.arrays.get(array)?;
    let level_axis = array.level_axis.and_then(|axis| draft.levels.get(axis));
    Some(CellKey {
        run: position(&axes.runs, &row.reference)?,
        step: position(steps, &row.window.end)?,
        level: level_axis.map_or(Some(0), |axis| axis.position_of(place.level?))?,
        member: member_of(array, row).map_or(Some(0), |member| position(members, &member))?,
    })
}

fn position<T: Ord>(sorted: &[T], value: &T) -> Option<u32> {
    u32::try_from(sorted.binary_search(value).ok()?).ok()
}

/// Parses the grids that have rows and orders them, the one with most rows first; gives the group of each grid of the table.
fn grids_by_size(table: &Table, wanted: impl Fn(&Row) -> bool) -> (Vec<Grid>, Vec<Option<usize>>) {
    let mut counts = vec![0_usize; table.grids.len()];
    for row in table.rows.iter().filter(|row| wanted(row)) {
        let grid = table
            .kinds
            .get(row.kind as usize)
            .and_then(|kind| kind.grid);
        if let Some(count) = grid.and_then(|grid| counts.get_mut(grid as usize)) {
            *count += 1;
        }
    }
    let mut order: Vec<usize> = (0..counts.len())
        .filter(|grid| counts.get(*grid).is_some_and(|count| *count > 0))
        .collect();
    order.sort_by_key(|grid| std::cmp::Reverse(counts.get(*grid).copied()));
    let mut grids: Vec<Grid> = Vec::new();
    let mut group_of_grid = vec![None; counts.len()];
    for index in order {
        let Some(record) = table.grids.get(index) else {
            continue;
        };
        let Ok(grid) = Grid::parse(&record.section3) else {
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

/// Turns drafts into arrays: cells settled, empty arrays and needless run totals left out, sorted by name.
fn finish_arrays(
    table: &Table,
    drafts: Vec<ArrayDraft>,
    claims: Vec<Vec<Claim>>,
) -> Vec<FieldArray> {
    let mut arrays: Vec<FieldArray> = drafts
        .into_iter()
        .zip(claims)
        .map(|(draft, claims)| FieldArray {
            naming: draft.naming,
            level_axis: draft.level_axis,
            members: draft.members,
            bucket_seconds: draft.bucket_seconds,
            cells: Cells::from_claims(claims, |rows| settle(table, rows)),
        })
        .filter(|array| !array.cells.is_empty())
        .collect();
    let needless: Vec<String> = arrays
        .iter()
        .filter(|total| total.is_run_total() && arrays.iter().any(|buckets| covers(buckets, total)))
        .map(|total| total.naming.array.clone())
        .collect();
    arrays.retain(|array| !needless.contains(&array.naming.array));
    arrays.sort_by(|a, b| a.naming.array.cmp(&b.naming.array));
    arrays
}

/// Whether every cell of a run total is a cell of this bucket array too, read from the same row.
fn covers(buckets: &FieldArray, total: &FieldArray) -> bool {
    buckets.bucket_seconds.is_some_and(|period| period > 0)
        && total.cells.iter().all(|(key, row, _)| {
            matches!(buckets.cells.get(key), CellState::Present(same) | CellState::Pending(same) if same == row)
        })
}

/// Of several rows for one cell: the placed one, if all placed ones refer to the same bytes; else none can be trusted.
///
/// A forecast that is no member stands for the control only where the ensemble has none of its own.
fn settle(table: &Table, rows: &[(u32, bool)]) -> (u32, bool) {
    let first = rows.first().copied().unwrap_or((u32::MAX, false));
    let is_member = |row: u32| {
        let row = table.rows.get(row as usize);
        let kind = row.and_then(|row| table.kinds.get(row.kind as usize));
        kind.and_then(|kind| kind.identity.as_ref())
            .is_some_and(|identity| identity.ensemble)
    };
    let placed = || rows.iter().filter(|(_, present)| *present);
    let members_only = placed().any(|(row, _)| is_member(*row));
    let mut placed = placed().filter(|(row, _)| !members_only || is_member(*row));
    let Some(best) = placed.next() else {
        return first;
    };
    let reference = |row: u32| {
        let row = table.rows.get(row as usize)?;
        Some((row.object, row.offset, row.field))
    };
    if placed.all(|other| reference(other.0) == reference(best.0)) {
        *best
    } else {
        (best.0, false)
    }
}

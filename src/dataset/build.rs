//! Building a collection from an archive: which arrays there are, their axes, and which rows fill their cells.
//!
//! Whole kinds become slabs (`cells`), by what the tables' footers say; rows are looked at only where a kind has holes. So the work is
//! that of the kinds of one table times the number of layouts, and hardly grows with the number of runs.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use super::archive::{Archive, Reference, RowId, Span};
use super::cells::{CellKey, CellState, Cells, Claim};
use super::collection::{Collection, FieldArray, GridGroup};
use super::place::{ArrayDraft, GroupDraft, Place, place_kinds};
use super::rows::{LooseRows, Rows, RunPlace, WholeKinds};
use super::selection::Selection;
use super::slab::{MemberSlot, RunSlot, Slab, StepSlot};
use crate::table::row::{Row, Status};
use crate::time::{Instant, Window};

impl Collection {
    /// Builds the model of all rows of an archive whose run is not later than `as_of`.
    ///
    /// Rows that cannot be shown (their grid is not supported, nothing tells what they are) are left out; the table says why. Reads the
    /// rows of kinds that have holes, so it may take time.
    #[must_use]
    pub fn build(archive: Arc<Archive>, as_of: Option<Instant>) -> Self {
        Self::of_runs(archive, as_of, |_| true)
    }

    /// The same of the runs that are wanted.
    #[must_use]
    pub fn of_runs(
        archive: Arc<Archive>,
        as_of: Option<Instant>,
        wanted: impl Fn(Instant) -> bool,
    ) -> Self {
        let wanted = |run: Instant| as_of.is_none_or(|limit| run <= limit) && wanted(run);
        let rows = Rows::of(&archive, &wanted);
        let (grids, group_of_grid) = rows.grids_by_size();
        let mut drafts: Vec<GroupDraft> = grids.iter().map(|_| GroupDraft::default()).collect();
        let places = place_kinds(&rows.kinds, &group_of_grid, &mut drafts);
        let axes = Axes::of(&rows, &drafts, &places);
        let filling = Filling {
            drafts: &drafts,
            places: &places,
            axes: &axes,
        };
        let cells = filling.cells(&rows, &archive);
        let groups = drafts
            .into_iter()
            .zip(grids)
            .zip(axes.groups)
            .zip(cells)
            .enumerate()
            .map(|(number, (((draft, grid), (steps, members)), cells))| {
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
                    arrays: finish_arrays(draft.arrays, cells),
                }
            })
            .collect();
        Self {
            archive,
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
    fn of(rows: &Rows<'_>, drafts: &[GroupDraft], places: &[Vec<Place>]) -> Self {
        let mut runs = BTreeSet::new();
        let mut groups: Vec<(BTreeSet<i64>, BTreeSet<i16>)> =
            drafts.iter().map(|_| Default::default()).collect();
        let places_of = |kind: Option<&u32>| {
            let places = kind.and_then(|kind| places.get(*kind as usize));
            places.map_or(&[][..], Vec::as_slice)
        };
        let mut add = |place: &Place, windows: &[Window], members: &[Option<i16>]| {
            let array = drafts
                .get(place.group)
                .and_then(|draft| draft.arrays.get(place.array));
            if let (Some((steps, known)), Some(array)) = (groups.get_mut(place.group), array) {
                steps.extend(windows.iter().map(|window| window.end));
                known.extend(
                    members
                        .iter()
                        .filter_map(|member| member_of(array, *member)),
                );
            }
        };
        for whole in &rows.whole {
            let mut is_shown = false;
            for (number, span) in whole.spans() {
                for place in places_of(whole.kind_ids.get(number)) {
                    add(place, &span.windows, &span.members);
                    match &span.runs {
                        Some(own) => runs.extend(own.iter().copied().filter(|run| {
                            whole
                                .runs
                                .iter()
                                .any(|list| list.binary_search_by_key(run, |(at, ..)| *at).is_ok())
                        })),
                        None => is_shown = true,
                    }
                }
            }
            if is_shown {
                runs.extend(whole.runs.iter().flatten().map(|(run, ..)| *run));
            }
        }
        for loose in &rows.loose {
            for (_, row) in &loose.rows {
                for place in places_of(loose.kind_ids.get(row.kind as usize)) {
                    runs.insert(row.reference);
                    add(place, &[row.window], &[row.member]);
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
fn member_of(array: &ArrayDraft, member: Option<i16>) -> Option<i16> {
    array.members.then(|| member.unwrap_or(0))
}

fn position<T: Ord>(sorted: &[T], value: &T) -> Option<u32> {
    u32::try_from(sorted.binary_search(value).ok()?).ok()
}

/// Slabs and single claims of one array.
type Fill = (Vec<Slab>, Vec<Claim>);

/// What is needed to say which row fills which cell.
struct Filling<'a> {
    drafts: &'a [GroupDraft],
    places: &'a [Vec<Place>],
    axes: &'a Axes,
}

/// Where a kind's windows lie, the group, and the period that they may not exceed.
type StepsKey = (*const Window, usize, Option<i64>);

/// Where a kind's members lie, the group, and whether its array has members.
type MembersKey = (*const Option<i16>, usize, bool);

/// Lists that the slabs of one layout share.
#[derive(Default)]
struct Lists {
    runs: HashMap<*const Instant, Vec<Arc<[RunSlot]>>>,
    steps: HashMap<StepsKey, Arc<[StepSlot]>>,
    members: HashMap<MembersKey, Arc<[MemberSlot]>>,
}

impl Filling<'_> {
    /// Cells of all arrays, per group.
    fn cells(&self, rows: &Rows<'_>, archive: &Archive) -> Vec<Vec<Cells>> {
        let mut fills: Vec<Vec<Fill>> = self
            .drafts
            .iter()
            .map(|draft| draft.arrays.iter().map(|_| Fill::default()).collect())
            .collect();
        for whole in &rows.whole {
            self.add_whole(whole, &mut fills);
        }
        for loose in &rows.loose {
            for (number, row) in &loose.rows {
                self.add_row(loose, *number, row, &mut fills);
            }
        }
        let settled = |(slabs, claims)| Cells::new(slabs, claims, |same| settle(archive, same));
        fills
            .into_iter()
            .map(|group| group.into_iter().map(settled).collect())
            .collect()
    }

    fn places_of(&self, kind: Option<&u32>) -> &[Place] {
        let places = kind.and_then(|kind| self.places.get(*kind as usize));
        places.map_or(&[][..], Vec::as_slice)
    }

    fn level(&self, place: &Place, array: &ArrayDraft) -> Option<u32> {
        let levels = &self.drafts.get(place.group)?.levels;
        let axis = array.level_axis.and_then(|axis| levels.get(axis));
        axis.map_or(Some(0), |axis| axis.position_of(place.level?))
    }

    fn add_whole(&self, whole: &WholeKinds<'_>, fills: &mut [Vec<Fill>]) {
        let mut lists = Lists::default();
        for (number, span) in whole.spans() {
            for place in self.places_of(whole.kind_ids.get(number)) {
                let also = place
                    .also
                    .iter()
                    .map(|(period, array)| (*array, Some(*period)));
                for (array, early) in std::iter::once((place.array, None)).chain(also) {
                    let slabs = self.slabs(whole, span, place, array, early, &mut lists);
                    let fill = fills
                        .get_mut(place.group)
                        .and_then(|group| group.get_mut(array));
                    if let (Some(slabs), Some((all, _))) = (slabs, fill) {
                        all.extend(slabs);
                    }
                }
            }
        }
    }

    /// The cells of a whole kind in an array; of windows that end later than `early` after the run's start none.
    fn slabs(
        &self,
        whole: &WholeKinds<'_>,
        span: &Span,
        place: &Place,
        array: usize,
        early: Option<i64>,
        lists: &mut Lists,
    ) -> Option<Vec<Slab>> {
        let draft = self.drafts.get(place.group)?.arrays.get(array)?;
        let (steps, members) = self.axes.groups.get(place.group)?;
        let level = self.level(place, draft)?;
        let own_runs = span.runs.as_deref();
        let run_lists = lists
            .runs
            .entry(own_runs.map_or(std::ptr::null(), <[Instant]>::as_ptr))
            .or_insert_with(|| self.run_lists(whole, own_runs));
        let step_list = lists
            .steps
            .entry((span.windows.as_ptr(), place.group, early))
            .or_insert_with(|| {
                let windows = (0_u32..).zip(span.windows.iter());
                windows
                    .filter(|(_, window)| early.is_none_or(|period| is_early(window, period)))
                    .filter_map(|(ordinal, window)| {
                        Some(StepSlot {
                            step: position(steps, &window.end)?,
                            ordinal,
                            start: window.start,
                        })
                    })
                    .collect()
            });
        let member_list = lists
            .members
            .entry((span.members.as_ptr(), place.group, draft.members))
            .or_insert_with(|| {
                let own = (0_u32..).zip(span.members.iter());
                own.filter_map(|(ordinal, member)| {
                    let member = match member_of(draft, *member) {
                        Some(member) => position(members, &member)?,
                        None => 0,
                    };
                    Some(MemberSlot { member, ordinal })
                })
                .collect()
            });
        let step_rows = span.members.len() as u64;
        let slab = |runs: &Arc<[RunSlot]>| Slab {
            level,
            runs: Arc::clone(runs),
            steps: Arc::clone(step_list),
            members: Arc::clone(member_list),
            first_row: span.first_row,
            run_rows: step_rows * span.windows.len() as u64,
            step_rows,
        };
        Some(run_lists.iter().map(slab).collect())
    }

    /// Run slots of the parts of a layout: of all their runs, or of those that a kind has.
    fn run_lists(&self, whole: &WholeKinds<'_>, own: Option<&[Instant]>) -> Vec<Arc<[RunSlot]>> {
        let slots = |list: &[RunPlace]| {
            list.iter()
                .filter_map(|(run, ordinal, base)| {
                    let ordinal = match own {
                        Some(own) => position(own, run)?,
                        None => *ordinal,
                    };
                    Some(RunSlot {
                        run: position(&self.axes.runs, run)?,
                        ordinal,
                        base: *base,
                    })
                })
                .collect()
        };
        whole.runs.iter().map(|list| slots(list)).collect()
    }

    fn add_row(&self, loose: &LooseRows, number: RowId, row: &Row, fills: &mut [Vec<Fill>]) {
        for place in self.places_of(loose.kind_ids.get(row.kind as usize)) {
            let also = place
                .also
                .iter()
                .filter(|(period, _)| is_early(&row.window, *period))
                .map(|(_, array)| *array);
            for array in std::iter::once(place.array).chain(also) {
                let key = self.cell_key(place, array, row);
                let fill = fills
                    .get_mut(place.group)
                    .and_then(|group| group.get_mut(array));
                if let (Some(key), Some((_, claims))) = (key, fill) {
                    claims.push(Claim {
                        key,
                        row: number,
                        present: row.status == Status::Placed,
                        start: row.window.start,
                    });
                }
            }
        }
    }

    fn cell_key(&self, place: &Place, array: usize, row: &Row) -> Option<CellKey> {
        let (steps, members) = self.axes.groups.get(place.group)?;
        let array = self.drafts.get(place.group)?.arrays.get(array)?;
        Some(CellKey {
            run: position(&self.axes.runs, &row.reference)?,
            step: position(steps, &row.window.end)?,
            level: self.level(place, array)?,
            member: member_of(array, row.member)
                .map_or(Some(0), |member| position(members, &member))?,
        })
    }
}

/// Whether a run total's window is a bucket of this period as well: it starts with the run and ends with the first bucket or before.
const fn is_early(window: &Window, period: i64) -> bool {
    window.start == 0 && window.end <= period
}

/// Turns drafts into arrays: empty arrays and needless run totals left out, sorted by name.
fn finish_arrays(drafts: Vec<ArrayDraft>, cells: Vec<Cells>) -> Vec<FieldArray> {
    let mut arrays: Vec<FieldArray> = drafts
        .into_iter()
        .zip(cells)
        .map(|(draft, cells)| FieldArray {
            naming: draft.naming,
            level_axis: draft.level_axis,
            members: draft.members,
            bucket_seconds: draft.bucket_seconds,
            cells,
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
        && total.cells.iter().all(|(key, row)| {
            matches!(buckets.cells.get(key), CellState::Present(same) | CellState::Pending(same) if same == row)
        })
}

/// Of several rows for one cell: the placed one, if all placed ones refer to the same bytes; else none can be trusted.
///
/// A forecast that is no member stands for the control only where the ensemble has none of its own.
fn settle(archive: &Archive, same: &[Claim]) -> Claim {
    let placed = same.iter().filter(|claim| claim.present);
    let mut placed: Vec<(Claim, Option<Reference>)> = placed
        .map(|claim| (*claim, archive.reference(claim.row)))
        .collect();
    let is_member = |(_, reference): &(Claim, Option<Reference>)| {
        reference
            .as_ref()
            .is_some_and(|reference| reference.is_member)
    };
    if placed.iter().any(is_member) {
        placed.retain(is_member);
    }
    let place = |reference: &Option<Reference>| reference.as_ref().map(|at| at.place.clone());
    match placed.as_slice() {
        [] => same.first().copied().unwrap_or(Claim::NONE),
        [(best, reference), others @ ..] => Claim {
            present: others.is_empty()
                || (reference.is_some()
                    && others
                        .iter()
                        .all(|(_, other)| place(other) == place(reference))),
            ..*best
        },
    }
}

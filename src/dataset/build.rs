//! Building a collection from an archive: which arrays there are, their axes, and which rows fill their cells.
//!
//! Whole kinds become slabs (`cells`), by what the tables' footers say; rows are looked at only where a kind has holes. So the work is
//! that of the kinds of one table times the number of layouts, and hardly grows with the number of runs.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::archive::{Archive, Part, PartLayout, RowId, Span};
use super::cells::{CellKey, CellState, Cells, Claim, MemberSlot, RunSlot, Slab, StepSlot};
use super::collection::{Collection, FieldArray, GridGroup};
use super::place::{ArrayDraft, GroupDraft, Place, place_kinds};
use super::selection::Selection;
use crate::grib::grid::Grid;
use crate::table::row::{GridRecord, Kind, Row, Status};
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

/// Rows of the wanted runs: whole kinds by what the footers say, the rest row by row.
#[derive(Debug, Default)]
struct Rows<'a> {
    kinds: Vec<Kind>,
    grids: Vec<GridRecord>,
    whole: Vec<WholeKinds<'a>>,
    loose: Vec<LooseRows>,
}

/// Kinds of parts that are laid out alike and have as many runs, of which every run, step and member is there.
#[derive(Debug)]
struct WholeKinds<'a> {
    layout: &'a PartLayout,
    /// Numbers of the layout's kinds among all.
    kind_ids: Arc<[u32]>,
    regular: Vec<bool>,
    parts: Vec<&'a Part>,
    /// The wanted runs of all these parts. Each list names a run once, so there are more than one where tables share a run.
    runs: Vec<Vec<(Instant, u32, RowId)>>,
}

/// Rows that are looked at one by one.
#[derive(Debug)]
struct LooseRows {
    kind_ids: Arc<[u32]>,
    rows: Vec<(RowId, Row)>,
}

impl<'a> Rows<'a> {
    fn of(archive: &'a Archive, wanted: &dyn Fn(Instant) -> bool) -> Self {
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
    fn grids_by_size(&self) -> (Vec<Grid>, Vec<Option<usize>>) {
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
    fn spans(&self) -> impl Iterator<Item = (usize, &'a Span)> + '_ {
        let spans = self.layout.spans.iter().enumerate();
        spans.filter(|(number, _)| self.regular.get(*number).copied().unwrap_or(false))
    }
}

/// Runs of parts with their positions among their part's, and its first row's number; each list names a run once.
fn once_each<'a>(
    parts: &[&'a Part],
    runs_of: impl Fn(&'a Part) -> &'a [Instant],
    wanted: &dyn Fn(Instant) -> bool,
) -> Vec<Vec<(Instant, u32, RowId)>> {
    let mut all: Vec<(Instant, u32, RowId)> = Vec::new();
    for part in parts {
        let runs = (0_u32..).zip(runs_of(part));
        all.extend(
            runs.filter(|(_, run)| wanted(**run))
                .map(|(ordinal, run)| (*run, ordinal, part.base)),
        );
    }
    all.sort_unstable();
    let mut lists: Vec<Vec<(Instant, u32, RowId)>> = Vec::new();
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

/// Runs, and per group steps and members, all ascending.
#[derive(Debug)]
struct Axes {
    runs: Vec<Instant>,
    groups: Vec<(Vec<i64>, Vec<u16>)>,
}

impl Axes {
    fn of(rows: &Rows<'_>, drafts: &[GroupDraft], places: &[Vec<Place>]) -> Self {
        let mut runs = BTreeSet::new();
        let mut groups: Vec<(BTreeSet<i64>, BTreeSet<u16>)> =
            drafts.iter().map(|_| Default::default()).collect();
        let places_of = |kind: Option<&u32>| {
            let places = kind.and_then(|kind| places.get(*kind as usize));
            places.map_or(&[][..], Vec::as_slice)
        };
        let mut add = |place: &Place, windows: &[Window], members: &[Option<u16>]| {
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
fn member_of(array: &ArrayDraft, member: Option<u16>) -> Option<u16> {
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

/// Lists that the slabs of one layout share.
#[derive(Default)]
struct Lists {
    runs: HashMap<*const Instant, Vec<Arc<[RunSlot]>>>,
    steps: HashMap<(*const Window, usize, Option<i64>), Arc<[StepSlot]>>,
    members: HashMap<(*const Option<u16>, usize, bool), Arc<[MemberSlot]>>,
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
        let own_runs = span.runs.as_ref().map(|runs| &**runs);
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
        let slots = |list: &[(Instant, u32, RowId)]| {
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
fn settle(archive: &Archive, same: &[Claim]) -> Claim {
    let mut placed = same.iter().filter(|claim| claim.present);
    let Some(best) = placed.next().or(same.first()).copied() else {
        return Claim {
            key: CellKey {
                run: 0,
                step: 0,
                level: 0,
                member: 0,
            },
            row: RowId::MAX,
            present: false,
            start: 0,
        };
    };
    let reference = |claim: &Claim| archive.reference(claim.row);
    let agree = placed.all(|other| {
        let (one, two) = (reference(&best), reference(other));
        one.is_some() && one == two
    });
    Claim {
        present: best.present && agree,
        ..best
    }
}

//! A slice as a Zarr hierarchy: the documents of its store, and the cell behind each chunk.

use std::sync::Arc;

use super::layout::{Layout, tree};
use super::model::group_model;
use super::slice::{BestRule, Slice, SliceKind};
use crate::dataset::cells::CellKey;
use crate::dataset::{CellState, Collection, FieldArray, Intervals};
use crate::zarr::key::chunk_positions;
use crate::zarr::model::Group;

/// One slice of a collection, ready to be shown as a store.
#[derive(Debug)]
pub struct StoreView {
    collection: Arc<Collection>,
    slice: Slice,
    /// One group per grid that the slice has data on; the first lies at the root.
    pub groups: Vec<ViewGroup>,
}

/// A grid's part of a store.
#[derive(Debug)]
pub struct ViewGroup {
    /// Index into the collection's groups.
    pub index: usize,
    /// Name below the root; empty for the group at the root.
    pub name: String,
    /// Documents and arrays.
    pub model: Group,
}

impl StoreView {
    /// The slice `kind` of a collection as a store.
    #[must_use]
    pub fn new(kind: SliceKind, collection: Arc<Collection>, best: BestRule) -> Self {
        let slice = Slice::new(kind, &collection, best);
        Self::of(slice, collection)
    }

    /// The same with accumulations as differences between steps of a run: bounds tell the windows that are left. Whoever fills the cells
    /// subtracts, as [`StoreView::intervals`] says.
    #[must_use]
    pub fn deaccumulated(kind: SliceKind, collection: Arc<Collection>, best: BestRule) -> Self {
        let slice = Slice::new(kind, &collection, best).deaccumulated(&collection);
        Self::of(slice, collection)
    }

    fn of(slice: Slice, collection: Arc<Collection>) -> Self {
        let mut groups: Vec<ViewGroup> = Vec::new();
        for (index, group) in collection.groups.iter().enumerate() {
            if slice
                .groups
                .get(index)
                .is_some_and(|slice_group| !slice_group.arrays.is_empty())
            {
                let name = if groups.is_empty() {
                    String::new()
                } else {
                    group.name.clone()
                };
                groups.push(ViewGroup {
                    index,
                    name,
                    model: group_model(&slice, &collection, index, group),
                });
            }
        }
        Self {
            collection,
            slice,
            groups,
        }
    }

    /// Which slice it is.
    #[must_use]
    pub fn kind(&self) -> SliceKind {
        self.slice.kind
    }

    /// The whole hierarchy: the main grid's arrays (by the tree, its groups) at the root, other grids as groups.
    #[must_use]
    pub fn hierarchy(&self, layout: Layout) -> Group {
        let laid_out = |group: &ViewGroup| match layout {
            Layout::Flat => group.model.clone(),
            Layout::Tree => tree(&group.model),
        };
        let mut groups = self.groups.iter();
        let mut root = groups.next().map(laid_out).unwrap_or_default();
        root.groups
            .extend(groups.map(|group| (group.name.clone(), laid_out(group))));
        root
    }

    /// State of the cell behind chunk `linear` of the collection's array `array` in its group `group`.
    #[must_use]
    pub fn cell(&self, group: usize, array: usize, grid: &[u64], linear: u64) -> CellState {
        let positions = chunk_positions(linear, grid);
        self.cell_at(group, array, &positions)
            .unwrap_or(CellState::Gap)
    }

    /// The chunks from `from` on that are no gaps, in order, until `sink` returns `false`. Positions along the time-like axes at which the
    /// array has nothing are passed over as a whole, so that a slice that is mostly gaps lists as fast as it is full.
    pub fn for_each_cell(
        &self,
        group: usize,
        array: usize,
        grid: &[u64],
        from: u64,
        sink: &mut dyn FnMut(u64) -> bool,
    ) {
        let (Some(slice_group), Some(field)) = (
            self.slice.groups.get(group),
            self.collection
                .groups
                .get(group)
                .and_then(|group| group.arrays.get(array)),
        ) else {
            return;
        };
        let (outer, inner) = grid.split_at(slice_group.axes.len().min(grid.len()));
        let (times, each) = (
            outer.iter().product::<u64>(),
            inner.iter().product::<u64>().max(1),
        );
        let shape = InnerShape::of(field, inner);
        for time in from / each..times {
            let positions = chunk_positions(time, outer);
            let here = self
                .slice
                .run_step(&self.collection, group, array, &positions)
                .filter(|(run, step)| field.cells.has(*run, *step));
            let Some((run, step)) = here else {
                continue;
            };
            let first = if time == from / each { from % each } else { 0 };
            for number in first..each {
                let is_there = shape
                    .key(run, step, number)
                    .is_some_and(|key| field.cells.get(key) != CellState::Gap);
                if is_there && !sink(time * each + number) {
                    return;
                }
            }
        }
    }

    /// An array of the collection.
    #[must_use]
    pub fn field(&self, group: usize, array: usize) -> Option<&FieldArray> {
        self.collection.groups.get(group)?.arrays.get(array)
    }

    /// Members along the axis `number` of a group.
    #[must_use]
    pub fn members(&self, group: usize) -> usize {
        let group = self.collection.groups.get(group);
        group.map_or(0, |group| group.members.len())
    }

    /// Time-like axes of a group.
    #[must_use]
    pub fn time_axes(&self, group: usize) -> usize {
        let group = self.slice.groups.get(group);
        group.map_or(0, |group| group.axes.len())
    }

    /// The end of a step of a group, seconds after the run.
    #[must_use]
    pub fn step_seconds(&self, group: usize, step: u32) -> Option<i64> {
        let group = self.collection.groups.get(group)?;
        group.steps.get(step as usize).copied()
    }

    /// What is to be subtracted in an array that is shown as differences; `None` for all others.
    #[must_use]
    pub fn intervals(&self, group: usize, array: usize) -> Option<&Intervals> {
        self.slice.intervals.get(&(group, array))
    }

    /// Positions along the time-like axes at which a run and step of an array stand, if the slice shows them.
    #[must_use]
    pub fn time_positions(
        &self,
        group: usize,
        array: usize,
        (run, step): (u32, u32),
    ) -> Option<Vec<u64>> {
        let positions = self
            .slice
            .positions(&self.collection, group, array, (run, step))?;
        Some(positions.into_iter().map(|at| at as u64).collect())
    }

    fn cell_at(&self, group: usize, array: usize, positions: &[u64]) -> Option<CellState> {
        let field = self.field(group, array)?;
        let key = self.key_at(group, array, positions, field.members)?;
        Some(field.cells.get(key))
    }

    /// The cell of an array at some positions along its axes, of which `number` is one if `has_members`; else it is the first member's.
    #[must_use]
    pub fn key_at(
        &self,
        group: usize,
        array: usize,
        positions: &[u64],
        has_members: bool,
    ) -> Option<CellKey> {
        let field = self.field(group, array)?;
        let time_axes = self.slice.groups.get(group)?.axes.len();
        let (run, step) =
            self.slice
                .run_step(&self.collection, group, array, positions.get(..time_axes)?)?;
        let mut rest = positions.get(time_axes..)?.iter().copied();
        let mut next = |has: bool| {
            if has {
                u32::try_from(rest.next()?).ok()
            } else {
                Some(0)
            }
        };
        let member = next(has_members)?;
        let level = next(field.level_axis.is_some())?;
        Some(CellKey {
            run,
            step,
            level,
            member,
        })
    }
}

/// The axes of an array behind its time-like ones: members, levels, and the grid, which is one chunk.
struct InnerShape {
    members: bool,
    levels: bool,
    /// Chunks of one member, and of one level.
    of_member: u64,
    of_level: u64,
}

impl InnerShape {
    fn of(field: &FieldArray, inner: &[u64]) -> Self {
        let levels = field.level_axis.is_some();
        let after = |axes: usize| -> u64 {
            let rest = inner.get(axes..).unwrap_or_default();
            rest.iter().product::<u64>().max(1)
        };
        let before_levels = usize::from(field.members);
        Self {
            members: field.members,
            levels,
            of_member: after(1),
            of_level: after(before_levels + 1),
        }
    }

    /// The cell of the chunk `number` of those at one run and step.
    fn key(&self, run: u32, step: u32, number: u64) -> Option<CellKey> {
        let (member, rest) = if self.members {
            (number / self.of_member, number % self.of_member)
        } else {
            (0, number)
        };
        let level = if self.levels { rest / self.of_level } else { 0 };
        Some(CellKey {
            run,
            step,
            level: u32::try_from(level).ok()?,
            member: u32::try_from(member).ok()?,
        })
    }
}

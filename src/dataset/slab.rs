//! A full block of cells: all runs, steps and members of one kind, kept as its axes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::archive::RowId;
use super::cells::{CellKey, Claim};

/// A run of a slab: where its rows are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunSlot {
    pub(super) run: u32,
    /// Position of the run among its table's.
    pub(super) ordinal: u32,
    /// Number of its table's first row.
    pub(super) base: RowId,
}

/// A step of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepSlot {
    pub(super) step: u32,
    /// Position of the window among its kind's.
    pub(super) ordinal: u32,
    /// Start of the window, seconds after the run.
    pub(super) start: i64,
}

/// A member of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemberSlot {
    pub(super) member: u32,
    /// Position of the member among its kind's.
    pub(super) ordinal: u32,
}

/// All runs, steps and members of one kind; each list ascending.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    pub(super) level: u32,
    pub(super) runs: Arc<[RunSlot]>,
    pub(super) steps: Arc<[StepSlot]>,
    pub(super) members: Arc<[MemberSlot]>,
    /// Position of the kind's first row in its table.
    pub(super) first_row: u64,
    /// Rows of one run.
    pub(super) run_rows: u64,
    /// Rows of one step.
    pub(super) step_rows: u64,
}

impl Slab {
    pub(super) fn row(&self, run: RunSlot, step: StepSlot, member: MemberSlot) -> RowId {
        run.base
            + self.first_row
            + u64::from(run.ordinal) * self.run_rows
            + u64::from(step.ordinal) * self.step_rows
            + u64::from(member.ordinal)
    }

    pub(super) fn run(&self, run: u32) -> Option<RunSlot> {
        let at = self.runs.binary_search_by_key(&run, |slot| slot.run).ok()?;
        self.runs.get(at).copied()
    }

    pub(super) fn get(&self, key: CellKey) -> Option<RowId> {
        let run = self.run(key.run)?;
        let step = self
            .steps
            .binary_search_by_key(&key.step, |s| s.step)
            .ok()?;
        let member = self
            .members
            .binary_search_by_key(&key.member, |m| m.member)
            .ok()?;
        Some(self.row(run, *self.steps.get(step)?, *self.members.get(member)?))
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len() * self.steps.len() * self.members.len()
    }

    /// Whether the runs of two slabs may be the same ones.
    pub(super) fn is_near(&self, other: &Self) -> bool {
        let ends = |slab: &Self| Some((slab.runs.first()?.run, slab.runs.last()?.run));
        matches!((ends(self), ends(other)), (Some(a), Some(b)) if a.0 <= b.1 && b.0 <= a.1)
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        let steps = self.steps.iter().any(|slot| {
            other
                .steps
                .binary_search_by_key(&slot.step, |s| s.step)
                .is_ok()
        });
        steps
            && self.members.iter().any(|slot| {
                other
                    .members
                    .binary_search_by_key(&slot.member, |m| m.member)
                    .is_ok()
            })
    }

    pub(super) fn cells_of(&self, run: RunSlot) -> impl Iterator<Item = Claim> + '_ {
        self.steps.iter().flat_map(move |step| {
            self.members.iter().map(move |member| Claim {
                key: CellKey {
                    run: run.run,
                    step: step.step,
                    level: self.level,
                    member: member.member,
                },
                row: self.row(run, *step, *member),
                present: true,
                start: step.start,
            })
        })
    }

    pub(super) fn without_runs(&self, runs: &BTreeSet<u32>) -> Self {
        let left = self.runs.iter().filter(|slot| !runs.contains(&slot.run));
        Self {
            runs: left.copied().collect(),
            ..self.clone()
        }
    }
}

/// Where a shared list lies: lists at one place are one list.
pub(super) fn address<T>(list: &Arc<[T]>) -> usize {
    Arc::as_ptr(list).cast::<u8>().addr()
}

/// Lists that are changed alike for all slabs that share them, so that they stay shared.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) runs: Changed<RunSlot>,
    pub(super) steps: Changed<StepSlot>,
    pub(super) members: Changed<MemberSlot>,
}

#[derive(Debug)]
pub(super) struct Changed<T> {
    /// By address; the old list is kept, so that no other comes to lie there.
    known: HashMap<usize, OldAndNew<T>>,
}

type OldAndNew<T> = (Arc<[T]>, Arc<[T]>);

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            runs: Changed {
                known: HashMap::new(),
            },
            steps: Changed {
                known: HashMap::new(),
            },
            members: Changed {
                known: HashMap::new(),
            },
        }
    }
}

impl<T: Copy> Changed<T> {
    pub(super) fn map(&mut self, list: &Arc<[T]>, change: impl Fn(T) -> Option<T>) -> Arc<[T]> {
        let (_, new) = self.known.entry(address(list)).or_insert_with(|| {
            let new = list.iter().filter_map(|slot| change(*slot)).collect();
            (Arc::clone(list), new)
        });
        Arc::clone(new)
    }
}

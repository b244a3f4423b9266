//! Cells of an array: which row, if any, holds the field at one position of run, step, level and member.
//!
//! Most rows of a table come as full blocks: every run of a kind has every step and every member. Such a slab is kept as its
//! axes, and the number of a row is arithmetic; thousands of runs of one product share one slab per level. Whatever has holes is
//! listed cell by cell.

mod coverage;

use super::archive::RowId;
use super::slab::{MemberSlot, RunSlot, Shared, Slab, StepSlot, address};
use std::collections::{BTreeSet, HashSet};

pub use coverage::Coverage;

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
    /// A message exists: this row.
    Present(RowId),
    /// It should exist but has not arrived or could not be placed; this row says why. Reading it is an error.
    Pending(RowId),
    /// A complete index proves that there is none.
    Gap,
}

/// A row's claim to a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) key: CellKey,
    pub(super) row: RowId,
    /// Whether the row is placed.
    pub(super) present: bool,
    /// Start of its window, seconds after the run.
    pub(super) start: i64,
}

impl Claim {
    /// No row's claim to any cell.
    pub(super) const NONE: Self = Self {
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
}

/// The cells of one array.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    /// By level; no two share a cell.
    slabs: Vec<Slab>,
    /// By key; none is in a slab.
    listed: Vec<Claim>,
}

/// Positions that stay, by axis; `None` keeps all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep<'a> {
    pub(super) runs: &'a [bool],
    pub(super) steps: &'a [bool],
    pub(super) levels: Option<&'a [bool]>,
    pub(super) members: Option<&'a [bool]>,
}

/// New positions, by axis, in the order of the old ones; `None` moves none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moves<'a> {
    pub(super) runs: &'a [Option<u32>],
    pub(super) steps: &'a [Option<u32>],
    pub(super) levels: Option<&'a [Option<u32>]>,
    pub(super) members: Option<&'a [Option<u32>]>,
}

/// Positions that some cell uses, by axis.
#[derive(Clone, Debug, Default)]
pub(super) struct Used {
    pub(super) runs: BTreeSet<u32>,
    pub(super) steps: BTreeSet<u32>,
    pub(super) levels: BTreeSet<u32>,
    pub(super) members: BTreeSet<u32>,
}

impl Cells {
    /// Puts together what was collected. Where several rows claim one cell, `settle` decides among them.
    pub(super) fn new(
        mut slabs: Vec<Slab>,
        mut claims: Vec<Claim>,
        settle: impl Fn(&[Claim]) -> Claim,
    ) -> Self {
        slabs.retain(|slab| slab.len() > 0);
        slabs.sort_by_key(|slab| slab.level);
        let disputed = disputed(&slabs, &claims);
        for (slab, runs) in slabs.iter_mut().zip(disputed) {
            if !runs.is_empty() {
                let slots = runs.iter().filter_map(|run| slab.run(*run));
                claims.extend(slots.flat_map(|run| slab.cells_of(run).collect::<Vec<_>>()));
                *slab = slab.without_runs(&runs);
            }
        }
        slabs.retain(|slab| slab.len() > 0);
        claims.sort_unstable();
        let same_cell = claims.chunk_by(|a, b| a.key == b.key);
        let listed = same_cell
            .filter_map(|same| match same {
                [only] => Some(*only),
                [] => None,
                _ => Some(settle(same)),
            })
            .collect();
        Self { slabs, listed }
    }

    fn slabs_at(&self, level: u32) -> impl Iterator<Item = &Slab> {
        let from = self.slabs.partition_point(|slab| slab.level < level);
        self.slabs
            .get(from..)
            .unwrap_or_default()
            .iter()
            .take_while(move |slab| slab.level == level)
    }

    /// What is at a position.
    #[must_use]
    pub fn get(&self, key: CellKey) -> CellState {
        if let Some(row) = self.slabs_at(key.level).find_map(|slab| slab.get(key)) {
            return CellState::Present(row);
        }
        let at = self.listed.binary_search_by_key(&key, |cell| cell.key).ok();
        match at.and_then(|at| self.listed.get(at)) {
            Some(cell) if cell.present => CellState::Present(cell.row),
            Some(cell) => CellState::Pending(cell.row),
            None => CellState::Gap,
        }
    }

    /// Start of the window of the cell at a position, seconds after the run; `None` for a gap.
    #[must_use]
    pub fn start(&self, key: CellKey) -> Option<i64> {
        let slab = self
            .slabs_at(key.level)
            .find(|slab| slab.get(key).is_some());
        if let Some(slab) = slab {
            let at = slab
                .steps
                .binary_search_by_key(&key.step, |s| s.step)
                .ok()?;
            return slab.steps.get(at).map(|slot| slot.start);
        }
        let at = self
            .listed
            .binary_search_by_key(&key, |cell| cell.key)
            .ok()?;
        self.listed.get(at).map(|cell| cell.start)
    }

    /// Keeps the cells at some positions.
    pub(super) fn retain(&mut self, keep: Keep<'_>, shared: &mut Shared) {
        let is = |list: &[bool], at: u32| list.get(at as usize).copied().unwrap_or(false);
        let level = |at| keep.levels.is_none_or(|levels| is(levels, at));
        let member = |at| keep.members.is_none_or(|members| is(members, at));
        self.slabs.retain(|slab| level(slab.level));
        for slab in &mut self.slabs {
            slab.runs = shared
                .runs
                .map(&slab.runs, |slot| is(keep.runs, slot.run).then_some(slot));
            slab.steps = shared.steps.map(&slab.steps, |slot| {
                is(keep.steps, slot.step).then_some(slot)
            });
            if keep.members.is_some() {
                slab.members = shared
                    .members
                    .map(&slab.members, |slot| member(slot.member).then_some(slot));
            }
        }
        self.slabs.retain(|slab| slab.len() > 0);
        self.listed.retain(|cell| {
            let key = cell.key;
            is(keep.runs, key.run)
                && is(keep.steps, key.step)
                && level(key.level)
                && member(key.member)
        });
    }

    /// Moves every cell to a new position, or drops it.
    pub(super) fn remap(&mut self, moves: Moves<'_>, shared: &mut Shared) {
        let new = |moved: &[Option<u32>], at: u32| moved.get(at as usize).copied().flatten();
        let level = |at| moves.levels.map_or(Some(at), |levels| new(levels, at));
        let member = |at| moves.members.map_or(Some(at), |members| new(members, at));
        self.slabs.retain_mut(|slab| match level(slab.level) {
            Some(level) => {
                slab.level = level;
                true
            }
            None => false,
        });
        for slab in &mut self.slabs {
            slab.runs = shared.runs.map(&slab.runs, |slot| {
                let run = new(moves.runs, slot.run)?;
                Some(RunSlot { run, ..slot })
            });
            slab.steps = shared.steps.map(&slab.steps, |slot| {
                let step = new(moves.steps, slot.step)?;
                Some(StepSlot { step, ..slot })
            });
            if moves.members.is_some() {
                slab.members = shared.members.map(&slab.members, |slot| {
                    let member = member(slot.member)?;
                    Some(MemberSlot { member, ..slot })
                });
            }
        }
        let key = |key: CellKey| {
            Some(CellKey {
                run: new(moves.runs, key.run)?,
                step: new(moves.steps, key.step)?,
                level: level(key.level)?,
                member: member(key.member)?,
            })
        };
        self.listed.retain_mut(|cell| match key(cell.key) {
            Some(key) => {
                cell.key = key;
                true
            }
            None => false,
        });
    }

    /// Adds the positions that the cells use.
    pub(super) fn mark(&self, used: &mut Used, seen: &mut HashSet<usize>) {
        for slab in &self.slabs {
            used.levels.insert(slab.level);
            if seen.insert(address(&slab.runs)) {
                used.runs.extend(slab.runs.iter().map(|slot| slot.run));
            }
            if seen.insert(address(&slab.steps)) {
                used.steps.extend(slab.steps.iter().map(|slot| slot.step));
            }
            used.members
                .extend(slab.members.iter().map(|slot| slot.member));
        }
        for cell in &self.listed {
            used.runs.insert(cell.key.run);
            used.steps.insert(cell.key.step);
            used.levels.insert(cell.key.level);
            used.members.insert(cell.key.member);
        }
    }

    /// Number of cells that are not gaps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slabs.iter().map(Slab::len).sum::<usize>() + self.listed.len()
    }

    /// Whether all cells are gaps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of present cells.
    #[must_use]
    pub fn present(&self) -> usize {
        let listed = self.listed.iter().filter(|cell| cell.present).count();
        self.slabs.iter().map(Slab::len).sum::<usize>() + listed
    }

    /// Keys and rows of all cells, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (CellKey, RowId)> + '_ {
        self.slabs
            .iter()
            .flat_map(|slab| slab.runs.iter().flat_map(|run| slab.cells_of(*run)))
            .chain(self.listed.iter().copied())
            .map(|cell| (cell.key, cell.row))
    }
}

/// Per slab, the runs of which some cell is claimed by another slab or row as well.
fn disputed(slabs: &[Slab], claims: &[Claim]) -> Vec<BTreeSet<u32>> {
    let mut disputed = vec![BTreeSet::new(); slabs.len()];
    let mut first = 0;
    for level in slabs.chunk_by(|a, b| a.level == b.level) {
        for (a, one) in level.iter().enumerate() {
            for (b, other) in level.iter().enumerate().skip(a + 1) {
                if !one.is_near(other) || !one.meets(other) {
                    continue;
                }
                for run in one.runs.iter().filter(|slot| other.run(slot.run).is_some()) {
                    for at in [first + a, first + b] {
                        disputed
                            .get_mut(at)
                            .map(|runs: &mut BTreeSet<u32>| runs.insert(run.run));
                    }
                }
            }
        }
        first += level.len();
    }
    for claim in claims {
        for (slab, runs) in slabs.iter().zip(&mut disputed) {
            if slab.level == claim.key.level && slab.get(claim.key).is_some() {
                runs.insert(claim.key.run);
            }
        }
    }
    disputed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use proptest::prelude::*;

    const RUNS: u32 = 4;
    const STEPS: u32 = 5;
    const LEVELS: u32 = 3;
    const MEMBERS: u32 = 3;

    fn some(count: u32) -> impl Strategy<Value = Vec<u32>> {
        proptest::collection::btree_set(0..count, 1..=count as usize)
            .prop_map(|all| all.into_iter().collect())
    }

    prop_compose! {
        fn slab()(runs in some(RUNS), steps in some(STEPS), members in some(MEMBERS), level in 0..LEVELS, base in 0_u64..1000) -> Slab {
            let ordinals = |all: Vec<u32>| (0_u32..).zip(all);
            let step_rows = members.len() as u64;
            Slab {
                level,
                run_rows: step_rows * steps.len() as u64,
                step_rows,
                first_row: 7,
                runs: ordinals(runs).map(|(ordinal, run)| RunSlot { run, ordinal, base: base * 1000 }).collect(),
                steps: ordinals(steps).map(|(ordinal, step)| StepSlot { step, ordinal, start: 0 }).collect(),
                members: ordinals(members).map(|(ordinal, member)| MemberSlot { member, ordinal }).collect(),
            }
        }
    }

    fn all_keys() -> impl Iterator<Item = CellKey> {
        (0..RUNS).flat_map(|run| {
            (0..STEPS).flat_map(move |step| {
                (0..LEVELS).flat_map(move |level| {
                    (0..MEMBERS).map(move |member| CellKey {
                        run,
                        step,
                        level,
                        member,
                    })
                })
            })
        })
    }

    /// The same cells one by one.
    fn listed(slabs: &[Slab]) -> Vec<Claim> {
        let runs = slabs
            .iter()
            .flat_map(|slab| slab.runs.iter().map(move |run| (slab, *run)));
        runs.flat_map(|(slab, run)| slab.cells_of(run).collect::<Vec<_>>())
            .collect()
    }

    /// Of several claims none can be trusted.
    fn distrust(same: &[Claim]) -> Claim {
        Claim {
            present: false,
            ..*same.first().unwrap()
        }
    }

    fn agree(a: &Cells, b: &Cells) {
        for key in all_keys() {
            let kind = |cells: &Cells| match cells.get(key) {
                CellState::Present(row) => (1, row),
                // Which of the claims stands for a disputed cell is nobody's business.
                CellState::Pending(_) => (2, 0),
                CellState::Gap => (3, 0),
            };
            assert_eq!(kind(a), kind(b), "{key:?}");
        }
        assert_eq!(
            (a.len(), a.present(), a.is_empty()),
            (b.len(), b.present(), b.is_empty())
        );
        assert_eq!(a.coverage(), b.coverage());
        let times = |cells: &Cells| -> BTreeSet<(u32, u32)> {
            let pairs = cells.blocks().flat_map(|(runs, steps)| {
                runs.into_iter()
                    .flat_map(move |run| steps.clone().into_iter().map(move |step| (run, step)))
            });
            pairs.collect()
        };
        assert_eq!(times(a), times(b));
        for run in 0..RUNS {
            assert_eq!(a.steps_of(run), b.steps_of(run));
            assert_eq!(a.has_run(run), b.has_run(run));
            for step in 0..STEPS {
                assert_eq!(a.has(run, step), b.has(run, step));
                assert_eq!(a.has(run, step), times(a).contains(&(run, step)));
            }
        }
        for step in 0..STEPS {
            assert_eq!(a.runs_of(step), b.runs_of(step));
        }
    }

    proptest! {
        #[test]
        fn slabs_say_what_their_cells_say_one_by_one(slabs in proptest::collection::vec(slab(), 0..5), keep in proptest::collection::vec(any::<bool>(), 15)) {
            let mut blocks = Cells::new(slabs.clone(), Vec::new(), distrust);
            let mut single = Cells::new(Vec::new(), listed(&slabs), distrust);
            agree(&blocks, &single);

            let masks = Keep { runs: &keep[..4], steps: &keep[4..9], levels: Some(&keep[9..12]), members: Some(&keep[12..]) };
            blocks.retain(masks, &mut Shared::new());
            single.retain(masks, &mut Shared::new());
            agree(&blocks, &single);

            let mut used = [Used::default(), Used::default()];
            blocks.mark(&mut used[0], &mut HashSet::new());
            single.mark(&mut used[1], &mut HashSet::new());
            let [a, b] = &used;
            prop_assert_eq!((&a.runs, &a.steps, &a.levels, &a.members), (&b.runs, &b.steps, &b.levels, &b.members));
            let moved = |count: u32, used: &BTreeSet<u32>| -> Vec<Option<u32>> {
                let new = |at: u32| u32::try_from(used.iter().position(|own| *own == at)?).ok();
                (0..count).map(new).collect()
            };
            let (runs, steps) = (moved(RUNS, &a.runs), moved(STEPS, &a.steps));
            let (levels, members) = (moved(LEVELS, &a.levels), moved(MEMBERS, &a.members));
            let moves = Moves { runs: &runs, steps: &steps, levels: Some(&levels), members: Some(&members) };
            blocks.remap(moves, &mut Shared::new());
            single.remap(moves, &mut Shared::new());
            agree(&blocks, &single);
        }
    }

    #[test]
    fn a_cell_that_two_slabs_claim_is_settled_and_the_others_stay() {
        let slots = |runs: &[u32]| -> Arc<[RunSlot]> {
            (0_u32..)
                .zip(runs)
                .map(|(ordinal, run)| RunSlot {
                    run: *run,
                    ordinal,
                    base: 0,
                })
                .collect()
        };
        let slab = |runs: &[u32], first_row| Slab {
            level: 0,
            runs: slots(runs),
            steps: Arc::new([StepSlot {
                step: 0,
                ordinal: 0,
                start: -3,
            }]),
            members: Arc::new([MemberSlot {
                member: 0,
                ordinal: 0,
            }]),
            first_row,
            run_rows: 1,
            step_rows: 1,
        };
        let cells = Cells::new(
            vec![slab(&[0, 1], 10), slab(&[1, 2], 20)],
            Vec::new(),
            distrust,
        );
        let at = |run| {
            cells.get(CellKey {
                run,
                step: 0,
                level: 0,
                member: 0,
            })
        };
        assert_eq!(at(0), CellState::Present(10));
        let start = |run, step| {
            let key = CellKey {
                run,
                step,
                level: 0,
                member: 0,
            };
            cells.start(key)
        };
        assert_eq!(
            [start(0, 0), start(1, 0), start(0, 1)],
            [Some(-3), Some(-3), None]
        );
        assert_eq!(at(1), CellState::Pending(11));
        assert_eq!(at(2), CellState::Present(21));
    }
}

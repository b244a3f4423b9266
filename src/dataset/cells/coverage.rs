//! What of an array is there along runs and steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Cells;
use crate::dataset::slab::{Slab, address};

/// The cells of one run and step: how much of the level and member axes is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Index into the collection's runs.
    pub run: u32,
    /// Index into the group's steps.
    pub step: u32,
    /// Cells that are present.
    pub present: usize,
    /// Start of the window, seconds after the run.
    pub start: i64,
}

impl Cells {
    /// Whether the array has any cell in a run.
    #[must_use]
    pub fn has_run(&self, run: u32) -> bool {
        self.slabs.iter().any(|slab| slab.run(run).is_some())
            || self
                .listed
                .binary_search_by_key(&run, |cell| cell.key.run)
                .is_ok()
    }

    /// Whether the array has any cell in a run at a step.
    #[must_use]
    pub fn has(&self, run: u32, step: u32) -> bool {
        let slab = |slab: &Slab| {
            slab.run(run).is_some()
                && slab
                    .steps
                    .binary_search_by_key(&step, |slot| slot.step)
                    .is_ok()
        };
        let from = self
            .listed
            .partition_point(|cell| (cell.key.run, cell.key.step) < (run, step));
        self.slabs.iter().any(slab)
            || self
                .listed
                .get(from)
                .is_some_and(|cell| (cell.key.run, cell.key.step) == (run, step))
    }

    /// Steps that have cells in a run, ascending.
    #[must_use]
    pub fn steps_of(&self, run: u32) -> BTreeSet<u32> {
        let slabs = self.slabs.iter().filter(|slab| slab.run(run).is_some());
        let from = self.listed.partition_point(|cell| cell.key.run < run);
        let listed = self.listed.get(from..).unwrap_or_default();
        let listed = listed.iter().take_while(|cell| cell.key.run == run);
        slabs
            .flat_map(|slab| slab.steps.iter().map(|slot| slot.step))
            .chain(listed.map(|cell| cell.key.step))
            .collect()
    }

    /// Runs that have cells at a step, ascending.
    #[must_use]
    pub fn runs_of(&self, step: u32) -> BTreeSet<u32> {
        let has = |slab: &&Slab| slab.steps.iter().any(|slot| slot.step == step);
        let listed = self.listed.iter().filter(|cell| cell.key.step == step);
        self.slabs
            .iter()
            .filter(has)
            .flat_map(|slab| slab.runs.iter().map(|slot| slot.run))
            .chain(listed.map(|cell| cell.key.run))
            .collect()
    }

    /// Runs and steps in blocks: every run of a block has cells at every step of it. What is listed comes one by one.
    pub fn blocks(&self) -> impl Iterator<Item = (Vec<u32>, Vec<u32>)> + '_ {
        let mut seen = BTreeSet::new();
        let slabs = self
            .slabs
            .iter()
            .filter(move |slab| seen.insert((address(&slab.runs), address(&slab.steps))));
        let blocks = slabs.map(|slab| {
            (
                slab.runs.iter().map(|slot| slot.run).collect(),
                slab.steps.iter().map(|slot| slot.step).collect(),
            )
        });
        let listed = self.listed.chunk_by(|a, b| a.key.run == b.key.run);
        blocks.chain(listed.filter_map(|same| {
            let steps: BTreeSet<u32> = same.iter().map(|cell| cell.key.step).collect();
            Some((vec![same.first()?.key.run], steps.into_iter().collect()))
        }))
    }

    /// What tells whether two arrays have the same coverage: equal forms are equally covered.
    #[must_use]
    pub fn form(&self) -> Option<Vec<(usize, usize, usize)>> {
        let counts: BTreeMap<_, _> = self.by_axes().into_iter().collect();
        let form = counts.into_iter().map(|((a, b), (_, count))| (a, b, count));
        self.listed.is_empty().then(|| form.collect())
    }

    /// Counts the cells of each run and step: `add` gets run, step, cells that are present and cells that are pending, in no order and for
    /// a run and step more than once.
    pub fn tally(&self, add: &mut dyn FnMut(u32, u32, u32, u32)) {
        for (slab, present) in self.by_axes().into_values() {
            let present = u32::try_from(present).unwrap_or(u32::MAX);
            for run in slab.runs.iter() {
                for step in slab.steps.iter() {
                    add(run.run, step.step, present, 0);
                }
            }
        }
        for cell in &self.listed {
            let present = u32::from(cell.present);
            add(cell.key.run, cell.key.step, present, 1 - present);
        }
    }

    /// Coverage of each run and step that has cells, in order.
    #[must_use]
    pub fn coverage(&self) -> Vec<Coverage> {
        let mut all: Vec<Coverage> = Vec::new();
        for (slab, present) in self.by_axes().into_values() {
            for run in slab.runs.iter() {
                all.extend(slab.steps.iter().map(|step| Coverage {
                    run: run.run,
                    step: step.step,
                    present,
                    start: step.start,
                }));
            }
        }
        all.extend(self.listed.iter().map(|cell| Coverage {
            run: cell.key.run,
            step: cell.key.step,
            present: usize::from(cell.present),
            start: cell.start,
        }));
        all.sort_unstable_by_key(|cover| (cover.run, cover.step, cover.start));
        all.dedup_by(|later, first| {
            let same = (later.run, later.step) == (first.run, first.step);
            if same {
                first.present += later.present;
            }
            same
        });
        all
    }

    /// Slabs that share their runs and steps, as one of them and the cells that all have at each of those.
    fn by_axes(&self) -> HashMap<(usize, usize), (&Slab, usize)> {
        let mut counts = HashMap::new();
        for slab in &self.slabs {
            let at = (address(&slab.runs), address(&slab.steps));
            counts.entry(at).or_insert((slab, 0)).1 += slab.members.len();
        }
        counts
    }
}

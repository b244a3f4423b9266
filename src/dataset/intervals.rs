//! Accumulations as differences: which earlier step is to be subtracted from a cell, and the window that is left then.
//!
//! Of windows `0-3 h`, `0-6 h`, `6-9 h`, `6-12 h` in one run the differences are `0-3`, `3-6`, `6-9` and `9-12`: from each window the longest
//! one that begins at the same moment is taken away. One that none begins with stays as it is. So totals of a run and buckets that are
//! reset are one rule, and steps that are not there make windows longer, never wrong.

use std::collections::{BTreeMap, HashMap};

use super::cells::Coverage;
use super::collection::FieldArray;

/// What is left of the window of a run and step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Start of the whole window, seconds after the run.
    pub whole_start: i64,
    /// Start of what is left: the end of the earlier window, or `whole_start`.
    pub start: i64,
    /// The step (index into the group's steps) whose window is subtracted.
    pub previous: Option<u32>,
    /// The step from whose window this one is subtracted.
    pub next: Option<u32>,
}

/// The intervals of an array, by run and step.
#[derive(Clone, Debug, Default)]
pub struct Intervals(HashMap<(u32, u32), Interval>);

impl Intervals {
    /// Of an array of sums over windows that end at `steps` (seconds); `None` for an array that is none.
    #[must_use]
    pub fn of(field: &FieldArray, steps: &[i64]) -> Option<Self> {
        field
            .is_additive()
            .then(|| Self::of_coverage(&field.cells.coverage(), steps))
    }

    /// `covers` are in order of runs and steps.
    fn of_coverage(covers: &[Coverage], steps: &[i64]) -> Self {
        let mut all: HashMap<(u32, u32), Interval> = HashMap::new();
        for run in covers.chunk_by(|a, b| a.run == b.run) {
            let mut last: BTreeMap<i64, u32> = BTreeMap::new();
            for cover in run {
                let end = |step: u32| steps.get(step as usize).copied();
                let previous = last.insert(cover.start, cover.step);
                // A window that ends before it begins is none to subtract.
                let cut = previous.and_then(|step| Some((step, end(step)?)));
                let cut = cut.filter(|(_, end)| *end >= cover.start);
                let interval = Interval {
                    whole_start: cover.start,
                    start: cut.map_or(cover.start, |(_, end)| end),
                    previous: cut.map(|(step, _)| step),
                    next: None,
                };
                all.insert((cover.run, cover.step), interval);
                if let Some((step, _)) = cut
                    && let Some(earlier) = all.get_mut(&(cover.run, step))
                {
                    earlier.next = Some(cover.step);
                }
            }
        }
        Self(all)
    }

    /// The interval of a run and step, as indices; `None` where the array has no cell.
    #[must_use]
    pub fn get(&self, run: u32, step: u32) -> Option<&Interval> {
        self.0.get(&(run, step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intervals(windows: &[(u32, i64, u32)], steps: &[i64]) -> Vec<(u32, u32, i64, Option<u32>)> {
        let covers: Vec<Coverage> = windows
            .iter()
            .map(|(run, start, step)| Coverage {
                run: *run,
                step: *step,
                present: 1,
                start: *start,
            })
            .collect();
        let made = Intervals::of_coverage(&covers, steps);
        let found = windows.iter().map(|(run, _, step)| {
            let interval = made.get(*run, *step).unwrap();
            (*run, *step, interval.start, interval.previous)
        });
        found.collect()
    }

    #[test]
    fn totals_of_a_run_are_cut_at_the_step_before_in_that_run() {
        let steps = [3, 6, 9, 12];
        // The second run lacks 9.
        let windows = [
            (0, 0, 0),
            (0, 0, 1),
            (0, 0, 2),
            (0, 0, 3),
            (1, 0, 0),
            (1, 0, 1),
            (1, 0, 3),
        ];
        assert_eq!(
            intervals(&windows, &steps),
            [
                (0, 0, 0, None),
                (0, 1, 3, Some(0)),
                (0, 2, 6, Some(1)),
                (0, 3, 9, Some(2)),
                (1, 0, 0, None),
                (1, 1, 3, Some(0)),
                (1, 3, 6, Some(1)),
            ]
        );
    }

    #[test]
    fn buckets_are_cut_where_they_begin_together_only() {
        let steps = [3, 6, 9, 12, 13];
        let windows = [(0, 0, 0), (0, 0, 1), (0, 6, 2), (0, 6, 3), (0, 12, 4)];
        assert_eq!(
            intervals(&windows, &steps),
            [
                (0, 0, 0, None),
                (0, 1, 3, Some(0)),
                (0, 2, 6, None),
                (0, 3, 9, Some(2)),
                (0, 4, 12, None),
            ]
        );
    }

    #[test]
    fn each_knows_who_needs_it() {
        let covers = [0, 2].map(|step| Coverage {
            run: 0,
            step,
            present: 0,
            start: 0,
        });
        let made = Intervals::of_coverage(&covers, &[0, 3, 6]);
        assert_eq!(made.get(0, 0).unwrap().next, Some(2));
        assert_eq!(made.get(0, 2).unwrap().next, None);
        assert_eq!(made.get(0, 1), None);
    }
}

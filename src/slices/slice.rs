//! A slice: its axes, and what a position along them means.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::axis::at_cadence;
use super::best::{Choices, RunStep, choices};
use crate::dataset::{Collection, FieldArray, GridGroup, Intervals};
use crate::time::{Instant, step_text};

/// Which cut of the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SliceKind {
    /// `(time, step)`: the whole collection, run by run.
    RunTime,
    /// `(valid_time)`: the freshest forecast of each moment.
    BestAvailable,
    /// `(valid_time)`: one run.
    Run(Instant),
    /// `(valid_time, step)`: all forecasts of each moment.
    ValidTime,
    /// `(step, valid_time)`: each lead, across runs.
    Horizon,
    /// `(valid_time)`: one lead in seconds, across runs.
    Lead(i64),
    /// `(time)`: one moment, run by run.
    Valid(Instant),
}

/// A text that names no slice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no slice: run_time, valid_time, horizon, best_available, runs/2026-11-22T00, leads/024h, valid/2026-11-22T12"
)]
pub struct SliceError(String);

impl fmt::Display for SliceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunTime => f.write_str("run_time"),
            Self::BestAvailable => f.write_str("best_available"),
            Self::ValidTime => f.write_str("valid_time"),
            Self::Horizon => f.write_str("horizon"),
            Self::Run(run) => write!(f, "runs/{}", run.path_name()),
            Self::Lead(step) => write!(f, "leads/{}", lead_name(*step)),
            Self::Valid(moment) => write!(f, "valid/{}", moment.path_name()),
        }
    }
}

impl FromStr for SliceKind {
    type Err = SliceError;

    fn from_str(text: &str) -> Result<Self, SliceError> {
        let kind = match text {
            "run_time" => Some(Self::RunTime),
            "best_available" => Some(Self::BestAvailable),
            "valid_time" => Some(Self::ValidTime),
            "horizon" => Some(Self::Horizon),
            _ => text
                .split_once('/')
                .and_then(|(folder, name)| match folder {
                    "runs" => Instant::parse(name).map(Self::Run),
                    "valid" => Instant::parse(name).map(Self::Valid),
                    "leads" => parse_lead(name).map(Self::Lead),
                    _ => None,
                }),
        };
        kind.ok_or_else(|| SliceError(text.to_owned()))
    }
}

/// Name of a lead in paths: hours with three digits (`024h`), else as [`step_text`].
#[must_use]
pub(crate) fn lead_name(step: i64) -> String {
    if step >= 0 && step % 3600 == 0 {
        format!("{:03}h", step / 3600)
    } else {
        step_text(step)
    }
}

fn parse_lead(name: &str) -> Option<i64> {
    let step = match name.strip_suffix('h').map(str::parse::<i64>) {
        Some(Ok(hours)) => hours.checked_mul(3600)?,
        _ => {
            let (hours, minutes) = name
                .strip_suffix('m')?
                .split_once('h')
                .unwrap_or(("0", name.strip_suffix('m')?));
            hours
                .parse::<i64>()
                .ok()?
                .checked_mul(3600)?
                .checked_add(minutes.parse::<i64>().ok()?.checked_mul(60)?)?
        }
    };
    (lead_name(step) == name).then_some(step)
}

/// A time-like axis of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeAxis {
    /// `time`, `step` or `valid_time`.
    pub name: &'static str,
    /// Seconds since 1970 (`step`: seconds of lead), ascending.
    pub values: Vec<i64>,
}

/// The axes of a slice on one grid, and the origin of its cells.
#[derive(Debug)]
pub struct SliceGroup {
    /// One or two time-like axes, outermost first.
    pub axes: Vec<TimeAxis>,
    /// BestAvailable's choice per array of the group; empty for other slices.
    choices: Vec<Arc<Choices>>,
    /// Arrays of the collection's group that the slice shows.
    pub arrays: Vec<usize>,
}

/// A slice of a collection.
#[derive(Debug)]
pub struct Slice {
    /// Which.
    pub kind: SliceKind,
    /// Per group of the collection, in its order.
    pub groups: Vec<SliceGroup>,
    /// By group and array: accumulations that are shown as differences between steps.
    pub(super) intervals: BTreeMap<(usize, usize), Intervals>,
}

/// What BestAvailable takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestRule {
    /// Steps below this many seconds do not count (the spin-up). Default: all count.
    pub min_step: i64,
    /// Only the analysis of each moment and, after the newest run, that run alone: kerchunk's rule. Default no.
    pub exact: bool,
    /// Whether run totals are shown although their window changes from cell to cell. Default no.
    pub totals: bool,
}

impl Default for BestRule {
    fn default() -> Self {
        Self {
            min_step: i64::MIN,
            exact: false,
            totals: false,
        }
    }
}

impl BestRule {
    /// Whether a step, in seconds, of a run (the newest one or another) counts.
    pub(super) const fn takes(self, step: i64, newest: bool) -> bool {
        step >= self.min_step && (!self.exact || step == 0 || (newest && step > 0))
    }
}

impl Slice {
    /// The slice `kind` of a collection.
    #[must_use]
    pub fn new(kind: SliceKind, collection: &Collection, best: BestRule) -> Self {
        let groups = collection
            .groups
            .iter()
            .map(|group| SliceGroup::new(kind, collection, group, best))
            .collect();
        Self {
            kind,
            groups,
            intervals: BTreeMap::new(),
        }
    }

    /// The same slice with accumulations as differences: their windows are what is left of them.
    #[must_use]
    pub(super) fn deaccumulated(mut self, collection: &Collection) -> Self {
        for (number, (slice_group, group)) in self.groups.iter().zip(&collection.groups).enumerate()
        {
            for array in &slice_group.arrays {
                let field = group.arrays.get(*array);
                if let Some(made) = field.and_then(|field| Intervals::of(field, &group.steps)) {
                    self.intervals.insert((number, *array), made);
                }
            }
        }
        self
    }

    /// Run and step of the cell at `positions` along the axes, or `None` where there can be none.
    #[must_use]
    pub fn run_step(
        &self,
        collection: &Collection,
        group: usize,
        array: usize,
        positions: &[u64],
    ) -> Option<RunStep> {
        let slice_group = self.groups.get(group)?;
        let steps = &collection.groups.get(group)?.steps;
        let value = |axis: usize| {
            let position = usize::try_from(*positions.get(axis)?).ok()?;
            slice_group.axes.get(axis)?.values.get(position).copied()
        };
        let (run, step) = match self.kind {
            SliceKind::RunTime => (value(0)?, value(1)?),
            SliceKind::ValidTime => (value(0)?.checked_sub(value(1)?)?, value(1)?),
            SliceKind::Horizon => (value(1)?.checked_sub(value(0)?)?, value(0)?),
            SliceKind::Run(run) => (run.seconds(), value(0)?.checked_sub(run.seconds())?),
            SliceKind::Lead(step) => (value(0)?.checked_sub(step)?, step),
            SliceKind::Valid(moment) => (value(0)?, moment.seconds().checked_sub(value(0)?)?),
            SliceKind::BestAvailable => {
                return slice_group.choices.get(array)?.get(&value(0)?).copied();
            }
        };
        let run = collection.runs.binary_search(&Instant(run)).ok()?;
        let step = steps.binary_search(&step).ok()?;
        Some((u32::try_from(run).ok()?, u32::try_from(step).ok()?))
    }

    /// Positions along the axes at which a run and step of an array stand, if the slice shows them: the inverse of
    /// [`Slice::run_step`].
    pub(super) fn positions(
        &self,
        collection: &Collection,
        group: usize,
        array: usize,
        run_step: RunStep,
    ) -> Option<Vec<usize>> {
        let slice_group = self.groups.get(group)?;
        let run = collection.runs.get(run_step.0 as usize)?.seconds();
        let step = *collection
            .groups
            .get(group)?
            .steps
            .get(run_step.1 as usize)?;
        let valid = run.checked_add(step)?;
        let shown = match self.kind {
            SliceKind::Run(wanted) => wanted.seconds() == run,
            SliceKind::Lead(wanted) => wanted == step,
            SliceKind::Valid(wanted) => wanted.seconds() == valid,
            SliceKind::BestAvailable => {
                slice_group.choices.get(array)?.get(&valid) == Some(&run_step)
            }
            SliceKind::RunTime | SliceKind::ValidTime | SliceKind::Horizon => true,
        };
        let value = |name| match name {
            "time" => run,
            "step" => step,
            _ => valid,
        };
        let positions = slice_group
            .axes
            .iter()
            .map(|axis| axis.values.binary_search(&value(axis.name)).ok());
        shown.then(|| positions.collect())?
    }
}

impl SliceGroup {
    fn new(kind: SliceKind, collection: &Collection, group: &GridGroup, best: BestRule) -> Self {
        let times = Times { collection, group };
        let axis = |name, values| TimeAxis { name, values };
        let steps = || axis("step", group.steps.clone());
        let all = || (0..group.arrays.len()).collect();
        let (axes, arrays) = match kind {
            SliceKind::RunTime => {
                let runs: Vec<i64> = collection.runs.iter().map(|run| run.seconds()).collect();
                (vec![axis("time", at_cadence(&runs)), steps()], all())
            }
            SliceKind::ValidTime => {
                let moments = at_cadence(&times.all_valid());
                (vec![axis("valid_time", moments), steps()], all())
            }
            SliceKind::Horizon => {
                let moments = at_cadence(&times.all_valid());
                (vec![steps(), axis("valid_time", moments)], all())
            }
            SliceKind::Run(run) => {
                let (values, arrays) = times.of_run(run);
                (vec![axis("valid_time", values)], arrays)
            }
            SliceKind::Lead(step) => {
                let (values, arrays) = times.of_lead(step);
                (vec![axis("valid_time", at_cadence(&values))], arrays)
            }
            SliceKind::Valid(moment) => {
                let (values, arrays) = times.of_moment(moment);
                (vec![axis("time", at_cadence(&values))], arrays)
            }
            SliceKind::BestAvailable => return Self::best(collection, group, best),
        };
        Self {
            axes,
            choices: Vec::new(),
            arrays,
        }
    }

    /// BestAvailable: the moments are those that some array has a choice for.
    fn best(collection: &Collection, group: &GridGroup, rule: BestRule) -> Self {
        let shown = |field: &FieldArray| rule.totals || !field.is_run_total();
        let choices = choices(collection, group, rule, shown);
        let moments: BTreeSet<i64> = choices
            .iter()
            .flat_map(|choices| choices.keys().copied())
            .collect();
        let moments: Vec<i64> = moments.into_iter().collect();
        let arrays = group.arrays.iter().enumerate();
        Self {
            axes: vec![TimeAxis {
                name: "valid_time",
                values: at_cadence(&moments),
            }],
            arrays: arrays
                .filter(|(_, field)| shown(field))
                .map(|(array, _)| array)
                .collect(),
            choices,
        }
    }
}

/// Runs and steps of the cells of a group's arrays.
#[derive(Clone, Copy)]
struct Times<'a> {
    collection: &'a Collection,
    group: &'a GridGroup,
}

/// Seconds along an axis, ascending, and the arrays that have cells there.
type Found = (Vec<i64>, Vec<usize>);

impl Times<'_> {
    /// Seconds that each array has, and the arrays that have any.
    fn found(self, of: impl Fn(&FieldArray) -> Vec<i64>) -> Found {
        let mut all = BTreeSet::new();
        let mut arrays = Vec::new();
        for (array, field) in self.group.arrays.iter().enumerate() {
            let own = of(field);
            if !own.is_empty() {
                arrays.push(array);
                all.extend(own);
            }
        }
        (all.into_iter().collect(), arrays)
    }

    fn run(self, index: u32) -> Option<i64> {
        let run = self.collection.runs.get(index as usize)?;
        Some(run.seconds())
    }

    fn step(self, index: u32) -> Option<i64> {
        self.group.steps.get(index as usize).copied()
    }

    fn run_index(self, run: Instant) -> Option<u32> {
        u32::try_from(self.collection.runs.binary_search(&run).ok()?).ok()
    }

    fn step_index(self, step: i64) -> Option<u32> {
        u32::try_from(self.group.steps.binary_search(&step).ok()?).ok()
    }

    /// Valid times of a run.
    fn of_run(self, run: Instant) -> Found {
        let index = self.run_index(run);
        self.found(|field| {
            let steps = index.map(|index| field.cells.steps_of(index));
            let steps = steps.into_iter().flatten();
            steps
                .filter_map(|step| run.seconds().checked_add(self.step(step)?))
                .collect()
        })
    }

    /// Valid times at a lead.
    fn of_lead(self, step: i64) -> Found {
        let index = self.step_index(step);
        self.found(|field| {
            let runs = index.map(|index| field.cells.runs_of(index));
            let runs = runs.into_iter().flatten();
            runs.filter_map(|run| self.run(run)?.checked_add(step))
                .collect()
        })
    }

    /// Runs that have a moment.
    fn of_moment(self, moment: Instant) -> Found {
        // Of each run one step leads there; few runs have it.
        let leads: Vec<(u32, u32)> = (0_u32..)
            .zip(&self.collection.runs)
            .filter_map(|(run, at)| {
                let step = moment.seconds().checked_sub(at.seconds())?;
                Some((run, self.step_index(step)?))
            })
            .collect();
        self.found(|field| {
            let has = |(run, step): &(u32, u32)| field.cells.has(*run, *step);
            let runs = leads.iter().filter(|lead| has(lead));
            runs.filter_map(|(run, _)| self.run(*run)).collect()
        })
    }

    /// Valid times of all cells.
    fn all_valid(self) -> Vec<i64> {
        let mut seen = HashSet::new();
        let mut all = BTreeSet::new();
        for (runs, steps) in self
            .group
            .arrays
            .iter()
            .flat_map(|field| field.cells.blocks())
        {
            if !seen.insert((runs.clone(), steps.clone())) {
                continue;
            }
            for run in runs.iter().filter_map(|run| self.run(*run)) {
                let steps = steps.iter().filter_map(|step| self.step(*step));
                all.extend(steps.filter_map(|step| run.checked_add(step)));
            }
        }
        all.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_says_which_steps_count() {
        let any = BestRule::default();
        assert!(any.takes(0, false) && any.takes(3600, false) && any.takes(-600, true));
        let late = BestRule {
            min_step: 3600,
            ..any
        };
        assert!(late.takes(3600, false) && !late.takes(3599, true));
        let exact = BestRule { exact: true, ..any };
        assert!(exact.takes(0, false) && exact.takes(3600, true));
        assert!(!exact.takes(3600, false) && !exact.takes(-600, true));
    }

    #[test]
    fn slices_are_named_and_read() {
        for text in [
            "run_time",
            "best_available",
            "valid_time",
            "horizon",
            "runs/2026-11-22T00",
            "leads/024h",
            "leads/1h15m",
            "valid/2026-11-22T12",
        ] {
            assert_eq!(text.parse::<SliceKind>().unwrap().to_string(), text);
        }
        for text in ["", "runs", "runs/x", "leads/24h", "run_time.zarr"] {
            assert!(text.parse::<SliceKind>().is_err(), "{text}");
        }
    }
}

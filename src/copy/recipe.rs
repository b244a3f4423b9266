//! How the values of a block are computed: which fields it takes, and what becomes of them point by point.
//!
//! The fields of a block wait side by side (`block`), those of its own cells first, behind them those that are only subtracted. When all
//! have come, each cell is computed in strips of points: the member's field, less the field of the earlier step, by the seconds between
//! them, and then the statistics over the members.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use super::block::Assembly;
use super::derive::Deaccumulate;
use super::fields::{Cell, Fields};
use super::layout::Layout;
use super::plan::Block;
use super::statistic::{Statistic, summarise};
use crate::dataset::CellState;
use crate::dataset::archive::RowId;
use crate::dataset::cells::CellKey;
use crate::dataset::intervals::Interval;
use crate::slices::StoreView;
use crate::sync::lock;
use crate::time::step_text;
use crate::zarr::key::chunk_positions;

/// Points that are computed together.
const STRIP: usize = 1 << 14;

/// How a block is computed.
#[derive(Clone, Debug, Default)]
pub(super) struct Recipe {
    /// Fields that it takes.
    pub(super) inputs: usize,
    /// How many of them, the first ones, are its own cells'.
    pub(super) own: usize,
    /// Inputs whose rows are known not to be readable.
    pub(super) pending: Vec<(RowId, usize)>,
    /// Inputs that a block of that portion takes too.
    pub(super) again: Vec<(usize, u64)>,
    /// Its cells that are no gaps.
    pub(super) outputs: Vec<Output>,
}

/// A cell of a block.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) slot: usize,
    /// Its number along the leading axes of the store.
    pub(super) linear: u64,
    /// One for each member; one alone where there is no statistic.
    terms: Vec<Term>,
}

/// A member's part in a cell.
#[derive(Clone, Debug, PartialEq)]
struct Term {
    input: usize,
    /// The input that is subtracted.
    less: Option<usize>,
    /// Seconds by which the difference is divided.
    seconds: Option<f64>,
    /// Why it cannot be computed, whatever comes.
    refused: Option<String>,
}

/// The inputs of a block while they are listed.
#[derive(Default)]
struct Inputs {
    by_row: HashMap<RowId, usize>,
    rows: Vec<(RowId, usize, u64)>,
    pending: Vec<(RowId, usize)>,
}

impl Inputs {
    /// The number of an input; `None` for a gap.
    fn of(&mut self, state: CellState) -> Option<usize> {
        let (row, is_pending) = match state {
            CellState::Present(row) => (row, false),
            CellState::Pending(row) => (row, true),
            CellState::Gap => return None,
        };
        let next = self.by_row.len();
        let number = *self.by_row.entry(row).or_insert(next);
        if number == next {
            if is_pending {
                self.pending.push((row, number));
            } else {
                self.rows.push((row, number, 0));
            }
        }
        Some(number)
    }
}

/// The block of computed arrays at some positions along the chunks of their leading axes; `target` is the first of them.
pub(super) fn block(
    view: &StoreView,
    layout: &Layout,
    fields: &Fields,
    target: usize,
    at: Vec<u64>,
) -> Block {
    let (group, number) = (fields.group, fields.number);
    let mut block = Block {
        target,
        at,
        ..Block::default()
    };
    let derivation = layout.targets.get(target).and_then(|target| target.derived);
    let (Some(field), Some(derivation)) = (view.field(group, number), derivation) else {
        return block;
    };
    let mut inputs = Inputs::default();
    let mut recipe = Recipe::default();
    let mut own: Vec<(Cell, Vec<(CellKey, usize)>)> = Vec::new();
    for cell in fields.cells(&block.at) {
        let Some(source) = cell.source else {
            block.carried.push(cell.slot);
            continue;
        };
        let positions = chunk_positions(source, &fields.source_grid);
        let is_over_members = derivation.statistic.is_some();
        let has_members = field.members && !is_over_members;
        let Some(first) = view.key_at(group, number, &positions, has_members) else {
            continue;
        };
        let members = if is_over_members {
            0..u32::try_from(view.members(group)).unwrap_or(u32::MAX)
        } else {
            first.member..first.member + 1
        };
        let keys = members.map(|member| CellKey { member, ..first });
        let there: Vec<(CellKey, usize)> = keys
            .filter_map(|key| Some((key, inputs.of(field.cells.get(key))?)))
            .collect();
        if !there.is_empty() {
            own.push((cell, there));
        }
    }
    recipe.own = inputs.by_row.len();
    let mut again = BTreeSet::new();
    for (cell, there) in own {
        let mut terms = Vec::new();
        for (key, input) in there {
            let interval = view
                .intervals(group, number)
                .and_then(|all| all.get(key.run, key.step));
            let term = match (derivation.difference, interval) {
                (Some(kind), Some(interval)) => {
                    let mut step = Step {
                        view,
                        fields,
                        inputs: &mut inputs,
                        again: &mut again,
                        own: recipe.own,
                    };
                    step.term(key, input, *interval, kind)
                }
                (None, _) | (_, None) => Term {
                    input,
                    less: None,
                    seconds: None,
                    refused: None,
                },
            };
            terms.push(term);
        }
        recipe.outputs.push(Output {
            slot: cell.slot,
            linear: cell.linear,
            terms,
        });
    }
    recipe.inputs = inputs.by_row.len();
    recipe.pending = inputs.pending;
    recipe.again = again.into_iter().collect();
    block.rows = inputs.rows;
    block.fields = recipe.outputs.len() * layout.siblings(target).len();
    block.recipe = Some(recipe);
    block
}

/// What is needed to find the earlier step of a cell.
struct Step<'a> {
    view: &'a StoreView,
    fields: &'a Fields,
    inputs: &'a mut Inputs,
    again: &'a mut BTreeSet<(usize, u64)>,
    /// Inputs of the block's own cells.
    own: usize,
}

impl Step<'_> {
    /// A member's part of a cell of differences.
    fn term(&mut self, key: CellKey, input: usize, interval: Interval, kind: Deaccumulate) -> Term {
        let (group, number) = (self.fields.group, self.fields.number);
        let cells = self.view.field(group, number).map(|field| &field.cells);
        let start = |key| cells.and_then(|cells| cells.start(key));
        let earlier = interval.previous.map(|step| CellKey { step, ..key });
        let before = earlier.map(|key| {
            let state = cells.map_or(CellState::Gap, |cells| cells.get(key));
            (key, self.inputs.of(state))
        });
        let mut refused = None;
        if start(key) != Some(interval.whole_start) {
            refused = Some("its window is another than that of the other cells of its step".into());
        }
        if let Some((key, less)) = before {
            let seconds = self.view.step_seconds(group, key.step).unwrap_or(0);
            if less.is_none() {
                refused = Some(format!(
                    "there is no message at {} of the same run to subtract",
                    step_text(seconds)
                ));
            } else if start(key) != Some(interval.whole_start) {
                refused = Some(format!(
                    "the window of the message at {} begins elsewhere",
                    step_text(seconds)
                ));
            }
            if let Some(less) = less.filter(|less| *less >= self.own) {
                self.note(less, (key.run, key.step));
            }
        }
        if let Some(next) = interval.next {
            self.note(input, (key.run, next));
        }
        let end = self.view.step_seconds(group, key.step);
        let length = end.unwrap_or(interval.start) - interval.start;
        Term {
            input,
            less: before.and_then(|(_, less)| less),
            seconds: (kind == Deaccumulate::Rate).then_some(length as f64),
            refused,
        }
    }

    /// Notes that the store has a cell at a run and step that takes an input too.
    fn note(&mut self, input: usize, run_step: (u32, u32)) {
        let (group, number) = (self.fields.group, self.fields.number);
        let positions = self.view.time_positions(group, number, run_step);
        let portion = positions.and_then(|positions| self.fields.portion_of(&positions));
        if let Some(portion) = portion {
            self.again.insert((input, portion));
        }
    }
}

impl Recipe {
    /// Cells that cannot be computed, and why: inputs that did not come, or that do not fit.
    pub(super) fn missing(&self, gone: &BTreeMap<usize, String>) -> Vec<(u64, String)> {
        let why = |output: &Output| {
            output.terms.iter().find_map(|term| {
                let inputs = [Some(term.input), term.less].into_iter().flatten();
                let lost = inputs.filter_map(|input| gone.get(&input)).next();
                lost.cloned().or_else(|| term.refused.clone())
            })
        };
        let cells = self.outputs.iter();
        cells
            .filter_map(|output| Some((output.linear, why(output)?)))
            .collect()
    }

    /// How many cells are known to be missing before anything is fetched.
    pub(super) fn known_missing(&self) -> usize {
        let pending = self.pending.iter();
        let gone = pending.map(|(_, input)| (*input, String::new())).collect();
        self.missing(&gone).len()
    }

    /// The values of a tile, slot after slot, for each of `statistics` (for none: of the one array). Cells whose number is among `missing`
    /// stay NaN.
    pub(super) fn values(
        &self,
        statistics: &[Statistic],
        assembly: &std::sync::Mutex<Assembly>,
        (tile, points, slots): (usize, usize, usize),
        missing: &BTreeSet<u64>,
    ) -> io::Result<Vec<Vec<f32>>> {
        let mut made = vec![vec![f32::NAN; points * slots]; statistics.len().max(1)];
        let mut less = Vec::new();
        for output in &self.outputs {
            if missing.contains(&output.linear) {
                continue;
            }
            let mut members = vec![Vec::new(); output.terms.len()];
            for from in (0..points).step_by(STRIP) {
                let strip = from..(from + STRIP).min(points);
                for (term, values) in output.terms.iter().zip(&mut members) {
                    let read = |input, values: &mut Vec<f32>| {
                        lock(assembly).read(tile, input, strip.clone(), values)
                    };
                    read(term.input, values)?;
                    if let Some(input) = term.less {
                        read(input, &mut less)?;
                    } else {
                        less.clear();
                    }
                    term.apply(values, &less);
                }
                let first = output.slot * points;
                let places = first + strip.start..first + strip.end;
                let mut out: Vec<&mut [f32]> = made
                    .iter_mut()
                    .filter_map(|values| values.get_mut(places.clone()))
                    .collect();
                if statistics.is_empty() {
                    if let (Some(out), Some(values)) = (out.first_mut(), members.first())
                        && out.len() == values.len()
                    {
                        out.copy_from_slice(values);
                    }
                } else {
                    summarise(&members, statistics, &mut out);
                }
            }
        }
        Ok(made)
    }
}

impl Term {
    /// Subtracts and divides in place. A rate over a window of no length is NaN.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "results are float32 as the values are"
    )]
    fn apply(&self, values: &mut [f32], less: &[f32]) {
        if self.less.is_none() && self.seconds.is_none() {
            return;
        }
        let seconds = self.seconds.unwrap_or(1.0);
        let seconds = if seconds > 0.0 { seconds } else { f64::NAN };
        for (at, value) in values.iter_mut().enumerate() {
            let before = less.get(at).copied().map_or(0.0, f64::from);
            *value = ((f64::from(*value) - before) / seconds) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(less: Option<usize>, seconds: Option<f64>) -> Term {
        Term {
            input: 0,
            less,
            seconds,
            refused: None,
        }
    }

    #[test]
    fn differences_are_those_of_float32_and_noise_stays() {
        let own = [1.0_f32, 0.3, 5.0, f32::NAN, 2.0];
        let before = [0.25_f32, 0.1, 5.5, 1.0, f32::NAN];
        let mut values = own;
        term(Some(1), None).apply(&mut values, &before);
        for (at, value) in values.iter().enumerate() {
            assert_eq!(value.to_bits(), (own[at] - before[at]).to_bits());
        }
        assert_eq!(values[2], -0.5, "nothing is clipped");
        let mut values = own;
        term(None, None).apply(&mut values, &[]);
        assert_eq!(values[..3], own[..3]);
    }

    #[test]
    fn rates_are_by_the_seconds_of_the_window() {
        let mut values = [7.2_f32, 10.8];
        term(Some(1), Some(3600.0)).apply(&mut values, &[3.6, 0.0]);
        // numpy's (float64(float32(7.2)) - float64(float32(3.6))) / 3600 as float32.
        assert_eq!(values, [0.000_999_999_9, 0.003]);
        let mut values = [0.0_f32];
        term(None, Some(0.0)).apply(&mut values, &[]);
        assert!(values[0].is_nan());
    }

    #[test]
    fn a_cell_one_of_whose_inputs_did_not_come_is_missing() {
        let output = |linear, terms| Output {
            slot: 0,
            linear,
            terms,
        };
        let recipe = Recipe {
            outputs: vec![
                output(0, vec![term(None, None)]),
                output(
                    1,
                    vec![
                        term(None, None),
                        Term {
                            input: 2,
                            less: Some(3),
                            ..term(None, None)
                        },
                    ],
                ),
                output(
                    2,
                    vec![Term {
                        refused: Some("no".to_owned()),
                        ..term(None, None)
                    }],
                ),
            ],
            ..Recipe::default()
        };
        let gone = BTreeMap::from([(3, "404".to_owned())]);
        let missing = recipe.missing(&gone);
        assert_eq!(missing, [(1, "404".to_owned()), (2, "no".to_owned())]);
        assert_eq!(recipe.missing(&BTreeMap::new()).len(), 1);
    }
}

//! BestAvailable: for each array and valid time, the newest run whose cell is complete over levels and members.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::slice::BestRule;
use crate::dataset::{Collection, FieldArray, GridGroup};

/// A run and a step, as indices into the collection's runs and the group's steps.
pub(super) type RunStep = (u32, u32);

/// Choice of each array, by valid time in seconds.
pub(super) type Choices = BTreeMap<i64, RunStep>;

/// Choices of all arrays of a group that are `shown`; none for the others. Arrays that are covered alike share theirs.
pub(super) fn choices(
    collection: &Collection,
    group: &GridGroup,
    rule: BestRule,
    shown: impl Fn(&FieldArray) -> bool,
) -> Vec<Arc<Choices>> {
    let mut known: HashMap<Vec<(usize, usize, usize)>, Arc<Choices>> = HashMap::new();
    let none = Arc::new(Choices::new());
    let chosen = |array: &FieldArray| Arc::new(choose(collection, group, array, rule));
    group
        .arrays
        .iter()
        .map(|array| match array.cells.form() {
            _ if !shown(array) => Arc::clone(&none),
            Some(form) => Arc::clone(known.entry(form).or_insert_with(|| chosen(array))),
            None => chosen(array),
        })
        .collect()
}

/// The run and step that each valid time is read from, for one array.
///
/// Among the runs that have a valid time, the smallest step wins whose levels and members are as many as any of them has; so a run
/// that is still arriving does not blank what an older one holds, and one cell never mixes runs. Steps under the rule's
/// `min_step` do not count; by its exact form only steps of 0 do, and those of the newest run.
fn choose(
    collection: &Collection,
    group: &GridGroup,
    array: &FieldArray,
    rule: BestRule,
) -> Choices {
    let mut best: BTreeMap<i64, (usize, i64, RunStep)> = BTreeMap::new();
    for cover in array.cells.coverage() {
        let (Some(run), Some(step)) = (
            collection.runs.get(cover.run as usize),
            group.steps.get(cover.step as usize),
        ) else {
            continue;
        };
        let newest = Some(run) == collection.runs.last();
        if cover.present == 0 || !rule.takes(*step, newest) {
            continue;
        }
        let candidate = (cover.present, -*step, (cover.run, cover.step));
        best.entry(run.plus(*step).seconds())
            .and_modify(|known| {
                if (candidate.0, candidate.1) > (known.0, known.1) {
                    *known = candidate;
                }
            })
            .or_insert(candidate);
    }
    best.into_iter()
        .map(|(valid, (_, _, choice))| (valid, choice))
        .collect()
}

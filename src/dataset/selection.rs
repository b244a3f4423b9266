//! A part of a collection: some arrays, levels, steps, members and runs.
//!
//! A selection is applied to a whole [`Collection`], so an array's name never depends on what was selected. Cells outside are
//! dropped, then every axis shrinks to what the remaining cells use: of `gh` at 500 hPa nothing but that level is left.

use std::collections::BTreeSet;

use super::cells::Keep;
use super::collection::{Collection, GridGroup};
use super::grid_view::GridView;
use super::horizontal::describe;
use super::levels::LevelAxis;
use super::shrink::{compact, shrink, used_runs};
use super::slab::Shared;
use crate::time::{Instant, step_text};

/// Most names that an error lists.
const MOST_LISTED: usize = 60;

/// Values from `first` to `last`, both included; the ends of `i64` leave a side open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Least value.
    pub first: i64,
    /// Greatest value.
    pub last: i64,
}

impl Span {
    const fn has(self, value: i64) -> bool {
        self.first <= value && value <= self.last
    }
}

/// A level: on the axis of that type, or on any.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelChoice {
    /// Name of the level type (`isobaricInhPa`).
    pub level_type: Option<String>,
    /// Value in the axis' unit; of a layer, its first surface.
    pub value: f64,
}

/// What to show of a collection; an empty list takes everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Names of arrays; `*` and `?` stand for any characters and for one.
    pub variables: Vec<String>,
    /// Levels. An axis that is named keeps those given for it, the others keep all of theirs; a value without a type is meant for
    /// every axis. Arrays without levels stay.
    pub levels: Vec<LevelChoice>,
    /// Steps in seconds.
    pub steps: Vec<Span>,
    /// Members; arrays without members stay.
    pub members: Vec<Span>,
    /// Reference times in seconds since 1970.
    pub runs: Vec<Span>,
    /// How each grid is shown: which part of it, turned how.
    pub view: GridView,
}

/// A selection of what is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No such array, level, step, member or run.
    #[error("no {what} {wanted}; there {}: {known}", if known.contains(' ') { "are" } else { "is" })]
    Absent {
        /// Kind of thing.
        what: &'static str,
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// No cell of any grid lies in the box.
    #[error("no grid point lies in the box {bounds} (south,west,north,east); the grid is {grid}")]
    Outside {
        /// The box.
        bounds: String,
        /// The main grid.
        grid: String,
    },
    /// The main grid cannot be turned as asked.
    #[error("{refusal}: it is {grid}")]
    NotTurned {
        /// Which flag, and what the grid lacks.
        refusal: &'static str,
        /// The main grid.
        grid: String,
    },
    /// Each part exists, but nothing is in all of them.
    #[error("the selection leaves no message: each part exists, but not together")]
    Nothing,
}

impl Selection {
    /// Whether everything is selected.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a run is selected.
    #[must_use]
    pub fn takes_run(&self, run: Instant) -> bool {
        within(&self.runs, run.seconds())
    }

    /// The selected part of a collection.
    ///
    /// # Errors
    /// [`SelectionError`] if something is named that is not there, or nothing is left.
    pub fn select(&self, collection: Collection) -> Result<Collection, SelectionError> {
        self.check(&collection)?;
        let grid = collection.groups.first().map(|main| describe(&main.grid));
        if let Some(refusal) = collection
            .groups
            .first()
            .and_then(|main| self.view.refusal(&main.grid))
        {
            return Err(SelectionError::NotTurned {
                refusal,
                grid: grid.unwrap_or_default(),
            });
        }
        let only_box = Self {
            view: self.view.clone(),
            ..Self::default()
        };
        let cropped = only_box.apply(collection);
        if let (Some(bounds), true, Some(grid)) =
            (self.view.bounds, cropped.groups.is_empty(), grid)
        {
            return Err(SelectionError::Outside {
                bounds: bounds.to_string(),
                grid,
            });
        }
        let selected = self.apply(cropped);
        if selected.groups.is_empty() && !self.is_everything() {
            return Err(SelectionError::Nothing);
        }
        Ok(selected)
    }

    /// The selected part of a collection, whether or not all that is named is there.
    #[must_use]
    pub fn apply(&self, mut collection: Collection) -> Collection {
        if self.is_everything() {
            return collection;
        }
        collection.selection = self.clone();
        collection.groups.retain_mut(|group| match group.crop {
            Some(_) => true,
            None => match self.view.of(&group.grid) {
                Some(crop) => {
                    group.crop = crop;
                    true
                }
                None => false,
            },
        });
        let runs = kept(&collection.runs, |run| within(&self.runs, run.seconds()));
        for group in &mut collection.groups {
            self.filter(group, &runs);
        }
        collection.groups.retain(|group| !group.arrays.is_empty());
        let used = used_runs(&collection.groups);
        let runs = shrink(&mut collection.runs, &used);
        for group in &mut collection.groups {
            compact(group, &runs, &mut Shared::new());
        }
        if let Some(main) = collection.groups.first_mut() {
            main.name.clear();
        }
        collection
    }

    /// Drops the cells of a group that are not selected, and the arrays that are left without any.
    fn filter(&self, group: &mut GridGroup, runs: &[bool]) {
        let steps = kept(&group.steps, |step| within(&self.steps, *step));
        let members = kept(&group.members, |member| {
            within(&self.members, i64::from(*member))
        });
        let levels: Vec<Vec<bool>> = group
            .levels
            .iter()
            .map(|axis| kept(&axis.values, |(value, _)| self.has_level(axis, *value)))
            .collect();
        group.arrays.retain(|array| {
            let name = &array.naming.array;
            self.variables.is_empty() || self.variables.iter().any(|pattern| matches(pattern, name))
        });
        let mut shared = Shared::new();
        for array in &mut group.arrays {
            let levels = array.level_axis.and_then(|axis| levels.get(axis));
            let keep = Keep {
                runs,
                steps: &steps,
                levels: levels.map(Vec::as_slice),
                members: array.members.then_some(members.as_slice()),
            };
            array.cells.retain(keep, &mut shared);
        }
        group.arrays.retain(|array| !array.cells.is_empty());
    }

    fn has_level(&self, axis: &LevelAxis, value: f64) -> bool {
        let mut meant = self
            .levels
            .iter()
            .filter(|choice| choice.is_for(axis))
            .peekable();
        meant.peek().is_none() || meant.any(|choice| choice.is_at(value))
    }

    fn check(&self, collection: &Collection) -> Result<(), SelectionError> {
        let groups = &collection.groups;
        let names = || {
            groups
                .iter()
                .flat_map(|group| group.arrays.iter().map(|array| &array.naming.array))
        };
        for pattern in &self.variables {
            if !names().any(|name| matches(pattern, name)) {
                return Err(absent("array", pattern, names().map(Clone::clone)));
            }
        }
        for choice in &self.levels {
            choice.check(groups)?;
        }
        let steps: BTreeSet<i64> = groups.iter().flat_map(|g| g.steps.clone()).collect();
        check_spans("step", &self.steps, &steps, step_text)?;
        let members: BTreeSet<i64> = groups
            .iter()
            .flat_map(|group| group.members.iter().map(|member| i64::from(*member)))
            .collect();
        check_spans("member", &self.members, &members, |member| {
            member.to_string()
        })?;
        let runs: BTreeSet<i64> = collection.runs.iter().map(|run| run.seconds()).collect();
        check_spans("run", &self.runs, &runs, |run| Instant(run).path_name())
    }
}

impl LevelChoice {
    fn is_for(&self, axis: &LevelAxis) -> bool {
        self.level_type
            .as_ref()
            .is_none_or(|name| *name == axis.level_type.name)
    }

    fn is_at(&self, value: f64) -> bool {
        (self.value - value).abs() <= 1e-9 * self.value.abs().max(value.abs())
    }

    fn check(&self, groups: &[GridGroup]) -> Result<(), SelectionError> {
        let used: Vec<&LevelAxis> = groups
            .iter()
            .flat_map(|group| {
                let in_use = |axis: usize| group.arrays.iter().any(|a| a.level_axis == Some(axis));
                let axes = group.levels.iter().enumerate();
                axes.filter(move |(axis, _)| in_use(*axis))
                    .map(|(_, axis)| axis)
            })
            .collect();
        let mut meant = used.iter().filter(|axis| self.is_for(axis)).peekable();
        if meant.peek().is_none() {
            let wanted = self.level_type.as_deref().unwrap_or("at all");
            let types = used.iter().map(|axis| axis.level_type.name.to_string());
            return Err(absent("level type", wanted, types));
        }
        if meant.any(|axis| axis.values.iter().any(|(value, _)| self.is_at(*value))) {
            return Ok(());
        }
        let known = used
            .iter()
            .filter(|axis| self.is_for(axis))
            .flat_map(|axis| {
                let values = axis.values.iter();
                values.map(|(value, _)| format!("{}={value}", axis.level_type.name))
            });
        Err(absent("level", &self.value.to_string(), known))
    }
}

fn check_spans(
    what: &'static str,
    spans: &[Span],
    known: &BTreeSet<i64>,
    text: impl Fn(i64) -> String,
) -> Result<(), SelectionError> {
    for span in spans {
        if !known.iter().any(|value| span.has(*value)) {
            let end = |value| match value {
                i64::MIN | i64::MAX => String::new(),
                value => text(value),
            };
            let wanted = if span.first == span.last {
                text(span.first)
            } else {
                format!("in {}..{}", end(span.first), end(span.last))
            };
            return Err(absent(
                what,
                &wanted,
                known.iter().map(|value| text(*value)),
            ));
        }
    }
    Ok(())
}

fn absent(what: &'static str, wanted: &str, known: impl Iterator<Item = String>) -> SelectionError {
    let mut seen = BTreeSet::new();
    let known: Vec<String> = known.filter(|name| seen.insert(name.clone())).collect();
    let mut listed = known
        .iter()
        .take(MOST_LISTED)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ");
    if known.len() > MOST_LISTED {
        listed += &format!(" and {} more (gribfs info)", known.len() - MOST_LISTED);
    } else if known.is_empty() {
        listed.push_str("none");
    }
    SelectionError::Absent {
        what,
        wanted: wanted.to_owned(),
        known: listed,
    }
}

fn within(spans: &[Span], value: i64) -> bool {
    spans.is_empty() || spans.iter().any(|span| span.has(value))
}

fn kept<T>(values: &[T], keep: impl Fn(&T) -> bool) -> Vec<bool> {
    values.iter().map(keep).collect()
}

/// Whether a name is as a pattern says: `*` any characters, `?` one, all others themselves.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n, mut star) = (0, 0, None);
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(other) if *other == b'?' || other == byte => {
                p += 1;
                n += 1;
            }
            _ => {
                // Let the last star take one more.
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern
        .get(p..)
        .is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_globs() {
        for (pattern, name) in [
            ("t2m", "t2m"),
            ("t*", "t"),
            ("*_bucket6h", "tp_bucket6h"),
            ("?10", "u10"),
            ("*a*b", "aab"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("t", "t2m"), ("?", ""), ("T2M", "t2m"), ("*a*b", "aba")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn errors_say_what_there_is() {
        let known = BTreeSet::from([0, 3600]);
        let hour = Span {
            first: 7200,
            last: 7200,
        };
        let error = check_spans("step", &[hour], &known, step_text).unwrap_err();
        assert_eq!(error.to_string(), "no step 2h; there are: 0h 1h");
        let open = Span {
            first: 7200,
            last: i64::MAX,
        };
        let error = check_spans("step", &[open], &known, step_text).unwrap_err();
        assert_eq!(error.to_string(), "no step in 2h..; there are: 0h 1h");
        let known = BTreeSet::from([7]);
        let error = check_spans("member", &[hour], &known, |m| m.to_string()).unwrap_err();
        assert_eq!(error.to_string(), "no member 7200; there is: 7");
    }
}

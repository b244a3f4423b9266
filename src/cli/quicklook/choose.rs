//! Which cell of an array is drawn: what the flags say, and where they say nothing, what there is.

#![expect(
    clippy::cast_possible_truncation,
    reason = "times in whole seconds and members, checked to be below 1e15"
)]

use super::files::Files;
use super::zarr::ZarrArray;
use crate::cli::Failure;
use crate::time::{Instant, step_text};

/// Cells that are looked at to find one that is there.
const MOST_TRIES: usize = 200_000;

/// Values that a message about what there is lists.
const LISTED: usize = 12;

/// What the flags say.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Seconds since 1970.
    pub(super) run: Option<i64>,
    /// Seconds.
    pub(super) step: Option<i64>,
    /// Seconds since 1970.
    pub(super) valid_time: Option<i64>,
    pub(super) level: Option<f64>,
    pub(super) member: Option<i16>,
}

/// A cell, and what its coordinates say of it.
pub(super) struct Cell {
    /// Positions along all dimensions but those of the grid.
    pub(super) index: Vec<u64>,
    pub(super) run: Option<i64>,
    pub(super) step: Option<i64>,
    pub(super) valid_time: Option<i64>,
    /// Name, value and units.
    pub(super) level: Option<(String, f64, String)>,
    pub(super) member: Option<i64>,
}

/// A coordinate over some of the dimensions.
struct Coordinate {
    name: String,
    /// Its dimensions, as positions among the array's.
    axes: Vec<usize>,
    shape: Vec<u64>,
    values: Vec<f64>,
    units: String,
}

impl Coordinate {
    fn open(files: &Files, path: &str, leading: &[String]) -> Result<Option<Self>, Failure> {
        let Some(array) = ZarrArray::open(files, path)? else {
            return Ok(None);
        };
        let axes = array.dimensions.iter();
        let axes: Option<Vec<usize>> = axes
            .map(|name| leading.iter().position(|own| own == name))
            .collect();
        let Some(axes) = axes else {
            return Ok(None);
        };
        Ok(Some(Self {
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            axes,
            shape: array.shape.clone(),
            values: array.all(files)?,
            units: array.text("units").to_owned(),
        }))
    }

    fn at(&self, index: &[u64]) -> Option<f64> {
        let linear = self
            .axes
            .iter()
            .zip(&self.shape)
            .try_fold(0, |linear, (axis, length)| {
                Some(linear * length + index.get(*axis)?)
            })?;
        let value = self.values.get(usize::try_from(linear).ok()?)?;
        // Fill values of 64-bit integers are far beyond any time.
        (value.is_finite() && value.abs() < 1e15).then_some(*value)
    }

    /// Seconds of a time or a step.
    fn seconds(&self, index: &[u64]) -> Option<i64> {
        let unit = match self.units.split(' ').next().unwrap_or_default() {
            "hours" => 3600.0,
            "days" => 86_400.0,
            "minutes" => 60.0,
            _ => 1.0,
        };
        Some((self.at(index)? * unit).round() as i64)
    }
}

/// Whether a coordinate has a wanted value at a position.
type IsWanted<'a> = Box<dyn Fn(&Coordinate, &[u64]) -> bool + 'a>;

/// A demand of a flag on a coordinate.
struct Demand<'a> {
    flag: &'static str,
    coordinate: &'a Coordinate,
    is: IsWanted<'a>,
    show: fn(&Coordinate, &[u64]) -> String,
    wanted: String,
}

/// Finds the cell: the first one that is there, with the newest run first and the smallest of everything else.
pub(super) fn choose(
    files: &Files,
    group: &str,
    array: &ZarrArray,
    leading: usize,
    wanted: &Wanted,
) -> Result<Cell, Failure> {
    let names: Vec<String> = array.dimensions.iter().take(leading).cloned().collect();
    let open = |name: &str| Coordinate::open(files, &format!("{group}{name}"), &names);
    let (time, step, valid) = (open("time")?, open("step")?, open("valid_time")?);
    let number = open("number")?;
    let known = ["time", "step", "valid_time", "number"];
    let level_name = names.iter().find(|name| !known.contains(&name.as_str()));
    let level = match level_name {
        Some(name) => open(name)?,
        None => None,
    };
    let seconds = |wanted: i64| {
        Box::new(move |own: &Coordinate, index: &[u64]| own.seconds(index) == Some(wanted))
            as IsWanted<'_>
    };
    let moment: fn(&Coordinate, &[u64]) -> String = |own, index| {
        let at = own.seconds(index);
        at.map_or("?".to_owned(), |at| Instant(at).path_name())
    };
    let lead: fn(&Coordinate, &[u64]) -> String =
        |own, index| own.seconds(index).map_or("?".to_owned(), step_text);
    let plain: fn(&Coordinate, &[u64]) -> String = |own, index| {
        own.at(index)
            .map_or("?".to_owned(), |value| value.to_string())
    };
    let mut demands = Vec::new();
    let demand = |flag, coordinate: Option<&'_ Coordinate>| {
        coordinate
            .map(|_| ())
            .ok_or_else(|| Failure::usage(format!("{flag}: this array has no such axis")))
    };
    if let Some(run) = wanted.run {
        demand("--run", time.as_ref())?;
        demands.extend(time.as_ref().map(|coordinate| Demand {
            flag: "--run",
            coordinate,
            is: seconds(run),
            show: moment,
            wanted: Instant(run).path_name(),
        }));
    }
    if let Some(lead_wanted) = wanted.step {
        demand("--step", step.as_ref())?;
        demands.extend(step.as_ref().map(|coordinate| Demand {
            flag: "--step",
            coordinate,
            is: seconds(lead_wanted),
            show: lead,
            wanted: step_text(lead_wanted),
        }));
    }
    if let Some(at) = wanted.valid_time {
        demand("--valid-time", valid.as_ref())?;
        demands.extend(valid.as_ref().map(|coordinate| Demand {
            flag: "--valid-time",
            coordinate,
            is: seconds(at),
            show: moment,
            wanted: Instant(at).path_name(),
        }));
    }
    if let Some(value) = wanted.level {
        demand("--level", level.as_ref())?;
        demands.extend(level.as_ref().map(|coordinate| Demand {
            flag: "--level",
            coordinate,
            is: Box::new(move |own, index| {
                own.at(index)
                    .is_some_and(|own| (own - value).abs() <= value.abs() * 1e-9)
            }),
            show: plain,
            wanted: value.to_string(),
        }));
    }
    if let Some(member) = wanted.member {
        demand("--member", number.as_ref())?;
        demands.extend(number.as_ref().map(|coordinate| Demand {
            flag: "--member",
            coordinate,
            is: Box::new(move |own, index| own.at(index) == Some(f64::from(member))),
            show: plain,
            wanted: member.to_string(),
        }));
    }
    let candidates = candidates(array, &names, &demands)?;
    let index = first_there(files, array, &candidates, &demands)?;
    Ok(Cell {
        run: time.as_ref().and_then(|own| own.seconds(&index)),
        step: step.as_ref().and_then(|own| own.seconds(&index)),
        valid_time: valid.as_ref().and_then(|own| own.seconds(&index)),
        member: number
            .as_ref()
            .and_then(|own| own.at(&index))
            .map(|member| member as i64),
        level: level
            .as_ref()
            .and_then(|own| Some((own.name.clone(), own.at(&index)?, own.units.clone()))),
        index,
    })
}

/// Positions along each dimension that the flags leave, in the order in which they are tried.
fn candidates(
    array: &ZarrArray,
    names: &[String],
    demands: &[Demand<'_>],
) -> Result<Vec<Vec<u64>>, Failure> {
    let mut all = Vec::new();
    for (axis, name) in names.iter().enumerate() {
        let length = array.shape.get(axis).copied().unwrap_or_default();
        let mut positions: Vec<u64> = (0..length).collect();
        if name == "time" {
            positions.reverse();
        }
        for demand in demands
            .iter()
            .filter(|demand| demand.coordinate.axes == [axis])
        {
            let index = |at: u64| {
                let mut index = vec![0; names.len()];
                if let Some(own) = index.get_mut(axis) {
                    *own = at;
                }
                index
            };
            let there: Vec<String> = positions
                .iter()
                .map(|at| (demand.show)(demand.coordinate, &index(*at)))
                .collect();
            positions.retain(|at| (demand.is)(demand.coordinate, &index(*at)));
            if positions.is_empty() {
                return Err(Failure::usage(format!(
                    "{} {}: there is {}",
                    demand.flag,
                    demand.wanted,
                    listed(there)
                )));
            }
        }
        all.push(positions);
    }
    Ok(all)
}

fn listed(mut there: Vec<String>) -> String {
    let more = there.len().saturating_sub(LISTED);
    there.truncate(LISTED);
    let text = there.join(", ");
    if more > 0 {
        format!("{text} and {more} more")
    } else {
        text
    }
}

/// The first cell that has a chunk and meets every demand.
fn first_there(
    files: &Files,
    array: &ZarrArray,
    candidates: &[Vec<u64>],
    demands: &[Demand<'_>],
) -> Result<Vec<u64>, Failure> {
    let grid = array.shape.len() - candidates.len();
    let mut at = vec![0_usize; candidates.len()];
    let mut met = false;
    for _ in 0..MOST_TRIES {
        let index: Option<Vec<u64>> = candidates
            .iter()
            .zip(&at)
            .map(|(own, at)| own.get(*at).copied())
            .collect();
        let Some(index) = index else { break };
        if demands
            .iter()
            .all(|demand| (demand.is)(demand.coordinate, &index))
        {
            met = true;
            let mut element = index.clone();
            element.extend(std::iter::repeat_n(0, grid));
            if files.exists(&array.key_of(&element)) {
                return Ok(index);
            }
        }
        let mut axis = candidates.len();
        loop {
            let Some(before) = axis.checked_sub(1) else {
                return Err(nothing(met, demands));
            };
            axis = before;
            let (Some(own), Some(list)) = (at.get_mut(axis), candidates.get(axis)) else {
                return Err(nothing(met, demands));
            };
            *own += 1;
            if *own < list.len() {
                break;
            }
            *own = 0;
        }
    }
    Err(nothing(met, demands))
}

fn nothing(met: bool, demands: &[Demand<'_>]) -> Failure {
    let said: Vec<String> = demands
        .iter()
        .map(|demand| format!("{} {}", demand.flag, demand.wanted))
        .collect();
    let said = said.join(" ");
    if met {
        Failure::failed(format!("a gap: there is no message for {said}").trim_end_matches(" for "))
    } else {
        Failure::usage(format!("{said}: no cell has all of this"))
    }
}

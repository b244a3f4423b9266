//! A copy in parts, each made by a process of its own, on any machine: which blocks a part has, and its record in the destination.
//!
//! Part 3 of 16 has the third sixteenth of the values, in whole blocks, so that no two parts write the same chunk file. That follows from
//! the shape of the store alone: parts need not know of each other. `.gribfs-copy.part-3-of-16.json` is the [`State`] of part 3; only its
//! process writes it. The store comes to be when all records say that their parts are done.

use std::fmt;
use std::str::FromStr;

use super::layout::Layout;
use super::state::State;
use crate::zarr::key::chunk_positions;

/// Most parts of a copy.
const MOST: u32 = 100_000;
/// Most parts that a message names.
const NAMED: usize = 20;

/// One of the parts of a copy: 3 of 16 is `3/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u32,
    /// Count of parts.
    pub of: u32,
}

/// A text that names no part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: a part is written 3/16, from 1/16 to 16/16")]
pub struct PartError(String);

impl FromStr for Part {
    type Err = PartError;

    fn from_str(text: &str) -> Result<Self, PartError> {
        let wrong = || PartError(text.to_owned());
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let plain = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u32>().ok()).flatten()
        };
        let number = plain(number).ok_or_else(wrong)?;
        let of = plain(of).ok_or_else(wrong)?;
        if number == 0 || number > of || of > MOST {
            return Err(wrong());
        }
        Ok(Self { number, of })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Part {
    /// Name of its record.
    pub(super) fn record(self) -> String {
        format!(".gribfs-copy.part-{}-of-{}.json", self.number, self.of)
    }

    /// The part of whose record this is the name.
    pub(super) fn of_record(name: &str) -> Option<Self> {
        let inner = name.strip_prefix(".gribfs-copy.part-")?;
        let (number, of) = inner.strip_suffix(".json")?.split_once("-of-")?;
        let part: Self = format!("{number}/{of}").parse().ok()?;
        (part.record() == name).then_some(part)
    }

    /// Whether it has the piece of work that begins behind `before` of `all`.
    pub(super) fn has(self, before: u128, all: u128) -> bool {
        let part = (before * u128::from(self.of)).checked_div(all).unwrap_or(0);
        part == u128::from(self.number - 1)
    }

    /// Whether it may have any of the pieces from `first` to before `end`.
    fn touches(self, first: u128, end: u128, all: u128) -> bool {
        let of = |before: u128| (before * u128::from(self.of)).checked_div(all).unwrap_or(0);
        let own = u128::from(self.number - 1);
        first < end && (of(first)..=of(end - 1)).contains(&own)
    }
}

/// The blocks of a layout in the order of work, weighed: a portion after the other, in it an array after the other.
#[derive(Clone, Debug)]
pub(super) struct Share {
    part: Part,
    arrays: Vec<Weights>,
    all: u128,
}

/// Blocks of an array: none for coordinates.
#[derive(Clone, Debug)]
struct Weights {
    portions: u64,
    inner: Vec<u64>,
    /// Of a portion, and of a block.
    portion: u128,
    block: u128,
}

impl Share {
    /// What a part has of a layout.
    pub(super) fn new(part: Part, layout: &Layout) -> Self {
        let arrays: Vec<Weights> = layout
            .targets
            .iter()
            .enumerate()
            .map(|(number, target)| {
                // Computed arrays are written together with the first of those that are made of the same fields.
                let follows = target
                    .derived
                    .is_some_and(|derived| derived.leader != number);
                let Some(fields) = target.fields.as_ref().filter(|_| !follows) else {
                    return Weights {
                        portions: 0,
                        inner: Vec::new(),
                        portion: 0,
                        block: 0,
                    };
                };
                let grid = fields.block_grid();
                let (portions, inner) = match grid.split_first() {
                    Some((outer, inner)) => (*outer, inner.to_vec()),
                    None => (1, Vec::new()),
                };
                let block = u128::from(fields.block_bytes().max(1));
                let count: u64 = inner.iter().product();
                Weights {
                    portions,
                    inner,
                    portion: block * u128::from(count),
                    block,
                }
            })
            .collect();
        let all = arrays.iter().map(|array| array.before(u64::MAX)).sum();
        Self { part, arrays, all }
    }

    fn before(&self, portion: u64) -> u128 {
        self.arrays.iter().map(|array| array.before(portion)).sum()
    }

    /// Whether the part may have blocks of a portion.
    pub(super) fn has_portion(&self, portion: u64) -> bool {
        let (first, end) = (self.before(portion), self.before(portion + 1));
        self.part.touches(first, end, self.all)
    }

    /// Whether the part has the block of an array at a position of the block grid.
    pub(super) fn has(&self, target: usize, at: &[u64]) -> bool {
        let portion = at.first().copied().unwrap_or(0);
        let earlier = self
            .arrays
            .iter()
            .take(target)
            .filter(|array| portion < array.portions)
            .map(|array| array.portion);
        let Some(own) = self.arrays.get(target) else {
            return false;
        };
        let inner = at.get(1..).unwrap_or_default();
        let linear = inner
            .iter()
            .zip(&own.inner)
            .fold(0_u64, |linear, (at, length)| linear * length + at);
        debug_assert_eq!(chunk_positions(linear, &own.inner), inner);
        let before = self.before(portion) + earlier.sum::<u128>() + u128::from(linear) * own.block;
        self.part.has(before, self.all)
    }
}

impl Weights {
    /// All before a portion.
    fn before(&self, portion: u64) -> u128 {
        u128::from(portion.min(self.portions)) * self.portion
    }
}

/// What is to be said of the records of a copy in parts: nothing if all parts are done.
pub(super) fn lacking(of: u32, records: &[(Part, State)]) -> Option<String> {
    let done = |number: u32| {
        let own = records.iter().find(|(part, _)| part.number == number);
        own.is_some_and(|(_, state)| state.finished)
    };
    let open: Vec<u32> = (1..=of).filter(|number| !done(*number)).collect();
    if open.is_empty() {
        return None;
    }
    let mut named: Vec<String> = open.iter().take(NAMED).map(u32::to_string).collect();
    if open.len() > NAMED {
        named.push(format!("and {} more", open.len() - NAMED));
    }
    Some(format!(
        "{} of {of} parts are not done: {}",
        open.len(),
        named.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named() {
        let part: Part = "3/16".parse().unwrap();
        assert_eq!((part.to_string().as_str(), part.of), ("3/16", 16));
        assert_eq!(Part::of_record(&part.record()), Some(part));
        for text in [
            "", "3", "0/4", "5/4", "+1/4", "1/ 4", "1/4/4", "-1/4", "1/100001",
        ] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
        for name in [
            ".gribfs-copy.json",
            ".gribfs-copy.part-03-of-16.json",
            ".gribfs-copy.part-3-of-2.json",
        ] {
            assert_eq!(Part::of_record(name), None, "{name}");
        }
    }

    #[test]
    fn each_block_is_in_one_part_and_parts_are_about_as_large() {
        let weights = |portions, inner: &[u64], block: u128| Weights {
            portions,
            inner: inner.to_vec(),
            portion: block * u128::from(inner.iter().product::<u64>()),
            block,
        };
        let arrays = vec![
            weights(0, &[], 0),
            weights(7, &[2, 3], 10),
            weights(3, &[], 25),
            weights(1, &[40], 1),
        ];
        let all: u128 = arrays.iter().map(|array| array.before(u64::MAX)).sum();
        for of in [1, 2, 5, 90, 1000] {
            let mut sizes = vec![0_u128; of as usize];
            for (number, size) in (1..).zip(&mut sizes) {
                let part = Part { number, of };
                let share = Share {
                    part,
                    arrays: arrays.clone(),
                    all,
                };
                for (target, array) in arrays.iter().enumerate() {
                    for portion in 0..array.portions {
                        for linear in 0..array.inner.iter().product() {
                            let mut at = vec![portion];
                            at.extend(chunk_positions(linear, &array.inner));
                            if share.has(target, &at) {
                                assert!(share.has_portion(portion));
                                *size += array.block;
                            }
                        }
                    }
                }
            }
            // Each block once: a block in two parts, or in none, would change the sum.
            assert_eq!(sizes.iter().sum::<u128>(), all);
            let fair = all / u128::from(of);
            assert!(sizes.iter().all(|size| *size <= fair + 26), "{sizes:?}");
        }
    }

    #[test]
    fn parts_that_lack_are_named() {
        let state = |finished| {
            let mut state = State::new(serde_json::Value::Null, None);
            state.finished = finished;
            state
        };
        let record = |number, finished| (Part { number, of: 3 }, state(finished));
        let all = [record(3, true), record(1, true), record(2, true)];
        assert_eq!(lacking(3, &all), None);
        assert_eq!(
            lacking(3, &[record(2, false), record(1, true)]).unwrap(),
            "2 of 3 parts are not done: 2, 3"
        );
    }
}

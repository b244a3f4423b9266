//! What only the file as a whole tells: lengths, lines that are equal, places that contradict each other.
//!
//! NOAA's dialect has no lengths: a message ends where the next greater offset of the file begins, wherever in the file that
//! stands (offsets `0, 2000, 1000` give lengths `1000, ?, 1000`). The last one ends with the object, where its size is known.

use std::fmt;
use std::hash::BuildHasher as _;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::error::IndexError;
use super::{Dialect, Doubt, IndexFile, IndexLine};

/// What is odd about an index file that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The last line has no newline: what should follow may be missing.
    NoFinalNewline,
    /// Lines of different runs.
    SeveralRuns {
        /// The first line of another run than the first line's.
        line: u32,
    },
    /// A message with a higher number lies before one with a lower number, or two of them at one place, or one at two.
    Disorder {
        /// A line that contradicts.
        line: u32,
        /// The line that it contradicts.
        other: u32,
    },
    /// ECMWF: bytes that belong to two messages.
    Overlap {
        /// The line of the message that starts inside another.
        line: u32,
        /// The line of that other message.
        other: u32,
    },
    /// ECMWF: the object goes on after the last message of the index.
    Uncovered {
        /// End of the last message.
        end: u64,
        /// Size of the object.
        size: u64,
    },
    /// Lines equal in words, time, member and run: see [`super::Doubt::Repeat`].
    Repeats {
        /// How many lines have an equal one before them.
        count: u32,
    },
}

impl Warning {
    /// Whether places contradict each other, so that the GRIB's headers should be walked instead.
    #[must_use]
    pub const fn asks_rescan(&self) -> bool {
        match self {
            Self::Disorder { .. } | Self::Overlap { .. } | Self::Uncovered { .. } => true,
            Self::NoFinalNewline | Self::SeveralRuns { .. } | Self::Repeats { .. } => false,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFinalNewline => {
                f.write_str("the last line has no newline: the index may be cut")
            }
            Self::SeveralRuns { line } => {
                write!(f, "line {line} is of another run than the first line")
            }
            Self::Disorder { line, other } => write!(
                f,
                "lines {other} and {line} contradict each other: message numbers and offsets do not ascend together"
            ),
            Self::Overlap { line, other } => write!(
                f,
                "the message of line {line} begins inside the message of line {other}"
            ),
            Self::Uncovered { end, size } => write!(
                f,
                "the last message ends at byte {end}, but the object has {size} bytes"
            ),
            Self::Repeats { count } => write!(
                f,
                "{count} lines have the words, time, member and run of a line before them"
            ),
        }
    }
}

/// Fills in what needs all lines, and looks for contradictions.
pub(super) fn settle(file: &mut IndexFile<'_>, object_size: Option<u64>) -> Result<(), IndexError> {
    if !file.text.ends_with('\n') {
        file.warnings.push(Warning::NoFinalNewline);
    }
    let first_run = file.lines.first().and_then(|line| line.run);
    let other_run = file.lines.iter().find(|line| line.run != first_run);
    file.warnings
        .extend(other_run.map(|line| Warning::SeveralRuns { line: line.line }));
    let warning = match file.dialect {
        Dialect::Noaa => {
            derive_lengths(&mut file.lines, object_size);
            disorder(&file.lines)
        }
        Dialect::Ecmwf => overlap(&file.lines, object_size),
    };
    file.warnings.extend(warning);
    if let Some(size) = object_size {
        beyond(&file.lines, size)?;
    }
    let repeats = mark_repeats(&mut file.lines);
    if repeats > 0 {
        file.warnings.push(Warning::Repeats { count: repeats });
    }
    Ok(())
}

fn beyond(lines: &[IndexLine], size: u64) -> Result<(), IndexError> {
    let outside = lines.iter().find(|line| {
        line.offset >= size
            || line
                .length
                .is_some_and(|length| line.offset.saturating_add(length) > size)
    });
    outside.map_or(Ok(()), |line| {
        Err(IndexError::BeyondObject {
            line: line.line,
            offset: line.offset,
            size,
        })
    })
}

fn derive_lengths(lines: &mut [IndexLine], object_size: Option<u64>) {
    if lines.is_sorted_by(|a, b| a.offset <= b.offset) {
        let mut next = object_size;
        let mut at = u64::MAX;
        let mut end = None;
        for line in lines.iter_mut().rev() {
            if line.offset != at {
                end = next;
                at = line.offset;
                next = Some(at);
            }
            line.length = end.and_then(|end| end.checked_sub(line.offset));
        }
        return;
    }
    let mut offsets: Vec<u64> = lines.iter().map(|line| line.offset).collect();
    offsets.sort_unstable();
    offsets.dedup();
    for line in lines {
        let next = offsets.partition_point(|offset| *offset <= line.offset);
        let end = offsets.get(next).copied().or(object_size);
        line.length = end.and_then(|end| end.checked_sub(line.offset));
    }
}

/// The first place where message numbers, field numbers and offsets do not go together.
fn disorder(lines: &[IndexLine]) -> Option<Warning> {
    let fits = |a: &IndexLine, b: &IndexLine| {
        if a.message == b.message {
            a.offset == b.offset && a.numbered_field && b.numbered_field && a.field < b.field
        } else {
            a.message < b.message && a.offset < b.offset
        }
    };
    if lines.is_sorted_by(fits) {
        return None;
    }
    // Filtered and sorted inventories keep the numbers: in their order all must fit. The same line twice is a repeat.
    let mut sorted: Vec<&IndexLine> = lines.iter().collect();
    sorted.sort_by_key(|line| (line.message, line.field));
    sorted.dedup_by_key(|line| {
        (
            line.message,
            line.field,
            line.offset,
            line.kind,
            line.when.step(),
        )
    });
    sorted.windows(2).find_map(|pair| match pair {
        [a, b] if !fits(a, b) => Some(Warning::Disorder {
            line: b.line,
            other: a.line,
        }),
        _ => None,
    })
}

fn overlap(lines: &[IndexLine], object_size: Option<u64>) -> Option<Warning> {
    let end = |line: &IndexLine| line.offset.saturating_add(line.length.unwrap_or(0));
    let apart = |a: &IndexLine, b: &IndexLine| end(a) <= b.offset;
    if !lines.is_sorted_by(apart) {
        let mut sorted: Vec<&IndexLine> = lines.iter().collect();
        sorted.sort_by_key(|line| (line.offset, line.length, line.kind));
        sorted.dedup_by_key(|line| {
            (
                line.offset,
                line.length,
                line.kind,
                line.member,
                line.when.step(),
            )
        });
        let found = sorted.windows(2).find_map(|pair| match pair {
            [a, b] if !apart(a, b) => Some(Warning::Overlap {
                line: b.line,
                other: a.line,
            }),
            _ => None,
        });
        if found.is_some() {
            return found;
        }
    }
    let end = lines.iter().map(end).max()?;
    let size = object_size.filter(|size| *size > end)?;
    Some(Warning::Uncovered { end, size })
}

/// Numbers the lines that are equal but for their place; counts all but the first of each.
fn mark_repeats(lines: &mut [IndexLine]) -> u32 {
    let hasher = DefaultHashBuilder::default();
    let key = |line: &IndexLine| (line.kind, line.when, line.member, line.run);
    let at = |number: u32, lines: &[IndexLine]| lines.get(usize::try_from(number).ok()?).copied();
    // The last line of each key, by its place in `lines`; few of them are ever looked at again.
    let mut last: HashTable<u32> = HashTable::with_capacity(lines.len());
    let mut repeats = 0;
    for number in 0..u32::try_from(lines.len()).unwrap_or(u32::MAX) {
        let Some(line) = at(number, lines) else { break };
        let entry = last.entry(
            hasher.hash_one(key(&line)),
            |other| at(*other, lines).is_some_and(|other| key(&other) == key(&line)),
            |other| at(*other, lines).map_or(0, |other| hasher.hash_one(key(&other))),
        );
        let mut entry = match entry {
            Entry::Vacant(entry) => {
                entry.insert(number);
                continue;
            }
            Entry::Occupied(entry) => entry,
        };
        let before = std::mem::replace(entry.get_mut(), number);
        let mut count = 1;
        if let Some(other) = usize::try_from(before)
            .ok()
            .and_then(|at| lines.get_mut(at))
        {
            other.repeat = other.repeat.max(1);
            other.doubt.get_or_insert(Doubt::Repeat);
            count = other.repeat.saturating_add(1);
        }
        if let Some(line) = usize::try_from(number)
            .ok()
            .and_then(|at| lines.get_mut(at))
        {
            line.repeat = count;
            line.doubt.get_or_insert(Doubt::Repeat);
        }
        repeats += 1;
    }
    repeats
}

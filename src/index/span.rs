//! Counts of time units and ranges of them, as wgrib2 writes them: `24 hour`, `0-1 day`, `5 day-(5 day+1 month)`.
//!
//! Months and longer units have no fixed seconds: they follow the calendar of the run.

use std::fmt;

use crate::time::{Instant, Window};

/// A unit of time (Code Table 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// `sec`
    Second,
    /// `min`
    Minute,
    /// `hour`
    Hour,
    /// `3-hours`
    Hours3,
    /// `6-hours`
    Hours6,
    /// `12-hours`
    Hours12,
    /// `day`
    Day,
    /// `month`: of the calendar.
    Month,
    /// `year`
    Year,
    /// `decade`
    Decade,
    /// `normal`: 30 years.
    Normal,
    /// `century`
    Century,
}

impl Unit {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Hour, "hour"),
        (Self::Day, "day"),
        (Self::Minute, "min"),
        (Self::Month, "month"),
        (Self::Year, "year"),
        (Self::Second, "sec"),
        (Self::Hours3, "3-hours"),
        (Self::Hours6, "6-hours"),
        (Self::Hours12, "12-hours"),
        (Self::Decade, "decade"),
        (Self::Normal, "normal"),
        (Self::Century, "century"),
    ];

    /// wgrib2's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|entry| entry.0 == self)
            .map_or("hour", |entry| entry.1)
    }

    /// Seconds of units of fixed length, months of the others.
    const fn size(self) -> Size {
        match self {
            Self::Second => Size::Seconds(1),
            Self::Minute => Size::Seconds(60),
            Self::Hour => Size::Seconds(3600),
            Self::Hours3 => Size::Seconds(3 * 3600),
            Self::Hours6 => Size::Seconds(6 * 3600),
            Self::Hours12 => Size::Seconds(12 * 3600),
            Self::Day => Size::Seconds(86_400),
            Self::Month => Size::Months(1),
            Self::Year => Size::Months(12),
            Self::Decade => Size::Months(120),
            Self::Normal => Size::Months(360),
            Self::Century => Size::Months(1200),
        }
    }

    /// Takes a unit's word off the front of `text`; what follows it must not be a letter.
    pub(super) fn take(text: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|(unit, word)| {
            let rest = text.strip_prefix(word)?;
            (!rest.starts_with(|c: char| c.is_ascii_alphabetic())).then_some((unit, rest))
        })
    }
}

enum Size {
    Seconds(i64),
    Months(i64),
}

/// A count of units: `24 hour`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// How many; negative before the run.
    pub count: i64,
    /// Of what.
    pub unit: Unit,
}

impl Span {
    /// Seconds from `from` to `from` plus this span; months and years follow the calendar. `None` on overflow.
    #[must_use]
    pub fn seconds(self, from: Instant) -> Option<i64> {
        match self.unit.size() {
            Size::Seconds(size) => self.count.checked_mul(size),
            Size::Months(size) => {
                let months = i32::try_from(self.count.checked_mul(size)?).ok()?;
                from.plus_months(months)?.0.checked_sub(from.0)
            }
        }
    }

    pub(super) fn take(text: &str) -> Option<(Self, &str)> {
        let (count, rest) = take_int(text)?;
        let (unit, rest) = Unit::take(rest.strip_prefix(' ')?)?;
        Some((Self { count, unit }, rest))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.count, self.unit.word())
    }
}

/// The window of a statistic as written: both ends in one unit, or a start and a length in units of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// Start, from the reference time.
    pub start: Span,
    /// End, from the reference time.
    pub end: RangeEnd,
}

/// How a [`Range`] gives its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RangeEnd {
    /// `0-6 hour`, `0 hour-6 hour`: from the reference time.
    At(Span),
    /// `5 day-(5 day+1 month)`: from the start.
    After(Span),
}

impl Range {
    /// The range of a window in seconds, folded as wgrib2 folds: in the largest of sec, min, hour, day that divides
    /// start and length.
    #[must_use]
    pub fn folded(window: Window) -> Self {
        let unit = [
            (86_400, Unit::Day),
            (3600, Unit::Hour),
            (60, Unit::Minute),
            (1, Unit::Second),
        ]
        .into_iter()
        .find(|(size, _)| window.start % size == 0 && window.length() % size == 0)
        .unwrap_or((1, Unit::Second));
        let span = |seconds: i64| Span {
            count: seconds / unit.0,
            unit: unit.1,
        };
        Self {
            start: span(window.start),
            end: RangeEnd::At(span(window.end)),
        }
    }

    /// Start and end in seconds from the reference time `run`. `None` if it ends before it starts, or on overflow.
    #[must_use]
    pub fn window(self, run: Instant) -> Option<Window> {
        let start = self.start.seconds(run)?;
        let end = match self.end {
            RangeEnd::At(span) => span.seconds(run)?,
            RangeEnd::After(span) => {
                let from = Instant(run.0.checked_add(start)?);
                start.checked_add(span.seconds(from)?)?
            }
        };
        (start <= end).then_some(Window { start, end })
    }

    pub(super) fn take(text: &str) -> Option<(Self, &str)> {
        let (first, rest) = take_int(text)?;
        if let Some(rest) = rest.strip_prefix('-') {
            let (last, rest) = take_int(rest)?;
            let (unit, rest) = Unit::take(rest.strip_prefix(' ')?)?;
            let span = |count| Span { count, unit };
            let end = RangeEnd::At(span(last));
            return Some((
                Self {
                    start: span(first),
                    end,
                },
                rest,
            ));
        }
        let (unit, rest) = Unit::take(rest.strip_prefix(' ')?)?;
        let start = Span { count: first, unit };
        let rest = rest.strip_prefix('-')?;
        if let Some(rest) = rest.strip_prefix('(') {
            let (again, rest) = Span::take(rest)?;
            let (length, rest) = Span::take(rest.strip_prefix('+')?)?;
            let end = RangeEnd::After(length);
            return (again == start).then_some((Self { start, end }, rest.strip_prefix(')')?));
        }
        let (end, rest) = Span::take(rest)?;
        let end = RangeEnd::At(end);
        Some((Self { start, end }, rest))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start;
        match self.end {
            RangeEnd::At(end) if end.unit == start.unit => write!(f, "{}-{end}", start.count),
            RangeEnd::At(end) => write!(f, "{start}-{end}"),
            RangeEnd::After(length) => write!(f, "{start}-({start}+{length})"),
        }
    }
}

/// A whole number with an optional minus sign off the front of `text`.
pub(super) fn take_int(text: &str) -> Option<(i64, &str)> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=15).contains(&count) {
        return None;
    }
    let (number, rest) = digits.split_at_checked(count)?;
    let value = number
        .bytes()
        .fold(0_i64, |sum, b| sum * 10 + i64::from(b - b'0'));
    Some((
        if digits.len() < text.len() {
            -value
        } else {
            value
        },
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_fold_as_wgrib2_folds_them() {
        let folded = |start, end| Range::folded(Window { start, end }).to_string();
        assert_eq!(folded(0, 0), "0-0 day");
        assert_eq!(folded(0, 86_400), "0-1 day");
        assert_eq!(folded(86_400, 172_800), "1-2 day");
        assert_eq!(folded(43_200, 86_400), "12-24 hour");
        assert_eq!(folded(0, 36 * 3600), "0-36 hour");
        assert_eq!(folded(28_800, 32_400), "8-9 hour");
        assert_eq!(folded(28_800, 29_700), "480-495 min");
        assert_eq!(folded(-600, 0), "-10-0 min");
    }
}

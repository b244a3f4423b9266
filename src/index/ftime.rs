//! wgrib2's forecast time (field 6 of a line): `anl`, `24 hour fcst`, `0-1 day acc fcst` and their nested relatives.
//!
//! A range is printed in the largest unit that divides its start and its length, so one variable changes unit along a
//! run (`0-23 hour acc`, `0-1 day acc`, `0-25 hour acc`): only [`Ftime::window`], in seconds, may be compared.
//!
//! Source: NOAA-EMC/wgrib2, `Ftime.c` and `Statistical_processing.c` (their output, not their text).

use std::fmt;

use super::statistic::Statistic;
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
    fn take(text: &str) -> Option<(Self, &str)> {
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

    fn take(text: &str) -> Option<(Self, &str)> {
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

    fn take(text: &str) -> Option<(Self, &str)> {
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

/// What the values of a window's statistic are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// `fcst`: one window of one forecast.
    Forecast,
    /// `@(fcst,dt=6 hour),missing=0`: successive steps of one forecast.
    Steps {
        /// Distance of the steps.
        every: Span,
        /// How many were missing; `None` if not known (`-1`) or not written.
        missing: Option<u32>,
    },
    /// `anl`: analyses of successive reference times.
    Analyses,
    /// `(6 hour fcst)`: forecasts of one lead from successive reference times.
    Lead(Span),
}

/// A forecast time, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ftime<'a> {
    /// `anl`: no lead time, or a lead of 0.
    Analysis,
    /// `24 hour fcst`
    Instant(Span),
    /// A statistic over a window.
    Window {
        /// When.
        range: Range,
        /// Which.
        statistic: Statistic,
        /// Of what.
        over: Over,
    },
    /// `4@6 hour ave(0-6 hour acc fcst),missing=0`: a statistic over reference times, of what is in the brackets.
    References {
        /// How many reference times.
        count: u32,
        /// Their distance.
        every: Span,
        /// The outer statistic.
        statistic: Statistic,
        /// What it is taken of: an analysis, an instant or a window.
        inner: Box<Ftime<'a>>,
        /// How many were missing; `None` if not known (`-1`) or not written.
        missing: Option<u32>,
    },
    /// Any other form: the header decides.
    Other(&'a str),
}

impl<'a> Ftime<'a> {
    /// Reads field 6 of a line. Never fails: what is not one of the forms is [`Ftime::Other`].
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        Self::simple(text)
            .or_else(|| Self::references(text))
            .unwrap_or(Self::Other(text))
    }

    fn simple(text: &'a str) -> Option<Self> {
        if text == "anl" {
            return Some(Self::Analysis);
        }
        if let Some(lead) = text.strip_suffix(" fcst")
            && let Some((span, "")) = Span::take(lead)
        {
            return Some(Self::Instant(span));
        }
        let (range, rest) = Range::take(text)?;
        let rest = rest.strip_prefix(' ')?;
        let (statistic, over) = Self::statistic_over(rest)?;
        Some(Self::Window {
            range,
            statistic,
            over,
        })
    }

    /// What follows a range: `acc fcst`, `fcst`, `ave anl`, `acc@(fcst,dt=6 hour),missing=0`, `ave(6 hour fcst)`.
    fn statistic_over(text: &str) -> Option<(Statistic, Over)> {
        if text == "fcst" {
            return Some((Statistic::Missing, Over::Forecast));
        }
        if let Some(word) = text.strip_suffix(" fcst") {
            return Some((Statistic::from_word(word)?, Over::Forecast));
        }
        if let Some(word) = text.strip_suffix(" anl") {
            return Some((Statistic::from_word(word)?, Over::Analyses));
        }
        if let Some((word, rest)) = text.split_once("@(fcst,dt=") {
            let (every, rest) = Span::take(rest)?;
            let missing = take_missing(rest.strip_prefix(')')?)?;
            return Some((Statistic::from_word(word)?, Over::Steps { every, missing }));
        }
        let (word, rest) = text.split_once('(')?;
        let (lead, " fcst)") = Span::take(rest)? else {
            return None;
        };
        Some((Statistic::from_word(word)?, Over::Lead(lead)))
    }

    /// `n@N unit stat(inner)`, one level deep.
    fn references(text: &'a str) -> Option<Self> {
        let (count, rest) = take_int(text)?;
        let (every, rest) = Span::take(rest.strip_prefix('@')?)?;
        let (word, rest) = rest.strip_prefix(' ')?.split_once('(')?;
        let statistic = Statistic::from_word(word.trim_end())?;
        let close = rest.rfind(')')?;
        let (inner, tail) = (rest.get(..close)?, rest.get(close + 1..)?);
        let unsigned = |text: &'a str| {
            text.strip_prefix("++")
                .or_else(|| text.strip_prefix("--"))
                .unwrap_or(text)
        };
        let missing = take_missing(unsigned(tail))?;
        let inner = inner
            .strip_suffix("++")
            .or_else(|| inner.strip_suffix("--"))
            .unwrap_or(inner);
        Some(Self::References {
            count: u32::try_from(count).ok()?,
            every,
            statistic,
            inner: Box::new(Self::simple(inner)?),
            missing,
        })
    }

    /// Start and end of what the line holds, in seconds from `run`, where the text alone is sure of it; `None` where the
    /// header decides (statistics over reference times, unknown forms, windows that end before they start).
    #[must_use]
    pub fn window(&self, run: Instant) -> Option<Window> {
        match self {
            Self::Analysis => Some(Window::instant(0)),
            Self::Instant(lead) => Some(Window::instant(lead.seconds(run)?)),
            Self::Window {
                range,
                over: Over::Forecast | Over::Steps { .. } | Over::Analyses,
                ..
            } => range.window(run),
            Self::Window {
                over: Over::Lead(_),
                ..
            }
            | Self::References { .. }
            | Self::Other(_) => None,
        }
    }

    /// The statistic, the outermost of several; `None` for an instant and for forms that are not read.
    #[must_use]
    pub const fn statistic(&self) -> Option<Statistic> {
        match self {
            Self::Analysis | Self::Instant(_) | Self::Other(_) => None,
            Self::Window { statistic, .. } | Self::References { statistic, .. } => Some(*statistic),
        }
    }

    /// Appends the words of the time that name a kind of field, without any number: nothing for an instant, `acc`,
    /// `acc@` (successive steps), `ave anl`; for other forms the text with `N` for each number.
    pub(super) fn push_words(&self, text: &str, words: &mut String) {
        match self {
            Self::Analysis | Self::Instant(_) => {}
            Self::Window {
                statistic, over, ..
            } => {
                words.push_str(statistic.word());
                words.push_str(match over {
                    Over::Forecast => "",
                    Over::Steps { .. } => "@",
                    Over::Analyses => " anl",
                    Over::Lead(_) => " lead",
                });
            }
            Self::References { .. } | Self::Other(_) => {
                let mut in_number = false;
                words.push('?');
                for c in text.chars() {
                    let digit = c.is_ascii_digit();
                    if !digit {
                        words.push(c);
                    } else if !in_number {
                        words.push('N');
                    }
                    in_number = digit;
                }
            }
        }
    }
}

impl fmt::Display for Ftime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Analysis => f.write_str("anl"),
            Self::Instant(lead) => write!(f, "{lead} fcst"),
            Self::Window {
                range,
                statistic,
                over,
            } => {
                write!(f, "{range} {}", statistic.word())?;
                match over {
                    Over::Forecast => f.write_str(" fcst"),
                    Over::Analyses => f.write_str(" anl"),
                    Over::Lead(lead) => write!(f, "({lead} fcst)"),
                    Over::Steps { every, missing } => {
                        write!(f, "@(fcst,dt={every}),{}", Missing(*missing))
                    }
                }
            }
            Self::References {
                count,
                every,
                statistic,
                inner,
                missing,
            } => write!(
                f,
                "{count}@{every} {}({inner}),{}",
                statistic.word(),
                Missing(*missing)
            ),
            Self::Other(text) => f.write_str(text),
        }
    }
}

struct Missing(Option<u32>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(count) => write!(f, "missing={count}"),
            None => f.write_str("missing=-1"),
        }
    }
}

/// The end of a form: nothing, or `,missing=N` with -1 for "not known".
fn take_missing(text: &str) -> Option<Option<u32>> {
    if text.is_empty() {
        return Some(None);
    }
    let (count, "") = take_int(text.strip_prefix(",missing=")?)? else {
        return None;
    };
    Some(u32::try_from(count).ok())
}

/// A whole number with an optional minus sign off the front of `text`.
fn take_int(text: &str) -> Option<(i64, &str)> {
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

    fn run() -> Instant {
        Instant::from_calendar(2025, 1, 31, 0, 0, 0).unwrap()
    }

    fn window(text: &str) -> Option<(i64, i64)> {
        Ftime::parse(text)
            .window(run())
            .map(|window| (window.start, window.end))
    }

    #[test]
    fn instants_and_windows_become_seconds() {
        for (text, start, end) in [
            ("anl", 0, 0),
            ("24 hour fcst", 86_400, 86_400),
            ("495 min fcst", 29_700, 29_700),
            ("30 sec fcst", 30, 30),
            ("2 6-hours fcst", 43_200, 43_200),
            ("23-24 hour max fcst", 82_800, 86_400),
            ("0-1 day acc fcst", 0, 86_400),
            ("0-0 day max fcst", 0, 0),
            ("490-495 min ave fcst", 29_400, 29_700),
            ("-10-0 min acc fcst", -600, 0),
            ("-10--5 min acc fcst", -600, -300),
            ("12-24 hour fcst", 43_200, 86_400),
            ("0-6 hour ave anl", 0, 21_600),
            ("18-24 hour acc@(fcst,dt=6 hour),missing=0", 64_800, 86_400),
            (
                "5-29 hour acc@(fcst,dt=24 hour),missing=-1",
                18_000,
                104_400,
            ),
            ("6 hour-1 day ave fcst", 21_600, 86_400),
            ("6 hour-(6 hour+90 min) ave fcst", 21_600, 27_000),
            ("0-6 hour last-first fcst", 0, 21_600),
            ("0-6 hour standardized anomaly fcst", 0, 21_600),
        ] {
            assert_eq!(window(text), Some((start, end)), "{text}");
        }
    }

    #[test]
    fn months_follow_the_calendar_of_the_run() {
        assert_eq!(window("1 month fcst"), Some((28 * 86_400, 28 * 86_400)));
        assert_eq!(
            window("0-1 year ave fcst"),
            Some((0, 365 * 86_400)),
            "2025 has 365 days"
        );
        assert_eq!(
            window("1 day-(1 day+1 month) ave fcst"),
            Some((86_400, 29 * 86_400)),
            "February from the 1st"
        );
    }

    #[test]
    fn a_statistic_over_reference_times_is_read_but_left_to_the_header() {
        let text = "4@6 hour ave(0-6 hour acc fcst),missing=0";
        let Ftime::References {
            count: 4,
            every,
            statistic: Statistic::Average,
            inner,
            missing: Some(0),
        } = Ftime::parse(text)
        else {
            panic!("{:?}", Ftime::parse(text));
        };
        assert_eq!(every.seconds(run()), Some(21_600));
        assert_eq!(
            inner.window(run()),
            Some(Window {
                start: 0,
                end: 21_600
            })
        );
        assert_eq!(inner.statistic(), Some(Statistic::Accumulation));
        assert_eq!(window(text), None);
        for text in [
            "124@6 hour ave(anl++),missing=0",
            "124@6 hour ave(6 hour fcst)++,missing=0",
        ] {
            assert!(
                matches!(Ftime::parse(text), Ftime::References { count: 124, .. }),
                "{text}"
            );
        }
    }

    #[test]
    fn other_forms_are_left_to_the_header() {
        for text in [
            "",
            "0-12 hour ave(24:12 hour fcst)",
            "0-6 hour ave(12 hour fcst)",
            "ensemble ave-3 valid 6 hour",
            "0-6 hour (subinterval) ave",
            "Code Table 4.11=reserved",
            "6 ? fcst",
            "6 missing fcst",
            "24-12 hour acc fcst",
            "0-6 hour bogus fcst",
            "99999999999999999999 hour fcst",
            "999999999999999 century fcst",
            "6 hours fcst",
            "6 hour fc",
        ] {
            assert_eq!(window(text), None, "{text}");
        }
    }

    #[test]
    fn words_hold_no_number() {
        let words = |text: &str| {
            let mut words = String::new();
            Ftime::parse(text).push_words(text, &mut words);
            words
        };
        assert_eq!(words("anl"), words("24 hour fcst"));
        assert_eq!(words("0-1 day acc fcst"), words("0-23 hour acc fcst"));
        assert_eq!(words("0-1 day acc fcst"), "acc");
        assert_eq!(words("12-24 hour fcst"), "missing");
        assert_eq!(words("18-24 hour acc@(fcst,dt=6 hour),missing=0"), "acc@");
        assert_eq!(
            words("124@6 hour ave(anl++),missing=0"),
            "?N@N hour ave(anl++),missing=N"
        );
    }

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

//! wgrib2's forecast time (field 6 of a line): `anl`, `24 hour fcst`, `0-1 day acc fcst` and their nested relatives.
//!
//! A range is printed in the largest unit that divides its start and its length, so one variable changes unit along a
//! run (`0-23 hour acc`, `0-1 day acc`, `0-25 hour acc`): only [`Ftime::window`], in seconds, may be compared.
//!
//! Source: NOAA-EMC/wgrib2, `Ftime.c` and `Statistical_processing.c` (their output, not their text).

use std::fmt;

use super::span::{Range, Span, take_int};
use super::statistic::Statistic;
use crate::time::{Instant, Window};

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
}

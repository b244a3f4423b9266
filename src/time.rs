//! Instants, steps and windows: UTC seconds since 1970, and how they are written.
//!
//! A run's reference time is an [`Instant`]; a step is a lead from it in seconds; a [`Window`] is the pair of steps over
//! which a statistic was taken. `2026-11-22T00` + 21 h = `2026-11-22T21`.
//!
//! Knows the calendar. Knows no GRIB codes and no index text.

use std::fmt;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Timelike as _};

/// A moment, in whole seconds since 1970-01-01T00:00:00 UTC (proleptic Gregorian, no leap seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub i64);

impl Instant {
    /// The instant of a calendar date and time, or `None` if there is no such date.
    #[must_use]
    pub fn from_calendar(
        year: i32,
        month: u32,
        day: u32,
        hour: u32,
        minute: u32,
        second: u32,
    ) -> Option<Self> {
        let date = NaiveDate::from_ymd_opt(year, month, day)?.and_hms_opt(hour, minute, second)?;
        Some(Self(date.and_utc().timestamp()))
    }

    /// Seconds since 1970-01-01T00:00:00 UTC.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// The instant `seconds` later (earlier, if negative); saturates at the ends of the range.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The instant `count` calendar months later; the day is cut to the length of the month.
    #[must_use]
    pub fn plus_months(self, count: i32) -> Option<Self> {
        let at = self.calendar()?;
        let months = i64::from(at.year()) * 12 + i64::from(at.month0()) + i64::from(count);
        let (year, month) = (
            i32::try_from(months.div_euclid(12)).ok()?,
            u32::try_from(months.rem_euclid(12)).ok()? + 1,
        );
        (28..=31)
            .rev()
            .filter(|last| at.day() >= *last || *last == 28)
            .find_map(|last| {
                Self::from_calendar(
                    year,
                    month,
                    at.day().min(last),
                    at.hour(),
                    at.minute(),
                    at.second(),
                )
            })
    }

    /// Reads `YYYY-MM-DDTHH`, `YYYY-MM-DDTHHMM`, `YYYY-MM-DDTHH:MM[:SS][Z]`, `YYYY-MM-DD`, `YYYYMMDDHH` or `YYYYMMDDHHMM`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('Z');
        if !text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b':' | b'T' | b' '))
        {
            return None;
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let number = |from: usize, to: usize| {
            digits
                .get(from..to)
                .map_or(Some(0), |part| part.parse::<u32>().ok())
        };
        if !matches!(digits.len(), 8 | 10 | 12 | 14) {
            return None;
        }
        let year = i32::try_from(number(0, 4)?).ok()?;
        let part = |at: usize| {
            if digits.len() >= at + 2 {
                number(at, at + 2)
            } else {
                Some(0)
            }
        };
        Self::from_calendar(year, part(4)?, part(6)?, part(8)?, part(10)?, part(12)?)
    }

    fn calendar(self) -> Option<NaiveDateTime> {
        DateTime::from_timestamp(self.0, 0).map(|at| at.naive_utc())
    }

    /// The name of a run in paths: `2026-11-22T00`, with minutes only where there are any (`2026-11-22T0015`).
    #[must_use]
    pub fn path_name(self) -> String {
        match self.calendar() {
            Some(at) if at.second() != 0 => at.format("%Y-%m-%dT%H%M%S").to_string(),
            Some(at) if at.minute() != 0 => at.format("%Y-%m-%dT%H%M").to_string(),
            Some(at) => at.format("%Y-%m-%dT%H").to_string(),
            None => format!("@{}", self.0),
        }
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.calendar() {
            Some(at) => write!(f, "{}Z", at.format("%Y-%m-%dT%H:%M:%S")),
            None => write!(f, "@{}", self.0),
        }
    }
}

/// Start and end of a field's validity as steps, in seconds from the run's reference time. An instant has both equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// First moment of the window, in seconds from the reference time; may be negative.
    pub start: i64,
    /// Last moment of the window: the field's step, in seconds from the reference time.
    pub end: i64,
}

impl Window {
    /// A window of no length: an instant.
    #[must_use]
    pub const fn instant(step: i64) -> Self {
        Self {
            start: step,
            end: step,
        }
    }

    /// Length in seconds.
    #[must_use]
    pub const fn length(self) -> i64 {
        self.end.saturating_sub(self.start)
    }
}

/// A step as people write it: `24h`, `7h15m`, `90s`.
#[must_use]
pub fn step_text(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let left = seconds.unsigned_abs();
    let (hours, minutes, seconds) = (left / 3600, left / 60 % 60, left % 60);
    match (hours, minutes, seconds) {
        (h, 0, 0) => format!("{sign}{h}h"),
        (0, m, 0) => format!("{sign}{m}m"),
        (0, 0, s) => format!("{sign}{s}s"),
        (h, m, 0) => format!("{sign}{h}h{m}m"),
        (h, m, s) => format!("{sign}{h}h{m}m{s}s"),
    }
}

/// Reads a step as [`step_text`] writes it (`24h`, `7h15m`, `90s`, `-10m`), days too (`10d`, `1d6h`).
#[must_use]
pub fn parse_step(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let mut total = 0_i64;
    let mut units: &[(char, i64)] = &[('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest.get(..end)?.parse().ok()?;
        let unit = rest.get(end..)?.chars().next()?;
        // From the larger to the smaller, each once.
        let at = units.iter().position(|(known, _)| *known == unit)?;
        total = total.checked_add(number.checked_mul(units.get(at)?.1)?)?;
        units = units.get(at + 1..)?;
        rest = rest.get(end + 1..)?;
    }
    (units.len() < 4).then_some(sign * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_and_written() {
        let run = Instant::from_calendar(2026, 11, 22, 6, 0, 0).unwrap();
        assert_eq!(run.path_name(), "2026-11-22T06");
        for text in [
            "2026-11-22T06",
            "2026112206",
            "2026-11-22T06:00:00Z",
            "2026-11-22T0600",
        ] {
            assert_eq!(Instant::parse(text), Some(run), "{text}");
        }
        assert_eq!(Instant::parse("2026-11-32"), None);
        assert_eq!(Instant::parse("noon"), None);
        assert_eq!(run.plus(900).path_name(), "2026-11-22T0615");
        assert_eq!(run.to_string(), "2026-11-22T06:00:00Z");
    }

    #[test]
    fn months_keep_the_day_where_they_can() {
        let day = Instant::from_calendar(2024, 1, 31, 0, 0, 0).unwrap();
        assert_eq!(
            day.plus_months(1),
            Instant::from_calendar(2024, 2, 29, 0, 0, 0)
        );
        assert_eq!(
            day.plus_months(-2),
            Instant::from_calendar(2023, 11, 30, 0, 0, 0)
        );
        assert_eq!(
            day.plus_months(12),
            Instant::from_calendar(2025, 1, 31, 0, 0, 0)
        );
    }

    #[test]
    fn steps_are_written_as_people_do() {
        assert_eq!(step_text(86_400), "24h");
        assert_eq!(step_text(29_700), "8h15m");
        assert_eq!(step_text(-600), "-10m");
        for step in [0, 86_400, 29_700, -600, 90, 3_661] {
            assert_eq!(parse_step(&step_text(step)), Some(step));
        }
        assert_eq!(parse_step("1d6h"), Some(108_000));
        for text in [
            "",
            "-",
            "24",
            "h",
            "6h6h",
            "6m1h",
            "six",
            "9999999999999999d",
        ] {
            assert_eq!(parse_step(text), None, "{text}");
        }
    }
}

//! Lines as text again: what a file says, written by the rules of its dialect.
//!
//! Reading what was written gives the same lines and kinds (places in the file aside): the property that the tests hold
//! both directions to. Times are folded as wgrib2 folds them; a time that only the header settles stays verbatim.

use std::fmt::Write as _;

use super::ftime::{Ftime, Over};
use super::kinds::KindWords;
use super::noaa::NoaaWords;
use super::span::{Range, Span, Unit};
use super::statistic::Statistic;
use super::{IndexFile, IndexLine, When};
use crate::grib::identity::Member;
use crate::time::{Instant, Window};

impl IndexFile<'_> {
    /// The whole file, written anew.
    #[must_use]
    pub fn print(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(&self.print_line(line));
            text.push('\n');
        }
        text
    }

    /// One line of this file, written anew, without an end of line.
    #[must_use]
    pub fn print_line(&self, line: &IndexLine) -> String {
        match self.kind(line).map(|kind| &kind.parts) {
            Some(KindWords::Noaa(words)) => noaa(line, words, self.source(line)),
            Some(KindWords::Ecmwf(words)) => {
                let pairs = words.pairs.iter();
                ecmwf(
                    line,
                    pairs.map(|(key, value)| (key.as_ref(), value.as_ref())),
                )
            }
            None => String::new(),
        }
    }
}

fn noaa(line: &IndexLine, words: &NoaaWords<'_>, source: &str) -> String {
    let mut text = line.message.to_string();
    if line.numbered_field {
        push(&mut text, format_args!(".{}", u32::from(line.field) + 1));
    }
    let date = line.run.map_or_else(String::new, date_text);
    push(
        &mut text,
        format_args!(
            ":{}:{date}:{}:{}:{}",
            line.offset,
            words.variable,
            words.level,
            time_text(line, words, source)
        ),
    );
    if let Some(member) = line.member {
        push(&mut text, format_args!(":{}", member_text(member)));
    }
    if !words.misc.is_empty() {
        push(&mut text, format_args!(":{}", words.misc));
    }
    text.push(':');
    text
}

/// Writing to a String does not fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

/// `d=` with hours, or with minutes and seconds where there are any.
fn date_text(run: Instant) -> String {
    let digits: String = run
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    match digits.strip_suffix("0000") {
        Some(hours) => format!("d={hours}"),
        None => format!("D={digits}"),
    }
}

fn time_text(line: &IndexLine, words: &NoaaWords<'_>, source: &str) -> String {
    let window = match line.when {
        When::Window(window) => window,
        When::End(step) => Window::instant(step),
        When::Header => {
            let fields = super::NoaaLine::parse(source);
            return fields.map_or_else(|_| String::new(), |fields| fields.ftime.to_owned());
        }
    };
    let Some(over) = words.over else {
        let (count, unit) = match window.end {
            0 => return "anl".to_owned(),
            s if s % 3600 == 0 => (s / 3600, Unit::Hour),
            s if s % 60 == 0 => (s / 60, Unit::Minute),
            s => (s, Unit::Second),
        };
        return Ftime::Instant(Span { count, unit }).to_string();
    };
    let range = Range::folded(window);
    let statistic = words.statistic.unwrap_or(Statistic::Missing);
    Ftime::Window {
        range,
        statistic,
        over: match over {
            // The distance of the steps is no part of the kind; any will do that reads the same.
            Over::Steps { every, .. } => Over::Steps {
                every,
                missing: Some(0),
            },
            Over::Forecast | Over::Analyses | Over::Lead(_) => over,
        },
    }
    .to_string()
}

fn member_text(member: Member) -> String {
    let number = member.number;
    match member.kind {
        0 if number == 0 => "ENS=hi-res ctl".to_owned(),
        1 if number == 0 => "ENS=low-res ctl".to_owned(),
        2 => format!("ENS=-{number}"),
        3 => format!("ENS=+{number}"),
        4 => format!("MM-ENS={number}"),
        192 => format!("ENS={number}"),
        kind => format!("ENS=? table4.6={kind} pert={number}"),
    }
}

fn ecmwf<'p>(line: &IndexLine, pairs: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    let mut object = serde_json::Map::new();
    let mut add = |key: &str, value: serde_json::Value| object.insert(key.to_owned(), value);
    if let Some(run) = line.run {
        let digits: String = run
            .to_string()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let (date, time) = digits.split_at_checked(8).unwrap_or_default();
        add("date", date.into());
        add("time", time.get(..4).unwrap_or_default().into());
    }
    for (key, value) in pairs {
        add(key, value.into());
    }
    let hours = |seconds: i64| match seconds % 3600 {
        0 => (seconds / 3600).to_string(),
        rest if rest % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    };
    match line.when {
        When::End(step) => {
            add("step", hours(step).into());
        }
        When::Window(window) => {
            let (start, end) = (hours(window.start), hours(window.end));
            // A bare number is in the unit of the end, so a unit at the end asks for one at the start.
            let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            let unit = if plain(&start) && !plain(&end) {
                "h"
            } else {
                ""
            };
            add("step", format!("{start}{unit}-{end}").into());
        }
        When::Header => {}
    }
    if let Some(member) = line.member {
        add("number", member.number.to_string().into());
    }
    add("_offset", line.offset.into());
    if let Some(length) = line.length {
        add("_length", length.into());
    }
    serde_json::Value::Object(object).to_string()
}

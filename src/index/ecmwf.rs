//! ECMWF's `.index`: one JSON object per line, keys in any order.
//!
//! `{"domain": "g", "date": "20250301", "time": "0000", "type": "pf", "stream": "enfo", "step": "102", "levtype": "sfc",
//! "number": "21", "param": "tp", "_offset": 0, "_length": 812043}`
//!
//! `date`, `time`, `step`, `number`, `_offset` and `_length` are read; all other keys, known or not, are words of the kind.
//! A line names the end of a window at most: where it starts is for the header of the kind to say.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::error::{Excerpt, IndexError, LineFault};
use super::json;
use super::kinds::{Interner, KindText, KindWords};
use super::noaa::digits;
use super::{Doubt, IndexLine, RawLine, When, line_capacity, lines_of};
use crate::grib::identity::Member;
use crate::time::{Instant, Window};

/// Code Table 4.6 "missing": the line has no word for the kind of member.
const MEMBER_KIND_UNKNOWN: u8 = 255;

/// The words of a kind of field in ECMWF's dialect: its keys other than run, step, number and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcmwfWords<'a> {
    /// Keys and values: `param`, `levtype`, `levelist`, `type`, `stream`, `class`, `model`, `domain`, `expver` in this order where
    /// they are there, then the others by name.
    pub pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl EcmwfWords<'_> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut pairs = self.pairs.iter();
        pairs
            .find(|(other, _)| other == key)
            .map(|(_, value)| value.as_ref())
    }

    /// Whether the message is BUFR, not GRIB (`type` `tf`: tropical cyclone tracks).
    #[must_use]
    pub fn is_bufr(&self) -> bool {
        self.get("type") == Some("tf")
    }
}

/// Keys with a fixed place among the words.
const ORDERED: [&str; 9] = [
    "param", "levtype", "levelist", "type", "stream", "class", "model", "domain", "expver",
];

/// Reads all lines of a file in ECMWF's dialect.
pub(super) fn read<'a>(
    text: &'a str,
    kinds: &mut Interner<'a>,
    lines: &mut Vec<IndexLine>,
) -> Result<(), IndexError> {
    lines.reserve_exact(line_capacity(text)?);
    let mut runs = Runs::default();
    for raw in lines_of(text) {
        let number = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        let mut values = Values::default();
        let line = if json::plain(raw.text, |key, value| values.put(key, value)).is_some() {
            line(&raw, number, &mut values, kinds, &mut runs, Cow::Borrowed)
        } else if let Some(name) = values.twice {
            Err(LineFault::Twice(name).into())
        } else {
            let pairs = json::unusual(raw.text).map_err(|what| raw.error(LineFault::Json(what)))?;
            let mut values = Values::default();
            for (key, value) in &pairs {
                values.put(key, value);
            }
            line(&raw, number, &mut values, kinds, &mut runs, |text| {
                Cow::Owned(text.to_owned())
            })
        };
        lines.push(line.map_err(|refusal| refuse(&raw, refusal))?);
    }
    Ok(())
}

/// What the keys of one line say, before it is put together.
#[derive(Default)]
struct Values<'v> {
    offset: Option<&'v str>,
    length: Option<&'v str>,
    date: Option<&'v str>,
    time: Option<&'v str>,
    step: Option<&'v str>,
    number: Option<&'v str>,
    /// Values of the keys of [`ORDERED`].
    ordered: [Option<&'v str>; ORDERED.len()],
    /// All other pairs.
    others: Vec<(&'v str, &'v str)>,
    /// A known key that stood twice.
    twice: Option<&'static str>,
}

impl<'v> Values<'v> {
    /// Takes a pair in; false if its key was there before.
    fn put(&mut self, key: &'v str, value: &'v str) -> bool {
        let [
            param,
            levtype,
            levelist,
            kind,
            stream,
            class,
            model,
            domain,
            expver,
        ] = &mut self.ordered;
        let (slot, name) = match key {
            "_offset" => (&mut self.offset, "_offset"),
            "_length" => (&mut self.length, "_length"),
            "date" => (&mut self.date, "date"),
            "time" => (&mut self.time, "time"),
            "step" => (&mut self.step, "step"),
            "number" => (&mut self.number, "number"),
            "param" => (param, "param"),
            "levtype" => (levtype, "levtype"),
            "levelist" => (levelist, "levelist"),
            "type" => (kind, "type"),
            "stream" => (stream, "stream"),
            "class" => (class, "class"),
            "model" => (model, "model"),
            "domain" => (domain, "domain"),
            "expver" => (expver, "expver"),
            _ => {
                self.others.push((key, value));
                return true;
            }
        };
        if slot.is_some() {
            self.twice = Some(name);
            return false;
        }
        *slot = Some(value);
        true
    }

    /// The keys and values that are words of the kind, in their order.
    fn words(&self) -> impl Iterator<Item = (&'v str, &'v str)> {
        let ordered = ORDERED
            .iter()
            .zip(self.ordered)
            .filter_map(|(key, value)| Some((*key, value?)));
        ordered.chain(self.others.iter().copied())
    }

    /// All keys of the line.
    fn keys(&self) -> impl Iterator<Item = &'v str> {
        let known = [
            ("_offset", self.offset),
            ("_length", self.length),
            ("date", self.date),
            ("time", self.time),
            ("step", self.step),
            ("number", self.number),
        ];
        let known = known.into_iter().filter(|(_, value)| value.is_some());
        known
            .map(|(key, _)| key)
            .chain(self.words().map(|(key, _)| key))
    }
}

/// Why a line is refused.
enum Refusal {
    /// Keys that are missing, and those that are there.
    Foreign(String, String),
    Fault(LineFault),
}

impl From<LineFault> for Refusal {
    fn from(fault: LineFault) -> Self {
        Self::Fault(fault)
    }
}

fn refuse(raw: &RawLine<'_>, refusal: Refusal) -> IndexError {
    match refusal {
        Refusal::Fault(fault) => raw.error(fault),
        Refusal::Foreign(missing, keys) => IndexError::ForeignJson {
            line: raw.number,
            missing,
            keys: Excerpt::new(&keys),
        },
    }
}

/// The refusal of a line without one of the keys that every line must have.
fn foreign(values: &Values<'_>) -> Refusal {
    let list = |names: &mut dyn Iterator<Item = &str>| {
        let quoted: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        quoted.join(", ")
    };
    let [param, ..] = values.ordered;
    let wanted = [
        ("_offset", values.offset),
        ("_length", values.length),
        ("param", param),
    ];
    let mut missing = wanted
        .into_iter()
        .filter_map(|(name, value)| value.is_none().then_some(name));
    Refusal::Foreign(list(&mut missing), list(&mut values.keys()))
}

fn line<'a, 'v>(
    raw: &RawLine<'_>,
    number: u32,
    values: &mut Values<'v>,
    kinds: &mut Interner<'a>,
    runs: &mut Runs,
    keep: impl Fn(&'v str) -> Cow<'a, str>,
) -> Result<IndexLine, Refusal> {
    let [param, _, _, kind, ..] = values.ordered;
    let (Some(offset), Some(length), Some(_)) = (values.offset, values.length, param) else {
        return Err(foreign(values));
    };
    let offset = match digits(offset) {
        Some(offset) => offset,
        None if offset.starts_with('-') => return Err(LineFault::NegativeOffset.into()),
        None => return Err(LineFault::Value("_offset").into()),
    };
    let length = digits(length)
        .filter(|length| *length > 0 && offset.checked_add(*length).is_some())
        .ok_or(LineFault::Value("_length"))?;
    let run = match (values.date, values.time) {
        (Some(date), Some(time)) => Some(runs.read(date, time)?),
        (None, _) | (_, None) => None,
    };
    let when = match values.step {
        Some(step) => read_step(step).ok_or(LineFault::Value("step"))?,
        None => When::Header,
    };
    let member = match (values.number, kind) {
        (Some(number), _) => Some(
            digits(number)
                .and_then(|number| u16::try_from(number).ok())
                .ok_or(LineFault::Value("number"))?,
        ),
        (None, Some("cf")) => Some(0),
        (None, _) => None,
    };
    let doubt = match (when, kind) {
        (When::Header, _) => Some(Doubt::Time),
        (_, Some("pf")) if member.is_none() => Some(Doubt::Member),
        _ => None,
    };
    values.others.sort_unstable();
    Ok(IndexLine {
        line: raw.number,
        message: number.saturating_add(1),
        field: 0,
        numbered_field: false,
        offset,
        length: Some(length),
        run,
        kind: kind_number(values, kinds, number, keep),
        when,
        member: member.map(|number| Member {
            kind: MEMBER_KIND_UNKNOWN,
            number,
        }),
        repeat: 0,
        doubt,
        at: raw.at,
    })
}

/// The number of the line's kind, found by the values themselves: the text of the words is made for a new kind only.
fn kind_number<'a, 'v>(
    values: &Values<'v>,
    kinds: &mut Interner<'a>,
    sample: u32,
    keep: impl Fn(&'v str) -> Cow<'a, str>,
) -> u32 {
    let hash = kinds.hash(&(values.ordered, &values.others));
    let same = |kind: &KindText<'a>| match &kind.parts {
        KindWords::Noaa(_) => false,
        KindWords::Ecmwf(words) => {
            let pairs = words.pairs.iter();
            values
                .words()
                .eq(pairs.map(|(key, value)| (key.as_ref(), value.as_ref())))
        }
    };
    kinds.intern(hash, same, || {
        let mut text = String::new();
        for (key, value) in values.words() {
            if !text.is_empty() {
                text.push(',');
            }
            push_word(key, &mut text);
            text.push('=');
            push_word(value, &mut text);
        }
        let pairs = values.words().map(|(key, value)| (keep(key), keep(value)));
        KindText {
            words: Cow::Owned(text),
            sample,
            parts: KindWords::Ecmwf(EcmwfWords {
                pairs: pairs.collect(),
            }),
        }
    })
}

/// A word, in quotes if it could be mistaken for more than one.
fn push_word(word: &str, words: &mut String) {
    if word
        .bytes()
        .any(|b| matches!(b, b',' | b'=' | b'"' | b'\\'))
    {
        // Writing to a String does not fail.
        let _ = write!(words, "{word:?}");
    } else {
        words.push_str(word);
    }
}

/// `102`, `0-24`, `15m`: hours unless a unit follows.
fn read_step(text: &str) -> Option<When> {
    let bound = |text: &str| {
        let (count, size) = match text.strip_suffix(|c: char| c.is_ascii_alphabetic()) {
            None => (text, 3600),
            Some(count) => (
                count,
                match text.as_bytes().last()? {
                    b'h' => 3600,
                    b'm' => 60,
                    b's' => 1,
                    b'd' => 86_400,
                    _ => return None,
                },
            ),
        };
        i64::try_from(digits(count)?).ok()?.checked_mul(size)
    };
    let Some((start, end)) = text.split_once('-') else {
        return Some(When::End(bound(text)?));
    };
    // `15-30m` has its unit at the end for both.
    let end_seconds = bound(end)?;
    let start = match end.bytes().last().filter(u8::is_ascii_alphabetic) {
        Some(unit) if start.ends_with(|c: char| c.is_ascii_digit()) => {
            bound(&format!("{start}{}", char::from(unit)))?
        }
        Some(_) | None => bound(start)?,
    };
    (start <= end_seconds).then_some(When::Window(Window {
        start,
        end: end_seconds,
    }))
}

/// Runs by their texts; a file has one, nearly always.
#[derive(Default)]
struct Runs {
    date: String,
    time: String,
    run: Option<Instant>,
}

impl Runs {
    fn read(&mut self, date: &str, time: &str) -> Result<Instant, LineFault> {
        if let Some(run) = self.run
            && self.date == date
            && self.time == time
        {
            return Ok(run);
        }
        let run = read_run(date, time)?;
        date.clone_into(&mut self.date);
        time.clone_into(&mut self.time);
        self.run = Some(run);
        Ok(run)
    }
}

/// `20250301` and `0600`; a time may be a number without its leading zeros (`600`), or hours alone (`06`).
fn read_run(date: &str, time: &str) -> Result<Instant, LineFault> {
    let compact: String = date.chars().filter(|c| *c != '-').collect();
    let ymd = digits(&compact)
        .filter(|_| compact.len() == 8)
        .and_then(|ymd| u32::try_from(ymd).ok())
        .ok_or(LineFault::Value("date"))?;
    let hm = digits(time)
        .filter(|_| (1..=4).contains(&time.len()))
        .and_then(|hm| u32::try_from(hm).ok())
        .map(|hm| if time.len() <= 2 { hm * 100 } else { hm })
        .ok_or(LineFault::Value("time"))?;
    if hm / 100 > 23 || hm % 100 > 59 {
        return Err(LineFault::Value("time"));
    }
    let year = i32::try_from(ymd / 10_000).unwrap_or_default();
    Instant::from_calendar(year, ymd / 100 % 100, ymd % 100, hm / 100, hm % 100, 0)
        .ok_or(LineFault::Value("date"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_hours_unless_they_say_otherwise() {
        let window = |start, end| Some(When::Window(Window { start, end }));
        assert_eq!(read_step("102"), Some(When::End(367_200)));
        assert_eq!(read_step("0-24"), window(0, 86_400));
        assert_eq!(read_step("90m"), Some(When::End(5400)));
        assert_eq!(read_step("15-30m"), window(900, 1800));
        assert_eq!(read_step("0h-1h"), window(0, 3600));
        for bad in ["", "-", "24-0", "x", "1x", "99999999999999999999", "-6"] {
            assert_eq!(read_step(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_come_with_or_without_their_zeros() {
        let at = |hour, minute| Instant::from_calendar(2025, 3, 1, hour, minute, 0).unwrap();
        assert_eq!(read_run("20250301", "0000"), Ok(at(0, 0)));
        assert_eq!(read_run("20250301", "600"), Ok(at(6, 0)));
        assert_eq!(read_run("2025-03-01", "18"), Ok(at(18, 0)));
        assert_eq!(read_run("20250301", "1230"), Ok(at(12, 30)));
        assert_eq!(read_run("20250301", "2400"), Err(LineFault::Value("time")));
        assert_eq!(read_run("20250231", "0000"), Err(LineFault::Value("date")));
        assert_eq!(read_run("250301", "0000"), Err(LineFault::Value("date")));
    }
}

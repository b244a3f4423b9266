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
use super::json::{self, Pair};
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
    let mut pairs = Vec::with_capacity(16);
    let mut words = String::new();
    let mut runs = Runs::default();
    for raw in lines_of(text) {
        json::object(raw.text, &mut pairs).map_err(|what| raw.error(LineFault::Json(what)))?;
        let number = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        let line = line(&raw, number, &pairs, kinds, &mut words, &mut runs)
            .map_err(|fault| refuse(&raw, &pairs, fault))?;
        lines.push(line);
    }
    Ok(())
}

/// What the keys of one line say, before it is put together.
#[derive(Default)]
struct Values<'p> {
    offset: Option<&'p str>,
    length: Option<&'p str>,
    date: Option<&'p str>,
    time: Option<&'p str>,
    step: Option<&'p str>,
    number: Option<&'p str>,
    ordered: [Option<&'p str>; ORDERED.len()],
    others: Vec<(&'p str, &'p str)>,
}

/// Either a key that is missing, or a fault.
enum Refusal {
    Foreign(Vec<&'static str>),
    Fault(LineFault),
}

impl From<LineFault> for Refusal {
    fn from(fault: LineFault) -> Self {
        Self::Fault(fault)
    }
}

fn refuse(raw: &RawLine<'_>, pairs: &[Pair<'_>], refusal: Refusal) -> IndexError {
    match refusal {
        Refusal::Fault(fault) => raw.error(fault),
        Refusal::Foreign(missing) => {
            let list = |names: &mut dyn Iterator<Item = &str>| {
                names
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            IndexError::ForeignJson {
                line: raw.number,
                missing: list(&mut missing.into_iter()),
                keys: Excerpt::new(&list(&mut pairs.iter().map(|pair| pair.key.as_ref()))),
            }
        }
    }
}

fn sort<'p>(pairs: &'p [Pair<'_>]) -> Result<Values<'p>, LineFault> {
    let mut values = Values::default();
    for pair in pairs {
        let value: &str = &pair.value;
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
        ] = &mut values.ordered;
        let (slot, name) = match pair.key.as_ref() {
            "_offset" => (&mut values.offset, "_offset"),
            "_length" => (&mut values.length, "_length"),
            "date" => (&mut values.date, "date"),
            "time" => (&mut values.time, "time"),
            "step" => (&mut values.step, "step"),
            "number" => (&mut values.number, "number"),
            "param" => (param, "param"),
            "levtype" => (levtype, "levtype"),
            "levelist" => (levelist, "levelist"),
            "type" => (kind, "type"),
            "stream" => (stream, "stream"),
            "class" => (class, "class"),
            "model" => (model, "model"),
            "domain" => (domain, "domain"),
            "expver" => (expver, "expver"),
            other => {
                values.others.push((other, value));
                continue;
            }
        };
        if slot.replace(value).is_some() {
            return Err(LineFault::Twice(name));
        }
    }
    values.others.sort_unstable();
    Ok(values)
}

fn line<'a>(
    raw: &RawLine<'a>,
    number: u32,
    pairs: &[Pair<'a>],
    kinds: &mut Interner<'a>,
    words: &mut String,
    runs: &mut Runs,
) -> Result<IndexLine, Refusal> {
    let values = sort(pairs)?;
    let [param, _, _, kind, ..] = values.ordered;
    let (Some(offset), Some(length), Some(_)) = (values.offset, values.length, param) else {
        let wanted = [
            ("_offset", values.offset),
            ("_length", values.length),
            ("param", param),
        ];
        return Err(Refusal::Foreign(
            wanted
                .into_iter()
                .filter_map(|(name, value)| value.is_none().then_some(name))
                .collect(),
        ));
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
    write_words(&values, words);
    let kind = kinds.intern(words, || KindText {
        words: Cow::Owned(words.clone()),
        sample: number,
        parts: KindWords::Ecmwf(own_words(pairs)),
    });
    Ok(IndexLine {
        line: raw.number,
        message: number.saturating_add(1),
        field: 0,
        numbered_field: false,
        offset,
        length: Some(length),
        run,
        kind,
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

/// `param=2t,levtype=sfc,type=fc,...`: the same for the same pairs in any order.
fn write_words(values: &Values<'_>, words: &mut String) {
    words.clear();
    let ordered = ORDERED
        .iter()
        .zip(values.ordered)
        .filter_map(|(key, value)| Some((*key, value?)));
    for (key, value) in ordered.chain(values.others.iter().copied()) {
        if !words.is_empty() {
            words.push(',');
        }
        push_word(key, words);
        words.push('=');
        push_word(value, words);
    }
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

fn own_words<'a>(pairs: &[Pair<'a>]) -> EcmwfWords<'a> {
    let place = |key: &str| {
        let at = ORDERED.iter().position(|other| *other == key);
        at.unwrap_or(ORDERED.len())
    };
    let mut pairs: Vec<_> = pairs
        .iter()
        .filter(|pair| {
            !matches!(
                pair.key.as_ref(),
                "_offset" | "_length" | "date" | "time" | "step" | "number"
            )
        })
        .map(|pair| (pair.key.clone(), pair.value.clone()))
        .collect();
    pairs.sort_by(|a, b| (place(&a.0), &a.0).cmp(&(place(&b.0), &b.0)));
    EcmwfWords { pairs }
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

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

/// Keys that are known: those that are read, then those that have a fixed place among the words.
const KEYS: [&str; 15] = [
    "_offset", "_length", "date", "time", "step", "number", // read
    "param", "levtype", "levelist", "type", "stream", "class", "model", "domain",
    "expver", // words
];

/// The first of [`KEYS`] that is a word.
const FIRST_WORD: usize = 6;

/// Reads all lines of a file in ECMWF's dialect.
pub(super) fn read<'a>(
    text: &'a str,
    kinds: &mut Interner<'a>,
    lines: &mut Vec<IndexLine>,
) -> Result<(), IndexError> {
    lines.reserve_exact(line_capacity(text)?);
    let mut runs = Runs::default();
    let mut last = Last::default();
    for raw in lines_of(text) {
        let number = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        let object = json::trimmed(raw.text);
        let line = match last.next(object) {
            Plain::Read => line(
                &raw,
                number,
                &mut last.values,
                kinds,
                &mut runs,
                Cow::Borrowed,
            ),
            Plain::Twice(name) => Err(LineFault::Twice(name).into()),
            Plain::Unusual => {
                let pairs =
                    json::unusual(object).map_err(|what| raw.error(LineFault::Json(what)))?;
                let mut values = Values::default();
                for (key, value) in &pairs {
                    values.put(key, value);
                }
                line(&raw, number, &mut values, kinds, &mut runs, |text| {
                    Cow::Owned(text.to_owned())
                })
            }
        };
        lines.push(line.map_err(|refusal| refuse(&raw, refusal))?);
    }
    Ok(())
}

/// The last plain line. Half of a line or more is equal to the line before: that much is not scanned again.
#[derive(Default)]
struct Last<'a> {
    object: &'a str,
    values: Values<'a>,
    /// For each pair of `object` its key's place in [`KEYS`], and the position behind its value.
    pairs: Vec<(usize, usize)>,
}

/// What came of scanning a line.
enum Plain {
    Read,
    /// A known key stands twice.
    Twice(&'static str),
    /// Not plain JSON: `Last` holds nothing then.
    Unusual,
}

impl<'a> Last<'a> {
    /// Makes `object` the last line.
    fn next(&mut self, object: &'a str) -> Plain {
        let common = common_prefix(self.object.as_bytes(), object.as_bytes());
        // A number ends where the byte behind it says so: that byte must be common too.
        while let Some((key, _)) = self.pairs.pop_if(|(_, end)| *end >= common) {
            if let Some(value) = self.values.known.get_mut(key) {
                *value = None;
            }
        }
        let mut from = self.pairs.last().map(|(_, end)| *end);
        if !self.values.others.is_empty() || self.pairs.is_empty() {
            self.clear();
            from = None;
        }
        self.object = object;
        let (values, pairs) = (&mut self.values, &mut self.pairs);
        let mut twice = None;
        let plain = json::plain(object, from, |key, value, end| {
            match values.put(key, value) {
                Put::New(key) => pairs.push((key, end)),
                Put::Other => {}
                Put::Twice(name) => twice = Some(name),
            }
            twice.is_none()
        });
        if plain.is_some() {
            return Plain::Read;
        }
        self.clear();
        twice.map_or(Plain::Unusual, Plain::Twice)
    }

    fn clear(&mut self) {
        self.object = "";
        self.pairs.clear();
        self.values.known = Default::default();
        self.values.others.clear();
    }
}

/// How many bytes are equal from the start.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0);
    let equal = 16 * blocks.take_while(|(a, b)| a == b).count();
    let rest = |bytes| <[u8]>::get(bytes, equal..).unwrap_or_default();
    let bytes = rest(a).iter().zip(rest(b));
    equal + bytes.take_while(|(a, b)| a == b).count()
}

/// What the keys of one line say, before it is put together.
#[derive(Default)]
struct Values<'v> {
    /// Values of [`KEYS`].
    known: [Option<&'v str>; KEYS.len()],
    /// All other pairs.
    others: Vec<(&'v str, &'v str)>,
}

/// What a pair was to [`Values`].
enum Put {
    /// A known key, by its place in [`KEYS`].
    New(usize),
    /// Another key.
    Other,
    /// A known key that was there before.
    Twice(&'static str),
}

impl<'v> Values<'v> {
    fn put(&mut self, key: &'v str, value: &'v str) -> Put {
        let place = match key {
            "_offset" => 0,
            "_length" => 1,
            "date" => 2,
            "time" => 3,
            "step" => 4,
            "number" => 5,
            "param" => 6,
            "levtype" => 7,
            "levelist" => 8,
            "type" => 9,
            "stream" => 10,
            "class" => 11,
            "model" => 12,
            "domain" => 13,
            "expver" => 14,
            _ => KEYS.len(),
        };
        match (self.known.get_mut(place), KEYS.get(place)) {
            (Some(slot), Some(name)) => {
                if slot.replace(value).is_some() {
                    return Put::Twice(name);
                }
                Put::New(place)
            }
            (None, _) | (_, None) => {
                self.others.push((key, value));
                Put::Other
            }
        }
    }

    /// The keys and values that are words of the kind, in their order.
    fn words(&self) -> impl Iterator<Item = (&'v str, &'v str)> {
        self.known()
            .skip_while(|(place, ..)| *place < FIRST_WORD)
            .map(|(_, key, value)| (key, value))
            .chain(self.others.iter().copied())
    }

    /// The known keys that are there, with their places and values.
    fn known(&self) -> impl Iterator<Item = (usize, &'static str, &'v str)> {
        let pairs = KEYS.iter().zip(self.known).enumerate();
        pairs.filter_map(|(place, (key, value))| Some((place, *key, value?)))
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
    let [offset, length, _, _, _, _, param, ..] = values.known;
    let wanted = [("_offset", offset), ("_length", length), ("param", param)];
    let mut missing = wanted
        .into_iter()
        .filter_map(|(name, value)| value.is_none().then_some(name));
    let others = values.others.iter().map(|(key, _)| *key);
    let mut keys = values.known().map(|(_, key, _)| key).chain(others);
    Refusal::Foreign(list(&mut missing), list(&mut keys))
}

fn line<'a, 'v>(
    raw: &RawLine<'_>,
    number: u32,
    values: &mut Values<'v>,
    kinds: &mut Interner<'a>,
    runs: &mut Runs,
    keep: impl Fn(&'v str) -> Cow<'a, str>,
) -> Result<IndexLine, Refusal> {
    let [
        offset,
        length,
        date,
        time,
        step,
        number_text,
        param,
        _,
        _,
        kind,
        ..,
    ] = values.known;
    let (Some(offset), Some(length), Some(_)) = (offset, length, param) else {
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
    let run = match (date, time) {
        (Some(date), Some(time)) => Some(runs.read(date, time)?),
        (None, _) | (_, None) => None,
    };
    let when = match step {
        Some(step) => read_step(step).ok_or(LineFault::Value("step"))?,
        None => When::Header,
    };
    let member = match (number_text, kind) {
        (Some(text), _) => Some(
            digits(text)
                .and_then(|number| i16::try_from(number).ok())
                .map(i16::unsigned_abs)
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
    let words = values.known.get(FIRST_WORD..);
    let hash = kinds.hash(&(words, &values.others));
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

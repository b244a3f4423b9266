//! The wgrib2 inventory: `38:27792334:d=2025080100:MAXUVV:100-1000 mb above ground:23-24 hour max fcst:`.
//!
//! Six fields between colons, then items of misc. A forecast time may hold a colon inside brackets
//! (`0-12 hour ave(24:12 hour fcst)`); quotes mean nothing; a colon at the end is there or not.

use std::borrow::Cow;
use std::fmt;

use super::error::{IndexError, LineFault};
use super::ftime::{Ftime, Over};
use super::kinds::{Interner, KindText, KindWords};
use super::statistic::Statistic;
use super::{Doubt, IndexLine, RawLine, When, line_capacity, lines_of, misc};
use crate::time::Instant;

/// The words of a kind of field in a wgrib2 inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoaaWords<'a> {
    /// Abbreviation or numbers: see [`super::parse_variable`].
    pub variable: &'a str,
    /// Level: see [`super::parse_level`].
    pub level: &'a str,
    /// Statistic, the outermost of several; `None` for an instant and for times that only the header settles.
    pub statistic: Option<Statistic>,
    /// What the statistic's values are, where it is known.
    pub over: Option<Over>,
    /// Whether the line names a member.
    pub ensemble: bool,
    /// Items of misc other than the member, `:` between them: see [`super::parse_misc`].
    pub misc: Cow<'a, str>,
}

/// The fields of one line, as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoaaLine<'a> {
    /// Message number.
    pub message: u32,
    /// Number of the field in its message, from 1, where it is written.
    pub sub: Option<u16>,
    /// First byte of the message.
    pub offset: u64,
    /// `d=2025080100` or `D=20250801000000`.
    pub date: &'a str,
    /// Variable.
    pub variable: &'a str,
    /// Level.
    pub level: &'a str,
    /// Forecast time: see [`Ftime::parse`].
    pub ftime: &'a str,
    /// Items of misc, `:` between them, without the colon at the end.
    pub misc: &'a str,
    /// `variable:level`, which is one piece of the line.
    variable_level: &'a str,
}

impl<'a> NoaaLine<'a> {
    /// Takes a line (without its end of line) apart.
    ///
    /// # Errors
    /// [`LineFault`] if fields are missing, a number or the form of the date is wrong, or the variable is empty.
    pub fn parse(text: &'a str) -> Result<Self, LineFault> {
        let mut fields = Fields {
            rest: Some(text.trim_start_matches(' ')),
            found: 0,
        };
        let (message, sub) = message_number(fields.next()?)?;
        let offset = offset(fields.next()?)?;
        let date = fields.next()?;
        let from_variable = fields.rest.unwrap_or_default();
        let variable = fields.next()?;
        let level = fields.next()?;
        let variable_level = from_variable
            .get(..variable.len() + 1 + level.len())
            .unwrap_or_default();
        let (ftime, misc) = fields.time_and_misc()?;
        if variable.is_empty() {
            return Err(LineFault::Variable);
        }
        Ok(Self {
            message,
            sub,
            offset,
            date,
            variable,
            level,
            ftime,
            misc,
            variable_level,
        })
    }

    /// The run's reference time.
    ///
    /// # Errors
    /// [`LineFault::Date`] if the date has another form or does not exist.
    pub fn run(&self) -> Result<Instant, LineFault> {
        let digits = match (self.date.strip_prefix("d="), self.date.strip_prefix("D=")) {
            (Some(digits), _) if matches!(digits.len(), 10 | 12 | 14) => digits,
            (_, Some(digits)) if digits.len() == 14 => digits,
            _ => return Err(LineFault::Date),
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(LineFault::Date);
        }
        let part = |from: usize, to: usize| {
            let digits = digits.get(from..to).unwrap_or("0");
            digits
                .bytes()
                .fold(0, |sum, b| sum * 10 + u32::from(b - b'0'))
        };
        let year = i32::try_from(part(0, 4)).unwrap_or_default();
        Instant::from_calendar(
            year,
            part(4, 6),
            part(6, 8),
            part(8, 10),
            part(10, 12),
            part(12, 14),
        )
        .ok_or(LineFault::Date)
    }
}

impl fmt::Display for NoaaLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(sub) = self.sub {
            write!(f, ".{sub}")?;
        }
        write!(
            f,
            ":{}:{}:{}:{}:{}:{}",
            self.offset, self.date, self.variable, self.level, self.ftime, self.misc
        )?;
        if self.misc.is_empty() {
            return Ok(());
        }
        f.write_str(":")
    }
}

/// What is left of a line, field by field.
struct Fields<'a> {
    rest: Option<&'a str>,
    found: u8,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<&'a str, LineFault> {
        let rest = self.rest.ok_or(LineFault::Fields { found: self.found })?;
        let (field, rest) = split_colon(rest);
        self.rest = rest;
        self.found += 1;
        Ok(field)
    }

    /// Field 6, with what a bracket that it leaves open encloses, and the rest of the line without its last colons.
    fn time_and_misc(&mut self) -> Result<(&'a str, &'a str), LineFault> {
        let all = self.rest.unwrap_or_default();
        let first = self.next()?;
        let after_first = self.rest;
        let mut time = first;
        let mut depth = open_brackets(first);
        while depth > 0 {
            let Some(rest) = self.rest else {
                // It closes nowhere, so it encloses nothing.
                (time, self.rest) = (first, after_first);
                break;
            };
            let (field, rest) = split_colon(rest);
            depth += open_brackets(field);
            time = all.get(..time.len() + 1 + field.len()).unwrap_or(time);
            self.rest = rest;
        }
        Ok((time, self.rest.unwrap_or_default().trim_end_matches(':')))
    }
}

fn split_colon(text: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b':', text.as_bytes()) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// Brackets that open minus brackets that close.
fn open_brackets(text: &str) -> i64 {
    memchr::memchr2_iter(b'(', b')', text.as_bytes())
        .map(|at| match text.as_bytes().get(at) {
            Some(b'(') => 1,
            _ => -1,
        })
        .sum()
}

fn message_number(text: &str) -> Result<(u32, Option<u16>), LineFault> {
    let (message, sub) = match text.split_once('.') {
        Some((message, sub)) => (message, Some(sub)),
        None => (text, None),
    };
    let message = digits(message)
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| *number > 0);
    let sub = sub.map(|sub| {
        digits(sub)
            .and_then(|number| u16::try_from(number).ok())
            .filter(|number| *number > 0)
            .ok_or(LineFault::Message)
    });
    Ok((message.ok_or(LineFault::Message)?, sub.transpose()?))
}

fn offset(text: &str) -> Result<u64, LineFault> {
    match digits(text) {
        Some(offset) => Ok(offset),
        None if text.starts_with('-') && digits(text.trim_start_matches('-')).is_some() => {
            Err(LineFault::NegativeOffset)
        }
        None => Err(LineFault::Offset),
    }
}

/// A number of digits alone.
pub(super) fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    // 19 digits fit a u64 whatever they are.
    let (head, tail) = text
        .as_bytes()
        .split_at_checked(19)
        .unwrap_or((text.as_bytes(), &[]));
    let mut sum = 0_u64;
    for byte in head {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum * 10 + u64::from(digit);
    }
    for byte in tail {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        sum = sum.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(sum)
}

/// Reads all lines of a wgrib2 inventory.
pub(super) fn read<'a>(
    text: &'a str,
    kinds: &mut Interner<'a>,
    lines: &mut Vec<IndexLine>,
) -> Result<(), IndexError> {
    lines.reserve_exact(line_capacity(text)?);
    let mut reader = Reader {
        kinds,
        words: String::new(),
        date: ("", Instant(0)),
    };
    for raw in lines_of(text) {
        let number = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        let line = reader
            .line(&raw, number)
            .map_err(|fault| raw.error(fault))?;
        lines.push(line);
    }
    Ok(())
}

struct Reader<'a, 'k> {
    kinds: &'k mut Interner<'a>,
    /// Room for the words of a line, used again and again.
    words: String,
    /// The last date that was read: nearly always the next one too.
    date: (&'a str, Instant),
}

impl<'a> Reader<'a, '_> {
    fn line(&mut self, raw: &RawLine<'a>, number: u32) -> Result<IndexLine, LineFault> {
        let fields = NoaaLine::parse(raw.text)?;
        if fields.date != self.date.0 {
            self.date = (fields.date, fields.run()?);
        }
        let run = self.date.1;
        let ftime = Ftime::parse(fields.ftime);
        let when = ftime.window(run).map_or(When::Header, When::Window);
        let mut doubt = match when {
            When::Header => Some(Doubt::Time),
            When::Window(_) | When::End(_) => None,
        };
        let member = misc::member(fields.misc);
        if member.doubtful && doubt.is_none() {
            doubt = Some(Doubt::Member);
        }
        if !raw.ended {
            // The file ends here without a newline: `anl` is whole, `6 hour fc` is not, and what follows it may have been
            // cut without a trace: `ENS=+12` to `ENS=+1`, `6 hour fcst:ens mean` to `6 hour fcst:`.
            if when == When::Header {
                return Err(LineFault::Time);
            }
            doubt.get_or_insert(Doubt::Tail);
        }
        let kind = self.kind(&fields, &ftime, &member, number);
        Ok(IndexLine {
            line: raw.number,
            message: fields.message,
            field: fields.sub.map_or(0, |sub| sub - 1),
            numbered_field: fields.sub.is_some(),
            offset: fields.offset,
            length: None,
            run: Some(run),
            kind,
            when,
            member: member.member,
            repeat: 0,
            doubt,
            at: raw.at,
        })
    }

    /// The number of the line's kind. Its words: `variable:level`, then the time's words where there are any or where items
    /// follow, then `ENS` for a member, then the other items verbatim.
    fn kind(
        &mut self,
        fields: &NoaaLine<'a>,
        ftime: &Ftime<'a>,
        member: &misc::Found<'a>,
        sample: u32,
    ) -> u32 {
        let plain = matches!(ftime, Ftime::Analysis | Ftime::Instant(_)) && fields.misc.is_empty();
        self.words.clear();
        if !plain {
            self.words.push_str(fields.variable_level);
            self.words.push(':');
            ftime.push_words(fields.ftime, &mut self.words);
            if member.member.is_some() || member.doubtful {
                self.words.push_str(":ENS");
            }
            for item in member.others() {
                self.words.push(':');
                self.words.push_str(item);
            }
        }
        let words = if plain {
            fields.variable_level
        } else {
            self.words.as_str()
        };
        let hash = self.kinds.hash(&words);
        self.kinds.intern(
            hash,
            |kind| kind.words == words,
            || KindText {
                words: if plain {
                    Cow::Borrowed(fields.variable_level)
                } else {
                    Cow::Owned(words.to_owned())
                },
                sample,
                parts: KindWords::Noaa(NoaaWords {
                    variable: fields.variable,
                    level: fields.level,
                    statistic: ftime.statistic(),
                    over: match ftime {
                        Ftime::Window { over, .. } => Some(*over),
                        Ftime::Analysis
                        | Ftime::Instant(_)
                        | Ftime::References { .. }
                        | Ftime::Other(_) => None,
                    },
                    ensemble: member.member.is_some() || member.doubtful,
                    misc: member.rest(),
                }),
            },
        )
    }
}

//! Hops through the section headers of a GRIB file without doing I/O itself.
//!
//! A [`Walker`] says which bytes it wants to see next, is given them, and reports message after message with the sections
//! that describe each field. It jumps over bitmaps and data sections, so a file of 500 MB costs some hundred bytes per
//! message. The driver may be asynchronous ranged reads or a slice in memory:
//!
//! ```
//! use gribfs::grib::walker::{Step, Walker};
//!
//! fn count(file: &[u8]) -> usize {
//!     let mut walker = Walker::new(file.len() as u64);
//!     let mut messages = 0;
//!     loop {
//!         match walker.step() {
//!             Step::Read { offset, length } => {
//!                 let at = offset as usize;
//!                 walker.give(offset, &file[at..at + length]);
//!             }
//!             Step::Found(_) => messages += 1,
//!             Step::Done => return messages,
//!         }
//!     }
//! }
//! assert_eq!(count(b"no GRIB here"), 0);
//! ```
//!
//! Between messages anything may stand (padding, bulletin headers): the next `GRIB` is searched for in windows, up to
//! [`MAX_GAP_BYTES`]. What is wrong with a message is reported with its place; the walk goes on behind it where that is sure.
//!
//! Knows sections and their order. Knows no templates. Of edition 1 it knows where a message ends and its date: enough to
//! account for it.

use std::sync::Arc;

use super::bytes::Octets;
use super::head::MAX_HEAD_BYTES;
use super::section::{END, GribError, INDICATOR_BYTES, Indicator, MAX_FIELDS, Order};
use crate::time::Instant;

/// Bytes asked for at a time, unless more are needed: the sections before the data are some 200 bytes.
pub const WINDOW_BYTES: usize = 512;

/// Most bytes asked for at a time while searching for the next message.
const SEARCH_BYTES: usize = 64 << 10;

/// Most bytes between messages that are searched for the next one: 4 MiB.
pub const MAX_GAP_BYTES: u64 = 4 << 20;

/// Units of 120 bytes in which edition 1 counts messages over 8 MiB: its end is known to so many bytes only.
const EDITION_1_UNIT: u64 = 120;

/// Octets of section 0 of edition 1.
const EDITION_1_BYTES: u64 = 8;

/// Octets looked at where a message starts: section 0, and of edition 1 the start of section 1 up to the century.
const START_BYTES: usize = 33;

/// Length from which edition 1 counts in units.
const EDITION_1_LARGE: u64 = 0x80_0000;

/// What the walker wants, or has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Wants these bytes of the file; they lie inside of it. [`Walker::give`] takes them.
    Read {
        /// First byte.
        offset: u64,
        /// Number of bytes, at least 1.
        length: usize,
    },
    /// Found something; step on.
    Found(Found),
    /// The file is at its end, or nothing more can be found in it.
    Done,
}

/// Something found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A message, closed by `7777`.
    Message(WalkedMessage),
    /// A message of edition 1.
    Edition1 {
        /// First byte.
        offset: u64,
        /// Total length in bytes; over 8 MiB it is exact to 120 bytes only.
        length: u64,
        /// Reference time, if it is a date.
        reference: Option<Instant>,
    },
    /// Something that starts like a message and is none. [`GribError::Truncated`] is the last thing found in a file.
    Broken {
        /// First byte.
        offset: u64,
        /// What is wrong.
        error: GribError,
    },
    /// No message within [`MAX_GAP_BYTES`]: the rest of the file was not looked at.
    Lost {
        /// First byte of the gap.
        offset: u64,
    },
}

/// A message as its headers show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkedMessage {
    /// First byte in the file.
    pub offset: u64,
    /// Total length in bytes.
    pub length: u64,
    /// Discipline of section 0.
    pub discipline: u8,
    /// The fields in their order, at least one.
    pub fields: Vec<WalkedField>,
}

/// One field: the sections that describe it, each as a whole with its head. Fields of a message share what is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkedField {
    /// Number of the field in its message, from 1.
    pub number: usize,
    /// Section 1, identification.
    pub section1: Arc<[u8]>,
    /// Section 3, grid definition.
    pub section3: Arc<[u8]>,
    /// Section 4, product definition.
    pub section4: Arc<[u8]>,
    /// Section 5, data representation.
    pub section5: Arc<[u8]>,
    /// Bitmap indicator, Code Table 6.0.
    pub bitmap_indicator: u8,
}

/// Bytes that must be there before the walk goes on.
struct Need {
    offset: u64,
    length: usize,
}

/// Where the walk is.
#[derive(Debug)]
enum Place {
    /// Between messages; `gap` is where the last one ended.
    Between { at: u64, gap: u64 },
    /// In a message.
    Inside(Box<Inside>),
    /// In a message that is broken: whether it is closed at `end` decides where to go on.
    Broken {
        offset: u64,
        end: u64,
        error: GribError,
    },
    /// At a message of edition 1 whose end is known.
    Edition1 {
        offset: u64,
        length: u64,
        reference: Option<Instant>,
    },
    /// At the end.
    Done,
}

/// What one step of the walk comes to.
enum Turn {
    Stay,
    Go(Place),
    Report(Found, Place),
}

/// The walk over one file. See the module's example for how to drive it.
#[derive(Debug)]
pub struct Walker {
    window: Window,
    asked: Option<(u64, usize)>,
    place: Place,
}

impl Walker {
    /// A walk over a file of `size` bytes that asks for [`WINDOW_BYTES`] at a time.
    #[must_use]
    pub const fn new(size: u64) -> Self {
        Self::with_window(size, WINDOW_BYTES)
    }

    /// A walk that asks for `window_bytes` at a time: more where requests are slow and messages small.
    #[must_use]
    pub const fn with_window(size: u64, window_bytes: usize) -> Self {
        Self {
            window: Window {
                size,
                ask: if window_bytes < INDICATOR_BYTES {
                    INDICATOR_BYTES
                } else {
                    window_bytes
                },
                offset: 0,
                bytes: Vec::new(),
            },
            asked: None,
            place: Place::Between { at: 0, gap: 0 },
        }
    }

    /// Hands over bytes of the file that start at `offset`. They may be more than were asked for; fewer, at the offset asked
    /// for, mean that the file ends there.
    pub fn give(&mut self, offset: u64, bytes: &[u8]) {
        if let Some((asked, length)) = self.asked.take()
            && asked == offset
            && bytes.len() < length
        {
            self.window.size = offset.saturating_add(bytes.len() as u64);
        }
        self.window.offset = offset;
        self.window.bytes.clear();
        self.window.bytes.extend_from_slice(bytes);
    }

    /// Goes on as far as the bytes at hand allow.
    #[must_use]
    pub fn step(&mut self) -> Step {
        loop {
            let turn = match &mut self.place {
                Place::Done => return Step::Done,
                Place::Between { at, gap } => between(&self.window, at, *gap),
                Place::Inside(inside) => inside.advance(&self.window),
                Place::Edition1 {
                    offset,
                    length,
                    reference,
                } => edition_1(&self.window, *offset, *length, *reference),
                Place::Broken { offset, end, error } => broken(&self.window, *offset, *end, error),
            };
            match turn {
                Ok(Turn::Stay) => {}
                Ok(Turn::Go(place)) => self.place = place,
                Ok(Turn::Report(found, place)) => {
                    self.place = place;
                    return Step::Found(found);
                }
                Err(Need { offset, length }) => {
                    self.asked = Some((offset, length));
                    return Step::Read { offset, length };
                }
            }
        }
    }
}

/// Everything found in a file that is in memory.
#[must_use]
pub fn walk(file: &[u8]) -> Vec<Found> {
    let mut walker = Walker::new(file.len() as u64);
    let mut found = Vec::new();
    loop {
        match walker.step() {
            Step::Found(one) => found.push(one),
            Step::Done => return found,
            Step::Read { offset, length } => {
                let bytes = usize::try_from(offset)
                    .ok()
                    .and_then(|from| file.get(from..from.checked_add(length)?));
                walker.give(offset, bytes.unwrap_or_default());
            }
        }
    }
}

/// The bytes at hand.
#[derive(Debug)]
struct Window {
    /// Size of the file.
    size: u64,
    /// Bytes to ask for at least.
    ask: usize,
    offset: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes at hand from a place on.
    fn rest(&self, at: u64) -> &[u8] {
        at.checked_sub(self.offset)
            .and_then(|from| usize::try_from(from).ok())
            .and_then(|from| self.bytes.get(from..))
            .unwrap_or_default()
    }

    /// Bytes of the file from a place on: `length` of them, fewer only where the file ends. If they are not at hand,
    /// `ask` bytes will be asked for instead, so that what follows comes with them.
    fn peek_asking(&self, at: u64, length: usize, ask: usize) -> Result<&[u8], Need> {
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let length = length.min(left);
        self.rest(at).get(..length).ok_or(Need {
            offset: at,
            length: ask.max(length).min(left),
        })
    }

    fn peek(&self, at: u64, length: usize) -> Result<&[u8], Need> {
        self.peek_asking(at, length, self.ask)
    }
}

/// Looks for the next message.
fn between(window: &Window, at: &mut u64, gap: u64) -> Result<Turn, Need> {
    // The longer nothing is found, the larger the bites.
    let searched = usize::try_from(*at - gap).unwrap_or(SEARCH_BYTES);
    let ask = searched.min(SEARCH_BYTES).max(window.ask);
    let head = window.peek_asking(*at, START_BYTES, ask)?;
    if head.starts_with(b"GRIB") {
        return Ok(start(window, *at, head));
    }
    if head.len() < 4 {
        return Ok(Turn::Go(Place::Done));
    }
    if *at - gap > MAX_GAP_BYTES {
        return Ok(Turn::Report(Found::Lost { offset: gap }, Place::Done));
    }
    let rest = window.rest(*at);
    let next = rest.windows(4).position(|four| four == b"GRIB");
    *at += next.unwrap_or(rest.len() - 3) as u64;
    Ok(Turn::Stay)
}

/// Reads section 0.
fn start(window: &Window, offset: u64, head: &[u8]) -> Turn {
    let have = window.size - offset;
    let truncated = |need| {
        let error = GribError::Truncated { need, have };
        Turn::Report(Found::Broken { offset, error }, Place::Done)
    };
    let search_on = Place::Between {
        at: offset + 4,
        gap: offset + 4,
    };
    match Indicator::parse(head) {
        Ok(indicator) if indicator.length > have => truncated(indicator.length),
        Ok(indicator) => Turn::Go(Place::Inside(Box::new(Inside::new(offset, indicator)))),
        Err(GribError::Truncated { need, .. }) => truncated(need),
        Err(GribError::Edition1 { length })
            if length > have && (length < EDITION_1_LARGE || length > have + EDITION_1_UNIT) =>
        {
            truncated(length)
        }
        Err(GribError::Edition1 { length }) if length < EDITION_1_LARGE => {
            Turn::Go(Place::Edition1 {
                offset,
                length,
                reference: edition_1_reference(head),
            })
        }
        Err(GribError::Edition1 { length }) => {
            let end = offset + length - EDITION_1_UNIT;
            let found = Found::Edition1 {
                offset,
                length,
                reference: edition_1_reference(head),
            };
            Turn::Report(found, Place::Between { at: end, gap: end })
        }
        // The letters in some text.
        Err(GribError::Edition { .. }) => Turn::Go(search_on),
        Err(error) => Turn::Report(Found::Broken { offset, error }, search_on),
    }
}

/// Reference time of a message of edition 1: octets 13-17 and 25 of its section 1, which starts at octet 9 of the message.
fn edition_1_reference(start: &[u8]) -> Option<Instant> {
    let octets = Octets(start.get(8..)?);
    let number = |octet| octets.u8(octet);
    let year = (i32::from(number(25)?) - 1) * 100 + i32::from(number(13)?);
    let [month, day, hour, minute] = [number(14)?, number(15)?, number(16)?, number(17)?];
    Instant::from_calendar(
        year,
        month.into(),
        day.into(),
        hour.into(),
        minute.into(),
        0,
    )
}

/// Checks the closing `7777` of a message of edition 1.
fn edition_1(
    window: &Window,
    offset: u64,
    length: u64,
    reference: Option<Instant>,
) -> Result<Turn, Need> {
    let last = length.max(EDITION_1_BYTES + END.len() as u64) - END.len() as u64;
    if window.peek(offset + last, END.len())? == END {
        let at = offset + length;
        let found = Found::Edition1 {
            offset,
            length,
            reference,
        };
        return Ok(Turn::Report(found, Place::Between { at, gap: at }));
    }
    let error = GribError::NoEnd { length };
    let at = offset + 4;
    Ok(Turn::Report(
        Found::Broken { offset, error },
        Place::Between { at, gap: at },
    ))
}

/// Goes on behind a broken message if it is closed where it says, else searches in it.
fn broken(window: &Window, offset: u64, end: u64, error: &GribError) -> Result<Turn, Need> {
    let closed = window.peek(end, END.len())? == END;
    let at = if closed {
        end + END.len() as u64
    } else {
        offset + 4
    };
    let error = error.clone();
    Ok(Turn::Report(
        Found::Broken { offset, error },
        Place::Between { at, gap: at },
    ))
}

/// The message that is being walked.
#[derive(Debug)]
struct Inside {
    offset: u64,
    indicator: Indicator,
    order: Order,
    /// Next section, from the start of the message.
    at: u64,
    /// Sections 1 to 5 seen last.
    last: [Option<Arc<[u8]>>; 6],
    bitmap_indicator: u8,
    has_bitmap: bool,
    fields: Vec<WalkedField>,
}

impl Inside {
    const fn new(offset: u64, indicator: Indicator) -> Self {
        Self {
            offset,
            indicator,
            order: Order::START,
            at: INDICATOR_BYTES as u64,
            last: [const { None }; 6],
            bitmap_indicator: 255,
            has_bitmap: false,
            fields: Vec::new(),
        }
    }

    /// Start of section 8, from the start of the message.
    const fn end(&self) -> u64 {
        self.indicator.length - END.len() as u64
    }

    /// Takes one section, or the end.
    fn advance(&mut self, window: &Window) -> Result<Turn, Need> {
        if self.at == self.end() {
            return self.close(window);
        }
        let start = self.offset + self.at;
        let head = window.peek(start, 6)?;
        let mut order = self.order;
        let section = match order.accept(head, self.at, self.end()) {
            Ok(section) => section,
            Err(error) => return Ok(self.fail(error)),
        };
        let taken = match section.number {
            6 => self.take_bitmap(head),
            7 => self.take_field(),
            number => {
                if u64::from(section.length) > MAX_HEAD_BYTES {
                    let bytes = section.length.into();
                    return Ok(self.fail(GribError::HeadersTooLong { bytes }));
                }
                let length = usize::try_from(section.length).unwrap_or(usize::MAX);
                let bytes = window.peek(start, length)?;
                if let Some(slot) = self.last.get_mut(usize::from(number)) {
                    *slot = Some(bytes.into());
                }
                Ok(())
            }
        };
        if let Err(error) = taken {
            return Ok(self.fail(error));
        }
        self.order = order;
        self.at += u64::from(section.length);
        Ok(Turn::Stay)
    }

    fn take_bitmap(&mut self, head: &[u8]) -> Result<(), GribError> {
        self.bitmap_indicator = Octets(head).u8(6).unwrap_or(255);
        self.has_bitmap |= self.bitmap_indicator == 0;
        if self.bitmap_indicator == 254 && !self.has_bitmap {
            let field = self.fields.len() + 1;
            return Err(GribError::NoBitmap { field });
        }
        Ok(())
    }

    fn take_field(&mut self) -> Result<(), GribError> {
        if self.fields.len() == MAX_FIELDS {
            return Err(GribError::TooManyFields);
        }
        let [_, one, _, three, four, five] = &self.last;
        // The order of sections guarantees that all four were seen before a section 7.
        if let (Some(one), Some(three), Some(four), Some(five)) = (one, three, four, five) {
            self.fields.push(WalkedField {
                number: self.fields.len() + 1,
                section1: Arc::clone(one),
                section3: Arc::clone(three),
                section4: Arc::clone(four),
                section5: Arc::clone(five),
                bitmap_indicator: self.bitmap_indicator,
            });
        }
        Ok(())
    }

    /// Checks the closing `7777` and reports the message.
    fn close(&mut self, window: &Window) -> Result<Turn, Need> {
        let length = self.indicator.length;
        if window.peek(self.offset + self.at, END.len())? != END {
            return Ok(self.fail(GribError::NoEnd { length }));
        }
        if !self.order.may_end() {
            return Ok(self.fail(self.order.cannot_end(self.at)));
        }
        let end = self.offset + length;
        let message = WalkedMessage {
            offset: self.offset,
            length,
            discipline: self.indicator.discipline,
            fields: std::mem::take(&mut self.fields),
        };
        Ok(Turn::Report(
            Found::Message(message),
            Place::Between { at: end, gap: end },
        ))
    }

    const fn fail(&self, error: GribError) -> Turn {
        Turn::Go(Place::Broken {
            offset: self.offset,
            end: self.offset + self.end(),
            error,
        })
    }
}

#[cfg(test)]
#[path = "walker_tests.rs"]
mod tests;

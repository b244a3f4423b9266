//! Index files of both dialects: from the bytes of a `.idx` or `.index` file to lines of one common form.
//!
//! A line says where a message lies ([`IndexLine::offset`], [`IndexLine::length`]), when it is valid ([`IndexLine::when`]),
//! whose it is ([`IndexLine::member`]), and in words what kind of field it holds ([`IndexLine::kind`]). Words are a key,
//! never an identity: equal words in files of one product mean the same numbers, and the numbers are learnt from one header
//! per key. `38:25757161:d=2025080100:APCP:surface:0-1 day acc fcst:ENS=+1` has the words `APCP:surface:acc:ENS`, the
//! window 0 .. 86400 s and member 1.
//!
//! Lines that the text alone does not settle say so ([`IndexLine::doubt`]): the caller reads their own header. A file with a
//! line that cannot be read is refused as a whole ([`IndexError`]): the caller walks the GRIB's section headers instead.
//!
//! Pure functions from bytes to values. Knows no locations, makes no requests, and borrows from its input.
//!
//! ```
//! use gribfs::index::{parse, When};
//! let text = b"1:0:d=2025080100:TMP:2 m above ground:6 hour fcst:\n2:900:d=2025080100:APCP:surface:0-6 hour acc fcst:\n";
//! let index = parse(text, Some(2000)).unwrap();
//! let rain = &index.lines[1];
//! assert_eq!(index.words(rain), "APCP:surface:acc");
//! assert_eq!((rain.offset, rain.length), (900, Some(1100)));
//! assert!(matches!(rain.when, When::Window(window) if window.end == 21_600));
//! ```

mod ecmwf;
mod error;
mod ftime;
mod items;
mod json;
mod kinds;
mod level;
mod misc;
mod noaa;
mod places;
mod print;
mod sniff;
mod span;
mod statistic;
mod url;
mod variable;

pub use ecmwf::EcmwfWords;
pub use error::{Excerpt, IndexError, LineFault};
pub use ftime::{Ftime, Over};
pub use items::{Bounds, Derived, MiscItem, parse_misc};
pub use kinds::{KindText, KindWords};
pub use level::{Decimal, LevelText, parse_level};
pub use noaa::{NoaaLine, NoaaWords};
pub use places::Warning;
pub use sniff::{sidecar_names, sniff};
pub use span::{Range, RangeEnd, Span, Unit};
pub use statistic::Statistic;
pub use url::{UrlFacts, product_key, url_facts};
pub use variable::{VariableText, parse_variable};

use crate::grib::identity::Member;
use crate::time::{Instant, Window};

/// Whose grammar an index file follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `.idx`: the inventory that wgrib2 writes, one line per field.
    Noaa,
    /// `.index`: ECMWF's, one JSON object per line.
    Ecmwf,
}

/// When a line's field is valid, as far as the line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// Start and end, in seconds from the run; equal for an instant.
    Window(Window),
    /// The end alone, in seconds from the run (ECMWF). Where the window starts, and whether there is one, is a property of
    /// the kind: a header of the kind tells.
    End(i64),
    /// Not told: this line's own header decides.
    Header,
}

impl When {
    /// Start and end, where the line gives both.
    #[must_use]
    pub const fn window(self) -> Option<Window> {
        match self {
            Self::Window(window) => Some(window),
            Self::End(_) | Self::Header => None,
        }
    }

    /// The step, in seconds from the run, where the line gives it.
    #[must_use]
    pub const fn step(self) -> Option<i64> {
        match self {
            Self::Window(window) => Some(window.end),
            Self::End(step) => Some(step),
            Self::Header => None,
        }
    }
}

/// Why a line's own header must be read, and what was learnt from another line of its kind does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// The time is of a form that only the header settles ([`When::Header`]).
    Time,
    /// Another line of the file has the same words, time, member and run: bucket and run total of GFS f006, say.
    Repeat,
    /// The line says that it is of an ensemble, but not which member.
    Member,
    /// The file's last line has no newline, and its last words may be cut.
    Tail,
}

/// One line of an index file: one field of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexLine {
    /// Line number in the file, from 1.
    pub line: u32,
    /// Message number, as the line has it (NOAA) or by order in the file (ECMWF); from 1.
    pub message: u32,
    /// Position of the field in its message, from 0: `624.10` is 9.
    pub field: u16,
    /// Whether the line was numbered `N.M`: its message holds several fields.
    pub numbered_field: bool,
    /// First byte of the message.
    pub offset: u64,
    /// Count of bytes to the end of the message or, in NOAA's dialect, to the start of the next one (which may include
    /// padding); `None` for the last of a file whose size is not known.
    pub length: Option<u64>,
    /// Reference time of the run; `d=` with 10 digits knows no minutes. `None` if the line does not say.
    pub run: Option<Instant>,
    /// Index into [`IndexFile::kinds`].
    pub kind: u32,
    /// When the field is valid.
    pub when: When,
    /// Member; control is 0. Its `kind` is Code Table 4.6, or 255 where the line has no word for it (ECMWF).
    pub member: Option<Member>,
    /// Position among lines that are equal in words, time, member and run, from 1; 0 if there is no other.
    pub repeat: u16,
    /// Why the line's own header must be read; `None` if its kind's sample suffices.
    pub doubt: Option<Doubt>,
    /// Where the line starts in the file, in bytes.
    pub at: usize,
}

/// An index file, read.
#[derive(Clone, Debug)]
pub struct IndexFile<'a> {
    /// Its dialect.
    pub dialect: Dialect,
    /// Its lines, in the file's order.
    pub lines: Vec<IndexLine>,
    /// The distinct words of its lines, in order of appearance.
    pub kinds: Vec<KindText<'a>>,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
    text: &'a str,
}

impl<'a> IndexFile<'a> {
    /// The kind of a line of this file.
    #[must_use]
    pub fn kind(&self, line: &IndexLine) -> Option<&KindText<'a>> {
        self.kinds.get(usize::try_from(line.kind).ok()?)
    }

    /// The words of a line: what names its kind of field, without run, time and member.
    #[must_use]
    pub fn words(&self, line: &IndexLine) -> &str {
        self.kind(line).map_or("", |kind| kind.words.as_ref())
    }

    /// A line of this file as it stands there, without its end of line.
    #[must_use]
    pub fn source(&self, line: &IndexLine) -> &'a str {
        let rest = self.text.get(line.at..).unwrap_or_default();
        rest.lines().next().unwrap_or_default()
    }

    /// The run of all lines, or `None` where they differ or do not say.
    #[must_use]
    pub fn run(&self) -> Option<Instant> {
        let run = self.lines.first()?.run?;
        self.lines
            .iter()
            .all(|line| line.run == Some(run))
            .then_some(run)
    }

    /// Whether what the index says of places contradicts itself, so that the GRIB's own headers should be walked instead.
    #[must_use]
    pub fn asks_rescan(&self) -> bool {
        self.warnings.iter().any(Warning::asks_rescan)
    }
}

/// Reads an index file of either dialect. `object_size` is the size of the GRIB in bytes, where it is known.
///
/// # Errors
/// [`IndexError`] if the bytes are no index file ([`sniff`]), a line does not follow the grammar, the last line is cut, or
/// a message would lie past `object_size`.
pub fn parse(bytes: &[u8], object_size: Option<u64>) -> Result<IndexFile<'_>, IndexError> {
    let dialect = sniff(bytes)?;
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let newlines = memchr::memchr_iter(b'\n', before).count();
        IndexError::NotText {
            line: u32::try_from(newlines).map_or(u32::MAX, |n| n.saturating_add(1)),
        }
    })?;
    let mut file = IndexFile {
        dialect,
        lines: Vec::new(),
        kinds: Vec::new(),
        warnings: Vec::new(),
        text,
    };
    let mut kinds = kinds::Interner::default();
    match dialect {
        Dialect::Noaa => noaa::read(text, &mut kinds, &mut file.lines)?,
        Dialect::Ecmwf => ecmwf::read(text, &mut kinds, &mut file.lines)?,
    }
    file.kinds = kinds.into_kinds();
    places::settle(&mut file, object_size)?;
    Ok(file)
}

/// The lines of a file, with their number from 1, their place, and whether they end in a newline; blank ones left out.
fn lines_of(text: &str) -> impl Iterator<Item = RawLine<'_>> {
    let mut ends = memchr::memchr_iter(b'\n', text.as_bytes());
    let (mut start, mut number) = (0_usize, 0_u32);
    let mut done = false;
    std::iter::from_fn(move || {
        while !done {
            let (end, ended) = match ends.next() {
                Some(end) => (end, true),
                None => (text.len(), false),
            };
            done = !ended;
            let at = start;
            let line = text.get(at..end).unwrap_or_default();
            start = end.saturating_add(1);
            number = number.saturating_add(1);
            let line = line.strip_suffix('\r').unwrap_or(line);
            if !line.bytes().all(|b| b.is_ascii_whitespace()) {
                return Some(RawLine {
                    text: line,
                    number,
                    at,
                    ended,
                });
            }
        }
        None
    })
}

/// One line of text.
#[derive(Clone, Copy, Debug)]
struct RawLine<'a> {
    text: &'a str,
    number: u32,
    at: usize,
    ended: bool,
}

impl RawLine<'_> {
    /// The error of this line: cut if the file ends in it, else bad.
    fn error(&self, fault: LineFault) -> IndexError {
        let (line, text) = (self.number, Excerpt::new(self.text));
        let fault = if self.text.trim_start().starts_with('<') {
            LineFault::Markup
        } else {
            fault
        };
        if self.ended || fault == LineFault::Markup {
            IndexError::Line { line, text, fault }
        } else {
            IndexError::Cut { line, text, fault }
        }
    }
}

/// Room for the lines of a text: about as many as it has newlines, each of which is backed by input.
fn line_capacity(text: &str) -> Result<usize, IndexError> {
    let count = memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1;
    match u32::try_from(count) {
        Ok(small) if small < u32::MAX => Ok(count),
        Ok(_) | Err(_) => Err(IndexError::TooLong { limit: u32::MAX }),
    }
}

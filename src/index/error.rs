//! Why bytes are no index file, or an index file that cannot be trusted.
//!
//! A bad line is an error of the whole file: a reader that skips it turns a message into a gap. The caller adds the
//! file's location and falls back to the GRIB's own section headers.

use std::fmt;

/// Longest excerpt of a line that an error shows, in characters.
const EXCERPT_CHARS: usize = 120;

/// Why an index file was refused. All of them leave the GRIB itself readable: scan its section headers instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// No byte but white space: an upload that has not begun, or failed.
    #[error("index file is empty ({bytes} bytes); scan the GRIB itself or wait for the upload")]
    Empty {
        /// Size of the file.
        bytes: usize,
    },
    /// A binary file under the name of an index.
    #[error("no index file but {what}; scan the GRIB itself (--scan)")]
    Binary {
        /// What the first bytes say it is.
        what: &'static str,
    },
    /// A server's error page stored in place of the index.
    #[error("no index file but {what}: `{text}`; fetch it again or scan the GRIB itself (--scan)")]
    Markup {
        /// HTML or XML.
        what: &'static str,
        /// How it begins.
        text: Excerpt,
    },
    /// JSON lines of another producer.
    #[error(
        "JSON of another dialect than ECMWF's: line {line} has no {missing} (its keys: {keys}); scan the GRIB itself (--scan)"
    )]
    ForeignJson {
        /// Line number, from 1.
        line: u32,
        /// Keys of ECMWF's dialect that the line has not.
        missing: String,
        /// Keys that it has.
        keys: Excerpt,
    },
    /// Text that is neither dialect.
    #[error("no index file: it begins with `{text}`; scan the GRIB itself (--scan)")]
    Unknown {
        /// How it begins.
        text: Excerpt,
    },
    /// Bytes that are no UTF-8.
    #[error("line {line} is not text; fetch the index again or scan the GRIB itself (--scan)")]
    NotText {
        /// Line number, from 1.
        line: u32,
    },
    /// A line that does not follow the grammar.
    #[error(
        "line {line}: {fault}: `{text}`; fetch the index again or scan the GRIB itself (--scan)"
    )]
    Line {
        /// Line number, from 1.
        line: u32,
        /// The line.
        text: Excerpt,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// The last line ends early: a file that is still being written, or a download that broke off.
    #[error(
        "line {line}, the last, is cut off ({fault}): `{text}`; wait until the index is complete or scan the GRIB itself (--scan)"
    )]
    Cut {
        /// Line number, from 1.
        line: u32,
        /// The line.
        text: Excerpt,
        /// What is missing.
        fault: LineFault,
    },
    /// A message that would lie behind the end of the object: the index of another file.
    #[error(
        "line {line}: the message at offset {offset} reaches past the object's end at {size}; the index belongs to another object: scan the GRIB itself (--scan)"
    )]
    BeyondObject {
        /// Line number, from 1.
        line: u32,
        /// Offset of the message.
        offset: u64,
        /// Size of the object.
        size: u64,
    },
    /// More lines than can be numbered.
    #[error("index file has more than {limit} lines")]
    TooLong {
        /// The limit.
        limit: u32,
    },
}

/// What is wrong with one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Fewer than six fields between colons.
    #[error("{found} of at least 6 fields (message, offset, date, variable, level, time)")]
    Fields {
        /// Fields that were there.
        found: u8,
    },
    /// The first field is no `N` or `N.M` of numbers from 1.
    #[error("no message number in the first field")]
    Message,
    /// An offset with a minus sign: a count of 32 bits that overflowed.
    #[error("negative offset: its writer counted with 32 bits and overflowed")]
    NegativeOffset,
    /// The second field is no number of at most 64 bits.
    #[error("no byte offset where one belongs")]
    Offset,
    /// The third field is no `d=YYYYMMDDHH` (12 or 14 digits) or `D=YYYYMMDDHHMMSS` that exists.
    #[error("no date of a run where one belongs")]
    Date,
    /// No variable.
    #[error("the variable is empty")]
    Variable,
    /// The forecast time is none of wgrib2's forms. Asked of a last line without newline only.
    #[error("the forecast time is incomplete")]
    Time,
    /// An HTML or XML tag inside the file: a throttled download.
    #[error("an error body of a server inside the file")]
    Markup,
    /// A line of JSON that cannot be read.
    #[error("not a JSON object: {0}")]
    Json(String),
    /// A key that stands twice in one line.
    #[error("key `{0}` twice")]
    Twice(&'static str),
    /// A value that does not fit its key.
    #[error("value of `{0}` makes no sense")]
    Value(&'static str),
}

/// A piece of text for an error message: cut, and without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// The first characters of `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut kept: String = text
            .chars()
            .take(EXCERPT_CHARS)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if kept.len() < text.len() {
            kept.truncate(kept.trim_end().len());
            kept.push_str("...");
        }
        Self(kept)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_printable() {
        assert_eq!(Excerpt::new("a\tb").to_string(), "a b");
        let long = Excerpt::new(&"\u{e9}".repeat(500)).to_string();
        assert_eq!(long.chars().count(), EXCERPT_CHARS + 3);
    }

    #[test]
    fn errors_say_what_where_and_what_to_do() {
        let error = IndexError::Line {
            line: 7,
            text: Excerpt::new("7:-5:d=x"),
            fault: LineFault::NegativeOffset,
        };
        assert_eq!(
            error.to_string(),
            "line 7: negative offset: its writer counted with 32 bits and overflowed: `7:-5:d=x`; fetch the index again or scan the GRIB itself (--scan)"
        );
    }
}

//! What can be wrong with a message: the one error of the walk, the heads, the products and the walker.

use super::section::MAX_FIELDS;

/// Why bytes are not a message that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GribError {
    /// The magic is missing.
    #[error("not a GRIB message: starts with {found:02x?}")]
    NotGrib {
        /// The first octets that are there.
        found: [u8; 4],
    },
    /// A GRIB edition 1 message.
    #[error("GRIB edition 1 message of {length} bytes: only edition 2 is read")]
    Edition1 {
        /// Total length as coded in octets 5-7, in bytes; over 8 MiB it is approximate, see `walker`.
        length: u64,
    },
    /// An edition that does not exist.
    #[error("GRIB edition {edition} is not known")]
    Edition {
        /// Octet 8 of section 0.
        edition: u8,
    },
    /// The total length of section 0 is too small for a message or above
    /// [`MAX_MESSAGE_BYTES`](super::section::MAX_MESSAGE_BYTES).
    #[error("total length {length} of the message is not plausible")]
    TotalLength {
        /// Octets 9-16 of section 0.
        length: u64,
    },
    /// The message is longer than the bytes at hand.
    #[error("truncated: {need} bytes needed, {have} there")]
    Truncated {
        /// Bytes that are needed.
        need: u64,
        /// Bytes that are there.
        have: u64,
    },
    /// No `7777` where section 0 says that the message ends.
    #[error("no 7777 at the end of the {length} bytes that section 0 announces")]
    NoEnd {
        /// Total length.
        length: u64,
    },
    /// A section's length is below its minimum or leads out of the message.
    #[error("section {section} at byte {offset} has an impossible length of {length}")]
    SectionLength {
        /// Section number.
        section: u8,
        /// Where it starts, in bytes from the start of the message.
        offset: u64,
        /// Length as coded.
        length: u32,
    },
    /// A section where it must not stand.
    #[error("section {section} at byte {offset} may not follow section {after}")]
    SectionOrder {
        /// Section number as coded.
        section: u8,
        /// Section before it.
        after: u8,
        /// Where it starts, in bytes from the start of the message.
        offset: u64,
    },
    /// Bitmap indicator 254 (the one given before) without one given before.
    #[error("field {field} reuses a bitmap, but none was given before")]
    NoBitmap {
        /// Number of the field in its message, from 1.
        field: usize,
    },
    /// Bitmap indicator 1 to 253: a bitmap that only the centre knows.
    #[error("bitmap {number} is predefined by the centre and not part of the message")]
    PredefinedBitmap {
        /// The indicator.
        number: u8,
    },
    /// A bitmap with fewer bits than the grid has points.
    #[error("bitmap of {bytes} bytes for {points} grid points")]
    BitmapLength {
        /// Bytes of the bitmap.
        bytes: usize,
        /// Grid points of section 3.
        points: u32,
    },
    /// More than [`MAX_FIELDS`] fields.
    #[error("more than {MAX_FIELDS} fields in one message")]
    TooManyFields,
    /// Sections 1 to 5 of one field are longer than any real ones.
    #[error("headers of {bytes} bytes before the data")]
    HeadersTooLong {
        /// Bytes that would be needed.
        bytes: u64,
    },
    /// A product definition template that is not known: its time and level cannot be read.
    #[error("product template 4.{number} is not supported")]
    ProductTemplate {
        /// Code Table 4.0.
        number: u16,
    },
    /// A section shorter than its template.
    #[error("section {section} has {have} octets, its template needs {need}")]
    TemplateLength {
        /// Section number.
        section: u8,
        /// Octets that the template needs.
        need: usize,
        /// Octets that are there.
        have: usize,
    },
    /// A reference time, or end of a window, that is no date.
    #[error("{what} is not a date: {year}-{month}-{day} {hour}:{minute}:{second}")]
    Date {
        /// Which one.
        what: &'static str,
        /// Year as coded.
        year: u16,
        /// Month as coded.
        month: u8,
        /// Day as coded.
        day: u8,
        /// Hour as coded.
        hour: u8,
        /// Minute as coded.
        minute: u8,
        /// Second as coded.
        second: u8,
    },
    /// A time in a unit that is not known (Code Table 4.4).
    #[error("{count} units of time of kind {unit}: not a known length of time")]
    TimeUnit {
        /// Code Table 4.4.
        unit: u8,
        /// Number of units.
        count: i64,
    },
    /// A window that ends before it starts.
    #[error("window from {start} s to {end} s after the reference time ends before it starts")]
    Window {
        /// Start, in seconds from the reference time.
        start: i64,
        /// End, in seconds from the reference time.
        end: i64,
    },
}

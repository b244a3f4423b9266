//! What the pages of a Parquet file claim to unpack to, before a reader makes room for it.
//!
//! A page's header tells its size unpacked, and readers allocate that before they look at a byte: of a file of 4 kB a page may claim 2 GB. Such
//! a claim is refused where it is out of all proportion to what the page has.
//!
//! Source: Apache Parquet's `parquet.thrift` (`PageHeader`: 1 `type`, 2 `uncompressed_page_size`, 3 `compressed_page_size`), written in the Thrift
//! compact protocol. Knows no types and no values: a header that ends too early is left to the reader, which says what is wrong with it.
//! A list of more items than there are bytes is a claim as well: the reader counts through two thousand million booleans that take no byte.
//! Where the protocol leaves room, headers are read as that reader (the crate `parquet`) reads them, so that both see the same pages.

use std::ops::Range;

use parquet::file::metadata::ColumnChunkMetaData;

/// Bytes that the pages of one row group which are in memory together may claim, whatever they hold.
const CLAIM: u64 = 64 << 20;
/// And more than that if they have one byte for so many: Zstandard packs a constant a few ten thousand times, but then the claim is small.
const RATIO: u64 = 2000;
/// Structs and lists in each other that the reader follows.
const MAX_DEPTH: u32 = 64;

/// Where a column chunk lies in its file, if its footer names such places. (`byte_range()` of the crate panics at negative numbers.)
pub(crate) fn span(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = chunk
        .dictionary_page_offset()
        .unwrap_or_else(|| chunk.data_page_offset());
    let start = u64::try_from(start).ok()?;
    let length = u64::try_from(chunk.compressed_size()).ok()?;
    Some(start..start.checked_add(length)?)
}

/// Holds the claims of column chunks against what they have. `chunks` are where the chunks of a row group lie in `bytes`; of each, one page at a
/// time is in memory.
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn check(
    bytes: &[u8],
    chunks: impl IntoIterator<Item = Range<usize>>,
) -> Result<(), String> {
    let (mut claimed, mut held) = (0_u64, 0_u64);
    for chunk in chunks {
        let pages = bytes.get(chunk.start..).unwrap_or_default();
        let claim =
            largest_claim(pages, chunk.len()).ok_or_else(|| absurd("the header of a page"))?;
        claimed = claimed.saturating_add(claim);
        held = held.saturating_add(chunk.len() as u64);
    }
    if claimed > CLAIM.max(held.saturating_mul(RATIO)) {
        return Err(format!(
            "pages of {held} bytes claim to be {claimed} bytes unpacked: the file is damaged, or made to do damage"
        ));
    }
    Ok(())
}

/// Holds the lists of a footer against the bytes that it has. `footer` is what stands before its length at the end of a file.
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn check_footer(footer: &[u8]) -> Result<(), String> {
    let mut input = Input::of(footer);
    let _whole = input.skip(Kind::STRUCT, MAX_DEPTH);
    if input.is_absurd {
        return Err(absurd("the footer"));
    }
    Ok(())
}

fn absurd(what: &str) -> String {
    format!("{what} counts more items than it has bytes: the file is damaged, or made to do damage")
}

/// The footer of a whole file, as far as it has one.
pub(crate) fn footer_of(file: &[u8]) -> &[u8] {
    let end = file.len().saturating_sub(8);
    let tail = file.get(end..).and_then(|tail| tail.first_chunk());
    let length = tail.map_or(0, |length| u32::from_le_bytes(*length));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    file.get(end.saturating_sub(length)..end)
        .unwrap_or_default()
}

/// The largest size that a page claims of a column chunk, which is the first `length` of some bytes: a header that reaches beyond it is read to
/// its end. `None` where one cannot be meant.
fn largest_claim(mut pages: &[u8], length: usize) -> Option<u64> {
    let mut largest = 0;
    let end = pages.len().saturating_sub(length);
    while pages.len() > end {
        let mut input = Input::of(pages);
        let header = PageHeader::read(&mut input);
        if input.is_absurd {
            return None;
        }
        let Some(header) = header else { break };
        largest = largest.max(u64::try_from(header.unpacked).unwrap_or(u64::MAX));
        let packed = usize::try_from(header.packed).ok();
        let Some(rest) = packed.and_then(|packed| input.bytes.get(packed..)) else {
            break;
        };
        pages = rest;
    }
    Some(largest)
}

/// Sizes of a page in bytes; less than 0 only in a damaged one.
#[derive(Debug, Default, PartialEq, Eq)]
struct PageHeader {
    unpacked: i64,
    packed: i64,
}

impl PageHeader {
    /// A header at the beginning of some bytes.
    fn read(input: &mut Input<'_>) -> Option<Self> {
        let mut header = Self::default();
        let mut id = 0;
        while let Some(kind) = input.field(&mut id)? {
            // What a known field has is read as what it should be, whatever it says.
            match id {
                1 | 4 => drop(input.varint()?),
                2 => header.unpacked = input.integer()?,
                3 => header.packed = input.integer()?,
                // Headers of data pages, of dictionaries and of data pages of the second version.
                5 => input.integers(4)?,
                7 => input.integers(2)?,
                8 => input.integers(6)?,
                _ => input.skip(kind, MAX_DEPTH)?,
            }
        }
        Some(header)
    }
}

/// Types of the compact protocol.
struct Kind;

impl Kind {
    const TRUE: u8 = 1;
    const FALSE: u8 = 2;
    const BYTE: u8 = 3;
    const SHORT: u8 = 4;
    const INTEGER: u8 = 5;
    const LONG: u8 = 6;
    const DOUBLE: u8 = 7;
    const BINARY: u8 = 8;
    const LIST: u8 = 9;
    const SET: u8 = 10;
    const MAP: u8 = 11;
    const STRUCT: u8 = 12;
    const UUID: u8 = 13;
}

/// Bytes of the compact protocol that are still to be read.
struct Input<'a> {
    bytes: &'a [u8],
    /// A list claims more items than there are bytes.
    is_absurd: bool,
}

impl<'a> Input<'a> {
    const fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            is_absurd: false,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn pass(&mut self, count: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    /// Seven bits in each byte, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Some(number);
            }
            shift = shift.wrapping_add(7);
        }
    }

    /// A signed number of 32 bits: 0, -1, 1, -2, 2, ..
    #[expect(clippy::cast_possible_truncation, reason = "so does the reader")]
    fn integer(&mut self) -> Option<i64> {
        let number = self.varint()?;
        let number = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
        Some(i64::from(number as i32))
    }

    /// The type of the next field of a struct, whose number becomes `id`; `Some(None)` at the end of the struct.
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let head = self.byte()?;
        if head & 0x0f == 0 {
            return Some(None);
        }
        *id = match head >> 4 {
            0 => self.integer()?,
            more => id.wrapping_add(i64::from(more)),
        };
        Some(Some(head & 0x0f))
    }

    /// A struct whose first fields are integers.
    fn integers(&mut self, known: i64) -> Option<()> {
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            if (1..=known).contains(&id) {
                self.varint()?;
            } else {
                self.skip(kind, MAX_DEPTH)?;
            }
        }
        Some(())
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            Kind::TRUE | Kind::FALSE => {}
            Kind::BYTE => self.pass(1)?,
            Kind::SHORT | Kind::INTEGER | Kind::LONG => drop(self.varint()?),
            Kind::DOUBLE => self.pass(8)?,
            Kind::BINARY => {
                let length = self.varint()?;
                self.pass(length)?;
            }
            Kind::LIST | Kind::SET => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => count.into(),
                };
                self.hold(count)?;
                (0..count).try_for_each(|_| self.skip(head & 0x0f, depth))?;
            }
            Kind::MAP => {
                let count = self.varint()?;
                if count > 0 {
                    let kinds = self.byte()?;
                    self.hold(count)?;
                    for _ in 0..count {
                        self.skip(kinds >> 4, depth)?;
                        self.skip(kinds & 0x0f, depth)?;
                    }
                }
            }
            Kind::UUID => self.pass(16)?,
            Kind::STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Holds a count of items against the bytes that are left: each has one at least.
    fn hold(&mut self, count: u64) -> Option<()> {
        self.is_absurd |= count > self.bytes.len() as u64;
        (!self.is_absurd).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with these sizes, a struct with a list and a text in it, and a field whose number is written out.
    fn page(unpacked: u32, packed: u8) -> Vec<u8> {
        let mut bytes = vec![0x15, 0x00, 0x15];
        let mut number = unpacked << 1;
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        bytes.extend([u8::try_from(number).unwrap(), 0x15, packed << 1]);
        // 5: struct { 1: i32, 2: an enumeration, 9: a double }, the header of a data page.
        bytes.extend([
            0x2c, 0x15, 0x02, 0x15, 0x00, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
        // 9: struct { 1: i32, 2: list of two i32, 3: binary of 3, 4: true, 5: double }
        bytes.extend([
            0x4c, 0x15, 0x02, 0x19, 0x25, 0x02, 0x04, 0x18, 0x03, 1, 2, 3, 0x11, 0x17,
        ]);
        bytes.extend([0; 8]);
        bytes.push(0);
        // 200: a byte.
        bytes.extend([0x03, 0x90, 0x03, 7, 0]);
        bytes.extend(std::iter::repeat_n(0xaa, packed.into()));
        bytes
    }

    #[test]
    fn headers_are_read_and_passed_over() {
        let two = [page(1000, 20), page(70_000_000, 5)].concat();
        let mut input = Input::of(&two);
        let header = PageHeader::read(&mut input).unwrap();
        let rest = input.bytes;
        let wanted = PageHeader {
            unpacked: 1000,
            packed: 20,
        };
        assert_eq!(
            (header, rest.len()),
            (wanted, two.len() - page(1000, 0).len())
        );
        assert_eq!(largest_claim(&two, two.len()), Some(70_000_000));
        assert_eq!(
            largest_claim(&two[..70], 70),
            Some(1000),
            "what is cut off is the reader's to tell"
        );
    }

    #[test]
    fn claims_out_of_proportion_are_refused() {
        let (small, large) = (page(60 << 20, 100), page(70 << 20, 100));
        assert!(check(&small, std::iter::once(0..small.len())).is_ok());
        assert!(check(&large, std::iter::once(0..large.len())).is_err());
        let both = [small.clone(), small].concat();
        let chunks = [0..both.len() / 2, both.len() / 2..both.len()];
        assert!(check(&both, chunks).is_err(), "of two columns at a time");
        assert!(
            check(&both, std::iter::once(0..both.len())).is_ok(),
            "of one column one after the other"
        );
        let mut honest = large;
        honest.extend(vec![0; 40 << 10]);
        assert!(check(&honest, std::iter::once(0..honest.len())).is_ok());
    }

    #[test]
    fn footers_that_count_more_items_than_bytes_are_refused() {
        // 1: i32, 2: list of two structs, 9: list of more booleans than there are bytes.
        let honest = [0x15, 0x02, 0x19, 0x2c, 0x15, 0x02, 0x00, 0x00, 0x00];
        assert!(check_footer(&honest).is_ok());
        let mut file = honest.to_vec();
        file.splice(8.., [0x79, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00]);
        assert!(check_footer(&file).is_err());
        let length = u8::try_from(file.len()).unwrap();
        file.splice(0..0, *b"PAR1");
        file.extend([length, 0, 0, 0]);
        file.extend(*b"PAR1");
        assert!(check_footer(footer_of(&file)).is_err());
        assert!(footer_of(b"PAR1").is_empty());
    }

    #[test]
    fn whatever_comes_is_read_to_an_end() {
        let whole = page(1000, 20);
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _claim = largest_claim(&bytes, bytes.len());
                let _claim = largest_claim(&bytes[..at], at);
            }
        }
        // Structs in structs without an end.
        assert_eq!(largest_claim(&[0x9c; 1000], 1000), Some(0));
        // A list of more items than there are bytes.
        let list = [0x99, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07];
        assert_eq!(largest_claim(&list, 3), None);
    }
}

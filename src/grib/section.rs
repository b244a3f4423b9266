//! Sections of a GRIB2 message: a bounded walk that checks before it believes.
//!
//! A message is `0 1 [2] 3 4 5 6 7 ... 8`; after each section 7 it may go back to 2, 3 or 4 for another field, and what is
//! not repeated stays. [`Message::parse`] turns bytes into [`Field`]s, each with the slices that belong to it. Every length
//! is checked against what is there, so a field that exists is whole.
//!
//! ```
//! use gribfs::grib::section::{GribError, Indicator};
//!
//! let edition_1 = b"GRIB\0\0\x2c\x01";
//! assert_eq!(Indicator::parse(edition_1), Err(GribError::Edition1 { length: 44 }));
//! ```
//!
//! Knows lengths, order and the bitmap indicator. Knows no templates: products, grids and values are read elsewhere.
//! Source: WMO Manual on Codes, FM 92 GRIB.

use super::bytes::Octets;
pub use super::error::GribError;

/// Octets of section 0.
pub const INDICATOR_BYTES: usize = 16;

/// Largest total length that is taken for a message: 2 GiB. The largest fields published are some hundred megabytes.
pub const MAX_MESSAGE_BYTES: u64 = 2 << 30;

/// Most fields of one message that are taken; real files have a few dozen.
pub const MAX_FIELDS: usize = 1 << 16;

/// Octets of section 8, `7777`.
pub(crate) const END: &[u8; 4] = b"7777";

/// Section 0 of an edition 2 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indicator {
    /// Discipline, Code Table 0.0.
    pub discipline: u8,
    /// Total length in bytes, sections 0 to 8; at most [`MAX_MESSAGE_BYTES`].
    pub length: u64,
}

impl Indicator {
    /// Reads section 0 from the first 16 bytes of a message (8 tell an edition 1 message).
    ///
    /// # Errors
    /// [`GribError::NotGrib`], [`GribError::Edition1`], [`GribError::Edition`], [`GribError::TotalLength`], or
    /// [`GribError::Truncated`] for fewer than 16 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, GribError> {
        let octets = Octets(bytes);
        let truncated = GribError::Truncated {
            need: 16,
            have: bytes.len() as u64,
        };
        let magic = octets.range(1, 4).ok_or_else(|| truncated.clone())?;
        if magic != b"GRIB" {
            let mut found = [0; 4];
            found.copy_from_slice(magic);
            return Err(GribError::NotGrib { found });
        }
        match octets.u8(8).ok_or_else(|| truncated.clone())? {
            1 => Err(GribError::Edition1 {
                length: edition_1_length(octets.u24(5).unwrap_or(0)),
            }),
            2 => {
                let length = octets.u64(9).ok_or(truncated)?;
                let least = (INDICATOR_BYTES + END.len()) as u64;
                if !(least..=MAX_MESSAGE_BYTES).contains(&length) {
                    return Err(GribError::TotalLength { length });
                }
                Ok(Self {
                    discipline: octets.u8(7).unwrap_or(255),
                    length,
                })
            }
            edition => Err(GribError::Edition { edition }),
        }
    }
}

/// Length of an edition 1 message. With the top bit set the rest counts 120 bytes; the true end is then up to 120 bytes
/// earlier or 4 later (ecCodes' large messages), so searchers look for the next message from there.
fn edition_1_length(raw: u32) -> u64 {
    if raw & 0x80_0000 == 0 {
        u64::from(raw)
    } else {
        u64::from(raw & 0x7f_ffff) * 120
    }
}

/// Head of a section: number and length, checked against the least that a section of this number must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SectionHead {
    /// Section number, 1 to 7.
    pub(crate) number: u8,
    /// Length in octets, head included.
    pub(crate) length: u32,
}

/// What may stand at some place of the walk: state of the order of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    last: u8,
}

impl Order {
    /// After section 0.
    pub(crate) const START: Self = Self { last: 0 };

    /// Whether section 8 may follow.
    pub(crate) const fn may_end(self) -> bool {
        self.last == 7
    }

    /// The error of a section 8 that stands at `offset`, too early.
    pub(crate) const fn cannot_end(self, offset: u64) -> GribError {
        GribError::SectionOrder {
            section: 8,
            after: self.last,
            offset,
        }
    }

    /// Checks the 5 bytes of a section head at `offset` of a message whose section 8 starts at `end`.
    pub(crate) fn accept(
        &mut self,
        head: &[u8],
        offset: u64,
        end: u64,
    ) -> Result<SectionHead, GribError> {
        let octets = Octets(head);
        let (Some(length), Some(number)) = (octets.u32(1), octets.u8(5)) else {
            return Err(GribError::Truncated {
                need: offset.saturating_add(5),
                have: offset.saturating_add(head.len() as u64),
            });
        };
        let legal = match self.last {
            0 => number == 1,
            1 => matches!(number, 2 | 3),
            7 => matches!(number, 2..=4),
            last => number == last + 1,
        };
        if !legal {
            return Err(GribError::SectionOrder {
                section: number,
                after: self.last,
                offset,
            });
        }
        let fits = offset
            .checked_add(u64::from(length))
            .is_some_and(|to| to <= end);
        if length < least_length(number) || !fits {
            return Err(GribError::SectionLength {
                section: number,
                offset,
                length,
            });
        }
        self.last = number;
        Ok(SectionHead { number, length })
    }
}

/// Fewest octets of a section, without its template.
const fn least_length(section: u8) -> u32 {
    match section {
        1 => 21,
        3 => 14,
        4 => 9,
        5 => 11,
        6 => 6,
        _ => 5,
    }
}

/// One field of a message: the sections that describe and hold it, each as a whole with its 5-octet head.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Discipline of section 0.
    pub discipline: u8,
    /// Section 1, identification.
    pub section1: &'a [u8],
    /// Section 2, local use, if there is one.
    pub section2: Option<&'a [u8]>,
    /// Section 3, grid definition.
    pub section3: &'a [u8],
    /// Section 4, product definition.
    pub section4: &'a [u8],
    /// Section 5, data representation.
    pub section5: &'a [u8],
    /// The bits of the bitmap, exactly `ceil(points / 8)` octets, one bit per point, 1 = present; `None` if all points
    /// have values. Bits past the last point are undefined. Indicator 254 is resolved.
    pub bitmap: Option<&'a [u8]>,
    /// Section 7, data.
    pub section7: &'a [u8],
    /// Grid points, section 3 octets 7-10.
    pub points: u32,
    /// Values present in section 7, section 5 octets 6-9.
    pub values: u32,
}

/// One message of edition 2, checked from `GRIB` to `7777`.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// Section 0.
    pub indicator: Indicator,
    fields: Vec<Field<'a>>,
}

impl<'a> Message<'a> {
    /// Walks a message that starts at the first byte; bytes after its `7777` are ignored.
    ///
    /// # Errors
    /// Any [`GribError`] but those of templates: not GRIB, another edition, truncated, no `7777`, a section of impossible
    /// length or in an illegal place, a bitmap that is missing, too short or predefined.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GribError> {
        let indicator = Indicator::parse(bytes)?;
        let whole = usize::try_from(indicator.length)
            .ok()
            .and_then(|length| bytes.get(..length))
            .ok_or(GribError::Truncated {
                need: indicator.length,
                have: bytes.len() as u64,
            })?;
        let body = whole.strip_suffix(END).ok_or(GribError::NoEnd {
            length: indicator.length,
        })?;
        let fields = Walk::new(indicator.discipline, body).fields()?;
        Ok(Self { indicator, fields })
    }

    /// The fields in their order, at least one.
    #[must_use]
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The fields in their order, at least one.
    #[must_use]
    pub fn into_fields(self) -> Vec<Field<'a>> {
        self.fields
    }
}

/// The sections seen last, while walking a message without its section 8.
struct Walk<'a> {
    discipline: u8,
    body: &'a [u8],
    at: usize,
    order: Order,
    last: [Option<&'a [u8]>; 8],
    /// Bits given last by a section 6 with indicator 0.
    given: Option<&'a [u8]>,
}

impl<'a> Walk<'a> {
    const fn new(discipline: u8, body: &'a [u8]) -> Self {
        Self {
            discipline,
            body,
            at: INDICATOR_BYTES,
            order: Order::START,
            last: [None; 8],
            given: None,
        }
    }

    fn fields(mut self) -> Result<Vec<Field<'a>>, GribError> {
        let mut fields = Vec::new();
        while let Some((number, section)) = self.section()? {
            if let Some(slot) = self.last.get_mut(usize::from(number)) {
                *slot = Some(section);
            }
            if number == 6 && Octets(section).u8(6) == Some(0) {
                self.given = section.get(6..);
            }
            if number == 7 {
                if fields.len() == MAX_FIELDS {
                    return Err(GribError::TooManyFields);
                }
                fields.push(self.field(fields.len() + 1)?);
            }
        }
        if !self.order.may_end() {
            return Err(self.order.cannot_end(self.at as u64));
        }
        Ok(fields)
    }

    /// The next section, or `None` at section 8.
    fn section(&mut self) -> Result<Option<(u8, &'a [u8])>, GribError> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let offset = self.at as u64;
        let head = self.order.accept(rest, offset, self.body.len() as u64)?;
        let section = usize::try_from(head.length)
            .ok()
            .and_then(|length| rest.get(..length))
            .ok_or(GribError::SectionLength {
                section: head.number,
                offset,
                length: head.length,
            })?;
        self.at += section.len();
        Ok(Some((head.number, section)))
    }

    fn field(&self, number: usize) -> Result<Field<'a>, GribError> {
        // The order of sections guarantees that all of 1 and 3 to 7 were seen before a section 7.
        let seen = |section: usize| self.last.get(section).copied().flatten();
        let need = |section: u8| {
            seen(usize::from(section)).ok_or(GribError::SectionOrder {
                section: 7,
                after: section.saturating_sub(1),
                offset: self.at as u64,
            })
        };
        let (section3, section5) = (need(3)?, need(5)?);
        let points = Octets(section3).u32(7).unwrap_or(0);
        let bitmap = self.bitmap(need(6)?, points, number)?;
        Ok(Field {
            discipline: self.discipline,
            section1: need(1)?,
            section2: seen(2),
            section3,
            section4: need(4)?,
            section5,
            bitmap,
            section7: need(7)?,
            points,
            values: Octets(section5).u32(6).unwrap_or(0),
        })
    }

    fn bitmap(
        &self,
        section6: &'a [u8],
        points: u32,
        field: usize,
    ) -> Result<Option<&'a [u8]>, GribError> {
        let bits = match Octets(section6).u8(6) {
            Some(0) | None => section6.get(6..).unwrap_or_default(),
            Some(254) => self.given.ok_or(GribError::NoBitmap { field })?,
            Some(255) => return Ok(None),
            Some(number) => return Err(GribError::PredefinedBitmap { number }),
        };
        let wrong = GribError::BitmapLength {
            bytes: bits.len(),
            points,
        };
        let need = usize::try_from(points.div_ceil(8)).map_err(|_too_large| wrong.clone())?;
        bits.get(..need).map(Some).ok_or(wrong)
    }
}

#[cfg(test)]
#[path = "section_tests.rs"]
pub(crate) mod tests;

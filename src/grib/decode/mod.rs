//! Values of a field: what sections 5, 6 and 7 hold, unpacked into a caller's buffer.
//!
//! Every packing that gribfs supports is unpacked here, each in a file of its own; only the entropy coders of image formats
//! come from libraries. Values equal those of ecCodes bit for bit in f64, and are rounded once to f32. Header numbers
//! are never believed: counts must agree exactly, the bits must be there, nothing is allocated for as many values as a
//! header names, and a field gives either all of its values or an error.
//!
//! ```
//! use gribfs::grib::decode::{Packed, decode};
//!
//! // 5.0, two values of 8 bits, R = 1, E = 0, D = 0.
//! let section5 = [0, 0, 0, 21, 5, 0, 0, 0, 2, 0, 0, 0x3f, 0x80, 0, 0, 0, 0, 0, 0, 8, 0];
//! let section7 = [0, 0, 0, 7, 7, 0, 41];
//! let field = Packed { points: 2, section5: &section5, bitmap: None, section7: &section7 };
//! let mut values = [0.0; 2];
//! decode(&field, &mut values)?;
//! assert_eq!(values, [1.0, 42.0]);
//! # Ok::<(), gribfs::grib::decode::DecodeError>(())
//! ```
//!
//! Knows sections and bits. Knows no messages and no grids: values stand in the message's own order.

mod bitmap;
mod ccsds;
mod complex;
mod difference;
mod error;
mod fence;
mod ieee;
mod jpeg2000;
mod png;
mod request;
mod runlength;
mod scale;
mod simple;
mod unpack;

use std::ops::Range;

pub use error::DecodeError;
pub use request::Packing;

use bitmap::Bitmap;
use request::Layout;
use scale::Value;

/// One field's packed values, its sections already walked and bounded.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// Number of points of the grid (section 3 octets 7-10).
    pub points: usize,
    /// Section 5 as a whole, its 5 octet head included.
    pub section5: &'a [u8],
    /// The bitmap that holds for this field (section 6 from octet 7 on), references to an earlier one resolved; `None`
    /// where every point has a value.
    pub bitmap: Option<&'a [u8]>,
    /// Section 7 as a whole, its 5 octet head included.
    pub section7: &'a [u8],
}

/// Whether a packing is supported, from section 5 alone.
///
/// # Errors
/// As [`Packing::parse`]: [`DecodeError::Template`] names what is not supported.
pub fn supported(section5: &[u8]) -> Result<Packing, DecodeError> {
    Packing::parse(section5)
}

/// All values of a field in the message's order, as f32; the quiet NaN 0x7fc00000 where there is none.
///
/// # Errors
/// Any [`DecodeError`]; then `out` holds nothing of use. [`DecodeError::Count`] if `out` has not as many places as the
/// field has points.
pub fn decode(field: &Packed<'_>, out: &mut [f32]) -> Result<(), DecodeError> {
    fence::fence(|| all(field, out))
}

/// All values of a field, as [`decode`] but not rounded to f32.
///
/// # Errors
/// As [`decode`].
pub fn decode_f64(field: &Packed<'_>, out: &mut [f64]) -> Result<(), DecodeError> {
    fence::fence(|| all(field, out))
}

/// Values of the points from `first` on, as many as `out` holds. Unpacks nothing else where the packing allows (5.0, 5.4);
/// otherwise costs a [`decode`] and a buffer for the whole field.
///
/// # Errors
/// As [`decode`]; [`DecodeError::Count`] if the field has fewer points.
pub fn decode_range(field: &Packed<'_>, first: usize, out: &mut [f32]) -> Result<(), DecodeError> {
    fence::fence(|| range(field, first, out))
}

fn range(field: &Packed<'_>, first: usize, out: &mut [f32]) -> Result<(), DecodeError> {
    let end = first.saturating_add(out.len());
    if end > field.points {
        return Err(DecodeError::Count {
            what: "points of the range",
            expected: field.points as u64,
            found: end as u64,
        });
    }
    let packing = Packing::parse(field.section5)?;
    if !matches!(
        packing.layout,
        Layout::Constant(_) | Layout::Simple { .. } | Layout::Ieee { .. }
    ) {
        let mut whole = vec![0.0_f32; field.points];
        all(field, &mut whole)?;
        out.copy_from_slice(whole.get(first..end).unwrap_or_default());
        return Ok(());
    }
    let data = data(field.section7)?;
    match bitmap(field, &packing)? {
        None => dense(&packing, field.section5, data, first, out),
        Some(bitmap) => {
            let before = bitmap.ones(first);
            let present = bitmap.ones(end) - before;
            let gap = out.len() - present;
            let values = out.get_mut(gap..).unwrap_or_default();
            dense(&packing, field.section5, data, before, values)?;
            bitmap.spread(first, present, out);
            Ok(())
        }
    }
}

/// The octets of section 7, counted from the section's first octet, that hold values `first .. first + count` of a field
/// without a bitmap. `None` where a packing cannot be read in parts, or for values that are not there.
#[must_use]
pub fn byte_range_of_values(section5: &[u8], first: u64, count: u64) -> Option<Range<u64>> {
    let packing = Packing::parse(section5).ok()?;
    let bits = match packing.layout {
        Layout::Simple { bits, .. } => u64::from(bits),
        Layout::Ieee { octets } => 8 * octets as u64,
        Layout::Constant(_) => 0,
        Layout::Complex(_)
        | Layout::Jpeg2000 { .. }
        | Layout::Png { .. }
        | Layout::Ccsds(_)
        | Layout::RunLength(_) => return None,
    };
    let end = first.checked_add(count)?;
    if end > packing.values() as u64 {
        return None;
    }
    // Values number at most 2^32, so bits fit.
    Some(5 + first * bits / 8..5 + (end * bits).div_ceil(8))
}

fn all<V: Value>(field: &Packed<'_>, out: &mut [V]) -> Result<(), DecodeError> {
    if out.len() != field.points {
        return Err(DecodeError::Count {
            what: "places for values",
            expected: field.points as u64,
            found: out.len() as u64,
        });
    }
    let packing = Packing::parse(field.section5)?;
    let data = data(field.section7)?;
    match bitmap(field, &packing)? {
        None => dense(&packing, field.section5, data, 0, out),
        Some(bitmap) => {
            let present = packing.values();
            let gap = out.len() - present;
            let values = out.get_mut(gap..).unwrap_or_default();
            dense(&packing, field.section5, data, 0, values)?;
            bitmap.spread(0, present, out);
            Ok(())
        }
    }
}

/// The octets behind the head of section 7.
fn data(section7: &[u8]) -> Result<&[u8], DecodeError> {
    match section7.split_first_chunk::<5>() {
        Some((&[_, _, _, _, 7], data)) => Ok(data),
        Some((&[_, _, _, _, other], _)) => Err(DecodeError::Header {
            what: "section number",
            found: i64::from(other),
        }),
        None => Err(DecodeError::Short {
            section: 7,
            needed: 5,
            found: section7.len(),
        }),
    }
}

/// The bitmap, if any, its ones as many as there are values.
fn bitmap<'a>(field: &Packed<'a>, packing: &Packing) -> Result<Option<Bitmap<'a>>, DecodeError> {
    let (bitmap, present) = match field.bitmap {
        None => (None, field.points),
        Some(octets) => {
            if matches!(packing.layout, Layout::RunLength(_)) {
                // Its readers do not agree on what a bitmap means here.
                return Err(DecodeError::Template {
                    number: packing.template(),
                    name: "run length with a bitmap",
                });
            }
            let bitmap = Bitmap::try_new(octets, field.points)?;
            (Some(bitmap), bitmap.ones(field.points))
        }
    };
    if present != packing.values() {
        return Err(DecodeError::Count {
            what: "values in section 5",
            expected: present as u64,
            found: packing.values() as u64,
        });
    }
    Ok(bitmap)
}

/// Values from number `first` on, without regard to a bitmap. `first` is 0 where a packing has to be read from its start.
fn dense<V: Value>(
    packing: &Packing,
    section5: &[u8],
    data: &[u8],
    first: usize,
    out: &mut [V],
) -> Result<(), DecodeError> {
    match &packing.layout {
        Layout::Constant(value) => {
            out.fill(V::nearest(*value));
            Ok(())
        }
        Layout::Simple { scale, bits } => simple::decode(scale, *bits, data, first, out),
        Layout::Complex(packing) => complex::decode(packing, data, out),
        Layout::Ieee { octets } => ieee::decode(*octets, data, first, out),
        Layout::Jpeg2000 { scale } => jpeg2000::decode(scale, data, out),
        Layout::Png { scale } => png::decode(scale, data, out),
        Layout::Ccsds(packing) => ccsds::decode(packing, data, out),
        Layout::RunLength(packing) => runlength::decode(packing, section5, data, out),
    }
}

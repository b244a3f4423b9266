//! Complex packing (templates 5.2 and 5.3): groups of values with a reference and a width each, the integers possibly
//! being differences of first or second order.
//!
//! Integers are made a block at a time, small enough for the first-level cache: unpacked, referenced and summed up in one
//! loop per width, then scaled. Group references, widths and lengths are read in batches beside it, so nothing is allocated
//! for as many groups as a header names.
//!
//! The sums are exact: before each piece of a group a bound on what they can reach is compared with 2^51, the range of
//! [`Biased`]; where the bound does not hold, each step is checked.

use super::difference::{Difference, First, Plain, Second, exact};
use super::error::DecodeError;
use super::request::Complex;
use super::scale::{Biased, Scale, Value};
use super::simple::enough;
use super::unpack::{for_width, top, unpack, window};

/// Integers between unpacking and scaling.
const BLOCK: usize = 1024;
/// Integers that may be written behind a block's end: groups are unpacked in whole words, a few values too many, since where
/// a group ends is what a processor guesses worst.
const SLACK: usize = 16;
/// Groups whose headers are read at once.
const BATCH: usize = 128;

/// All values of a field.
///
/// # Errors
/// [`DecodeError::Truncated`], [`DecodeError::Count`], [`DecodeError::Header`] or [`DecodeError::Overflow`].
pub(super) fn decode<V: Value>(
    packing: &Complex,
    data: &[u8],
    out: &mut [V],
) -> Result<(), DecodeError> {
    match packing.order {
        0 => Field::<Plain, V>::decode(packing, data, out),
        1 => Field::<First, V>::decode(packing, data, out),
        _ => Field::<Second, V>::decode(packing, data, out),
    }
}

/// One group, as its three headers say.
#[derive(Clone, Copy)]
struct Group {
    /// Group reference, without the minimum of the differences.
    reference: u32,
    width: u32,
    length: usize,
}

/// A field being unpacked.
struct Field<'a, D, V> {
    data: &'a [u8],
    scale: Scale,
    /// Where the next packed value starts.
    bit: u64,
    /// The minimum of the differences, 0 for template 5.2.
    minimum: i64,
    first: [i64; 2],
    /// How many of the first values have been used.
    started: usize,
    state: D,
    bits: u32,
    missing: u32,
    /// Whether no sum of the field can leave the exact range, by its header alone.
    bounded: bool,
    block: [Biased; BLOCK + SLACK],
    filled: usize,
    /// What is still to be written.
    out: &'a mut [V],
}

impl<'a, D: Difference, V: Value> Field<'a, D, V> {
    fn decode(packing: &Complex, data: &'a [u8], out: &'a mut [V]) -> Result<(), DecodeError> {
        let (first, minimum) = descriptors::<D>(packing, data)?;
        let groups = u64::from(packing.groups);
        let found = data.len() as u64 * 8;
        if groups > found.max(out.len() as u64) {
            // Groups without a bit of their own and without a value: nothing bounds their number.
            return Err(DecodeError::Header {
                what: "number of groups",
                found: i64::from(packing.groups),
            });
        }
        let extra = if D::ORDER == 0 { 0 } else { D::ORDER + 1 };
        let references = (extra * packing.extra_octets) as u64 * 8;
        let padded = |from: u64, bits: u32| from + (groups * u64::from(bits)).next_multiple_of(8);
        let widths = padded(references, packing.bits);
        let lengths = padded(widths, packing.width_bits);
        let values = padded(lengths, packing.length_bits);
        enough(data, values, 0, 0)?;

        let state = D::start(first);
        let widest = packing
            .width_reference
            .saturating_add(top(u64::MAX, packing.width_bits.max(1)))
            .min(32);
        let largest = (1 << packing.bits) + (1 << widest) + minimum.unsigned_abs();
        let mut field = Self {
            data,
            scale: packing.scale,
            bit: values,
            minimum,
            first,
            started: 0,
            state,
            bits: packing.bits,
            missing: packing.missing,
            bounded: state.reach(out.len() as u64, largest) < Biased::LIMIT,
            block: [Biased::ZERO; BLOCK + SLACK],
            filled: 0,
            out,
        };
        let points = field.out.len();
        let mut left = points;
        let mut done = 0;
        let (mut reference, mut width, mut length) = ([0; BATCH], [0; BATCH], [0; BATCH]);
        while done < groups {
            let at = |from: u64, bits: u32| from + done * u64::from(bits);
            unpack(
                data,
                at(references, packing.bits),
                packing.bits,
                &mut reference,
            );
            unpack(
                data,
                at(widths, packing.width_bits),
                packing.width_bits,
                &mut width,
            );
            unpack(
                data,
                at(lengths, packing.length_bits),
                packing.length_bits,
                &mut length,
            );
            for ((&reference, &width), &length) in reference.iter().zip(&width).zip(&length) {
                if done == groups {
                    break;
                }
                done += 1;
                let length = if done == groups {
                    u64::from(packing.last_length)
                } else {
                    u64::from(length) * u64::from(packing.length_increment)
                        + u64::from(packing.length_reference)
                };
                let length = usize::try_from(length)
                    .ok()
                    .filter(|&length| length <= left)
                    .ok_or_else(|| groups_hold(points, (points - left) as u64 + length))?;
                left -= length;
                let width = width.saturating_add(packing.width_reference);
                if width > 32 {
                    return Err(DecodeError::Header {
                        what: "group width",
                        found: i64::from(width),
                    });
                }
                enough(data, field.bit, width, length)?;
                let group = Group {
                    reference,
                    width,
                    length,
                };
                if field.missing == 0 {
                    field.whole_group(group)?;
                } else {
                    field.group_with_missing(group)?;
                }
            }
        }
        if left > 0 {
            return Err(groups_hold(points, (points - left) as u64));
        }
        field.flush();
        Ok(())
    }

    /// A group in which every value is present.
    #[inline]
    fn whole_group(&mut self, group: Group) -> Result<(), DecodeError> {
        let Group {
            reference,
            width,
            mut length,
        } = group;
        while length > 0 && self.started < D::ORDER {
            self.bit += u64::from(width);
            length -= 1;
            let first = self.next_first();
            self.push(first);
        }
        let base = i64::from(reference) + self.minimum;
        let largest = base.unsigned_abs() + (1 << width);
        while length > 0 {
            if self.filled == BLOCK {
                self.flush();
            }
            let count = length.min(BLOCK - self.filled);
            let room = self.block.get_mut(self.filled..).unwrap_or_default();
            if self.bounded || self.state.reach(count as u64, largest) < Biased::LIMIT {
                for_width!(
                    width,
                    repeat(base, &mut self.state, count, room),
                    sums[D](self.data, self.bit, base, &mut self.state, count, room)
                );
            } else {
                careful(
                    self.data,
                    self.bit,
                    width,
                    base,
                    &mut self.state,
                    room.get_mut(..count).unwrap_or_default(),
                )?;
            }
            self.bit += count as u64 * u64::from(width);
            self.filled += count;
            length -= count;
        }
        Ok(())
    }

    /// A group in which the highest packed values mean "missing"; these take no part in differencing.
    fn group_with_missing(&mut self, group: Group) -> Result<(), DecodeError> {
        let Group {
            reference,
            width,
            mut length,
        } = group;
        // A group of width 0 is missing as a whole if its reference is such a value among references.
        let (bits, base) = if width == 0 {
            (self.bits, 0)
        } else {
            (width, i64::from(reference))
        };
        let first_missing = (1_i64 << bits) - i64::from(self.missing);
        let mut packed = [reference; 128];
        while length > 0 {
            let count = length.min(packed.len());
            let packed = packed.get_mut(..count).unwrap_or_default();
            if width > 0 {
                unpack(self.data, self.bit, width, packed);
            }
            for &packed in packed.iter() {
                let integer = if i64::from(packed) >= first_missing {
                    Biased::MISSING
                } else if self.started < D::ORDER {
                    self.next_first()
                } else {
                    self.state
                        .careful_step(i64::from(packed) + base + self.minimum)
                        .ok_or(DecodeError::Overflow)?
                };
                self.push(integer);
            }
            self.bit += count as u64 * u64::from(width);
            length -= count;
        }
        Ok(())
    }

    fn next_first(&mut self) -> Biased {
        let first = self.first.get(self.started).copied().unwrap_or(0);
        self.started += 1;
        Biased::new(first)
    }

    fn push(&mut self, integer: Biased) {
        if self.filled == BLOCK {
            self.flush();
        }
        if let Some(place) = self.block.get_mut(self.filled) {
            *place = integer;
            self.filled += 1;
        }
    }

    /// Scales the block into the output.
    fn flush(&mut self) {
        let (now, later) = std::mem::take(&mut self.out)
            .split_at_mut_checked(self.filled)
            .unwrap_or_default();
        let integers = self.block.get(..self.filled).unwrap_or_default();
        if self.missing == 0 {
            self.scale.biased(integers, now);
        } else {
            self.scale.biased_or_missing(integers, now);
        }
        self.out = later;
        self.filled = 0;
    }
}

fn groups_hold(expected: usize, found: u64) -> DecodeError {
    DecodeError::Count {
        what: "sum of the group lengths",
        expected: expected as u64,
        found,
    }
}

/// First values (unsigned) and minimum (sign and magnitude) in front of the groups.
fn descriptors<D: Difference>(
    packing: &Complex,
    data: &[u8],
) -> Result<([i64; 2], i64), DecodeError> {
    let octets = packing.extra_octets;
    if D::ORDER == 0 || octets == 0 {
        return Ok(([0; 2], 0));
    }
    enough(data, 0, 8, (D::ORDER + 1) * octets)?;
    let read = |number: usize| {
        let from = number * octets;
        data.get(from..from + octets)
            .unwrap_or_default()
            .iter()
            .fold(0_u64, |so_far, &octet| so_far << 8 | u64::from(octet))
    };
    let whole = |integer: u64| exact(i64::try_from(integer).ok()).ok_or(DecodeError::Overflow);
    let mut first = [0; 2];
    for (number, first) in first.iter_mut().take(D::ORDER).enumerate() {
        *first = whole(read(number))?;
    }
    let minimum = read(D::ORDER);
    let sign = 1 << (8 * octets - 1);
    let magnitude = whole(minimum & (sign - 1))?;
    Ok((
        first,
        if minimum & sign == 0 {
            magnitude
        } else {
            -magnitude
        },
    ))
}

/// Integers of a piece of `count` values of a group of width `W`, at the start of `room`. Writes up to [`SLACK`] more.
fn sums<D: Difference, const W: u32, const N: usize>(
    data: &[u8],
    mut bit: u64,
    base: i64,
    state: &mut D,
    count: usize,
    room: &mut [Biased],
) {
    let before = *state;
    let mut sums = before;
    let chunks = room.as_chunks_mut::<N>().0;
    for chunk in chunks.get_mut(..count.div_ceil(N)).unwrap_or_default() {
        let mut word = window(data, bit);
        for out in chunk {
            *out = sums.step(i64::from(top(word, W)) + base);
            word <<= W;
        }
        bit += u64::from(W) * N as u64;
    }
    *state = before.after(room.get(..count).unwrap_or_default());
}

/// As [`sums`], for a group of width 0. After eight steps, four integers side by side follow from the four before them: what
/// they differ by changes by the same amount each time, so vector units can do it.
fn repeat<D: Difference>(base: i64, state: &mut D, count: usize, room: &mut [Biased]) {
    let before = *state;
    let mut sums = before;
    let fours = room.as_chunks_mut::<4>().0;
    let fours = fours.get_mut(..count.div_ceil(4)).unwrap_or_default();
    for integer in fours.iter_mut().take(2).flatten() {
        *integer = sums.step(base);
    }
    if let [earlier, last, rest @ ..] = fours {
        let mut last = *last;
        let mut by = [0_i64; 4];
        for ((by, last), earlier) in by.iter_mut().zip(&last).zip(earlier.iter()) {
            *by = last.get().wrapping_sub(earlier.get());
        }
        let change = if D::ORDER == 2 {
            base.wrapping_mul(16)
        } else {
            0
        };
        for four in rest {
            for (last, by) in last.iter_mut().zip(&mut by) {
                *by = by.wrapping_add(change);
                *last = last.plus(*by);
            }
            *four = last;
        }
    }
    *state = before.after(room.get(..count).unwrap_or_default());
}

/// Integers of a piece of a group whose sums may leave the exact range.
#[cold]
fn careful<D: Difference>(
    data: &[u8],
    mut bit: u64,
    width: u32,
    base: i64,
    state: &mut D,
    out: &mut [Biased],
) -> Result<(), DecodeError> {
    for out in out {
        let mut packed = [0];
        unpack(data, bit, width, &mut packed);
        bit += u64::from(width);
        let [packed] = packed;
        *out = state
            .careful_step(i64::from(packed) + base)
            .ok_or(DecodeError::Overflow)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "complex_tests.rs"]
mod tests;

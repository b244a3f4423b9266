//! Simple packing (template 5.0): value `k` is bits `k * bits` to `(k + 1) * bits` of section 7.

use super::error::DecodeError;
use super::scale::{Scale, Value};
use super::unpack::{fixed, for_width};

/// Integers in flight between unpacking and scaling: small enough for the first-level cache.
const BLOCK: usize = 512;

/// Values from number `first` on, as many as `out` holds, of `bits` (1..=32) each.
///
/// # Errors
/// [`DecodeError::Truncated`] if the data end before.
pub(super) fn decode<V: Value>(
    scale: &Scale,
    bits: u32,
    data: &[u8],
    first: usize,
    out: &mut [V],
) -> Result<(), DecodeError> {
    let bit = first as u64 * u64::from(bits);
    enough(data, bit, bits, out.len())?;
    let aligned = |octets: usize| data.get(first.saturating_mul(octets)..).unwrap_or_default();
    match bits {
        8 => {
            for (out, octet) in out.iter_mut().zip(aligned(1)) {
                *out = V::nearest(scale.apply(f64::from(i32::from(*octet))));
            }
        }
        16 => {
            for (out, octets) in out.iter_mut().zip(aligned(2).as_chunks::<2>().0) {
                let integer = u16::from_be_bytes(*octets);
                *out = V::nearest(scale.apply(f64::from(i32::from(integer))));
            }
        }
        24 => {
            for (out, &[a, b, c]) in out.iter_mut().zip(aligned(3).as_chunks::<3>().0) {
                let integer = i32::from_be_bytes([0, a, b, c]);
                *out = V::nearest(scale.apply(f64::from(integer)));
            }
        }
        32 => {
            for (out, octets) in out.iter_mut().zip(aligned(4).as_chunks::<4>().0) {
                *out = V::nearest(scale.apply(f64::from(u32::from_be_bytes(*octets))));
            }
        }
        _ => for_width!(bits, (), blocks[V](scale, data, bit, out)),
    }
    Ok(())
}

fn blocks<V: Value, const W: u32, const N: usize>(
    scale: &Scale,
    data: &[u8],
    mut bit: u64,
    out: &mut [V],
) {
    let mut integers = [0; BLOCK];
    for out in out.chunks_mut(BLOCK) {
        let integers = integers.get_mut(..out.len()).unwrap_or_default();
        fixed::<W, N>(data, bit, integers);
        scale.small(integers, out);
        bit += u64::from(W) * out.len() as u64;
    }
}

/// Whether `count` integers of `width` bits from a bit on are there.
///
/// # Errors
/// [`DecodeError::Truncated`] if not.
pub(super) fn enough(data: &[u8], bit: u64, width: u32, count: usize) -> Result<(), DecodeError> {
    let found = data.len() as u64 * 8;
    let needed = (count as u64)
        .saturating_mul(u64::from(width))
        .saturating_add(bit);
    if needed > found {
        return Err(DecodeError::Truncated { needed, found });
    }
    Ok(())
}

//! Simple packing (template 5.0): value `k` is bits `k * bits` to `(k + 1) * bits` of section 7.

use super::error::DecodeError;
use super::scale::{Scale, Value};
use super::unpack::{fixed, for_width, top, window};

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
        if N > 3 || bit & 7 != 0 {
            fixed::<W, N>(data, bit, integers);
        } else {
            eights::<W, N>(data, bit, integers);
        }
        scale.small(integers, out);
        bit += u64::from(W) * out.len() as u64;
    }
}

/// As [`fixed`], from the start of an octet: eight values are `W` whole octets, so every shift is a constant. Faster where a
/// 64 bit load holds few values.
fn eights<const W: u32, const N: usize>(data: &[u8], mut bit: u64, out: &mut [u32]) {
    let (eights, rest) = out.as_chunks_mut::<8>();
    for eight in eights {
        let from = (bit >> 3) as usize;
        if let Some(octets) = data.get(from..from + W as usize + 8) {
            let mut start = 0;
            for out in eight {
                *out = top(window(octets, start), W);
                start += u64::from(W);
            }
        } else {
            fixed::<W, N>(data, bit, eight);
        }
        bit += 8 * u64::from(W);
    }
    fixed::<W, N>(data, bit, rest);
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

//! IEEE floating point (template 5.4): big-endian floats as they are, without scaling. A NaN among them is a missing value.

use super::error::DecodeError;
use super::scale::Value;
use super::simple::enough;

/// Values from number `first` on, as many as `out` holds, of 4 or 8 octets each.
///
/// # Errors
/// [`DecodeError::Truncated`] if the data end before.
pub(super) fn decode<V: Value>(
    octets: usize,
    data: &[u8],
    first: usize,
    out: &mut [V],
) -> Result<(), DecodeError> {
    let bits = if octets == 4 { 32 } else { 64 };
    enough(data, first as u64 * u64::from(bits), bits, out.len())?;
    let data = data.get(first.saturating_mul(octets)..).unwrap_or_default();
    if octets == 4 {
        for (out, octets) in out.iter_mut().zip(data.as_chunks::<4>().0) {
            *out = present(f64::from(f32::from_be_bytes(*octets)));
        }
    } else {
        for (out, octets) in out.iter_mut().zip(data.as_chunks::<8>().0) {
            *out = present(f64::from_be_bytes(*octets));
        }
    }
    Ok(())
}

/// One NaN for all kinds of NaN.
#[inline(always)]
fn present<V: Value>(value: f64) -> V {
    if value.is_nan() {
        V::MISSING
    } else {
        V::nearest(value)
    }
}

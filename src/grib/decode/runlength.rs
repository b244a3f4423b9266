//! Run length packing with level values (template 5.200): radar composites, forecasts of categories.
//!
//! Numbers up to the highest level in use are levels, each standing for one point. Larger ones lengthen the run of the level
//! before them: they are digits of base `2^bits - 1 - top`, least first, of the number of further points. Level 0 is
//! missing, level `i` the value `i` of section 5's list, times 10^-D.

use super::error::DecodeError;
use super::request::RunLength;
use super::scale::Value;
use super::unpack::unpack;

const PACKING: &str = "run length";
/// Numbers unpacked at once.
const BLOCK: usize = 256;

/// All values of a field; `section5` holds the level values.
///
/// # Errors
/// [`DecodeError::Stream`] and [`DecodeError::Count`] if the runs are not as the template says or do not give as many
/// values as `out` holds.
pub(super) fn decode<V: Value>(
    packing: &RunLength,
    section5: &[u8],
    data: &[u8],
    out: &mut [V],
) -> Result<(), DecodeError> {
    let levels = section5.get(17..).unwrap_or_default().as_chunks::<2>().0;
    let value = |level: u32| -> V {
        let at = usize::try_from(level).unwrap_or(usize::MAX).wrapping_sub(1);
        levels.get(at).map_or(V::MISSING, |octets| {
            V::nearest(signed(*octets) * packing.decimal)
        })
    };
    let base = ((1_u64 << packing.bits) - 1).saturating_sub(u64::from(packing.top));
    let points = out.len() as u64;
    let too_long = |found: u64| DecodeError::Count {
        what: "values of the runs",
        expected: points,
        found,
    };

    let mut numbers = [0; BLOCK];
    let mut left = (data.len() as u64 * 8) / u64::from(packing.bits);
    let mut bit = 0;
    let mut at = 0_u64;
    let mut last: Option<V> = None;
    let mut factor = 1_u64;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let numbers = numbers.get_mut(..count).unwrap_or_default();
        unpack(data, bit, packing.bits, numbers);
        bit += count as u64 * u64::from(packing.bits);
        left -= count as u64;
        for &number in numbers.iter() {
            let run = if number <= packing.top {
                if at == points {
                    // What follows the last run is padding.
                    return Ok(());
                }
                last = Some(value(number));
                factor = 1;
                1
            } else {
                let digit = u64::from(number - packing.top - 1);
                let run = digit.saturating_mul(factor);
                factor = factor.saturating_mul(base);
                run
            };
            let Some(value) = last else {
                return Err(DecodeError::stream(PACKING, "a run without a level"));
            };
            let end = at.saturating_add(run);
            let target = usize::try_from(at)
                .ok()
                .zip(usize::try_from(end).ok())
                .and_then(|(at, end)| out.get_mut(at..end))
                .ok_or_else(|| too_long(end))?;
            target.fill(value);
            at = end;
        }
    }
    if at == points {
        Ok(())
    } else {
        Err(too_long(at))
    }
}

/// Sign and magnitude. (wgrib2 reads level values so; no file seen has the sign set.)
fn signed(octets: [u8; 2]) -> f64 {
    let raw = u16::from_be_bytes(octets);
    let magnitude = f64::from(raw & 0x7fff);
    if raw & 0x8000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

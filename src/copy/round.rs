//! Bit rounding: mantissa bits that carry no information become zero, so that chunks compress better.
//!
//! As numcodecs' `BitRound`: to nearest, ties to even. With 7 bits 273.15 becomes 274. By `auto` each field keeps as many bits as its own
//! packing has: the step of its integers, 2^E x 10^-D, is no coarser than what is kept of its largest value.

use std::fmt;
use std::str::FromStr;

/// Bits of the mantissa of a float32.
const MANTISSA: u32 = 23;

/// Attribute of rounded arrays, as netCDF-C names it.
pub(super) const ROUNDED: &str = "_QuantizeBitRoundNumberOfSignificantBits";

/// How values are rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// Not at all.
    #[default]
    None,
    /// So many bits of the mantissa are kept, 1 to 23.
    Bits(u32),
}

/// A text that says no rounding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: bits to keep of the 23 of the mantissa, 1 to 23")]
pub struct RoundingError(String);

impl FromStr for Rounding {
    type Err = RoundingError;

    fn from_str(text: &str) -> Result<Self, RoundingError> {
        let bits = text.parse::<u32>().ok();
        bits.filter(|bits| (1..=MANTISSA).contains(bits))
            .map(Self::Bits)
            .ok_or_else(|| RoundingError(text.to_owned()))
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Bits(bits) => write!(f, "{bits}"),
        }
    }
}

/// Rounds values in place to so many bits of mantissa. What is not finite stays.
pub(super) fn round(values: &mut [f32], keep: u32) {
    let Some(dropped) = MANTISSA.checked_sub(keep).filter(|dropped| *dropped > 0) else {
        return;
    };
    let mask = u32::MAX << dropped;
    let half = (1_u32 << (dropped - 1)) - 1;
    for value in values {
        let bits = value.to_bits();
        let rounded = bits
            .wrapping_add(((bits >> dropped) & 1) + half)
            & mask;
        let rounded = f32::from_bits(rounded);
        // The largest numbers would become infinite.
        if value.is_finite() && rounded.is_finite() {
            *value = rounded;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_nearest_and_what_is_not_finite_stays() {
        let mut values = [273.15_f32, -273.15, 0.0, f32::NAN, f32::INFINITY, f32::MAX];
        round(&mut values, 7);
        assert_eq!(values[..3], [274.0, -274.0, 0.0]);
        assert!(values[3].is_nan() && values[4] == f32::INFINITY && values[5] == f32::MAX);
        let mut same = [273.15_f32];
        round(&mut same, 23);
        assert_eq!(same, [273.15]);
        // Ties go to even.
        let mut ties = [1.25_f32, 1.75];
        round(&mut ties, 1);
        assert_eq!(ties, [1.0, 2.0]);
    }

    #[test]
    fn bits_are_read() {
        assert_eq!("7".parse(), Ok(Rounding::Bits(7)));
        for text in ["0", "24", "", "x"] {
            assert!(text.parse::<Rounding>().is_err(), "{text}");
        }
    }
}

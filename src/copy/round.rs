//! Bit rounding: mantissa bits that carry no information become zero, so that chunks compress better.
//!
//! As numcodecs' `BitRound`: to nearest, ties to even. With 7 bits 273.15 becomes 274. By `auto` each field keeps as many bits as its own
//! packing has: the step of its integers, 2^E x 10^-D, is no coarser than what is kept of its largest value.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

/// Bits of the mantissa of a float32.
const MANTISSA: u32 = 23;

/// Attribute of rounded arrays, as netCDF-C names it.
pub(super) const ROUNDED: &str = "_QuantizeBitRoundNumberOfSignificantBits";
/// Attribute of arrays that are rounded field by field.
pub(super) const ROUNDED_TO_PACKING: &str = "rounding";

/// How values are rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// Not at all.
    #[default]
    None,
    /// So many bits of the mantissa are kept, 1 to 23.
    Bits(u32),
    /// As many as the packing of each message tells apart.
    Auto,
}

impl Rounding {
    /// Whether arrays are rounded so: what is computed has no packing that `auto` could look at.
    pub(super) const fn is_of(self, computed: bool) -> bool {
        !(computed && matches!(self, Self::Auto))
    }

    /// The attribute that says it on arrays.
    pub(super) fn attribute(self) -> Option<(&'static str, Value)> {
        match self {
            Self::None => None,
            Self::Bits(bits) => Some((ROUNDED, json!(bits))),
            Self::Auto => Some((
                ROUNDED_TO_PACKING,
                json!("bits below the packing precision of each field's message are zero"),
            )),
        }
    }

    /// Bits to keep of a field whose packing has such a step; `None` keeps all.
    pub(super) fn bits(self, values: &[f32], step: Option<f64>) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Bits(bits) => Some(bits),
            Self::Auto => {
                let largest = values
                    .iter()
                    .filter(|value| value.is_finite())
                    .fold(0.0_f32, |most, value| most.max(value.abs()));
                let step = step.filter(|step| step.is_normal() && *step > 0.0)?;
                let bits = exponent(f64::from(largest)) - exponent(step);
                Some(u32::try_from(bits).unwrap_or(0).clamp(1, MANTISSA))
            }
        }
    }
}

/// The power of two that is no larger than a positive number; far below all others for 0.
fn exponent(number: f64) -> i64 {
    let bits = number.to_bits() >> 52;
    i64::try_from(bits & 0x7ff).unwrap_or(0) - 1023
}

/// A text that says no rounding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: auto, or bits to keep of the 23 of the mantissa, 1 to 23")]
pub struct RoundingError(String);

impl FromStr for Rounding {
    type Err = RoundingError;

    fn from_str(text: &str) -> Result<Self, RoundingError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
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
            Self::Auto => f.write_str("auto"),
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
        let rounded = bits.wrapping_add(((bits >> dropped) & 1) + half) & mask;
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
    fn what_the_packing_tells_apart_is_kept() {
        // Steps of 0.01 from 273.15 on: 2^8 against 2^-7.
        let mut values: Vec<f32> = (0..2000_u16)
            .map(|at| 250.0 + f32::from(at) * 0.01)
            .collect();
        let before = values.clone();
        let bits = Rounding::Auto.bits(&values, Some(0.01)).unwrap();
        assert_eq!(bits, 15);
        round(&mut values, bits);
        for (rounded, value) in values.iter().zip(&before) {
            assert!((rounded - value).abs() <= 0.005, "{rounded} {value}");
        }
        assert_eq!(Rounding::Auto.bits(&values, None), None);
        assert_eq!(Rounding::Auto.bits(&[0.0], Some(1.0)), Some(1));
        assert_eq!(Rounding::Auto.bits(&[1e30], Some(1.0)), Some(23));
        assert_eq!(Rounding::Auto.bits(&[f32::NAN, 1.0], Some(1.0)), Some(1));
    }

    #[test]
    fn bits_are_read() {
        assert_eq!("7".parse(), Ok(Rounding::Bits(7)));
        assert_eq!("auto".parse(), Ok(Rounding::Auto));
        for text in ["0", "24", "", "x"] {
            assert!(text.parse::<Rounding>().is_err(), "{text}");
        }
    }
}

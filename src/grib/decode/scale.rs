//! From unpacked integers to values: `(R + X x 2^E) x 10^-D`, bit for bit as ecCodes has it.
//!
//! The order of the operations and the way 10^-D comes about decide the last bit, so both are fixed here: in f64,
//! `((X x 2^E) + R) x 10^-D`, where 10^-D is 1 divided by 10, D times over. One rounding to f32 at the end.
//!
//! Integers arrive in two forms. Simple and entropy-coded packings give `u32`. Differenced ones give [`Biased`], sums
//! in 64 bits that are written so that turning one into a float is one subtraction: the bits of the float 1.5 x 2^52 plus
//! the integer are the bits of the float 1.5 x 2^52 + integer, for integers within 51 bits.

use super::error::DecodeError;

/// A float that values are written as.
pub(super) trait Value: Copy + Send + Sync + 'static {
    /// The quiet NaN that stands for a missing value.
    const MISSING: Self;

    /// The nearest float of this kind.
    fn nearest(value: f64) -> Self;
}

impl Value for f32 {
    const MISSING: Self = f32::from_bits(0x7fc0_0000);

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the one rounding to f32, to nearest"
    )]
    fn nearest(value: f64) -> Self {
        value as f32
    }
}

impl Value for f64 {
    const MISSING: Self = f64::from_bits(0x7ff8_0000_0000_0000);

    #[inline(always)]
    fn nearest(value: f64) -> Self {
        value
    }
}

/// The three numbers that scale an unpacked integer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    reference: f64,
    binary: f64,
    decimal: f64,
}

impl Scale {
    /// From R (a finite number), E and D.
    ///
    /// # Errors
    /// [`DecodeError::Scale`] where a power is infinite.
    pub(super) fn try_new(reference: f64, binary: i32, decimal: i32) -> Result<Self, DecodeError> {
        let scale = Self {
            reference,
            binary: power(2.0, binary),
            decimal: power_of_ten(-decimal),
        };
        if scale.binary.is_finite() && scale.decimal.is_finite() {
            Ok(scale)
        } else {
            Err(DecodeError::Scale)
        }
    }

    /// The difference between the values of neighbouring integers.
    pub(super) fn step(&self) -> f64 {
        self.binary * self.decimal
    }

    /// The value of one integer.
    #[inline(always)]
    pub(super) fn apply(&self, integer: f64) -> f64 {
        ((integer * self.binary) + self.reference) * self.decimal
    }

    /// Values of integers below 2^31.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_wrap,
        reason = "the caller's integers have at most 31 bits; signed 32 bit is what vector units convert"
    )]
    pub(super) fn small<V: Value>(&self, integers: &[u32], out: &mut [V]) {
        for (out, &integer) in out.iter_mut().zip(integers) {
            *out = V::nearest(self.apply(f64::from(integer as i32)));
        }
    }

    /// Values of any 32 bit integers.
    pub(super) fn full<V: Value>(&self, integers: &[u32], out: &mut [V]) {
        for (out, &integer) in out.iter_mut().zip(integers) {
            *out = V::nearest(self.apply(f64::from(integer)));
        }
    }

    /// Values of biased integers, none of them missing.
    #[inline(always)]
    pub(super) fn biased<V: Value>(&self, integers: &[Biased], out: &mut [V]) {
        for (out, &Biased(bits)) in out.iter_mut().zip(integers) {
            *out = V::nearest(self.apply(f64::from_bits(bits) - Biased::BIAS));
        }
    }

    /// Values of biased integers, some of them missing.
    pub(super) fn biased_or_missing<V: Value>(&self, integers: &[Biased], out: &mut [V]) {
        for (out, &Biased(bits)) in out.iter_mut().zip(integers) {
            let value = self.apply(f64::from_bits(bits) - Biased::BIAS);
            // Not left to the propagation of NaN: its sign and payload are the processor's choice.
            *out = if value.is_nan() {
                V::MISSING
            } else {
                V::nearest(value)
            };
        }
    }
}

/// An integer within 51 bits plus the bits of 1.5 x 2^52; or the bits of a NaN for a missing value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Biased(u64);

impl Biased {
    const BIAS: f64 = 6_755_399_441_055_744.0;
    const BITS: u64 = 0x4338_0000_0000_0000;
    /// Integers must be smaller than this, both ways.
    pub(super) const LIMIT: u64 = 1 << 51;
    pub(super) const ZERO: Self = Self(Self::BITS);
    pub(super) const MISSING: Self = Self(0x7ff8_0000_0000_0000);

    /// From an integer within 51 bits.
    #[inline(always)]
    pub(super) fn new(integer: i64) -> Self {
        Self::ZERO.plus(integer)
    }

    /// The sum, which must lie within 51 bits too.
    #[inline(always)]
    pub(super) fn plus(self, integer: i64) -> Self {
        Self(self.0.wrapping_add(integer.cast_unsigned()))
    }

    /// The integer.
    #[inline(always)]
    pub(super) fn get(self) -> i64 {
        self.0.wrapping_sub(Self::BITS).cast_signed()
    }
}

/// 10^exponent as ecCodes computes it: repeated multiplication, or repeated division of 1.
pub(super) fn power_of_ten(exponent: i32) -> f64 {
    power(10.0, exponent)
}

fn power(base: f64, exponent: i32) -> f64 {
    let mut power = 1.0_f64;
    // Past 1100 steps both bases have long reached 0 or infinity.
    for _ in 0..exponent.unsigned_abs().min(1100) {
        if exponent < 0 {
            power /= base;
        } else {
            power *= base;
        }
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_come_by_repeated_division() {
        assert_eq!(power_of_ten(2).to_bits(), 100.0_f64.to_bits());
        assert_eq!(power_of_ten(-1).to_bits(), 0.1_f64.to_bits());
        assert_ne!(power_of_ten(-6).to_bits(), 1e-6_f64.to_bits());
        assert!(Scale::try_new(0.0, 0, -400).is_err());
        assert!(Scale::try_new(0.0, 2000, 0).is_err());
        assert!(Scale::try_new(0.0, -32767, 32767).is_ok());
    }

    #[test]
    fn biased_integers_become_floats_exactly() {
        let scale = Scale::try_new(0.0, 0, 0).unwrap();
        for integer in [0, 1, -1, 12345, (1 << 51) - 1, -(1 << 51) + 1] {
            let mut out = [0.0_f64];
            scale.biased(&[Biased::new(integer)], &mut out);
            assert_eq!(format!("{:.0}", out[0]), integer.to_string());
            assert_eq!(Biased::new(integer).get(), integer);
        }
        let mut out = [0.0_f32];
        scale.biased_or_missing(&[Biased::MISSING], &mut out);
        assert_eq!(out[0].to_bits(), 0x7fc0_0000);
    }
}

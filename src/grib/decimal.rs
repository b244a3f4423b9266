//! Decimal numbers as GRIB codes them: a scale factor and a scaled value, `value = scaled x 10^-factor`.
//!
//! Compared and written as numbers, so `(0, 2)` and `(1, 20)` are one level: both normalise to `(0, 2)` and are written
//! `2`. `(3, 254)` is written `0p254` and `(0, -5)` is `m5`: characters that a name may hold.

use super::identity::Surface;

/// Scale factor and scaled value.
pub(crate) type Coded = (i8, i64);

/// The same number with the fewest digits; zero is `(0, 0)`.
#[must_use]
pub(crate) fn normal((factor, scaled): Coded) -> (i32, i64) {
    let (mut factor, mut scaled) = (i32::from(factor), scaled);
    if scaled == 0 {
        return (0, 0);
    }
    while scaled % 10 == 0 {
        scaled /= 10;
        factor -= 1;
    }
    (factor, scaled)
}

/// Whether two coded numbers are equal.
#[must_use]
pub(crate) fn equal(one: Coded, two: Coded) -> bool {
    normal(one) == normal(two)
}

/// The number times `10^exponent` for use in a name: `m` for minus, `p` for the decimal point, plain up to 15 digits and
/// with an exponent (`2e9`, `2em9`) beyond. Different numbers have different texts.
#[must_use]
pub(crate) fn name_text(coded: Coded, exponent: i32) -> String {
    let (factor, scaled) = normal(coded);
    if scaled == 0 {
        return "0".to_owned();
    }
    let sign = if scaled < 0 { "m" } else { "" };
    let digits = scaled.unsigned_abs().to_string();
    // value = digits x 10^power
    let power = exponent.saturating_sub(factor);
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if power >= 0 && length.saturating_add(power) <= 15 {
        let zeros = "0".repeat(usize::try_from(power).unwrap_or(0));
        return format!("{sign}{digits}{zeros}");
    }
    if (-15..0).contains(&power) {
        let after = usize::try_from(-power).unwrap_or(0);
        let padded = format!("{digits:0>width$}", width = after + 1);
        if let Some((whole, part)) = padded.split_at_checked(padded.len() - after) {
            return format!("{sign}{whole}p{part}");
        }
    }
    let minus = if power < 0 { "m" } else { "" };
    format!("{sign}{digits}e{minus}{}", power.unsigned_abs())
}

/// A surface's value times `10^exponent`, rounded once; `None` where it is coded as missing.
#[must_use]
pub(crate) fn value(surface: Surface, exponent: i32) -> Option<f64> {
    let (factor, scaled) = surface.scaled?;
    // Through decimal text: 85000 Pa are 850 hPa, without the error of a multiplication by 0.01.
    format!("{scaled}e{}", exponent - i32::from(factor))
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_however_they_are_coded() {
        assert!(equal((0, 2), (1, 20)));
        assert!(equal((0, 0), (5, 0)));
        assert!(equal((-2, 850), (0, 85_000)));
        assert!(!equal((0, 2), (0, -2)));
    }

    #[test]
    fn texts_fit_in_names() {
        for (coded, exponent, text) in [
            ((3, 254), 0, "0p254"),
            ((0, -5), 0, "m5"),
            ((1, 15), 0, "1p5"),
            ((0, 85_000), -2, "850"),
            ((9, 2000), 0, "0p000002"),
            ((-3, 1), 0, "1000"),
            ((8, 55), 9, "550"),
            ((127, 1), 0, "1em127"),
            ((-20, 3), 0, "3e20"),
            ((4, 0), 0, "0"),
        ] {
            assert_eq!(name_text(coded, exponent), text);
        }
    }

    #[test]
    fn pressures_become_hectopascals_exactly() {
        let surface = Surface {
            kind: 100,
            scaled: Some((0, 85_000)),
        };
        assert_eq!(value(surface, -2), Some(850.0));
        assert_eq!(value(surface, 0), Some(85_000.0));
        assert_eq!(value(Surface::bare(100), -2), None);
    }
}

//! The level of a wgrib2 line: from words to types of fixed surface (Code Table 4.5) and values.
//!
//! `100-1000 mb above ground` is surfaces 108 and 108 at 10000 and 100000 Pa. Values have 6 significant digits at most, so
//! they check a header ([`LevelText::agrees`]) and do not replace it. Types 192 to 254 are NCEP's.
//!
//! Source: NOAA-EMC/wgrib2, `Level.c` (its output, not its text); WMO Code Table 4.5; NCEP's local part of it.

use crate::grib::identity::Surface;

/// Decimal scale factor and scaled value: `value = scaled x 10^-factor`.
pub type Decimal = (i8, i64);

/// A level, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LevelText {
    /// Types of the first and second fixed surface; 255 for none.
    pub kinds: (u8, u8),
    /// Their values where the text has them, in the SI unit of the type.
    pub values: (Option<Decimal>, Option<Decimal>),
}

impl LevelText {
    const fn bare(first: u8, second: u8) -> Self {
        Self {
            kinds: (first, second),
            values: (None, None),
        }
    }

    /// Values in the SI unit of their types (Pa, m, K, ...), correctly rounded.
    #[must_use]
    pub fn si_values(&self) -> (Option<f64>, Option<f64>) {
        let value = |kind, scaled| Surface { kind, scaled }.value();
        (
            value(self.kinds.0, self.values.0),
            value(self.kinds.1, self.values.1),
        )
    }

    /// Whether a header's surfaces are the ones that the text names, values to the 6 digits that the text has.
    #[must_use]
    pub fn agrees(&self, surfaces: (Surface, Surface)) -> bool {
        let same = |kind: u8, text: Option<f64>, surface: Surface| {
            kind == surface.kind
                && match (text, surface.value()) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    // Half a unit of the sixth digit is at most 5e-6 of the value.
                    (Some(a), Some(b)) => (a - b).abs() <= 5.1e-6 * a.abs().max(b.abs()),
                }
        };
        let (first, second) = self.si_values();
        same(self.kinds.0, first, surfaces.0) && same(self.kinds.1, second, surfaces.1)
    }
}

/// Reads field 5 of a line. `None` where only the header can tell: `reserved`, local types without a name, unknown words.
#[must_use]
pub fn parse_level(text: &str) -> Option<LevelText> {
    if let Some(level) = named(text).or_else(|| valued(text)) {
        return Some(level);
    }
    // Two surfaces of different types, or of a type without a form for layers.
    let (first, second) = text.split_once(" - ")?;
    let side = |text| {
        let level = named(text).or_else(|| valued(text))?;
        (level.kinds.1 == 255).then_some((level.kinds.0, level.values.0))
    };
    let (first, second) = (side(first)?, side(second)?);
    Some(LevelText {
        kinds: (first.0, second.0),
        values: (first.1, second.1),
    })
}

/// Levels without a value.
fn named(text: &str) -> Option<LevelText> {
    let kind = match text {
        "surface" => 1,
        "cloud base" => 2,
        "cloud top" => 3,
        "0C isotherm" => 4,
        "level of adiabatic condensation from sfc" => 5,
        "max wind" => 6,
        "tropopause" => 7,
        "top of atmosphere" => 8,
        "sea bottom" => 9,
        "entire atmosphere" => 10,
        "level of free convection" => 14,
        "level of neutral buoyancy" => 16,
        "mean sea level" => 101,
        "entire atmosphere (considered as a single layer)" => 200,
        "entire ocean (considered as a single layer)" => 201,
        "highest tropospheric freezing level" => 204,
        "grid scale cloud bottom level" => 206,
        "grid scale cloud top level" => 207,
        "boundary layer cloud bottom level" => 209,
        "boundary layer cloud top level" => 210,
        "boundary layer cloud layer" => 211,
        "low cloud bottom level" => 212,
        "low cloud top level" => 213,
        "low cloud layer" => 214,
        "cloud ceiling" => 215,
        "planetary boundary layer" => 220,
        "middle cloud bottom level" => 222,
        "middle cloud top level" => 223,
        "middle cloud layer" => 224,
        "high cloud bottom level" => 232,
        "high cloud top level" => 233,
        "high cloud layer" => 234,
        "convective cloud bottom level" => 242,
        "convective cloud top level" => 243,
        "convective cloud layer" => 244,
        "lowest level of the wet bulb zero" => 245,
        "maximum equivalent potential temperature level" => 246,
        "equilibrium level" => 247,
        "shallow convective cloud bottom level" => 248,
        "shallow convective cloud top level" => 249,
        "deep convective cloud bottom level" => 251,
        "deep convective cloud top level" => 252,
        "lowest bottom level of supercooled liquid water layer" => 253,
        "highest top level of supercooled liquid water layer" => 254,
        "atmos col" => return Some(LevelText::bare(1, 8)),
        "ocean column" => return Some(LevelText::bare(9, 1)),
        "no_level" => 255,
        _ => return None,
    };
    Some(LevelText::bare(kind, 255))
}

/// Words after one value, words after two values, type, and the power of ten from the text's unit to SI.
const VALUED: [(&str, &str, u8, i8); 17] = [
    (" mb", " mb", 100, 2),
    (" mb above ground", " mb above ground", 108, 2),
    (" m above ground", " m above ground", 103, 0),
    (" m above mean sea level", " m above mean sea level", 102, 0),
    (" m underground", " m below ground", 106, 0),
    (" sigma level", " sigma layer", 104, 0),
    (" hybrid level", " hybrid layer", 105, 0),
    (" K isentropic level", " K isentropic layer", 107, 0),
    (" K level", "", 20, 0),
    (" Eta level", " Eta layer", 111, 0),
    (" sigma height level", " sigma height layer", 115, 0),
    (" hybrid height level", " hybrid height layer", 118, 0),
    (" hybrid pressure level", " hybrid pressure layer", 119, 0),
    (" generalized vertical height coordinate", "", 150, 0),
    (" m below sea level", " m below sea level", 160, 0),
    (" m below water surface", " m ocean layer", 161, 0),
    (" in sequence", "", 241, 0),
];

fn valued(text: &str) -> Option<LevelText> {
    for (prefix, suffix, kind) in [
        ("PV=", " (Km^2/kg/s) surface", 109),
        ("soil level ", "", 151),
        ("ocean model level ", "", 168),
    ] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let (value, rest) = take_decimal(rest)?;
            return (rest == suffix).then_some(LevelText {
                kinds: (kind, 255),
                values: (Some(value), None),
            });
        }
    }
    let (first, rest) = take_decimal(text)?;
    // An ocean isotherm is coded in tenths of a degree or not: the text does not tell.
    if rest == "C ocean isotherm" {
        return Some(LevelText::bare(235, 255));
    }
    let shifted = |value: Decimal, power: i8| Some((value.0.checked_sub(power)?, value.1));
    if let Some((_, _, kind, power)) = VALUED.into_iter().find(|form| form.0 == rest) {
        return Some(LevelText {
            kinds: (kind, 255),
            values: (Some(shifted(first, power)?), None),
        });
    }
    let (second, rest) = take_decimal(rest.strip_prefix('-')?)?;
    if rest == "C ocean isotherm layer" {
        return Some(LevelText::bare(235, 235));
    }
    let (_, _, kind, power) = VALUED.into_iter().find(|form| form.1 == rest)?;
    Some(LevelText {
        kinds: (kind, kind),
        values: (Some(shifted(first, power)?), Some(shifted(second, power)?)),
    })
}

/// A number as C's `%g` prints it (`0.72`, `-2e-06`, `1e+05`), as scale factor and scaled value, off the front of `text`.
fn take_decimal(text: &str) -> Option<(Decimal, &str)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let count = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, mut rest) = rest.split_at_checked(count(rest))?;
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = after.split_at_checked(count(after))?;
    }
    if whole.is_empty() || whole.len() + fraction.len() > 17 {
        return None;
    }
    let mut exponent = 0_i32;
    if let Some(after) = rest.strip_prefix('e') {
        let (sign, digits) = match after.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, after.strip_prefix('+').unwrap_or(after)),
        };
        let (digits, after) = digits.split_at_checked(count(digits))?;
        exponent = sign * digits.parse::<i32>().ok().filter(|e| *e < 100)?;
        rest = after;
    }
    let scaled: i64 = format!("{whole}{fraction}").parse().ok()?;
    let factor = i32::try_from(fraction.len()).ok()? - exponent;
    let scaled = if negative { -scaled } else { scaled };
    Some(((i8::try_from(factor).ok()?, scaled), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(text: &str) -> Option<(u8, u8, Option<f64>, Option<f64>)> {
        let level = parse_level(text)?;
        let (first, second) = level.si_values();
        Some((level.kinds.0, level.kinds.1, first, second))
    }

    #[test]
    fn levels_become_surfaces_in_si_units() {
        for (text, expected) in [
            ("surface", (1, 255, None, None)),
            ("entire atmosphere", (10, 255, None, None)),
            (
                "entire atmosphere (considered as a single layer)",
                (200, 255, None, None),
            ),
            ("1000 mb", (100, 255, Some(100_000.0), None)),
            ("0.07 mb", (100, 255, Some(7.0), None)),
            (
                "100-1000 mb above ground",
                (108, 108, Some(10_000.0), Some(100_000.0)),
            ),
            (
                "255-0 mb above ground",
                (108, 108, Some(25_500.0), Some(0.0)),
            ),
            ("2 m above ground", (103, 255, Some(2.0), None)),
            (
                "5000-2000 m above ground",
                (103, 103, Some(5000.0), Some(2000.0)),
            ),
            ("0-0.1 m below ground", (106, 106, Some(0.0), Some(0.1))),
            ("0 m underground", (106, 255, Some(0.0), None)),
            ("0.72-0.94 sigma layer", (104, 104, Some(0.72), Some(0.94))),
            ("0.995 sigma level", (104, 255, Some(0.995), None)),
            (
                "PV=-2e-06 (Km^2/kg/s) surface",
                (109, 255, Some(-2e-6), None),
            ),
            ("263 K level", (20, 255, Some(263.0), None)),
            (
                "253 K level - 263 K level",
                (20, 20, Some(253.0), Some(263.0)),
            ),
            ("310 K isentropic level", (107, 255, Some(310.0), None)),
            ("1 in sequence", (241, 255, Some(1.0), None)),
            ("soil level 3", (151, 255, Some(3.0), None)),
            (
                "-10--20 m below sea level",
                (160, 160, Some(-10.0), Some(-20.0)),
            ),
            (
                "1e+05-2e+05 m ocean layer",
                (161, 161, Some(1e5), Some(2e5)),
            ),
            ("20C ocean isotherm", (235, 255, None, None)),
            ("atmos col", (1, 8, None, None)),
            ("surface - tropopause", (1, 7, None, None)),
            ("0C isotherm", (4, 255, None, None)),
            ("no_level", (255, 255, None, None)),
        ] {
            assert_eq!(level(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_the_text_cannot_tell_is_left_to_the_header() {
        for text in [
            "",
            "reserved",
            "surface - reserved",
            "local level type 200 3",
            "\"2 m",
            "10 m",
            "2 furlongs above ground",
            "2e400 m above ground",
            "99999999999999999999 mb",
        ] {
            assert_eq!(level(text), None, "{text}");
        }
    }

    #[test]
    fn a_header_with_more_digits_than_the_text_agrees() {
        let pressure = |scaled| {
            (
                Surface {
                    kind: 100,
                    scaled: Some((1, scaled)),
                },
                Surface::NONE,
            )
        };
        let text = parse_level("1013.25 mb").unwrap();
        assert!(text.agrees(pressure(1_013_250)));
        assert!(text.agrees(pressure(1_013_254)));
        assert!(!text.agrees(pressure(1_013_350)));
        assert!(!text.agrees((Surface::bare(1), Surface::NONE)));
    }
}

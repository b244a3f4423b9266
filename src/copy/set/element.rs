//! Elements of arrays of reference sets, as Zarr v2 names them: `<f8`, `>i2`, `|u1`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// A numeric type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    kind: char,
    /// Bytes of one element.
    pub(super) bytes: usize,
    /// Most significant byte first.
    big: bool,
}

impl Element {
    /// Of a `dtype`; `None` if it is no number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut letters = text.chars();
        let (order, kind) = (letters.next()?, letters.next()?);
        let bytes: usize = letters.as_str().parse().ok()?;
        let known: &[usize] = match kind {
            'b' => &[1],
            'i' | 'u' => &[1, 2, 4, 8],
            'f' => &[2, 4, 8],
            'c' => &[8, 16],
            _ => return None,
        };
        let ordered = matches!(order, '<' | '>') || (order == '|' && bytes == 1);
        (ordered && known.contains(&bytes)).then_some(Self {
            kind,
            bytes,
            big: order == '>' && bytes > 1,
        })
    }

    /// Whether it is a float of 4 or 8 bytes.
    pub(super) fn is_float(self) -> bool {
        self.kind == 'f' && self.bytes > 2
    }

    /// The name of the type in Zarr v3.
    pub(super) fn v3(self) -> String {
        let bits = self.bytes * 8;
        match self.kind {
            'b' => "bool".to_owned(),
            'i' => format!("int{bits}"),
            'u' => format!("uint{bits}"),
            'c' => format!("complex{bits}"),
            _ => format!("float{bits}"),
        }
    }

    /// The fill value of Zarr v3 that stands for one of v2, which is 0 where v2 has none.
    pub(super) fn v3_fill(self, fill: &Value) -> Value {
        match (self.kind, fill) {
            ('b', Value::Null) => json!(false),
            ('c', Value::Null) => json!([0.0, 0.0]),
            (_, Value::Null) => json!(0),
            _ => fill.clone(),
        }
    }

    /// The bytes of a fill value; zeros where there is none. `None` if it cannot be read.
    pub(super) fn fill(self, fill: &Value) -> Option<Vec<u8>> {
        if fill.is_null() {
            return Some(vec![0; self.bytes]);
        }
        let float = || match fill {
            Value::String(text) => match text.as_str() {
                "NaN" => Some(f64::NAN),
                "Infinity" => Some(f64::INFINITY),
                "-Infinity" => Some(f64::NEG_INFINITY),
                _ => None,
            },
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => fill.as_f64(),
        };
        let mut bytes = match (self.kind, self.bytes) {
            ('b', _) => vec![u8::from(fill.as_bool().or(fill.as_u64().map(|n| n != 0))?)],
            ('f', 8) => float()?.to_le_bytes().to_vec(),
            ('f', 4) => single(float()?).to_le_bytes().to_vec(),
            ('f', _) => half(float()?)?.to_le_bytes().to_vec(),
            ('u', size) => {
                let number = fill.as_u64().or_else(|| whole(fill.as_f64()?))?;
                let bytes = number.to_le_bytes();
                let (own, rest) = bytes.split_at_checked(size)?;
                rest.iter().all(|byte| *byte == 0).then(|| own.to_vec())?
            }
            ('i', size) => {
                let number = fill.as_i64().or_else(|| {
                    let number = fill.as_f64()?;
                    let size = i64::try_from(whole(number.abs())?).ok()?;
                    Some(if number < 0.0 { -size } else { size })
                })?;
                let bytes = number.to_le_bytes();
                let (own, rest) = bytes.split_at_checked(size)?;
                let sign = if number < 0 { 0xff } else { 0 };
                let negative = own.last().is_some_and(|high| high & 0x80 != 0);
                let fits = negative == (number < 0) && rest.iter().all(|byte| *byte == sign);
                fits.then(|| own.to_vec())?
            }
            _ => return None,
        };
        if self.big {
            bytes.reverse();
        }
        Some(bytes)
    }

    /// Whether values are turned where the least significant byte must come first.
    pub(super) const fn is_turned(self) -> bool {
        self.big
    }

    /// Turns values around, byte by byte.
    pub(super) fn turn(self, values: &mut [u8]) {
        let size = if self.kind == 'c' {
            self.bytes / 2
        } else {
            self.bytes
        };
        for value in values.chunks_exact_mut(size.max(1)) {
            value.reverse();
        }
    }

    /// A real value as a double; NaN for what is none.
    pub(super) fn number(self, cell: &[u8]) -> f64 {
        let mut bytes = cell.to_vec();
        if self.big {
            bytes.reverse();
        }
        if self.kind == 'f' {
            return match bytes.as_slice().try_into() {
                Ok(eight) => f64::from_le_bytes(eight),
                Err(_) => bytes
                    .try_into()
                    .map_or(f64::NAN, |four| f64::from(f32::from_le_bytes(four))),
            };
        }
        let negative = self.kind == 'i' && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        bytes.resize(8, if negative { 0xff } else { 0 });
        match bytes.try_into().map(i64::from_le_bytes) {
            // Coordinates in degrees are small.
            Ok(number) => i32::try_from(number).map_or(f64::NAN, f64::from),
            Err(_) => f64::NAN,
        }
    }

    /// A fill value as xarray looks for it in the attribute `_FillValue` of Zarr v3: floats as Base64 of a little-endian double.
    pub(super) fn v3_missing(self, fill: &Value) -> Value {
        if self.kind != 'f' || fill.is_string() {
            return fill.clone();
        }
        fill.as_f64().map_or_else(
            || fill.clone(),
            |number| json!(BASE64_STANDARD.encode(number.to_le_bytes())),
        )
    }

    /// Rounds floats to so many bits of their mantissa, as numcodecs' `BitRound` does; those that say that there is no value stay as they are.
    pub(super) fn round(self, values: &mut [u8], bits: u32, missing: &[Vec<u8>]) {
        if !self.is_float() {
            return;
        }
        let mut missing = missing.to_vec();
        if self.big {
            missing.iter_mut().for_each(|value| self.turn(value));
        }
        let is_missing = |cell: &[u8]| missing.iter().any(|value| value == cell);
        if self.big {
            self.turn(values);
        }
        if self.bytes == 4 {
            let (cells, _) = values.as_chunks_mut::<4>();
            for cell in cells.iter_mut().filter(|cell| !is_missing(*cell)) {
                let mut value = [f32::from_le_bytes(*cell)];
                super::super::round::round(&mut value, bits);
                *cell = value
                    .map(f32::to_le_bytes)
                    .concat()
                    .try_into()
                    .unwrap_or(*cell);
            }
        } else {
            let (cells, _) = values.as_chunks_mut::<8>();
            for cell in cells.iter_mut().filter(|cell| !is_missing(*cell)) {
                *cell = round_double(f64::from_le_bytes(*cell), bits).to_le_bytes();
            }
        }
        if self.big {
            self.turn(values);
        }
    }
}

/// To nearest, ties to even; what is not finite stays.
fn round_double(value: f64, bits: u32) -> f64 {
    let dropped = 52_u32.saturating_sub(bits);
    if dropped == 0 || !value.is_finite() {
        return value;
    }
    let all = value.to_bits();
    let half = (1_u64 << (dropped - 1)) - 1;
    let rounded = all.wrapping_add(((all >> dropped) & 1) + half) & (u64::MAX << dropped);
    let rounded = f64::from_bits(rounded);
    if rounded.is_finite() { rounded } else { value }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest single is what is wanted"
)]
const fn single(value: f64) -> f32 {
    value as f32
}

/// The half floats that are fill values.
fn half(value: f64) -> Option<u16> {
    if value.is_nan() {
        return Some(0x7e00);
    }
    match value {
        0.0 => Some(0),
        f64::INFINITY => Some(0x7c00),
        f64::NEG_INFINITY => Some(0xfc00),
        _ => None,
    }
}

/// A whole number that a double holds exactly.
fn whole(value: f64) -> Option<u64> {
    let exact = value.fract() == 0.0 && (0.0..9e15).contains(&value);
    exact.then(|| format!("{value:.0}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_fills_are_read() {
        let of = |text: &str| Element::parse(text).unwrap();
        assert_eq!(of("<f8").v3(), "float64");
        assert_eq!(of("|u1").v3(), "uint8");
        assert_eq!(of(">i2").fill(&json!(-3)).unwrap(), [0xff, 0xfd]);
        assert_eq!(of("<i2").fill(&json!(40_000)), None);
        assert_eq!(
            of("<i4").fill(&json!(-9999.0)).unwrap(),
            (-9999_i32).to_le_bytes()
        );
        assert_eq!(of("<u2").fill(&json!(65535)).unwrap(), [0xff, 0xff]);
        assert_eq!(of(">f4").fill(&json!(1.5)).unwrap(), 1.5_f32.to_be_bytes());
        assert!(of("<f4").fill(&json!("AAAA")).is_none());
        for text in ["|S4", "<M8[ns]", "|O", "f4", "<f3", "|i4", ""] {
            assert_eq!(Element::parse(text), None, "{text}");
        }
        assert!((of(">i2").number(&[0xff, 0xfd]) - -3.0).abs() < 1e-9);
        assert!((of(">f4").number(&1.5_f32.to_be_bytes()) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn doubles_are_rounded_in_either_order_of_bytes() {
        for text in ["<f8", ">f8"] {
            let element = Element::parse(text).unwrap();
            let bytes = |value: f64| {
                if text == "<f8" {
                    value.to_le_bytes()
                } else {
                    value.to_be_bytes()
                }
            };
            let mut values = [bytes(273.15), bytes(f64::INFINITY)].concat();
            element.round(&mut values, 7, &[]);
            assert_eq!(values, [bytes(274.0), bytes(f64::INFINITY)].concat());
        }
    }
}

//! One value of a set: inline bytes, or where they lie.

use base64::Engine as _;
use bytes::Bytes;
use serde_json::Value;

use super::chunks::Target;

impl Target {
    /// Inline text: `base64:` decides, everything else is the text's own bytes. `None` for bad base64.
    #[must_use]
    pub fn inline(text: &str) -> Option<Self> {
        let bytes = match text.strip_prefix("base64:") {
            Some(coded) => Bytes::from(decode_base64(coded)?),
            None => Bytes::copy_from_slice(text.as_bytes()),
        };
        Some(Self::Inline(bytes))
    }

    /// A JSON value of `refs`. `None` if it is none that the format knows.
    #[must_use]
    pub fn of_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::inline(text),
            Value::Object(_) => Some(Self::Inline(Bytes::from(value.to_string()))),
            Value::Array(parts) => Self::of_parts(parts),
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    /// `[url]`, `[url, offset, length]` or `[null, ...]`.
    #[must_use]
    pub fn of_parts(parts: &[Value]) -> Option<Self> {
        match parts {
            [Value::Null, ..] => Some(Self::NoTarget),
            [Value::String(url)] => Some(Self::Object {
                url: url.clone(),
                offset: 0,
                length: None,
            }),
            [Value::String(url), offset, length] => Some(Self::Object {
                url: url.clone(),
                offset: whole_number(offset)?,
                length: Some(whole_number(length)?),
            }),
            _ => None,
        }
    }

    /// A cell of GIK Parquet: a JSON array of 1 or 3 with a string first is a reference, all else inline.
    #[must_use]
    pub fn of_cell(text: &str) -> Option<Self> {
        if text.starts_with('[')
            && let Ok(Value::Array(parts)) = super::json_text::parse_lenient(text.as_bytes())
            && matches!(parts.first(), Some(Value::String(_) | Value::Null))
            && let Some(found) = Self::of_parts(&parts)
        {
            return Some(found);
        }
        Self::inline(text)
    }
}

/// Standard base64, with or without padding; line breaks are let through.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let engine = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let joined: String = text.split_ascii_whitespace().collect();
        return engine.decode(joined).ok();
    }
    engine.decode(text).ok()
}

/// The text of a JSON string, or of any other value as JSON.
pub(crate) fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A count that may be written as a float.
pub(crate) fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| whole_float(value.as_f64()?))
}

/// An integral, non-negative float below 2^63.
pub(crate) fn whole_float(number: f64) -> Option<u64> {
    if number < 0.0 || number.fract() != 0.0 || number >= 9.2e18 {
        return None;
    }
    format!("{number:.0}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_prefix_decides_what_inline_text_is() {
        let bytes = |text: &str| match Target::inline(text) {
            Some(Target::Inline(bytes)) => bytes.to_vec(),
            _ => b"no".to_vec(),
        };
        assert_eq!(bytes("base64:AAEC"), [0, 1, 2]);
        assert_eq!(bytes("\0\0@"), [0, 0, 64]);
        assert_eq!(bytes(" 12 "), b" 12 ");
        assert_eq!(Target::inline("base64:*"), None);
        assert!(matches!(Target::of_cell("[1, 2]"), Some(Target::Inline(_))));
        assert!(matches!(
            Target::of_cell("[\"a\", 1.0, 2]"),
            Some(Target::Object { offset: 1, .. })
        ));
        assert_eq!(whole_float(1.5), None);
    }
}

//! Python literals, as GIK's V1 and V2 hold whole sets: the `repr` of a dict. Parsed, never evaluated.
//!
//! `{'t2m/0.0.0': ['s3://b/f', 0, 11357], 'lev/0': '\x00@', 'a/.zgroup': b'{"zarr_format":2}'}`

use serde_json::Value;

use super::error::RefsError;
use super::value::text_of;

/// How deep literals may nest.
const MAX_DEPTH: usize = 32;

/// A Python literal.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Text.
    Text(String),
    /// `b'...'`
    Bytes(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// A float, `nan` and `inf` included.
    Float(f64),
    /// `True` or `False`.
    Bool(bool),
    /// `None`.
    None,
    /// A list or tuple.
    List(Vec<Self>),
    /// A dict, in its order.
    Dict(Vec<(Self, Self)>),
}

impl Literal {
    /// The literal as JSON; bytes as text where they are that.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.clone()),
            Self::Bytes(bytes) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
            Self::Integer(number) => Value::from(*number),
            Self::Float(number) if number.is_nan() => Value::from("NaN"),
            Self::Float(number) if number.is_infinite() => Value::from(if *number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            }),
            Self::Float(number) => Value::from(*number),
            Self::Bool(value) => Value::Bool(*value),
            Self::None => Value::Null,
            Self::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Self::Dict(members) => Value::Object(
                members
                    .iter()
                    .map(|(key, value)| (text_of(&key.to_json()), value.to_json()))
                    .collect(),
            ),
        }
    }
}

/// Reads a literal.
///
/// # Errors
/// [`RefsError::Syntax`] with the byte where it is wrong.
pub fn parse_literal(text: &str) -> Result<Literal, RefsError> {
    let mut parser = Parser::new(text);
    let value = parser.value(0)?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.wrong("more text behind the end"));
    }
    Ok(value)
}

/// Hands the members of a dict to `each`, one at a time.
///
/// # Errors
/// [`RefsError::Syntax`], and what `each` gives.
pub(crate) fn each_member(
    text: &str,
    each: &mut dyn FnMut(&str, Literal) -> Result<(), RefsError>,
) -> Result<(), RefsError> {
    let mut parser = Parser::new(text);
    parser.space();
    if !parser.take(b'{') {
        return Err(parser.wrong("a dict is due"));
    }
    loop {
        parser.space();
        if parser.take(b'}') {
            break;
        }
        let key = match parser.value(1)? {
            Literal::Text(key) => key,
            Literal::Bytes(key) => String::from_utf8_lossy(&key).into_owned(),
            Literal::Integer(_)
            | Literal::Float(_)
            | Literal::Bool(_)
            | Literal::None
            | Literal::List(_)
            | Literal::Dict(_) => {
                return Err(parser.wrong("a key that is no text"));
            }
        };
        parser.space();
        if !parser.take(b':') {
            return Err(parser.wrong("`:` is due"));
        }
        each(&key, parser.value(1)?)?;
        parser.space();
        if !parser.take(b',') {
            if parser.take(b'}') {
                break;
            }
            return Err(parser.wrong("`,` or `}` is due"));
        }
    }
    parser.space();
    if parser.at < text.len() {
        return Err(parser.wrong("more text behind the end"));
    }
    Ok(())
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
        }
    }

    fn wrong(&self, what: &str) -> RefsError {
        RefsError::Syntax {
            what: what.to_owned(),
            at: self.at as u64,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Literal, RefsError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("nested too deeply"));
        }
        self.space();
        match self.peek() {
            Some(b'\'' | b'"') => self.adjacent_text(),
            Some(b'b' | b'B') if matches!(self.bytes.get(self.at + 1), Some(b'\'' | b'"')) => {
                self.at += 1;
                let mut out = Vec::new();
                self.quoted(true, &mut out)?;
                Ok(Literal::Bytes(out))
            }
            Some(b'[') => self.items(b']', depth),
            Some(b'(') => self.items(b')', depth),
            Some(b'{') => self.dict(depth),
            Some(_) => self.word(),
            None => Err(self.wrong("the text ends where a value is due")),
        }
    }

    /// Text; pieces that stand side by side are one.
    fn adjacent_text(&mut self) -> Result<Literal, RefsError> {
        let mut out = Vec::new();
        self.quoted(false, &mut out)?;
        loop {
            let before = self.at;
            self.space();
            if !matches!(self.peek(), Some(b'\'' | b'"')) {
                self.at = before;
                break;
            }
            self.quoted(false, &mut out)?;
        }
        String::from_utf8(out)
            .map(Literal::Text)
            .map_err(|_not_text| self.wrong("text that is no Unicode"))
    }

    fn items(&mut self, close: u8, depth: usize) -> Result<Literal, RefsError> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.take(close) {
                return Ok(Literal::List(items));
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if !self.take(b',') {
                if self.take(close) {
                    return Ok(Literal::List(items));
                }
                return Err(self.wrong("`,` or the end of the list is due"));
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, RefsError> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            self.space();
            if self.take(b'}') {
                return Ok(Literal::Dict(members));
            }
            let key = self.value(depth + 1)?;
            self.space();
            if !self.take(b':') {
                return Err(self.wrong("`:` is due"));
            }
            members.push((key, self.value(depth + 1)?));
            self.space();
            if !self.take(b',') {
                if self.take(b'}') {
                    return Ok(Literal::Dict(members));
                }
                return Err(self.wrong("`,` or `}` is due"));
            }
        }
    }

    fn word(&mut self) -> Result<Literal, RefsError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || b"+-._".contains(byte)))
            .unwrap_or(rest.len());
        let word = self.text.get(self.at..self.at + end).unwrap_or_default();
        let value = match word {
            "None" => Literal::None,
            "True" => Literal::Bool(true),
            "False" => Literal::Bool(false),
            "nan" | "NaN" => Literal::Float(f64::NAN),
            "inf" | "Infinity" => Literal::Float(f64::INFINITY),
            "-inf" | "-Infinity" => Literal::Float(f64::NEG_INFINITY),
            _ if word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
                let plain = word.replace('_', "");
                match (plain.parse::<i64>(), plain.parse::<f64>()) {
                    (Ok(number), _) => Literal::Integer(number),
                    (Err(_), Ok(number)) => Literal::Float(number),
                    (Err(_), Err(_)) => return Err(self.wrong("a number is due")),
                }
            }
            _ => return Err(self.wrong("a word that is no literal")),
        };
        self.at += end;
        Ok(value)
    }

    /// The content of a quoted piece; with `octets`, of a bytes literal.
    fn quoted(&mut self, octets: bool, out: &mut Vec<u8>) -> Result<(), RefsError> {
        let quote = self.peek().unwrap_or(b'\'');
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let end = memchr::memchr2(quote, b'\\', rest)
                .ok_or_else(|| self.wrong("the text ends inside quotes"))?;
            out.extend_from_slice(rest.get(..end).unwrap_or_default());
            self.at += end + 1;
            if rest.get(end) == Some(&quote) {
                return Ok(());
            }
            self.escape(octets, out)?;
        }
    }

    fn escape(&mut self, octets: bool, out: &mut Vec<u8>) -> Result<(), RefsError> {
        let Some(letter) = self.peek() else {
            return Err(self.wrong("the text ends behind a backslash"));
        };
        self.at += 1;
        let code = match letter {
            b'\n' => return Ok(()),
            b'\\' | b'\'' | b'"' => u32::from(letter),
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            b'x' => self.hex(2)?,
            b'u' if !octets => self.hex(4)?,
            b'U' if !octets => self.hex(8)?,
            b'0'..=b'7' => {
                let mut code = u32::from(letter - b'0');
                for _ in 0..2 {
                    match self.peek() {
                        Some(digit @ b'0'..=b'7') => {
                            code = code * 8 + u32::from(digit - b'0');
                            self.at += 1;
                        }
                        _ => break,
                    }
                }
                code
            }
            // Python keeps the backslash of an escape that it does not know.
            other => {
                out.push(b'\\');
                out.push(other);
                return Ok(());
            }
        };
        if octets {
            out.push(u8::try_from(code & 0xff).unwrap_or_default());
            return Ok(());
        }
        let character =
            char::from_u32(code).ok_or_else(|| self.wrong("an escape that is no character"))?;
        let mut buffer = [0; 4];
        out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        Ok(())
    }

    fn hex(&mut self, digits: usize) -> Result<u32, RefsError> {
        let text = self
            .text
            .get(self.at..self.at + digits)
            .filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = text.and_then(|text| u32::from_str_radix(text, 16).ok());
        let code = code.ok_or_else(|| self.wrong("hexadecimal digits are due"))?;
        self.at += digits;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repr_writes_comes_back() {
        let text = r#"{'a/.zgroup': '{"zarr_format":2}', "l'0": '\x00\x41\n\\\'é\u00e9\101', 't': ['s3://b/f', 0, 11357],
            'b': b'\x00\xff', 'n': (None, True, False, nan, -inf, 1.5, -3,), 'd': {1: {}}}"#;
        let Literal::Dict(members) = parse_literal(text).unwrap() else {
            panic!("no dict");
        };
        assert_eq!(
            members[1],
            (
                Literal::Text("l'0".into()),
                Literal::Text("\0A\n\\'\u{e9}\u{e9}A".into())
            )
        );
        assert_eq!(members[3].1, Literal::Bytes(vec![0, 255]));
        let Literal::List(words) = &members[4].1 else {
            panic!("no list");
        };
        assert_eq!(words[5..], [Literal::Float(1.5), Literal::Integer(-3)]);
        assert_eq!(members[5].1.to_json()["1"], serde_json::json!({}));
    }

    #[test]
    fn what_is_no_literal_is_an_error_and_nothing_is_evaluated() {
        for text in [
            "__import__('os')",
            "{'a': open}",
            "[1",
            "'a",
            "{'a' 1}",
            "'\\x4'",
            "1 2",
            "",
            "b'",
            "'\\",
        ] {
            assert!(parse_literal(text).is_err(), "{text}");
        }
        assert!(parse_literal(&"[".repeat(100_000)).is_err());
    }
}

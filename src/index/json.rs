//! One flat JSON object per line, scanned in place.
//!
//! Strings without escapes, numbers and literals are borrowed from the line. Whatever is out of the ordinary (escapes,
//! nested values, syntax errors) goes to `serde_json`, which reads it or says what is wrong.

/// Hands every key and value of the object that `line` is to `each`, with the position behind the value, until it says no.
///
/// A value is a string's text, or a whole number's. `line` is [`trimmed`]. With `from`, a position behind a value, what stands
/// before it is passed over. `None` if the line is not plain (see [`unusual`]); `each` has been called for some pairs then.
pub(super) fn plain<'a>(
    line: &'a str,
    from: Option<usize>,
    mut each: impl FnMut(&'a str, &'a str, usize) -> bool,
) -> Option<()> {
    let mut scanner = Scanner {
        text: line,
        at: from.unwrap_or(0),
    };
    scanner.object(from.is_none(), &mut each)
}

/// The keys and values of any object in a [`trimmed`] line, with the JSON text of values that are no strings.
///
/// # Errors
/// What is wrong with the JSON.
pub(super) fn unusual(line: &str) -> Result<Vec<(String, String)>, String> {
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    let pair = |(key, value): (String, serde_json::Value)| {
        let text = match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        };
        (key, text)
    };
    Ok(map.into_iter().map(pair).collect())
}

/// A line without blanks around it and without a comma after the object: some writers of such files leave one.
pub(super) fn trimmed(line: &str) -> &str {
    let line = line.trim_ascii();
    line.strip_suffix(',').map_or(line, str::trim_ascii_end)
}

/// Reads plain objects only; `None` means "not plain", not "wrong".
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn object(
        &mut self,
        from_start: bool,
        each: &mut impl FnMut(&'a str, &'a str, usize) -> bool,
    ) -> Option<()> {
        let mut first = from_start;
        if first {
            self.take(b'{')?;
        }
        loop {
            match self.peek()? {
                b'}' => {
                    self.at += 1;
                    break;
                }
                b',' if !first => self.at += 1,
                _ if first => {}
                _ => return None,
            }
            first = false;
            let key = self.string()?;
            self.take(b':')?;
            let value = match self.peek()? {
                b'"' => self.string()?,
                _ => self.word()?,
            };
            if !each(key, value, self.at) {
                return None;
            }
        }
        (self.at == self.text.len()).then_some(())
    }

    /// The next byte that is no blank, without taking it.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// A string without escapes and control characters.
    fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        let end = start + plain_length(self.text.as_bytes().get(start..)?);
        if self.text.as_bytes().get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        self.text.get(start..end)
    }

    /// A number as JSON has it, without fraction and exponent.
    fn word(&mut self) -> Option<&'a str> {
        let start = self.at;
        let bytes = self.text.as_bytes().get(start..)?;
        let sign = usize::from(bytes.first() == Some(&b'-'));
        let count = bytes
            .get(sign..)?
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let leading_zero = count > 1 && bytes.get(sign) == Some(&b'0');
        if count == 0 || leading_zero {
            return None;
        }
        let after = bytes.get(sign + count)?;
        if !matches!(after, b',' | b'}' | b' ' | b'\t') {
            return None;
        }
        self.at = start + sign + count;
        self.text.get(start..self.at)
    }
}

/// How many bytes stand before the first quote, backslash or control character.
///
/// Not inlined: in the middle of the scanner this loop runs out of registers (2.7 against 3.5 million lines per second).
#[inline(never)]
fn plain_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Vec<(String, String)>, String> {
        let mut pairs = Vec::new();
        let mut ends = vec![];
        let line = trimmed(line);
        let each = |key: &str, value: &str, end: usize| {
            pairs.push((key.to_owned(), value.to_owned()));
            ends.push(end);
            true
        };
        if plain(line, None, each).is_some() {
            for (at, end) in ends.into_iter().enumerate() {
                let mut rest = vec![];
                let each = |key: &str, value: &str, _| {
                    rest.push((key.to_owned(), value.to_owned()));
                    true
                };
                assert_eq!(plain(line, Some(end), each), Some(()), "{line} from {end}");
                assert_eq!(rest, pairs[at + 1..]);
            }
            assert_eq!(unusual(line).as_ref(), Ok(&pairs), "{line}");
            return Ok(pairs);
        }
        unusual(line)
    }

    #[test]
    fn plain_and_unusual_objects_are_read_alike() {
        let expected = Ok(vec![
            ("a".to_owned(), "x".to_owned()),
            ("b".to_owned(), "-3".to_owned()),
        ]);
        for line in [
            r#"{"a": "x", "b": -3}"#,
            r#"  {"a":"x","b":-3} ,"#,
            r#"{ "a" : "x" , "b" : -3 }"#,
            r#"{"\u0061": "x", "b": -3}"#,
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
        assert_eq!(read("{}"), Ok(vec![]));
        let nested = read(r#"{"a": [1, 2], "b": true, "c": 1.5e3}"#).unwrap();
        assert_eq!(nested[0].1, "[1,2]");
        assert_eq!(nested[1].1, "true");
    }

    #[test]
    fn strings_end_where_they_do_at_any_length() {
        for length in 0..40 {
            for odd in ["", "\\n", "\u{e9}", "\\\"", "~\x7f"] {
                let text = format!("{}{odd}{}", "x".repeat(length), "y".repeat(length / 2));
                let pairs = read(&format!("{{\"k\": \"{text}\"}}")).unwrap();
                assert_eq!(
                    pairs[0].1.len(),
                    text.replace("\\n", "n").replace("\\\"", "q").len()
                );
            }
            assert!(read(&format!("{{\"k\": \"{}\u{1}\"}}", "x".repeat(length))).is_err());
        }
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for line in [
            r#"{"a": "x""#,
            r#"{"a": 01}"#,
            r#"{"a": "x",}"#,
            r#"{"a" "x"}"#,
            r#"{"a": }"#,
            r#"{"a": -}"#,
            r#"{"a": "x"} {"b": 1}"#,
            "{",
            "",
            "503 Slow Down",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}

//! JSON read in pieces: one value in memory at a time, whatever the size of the file.

use std::io::Read;

use super::error::RefsError;

/// Bytes read at once.
const PIECE: usize = 1 << 20;
/// Largest single value (an inline chunk, a document).
const MAX_VALUE: usize = 256 << 20;

/// A cursor over JSON text that may be longer than memory.
pub(crate) struct Stream<R> {
    reader: R,
    buffer: Vec<u8>,
    at: usize,
    dropped: u64,
    ended: bool,
}

impl<R: Read> Stream<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            at: 0,
            dropped: 0,
            ended: false,
        }
    }

    pub(crate) fn syntax(&self, what: impl Into<String>) -> RefsError {
        RefsError::Syntax {
            what: what.into(),
            at: self.dropped + self.at as u64,
        }
    }

    /// Reads more behind what is there; forgets what was consumed.
    fn more(&mut self) -> Result<bool, RefsError> {
        if self.ended {
            return Ok(false);
        }
        self.buffer.drain(..self.at);
        self.dropped += self.at as u64;
        self.at = 0;
        if self.buffer.len() > MAX_VALUE {
            return Err(RefsError::TooLarge(format!(
                "a value of more than {MAX_VALUE} bytes"
            )));
        }
        let wanted = PIECE.max(self.buffer.len()) as u64;
        let got = (&mut self.reader)
            .take(wanted)
            .read_to_end(&mut self.buffer)
            .map_err(|error| RefsError::Read(error.to_string()))?;
        self.ended = got == 0;
        Ok(!self.ended)
    }

    /// The next byte that is not white space, not consumed; `None` at the end.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, RefsError> {
        if let Some(byte) = self.buffer.get(self.at)
            && !byte.is_ascii_whitespace()
        {
            return Ok(Some(*byte));
        }
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            match rest.iter().position(|byte| !byte.is_ascii_whitespace()) {
                Some(skip) => {
                    self.at += skip;
                    return Ok(self.buffer.get(self.at).copied());
                }
                None => {
                    self.at = self.buffer.len();
                    if !self.more()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Consumes `wanted` if it comes next.
    pub(crate) fn take(&mut self, wanted: u8) -> Result<bool, RefsError> {
        let found = self.peek()? == Some(wanted);
        if found {
            self.at += 1;
        }
        Ok(found)
    }

    /// Consumes `wanted`, or fails.
    pub(crate) fn expect(&mut self, wanted: u8) -> Result<(), RefsError> {
        if self.take(wanted)? {
            Ok(())
        } else {
            Err(self.syntax(format!("`{}` is due", char::from(wanted))))
        }
    }

    /// The next value's text, consumed: a string with its quotes, an array, an object, or a bare word.
    pub(crate) fn value(&mut self) -> Result<&[u8], RefsError> {
        let Some(first) = self.peek()? else {
            return Err(self.syntax("the text ends where a value is due"));
        };
        let mut length = 0;
        let (mut depth, mut in_string) = (0_usize, false);
        loop {
            let rest = self.buffer.get(self.at + length..).unwrap_or_default();
            let mut over = false;
            let mut seen = 0;
            if matches!(first, b'"' | b'{' | b'[') {
                while seen < rest.len() {
                    let tail = rest.get(seen..).unwrap_or_default();
                    if in_string {
                        match memchr::memchr2(b'"', b'\\', tail) {
                            None => seen = rest.len(),
                            Some(at) if tail.get(at) == Some(&b'"') => {
                                seen += at + 1;
                                in_string = false;
                            }
                            Some(at) if at + 1 < tail.len() => seen += at + 2,
                            // The escaped byte is not here yet: look at the backslash again.
                            Some(at) => {
                                seen += at;
                                break;
                            }
                        }
                    } else {
                        match tail.first() {
                            Some(b'"') => in_string = true,
                            Some(b'{' | b'[') => depth += 1,
                            Some(b'}' | b']') => depth = depth.saturating_sub(1),
                            _ => {}
                        }
                        seen += 1;
                    }
                    if depth == 0 && !in_string {
                        over = true;
                        break;
                    }
                }
            } else {
                let end = rest
                    .iter()
                    .position(|byte| byte.is_ascii_whitespace() || b",]}:".contains(byte));
                over = end.is_some();
                seen = end.unwrap_or(rest.len());
            }
            length += seen;
            if over {
                break;
            }
            if !self.more()? {
                if matches!(first, b'"' | b'{' | b'[') {
                    return Err(self.syntax("the text ends inside a value"));
                }
                break;
            }
        }
        if length == 0 {
            return Err(self.syntax("a value is due"));
        }
        let start = self.at;
        self.at += length;
        Ok(self.buffer.get(start..start + length).unwrap_or_default())
    }

    /// The members of an object: `each(self, key)` must consume the member's value.
    pub(crate) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), RefsError>,
    ) -> Result<(), RefsError> {
        self.expect(b'{')?;
        if self.take(b'}')? {
            return Ok(());
        }
        let mut key = String::new();
        loop {
            if self.peek()? != Some(b'"') {
                return Err(self.syntax("a key is due"));
            }
            let raw = self.value()?;
            let read = read_string(raw, &mut key);
            if !read {
                return Err(self.syntax("a key that is no text"));
            }
            self.expect(b':')?;
            each(self, &key)?;
            if self.take(b'}')? {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }
}

/// The text of a JSON string, given with its quotes. `false` if it is none.
pub(crate) fn read_string(raw: &[u8], out: &mut String) -> bool {
    out.clear();
    let Some(inner) = raw
        .strip_prefix(b"\"")
        .and_then(|raw| raw.strip_suffix(b"\""))
    else {
        return false;
    };
    if memchr::memchr(b'\\', inner).is_none() {
        // Raw control characters are let through: some writers leave them.
        return std::str::from_utf8(inner)
            .map(|text| out.push_str(text))
            .is_ok();
    }
    match serde_json::from_slice::<String>(raw) {
        Ok(text) => {
            *out = text;
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            match (self.0.split_first(), out.first_mut()) {
                (Some((byte, rest)), Some(slot)) => {
                    *slot = *byte;
                    self.0 = rest;
                    Ok(1)
                }
                _ => Ok(0),
            }
        }
    }

    #[test]
    fn values_are_whole_however_the_bytes_arrive() {
        let text = br#" {"a\"": [1, "x]\\", {"b": 2}], "c" : true, "d":"e"} "#;
        let mut stream = Stream::new(Drip(text));
        let mut seen = Vec::new();
        stream
            .object(|stream, key| {
                let value = String::from_utf8(stream.value()?.to_vec()).unwrap();
                seen.push((key.to_owned(), value));
                Ok(())
            })
            .unwrap();
        assert_eq!(
            seen[0],
            ("a\"".to_owned(), r#"[1, "x]\\", {"b": 2}]"#.to_owned())
        );
        assert_eq!(seen[1].1, "true");
        assert_eq!(seen[2].1, "\"e\"");
        assert!(
            Stream::new(&b"{\"a\": [1"[..])
                .object(|s, _| s.value().map(|_| ()))
                .is_err()
        );
    }
}

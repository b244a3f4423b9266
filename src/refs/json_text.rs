//! JSON as reference sets hold it: `NaN`, `Infinity` and `-Infinity` stand where numbers may.

use serde_json::Value;

/// Largest metadata document that is taken.
pub(crate) const MAX_DOCUMENT: usize = 256 << 20;

/// Reads JSON text; bare `NaN`, `Infinity` and `-Infinity` become strings of that name, which is how Zarr writes them.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_lenient(text: &[u8]) -> Result<Value, String> {
    if text.len() > MAX_DOCUMENT {
        return Err(format!("a document of {} bytes", text.len()));
    }
    match serde_json::from_slice(text) {
        Ok(value) => Ok(value),
        Err(error) => {
            let Some(quoted) = quote_constants(text) else {
                return Err(error.to_string());
            };
            serde_json::from_slice(&quoted).map_err(|error| error.to_string())
        }
    }
}

/// The text with its bare constants in quotes, or `None` if there are none.
fn quote_constants(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut rest = text;
    let (mut in_string, mut found) = (false, false);
    while let Some((&byte, tail)) = rest.split_first() {
        if in_string {
            out.push(byte);
            rest = tail;
            if byte == b'\\' {
                if let Some((&escaped, tail)) = rest.split_first() {
                    out.push(escaped);
                    rest = tail;
                }
            } else if byte == b'"' {
                in_string = false;
            }
            continue;
        }
        let constant = [&b"NaN"[..], b"-Infinity", b"Infinity"]
            .into_iter()
            .find(|word| rest.starts_with(word));
        if let Some(word) = constant {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            rest = rest.get(word.len()..).unwrap_or_default();
            found = true;
            continue;
        }
        in_string = byte == b'"';
        out.push(byte);
        rest = tail;
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_constants_become_strings_and_strings_stay() {
        let value =
            parse_lenient(br#"{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN, \"NaN","d":1}"#).unwrap();
        assert_eq!(value["a"], "NaN");
        assert_eq!(value["b"][0], "-Infinity");
        assert_eq!(value["c"], "NaN, \"NaN");
        assert!(parse_lenient(b"{nan}").is_err());
    }
}

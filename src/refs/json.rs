//! kerchunk JSON: version 0, version 1 with templates and `gen`, lists of either.

use std::io::Read;

use serde_json::Value;

use super::builder::SetBuilder;
use super::chunks::Target;
use super::error::RefsError;
use super::json_text::parse_lenient;
use super::set::RefSet;
use super::stream::{Stream, read_string};
use super::templates::{MAX_GENERATED, Templates, generate};

/// Most sets of one list.
const MAX_SETS: usize = 100_000;

/// Reads a set as a stream. A list of sets (as `scan_grib` gives, one per message) becomes groups named `0`, `1`, ...
///
/// # Errors
/// [`RefsError`].
pub fn read_json(reader: impl Read) -> Result<RefSet, RefsError> {
    let mut stream = Stream::new(reader);
    let mut builder = SetBuilder::default();
    match stream.peek()? {
        Some(b'{') => {
            let part = one_set(&mut stream, &mut builder)?;
            finish_part(part, &mut builder)?;
        }
        Some(b'[') => {
            stream.expect(b'[')?;
            let mut count = 0;
            while !stream.take(b']')? {
                if count > 0 {
                    stream.expect(b',')?;
                }
                let text = stream.value()?.to_vec();
                // Templates may stand behind the references that use them.
                builder.templates = Some(templates_of(&text)?);
                builder.prefix = format!("{count}/");
                let part = one_set(&mut Stream::new(text.as_slice()), &mut builder)?;
                finish_part(part, &mut builder)?;
                count += 1;
                if count > MAX_SETS {
                    return Err(RefsError::TooLarge(format!(
                        "a list of more than {MAX_SETS} sets"
                    )));
                }
            }
            builder.prefix.clear();
        }
        _ => {
            return Err(RefsError::Unknown(
                "neither a JSON object nor a list of them".to_owned(),
            ));
        }
    }
    if stream.peek()?.is_some() {
        return Err(stream.syntax("more text behind the end"));
    }
    builder.finish()
}

/// What stands beside the references of one set.
#[derive(Default)]
struct Part {
    templates: Option<Value>,
    generators: Option<Value>,
}

fn templates_of(text: &[u8]) -> Result<Templates, RefsError> {
    let mut found = Templates::default();
    Stream::new(text).object(|stream, key| {
        let raw = stream.value()?;
        if key == "templates" {
            let value = parse_lenient(raw).map_err(|what| stream.syntax(what))?;
            found = Templates::parse(&value)?;
        }
        Ok(())
    })?;
    Ok(found)
}

fn one_set<R: Read>(stream: &mut Stream<R>, builder: &mut SetBuilder) -> Result<Part, RefsError> {
    let mut part = Part::default();
    let mut url = String::new();
    stream.object(|stream, key| {
        match key {
            "version" => {
                let raw = stream.value()?;
                let version = String::from_utf8_lossy(raw).trim_matches('"').to_owned();
                if !matches!(version.as_str(), "0" | "1" | "1.0") {
                    return Err(RefsError::Version(version));
                }
            }
            "templates" => {
                let raw = stream.value()?;
                let value = parse_lenient(raw).map_err(|what| stream.syntax(what))?;
                // Those in force already are the same, read before.
                if builder.templates.is_none() {
                    builder.templates = Some(Templates::parse(&value)?);
                }
                part.templates = Some(value);
            }
            "gen" => {
                let raw = stream.value()?;
                part.generators = Some(parse_lenient(raw).map_err(|what| stream.syntax(what))?);
            }
            "refs" if stream.peek()? == Some(b'{') => {
                stream.object(|stream, key| member(stream, builder, key, &mut url))?;
            }
            _ => member(stream, builder, key, &mut url)?,
        }
        Ok(())
    })?;
    Ok(part)
}

fn finish_part(part: Part, builder: &mut SetBuilder) -> Result<(), RefsError> {
    let Some(generators) = part.generators else {
        return Ok(());
    };
    let Value::Array(entries) = generators else {
        return Err(RefsError::Unknown("gen is no list".to_owned()));
    };
    let templates = builder.templates.clone().unwrap_or_default();
    let mut made = 0;
    for entry in &entries {
        generate(
            entry,
            &templates,
            &mut made,
            &mut |key, url, offset, length| {
                builder.insert(
                    key,
                    Target::Object {
                        url,
                        offset,
                        length,
                    },
                )
            },
        )?;
    }
    debug_assert!(made <= MAX_GENERATED, "generate bounds itself");
    Ok(())
}

/// One key of `refs`.
fn member<R: Read>(
    stream: &mut Stream<R>,
    builder: &mut SetBuilder,
    key: &str,
    url: &mut String,
) -> Result<(), RefsError> {
    let raw = stream.value()?;
    if let Some((offset, length)) = plain_range(raw, url) {
        return builder.insert_object(key, url, offset, length);
    }
    let value = if raw.first() == Some(&b'"') {
        let mut text = String::new();
        if read_string(raw, &mut text) {
            Target::inline(&text)
        } else {
            None
        }
    } else if raw.first() == Some(&b'{') {
        // Its own text: how it is written is not ours to change.
        Some(Target::Inline(bytes::Bytes::copy_from_slice(raw)))
    } else {
        let parsed = parse_lenient(raw).map_err(|what| stream.syntax(what))?;
        Target::of_json(&parsed)
    };
    match value {
        Some(value) => builder.insert(key, value),
        None => {
            builder.defect("value", key, "a value that the format does not know");
            Ok(())
        }
    }
}

/// `["url", offset, length]` or `["url"]` without escapes and floats; the URL goes into `url`.
fn plain_range(raw: &[u8], url: &mut String) -> Option<(u64, Option<u64>)> {
    let inner = raw.strip_prefix(b"[")?.strip_suffix(b"]")?.trim_ascii();
    let text = inner.strip_prefix(b"\"")?;
    let end = memchr::memchr2(b'"', b'\\', text)?;
    if text.get(end) != Some(&b'"') {
        return None;
    }
    let found = text.get(..end)?;
    let rest = text.get(end + 1..)?.trim_ascii();
    let range = if rest.is_empty() {
        (0, None)
    } else {
        let rest = rest.strip_prefix(b",")?;
        let comma = memchr::memchr(b',', rest)?;
        (
            digits(rest.get(..comma)?)?,
            Some(digits(rest.get(comma + 1..)?)?),
        )
    };
    // Neighbours mostly lie in one object.
    if found != url.as_bytes() {
        let found = std::str::from_utf8(found).ok()?;
        url.clear();
        url.push_str(found);
    }
    Some(range)
}

/// A count in decimal digits, white space around it.
fn digits(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refs::Slot;

    fn read(text: &str) -> Result<RefSet, RefsError> {
        read_json(text.as_bytes())
    }

    fn file(set: &RefSet, name: &str) -> Target {
        let slot = set.nodes[0]
            .files
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, slot)| slot.clone());
        set.target(&slot.unwrap_or(Slot::NoTarget)).unwrap()
    }

    #[test]
    fn version_1_with_templates_and_gen() {
        let set = read(
            r#"{"version": 1, "templates": {"u": "s3://b/x", "f": "{{u}}.f{{c}}"}, "gen": [{"key": "gen_key{{i}}",
            "url": "{{u}}.f00{{i}}", "offset": "{{i*0}}", "length": "{{ i * 10 + 4}}", "dimensions": {"i": {"stop": 3}}}],
            "refs": {"key0": "data", "key1": ["{{u}}.f001", 0, 4], "key2": ["{{f(c=\"002\")}}", 0.0, 4], "key3": "base64:AAEC",
            "key4": ["{{u}}.f003"], "d/.zarray": {"zarr_format": 2}, "key5": [null, 0, 4]}}"#,
        )
        .unwrap();
        assert_eq!(file(&set, "key0"), Target::Inline("data".into()));
        let range = |url: &str, length| Target::Object {
            url: url.to_owned(),
            offset: 0,
            length,
        };
        assert_eq!(file(&set, "key1"), range("s3://b/x.f001", Some(4)));
        assert_eq!(file(&set, "key2"), range("s3://b/x.f002", Some(4)));
        assert_eq!(file(&set, "key3"), Target::Inline(vec![0, 1, 2].into()));
        assert_eq!(file(&set, "key4"), range("s3://b/x.f003", None));
        assert_eq!(file(&set, "gen_key2"), range("s3://b/x.f002", Some(24)));
        assert_eq!(file(&set, "key5"), Target::NoTarget);
        assert_eq!(set.defect_counts["refused"], 1);
    }

    #[test]
    fn templates_may_stand_behind_the_references() {
        let set = read(r#"{"version":1,"refs":{"k":["{{u}}",1,2]},"templates":{"u":"s3://b/x"}}"#)
            .unwrap();
        assert_eq!(
            file(&set, "k"),
            Target::Object {
                url: "s3://b/x".to_owned(),
                offset: 1,
                length: Some(2)
            }
        );
        assert!(matches!(
            read(r#"{"version":1,"refs":{"k":["{{u}}",1,2]}}"#),
            Err(RefsError::Template { .. })
        ));
    }

    #[test]
    fn an_empty_chunk_name_is_the_chunk_of_a_scalar() {
        let scalar = r#"".zgroup":"{}","lev/.zarray":"{\"shape\":[],\"chunks\":[],\"dtype\":\"<f8\",\"fill_value\":NaN}","lev/":"base64:AAAAAAAAAEA=""#;
        let set = read(&format!("{{{scalar}}}")).unwrap();
        let node = set.find("lev").unwrap();
        assert_eq!(
            set.chunk(node, 0).unwrap(),
            Some(Target::Inline(2.0_f64.to_le_bytes().to_vec().into()))
        );
        let both = format!("{{{scalar},\"lev/0\":\"base64:AAAAAAAA8D8=\"}}");
        assert!(matches!(read(&both), Err(RefsError::Duplicate(_))));
    }

    #[test]
    fn keys_that_would_leave_the_tree_are_dropped_and_listed() {
        let long = "a".repeat(5000);
        let set = read(&format!(
            r#"{{"../x":"1","/etc/passwd":"1","a/../../b":"1","a//b":"1","n\u0000l":"1","{long}":"1","ok":"1"}}"#
        ))
        .unwrap();
        assert_eq!(set.defect_counts["key"], 6);
        assert_eq!(set.nodes[0].files.len(), 1);
    }

    #[test]
    fn other_versions_and_broken_texts_are_errors() {
        assert!(matches!(
            read(r#"{"version":2,"refs":{}}"#),
            Err(RefsError::Version(_))
        ));
        for text in [
            "",
            "[",
            "{",
            "{\"a\"",
            "{\"a\":1}x",
            "{\"refs\":{\"a\":[}}",
            "\u{0}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

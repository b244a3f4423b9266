//! Templates and `gen` of kerchunk JSON: substitution and a little arithmetic. No engine: filters, loops and conditions are
//! refused with the offending text.

use std::collections::HashMap;

use serde_json::Value;

use super::error::RefsError;
use super::value::text_of;

/// How deep templates may call each other.
const MAX_DEPTH: usize = 8;
/// Most `{{...}}` that one text may expand to, those of the templates that it calls counted: eight templates that each call the next
/// one ten times are a hundred million.
const MAX_TERMS: u32 = 1000;
/// Longest text that an expansion may give.
const MAX_TEXT: usize = 16 << 10;
/// Most keys that all `gen` entries may make.
pub(crate) const MAX_GENERATED: u64 = 10_000_000;

/// The set's templates by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Templates(HashMap<String, String>);

/// Values of names while a text is expanded.
pub(crate) type Names = HashMap<String, String>;

fn wrong(text: &str, what: impl Into<String>) -> RefsError {
    RefsError::Template {
        text: text.chars().take(200).collect(),
        what: what.into(),
    }
}

impl Templates {
    pub(crate) fn parse(value: &Value) -> Result<Self, RefsError> {
        let Value::Object(all) = value else {
            return Err(wrong("templates", "not an object"));
        };
        let mut templates = HashMap::new();
        for (name, text) in all {
            let Value::String(text) = text else {
                return Err(wrong(name, "not text"));
            };
            templates.insert(name.clone(), text.clone());
        }
        Ok(Self(templates))
    }

    /// The text with every `{{...}}` replaced.
    pub(crate) fn expand(&self, text: &str, names: &Names) -> Result<String, RefsError> {
        self.expand_at(text, names, 0, &mut 0)
    }

    fn expand_at(
        &self,
        text: &str,
        names: &Names,
        depth: usize,
        terms: &mut u32,
    ) -> Result<String, RefsError> {
        if depth > MAX_DEPTH {
            return Err(wrong(text, "templates that call each other too deeply"));
        }
        let mut out = String::new();
        let mut rest = text;
        if text.contains("{%") || text.contains("{#") {
            return Err(wrong(text, "statements are not supported"));
        }
        while let Some((before, tail)) = rest.split_once("{{") {
            let (inner, after) = tail
                .split_once("}}")
                .ok_or_else(|| wrong(text, "`{{` without `}}`"))?;
            *terms += 1;
            if *terms > MAX_TERMS {
                return Err(wrong(text, "expands to more than 1000 terms"));
            }
            out.push_str(before);
            out.push_str(&self.term(inner.trim(), names, depth, terms)?);
            if out.len() > MAX_TEXT {
                return Err(wrong(text, "expands to more than 16 kB"));
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// What stands between the braces: a name, a call, or arithmetic.
    fn term(
        &self,
        inner: &str,
        names: &Names,
        depth: usize,
        terms: &mut u32,
    ) -> Result<String, RefsError> {
        if let Some(value) = names.get(inner) {
            return Ok(value.clone());
        }
        if let Some(template) = self.0.get(inner) {
            return self.expand_at(template, names, depth + 1, terms);
        }
        if let Some((name, arguments)) = inner
            .strip_suffix(')')
            .and_then(|call| call.split_once('('))
            && let Some(template) = self.0.get(name.trim())
        {
            let mut inside = names.clone();
            for argument in arguments
                .split(',')
                .filter(|argument| !argument.trim().is_empty())
            {
                let (name, value) = argument
                    .split_once('=')
                    .ok_or_else(|| wrong(inner, "arguments are name=value"))?;
                inside.insert(
                    name.trim().to_owned(),
                    Self::argument(value.trim(), names, inner)?,
                );
            }
            return self.expand_at(template, &inside, depth + 1, terms);
        }
        if inner.contains('|') {
            return Err(wrong(inner, "filters are not supported"));
        }
        Ok(arithmetic(inner, names)?.to_string())
    }

    fn argument(value: &str, names: &Names, inner: &str) -> Result<String, RefsError> {
        for quote in ['"', '\''] {
            if let Some(text) = value
                .strip_prefix(quote)
                .and_then(|rest| rest.strip_suffix(quote))
            {
                return Ok(text.to_owned());
            }
        }
        if let Some(known) = names.get(value) {
            return Ok(known.clone());
        }
        if value.parse::<f64>().is_ok() {
            return Ok(value.to_owned());
        }
        Err(wrong(
            inner,
            format!("argument `{value}` is neither text nor a number"),
        ))
    }
}

/// Integers, names, `+ - * // %`, parentheses.
pub(crate) fn arithmetic(text: &str, names: &Names) -> Result<i64, RefsError> {
    let mut parser = Arithmetic {
        text,
        rest: text.trim(),
        names,
        depth: 0,
    };
    let value = parser.sum()?;
    if parser.rest.is_empty() {
        Ok(value)
    } else {
        Err(parser.wrong("not understood"))
    }
}

struct Arithmetic<'a> {
    text: &'a str,
    rest: &'a str,
    names: &'a Names,
    depth: usize,
}

impl Arithmetic<'_> {
    fn wrong(&self, what: &str) -> RefsError {
        wrong(self.text, what)
    }

    fn take(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else {
            return false;
        };
        self.rest = rest.trim_start();
        true
    }

    fn sum(&mut self) -> Result<i64, RefsError> {
        let mut left = self.term()?;
        loop {
            let value = if self.take("+") {
                left.checked_add(self.term()?)
            } else if self.take("-") {
                left.checked_sub(self.term()?)
            } else {
                return Ok(left);
            };
            left = value.ok_or_else(|| self.wrong("the number is too large"))?;
        }
    }

    fn term(&mut self) -> Result<i64, RefsError> {
        let mut left = self.factor()?;
        loop {
            let value = if self.take("//") {
                let right = self.factor()?;
                left.checked_div_euclid(right).map(|quotient| {
                    if right < 0 && left.rem_euclid(right) != 0 {
                        quotient - 1
                    } else {
                        quotient
                    }
                })
            } else if self.take("*") {
                left.checked_mul(self.factor()?)
            } else if self.take("%") {
                let right = self.factor()?;
                left.checked_rem_euclid(right).map(|rest| {
                    if right < 0 && rest != 0 {
                        rest + right
                    } else {
                        rest
                    }
                })
            } else {
                return Ok(left);
            };
            left = value
                .ok_or_else(|| self.wrong("the number is too large, or a division by zero"))?;
        }
    }

    fn factor(&mut self) -> Result<i64, RefsError> {
        self.depth += 1;
        if self.depth > 64 {
            return Err(self.wrong("nested too deeply"));
        }
        let value = self.atom();
        self.depth -= 1;
        value
    }

    fn atom(&mut self) -> Result<i64, RefsError> {
        if self.take("-") {
            let value = self.factor()?;
            return value
                .checked_neg()
                .ok_or_else(|| self.wrong("the number is too large"));
        }
        if self.take("(") {
            let value = self.sum()?;
            return if self.take(")") {
                Ok(value)
            } else {
                Err(self.wrong("`)` is due"))
            };
        }
        let end = self
            .rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        let value = self.names.get(word).map_or(word, String::as_str);
        let number = value.parse().map_err(|_none: std::num::ParseIntError| {
            self.wrong(&if word.is_empty() {
                "a number is due".to_owned()
            } else {
                format!("`{word}` is not known")
            })
        })?;
        self.rest = rest.trim_start();
        Ok(number)
    }
}

/// Takes a key, a URL, an offset and a length.
pub(crate) type Put<'a> = dyn FnMut(&str, String, u64, Option<u64>) -> Result<(), RefsError> + 'a;

/// One entry of `gen`: every key with its reference, handed to `put`.
pub(crate) fn generate(
    entry: &Value,
    templates: &Templates,
    made: &mut u64,
    put: &mut Put<'_>,
) -> Result<(), RefsError> {
    let shown = entry.to_string();
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let (Some(key), Some(url)) = (text("key"), text("url")) else {
        return Err(wrong(&shown, "a gen entry needs key and url"));
    };
    let number = |name: &str| entry.get(name).map(text_of);
    let range = match (number("offset"), number("length")) {
        (Some(offset), Some(length)) => Some((offset, length)),
        (None, None) => None,
        _ => return Err(wrong(&shown, "offset and length come together")),
    };
    let Some(Value::Object(dimensions)) = entry.get("dimensions") else {
        return Err(wrong(&shown, "a gen entry needs dimensions"));
    };
    let mut axes: Vec<(&String, Axis)> = Vec::new();
    let mut count = 1_u64;
    for (name, dimension) in dimensions {
        let axis =
            Axis::parse(dimension).ok_or_else(|| wrong(&shown, format!("dimension {name}")))?;
        count = count.saturating_mul(axis.length());
        axes.push((name, axis));
    }
    *made = made.saturating_add(count);
    if *made > MAX_GENERATED {
        return Err(RefsError::TooLarge(format!(
            "gen makes {made} keys; {MAX_GENERATED} are taken"
        )));
    }
    for position in 0..count {
        let mut names = Names::new();
        let mut rest = position;
        for (name, axis) in axes.iter().rev() {
            let length = axis.length().max(1);
            names.insert((*name).clone(), axis.at(rest % length).unwrap_or_default());
            rest /= length;
        }
        let value = |text: &str| -> Result<u64, RefsError> {
            let expanded = templates.expand(text, &names)?;
            let value = arithmetic(&expanded, &names)?;
            u64::try_from(value).map_err(|_negative| wrong(text, "the number is negative"))
        };
        let key = templates.expand(key, &names)?;
        let url = templates.expand(url, &names)?;
        match &range {
            Some((offset, length)) => put(&key, url, value(offset)?, Some(value(length)?))?,
            None => put(&key, url, 0, None)?,
        }
    }
    Ok(())
}

/// Values of a dimension of `gen`.
enum Axis {
    List(Vec<String>),
    Range { start: i64, step: i64, length: u64 },
}

impl Axis {
    fn parse(dimension: &Value) -> Option<Self> {
        match dimension {
            Value::Array(values) => Some(Self::List(values.iter().map(text_of).collect())),
            Value::Object(range) => {
                let number = |name: &str, default: Option<i64>| match range.get(name) {
                    None => default,
                    Some(value) => value.as_i64(),
                };
                let (start, stop, step) = (
                    number("start", Some(0))?,
                    number("stop", None)?,
                    number("step", Some(1))?,
                );
                let span = stop.checked_sub(start)?;
                let length = if step > 0 {
                    u64::try_from(span.max(0))
                        .ok()?
                        .div_ceil(step.unsigned_abs())
                } else if step < 0 {
                    u64::try_from(span.checked_neg()?.max(0))
                        .ok()?
                        .div_ceil(step.unsigned_abs())
                } else {
                    return None;
                };
                Some(Self::Range {
                    start,
                    step,
                    length,
                })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::List(values) => values.len() as u64,
            Self::Range { length, .. } => *length,
        }
    }

    fn at(&self, position: u64) -> Option<String> {
        match self {
            Self::List(values) => values.get(usize::try_from(position).ok()?).cloned(),
            Self::Range { start, step, .. } => {
                let value = step
                    .checked_mul(i64::try_from(position).ok()?)?
                    .checked_add(*start)?;
                Some(value.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn templates() -> Templates {
        Templates::parse(&json!({"u": "s3://b/x", "f": "{{u}}.f{{c}}"})).unwrap()
    }

    #[test]
    fn names_and_calls_are_expanded() {
        let expand = |text: &str| templates().expand(text, &Names::new());
        assert_eq!(expand("{{u}}.f001").unwrap(), "s3://b/x.f001");
        assert_eq!(expand("{{ f(c=\"002\") }}").unwrap(), "s3://b/x.f002");
        for text in ["{{v}}", "{{u|upper}}", "{% if x %}", "{{u", "{{1/2}}"] {
            assert!(expand(text).is_err(), "{text}");
        }
    }

    #[test]
    fn templates_that_multiply_each_other_are_refused() {
        let mut all = serde_json::Map::new();
        for level in 0..8 {
            let next = format!("{{{{t{}}}}}", level + 1);
            all.insert(format!("t{level}"), json!(next.repeat(10)));
        }
        // Nothing in the end: the length of the text does not stop it.
        all.insert("t8".to_owned(), json!(""));
        let templates = Templates::parse(&Value::Object(all)).unwrap();
        let error = templates.expand("{{t1}}", &Names::new()).unwrap_err();
        assert!(error.to_string().contains("1000 terms"), "{error}");
        assert_eq!(templates.expand("{{t6}}", &Names::new()).unwrap(), "");
    }

    #[test]
    fn arithmetic_is_pythons() {
        let names: Names = [("i".to_owned(), "7".to_owned())].into();
        for (text, value) in [
            ("i*0", 0),
            ("i * 10 + 4", 74),
            ("-7 // 2", -4),
            ("7 % -4", -1),
            ("(1+2)*-i", -21),
            ("7//-2", -4),
        ] {
            assert_eq!(arithmetic(text, &names).unwrap(), value, "{text}");
        }
        for text in [
            "1/0",
            "1//0",
            "9223372036854775807+1",
            "x",
            "",
            &"(".repeat(1000),
        ] {
            assert!(arithmetic(text, &names).is_err());
        }
    }

    #[test]
    fn gen_makes_the_product_and_is_bounded() {
        let entry = json!({"key": "k{{i}}", "url": "{{u}}.f00{{i}}", "offset": "{{i*0}}", "length": "{{ i * 10 + 4}}",
            "dimensions": {"i": {"start": 0, "stop": 3}}});
        let (mut made, mut all) = (0, Vec::new());
        generate(
            &entry,
            &templates(),
            &mut made,
            &mut |key, url, offset, length| {
                all.push((key.to_owned(), url, offset, length));
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(
            all[2],
            ("k2".to_owned(), "s3://b/x.f002".to_owned(), 0, Some(24))
        );
        let huge = json!({"key": "k{{i}}", "url": "u", "dimensions": {"i": {"stop": 1_000_000_000_000_i64}, "j": {"stop": 1_000_000_i64}}});
        assert!(matches!(
            generate(&huge, &templates(), &mut made, &mut |_, _, _, _| Ok(())),
            Err(RefsError::TooLarge(_))
        ));
    }
}

//! Brace patterns in sources: `f{000..120..3}` and `{gec00,gep01}`, as shells expand them.

/// Most names that one pattern may stand for.
pub(super) const MOST_NAMES: usize = 1_000_000;

/// The texts that a pattern stands for, in order; a text without braces stands for itself. `None` if there would be more than
/// a million.
///
/// `{a..b}` and `{a..b..step}` count, with the zeros of the longer end kept (`{000..012..6}` is 000, 006, 012); `{x,y}` lists.
/// Braces that are neither stay as they are.
#[must_use]
pub fn expand_braces(pattern: &str) -> Option<Vec<String>> {
    let mut done = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, inside, after)) = next_braces(rest) {
        let choices = choices(inside).unwrap_or_else(|| vec![format!("{{{inside}}}")]);
        if done.len().saturating_mul(choices.len()) > MOST_NAMES {
            return None;
        }
        done = done
            .iter()
            .flat_map(|start| {
                choices
                    .iter()
                    .map(move |choice| format!("{start}{before}{choice}"))
            })
            .collect();
        rest = after;
    }
    Some(done.into_iter().map(|start| start + rest).collect())
}

fn next_braces(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    Some((before, inside, after))
}

fn choices(inside: &str) -> Option<Vec<String>> {
    if inside.contains(',') {
        return Some(inside.split(',').map(str::to_owned).collect());
    }
    let parts: Vec<&str> = inside.split("..").collect();
    let (first, last, step) = match parts.as_slice() {
        [first, last] => (*first, *last, 1),
        [first, last, step] => (
            *first,
            *last,
            step.parse::<usize>().ok().filter(|step| *step > 0)?,
        ),
        _ => return None,
    };
    let width = first.len().max(last.len());
    let (from, to) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    if from.abs_diff(to) / step as u64 > MOST_NAMES as u64 {
        return Some(Vec::new());
    }
    let padded = first.len() == last.len() || first.starts_with('0') || last.starts_with('0');
    let write = |value: u64| {
        if padded {
            format!("{value:0width$}")
        } else {
            value.to_string()
        }
    };
    Some(if from <= to {
        (from..=to).step_by(step).map(write).collect()
    } else {
        (to..=from).rev().step_by(step).map(write).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::expand_braces;

    #[test]
    fn patterns_expand_as_in_a_shell() {
        assert_eq!(
            expand_braces("f{000..012..6}").unwrap(),
            ["f000", "f006", "f012"]
        );
        assert_eq!(expand_braces("{9..11}").unwrap(), ["9", "10", "11"]);
        assert_eq!(
            expand_braces("{a,b}/{1..2}x").unwrap(),
            ["a/1x", "a/2x", "b/1x", "b/2x"]
        );
        assert_eq!(expand_braces("plain").unwrap(), ["plain"]);
        assert_eq!(expand_braces("{odd}").unwrap(), ["{odd}"]);
        assert_eq!(expand_braces("open{1..").unwrap(), ["open{1.."]);
        assert!(expand_braces("{0..9999}{0..9999}").is_none());
    }
}

//! `gribfs info --tree`: the stores and arrays of a mount, as `tree` draws folders.

use super::facts::{Array, Facts, Group};
use super::text::dimensions;
use crate::cli::output::unicode;

/// Prints stores, groups and arrays with their shapes.
pub(super) fn print(facts: &Facts) {
    let signs = Signs::of(unicode());
    say!("{}", facts.source);
    let last = facts.stores.len().saturating_sub(1);
    for (at, store) in facts.stores.iter().enumerate() {
        let axes: Vec<String> = store
            .axes
            .iter()
            .map(|(name, length)| format!("{name} {length}"))
            .collect();
        let text = format!("{}  {}", store.name, axes.join(", "));
        say!("{}", signs.text(at == last, &text));
        // The arrays of all stores differ in their time-like dimensions alone; the first store lists them.
        if at == 0 {
            for line in groups(&facts.groups, signs) {
                say!("{}{line}", signs.indent(at == last));
            }
        }
    }
}

fn groups(groups: &[Group], signs: Signs) -> Vec<String> {
    let mut lines = Vec::new();
    let (named, root): (Vec<&Group>, Vec<&Group>) =
        groups.iter().partition(|group| !group.name.is_empty());
    let own: Vec<String> = root.iter().flat_map(|group| arrays(group)).collect();
    for (at, array) in own.iter().enumerate() {
        lines.push(signs.text(named.is_empty() && at + 1 == own.len(), array));
    }
    for (at, group) in named.iter().enumerate() {
        let is_last = at + 1 == named.len();
        lines.push(signs.text(is_last, &format!("{}  {}", group.name, group.grid)));
        let inner = arrays(group);
        for (at, array) in inner.iter().enumerate() {
            let line = signs.text(at + 1 == inner.len(), array);
            lines.push(format!("{}{line}", signs.indent(is_last)));
        }
    }
    lines
}

fn arrays(group: &Group) -> Vec<String> {
    let names = group.arrays.iter().map(|array| array.name.len());
    let width = names.max().unwrap_or_default();
    let line = |array: &Array| {
        format!(
            "{:<width$}  ({})  {} [{}]",
            array.name,
            dimensions(array),
            array.long_name,
            array.units
        )
    };
    group.arrays.iter().map(line).collect()
}

/// How branches are drawn.
#[derive(Clone, Copy)]
struct Signs {
    branch: &'static str,
    end: &'static str,
    trunk: &'static str,
}

impl Signs {
    const fn of(unicode: bool) -> Self {
        if unicode {
            Self {
                branch: "├── ",
                end: "└── ",
                trunk: "│   ",
            }
        } else {
            Self {
                branch: "|-- ",
                end: "`-- ",
                trunk: "|   ",
            }
        }
    }

    fn text(self, is_last: bool, text: &str) -> String {
        let sign = if is_last { self.end } else { self.branch };
        format!("{sign}{text}")
    }

    const fn indent(self, is_last: bool) -> &'static str {
        if is_last { "    " } else { self.trunk }
    }
}

//! What `info` prints for people.

use super::facts::{Array, Facts, Group, Size};
use crate::cli::output::{bytes_text, count_text, grouped, terminal_width, unicode};
use crate::table::row::Status;
use crate::time::step_text;

/// Level values and members that are listed one by one; of more, the first and the last are.
const LISTED: usize = 20;

/// Prints all of it.
pub(super) fn print(facts: &Facts) {
    say!(
        "{}: {}, {}",
        facts.source,
        count_text(facts.messages, "message"),
        count_text(facts.files, "file")
    );
    let size = facts.size();
    let unknown = match size.unknown {
        0 => String::new(),
        count => format!(" and {} of unknown length", count_text(count, "message")),
    };
    say!(
        "  as messages        {}{unknown}",
        bytes_text(size.real_bytes)
    );
    say!("  as plain floats    {}", bytes_text(size.virtual_bytes));
    if facts.is_selected {
        say!("  cells selected     {}", grouped(facts.cells()));
    }
    for (status, count) in &facts.statuses {
        if *status != Status::Placed {
            say!("  {:<18} {}", status.as_str(), grouped(*count));
        }
    }
    if let Some(newest) = facts.incomplete_runs.last() {
        say!(
            "  incomplete         {}, the newest {}",
            count_text(facts.incomplete_runs.len() as u64, "run"),
            newest.path_name()
        );
    }
    match (facts.runs.first(), facts.runs.last()) {
        (Some(first), Some(last)) if first != last => {
            let seconds: Vec<i64> = facts.runs.iter().map(|run| run.seconds()).collect();
            let stride = match stride(&seconds) {
                Some(stride) => format!(" by {}", step_text(stride)),
                None => String::new(),
            };
            say!(
                "  runs               {} from {} to {}{stride}",
                facts.runs.len(),
                first.path_name(),
                last.path_name()
            );
        }
        (Some(only), _) => say!("  run                {}", only.path_name()),
        _ => {}
    }
    if !facts.stores.is_empty() {
        say!("");
        say!(
            "  {:<24} {:<34} {:>6}",
            "store",
            "time-like dimensions",
            "arrays"
        );
        for store in &facts.stores {
            let axes: Vec<String> = store
                .axes
                .iter()
                .map(|(name, length)| format!("{name} {}", grouped(*length as u64)))
                .collect();
            say!(
                "  {:<24} {:<34} {:>6}",
                store.name,
                axes.join(", "),
                store.arrays
            );
        }
    }
    for group in &facts.groups {
        print_group(facts, group);
    }
}

fn print_group(facts: &Facts, group: &Group) {
    say!("");
    let name = if group.name.is_empty() {
        String::new()
    } else {
        format!(" (group {})", group.name)
    };
    say!("  grid{name}: {}", group.grid);
    say!("  steps: {}", steps_text(&group.steps));
    if !group.members.is_empty() {
        let members: Vec<String> = group.members.iter().map(i16::to_string).collect();
        say!("  members: {}", list(&members));
    }
    for (name, units, values) in &group.levels {
        let values: Vec<String> = values.iter().map(f64::to_string).collect();
        say!("  {name} [{units}]: {}", list(&values));
    }
    say!("");
    let width = |of: fn(&Array) -> usize, least: usize| {
        let all = group.arrays.iter().map(of);
        all.max().unwrap_or_default().max(least)
    };
    let names = width(|array| array.name.len(), 16);
    let shapes = width(|array| dimensions(array).len(), 20);
    say!(
        "  {:<names$} {:<shapes$} {:>9} {:>8} {:>9} {:>9}  what",
        "array",
        "dimensions",
        "present",
        "pending",
        "messages",
        "floats"
    );
    for array in &group.arrays {
        let Size {
            virtual_bytes,
            real_bytes,
            ..
        } = array.size;
        say!(
            "  {:<names$} {:<shapes$} {:>9} {:>8} {:>9} {:>9}  {} [{}]",
            array.name,
            dimensions(array),
            grouped(array.present),
            grouped(array.pending),
            bytes_text(real_bytes),
            bytes_text(virtual_bytes),
            array.long_name,
            array.units,
        );
    }
    say!("");
    let lines = group
        .coverage
        .chart(&facts.runs, &group.steps, terminal_width() - 2, unicode());
    for line in lines {
        say!("  {line}");
    }
}

/// `time 2, step 17, latitude 721, longitude 1440`.
pub(super) fn dimensions(array: &Array) -> String {
    let lengths = array.dimensions.iter();
    let texts: Vec<String> = lengths
        .map(|(name, length)| format!("{name} {length}"))
        .collect();
    texts.join(", ")
}

fn list(values: &[String]) -> String {
    match values {
        [first, .., last] if values.len() > LISTED => {
            format!("{} from {first} to {last}", values.len())
        }
        _ => values.join(" "),
    }
}

/// The one distance between neighbours.
fn stride(values: &[i64]) -> Option<i64> {
    let mut distances = values.windows(2).filter_map(|pair| match pair {
        [a, b] => Some(b - a),
        _ => None,
    });
    let first = distances.next()?;
    distances.all(|other| other == first).then_some(first)
}

/// Steps as ranges of one stride: `0h..120h by 1h, 123h..384h by 3h`.
fn steps_text(steps: &[i64]) -> String {
    let mut parts = Vec::new();
    let mut rest = steps;
    while let [first, second, ..] = rest {
        let stride = second - first;
        let length = 1 + rest
            .windows(2)
            .take_while(|pair| matches!(pair, [a, b] if b - a == stride))
            .count();
        let last = rest.get(length - 1).unwrap_or(second);
        parts.push(if length > 2 {
            format!(
                "{}..{} by {}",
                step_text(*first),
                step_text(*last),
                step_text(stride)
            )
        } else {
            step_text(*first)
        });
        rest = rest
            .get(if length > 2 { length } else { 1 }..)
            .unwrap_or_default();
    }
    parts.extend(rest.first().map(|only| step_text(*only)));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::{steps_text, stride};

    #[test]
    fn steps_read_as_ranges() {
        let hours =
            |hours: &[i64]| steps_text(&hours.iter().map(|hour| hour * 3600).collect::<Vec<_>>());
        assert_eq!(hours(&[0, 1, 2, 3, 6, 9]), "0h..3h by 1h, 6h, 9h");
        assert_eq!(hours(&[0, 3]), "0h, 3h");
        assert_eq!(hours(&[6]), "6h");
        assert_eq!(hours(&[]), "");
    }

    #[test]
    fn runs_have_a_stride_or_none() {
        assert_eq!(stride(&[0, 6, 12]), Some(6));
        assert_eq!(stride(&[0, 6, 18]), None);
        assert_eq!(stride(&[3]), None);
    }
}

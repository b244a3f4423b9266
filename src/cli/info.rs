//! `gribfs info`: what is in a table or a reference set.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::info_set::SetInfo;
use super::output::{bytes_text, count_text, grouped};
use super::refs::{Opened, open};
use super::selection::SelectionArgs;
use super::{Failure, StorageArgs, load_failure, runtime};
use crate::config;
use crate::dataset::horizontal::{
    describe as describe_grid, dimensions as grid_dimensions, shown_ends,
};
use crate::dataset::{Archive, Collection, FieldArray, GridGroup};
use crate::scan::load;
use crate::table::row::{Status, Table};
use crate::time::step_text;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gribfs info gfs.parquet\n  gribfs info gfs.parquet --variable 't*' --step 0h..24h\n  gribfs info refs.json"
)]
pub(super) struct InfoArgs {
    /// Table (a file X.parquet, a directory of tables) or reference set (kerchunk, GIK: a file, a directory, a pattern), or its URL
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Directory below which a reference set may name files, besides its own (repeatable)
    #[arg(long, value_name = "DIR")]
    allow_root: Vec<PathBuf>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

pub(super) fn run(args: &InfoArgs) -> Result<u8, Failure> {
    let storage = args.storage.settings().storage().map_err(Failure::usage)?;
    let source = config::location(&args.source).map_err(Failure::usage)?;
    let runtime = runtime()?;
    let opened = open(&args.source, &source, &storage, &runtime, &args.allow_root)?;
    let table = match opened {
        Opened::Set(set, _) => {
            if !args.selection.selection()?.is_everything() {
                return Err(Failure::usage(
                    "a reference set is told as a whole: --variable and the like are for tables",
                ));
            }
            let told = SetInfo::of(&set);
            say!("{}", told.text(&args.source, args.json));
            return Ok(0);
        }
        // Its defects were told when it was opened.
        Opened::Table(table, _) => *table,
        Opened::Other => runtime
            .block_on(load(&source, &storage))
            .map_err(|error| load_failure(&error))?,
    };
    let table = Arc::new(table);
    let archive = Archive::of_table(Arc::clone(&table));
    let collection = args.selection.select(Collection::build(archive, None))?;
    if args.json {
        say!("{}", describe(&table, &collection));
    } else {
        print(&args.source, &table, &collection);
    }
    Ok(0)
}

fn print(source: &str, table: &Table, collection: &Collection) {
    say!(
        "{source}: {}, {}",
        count_text(table.rows.len() as u64, "message"),
        count_text(table.objects.len() as u64, "file")
    );
    say!(
        "  bytes referred to  {}",
        bytes_text(table.rows.iter().filter_map(|row| row.length).sum())
    );
    if !collection.selection.is_everything() {
        let arrays = collection.groups.iter().flat_map(|group| &group.arrays);
        let selected: usize = arrays.map(|array| array.cells.len()).sum();
        say!("  cells selected     {}", grouped(selected as u64));
    }
    for (status, count) in statuses(table) {
        if status != Status::Placed {
            say!("  {:<18} {}", status.as_str(), grouped(count));
        }
    }
    let waiting: Vec<String> = collection
        .runs
        .iter()
        .filter(|run| !table.complete_runs.contains(run))
        .map(|run| run.path_name())
        .collect();
    if let Some(newest) = waiting.last() {
        say!(
            "  incomplete         {}, the newest {newest}",
            count_text(waiting.len() as u64, "run")
        );
    }
    match (collection.runs.first(), collection.runs.last()) {
        (Some(first), Some(last)) if first != last => {
            say!(
                "  runs               {} from {} to {}",
                collection.runs.len(),
                first.path_name(),
                last.path_name()
            );
        }
        (Some(only), _) => say!("  run                {}", only.path_name()),
        _ => {}
    }
    for group in &collection.groups {
        say!("");
        let name = if group.name.is_empty() {
            String::new()
        } else {
            format!(" (group {})", group.name)
        };
        say!("  grid{name}: {}", grid_text(group));
        say!("  steps: {}", steps_text(&group.steps));
        if !group.members.is_empty() {
            say!(
                "  members: {}",
                group
                    .members
                    .iter()
                    .map(i16::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            );
        }
        for axis in group
            .levels
            .iter()
            .filter(|axis| group.arrays.iter().any(|array| uses(array, group, axis)))
        {
            let values: Vec<String> = axis
                .values
                .iter()
                .map(|(value, _)| value.to_string())
                .collect();
            say!(
                "  {} [{}]: {}",
                axis.level_type.name,
                axis.level_type.units,
                values.join(" ")
            );
        }
        say!("");
        say!(
            "  {:<24} {:<30} {:>9} {:>8}  what",
            "array",
            "dimensions",
            "present",
            "pending"
        );
        for array in &group.arrays {
            let present = array.cells.present();
            say!(
                "  {:<24} {:<30} {:>9} {:>8}  {} [{}]",
                array.naming.array,
                dimensions(array, group).join(" "),
                grouped(present as u64),
                array.cells.len() - present,
                array.naming.long_name,
                array.naming.units,
            );
        }
    }
}

fn uses(array: &FieldArray, group: &GridGroup, axis: &crate::dataset::LevelAxis) -> bool {
    array
        .level_axis
        .and_then(|own| group.levels.get(own))
        .is_some_and(|own| std::ptr::eq(own, axis))
}

fn statuses(table: &Table) -> Vec<(Status, u64)> {
    Status::ALL
        .into_iter()
        .map(|status| {
            (
                status,
                table.rows.iter().filter(|row| row.status == status).count() as u64,
            )
        })
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn dimensions(array: &FieldArray, group: &GridGroup) -> Vec<String> {
    let mut names = vec!["time".to_owned(), "step".to_owned()];
    if array.members {
        names.push("number".to_owned());
    }
    names.extend(
        array
            .level_axis
            .and_then(|axis| group.levels.get(axis))
            .map(|axis| axis.level_type.name.to_string()),
    );
    names.extend(
        grid_dimensions(&group.grid, group.crop.as_ref())
            .into_iter()
            .map(|(name, _)| name),
    );
    names
}

/// A grid in words, and how much of it is selected.
fn grid_text(group: &GridGroup) -> String {
    let mut text = describe_grid(&group.grid);
    if let Some(crop) = &group.crop {
        let (rows, columns) = crop.shape();
        text += &format!("; selected {rows} x {columns}");
        for (name, first, last) in shown_ends(group) {
            text += &format!(", {name} {first}..{last}");
        }
    }
    text
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

fn describe(table: &Table, collection: &Collection) -> Value {
    let groups: Vec<Value> = collection
        .groups
        .iter()
        .map(|group| {
            let arrays: Vec<Value> = group
                .arrays
                .iter()
                .map(|array| {
                    let present = array.cells.present();
                    json!({
                        "name": array.naming.array,
                        "long_name": array.naming.long_name,
                        "units": array.naming.units,
                        "step_type": array.naming.step_type,
                        "dimensions": dimensions(array, group),
                        "present": present,
                        "pending": array.cells.len() - present,
                    })
                })
                .collect();
            json!({
                "group": group.name,
                "grid": grid_text(group),
                "points": grid_dimensions(&group.grid, group.crop.as_ref()).iter().map(|(_, length)| length).product::<u64>(),
                "steps_seconds": group.steps,
                "members": group.members,
                "levels": group.levels.iter().map(|axis| json!({
                    "type": axis.level_type.name,
                    "units": axis.level_type.units,
                    "values": axis.values.iter().map(|(value, _)| value).collect::<Vec<_>>(),
                })).collect::<Vec<_>>(),
                "arrays": arrays,
            })
        })
        .collect();
    let unplaced: Vec<Value> = table
        .rows
        .iter()
        .filter(|row| !matches!(row.status, Status::Placed | Status::Twin))
        .map(|row| {
            json!({
                "location": table.objects.get(row.object as usize).map(|object| object.location.to_string()),
                "offset": row.offset,
                "words": table.kinds.get(row.kind as usize).map(|kind| kind.words.as_str()),
                "run": row.reference.path_name(),
                "step_seconds": row.window.end,
                "status": row.status.as_str(),
                "reason": row.reason.as_deref(),
            })
        })
        .collect();
    json!({
        "messages": table.rows.len(),
        "files": table.objects.len(),
        "runs": collection.runs.iter().map(|run| run.path_name()).collect::<Vec<_>>(),
        "groups": groups,
        "statuses": statuses(table).into_iter().map(|(status, count)| (status.as_str(), count)).collect::<std::collections::BTreeMap<_, _>>(),
        "not_placed": unplaced,
    })
}

#[cfg(test)]
mod tests {
    use super::steps_text;

    #[test]
    fn steps_read_as_ranges() {
        let hours =
            |hours: &[i64]| steps_text(&hours.iter().map(|hour| hour * 3600).collect::<Vec<_>>());
        assert_eq!(hours(&[0, 1, 2, 3, 6, 9]), "0h..3h by 1h, 6h, 9h");
        assert_eq!(hours(&[0, 3]), "0h, 3h");
        assert_eq!(hours(&[6]), "6h");
        assert_eq!(hours(&[]), "");
    }
}

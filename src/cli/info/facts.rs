//! What is known of a table, gathered once for text, chart and JSON.
//!
//! Runs, steps, members and counts come from the footers; rows are read for their lengths alone, and in full only where some are not
//! placed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::chart::Coverage;
use crate::cli::Failure;
use crate::dataset::archive::{Archive, Part};
use crate::dataset::horizontal::{
    describe as describe_grid, dimensions as grid_dimensions, shown_ends,
};
use crate::dataset::{CellState, Collection, FieldArray, GridGroup};
use crate::slices::{BestRule, Slice, SliceKind};
use crate::table::row::Status;
use crate::time::Instant;

/// Tables whose lengths are read at once.
const READERS: usize = 8;

/// The four collections as stores, in the order of a mount's listing.
const STORES: [SliceKind; 4] = [
    SliceKind::RunTime,
    SliceKind::ValidTime,
    SliceKind::Horizon,
    SliceKind::BestAvailable,
];

/// All that `info` tells.
pub(super) struct Facts {
    pub(super) source: String,
    /// Messages of the table, whatever is selected.
    pub(super) messages: u64,
    pub(super) files: u64,
    pub(super) statuses: Vec<(Status, u64)>,
    pub(super) runs: Vec<Instant>,
    pub(super) incomplete_runs: Vec<Instant>,
    pub(super) is_selected: bool,
    pub(super) stores: Vec<Store>,
    pub(super) groups: Vec<Group>,
    pub(super) not_placed: Vec<Value>,
}

/// A store of a mount.
pub(super) struct Store {
    pub(super) name: String,
    /// Names and lengths of its time-like axes.
    pub(super) axes: Vec<(&'static str, usize)>,
    pub(super) arrays: usize,
}

/// A dimension of a grid: name, length, and of an axis its first and last value.
pub(super) type Dimension = (String, u64, Option<(f64, f64)>);

/// The arrays on one grid.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) grid: String,
    pub(super) points: u64,
    /// Dimensions of the grid.
    pub(super) horizontal: Vec<Dimension>,
    pub(super) steps: Vec<i64>,
    pub(super) members: Vec<i16>,
    /// Level axes that some array uses: name, units, values.
    pub(super) levels: Vec<(String, String, Vec<f64>)>,
    pub(super) arrays: Vec<Array>,
    pub(super) coverage: Coverage,
}

/// One array.
pub(super) struct Array {
    pub(super) name: String,
    pub(super) long_name: String,
    pub(super) units: String,
    pub(super) step_type: &'static str,
    /// Of `run_time.zarr`.
    pub(super) dimensions: Vec<(String, u64)>,
    pub(super) present: u64,
    pub(super) pending: u64,
    pub(super) size: Size,
}

/// How large something is.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    /// As plain floats, of all cells that are no gaps.
    pub(super) virtual_bytes: u64,
    /// As messages.
    pub(super) real_bytes: u64,
    /// Messages whose length is not known; not in `real_bytes`.
    pub(super) unknown: u64,
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), |sum, size| Self {
            virtual_bytes: sum.virtual_bytes.saturating_add(size.virtual_bytes),
            real_bytes: sum.real_bytes.saturating_add(size.real_bytes),
            unknown: sum.unknown + size.unknown,
        })
    }
}

impl Facts {
    /// Gathers. `with_reasons`: also each message that is not placed, and why.
    pub(super) fn gather(
        source: &str,
        archive: &Archive,
        collection: &Collection,
        best: BestRule,
        with_reasons: bool,
    ) -> Result<Self, Failure> {
        let lengths = Lengths::read(archive)?;
        let groups = collection.groups.iter();
        let incomplete = collection.runs.iter().copied();
        Ok(Self {
            source: source.to_owned(),
            messages: archive.rows(),
            files: archive.parts.iter().map(|part| part.counts.objects).sum(),
            statuses: archive.statuses(),
            incomplete_runs: incomplete
                .filter(|run| !archive.is_complete(*run))
                .collect(),
            runs: collection.runs.clone(),
            is_selected: !collection.selection.is_everything(),
            stores: stores(collection, best),
            groups: groups
                .map(|group| group_facts(collection, group, &lengths))
                .collect(),
            not_placed: if with_reasons {
                not_placed(archive)?
            } else {
                Vec::new()
            },
        })
    }

    pub(super) fn size(&self) -> Size {
        let arrays = self.groups.iter().flat_map(|group| &group.arrays);
        arrays.map(|array| array.size).sum()
    }

    pub(super) fn cells(&self) -> u64 {
        let arrays = self.groups.iter().flat_map(|group| &group.arrays);
        arrays.map(|array| array.present + array.pending).sum()
    }

    /// The document of `--json`; `src/docs/info.md` describes it.
    pub(super) fn json(&self) -> Value {
        let names =
            |runs: &[Instant]| -> Vec<String> { runs.iter().map(|run| run.path_name()).collect() };
        let size = self.size();
        let statuses: BTreeMap<&str, u64> = self
            .statuses
            .iter()
            .map(|(status, count)| (status.as_str(), *count))
            .collect();
        json!({
            "version": 1,
            "source": self.source,
            "messages": self.messages,
            "files": self.files,
            "statuses": statuses,
            "runs": names(&self.runs),
            "incomplete_runs": names(&self.incomplete_runs),
            "cells": self.cells(),
            "virtual_bytes": size.virtual_bytes,
            "real_bytes": size.real_bytes,
            "unknown_lengths": size.unknown,
            "stores": self.stores.iter().map(|store| json!({
                "name": store.name,
                "dimensions": store.axes.iter().map(|(name, length)| ((*name).to_owned(), json!(length))).collect::<serde_json::Map<_, _>>(),
                "arrays": store.arrays,
            })).collect::<Vec<_>>(),
            "groups": self.groups.iter().map(|group| group.json(&self.runs)).collect::<Vec<_>>(),
            "not_placed": self.not_placed,
        })
    }
}

impl Group {
    fn json(&self, runs: &[Instant]) -> Value {
        let coverage: Vec<Value> = runs
            .iter()
            .enumerate()
            .map(|(run, at)| json!({"run": at.path_name(), "steps": self.coverage.letters(run)}))
            .collect();
        json!({
            "group": self.name,
            "grid": self.grid,
            "points": self.points,
            "horizontal": self.horizontal.iter().map(|(name, length, ends)| json!({
                "name": name,
                "length": length,
                "first": ends.map(|(first, _)| first),
                "last": ends.map(|(_, last)| last),
            })).collect::<Vec<_>>(),
            "steps_seconds": self.steps,
            "members": self.members,
            "levels": self.levels.iter().map(|(name, units, values)| json!({"type": name, "units": units, "values": values})).collect::<Vec<_>>(),
            "arrays": self.arrays.iter().map(Array::json).collect::<Vec<_>>(),
            "coverage": coverage,
        })
    }
}

impl Array {
    fn json(&self) -> Value {
        let (names, shape): (Vec<&str>, Vec<u64>) = self
            .dimensions
            .iter()
            .map(|(name, length)| (name.as_str(), *length))
            .unzip();
        json!({
            "name": self.name,
            "long_name": self.long_name,
            "units": self.units,
            "step_type": self.step_type,
            "dimensions": names,
            "shape": shape,
            "present": self.present,
            "pending": self.pending,
            "virtual_bytes": self.size.virtual_bytes,
            "real_bytes": self.size.real_bytes,
            "unknown_lengths": self.size.unknown,
        })
    }
}

fn stores(collection: &Collection, best: BestRule) -> Vec<Store> {
    let store = |kind: SliceKind| {
        let slice = Slice::new(kind, collection, best);
        let main = slice.groups.iter().find(|group| !group.arrays.is_empty())?;
        let axes = main.axes.iter();
        Some(Store {
            name: format!("{kind}.zarr"),
            axes: axes.map(|axis| (axis.name, axis.values.len())).collect(),
            arrays: slice.groups.iter().map(|group| group.arrays.len()).sum(),
        })
    };
    STORES.into_iter().filter_map(store).collect()
}

fn group_facts(collection: &Collection, group: &GridGroup, lengths: &Lengths) -> Group {
    let ends = shown_ends(group);
    let horizontal: Vec<_> = grid_dimensions(&group.grid, group.crop.as_ref())
        .into_iter()
        .map(|(name, length)| {
            let own = ends.iter().find(|(axis, ..)| *axis == name);
            (name, length, own.map(|(_, first, last)| (*first, *last)))
        })
        .collect();
    let points = horizontal.iter().map(|(_, length, _)| length).product();
    let used = |at: usize| {
        group
            .arrays
            .iter()
            .any(|array| array.level_axis == Some(at))
    };
    let levels = group.levels.iter().enumerate();
    Group {
        name: group.name.clone(),
        grid: grid_text(group),
        points,
        steps: group.steps.clone(),
        members: group.members.clone(),
        levels: levels
            .filter(|(at, _)| used(*at))
            .map(|(_, axis)| {
                let values = axis.values.iter().map(|(value, _)| *value);
                (
                    axis.level_type.name.to_string(),
                    axis.level_type.units.to_string(),
                    values.collect(),
                )
            })
            .collect(),
        arrays: group
            .arrays
            .iter()
            .map(|array| array_facts(collection, group, array, points, lengths))
            .collect(),
        coverage: Coverage::of(collection.runs.len(), group),
        horizontal,
    }
}

fn array_facts(
    collection: &Collection,
    group: &GridGroup,
    array: &FieldArray,
    points: u64,
    lengths: &Lengths,
) -> Array {
    let present = array.cells.present() as u64;
    let all = array.cells.len() as u64;
    let mut dimensions = vec![
        ("time".to_owned(), collection.runs.len() as u64),
        ("step".to_owned(), group.steps.len() as u64),
    ];
    if array.members {
        dimensions.push(("number".to_owned(), group.members.len() as u64));
    }
    let axis = array.level_axis.and_then(|axis| group.levels.get(axis));
    dimensions
        .extend(axis.map(|axis| (axis.level_type.name.to_string(), axis.values.len() as u64)));
    dimensions.extend(grid_dimensions(&group.grid, group.crop.as_ref()));
    let mut size = lengths.of(array);
    size.virtual_bytes = all.saturating_mul(points).saturating_mul(4);
    Array {
        name: array.naming.array.clone(),
        long_name: array.naming.long_name.clone(),
        units: array.naming.units.clone(),
        step_type: array.naming.step_type,
        dimensions,
        present,
        pending: all - present,
        size,
    }
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

/// Lengths of all messages, by table.
struct Lengths {
    parts: Vec<(u64, Vec<Option<std::num::NonZeroU64>>)>,
}

impl Lengths {
    /// Reads the column of lengths of each table, some at once.
    fn read(archive: &Archive) -> Result<Self, Failure> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(part) = archive.parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push(part.source.lengths().map(|lengths| (part.base, lengths))?);
            }
            Ok(done)
        };
        let readers = READERS.min(archive.parts.len());
        let read: Vec<Result<Vec<_>, String>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..readers).map(|_| scope.spawn(work)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                let died = |_panic| Err("reading a table died".to_owned());
                thread.join().unwrap_or_else(died)
            };
            threads.into_iter().map(join).collect()
        });
        let mut parts = Vec::new();
        for read in read {
            parts.extend(read.map_err(Failure::failed)?);
        }
        parts.sort_unstable_by_key(|(base, _)| *base);
        Ok(Self { parts })
    }

    /// Bytes of the messages of an array's cells that are present.
    fn of(&self, array: &FieldArray) -> Size {
        let mut size = Size::default();
        let mut at = 0;
        for (key, row) in array.cells.iter() {
            let here = self.parts.get(at).is_some_and(|(base, lengths)| {
                row.checked_sub(*base)
                    .is_some_and(|position| position < lengths.len() as u64)
            });
            if !here {
                let after = self.parts.partition_point(|(base, _)| *base <= row);
                at = after.saturating_sub(1);
            }
            let length = self.parts.get(at).and_then(|(base, lengths)| {
                let position = usize::try_from(row.checked_sub(*base)?).ok()?;
                *lengths.get(position)?
            });
            match length {
                Some(length) => size.real_bytes = size.real_bytes.saturating_add(length.get()),
                // A message that has not arrived has no bytes yet.
                None if matches!(array.cells.get(key), CellState::Present(_)) => size.unknown += 1,
                None => {}
            }
        }
        size
    }
}

/// Every message that is in no array, or that reads as an error, with its reason.
fn not_placed(archive: &Archive) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for part in &archive.parts {
        for range in ranges_not_placed(part) {
            let table = part.source.rows(range).map_err(Failure::failed)?;
            let rows = table.rows.iter();
            let odd = rows.filter(|row| !matches!(row.status, Status::Placed | Status::Twin));
            found.extend(odd.map(|row| {
                json!({
                    "location": table.objects.get(row.object as usize).map(|object| object.location.to_string()),
                    "offset": row.offset,
                    "words": table.kinds.get(row.kind as usize).map(|kind| kind.words.as_str()),
                    "run": row.reference.path_name(),
                    "step_seconds": row.window.end,
                    "status": row.status.as_str(),
                    "reason": row.reason.as_deref(),
                })
            }));
        }
    }
    Ok(found)
}

/// Rows of the kinds some of whose rows are not placed.
fn ranges_not_placed(part: &Part) -> Vec<std::ops::Range<u64>> {
    let counts = part.counts.statuses.iter();
    let all_placed = counts
        .filter(|(status, _)| !matches!(status, Status::Placed | Status::Twin))
        .all(|(_, count)| *count == 0);
    if all_placed {
        return Vec::new();
    }
    if part.layout.spans.is_empty() {
        return std::iter::once(0..part.rows).collect();
    }
    let spans = part.layout.spans.iter();
    spans
        .filter(|span| span.placed < span.rows)
        .map(|span| span.first_row..span.first_row.saturating_add(span.rows))
        .collect()
}

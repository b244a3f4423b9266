//! Reference sets as sources of commands: told by content, opened, lists of messages made tables.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::Failure;
use crate::location::Location;
use crate::refs::{Defect, MessageRef, RefSet};
use crate::scan::{Progress, ScanConfig, Source, build};
use crate::storage::Storage;
use crate::store::references::policy::{Policy, shown};
use crate::store::{LoadError, Loaded, RefConfig, RefReader, load_refs};
use crate::table::row::{Row, Status, Table};

/// A source, opened.
pub(super) enum Opened {
    /// A reference set, and what it may refer to.
    Set(Box<RefSet>, Policy),
    /// A table made of a list of messages, and what is wrong with the list.
    Table(Box<Table>, Vec<Defect>),
    /// Something else: a table, or nothing.
    Other,
}

/// Opens a source.
pub(super) fn open(
    text: &str,
    location: &Location,
    storage: &Storage,
    runtime: &tokio::runtime::Runtime,
    allowed: &[PathBuf],
) -> Result<Opened, Failure> {
    match load_refs(text, location, storage, runtime.handle()).map_err(load_failure)? {
        Loaded::Other => Ok(Opened::Other),
        Loaded::Set(set, own) => {
            warn(&set.defects);
            Ok(Opened::Set(set, policy(own, allowed)?))
        }
        Loaded::Messages(messages, mut defects, own) => {
            let policy = policy(own, allowed)?;
            warn(&defects);
            let (table, missing) = runtime.block_on(table_of(&messages, &policy, storage))?;
            warn(&missing);
            defects.extend(missing);
            Ok(Opened::Table(Box::new(table), defects))
        }
    }
}

/// Tells what is wrong with a source, as far as anybody would read.
fn warn(defects: &[Defect]) {
    for defect in defects.iter().take(20) {
        tracing::warn!(kind = defect.kind, "{defect}");
    }
}

/// A reader of a set's chunks.
pub(super) fn reader(
    set: RefSet,
    policy: Policy,
    storage: Storage,
    runtime: &tokio::runtime::Runtime,
    config: &RefConfig,
) -> Arc<RefReader> {
    let handle = runtime.handle().clone();
    Arc::new(RefReader::new(set, storage, handle, policy, config))
}

pub(super) fn policy(own: Option<PathBuf>, allowed: &[PathBuf]) -> Result<Policy, Failure> {
    // A file in the working directory has no parent to show.
    let own = own.map(|own| {
        if own.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            own
        }
    });
    Policy::new(own.as_deref(), allowed)
        .map_err(|error| Failure::usage(format!("--allow-root: {error}")))
}

pub(super) fn load_failure(error: LoadError) -> Failure {
    match error {
        LoadError::Storage(error) => Failure::failed(error),
        LoadError::Refs { .. } | LoadError::Io { .. } | LoadError::Pattern(_) => {
            Failure::usage(error)
        }
    }
}

/// The table of a list of messages: the objects are indexed as `gribfs index` does, and what the list does not name is left out.
/// What the list names and the objects do not have is told.
pub(super) async fn table_of(
    messages: &[MessageRef],
    policy: &Policy,
    storage: &Storage,
) -> Result<(Table, Vec<Defect>), Failure> {
    let mut wanted: HashMap<Location, BTreeSet<u64>> = HashMap::new();
    let mut defects = Vec::new();
    // Sorted by URL, so that each is resolved once.
    for same in messages.chunk_by(|a, b| a.url == b.url) {
        let Some(first) = same.first() else { continue };
        match policy.resolve(&first.url) {
            Ok(location) => wanted
                .entry(location)
                .or_default()
                .extend(same.iter().map(|message| message.offset)),
            Err(refusal) => defects.push(Defect {
                kind: "refused",
                at: shown(&first.url),
                what: format!("not followed: {refusal}"),
            }),
        }
    }
    let mut locations: Vec<Location> = wanted.keys().cloned().collect();
    locations.sort();
    let sources: Vec<Source> = locations.into_iter().map(Source::named).collect();
    let (mut table, account) = build(
        sources,
        storage,
        &ScanConfig::default(),
        &Progress::default(),
    )
    .await
    .map_err(Failure::failed)?;
    for problem in account.problems.iter().take(20) {
        tracing::warn!(location = %problem.location, "{}", problem.reason);
    }
    let mut found: HashSet<(u32, u64)> = HashSet::new();
    let objects: Vec<Option<&BTreeSet<u64>>> = table
        .objects
        .iter()
        .map(|object| wanted.get(&object.location))
        .collect();
    table.rows.retain(|row| {
        let named = objects
            .get(row.object as usize)
            .copied()
            .flatten()
            .is_some_and(|offsets| offsets.contains(&row.offset));
        if named {
            found.insert((row.object, row.offset));
        }
        named
    });
    // A twin stands for its equal where the list names only the twin.
    let cell = |row: &Row| (row.kind, row.reference, row.window, row.member);
    let mut placed: HashSet<_> = table
        .rows
        .iter()
        .filter(|row| row.status == Status::Placed)
        .map(cell)
        .collect();
    for row in &mut table.rows {
        if row.status == Status::Twin && placed.insert(cell(row)) {
            row.status = Status::Placed;
        }
    }
    let mut placed: HashMap<&Location, BTreeSet<u64>> = HashMap::new();
    for (object, offset) in found {
        if let Some(object) = table.objects.get(object as usize) {
            placed.entry(&object.location).or_default().insert(offset);
        }
    }
    for (location, offsets) in &wanted {
        let placed = placed.remove(location).unwrap_or_default();
        let mut missing = offsets.difference(&placed);
        if let Some(first) = missing.next() {
            let count = missing.count() + 1;
            defects.push(Defect {
                kind: "stale",
                at: location.to_string(),
                what: format!(
                    "{count} of {} messages are not where the list says, the first at {first}",
                    offsets.len()
                ),
            });
        }
    }
    defects.sort_by(|one, other| one.at.cmp(&other.at));
    table.complete_runs.clear();
    if table.rows.is_empty() {
        return Err(Failure::failed("no message of the list is where it says"));
    }
    Ok((table, defects))
}

//! What a missing file should hold: rows for its messages, so that their cells raise instead of reading as gaps.
//!
//! The file's run, step and member stand in its name; what it holds is what its siblings hold: the file of the same product and step
//! in another run, or the one of the nearest step of the same run. Where no sibling tells, one row stands for all of the file, so
//! that its run is not taken for complete.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::builder::Builder;
use crate::index::{UrlFacts, product_key, url_facts};
use crate::location::Location;
use crate::table::row::{Kind, Object, Row, Status};
use crate::time::Window;

/// A file that should be there.
#[derive(Debug)]
pub(super) struct MissingFile {
    pub(super) object: Object,
    pub(super) reason: Arc<str>,
    /// The member that its messages are, where they do not say so themselves.
    pub(super) member: Option<i16>,
}

/// Files of one product: what their names say, and the positions of their rows.
type Siblings = HashMap<String, Vec<(UrlFacts, Vec<usize>)>>;

/// Adds the rows of missing files; gives those that not even one row can stand for, as their names do not tell the run.
pub(super) fn add_pending(builder: &mut Builder, missing: Vec<MissingFile>) -> Vec<MissingFile> {
    if missing.is_empty() {
        return missing;
    }
    let siblings = siblings(builder, &missing);
    let mut nameless = Vec::new();
    let mut pending = Vec::new();
    for file in missing {
        let rows = expected_rows(&file.object.location, &siblings, &builder.table().rows);
        let facts = url_facts(file.object.location.as_str());
        let rows = match (rows.is_empty(), facts.run) {
            (false, _) => rows,
            (true, None) => {
                nameless.push(file);
                continue;
            }
            (true, Some(run)) => vec![Row {
                kind: builder.kind(Kind {
                    identity: None,
                    bucket_seconds: None,
                    grid: None,
                    words: String::new(),
                }),
                reference: run,
                window: Window::instant(facts.step.unwrap_or(0)),
                member: file.member.or(facts.member),
                object: 0,
                offset: 0,
                length: None,
                field: 0,
                status: Status::Pending,
                reason: None,
            }],
        };
        let object = builder.object(file.object);
        pending.extend(rows.into_iter().map(|row| Row {
            object,
            reason: Some(Arc::clone(&file.reason)),
            ..row
        }));
    }
    builder.rows(pending);
    nameless
}

/// The files that the missing ones may be modelled on.
fn siblings(builder: &Builder, missing: &[MissingFile]) -> Siblings {
    let wanted: HashSet<String> = missing
        .iter()
        .map(|file| product_key(file.object.location.as_str()))
        .collect();
    let table = builder.table();
    let products: Vec<Option<String>> = table
        .objects
        .iter()
        .map(|object| {
            Some(product_key(object.location.as_str())).filter(|key| wanted.contains(key))
        })
        .collect();
    let mut rows_of_object: HashMap<u32, Vec<usize>> = HashMap::new();
    for (position, row) in table.rows.iter().enumerate() {
        let is_model = !matches!(row.status, Status::Pending | Status::Twin);
        if is_model && matches!(products.get(row.object as usize), Some(Some(_))) {
            rows_of_object.entry(row.object).or_default().push(position);
        }
    }
    let mut siblings = Siblings::new();
    for (object, rows) in rows_of_object {
        if let (Some(object), Some(Some(product))) = (
            table.objects.get(object as usize),
            products.get(object as usize),
        ) {
            let facts = url_facts(object.location.as_str());
            siblings
                .entry(product.clone())
                .or_default()
                .push((facts, rows));
        }
    }
    for files in siblings.values_mut() {
        files.sort_by_key(|(facts, _)| (facts.run, facts.step, facts.member));
    }
    siblings
}

fn expected_rows(location: &Location, siblings: &Siblings, rows: &[Row]) -> Vec<Row> {
    let facts = url_facts(location.as_str());
    let (Some(run), Some(step)) = (facts.run, facts.step) else {
        return Vec::new();
    };
    let Some(files) = siblings.get(&product_key(location.as_str())) else {
        return Vec::new();
    };
    let distance = |other: &UrlFacts| {
        let other_step = other.step.unwrap_or(i64::MAX);
        // A file of the same step tells most; at step 0 there are no accumulations, so it is no model for the others.
        (
            (other_step == 0) != (step == 0),
            other_step.abs_diff(step),
            other.run != Some(run),
        )
    };
    let Some((model, positions)) = files.iter().min_by_key(|(other, _)| distance(other)) else {
        return Vec::new();
    };
    if (model.step == Some(0)) != (step == 0) {
        return Vec::new();
    }
    positions
        .iter()
        .filter_map(|position| rows.get(*position))
        .filter(|row| model.step.is_none_or(|own| row.window.end == own))
        .map(|row| {
            let start = if row.window.length() == 0 {
                step
            } else {
                row.window.start.min(step)
            };
            Row {
                reference: run,
                window: Window { start, end: step },
                member: row.member.map(|member| facts.member.unwrap_or(member)),
                offset: 0,
                length: None,
                status: Status::Pending,
                ..row.clone()
            }
        })
        .collect()
}

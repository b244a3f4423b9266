//! What a missing file should hold: rows for its messages, so that their cells raise instead of reading as gaps.
//!
//! The file's run, step and member stand in its name; what it holds is what its siblings hold: the file of the same product and step
//! in another run, or the one of the nearest step of the same run.

use std::collections::HashMap;
use std::sync::Arc;

use super::builder::Builder;
use crate::index::{UrlFacts, product_key, url_facts};
use crate::location::Location;
use crate::table::row::{Object, Row, Status};
use crate::time::Window;

/// A file that should be there.
#[derive(Debug)]
pub(super) struct MissingFile {
    pub(super) object: Object,
    pub(super) reason: Arc<str>,
}

/// Adds the rows of missing files; gives those whose content nothing tells.
pub(super) fn add_pending(builder: &mut Builder, missing: Vec<MissingFile>) -> Vec<MissingFile> {
    if missing.is_empty() {
        return missing;
    }
    let mut siblings: HashMap<String, Vec<(UrlFacts, Vec<Row>)>> = HashMap::new();
    let mut rows_of_object: HashMap<u32, Vec<Row>> = HashMap::new();
    for row in &builder.table().rows {
        rows_of_object
            .entry(row.object)
            .or_default()
            .push(row.clone());
    }
    for (object, rows) in rows_of_object {
        if let Some(known) = builder.table().objects.get(object as usize) {
            let url = known.location.as_str();
            siblings
                .entry(product_key(url))
                .or_default()
                .push((url_facts(url), rows));
        }
    }
    for files in siblings.values_mut() {
        files.sort_by_key(|(facts, _)| (facts.run, facts.step, facts.member));
    }
    let mut unknown = Vec::new();
    for file in missing {
        let rows = expected_rows(&file.object.location, &siblings);
        if rows.is_empty() {
            unknown.push(file);
            continue;
        }
        let object = builder.object(file.object);
        let reason = &file.reason;
        builder.rows(rows.into_iter().map(|row| Row {
            object,
            reason: Some(Arc::clone(reason)),
            ..row
        }));
    }
    unknown
}

fn expected_rows(
    location: &Location,
    siblings: &HashMap<String, Vec<(UrlFacts, Vec<Row>)>>,
) -> Vec<Row> {
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
    let Some((model, rows)) = files.iter().min_by_key(|(other, _)| distance(other)) else {
        return Vec::new();
    };
    if (model.step == Some(0)) != (step == 0) {
        return Vec::new();
    }
    let of_its_step = rows
        .iter()
        .filter(|row| model.step.is_none_or(|own| row.window.end == own));
    of_its_step
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

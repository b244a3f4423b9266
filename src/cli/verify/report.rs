//! What `verify` found, for people and for programs.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::output::{count_text, grouped};
use crate::refs::Defect;
use crate::store::references::policy::shown;

/// Findings that are listed word by word; all are counted.
const LISTED: usize = 100;
/// Most places that are listed.
const PLACES: usize = 1000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) looked_at: u64,
    pub(super) sound: u64,
    /// Count by word: dead, stale, wrong, unreadable, refused, broken.
    pub(super) counts: BTreeMap<String, u64>,
    /// Count by array and word.
    pub(super) arrays: BTreeMap<String, BTreeMap<String, u64>>,
    pub(super) findings: Vec<(String, String, String)>,
    pub(super) defects: Vec<Defect>,
    pub(super) defect_counts: BTreeMap<&'static str, u64>,
    /// Where references lead that are not followed, and how many lead there.
    pub(super) not_followed: BTreeMap<String, u64>,
}

impl Report {
    pub(super) fn add(&mut self, array: &str, at: &str, outcome: Result<(), (String, String)>) {
        self.looked_at += 1;
        let counts = self.arrays.entry(array.to_owned()).or_default();
        match outcome {
            Ok(()) => {
                self.sound += 1;
                *counts.entry("sound".to_owned()).or_default() += 1;
            }
            Err((word, what)) => {
                *counts.entry(word.clone()).or_default() += 1;
                *self.counts.entry(word.clone()).or_default() += 1;
                if self.findings.len() < LISTED {
                    self.findings.push((word, at.to_owned(), what));
                }
            }
        }
    }

    /// So many chunks of an array that must exist and have no reference, the first of them at `at`.
    pub(super) fn missing(&mut self, array: &str, at: &str, count: u64) {
        let more = match count {
            1 => String::new(),
            _ => format!(", and {} behind it", count_text(count - 1, "chunk")),
        };
        let what = format!("no reference for a chunk that must exist{more}");
        self.add(array, at, Err(("broken".to_owned(), what)));
        let others = count - 1;
        self.looked_at = self.looked_at.saturating_add(others);
        let counts = self.arrays.entry(array.to_owned()).or_default();
        for counts in [counts, &mut self.counts] {
            let count = counts.entry("broken".to_owned()).or_default();
            *count = count.saturating_add(others);
        }
    }

    /// A reference that leads where it may not.
    pub(super) fn leads_to(&mut self, url: &str) {
        let place = place_of(url);
        if let Some(count) = self.not_followed.get_mut(&place) {
            *count += 1;
        } else if self.not_followed.len() < PLACES {
            self.not_followed.insert(place, 1);
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.counts.is_empty() && self.defect_counts.is_empty()
    }
}

/// Where a URL leads, without its last part: a reference set names many files of one directory.
fn place_of(url: &str) -> String {
    let url = shown(url);
    match url.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/"),
        None => url,
    }
}

pub(super) fn as_json(source: &str, report: &Report) -> String {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|(word, at, what)| json!({"kind": word, "at": at, "what": what}))
        .collect();
    let document = json!({
        "source": source,
        "ok": report.is_clean(),
        "looked_at": report.looked_at,
        "sound": report.sound,
        "counts": report.counts,
        "arrays": report.arrays,
        "findings": findings,
        "not_followed": report.not_followed,
        "defect_counts": report.defect_counts,
        "defects": report.defects,
    });
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

pub(super) fn print(source: &str, report: &Report) {
    say!(
        "{source}: {} looked at, {} sound",
        count_text(report.looked_at, "reference"),
        grouped(report.sound)
    );
    for (word, count) in &report.counts {
        say!("  {word:<12} {}", grouped(*count));
    }
    for (word, at, what) in report.findings.iter().take(20) {
        say!("  {word}: {at}: {what}");
    }
    let listed = u64::try_from(report.findings.len().min(20)).unwrap_or_default();
    let all: u64 = report.counts.values().sum();
    if all > listed {
        say!(
            "  and {} more; --json lists more of them",
            grouped(all - listed)
        );
    }
    if !report.not_followed.is_empty() {
        say!("not followed (see --allow-root):");
        for (place, count) in report.not_followed.iter().take(20) {
            say!("  {place} ({})", count_text(*count, "reference"));
        }
    }
    if !report.defect_counts.is_empty() {
        say!("of the set itself:");
        for defect in report.defects.iter().take(20) {
            say!("  {}: {defect}", defect.kind);
        }
    }
}

//! The files that change: `latest` and `.gribfs/status.json`.

use serde_json::json;

use super::collections::Collections;
use crate::store::FieldReader;
use crate::time::Instant;

/// `latest`: the name of a run, a line of text; empty if there is no run.
pub(super) fn latest(newest: Option<Instant>) -> String {
    newest
        .map(|run| format!("{}\n", run.path_name()))
        .unwrap_or_default()
}

/// What is told of the tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// Whether they are followed.
    pub(super) followed: bool,
    /// Tables that cannot be shown, with the reason.
    pub(super) bad: Vec<(String, String)>,
    /// Why the source itself cannot be read, if it cannot.
    pub(super) failure: Option<String>,
}

/// `.gribfs/status.json`: what is mounted, counters, and the last failures with their causes.
pub(super) fn status(
    source: &str,
    collections: &Collections,
    tables: &Tables,
    reader: &FieldReader,
) -> String {
    let statistics = reader.statistics();
    let counters = reader.storage().counters();
    let failures: Vec<_> = statistics
        .recent_failures
        .iter()
        .map(|failure| {
            json!({
                "at": Instant(failure.at_seconds).to_string(),
                "kind": format!("{:?}", failure.kind),
                "count": failure.count,
                "message": failure.message,
            })
        })
        .collect();
    let mounted = collections.get(0);
    let arrays: usize = mounted.map_or(0, |collection| {
        let groups = collection.groups.iter();
        groups.map(|group| group.arrays.len()).sum()
    });
    let runs = collections.runs();
    let bad: Vec<_> = tables
        .bad
        .iter()
        .map(|(table, reason)| json!({ "table": table, "reason": reason }))
        .collect();
    let document = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "source": source,
        "following": tables.followed,
        "source_failure": tables.failure,
        "bad_tables": bad,
        "runs": runs.iter().map(|run| run.path_name()).collect::<Vec<_>>(),
        "rows": collections.rows(),
        "arrays": arrays,
        "fields_read": statistics.fields,
        "cache": { "hits": statistics.hits, "bytes": statistics.cached_bytes },
        "in_flight": statistics.in_flight,
        "memory": { "bytes": statistics.memory_bytes, "peak_bytes": statistics.memory_peak_bytes },
        "look_ahead": {
            "fields": statistics.ahead,
            "unread_bytes": statistics.ahead_standing_bytes,
            "wasted_bytes": statistics.ahead_lost_bytes,
        },
        "storage": {
            "requests": counters.requests,
            "bytes": counters.bytes,
            "retries": counters.retries,
            "failures": counters.failures,
        },
        "failures": statistics.failures,
        "last_failures": failures,
    });
    serde_json::to_string_pretty(&document)
        .map(|text| text + "\n")
        .unwrap_or_default()
}

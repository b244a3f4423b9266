//! The files that change: `latest` and `.gribfs/status.json`.

use serde_json::json;

use crate::dataset::Collection;
use crate::store::FieldReader;

/// `latest`: the name of the newest run, a line of text; empty if there is none.
pub(super) fn latest(collection: &Collection) -> String {
    collection
        .runs
        .last()
        .map(|run| format!("{}\n", run.path_name()))
        .unwrap_or_default()
}

/// `.gribfs/status.json`: what is mounted, counters, and the last failures with their causes.
pub(super) fn status(source: &str, collection: &Collection, reader: &FieldReader) -> String {
    let statistics = reader.statistics();
    let counters = reader.storage().counters();
    let failures: Vec<_> = statistics
        .recent_failures
        .iter()
        .map(|failure| {
            json!({
                "at": crate::time::Instant(failure.at_seconds).to_string(),
                "kind": format!("{:?}", failure.kind),
                "count": failure.count,
                "message": failure.message,
            })
        })
        .collect();
    let arrays: usize = collection
        .groups
        .iter()
        .map(|group| group.arrays.len())
        .sum();
    let document = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "source": source,
        "runs": collection.runs.iter().map(|run| run.path_name()).collect::<Vec<_>>(),
        "rows": collection.table.rows.len(),
        "arrays": arrays,
        "fields_read": statistics.fields,
        "cache": { "hits": statistics.hits, "bytes": statistics.cached_bytes },
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

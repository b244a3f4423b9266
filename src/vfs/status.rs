//! The files that change: `latest` and `.gribfs/status.json`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::dataset::Collection;
use crate::store::{DiskStatistics, FieldReader, HealStatistics};

/// `latest`: the name of the newest complete run, a line of text; of the newest run where the table calls none complete; empty if
/// there is no run.
pub(super) fn latest(collection: &Collection) -> String {
    let complete = &collection.table.complete_runs;
    let newest = collection.runs.iter().rfind(|run| complete.contains(run));
    newest
        .or(collection.runs.last())
        .map(|run| format!("{}\n", run.path_name()))
        .unwrap_or_default()
}

/// `.gribfs/status.json`: what is mounted, counters, and the last failures with their causes.
pub(super) fn status(
    source: &str,
    collection: &Collection,
    reader: &FieldReader,
    uptime: Duration,
) -> String {
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
        "uptime_seconds": uptime.as_secs(),
        "runs": collection.runs.iter().map(|run| run.path_name()).collect::<Vec<_>>(),
        "rows": collection.table.rows.len(),
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
        "disk_cache": statistics.disk.as_ref().map(disk),
        "stale_indexes": healing(&statistics.healing),
        "storage": {
            "requests": counters.requests,
            "bytes": counters.bytes,
            "retries": counters.retries,
            "throttled": counters.throttled,
            "failures": counters.failures,
            "hedges": counters.hedges,
            "answered_by_mirrors": counters.mirrored,
            "joined_ranges": counters.joined,
            "gap_bytes": counters.gap_bytes,
            "origins": origins(reader),
        },
        "failures": statistics.failures,
        "last_failures": failures,
    });
    serde_json::to_string_pretty(&document)
        .map(|text| text + "\n")
        .unwrap_or_default()
}

/// How each origin is doing: limits, speed, cost.
fn origins(reader: &FieldReader) -> Value {
    let ms = |time: Option<Duration>| time.map(|time| (time.as_secs_f64() * 1e4).round() / 10.0);
    reader
        .storage()
        .origins()
        .into_iter()
        .map(|at| {
            json!({
                "origin": at.origin,
                "requests": at.counters.requests,
                "bytes": at.counters.bytes,
                "retries": at.counters.retries,
                "throttled": at.counters.throttled,
                "in_flight": at.in_flight,
                "limit": at.limit,
                "answer_ms": { "p50": ms(at.p50), "p95": ms(at.p95) },
                "down": at.is_down,
            })
        })
        .collect()
}

/// The disk cache's counters: this mount's, but for `bytes`, which are those of all mounts that share it.
fn disk(disk: &DiskStatistics) -> Value {
    json!({
        "hits": disk.hits,
        "hit_bytes": disk.hit_bytes,
        "offline_hits": disk.offline_hits,
        "misses": disk.misses,
        "written": disk.written,
        "written_bytes": disk.written_bytes,
        "skipped": disk.skipped,
        "evicted": disk.evicted,
        "evicted_bytes": disk.evicted_bytes,
        "corrupt": disk.corrupt,
        "errors": disk.errors,
        "bytes": disk.bytes,
        "limit_bytes": disk.limit_bytes,
    })
}

/// Objects whose messages are not where the index says.
fn healing(healing: &HealStatistics) -> Value {
    let last = healing.recent.iter().map(|healed| {
        json!({
            "object": healed.object,
            "searched": crate::time::Instant(healed.at_seconds).to_string(),
            "requests": healed.requests,
            "moved": healed.moved,
            "absent": healed.absent,
            "ambiguous": healed.ambiguous,
            "from_side_file": healed.from_side_file,
        })
    });
    json!({
        "healed_objects": healing.objects,
        "searches": healing.rescans,
        "fields_read": healing.fields,
        "last": last.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::latest;
    use crate::dataset::{Collection, Selection};
    use crate::time::Instant;

    #[test]
    fn latest_is_the_newest_complete_run() {
        let day = 86_400;
        let named = |complete: &[i64]| {
            let mut collection = Collection {
                table: Arc::default(),
                runs: vec![Instant(0), Instant(day), Instant(2 * day)],
                groups: Vec::new(),
                as_of: None,
                selection: Selection::default(),
            };
            let table = Arc::make_mut(&mut collection.table);
            table.complete_runs = complete.iter().copied().map(Instant).collect();
            latest(&collection)
        };
        assert_eq!(named(&[0, day]), "1970-01-02T00\n");
        assert_eq!(named(&[0, day, 2 * day]), "1970-01-03T00\n");
        assert_eq!(named(&[]), "1970-01-03T00\n", "no run is called complete");
    }
}

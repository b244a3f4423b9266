//! The files that change: `latest` and `.gribfs/status.json`.

use std::time::Duration;

use serde_json::{Value, json};

use super::collections::Collections;
use super::usage::Usage;
use crate::store::{DiskStatistics, Failure, FieldReader, HealStatistics, Observed};
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
    usage: &Usage,
    uptime: Duration,
) -> String {
    let statistics = reader.statistics();
    let counters = reader.storage().counters();
    let failures = failures(&statistics.recent_failures);
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
        "pid": std::process::id(),
        "source": source,
        "following": tables.followed,
        "source_failure": tables.failure,
        "bad_tables": bad,
        "runs": runs.iter().map(|run| run.path_name()).collect::<Vec<_>>(),
        "rows": collections.rows(),
        "uptime_seconds": uptime.as_secs(),
        "arrays": arrays,
        "fields_read": statistics.fields,
        "cache": { "hits": statistics.hits, "bytes": statistics.cached_bytes },
        "in_flight": statistics.in_flight,
        "readers": usage.most(),
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

/// The last failures of reads.
pub(super) fn failures(recent: &[Failure]) -> Value {
    let failures = recent.iter().map(|failure| {
        json!({
            "at": Instant(failure.at_seconds).to_string(),
            "kind": format!("{:?}", failure.kind),
            "count": failure.count,
            "message": failure.message,
        })
    });
    failures.collect()
}

/// How each origin is doing: limits, speed, cost.
pub(super) fn origins(reader: &dyn Observed) -> Value {
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
pub(super) fn disk(disk: &DiskStatistics) -> Value {
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
            "searched": Instant(healed.at_seconds).to_string(),
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

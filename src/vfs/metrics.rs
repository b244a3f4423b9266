//! Counters in the text format of Prometheus: what `.gribfs/metrics` and `--metrics-addr` show.
//!
//! `gribfs_storage_requests_total{origin="s3://b"} 17`. Times in seconds, sizes in bytes; names stay as they are once released.

use std::fmt::Display;
use std::time::Duration;

use crate::store::Observed;

/// A document that grows by families of samples.
#[derive(Default)]
struct Page(String);

/// What a sample may do over time.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

impl Page {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.0
            .push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            self.0.push(if number == 0 { '{' } else { ',' });
            self.0.push_str(&format!("{label}=\"{}\"", escaped(text)));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.0.push_str(&format!(" {value}\n"));
    }

    fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The document.
pub(super) fn metrics(reader: &dyn Observed, uptime: Duration) -> String {
    use Kind::{Counter, Gauge};
    let mut page = Page::default();
    page.family("gribfs_info", Gauge, "Version of the program.");
    page.sample(
        "gribfs_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1_u8,
    );
    let s = reader.statistics();
    page.one(
        "gribfs_uptime_seconds",
        Gauge,
        "Time since the mount was made.",
        uptime.as_secs(),
    );
    for (name, kind, help, value) in [
        (
            "gribfs_read_hits_total",
            Counter,
            "Reads answered from memory.",
            s.hits,
        ),
        (
            "gribfs_fields_total",
            Counter,
            "Fields fetched and decoded.",
            s.fields,
        ),
        (
            "gribfs_fields_ahead_total",
            Counter,
            "Fields fetched before they were asked for.",
            s.ahead,
        ),
        (
            "gribfs_ahead_wasted_bytes_total",
            Counter,
            "Bytes fetched ahead and never asked for.",
            s.ahead_lost_bytes,
        ),
        (
            "gribfs_read_failures_total",
            Counter,
            "Reads that failed.",
            s.failures,
        ),
        (
            "gribfs_fields_in_flight",
            Gauge,
            "Fields being fetched or decoded.",
            s.in_flight,
        ),
        (
            "gribfs_cached_bytes",
            Gauge,
            "Bytes of decoded fields kept.",
            s.cached_bytes,
        ),
        (
            "gribfs_memory_bytes",
            Gauge,
            "Bytes of the memory budget in use.",
            s.memory_bytes,
        ),
        (
            "gribfs_memory_peak_bytes",
            Gauge,
            "Most bytes of the memory budget ever in use.",
            s.memory_peak_bytes,
        ),
    ] {
        page.one(name, kind, help, value);
    }
    let total = reader.storage().counters();
    for (name, help, value) in [
        (
            "gribfs_storage_failures_total",
            "Operations of storage that failed in the end.",
            total.failures,
        ),
        (
            "gribfs_storage_hedges_total",
            "Requests of a second origin because the first was slow.",
            total.hedges,
        ),
        (
            "gribfs_storage_mirrored_total",
            "Reads that a mirror answered.",
            total.mirrored,
        ),
        (
            "gribfs_storage_joined_total",
            "Ranges that came along in the request of a neighbour.",
            total.joined,
        ),
        (
            "gribfs_storage_gap_bytes_total",
            "Bytes between such neighbours.",
            total.gap_bytes,
        ),
    ] {
        page.one(name, Counter, help, value);
    }
    by_origin(&mut page, reader);
    process(&mut page);
    page.0
}

/// Families with a sample for each origin, in the order of the values below.
const OF_ORIGINS: [(&str, Kind, &str); 9] = [
    (
        "gribfs_storage_requests_total",
        Kind::Counter,
        "Requests sent, repetitions included.",
    ),
    (
        "gribfs_storage_bytes_total",
        Kind::Counter,
        "Bytes of bodies received.",
    ),
    (
        "gribfs_storage_retries_total",
        Kind::Counter,
        "Requests that were repetitions.",
    ),
    (
        "gribfs_storage_throttled_total",
        Kind::Counter,
        "Answers 429 and 503.",
    ),
    (
        "gribfs_storage_in_flight",
        Kind::Gauge,
        "Requests in flight.",
    ),
    (
        "gribfs_storage_limit",
        Kind::Gauge,
        "Requests allowed at once now.",
    ),
    (
        "gribfs_storage_down",
        Kind::Gauge,
        "1 while mirrors are asked first because the origin fails.",
    ),
    (
        "gribfs_storage_answer_p50_seconds",
        Kind::Gauge,
        "Median time to the head of an answer, of the last 128.",
    ),
    (
        "gribfs_storage_answer_p95_seconds",
        Kind::Gauge,
        "Time within which 95 of 100 answers began.",
    ),
];

fn by_origin(page: &mut Page, reader: &dyn Observed) {
    let seconds = |time: Duration| time.as_secs_f64().to_string();
    let rows: Vec<_> = reader
        .storage()
        .origins()
        .into_iter()
        .map(|at| {
            let values = [
                Some(at.counters.requests.to_string()),
                Some(at.counters.bytes.to_string()),
                Some(at.counters.retries.to_string()),
                Some(at.counters.throttled.to_string()),
                Some(at.in_flight.to_string()),
                Some(at.limit.to_string()),
                Some(u8::from(at.is_down).to_string()),
                at.p50.map(seconds),
                at.p95.map(seconds),
            ];
            (at.origin, values)
        })
        .collect();
    for (column, (name, kind, help)) in OF_ORIGINS.into_iter().enumerate() {
        page.family(name, kind, help);
        for (origin, values) in &rows {
            if let Some(Some(value)) = values.get(column) {
                page.sample(name, &[("origin", origin)], value);
            }
        }
    }
}

fn process(page: &mut Page) {
    if let Some(bytes) = resident_bytes() {
        page.one(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Resident memory of the process.",
            bytes,
        );
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        page.one(
            "process_open_fds",
            Kind::Gauge,
            "Open file descriptors.",
            open.count(),
        );
    }
}

/// `VmRSS` of `/proc/self/status`.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_labels_that_can_be_read_back() {
        let mut page = Page::default();
        page.one("a", Kind::Gauge, "An a.", 1_u8);
        page.sample("b", &[("x", "q\"\\"), ("y", "z")], 2.5);
        assert_eq!(
            page.0,
            "# HELP a An a.\n# TYPE a gauge\na 1\nb{x=\"q\\\"\\\\\",y=\"z\"} 2.5\n"
        );
    }
}

//! `gribfs verify`: are references what they say? Each is fetched, proven and decoded as a reader would have it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures::StreamExt as _;
use serde_json::json;

use super::output::{count_text, grouped};
use super::refs::{Opened, open, reader};
use super::{Failure, StorageArgs, load_failure, runtime};
use crate::config;
use crate::dataset::archive::rows_of;
use crate::refs::Defect;
use crate::scan::load;
use crate::storage::Storage;
use crate::store::{FieldReader, OnStale, Read, ReaderConfig, RefConfig, RefKey, RefReader};
use crate::table::row::{Status, Table};

/// Chunks that are looked at at once.
const AT_ONCE: usize = 64;
/// Findings that are listed word by word; all are counted.
const LISTED: usize = 100;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs verify refs.json
  gribfs verify refs.parq --sample 1000 --json")]
pub(super) struct VerifyArgs {
    /// Reference set or table: a file, a directory, a pattern, or a URL
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Look at about N references, evenly spread, instead of all
    #[arg(long, value_name = "N")]
    sample: Option<u64>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
    /// Directory below which a reference set may name files, besides its own (repeatable)
    #[arg(long, value_name = "DIR")]
    allow_root: Vec<PathBuf>,
    #[command(flatten)]
    storage: StorageArgs,
}

/// What was found.
#[derive(Debug, Default)]
struct Report {
    /// References that exist, as far as that was counted.
    references: u64,
    looked_at: u64,
    sound: u64,
    /// Count by word: dead, stale, wrong, unreadable, refused, broken.
    counts: BTreeMap<String, u64>,
    /// Count by array and word.
    arrays: BTreeMap<String, BTreeMap<String, u64>>,
    findings: Vec<(String, String, String)>,
    defects: Vec<Defect>,
    defect_counts: BTreeMap<&'static str, u64>,
}

impl Report {
    fn add(&mut self, array: &str, at: &str, outcome: Result<(), (String, String)>) {
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

    fn is_clean(&self) -> bool {
        self.counts.is_empty() && self.defect_counts.is_empty()
    }
}

pub(super) fn run(args: &VerifyArgs) -> Result<u8, Failure> {
    let runtime = runtime()?;
    let storage = args.storage.settings().storage().map_err(Failure::usage)?;
    let source = config::location(&args.source).map_err(Failure::usage)?;
    let report = match open(&args.source, &source, &storage, &runtime, &args.allow_root)? {
        Opened::Set(checked, policy) => {
            let config = RefConfig::default();
            let reader = reader(*checked, policy, storage, &runtime, &config);
            runtime.block_on(set(&reader, args.sample))
        }
        Opened::Table(checked, defects) => {
            let checked = Arc::new(*checked);
            let reader = reader_of(&checked, storage, &runtime);
            let mut report = runtime.block_on(table(&reader, &checked, args.sample));
            for defect in &defects {
                *report.defect_counts.entry(defect.kind).or_default() += 1;
            }
            report.defects = defects;
            report
        }
        Opened::Other => {
            let loaded: Table = runtime
                .block_on(load(&source, &storage))
                .map_err(|error| load_failure(&error))?;
            let loaded = Arc::new(loaded);
            let reader = reader_of(&loaded, storage, &runtime);
            runtime.block_on(table(&reader, &loaded, args.sample))
        }
    };
    if args.json {
        say!("{}", as_json(&args.source, &report));
    } else {
        print(&args.source, &report);
    }
    Ok(u8::from(!report.is_clean()))
}

/// Every `step`th of `total`, so that about `sample` are taken.
fn stride(total: u64, sample: Option<u64>) -> u64 {
    sample.map_or(1, |sample| total.div_ceil(sample.max(1)).max(1))
}

async fn set(reader: &Arc<RefReader>, sample: Option<u64>) -> Report {
    let set = Arc::clone(reader.set());
    let mut report = Report {
        defects: set.defects.clone(),
        defect_counts: set.defect_counts.clone(),
        ..Report::default()
    };
    let total: u64 = set
        .arrays()
        .map(|(_, _, info)| info.chunk_count())
        .fold(0, u64::saturating_add);
    let every = stride(total, sample);
    // Phase of the sample, carried from array to array.
    let mut skip = 0_u64;
    for (node, array, info) in set.arrays() {
        let mut numbers: Vec<u64> = Vec::new();
        let mut failed = None;
        if every > 1 || info.must_be_whole {
            let mut number = skip;
            while number < info.chunk_count() {
                numbers.push(number);
                number += every;
            }
            skip = number - info.chunk_count();
        } else {
            let told = set.present(node, 0, &mut |number| {
                numbers.push(number);
                true
            });
            failed = told.err();
        }
        if let Some(error) = failed {
            report.add(
                &array.path,
                &array.path,
                Err(("dead".to_owned(), error.to_string())),
            );
        }
        let mut outcomes = futures::stream::iter(numbers)
            .map(|number| {
                let (reader, set) = (Arc::clone(reader), Arc::clone(&set));
                let must = info.must_be_whole;
                async move {
                    let absent = matches!(set.chunk(node, number), Ok(None)) && !must;
                    let outcome = if absent {
                        None
                    } else {
                        Some(reader.fetch(RefKey::Chunk(node, number)).await)
                    };
                    (number, outcome)
                }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((number, outcome)) = outcomes.next().await {
            let at = format!("{}/{}", array.path, info.chunk_name(number));
            let Some(outcome) = outcome else { continue };
            report.references += 1;
            let due = info.chunk_bytes();
            report.add(
                &array.path,
                &at,
                match outcome {
                    Ok(bytes) if due.is_some_and(|due| due != bytes.len() as u64) => Err((
                        "broken".to_owned(),
                        format!(
                            "{} bytes where {} are due",
                            bytes.len(),
                            due.unwrap_or_default()
                        ),
                    )),
                    Ok(_) => Ok(()),
                    Err(error) => Err((error.word().to_owned(), error.to_string())),
                },
            );
        }
    }
    report
}

/// What is in an index is what is checked: a message that lies elsewhere is not searched for.
fn reader_of(
    table: &Arc<Table>,
    storage: Storage,
    runtime: &tokio::runtime::Runtime,
) -> FieldReader {
    let config = ReaderConfig {
        on_stale: OnStale::Fail,
        ..ReaderConfig::default()
    };
    let rows = rows_of(Arc::clone(table));
    FieldReader::new(rows, storage, runtime.handle().clone(), &config)
}

async fn table(reader: &FieldReader, table: &Table, sample: Option<u64>) -> Report {
    let mut report = Report {
        references: table.rows.len() as u64,
        ..Report::default()
    };
    let every = usize::try_from(stride(report.references, sample)).unwrap_or(usize::MAX);
    let rows = (0..)
        .zip(&table.rows)
        .step_by(every)
        .filter(|(_, row)| row.status != Status::Twin);
    let mut outcomes = futures::stream::iter(rows)
        .map(|(number, row)| async move {
            let outcome = match reader.read(number, 0) {
                Read::Now(outcome) => outcome,
                Read::Later(flight) => flight.await,
            };
            (row, outcome)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((row, outcome)) = outcomes.next().await {
        let location = table
            .objects
            .get(row.object as usize)
            .map(|object| object.location.to_string())
            .unwrap_or_default();
        let kind = table
            .kinds
            .get(row.kind as usize)
            .map(|kind| crate::scan::kind_columns(kind).varname)
            .unwrap_or_default();
        let at = format!("{location} at {}", row.offset);
        let outcome = outcome.map(|_| ()).map_err(|failure| {
            use crate::store::FailureKind;
            let word = match failure.kind {
                FailureKind::Unavailable | FailureKind::Forbidden | FailureKind::TimedOut => "dead",
                FailureKind::Changed => "stale",
                FailureKind::Invalid => "wrong",
                FailureKind::Pending => "broken",
                FailureKind::Spent => "dead",
                FailureKind::Internal => "internal",
            };
            (word.to_owned(), failure.message)
        });
        report.add(&kind, &at, outcome);
    }
    report
}

fn as_json(source: &str, report: &Report) -> String {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|(word, at, what)| json!({"kind": word, "at": at, "what": what}))
        .collect();
    let defects: Vec<_> = report
        .defects
        .iter()
        .map(|defect| json!({"kind": defect.kind, "at": defect.at, "what": defect.what}))
        .collect();
    let document = json!({
        "source": source,
        "ok": report.is_clean(),
        "looked_at": report.looked_at,
        "sound": report.sound,
        "counts": report.counts,
        "arrays": report.arrays,
        "findings": findings,
        "defect_counts": report.defect_counts,
        "defects": defects,
    });
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn print(source: &str, report: &Report) {
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
    if !report.defect_counts.is_empty() {
        say!("of the set itself:");
        for defect in report.defects.iter().take(20) {
            say!("  {}: {defect}", defect.kind);
        }
    }
}

//! `gribfs verify`: are references what they say? Each is fetched, proven and decoded as a reader would have it.

mod report;
mod set;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures::StreamExt as _;

use self::report::{Report, as_json, print};
use super::progress::{Bar, Steps};
use super::refs::{Opened, open, reader};
use super::{Failure, StorageArgs, load_failure, runtime};
use crate::config;
use crate::dataset::archive::rows_of;
use crate::scan::load;
use crate::storage::Storage;
use crate::store::{FieldReader, OnStale, Read, ReaderConfig, RefConfig};
use crate::table::row::{Status, Table};

/// Chunks that are looked at at once.
const AT_ONCE: usize = 64;

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

pub(super) fn run(args: &VerifyArgs) -> Result<u8, Failure> {
    let runtime = runtime()?;
    let storage = args.storage.settings().storage().map_err(Failure::usage)?;
    let source = config::location(&args.source).map_err(Failure::usage)?;
    let report = match open(&args.source, &source, &storage, &runtime, &args.allow_root)? {
        Opened::Set(checked, policy) => {
            let config = RefConfig::default();
            let reader = reader(*checked, policy, storage.clone(), &runtime, &config);
            runtime.block_on(set::set(&reader, args.sample, &storage))
        }
        Opened::Table(checked, defects) => {
            let checked = Arc::new(*checked);
            let reader = reader_of(&checked, storage.clone(), &runtime);
            let mut report = runtime.block_on(table(&reader, &checked, args.sample, &storage));
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
            let reader = reader_of(&loaded, storage.clone(), &runtime);
            runtime.block_on(table(&reader, &loaded, args.sample, &storage))
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

async fn table(
    reader: &FieldReader,
    table: &Table,
    sample: Option<u64>,
    storage: &Storage,
) -> Report {
    let mut report = Report::default();
    let total = table.rows.len() as u64;
    let every = usize::try_from(stride(total, sample)).unwrap_or(usize::MAX);
    let steps = Steps::of(total.div_ceil(every as u64));
    let _bar = Bar::show("reference", Arc::clone(&steps), storage);
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
        steps.step();
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

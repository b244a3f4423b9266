//! `gribfs index`: sources to a table, and the account of it.

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::output::{bytes_text, count_text};
use super::{Failure, StorageArgs, runtime};
use crate::config;
use crate::location::Location;
use crate::scan::{Account, Progress, ScanConfig, Source, SourceError, build, expand, save};
use crate::storage::Storage;

/// Most unplaced messages that are listed one by one without `--all`.
const LISTED: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs index 's3://noaa-gfs-bdp-pds/gfs.20261122/00/atmos/gfs.t00z.pgrb2.0p25.f{000..024}' -o gfs.parquet
  gribfs index /data/hrrr/*.grib2 -o hrrr/
  cat urls.txt | gribfs index - -o gfs/")]
pub(super) struct IndexArgs {
    /// GRIB files: URLs, paths, globs, {a..b} patterns, directories or prefixes (ending in /), - for a list on standard input
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Table to write: a file X.parquet, or a directory of one file per run
    #[arg(short, long, value_name = "TABLE")]
    output: String,
    /// Walk the section headers of the GRIB files even where index files lie beside them
    #[arg(long)]
    scan: bool,
    /// Exit with 0 although messages are missing or could not be placed
    #[arg(long)]
    allow_missing: bool,
    /// List every message that is not placed
    #[arg(long)]
    all: bool,
    /// Print the account as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    storage: StorageArgs,
}

pub(super) fn run(args: &IndexArgs) -> Result<u8, Failure> {
    let storage = args.storage.settings().storage().map_err(Failure::usage)?;
    let destination = config::location(&args.output).map_err(Failure::usage)?;
    let runtime = runtime()?;
    runtime.block_on(index(args, &storage, &destination))
}

async fn index(args: &IndexArgs, storage: &Storage, destination: &Location) -> Result<u8, Failure> {
    let sources = sources(args, storage).await?;
    let progress = Arc::new(Progress::default());
    let bar = progress_bar(sources.len() as u64, &progress);
    let scan = ScanConfig {
        always_scan: args.scan,
        ..ScanConfig::default()
    };
    let built = build(sources, storage, &scan, &progress).await;
    bar.finish_and_clear();
    let (table, account) = built.map_err(Failure::failed)?;
    let saved = save(table, destination, storage)
        .await
        .map_err(Failure::failed)?;
    if args.json {
        println!("{}", account_json(&account));
    } else {
        print_account(&account, args.all);
        match (saved.files, saved.unchanged) {
            (0, _) => println!("{destination}: unchanged"),
            (1, 0) => println!("{destination}: {}", bytes_text(saved.bytes)),
            (files, _) => println!(
                "{destination}: {} written, {}",
                count_text(files as u64, "table"),
                bytes_text(saved.bytes)
            ),
        }
    }
    Ok(u8::from(!account.is_complete() && !args.allow_missing))
}

async fn sources(args: &IndexArgs, storage: &Storage) -> Result<Vec<Source>, Failure> {
    let base = config::working_directory()
        .map_err(|error| Failure::failed(format!("no working directory: {error}")))?;
    let mut names = Vec::new();
    for source in &args.sources {
        if source == "-" {
            for line in std::io::stdin().lock().lines() {
                let line = line.map_err(|error| {
                    Failure::failed(format!("cannot read the list on standard input: {error}"))
                })?;
                if !line.trim().is_empty() && !line.starts_with('#') {
                    names.push(line.trim().to_owned());
                }
            }
        } else {
            names.push(source.clone());
        }
    }
    let mut sources = Vec::new();
    for name in names {
        sources.extend(
            expand(&name, &base, storage)
                .await
                .map_err(|error| match error {
                    SourceError::Storage(error) => Failure::failed(error),
                    other => Failure::usage(other),
                })?,
        );
    }
    Ok(sources)
}

/// A bar on terminals, nothing elsewhere.
fn progress_bar(files: u64, progress: &Arc<Progress>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(files);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {pos}/{len} files  {elapsed}  eta {eta}")
    {
        bar.set_style(style);
    }
    let (watched, shown) = (Arc::downgrade(progress), bar.clone());
    tokio::spawn(async move {
        while let Some(progress) = watched.upgrade() {
            if shown.is_finished() {
                break;
            }
            shown.set_position(progress.files());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    bar
}

fn print_account(account: &Account, all: bool) {
    println!(
        "{} of {} placed, from {} ({} by index, {} by their headers)",
        super::output::grouped(account.placed + account.twins),
        count_text(account.messages, "message"),
        count_text(account.files as u64, "file"),
        account.indexed_files,
        account.scanned_files,
    );
    if account.twins > 0 {
        println!(
            "  {} equal to another in all of its identity; the first of each is used",
            count_text(account.twins, "message")
        );
    }
    for remark in &account.remarks {
        println!("  note: {remark}");
    }
    let shown = if all {
        account.problems.len()
    } else {
        LISTED.min(account.problems.len())
    };
    for problem in account.problems.iter().take(shown) {
        let message = problem
            .message
            .as_deref()
            .map(|message| format!(", {message}"))
            .unwrap_or_default();
        println!(
            "  {}: {}{message}: {}",
            problem.status.as_str(),
            problem.location,
            problem.reason
        );
    }
    if shown < account.problems.len() {
        println!(
            "  and {} more (--all lists them)",
            account.problems.len() - shown
        );
    }
}

fn account_json(account: &Account) -> serde_json::Value {
    let problems: Vec<_> = account
        .problems
        .iter()
        .map(|problem| {
            serde_json::json!({
                "location": problem.location.to_string(),
                "message": problem.message,
                "status": problem.status.as_str(),
                "reason": problem.reason,
            })
        })
        .collect();
    serde_json::json!({
        "files": account.files,
        "indexed_files": account.indexed_files,
        "scanned_files": account.scanned_files,
        "messages": account.messages,
        "placed": account.placed,
        "twins": account.twins,
        "remarks": account.remarks,
        "problems": problems,
    })
}

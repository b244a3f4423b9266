//! `gribfs index`: sources to a table, and the account of it.

use std::collections::BTreeSet;
use std::io::BufRead as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::output::{bytes_text, count_text};
use super::progress::Bar;
use super::{Failure, StorageArgs, runtime};
use crate::config;
use crate::location::Location;
use crate::scan::{
    Account, FollowConfig, FollowEvent, Indexer, Plan, Progress, ScanConfig, Shorthand, Source,
    SourceError, compact, expand, follow, load_runs, newest_files, run_in_name, save,
};
use crate::storage::Storage;
use crate::table::row::Table;
use crate::time::Instant;

/// Most unplaced messages that are listed one by one without `--all`.
const LISTED: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs index 's3://noaa-gfs-bdp-pds/gfs.20261122/00/atmos/gfs.t00z.pgrb2.0p25.f{000..024}' -o gfs.parquet
  gribfs index /data/hrrr/*.grib2 -o hrrr/
  gribfs index gefs:2026-11-22T00/0..120 -o gefs/
  gribfs index hrrr:latest --follow -o hrrr/
  gribfs index --compact hrrr/
  cat urls.txt | gribfs index - -o gfs/

Shorthands: gfs, gfs-0p50, gfs-1p00, gfs-wave, gefs, gefs-0p50, gefs-mean, hrrr, hrrr-prs, hrrr-subh, nbm, rap, rtma, ecmwf-oper,
ecmwf-wave, ecmwf-ens, ecmwf-wave-ens, aifs-single, aifs-ens")]
pub(super) struct IndexArgs {
    /// GRIB files: URLs, paths, globs, {a..b} patterns, directories or prefixes (ending in /), shorthands of products
    /// (gfs:2026-11-22T00, gefs:2026-11-22T00/0..48, hrrr:latest), - for a list on standard input
    #[arg(required_unless_present = "compact", value_name = "SOURCE")]
    sources: Vec<String>,
    /// Table to write: a file X.parquet, or a directory of one file per run
    #[arg(short, long, value_name = "TABLE", required_unless_present = "compact")]
    output: Option<String>,
    /// Walk the section headers of the GRIB files even where index files lie beside them
    #[arg(long)]
    scan: bool,
    /// Read section 0 of every message (16 bytes each); a file whose index does not fit is walked by its section headers
    #[arg(long)]
    check: bool,
    /// Index files again that the table holds already
    #[arg(long)]
    refresh: bool,
    /// Where the trees of shorthands begin, in place of the public buckets: a URL or a directory
    #[arg(long, value_name = "URL")]
    root: Option<String>,
    /// Watch a shorthand: write each file's rows as it appears, and the run when it is complete. NAME:RUN ends with its run,
    /// NAME:latest goes on with the next
    #[arg(long, conflicts_with_all = ["scan", "check", "refresh", "json"])]
    follow: bool,
    /// Seconds between looks with --follow
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1.0,
        requires = "follow"
    )]
    interval: f64,
    /// Complete runs after which --follow ends
    #[arg(long, value_name = "N", requires = "follow")]
    runs: Option<u64>,
    /// Merge the tables of a directory into few, and write its manifest
    #[arg(long, value_name = "TABLEDIR", conflicts_with_all = ["sources", "output", "follow"])]
    compact: Option<String>,
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
    let runtime = runtime()?;
    if let Some(folder) = &args.compact {
        let folder = config::location(folder).map_err(Failure::usage)?;
        return runtime.block_on(compact_folder(&folder, &storage));
    }
    let destination = args.output.as_deref().unwrap_or_default();
    let destination = config::location(destination).map_err(Failure::usage)?;
    if args.follow {
        return runtime.block_on(follow_product(args, &storage, &destination));
    }
    runtime.block_on(index(args, &storage, &destination))
}

async fn compact_folder(folder: &Location, storage: &Storage) -> Result<u8, Failure> {
    let done = compact(folder, storage).await.map_err(Failure::failed)?;
    say!(
        "{folder}: {} to {}, with a manifest",
        count_text(done.before as u64, "table"),
        done.after
    );
    if done.left > 0 {
        say!(
            "  {} could not be removed; they are not read any more",
            count_text(done.left as u64, "old table")
        );
    }
    Ok(0)
}

async fn follow_product(
    args: &IndexArgs,
    storage: &Storage,
    destination: &Location,
) -> Result<u8, Failure> {
    let [source] = args.sources.as_slice() else {
        return Err(Failure::usage(
            "--follow takes one shorthand, like gfs:latest",
        ));
    };
    let shorthand = Shorthand::parse(source)
        .ok_or_else(|| {
            Failure::usage(format!(
                "{source}: --follow takes a shorthand, like gfs:latest"
            ))
        })?
        .map_err(Failure::usage)?;
    let interval = Duration::try_from_secs_f64(args.interval)
        .map_err(|error| Failure::usage(format!("--interval {}: {error}", args.interval)))?;
    let config = FollowConfig {
        interval,
        runs: args.runs,
        root: args.root.clone(),
        base: working_directory()?,
        files_at_once: ScanConfig::default().files_at_once,
    };
    let tell = |event| match event {
        FollowEvent::Arrived {
            run,
            files,
            missing,
        } => say!(
            "{}: {} arrived, {missing} missing",
            run.path_name(),
            count_text(files as u64, "file")
        ),
        FollowEvent::Complete { run, rows } => say!(
            "{}: complete, {}",
            run.path_name(),
            count_text(rows as u64, "message")
        ),
        FollowEvent::Abandoned { run, missing } => say!(
            "{}: given up, {} never came",
            run.path_name(),
            count_text(missing as u64, "file")
        ),
    };
    let following = follow(&shorthand, &config, destination, storage, tell);
    // Whatever was announced is in the table, so ending is dropping the work.
    tokio::select! {
        done = following => done.map(|()| 0).map_err(Failure::failed),
        ended = end_of_session() => ended.map(|()| 0),
    }
}

/// Returns when the user or the system asks to end.
#[cfg(unix)]
async fn end_of_session() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed =
        |error: std::io::Error| Failure::failed(format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Returns when the user asks to end.
#[cfg(not(unix))]
async fn end_of_session() -> Result<(), Failure> {
    let ended = tokio::signal::ctrl_c().await;
    ended.map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")))
}

fn working_directory() -> Result<PathBuf, Failure> {
    config::working_directory()
        .map_err(|error| Failure::failed(format!("no working directory: {error}")))
}

async fn index(args: &IndexArgs, storage: &Storage, destination: &Location) -> Result<u8, Failure> {
    let sources = sources(args, storage).await?;
    let runs = sources
        .iter()
        .filter_map(|source| run_in_name(&source.location))
        .collect();
    let table = load_runs(destination, &runs, storage)
        .await
        .map_err(Failure::failed)?;
    let progress = Arc::new(Progress::default());
    let counted = Arc::clone(&progress);
    let total = sources.len() as u64;
    let bar = Bar::watch("file", total, move || counted.files(), storage);
    let scan = ScanConfig {
        always_scan: args.scan,
        check: args.check,
        refresh: args.refresh || args.scan || args.check,
        ..ScanConfig::default()
    };
    let plan = Plan {
        sources,
        table,
        ..Plan::default()
    };
    let built = Indexer::new(storage, &scan).build(plan, &progress).await;
    drop(bar);
    let (table, account) = built.map_err(Failure::failed)?;
    let incomplete = incomplete_runs(&table);
    let saved = save(table, destination, storage)
        .await
        .map_err(Failure::failed)?;
    if args.json {
        say!("{}", account_json(&account));
    } else {
        print_account(&account, args.all);
        if !incomplete.is_empty() {
            say!("  incomplete: {}", incomplete.join(", "));
        }
        match (saved.files, saved.unchanged) {
            (0, _) => say!("{destination}: unchanged"),
            (1, 0) => say!("{destination}: {}", bytes_text(saved.bytes)),
            (files, _) => say!(
                "{destination}: {} written, {}",
                count_text(files as u64, "table"),
                bytes_text(saved.bytes)
            ),
        }
    }
    Ok(u8::from(!account.is_complete() && !args.allow_missing))
}

/// Names of the runs that wait for files.
fn incomplete_runs(table: &Table) -> Vec<String> {
    let runs: BTreeSet<Instant> = table.rows.iter().map(|row| row.reference).collect();
    runs.into_iter()
        .filter(|run| !table.complete_runs.contains(run))
        .map(Instant::path_name)
        .collect()
}

async fn sources(args: &IndexArgs, storage: &Storage) -> Result<Vec<Source>, Failure> {
    let base = working_directory()?;
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
        // A file of that name is meant, where there is one.
        if let Some(shorthand) = Shorthand::parse(&name).filter(|_| !base.join(&name).exists()) {
            let shorthand = shorthand.map_err(Failure::usage)?;
            let files = match shorthand.run {
                Some(run) => shorthand.files(run, args.root.as_deref(), &base),
                None => newest_files(&shorthand, args.root.as_deref(), &base, storage).await,
            };
            sources.extend(files.map_err(Failure::usage)?);
            continue;
        }
        sources.extend(
            expand(&name, &base, storage)
                .await
                .map_err(|error| match error {
                    SourceError::Storage(error) => Failure::failed(error),
                    SourceError::Location(_)
                    | SourceError::NotFound(_)
                    | SourceError::NoMatch(_)
                    | SourceError::Empty(_)
                    | SourceError::TooMany(_)
                    | SourceError::Pattern { .. } => Failure::usage(error),
                })?,
        );
    }
    Ok(sources)
}

fn print_account(account: &Account, all: bool) {
    say!(
        "{} of {} placed, from {} ({} by index, {} by their headers, {} known already)",
        super::output::grouped(account.placed + account.twins),
        count_text(account.messages, "message"),
        count_text(account.files as u64, "file"),
        account.indexed_files,
        account.scanned_files,
        account.kept_files,
    );
    if account.checked > 0 {
        say!(
            "  {} found where the index says, by their section 0",
            count_text(account.checked, "message")
        );
    }
    if account.twins > 0 {
        say!(
            "  {} equal to another in all of its identity; the first of each is used",
            count_text(account.twins, "message")
        );
    }
    for remark in &account.remarks {
        say!("  note: {remark}");
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
        say!(
            "  {}: {}{message}: {}",
            problem.status.as_str(),
            problem.location,
            problem.reason
        );
    }
    if shown < account.problems.len() {
        say!(
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
        "kept_files": account.kept_files,
        "checked": account.checked,
        "messages": account.messages,
        "placed": account.placed,
        "twins": account.twins,
        "remarks": account.remarks,
        "problems": problems,
    })
}

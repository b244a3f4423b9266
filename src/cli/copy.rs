//! `gribfs copy`: a slice of a table into a real Zarr; arguments, progress, and the account at the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant as Clock;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::copy_raw;
use super::copy_set;
use super::copy_source;
use super::output::{bytes_text, count_text};
use super::progress::Bar;
use super::selection::SelectionArgs;
use super::view::ViewArgs;
use super::{Failure, StorageArgs, runtime};
use crate::config::{self, StorageSettings};
use crate::copy::{
    Codec, Copy, CopyError, CopyPlan, CopyProgress, CopyReport, CopySettings, Deaccumulate,
    Lengths, MissingCell, Part, Parts, Rounding, Statistic, lengths, statistics,
};
use crate::location::Location;
use crate::slices::{BestRule, SliceKind, StoreView};
use crate::storage::{Counters, Storage};
use crate::store::{BulkReader, OnStale, ReaderConfig};

/// Cells left as fill that are listed without `--report`.
const LISTED: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs copy gfs.parquet gfs.zarr --run 2026-11-22T00 --variable t2m,tp
  gribfs copy gefs/ east_africa.zarr --slice runs/2026-11-22T00 --bbox=-12,21,23,53 --chunks valid_time=24
  gribfs copy gfs.parquet s3://mine/gfs.zarr --slice best_available --zarr-format 3 --codec zstd:3
  gribfs copy gefs/ chances.zarr --deaccumulate bucket --stat 'mean,p90,prob>25' --variable tp
  gribfs copy gfs/ gfs.zarr --dry-run
  gribfs copy --raw gfs.parquet /scratch/gfs/ --variable t2m,tp --run 2026-11-22T00

A copy that was stopped goes on when the same command is given again, and ends with the same bytes.")]
pub(super) struct CopyArgs {
    /// Table (a file X.parquet, a directory of tables), reference set, or the URL of one; or a mount of one, or a store in a mount of a table
    #[arg(value_name = "SOURCE")]
    pub(super) source: String,
    /// Store to write: a directory that is not there yet, or s3://, gs://, az://
    #[arg(value_name = "DEST")]
    pub(super) destination: String,
    /// Slice: `run_time`, `valid_time`, `horizon`, `best_available`, runs/2026-11-22T00, leads/024h, valid/2026-11-22T12
    /// [default: the run, if one is there or selected; else `run_time`]
    #[arg(long, value_name = "SLICE")]
    pub(super) slice: Option<SliceKind>,
    /// Chunk lengths by dimension [default: one field per chunk]
    #[arg(long, value_name = "DIM=N,..", value_parser = lengths)]
    pub(super) chunks: Option<Lengths>,
    /// Lengths of shards by dimension: files that hold many chunks (Zarr v3)
    #[arg(long, value_name = "DIM=N,..", value_parser = lengths)]
    pub(super) shards: Option<Lengths>,
    /// Compression: none, zstd[:LEVEL], gzip[:LEVEL], blosc[:lz4[:LEVEL]] (LZ4 behind a shuffle of bits)
    /// [default: blosc:lz4:9; what a reference set has coded already stays as it is]
    #[arg(long, value_name = "CODEC")]
    pub(super) codec: Option<Codec>,
    /// Round to so many bits of the mantissa (1 to 23), or (auto) to what the packing of each message tells apart
    #[arg(long, value_name = "auto|N")]
    pub(super) round_bits: Option<Rounding>,
    /// Statistics over the members in their place: mean, std, min, max, median, count, p10, 'prob>25' (>=, <, <=; units of the array)
    #[arg(long, value_name = "LIST", value_parser = list_of_statistics)]
    pub(super) stat: Option<StatisticList>,
    /// Accumulations as differences between the steps of a run: sums of each interval, or mean rates per second
    #[arg(long, value_name = "KIND", value_enum)]
    pub(super) deaccumulate: Option<DeaccumulateArg>,
    /// Extend a store along this axis (time, `valid_time`) by what the slice has behind the store's end; chunks and codec stay the store's
    #[arg(long, value_name = "DIM", value_parser = ["time", "valid_time", "step"])]
    pub(super) append: Option<String>,
    /// With --append: take runs before they are complete; what comes of them later is not added any more
    #[arg(long, requires = "append")]
    pub(super) partial: bool,
    /// Write the chunks of part I of N only; the parts of a copy may be made by as many processes at once, on any machines
    #[arg(long, value_name = "I/N", conflicts_with_all = ["append", "raw"])]
    pub(super) part: Option<Part>,
    /// Make a store of the parts that --part wrote; fails, and names them, if some are not done
    #[arg(long, conflicts_with_all = ["part", "append", "raw", "dry_run"])]
    pub(super) finish: bool,
    /// Copy the selected messages themselves, and a table that points to them, into a directory or prefix
    #[arg(long, conflicts_with_all = ["slice", "chunks", "shards", "codec", "round_bits", "stat", "deaccumulate", "append", "resume", "dry_run"])]
    pub(super) raw: bool,
    /// Do nothing if the destination is complete already
    #[arg(long)]
    pub(super) resume: bool,
    /// Tell what would be fetched and written
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Exit with 0 although messages could not be had and their cells were left as fill
    #[arg(long)]
    pub(super) allow_missing: bool,
    /// Write what was done as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Memory for messages, fields and chunks
    #[arg(long, value_name = "BYTES", default_value = "512M", value_parser = config::byte_count)]
    pub(super) memory: u64,
    /// Directory where chunks wait that do not fit into memory [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(super) scratch: Option<PathBuf>,
    /// Directory below which a reference set may refer to local files, beside its own (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(super) allow_root: Vec<PathBuf>,
    /// Profile of the AWS configuration files for the destination [default: --profile]
    #[arg(long, value_name = "NAME")]
    dest_profile: Option<String>,
    /// Server of the destination in place of the vendor's [default: --endpoint-url]
    #[arg(long, value_name = "URL")]
    dest_endpoint_url: Option<String>,
    #[command(flatten)]
    pub(super) selection: SelectionArgs,
    #[command(flatten)]
    pub(super) view: ViewArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Statistics of one `--stat`.
#[derive(Clone, Debug, Default)]
pub(super) struct StatisticList(Vec<Statistic>);

fn list_of_statistics(text: &str) -> Result<StatisticList, String> {
    statistics(text).map(StatisticList)
}

/// How accumulations are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DeaccumulateArg {
    /// Sums over each interval, in the same units
    Bucket,
    /// Means over each interval, per second
    Rate,
}

impl DeaccumulateArg {
    const fn kind(self) -> Deaccumulate {
        match self {
            Self::Bucket => Deaccumulate::Bucket,
            Self::Rate => Deaccumulate::Rate,
        }
    }
}

impl CopyArgs {
    /// Which part of the copy is made.
    pub(super) fn parts(&self) -> Parts {
        match self.part {
            Some(part) => Parts::One(part),
            None if self.finish => Parts::Finish,
            None => Parts::Whole,
        }
    }

    /// Says that nothing was to be done.
    pub(super) fn tell_complete(&self, missing: &[MissingCell], unit: &str) {
        match self.part {
            Some(part) => say!("{}: part {part} is complete already", self.destination),
            None if missing.is_empty() => say!("{}: complete already", self.destination),
            None => say!("{}: written already", self.destination),
        }
        tell_missing(missing, unit, self.again());
    }

    /// What tries again to have what is missing.
    pub(super) const fn again(&self) -> &'static str {
        if self.finish {
            "without --finish it"
        } else {
            "the same command"
        }
    }
}

pub(super) fn run(args: &CopyArgs) -> Result<u8, Failure> {
    super::allocator::give_back();
    let began = Clock::now();
    let runtime = runtime()?;
    let storage = args.storage.settings().storage().map_err(Failure::usage)?;
    let named = copy_source::named(&args.source)?;
    let source = named.table.clone();
    let destination = destination(&args.destination)?;
    let writer = destination_storage(args, &destination)?;
    let opened = copy_source::open(
        &named,
        (
            args.view.as_of,
            // What comes later for a position that is there already is never added.
            args.append.is_none() || args.partial,
        ),
        &args.allow_root,
        &storage,
        &runtime,
    )?;
    let (collection, rows) = match opened {
        copy_source::Opened::Table(collection, rows) => (*collection, rows),
        copy_source::Opened::Set(set, policy) => {
            let job = copy_set::Job {
                args,
                source,
                set,
                policy,
                storage,
                writer,
                destination,
            };
            return job.run(&runtime, began);
        }
    };
    let collection = args.selection.select(collection)?;
    if args.raw {
        let job = copy_raw::Job {
            source: &args.source,
            is_slice: named.slice.is_some(),
            collection,
            rows,
            storage: &storage,
            writer: &writer,
            destination: &destination,
            report: args.report.as_deref(),
            allow_missing: args.allow_missing,
        };
        return job.run(&runtime);
    }
    let kind = args
        .slice
        .or(named.slice)
        .unwrap_or(match collection.runs.as_slice() {
            [only] => SliceKind::Run(*only),
            _ => SliceKind::RunTime,
        });
    let settings = CopySettings {
        destination: destination.clone(),
        chunks: args.chunks.clone().unwrap_or_default(),
        shards: args.shards.clone().unwrap_or_default(),
        codec: args.codec.unwrap_or_default(),
        layout: args.view.layout(),
        format: args.view.format(),
        rounding: args.round_bits.unwrap_or_default(),
        statistics: args.stat.clone().unwrap_or_default().0,
        deaccumulate: args.deaccumulate.map(DeaccumulateArg::kind),
        memory_bytes: args.memory,
        scratch: args.scratch.clone().unwrap_or_else(std::env::temp_dir),
        append: args.append.clone(),
        resume: args.resume,
        parts: args.parts(),
        source: format!("{source} {kind}"),
    };
    let reader_config = ReaderConfig {
        on_stale: OnStale::Heal,
        corrections: config::state_directory(),
        memory_bytes: args.memory / 2,
        look_ahead: 0,
        view: collection.selection.view.clone(),
        ..ReaderConfig::default()
    };
    let handle = runtime.handle().clone();
    let reader = BulkReader::new(rows, storage.clone(), handle, &reader_config);
    let collection = Arc::new(collection);
    let view = if args.deaccumulate.is_some() {
        // By interval a total has the same window in each cell of BestAvailable.
        let best = BestRule {
            totals: true,
            ..args.view.best()
        };
        StoreView::deaccumulated(kind, collection, best)
    } else {
        StoreView::new(kind, collection, args.view.best())
    };
    let copy = Copy::new(settings, view, reader, writer.clone());
    if args.dry_run {
        let plan = runtime
            .block_on(copy.plan())
            .map_err(|error| failure(&error))?;
        tell_plan(&plan, kind, &destination);
        return Ok(0);
    }
    let progress = Arc::new(CopyProgress::default());
    let bar = progress_bar(&progress, &storage, "field");
    let done = runtime.block_on(copy.run(progress));
    drop(bar);
    let report = done.map_err(|error| failure(&error))?;
    let seconds = began.elapsed().as_secs_f64();
    if let Some(path) = &args.report {
        let text = report_json(
            &report,
            args,
            Some(kind),
            (storage.counters(), writer.counters()),
            seconds,
        );
        std::fs::write(path, format!("{text:#}\n"))
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    }
    tell(&report, args, kind, storage.counters(), seconds);
    Ok(u8::from(!report.missing.is_empty() && !args.allow_missing))
}

/// A destination without a slash at its end.
fn destination(text: &str) -> Result<Location, Failure> {
    let trimmed = text.trim_end_matches('/');
    let location = config::location(trimmed).map_err(Failure::usage)?;
    if matches!(location.scheme(), "http" | "https") {
        return Err(Failure::usage(format!(
            "{location}: a store is written to a directory, s3://, gs:// or az://"
        )));
    }
    if location.scheme() != "file" && location.key().is_empty() {
        return Err(Failure::usage(format!(
            "{location}: a store lies below the root of a bucket: give a name after it"
        )));
    }
    Ok(location)
}

/// Storage of the destination: with credentials, as nobody writes to a bucket without.
fn destination_storage(args: &CopyArgs, destination: &Location) -> Result<Storage, Failure> {
    let source = args.storage.settings();
    let settings = StorageSettings {
        anonymous: false,
        profile: args.dest_profile.clone().or(source.profile),
        endpoint_url: args.dest_endpoint_url.clone().or(source.endpoint_url),
        mirrors: Vec::new(),
        ..source
    };
    let named = |name: &str| std::env::var_os(name).is_some();
    let google = [
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "SERVICE_ACCOUNT",
    ];
    let lacks = destination.scheme() == "gs" && !google.into_iter().any(named);
    if lacks && settings.endpoint_url.is_none() {
        return Err(Failure::usage(format!(
            "{destination}: writing to gs:// needs credentials: set GOOGLE_APPLICATION_CREDENTIALS"
        )));
    }
    settings.storage().map_err(Failure::usage)
}

pub(super) fn failure(error: &CopyError) -> Failure {
    if error.is_usage() {
        Failure::usage(error)
    } else {
        Failure::failed(error)
    }
}

/// A bar on terminals, nothing elsewhere.
pub(super) fn progress_bar(progress: &Arc<CopyProgress>, storage: &Storage, noun: &str) -> Bar {
    let (counted, told) = (Arc::clone(progress), Arc::clone(progress));
    Bar::tell(
        noun,
        move || (counted.done(), counted.fields()),
        move || written(&told),
        storage,
    )
}

/// What a copy tells on the way, beside what is fetched.
fn written(progress: &CopyProgress) -> String {
    let missing = match progress.missing() {
        0 => String::new(),
        count => format!(", {count} missing"),
    };
    format!("{} written{missing}  ", bytes_text(progress.written()))
}

fn tell_plan(plan: &CopyPlan, kind: SliceKind, destination: &Location) {
    say!(
        "{kind}: {} of {}, from {} of {}",
        count_text(plan.fields, "field"),
        count_text(plan.arrays, "array"),
        count_text(plan.messages, "message"),
        bytes_text(plan.message_bytes),
    );
    if plan.missing > 0 {
        say!(
            "  {} known not to be readable",
            count_text(plan.missing, "field")
        );
    }
    say!(
        "{destination}: {}, {} before compression",
        count_text(plan.files, "chunk file"),
        bytes_text(plan.raw_bytes),
    );
}

fn tell(report: &CopyReport, args: &CopyArgs, kind: SliceKind, counters: Counters, seconds: f64) {
    if report.nothing_to_do {
        args.tell_complete(&report.missing, "field");
        return;
    }
    let part = args.part.map(|part| format!(", part {part}"));
    say!(
        "{kind}{}: {} of {} in {seconds:.1} s, {} fetched by {}",
        part.unwrap_or_default(),
        count_text(report.fields, "field"),
        count_text(report.arrays, "array"),
        bytes_text(counters.bytes),
        count_text(counters.requests, "request"),
    );
    if report.kept > 0 {
        say!("  {} there already", count_text(report.kept, "field"));
    }
    say!(
        "{}: {} written, {} before compression",
        args.destination,
        bytes_text(report.written_bytes),
        bytes_text(report.raw_bytes),
    );
    tell_missing(&report.missing, "field", args.again());
}

/// Lists what was left as fill.
pub(super) fn tell_missing(missing: &[MissingCell], unit: &str, command: &str) {
    let count = missing.len();
    if count > 0 {
        let them = if count == 1 { "it" } else { "them" };
        say!(
            "  {} left as fill; {command} tries {them} again",
            count_text(count as u64, unit),
        );
    }
    for missing in missing.iter().take(LISTED) {
        say!("  {}: {}", missing.cell, missing.reason);
    }
    if count > LISTED {
        say!("  and {} more (--report lists them)", count - LISTED);
    }
}

pub(super) fn report_json(
    report: &CopyReport,
    args: &CopyArgs,
    slice: Option<SliceKind>,
    (source, destination): (Counters, Counters),
    seconds: f64,
) -> Value {
    let missing: Vec<Value> = report
        .missing
        .iter()
        .map(|cell| json!({ "cell": cell.cell, "reason": cell.reason }))
        .collect();
    json!({
        "source": args.source,
        "destination": args.destination,
        "slice": slice.map(|slice| slice.to_string()),
        "part": args.part.map(|part| part.to_string()),
        "stat": args.stat.as_ref().map(|list| list.0.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "deaccumulate": args.deaccumulate.map(|kind| kind.kind().to_string()),
        "complete": report.missing.is_empty(),
        "nothing_to_do": report.nothing_to_do,
        "seconds": (seconds * 1000.0).round() / 1000.0,
        "arrays": report.arrays,
        "fields": report.fields,
        "kept_fields": report.kept,
        "missing_fields": report.missing.len(),
        "raw_bytes": report.raw_bytes,
        "written_bytes": report.written_bytes,
        "fetched_bytes": source.bytes,
        "requests": source.requests,
        "retries": source.retries,
        "throttled": source.throttled,
        "writes": destination.requests,
        "missing": missing,
    })
}

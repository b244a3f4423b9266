//! `gribfs copy` of a reference set: which flags it takes, and the account at the end.

use std::sync::Arc;
use std::time::Instant as Clock;

use super::Failure;
use super::copy::{CopyArgs, failure, progress_bar, report_json, tell_missing};
use super::output::{bytes_text, count_text};
use crate::copy::{CopyPlan, CopyProgress, CopyReport, CopySettings, SetChoice, SetCopy};
use crate::location::Location;
use crate::refs::RefSet;
use crate::storage::Storage;
use crate::store::RefConfig;
use crate::store::references::policy::Policy;

/// A copy of a set.
pub(super) struct Job<'a> {
    pub(super) args: &'a CopyArgs,
    pub(super) source: Location,
    pub(super) set: Box<RefSet>,
    pub(super) policy: Policy,
    pub(super) storage: Storage,
    pub(super) writer: Storage,
    pub(super) destination: Location,
}

impl Job<'_> {
    /// Makes it; gives the exit code.
    pub(super) fn run(
        self,
        runtime: &tokio::runtime::Runtime,
        began: Clock,
    ) -> Result<u8, Failure> {
        let args = self.args;
        refuse(args)?;
        let selection = args.selection.selection()?;
        if !(selection.levels.is_empty()
            && selection.steps.is_empty()
            && selection.members.is_empty()
            && selection.runs.is_empty())
            || selection.view.north_up
            || selection.view.lon180
        {
            return Err(Failure::usage(
                "a reference set keeps its axes: of it, --variable and --bbox select; the other flags of selection are for tables",
            ));
        }
        let settings = CopySettings {
            destination: self.destination.clone(),
            chunks: args.chunks.clone().unwrap_or_default(),
            shards: args.shards.clone().unwrap_or_default(),
            codec: args.codec.unwrap_or_default(),
            layout: args.view.layout(),
            format: args.view.format(),
            rounding: args.round_bits.unwrap_or_default(),
            statistics: Vec::new(),
            deaccumulate: None,
            memory_bytes: args.memory,
            scratch: args.scratch.clone().unwrap_or_else(std::env::temp_dir),
            append: None,
            resume: args.resume,
            parts: args.parts(),
            source: self.source.to_string(),
        };
        let choice = SetChoice {
            variables: selection.variables,
            bounds: selection.view.bounds,
            codec: args.codec,
        };
        let config = RefConfig {
            memory_bytes: args.memory / 2,
            cache_bytes: 0,
            ..RefConfig::default()
        };
        let storage = self.storage.clone();
        let reader = super::refs::reader(*self.set, self.policy, storage.clone(), runtime, &config);
        let copy = SetCopy::new(settings, choice, reader, self.writer.clone());
        if args.dry_run {
            let plan = runtime
                .block_on(copy.plan())
                .map_err(|error| failure(&error))?;
            tell_plan(&plan, &self.source, &self.destination);
            return Ok(0);
        }
        let progress = Arc::new(CopyProgress::default());
        let bar = progress_bar(&progress, &storage, "block");
        let done = runtime.block_on(copy.run(progress));
        drop(bar);
        let report = done.map_err(|error| failure(&error))?;
        let seconds = began.elapsed().as_secs_f64();
        let counters = (storage.counters(), self.writer.counters());
        if let Some(path) = &args.report {
            let text = report_json(&report, args, None, counters, seconds);
            std::fs::write(path, format!("{text:#}\n"))
                .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        }
        if report.nothing_to_do {
            args.tell_complete(&report.missing, "chunk");
        } else {
            let (requests, bytes) = (counters.0.requests, counters.0.bytes);
            tell(&report, args, (requests, bytes), seconds);
        }
        Ok(u8::from(!report.missing.is_empty() && !args.allow_missing))
    }
}

/// Refuses flags that say nothing of a reference set.
fn refuse(args: &CopyArgs) -> Result<(), Failure> {
    let given = [
        (args.slice.is_some(), "--slice"),
        (args.raw, "--raw"),
        (args.append.is_some(), "--append"),
        (args.stat.is_some(), "--stat"),
        (args.deaccumulate.is_some(), "--deaccumulate"),
        (
            !args.view.is_plain(),
            "--layout, --as-of, --best and their like",
        ),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, name)) => Err(Failure::usage(format!(
            "{name}: for tables, not for a reference set; gribfs index makes a table of its archive"
        ))),
        None => Ok(()),
    }
}

fn tell_plan(plan: &CopyPlan, source: &Location, destination: &Location) {
    say!(
        "{source}: {} of {}, {} as far as the set knows",
        count_text(plan.fields, "chunk"),
        count_text(plan.arrays, "array"),
        bytes_text(plan.message_bytes),
    );
    say!(
        "{destination}: {}, {} before compression",
        count_text(plan.files, "chunk file"),
        bytes_text(plan.raw_bytes),
    );
}

fn tell(report: &CopyReport, args: &CopyArgs, (requests, bytes): (u64, u64), seconds: f64) {
    say!(
        "{}: {} of {} in {seconds:.1} s, {} fetched by {}",
        args.source,
        count_text(report.fields, "chunk"),
        count_text(report.arrays, "array"),
        bytes_text(bytes),
        count_text(requests, "request"),
    );
    if report.kept > 0 {
        say!("  {} there already", count_text(report.kept, "chunk"));
    }
    say!(
        "{}: {} written, {} before compression",
        args.destination,
        bytes_text(report.written_bytes),
        bytes_text(report.raw_bytes),
    );
    tell_missing(&report.missing, "chunk", args.again());
}

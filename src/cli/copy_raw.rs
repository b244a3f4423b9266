//! `gribfs copy --raw`: the selected messages themselves, and a table that points to them.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::Failure;
use super::output::{bytes_text, count_text};
use super::progress::Bar;
use crate::dataset::Collection;
use crate::dataset::archive::RowSource;
use crate::grib::grid::Grid;
use crate::location::Location;
use crate::scan::{RawError, RawProgress, RawReport, SaveError, raw_copy};
use crate::storage::Storage;
use crate::store::verify::verify;
use crate::table::row::{Kind, Row};

/// Messages that could not be had which are listed without `--report`.
const LISTED: usize = 20;

/// One raw copy.
pub(super) struct Job<'a> {
    pub(super) source: &'a str,
    /// Whether the source is one slice of a collection: that is not a selection of messages.
    pub(super) is_slice: bool,
    pub(super) collection: Collection,
    pub(super) rows: Arc<dyn RowSource>,
    pub(super) storage: &'a Storage,
    pub(super) writer: &'a Storage,
    pub(super) destination: &'a Location,
    pub(super) report: Option<&'a Path>,
    pub(super) allow_missing: bool,
}

impl Job<'_> {
    pub(super) fn run(self, runtime: &tokio::runtime::Runtime) -> Result<u8, Failure> {
        let view = &self.collection.selection.view;
        if view.bounds.is_some() || view.north_up || view.lon180 {
            return Err(Failure::usage(
                "--bbox, --north-up and --lon180 cut and turn fields; a raw copy takes messages as they are",
            ));
        }
        if self.is_slice {
            return Err(Failure::usage(format!(
                "{}: a raw copy takes a table; select by --run, --step and --variable",
                self.source
            )));
        }
        let progress = Arc::new(RawProgress::default());
        let (counted, total) = (Arc::clone(&progress), self.expected());
        let bar = Bar::watch("message", total, move || counted.messages().0, self.storage);
        let copied = runtime.block_on(raw_copy(
            &self.collection,
            &self.rows,
            (self.storage, self.writer),
            self.destination,
            &check,
            &progress,
        ));
        drop(bar);
        let report = copied.map_err(|error| failure(&error))?;
        if let Some(path) = self.report {
            std::fs::write(path, format!("{:#}\n", self.json(&report)))
                .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        }
        self.tell(&report);
        Ok(u8::from(!report.missing.is_empty() && !self.allow_missing))
    }

    /// Cells of the selection: about as many as messages.
    fn expected(&self) -> u64 {
        let arrays = self
            .collection
            .groups
            .iter()
            .flat_map(|group| &group.arrays);
        arrays.map(|array| array.cells.present() as u64).sum()
    }

    fn tell(&self, report: &RawReport) {
        say!(
            "{}: {} in {}, {}",
            self.destination,
            count_text(report.messages - report.missing.len() as u64, "message"),
            count_text(report.objects, "file"),
            bytes_text(report.bytes)
        );
        if report.kept > 0 {
            say!("  {} there already", count_text(report.kept, "message"));
        }
        match report.tables {
            0 => say!("  the table is unchanged"),
            tables => say!("  {} written", count_text(tables as u64, "table")),
        }
        for (place, reason) in report.missing.iter().take(LISTED) {
            say!("  missing: {place}: {reason}");
        }
        if report.missing.len() > LISTED {
            let more = report.missing.len() - LISTED;
            say!("  and {more} more (--report lists them)");
        }
    }

    fn json(&self, report: &RawReport) -> serde_json::Value {
        let missing = report.missing.iter();
        json!({
            "source": self.source,
            "destination": self.destination.as_str(),
            "complete": report.missing.is_empty(),
            "messages": report.messages,
            "kept_messages": report.kept,
            "bytes": report.bytes,
            "objects": report.objects,
            "tables": report.tables,
            "fetched_bytes": self.storage.counters().bytes,
            "requests": self.storage.counters().requests,
            "retries": self.storage.counters().retries,
            "missing": missing.map(|(place, reason)| json!({"at": place, "reason": reason})).collect::<Vec<_>>(),
        })
    }
}

/// The same proof that a mount demands before it serves a value.
fn check(bytes: &[u8], row: &Row, kind: &Kind, section3: &[u8]) -> Result<(), String> {
    let grid = Grid::parse(section3).map_err(|error| error.to_string())?;
    let proven = verify(bytes, row, kind, (&grid, section3));
    proven.map(|_field| ()).map_err(|error| error.to_string())
}

fn failure(error: &RawError) -> Failure {
    match error {
        RawError::Nothing | RawError::Save(SaveError::NotFound(_)) => Failure::usage(error),
        RawError::Save(_) | RawError::Rows(_) => Failure::failed(error),
    }
}

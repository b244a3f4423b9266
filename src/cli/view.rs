//! Flags of how a mount shows a collection: layout, format, BestAvailable's rule.

use clap::{Args, ValueEnum};

use crate::slices::{BestRule, Layout};
use crate::time::{Instant, parse_step};
use crate::zarr::Format;

/// Flags of what a mount shows.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "View")]
pub(super) struct ViewArgs {
    /// One group with all arrays, or kerchunk's groups (t2m/instant/heightAboveGround/t2m) for `xarray.open_datatree`
    #[arg(long, value_enum, default_value = "flat")]
    layout: LayoutArg,
    /// Version of the Zarr metadata; 2 is what most programs read
    #[arg(long, value_name = "2|3", value_enum, default_value = "2")]
    zarr_format: FormatArg,
    /// Show the collection as it stood at this moment (2026-11-22T06): runs no later than it
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub(super) as_of: Option<Instant>,
    /// What `best_available.zarr` takes of each moment: the newest run that has it, or (kerchunk's rule) only the run that starts at that moment, and the newest run from there on
    #[arg(long, value_enum, default_value = "newest")]
    best: BestArg,
    /// Leave steps below this one (24h) out of `best_available.zarr`
    #[arg(long, value_name = "STEP", value_parser = step, conflicts_with = "best")]
    min_step: Option<i64>,
    /// Show run totals of accumulations in `best_available.zarr`, although their windows change from cell to cell
    #[arg(long)]
    best_totals: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LayoutArg {
    Flat,
    Tree,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    #[value(name = "2")]
    V2,
    #[value(name = "3")]
    V3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BestArg {
    Newest,
    Exact,
}

impl ViewArgs {
    /// Whether nothing is asked for but a version of the metadata.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.layout, LayoutArg::Flat)
            && self.as_of.is_none()
            && self.best == BestArg::Newest
            && self.min_step.is_none()
            && !self.best_totals
    }

    pub(super) fn best(&self) -> BestRule {
        BestRule {
            min_step: self.min_step.unwrap_or(i64::MIN),
            exact: self.best == BestArg::Exact,
            totals: self.best_totals,
        }
    }

    pub(super) fn layout(&self) -> Layout {
        match self.layout {
            LayoutArg::Flat => Layout::Flat,
            LayoutArg::Tree => Layout::Tree,
        }
    }

    pub(super) fn format(&self) -> Format {
        match self.zarr_format {
            FormatArg::V2 => Format::V2,
            FormatArg::V3 => Format::V3,
        }
    }
}

fn instant(text: &str) -> Result<Instant, String> {
    Instant::parse(text).ok_or_else(|| {
        "a moment is written 2026-11-22T06, 2026-11-22T06:00 or 2026-11-22".to_owned()
    })
}

fn step(text: &str) -> Result<i64, String> {
    parse_step(text).ok_or_else(|| "a step is written 24h, 1h30m or 10d".to_owned())
}

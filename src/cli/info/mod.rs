//! `gribfs info`: what is in a table or a reference set.

mod chart;
mod facts;
mod set;
mod text;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use self::facts::Facts;
use super::refs::{Opened, open};
use super::selection::SelectionArgs;
use super::{Failure, StorageArgs, load_failure, runtime};
use crate::config;
use crate::dataset::{Archive, Collection};
use crate::scan::{Library, SaveError};
use crate::slices::BestRule;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs info gfs.parquet
  gribfs info gfs.parquet --variable 't*' --step 0h..24h
  gribfs info tables/ --json")]
pub(super) struct InfoArgs {
    /// Table (a file X.parquet, a directory of tables) or reference set, or its URL
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Print the stores and arrays of a mount as a tree
    #[arg(long, conflicts_with = "json")]
    tree: bool,
    /// Directory below which a reference set may name files, besides its own (repeatable)
    #[arg(long, value_name = "DIR")]
    allow_root: Vec<PathBuf>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

pub(super) fn run(args: &InfoArgs) -> Result<u8, Failure> {
    let storage = args.storage.settings().storage().map_err(Failure::usage)?;
    let source = config::location(&args.source).map_err(Failure::usage)?;
    let runtime = runtime()?;
    let archive = match open(&args.source, &source, &storage, &runtime, &args.allow_root)? {
        Opened::Set(set, _) => {
            if !args.selection.selection()?.is_everything() {
                return Err(Failure::usage(
                    "flags of selection are for tables, not for reference sets",
                ));
            }
            let told = set::SetFacts::gather(&args.source, &set);
            match (args.json, args.tree) {
                (true, _) => say!("{}", told.json()),
                (false, true) => told.print_tree(),
                (false, false) => told.print(),
            }
            return Ok(0);
        }
        Opened::Table(table, _) => Archive::of_table(Arc::new(*table)),
        Opened::Other => {
            let handle = runtime.handle().clone();
            let library = Library::new(source.clone(), storage, handle, 256);
            let found = runtime.block_on(library.look());
            let found = found.map_err(|error| load_failure(&error))?;
            if let Some(bad) = found.bad.first() {
                return Err(Failure::usage(format!("{}: {}", bad.name, bad.reason)));
            }
            if found.archive.parts.is_empty() {
                return Err(load_failure(&SaveError::Empty(source)));
            }
            // The rows of its parts are read through it.
            let facts = table(args, &found.archive);
            drop(library);
            return facts;
        }
    };
    table(args, &archive)
}

fn table(args: &InfoArgs, archive: &Arc<Archive>) -> Result<u8, Failure> {
    let collection = Collection::build(Arc::clone(archive), None);
    let collection = args.selection.select(collection)?;
    let best = BestRule::default();
    let facts = Facts::gather(&args.source, archive, &collection, best, args.json)?;
    match (args.json, args.tree) {
        (true, _) => say!("{}", facts.json()),
        (false, true) => tree::print(&facts),
        (false, false) => text::print(&facts),
    }
    Ok(0)
}

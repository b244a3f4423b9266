//! `gribfs export`: references to one slice of a table, for programs that read kerchunk's formats.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::output::count_text;
use super::selection::SelectionArgs;
use super::view::ViewArgs;
use super::{Failure, StorageArgs, load_failure, runtime};
use crate::config;
use crate::dataset::archive::RowId;
use crate::dataset::{Archive, CellState, Collection, GridView};
use crate::location::{ByteRange, Location};
use crate::refs::{ExportArray, Target, json_set, record_bytes, zmetadata};
use crate::scan::load;
use crate::slices::{SliceKind, StoreView};
use crate::storage::{Short, Storage};
use crate::table::row::Table;
use crate::zarr::metadata::{array_attributes, array_document};
use crate::zarr::model::{Array, Content, DataType, Group};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs export gfs.parquet best.json --slice best_available --format kerchunk-json
  gribfs export gfs.parquet run.parq --slice runs/2026-11-22T00 --format kerchunk-parquet
  python3 -c 'import kerchunk, xarray; print(xarray.open_dataset(\"best.json\", engine=\"kerchunk\"))'")]
pub(super) struct ExportArgs {
    /// Table: a file X.parquet, a directory of tables, or a URL
    #[arg(value_name = "TABLE")]
    source: String,
    /// What is written: a file (JSON) or a directory (Parquet), which must not exist; or a URL
    #[arg(value_name = "DEST")]
    destination: String,
    /// Slice: `run_time`, `valid_time`, `horizon`, `best_available`, runs/2026-11-22T00, leads/024h, valid/2026-11-22T12
    #[arg(long, value_name = "SLICE")]
    slice: SliceKind,
    /// Format of the references
    #[arg(long, value_enum, default_value = "kerchunk-parquet")]
    format: FormatArg,
    /// Rows of a record file of `kerchunk-parquet`
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    record_size: u64,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    view: ViewArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    KerchunkParquet,
    KerchunkJson,
}

pub(super) fn run(args: &ExportArgs) -> Result<u8, Failure> {
    let runtime = runtime()?;
    let storage = args.storage.settings().storage().map_err(Failure::usage)?;
    let source = config::location(&args.source).map_err(Failure::usage)?;
    let destination = config::location(&args.destination).map_err(Failure::usage)?;
    if destination.to_path().is_some_and(|path| path.exists()) {
        return Err(Failure::usage(format!("{destination} exists already")));
    }
    let table = runtime
        .block_on(load(&source, &storage))
        .map_err(|error| load_failure(&error))?;
    let table = Arc::new(table);
    let archive = Archive::of_table(Arc::clone(&table));
    let collection = Collection::build(archive, args.view.as_of);
    let collection = Arc::new(args.selection.select(collection)?);
    if collection.selection.view != GridView::default() {
        return Err(Failure::usage(
            "--bbox, --north-up, --lon180: references are to whole messages as they are",
        ));
    }
    let view = StoreView::new(args.slice, collection, args.view.best());
    let mut writer = Writer {
        view: &view,
        table: &table,
        storage: &storage,
        groups: Vec::new(),
        arrays: Vec::new(),
        lost: Vec::new(),
    };
    let root = view.hierarchy(args.view.layout());
    runtime.block_on(writer.group(&root, ""))?;
    let Writer {
        groups,
        arrays,
        lost,
        ..
    } = writer;
    let count: usize = arrays.iter().map(|array| array.chunks.len()).sum();
    if arrays.is_empty() {
        return Err(Failure::failed(format!(
            "{}: nothing in this slice",
            args.slice
        )));
    }
    let files: Vec<(String, Bytes)> = match args.format {
        FormatArg::KerchunkJson => vec![(String::new(), Bytes::from(json_set(&groups, &arrays)))],
        FormatArg::KerchunkParquet => {
            let mut files = Vec::new();
            for array in &arrays {
                for (number, bytes) in
                    record_bytes(array, args.record_size).map_err(Failure::failed)?
                {
                    files.push((format!("{}/refs.{number}.parq", array.path), bytes));
                }
            }
            // Last: it makes the set visible.
            files.push((
                ".zmetadata".to_owned(),
                Bytes::from(zmetadata(&groups, &arrays, args.record_size)),
            ));
            files
        }
    };
    match destination.to_path() {
        Some(path) => write_local(&path, &files)
            .map_err(|error| Failure::failed(format!("{destination}: {error}")))?,
        None => {
            for (name, bytes) in files {
                let to = if name.is_empty() {
                    destination.clone()
                } else {
                    destination.with_suffix(&format!("/{name}"))
                };
                runtime
                    .block_on(storage.put(&to, bytes))
                    .map_err(Failure::failed)?;
            }
        }
    }
    say!(
        "{destination}: {} in {}",
        count_text(count as u64, "reference"),
        count_text(arrays.len() as u64, "array")
    );
    for what in lost.iter().take(20) {
        say!("  left out: {what}");
    }
    Ok(u8::from(!lost.is_empty()))
}

/// Writes beside the destination, then moves.
fn write_local(path: &Path, files: &[(String, Bytes)]) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".gribfs-unfinished-{}", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    for (name, bytes) in files {
        let file = if name.is_empty() {
            unfinished.clone()
        } else {
            unfinished.join(name)
        };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&file, bytes)?;
    }
    std::fs::rename(&unfinished, path)
}

struct Writer<'a> {
    view: &'a StoreView,
    table: &'a Table,
    storage: &'a Storage,
    groups: Vec<(String, Value)>,
    arrays: Vec<ExportArray>,
    /// What kerchunk's formats cannot say, or would say wrongly.
    lost: Vec<String>,
}

impl Writer<'_> {
    async fn group(&mut self, root: &Group, path: &str) -> Result<(), Failure> {
        let mut open = vec![(root, path.to_owned())];
        while let Some((group, path)) = open.pop() {
            self.groups
                .push((path.clone(), Value::Object(group.attributes.clone())));
            let below = |name: &str| {
                if path.is_empty() {
                    name.to_owned()
                } else {
                    format!("{path}/{name}")
                }
            };
            for array in &group.arrays {
                self.array(array, below(&array.name)).await?;
            }
            open.extend(
                group
                    .groups
                    .iter()
                    .map(|(name, inner)| (inner, below(name))),
            );
        }
        Ok(())
    }

    async fn array(&mut self, array: &Array, path: String) -> Result<(), Failure> {
        let mut zarray = array_document(array);
        let grid = array.chunk_grid();
        let mut chunks = Vec::new();
        match &array.content {
            Content::Inline(bytes) => chunks.push((0, Target::Inline(bytes.clone()))),
            Content::Deferred(deferred) => chunks.push((0, Target::Inline(deferred.source.make()))),
            Content::Fields {
                group,
                array: number,
            } => {
                let data_type = if array.data_type == DataType::Float64 {
                    "float64"
                } else {
                    "float32"
                };
                let filters = json!([{"id": "grib", "var": array.name, "dtype": data_type}]);
                if let Some(members) = zarray.as_object_mut() {
                    members.insert("filters".to_owned(), filters);
                }
                for linear in 0..array.chunk_count() {
                    match self.view.cell(*group, *number, &grid, linear) {
                        CellState::Gap => {}
                        CellState::Pending(_) => {
                            self.lost.push(format!(
                                "{path}/{}: not readable here either",
                                crate::zarr::key::chunk_key(linear, &grid)
                            ));
                        }
                        CellState::Present(row) => match self.target(row).await? {
                            Ok(target) => chunks.push((linear, target)),
                            Err(why) => self.lost.push(format!(
                                "{path}/{}: {why}",
                                crate::zarr::key::chunk_key(linear, &grid)
                            )),
                        },
                    }
                }
            }
        }
        self.arrays.push(ExportArray {
            path,
            zarray,
            zattrs: array_attributes(array),
            grid,
            chunks,
        });
        Ok(())
    }

    /// The reference of a row, or why there can be none.
    async fn target(&self, row: RowId) -> Result<Result<Target, String>, Failure> {
        let Some(row) = usize::try_from(row)
            .ok()
            .and_then(|row| self.table.rows.get(row))
        else {
            return Ok(Err("no such row".to_owned()));
        };
        if row.field > 0 {
            return Ok(Err(
                "a second field of its message, which these formats cannot name".to_owned(),
            ));
        }
        let grid = self
            .table
            .kinds
            .get(row.kind as usize)
            .and_then(|kind| self.table.grids.get(kind.grid? as usize))
            .and_then(|grid| crate::grib::grid::Grid::parse(&grid.section3).ok());
        if grid.is_some_and(|grid| !grid.cell_order().is_row_major()) {
            return Ok(Err(
                "its scanning order would be read as it is stored".to_owned()
            ));
        }
        let Some(location) = self
            .table
            .objects
            .get(row.object as usize)
            .map(|object| object.location.clone())
        else {
            return Ok(Err("no such object".to_owned()));
        };
        let length = match row.length {
            Some(length) => length,
            None => self.length(&location, row.offset).await?,
        };
        Ok(Ok(Target::Object {
            url: location.as_str().to_owned(),
            offset: row.offset,
            length: Some(length),
        }))
    }

    /// The length of a message as its section 0 tells it.
    async fn length(&self, location: &Location, offset: u64) -> Result<u64, Failure> {
        let fetched = self
            .storage
            .get(location, ByteRange::new(offset, 16), Short::Refuse)
            .await
            .map_err(Failure::failed)?;
        let indicator =
            crate::grib::section::Indicator::parse(&fetched.bytes).map_err(Failure::failed)?;
        Ok(indicator.length)
    }
}

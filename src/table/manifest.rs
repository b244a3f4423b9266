//! Many tables' summaries in one small file, so that a directory of 5,000 tables opens with one read.
//!
//! Runs of one product are laid out alike: the same kinds, steps and members, only another run. So a manifest holds each
//! layout once, and of each table its name, size, `ETag`, runs, and the number of its layout.
//!
//! A manifest is a copy of what the tables say, never the truth: whoever uses it lists the directory and reads the footers
//! of tables whose name, size and `ETag` it does not find here ([`Manifest::find`]).

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::meta::{KindSummary, Summary};
use super::pack::{Pool, from_json, unzip, zip};
use super::row::{GridRecord, Kind, Status};
use super::schema::TableError;
use crate::time::{Instant, Window};

/// File name of a manifest in a directory of tables. No pattern for tables matches it.
pub const MANIFEST_NAME: &str = ".gribfs-manifest";

const FORMAT: &str = "gribfs manifest";
const VERSION: u32 = 1;

/// Most bytes that a manifest may unfold to.
const UNPACKED_BYTES: u64 = 256 << 20;

/// A table file as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId {
    /// File name within the directory.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// `ETag` or modification time, as text that changes with the content.
    pub version: Option<String>,
}

/// What tables of one product share: kinds in their order, with rows, steps and members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The tables' grids, as positions in [`Manifest::grids`].
    pub grids: Vec<u32>,
    /// One for each kind, in the order of rows.
    pub spans: Vec<LayoutSpan>,
}

/// The rows of one kind in a [`Layout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutSpan {
    /// Position in [`Manifest::kinds`]; that kind's grid is a position in [`Manifest::grids`].
    pub kind: u32,
    /// Position of its first row in the table.
    pub first_row: u64,
    /// Count of its rows.
    pub rows: u64,
    /// Count of those that are placed.
    pub placed: u64,
    /// Its runs, where they are not all of the table's.
    pub runs: Option<Arc<[Instant]>>,
    /// Its windows.
    pub windows: Arc<[Window]>,
    /// Its members.
    pub members: Arc<[Option<i16>]>,
}

/// One table of a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The file.
    pub id: TableId,
    /// Position in [`Manifest::layouts`].
    pub layout: u32,
    /// Runs of its rows, ascending.
    pub runs: Arc<[Instant]>,
    /// Those that are complete.
    pub complete_runs: Arc<[Instant]>,
    /// Count of objects.
    pub objects: u64,
    /// Count of rows.
    pub rows: u64,
    /// Counts of rows by status.
    pub statuses: Vec<(Status, u64)>,
}

/// The summaries of many tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Kinds of all tables, each once; their `grid` is a position in `grids` of this manifest.
    pub kinds: Vec<Kind>,
    /// Grids of all tables, each once.
    pub grids: Vec<GridRecord>,
    /// Layouts.
    pub layouts: Vec<Layout>,
    /// Tables, by name.
    pub tables: Vec<TableEntry>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    format: String,
    version: u32,
    kinds: Vec<Kind>,
    grids: Vec<String>,
    runs: Vec<Vec<i64>>,
    windows: Vec<Vec<(i64, i64)>>,
    members: Vec<Vec<Option<i16>>>,
    layouts: Vec<StoredLayout>,
    tables: Vec<StoredTable>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct StoredLayout {
    grids: Vec<u32>,
    spans: Vec<StoredSpan>,
}

/// kind, rows, placed, runs, windows, members: the last three are positions of lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct StoredSpan(u32, u64, u64, Option<usize>, usize, usize);

#[derive(Debug, Serialize, Deserialize)]
struct StoredTable {
    id: TableId,
    layout: u32,
    runs: usize,
    complete: usize,
    objects: u64,
    statuses: Vec<(String, u64)>,
}

impl Manifest {
    /// Makes the bytes of a manifest from tables' summaries. The same tables give the same bytes.
    ///
    /// # Errors
    /// [`TableError::TooMany`] beyond 2^32 of anything, [`TableError::Damaged`] for a summary whose kinds name no grid.
    pub fn encode<'a>(
        tables: impl IntoIterator<Item = (&'a TableId, &'a Summary)>,
    ) -> Result<Vec<u8>, TableError> {
        let mut tables: Vec<(&TableId, &Summary)> = tables.into_iter().collect();
        tables.sort_by(|a, b| a.0.cmp(b.0));
        let mut grids = Pool::new();
        let mut kinds = Pool::new();
        let mut layouts = Pool::new();
        let (mut runs, mut windows, mut members) = (Pool::new(), Pool::new(), Pool::new());
        let mut stored = Stored {
            format: FORMAT.to_owned(),
            version: VERSION,
            ..Stored::default()
        };
        for (id, summary) in tables {
            let grid_ids = summary
                .grids
                .iter()
                .map(|grid| narrow(grids.position(grid.clone())))
                .collect::<Result<Vec<u32>, _>>()?;
            let all_runs = summary.runs();
            let mut spans = Vec::with_capacity(summary.kinds.len());
            for (kind, span) in summary.kinds.iter().zip(&summary.spans) {
                let grid = match kind.grid {
                    Some(local) => {
                        let known = usize::try_from(local).ok().and_then(|at| grid_ids.get(at));
                        Some(*known.ok_or_else(|| {
                            TableError::damaged(format!("a kind is on grid {local}"))
                        })?)
                    }
                    None => None,
                };
                let kind = kinds.position(Kind {
                    grid,
                    ..kind.clone()
                });
                let own_runs =
                    (*span.runs != *all_runs).then(|| runs.position(seconds(&span.runs)));
                spans.push(StoredSpan(
                    narrow(kind)?,
                    span.rows,
                    span.placed,
                    own_runs,
                    windows.position(
                        span.windows
                            .iter()
                            .map(|window| (window.start, window.end))
                            .collect(),
                    ),
                    members.position(span.members.to_vec()),
                ));
            }
            let layout = layouts.position(StoredLayout {
                grids: grid_ids,
                spans,
            });
            stored.tables.push(StoredTable {
                id: id.clone(),
                layout: narrow(layout)?,
                runs: runs.position(seconds(&all_runs)),
                complete: runs.position(seconds(&summary.complete_runs)),
                objects: summary.objects,
                statuses: summary
                    .statuses
                    .iter()
                    .map(|(status, count)| (status.as_str().to_owned(), *count))
                    .collect(),
            });
        }
        stored.grids = grids
            .into_values()
            .iter()
            .map(|grid| BASE64.encode(&grid.section3))
            .collect();
        stored.kinds = kinds.into_values();
        stored.layouts = layouts.into_values();
        stored.runs = runs.into_values();
        stored.windows = windows.into_values();
        stored.members = members.into_values();
        zip(&stored)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`TableError::Damaged`] for anything that does not hold, [`TableError::TooNew`] for a later version: read the tables'
    /// own footers then.
    pub fn decode(bytes: &[u8]) -> Result<Self, TableError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let text = unzip("manifest", bytes, UNPACKED_BYTES)?;
        let head: Head = from_json("manifest", &text)?;
        if head.format != FORMAT {
            return Err(TableError::damaged("not a manifest of gribfs"));
        }
        if head.version > VERSION {
            return Err(TableError::TooNew {
                found: head.version,
            });
        }
        let stored: Stored = from_json("manifest", &text)?;
        Lists::of(&stored).manifest(stored)
    }

    /// The table of this name, size and version.
    #[must_use]
    pub fn find(&self, id: &TableId) -> Option<&TableEntry> {
        let at = self
            .tables
            .binary_search_by(|entry| entry.id.cmp(id))
            .ok()?;
        self.tables.get(at)
    }

    /// A table's summary, as its own footer has it.
    #[must_use]
    pub fn summary(&self, entry: &TableEntry) -> Summary {
        let mut summary = Summary {
            rows: entry.rows,
            complete_runs: entry.complete_runs.to_vec(),
            objects: entry.objects,
            statuses: entry.statuses.clone(),
            ..Summary::default()
        };
        let layout = usize::try_from(entry.layout)
            .ok()
            .and_then(|at| self.layouts.get(at));
        let Some(layout) = layout else {
            return summary;
        };
        let at = |index: &u32| usize::try_from(*index).ok();
        summary.grids = layout
            .grids
            .iter()
            .filter_map(|grid| self.grids.get(at(grid)?).cloned())
            .collect();
        let local: HashMap<u32, u32> = layout.grids.iter().copied().zip(0..).collect();
        for span in &layout.spans {
            let Some(kind) = at(&span.kind).and_then(|kind| self.kinds.get(kind)) else {
                continue;
            };
            summary.kinds.push(Kind {
                grid: kind.grid.and_then(|grid| local.get(&grid).copied()),
                ..kind.clone()
            });
            summary.spans.push(KindSummary {
                first_row: span.first_row,
                rows: span.rows,
                placed: span.placed,
                runs: Arc::clone(span.runs.as_ref().unwrap_or(&entry.runs)),
                windows: Arc::clone(&span.windows),
                members: Arc::clone(&span.members),
            });
        }
        summary
    }
}

/// The lists that spans and tables name by position.
struct Lists {
    runs: Vec<Arc<[Instant]>>,
    windows: Vec<Arc<[Window]>>,
    members: Vec<Arc<[Option<i16>]>>,
}

impl Lists {
    fn of(stored: &Stored) -> Self {
        let windows = |list: &Vec<(i64, i64)>| {
            list.iter()
                .map(|&(start, end)| Window { start, end })
                .collect()
        };
        Self {
            runs: stored
                .runs
                .iter()
                .map(|list| list.iter().copied().map(Instant).collect())
                .collect(),
            windows: stored.windows.iter().map(windows).collect(),
            members: stored
                .members
                .iter()
                .map(|list| list.as_slice().into())
                .collect(),
        }
    }

    fn manifest(&self, stored: Stored) -> Result<Manifest, TableError> {
        let damaged = || TableError::damaged("the manifest names what it does not hold");
        let within = |index: u32, count: usize| {
            usize::try_from(index)
                .ok()
                .filter(|index| *index < count)
                .ok_or_else(damaged)
        };
        for grid in stored.kinds.iter().filter_map(|kind| kind.grid) {
            within(grid, stored.grids.len())?;
        }
        let layouts = stored
            .layouts
            .iter()
            .map(|layout| {
                for grid in &layout.grids {
                    within(*grid, stored.grids.len())?;
                }
                let spans = self.spans(layout, stored.kinds.len())?;
                Ok(Layout {
                    grids: layout.grids.clone(),
                    spans,
                })
            })
            .collect::<Result<Vec<Layout>, TableError>>()?;
        let mut tables = Vec::with_capacity(stored.tables.len());
        for table in stored.tables {
            let layout = layouts
                .get(within(table.layout, layouts.len())?)
                .ok_or_else(damaged)?;
            let list = |at: usize| self.runs.get(at).cloned().ok_or_else(damaged);
            let statuses = table.statuses.iter().map(|(word, count)| {
                Status::from_word(word)
                    .map(|status| (status, *count))
                    .ok_or_else(damaged)
            });
            tables.push(TableEntry {
                layout: table.layout,
                runs: list(table.runs)?,
                complete_runs: list(table.complete)?,
                objects: table.objects,
                rows: layout
                    .spans
                    .last()
                    .map_or(0, |span| span.first_row + span.rows),
                statuses: statuses.collect::<Result<_, _>>()?,
                id: table.id,
            });
        }
        if !tables.is_sorted_by(|a, b| a.id < b.id) {
            return Err(TableError::damaged(
                "the manifest's tables are not in order",
            ));
        }
        let grids = stored.grids.iter().map(|text| {
            BASE64
                .decode(text)
                .map(|section3| GridRecord { section3 })
                .map_err(|error| TableError::damaged(format!("manifest: {error}")))
        });
        Ok(Manifest {
            grids: grids.collect::<Result<_, _>>()?,
            kinds: stored.kinds,
            layouts,
            tables,
        })
    }

    fn spans(&self, layout: &StoredLayout, kinds: usize) -> Result<Vec<LayoutSpan>, TableError> {
        let damaged = || TableError::damaged("the manifest names what it does not hold");
        let mut first_row = 0_u64;
        layout
            .spans
            .iter()
            .map(|&StoredSpan(kind, rows, placed, runs, windows, members)| {
                if usize::try_from(kind).is_ok_and(|kind| kind >= kinds) || placed > rows {
                    return Err(damaged());
                }
                let span = LayoutSpan {
                    kind,
                    first_row,
                    rows,
                    placed,
                    runs: match runs {
                        Some(at) => Some(self.runs.get(at).cloned().ok_or_else(damaged)?),
                        None => None,
                    },
                    windows: self.windows.get(windows).cloned().ok_or_else(damaged)?,
                    members: self.members.get(members).cloned().ok_or_else(damaged)?,
                };
                first_row = first_row.checked_add(rows).ok_or_else(damaged)?;
                Ok(span)
            })
            .collect()
    }
}

fn seconds(runs: &[Instant]) -> Vec<i64> {
    runs.iter().map(|run| run.0).collect()
}

fn narrow(index: usize) -> Result<u32, TableError> {
    u32::try_from(index).map_err(|_error| TableError::TooMany {
        what: "entries of a manifest",
    })
}

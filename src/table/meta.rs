//! What a table's footer says beside the columns: kinds, grids, complete runs, and a summary of the axes of each kind.
//!
//! Key-value metadata of the Parquet file. `gribfs.kinds` and `gribfs.summary` are JSON, compressed with zstd and written in
//! base64, because a footer is not compressed and the kinds of one GFS run are 300 KB of JSON. With the summary a mount
//! knows runs, steps and members of every array without touching a row.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use parquet::file::metadata::KeyValue;
use serde::{Deserialize, Serialize};

use super::pack::{Pool, from_json, json, pack, unpack};
use super::row::{GridRecord, Kind, Row, Status};
use super::schema::{SCHEMA_VERSION, TableError};
use crate::time::{Instant, Window};

const KEY_VERSION: &str = "gribfs.schema_version";
const KEY_KINDS: &str = "gribfs.kinds";
const KEY_GRIDS: &str = "gribfs.grids";
const KEY_COMPLETE: &str = "gribfs.complete_runs";
const KEY_SUMMARY: &str = "gribfs.summary";
const KEY_CHECKSUMS: &str = "gribfs.checksums";

/// Entries that the footer's own checksum covers, in this order.
const CHECKED_KEYS: [&str; 4] = [KEY_KINDS, KEY_GRIDS, KEY_COMPLETE, KEY_SUMMARY];

/// What the rows of one kind span. Rows of a kind lie together, so `first_row` and `rows` are all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindSummary {
    /// Position of its first row in the file.
    pub first_row: u64,
    /// Count of its rows, of any status.
    pub rows: u64,
    /// Count of its rows that are placed.
    pub placed: u64,
    /// Runs, ascending.
    pub runs: Arc<[Instant]>,
    /// Windows, ascending by end, then start.
    pub windows: Arc<[Window]>,
    /// Members, ascending; `None` stands for rows without one.
    pub members: Arc<[Option<i16>]>,
}

impl KindSummary {
    /// Whether every run, window and member has its placed row: then the rows need not be read to know what exists.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        let cells = [self.runs.len(), self.windows.len(), self.members.len()]
            .into_iter()
            .try_fold(1_u64, |product, count| {
                product.checked_mul(u64::try_from(count).ok()?)
            });
        self.placed == self.rows && cells == Some(self.rows)
    }
}

/// A table without its rows: all that its footer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Count of rows.
    pub rows: u64,
    /// Kinds, in the order of their rows.
    pub kinds: Vec<Kind>,
    /// What the rows of each kind span, parallel to `kinds`.
    pub spans: Vec<KindSummary>,
    /// Grids.
    pub grids: Vec<GridRecord>,
    /// Runs known to be complete.
    pub complete_runs: Vec<Instant>,
    /// Count of objects.
    pub objects: u64,
    /// Counts of rows by status.
    pub statuses: Vec<(Status, u64)>,
}

impl Summary {
    /// Runs of any row, ascending.
    #[must_use]
    pub fn runs(&self) -> Vec<Instant> {
        let all: BTreeSet<Instant> = self
            .spans
            .iter()
            .flat_map(|span| span.runs.iter().copied())
            .collect();
        all.into_iter().collect()
    }
}

/// CRC-32 (ISO-HDLC) of what the file holds: Parquet writers seldom store any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksums {
    /// Of the footer's entries, one after another.
    metadata: u32,
    /// Of each row group's bytes.
    pub(crate) row_groups: Vec<u32>,
}

impl Checksums {
    fn of_metadata<'a>(find: impl Fn(&str) -> Option<&'a str>) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for key in CHECKED_KEYS {
            hasher.update(find(key).unwrap_or_default().as_bytes());
        }
        hasher.finalize()
    }
}

/// The summary as it is stored: lists that many kinds share stand once, and kinds name them by position.
#[derive(Debug, Default, Serialize, Deserialize)]
struct StoredSummary {
    rows: u64,
    objects: u64,
    statuses: Vec<(String, u64)>,
    runs: Vec<Vec<i64>>,
    windows: Vec<Vec<(i64, i64)>>,
    members: Vec<Vec<Option<i16>>>,
    spans: Vec<StoredSpan>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredSpan {
    first_row: u64,
    rows: u64,
    placed: u64,
    runs: usize,
    windows: usize,
    members: usize,
}

/// Gathers the summary while rows go by in their final order.
pub(crate) struct Gatherer {
    stored: StoredSummary,
    runs: Pool<Vec<i64>>,
    windows: Pool<Vec<(i64, i64)>>,
    members: Pool<Vec<Option<i16>>>,
    statuses: [u64; Status::ALL.len()],
}

impl Gatherer {
    pub(crate) fn new() -> Self {
        Self {
            stored: StoredSummary::default(),
            runs: Pool::new(),
            windows: Pool::new(),
            members: Pool::new(),
            statuses: [0; Status::ALL.len()],
        }
    }

    /// Takes all rows of the next kind.
    pub(crate) fn kind<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) {
        let (mut runs, mut windows) = (Vec::new(), Vec::new());
        let mut members = BTreeSet::new();
        // One bit for each number that was seen: rows of an ensemble name all of them again and again.
        let mut seen = vec![0_u64; 1024];
        let (mut count, mut placed) = (0_u64, 0_u64);
        for row in rows {
            count += 1;
            placed += u64::from(row.status == Status::Placed);
            if let Some(slot) = Status::ALL
                .iter()
                .position(|status| *status == row.status)
                .and_then(|at| self.statuses.get_mut(at))
            {
                *slot += 1;
            }
            // Rows come by run, step, member: neighbours repeat, so looking at the last spares most insertions.
            if runs.last() != Some(&row.reference.0) {
                runs.push(row.reference.0);
            }
            let window = (row.window.end, row.window.start);
            if windows.last() != Some(&window) {
                windows.push(window);
            }
            let number = row.member.map(i16::cast_unsigned);
            let bits = number.and_then(|number| seen.get_mut(usize::from(number >> 6)));
            let is_new = match (bits, number) {
                (Some(bits), Some(number)) => {
                    let bit = 1 << (number & 63);
                    let is_new = *bits & bit == 0;
                    *bits |= bit;
                    is_new
                }
                (None, _) | (_, None) => !members.contains(&None),
            };
            if is_new {
                members.insert(row.member);
            }
        }
        runs.dedup();
        windows.sort_unstable();
        windows.dedup();
        self.stored.spans.push(StoredSpan {
            first_row: self.stored.rows,
            rows: count,
            placed,
            runs: self.runs.position(runs),
            windows: self.windows.position(
                windows
                    .into_iter()
                    .map(|(end, start)| (start, end))
                    .collect(),
            ),
            members: self.members.position(members.into_iter().collect()),
        });
        self.stored.rows += count;
    }

    /// The entries of the footer.
    pub(crate) fn finish(
        mut self,
        kinds: &[&Kind],
        grids: &[GridRecord],
        complete_runs: &[Instant],
        objects: usize,
        row_groups: Vec<u32>,
    ) -> Result<Vec<KeyValue>, TableError> {
        self.stored.objects = u64::try_from(objects).unwrap_or(u64::MAX);
        self.stored.runs = self.runs.into_values();
        self.stored.windows = self.windows.into_values();
        self.stored.members = self.members.into_values();
        self.stored.statuses = Status::ALL
            .iter()
            .zip(self.statuses)
            .filter(|(_, count)| *count > 0)
            .map(|(status, count)| (status.as_str().to_owned(), count))
            .collect();
        let mut complete: Vec<i64> = complete_runs.iter().map(|run| run.0).collect();
        complete.sort_unstable();
        complete.dedup();
        let grids: Vec<String> = grids
            .iter()
            .map(|grid| BASE64.encode(&grid.section3))
            .collect();
        let mut entries = vec![
            KeyValue::new(KEY_VERSION.to_owned(), SCHEMA_VERSION.to_string()),
            KeyValue::new(KEY_KINDS.to_owned(), pack(kinds)?),
            KeyValue::new(KEY_GRIDS.to_owned(), json(&grids)?),
            KeyValue::new(KEY_COMPLETE.to_owned(), json(&complete)?),
            KeyValue::new(KEY_SUMMARY.to_owned(), pack(&self.stored)?),
        ];
        let checksums = Checksums {
            metadata: Checksums::of_metadata(|key| find(&entries, key)),
            row_groups,
        };
        entries.push(KeyValue::new(KEY_CHECKSUMS.to_owned(), json(&checksums)?));
        Ok(entries)
    }
}

fn find<'a>(entries: &'a [KeyValue], key: &str) -> Option<&'a str> {
    entries
        .iter()
        .find(|entry| entry.key == key)
        .and_then(|entry| entry.value.as_deref())
}

/// Reads the footer's entries, and checks them against each other and the file's count of rows.
pub(crate) fn parse(
    entries: &[KeyValue],
    file_rows: u64,
) -> Result<(Summary, Checksums), TableError> {
    let find = |key: &str| find(entries, key);
    let need = |key: &str| find(key).ok_or_else(|| TableError::damaged(format!("no {key}")));
    let version = find(KEY_VERSION).ok_or_else(|| TableError::NotATable {
        reason: format!("a Parquet file without {KEY_VERSION} in its metadata"),
    })?;
    let version: u32 = version
        .parse()
        .map_err(|_error| TableError::damaged(format!("{KEY_VERSION} is {version:?}")))?;
    if version > SCHEMA_VERSION {
        return Err(TableError::TooNew { found: version });
    }
    let checksums: Checksums = from_json(KEY_CHECKSUMS, need(KEY_CHECKSUMS)?.as_bytes())?;
    if checksums.metadata != Checksums::of_metadata(find) {
        return Err(TableError::damaged("the footer's checksum does not hold"));
    }
    let kinds: Vec<Kind> = unpack(KEY_KINDS, need(KEY_KINDS)?)?;
    let stored: StoredSummary = unpack(KEY_SUMMARY, need(KEY_SUMMARY)?)?;
    let complete: Vec<i64> = from_json(KEY_COMPLETE, need(KEY_COMPLETE)?.as_bytes())?;
    let grids: Vec<String> = from_json(KEY_GRIDS, need(KEY_GRIDS)?.as_bytes())?;
    let grids = grids
        .iter()
        .map(|text| {
            BASE64
                .decode(text)
                .map(|section3| GridRecord { section3 })
                .map_err(|error| TableError::damaged(format!("{KEY_GRIDS}: {error}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(grid) = kinds
        .iter()
        .filter_map(|kind| kind.grid)
        .find(|grid| usize::try_from(*grid).is_ok_and(|grid| grid >= grids.len()))
    {
        return Err(TableError::damaged(format!(
            "a kind is on grid {grid} of {}",
            grids.len()
        )));
    }
    let spans = spans(&stored)?;
    if spans.len() != kinds.len() || stored.rows != file_rows {
        return Err(TableError::damaged(format!(
            "{} kinds and {file_rows} rows, but the summary has {} and {}",
            kinds.len(),
            spans.len(),
            stored.rows
        )));
    }
    let statuses = stored
        .statuses
        .iter()
        .map(|(word, count)| {
            Status::from_word(word)
                .map(|status| (status, *count))
                .ok_or_else(|| TableError::damaged(format!("status {word:?}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let summary = Summary {
        rows: file_rows,
        kinds,
        spans,
        grids,
        complete_runs: complete.into_iter().map(Instant).collect(),
        objects: stored.objects,
        statuses,
    };
    Ok((summary, checksums))
}

fn spans(stored: &StoredSummary) -> Result<Vec<KindSummary>, TableError> {
    let runs: Vec<Arc<[Instant]>> = stored
        .runs
        .iter()
        .map(|list| list.iter().copied().map(Instant).collect())
        .collect();
    let windows: Vec<Arc<[Window]>> = stored
        .windows
        .iter()
        .map(|list| {
            list.iter()
                .map(|&(start, end)| Window { start, end })
                .collect()
        })
        .collect();
    let members: Vec<Arc<[Option<i16>]>> = stored
        .members
        .iter()
        .map(|list| list.as_slice().into())
        .collect();
    let mut next = 0_u64;
    let mut spans = Vec::with_capacity(stored.spans.len());
    for span in &stored.spans {
        let lists = (
            runs.get(span.runs),
            windows.get(span.windows),
            members.get(span.members),
        );
        let (Some(runs), Some(windows), Some(members)) = lists else {
            return Err(TableError::damaged(
                "the summary names a list that it lacks",
            ));
        };
        if span.first_row != next || span.placed > span.rows {
            return Err(TableError::damaged(
                "the summary's rows do not follow each other",
            ));
        }
        next = next
            .checked_add(span.rows)
            .ok_or_else(|| TableError::damaged("the summary counts too many rows"))?;
        spans.push(KindSummary {
            first_row: span.first_row,
            rows: span.rows,
            placed: span.placed,
            runs: Arc::clone(runs),
            windows: Arc::clone(windows),
            members: Arc::clone(members),
        });
    }
    if next != stored.rows {
        return Err(TableError::damaged("the summary's rows do not add up"));
    }
    Ok(spans)
}

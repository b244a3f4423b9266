//! An archive as parts: what each table says of its rows, without the rows.
//!
//! Rows of all parts have numbers of 64 bits: a part's first number, its `base`, is given once and never again, so a number means
//! the same row as long as the process lives, whatever parts come and go. A part knows the runs, steps and members of each of its
//! kinds from its table's footer; rows themselves are read when somebody wants a message. Only kinds with holes (a message that has
//! not arrived, two that claim one cell) have their rows read when a collection is made.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use crate::table::manifest::{Manifest, TableEntry};
use crate::table::meta::Summary;
use crate::table::row::{GridRecord, Kind, Status, Table};
use crate::time::{Instant, Window};

/// Number of a row among all that a process has seen.
pub type RowId = u64;

/// Rows of one table, read when wanted.
pub trait PartSource: Send + Sync + fmt::Debug {
    /// Rows by their positions in the table, with all that they name. May read a file or ask a server.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    fn rows(&self, range: Range<u64>) -> Result<Arc<Table>, String>;

    /// Lengths of the messages of all rows, in order; `None` where it is not known. May read a file or ask a server.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    fn lengths(&self) -> Result<Vec<Option<NonZeroU64>>, String>;
}

/// Finds rows by number.
pub trait RowSource: Send + Sync + fmt::Debug {
    /// A table that holds the row, and its position there. May read a file or ask a server: not for threads that must not wait.
    ///
    /// # Errors
    /// Why the row cannot be read.
    fn locate(&self, row: RowId) -> Result<(Arc<Table>, usize), String>;

    /// The same if it is in memory. Answers at once.
    fn peek(&self, row: RowId) -> Option<(Arc<Table>, usize)>;

    /// All rows of a row's table that lie in the same object. May read a file or ask a server.
    ///
    /// # Errors
    /// As [`RowSource::locate`].
    fn companions(&self, row: RowId) -> Result<Arc<Table>, String>;

    /// A row that came later for the same cell of the same run as one that had not arrived. May read a file or ask a server.
    fn arrived(&self, _pending: RowId) -> Option<RowId> {
        None
    }
}

/// What the rows of one kind span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Position of its first row in the table.
    pub first_row: u64,
    /// Count of its rows.
    pub rows: u64,
    /// Count of those that are placed.
    pub placed: u64,
    /// Its runs, where they are not all of the part's.
    pub runs: Option<Arc<[Instant]>>,
    /// Its windows, ascending by end, then start.
    pub windows: Arc<[Window]>,
    /// Its members, ascending; `None` stands for rows without one.
    pub members: Arc<[Option<i16>]>,
}

/// What parts of one product share: kinds in the order of their rows, and what these span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartLayout {
    /// Kinds; their grids are positions in `grids`.
    pub kinds: Vec<Kind>,
    /// Grids.
    pub grids: Vec<GridRecord>,
    /// Parallel to `kinds`; empty if nothing is known beforehand and all rows are to be read.
    pub spans: Vec<Span>,
}

/// What a table counts of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartCounts {
    /// Count of objects.
    pub objects: u64,
    /// Counts of rows by status.
    pub statuses: Vec<(Status, u64)>,
}

/// One table.
#[derive(Clone, Debug)]
pub struct Part {
    /// Number of its first row.
    pub base: RowId,
    /// Count of its rows.
    pub rows: u64,
    /// Kinds and what they span; parts of one product share it.
    pub layout: Arc<PartLayout>,
    /// Its runs, ascending.
    pub runs: Arc<[Instant]>,
    /// Those that are complete.
    pub complete_runs: Arc<[Instant]>,
    /// What it counts.
    pub counts: PartCounts,
    /// Its rows.
    pub source: Arc<dyn PartSource>,
}

/// Tables that are shown as one collection.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    /// The parts, in the order of their names: the first one's grids come first.
    pub parts: Vec<Arc<Part>>,
}

/// A table in memory is one part, all of whose rows are looked at.
#[derive(Debug)]
struct InMemory(Arc<Table>);

impl PartSource for InMemory {
    fn rows(&self, range: Range<u64>) -> Result<Arc<Table>, String> {
        if range.start == 0 && range.end >= self.0.rows.len() as u64 {
            Ok(Arc::clone(&self.0))
        } else {
            Err("a table in memory is read as a whole".to_owned())
        }
    }

    fn lengths(&self) -> Result<Vec<Option<NonZeroU64>>, String> {
        let rows = self.0.rows.iter();
        Ok(rows
            .map(|row| row.length.and_then(NonZeroU64::new))
            .collect())
    }
}

impl RowSource for InMemory {
    fn locate(&self, row: RowId) -> Result<(Arc<Table>, usize), String> {
        self.peek(row)
            .ok_or_else(|| format!("the table has no row {row}"))
    }

    fn companions(&self, row: RowId) -> Result<Arc<Table>, String> {
        let (table, at) = self.locate(row)?;
        let object = table.rows.get(at).map(|row| row.object);
        let rows = table.rows.iter().filter(|row| Some(row.object) == object);
        Ok(Arc::new(Table {
            rows: rows.cloned().collect(),
            objects: table.objects.clone(),
            kinds: table.kinds.clone(),
            grids: table.grids.clone(),
            complete_runs: Vec::new(),
        }))
    }

    fn peek(&self, row: RowId) -> Option<(Arc<Table>, usize)> {
        let at = usize::try_from(row).ok()?;
        (at < self.0.rows.len()).then(|| (Arc::clone(&self.0), at))
    }
}

/// The rows of a table in memory, by position.
#[must_use]
pub fn rows_of(table: Arc<Table>) -> Arc<dyn RowSource> {
    Arc::new(InMemory(table))
}

impl PartLayout {
    /// What a table's footer says, and its runs.
    #[must_use]
    pub fn of_summary(summary: &Summary) -> (Self, Arc<[Instant]>) {
        let runs: Arc<[Instant]> = summary.runs().into();
        let spans = summary.spans.iter().map(|span| Span {
            first_row: span.first_row,
            rows: span.rows,
            placed: span.placed,
            runs: (*span.runs != *runs).then(|| Arc::clone(&span.runs)),
            windows: Arc::clone(&span.windows),
            members: Arc::clone(&span.members),
        });
        let layout = Self {
            spans: spans.collect(),
            kinds: summary.kinds.clone(),
            grids: summary.grids.clone(),
        };
        (layout, runs)
    }

    /// What a manifest says of a table.
    #[must_use]
    pub fn of_entry(manifest: &Manifest, entry: &TableEntry) -> Self {
        let mut layout = Self::of_summary(&manifest.summary(entry)).0;
        let spans = usize::try_from(entry.layout)
            .ok()
            .and_then(|at| manifest.layouts.get(at))
            .map(|layout| layout.spans.as_slice())
            .unwrap_or_default();
        // The same question with the manifest's own answer: it shares the lists.
        for (span, stored) in layout.spans.iter_mut().zip(spans) {
            span.runs.clone_from(&stored.runs);
        }
        layout
    }
}

impl Span {
    /// Whether every run, window and member has its placed row, and each of them a cell of its own: then the position of a row
    /// follows from them.
    fn is_regular(&self, runs: &[Instant]) -> bool {
        let own = self.runs.as_deref().unwrap_or(runs);
        let cells = [own.len(), self.windows.len(), self.members.len()]
            .into_iter()
            .try_fold(1_u64, |product, count| {
                product.checked_mul(u64::try_from(count).ok()?)
            });
        let ends_differ = self
            .windows
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.end < b.end));
        let members_differ = !(self.members.contains(&None) && self.members.contains(&Some(0)));
        self.placed == self.rows && cells == Some(self.rows) && ends_differ && members_differ
    }
}

impl Part {
    /// A table in memory as a part of its own.
    #[must_use]
    pub fn of_table(table: Arc<Table>) -> Self {
        let mut runs: Vec<Instant> = table.rows.iter().map(|row| row.reference).collect();
        runs.sort_unstable();
        runs.dedup();
        Self {
            base: 0,
            rows: table.rows.len() as u64,
            layout: Arc::new(PartLayout {
                kinds: table.kinds.clone(),
                grids: table.grids.clone(),
                spans: Vec::new(),
            }),
            runs: runs.into(),
            complete_runs: table.complete_runs.clone().into(),
            counts: PartCounts {
                objects: table.objects.len() as u64,
                statuses: count_by_status(&table),
            },
            source: Arc::new(InMemory(table)),
        }
    }

    /// Positions in the layout of kinds whose rows need not be read to know what there is.
    pub(super) fn regular(&self) -> Vec<bool> {
        let spans = self.layout.spans.iter();
        spans.map(|span| span.is_regular(&self.runs)).collect()
    }

    /// Ranges of the rows that must be read to know what there is.
    pub(super) fn irregular_rows(&self) -> Vec<Range<u64>> {
        if self.layout.spans.is_empty() {
            return std::iter::once(0..self.rows).collect();
        }
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (span, regular) in self.layout.spans.iter().zip(self.regular()) {
            let own = span.first_row..span.first_row.saturating_add(span.rows);
            match ranges.last_mut() {
                _ if regular || own.is_empty() => {}
                Some(last) if last.end == own.start => last.end = own.end,
                Some(_) | None => ranges.push(own),
            }
        }
        ranges
    }
}

/// Counts of a table's rows by status.
fn count_by_status(table: &Table) -> Vec<(Status, u64)> {
    let count = |status| {
        let rows = table.rows.iter().filter(|row| row.status == status);
        (status, rows.count() as u64)
    };
    let all = Status::ALL.into_iter().map(count);
    all.filter(|(_, count)| *count > 0).collect()
}

impl Archive {
    /// A table in memory.
    #[must_use]
    pub fn of_table(table: Arc<Table>) -> Arc<Self> {
        Arc::new(Self {
            parts: vec![Arc::new(Part::of_table(table))],
        })
    }

    /// Count of all rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// Counts of rows by status.
    #[must_use]
    pub fn statuses(&self) -> Vec<(Status, u64)> {
        let counts = self.parts.iter().flat_map(|part| &part.counts.statuses);
        let count = |status| {
            let same = counts.clone().filter(|(own, _)| *own == status);
            (status, same.map(|(_, count)| count).sum())
        };
        let all = Status::ALL.into_iter().map(count);
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// Whether some table calls a run complete.
    #[must_use]
    pub fn is_complete(&self, run: Instant) -> bool {
        self.parts
            .iter()
            .any(|part| part.complete_runs.contains(&run))
    }

    /// Where a row's message lies, and whether it is a member of an ensemble by its own word.
    pub(super) fn reference(&self, row: RowId) -> Option<Reference> {
        let part = self
            .parts
            .iter()
            .find(|part| (part.base..part.base + part.rows).contains(&row))?;
        let at = row - part.base;
        let whole = part.layout.spans.is_empty();
        let range = if whole { 0..part.rows } else { at..at + 1 };
        let table = part.source.rows(range).ok()?;
        let at = if whole { usize::try_from(at).ok()? } else { 0 };
        let row = table.rows.get(at)?;
        let object = table.objects.get(row.object as usize)?;
        let kind = table.kinds.get(row.kind as usize)?;
        Some(Reference {
            place: (object.location.as_str().to_owned(), row.offset, row.field),
            is_member: kind
                .identity
                .as_ref()
                .is_some_and(|identity| identity.ensemble),
        })
    }
}

/// Where a message lies, and whether it is a member of an ensemble.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) place: (String, u64, u16),
    pub(super) is_member: bool,
}

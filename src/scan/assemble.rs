//! From index lines to rows: words joined with what headers taught.

use std::borrow::Cow;
use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};

use super::file::{Lines, Shared};
use super::hop::Hopped;
use super::learn::{LearnError, Learned, Sample, learn};
use crate::grib::identity::Member;
use crate::index::{IndexLine, When, url_facts};
use crate::location::Location;
use crate::table::row::Status;
use crate::time::{Instant, Window, step_text};

/// A window from the start of the run that ends later than this is a run total at every step: no centre resets that late without
/// its first windows having shown it.
const RUN_TOTAL_SHOWS: i64 = 6 * 3600;

/// Headers that one file waits for at once; storage has its own limit for all files.
const HEADERS_AT_ONCE: usize = 128;

/// Rows of one file, before kinds and grids have numbers.
#[derive(Debug, Default)]
pub(super) struct FileRows {
    pub(super) rows: Vec<DraftRow>,
    /// What rows are.
    pub(super) known: Vec<Arc<Learned>>,
    /// Words of rows.
    pub(super) words: Vec<String>,
}

/// A row of one file.
#[derive(Clone, Debug)]
pub(super) struct DraftRow {
    /// Index into [`FileRows::known`].
    pub(super) known: Option<usize>,
    /// Index into [`FileRows::words`].
    pub(super) words: Option<usize>,
    pub(super) reference: Instant,
    pub(super) window: Window,
    pub(super) member: Option<i16>,
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
    pub(super) field: u16,
    pub(super) status: Status,
    pub(super) reason: Option<Arc<str>>,
}

/// Joins the lines of an index file with what is known of their kinds; an error says why the index file is not believed.
pub(super) async fn assemble(
    location: &Location,
    product: &str,
    lines: &Lines,
    shared: &Shared,
) -> Result<FileRows, String> {
    let lookups: Vec<Lookup> = lines
        .lines
        .iter()
        .map(|line| Lookup::of(line, lines))
        .collect();
    let mut wanted: Vec<(&Lookup, &IndexLine)> = lookups.iter().zip(&lines.lines).collect();
    wanted.sort_by(|a, b| a.0.cmp(b.0));
    wanted.dedup_by(|a, b| a.0 == b.0);
    let mut known = resolve(location, product, &wanted, lines, shared).await;
    for (lookup, line) in &wanted {
        check_sample(
            location,
            line,
            find(&known, lookup).and_then(|found| found.as_ref().ok()),
        )?;
    }

    let named = url_facts(location.as_str()).member;
    // Members that neither the line nor the file's name tells: each has its own header read.
    // Windows that the text does not begin: where the first sample does not settle them, each step has its own.
    let by_step: Vec<Lookup> = lookups
        .iter()
        .zip(&lines.lines)
        .map(|(lookup, line)| match (line.when, find(&known, lookup)) {
            (_, Some(Ok(learned))) if named.is_none() && lacks_member(learned, line) => {
                Lookup::Own {
                    offset: line.offset,
                    field: line.field,
                }
            }
            (When::End(step), Some(Ok(learned))) if needs_own_step(learned, step) => {
                lookup.at_step(step)
            }
            _ => lookup.clone(),
        })
        .collect();
    let mut more: Vec<(&Lookup, &IndexLine)> = by_step
        .iter()
        .zip(&lines.lines)
        .filter(|(lookup, _)| find(&known, lookup).is_none())
        .collect();
    more.sort_by(|a, b| a.0.cmp(b.0));
    more.dedup_by(|a, b| a.0 == b.0);
    known.extend(resolve(location, product, &more, lines, shared).await);
    known.sort_by(|a, b| a.0.cmp(&b.0));

    let run_of_file = run_with_minutes(location, lines, &known, shared).await;
    Ok(rows(&by_step, lines, &known, run_of_file, named))
}

type Known = Vec<(Lookup, Result<Arc<Learned>, LearnError>)>;

fn find<'a>(known: &'a Known, lookup: &Lookup) -> Option<&'a Result<Arc<Learned>, LearnError>> {
    let at = known
        .binary_search_by(|(other, _)| other.cmp(lookup))
        .ok()?;
    known.get(at).map(|(_, learned)| learned)
}

/// What must be looked up for a line: its kind, or its own header.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lookup {
    /// The kind's words; for words without window a step of 0 counts as another kind, and so does each step that says so.
    Kind { kind: u32, step: Option<i64> },
    /// The header of the message at this byte.
    Own { offset: u64, field: u16 },
    /// Nothing: the message is not GRIB.
    NotGrib,
}

impl Lookup {
    fn of(line: &IndexLine, lines: &Lines) -> Self {
        if lines
            .kinds
            .get(line.kind as usize)
            .is_some_and(|(_, bufr)| *bufr)
        {
            Self::NotGrib
        } else if line.doubt.is_some() {
            Self::Own {
                offset: line.offset,
                field: line.field,
            }
        } else {
            Self::Kind {
                kind: line.kind,
                step: (line.when == When::End(0)).then_some(0),
            }
        }
    }

    fn at_step(&self, step: i64) -> Self {
        match self {
            Self::Kind { kind, .. } => Self::Kind {
                kind: *kind,
                step: Some(step),
            },
            Self::Own { .. } | Self::NotGrib => self.clone(),
        }
    }
}

/// Whether a line of an ensemble does not say which member it is of.
fn lacks_member(learned: &Learned, line: &IndexLine) -> bool {
    learned.product.identity.ensemble && line.member.is_none()
}

/// Whether the window of a kind at `step` cannot be told from the kind's sample.
fn needs_own_step(learned: &Learned, step: i64) -> bool {
    let window = learned.product.window;
    learned.product.identity.statistic.is_some()
        && step != window.end
        && !(window.start == 0 && window.end > RUN_TOTAL_SHOWS)
}

async fn resolve(
    location: &Location,
    product: &str,
    wanted: &[(&Lookup, &IndexLine)],
    lines: &Lines,
    shared: &Shared,
) -> Known {
    let words = |kind: u32| {
        lines
            .kinds
            .get(kind as usize)
            .map_or("", |(words, _)| words.as_str())
    };
    let key = |lookup: &Lookup| match lookup {
        Lookup::Kind { kind, step: None } => Some(Cow::Borrowed(words(*kind))),
        Lookup::Kind {
            kind,
            step: Some(step),
        } => Some(Cow::Owned(format!("{}@{step}", words(*kind)))),
        Lookup::Own { .. } | Lookup::NotGrib => None,
    };
    let keys: Vec<Option<Cow<'_, str>>> = wanted.iter().map(|(lookup, _)| key(lookup)).collect();
    // Most kinds are known from other files: no future is made for those.
    let learnt = shared.learner.known(product, &keys);
    let mut known: Known = Vec::with_capacity(wanted.len());
    let mut unknown = Vec::new();
    for (((lookup, line), key), learnt) in wanted.iter().zip(&keys).zip(learnt) {
        match learnt {
            Some(learnt) => known.push(((*lookup).clone(), Ok(learnt))),
            None if **lookup == Lookup::NotGrib => {
                known.push((Lookup::NotGrib, Err(Arc::from("not a GRIB message"))));
            }
            None => {
                let sample = Sample {
                    location: location.clone(),
                    offset: line.offset,
                    length: line.length,
                    field: line.field,
                };
                let key = key.as_deref().map(str::to_owned);
                unknown.push(((*lookup).clone(), sample, key));
            }
        }
    }
    let mut reads = futures::stream::iter(unknown)
        .map(|(lookup, sample, key): (Lookup, Sample, Option<String>)| {
            async move {
                let learned = match key {
                    Some(key) => {
                        let learner = &shared.learner;
                        learner.kind(product, &key, &sample, &shared.storage).await
                    }
                    None => learn(&sample, &shared.storage).await.map(Arc::new),
                };
                (lookup, learned)
            }
            .boxed()
        })
        .buffer_unordered(HEADERS_AT_ONCE);
    while let Some(read) = reads.next().await {
        known.push(read);
    }
    drop(reads);
    known.sort_by(|a, b| a.0.cmp(&b.0));
    known
}

/// Holds a line against the header of its own message: an index of another file says other things.
fn check_sample(
    location: &Location,
    line: &IndexLine,
    learned: Option<&Arc<Learned>>,
) -> Result<(), String> {
    let Some(learned) =
        learned.filter(|learned| learned.location == *location && learned.offset == line.offset)
    else {
        return Ok(());
    };
    let wrong = |what: &str, header: String, text: String| {
        Err(format!(
            "line {}: the {what} is {text} by the line, {header} by the message's header",
            line.line
        ))
    };
    let product = &learned.product;
    if let Some(run) = line.run
        && run.seconds().abs_diff(product.reference.seconds()) >= 3600
    {
        return wrong("run", product.reference.path_name(), run.path_name());
    }
    if let Some(step) = line.when.step()
        && step != product.window.end
    {
        return wrong("step", step_text(product.window.end), step_text(step));
    }
    if let Some(length) = line.length
        && length < learned.message_length
    {
        return wrong(
            "length",
            learned.message_length.to_string(),
            length.to_string(),
        );
    }
    if let (Some(member), Some(own)) = (line.member, product.member)
        && member.axis_number() != own.axis_number()
    {
        let (own, member) = (own.axis_number(), member.axis_number());
        return wrong("member", own.to_string(), member.to_string());
    }
    Ok(())
}

/// The file's run where index lines cannot say it: `d=` has no minutes, some lines have no run.
async fn run_with_minutes(
    location: &Location,
    lines: &Lines,
    known: &Known,
    shared: &Shared,
) -> Option<Instant> {
    let learned = |own: bool| {
        known
            .iter()
            .filter_map(|(_, learned)| learned.as_ref().ok())
            .find(|learned| own == (learned.location == *location))
    };
    let first = lines.lines.first()?;
    let has_minutes = |learned: &Arc<Learned>| learned.product.reference.seconds() % 3600 != 0;
    if let Some(own) = learned(true) {
        return (first.run.is_none() || has_minutes(own)).then_some(own.product.reference);
    }
    if first.run.is_some() && !learned(false).is_some_and(has_minutes) {
        return None;
    }
    let sample = Sample {
        location: location.clone(),
        offset: first.offset,
        length: first.length,
        field: first.field,
    };
    learn(&sample, &shared.storage)
        .await
        .ok()
        .map(|learned| learned.product.reference)
}

fn rows(
    lookups: &[Lookup],
    lines: &Lines,
    known: &Known,
    run_of_file: Option<Instant>,
    named: Option<i16>,
) -> FileRows {
    let mut drafts = FileRows {
        words: lines.kinds.iter().map(|(words, _)| words.clone()).collect(),
        ..FileRows::default()
    };
    let mut numbers = vec![None; known.len()];
    for (lookup, line) in lookups.iter().zip(&lines.lines) {
        let Ok(at) = known.binary_search_by(|(other, _)| other.cmp(lookup)) else {
            continue;
        };
        if *lookup == Lookup::NotGrib {
            continue;
        }
        let Some((_, outcome)) = known.get(at) else {
            continue;
        };
        let own = matches!(lookup, Lookup::Own { .. });
        let draft = match outcome {
            Ok(learned) => {
                let number = match numbers.get(at).copied().flatten() {
                    Some(number) => number,
                    None => {
                        drafts.known.push(Arc::clone(learned));
                        drafts.known.len() - 1
                    }
                };
                if let Some(slot) = numbers.get_mut(at) {
                    *slot = Some(number);
                }
                {
                    let draft = placed(line, learned, number, own, run_of_file);
                    let member = named.filter(|_| lacks_member(learned, line) && !own);
                    DraftRow {
                        member: draft.member.or(member),
                        ..draft
                    }
                }
            }
            Err(reason) => DraftRow {
                known: None,
                words: None,
                reference: run_of_file.or(line.run).unwrap_or(Instant(0)),
                window: line
                    .when
                    .window()
                    .unwrap_or(Window::instant(line.when.step().unwrap_or(0))),
                member: line.member.map(Member::axis_number),
                offset: line.offset,
                length: line.length,
                field: line.field,
                status: Status::Unplaced,
                reason: Some(Arc::clone(reason)),
            },
        };
        drafts.rows.push(DraftRow {
            words: Some(line.kind as usize),
            ..draft
        });
    }
    drafts
}

fn placed(
    line: &IndexLine,
    learned: &Learned,
    number: usize,
    own: bool,
    run_of_file: Option<Instant>,
) -> DraftRow {
    let product = &learned.product;
    let window = match line.when {
        _ if own => product.window,
        When::Window(window) => window,
        When::End(end) if product.identity.statistic.is_none() => Window::instant(end),
        When::End(end) if end == product.window.end => product.window,
        When::End(end) => Window { start: 0, end },
        When::Header => product.window,
    };
    let reference = if own {
        Some(product.reference)
    } else {
        run_of_file.or(line.run)
    };
    let member = if own { product.member } else { line.member };
    let refused = learned.unsupported.clone();
    DraftRow {
        known: Some(number),
        words: None,
        reference: reference.unwrap_or(product.reference),
        window,
        member: member.map(Member::axis_number),
        offset: line.offset,
        length: line.length,
        field: line.field,
        status: if refused.is_some() {
            Status::Unsupported
        } else {
            Status::Placed
        },
        reason: refused,
    }
}

impl FileRows {
    /// Fills in the length of the message at an offset where it is not known.
    pub(super) fn set_length(&mut self, (offset, length): (u64, u64)) {
        for row in self.rows.iter_mut().filter(|row| row.offset == offset) {
            row.length.get_or_insert(length);
        }
    }

    /// Why the first row that could not be placed was not.
    pub(super) fn first_unplaced(&self) -> Option<Arc<str>> {
        self.rows
            .iter()
            .find(|row| row.status == Status::Unplaced)
            .and_then(|row| row.reason.clone())
    }

    /// Adds, as not placed, the rows of a disbelieved index that lie where the walk found no message: they may be messages that are
    /// broken beyond finding, and nothing proves that there is none. Beyond the object's end there is none.
    pub(super) fn keep_listed_in_holes(&mut self, listed: &Self, object_size: u64) {
        let found: Vec<(u64, u64)> = self
            .rows
            .iter()
            .map(|row| {
                (
                    row.offset,
                    row.offset.saturating_add(row.length.unwrap_or(1)),
                )
            })
            .collect();
        let in_hole = |offset: u64| {
            offset < object_size
                && !found
                    .iter()
                    .any(|(from, to)| (*from..*to).contains(&offset))
        };
        for row in listed.rows.iter().filter(|row| in_hole(row.offset)) {
            let words = row
                .words
                .and_then(|words| listed.words.get(words))
                .cloned()
                .unwrap_or_default();
            self.words.push(words);
            self.rows.push(DraftRow {
                known: None,
                words: Some(self.words.len() - 1),
                status: Status::Unplaced,
                reason: Some("the index lists it, but no GRIB message begins there".into()),
                ..row.clone()
            });
        }
    }

    /// Whether most rows could not be placed.
    pub(super) fn is_mostly_unplaced(&self) -> bool {
        self.rows
            .iter()
            .filter(|row| row.status == Status::Unplaced)
            .count()
            * 2
            > self.rows.len()
    }

    /// The rows of a walk through section headers.
    pub(super) fn of_walk(fields: Vec<Hopped>) -> Self {
        let mut drafts = Self::default();
        for field in fields {
            let base = DraftRow {
                known: None,
                words: None,
                reference: Instant(0),
                window: Window::instant(0),
                member: None,
                offset: field.offset,
                length: field.length,
                field: field.field,
                status: Status::Unplaced,
                reason: None,
            };
            drafts.rows.push(match field.learned {
                Ok(learned) => {
                    let product = &learned.product;
                    let refused = learned.unsupported.clone();
                    let row = DraftRow {
                        known: Some(drafts.known.len()),
                        reference: product.reference,
                        window: product.window,
                        member: product.member.map(Member::axis_number),
                        status: if refused.is_some() {
                            Status::Unsupported
                        } else {
                            Status::Placed
                        },
                        reason: refused,
                        ..base
                    };
                    drafts.known.push(Arc::new(learned));
                    row
                }
                Err(reason) => DraftRow {
                    reference: field.other_edition.unwrap_or(base.reference),
                    status: match field.other_edition {
                        Some(_) => Status::Unsupported,
                        None => Status::Unplaced,
                    },
                    reason: Some(reason),
                    ..base
                },
            });
        }
        drafts
    }
}

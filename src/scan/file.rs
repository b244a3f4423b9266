//! One GRIB file: by its index file where that can be believed, by its section headers otherwise.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::join;
use tokio::sync::Semaphore;

use super::account::{Account, Problem};
use super::assemble::{FileRows, assemble};
use super::hop::hop;
use super::learn::{LearnError, Learner, sentence};
use super::run::ScanConfig;
use super::sidecar::Sidecars;
use super::sources::Source;
use super::verify::{Probed, Unproven, check_sections, probe, spot_check};
use crate::index::{Dialect, IndexLine, KindWords, UrlFacts, parse, product_key, url_facts};
use crate::location::Location;
use crate::storage::{Fetched, Storage};
use crate::table::row::{Object, Status};

/// What all files of a build share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) storage: Storage,
    pub(super) sidecars: Sidecars,
    pub(super) learner: Learner,
    pub(super) config: ScanConfig,
    /// Index files being parsed: threads beyond the cores win nothing.
    pub(super) parsers: Semaphore,
}

/// Lines of an index file, on their own (the file's text is let go).
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) lines: Vec<IndexLine>,
    /// Whether lengths are the index file's own words, and not taken from the next offset.
    pub(super) exact_lengths: bool,
    /// Words of each kind, and whether they are of a message that is not GRIB.
    pub(super) kinds: Vec<(String, bool)>,
}

/// A file's rows, its object, and what happened.
#[derive(Debug)]
pub(super) struct FileOutcome {
    pub(super) source: Source,
    pub(super) object: Object,
    pub(super) rows: FileRows,
    pub(super) account: Account,
    /// The file itself is missing or could not be read: what it should hold is pending.
    pub(super) missing: Option<LearnError>,
}

/// Indexes one file. Never fails as a whole: what goes wrong is in the outcome.
pub(super) async fn index_file(source: Source, shared: Arc<Shared>) -> FileOutcome {
    let mut outcome = FileOutcome {
        object: Object {
            location: source.location.clone(),
            size: source.size,
            etag: source.etag.clone(),
        },
        rows: FileRows::default(),
        account: Account::default(),
        missing: None,
        source,
    };
    let wait = shared.config.await_index;
    if !shared.config.always_scan {
        let _room = shared.sidecars.room().await;
        match shared.sidecars.read(&outcome.source, &shared.storage).await {
            Ok(Some((sidecar, fetched))) => {
                match by_index(&mut outcome, &sidecar, fetched, &shared).await {
                    Ok(()) => {
                        if let Some(reason) = outcome.rows.first_unplaced().filter(|_| wait) {
                            outcome.missing = Some(reason);
                        }
                        return outcome;
                    }
                    Err(Unproven::Unread(reason)) => {
                        outcome.missing = Some(sentence(reason));
                        return outcome;
                    }
                    // Index files are visible before they are whole, and before their GRIB.
                    Err(Unproven::Wrong(reason)) if wait => {
                        outcome.missing = Some(sentence(reason));
                        return outcome;
                    }
                    Err(Unproven::Wrong(reason)) => {
                        shared.learner.forget(&outcome.source.location);
                        outcome
                            .account
                            .remarks
                            .push(format!("{reason}; section headers are walked instead"));
                    }
                }
            }
            Ok(None) if wait => {
                outcome.missing = Some(sentence("has not arrived yet"));
                return outcome;
            }
            Ok(None) => {}
            Err(error) => {
                outcome.missing = Some(sentence(error.to_string()));
                return outcome;
            }
        }
    }
    by_headers(&mut outcome, &shared).await;
    outcome
}

/// Reads the rows from the index file; an error says why it is not believed, or why the file itself cannot be read.
async fn by_index(
    outcome: &mut FileOutcome,
    sidecar: &Location,
    fetched: Fetched,
    shared: &Arc<Shared>,
) -> Result<(), Unproven> {
    let size = outcome.object.size;
    let index_written = fetched.modified;
    let name = sidecar.clone();
    let wrong = |reason: String| Unproven::Wrong(format!("{name}: {reason}"));
    let parser = shared.parsers.acquire().await.ok();
    let lines = tokio::task::spawn_blocking(move || read_lines(&fetched.bytes, size))
        .await
        .map_err(|panic| wrong(panic.to_string()))?
        .map_err(wrong)?;
    drop(parser);
    let location = outcome.source.location.clone();
    let facts = url_facts(location.as_str());
    is_of_run(&lines, &facts).map_err(wrong)?;
    let product = product_key(location.as_str());
    // The object is looked at while kinds are learnt: both take one answer's time.
    let (rows, probed) = join(
        assemble(&location, &product, &lines, shared).boxed(),
        probe(
            &location,
            &lines.lines,
            lines.exact_lengths,
            &shared.storage,
        )
        .boxed(),
    )
    .await;
    // Kept even if it is not believed in the end: what it lists where no message is found must not become a gap.
    outcome.rows = rows.map_err(wrong)?;
    let probed = probed.map_err(|unproven| match unproven {
        Unproven::Wrong(reason) => wrong(reason),
        Unproven::Unread(reason) => Unproven::Unread(reason),
    })?;
    let mut grib_written = outcome.source.modified;
    if let Some(Probed { object, last }) = probed {
        grib_written = grib_written.or(object.modified);
        outcome.object.size = outcome.object.size.or(object.object_size);
        outcome.object.etag = outcome.object.etag.take().or(object.etag);
        outcome.rows.set_length(last);
    }
    let rows = &outcome.rows;
    if let Some(size) = outcome.object.size
        && let Some(row) = rows.rows.iter().find(|row| row.offset >= size)
    {
        return Err(wrong(format!(
            "a message at byte {} of an object of {size} bytes",
            row.offset
        )));
    }
    let is_older = index_written
        .zip(grib_written)
        .is_some_and(|(index, grib)| index < grib);
    if let Some(doubt) = doubt(&lines, rows, &facts, is_older) {
        spot_check(&location, rows, &doubt, &shared.storage)
            .await
            .map_err(wrong)?;
    }
    if shared.config.check {
        let exact = lines.exact_lengths;
        outcome.account.checked = check_sections(&location, rows, exact, &shared.storage)
            .await
            .map_err(wrong)?;
    }
    outcome.account.indexed_files = 1;
    Ok(())
}

/// Whether the lines are of the run that the file's name tells; an error says which one is not.
fn is_of_run(lines: &Lines, facts: &UrlFacts) -> Result<(), String> {
    let Some(run) = facts.run else {
        return Ok(());
    };
    let other = lines.lines.iter().find_map(|line| {
        let own = line.run?;
        // `d=` knows no minutes.
        (own.seconds().abs_diff(run.seconds()) >= 3600).then_some((line.line, own))
    });
    other.map_or(Ok(()), |(line, own)| {
        Err(format!(
            "line {line}: is of the run {}, the URL says {}",
            own.path_name(),
            run.path_name()
        ))
    })
}

/// Why an index file must be held against headers, if so.
fn doubt(lines: &Lines, rows: &FileRows, facts: &UrlFacts, is_older: bool) -> Option<String> {
    if is_older {
        return Some("it is older than its GRIB".to_owned());
    }
    let beyond = lines.lines.iter().find(|line| {
        let step = line.when.step();
        step.zip(facts.step).is_some_and(|(step, last)| step > last)
    });
    match beyond {
        Some(line) => Some(format!("line {}: its step is beyond the file's", line.line)),
        None => rows.first_unplaced().map(|reason| reason.to_string()),
    }
}

fn read_lines(bytes: &Bytes, size: Option<u64>) -> Result<Lines, String> {
    let file = parse(bytes, size).map_err(|error| error.to_string())?;
    if file.asks_rescan() {
        let warnings: Vec<String> = file
            .warnings
            .iter()
            .filter(|w| w.asks_rescan())
            .map(ToString::to_string)
            .collect();
        return Err(warnings.join("; "));
    }
    let kinds = file
        .kinds
        .iter()
        .map(|kind| {
            let bufr = match &kind.parts {
                KindWords::Ecmwf(words) => words.is_bufr(),
                KindWords::Noaa(_) => false,
            };
            (kind.words.to_string(), bufr)
        })
        .collect();
    Ok(Lines {
        exact_lengths: file.dialect == Dialect::Ecmwf,
        lines: file.lines,
        kinds,
    })
}

/// Walks the section headers of the whole file.
async fn by_headers(outcome: &mut FileOutcome, shared: &Shared) {
    let location = outcome.source.location.clone();
    match hop(&location, &shared.storage).await {
        Ok(walk) => {
            outcome.account.scanned_files = 1;
            outcome.object.size = outcome.object.size.or(walk.object_size);
            outcome.object.etag = outcome.object.etag.take().or(walk.etag);
            if walk.fields.is_empty() {
                outcome.account.problems.push(Problem {
                    location,
                    message: None,
                    status: Status::Unplaced,
                    reason: "holds no GRIB message, and no index file lies beside it".to_owned(),
                });
            }
            let listed = std::mem::take(&mut outcome.rows);
            outcome.rows = FileRows::of_walk(walk.fields);
            let size = outcome.object.size.unwrap_or(u64::MAX);
            outcome.rows.keep_listed_in_holes(&listed, size);
        }
        Err(reason) => outcome.missing = Some(reason),
    }
}

//! One GRIB file: by its index file where that can be believed, by its section headers otherwise.

use std::sync::Arc;

use bytes::Bytes;

use super::account::{Account, Problem};
use super::assemble::{FileRows, assemble};
use super::hop::hop;
use super::learn::{LearnError, Learner, sentence};
use super::sidecar::Sidecars;
use super::sources::Source;
use crate::index::{IndexLine, KindWords, parse, product_key, url_facts};
use crate::location::Location;
use crate::storage::{Fetched, Storage};
use crate::table::row::{Object, Status};

/// What all files of a build share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) storage: Storage,
    pub(super) sidecars: Sidecars,
    pub(super) learner: Learner,
    /// Walk section headers even where there is an index file.
    pub(super) always_scan: bool,
}

/// Lines of an index file, on their own (the file's text is let go).
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) lines: Vec<IndexLine>,
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
    if !shared.always_scan {
        match shared.sidecars.read(&outcome.source, &shared.storage).await {
            Ok(Some((sidecar, fetched))) => {
                match by_index(&mut outcome, &sidecar, fetched, &shared).await {
                    Ok(()) => return outcome,
                    Err(reason) => outcome
                        .account
                        .remarks
                        .push(format!("{reason}; section headers are walked instead")),
                }
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

/// Reads the rows from the index file; an error says why it is not believed.
async fn by_index(
    outcome: &mut FileOutcome,
    sidecar: &Location,
    fetched: Fetched,
    shared: &Arc<Shared>,
) -> Result<(), String> {
    let size = outcome.object.size;
    let name = sidecar.clone();
    let lines = tokio::task::spawn_blocking(move || read_lines(&fetched.bytes, size))
        .await
        .map_err(|panic| format!("{name}: {panic}"))?
        .map_err(|reason| format!("{name}: {reason}"))?;
    let facts = url_facts(outcome.source.location.as_str());
    if let (Some(run), Some(line)) = (
        facts.run,
        lines
            .lines
            .iter()
            .find(|line| line.run.is_some_and(|own| Some(own) != facts.run)),
    ) && line
        .run
        .is_some_and(|own| own.seconds().abs_diff(run.seconds()) >= 3600)
    {
        let own = line.run.map(|own| own.path_name()).unwrap_or_default();
        return Err(format!(
            "{name}, line {}: is of the run {own}, the URL says {}",
            line.line,
            run.path_name()
        ));
    }
    let product = product_key(outcome.source.location.as_str());
    let rows = assemble(&outcome.source.location, &product, &lines, shared)
        .await
        .map_err(|reason| format!("{name}: {reason}"))?;
    for learned in rows
        .known
        .iter()
        .filter(|learned| learned.location == outcome.source.location)
    {
        outcome.object.size = outcome.object.size.or(learned.object_size);
        outcome.object.etag = outcome.object.etag.take().or_else(|| learned.etag.clone());
    }
    if let Some(size) = outcome.object.size
        && let Some(row) = rows.rows.iter().find(|row| row.offset >= size)
    {
        return Err(format!(
            "{name}: a message at byte {} of an object of {size} bytes",
            row.offset
        ));
    }
    outcome.account.indexed_files = 1;
    outcome.rows = rows;
    Ok(())
}

fn read_lines(bytes: &Bytes, size: Option<u64>) -> Result<Lines, String> {
    let file = parse(bytes, size).map_err(|error| error.to_string())?;
    if file.asks_rescan() {
        let warnings: Vec<String> = file
            .warnings
            .iter()
            .filter(|w| w.asks_rescan())
            .map(|warning| format!("{warning:?}"))
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
            outcome.rows = FileRows::of_walk(walk.fields);
        }
        Err(reason) => outcome.missing = Some(reason),
    }
}

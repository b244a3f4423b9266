//! The whole build: many files at once, one table, one account.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt as _;
use tokio::sync::Semaphore;

use super::account::{Account, Problem};
use super::buckets;
use super::builder::Builder;
use super::expected::{MissingFile, add_pending};
use super::file::{FileOutcome, Shared, index_file};
use super::learn::Learner;
use super::sidecar::Sidecars;
use super::sources::{Source, without_repetition};
use super::twins;
use crate::location::{ByteRange, Location};
use crate::storage::{Short, Storage};
use crate::table::row::{Kind, Object, Row, Status, Table};
use crate::time::step_text;

/// Index files that are parsed at once.
const PARSERS: usize = 4;

/// Settings of a build.
#[derive(Clone, Debug)]
pub struct ScanConfig {
    /// Walk section headers even where there is an index file.
    pub always_scan: bool,
    /// Read section 0 of every message of an index file, and believe none where one does not fit.
    pub check: bool,
    /// Index files again that the table holds already.
    pub refresh: bool,
    /// A file whose index file cannot be read yet is pending; its section headers are not walked.
    pub await_index: bool,
    /// Files worked on at once: enough to keep as many requests under way as storage allows per host.
    pub files_at_once: usize,
}

impl Default for ScanConfig {
    fn default() -> Self {
        Self {
            always_scan: false,
            check: false,
            refresh: false,
            await_index: false,
            files_at_once: 64,
        }
    }
}

/// What to index.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The GRIB files.
    pub sources: Vec<Source>,
    /// Files that belong to the runs but are not to be asked for now: their messages are pending.
    pub awaited: Vec<Source>,
    /// The table so far: what it holds of unchanged files stays as it is.
    pub table: Option<Table>,
}

/// How far a build is; read it while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
}

impl Progress {
    /// Files done.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }
}

/// Why a build has no table.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// No source names a file.
    #[error("no GRIB file to index")]
    NoSources,
    /// Nothing could be read from any file.
    #[error("nothing could be indexed: {0}")]
    Nothing(String),
    /// A bug.
    #[error("indexing a file panicked: {0}")]
    Panicked(String),
}

/// Indexes all sources into one table.
///
/// # Errors
/// [`ScanError`] if there is no source, or if not a single message was found in any of them. All else is in the account.
pub async fn build(
    sources: Vec<Source>,
    storage: &Storage,
    config: &ScanConfig,
    progress: &Progress,
) -> Result<(Table, Account), ScanError> {
    let plan = Plan {
        sources,
        ..Plan::default()
    };
    Indexer::new(storage, config).build(plan, progress).await
}

/// Builds tables, and remembers between builds what headers taught.
#[derive(Clone, Debug)]
pub struct Indexer(Arc<Shared>);

impl Indexer {
    /// An indexer that knows nothing yet.
    #[must_use]
    pub fn new(storage: &Storage, config: &ScanConfig) -> Self {
        Self(Arc::new(Shared {
            storage: storage.clone(),
            sidecars: Sidecars::default(),
            learner: Learner::default(),
            config: config.clone(),
            parsers: Semaphore::new(PARSERS),
        }))
    }

    /// Indexes the files of a plan, on top of its table.
    ///
    /// # Errors
    /// [`ScanError`] if there is no source, or if not a single message is known in the end. All else is in the account.
    pub async fn build(
        &self,
        plan: Plan,
        progress: &Progress,
    ) -> Result<(Table, Account), ScanError> {
        let Plan {
            sources,
            awaited,
            table,
        } = plan;
        let sources = without_repetition(sources);
        if sources.is_empty() && awaited.is_empty() {
            return Err(ScanError::NoSources);
        }
        let mut account = Account {
            files: sources.len() + awaited.len(),
            ..Account::default()
        };
        let asked: HashSet<Location> = sources
            .iter()
            .chain(&awaited)
            .map(|source| source.location.clone())
            .collect();
        let table = table.unwrap_or_default();
        let sources = if self.0.config.refresh {
            sources
        } else {
            let all = sources.len();
            let left = changed(&table, sources, &self.0.storage).await;
            account.kept_files = all - left.len();
            progress
                .files
                .fetch_add(account.kept_files as u64, Ordering::Relaxed);
            left
        };
        let again: HashSet<Location> = sources
            .iter()
            .chain(&awaited)
            .map(|source| source.location.clone())
            .collect();
        let mut builder = Builder::of(table, &again);
        let mut missing = Vec::new();
        // In the order of the sources, so that the same archive gives the same table.
        let mut files = futures::stream::iter(sources)
            .map(|source| tokio::spawn(index_file(source, Arc::clone(&self.0))))
            .buffered(self.0.config.files_at_once.max(1));
        while let Some(outcome) = files.next().await {
            progress.files.fetch_add(1, Ordering::Relaxed);
            let outcome = outcome.map_err(|panic| ScanError::Panicked(panic.to_string()))?;
            add_file(&mut builder, outcome, &mut account, &mut missing);
        }
        drop(files);
        let not_yet: Arc<str> = "has not arrived yet".into();
        missing.extend(awaited.into_iter().map(|source| MissingFile {
            object: Object {
                location: source.location,
                size: source.size,
                etag: source.etag,
            },
            reason: Arc::clone(&not_yet),
            member: source.member,
        }));
        let first_missing = missing
            .first()
            .map(|file| format!("{}: {}", file.object.location, file.reason));

        let nameless = add_pending(&mut builder, missing);
        for file in &nameless {
            account.problems.push(Problem {
                location: file.object.location.clone(),
                message: None,
                status: Status::Pending,
                reason: file.reason.to_string(),
            });
        }
        buckets::assign(&mut builder);
        twins::mark(&mut builder);
        // A missing file whose name does not tell its run may belong to any of them.
        let doubtful = if nameless.is_empty() {
            HashSet::new()
        } else {
            let rows = &builder.table().rows;
            rows.iter().map(|row| row.reference).collect()
        };
        let table = builder.into_table(&doubtful);
        count(&table, &asked, &mut account);
        let known = table.rows.iter().any(|row| row.status != Status::Pending);
        if !known && !self.0.config.await_index {
            let first = account
                .problems
                .first()
                .map(|problem| format!("{}: {}", problem.location, problem.reason));
            return Err(ScanError::Nothing(
                first_missing.or(first).unwrap_or_default(),
            ));
        }
        Ok((table, account))
    }
}

/// The sources that the table does not hold yet, not all of, or in another state than the archive now does.
async fn changed(table: &Table, sources: Vec<Source>, storage: &Storage) -> Vec<Source> {
    let mut settled: HashMap<&Location, (&Object, bool)> = HashMap::new();
    let mut done: Vec<Option<bool>> = vec![None; table.objects.len()];
    for row in &table.rows {
        let settles = !matches!(row.status, Status::Pending | Status::Unplaced);
        if let Some(slot) = done.get_mut(row.object as usize) {
            *slot = Some(slot.unwrap_or(true) && settles);
        }
    }
    for (object, done) in table.objects.iter().zip(done) {
        if let Some(done) = done {
            let entry = settled.entry(&object.location).or_insert((object, true));
            entry.1 &= done;
        }
    }
    let mut left = Vec::new();
    for source in sources {
        let kept = match settled.get(&source.location) {
            Some((object, true)) => is_unchanged(object, &source, storage).await,
            Some((_, false)) | None => false,
        };
        if !kept {
            left.push(source);
        }
    }
    left
}

/// Whether nothing says that a file is another than when it was indexed. Files on disk are looked at; of others the listing tells.
async fn is_unchanged(object: &Object, source: &Source, storage: &Storage) -> bool {
    let same = |size: Option<u64>, etag: Option<&String>| {
        object.size.zip(size).is_none_or(|(then, now)| then == now)
            && (object.etag.as_ref().zip(etag)).is_none_or(|(then, now)| then == now)
    };
    if source.location.to_path().is_none() {
        return same(source.size, source.etag.as_ref());
    }
    let start = ByteRange::new(0, 1);
    match storage.get(&source.location, start, Short::Allow).await {
        Ok(now) => same(now.object_size, now.etag.as_ref()),
        Err(_gone) => false,
    }
}

fn add_file(
    builder: &mut Builder,
    outcome: FileOutcome,
    account: &mut Account,
    missing: &mut Vec<MissingFile>,
) {
    account.add(outcome.account);
    let member = outcome.source.member;
    if let Some(reason) = outcome.missing {
        missing.push(MissingFile {
            object: outcome.object,
            reason,
            member,
        });
        return;
    }
    let object = builder.object(outcome.object);
    let drafts = outcome.rows;
    let mut numbers = HashMap::new();
    let mut rows = Vec::with_capacity(drafts.rows.len());
    for draft in drafts.rows {
        let kind = *numbers
            .entry((draft.known, draft.words))
            .or_insert_with(|| {
                let learned = draft.known.and_then(|known| drafts.known.get(known));
                let grid = learned.map(|learned| builder.grid(&learned.section3));
                builder.kind(Kind {
                    identity: learned.map(|learned| learned.product.identity.clone()),
                    bucket_seconds: None,
                    grid,
                    words: draft
                        .words
                        .and_then(|words| drafts.words.get(words))
                        .cloned()
                        .unwrap_or_default(),
                })
            });
        rows.push(Row {
            kind,
            reference: draft.reference,
            window: draft.window,
            member: draft.member.or(member),
            object,
            offset: draft.offset,
            length: draft.length,
            field: draft.field,
            status: draft.status,
            reason: draft.reason,
        });
    }
    builder.rows(rows);
}

/// Counts the messages of the files asked for by status, and lists those that are neither placed nor twins.
fn count(table: &Table, asked: &HashSet<Location>, account: &mut Account) {
    account.twins = 0;
    let wanted: Vec<bool> = table
        .objects
        .iter()
        .map(|object| asked.contains(&object.location))
        .collect();
    let is_wanted = |row: &&Row| wanted.get(row.object as usize).copied().unwrap_or(false);
    let mut pending: BTreeMap<u32, (u64, &Row)> = BTreeMap::new();
    for row in table.rows.iter().filter(is_wanted) {
        account.messages += 1;
        let problem = match row.status {
            Status::Placed => {
                account.placed += 1;
                None
            }
            Status::Twin => {
                account.twins += 1;
                None
            }
            Status::Pending => {
                pending.entry(row.object).or_insert((0, row)).0 += 1;
                None
            }
            Status::Conflict | Status::Unplaced | Status::Unsupported => {
                let words = table
                    .kinds
                    .get(row.kind as usize)
                    .map_or("", |kind| kind.words.as_str());
                let step = step_text(row.window.end);
                Some(match words {
                    "" => format!("byte {}, field {}", row.offset, row.field + 1),
                    words => format!("{words} at {step}"),
                })
            }
        };
        if let Some(message) = problem {
            account.problems.extend(problem_of(table, row, message));
        }
    }
    // A file that has not arrived is one problem, however many messages are expected of it.
    for (count, row) in pending.into_values() {
        let message = match count {
            1 => "its messages".to_owned(),
            count => format!("{count} messages"),
        };
        account.problems.extend(problem_of(table, row, message));
    }
}

fn problem_of(table: &Table, row: &Row, message: String) -> Option<Problem> {
    let object = table.objects.get(row.object as usize)?;
    Some(Problem {
        location: object.location.clone(),
        message: Some(message),
        status: row.status,
        reason: row
            .reason
            .as_deref()
            .unwrap_or("no reason recorded")
            .to_owned(),
    })
}

//! The whole build: many files at once, one table, one account.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt as _;

use super::account::{Account, Problem};
use super::buckets;
use super::builder::Builder;
use super::expected::{MissingFile, add_pending};
use super::file::{FileOutcome, Shared, index_file};
use super::learn::Learner;
use super::sidecar::Sidecars;
use super::sources::{Source, without_repetition};
use super::twins;
use crate::storage::Storage;
use crate::table::row::{Kind, Row, Status, Table};

/// Settings of a build.
#[derive(Clone, Debug)]
pub struct ScanConfig {
    /// Walk section headers even where there is an index file.
    pub always_scan: bool,
    /// Files worked on at once: enough to keep as many requests under way as storage allows per host.
    pub files_at_once: usize,
}

impl Default for ScanConfig {
    fn default() -> Self {
        Self {
            always_scan: false,
            files_at_once: 64,
        }
    }
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
    let sources = without_repetition(sources);
    if sources.is_empty() {
        return Err(ScanError::NoSources);
    }
    let mut account = Account {
        files: sources.len(),
        ..Account::default()
    };
    let shared = Arc::new(Shared {
        storage: storage.clone(),
        sidecars: Sidecars::default(),
        learner: Learner::default(),
        always_scan: config.always_scan,
    });
    let mut builder = Builder::default();
    let mut missing = Vec::new();
    // In the order of the sources, so that the same archive gives the same table.
    let mut files = futures::stream::iter(sources)
        .map(|source| index_file(source, Arc::clone(&shared)))
        .buffered(config.files_at_once.max(1));
    while let Some(outcome) = files.next().await {
        progress.files.fetch_add(1, Ordering::Relaxed);
        add_file(&mut builder, outcome, &mut account, &mut missing);
    }
    drop(files);

    let unknown = add_pending(&mut builder, missing);
    for file in &unknown {
        account.problems.push(Problem {
            location: file.object.location.clone(),
            message: None,
            status: Status::Pending,
            reason: file.reason.to_string(),
        });
    }
    buckets::assign(&mut builder);
    account.twins = twins::mark(&mut builder);
    let table = builder.into_table();
    count(&table, &mut account);
    if table.rows.is_empty() {
        let reason = account
            .problems
            .first()
            .map(|problem| format!("{}: {}", problem.location, problem.reason));
        return Err(ScanError::Nothing(reason.unwrap_or_default()));
    }
    Ok((table, account))
}

fn add_file(
    builder: &mut Builder,
    outcome: FileOutcome,
    account: &mut Account,
    missing: &mut Vec<MissingFile>,
) {
    account.add(outcome.account);
    if let Some(reason) = outcome.missing {
        missing.push(MissingFile {
            object: outcome.object,
            reason,
        });
        return;
    }
    let object = builder.object(outcome.object);
    let drafts = outcome.rows;
    let mut numbers = std::collections::HashMap::new();
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
            member: draft.member,
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

/// Counts messages by status, and lists those that are neither placed nor twins.
fn count(table: &Table, account: &mut Account) {
    account.messages = table.rows.len() as u64;
    for row in &table.rows {
        match row.status {
            Status::Placed => account.placed += 1,
            Status::Twin => {}
            Status::Conflict | Status::Pending | Status::Unplaced | Status::Unsupported => {
                let Some(object) = table.objects.get(row.object as usize) else {
                    continue;
                };
                let words = table
                    .kinds
                    .get(row.kind as usize)
                    .map_or("", |kind| kind.words.as_str());
                let step = crate::time::step_text(row.window.end);
                let name = match words {
                    "" => format!("byte {}, field {}", row.offset, row.field + 1),
                    words => format!("{words} at {step}"),
                };
                account.problems.push(Problem {
                    location: object.location.clone(),
                    message: Some(name),
                    status: row.status,
                    reason: row
                        .reason
                        .as_deref()
                        .unwrap_or("no reason recorded")
                        .to_owned(),
                });
            }
        }
    }
}

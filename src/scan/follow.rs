//! Following a product: each file's rows are written as its index file appears, and the run when all of them are there.
//!
//! Polite: where storage can list, one listing a turn; else as few questions as will do (see `watch`).

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::run::{Indexer, Plan, Progress, ScanConfig, ScanError};
use super::save::{SaveError, load_runs, save_run};
use super::shorthand::{ProductError, Shorthand};
use super::sources::Source;
use super::watch::{Watch, is_there};
use crate::location::Location;
use crate::storage::{Storage, Version};
use crate::table::row::{Status, Table};
use crate::time::Instant;

/// Turns at which a file may be there and yet not readable: its index half written, its GRIB not there. After that it is taken as
/// it is.
const PATIENCE: u32 = 20;

/// How many runs back the newest one may lie that has begun to arrive.
const RUNS_BACK: usize = 8;

/// Settings of following.
#[derive(Clone, Debug)]
pub struct FollowConfig {
    /// Time between turns. 1 s: what a forecast is worth waiting for, at one to a few requests.
    pub interval: Duration,
    /// Complete runs after which to end; `None`: never, but for a shorthand of one run, which ends with it.
    pub runs: Option<u64>,
    /// URL in place of the product's own.
    pub root: Option<String>,
    /// What relative paths are against.
    pub base: PathBuf,
    /// Files at once.
    pub files_at_once: usize,
}

/// What happens while following.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowEvent {
    /// Files of a run arrived and are in the table.
    Arrived {
        /// The run.
        run: Instant,
        /// How many came.
        files: usize,
        /// How many are still missing.
        missing: usize,
    },
    /// A run is complete.
    Complete {
        /// The run.
        run: Instant,
        /// Its rows.
        rows: usize,
    },
    /// A run was given up for its successor.
    Abandoned {
        /// The run.
        run: Instant,
        /// How many files never came.
        missing: usize,
    },
}

/// Why following ended.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The shorthand names no files.
    #[error(transparent)]
    Product(#[from] ProductError),
    /// The table cannot be read or written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// A bug.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// Follows a product until its run is complete (`NAME:RUN`) or for as many runs as the settings say; drop the future to end earlier:
/// whatever was announced is in the table.
///
/// # Errors
/// [`FollowError`] where the table cannot be written. Servers that do not answer are asked again.
pub async fn follow(
    shorthand: &Shorthand,
    config: &FollowConfig,
    destination: &Location,
    storage: &Storage,
    mut tell: impl FnMut(FollowEvent),
) -> Result<(), FollowError> {
    let follower = Follower::new(shorthand, config, destination, storage);
    let mut active = VecDeque::new();
    let first = match shorthand.run {
        Some(run) => run,
        None => newest_begun(shorthand, config.root.as_deref(), &config.base, storage).await?,
    };
    active.push_back(follower.begin(first).await?);
    let mut complete = 0_u64;
    loop {
        let turn_began = tokio::time::Instant::now();
        let mut at_once = false;
        for run in &mut active {
            at_once |= follower.turn(run, &mut tell).await?;
        }
        while let Some(at) = active.iter().position(|run| run.waiting.is_empty()) {
            let done = active.drain(..=at).next_back();
            complete += 1;
            if shorthand.run.is_some() || config.runs.is_some_and(|runs| complete >= runs) {
                return Ok(());
            }
            if let (Some(done), true) = (done, active.is_empty()) {
                active.push_back(follower.begin(shorthand.after(done.run)).await?);
            }
        }
        // The next run is looked for once its time has come; of two, the older is given up when a third is due.
        if shorthand.run.is_none()
            && let Some(last) = active.back().map(|active| active.run)
            && shorthand.newest_at(now()) > last
        {
            active.push_back(follower.begin(shorthand.after(last)).await?);
            if active.len() > 2
                && let Some(old) = active.pop_front()
            {
                tell(FollowEvent::Abandoned {
                    run: old.run,
                    missing: old.waiting.len(),
                });
            }
        }
        if !at_once {
            tokio::time::sleep_until(turn_began + config.interval).await;
        }
    }
}

/// A run that is arriving.
struct ActiveRun {
    run: Instant,
    /// Files that are not in the table yet, by steps.
    waiting: Vec<Source>,
    table: Option<Table>,
    watch: Watch,
    /// The version of the table that was written last.
    written: Option<Version>,
    /// Turns at which a file was there but could not be read.
    attempts: HashMap<Location, u32>,
}

/// The newest run of which the first file is there; the newest by the clock if none is.
async fn newest_begun(
    shorthand: &Shorthand,
    root: Option<&str>,
    base: &Path,
    storage: &Storage,
) -> Result<Instant, ProductError> {
    let newest = shorthand.newest_at(now());
    let mut run = newest;
    for _ in 0..RUNS_BACK {
        if let Some(first) = shorthand.files(run, root, base)?.first()
            && is_there(first, storage).await
        {
            return Ok(run);
        }
        run = shorthand.before(run);
    }
    Ok(newest)
}

/// The files of the newest run that has begun to arrive.
///
/// # Errors
/// As [`Shorthand::files`].
pub async fn newest_files(
    shorthand: &Shorthand,
    root: Option<&str>,
    base: &Path,
    storage: &Storage,
) -> Result<Vec<Source>, ProductError> {
    let run = newest_begun(shorthand, root, base, storage).await?;
    shorthand.files(run, root, base)
}

struct Follower<'a> {
    shorthand: &'a Shorthand,
    config: &'a FollowConfig,
    destination: &'a Location,
    storage: &'a Storage,
    /// Waits for files that cannot be read yet.
    patient: Indexer,
    /// Takes files as they are.
    firm: Indexer,
}

impl<'a> Follower<'a> {
    fn new(
        shorthand: &'a Shorthand,
        config: &'a FollowConfig,
        destination: &'a Location,
        storage: &'a Storage,
    ) -> Self {
        let indexer = |refresh: bool| {
            let scan = ScanConfig {
                await_index: !refresh,
                refresh,
                files_at_once: config.files_at_once,
                ..ScanConfig::default()
            };
            Indexer::new(storage, &scan)
        };
        Self {
            shorthand,
            config,
            destination,
            storage,
            patient: indexer(false),
            firm: indexer(true),
        }
    }

    fn files(&self, run: Instant) -> Result<Vec<Source>, ProductError> {
        let root = self.config.root.as_deref();
        self.shorthand.files(run, root, &self.config.base)
    }

    /// A run with what the table holds of it already.
    async fn begin(&self, run: Instant) -> Result<ActiveRun, FollowError> {
        let runs = BTreeSet::from([run]);
        let mut table = load_runs(self.destination, &runs, self.storage).await?;
        if let Some(table) = &mut table {
            table.rows.retain(|row| row.reference == run);
        }
        let mut waiting = self.files(run)?;
        if let Some(table) = &table {
            drop_arrived(&mut waiting, table);
        }
        Ok(ActiveRun {
            run,
            watch: Watch::new(table.is_some()),
            written: None,
            waiting,
            table,
            attempts: HashMap::new(),
        })
    }

    /// Asks for files and writes what is there; whether more may be there right now.
    async fn turn(
        &self,
        active: &mut ActiveRun,
        tell: &mut impl FnMut(FollowEvent),
    ) -> Result<bool, FollowError> {
        let (there, more) = active
            .watch
            .look(&active.waiting, self.config.files_at_once, self.storage)
            .await;
        if there.is_empty() {
            return Ok(false);
        }
        let before = active.waiting.len();
        self.add(active, there).await?;
        let files = before - active.waiting.len();
        if files == 0 {
            return Ok(false);
        }
        let missing = active.waiting.len();
        tell(FollowEvent::Arrived {
            run: active.run,
            files,
            missing,
        });
        if active.waiting.is_empty() {
            tell(FollowEvent::Complete {
                run: active.run,
                rows: active.table.as_ref().map_or(0, |table| table.rows.len()),
            });
        }
        Ok(missing > 0 && more)
    }

    /// Adds files to the run's table and writes it.
    async fn add(&self, active: &mut ActiveRun, there: Vec<Source>) -> Result<(), FollowError> {
        let locations: HashSet<&Location> = there.iter().map(|source| &source.location).collect();
        let awaited = active
            .waiting
            .iter()
            .filter(|source| !locations.contains(&source.location))
            .cloned()
            .collect();
        let mut is_firm = false;
        for source in &there {
            let attempts = active.attempts.entry(source.location.clone()).or_insert(0);
            *attempts += 1;
            is_firm |= *attempts > PATIENCE;
        }
        let plan = Plan {
            sources: there,
            awaited,
            table: active.table.take(),
        };
        let indexer = if is_firm { &self.firm } else { &self.patient };
        let (table, account) = indexer.build(plan, &Progress::default()).await?;
        for problem in &account.problems {
            tracing::debug!(location = %problem.location, reason = %problem.reason, "not placed");
        }
        let before = active.waiting.len();
        drop_arrived(&mut active.waiting, &table);
        if active.waiting.len() < before {
            let written = active.written.take();
            active.written =
                save_run(&table, active.run, written, self.destination, self.storage).await?;
        }
        active.table = Some(table);
        Ok(())
    }
}

/// Takes out of a list the files that a table has rows of, none of which is pending.
fn drop_arrived(waiting: &mut Vec<Source>, table: &Table) {
    let mut arrived = vec![false; table.objects.len()];
    for row in table
        .rows
        .iter()
        .filter(|row| row.status != Status::Pending)
    {
        if let Some(slot) = arrived.get_mut(row.object as usize) {
            *slot = true;
        }
    }
    let arrived: HashSet<&Location> = table
        .objects
        .iter()
        .zip(arrived)
        .filter(|(_, arrived)| *arrived)
        .map(|(object, _)| &object.location)
        .collect();
    waiting.retain(|source| !arrived.contains(&source.location));
}

/// This machine's clock.
#[must_use]
pub fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Instant(since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }))
}

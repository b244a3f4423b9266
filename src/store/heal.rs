//! Reading on though the index is stale: the object is walked once, and what it holds is read from where it is.
//!
//! A row whose bytes are not its message sends for a rescan of its object, one at a time whatever the number of rows and readers. What it
//! finds holds for all rows of the object, is kept in a side file ([`super::side`]), and is said once in the log. A read waits for a
//! rescan as long as for a slow server; the rescan goes on after that, and the next read has its result.
//!
//! Nothing is believed without proof: a message is verified where it is read, and an object that is not the one that was first seen
//! is no stale index but a changed object.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::sync::Semaphore;

use super::failure::FailureKind;
use super::fetch::Source;
use super::rescan::{HealError, rescan};
use super::rows::Located;
use super::side::{Place, Scan, SideFiles, Verdict, digest};
use super::{lock, now_seconds};
use crate::table::row::Row;

/// Longest walk of an object: 10,000 messages at 60 ms.
const RESCAN_DEADLINE: Duration = Duration::from_secs(600);
/// Longest wait of a read for it.
const READ_WAITS: Duration = Duration::from_secs(50);
/// Walks at once: each is one request after the other.
const RESCANS: usize = 8;
/// A walk that failed is not repeated before.
const FAILURE_STANDS: Duration = Duration::from_secs(60);
/// A walk that was found wrong is not repeated for so many seconds.
const DOUBT_STANDS: i64 = 60;
/// For so many seconds a walk's word is taken that a message is not there; then it may be searched again.
const ABSENCE_STANDS: i64 = 3600;
/// Objects told of in the status file.
const TOLD: usize = 32;

/// What becomes of a message that is not where the index says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStale {
    /// It is searched for in its object, and read if it is found exactly once.
    #[default]
    Heal,
    /// Its read fails.
    Fail,
}

/// An object whose index is stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healed {
    /// The object.
    pub object: String,
    /// When it was walked, seconds since 1970.
    pub at_seconds: i64,
    /// Requests that took.
    pub requests: u64,
    /// Messages that lie elsewhere than the index says.
    pub moved: u64,
    /// Messages of the index that are not there.
    pub absent: u64,
    /// Messages that are there more than once.
    pub ambiguous: u64,
    /// Whether all that was read from a side file instead.
    pub from_side_file: bool,
}

/// Counters of healing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealStatistics {
    /// Objects with a stale index that are read right.
    pub objects: u64,
    /// Walks of objects, those that failed included.
    pub rescans: u64,
    /// Fields that were read from elsewhere than the index says.
    pub fields: u64,
    /// The last objects, the newest last.
    pub recent: Vec<Healed>,
}

type Flight = Shared<BoxFuture<'static, Result<Arc<Scan>, HealError>>>;

/// What is known of an object's messages.
#[derive(Debug)]
enum Known {
    Scanned {
        scan: Arc<Scan>,
        /// By this mount, not from a side file.
        own: bool,
    },
    /// The walk that was made at this second was found wrong.
    Doubted { scanned: i64, own: bool },
}

/// Corrections of a table's places.
#[derive(Debug)]
pub(super) struct Healer {
    policy: OnStale,
    side: Option<Arc<SideFiles>>,
    known: Mutex<HashMap<u32, Known>>,
    /// Walks that failed, and when.
    failed: Mutex<HashMap<u32, (Clock, HealError)>>,
    flights: Mutex<HashMap<u32, Flight>>,
    walks: Semaphore,
    statistics: Mutex<(HealStatistics, VecDeque<Healed>)>,
}

impl Healer {
    /// `directory` is where the folder of side files lies; without one corrections last as long as the mount.
    pub(super) fn new(policy: OnStale, directory: Option<&Path>) -> Self {
        let open = |directory: &Path| match SideFiles::open(directory) {
            Ok(files) => Some(Arc::new(files)),
            Err(error) => {
                tracing::warn!("corrections of stale indexes are kept in memory only: {error}");
                None
            }
        };
        let side = directory.filter(|_| policy == OnStale::Heal).and_then(open);
        Self {
            policy,
            side,
            known: Mutex::default(),
            failed: Mutex::default(),
            flights: Mutex::default(),
            walks: Semaphore::new(RESCANS),
            statistics: Mutex::default(),
        }
    }

    pub(super) fn heals(&self) -> bool {
        self.policy == OnStale::Heal
    }

    pub(super) fn statistics(&self) -> HealStatistics {
        let (statistics, recent) = &*lock(&self.statistics);
        HealStatistics {
            recent: recent.iter().cloned().collect(),
            ..statistics.clone()
        }
    }

    /// Counts a field that was read from elsewhere than the index says.
    pub(super) fn served(&self) {
        lock(&self.statistics).0.fields += 1;
    }

    /// Where a row's message is known to lie, if not where the table says.
    pub(super) async fn known(&self, source: &Arc<Source>, at: &Located) -> Option<Place> {
        let object = at.row.object;
        let scan = match lock(&self.known).get(&object) {
            Some(Known::Scanned { scan, .. }) => Some(Arc::clone(scan)),
            Some(Known::Doubted { .. }) => return None,
            None => None,
        };
        let scan = match scan {
            Some(scan) => scan,
            None => self.side_file(source, object, true).await?,
        };
        let place = scan.place(&digest(&at.table, &at.row))?;
        (place != Place::listed(&at.row)).then_some(place)
    }

    /// What was known of an object turned out to be wrong.
    pub(super) fn doubt(&self, object: u32) {
        let mut known = lock(&self.known);
        if let Some(Known::Scanned { scan, own }) = known.get(&object) {
            let (scanned, own) = (scan.scanned, *own);
            known.insert(object, Known::Doubted { scanned, own });
        }
    }

    /// Searches an object for a row's message.
    ///
    /// # Errors
    /// [`HealError`] if it is not there exactly once, elsewhere; or the search fails.
    pub(super) async fn find(
        &self,
        source: &Arc<Source>,
        at: &Located,
    ) -> Result<Place, HealError> {
        let row = &at.row;
        let wanted = digest(&at.table, row);
        if let Some(standing) = self.standing(source, row.object, &wanted).await {
            let scan = standing?;
            return verdict(&scan, &wanted, row);
        }
        let flight = {
            let mut flights = lock(&self.flights);
            let flight = flights
                .entry(row.object)
                .or_insert_with(|| self.depart(source, row.object));
            flight.clone()
        };
        let landed = tokio::time::timeout(READ_WAITS, flight).await;
        let scan = landed.map_err(|_late| HealError::Waiting)??;
        verdict(&scan, &wanted, row)
    }

    /// An earlier search whose word still stands.
    async fn standing(
        &self,
        source: &Arc<Source>,
        object: u32,
        wanted: &str,
    ) -> Option<Result<Arc<Scan>, HealError>> {
        let stands = |scan: &Scan| {
            let age = now_seconds().saturating_sub(scan.scanned);
            scan.place(wanted).is_some()
                || (scan.messages.contains_key(wanted) && (0..ABSENCE_STANDS).contains(&age))
        };
        if let Some(known) = lock(&self.known).get(&object) {
            match known {
                Known::Scanned { scan, .. } if stands(scan) => return Some(Ok(Arc::clone(scan))),
                // Somebody rewrites the object, or it is broken.
                Known::Doubted { scanned, own: true }
                    if (0..DOUBT_STANDS).contains(&(now_seconds() - scanned)) =>
                {
                    return Some(Err(HealError::Unmoved));
                }
                Known::Scanned { .. } | Known::Doubted { .. } => {}
            }
        }
        if let Some((since, error)) = lock(&self.failed).get(&object)
            && since.elapsed() < FAILURE_STANDS
        {
            return Some(Err(error.clone()));
        }
        // Another mount may have been here.
        let scan = self.side_file(source, object, false).await?;
        stands(&scan).then_some(Ok(scan))
    }

    /// What the side file of an object says, unless that is of another version or in doubt. With `from_start`, only if there was one
    /// when the folder was opened.
    async fn side_file(
        &self,
        source: &Arc<Source>,
        object: u32,
        from_start: bool,
    ) -> Option<Arc<Scan>> {
        let side = self.side.as_ref()?;
        let location = source.origin.location(object).ok()?;
        if from_start && !side.had(&location) {
            return None;
        }
        let reading = Arc::clone(side);
        let read = tokio::task::spawn_blocking(move || reading.read(&location)).await;
        let scan = Arc::new(read.ok()??);
        let pin = source.origin.pins.of(&source.origin.objects, object);
        if !pin.agrees(&scan.version()) {
            return None;
        }
        {
            let mut known = lock(&self.known);
            match known.get(&object) {
                Some(Known::Doubted { scanned, .. }) if *scanned == scan.scanned => return None,
                Some(Known::Scanned { scan: other, .. }) if other.scanned >= scan.scanned => {
                    return Some(Arc::clone(other));
                }
                Some(_) | None => {}
            }
            let entry = Known::Scanned {
                scan: Arc::clone(&scan),
                own: false,
            };
            known.insert(object, entry);
        }
        self.tell(source, object, &scan, true).await;
        Some(scan)
    }

    /// Sends for a walk. It goes on when those who wait for it leave.
    fn depart(&self, source: &Arc<Source>, object: u32) -> Flight {
        lock(&self.statistics).0.rescans += 1;
        let source = Arc::clone(source);
        let task = tokio::spawn(async move {
            let healer = &source.healer;
            let outcome = healer.walk(&source, object).await;
            match &outcome {
                Ok(scan) => {
                    let known = Known::Scanned {
                        scan: Arc::clone(scan),
                        own: true,
                    };
                    lock(&healer.known).insert(object, known);
                    lock(&healer.failed).remove(&object);
                }
                // What is known of other rows stays.
                Err(error) => {
                    let failed = (Clock::now(), error.clone());
                    lock(&healer.failed).insert(object, failed);
                }
            }
            lock(&healer.flights).remove(&object);
            if let Ok(scan) = &outcome {
                healer.tell(&source, object, scan, false).await;
                healer.keep(&source, object, scan).await;
            }
            outcome
        });
        async move {
            task.await.unwrap_or_else(|ended| {
                Err(HealError::Walk {
                    kind: FailureKind::Internal,
                    text: format!("the search ended abnormally: {ended}"),
                })
            })
        }
        .boxed()
        .shared()
    }

    async fn walk(&self, source: &Arc<Source>, object: u32) -> Result<Arc<Scan>, HealError> {
        let late = |text: String| HealError::Walk {
            kind: FailureKind::TimedOut,
            text,
        };
        let permit = self.walks.acquire().await;
        let _permit = permit.map_err(|closed| late(closed.to_string()))?;
        let walk = rescan(source, object, now_seconds());
        let walked = tokio::time::timeout(RESCAN_DEADLINE, walk).await;
        let seconds = RESCAN_DEADLINE.as_secs();
        let scan = walked.map_err(|_late| late(format!("it takes more than {seconds} s")))??;
        Ok(Arc::new(scan))
    }

    async fn keep(&self, source: &Arc<Source>, object: u32, scan: &Arc<Scan>) {
        let (Some(side), Ok(location)) = (&self.side, source.origin.location(object)) else {
            return;
        };
        let (side, location, scan) = (Arc::clone(side), location, Arc::clone(scan));
        // What went wrong has been said.
        let _done = tokio::task::spawn_blocking(move || side.write(&location, &scan)).await;
    }

    /// Says what was found, in the log and for the status file.
    async fn tell(&self, source: &Arc<Source>, object: u32, scan: &Scan, from_side_file: bool) {
        let Ok(location) = source.origin.location(object) else {
            return;
        };
        let mut healed = Healed {
            object: location.to_string(),
            at_seconds: scan.scanned,
            requests: scan.requests,
            moved: 0,
            absent: 0,
            ambiguous: 0,
            from_side_file,
        };
        let asked = Arc::clone(source);
        let table = tokio::task::spawn_blocking(move || asked.rows_in(object)).await;
        let table = table.ok().and_then(Result::ok).unwrap_or_default();
        for row in &table.rows {
            match scan.messages.get(&digest(&table, row)) {
                Some(Verdict::At(offset, _, field)) => {
                    let moved = (*offset, *field) != (row.offset, row.field);
                    healed.moved += u64::from(moved);
                }
                Some(Verdict::Absent) => healed.absent += 1,
                Some(Verdict::Times(_)) => healed.ambiguous += 1,
                None => {}
            }
        }
        let Healed {
            moved,
            absent,
            ambiguous,
            ..
        } = healed;
        let text = format!(
            "{}: the index is stale: {moved} messages lie elsewhere, {absent} are not there, {ambiguous} are there more than once. \
             What is found is read from where it is; index the object again to put the table right",
            healed.object
        );
        if moved == 0 {
            // The failed read says that the message is not there: no second line about it.
            tracing::debug!("{text}");
        } else if from_side_file {
            tracing::info!("{text} (known from an earlier search)");
        } else {
            tracing::warn!("{text} ({} requests)", scan.requests);
        }
        let mut statistics = lock(&self.statistics);
        statistics.0.objects += u64::from(moved > 0);
        if statistics.1.len() == TOLD {
            statistics.1.pop_front();
        }
        statistics.1.push_back(healed);
    }
}

/// What a search says of one row.
fn verdict(scan: &Scan, wanted: &str, row: &Row) -> Result<Place, HealError> {
    match scan.messages.get(wanted) {
        Some(Verdict::At(..)) => scan
            .place(wanted)
            .filter(|place| *place != Place::listed(row))
            .ok_or(HealError::Unmoved),
        Some(Verdict::Absent) | None => Err(HealError::Absent),
        Some(Verdict::Times(times)) => Err(HealError::Ambiguous(*times)),
    }
}

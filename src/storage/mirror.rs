//! Several origins for one object: the same keys elsewhere, tried in order and, when the first is slow, side by side.
//!
//! `--mirror s3://noaa-gfs-bdp-pds=https://nomads.example/gfs` makes `https://nomads.example/gfs/x` the second place of
//! `s3://noaa-gfs-bdp-pds/x`. A read goes to the first; to the next when that one fails (5xx, timeouts, 404, nonsense), or when
//! it is silent for longer than 95 of 100 of its answers were (a hedge: at most one for twenty reads). Whoever answers first,
//! rightly and in full, is taken, and the other request is dropped.
//!
//! `ETag`s of mirrors differ: each mirror is held to its own here, and callers are shown the first place's alone. Sizes must agree,
//! which callers see to. Writes go to the first place alone.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use lru::LruCache;

use super::Storage;
use super::call::Call;
use super::error::{ErrorKind, Failure, Fault, Operation, StorageError};
use super::standing::Standing;
use crate::location::{Location, LocationError};
use crate::sync::lock;

/// One rule: what lies below `from` lies below `to` as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Without a slash at its end.
    from: String,
    to: String,
}

/// `ETag`s of objects at mirrors, as first seen, and sizes of objects at their first place. The longest unused go first; then a change
/// between two reads far apart is for verification to find.
#[derive(Debug)]
pub(super) struct MirrorPins {
    tags: Mutex<LruCache<Location, String>>,
    sizes: Mutex<LruCache<Location, u64>>,
}

/// Objects whose `ETag`s are remembered: a few megabytes at most.
const PINS: NonZeroUsize = NonZeroUsize::MIN.saturating_add((1 << 16) - 1);

impl Default for MirrorPins {
    fn default() -> Self {
        Self {
            tags: Mutex::new(LruCache::new(PINS)),
            sizes: Mutex::new(LruCache::new(PINS)),
        }
    }
}

impl MirrorPins {
    /// Holds an object of a mirror to the size that its first place told, if it did; `own` is where it was read. A mirror with another
    /// object is passed over as one without it.
    ///
    /// # Errors
    /// [`ErrorKind::NotData`].
    pub(super) fn hold_size(
        &self,
        object: &Location,
        own: &Location,
        size: Option<u64>,
    ) -> Result<(), Fault> {
        let Some(size) = size else { return Ok(()) };
        let mut sizes = lock(&self.sizes);
        if own == object {
            sizes.put(object.clone(), size);
            return Ok(());
        }
        match sizes.get(object) {
            Some(first) if *first != size => Err(Fault::new(
                ErrorKind::NotData,
                format!(
                    "{size} bytes at {}, {first} at the first place",
                    own.origin()
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Holds an object of a mirror to its first `ETag`.
    ///
    /// # Errors
    /// That first one, if this is another.
    pub(super) fn hold(&self, place: Location, etag: &str) -> Result<(), String> {
        let mut pins = lock(&self.tags);
        let first = pins.get_or_insert(place, || etag.to_owned());
        if first == etag {
            Ok(())
        } else {
            Err(first.clone())
        }
    }
}

/// Why a text is no rule for a mirror.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MirrorError {
    /// Not two locations with `=` between them.
    #[error("mirror `{0}`: write URL=URL, such as s3://bucket=https://host/folder")]
    Form(String),
    /// One of them is none.
    #[error("mirror: {0}")]
    Location(#[from] LocationError),
    /// Keys cannot be appended to a URL with a query.
    #[error("mirror: a URL with a query cannot be a prefix")]
    Query,
}

impl Mirror {
    /// Reads `FROM=TO`, both URLs or paths (relative ones against `base`).
    ///
    /// # Errors
    /// [`MirrorError`].
    pub fn parse(text: &str, base: &Path) -> Result<Self, MirrorError> {
        let (from, to) = text
            .split_once('=')
            .filter(|(from, to)| !from.is_empty() && !to.is_empty())
            .ok_or_else(|| MirrorError::Form(text.to_owned()))?;
        let prefix = |text: &str| {
            let location = Location::parse(text, base)?;
            if location.scheme() != "file" && location.as_str().contains('?') {
                return Err(MirrorError::Query);
            }
            Ok(location.as_str().trim_end_matches('/').to_owned())
        };
        Ok(Self {
            from: prefix(from)?,
            to: prefix(to)?,
        })
    }

    /// Where the mirror has what lies at `location`, if it covers that.
    fn of(&self, location: &Location) -> Option<Location> {
        moved(location, &self.from, &self.to)
    }

    /// The location whose mirror this is.
    fn back(&self, location: &Location) -> Option<Location> {
        moved(location, &self.to, &self.from)
    }
}

fn moved(location: &Location, from: &str, to: &str) -> Option<Location> {
    let rest = location.as_str().strip_prefix(from)?;
    // `s3://a` covers `s3://a/x` and not `s3://ab/x`.
    (rest.is_empty() || rest.starts_with('/')).then(|| location.with_text(&format!("{to}{rest}")))
}

/// A place where an object can be asked for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// 0: the location itself; n: by the n-th mirror of it.
    pub(super) number: usize,
    pub(super) location: Location,
    standing: Arc<Standing>,
    mirror: Option<Mirror>,
}

impl Place {
    /// Its location, unless that is the object's own.
    fn mirrored(&self) -> Option<Location> {
        (self.number > 0).then(|| self.location.clone())
    }

    /// A listed location by its name at the first place.
    pub(super) fn home(&self, location: Location) -> Location {
        let back = |mirror: &Mirror| mirror.back(&location);
        self.mirror.as_ref().and_then(back).unwrap_or(location)
    }
}

impl Storage {
    /// The places of a location in the order in which they are to be asked.
    pub(super) fn places(&self, location: &Location) -> Vec<Place> {
        let mirrors = self.0.config.mirrors.iter();
        let mirrored = mirrors
            .filter_map(|mirror| Some((mirror.of(location)?, Some(mirror.clone()))))
            .filter(|(place, _)| place != location);
        let mut places: Vec<Place> = std::iter::once((location.clone(), None))
            .chain(mirrored)
            .enumerate()
            .map(|(number, (location, mirror))| Place {
                number,
                standing: self.standing(&location),
                location,
                mirror,
            })
            .collect();
        if places.len() > 1 {
            let now = Instant::now();
            places.sort_by_cached_key(|place| (place.standing.is_avoided(now), place.number));
        }
        places
    }

    /// Runs `work` at the places of `location` until one succeeds: in order, and a second one at once when the first is slow. Gives
    /// the place that answered, if it is a mirror.
    ///
    /// # Errors
    /// The error of the place that matters most, with the words of the others; one that would be the same everywhere at once.
    pub(super) async fn at_any_place<T, W, F>(
        &self,
        operation: Operation,
        location: &Location,
        max_bytes: u64,
        work: W,
    ) -> Result<(T, Option<Location>), StorageError>
    where
        W: Fn(Arc<Call>) -> F + Sync,
        F: Future<Output = Result<T, Fault>> + Send,
        T: Send,
    {
        let timeout = self.0.config.timeout;
        let places = self.places(location);
        let mut waiting = places.into_iter();
        let work = &work;
        let begin = |place: Place, left: usize, started: Instant| {
            let spent = started.elapsed();
            // A first place that hangs leaves time for the others.
            let parts = u32::try_from(left + 1).unwrap_or(1);
            let share = timeout.saturating_sub(spent) / parts;
            let call = Call::for_place(operation, &place.location, share, max_bytes, left > 0);
            let running = Arc::clone(&call);
            let asked = place.clone();
            let future = async move {
                let done = running.run(work(Arc::clone(&running))).await;
                (asked, running, done)
            };
            (call, place, future)
        };
        let started = Instant::now();
        let Some(first) = waiting.next() else {
            return Err(StorageError::config("no place to ask"));
        };
        if waiting.len() == 0 {
            let (_, place, future) = begin(first, 0, started);
            let (_, _, done) = future.await;
            return done.map(|value| (value, place.mirrored()));
        }
        let mut failures: Vec<(Place, StorageError)> = Vec::new();
        let mut running = FuturesUnordered::new();
        first.standing.pay_in();
        let (call, place, future) = begin(first, waiting.len(), started);
        running.push(future);
        let mut out = vec![(Arc::clone(&call), place.clone())];
        let mut watched = Some((call, place));
        loop {
            let hedge = {
                let watched = watched.clone().filter(|_| waiting.len() > 0);
                async move {
                    match watched {
                        Some((call, place)) if call.is_overdue(&place.standing).await => place,
                        Some(_) | None => std::future::pending().await,
                    }
                }
            };
            tokio::select! {
                biased;
                Some((place, call, done)) = running.next() => {
                    out.retain(|(_, other)| other.number != place.number);
                    let error = match done {
                        Ok(value) => {
                            place.standing.succeeded();
                            lost(&out);
                            if place.number > 0 {
                                self.0.tally.mirrored();
                            }
                            return Ok((value, place.mirrored()));
                        }
                        Err(error) => error,
                    };
                    if !goes_on(error.kind()) {
                        return Err(error);
                    }
                    if error.kind().is_transient() {
                        place.standing.failed(Instant::now());
                    }
                    tracing::debug!(origin = place.location.origin(), %error, requests = call.requests(), "the next place is asked");
                    failures.push((place, error));
                    if running.is_empty() {
                        let Some(next) = waiting.next() else {
                            return Err(summary(operation, location, failures, started));
                        };
                        let (call, place, future) = begin(next, waiting.len(), started);
                        running.push(future);
                        out.push((Arc::clone(&call), place.clone()));
                        watched = Some((call, place));
                    }
                }
                slow = hedge => {
                    watched = None;
                    if slow.standing.take_hedge() && let Some(next) = waiting.next() {
                        self.0.tally.hedged();
                        tracing::debug!(origin = slow.location.origin(), second = next.location.origin(), "hedge: slower than usual");
                        let (call, place, future) = begin(next, waiting.len(), started);
                        running.push(future);
                        out.push((Arc::clone(&call), place.clone()));
                        watched = Some((call, place));
                    }
                }
            }
        }
    }
}

/// Places that were asked and overtaken: that they took at least so long is known of them, and silence is a failure.
fn lost(out: &[(Arc<Call>, Place)]) {
    for (call, place) in out {
        if let Some(silent) = call.silent_for() {
            place.standing.latencies.record(silent);
            place.standing.failed(Instant::now());
        }
    }
}

/// Whether another place may have what this one has not.
const fn goes_on(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::NotFound
        | ErrorKind::Forbidden
        | ErrorKind::TimedOut
        | ErrorKind::Unavailable
        | ErrorKind::Truncated
        | ErrorKind::NotRanged
        | ErrorKind::NotData
        | ErrorKind::Unsupported
        | ErrorKind::Config
        | ErrorKind::Local => true,
        // The same object everywhere: another place would hand out what the caller must not take.
        ErrorKind::Changed | ErrorKind::TooLarge => false,
    }
}

/// One error for all places: the kind of one that may yet succeed, else of the first.
fn summary(
    operation: Operation,
    location: &Location,
    mut failures: Vec<(Place, StorageError)>,
    started: Instant,
) -> StorageError {
    failures.sort_by_key(|(place, _)| place.number);
    let chief = failures
        .iter()
        .find(|(_, error)| error.kind().is_transient())
        .or(failures.first());
    let Some((chief, error)) = chief else {
        return StorageError::config("no place was asked");
    };
    let mut fault = error.fault().clone();
    for (place, other) in &failures {
        if place.number != chief.number {
            fault.cause.push_str("; at ");
            fault.cause.push_str(place.location.origin());
            fault.cause.push_str(": ");
            fault.cause.push_str(&other.fault().to_string());
        }
    }
    StorageError::new(Failure {
        fault,
        operation,
        location: Some(location.clone()),
        requests: failures.iter().map(|(_, error)| error.requests()).sum(),
        elapsed: started.elapsed(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(text: &str) -> Result<Mirror, MirrorError> {
        Mirror::parse(text, Path::new("/work"))
    }

    fn location(text: &str) -> Location {
        Location::parse(text, Path::new("/")).unwrap()
    }

    #[test]
    fn prefixes_end_at_slashes_and_lead_back() {
        let rule = mirror("s3://a/=https://b/c").unwrap();
        let place = rule.of(&location("s3://a/x/y.idx")).unwrap();
        assert_eq!(place.as_str(), "https://b/c/x/y.idx");
        assert_eq!(rule.back(&place), Some(location("s3://a/x/y.idx")));
        assert_eq!(rule.of(&location("s3://ab/x")), None);
        assert_eq!(rule.of(&location("gs://a/x")), None);
        let disk = mirror("https://b=data").unwrap();
        assert_eq!(
            disk.of(&location("https://b/x")),
            Some(location("file:///work/data/x"))
        );
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for text in [
            "s3://a",
            "=https://b",
            "s3://a=",
            "s3://a=ftp://b",
            "s3://a=https://b?x",
        ] {
            assert!(mirror(text).is_err(), "{text}");
        }
    }
}

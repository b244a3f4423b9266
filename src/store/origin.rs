//! The bytes of a range: from the disk cache where they are sure to be the object's, else by one request.
//!
//! An entry is sure when its `ETag` is the pinned or indexed one: then the origin is not asked at all. Where nothing is known of the
//! object yet, or its server gives no tags, a short probe of the range decides: with a tag, 16 bytes that tell it; without, the last
//! 4 KiB of the message, which must be equal, as must size and time. Where the origin cannot be reached, an entry that nothing speaks
//! against is served, and pins the object: entries of another version are not, from then on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::Shared;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::budget::{Lease, leased};
use super::disk::{DiskCache, Found, Key, Version};
use super::fetch::FetchError;
use super::pins::Pins;
use super::rows::Objects;
use crate::location::{ByteRange, Location};
use crate::storage::{ErrorKind, Fetched, Joining, Short, Storage, StorageError, join};

/// Bytes of a probe that asks for an `ETag`.
const PROBE_BYTES: u64 = 16;
/// Bytes of a probe that compares.
const TAIL_BYTES: u64 = 4096;
/// How long an origin counts as out of reach: until then entries are served without asking it.
const OFFLINE: Duration = Duration::from_secs(30);
/// Longest wait for the disk: one that hangs is done without.
const DISK_DEADLINE: Duration = Duration::from_secs(5);

/// What a request under way will bring, for all who wait for it.
type Answer = Shared<oneshot::Receiver<Result<Fetched, StorageError>>>;

/// Bytes that are under way already, for those who ask for that range: several where a message holds several fields.
#[derive(Debug)]
struct Coming {
    bytes: Answer,
    /// How many have not asked yet.
    claims: usize,
}

/// Bytes of a range, and where they came from.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) bytes: Bytes,
    pub(super) version: Version,
    pub(super) from_disk: bool,
}

/// Reads ranges of objects.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) objects: Objects,
    pub(super) storage: Storage,
    pub(super) pins: Pins,
    disk: Option<Arc<DiskCache>>,
    /// Ranges that share a request with neighbours, until they are asked for.
    coming: Mutex<HashMap<(u32, ByteRange), Coming>>,
    /// When origins were last found out of reach.
    offline: Mutex<HashMap<String, Clock>>,
}

impl Origin {
    pub(super) fn new(storage: Storage, disk: Option<Arc<DiskCache>>) -> Self {
        Self {
            objects: Objects::default(),
            storage,
            pins: Pins::default(),
            disk,
            coming: Mutex::default(),
            offline: Mutex::default(),
        }
    }

    pub(super) fn location(&self, object: u32) -> Result<Location, FetchError> {
        let object = self.objects.get(object);
        object
            .map(|object| object.location.clone())
            .ok_or_else(|| super::fetch::missing("object"))
    }

    pub(super) fn disk(&self) -> Option<&Arc<DiskCache>> {
        self.disk.as_ref()
    }

    /// The disk cache, for objects that gain by it: files are on a disk already.
    fn disk_for(&self, location: &Location) -> Option<&Arc<DiskCache>> {
        self.disk.as_ref().filter(|_| location.scheme() != "file")
    }

    /// Whether messages of an object are kept on disk, or lie there.
    pub(super) fn has_disk_for(&self, object: u32) -> bool {
        self.location(object)
            .is_ok_and(|at| at.scheme() == "file" || self.disk_for(&at).is_some())
    }

    /// Says that several ranges will be asked for now, one that holds several fields once for each. Neighbours in one object are fetched by
    /// one request, and [`Origin::get`] of each waits for that; for the others nothing is done.
    pub(super) fn expect(self: &Arc<Self>, wanted: &[(u32, ByteRange)], runtime: &Handle) {
        let mut by_object: HashMap<u32, Vec<ByteRange>> = HashMap::new();
        let mut claims: HashMap<(u32, ByteRange), usize> = HashMap::new();
        for (object, range) in wanted {
            // What may lie on disk is looked for there first, one by one.
            if self
                .location(*object)
                .is_ok_and(|at| self.disk_for(&at).is_none())
            {
                *claims.entry((*object, *range)).or_default() += 1;
                let ranges = by_object.entry(*object).or_default();
                // Several fields of one message are one range.
                if claims.get(&(*object, *range)) == Some(&1) {
                    ranges.push(*range);
                }
            }
        }
        for (object, ranges) in by_object {
            for plan in join(&ranges, &Joining::default()) {
                let members = plan.members.iter().filter_map(|at| ranges.get(*at));
                let claims_of =
                    |range: &ByteRange| claims.get(&(object, *range)).copied().unwrap_or(1);
                if members.clone().map(claims_of).sum::<usize>() < 2 {
                    continue;
                }
                let mut waiting = Vec::new();
                for range in members {
                    let (tell, bytes) = oneshot::channel();
                    let coming = Coming {
                        bytes: bytes.shared(),
                        claims: claims_of(range),
                    };
                    self.lock_coming().insert((object, *range), coming);
                    waiting.push(tell);
                }
                let (origin, ranges) = (Arc::clone(self), ranges.clone());
                runtime.spawn(async move {
                    let Ok(location) = origin.location(object) else {
                        return;
                    };
                    let got = origin
                        .storage
                        .get_joined(&location, &ranges, &plan, Short::Refuse)
                        .await;
                    for (tell, got) in waiting.into_iter().zip(got) {
                        // Nobody waits where the flight has found its bytes elsewhere.
                        drop(tell.send(got));
                    }
                });
            }
        }
    }

    /// Nobody will ask for a range that was said to be asked for.
    pub(super) fn expect_no_more(&self, object: u32, range: ByteRange) {
        self.lock_coming().remove(&(object, range));
    }

    /// What is under way for a range, if anything; one claim to it is used up.
    fn claim(&self, object: u32, range: ByteRange) -> Option<Answer> {
        let mut all = self.lock_coming();
        let coming = all.get_mut(&(object, range))?;
        coming.claims = coming.claims.saturating_sub(1);
        let bytes = coming.bytes.clone();
        if coming.claims == 0 {
            all.remove(&(object, range));
        }
        Some(bytes)
    }

    fn lock_coming(&self) -> MutexGuard<'_, HashMap<(u32, ByteRange), Coming>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A range of an object, from wherever it is sure to be right. With `fresh`, from the origin alone.
    pub(super) async fn get(
        &self,
        object: u32,
        range: ByteRange,
        fresh: bool,
        short: Short,
    ) -> Result<Came, FetchError> {
        let location = self.location(object)?;
        let Some(disk) = self.disk_for(&location).filter(|_| !fresh) else {
            return self.fetch(object, range, short).await;
        };
        let pin = self.pins.of(&self.objects, object);
        let found = on_disk(disk, self.key(&location, range), pin.clone()).await;
        if let Some(found) = found {
            let sure = pin.etag.is_some() && pin.etag == found.version.etag;
            let (right, offline) = if sure {
                (true, false)
            } else if self.is_offline(&location) {
                (true, true)
            } else {
                match self.probe(object, range, &found).await {
                    Ok(right) => (right, false),
                    Err(FetchError::Storage(error)) if out_of_reach(&error) => (true, true),
                    Err(error) => return Err(error),
                }
            };
            if right {
                self.pins.hold(&self.objects, object, &found.version)?;
                disk.served(found.message.len(), offline);
                return Ok(Came {
                    bytes: found.message,
                    version: found.version,
                    from_disk: true,
                });
            }
        }
        disk.missed();
        self.fetch(object, range, short).await
    }

    /// A range of an object, by one request; the object is held to what it was.
    pub(super) async fn fetch(
        &self,
        object: u32,
        range: ByteRange,
        short: Short,
    ) -> Result<Came, FetchError> {
        let location = self.location(object)?;
        let come = match self.claim(object, range) {
            // A request that ended without a word is as none.
            Some(coming) => coming.await.ok(),
            None => None,
        };
        let got = match come {
            Some(got) => got,
            None => self.storage.get(&location, range, short).await,
        };
        let fetched = match got {
            Ok(fetched) => fetched,
            Err(error) => {
                if out_of_reach(&error) && self.disk.is_some() {
                    self.lock_offline()
                        .insert(location.origin().to_owned(), Clock::now());
                }
                return Err(error.into());
            }
        };
        let version = Version::of(&fetched);
        self.pins.hold(&self.objects, object, &version)?;
        Ok(Came {
            bytes: fetched.bytes,
            version,
            from_disk: false,
        })
    }

    /// Keeps a verified message that came over the network. Until it is written its bytes are part of the budget: `lease` is that of its
    /// flight, of which `field_bytes` stay for the field.
    pub(super) fn keep(
        &self,
        object: u32,
        range: ByteRange,
        came: Came,
        field_bytes: usize,
        lease: &mut Lease,
    ) {
        if let Ok(location) = self.location(object)
            && let Some(disk) = self.disk_for(&location)
        {
            let own = lease.split_spare(field_bytes as u64, came.bytes.len() as u64);
            let key = self.key(&location, range);
            disk.put(key, came.version, leased(came.bytes, own));
        }
    }

    /// Removes an entry that is not the message it should be.
    pub(super) fn discard(&self, object: u32, range: ByteRange, version: &Version) {
        if let Ok(location) = self.location(object)
            && let Some(disk) = self.disk_for(&location)
        {
            disk.discard(self.key(&location, range), version);
        }
    }

    /// Whether an entry is what the object holds now, by few bytes of it.
    async fn probe(
        &self,
        object: u32,
        range: ByteRange,
        found: &Found,
    ) -> Result<bool, FetchError> {
        let length = found.message.len() as u64;
        let (skipped, length) = if found.version.etag.is_some() {
            (0, PROBE_BYTES.min(length))
        } else {
            let tail = TAIL_BYTES.min(length);
            (length - tail, tail)
        };
        let part = ByteRange::new(range.offset.saturating_add(skipped), length);
        let now = match self.fetch(object, part, Short::Refuse).await {
            Ok(now) => now,
            // The whole range will tell it better.
            Err(FetchError::Storage(error)) if error.kind() == ErrorKind::Truncated => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let from = usize::try_from(skipped).unwrap_or(usize::MAX);
        let own = found.message.get(from..).unwrap_or_default();
        Ok(now.version.etag == found.version.etag
            && now.version.agrees(&found.version)
            && own.starts_with(&now.bytes))
    }

    fn key(&self, location: &Location, range: ByteRange) -> Key {
        Key::new(location, self.storage.endpoint_of(location), range)
    }

    fn is_offline(&self, location: &Location) -> bool {
        let offline = self.lock_offline();
        let since = offline.get(location.origin());
        since.is_some_and(|since| since.elapsed() < OFFLINE)
    }

    fn lock_offline(&self) -> MutexGuard<'_, HashMap<String, Clock>> {
        self.offline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks an entry up on a thread for such work.
async fn on_disk(disk: &Arc<DiskCache>, key: Key, expected: Version) -> Option<Found> {
    let disk = Arc::clone(disk);
    let looking = tokio::task::spawn_blocking(move || disk.get(key, &expected));
    tokio::time::timeout(DISK_DEADLINE, looking)
        .await
        .ok()?
        .ok()?
}

/// Whether an error means that the origin cannot be reached, rather than that it refuses.
fn out_of_reach(error: &StorageError) -> bool {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::Unavailable => true,
        ErrorKind::NotFound
        | ErrorKind::Forbidden
        | ErrorKind::Truncated
        | ErrorKind::NotRanged
        | ErrorKind::NotData
        | ErrorKind::Changed
        | ErrorKind::TooLarge
        | ErrorKind::Unsupported
        | ErrorKind::Config
        | ErrorKind::Local => false,
    }
}

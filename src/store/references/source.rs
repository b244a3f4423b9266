//! From the key of a chunk to its bytes: the reference is looked up, followed if it may be, fetched, and what is a GRIB message
//! proven and decoded.

use std::sync::Arc;
use std::time::Instant as Clock;

use bytes::Bytes;

use super::error::RefReadError;
use super::policy::{Policy, shown};
use super::sizes::Sizes;
use super::{RefKey, grib_chunk};
use crate::location::{ByteRange, Location};
use crate::refs::{Coding, Expectation, GribVar, Kind, RefSet, RefsError, Target};
use crate::storage::Short;
use crate::store::budget::{Budget, Lease, leased};
use crate::store::decoders::Decoders;
use crate::store::landing::Landing;
use crate::store::lock;
use crate::store::origin::Origin;

/// What an object is taken to be where neither the set nor its server says how long it is.
const UNKNOWN_BYTES: u64 = 1 << 20;

/// What a fetch needs; shared by all flights.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) set: Arc<RefSet>,
    pub(super) origin: Arc<Origin>,
    pub(super) policy: Policy,
    /// Bytes in flight and kept.
    pub(super) budget: Arc<Budget>,
    pub(super) shared: Arc<Landing<RefKey>>,
    pub(super) decoders: Decoders,
    pub(super) sizes: Sizes,
}

/// A chunk, as the set has it.
struct Located {
    target: Option<Target>,
    grib: Option<Grib>,
}

/// How a GRIB message becomes a chunk.
struct Grib {
    var: GribVar,
    item_bytes: u64,
    wanted: Expectation,
}

impl Source {
    /// Where a chunk lies. May read a record: see [`Self::is_known`].
    pub(super) fn target(&self, key: RefKey) -> Result<Option<Target>, RefsError> {
        match key {
            RefKey::Chunk(node, number) => self.set.chunk(node, number),
            RefKey::File(node, position) => {
                let files = self.set.nodes.get(node).map(|node| &node.files);
                let slot = files.and_then(|files| files.get(position));
                Ok(slot.and_then(|(_, slot)| self.set.target(slot)))
            }
        }
    }

    /// Whether [`Self::target`] answers from memory.
    pub(super) fn is_known(&self, key: RefKey) -> bool {
        match key {
            RefKey::Chunk(node, number) => self.set.is_known(node, number),
            RefKey::File(..) => true,
        }
    }

    /// Bytes of a chunk whose array says how many they are.
    pub(super) fn chunk_bytes(&self, key: RefKey) -> Option<u64> {
        let RefKey::Chunk(node, _) = key else {
            return None;
        };
        match self.set.nodes.get(node).map(|node| &node.kind) {
            Some(Kind::Array { info, .. }) => info.chunk_bytes(),
            _ => None,
        }
    }

    fn located(&self, key: RefKey) -> Result<Located, RefsError> {
        let target = self.target(key)?;
        let RefKey::Chunk(node, number) = key else {
            return Ok(Located { target, grib: None });
        };
        let grib = match self.set.nodes.get(node).map(|node| &node.kind) {
            Some(Kind::Array { info, .. }) => match &info.coding {
                Coding::Grib { var, item_bytes } => Some(Grib {
                    var: var.clone(),
                    item_bytes: *item_bytes,
                    wanted: self.set.expectation(node, number),
                }),
                Coding::Plain { .. } | Coding::Opaque => None,
            },
            _ => None,
        };
        Ok(Located { target, grib })
    }

    /// Where a chunk lies and what it must be, without making the runtime wait: what lies in records is read on a thread for that.
    async fn locate(self: &Arc<Self>, key: RefKey) -> Result<Located, RefReadError> {
        if !self.set.is_lazy() {
            return Ok(self.located(key)?);
        }
        let source = Arc::clone(self);
        let located = tokio::task::spawn_blocking(move || source.located(key)).await;
        Ok(located.map_err(|panic| {
            RefReadError::Internal(format!("looking up a chunk ended abnormally: {panic}"))
        })??)
    }

    /// A chunk as it is named in messages: `t2m/3.0.0 (s3://b/f003, bytes 0-11356)`.
    pub(super) fn label(&self, key: RefKey) -> String {
        let node = match key {
            RefKey::Chunk(node, _) | RefKey::File(node, _) => node,
        };
        let at = self.set.nodes.get(node);
        let name = match (key, at.map(|node| &node.kind)) {
            (RefKey::Chunk(_, number), Some(Kind::Array { info, .. })) => info.chunk_name(number),
            (RefKey::File(_, position), _) => at
                .and_then(|node| node.files.get(position))
                .map_or_else(String::new, |(name, _)| name.clone()),
            (RefKey::Chunk(..), _) => String::new(),
        };
        let name = format!("{}/{name}", self.set.path(node));
        // A message must not wait for a record.
        let target = self.is_known(key).then(|| self.target(key));
        let Some(Ok(Some(Target::Object {
            url,
            offset,
            length,
        }))) = target
        else {
            return name;
        };
        let length = length.filter(|length| offset.checked_add(*length).is_some());
        format!("{name} ({}, {})", shown(&url), ByteRange { offset, length })
    }

    /// The object that a chunk lies in, by which failures are told together.
    pub(super) fn object(&self, key: RefKey) -> Option<Arc<str>> {
        match self.is_known(key).then(|| self.target(key)) {
            Some(Ok(Some(Target::Object { url, .. }))) => Some(shown(&url).into()),
            _ => None,
        }
    }

    /// Fetches, proves and decodes a chunk. Its bytes hold their part of the budget as long as somebody has them.
    pub(super) async fn fetch(self: &Arc<Self>, key: RefKey) -> Result<Bytes, RefReadError> {
        let Located { target, grib } = self.locate(key).await?;
        let broken = |what: &str| Err(RefReadError::Broken(what.to_owned()));
        let (url, range) = match target {
            None => return broken("the set has no reference for a chunk that must exist"),
            Some(Target::NoTarget) => {
                return broken("it refers to a default target, which the set does not hold");
            }
            Some(Target::Inline(bytes)) => {
                let Some(grib) = grib else { return Ok(bytes) };
                let lease = self.room(decoded_bytes(&grib)).await;
                return Ok(leased(self.decoded(bytes, grib).await?, lease));
            }
            Some(Target::Object {
                length: Some(0), ..
            }) => return broken("a reference of no bytes"),
            Some(Target::Object {
                url,
                offset,
                length,
            }) => (url, ByteRange { offset, length }),
        };
        let location = self.policy.resolve(&url)?;
        // More than storage reads at once is refused there; until then it must not take all memory.
        let message = match range.length {
            Some(length) => length,
            None => self.object_size(&url).await.unwrap_or(UNKNOWN_BYTES),
        };
        let message = message.min(MOST_BYTES);
        let mut lease = self
            .room(message + grib.as_ref().map_or(0, decoded_bytes))
            .await;
        let bytes = match grib {
            Some(grib) => self.message(&location, range, grib, &mut lease).await?,
            None => self.as_it_is(&location, range).await?,
        };
        Ok(leased(bytes, lease))
    }

    async fn room(&self, bytes: u64) -> Lease {
        let make_room = || lock(&self.shared.cache).make_room(Clock::now());
        self.budget.take(bytes, make_room).await
    }

    /// Bytes that nobody here can judge; they are not kept on disk, where only what was proven is.
    async fn as_it_is(
        self: &Arc<Self>,
        location: &Location,
        range: ByteRange,
    ) -> Result<Bytes, RefReadError> {
        let object = self.origin.objects.named(location)?;
        Ok(self.origin.fetch(object, range, Short::Refuse).await?.bytes)
    }

    /// A message, decoded; from the disk cache where it is there. A range may be longer than its message, past the end of the object.
    async fn message(
        self: &Arc<Self>,
        location: &Location,
        range: ByteRange,
        grib: Grib,
        lease: &mut Lease,
    ) -> Result<Bytes, RefReadError> {
        let object = self.origin.objects.named(location)?;
        let grib = Arc::new(grib);
        for fresh in [false, true] {
            let came = self.origin.get(object, range, fresh, Short::Allow).await?;
            match self.decoded(came.bytes.clone(), Arc::clone(&grib)).await {
                Ok(chunk) => {
                    if !came.from_disk {
                        let chunk_bytes = chunk.len();
                        self.origin.keep(object, range, came, chunk_bytes, lease);
                    }
                    return Ok(chunk);
                }
                Err(RefReadError::Chunk(_)) if came.from_disk => {
                    self.origin.discard(object, range, &came.version);
                }
                Err(error) => return Err(error),
            }
        }
        Err(RefReadError::Internal(
            "a fresh message came from disk".to_owned(),
        ))
    }

    /// Decodes on a thread for such work.
    async fn decoded(
        &self,
        bytes: Bytes,
        grib: impl Into<Arc<Grib>>,
    ) -> Result<Bytes, RefReadError> {
        let grib = grib.into();
        let decode = move || grib_chunk::chunk(&bytes, &grib.wanted, &grib.var, grib.item_bytes);
        let decoded = self.decoders.run(decode).await;
        let decoded = decoded
            .ok_or_else(|| RefReadError::Internal("decoding ended abnormally".to_owned()))?;
        Ok(decoded?)
    }
}

/// Most bytes of a lease for a message: what storage reads at once.
const MOST_BYTES: u64 = 1 << 30;

/// Bytes of a chunk once it is decoded.
fn decoded_bytes(grib: &Grib) -> u64 {
    grib.wanted.elements.saturating_mul(grib.item_bytes)
}

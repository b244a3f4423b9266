//! Many fields that are wanted for sure: where they lie, and all of a group at once, each message by one fetch.
//!
//! `reader.places(rows)` tells object, offset and size of each, so that a caller can group neighbours; `reader.read(group)` fetches
//! neighbours together, decodes on all cores, and gives the fields as they come. Bytes are leased before anything is sent.
//!
//! Knows rows and bytes. Keeps nothing: whoever wants a field twice asks once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::runtime::Handle;

use super::budget::{Budget, Lease, leased};
use super::failure::{FailureKind, ReadFailure};
use super::fetch::Source;
use super::reader::{ReaderConfig, describe, failure, object_of, why_pending};
use super::rows::Located;
use super::side;
use crate::dataset::archive::{RowId, RowSource};
use crate::location::ByteRange;
use crate::storage::Storage;

/// Pauses before each further try of a message that could not be had; storage has tried several times before each.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// Reads groups of fields.
#[derive(Clone, Debug)]
pub struct BulkReader {
    source: Arc<Source>,
    runtime: Handle,
    budget: Arc<Budget>,
}

/// Where the message of a row lies.
#[derive(Clone, Debug)]
pub struct Place {
    /// The row.
    pub row: RowId,
    /// A number of its object, the same for all rows of one reader.
    pub object: u32,
    /// Offset of its message.
    pub offset: u64,
    /// Bytes of its message; a guess where the table does not know its end.
    pub message_bytes: u64,
    /// Bytes of memory while it is read.
    pub memory_bytes: u64,
    at: Located,
}

/// A field that has come.
#[derive(Clone, Debug)]
pub struct BulkField {
    /// Its values: little-endian float32, rows of the part delivered one after the other.
    pub bytes: Bytes,
    /// What one more of its packed integers is in values; `None` where the packing has no such step.
    pub step: Option<f64>,
}

/// A row and its field, or why it cannot be had.
type Arrival = (RowId, Result<BulkField, ReadFailure>);

/// Fields as they come, each with its row.
pub struct Arrivals(FuturesUnordered<BoxFuture<'static, Arrival>>);

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arrivals({} to come)", self.0.len())
    }
}

impl Arrivals {
    /// The next field, or why it cannot be had; `None` after the last.
    pub async fn next(&mut self) -> Option<Arrival> {
        self.0.next().await
    }
}

impl BulkReader {
    /// A reader of a table's fields; work runs on `runtime`. Of the settings those of caches and look-ahead mean nothing here.
    #[must_use]
    pub fn new(
        rows: Arc<dyn RowSource>,
        storage: Storage,
        runtime: Handle,
        config: &ReaderConfig,
    ) -> Self {
        Self {
            source: Arc::new(Source::new(rows, storage, config)),
            runtime,
            budget: Budget::new(config.memory_bytes),
        }
    }

    /// Bytes that groups under way may take together.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.budget.limit()
    }

    /// Where the messages of rows lie. May read the table.
    ///
    /// # Errors
    /// [`ReadFailure`] if the table cannot be read.
    pub async fn places(&self, rows: &[RowId]) -> Result<Vec<Place>, ReadFailure> {
        let mut places = Vec::with_capacity(rows.len());
        for row in rows {
            let at = self
                .source
                .locate(*row)
                .await
                .map_err(|error| ReadFailure {
                    kind: error.kind(),
                    message: format!("row {row}: {error}"),
                    object: None,
                })?;
            let sizes = self.source.sizes_of(&at);
            places.push(Place {
                row: *row,
                object: at.row.object,
                offset: at.row.offset,
                message_bytes: sizes.message,
                memory_bytes: sizes.memory,
                at,
            });
        }
        Ok(places)
    }

    /// Why a row is known not to be readable.
    pub async fn why_pending(&self, row: RowId) -> ReadFailure {
        let (message, object) = match self.source.locate(row).await {
            Ok(at) => (why_pending(&self.source, &at), object_of(&self.source, &at)),
            Err(error) => (error.to_string(), None),
        };
        ReadFailure {
            kind: FailureKind::Pending,
            message,
            object,
        }
    }

    /// Reads a group. Waits until there is memory for it as a whole, then gives its fields as they come.
    pub async fn read(&self, group: &[Place]) -> Arrivals {
        let total = group.iter().map(|place| place.memory_bytes).sum();
        let mut lease = self.budget.take(total, || false).await;
        let whole = |place: &&Place| self.source.few_cells(&place.at).is_none();
        let wanted: Vec<(u32, ByteRange)> = group
            .iter()
            .filter(whole)
            .map(|place| (place.object, side::Place::listed(&place.at.row).range()))
            .collect();
        self.source.origin.expect(&wanted, &self.runtime);
        let fields = group.iter().map(|place| {
            let row = place.row;
            let lease = lease.split(place.memory_bytes);
            let work = read(Arc::clone(&self.source), place.at.clone(), lease);
            let task = self.runtime.spawn(work);
            async move {
                let ended = |ended: tokio::task::JoinError| ReadFailure {
                    kind: FailureKind::Internal,
                    message: format!("a read ended abnormally: {ended}"),
                    object: None,
                };
                let field = task.await.map_err(ended).and_then(|field| field);
                (row, field)
            }
            .boxed()
        });
        Arrivals(fields.collect())
    }
}

/// One field, tried again after pauses where that may help.
async fn read(
    source: Arc<Source>,
    at: Located,
    mut lease: Lease,
) -> Result<BulkField, ReadFailure> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let done = Arc::clone(&source).field(&at, &mut lease).await;
        let error = match done {
            Ok(field) => {
                return Ok(BulkField {
                    bytes: leased(field.bytes, lease),
                    step: field.step,
                });
            }
            Err(error) => error,
        };
        let again = match error.kind() {
            FailureKind::Unavailable | FailureKind::TimedOut | FailureKind::Invalid => {
                pauses.next()
            }
            FailureKind::Forbidden
            | FailureKind::Changed
            | FailureKind::Pending
            | FailureKind::Spent
            | FailureKind::Internal => None,
        };
        let Some(pause) = again else {
            return Err(failure(&source, &at, &error));
        };
        tracing::info!("{}: {error}; once more", describe(&source, &at));
        tokio::time::sleep(pause).await;
    }
}

//! One field from the archive: ranged fetch, verification, decode.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt as _;

use super::budget::Lease;
use super::buffers::Buffers;
use super::decoders::Decoders;
use super::failure::FailureKind;
use super::heal::Healer;
use super::origin::{Came, Origin};
use super::part;
use super::reader::ReaderConfig;
use super::rescan::HealError;
use super::rows::Located;
use super::side::Place;
use super::verify::{VerifyError, verify};
use crate::dataset::archive::{RowId, RowSource};
use crate::dataset::{Crop, GridView};
use crate::grib::decode::{DecodeError, Packed, decode, decode_range, supported};
use crate::grib::grid::Grid;
use crate::location::ByteRange;
use crate::storage::{ErrorKind, Short, Storage, StorageError};
use crate::table::row::{Row, Status, Table};

/// What a message is taken to be where the table does not know: the last of a file, whose index line tells no end.
const UNKNOWN_MESSAGE_BYTES: u64 = 1 << 20;

/// Why a field could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(
        "the object changed since it was first seen: {what} was {before}, now {after}; index it again"
    )]
    Changed {
        what: &'static str,
        before: String,
        after: String,
    },
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The index is stale, and the message was not found elsewhere.
    #[error("{error}; {healing}")]
    Stale {
        error: Box<FetchError>,
        healing: HealError,
    },
    #[error("{0}")]
    Pending(String),
    #[error("the table can no longer be read: {0}")]
    Lost(String),
    #[error("internal error: {0}")]
    Internal(String),
}

impl FetchError {
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Storage(error) => kind_of_storage(error),
            Self::Changed { .. } => FailureKind::Changed,
            Self::Lost(_) => FailureKind::Unavailable,
            Self::Verify(_) | Self::Decode(_) => FailureKind::Invalid,
            Self::Stale { error, healing } => match healing {
                HealError::Walk {
                    kind: kind @ (FailureKind::Changed | FailureKind::TimedOut),
                    ..
                } => *kind,
                HealError::Waiting => FailureKind::TimedOut,
                HealError::Walk { .. }
                | HealError::Absent
                | HealError::Ambiguous(_)
                | HealError::Unmoved => error.kind(),
            },
            Self::Pending(_) => FailureKind::Pending,
            Self::Internal(_) => FailureKind::Internal,
        }
    }
}

/// What kind of failure a storage error is.
pub(super) fn kind_of_storage(error: &StorageError) -> FailureKind {
    match error.kind() {
        ErrorKind::Forbidden => FailureKind::Forbidden,
        ErrorKind::TimedOut => FailureKind::TimedOut,
        ErrorKind::Changed => FailureKind::Changed,
        ErrorKind::NotFound
        | ErrorKind::Unavailable
        | ErrorKind::Truncated
        | ErrorKind::NotRanged
        | ErrorKind::NotData
        | ErrorKind::TooLarge
        | ErrorKind::Config
        | ErrorKind::Unsupported
        | ErrorKind::Local => FailureKind::Unavailable,
    }
}

/// What a fetch needs; shared by all flights.
#[derive(Debug)]
pub(super) struct Source {
    rows: Arc<dyn RowSource>,
    pub(super) origin: Arc<Origin>,
    pub(super) healer: Healer,
    view: GridView,
    /// Grids met so far by their section 3, each as it is delivered.
    grids: Mutex<HashMap<Vec<u8>, Option<Arc<Delivered>>>>,
    /// Bytes of the largest field met so far.
    largest_field: AtomicU64,
    buffers: Arc<Buffers>,
    decoders: Decoders,
}

/// A grid, and the part of it that is delivered, if not all.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) grid: Grid,
    crop: Option<Crop>,
}

/// A field, decoded.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    /// Little-endian float32.
    pub(super) bytes: Bytes,
    /// What one more of its packed integers is in values; `None` where the packing has no such step.
    pub(super) step: Option<f64>,
}

/// Bytes that reading a row takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Of its message.
    pub(super) message: u64,
    /// In memory meanwhile.
    pub(super) memory: u64,
}

impl Source {
    pub(super) fn new(rows: Arc<dyn RowSource>, storage: Storage, config: &ReaderConfig) -> Self {
        Self {
            rows,
            origin: Arc::new(Origin::new(storage, config.disk.clone())),
            healer: Healer::new(config.on_stale, config.corrections.as_deref()),
            view: config.view.clone(),
            grids: Mutex::default(),
            largest_field: AtomicU64::new(0),
            // One for each that decodes, and one for each that is being handed out meanwhile.
            buffers: Buffers::new(2 * config.cores),
            decoders: Decoders::new(config.cores),
        }
    }

    /// A row if it is in memory.
    pub(super) fn peek(&self, row: RowId) -> Option<Located> {
        let (table, at) = self.rows.peek(row)?;
        self.origin.objects.located(row, table, at).ok()
    }

    /// The row of a number. Waits for a file or a server, on a thread for that.
    pub(super) async fn locate(self: &Arc<Self>, row: RowId) -> Result<Located, FetchError> {
        if let Some(located) = self.peek(row) {
            return Ok(located);
        }
        let source = Arc::clone(self);
        let located = tokio::task::spawn_blocking(move || {
            let (table, at) = source.rows.locate(row).map_err(FetchError::Lost)?;
            source.origin.objects.located(row, table, at)
        });
        located.await.unwrap_or_else(|panic| {
            Err(FetchError::Internal(format!(
                "looking up a row ended abnormally: {panic}"
            )))
        })
    }

    /// All rows that the table has of an object. Waits for a file or a server.
    pub(super) fn rows_in(&self, object: u32) -> Result<Arc<Table>, FetchError> {
        let row = self.origin.objects.a_row_of(object);
        let row = row.ok_or_else(|| missing("object"))?;
        self.rows.companions(row).map_err(FetchError::Lost)
    }

    /// The row that came later for the cell of one that had not arrived. Waits for a file or a server.
    pub(super) fn arrived(&self, pending: RowId) -> Option<RowId> {
        self.rows.arrived(pending)
    }

    /// A grid as it is delivered.
    pub(super) fn grid(&self, section3: &[u8]) -> Option<Arc<Delivered>> {
        let mut grids = self.grids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = grids.get(section3) {
            return known.clone();
        }
        let delivered = Grid::parse(section3).ok().and_then(|grid| {
            let crop = self.view.of(&grid)?;
            Some(Arc::new(Delivered { grid, crop }))
        });
        grids.insert(section3.to_vec(), delivered.clone());
        delivered
    }

    /// Fetches, verifies and decodes the field of a row: little-endian float32, rows of the grid (of the part delivered) one after the
    /// other. Where the index is stale, the message is read from where it is. What of the lease is the message's goes with it, if it is kept on
    /// disk.
    pub(super) async fn field(
        self: Arc<Self>,
        at: &Located,
        lease: &mut Lease,
    ) -> Result<Decoded, FetchError> {
        let row = &at.row;
        if row.status != Status::Placed {
            let reason = row.reason.as_deref().unwrap_or("no reason recorded");
            return Err(FetchError::Pending(format!(
                "the message is {}: {reason}",
                row.status.as_str()
            )));
        }
        if let Some(place) = self.healer.known(&self, at).await {
            match self.field_at(at, place, lease).await {
                Err(error) if self.shows_stale(row, place, &error) => {
                    self.healer.doubt(row.object);
                }
                Ok(field) => {
                    self.healer.served();
                    return Ok(field);
                }
                Err(error) => return Err(error),
            }
        }
        let listed = Place::listed(row);
        match self.field_at(at, listed, lease).await {
            // In a box: a future that is seldom needed must not make this one large.
            Err(error) if self.healer.heals() && self.shows_stale(row, listed, &error) => {
                self.healed_field(at, error, lease).boxed().await
            }
            done => done,
        }
    }

    /// The field of a row whose index turned out to be stale by `error`.
    async fn healed_field(
        self: &Arc<Self>,
        at: &Located,
        error: FetchError,
        lease: &mut Lease,
    ) -> Result<Decoded, FetchError> {
        let row = &at.row;
        let stale = |error, healing| FetchError::Stale {
            error: Box::new(error),
            healing,
        };
        if let FetchError::Storage(_) = &error
            && self
                .origin
                .pins
                .of(&self.origin.objects, row.object)
                .size
                .is_none()
        {
            // Short for the range, or cut on its way? The object's size tells.
            let start = ByteRange::new(0, 1);
            let told = self.origin.fetch(row.object, start, Short::Allow).await;
            if told.is_err() || !self.shows_stale(row, Place::listed(row), &error) {
                return Err(error);
            }
        }
        let place = match self.healer.find(self, at).await {
            Ok(place) => place,
            Err(healing) => return Err(stale(error, healing)),
        };
        let field = self.field_at(at, place, lease).await;
        match &field {
            Ok(_) => self.healer.served(),
            Err(error) if self.shows_stale(row, place, error) => self.healer.doubt(row.object),
            Err(_) => {}
        }
        field
    }

    /// Whether an error says that the message is not where it was read, rather than that it cannot be had.
    fn shows_stale(&self, row: &Row, place: Place, error: &FetchError) -> bool {
        match error {
            FetchError::Verify(error) => !matches!(error, VerifyError::Unknown),
            // The object ends before the message does; unless its size says otherwise, and bodies were cut short on their way.
            FetchError::Storage(error) => {
                let end = place.offset.saturating_add(place.length.unwrap_or(1));
                let size = self.origin.pins.of(&self.origin.objects, row.object).size;
                error.kind() == ErrorKind::Truncated && size.is_none_or(|size| end > size)
            }
            FetchError::Changed { .. }
            | FetchError::Decode(_)
            | FetchError::Stale { .. }
            | FetchError::Pending(_)
            | FetchError::Lost(_)
            | FetchError::Internal(_) => false,
        }
    }

    /// Fetches, verifies and decodes a row's message from a place.
    async fn field_at(
        self: &Arc<Self>,
        at: &Located,
        place: Place,
        lease: &mut Lease,
    ) -> Result<Decoded, FetchError> {
        let row = Row {
            offset: place.offset,
            length: place.length,
            field: place.field,
            ..at.row.clone()
        };
        let at = Located {
            row,
            table: Arc::clone(&at.table),
        };
        let (object, range) = (at.row.object, place.range());
        if let Some(cells) = self.few_cells(&at)
            && !self.origin.has_disk_for(object)
        {
            // In a box: seldom needed.
            let part = part::fetch(&self.origin, object, range, cells).boxed();
            if let Some(came) = part.await? {
                return self.decoded(&at, &came).await;
            }
        }
        let came = self.origin.get(object, range, false, Short::Refuse).await?;
        let outcome = self.decoded(&at, &came).await;
        let fault = matches!(outcome, Err(FetchError::Verify(_) | FetchError::Decode(_)));
        if came.from_disk && fault {
            self.origin.discard(object, range, &came.version);
            let came = self.origin.get(object, range, true, Short::Refuse).await?;
            let outcome = self.decoded(&at, &came).await;
            return self.kept(object, range, came, outcome, lease);
        }
        self.kept(object, range, came, outcome, lease)
    }

    /// The cells of the rows that are wanted of a field, if they are few of a large message.
    pub(super) fn few_cells(&self, at: &Located) -> Option<Range<usize>> {
        let delivered = at
            .section3()
            .ok()
            .and_then(|section3| self.grid(section3))?;
        let crop = delivered.crop.as_ref()?;
        let cells = crop.cells_of_rows();
        let (grid, length) = (&delivered.grid, at.row.length);
        (at.row.field == 0
            && grid.cell_order().is_row_major()
            && part::is_worth_it(length, &cells, grid.points()))
        .then_some(cells)
    }

    /// Keeps what came over the network and was right.
    fn kept(
        &self,
        object: u32,
        range: ByteRange,
        came: Came,
        outcome: Result<Decoded, FetchError>,
        lease: &mut Lease,
    ) -> Result<Decoded, FetchError> {
        if let Ok(field) = &outcome
            && !came.from_disk
        {
            let field_bytes = field.bytes.len();
            self.origin.keep(object, range, came, field_bytes, lease);
        }
        outcome
    }

    /// Decodes on a thread for such work.
    async fn decoded(self: &Arc<Self>, at: &Located, came: &Came) -> Result<Decoded, FetchError> {
        let (source, at, bytes) = (Arc::clone(self), at.clone(), came.bytes.clone());
        let decoded = self.decoders.run(move || source.decode(&at, &bytes)).await;
        decoded.unwrap_or_else(|| Err(FetchError::Internal("decoding ended abnormally".to_owned())))
    }

    /// Where a row's message lies, its object and range, if the row is in memory and the message is wanted as a whole.
    pub(super) fn reference(&self, row: RowId) -> Option<(u32, ByteRange)> {
        let at = self.peek(row).filter(|at| self.few_cells(at).is_none())?;
        Some((at.row.object, Place::listed(&at.row).range()))
    }

    /// Bytes of a row's message, and of memory while it is fetched and decoded: its message and the values of its grid. Guesses where
    /// the table does not know its end, or the row is not in memory.
    pub(super) fn sizes(&self, row: RowId) -> Sizes {
        match self.peek(row) {
            Some(at) => self.sizes_of(&at),
            None => Sizes {
                message: UNKNOWN_MESSAGE_BYTES,
                memory: UNKNOWN_MESSAGE_BYTES + self.largest_field.load(Ordering::Relaxed),
            },
        }
    }

    /// The same of a row that was looked up.
    pub(super) fn sizes_of(&self, at: &Located) -> Sizes {
        let message = at.row.length.unwrap_or(UNKNOWN_MESSAGE_BYTES);
        let delivered = at.section3().ok().and_then(|section3| self.grid(section3));
        let field = delivered.map_or(0, |delivered| delivered.grid.points() as u64 * 4);
        self.largest_field.fetch_max(field, Ordering::Relaxed);
        Sizes {
            message,
            memory: message + field,
        }
    }

    fn decode(&self, at: &Located, bytes: &[u8]) -> Result<Decoded, FetchError> {
        let (row, kind) = (&at.row, at.kind()?);
        let section3 = at.section3()?;
        let delivered = self.grid(section3).ok_or_else(|| missing("grid"))?;
        let (grid, crop) = (&delivered.grid, delivered.crop.as_ref());
        let field = verify(bytes, row, kind, (grid, section3))?;
        let packed = Packed {
            points: grid.points(),
            section5: field.section5,
            bitmap: field.bitmap,
            section7: field.section7,
        };
        let values = self.values_of(&packed, grid, crop)?;
        Ok(Decoded {
            bytes: self.buffers.bytes_of(values),
            step: supported(packed.section5)
                .ok()
                .and_then(|packing| packing.step()),
        })
    }

    /// The values of a field in the delivered order; of a crop only the rows that it shows are unpacked, where the packing allows.
    fn values_of(
        &self,
        packed: &Packed<'_>,
        grid: &Grid,
        crop: Option<&Crop>,
    ) -> Result<Vec<f32>, FetchError> {
        if let Some(crop) = crop.filter(|_| grid.cell_order().is_row_major()) {
            let cells = crop.cells_of_rows();
            let mut rows = vec![0_f32; cells.len()];
            decode_range(packed, cells.start, &mut rows)?;
            return Ok(crop.take_of_rows(&rows));
        }
        let mut values = self.buffers.take(grid.points());
        decode(packed, &mut values)?;
        grid.cell_order()
            .reorder(&mut values)
            .map_err(|error| FetchError::Internal(error.to_string()))?;
        Ok(match crop {
            Some(crop) => crop.take(&values),
            None => values,
        })
    }
}

pub(super) fn missing(what: &str) -> FetchError {
    FetchError::Internal(format!("the table lacks a {what} that a row names"))
}

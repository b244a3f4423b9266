//! One field from the archive: ranged fetch, verification, decode.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use tokio::sync::Semaphore;

use super::buffers::Buffers;
use super::failure::FailureKind;
use super::heal::Healer;
use super::origin::{Came, Origin};
use super::reader::ReaderConfig;
use super::rescan::HealError;
use super::side::Place;
use super::verify::{VerifyError, verify};
use crate::dataset::Crop;
use crate::grib::decode::{DecodeError, Packed, decode, decode_range};
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
    #[error("internal error: {0}")]
    Internal(String),
}

impl FetchError {
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Storage(error) => kind_of_storage(error),
            Self::Changed { .. } => FailureKind::Changed,
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
    pub(super) table: Arc<Table>,
    pub(super) origin: Arc<Origin>,
    pub(super) healer: Healer,
    /// Grids of the table, each with the part that is delivered.
    grids: Vec<Option<(Grid, Option<Crop>)>>,
    buffers: Arc<Buffers>,
    /// Decoding takes a core each: no more at once than there are.
    cores: Semaphore,
}

impl Source {
    pub(super) fn new(table: Arc<Table>, storage: Storage, config: &ReaderConfig) -> Self {
        let grids = table
            .grids
            .iter()
            .map(|grid| {
                let grid = Grid::parse(&grid.section3).ok()?;
                let crop = match &config.bounds {
                    Some(bounds) => Some(Crop::of(&grid, bounds)?),
                    None => None,
                };
                Some((grid, crop))
            })
            .collect();
        Self {
            origin: Arc::new(Origin::new(
                Arc::clone(&table),
                storage,
                config.disk.clone(),
            )),
            healer: Healer::new(config.on_stale, config.corrections.as_deref()),
            table,
            grids,
            // One for each that decodes, and one for each that is being handed out meanwhile.
            buffers: Buffers::new(2 * config.cores),
            cores: Semaphore::new(config.cores.max(1)),
        }
    }

    /// Fetches, verifies and decodes the field of a row: little-endian float32, rows of the grid (of the part delivered) one after the
    /// other. Where the index is stale, the message is read from where it is.
    pub(super) async fn field(self: Arc<Self>, index: u32) -> Result<Bytes, FetchError> {
        let row = self.row(index)?;
        if row.status != Status::Placed {
            let reason = row.reason.as_deref().unwrap_or("no reason recorded");
            return Err(FetchError::Pending(format!(
                "the message is {}: {reason}",
                row.status.as_str()
            )));
        }
        if let Some(place) = self.healer.known(&self, row).await {
            match self.field_at(row, place).await {
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
        match self.field_at(row, listed).await {
            // In a box: a future that is seldom needed must not make this one large.
            Err(error) if self.healer.heals() && self.shows_stale(row, listed, &error) => {
                self.healed_field(row, error).boxed().await
            }
            done => done,
        }
    }

    /// The field of a row whose index turned out to be stale by `error`.
    async fn healed_field(
        self: &Arc<Self>,
        row: &Row,
        error: FetchError,
    ) -> Result<Bytes, FetchError> {
        let stale = |error, healing| FetchError::Stale {
            error: Box::new(error),
            healing,
        };
        if let FetchError::Storage(_) = &error
            && self.origin.pins.of(&self.table, row.object).size.is_none()
        {
            // Short for the range, or cut on its way? The object's size tells.
            let start = ByteRange::new(0, 1);
            let told = self.origin.fetch(row.object, start, Short::Allow).await;
            if told.is_err() || !self.shows_stale(row, Place::listed(row), &error) {
                return Err(error);
            }
        }
        let place = match self.healer.find(self, row).await {
            Ok(place) => place,
            Err(healing) => return Err(stale(error, healing)),
        };
        let field = self.field_at(row, place).await;
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
                let size = self.origin.pins.of(&self.table, row.object).size;
                error.kind() == ErrorKind::Truncated && size.is_none_or(|size| end > size)
            }
            FetchError::Changed { .. }
            | FetchError::Decode(_)
            | FetchError::Stale { .. }
            | FetchError::Pending(_)
            | FetchError::Internal(_) => false,
        }
    }

    /// Fetches, verifies and decodes a row's message from a place.
    async fn field_at(self: &Arc<Self>, row: &Row, place: Place) -> Result<Bytes, FetchError> {
        let row = Row {
            offset: place.offset,
            length: place.length,
            field: place.field,
            ..row.clone()
        };
        let (object, range) = (row.object, place.range());
        let came = self.origin.get(object, range, false).await?;
        let outcome = self.decoded(&row, &came).await;
        let fault = matches!(outcome, Err(FetchError::Verify(_) | FetchError::Decode(_)));
        if came.from_disk && fault {
            self.origin.discard(object, range, &came.version);
            let came = self.origin.get(object, range, true).await?;
            let outcome = self.decoded(&row, &came).await;
            return self.kept(object, range, came, outcome);
        }
        self.kept(object, range, came, outcome)
    }

    /// Keeps what came over the network and was right.
    fn kept(
        &self,
        object: u32,
        range: ByteRange,
        came: Came,
        outcome: Result<Bytes, FetchError>,
    ) -> Result<Bytes, FetchError> {
        if outcome.is_ok() && !came.from_disk {
            self.origin.keep(object, range, came.bytes, came.version);
        }
        outcome
    }

    /// Decodes on a thread for such work, as many at once as there are cores.
    async fn decoded(self: &Arc<Self>, row: &Row, came: &Came) -> Result<Bytes, FetchError> {
        let permit = self
            .cores
            .acquire()
            .await
            .map_err(|closed| FetchError::Internal(closed.to_string()))?;
        let (source, row, bytes) = (Arc::clone(self), row.clone(), came.bytes.clone());
        let decoded = tokio::task::spawn_blocking(move || source.decode(&row, &bytes)).await;
        drop(permit);
        decoded.unwrap_or_else(|panic| {
            Err(FetchError::Internal(format!(
                "decoding ended abnormally: {panic}"
            )))
        })
    }

    /// Where a row's message lies: its object and range.
    pub(super) fn reference(&self, index: u32) -> Option<(u32, ByteRange)> {
        let row = self.table.rows.get(index as usize)?;
        Some((row.object, Place::listed(row).range()))
    }

    /// Bytes of a row's message; a guess where the table does not know its end.
    pub(super) fn message_bytes(&self, index: u32) -> u64 {
        let length = self.table.rows.get(index as usize).map(|row| row.length);
        length.flatten().unwrap_or(UNKNOWN_MESSAGE_BYTES)
    }

    /// Bytes in memory while a row is fetched and decoded: its message, and the values of its grid.
    pub(super) fn memory_bytes(&self, index: u32) -> u64 {
        let grid = self
            .table
            .rows
            .get(index as usize)
            .and_then(|row| self.table.kinds.get(row.kind as usize)?.grid)
            .and_then(|grid| self.grids.get(grid as usize)?.as_ref());
        let points = grid.map_or(0, |(grid, _)| grid.points() as u64);
        self.message_bytes(index) + points * 4
    }

    fn row(&self, index: u32) -> Result<&Row, FetchError> {
        self.table
            .rows
            .get(index as usize)
            .ok_or_else(|| missing("row"))
    }

    /// The grid of a row, the part of it that is delivered, and its section 3.
    pub(super) fn grid(&self, row: &Row) -> Result<(&Grid, Option<&Crop>, &[u8]), FetchError> {
        let kind = self.table.kinds.get(row.kind as usize);
        let number = kind.and_then(|kind| kind.grid).map(|grid| grid as usize);
        number
            .and_then(|number| {
                let (grid, crop) = self.grids.get(number)?.as_ref()?;
                let section3 = &self.table.grids.get(number)?.section3;
                Some((grid, crop.as_ref(), section3.as_slice()))
            })
            .ok_or_else(|| missing("grid"))
    }

    fn decode(&self, row: &Row, bytes: &[u8]) -> Result<Bytes, FetchError> {
        let kind = self
            .table
            .kinds
            .get(row.kind as usize)
            .ok_or_else(|| missing("kind"))?;
        let (grid, crop, section3) = self.grid(row)?;
        let field = verify(bytes, row, kind, (grid, section3))?;
        let packed = Packed {
            points: grid.points(),
            section5: field.section5,
            bitmap: field.bitmap,
            section7: field.section7,
        };
        let values = self.values_of(&packed, grid, crop)?;
        Ok(self.buffers.bytes_of(values))
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

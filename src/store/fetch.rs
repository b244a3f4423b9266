//! One field from the archive: ranged fetch, verification, decode.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::failure::FailureKind;
use super::reader::ReaderConfig;
use super::verify::{VerifyError, verify};
use crate::dataset::archive::{RowId, RowSource};
use crate::dataset::{Crop, GridView};
use crate::grib::decode::{DecodeError, Packed, decode, decode_range};
use crate::grib::grid::Grid;
use crate::location::{ByteRange, Location};
use crate::storage::{ErrorKind, Fetched, Short, Storage, StorageError};
use crate::table::row::{Object, Row, Status, Table};

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
            Self::Storage(error) => match error.kind() {
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
            },
            Self::Changed { .. } => FailureKind::Changed,
            Self::Lost(_) => FailureKind::Unavailable,
            Self::Verify(_) | Self::Decode(_) => FailureKind::Invalid,
            Self::Pending(_) => FailureKind::Pending,
            Self::Internal(_) => FailureKind::Internal,
        }
    }
}

/// Identity of an object's content as first seen: size and `ETag`.
#[derive(Clone, Debug, Default)]
struct Pin {
    size: Option<u64>,
    etag: Option<String>,
}

/// What a fetch needs; shared by all flights.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) rows: Arc<dyn RowSource>,
    pub(super) storage: Storage,
    view: GridView,
    /// Grids met so far by their section 3, each as it is delivered.
    grids: Mutex<HashMap<Vec<u8>, Option<Arc<Delivered>>>>,
    pins: Mutex<HashMap<Location, Pin>>,
    /// Bytes of the largest field met so far.
    largest_field: AtomicU64,
    /// Decoding takes a core each: no more at once than there are.
    cores: Semaphore,
}

impl Source {
    pub(super) fn new(rows: Arc<dyn RowSource>, storage: Storage, config: &ReaderConfig) -> Self {
        Self {
            rows,
            storage,
            view: config.view.clone(),
            grids: Mutex::default(),
            pins: Mutex::default(),
            largest_field: AtomicU64::new(0),
            cores: Semaphore::new(config.cores.max(1)),
        }
    }

    /// The row of a number. Waits for a file or a server, on a thread for that.
    pub(super) async fn locate(self: &Arc<Self>, row: RowId) -> Result<LocatedRow, FetchError> {
        if let Some((table, at)) = self.rows.peek(row) {
            return Ok(LocatedRow { table, at });
        }
        let source = Arc::clone(self);
        let located =
            tokio::task::spawn_blocking(move || LocatedRow::of(source.rows.as_ref(), row));
        located.await.unwrap_or_else(|panic| {
            Err(FetchError::Internal(format!(
                "looking up a row ended abnormally: {panic}"
            )))
        })
    }

    /// A grid as it is delivered.
    fn grid(&self, section3: &[u8]) -> Option<Arc<Delivered>> {
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
    /// other.
    pub(super) async fn field(self: Arc<Self>, located: LocatedRow) -> Result<Bytes, FetchError> {
        let row = located.row()?;
        if row.status != Status::Placed {
            let reason = row.reason.as_deref().unwrap_or("no reason recorded");
            return Err(FetchError::Pending(format!(
                "the message is {}: {reason}",
                row.status.as_str()
            )));
        }
        let object = located
            .table
            .objects
            .get(row.object as usize)
            .ok_or_else(|| missing("object"))?;
        let range = ByteRange {
            offset: row.offset,
            length: row.length,
        };
        let fetched = self
            .storage
            .get(&object.location, range, Short::Refuse)
            .await?;
        self.pin(object, &fetched)?;

        let permit = self
            .cores
            .acquire()
            .await
            .map_err(|closed| FetchError::Internal(closed.to_string()))?;
        let source = Arc::clone(&self);
        let decoded =
            tokio::task::spawn_blocking(move || source.decode(&located, &fetched.bytes)).await;
        drop(permit);
        decoded.unwrap_or_else(|panic| {
            Err(FetchError::Internal(format!(
                "decoding ended abnormally: {panic}"
            )))
        })
    }

    /// Bytes of a row's message, and of memory while it is fetched and decoded: its message and the values of its grid. Guesses where
    /// the table does not know its end, or the row is not in memory.
    pub(super) fn sizes(&self, row: RowId) -> Sizes {
        match self.rows.peek(row) {
            Some((table, at)) => self.sizes_of(&LocatedRow { table, at }),
            None => Sizes {
                message: UNKNOWN_MESSAGE_BYTES,
                memory: UNKNOWN_MESSAGE_BYTES + self.largest_field.load(Ordering::Relaxed),
            },
        }
    }

    /// The same of a row that was looked up.
    pub(super) fn sizes_of(&self, located: &LocatedRow) -> Sizes {
        let length = located.row().ok().and_then(|row| row.length);
        let message = length.unwrap_or(UNKNOWN_MESSAGE_BYTES);
        let points = self
            .delivered(located)
            .map_or(0, |delivered| delivered.grid.points() as u64);
        self.largest_field.fetch_max(points * 4, Ordering::Relaxed);
        Sizes {
            message,
            memory: message + points * 4,
        }
    }

    /// The grid of a row as it is delivered.
    fn delivered(&self, located: &LocatedRow) -> Option<Arc<Delivered>> {
        let row = located.row().ok()?;
        let grid = located.table.kinds.get(row.kind as usize)?.grid?;
        self.grid(&located.table.grids.get(grid as usize)?.section3)
    }

    fn decode(&self, located: &LocatedRow, bytes: &[u8]) -> Result<Bytes, FetchError> {
        let row = located.row()?;
        let kind = located
            .table
            .kinds
            .get(row.kind as usize)
            .ok_or_else(|| missing("kind"))?;
        let section3 = kind
            .grid
            .and_then(|grid| located.table.grids.get(grid as usize))
            .map_or(&[][..], |grid| &grid.section3);
        let delivered = self.grid(section3).ok_or_else(|| missing("grid"))?;
        let (grid, crop) = (&delivered.grid, &delivered.crop);
        let field = verify(bytes, row, kind, (grid, section3))?;
        let packed = Packed {
            points: grid.points(),
            section5: field.section5,
            bitmap: field.bitmap,
            section7: field.section7,
        };
        Ok(little_endian(values_of(&packed, grid, crop.as_ref())?))
    }

    /// Holds an object to what it was when first seen (or indexed): its size and `ETag`.
    fn pin(&self, object: &Object, fetched: &Fetched) -> Result<(), FetchError> {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let pin = pins.entry(object.location.clone()).or_insert_with(|| Pin {
            size: object.size,
            etag: object.etag.clone(),
        });
        if let (Some(before), Some(after)) = (pin.size, fetched.object_size)
            && before != after
        {
            return Err(FetchError::Changed {
                what: "size",
                before: before.to_string(),
                after: after.to_string(),
            });
        }
        if let (Some(before), Some(after)) = (&pin.etag, &fetched.etag)
            && before != after
        {
            return Err(FetchError::Changed {
                what: "ETag",
                before: before.clone(),
                after: after.clone(),
            });
        }
        pin.size = pin.size.or(fetched.object_size);
        if pin.etag.is_none() {
            pin.etag.clone_from(&fetched.etag);
        }
        Ok(())
    }
}

/// Bytes that reading a row takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Of its message.
    pub(super) message: u64,
    /// In memory meanwhile.
    pub(super) memory: u64,
}

/// A grid, and the part of it that is delivered, if not all.
#[derive(Debug)]
struct Delivered {
    grid: Grid,
    crop: Option<Crop>,
}

/// A row, and the table that holds what it names.
#[derive(Clone, Debug)]
pub(super) struct LocatedRow {
    pub(super) table: Arc<Table>,
    at: usize,
}

impl LocatedRow {
    fn of(rows: &dyn RowSource, row: RowId) -> Result<Self, FetchError> {
        let (table, at) = rows.locate(row).map_err(FetchError::Lost)?;
        Ok(Self { table, at })
    }

    pub(super) fn row(&self) -> Result<&Row, FetchError> {
        self.table.rows.get(self.at).ok_or_else(|| missing("row"))
    }
}

fn missing(what: &str) -> FetchError {
    FetchError::Internal(format!("the table lacks a {what} that a row names"))
}

/// The values of a field in the delivered order; of a crop only the rows that it shows are unpacked, where the packing allows.
fn values_of(
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
    let mut values = vec![0_f32; grid.points()];
    decode(packed, &mut values)?;
    grid.cell_order()
        .reorder(&mut values)
        .map_err(|error| FetchError::Internal(error.to_string()))?;
    Ok(match crop {
        Some(crop) => crop.take(&values),
        None => values,
    })
}

/// The values' bytes, without a copy on little-endian machines.
fn little_endian(values: Vec<f32>) -> Bytes {
    struct Owner(Vec<f32>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    let values = if cfg!(target_endian = "big") {
        values
            .into_iter()
            .map(|value| f32::from_bits(value.to_bits().to_le()))
            .collect()
    } else {
        values
    };
    Bytes::from_owner(Owner(values))
}

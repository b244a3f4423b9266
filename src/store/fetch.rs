//! One field from the archive: ranged fetch, verification, decode.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::failure::FailureKind;
use super::reader::ReaderConfig;
use super::verify::{VerifyError, verify};
use crate::dataset::Crop;
use crate::grib::decode::{DecodeError, Packed, decode, decode_range};
use crate::grib::grid::Grid;
use crate::location::ByteRange;
use crate::storage::{ErrorKind, Fetched, Short, Storage, StorageError};
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

/// Identity of an object's content as first seen: size and `ETag`.
#[derive(Clone, Debug, Default)]
struct Pin {
    size: Option<u64>,
    etag: Option<String>,
}

/// What a fetch needs; shared by all flights.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) table: Arc<Table>,
    pub(super) storage: Storage,
    /// Grids of the table, each with the part that is delivered.
    grids: Vec<Option<(Grid, Option<Crop>)>>,
    pins: Mutex<HashMap<u32, Pin>>,
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
            table,
            storage,
            grids,
            pins: Mutex::default(),
            cores: Semaphore::new(config.cores.max(1)),
        }
    }

    /// Fetches, verifies and decodes the field of a row: little-endian float32, rows of the grid (of the part delivered) one after the
    /// other.
    pub(super) async fn field(self: Arc<Self>, index: u32) -> Result<Bytes, FetchError> {
        let row = self.row(index)?;
        if row.status != Status::Placed {
            let reason = row.reason.as_deref().unwrap_or("no reason recorded");
            return Err(FetchError::Pending(format!(
                "the message is {}: {reason}",
                row.status.as_str()
            )));
        }
        let object = self
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
        self.pin(row.object, &fetched)?;

        let permit = self
            .cores
            .acquire()
            .await
            .map_err(|closed| FetchError::Internal(closed.to_string()))?;
        let source = Arc::clone(&self);
        let decoded =
            tokio::task::spawn_blocking(move || source.decode(index, &fetched.bytes)).await;
        drop(permit);
        decoded.unwrap_or_else(|panic| {
            Err(FetchError::Internal(format!(
                "decoding ended abnormally: {panic}"
            )))
        })
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

    fn decode(&self, index: u32, bytes: &[u8]) -> Result<Bytes, FetchError> {
        let row = self.row(index)?;
        let kind = self
            .table
            .kinds
            .get(row.kind as usize)
            .ok_or_else(|| missing("kind"))?;
        let (grid, crop) = kind
            .grid
            .and_then(|grid| self.grids.get(grid as usize)?.as_ref())
            .ok_or_else(|| missing("grid"))?;
        let section3 = kind
            .grid
            .and_then(|grid| self.table.grids.get(grid as usize))
            .map_or(&[][..], |grid| &grid.section3);
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
    fn pin(&self, object: u32, fetched: &Fetched) -> Result<(), FetchError> {
        let indexed = self.table.objects.get(object as usize);
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let pin = pins.entry(object).or_insert_with(|| Pin {
            size: indexed.and_then(|object| object.size),
            etag: indexed.and_then(|object| object.etag.clone()),
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

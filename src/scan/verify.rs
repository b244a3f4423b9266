//! Holding an index file against the GRIB beside it: section 0 of its last message always (and of some others on
//! disk), a few whole headers where it looks wrong, section 0 of every message where that is wanted.
//!
//! An index of another state of the file, or of another file, or one that lacks its end, does not place its last message where the object
//! ends; so one read of 16 bytes disproves nearly all of them, and tells the object's size and age by the way.

use futures::StreamExt as _;
use futures::future::{join, join_all};

use super::assemble::{DraftRow, FileRows};
use super::learn::{Sample, learn};
use crate::grib::identity::Member;
use crate::index::IndexLine;
use crate::location::{ByteRange, Location};
use crate::storage::{ErrorKind, Fetched, Short, Storage};
use crate::table::row::Status;
use crate::time::step_text;

/// Lines of a suspect index whose own headers are read.
const SAMPLES: usize = 6;

/// Messages other than the last whose section 0 is always read of files on disk, where a read costs microseconds. Elsewhere a file
/// costs two requests: its index and its last message.
const PROBES_ON_DISK: usize = 64;

/// Reads of section 0 that one file has under way.
const READS_AT_ONCE: usize = 16;

/// Octets of section 0: `GRIB`, 2 reserved, discipline, edition, total length in 8.
const SECTION0: u64 = 16;

/// Reads the headers of several messages of an index that is in `doubt`: the first, the last and some between.
///
/// An error says which line does not fit.
pub(super) async fn spot_check(
    location: &Location,
    rows: &FileRows,
    doubt: &str,
    storage: &Storage,
) -> Result<(), String> {
    if rows.is_mostly_unplaced() {
        return Err(doubt.to_owned());
    }
    // A message that cannot be read proves nothing against the index: others must fit.
    let readable: Vec<&DraftRow> = rows
        .rows
        .iter()
        .filter(|row| !matches!(row.status, Status::Unplaced | Status::Unsupported))
        .collect();
    let last = readable.len().saturating_sub(1);
    let mut positions: Vec<usize> = (0..SAMPLES)
        .map(|part| last * part / (SAMPLES - 1))
        .collect();
    positions.dedup();
    let checks = positions
        .into_iter()
        .filter_map(|position| readable.get(position))
        .map(|row| check_row(location, row, rows, storage));
    let checked: Result<(), String> = join_all(checks).await.into_iter().collect();
    checked.map_err(|wrong| format!("{doubt}, and {wrong}"))
}

async fn check_row(
    location: &Location,
    row: &DraftRow,
    rows: &FileRows,
    storage: &Storage,
) -> Result<(), String> {
    let sample = Sample {
        location: location.clone(),
        offset: row.offset,
        length: row.length,
        field: row.field,
    };
    let own = learn(&sample, storage)
        .await
        .map_err(|reason| reason.to_string())?;
    let product = &own.product;
    let known = row.known.and_then(|known| rows.known.get(known));
    let wrong = if known.is_some_and(|known| known.product.identity != product.identity) {
        "another kind of field".to_owned()
    } else if product.reference != row.reference {
        format!("of the run {}", product.reference.path_name())
    } else if product.window.end != row.window.end {
        format!("of the step {}", step_text(product.window.end))
    } else if product.identity.statistic.is_some() && product.window != row.window {
        "of another window".to_owned()
    } else if row.member.is_some() && product.member.map(Member::axis_number) != row.member {
        "of another member".to_owned()
    } else if row.length.is_some_and(|length| length < own.message_length) {
        format!("{} bytes long", own.message_length)
    } else {
        return Ok(());
    };
    Err(format!("the message at byte {} is {wrong}", row.offset))
}

/// What section 0 of the last message tells.
#[derive(Debug)]
pub(super) struct Probed {
    /// The object as it was read.
    pub(super) object: Fetched,
    /// Where the last message begins, and its length.
    pub(super) last: (u64, u64),
}

/// Why a probe found no message.
#[derive(Debug)]
pub(super) enum Unproven {
    /// The object cannot be read, whatever the index says.
    Unread(String),
    /// The index says other things than the object.
    Wrong(String),
}

/// Reads section 0 of the last message, which must end with the object, and of some others in a file on disk.
pub(super) async fn probe(
    location: &Location,
    lines: &[IndexLine],
    exact: bool,
    storage: &Storage,
) -> Result<Option<Probed>, Unproven> {
    let mut places: Vec<(u64, Option<u64>)> = lines
        .iter()
        .map(|line| (line.offset, line.length))
        .collect();
    places.sort_unstable();
    places.dedup();
    let Some((last_offset, last_length)) = places.pop() else {
        return Ok(None);
    };
    let others = if location.to_path().is_some() {
        PROBES_ON_DISK
    } else {
        0
    };
    let last = section0(location, last_offset, last_length, exact, storage);
    let others = sample(location, &places, others)
        .map(|(offset, length)| section0(location, offset, length, exact, storage));
    let (last, others) = join(last, join_all(others)).await;
    let (object, total) = last?;
    for other in others {
        other?;
    }
    let rest = object
        .object_size
        .map(|size| size.saturating_sub(last_offset));
    if let Some(rest) = rest.filter(|rest| *rest != total) {
        return Err(Unproven::Wrong(format!(
            "the last message, at byte {last_offset}, is {total} bytes long by its section 0, but the object goes on for {rest}"
        )));
    }
    Ok(Some(Probed {
        object,
        last: (last_offset, total),
    }))
}

/// So many of some places, evenly spread, from a start that differs from file to file.
fn sample<'a>(
    location: &Location,
    places: &'a [(u64, Option<u64>)],
    count: usize,
) -> impl Iterator<Item = (u64, Option<u64>)> + use<'a> {
    let stride = places.len().div_ceil(count.max(1)).max(1);
    let bytes = location.as_str().bytes();
    let start = bytes.fold(7_usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(byte))
    });
    places
        .iter()
        .skip(start % stride)
        .step_by(stride)
        .take(count)
        .copied()
}

/// Reads section 0 of every message by 16 bytes: magic, edition and a total length that fits (`exact`: is equal to) the reference.
/// Gives the count of messages; an error names the first that does not fit.
pub(super) async fn check_sections(
    location: &Location,
    rows: &FileRows,
    exact: bool,
    storage: &Storage,
) -> Result<u64, String> {
    let mut places: Vec<(u64, Option<u64>)> = rows
        .rows
        .iter()
        .map(|row| (row.offset, row.length))
        .collect();
    places.sort_unstable();
    places.dedup();
    let count = places.len() as u64;
    let mut checks = futures::stream::iter(places)
        .map(|(offset, length)| section0(location, offset, length, exact, storage))
        .buffered(READS_AT_ONCE);
    while let Some(checked) = checks.next().await {
        checked.map_err(|unproven| match unproven {
            Unproven::Unread(reason) | Unproven::Wrong(reason) => reason,
        })?;
    }
    Ok(count)
}

/// Section 0 of one message as it was read, and the total length it tells.
async fn section0(
    location: &Location,
    offset: u64,
    length: Option<u64>,
    exact: bool,
    storage: &Storage,
) -> Result<(Fetched, u64), Unproven> {
    let wrong = |what: String| {
        Err(Unproven::Wrong(format!(
            "the message at byte {offset} {what}"
        )))
    };
    let range = ByteRange::new(offset, SECTION0);
    let fetched = match storage.get(location, range, Short::Refuse).await {
        Ok(fetched) => fetched,
        Err(error) if error.kind() == ErrorKind::Truncated => {
            return wrong(format!("cannot be read: {error}"));
        }
        Err(error) => return Err(Unproven::Unread(error.to_string())),
    };
    let bytes = &fetched.bytes;
    if !bytes.starts_with(b"GRIB") {
        return wrong("does not begin with GRIB".to_owned());
    }
    let edition = bytes.get(7).copied().unwrap_or_default();
    if edition != 2 {
        return wrong(format!("is of GRIB edition {edition}"));
    }
    let total = bytes
        .get(8..16)
        .and_then(|octets| octets.try_into().ok())
        .map_or(0, u64::from_be_bytes);
    let end = fetched.object_size.map(|size| size.saturating_sub(offset));
    match length.or(end) {
        Some(length) if total > length || (exact && total < length) => wrong(format!(
            "is {total} bytes long by its section 0, {length} by the index"
        )),
        Some(_) | None => Ok((fetched, total)),
    }
}

//! The objects of a raw copy: which messages lie in one, its name, its checksum, and whether it is there.

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::folder::file_in;
use super::save::{SaveError, make_directory, whole};
use crate::location::{ByteRange, Location};
use crate::storage::{ErrorKind, Short, Storage};
use crate::table::row::{Kind, Object, Row, Status, Table};
use crate::time::Instant;

/// Most bytes of an object that is written, if no single message is larger.
pub const PART_BYTES: u64 = 32 << 20;

/// Whether bytes are the message of a row: its kind, and section 3 of its grid.
pub type Check = dyn Fn(&[u8], &Row, &Kind, &[u8]) -> Result<(), String> + Send + Sync;

/// One message of the source: where it lies, and the rows that are in it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) range: ByteRange,
    pub(super) rows: Vec<usize>,
}

/// Messages that are copied into one object.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) object: u32,
    pub(super) run: Instant,
    pub(super) messages: Vec<Message>,
}

/// Messages of placed rows, in the order of their objects, in parts.
pub(super) fn parts(table: &Table) -> Vec<Part> {
    let mut messages: BTreeMap<(u32, u64), Message> = BTreeMap::new();
    for (at, row) in table.rows.iter().enumerate() {
        if row.status != Status::Placed {
            continue;
        }
        let range = ByteRange {
            offset: row.offset,
            length: row.length,
        };
        let message = messages.entry((row.object, row.offset));
        let message = message.or_insert_with(|| Message {
            range,
            rows: Vec::new(),
        });
        message.rows.push(at);
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut bytes = 0;
    for ((object, _), message) in messages {
        let length = message.range.length.unwrap_or(PART_BYTES);
        let first = message.rows.first().and_then(|at| table.rows.get(*at));
        let run = first.map_or(Instant(0), |row| row.reference);
        match parts.last_mut() {
            Some(part)
                if (part.object, part.run) == (object, run) && bytes + length <= PART_BYTES =>
            {
                bytes += length;
                part.messages.push(message);
            }
            Some(_) | None => {
                bytes = length;
                parts.push(Part {
                    object,
                    run,
                    messages: vec![message],
                });
            }
        }
    }
    parts
}

/// Every row of a message must be what the bytes hold.
pub(super) fn proven(
    table: &Table,
    message: &Message,
    bytes: &[u8],
    check: &Check,
) -> Result<(), String> {
    for at in &message.rows {
        let row = table.rows.get(*at).ok_or("its row is not there")?;
        let kind = table
            .kinds
            .get(row.kind as usize)
            .ok_or("its kind is not there")?;
        let grid = kind.grid.and_then(|grid| table.grids.get(grid as usize));
        let section3 = grid.map_or(&[][..], |grid| grid.section3.as_slice());
        check(bytes, row, kind, section3)?;
    }
    Ok(())
}

/// Where a part lies: named by what it holds.
pub(super) fn name_of_part(
    destination: &Location,
    object: &Object,
    run: Instant,
    messages: &[Message],
) -> Location {
    let mut hasher = Sha256::new();
    hasher.update(object.location.as_str());
    if let Some(etag) = &object.etag {
        hasher.update(etag);
    }
    for message in messages {
        hasher.update(message.range.offset.to_le_bytes());
        hasher.update(message.range.length.unwrap_or(0).to_le_bytes());
    }
    let digest = hex(&hasher.finalize());
    let short = digest.get(..12).unwrap_or(&digest).to_owned();
    let stem: String = object
        .location
        .file_name()
        .chars()
        .map(|sign| {
            if sign.is_ascii_alphanumeric() || "._-".contains(sign) {
                sign
            } else {
                '_'
            }
        })
        .collect();
    let stem = stem.trim_start_matches('.');
    let folder = file_in(destination, &format!("grib/{}", run.path_name()));
    file_in(&folder, &format!("{stem}-{short}.grib2"))
}

pub(super) fn sum_of(location: &Location) -> Location {
    location.with_suffix(".sha256")
}

/// Size of an object that is there with its checksum; where its bytes are cheap to read, they are held against it.
pub(super) async fn size_if_whole(
    location: &Location,
    target: &Storage,
) -> Result<Option<u64>, SaveError> {
    let absent = |error: &SaveError| matches!(error, SaveError::Storage(error) if error.kind() == ErrorKind::NotFound);
    let sum = match whole(&sum_of(location), target).await {
        Ok(sum) => sum,
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if location.to_path().is_none() {
        let first = target
            .get(location, ByteRange::new(0, 1), Short::Allow)
            .await;
        return match first {
            Ok(first) => Ok(first.object_size),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    let bytes = match whole(location, target).await {
        Ok(bytes) => bytes,
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = hex(&Sha256::digest(&bytes));
    let is_right = sum.starts_with(found.as_bytes());
    Ok(is_right.then_some(bytes.len() as u64))
}

/// Offsets and lengths in an object of `size` bytes that holds the messages one after another.
pub(super) fn laid_out(messages: Vec<Message>, size: u64) -> Vec<(Message, u64, u64)> {
    let mut offset = 0;
    messages
        .into_iter()
        .map(|message| {
            let rest = size.saturating_sub(offset);
            let length = message.range.length.unwrap_or(rest).min(rest);
            let place = (message, offset, length);
            offset += length;
            place
        })
        .collect()
}

pub(super) async fn put_all(
    location: &Location,
    bytes: Bytes,
    target: &Storage,
) -> Result<(), SaveError> {
    if let Some(folder) = location
        .to_path()
        .as_deref()
        .and_then(std::path::Path::parent)
    {
        make_directory(folder)?;
    }
    Ok(target.put(location, bytes).await?)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_places_when_a_part_is_found_again() {
        let message = |length| Message {
            range: ByteRange { offset: 7, length },
            rows: Vec::new(),
        };
        let places = |messages, size| -> Vec<(u64, u64)> {
            let laid = laid_out(messages, size);
            laid.into_iter()
                .map(|(_, offset, length)| (offset, length))
                .collect()
        };
        assert_eq!(
            places(vec![message(Some(5)), message(Some(9))], 14),
            [(0, 5), (5, 9)]
        );
        // The last one may have been shorter than its index line says, or of unknown length.
        assert_eq!(
            places(vec![message(Some(5)), message(Some(9))], 12),
            [(0, 5), (5, 7)]
        );
        assert_eq!(places(vec![message(None)], 30), [(0, 30)]);
    }
}

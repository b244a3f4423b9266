//! Walking the section headers of a GRIB file by ranged reads: for files without an index file, and for later fields of a message.

use std::sync::Arc;

use bytes::Bytes;

use super::learn::{LearnError, Learned, Sample, sentence, unsupported};
use crate::grib::identity::Product;
use crate::grib::walker::{Found, Step, WalkedMessage, Walker};
use crate::location::{ByteRange, Location};
use crate::storage::{Fetched, Short, Storage};
use crate::time::Instant;

/// Bytes of the first read, which tells the size of the object as well.
const FIRST_READ: u64 = 512;

/// A field found by a walk, or a message that is none.
#[derive(Clone, Debug)]
pub(super) struct Hopped {
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
    /// Position of the field in its message, from 0.
    pub(super) field: u16,
    /// Reference time of a message of an edition that is not supported.
    pub(super) other_edition: Option<Instant>,
    pub(super) learned: Result<Learned, LearnError>,
}

/// What a walk found.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    pub(super) fields: Vec<Hopped>,
    pub(super) object_size: Option<u64>,
    pub(super) etag: Option<String>,
}

/// Walks a whole file. An error says why nothing of it can be read; what is wrong with single messages is among the fields.
pub(super) async fn hop(location: &Location, storage: &Storage) -> Result<Walk, LearnError> {
    let first = read(location, 0, FIRST_READ, storage).await?;
    let read = first.bytes.len() as u64;
    let whole = (read < FIRST_READ).then_some(read);
    let size = first.object_size.or(whole).ok_or_else(|| {
        sentence(format!(
            "{location}: the server does not tell its size, so its end cannot be found"
        ))
    })?;
    let mut walk = Walk {
        fields: Vec::new(),
        object_size: first.object_size,
        etag: first.etag.clone(),
    };
    let mut window = (0, first.bytes);
    let mut walker = Walker::new(size);
    loop {
        match walker.step() {
            Step::Read { offset, length } => {
                let bytes = from_window(location, &mut window, offset, length, storage).await?;
                walker.give(offset, &bytes);
            }
            Step::Found(found) => add(&mut walk, location, found),
            Step::Done => return Ok(walk),
        }
    }
}

/// All fields of one message.
pub(super) async fn fields_of_message(
    sample: &Sample,
    storage: &Storage,
) -> Result<Vec<Hopped>, LearnError> {
    // The walker counts from the start of what it is shown: here the message is all there is.
    let first = read(&sample.location, sample.offset, FIRST_READ, storage).await?;
    let rest = first
        .object_size
        .map(|size| size.saturating_sub(sample.offset));
    let size = sample.length.or(rest).unwrap_or(first.bytes.len() as u64);
    let mut window = (sample.offset, first.bytes);
    let mut walker = Walker::new(size);
    let mut walk = Walk {
        fields: Vec::new(),
        object_size: first.object_size,
        etag: first.etag,
    };
    loop {
        match walker.step() {
            Step::Read { offset, length } => {
                let bytes = from_window(
                    &sample.location,
                    &mut window,
                    sample.offset + offset,
                    length,
                    storage,
                )
                .await?;
                walker.give(offset, &bytes);
            }
            Step::Found(found) => {
                add(&mut walk, &sample.location, found);
                for field in &mut walk.fields {
                    field.offset += sample.offset;
                }
                return Ok(walk.fields);
            }
            Step::Done => return Ok(walk.fields),
        }
    }
}

/// Bytes of the file, from the last read if it holds them.
async fn from_window(
    location: &Location,
    window: &mut (u64, Bytes),
    offset: u64,
    length: usize,
    storage: &Storage,
) -> Result<Bytes, LearnError> {
    let inside = |(start, bytes): &(u64, Bytes)| {
        let from = usize::try_from(offset.checked_sub(*start)?).ok()?;
        let to = from.checked_add(length)?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    };
    if let Some(bytes) = inside(window) {
        return Ok(bytes);
    }
    let fetched = read(location, offset, length as u64, storage).await?;
    *window = (offset, fetched.bytes);
    inside(window).ok_or_else(|| {
        sentence(format!(
            "{location}: ends before byte {}",
            offset + length as u64
        ))
    })
}

async fn read(
    location: &Location,
    offset: u64,
    length: u64,
    storage: &Storage,
) -> Result<Fetched, LearnError> {
    let fetched = storage
        .get(location, ByteRange::new(offset, length), Short::Allow)
        .await;
    fetched.map_err(|error| sentence(error.to_string()))
}

fn add(walk: &mut Walk, location: &Location, found: Found) {
    let broken = |offset, length, reason: String| Hopped {
        offset,
        length,
        field: 0,
        other_edition: None,
        learned: Err(sentence(reason)),
    };
    match found {
        Found::Message(message) => walk.fields.extend(fields(location, &message)),
        Found::Edition1 {
            offset,
            length,
            reference,
        } => {
            let reason = "GRIB edition 1 is not supported".to_owned();
            walk.fields.push(Hopped {
                other_edition: Some(reference.unwrap_or(Instant(0))),
                ..broken(offset, Some(length), reason)
            });
        }
        Found::Broken { offset, error } => {
            walk.fields.push(broken(offset, None, error.to_string()));
        }
        Found::Lost { offset } => {
            walk.fields.push(broken(
                offset,
                None,
                "no GRIB message for megabytes: the rest of the file was not looked at".to_owned(),
            ));
        }
    }
}

fn fields(location: &Location, message: &WalkedMessage) -> Vec<Hopped> {
    let learned = |field: &crate::grib::walker::WalkedField| {
        let product = Product::parse(message.discipline, &field.section1, &field.section4);
        Ok(Learned {
            product: product.map_err(|error| sentence(error.to_string()))?,
            unsupported: unsupported(&field.section3, &field.section5),
            section3: Arc::clone(&field.section3),
            location: location.clone(),
            offset: message.offset,
            message_length: message.length,
        })
    };
    message
        .fields
        .iter()
        .enumerate()
        .map(|(position, field)| Hopped {
            offset: message.offset,
            length: Some(message.length),
            field: u16::try_from(position).unwrap_or(u16::MAX),
            other_edition: None,
            learned: learned(field),
        })
        .collect()
}

//! Reads of one range or of a whole object, held to what was asked for.
//!
//! One GET is one read; what came is as long as the range, or reaches to the object's end where that is welcome.
//!
//! Knows ranges and their ends. Knows no servers ([`served`](super::served)) and no neighbours ([`join`](super::join)).

use std::sync::Arc;

use bytes::Bytes;

use super::call::Call;
use super::error::{ErrorKind, Fault, Operation, StorageError};
use super::served::file_path;
use super::{Fetched, Short, Storage, local, remote};
use crate::location::{ByteRange, Location};

impl Storage {
    /// Reads a range by exactly one GET (and its repetitions, should it fail), never a HEAD.
    ///
    /// The bytes are exactly those of the range, or up to the object's end where the range is open or `short` allows it.
    ///
    /// # Errors
    /// [`StorageError`] of any kind; [`ErrorKind::Truncated`] where the object ends before the range begins.
    pub async fn get(
        &self,
        location: &Location,
        range: ByteRange,
        short: Short,
    ) -> Result<Fetched, StorageError> {
        let limit = self.0.config.max_read_bytes;
        let operation = Operation::Read(range);
        if range.length == Some(0) {
            return Ok(Fetched {
                bytes: Bytes::new(),
                object_size: None,
                etag: None,
                number: None,
                modified: None,
            });
        }
        let work = |call: Arc<Call>| async move {
            refuse_impossible(range, call.max_bytes)?;
            let fetched = self.read(&call, Some(range)).await?;
            check_end(range, short, &fetched)?;
            self.held(location, &call, fetched)
        };
        // On the heap: what races between places is large, and most callers hold this future in theirs.
        let reading = Box::pin(self.at_any_place(operation, location, limit, work));
        let reading = async { self.pinned(operation, location, reading.await?) };
        self.count(reading).await
    }

    /// Reads a whole object of at most `max_bytes` by one GET: index files, manifests.
    ///
    /// # Errors
    /// [`StorageError`] of any kind; [`ErrorKind::TooLarge`] beyond `max_bytes`, [`ErrorKind::NotData`] for a web page.
    pub async fn get_whole(
        &self,
        location: &Location,
        max_bytes: u64,
    ) -> Result<Fetched, StorageError> {
        let limit = max_bytes.min(self.0.config.max_read_bytes);
        let work = |call: Arc<Call>| async move {
            let fetched = self.read(&call, None).await?;
            self.held(location, &call, fetched)
        };
        let operation = Operation::ReadWhole;
        // On the heap: what races between places is large, and most callers hold this future in theirs.
        let reading = Box::pin(self.at_any_place(operation, location, limit, work));
        let reading = async { self.pinned(operation, location, reading.await?) };
        self.count(reading).await
    }

    /// What was fetched, if it is of the object that the first place has.
    fn held(&self, location: &Location, call: &Call, fetched: Fetched) -> Result<Fetched, Fault> {
        if !self.0.config.mirrors.is_empty() {
            let size = fetched.object_size;
            self.0
                .mirror_pins
                .hold_size(location, &call.location, size)?;
        }
        Ok(fetched)
    }

    /// What was fetched, without the `ETag` of a mirror, which must be the one that the mirror had before.
    fn pinned(
        &self,
        operation: Operation,
        location: &Location,
        (fetched, mirror): (Fetched, Option<Location>),
    ) -> Result<Fetched, StorageError> {
        let (Some(place), Some(etag)) = (mirror, &fetched.etag) else {
            return Ok(fetched);
        };
        let place_origin = place.origin().to_owned();
        match self.0.mirror_pins.hold(place, etag) {
            Ok(()) => Ok(Fetched {
                etag: None,
                number: None,
                ..fetched
            }),
            Err(before) => {
                let cause = format!("at {place_origin} the ETag was {before}, now {etag}");
                let fault = Fault::new(ErrorKind::Changed, cause);
                Err(StorageError::of_read(fault, operation, location))
            }
        }
    }

    async fn read(&self, call: &Call, range: Option<ByteRange>) -> Result<Fetched, Fault> {
        if let Some(path) = file_path(&call.location)? {
            let max_bytes = call.max_bytes;
            let range = range.unwrap_or(ByteRange {
                offset: 0,
                length: None,
            });
            let fetched = self
                .on_disk(move || local::read(&path, range, max_bytes))
                .await?;
            self.0.tally.received(fetched.bytes.len());
            return Ok(fetched);
        }
        self.on_origin(call, |origin| remote::fetch(origin, call, range))
            .await
    }
}

/// Refuses ranges that no object can have, and those beyond the limit, before anything is asked.
pub(super) fn refuse_impossible(range: ByteRange, max_bytes: u64) -> Result<(), Fault> {
    let length = range.length.unwrap_or(0);
    if range.offset.checked_add(length).is_none() {
        let cause = "the range reaches beyond what numbers can say";
        return Err(Fault::new(ErrorKind::Unsupported, cause));
    }
    if length > max_bytes {
        let cause = format!("a range of {length} bytes, the limit is {max_bytes}");
        return Err(Fault::new(ErrorKind::TooLarge, cause));
    }
    Ok(())
}

/// Compares the count of bytes with the range.
pub(super) fn check_end(range: ByteRange, short: Short, fetched: &Fetched) -> Result<(), Fault> {
    let Some(length) = range.length else {
        return Ok(());
    };
    let got = u64::try_from(fetched.bytes.len()).unwrap_or(u64::MAX);
    if got == length {
        return Ok(());
    }
    if got > length {
        let cause = format!("{got} bytes came");
        return Err(Fault::new(ErrorKind::NotRanged, cause));
    }
    let at_end = fetched.object_size == Some(range.offset.saturating_add(got));
    if short == Short::Allow && at_end {
        return Ok(());
    }
    let cause = match fetched.object_size {
        Some(size) => format!("{got} bytes came, the object has {size}"),
        None => format!("{got} bytes came"),
    };
    Err(Fault::new(ErrorKind::Truncated, cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_answers_are_welcome_only_at_the_end() {
        let fetched = |bytes: &'static [u8], object_size| Fetched {
            bytes: Bytes::from_static(bytes),
            object_size,
            etag: None,
            number: None,
            modified: None,
        };
        let range = ByteRange::new(10, 5);
        assert!(check_end(range, Short::Refuse, &fetched(b"12345", None)).is_ok());
        assert!(check_end(range, Short::Allow, &fetched(b"123", Some(13))).is_ok());
        assert!(check_end(range, Short::Refuse, &fetched(b"123", Some(13))).is_err());
        assert!(check_end(range, Short::Allow, &fetched(b"123", Some(14))).is_err());
        assert!(check_end(range, Short::Allow, &fetched(b"123", None)).is_err());
    }
}

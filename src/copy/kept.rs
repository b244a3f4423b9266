//! Fields that a later batch needs too: the total of one step is what is subtracted from the next.
//!
//! They wait in a scratch file without a name, each in a place that is used again once its field was taken. Who comes first in the order
//! of the work fetches a field and promises it to the other; so nobody waits for a batch that comes later, and each message is fetched once.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::watch;

use super::block::nameless;
use crate::dataset::archive::RowId;
use crate::files::At as _;
use crate::sync::lock;

/// Where a field waits, or why it did not come.
type Outcome = Option<Result<Place, String>>;

/// A place of the scratch file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    offset: u64,
    bytes: usize,
}

/// A field that some batch will have fetched.
#[derive(Clone, Debug)]
pub(super) struct Promise(watch::Receiver<Outcome>);

/// The duty to fulfil a promise.
#[derive(Debug)]
pub(super) struct Duty(watch::Sender<Outcome>);

impl Duty {
    pub(super) fn fulfil(self, outcome: Result<Place, String>) {
        self.0.send_replace(Some(outcome));
    }
}

impl Promise {
    /// Waits for the field; `None` if who was to fetch it is gone.
    pub(super) async fn outcome(&mut self) -> Option<Result<Place, String>> {
        let settled = self.0.wait_for(Option::is_some).await.ok()?;
        settled.clone()
    }
}

/// Fields that wait.
#[derive(Debug)]
pub(super) struct Kept {
    directory: PathBuf,
    promises: Mutex<HashMap<RowId, Promise>>,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    file: Option<File>,
    end: u64,
    /// Places that are free, by their size.
    free: HashMap<usize, Vec<u64>>,
}

impl Kept {
    /// None yet; the scratch file will be in `directory`.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            promises: Mutex::default(),
            places: Mutex::default(),
        }
    }

    /// Promises a row's field.
    pub(super) fn promise(&self, row: RowId) -> Duty {
        let (sender, receiver) = watch::channel(None);
        lock(&self.promises).insert(row, Promise(receiver));
        Duty(sender)
    }

    /// Takes the promise of a row's field, if there is one: it is for one taker.
    pub(super) fn claim(&self, row: RowId) -> Option<Promise> {
        lock(&self.promises).remove(&row)
    }

    /// Puts a field away.
    pub(super) fn store(&self, field: &[u8]) -> io::Result<Place> {
        let mut places = lock(&self.places);
        let free = places.free.get_mut(&field.len()).and_then(Vec::pop);
        let offset = free.unwrap_or(places.end);
        if offset == places.end {
            places.end += field.len() as u64;
        }
        let file = match places.file.take() {
            Some(file) => file,
            None => nameless(&self.directory)?,
        };
        let written = file.write_all_at(field, offset);
        places.file = Some(file);
        written.map(|()| Place {
            offset,
            bytes: field.len(),
        })
    }

    /// Takes a field back; its place is free then.
    pub(super) fn take(&self, place: Place) -> io::Result<Bytes> {
        let mut places = lock(&self.places);
        let mut bytes = vec![0; place.bytes];
        if let Some(file) = &places.file {
            file.read_exact_at(&mut bytes, place.offset)?;
        }
        places
            .free
            .entry(place.bytes)
            .or_default()
            .push(place.offset);
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_and_their_places_are_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path());
        let a = kept.store(b"aaaa").unwrap();
        let b = kept.store(b"bbbb").unwrap();
        let c = kept.store(b"cc").unwrap();
        assert_eq!(kept.take(a).unwrap().as_ref(), b"aaaa");
        let d = kept.store(b"dddd").unwrap();
        assert_eq!(d, a);
        for (place, wanted) in [(b, b"bbbb".as_slice()), (c, b"cc"), (d, b"dddd")] {
            assert_eq!(kept.take(place).unwrap().as_ref(), wanted);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_promise_is_kept_for_one_or_its_maker_is_gone() {
        let kept = Kept::new(Path::new("/nonexistent"));
        let duty = kept.promise(7);
        let mut promise = kept.claim(7).unwrap();
        assert!(kept.claim(7).is_none());
        duty.fulfil(Err("404".to_owned()));
        assert_eq!(promise.outcome().await, Some(Err("404".to_owned())));
        drop(kept.promise(8));
        assert_eq!(kept.claim(8).unwrap().outcome().await, None);
    }
}

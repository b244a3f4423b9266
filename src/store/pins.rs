//! What each object was when it was first seen, or indexed: from then on it is held to that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::disk::Version;
use super::fetch::FetchError;
use super::rows::Objects;

/// Versions of objects by their number.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<HashMap<u32, Version>>);

impl Pins {
    /// What is known of an object so far.
    pub(super) fn of(&self, objects: &Objects, object: u32) -> Version {
        let pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pin = pins.get(&object).cloned();
        pin.unwrap_or_else(|| indexed(objects, object))
    }

    /// Holds an object to its size and `ETag`; what was not known of it is known from now on.
    ///
    /// # Errors
    /// [`FetchError::Changed`] if it is another.
    pub(super) fn hold(
        &self,
        objects: &Objects,
        object: u32,
        seen: &Version,
    ) -> Result<(), FetchError> {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pin = pins
            .entry(object)
            .or_insert_with(|| indexed(objects, object));
        if let (Some(before), Some(after)) = (pin.size, seen.size)
            && before != after
        {
            return Err(FetchError::Changed {
                what: "size",
                before: before.to_string(),
                after: after.to_string(),
            });
        }
        if let (Some(before), Some(after)) = (&pin.etag, &seen.etag)
            && before != after
        {
            return Err(FetchError::Changed {
                what: "ETag",
                before: before.clone(),
                after: after.clone(),
            });
        }
        pin.size = pin.size.or(seen.size);
        // A time alone holds nobody to anything: mirrors set it anew.
        pin.modified = pin.modified.or(seen.modified);
        if pin.etag.is_none() {
            pin.etag.clone_from(&seen.etag);
        }
        Ok(())
    }
}

fn indexed(objects: &Objects, object: u32) -> Version {
    let object = objects.get(object);
    Version {
        size: object.as_ref().and_then(|object| object.size),
        etag: object.and_then(|object| object.etag.clone()),
        modified: None,
    }
}

//! Writes that happen only where an object is as it was last seen: for documents that several processes may want to write.
//!
//! `put_if(place, bytes, Expected::Nothing)` makes an object that is not there, `Expected::This(version)` replaces that version of it; where
//! somebody else was first, the error is [`ErrorKind::Changed`] and nothing was written. S3 and Azure compare `ETag`s, Google Cloud Storage
//! generations; on disk a new file is linked to its name, and an old one is held by `flock(2)` while it is looked at and replaced. Web servers, and
//! buckets of servers that do not know conditions, write whatever is there.

use bytes::Bytes;

use super::call::Call;
use super::error::{ErrorKind, Fault, Operation, StorageError};
use super::served::file_path;
use super::{Fetched, Storage, local, remote, write};
use crate::location::Location;

/// Which version of an object one is: what [`Storage::get_whole`] or a write told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Its `ETag`.
    pub(super) etag: Option<String>,
    /// Its number, where the service counts: the generation of Google Cloud Storage.
    pub(super) number: Option<String>,
}

impl Version {
    /// Whether nothing is known by which it could be told from another.
    pub(super) const fn is_unknown(&self) -> bool {
        self.etag.is_none() && self.number.is_none()
    }
}

impl Fetched {
    /// The version that was fetched.
    #[must_use]
    pub fn version(&self) -> Version {
        Version {
            etag: self.etag.clone(),
            number: self.number.clone(),
        }
    }
}

/// What has to lie at a place for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Nothing,
    /// This version.
    This(Version),
}

impl Storage {
    /// Writes a whole object if what lies there is what is expected; gives its version.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] where something else lies there; then nothing was written, or it was by a first attempt whose answer was lost:
    /// what lies there tells. Else as [`Storage::put`].
    pub async fn put_if(
        &self,
        location: &Location,
        bytes: Bytes,
        expected: &Expected,
    ) -> Result<Version, StorageError> {
        let timeout = write::timeout(&self.0.config, bytes.len());
        let call = Call::new(Operation::Write, location, timeout, write::ANSWER_BYTES);
        self.count(call.run(async {
            if let Some(path) = file_path(location)? {
                let expected = expected.clone();
                let work = move || local::write_if(&path, &bytes, &expected);
                return self.on_disk(work).await;
            }
            let conditional = self.on_origin(&call, |origin| {
                remote::put_if(origin, &call, bytes.clone(), expected)
            });
            match conditional.await {
                Err(fault) if fault.kind == ErrorKind::Unsupported => {
                    tracing::debug!(%location, cause = %fault, "written without a condition");
                    call.forget_refusal();
                    self.on_origin(&call, |origin| remote::put(origin, &call, bytes.clone()))
                        .await
                }
                done => done,
            }
        }))
        .await
    }
}

/// The fault of a write that found something else than was expected.
pub(super) fn not_as_expected(expected: &Expected, words: &str) -> Fault {
    let cause = match expected {
        Expected::Nothing => "somebody else has made it",
        Expected::This(_) => "somebody else has written or removed it",
    };
    let words = if words.is_empty() {
        String::new()
    } else {
        format!(": {words}")
    };
    Fault::new(ErrorKind::Changed, format!("{cause}{words}"))
}

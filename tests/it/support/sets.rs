//! Where reference sets are loaded and read.

use std::path::Path;

use gribfs::location::Location;
use gribfs::refs::RefSet;
use gribfs::storage::{Storage, StorageConfig};
use gribfs::store::references::policy::Policy;
use gribfs::store::{LoadError, Loaded, RefConfig, RefReader, load_refs};

/// A runtime and storage.
pub(crate) struct Bed {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) storage: Storage,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self {
            runtime: tokio::runtime::Runtime::new().unwrap(),
            storage: Storage::new(StorageConfig::default()).unwrap(),
        }
    }

    /// What a path, pattern or URL holds.
    pub(crate) fn load(&self, text: &str) -> Result<Loaded, LoadError> {
        let location = Location::parse(text, Path::new("/")).unwrap();
        load_refs(text, &location, &self.storage, self.runtime.handle())
    }

    /// The set that a path or URL holds.
    pub(crate) fn set(&self, text: &str) -> RefSet {
        match self.load(text) {
            Ok(Loaded::Set(set, _)) => *set,
            Ok(other @ (Loaded::Messages(..) | Loaded::Other)) => panic!("{text} is {other:?}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }

    /// A reader of a set whose relative URLs begin at `own`.
    pub(crate) fn reader(&self, set: RefSet, own: Option<&Path>, config: &RefConfig) -> RefReader {
        let policy = Policy::new(own, &[]).unwrap();
        let runtime = self.runtime.handle().clone();
        RefReader::new(set, self.storage.clone(), runtime, policy, config)
    }
}

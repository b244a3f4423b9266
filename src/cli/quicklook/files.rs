//! The files of a store: in a folder (of a mount, or a copy), or of a tree that is not mounted.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::cli::Failure;
use crate::vfs::MountTree;
use crate::vfs::tree::{Answer, Attributes, ROOT, Tree as _};

/// Where a store's files are.
pub(super) enum Files {
    /// A folder.
    Folder(PathBuf),
    /// A path in a tree.
    Tree {
        tree: Arc<MountTree>,
        store: String,
        runtime: Handle,
    },
}

impl Files {
    /// The bytes of a file; `None` if there is none.
    pub(super) fn get(&self, key: &str) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(key);
                match std::fs::read(&path) {
                    Ok(bytes) => Ok(Some(bytes.into())),
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::NotFound | ErrorKind::NotADirectory
                        ) =>
                    {
                        Ok(None)
                    }
                    Err(error) => Err(Failure::failed(format!(
                        "{}: {error} (a mount's log and its .gribfs/status.json say why)",
                        path.display()
                    ))),
                }
            }
            Self::Tree {
                tree,
                store,
                runtime,
            } => {
                let Some(found) = find(tree, store, key) else {
                    return Ok(None);
                };
                let size = usize::try_from(found.size)
                    .map_err(|_error| Failure::failed(format!("{key}: too large")))?;
                let read = match tree.read(found.inode, 0, size) {
                    Answer::Now(read) => read,
                    Answer::Later(read) => runtime.block_on(read),
                };
                let read = read.map_err(|failure| Failure::failed(failure.message))?;
                Ok(Some(read))
            }
        }
    }

    /// Whether there is such a file. Fetches nothing.
    pub(super) fn exists(&self, key: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(key).exists(),
            Self::Tree { tree, store, .. } => find(tree, store, key).is_some(),
        }
    }
}

fn find(tree: &MountTree, store: &str, key: &str) -> Option<Attributes> {
    let mut parts = store.split('/').chain(key.split('/'));
    let first = parts.next()?;
    let found = tree.lookup(ROOT, OsStr::new(first)).ok()?;
    parts.try_fold(found, |at, name| {
        tree.lookup(at.inode, OsStr::new(name)).ok()
    })
}

//! Listings, page by page, until the server has no more.

use super::call::Call;
use super::error::{ErrorKind, Fault, Operation, StorageError};
use super::served::file_path;
use super::{Folder, Listed, Storage, local, remote};
use crate::location::Location;

/// Largest page of a listing. `WebDAV` sends a whole tree as one page, at about 1 kB for a file.
const PAGE_BYTES: u64 = 64 << 20;

impl Storage {
    /// Lists the objects whose URL begins with `prefix`, sorted. A folder of files or of a `WebDAV` server is listed to its
    /// depths; end a bucket's prefix with a slash to mean a folder. Each page has the timeout of a read.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on plain HTTP servers; others as for reads. A prefix without objects is empty on object
    /// stores, and [`ErrorKind::NotFound`] on disk.
    pub async fn list(&self, prefix: &Location) -> Result<Vec<Listed>, StorageError> {
        Ok(self.list_level(prefix, false).await?.files)
    }

    /// Lists one level of a folder: `s3://bucket/gfs.20261122/` gives its folders `00/`, `06/`, ... without their content.
    ///
    /// # Errors
    /// As [`Storage::list`].
    pub async fn list_folder(&self, folder: &Location) -> Result<Folder, StorageError> {
        let folder = if folder.as_str().ends_with('/') {
            folder.clone()
        } else {
            folder.with_suffix("/")
        };
        self.list_level(&folder, true).await
    }

    async fn list_level(&self, prefix: &Location, level: bool) -> Result<Folder, StorageError> {
        let mut failed = None;
        for place in self.places(prefix) {
            match self.list_place(&place.location, level).await {
                Ok(mut folder) => {
                    for file in &mut folder.files {
                        file.location = place.home(file.location.clone());
                    }
                    for inner in &mut folder.folders {
                        *inner = place.home(inner.clone());
                    }
                    folder.files.sort_by(|a, b| a.location.cmp(&b.location));
                    folder.folders.sort();
                    return Ok(folder);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| StorageError::config("no place to list")))
    }

    /// Lists at one place, page by page.
    async fn list_place(&self, prefix: &Location, level: bool) -> Result<Folder, StorageError> {
        let mut whole = Folder::default();
        let mut token = None;
        loop {
            let call = Call::new(Operation::List, prefix, self.0.config.timeout, PAGE_BYTES);
            let work = call.run(self.list_page(&call, token.clone(), level));
            let (page, next) = self.count(work).await?;
            whole.folders.extend(page.folders);
            whole.files.extend(page.files);
            match next {
                None => break,
                // A server that repeats its token would be asked for ever.
                Some(next) if token.as_ref() == Some(&next) => {
                    let cause = "the listing does not end: the server repeats a page token";
                    return Err(call.failed(Fault::new(ErrorKind::Unavailable, cause)));
                }
                Some(next) => token = Some(next),
            }
        }
        Ok(whole)
    }

    async fn list_page(
        &self,
        call: &Call,
        token: Option<String>,
        level: bool,
    ) -> Result<(Folder, Option<String>), Fault> {
        if let Some(path) = file_path(&call.location)? {
            let list = move || {
                if level {
                    return local::list_folder(&path);
                }
                let files = local::list(&path)?;
                Ok(Folder {
                    folders: Vec::new(),
                    files,
                })
            };
            return Ok((self.on_disk(list).await?, None));
        }
        self.on_origin(call, |origin| {
            remote::list_page(origin, call, token.clone(), level)
        })
        .await
    }
}

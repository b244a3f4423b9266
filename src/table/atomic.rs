//! Writing a local file so that it is there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::schema::TableError;

/// Writes `bytes` to `path`: into a file of another name in the same folder, synced, then renamed over `path`.
///
/// A process that is killed leaves `path` as it was, and at worst a hidden `.<name>.<pid>.tmp` that no pattern for tables
/// matches. Readers that have the old file open keep the old content.
///
/// # Errors
/// [`TableError::Io`] with the path and the cause; the temporary file is removed.
pub fn write_file_atomically(path: &Path, bytes: &[u8]) -> Result<(), TableError> {
    let failed = |error: &io::Error| TableError::Io {
        action: format!("cannot write {}", path.display()),
        reason: error.to_string(),
    };
    let (folder, temporary) = temporary_beside(path).map_err(|error| failed(&error))?;
    let outcome = fill(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = outcome {
        // The first failure is the one to tell; a leftover is hidden and harmless.
        let _leftover = fs::remove_file(&temporary);
        return Err(failed(&error));
    }
    // The rename itself lasts once the folder is synced. Not all file systems let folders be opened or synced.
    if let Ok(folder) = File::open(&folder) {
        let _unsupported = folder.sync_all();
    }
    Ok(())
}

fn temporary_beside(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no file name"))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(hidden);
    Ok((folder, temporary))
}

fn fill(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        write_file_atomically(&path, b"one").unwrap();
        write_file_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_names_the_path_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"").unwrap();
        let error = write_file_atomically(&path, b"x").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

//! Adding to a file of a table that is there: several processes may do it at once, and what each adds stays.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;

use super::builder::complete_runs;
use super::compact::encode;
use super::save::{SaveError, Saved, WHOLE};
use crate::location::Location;
use crate::storage::{ErrorKind, Expected, Short, Storage};
use crate::table::merge::merge;
use crate::table::read::read;
use crate::table::row::Table;
use crate::table::schema::TableError;
use crate::time::Instant;

/// Tries to add to a file that other processes write again and again.
const ATTEMPTS: u32 = 20;

/// Adds to one file; again where another process wrote it meanwhile, with what that one added.
pub(super) async fn save_file(
    new: Table,
    file: &Location,
    storage: &Storage,
    saved: &mut Saved,
) -> Result<(), SaveError> {
    let wrong = |error| SaveError::Table {
        location: file.clone(),
        error,
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let existing = match storage.get(file, WHOLE, Short::Refuse).await {
            Ok(found) => Some(found),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let table = match &existing {
            Some(found) => {
                let older = read(found.bytes.clone()).map_err(wrong)?;
                Cow::Owned(extend(older, new.clone()).map_err(wrong)?)
            }
            None => Cow::Borrowed(&new),
        };
        let bytes = encode(&table, file)?;
        let expected = match &existing {
            Some(found) if found.bytes.as_ref() == bytes.as_slice() => {
                saved.unchanged += 1;
                return Ok(());
            }
            Some(found) => Expected::This(found.version()),
            None => Expected::Nothing,
        };
        let size = bytes.len() as u64;
        match storage.put_if(file, Bytes::from(bytes), &expected).await {
            Err(error) if error.kind() == ErrorKind::Changed && attempt < ATTEMPTS => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                saved.files += 1;
                saved.bytes += size;
                return Ok(());
            }
        }
    }
}

/// An older table with the rows of a newer one: what the newer says of a file replaces what the older said of it.
fn extend(mut older: Table, newer: Table) -> Result<Table, TableError> {
    let again: HashSet<&Location> = newer
        .objects
        .iter()
        .map(|object| &object.location)
        .collect();
    let replaced: Vec<bool> = older
        .objects
        .iter()
        .map(|object| again.contains(&object.location))
        .collect();
    older
        .rows
        .retain(|row| !replaced.get(row.object as usize).copied().unwrap_or(false));
    if older.rows.is_empty() {
        return Ok(newer);
    }
    // A run that the newer table does not call complete is not, whatever the older one said.
    let incomplete: HashSet<Instant> = newer
        .rows
        .iter()
        .map(|row| row.reference)
        .filter(|run| !newer.complete_runs.contains(run))
        .collect();
    let mut merged = merge(vec![older, newer])?;
    merged.complete_runs = complete_runs(&merged, &incomplete);
    Ok(merged)
}

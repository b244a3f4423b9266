//! Looking for files that are to arrive: by listing where storage can list, else by asking for their index files.
//!
//! One listing tells of hundreds of files, in whatever order they come, and of the sizes of their GRIBs. Where there is none (plain
//! HTTP), the next few steps are asked for at each turn, and those further away ever more seldom. A file that is asked for costs one
//! read of one byte until it is there.

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt as _;

use super::sources::Source;
use crate::index::url_facts;
use crate::location::{ByteRange, Location};
use crate::storage::{ErrorKind, Listed, Short, Storage, StorageError};

/// Steps that are asked for at every turn.
const NEAR_STEPS: usize = 3;

/// Turns after which even the furthest step is asked for again, as a power of 2.
const MOST_TURNS: u32 = 5;

/// So few files are asked for one by one: that costs no more than a listing.
const FEW: usize = 4;

/// How the files of one run are looked for.
#[derive(Debug)]
pub(super) struct Watch {
    /// Until storage says that it cannot.
    can_list: bool,
    /// Whether any of them has been seen.
    has_begun: bool,
    turn: u32,
    /// Steps that are asked for at every turn; more while all of them come at once.
    near: usize,
}

impl Watch {
    pub(super) const fn new(has_begun: bool) -> Self {
        Self {
            can_list: true,
            has_begun,
            turn: 0,
            // At first everything is asked for: it may be there already.
            near: usize::MAX,
        }
    }

    /// The files that are there, and whether more may be there right now.
    pub(super) async fn look(
        &mut self,
        waiting: &[Source],
        files_at_once: usize,
        storage: &Storage,
    ) -> (Vec<Source>, bool) {
        if self.can_list && waiting.len() > FEW {
            match list(waiting, storage).await {
                Ok(there) => {
                    self.has_begun |= !there.is_empty();
                    return (there, false);
                }
                Err(error) if is_refusal(&error) => self.can_list = false,
                Err(error) => {
                    tracing::debug!(%error, "listing failed; again at the next turn");
                    return (Vec::new(), false);
                }
            }
        }
        self.ask(waiting, files_at_once, storage).await
    }

    async fn ask(
        &mut self,
        waiting: &[Source],
        files_at_once: usize,
        storage: &Storage,
    ) -> (Vec<Source>, bool) {
        let due = self.due(waiting);
        let asked = due.len();
        self.turn = self.turn.wrapping_add(1);
        let there: Vec<Source> = futures::stream::iter(due)
            .map(|source| async move { is_there(&source, storage).await.then_some(source) })
            .buffered(files_at_once.max(1))
            .filter_map(|found| async move { found })
            .collect()
            .await;
        self.near = if self.near == 0 && !there.is_empty() {
            usize::MAX
        } else if there.len() == asked && asked > 0 {
            self.near.saturating_mul(2).max(NEAR_STEPS)
        } else if self.has_begun || !there.is_empty() {
            NEAR_STEPS
        } else {
            0
        };
        self.has_begun |= !there.is_empty();
        let more = !there.is_empty() && self.near > NEAR_STEPS;
        (there, more)
    }

    /// The files to ask for at this turn: of a run that has not begun, the first alone.
    fn due(&self, waiting: &[Source]) -> Vec<Source> {
        if self.near == 0 {
            return waiting.iter().take(1).cloned().collect();
        }
        let mut rank = 0_usize;
        let mut last = None;
        let mut due = Vec::new();
        for source in waiting {
            let step = url_facts(source.location.as_str()).step;
            if last.is_some_and(|last| last != step) {
                rank += 1;
            }
            last = Some(step);
            let beyond = rank.saturating_sub(self.near.saturating_sub(1));
            let power = u32::try_from(beyond).unwrap_or(MOST_TURNS).min(MOST_TURNS);
            if self.turn.is_multiple_of(1 << power) {
                due.push(source.clone());
            }
        }
        due
    }
}

/// Whether storage will not list, however often it is asked. Public buckets may be read and not listed.
fn is_refusal(error: &StorageError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::Forbidden | ErrorKind::NotData
    )
}

/// Of some files, those of which GRIB and index file are listed, with what the listing tells of them.
async fn list(waiting: &[Source], storage: &Storage) -> Result<Vec<Source>, StorageError> {
    let mut listed: HashMap<Location, Listed> = HashMap::new();
    for prefix in prefixes(waiting) {
        match storage.list(&prefix).await {
            Ok(found) => {
                let found = found.into_iter().filter(|object| object.size > 0);
                listed.extend(found.map(|object| (object.location.clone(), object)));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let there = waiting.iter().filter_map(|source| {
        let object = listed.get(&source.location)?;
        listed.get(source.sidecar.as_ref()?.as_ref()?)?;
        Some(Source {
            size: Some(object.size),
            etag: object.etag.clone(),
            modified: object.modified,
            ..source.clone()
        })
    });
    Ok(there.collect())
}

/// For each folder that files lie in, what all of their names there begin with.
fn prefixes(files: &[Source]) -> Vec<Location> {
    let mut folders: BTreeMap<&str, (&Source, &str)> = BTreeMap::new();
    for source in files {
        let url = source.location.as_str();
        let Some((folder, _)) = url.rsplit_once('/') else {
            continue;
        };
        folders
            .entry(folder)
            .and_modify(|(_, prefix)| *prefix = common(prefix, url))
            .or_insert((source, url));
    }
    let prefixes = folders.into_values();
    prefixes
        .map(|(source, prefix)| source.location.with_text(prefix))
        .collect()
}

fn common<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.char_indices().zip(b.chars());
    let end = same
        .take_while(|((_, a), b)| a == b)
        .last()
        .map_or(0, |((at, c), _)| at + c.len_utf8());
    a.get(..end).unwrap_or(a)
}

/// Whether a file's index can be asked for.
pub(super) async fn is_there(source: &Source, storage: &Storage) -> bool {
    let Some(Some(sidecar)) = &source.sidecar else {
        return false;
    };
    let found = storage
        .get(sidecar, ByteRange::new(0, 1), Short::Allow)
        .await;
    found.is_ok_and(|found| !found.bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn one_prefix_covers_the_files_of_a_folder() {
        let source = |name: &str| Source::named(Location::parse(name, Path::new("/")).unwrap());
        let files = [
            source("s3://b/20261122/00z/oper/20261122000000-0h-oper-fc.grib2"),
            source("s3://b/20261122/00z/enfo/20261122000000-0h-enfo-ef.grib2"),
            source("s3://b/20261122/00z/enfo/20261122000000-3h-enfo-ef.grib2"),
        ];
        let prefixes = prefixes(&files);
        let texts: Vec<_> = prefixes.iter().map(Location::as_str).collect();
        assert_eq!(
            texts,
            [
                "s3://b/20261122/00z/enfo/20261122000000-",
                "s3://b/20261122/00z/oper/20261122000000-0h-oper-fc.grib2",
            ]
        );
    }
}

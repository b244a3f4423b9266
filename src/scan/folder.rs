//! Names of tables in a directory: `2026-11-22T00.parquet` holds one run, `2026-11-01T00_2026-11-30T18.parquet` all runs from the
//! first to the last.
//!
//! A run belongs to the file whose name's range covers it, so that a file of one run beside a file of many that covers it is a
//! leftover: whoever was killed between writing the many and removing the one leaves a directory that reads right.

use crate::location::Location;
use crate::time::Instant;

/// Suffix of a table's file.
pub(super) const SUFFIX: &str = ".parquet";

/// Whether a file of this name is a table.
pub(super) fn is_table(name: &str) -> bool {
    name.ends_with(SUFFIX) && !name.starts_with('.')
}

/// The runs that a file's name says it holds: first and last.
pub(super) fn runs_of(name: &str) -> Option<(Instant, Instant)> {
    let stem = name.strip_suffix(SUFFIX)?;
    match stem.split_once('_') {
        Some((first, last)) => Some((Instant::parse(first)?, Instant::parse(last)?)),
        None => Instant::parse(stem).map(|run| (run, run)),
    }
}

/// The name of the file for all runs from the first to the last.
pub(super) fn name_of(first: Instant, last: Instant) -> String {
    if first == last {
        format!("{}{SUFFIX}", first.path_name())
    } else {
        format!("{}_{}{SUFFIX}", first.path_name(), last.path_name())
    }
}

/// The name of the file that a run belongs to, among those that are there.
pub(super) fn file_of(run: Instant, names: &[String]) -> String {
    names
        .iter()
        .filter(|name| is_table(name))
        .find(|name| {
            runs_of(name)
                .is_some_and(|(first, last)| first != last && (first..=last).contains(&run))
        })
        .cloned()
        .unwrap_or_else(|| name_of(run, run))
}

/// Whether a file is a leftover: it holds one run, which another file of the directory covers.
pub(super) fn is_leftover(name: &str, names: &[String]) -> bool {
    match runs_of(name) {
        Some((first, last)) if first == last => file_of(first, names) != name,
        Some((first, last)) => names.iter().any(|other| {
            other != name && runs_of(other).is_some_and(|(a, b)| a <= first && last <= b)
        }),
        None => false,
    }
}

/// A file of a directory.
pub(super) fn file_in(folder: &Location, name: &str) -> Location {
    let folder_text = folder.as_str().trim_end_matches('/');
    folder.with_text(&format!("{folder_text}/{name}"))
}

/// The directory with a slash at its end.
pub(super) fn with_slash(folder: &Location) -> Location {
    if folder.as_str().ends_with('/') {
        folder.clone()
    } else {
        folder.with_suffix("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_belongs_to_the_file_that_covers_it() {
        let names = [
            "2026-11-01T00_2026-11-30T18.parquet",
            "2026-11-05T00.parquet",
            "2026-12-01T00.parquet",
            "other.parquet",
        ]
        .map(str::to_owned);
        let run = |text| Instant::parse(text).unwrap();
        assert_eq!(file_of(run("2026-11-05T00"), &names), names[0]);
        assert_eq!(file_of(run("2026-12-01T00"), &names), names[2]);
        assert_eq!(
            file_of(run("2026-12-01T06"), &names),
            "2026-12-01T06.parquet"
        );
        assert!(is_leftover(&names[1], &names));
        assert!(!is_leftover(&names[0], &names));
        assert!(!is_leftover(&names[3], &names));
        assert_eq!(
            name_of(run("2026-11-01T00"), run("2026-11-30T18")),
            names[0]
        );
    }
}

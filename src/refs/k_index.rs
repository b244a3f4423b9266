//! Lists of messages: `k_index` and mapping tables, and the `step_` keys of ECMWF member files. They say which messages there are;
//! what those hold is learnt from the archive itself, as when it is indexed.

use bytes::Bytes;

use super::cells::{Counts, Texts, batches};
use super::chunks::Target;
use super::error::RefsError;
use super::set::RefSet;

/// One message that a list names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageRef {
    /// URL of its object, as the list writes it.
    pub url: String,
    /// First byte.
    pub offset: u64,
    /// Count of bytes, where told.
    pub length: Option<u64>,
}

/// Whether these columns are those of a `k_index` or mapping table.
pub(crate) fn is_k_index(columns: &[String]) -> bool {
    ["varname", "typeOfLevel", "stepType", "uri"]
        .iter()
        .all(|name| columns.iter().any(|column| column == name))
}

/// The messages of a `k_index` or mapping table, sorted. Its times and steps are not read: writers get them wrong.
///
/// # Errors
/// [`RefsError::Parquet`].
pub fn read_k_index(file: Bytes) -> Result<Vec<MessageRef>, RefsError> {
    let mut messages = Vec::new();
    batches(file, &mut |batch| {
        let uris = Texts::of(batch, "uri");
        let pick = |first: &str, second: &str| {
            if batch.column_by_name(first).is_some() {
                first.to_owned()
            } else {
                second.to_owned()
            }
        };
        let offsets = Counts::of(batch, &pick("offset", "offset_grib"));
        let lengths = Counts::of(batch, &pick("length", "length_grib"));
        for row in 0..batch.num_rows() {
            let (Some(uri), Ok(Some(offset)), Ok(length)) =
                (uris.get(row), offsets.get(row), lengths.get(row))
            else {
                continue;
            };
            let url = with_extension(&String::from_utf8_lossy(uri));
            messages.push(MessageRef {
                url,
                offset,
                length,
            });
        }
        Ok(())
    })?;
    messages.sort_unstable();
    messages.dedup();
    Ok(messages)
}

/// The messages that `step_` keys name, sorted.
#[must_use]
pub fn step_messages(set: &RefSet) -> Vec<MessageRef> {
    let mut messages: Vec<MessageRef> = set
        .loose
        .iter()
        .filter_map(|(_, target)| match target {
            Target::Object {
                url,
                offset,
                length,
            } => Some(MessageRef {
                url: with_extension(url),
                offset: *offset,
                length: *length,
            }),
            Target::Inline(_) | Target::NoTarget => None,
        })
        .collect();
    messages.sort_unstable();
    messages.dedup();
    messages
}

/// ECMWF's objects end in `.grib2`; some writers leave it off (`...-enfo-ef`).
pub(crate) fn with_extension(url: &str) -> String {
    let name = url.rsplit('/').next().unwrap_or_default();
    let parts: Vec<&str> = name.split('-').collect();
    let ecmwf = matches!(parts.as_slice(), [date, step, stream, kind]
        if date.len() == 14 && date.bytes().all(|byte| byte.is_ascii_digit())
        && step.ends_with(['h', 'm']) && stream.len() == 4 && kind.len() == 2);
    if ecmwf {
        format!("{url}.grib2")
    } else {
        url.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ecmwf_names_get_their_extension_back() {
        let bare = "s3://b/20240529/00z/ifs/0p25/enfo/20240529000000-3h-enfo-ef";
        assert_eq!(with_extension(bare), format!("{bare}.grib2"));
        for url in [
            "s3://b/gfs.t00z.pgrb2.0p25.f003",
            "s3://b/20240529000000-3h-enfo-ef.grib2",
            "s3://b/a-b-c-d",
        ] {
            assert_eq!(with_extension(url), url);
        }
    }
}

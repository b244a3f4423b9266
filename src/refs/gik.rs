//! GIK Parquet: a kerchunk set in one Parquet file, in five layouts.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;

use super::builder::SetBuilder;
use super::cells::{Counts, Texts, batches, column_names, footer_of};
use super::chunks::Target;
use super::error::RefsError;
use super::literal::{Literal, each_member};
use super::set::{Kind, RefSet};

/// Whether these columns are those of a GIK file.
pub(crate) fn is_gik(columns: &[String]) -> bool {
    let has = |name: &str| columns.iter().any(|column| column == name);
    has("key") && (has("value") || has("reference"))
}

/// Reads a GIK file of any layout.
///
/// # Errors
/// [`RefsError`].
pub fn read_gik(file: Bytes) -> Result<RefSet, RefsError> {
    let columns = column_names(footer_of(&file)?)?;
    if !is_gik(&columns) {
        return Err(RefsError::Unknown(
            "Parquet without columns key and value".to_owned(),
        ));
    }
    let value_column = if columns.iter().any(|column| column == "value") {
        "value"
    } else {
        "reference"
    };
    let mut builder = SetBuilder::default();
    builder.step_keys = true;
    let mut rows = 0_u64;
    batches(file, &mut |batch| {
        let (keys, values) = (Texts::of(batch, "key"), Texts::of(batch, value_column));
        let paths = Texts::of(batch, "path");
        let (offsets, sizes) = (Counts::of(batch, "offset"), Counts::of(batch, "size"));
        for row in 0..batch.num_rows() {
            rows += 1;
            let Some(key) = keys.get(row) else { continue };
            let Ok(key) = std::str::from_utf8(key) else {
                builder.defect("key", &format!("row {rows}"), "a key that is no text");
                continue;
            };
            if key == "version" || key.starts_with('_') {
                continue;
            }
            if let Some(path) = paths.get(row) {
                let path = String::from_utf8_lossy(path);
                match (offsets.get(row), sizes.get(row)) {
                    (Ok(offset), Ok(length)) => {
                        builder.insert_object(key, &path, offset.unwrap_or_default(), length)?;
                    }
                    (Err(number), _) | (_, Err(number)) => {
                        builder.defect("value", key, format!("a range of {number}"));
                    }
                }
                continue;
            }
            let Some(cell) = values.get(row) else {
                builder.defect("value", key, "neither a value nor a path");
                continue;
            };
            let Ok(text) = std::str::from_utf8(cell) else {
                builder.insert(key, Target::Inline(Bytes::copy_from_slice(cell)))?;
                continue;
            };
            if key == "refs" && text.trim_start().starts_with('{') {
                literal_set(text, &mut builder)?;
                continue;
            }
            match Target::of_cell(text) {
                Some(value) => builder.insert(key, value)?,
                None => builder.defect("value", key, "base64 that cannot be read"),
            }
        }
        Ok(())
    })?;
    let mut set = builder.finish()?;
    known_defects(&mut set);
    Ok(set)
}

/// Errors of the writer itself, told by their marks.
fn known_defects(set: &mut RefSet) {
    let mut found: Vec<(&'static str, String, String)> = Vec::new();
    let level_types = ["pl", "sol", "ml"];
    let mut collapsed: BTreeSet<(String, String)> = BTreeSet::new();
    for (key, target) in &set.loose {
        let parts: Vec<&str> = key.split('/').collect();
        if let [_, parameter, level_type, ..] = parts.as_slice()
            && level_types.contains(level_type)
        {
            collapsed.insert(((*parameter).to_owned(), (*level_type).to_owned()));
        }
        if let Target::Object { url, .. } = target
            && let Some((folder, name)) = run_hours(url)
            && folder != name
        {
            found.push((
                "run",
                key.clone(),
                format!("the folder says run {folder}z, the file name {name}z"),
            ));
        }
    }
    for (parameter, level_type) in collapsed {
        let levels = set
            .arrays()
            .filter(|(_, node, _)| {
                node.path.split('/').next() == Some(&parameter) && node.name.starts_with("isobaric")
            })
            .find_map(|(_, _, info)| info.shape.first().copied());
        let of = levels.map_or(String::new(), |levels| {
            format!(": 1 of {levels} levels kept")
        });
        found.push((
            "collapsed-levels",
            format!("{parameter}/{level_type}"),
            format!("the keys hold no level, so that all levels but one are lost{of}"),
        ));
    }
    let mixed: Vec<String> = set
        .arrays()
        .filter(|(number, node, info)| {
            let empty = matches!(&node.kind, Kind::Array { chunks: Some(chunks), .. } if chunks.present() == 0);
            let level = node.attributes.get("GRIB_typeOfLevel").and_then(Value::as_str);
            let has_axis = level.is_some_and(|level| set.dimensions(*number).iter().any(|name| name == level));
            info.is_grib() && empty && has_axis && set.loose.is_empty()
        })
        .map(|(_, node, _)| node.path.clone())
        .collect();
    let others = set.arrays().any(|(_, node, info)| {
        info.is_grib() && matches!(&node.kind, Kind::Array { chunks: Some(chunks), .. } if chunks.present() > 0)
    });
    if others {
        for path in mixed {
            found.push((
                "levels-as-members",
                path,
                "no references although other arrays have them: its levels were taken for members, and went into other members' files".to_owned(),
            ));
        }
    }
    for (kind, at, what) in found {
        set.defect(kind, at, what);
    }
}

/// Hours of the run that an ECMWF URL's folder and file name say: `/12z/` and `20240529120000-`.
fn run_hours(url: &str) -> Option<(String, String)> {
    let folder = url
        .split('/')
        .find_map(|part| part.strip_suffix('z').filter(|hour| hour.len() == 2))?;
    let name = url
        .rsplit('/')
        .next()?
        .split('-')
        .next()
        .filter(|date| date.len() == 14)?;
    Some((folder.to_owned(), name.get(8..10)?.to_owned()))
}

/// A whole set as the `repr` of a dict.
fn literal_set(text: &str, builder: &mut SetBuilder) -> Result<(), RefsError> {
    each_member(text, &mut |key, value| match (key, value) {
        ("version", Literal::Integer(_)) => Ok(()),
        ("refs", Literal::Dict(members)) => {
            for (key, value) in members {
                if let Literal::Text(key) = key {
                    literal_member(&key, &value, builder)?;
                }
            }
            Ok(())
        }
        (key, value) => literal_member(key, &value, builder),
    })
}

fn literal_member(key: &str, value: &Literal, builder: &mut SetBuilder) -> Result<(), RefsError> {
    if key.starts_with('_') {
        return Ok(());
    }
    let read = match value {
        Literal::Text(text) => Target::inline(text),
        Literal::Bytes(bytes) => Some(Target::Inline(Bytes::copy_from_slice(bytes))),
        Literal::List(_) | Literal::Dict(_) => {
            let json = value.to_json();
            match json.as_array() {
                Some(parts) => Target::of_parts(parts),
                None => Some(Target::Inline(Bytes::from(json.to_string()))),
            }
        }
        Literal::Integer(_) | Literal::Float(_) | Literal::Bool(_) | Literal::None => None,
    };
    match read {
        Some(value) => builder.insert(key, value),
        None => {
            builder.defect("value", key, "a value that the format does not know");
            Ok(())
        }
    }
}

//! What `gribfs info` tells of a reference set: its arrays, how many of their chunks have a reference, and what is wrong with it.

use serde_json::{Value, json};

use super::output::grouped;
use crate::refs::{ArrayInfo, Coding, RefSet, Target};

/// Chunks of arrays in records that are counted; more would mean to read thousands of files.
const MOST_COUNTED: u64 = 20_000_000;

/// An array of a set.
struct ArrayLine {
    path: String,
    dimensions: Vec<String>,
    info: ArrayInfo,
    /// Chunks that have a reference; `None` where that was not counted, or a record cannot be read.
    present: Option<u64>,
}

/// What is told.
pub(super) struct SetInfo<'a> {
    set: &'a RefSet,
    arrays: Vec<ArrayLine>,
    /// URLs of references in memory, and the first of them.
    urls: usize,
    first_url: Option<String>,
}

impl<'a> SetInfo<'a> {
    pub(super) fn of(set: &'a RefSet) -> Self {
        let chunks: u64 = set
            .arrays()
            .map(|(_, _, info)| info.chunk_count())
            .fold(0, u64::saturating_add);
        let counted = !set.is_lazy() || chunks <= MOST_COUNTED;
        let arrays = set
            .arrays()
            .map(|(number, node, info)| {
                let mut present = 0;
                let count = &mut |_| {
                    present += 1;
                    true
                };
                let told = counted && set.present(number, 0, count).is_ok();
                ArrayLine {
                    path: node.path.clone(),
                    dimensions: set.dimensions(number),
                    info: info.clone(),
                    present: told.then_some(present),
                }
            })
            .collect();
        let in_records = || {
            let (number, ..) = set.arrays().find(|(_, _, info)| info.is_grib())?;
            match set.chunk(number, 0).ok()?? {
                Target::Object { url, .. } => Some(url),
                Target::Inline(_) | Target::NoTarget => None,
            }
        };
        let first_url = set.urls().next().map(str::to_owned).or_else(in_records);
        Self {
            set,
            arrays,
            urls: set.urls().count(),
            first_url: first_url.map(|url| crate::store::references::policy::shown(&url)),
        }
    }

    /// For people, or as JSON.
    pub(super) fn text(&self, source: &str, as_json: bool) -> String {
        if as_json {
            return serde_json::to_string_pretty(&self.document()).unwrap_or_default();
        }
        let mut lines = vec![format!(
            "{source}: reference set, {} arrays in {} groups",
            grouped(self.arrays.len() as u64),
            grouped((self.set.nodes.len() - self.arrays.len()) as u64)
        )];
        match &self.first_url {
            Some(url) if self.set.is_lazy() => lines.push(format!("  refers to     {url}, ...")),
            Some(url) => lines.push(format!(
                "  refers to     {} objects: {url}, ...",
                grouped(self.urls as u64)
            )),
            None => {}
        }
        lines.push(String::new());
        lines.push(format!(
            "  {:<44} {:<40} {:<6} {:>11} {:>11}  chunks",
            "array", "dimensions", "dtype", "present", "absent"
        ));
        for array in &self.arrays {
            let (present, absent) = match array.present {
                Some(present) => (grouped(present), grouped(array.absent(present))),
                None => ("?".to_owned(), "?".to_owned()),
            };
            lines.push(format!(
                "  {:<44} {:<40} {:<6} {present:>11} {absent:>11}  {}",
                array.path,
                array.shape_text(),
                array.info.data_type,
                coding_text(&array.info.coding)
            ));
        }
        for note in &self.set.notes {
            lines.push(format!("  note: {note}"));
        }
        for (kind, count) in &self.set.defect_counts {
            lines.push(format!("  defect {kind}: {}", grouped(*count)));
        }
        for defect in self.set.defects.iter().take(20) {
            lines.push(format!("    {}: {defect}", defect.kind));
        }
        lines.join("\n")
    }

    fn document(&self) -> Value {
        let arrays = self.arrays.iter().map(|array| {
            json!({
                "path": array.path,
                "dimensions": array.dimensions,
                "shape": array.info.shape,
                "chunks": array.info.chunks,
                "dtype": array.info.data_type,
                "coding": coding_text(&array.info.coding),
                "present": array.present,
                "absent": array.present.map(|present| array.absent(present)),
            })
        });
        let defects = self
            .set
            .defects
            .iter()
            .map(|defect| json!({"kind": defect.kind, "at": defect.at, "what": defect.what}));
        json!({
            "kind": "reference set",
            "lazy": self.set.is_lazy(),
            "objects": (!self.set.is_lazy()).then_some(self.urls),
            "first_object": self.first_url,
            "arrays": arrays.collect::<Vec<_>>(),
            "notes": self.set.notes,
            "defect_counts": self.set.defect_counts,
            "defects": defects.collect::<Vec<_>>(),
        })
    }
}

impl ArrayLine {
    fn absent(&self, present: u64) -> u64 {
        self.info.chunk_count().saturating_sub(present)
    }

    /// `time 3, step 5`, or lengths alone where names are not told.
    fn shape_text(&self) -> String {
        let lengths = self.info.shape.iter().enumerate();
        let texts: Vec<String> = lengths
            .map(|(at, length)| match self.dimensions.get(at) {
                Some(name) => format!("{name} {length}"),
                None => length.to_string(),
            })
            .collect();
        texts.join(", ")
    }
}

fn coding_text(coding: &Coding) -> &'static str {
    match coding {
        Coding::Grib { .. } => "GRIB, decoded",
        Coding::Plain { .. } => "plain",
        Coding::Opaque => "as they are",
    }
}

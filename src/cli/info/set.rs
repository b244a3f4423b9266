//! What is in a reference set: its arrays as the set describes them, how many of their chunks have a reference, and what is wrong with it.

use serde_json::{Value, json};

use crate::cli::output::{bytes_text, count_text, grouped};
use crate::refs::{ArrayInfo, Coding, RefSet, Target};
use crate::store::references::policy;

/// Chunks of arrays in records that are counted; more would mean to read thousands of files.
const MOST_COUNTED: u64 = 20_000_000;

/// Defects that are printed one by one.
const DEFECTS_SHOWN: usize = 20;

/// What is told of a reference set.
pub(super) struct SetFacts<'a> {
    source: String,
    set: &'a RefSet,
    arrays: Vec<SetArray>,
    /// URL of the first object that is referred to, without secrets.
    first_object: Option<String>,
}

struct SetArray {
    path: String,
    dimensions: Vec<String>,
    info: ArrayInfo,
    long_name: String,
    units: String,
    /// Chunks that have a reference; `None` where that was not counted, or a record cannot be read.
    present: Option<u64>,
}

impl<'a> SetFacts<'a> {
    pub(super) fn gather(source: &str, set: &'a RefSet) -> Self {
        let chunks = set.arrays().map(|(_, _, info)| info.chunk_count());
        let counted = !set.is_lazy() || chunks.fold(0, u64::saturating_add) <= MOST_COUNTED;
        let arrays = set.arrays().map(|(number, node, info)| {
            let mut present = 0;
            let count = &mut |_| {
                present += 1;
                true
            };
            let told = counted && set.present(number, 0, count).is_ok();
            let text = |key: &str| {
                let value = node.attributes.get(key).and_then(Value::as_str);
                value.unwrap_or_default().to_owned()
            };
            SetArray {
                path: node.path.clone(),
                dimensions: set.dimensions(number),
                info: info.clone(),
                long_name: text("long_name"),
                units: text("units"),
                present: told.then_some(present),
            }
        });
        let in_records = || {
            let (number, ..) = set.arrays().find(|(_, _, info)| info.is_grib())?;
            match set.chunk(number, 0).ok()?? {
                Target::Object { url, .. } => Some(url),
                Target::Inline(_) | Target::NoTarget => None,
            }
        };
        let first = set.urls().next().map(str::to_owned).or_else(in_records);
        Self {
            source: source.to_owned(),
            set,
            arrays: arrays.collect(),
            first_object: first.map(|url| policy::shown(&url)),
        }
    }

    /// Objects that are referred to, where all are in memory.
    fn objects(&self) -> Option<u64> {
        (!self.set.is_lazy()).then(|| self.set.urls().count() as u64)
    }

    pub(super) fn json(&self) -> Value {
        let arrays = self.arrays.iter().map(|array| {
            json!({
                "name": array.path,
                "long_name": array.long_name,
                "units": array.units,
                "dimensions": array.dimensions,
                "shape": array.info.shape,
                "chunks": array.info.chunks,
                "data_type": array.info.data_type,
                "coding": coding(&array.info),
                "virtual_bytes": array.bytes(),
                "present": array.present,
                "absent": array.absent(),
            })
        });
        json!({
            "version": 1,
            "source": self.source,
            "reference_set": true,
            "lazy": self.set.is_lazy(),
            "objects": self.objects(),
            "first_object": self.first_object,
            "arrays": arrays.collect::<Vec<_>>(),
            "notes": self.set.notes,
            "defect_counts": self.set.defect_counts,
            "defects": self.set.defects,
        })
    }

    pub(super) fn print(&self) {
        say!(
            "{}: a reference set of {}",
            self.source,
            count_text(self.arrays.len() as u64, "array")
        );
        let total = self.arrays.iter().filter_map(SetArray::bytes).sum();
        say!("  as plain numbers   {}", bytes_text(total));
        match (&self.first_object, self.objects()) {
            (Some(url), Some(count)) => {
                say!(
                    "  refers to          {}: {url}, ...",
                    count_text(count, "object")
                );
            }
            (Some(url), None) => say!("  refers to          {url}, ..."),
            (None, _) => {}
        }
        for note in &self.set.notes {
            say!("  note: {note}");
        }
        for (kind, count) in &self.set.defect_counts {
            say!("  defect {kind}: {}", grouped(*count));
        }
        for defect in self.set.defects.iter().take(DEFECTS_SHOWN) {
            say!("    {}: {defect}", defect.kind);
        }
        say!("");
        let names = self.arrays.iter().map(|array| array.path.len()).max();
        let names = names.unwrap_or_default().max(16);
        for array in &self.arrays {
            say!("  {:<names$}  {}", array.path, array.line());
        }
    }

    pub(super) fn print_tree(&self) {
        say!("{}", self.source);
        let mut shown: Vec<&str> = Vec::new();
        for array in &self.arrays {
            let parts: Vec<&str> = array.path.split('/').collect();
            let (name, groups) = parts.split_last().map_or(("", &[][..]), |(n, g)| (*n, g));
            let common = groups
                .iter()
                .zip(&shown)
                .take_while(|(own, other)| own == other)
                .count();
            for (depth, group) in groups.iter().enumerate().skip(common) {
                say!("{}{group}/", "    ".repeat(depth + 1));
            }
            shown = groups.to_vec();
            say!(
                "{}{name}  {}",
                "    ".repeat(groups.len() + 1),
                array.line()
            );
        }
    }
}

impl SetArray {
    fn absent(&self) -> Option<u64> {
        let present = self.present?;
        Some(self.info.chunk_count().saturating_sub(present))
    }

    /// Bytes of all elements, where the size of one is known.
    fn bytes(&self) -> Option<u64> {
        let item = match self.info.coding {
            Coding::Grib { item_bytes, .. } | Coding::Plain { item_bytes } => item_bytes,
            Coding::Opaque => return None,
        };
        let elements = self.info.shape.iter();
        elements.copied().try_fold(item, u64::checked_mul)
    }

    fn line(&self) -> String {
        let named = self.dimensions.len() == self.info.shape.len();
        let shape = self.info.shape.iter().enumerate();
        let shape: Vec<String> = shape
            .map(|(at, length)| match self.dimensions.get(at) {
                Some(name) if named => format!("{name} {length}"),
                _ => length.to_string(),
            })
            .collect();
        let bytes = self.bytes().map_or_else(String::new, bytes_text);
        format!(
            "({})  {} {} {bytes}  {}  {} [{}]",
            shape.join(", "),
            self.info.data_type,
            coding(&self.info),
            match (self.present, self.absent()) {
                (Some(present), Some(absent)) =>
                    format!("{} present, {absent} absent", count_text(present, "chunk")),
                (Some(_) | None, _) => "chunks not counted".to_owned(),
            },
            self.long_name,
            self.units
        )
    }
}

const fn coding(info: &ArrayInfo) -> &'static str {
    match info.coding {
        Coding::Grib { .. } => "grib",
        Coding::Plain { .. } => "plain",
        Coding::Opaque => "opaque",
    }
}

//! What is in a reference set: its arrays as the set describes them.

use serde_json::{Value, json};

use crate::cli::output::{bytes_text, count_text};
use crate::refs::{ArrayInfo, Coding, RefSet};

/// What is told of a reference set.
pub(super) struct SetFacts {
    source: String,
    arrays: Vec<SetArray>,
    defects: u64,
    notes: Vec<String>,
}

struct SetArray {
    path: String,
    dimensions: Vec<String>,
    info: ArrayInfo,
    long_name: String,
    units: String,
}

impl SetFacts {
    pub(super) fn gather(source: &str, set: &RefSet) -> Self {
        let arrays = set.arrays().map(|(_, node, info)| {
            let text = |key: &str| {
                let value = node.attributes.get(key).and_then(Value::as_str);
                value.unwrap_or_default().to_owned()
            };
            let names = node.attributes.get("_ARRAY_DIMENSIONS");
            let names = names.and_then(Value::as_array).into_iter().flatten();
            SetArray {
                path: node.path.clone(),
                dimensions: names
                    .map(|name| name.as_str().unwrap_or("?").to_owned())
                    .collect(),
                info: info.clone(),
                long_name: text("long_name"),
                units: text("units"),
            }
        });
        Self {
            source: source.to_owned(),
            arrays: arrays.collect(),
            defects: set.defect_counts.values().sum(),
            notes: set.notes.clone(),
        }
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
            })
        });
        json!({
            "version": 1,
            "source": self.source,
            "reference_set": true,
            "arrays": arrays.collect::<Vec<_>>(),
            "defects": self.defects,
            "notes": self.notes,
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
        if self.defects > 0 {
            say!(
                "  {} of the set; `gribfs verify` lists them",
                count_text(self.defects, "defect")
            );
        }
        for note in &self.notes {
            say!("  note: {note}");
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
            "({})  {} {} {bytes}  {} [{}]",
            shape.join(", "),
            self.info.data_type,
            coding(&self.info),
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

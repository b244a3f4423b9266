//! A reference set in memory: its nodes, their documents, and where chunks lie.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::array::ArrayInfo;
use super::chunks::{ChunkTable, Slot, Target};
use super::error::{Defect, RefsError};
use super::records::Records;
use super::urls::Urls;

/// What a node is.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every node is an array")]
pub enum Kind {
    /// A group.
    Group,
    /// An array.
    Array {
        /// Its metadata.
        info: ArrayInfo,
        /// Its references, where they are in memory; `None` where they lie in records.
        chunks: Option<ChunkTable>,
    },
}

/// A group or array.
#[derive(Clone, Debug)]
pub struct Node {
    /// Path from the root, without slashes at its ends; empty for the root.
    pub path: String,
    /// Last part of the path.
    pub name: String,
    /// Number of the group that it lies in; the root's own for the root.
    pub parent: usize,
    /// What it is.
    pub kind: Kind,
    /// Numbers of the nodes within, by name.
    pub children: BTreeMap<String, usize>,
    /// `.zattrs`, parsed.
    pub attributes: Map<String, Value>,
    /// `.zarray` as the set has it.
    pub zarray: Option<Bytes>,
    /// Files that belong to no array, by name.
    pub files: Vec<(String, Slot)>,
    /// Documents that are served, by name, in the order of listings.
    pub documents: Vec<(&'static str, Bytes)>,
}

impl Node {
    /// Position of a file among those that belong to no array.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<usize> {
        let found = self
            .files
            .binary_search_by(|(own, _)| own.as_str().cmp(name));
        found.ok()
    }
}

/// A reference set. Node 0 is the root.
#[derive(Debug)]
pub struct RefSet {
    /// Groups and arrays, parents before children.
    pub nodes: Vec<Node>,
    pub(crate) urls: Urls,
    pub(crate) records: Option<Records>,
    /// What is wrong with it, at most 100 of each kind.
    pub defects: Vec<Defect>,
    /// Number of defects of each kind, also of those not kept.
    pub defect_counts: BTreeMap<&'static str, u64>,
    /// What was repaired or should be known, for people.
    pub notes: Vec<String>,
    /// References of other kinds than Zarr's (`step_` keys): key, URL, offset, length.
    pub loose: Vec<(String, Target)>,
}

/// Defects of one kind that are kept word by word.
pub(crate) const MAX_DEFECTS: u64 = 100;

impl RefSet {
    /// Notes a defect.
    pub fn defect(&mut self, kind: &'static str, at: impl Into<String>, what: impl Into<String>) {
        note_defect(
            &mut self.defects,
            &mut self.defect_counts,
            kind,
            &at.into(),
            what.into(),
        );
    }

    /// The reference of an array's chunk. `Ok(None)` where the set has none.
    ///
    /// # Errors
    /// [`RefsError`] where the record that would tell cannot be read.
    pub fn chunk(&self, node: usize, number: u64) -> Result<Option<Target>, RefsError> {
        let Some(Kind::Array { info, chunks }) = self.nodes.get(node).map(|node| &node.kind) else {
            return Ok(None);
        };
        if number >= info.chunk_count() {
            return Ok(None);
        }
        match (chunks, &self.records) {
            (Some(table), _) => Ok(table.get(number).and_then(|slot| self.target(&slot))),
            (None, Some(records)) => records.chunk(node, self.path(node), number),
            (None, None) => Ok(None),
        }
    }

    /// Whether [`Self::chunk`] of it answers from memory, whatever the answer.
    #[must_use]
    pub fn is_known(&self, node: usize, number: u64) -> bool {
        match (self.nodes.get(node).map(|node| &node.kind), &self.records) {
            (Some(Kind::Array { info, chunks: None }), Some(records)) => {
                number >= info.chunk_count() || records.is_known(node, number)
            }
            _ => true,
        }
    }

    /// Whether [`Self::present`] of a node answers from memory.
    #[must_use]
    pub fn is_listed(&self, node: usize) -> bool {
        match (self.nodes.get(node).map(|node| &node.kind), &self.records) {
            (Some(Kind::Array { info, chunks: None }), Some(records)) => {
                records.is_listed(node, info.chunk_count())
            }
            _ => true,
        }
    }

    /// Whether references lie in records, which are read when they are wanted.
    #[must_use]
    pub fn is_lazy(&self) -> bool {
        self.records.is_some()
    }

    /// Keeps at most so many bytes of records in memory.
    pub fn limit_records(&mut self, bytes: usize) {
        if let Some(records) = &mut self.records {
            records.limit(bytes);
        }
    }

    /// Where a slot's bytes lie.
    #[must_use]
    pub fn target(&self, slot: &Slot) -> Option<Target> {
        slot.target(&self.urls)
    }

    /// Path of a node.
    #[must_use]
    pub fn path(&self, node: usize) -> &str {
        self.nodes.get(node).map_or("", |node| &node.path)
    }

    /// Numbers of an array's chunks that have references, ascending from `first`, handed to `sink` until it returns `false`.
    ///
    /// # Errors
    /// As [`Self::chunk`].
    pub fn present(
        &self,
        node: usize,
        first: u64,
        sink: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), RefsError> {
        let Some(Kind::Array { info, chunks }) = self.nodes.get(node).map(|node| &node.kind) else {
            return Ok(());
        };
        match (chunks, &self.records) {
            (Some(table), _) => {
                for number in table.numbers_from(first) {
                    if !sink(number) {
                        break;
                    }
                }
                Ok(())
            }
            (None, Some(records)) => {
                let array = (node, self.path(node), info.chunk_count());
                records.present(array, first, sink)
            }
            (None, None) => Ok(()),
        }
    }

    /// Number of the node at a path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<usize> {
        let mut at = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = *self.nodes.get(at)?.children.get(name)?;
        }
        Some(at)
    }

    /// Arrays by number.
    pub fn arrays(&self) -> impl Iterator<Item = (usize, &Node, &ArrayInfo)> {
        self.nodes
            .iter()
            .enumerate()
            .filter_map(|(number, node)| match &node.kind {
                Kind::Array { info, .. } => Some((number, node, info)),
                Kind::Group => None,
            })
    }

    /// Whether GRIB arrays exist and none has a reference.
    #[must_use]
    pub fn is_deflated(&self) -> bool {
        let mut any = false;
        for (_, node, info) in self.arrays().filter(|(_, _, info)| info.is_grib()) {
            let _ = info;
            match &node.kind {
                Kind::Array {
                    chunks: Some(table),
                    ..
                } if table.present() == 0 => any = true,
                Kind::Array { .. } | Kind::Group => return false,
            }
        }
        any
    }

    /// Gives an array inline chunk 0 of these bytes, in place of whatever it has.
    pub(crate) fn set_inline(&mut self, node: usize, bytes: &[u8]) {
        if let Some(Kind::Array { chunks, .. }) =
            self.nodes.get_mut(node).map(|node| &mut node.kind)
        {
            let mut table = ChunkTable::default();
            table.push(0, &Slot::Inline(Bytes::copy_from_slice(bytes)));
            table.seal();
            *chunks = Some(table);
        }
    }

    /// Takes an array out of the set, and says why.
    pub(crate) fn refuse(&mut self, node: usize, why: &str) {
        let Some((path, name, parent)) = self
            .nodes
            .get(node)
            .map(|node| (node.path.clone(), node.name.clone(), node.parent))
        else {
            return;
        };
        if let Some(group) = self.nodes.get_mut(parent) {
            group.children.remove(&name);
        }
        if let Some(node) = self.nodes.get_mut(node) {
            node.kind = Kind::Group;
            node.children.clear();
        }
        self.defect("refused", path, format!("not shown: {why}"));
    }

    /// Makes the documents of all nodes from what they are now.
    pub(crate) fn write_documents(&mut self) {
        let mut below: Vec<Map<String, Value>> = vec![Map::new(); self.nodes.len()];
        let mut documents: Vec<Vec<(&'static str, Bytes)>> = vec![Vec::new(); self.nodes.len()];
        let reached = self.reached();
        // Children stand behind their parents, so that going backwards meets them first.
        for number in (0..self.nodes.len()).rev() {
            let Some(node) = self
                .nodes
                .get(number)
                .filter(|_| reached.get(number) == Some(&true))
            else {
                continue;
            };
            let own = match &node.kind {
                Kind::Group => [
                    (".zgroup", json!({"zarr_format": 2})),
                    (".zattrs", Value::Object(node.attributes.clone())),
                ],
                Kind::Array { info, .. } => {
                    let zarray = info.rewritten.clone().unwrap_or_else(|| {
                        node.zarray
                            .as_ref()
                            .and_then(|text| super::json_text::parse_lenient(text).ok())
                            .unwrap_or_default()
                    });
                    [
                        (".zarray", zarray),
                        (".zattrs", Value::Object(node.attributes.clone())),
                    ]
                }
            };
            let mut listed: Vec<(&'static str, Bytes)> = Vec::new();
            let mut all = Map::new();
            for (name, value) in own {
                let as_it_is = match &node.kind {
                    Kind::Array { info, .. } if name == ".zarray" && info.rewritten.is_none() => {
                        node.zarray.clone().filter(|text| {
                            serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
                        })
                    }
                    Kind::Array { .. } | Kind::Group => None,
                };
                listed.push((
                    name,
                    as_it_is.unwrap_or_else(|| Bytes::from(value.to_string())),
                ));
                all.insert(name.to_owned(), value);
            }
            for (name, child) in &node.children {
                let inner = below
                    .get_mut(*child)
                    .map(std::mem::take)
                    .unwrap_or_default();
                all.extend(
                    inner
                        .into_iter()
                        .map(|(key, value)| (format!("{name}/{key}"), value)),
                );
            }
            if matches!(node.kind, Kind::Group) {
                let document = json!({"zarr_consolidated_format": 1, "metadata": &all});
                listed.push((".zmetadata", Bytes::from(document.to_string())));
            }
            if let Some(slot) = below.get_mut(number) {
                *slot = all;
            }
            if let Some(slot) = documents.get_mut(number) {
                *slot = listed;
            }
        }
        for (node, documents) in self.nodes.iter_mut().zip(documents) {
            node.documents = documents;
        }
    }

    /// Which nodes hang in the tree.
    fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        let mut open = vec![0];
        while let Some(number) = open.pop() {
            if let Some(slot) = reached.get_mut(number) {
                *slot = true;
            }
            open.extend(
                self.nodes
                    .get(number)
                    .iter()
                    .flat_map(|node| node.children.values().copied()),
            );
        }
        reached
    }

    /// Every URL of references in memory, each once.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.urls.iter()
    }
}

pub(crate) fn note_defect(
    defects: &mut Vec<Defect>,
    counts: &mut BTreeMap<&'static str, u64>,
    kind: &'static str,
    at: &str,
    what: String,
) {
    let count = counts.entry(kind).or_default();
    *count += 1;
    if *count <= MAX_DEFECTS {
        let at: String = at.chars().take(300).collect();
        defects.push(Defect { kind, at, what });
    }
}

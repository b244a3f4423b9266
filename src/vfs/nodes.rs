//! The nodes of one store: groups and arrays, with their documents as bytes and the cell behind each chunk.

use std::collections::HashMap;

use bytes::Bytes;

use super::inode::{LOCALS, NODES};
use crate::dataset::CellState;
use crate::slices::{Layout, StoreView};
use crate::zarr::Format;
use crate::zarr::key::{ChunkKeys, parse_chunk_key};
use crate::zarr::metadata::{
    ARRAY, ATTRIBUTES, CONSOLIDATED, GROUP, array_attributes, array_document,
    consolidated_document, group_document,
};
use crate::zarr::metadata_v3;
use crate::zarr::model::{Array, Content, Deferred, Group};

/// A store's nodes; the first is its root group.
#[derive(Debug)]
pub(super) struct StoreNodes {
    view: StoreView,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    parent: usize,
    /// Documents: local number is position + 1.
    documents: Vec<(&'static str, Bytes)>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Group {
        children: Vec<(String, usize)>,
        by_name: HashMap<String, usize>,
    },
    Array {
        grid: Vec<u64>,
        chunk_bytes: u64,
        chunks: Chunks,
    },
}

#[derive(Debug)]
enum Chunks {
    Inline(Bytes),
    Deferred(Deferred),
    Fields { group: usize, array: usize },
}

/// What a local number of a node is.
#[derive(Debug)]
pub(super) enum Item {
    /// The group's or array's directory.
    Directory,
    /// A metadata document, or the chunk of a coordinate.
    Bytes(Bytes),
    /// The chunk of a coordinate that is made when first read.
    Deferred(Deferred),
    /// A chunk that is one field of the archive.
    Field {
        /// Its state.
        state: CellState,
        /// Its size.
        bytes: u64,
    },
}

/// An entry of a node's listing.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    /// Position to go on from.
    pub(super) next: u64,
    /// Node and local number.
    pub(super) node: usize,
    pub(super) local: u64,
    pub(super) directory: bool,
    pub(super) name: &'a str,
}

impl StoreNodes {
    pub(super) fn new(view: StoreView, layout: Layout, format: Format) -> Self {
        let mut nodes = Vec::new();
        add_group(&mut nodes, 0, &view.hierarchy(layout), format);
        Self { view, nodes }
    }

    pub(super) fn parent(&self, node: usize) -> Option<usize> {
        self.nodes.get(node).map(|node| node.parent)
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        let documents = self.nodes.iter().flat_map(|node| &node.documents);
        let inline = self.nodes.iter().map(|node| match &node.body {
            Body::Array {
                chunks: Chunks::Inline(bytes),
                ..
            } => bytes.len(),
            Body::Array { .. } | Body::Group { .. } => 0,
        });
        documents.map(|(_, bytes)| bytes.len()).sum::<usize>() + inline.sum::<usize>()
    }

    /// What a local number of a node is, if anything.
    pub(super) fn item(&self, node: usize, local: u64) -> Option<Item> {
        let at = self.nodes.get(node)?;
        let Some(number) = local.checked_sub(1) else {
            return Some(Item::Directory);
        };
        let documents = at.documents.len() as u64;
        if number < documents {
            return at
                .documents
                .get(usize::try_from(number).ok()?)
                .map(|(_, bytes)| Item::Bytes(bytes.clone()));
        }
        match &at.body {
            Body::Group { .. } => None,
            Body::Array {
                grid,
                chunk_bytes,
                chunks,
            } => self.chunk(grid, *chunk_bytes, chunks, number - documents),
        }
    }

    /// The chunk grid of an array, and the linear number of the chunk that a local number is.
    pub(super) fn place(&self, node: usize, local: u64) -> Option<(&[u64], u64)> {
        let at = self.nodes.get(node)?;
        let linear = local.checked_sub(at.documents.len() as u64 + 1)?;
        match &at.body {
            Body::Group { .. } => None,
            Body::Array { grid, .. } => Some((grid, linear)),
        }
    }

    /// State of the cell behind a chunk of an array of fields.
    pub(super) fn field(&self, node: usize, linear: u64) -> Option<CellState> {
        match &self.nodes.get(node)?.body {
            Body::Array {
                grid,
                chunks: Chunks::Fields { group, array },
                ..
            } => Some(self.view.cell(*group, *array, grid, linear)),
            Body::Array { .. } | Body::Group { .. } => None,
        }
    }

    /// Node and local number of a name in a node's directory.
    pub(super) fn find(&self, node: usize, name: &str) -> Option<(usize, u64)> {
        let at = self.nodes.get(node)?;
        if let Some(document) = at.documents.iter().position(|(known, _)| *known == name) {
            return Some((node, document as u64 + 1));
        }
        match &at.body {
            Body::Group { by_name, .. } => by_name.get(name).map(|child| (*child, 0)),
            Body::Array {
                grid,
                chunk_bytes,
                chunks,
            } => {
                let linear = parse_chunk_key(name, grid)?;
                let local = linear
                    .checked_add(at.documents.len() as u64 + 1)
                    .filter(|local| *local < LOCALS)?;
                match self.chunk(grid, *chunk_bytes, chunks, linear)? {
                    Item::Field {
                        state: CellState::Gap,
                        ..
                    } => None,
                    Item::Field { .. } | Item::Bytes(_) | Item::Deferred(_) | Item::Directory => {
                        Some((node, local))
                    }
                }
            }
        }
    }

    /// Lists a node's directory from a position on.
    pub(super) fn list(&self, node: usize, offset: u64, sink: &mut dyn FnMut(Listed<'_>) -> bool) {
        let Some(at) = self.nodes.get(node) else {
            return;
        };
        let documents = at.documents.len() as u64;
        for (number, (name, _)) in at
            .documents
            .iter()
            .enumerate()
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        {
            let local = number as u64 + 1;
            if !sink(Listed {
                next: local,
                node,
                local,
                directory: false,
                name,
            }) {
                return;
            }
        }
        let from = offset.saturating_sub(documents);
        match &at.body {
            Body::Group { children, .. } => {
                for (number, (name, child)) in children
                    .iter()
                    .enumerate()
                    .skip(usize::try_from(from).unwrap_or(usize::MAX))
                {
                    let next = documents + number as u64 + 1;
                    if !sink(Listed {
                        next,
                        node: *child,
                        local: 0,
                        directory: true,
                        name,
                    }) {
                        return;
                    }
                }
            }
            Body::Array { grid, chunks, .. } => {
                let most = LOCALS - documents - 1;
                let mut keys = ChunkKeys::new(grid);
                let mut entry = |linear: u64| {
                    let local = documents + linear + 1;
                    let listed = Listed {
                        next: local,
                        node,
                        local,
                        directory: false,
                        name: keys.key(linear),
                    };
                    linear < most && sink(listed)
                };
                match chunks {
                    Chunks::Fields { group, array } => {
                        self.view
                            .for_each_cell(*group, *array, grid, from, &mut entry);
                    }
                    Chunks::Inline(_) | Chunks::Deferred(_) => {
                        let mut rest = from..grid.iter().product();
                        while rest.next().is_some_and(&mut entry) {}
                    }
                }
            }
        }
    }

    fn chunk(&self, grid: &[u64], chunk_bytes: u64, chunks: &Chunks, linear: u64) -> Option<Item> {
        if linear >= grid.iter().product() {
            return None;
        }
        Some(match chunks {
            Chunks::Inline(bytes) => Item::Bytes(bytes.clone()),
            Chunks::Deferred(deferred) => Item::Deferred(deferred.clone()),
            Chunks::Fields { group, array } => Item::Field {
                state: self.view.cell(*group, *array, grid, linear),
                bytes: chunk_bytes,
            },
        })
    }
}

fn document(value: &serde_json::Value) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// Adds a group and all below it.
fn add_group(nodes: &mut Vec<Node>, parent: usize, group: &Group, format: Format) -> usize {
    let own = nodes.len();
    nodes.push(Node {
        parent,
        documents: group_documents(group, format),
        body: Body::Group {
            children: Vec::new(),
            by_name: HashMap::new(),
        },
    });
    let mut children = Vec::new();
    for array in &group.arrays {
        if nodes.len() < NODES {
            children.push((array.name.clone(), nodes.len()));
            nodes.push(array_node(own, array, format));
        }
    }
    for (name, inner) in &group.groups {
        if nodes.len() < NODES {
            let child = add_group(nodes, own, inner, format);
            children.push((name.clone(), child));
        }
    }
    let by_name = children.iter().cloned().collect();
    if let Some(node) = nodes.get_mut(own) {
        node.body = Body::Group { children, by_name };
    }
    own
}

fn group_documents(group: &Group, format: Format) -> Vec<(&'static str, Bytes)> {
    match format {
        Format::V2 => vec![
            (GROUP, document(&group_document())),
            (
                ATTRIBUTES,
                document(&serde_json::Value::Object(group.attributes.clone())),
            ),
            (CONSOLIDATED, document(&consolidated_document(group))),
        ],
        Format::V3 => vec![(
            metadata_v3::DOCUMENT,
            document(&metadata_v3::group_document(group)),
        )],
    }
}

fn array_node(parent: usize, array: &Array, format: Format) -> Node {
    let chunks = match &array.content {
        Content::Inline(bytes) => Chunks::Inline(bytes.clone()),
        Content::Deferred(deferred) => Chunks::Deferred(deferred.clone()),
        Content::Fields { group, array } => Chunks::Fields {
            group: *group,
            array: *array,
        },
    };
    let documents = match format {
        Format::V2 => vec![
            (ARRAY, document(&array_document(array))),
            (ATTRIBUTES, document(&array_attributes(array))),
        ],
        Format::V3 => vec![(
            metadata_v3::DOCUMENT,
            document(&metadata_v3::array_document(array)),
        )],
    };
    Node {
        parent,
        documents,
        body: Body::Array {
            grid: array.chunk_grid(),
            chunk_bytes: array.chunk_bytes(),
            chunks,
        },
    }
}

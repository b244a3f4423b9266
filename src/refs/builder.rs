//! From keys and values in any order to a [`RefSet`].
//!
//! `t2m/.zarray` and `t2m/0.0.0` meet in the directory `t2m`: the first says that chunks have three numbers, the second becomes
//! chunk 0. Chunks that come before their `.zarray` wait under their names.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::array::{ArrayInfo, Coding};
use super::chunks::{ChunkTable, Slot, Target};
use super::error::{Defect, RefsError};
use super::json_text::parse_lenient;
use super::records::Records;
use super::set::{Kind, Node, RefSet, note_defect};
use super::templates::{Names, Templates};
use super::urls::Urls;

/// Longest key and longest part of one.
const MAX_KEY: usize = 4096;
const MAX_NAME: usize = 255;
/// Most groups and arrays of a set, and how deep they lie.
const MAX_NODES: usize = 1 << 19;
const MAX_DEPTH: usize = 32;

#[derive(Debug, Default)]
struct Directory {
    zarray: Option<Bytes>,
    zattrs: Option<Bytes>,
    info: Option<Result<ArrayInfo, String>>,
    chunks: ChunkTable,
    /// Chunk with an empty name.
    empty: Option<Slot>,
    /// Names that came before `.zarray`, or that are no chunks.
    waiting: Vec<(Box<str>, Slot)>,
    /// Names of chunks that the shape has not.
    outside: Vec<String>,
    outside_count: u64,
}

/// Gathers keys.
#[derive(Debug, Default)]
pub struct SetBuilder {
    directories: Vec<Directory>,
    numbers: HashMap<String, usize>,
    last: Option<(String, usize)>,
    pub(crate) urls: Urls,
    pub(crate) templates: Option<Templates>,
    raw_templates: bool,
    /// Put before each key.
    pub(crate) prefix: String,
    /// Whether keys with `step_` in front are rows of ECMWF member files.
    pub(crate) step_keys: bool,
    loose: Vec<(String, Target)>,
    defects: Vec<Defect>,
    defect_counts: BTreeMap<&'static str, u64>,
}

impl SetBuilder {
    /// Takes a key with its value.
    ///
    /// # Errors
    /// [`RefsError`] for limits and templates; what is wrong with one key is a defect of the set.
    pub fn insert(&mut self, key: &str, value: Target) -> Result<(), RefsError> {
        let prefixed;
        let key = if self.prefix.is_empty() {
            key
        } else {
            prefixed = format!("{}{key}", self.prefix);
            &prefixed
        };
        if let Some(why) = unsafe_key(key) {
            self.defect("key", key, why);
            return Ok(());
        }
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        if self.step_keys && folder.starts_with("step_") {
            self.loose.push((key.to_owned(), value));
            return Ok(());
        }
        if name.starts_with(".z") {
            let Target::Inline(text) = value else {
                self.defect(
                    "document",
                    key,
                    "metadata that is not inline cannot be read",
                );
                return Ok(());
            };
            let at = self.directory(folder)?;
            return self.document(at, key, name, text);
        }
        let slot = self.slot(value)?;
        let at = self.directory(folder)?;
        let Some(directory) = self.directories.get_mut(at) else {
            return Ok(());
        };
        if name.is_empty() {
            directory.empty = Some(slot);
            return Ok(());
        }
        match &directory.info {
            Some(Ok(info)) => match info.chunk_number(name) {
                Some(number) => directory.chunks.push(number, &slot),
                None => directory.outside(name),
            },
            Some(Err(_)) => {}
            None => directory.waiting.push((name.into(), slot)),
        }
        Ok(())
    }

    /// Takes a byte range quickly: the way of nearly all keys.
    pub(crate) fn insert_object(
        &mut self,
        key: &str,
        url: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(), RefsError> {
        if self.prefix.is_empty()
            && !self.step_keys
            && memchr::memchr(b'{', url.as_bytes()).is_none()
            && let Some((folder, name)) = key.rsplit_once('/')
            && let Some((last, at)) = &self.last
            && last == folder
            && let Some(directory) = self.directories.get_mut(*at)
            && let Some(Ok(info)) = &directory.info
            && let Some(number) = info.chunk_number(name)
            && let Some(url) = self.urls.intern(url)
        {
            directory.chunks.push(
                number,
                &Slot::Object {
                    url,
                    offset,
                    length,
                },
            );
            return Ok(());
        }
        let url = url.to_owned();
        self.insert(
            key,
            Target::Object {
                url,
                offset,
                length,
            },
        )
    }

    fn document(&mut self, at: usize, key: &str, name: &str, text: Bytes) -> Result<(), RefsError> {
        let Some(directory) = self.directories.get_mut(at) else {
            return Ok(());
        };
        let place = match name {
            ".zarray" => {
                let parsed = parse_lenient(&text)
                    .map_err(|error| format!("its .zarray is no JSON: {error}"));
                let info = parsed.and_then(|document| ArrayInfo::parse(&document));
                // Chunks have their numbers by the first one.
                if let (Some(Ok(before)), Ok(now)) = (&directory.info, &info)
                    && before.grid != now.grid
                {
                    return Err(RefsError::Duplicate(key.to_owned()));
                }
                directory.info = Some(info);
                let waiting = std::mem::take(&mut directory.waiting);
                if let Some(Ok(info)) = directory.info.clone() {
                    for (name, slot) in waiting {
                        match info.chunk_number(&name) {
                            Some(number) => directory.chunks.push(number, &slot),
                            None => directory.outside(&name),
                        }
                    }
                }
                &mut directory.zarray
            }
            ".zattrs" => &mut directory.zattrs,
            // Made anew: `.zgroup` says nothing else, `.zmetadata` what the others say.
            _ => return Ok(()),
        };
        if place.as_ref().is_some_and(|before| *before != text) {
            self.defect(
                "duplicate",
                key,
                "occurs twice with different values; the last stands",
            );
        }
        if let Some(directory) = self.directories.get_mut(at) {
            match name {
                ".zarray" => directory.zarray = Some(text),
                _ => directory.zattrs = Some(text),
            }
        }
        Ok(())
    }

    fn slot(&mut self, value: Target) -> Result<Slot, RefsError> {
        Ok(match value {
            Target::Inline(bytes) => Slot::Inline(bytes),
            Target::NoTarget => Slot::NoTarget,
            Target::Object {
                mut url,
                offset,
                length,
            } => {
                if url.contains("{{") {
                    match &self.templates {
                        Some(templates) => url = templates.expand(&url, &Names::new())?,
                        None => self.raw_templates = true,
                    }
                }
                let number = self.urls.intern(&url);
                let url = number.ok_or_else(|| {
                    RefsError::TooLarge(
                        "more than four billion URLs, or more than 2 GiB of them".to_owned(),
                    )
                })?;
                Slot::Object {
                    url,
                    offset,
                    length,
                }
            }
        })
    }

    fn directory(&mut self, path: &str) -> Result<usize, RefsError> {
        if let Some((last, number)) = &self.last
            && last == path
        {
            return Ok(*number);
        }
        let number = match self.numbers.get(path) {
            Some(number) => *number,
            None => {
                if self.directories.len() >= MAX_NODES {
                    return Err(RefsError::TooLarge(format!(
                        "more than {MAX_NODES} groups and arrays"
                    )));
                }
                self.directories.push(Directory::default());
                let number = self.directories.len() - 1;
                self.numbers.insert(path.to_owned(), number);
                number
            }
        };
        self.last = Some((path.to_owned(), number));
        Ok(number)
    }

    pub(crate) fn defect(&mut self, kind: &'static str, at: &str, what: impl Into<String>) {
        note_defect(
            &mut self.defects,
            &mut self.defect_counts,
            kind,
            at,
            what.into(),
        );
    }

    /// The set.
    ///
    /// # Errors
    /// [`RefsError::Duplicate`], [`RefsError::Template`], [`RefsError::TooLarge`].
    pub fn finish(self) -> Result<RefSet, RefsError> {
        self.finish_with(None)
    }

    /// The set, the chunks of its arrays in `records` if those are given.
    pub(crate) fn finish_with(mut self, records: Option<Records>) -> Result<RefSet, RefsError> {
        if self.raw_templates {
            let templates = self.templates.take().unwrap_or_default();
            self.urls = self.urls.rewritten(|url| {
                if url.contains("{{") {
                    templates.expand(url, &Names::new())
                } else {
                    Ok(url.to_owned())
                }
            })?;
        }
        self.urls.seal();
        self.last = None;
        let mut set = RefSet {
            nodes: vec![Node::group("", 0)],
            urls: std::mem::take(&mut self.urls),
            records: None,
            defects: std::mem::take(&mut self.defects),
            defect_counts: std::mem::take(&mut self.defect_counts),
            notes: Vec::new(),
            loose: std::mem::take(&mut self.loose),
        };
        let mut paths: Vec<(String, usize)> =
            std::mem::take(&mut self.numbers).into_iter().collect();
        paths.sort_unstable();
        for (path, number) in paths {
            let Some(directory) = self.directories.get_mut(number).map(std::mem::take) else {
                continue;
            };
            place(&mut set, &path, directory, records.is_some())?;
        }
        set.records = records;
        set.repair();
        set.write_documents();
        Ok(set)
    }
}

impl Directory {
    fn outside(&mut self, name: &str) {
        self.outside_count += 1;
        if self.outside.len() < 3 {
            self.outside.push(name.to_owned());
        }
    }
}

impl Node {
    pub(crate) fn group(path: &str, parent: usize) -> Self {
        Self {
            path: path.to_owned(),
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            parent,
            kind: Kind::Group,
            children: BTreeMap::new(),
            attributes: Map::new(),
            zarray: None,
            files: Vec::new(),
            documents: Vec::new(),
        }
    }
}

/// Hangs a directory into the tree.
fn place(
    set: &mut RefSet,
    path: &str,
    mut directory: Directory,
    lazy: bool,
) -> Result<(), RefsError> {
    let mut at = 0;
    let mut walked = String::new();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        if matches!(
            set.nodes.get(at).map(|node| &node.kind),
            Some(Kind::Array { .. })
        ) {
            set.defect("key", path, "lies inside of an array");
            return Ok(());
        }
        if !walked.is_empty() {
            walked.push('/');
        }
        walked.push_str(name);
        let known = set
            .nodes
            .get(at)
            .and_then(|node| node.children.get(name).copied());
        at = match known {
            Some(child) => child,
            None => {
                if set.nodes.len() >= MAX_NODES {
                    return Err(RefsError::TooLarge(format!(
                        "more than {MAX_NODES} groups and arrays"
                    )));
                }
                let child = set.nodes.len();
                set.nodes.push(Node::group(&walked, at));
                if let Some(parent) = set.nodes.get_mut(at) {
                    parent.children.insert(name.to_owned(), child);
                }
                child
            }
        };
    }
    let attributes = match directory.zattrs.as_ref().map(|text| parse_lenient(text)) {
        Some(Ok(Value::Object(attributes))) => attributes,
        Some(Ok(_)) | None => Map::new(),
        Some(Err(error)) => {
            set.defect(
                "document",
                format!("{path}/.zattrs"),
                format!("no JSON: {error}"),
            );
            Map::new()
        }
    };
    let info = directory.info.take();
    if let Some(node) = set.nodes.get_mut(at) {
        node.attributes = attributes;
        node.zarray = directory.zarray.take();
    }
    let info = match info {
        Some(Ok(info)) if at != 0 => info,
        Some(Ok(_)) => {
            set.defect("refused", path, "an array at the root is not supported");
            return Ok(());
        }
        Some(Err(why)) => {
            set.refuse(at, &why);
            return Ok(());
        }
        None => {
            if directory.empty.is_some() {
                set.defect(
                    "key",
                    format!("{path}/"),
                    "an empty name where there is no array",
                );
            }
            if let Some(node) = set.nodes.get_mut(at) {
                node.files = directory
                    .waiting
                    .into_iter()
                    .map(|(name, slot)| (name.into_string(), slot))
                    .collect();
                node.files.sort_by(|a, b| a.0.cmp(&b.0));
                node.files.dedup_by(|a, b| a.0 == b.0);
            }
            return Ok(());
        }
    };
    if let Some(slot) = directory.empty.take() {
        if !info.shape.is_empty() {
            set.defect(
                "empty-name",
                format!("{path}/"),
                "a chunk without a name, of an array that is no scalar",
            );
        } else if directory.chunks.present() == 0 {
            directory.chunks.push(0, &slot);
        } else {
            // `X/0` wins; if both differ, sealing says so.
            directory.chunks.push(0, &slot);
        }
    }
    let twice = directory.chunks.seal();
    if let Some(number) = twice.first() {
        let key = crate::zarr::key::chunk_key(*number, &info.grid);
        return Err(RefsError::Duplicate(format!("{path}/{key}")));
    }
    let mut refused = None;
    if directory.outside_count > 0 {
        let names = directory.outside.join(", ");
        set.defect(
            "outside-shape",
            path,
            format!("{} chunks that its shape has not ({names}): level and member were mixed up, or the shape is another's", directory.outside_count),
        );
        refused = Some("keys outside of its shape");
    }
    if let Some(Coding::Plain { .. }) = Some(&info.coding)
        && let (Some(Slot::Inline(bytes)), Some(expected)) =
            (directory.chunks.get(0), info.chunk_bytes())
        && bytes.len() as u64 != expected
    {
        set.defect(
            "inline-size",
            path,
            format!(
                "its inline chunk has {} bytes, {expected} are due",
                bytes.len()
            ),
        );
    }
    if let Some(node) = set.nodes.get_mut(at) {
        node.kind = Kind::Array {
            info,
            chunks: (!lazy).then_some(directory.chunks),
        };
    }
    if let Some(why) = refused {
        set.refuse(at, why);
    }
    Ok(())
}

/// Why a key cannot be a path below the root; `None` if it can.
fn unsafe_key(key: &str) -> Option<&'static str> {
    if key.len() > MAX_KEY {
        return Some("a key of more than 4096 bytes");
    }
    if key.contains('\0') {
        return Some("a key with a NUL");
    }
    if key.starts_with('/') {
        return Some("an absolute path");
    }
    let parts = key.split('/').count();
    if parts > MAX_DEPTH {
        return Some("a path of more than 32 parts");
    }
    for (position, part) in key.split('/').enumerate() {
        if part == ".." || part == "." {
            return Some("a path that leaves its place");
        }
        if part.is_empty() && position + 1 != parts {
            return Some("a path with an empty part");
        }
        if part.len() > MAX_NAME {
            return Some("a name of more than 255 bytes");
        }
    }
    key.is_empty().then_some("an empty key")
}

//! Reading Zarr, versions 2 and 3: what a mount shows, and copies.

use serde_json::{Map, Value};

use super::coding::Coding;
use super::files::Files;
use crate::cli::Failure;

/// Most elements that are read of one array: a plane of 200 million points is 1.6 GB here.
const MOST_ELEMENTS: u64 = 200_000_000;

/// An array of a store.
pub(super) struct ZarrArray {
    path: String,
    pub(super) shape: Vec<u64>,
    chunks: Vec<u64>,
    fill: f64,
    coding: Coding,
    keys: Keys,
    pub(super) dimensions: Vec<String>,
    pub(super) attributes: Map<String, Value>,
}

/// How chunks are named.
struct Keys {
    prefix: &'static str,
    separator: String,
}

impl ZarrArray {
    /// The array at a path in the store; `None` if there is none.
    pub(super) fn open(files: &Files, path: &str) -> Result<Option<Self>, Failure> {
        let document = |name: &str| -> Result<Option<Value>, Failure> {
            let key = format!("{path}/{name}");
            let Some(bytes) = files.get(&key)? else {
                return Ok(None);
            };
            let document = serde_json::from_slice(&bytes);
            document
                .map(Some)
                .map_err(|error| Failure::failed(format!("{key}: {error}")))
        };
        let read = if let Some(zarray) = document(".zarray")? {
            let attributes = document(".zattrs")?.unwrap_or_default();
            Self::of_v2(path, &zarray, &attributes)
        } else if let Some(both) = document("zarr.json")? {
            Self::of_v3(path, &both)
        } else {
            return Ok(None);
        };
        read.map(Some)
            .map_err(|reason| Failure::failed(format!("{path}: {reason}")))
    }

    fn of_v2(path: &str, zarray: &Value, attributes: &Value) -> Result<Self, String> {
        let filters = zarray.get("filters").and_then(Value::as_array);
        if filters.is_some_and(|filters| !filters.is_empty()) {
            return Err("filters are not read".to_owned());
        }
        if zarray.get("order").and_then(Value::as_str) == Some("F") {
            return Err("chunks in the order F are not read".to_owned());
        }
        let separator = zarray.get("dimension_separator").and_then(Value::as_str);
        let attributes = attributes.as_object().cloned().unwrap_or_default();
        let names = attributes.get("_ARRAY_DIMENSIONS");
        Self {
            path: path.to_owned(),
            shape: numbers(zarray.get("shape"))?,
            chunks: numbers(zarray.get("chunks"))?,
            fill: fill(zarray.get("fill_value")),
            coding: Coding::of_v2(zarray)?,
            keys: Keys {
                prefix: "",
                separator: separator.unwrap_or(".").to_owned(),
            },
            dimensions: texts(names),
            attributes,
        }
        .checked()
    }

    fn of_v3(path: &str, document: &Value) -> Result<Self, String> {
        if document.get("node_type").and_then(Value::as_str) != Some("array") {
            return Err("it is a group".to_owned());
        }
        let encoding = document.get("chunk_key_encoding");
        let is_v2 = encoding.and_then(|encoding| encoding.get("name")?.as_str()) == Some("v2");
        let separator = encoding
            .and_then(|encoding| encoding.pointer("/configuration/separator")?.as_str())
            .unwrap_or(if is_v2 { "." } else { "/" });
        let attributes = document.get("attributes").and_then(Value::as_object);
        Self {
            path: path.to_owned(),
            shape: numbers(document.get("shape"))?,
            chunks: numbers(document.pointer("/chunk_grid/configuration/chunk_shape"))?,
            fill: fill(document.get("fill_value")),
            coding: Coding::of_v3(document)?,
            keys: Keys {
                prefix: if is_v2 { "" } else { "c" },
                separator: separator.to_owned(),
            },
            dimensions: texts(document.get("dimension_names")),
            attributes: attributes.cloned().unwrap_or_default(),
        }
        .checked()
    }

    fn checked(self) -> Result<Self, String> {
        let rank = self.shape.len();
        if self.chunks.len() != rank || self.dimensions.len() != rank || self.chunks.contains(&0) {
            return Err("its shape, chunks and dimensions do not agree".to_owned());
        }
        Ok(self)
    }

    /// A text attribute; empty if there is none.
    pub(super) fn text(&self, key: &str) -> &str {
        let value = self.attributes.get(key).and_then(Value::as_str);
        value.unwrap_or_default()
    }

    /// Name of the file that holds an element.
    pub(super) fn key_of(&self, element: &[u64]) -> String {
        let chunk: Vec<u64> = element
            .iter()
            .zip(&self.chunks)
            .map(|(at, size)| at / size)
            .collect();
        self.key(&chunk)
    }

    fn key(&self, chunk: &[u64]) -> String {
        let mut parts: Vec<String> = chunk.iter().map(u64::to_string).collect();
        if !self.keys.prefix.is_empty() {
            parts.insert(0, self.keys.prefix.to_owned());
        } else if parts.is_empty() {
            parts.push("0".to_owned());
        }
        format!("{}/{}", self.path, parts.join(&self.keys.separator))
    }

    /// All elements.
    pub(super) fn all(&self, files: &Files) -> Result<Vec<f64>, Failure> {
        self.part(files, &vec![0; self.shape.len()], &self.shape)
    }

    /// The elements of a box from `start` on, row by row. What no chunk holds is the fill value; a chunk that cannot be read is an error.
    pub(super) fn part(
        &self,
        files: &Files,
        start: &[u64],
        count: &[u64],
    ) -> Result<Vec<f64>, Failure> {
        let total = count
            .iter()
            .try_fold(1_u64, |product, n| product.checked_mul(*n));
        let total = total.filter(|total| *total <= MOST_ELEMENTS);
        let total = total
            .and_then(|total| usize::try_from(total).ok())
            .ok_or_else(|| Failure::failed(format!("{}: too many points", self.path)))?;
        let mut values = vec![self.fill; total];
        if total == 0 {
            return Ok(values);
        }
        let first: Vec<u64> = start
            .iter()
            .zip(&self.chunks)
            .map(|(at, size)| at / size)
            .collect();
        let chunks: Vec<u64> = (0..self.shape.len())
            .map(|axis| {
                let size = at(&self.chunks, axis).max(1);
                let last = (at(start, axis) + at(count, axis) - 1) / size;
                last - at(&first, axis) + 1
            })
            .collect();
        for_each(&chunks, &mut |offset| {
            let chunk: Vec<u64> = first.iter().zip(offset).map(|(a, b)| a + b).collect();
            let key = self.key(&chunk);
            if let Some(bytes) = files.get(&key)? {
                let elements = self
                    .coding
                    .decode(&bytes, &self.chunks, self.fill)
                    .map_err(|reason| Failure::failed(format!("{key}: {reason}")))?;
                self.place(&chunk, &elements, (start, count), &mut values);
            }
            Ok(())
        })?;
        Ok(values)
    }

    /// Copies what a chunk holds of a box.
    fn place(
        &self,
        chunk: &[u64],
        elements: &[f64],
        (start, count): (&[u64], &[u64]),
        values: &mut [f64],
    ) {
        let rank = self.shape.len();
        let Some(last) = rank.checked_sub(1) else {
            if let (Some(value), Some(element)) = (values.first_mut(), elements.first()) {
                *value = *element;
            }
            return;
        };
        // The part of each axis that chunk and box share, in the array's positions.
        let shared: Vec<(u64, u64)> = (0..rank)
            .map(|axis| {
                let from = at(chunk, axis) * at(&self.chunks, axis);
                let low = from.max(at(start, axis));
                let high = (from + at(&self.chunks, axis)).min(at(start, axis) + at(count, axis));
                (low, high.max(low))
            })
            .collect();
        let lines: Vec<u64> = shared
            .iter()
            .take(last)
            .map(|(low, high)| high - low)
            .collect();
        let (low, high) = shared.get(last).copied().unwrap_or_default();
        let length = usize::try_from(high - low).unwrap_or(0);
        let done: Result<(), Failure> = for_each(&lines, &mut |line| {
            let (mut source, mut target) = (0, 0);
            for axis in 0..rank {
                let own = if axis == last {
                    low
                } else {
                    shared.get(axis).map_or(0, |(low, _)| *low) + at(line, axis)
                };
                let from = at(chunk, axis) * at(&self.chunks, axis);
                source = source * at(&self.chunks, axis) + (own - from);
                target = target * at(count, axis) + (own - at(start, axis));
            }
            let (source, target) = (
                usize::try_from(source).unwrap_or(usize::MAX),
                usize::try_from(target).unwrap_or(usize::MAX),
            );
            let from = elements.get(source..source.saturating_add(length));
            let to = values.get_mut(target..target.saturating_add(length));
            if let (Some(from), Some(to)) = (from, to) {
                to.copy_from_slice(from);
            }
            Ok(())
        });
        drop(done);
    }
}

fn at(list: &[u64], axis: usize) -> u64 {
    list.get(axis).copied().unwrap_or_default()
}

/// Each position in a box of some counts, the last axis fastest.
fn for_each(
    counts: &[u64],
    visit: &mut dyn FnMut(&[u64]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if counts.contains(&0) {
        return Ok(());
    }
    let mut position = vec![0; counts.len()];
    loop {
        visit(&position)?;
        let mut axis = counts.len();
        loop {
            let Some(before) = axis.checked_sub(1) else {
                return Ok(());
            };
            axis = before;
            let (Some(own), Some(count)) = (position.get_mut(axis), counts.get(axis)) else {
                return Ok(());
            };
            *own += 1;
            if *own < *count {
                break;
            }
            *own = 0;
        }
    }
}

fn numbers(value: Option<&Value>) -> Result<Vec<u64>, String> {
    let list = value.and_then(Value::as_array);
    let list = list.and_then(|list| list.iter().map(Value::as_u64).collect());
    list.ok_or_else(|| "its shape or its chunks are no lists of numbers".to_owned())
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.map(|text| text.as_str().unwrap_or_default().to_owned())
        .collect()
}

fn fill(value: Option<&Value>) -> f64 {
    match value {
        Some(Value::Number(number)) => number.as_f64().unwrap_or(f64::NAN),
        Some(Value::String(text)) => text.parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn store(documents: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        for (key, bytes) in documents {
            let path = folder.path().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let files = Files::Folder(folder.path().to_owned());
        (folder, files)
    }

    #[test]
    fn parts_are_put_together_from_chunks() {
        // 3 x 5 in chunks of 2 x 2, the chunk of the last column's first rows is not there.
        let zarray = json!({"zarr_format": 2, "shape": [3, 5], "chunks": [2, 2], "dtype": ">i2", "fill_value": -1,
            "compressor": null, "filters": null, "order": "C"});
        let chunk = |values: [i16; 4]| {
            values
                .iter()
                .flat_map(|v| v.to_be_bytes())
                .collect::<Vec<u8>>()
        };
        let (_folder, files) = store(&[
            ("a/.zarray", zarray.to_string().into_bytes()),
            (
                "a/.zattrs",
                json!({"_ARRAY_DIMENSIONS": ["y", "x"]})
                    .to_string()
                    .into_bytes(),
            ),
            ("a/0.0", chunk([0, 1, 5, 6])),
            ("a/0.1", chunk([2, 3, 7, 8])),
            ("a/1.0", chunk([10, 11, 0, 0])),
            ("a/1.1", chunk([12, 13, 0, 0])),
            ("a/1.2", chunk([-14, 0, 0, 0])),
        ]);
        let array = ZarrArray::open(&files, "a").ok().flatten().unwrap();
        let all = array.all(&files).ok().unwrap();
        assert_eq!(
            all,
            [
                0., 1., 2., 3., -1., 5., 6., 7., 8., -1., 10., 11., 12., 13., -14.
            ]
        );
        let part = array.part(&files, &[1, 1], &[2, 3]).ok().unwrap();
        assert_eq!(part, [6., 7., 8., 11., 12., 13.]);
        assert_eq!(array.key_of(&[2, 4]), "a/1.2");
    }

    #[test]
    fn a_chunk_of_another_size_is_an_error() {
        let zarray = json!({"shape": [4], "chunks": [4], "dtype": "<f4", "fill_value": "NaN", "compressor": {"id": "zlib"}});
        let (_folder, files) = store(&[
            ("a/.zarray", zarray.to_string().into_bytes()),
            (
                "a/.zattrs",
                json!({"_ARRAY_DIMENSIONS": ["x"]}).to_string().into_bytes(),
            ),
            ("a/0", vec![1, 2, 3]),
        ]);
        let array = ZarrArray::open(&files, "a").ok().flatten().unwrap();
        assert!(array.all(&files).is_err());
        assert!(ZarrArray::open(&files, "b").ok().unwrap().is_none());
    }
}

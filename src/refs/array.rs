//! An array as its `.zarray` describes it, and how its chunks become bytes.

use serde_json::{Value, json};

use crate::zarr::key::{chunk_key, parse_chunk_key};

/// Most dimensions of an array.
const MAX_RANK: usize = 32;
/// Most bytes of one chunk that gribfs makes.
const MAX_CHUNK_BYTES: u64 = 1 << 30;
/// Most chunks of one array.
pub(crate) const MAX_CHUNKS: u64 = 1 << 40;

/// What the GRIB filter takes from a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GribVar {
    /// The values, of the parameter of this name.
    Values(String),
    /// The latitude of each cell.
    Latitude,
    /// The longitude of each cell.
    Longitude,
}

/// How a chunk's bytes are had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coding {
    /// One GRIB message, decoded here.
    Grib {
        /// What is taken from it.
        var: GribVar,
        /// Bytes of one element: 4 or 8.
        item_bytes: u64,
    },
    /// Plain little- or big-endian elements: the size of each chunk is known.
    Plain {
        /// Bytes of one element.
        item_bytes: u64,
    },
    /// Whatever its filters and compressor say: handed on as it is.
    Opaque,
}

/// An array's metadata, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayInfo {
    /// Length of each dimension.
    pub shape: Vec<u64>,
    /// Length of a chunk along each.
    pub chunks: Vec<u64>,
    /// Chunks along each.
    pub grid: Vec<u64>,
    /// Zarr's word for the element type: `<f8`.
    pub data_type: String,
    /// How chunks are coded.
    pub coding: Coding,
    /// An absent chunk has no honest fill: a scalar, or an array of numbers without a fill value that is not served with NaN for one.
    pub must_be_whole: bool,
    /// `.zarray` as it is served; `None` where the text of the set stands.
    pub rewritten: Option<Value>,
}

impl ArrayInfo {
    /// Reads a `.zarray`.
    ///
    /// # Errors
    /// Why the array cannot be shown.
    pub fn parse(document: &Value) -> Result<Self, String> {
        let format = document.get("zarr_format").and_then(Value::as_u64);
        if format.is_some_and(|format| format != 2) {
            return Err("its zarr_format is not 2".to_owned());
        }
        let shape = lengths(document, "shape")?;
        let chunks = lengths(document, "chunks")?;
        if shape.len() != chunks.len() {
            return Err("its shape and its chunks differ in rank".to_owned());
        }
        if chunks.contains(&0) {
            return Err("a chunk of length 0".to_owned());
        }
        let separator = document.get("dimension_separator").and_then(Value::as_str);
        if separator.is_some_and(|separator| separator != ".") && shape.len() > 1 {
            return Err("dimension_separator other than `.` is not supported".to_owned());
        }
        let data_type = match document.get("dtype") {
            Some(Value::String(text)) => text.clone(),
            Some(_) => "record".to_owned(),
            None => return Err("no dtype".to_owned()),
        };
        let grid: Vec<u64> = shape
            .iter()
            .zip(&chunks)
            .map(|(length, chunk)| length.div_ceil(*chunk))
            .collect();
        let count = product(&grid).filter(|count| *count <= MAX_CHUNKS);
        if count.is_none() {
            return Err("more chunks than any archive has".to_owned());
        }
        let filters = match document.get("filters") {
            Some(Value::Array(filters)) => filters.as_slice(),
            _ => &[],
        };
        let compressed = document
            .get("compressor")
            .is_some_and(|value| !value.is_null());
        let grib = filters
            .iter()
            .find(|filter| filter.get("id").and_then(Value::as_str) == Some("grib"));
        let item_bytes = data_type.get(2..).and_then(|size| size.parse::<u64>().ok());
        let kind = data_type.chars().nth(1).unwrap_or(' ');
        let coding = match (grib, item_bytes) {
            (Some(filter), _) => {
                if filters.len() > 1 || compressed {
                    return Err("its filters mix grib with others".to_owned());
                }
                let item_bytes = match data_type.as_str() {
                    "<f4" => 4,
                    "<f8" => 8,
                    other => return Err(format!("GRIB values as dtype {other} are not supported")),
                };
                if document.get("order").and_then(Value::as_str) == Some("F") && shape.len() > 1 {
                    return Err("GRIB values in Fortran order are not supported".to_owned());
                }
                let var = match filter
                    .get("var")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                {
                    "latitude" => GribVar::Latitude,
                    "longitude" => GribVar::Longitude,
                    name => GribVar::Values(name.to_owned()),
                };
                Coding::Grib { var, item_bytes }
            }
            (None, Some(item_bytes))
                if filters.is_empty() && !compressed && "fiubc".contains(kind) =>
            {
                Coding::Plain { item_bytes }
            }
            (None, _) => Coding::Opaque,
        };
        let fill = document.get("fill_value").unwrap_or(&Value::Null);
        let rewritten = rewrite(document, &coding, kind, fill);
        let must_be_whole =
            shape.is_empty() || ("fiubcmM".contains(kind) && fill.is_null() && rewritten.is_none());
        let info = Self {
            shape,
            chunks,
            grid,
            data_type,
            coding,
            must_be_whole,
            rewritten,
        };
        let bytes = info.chunk_bytes();
        if !matches!(info.coding, Coding::Opaque)
            && bytes.is_none_or(|bytes| bytes > MAX_CHUNK_BYTES)
        {
            return Err("chunks larger than 1 GiB".to_owned());
        }
        Ok(info)
    }

    /// Bytes of each chunk, where they are known without looking.
    #[must_use]
    pub fn chunk_bytes(&self) -> Option<u64> {
        match self.coding {
            Coding::Grib { item_bytes, .. } | Coding::Plain { item_bytes } => {
                product(&self.chunks)?.checked_mul(item_bytes)
            }
            Coding::Opaque => None,
        }
    }

    /// Elements of a chunk.
    #[must_use]
    pub fn chunk_elements(&self) -> u64 {
        product(&self.chunks).unwrap_or(u64::MAX)
    }

    /// Chunks that the shape has.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        product(&self.grid).unwrap_or(u64::MAX)
    }

    /// Name of a chunk's file: `3.0.0`, or `0` of a scalar.
    #[must_use]
    pub fn chunk_name(&self, number: u64) -> String {
        if self.shape.is_empty() {
            "0".to_owned()
        } else {
            chunk_key(number, &self.grid)
        }
    }

    /// Number of the chunk of that name, if it is one of these.
    #[must_use]
    pub fn chunk_number(&self, name: &str) -> Option<u64> {
        if self.shape.is_empty() {
            (name == "0").then_some(0)
        } else {
            parse_chunk_key(name, &self.grid)
        }
    }

    /// Whether chunks are GRIB messages.
    #[must_use]
    pub fn is_grib(&self) -> bool {
        matches!(self.coding, Coding::Grib { .. })
    }
}

fn product(numbers: &[u64]) -> Option<u64> {
    numbers
        .iter()
        .try_fold(1_u64, |all, number| all.checked_mul(*number))
}

fn lengths(document: &Value, name: &str) -> Result<Vec<u64>, String> {
    let list = document
        .get(name)
        .and_then(Value::as_array)
        .ok_or_else(|| format!("no {name}"))?;
    if list.len() > MAX_RANK {
        return Err(format!("{} dimensions", list.len()));
    }
    list.iter()
        .map(|length| {
            super::value::whole_number(length)
                .filter(|length| *length < 1 << 62)
                .ok_or_else(|| format!("{name} is {length}"))
        })
        .collect()
}

/// `.zarray` as served: plain chunks for GRIB, an honest fill value for floats.
fn rewrite(document: &Value, coding: &Coding, kind: char, fill: &Value) -> Option<Value> {
    let grib = matches!(coding, Coding::Grib { .. });
    let plain_float = matches!(coding, Coding::Plain { .. }) && kind == 'f' && fill.is_null();
    if !grib && !plain_float {
        return None;
    }
    let mut made = document.as_object()?.clone();
    if grib {
        made.insert("filters".to_owned(), Value::Null);
        made.insert("compressor".to_owned(), Value::Null);
        made.remove("attributes");
        made.insert("order".to_owned(), json!("C"));
        made.insert("dimension_separator".to_owned(), json!("."));
    }
    made.insert("fill_value".to_owned(), json!("NaN"));
    made.insert("zarr_format".to_owned(), json!(2));
    Some(Value::Object(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zarray(more: &Value) -> Value {
        let mut base = json!({"shape": [5, 73], "chunks": [1, 73], "dtype": "<f8", "fill_value": null, "order": "C",
            "filters": [{"id": "grib", "var": "t2m"}], "compressor": null, "zarr_format": 2});
        for (key, value) in more.as_object().unwrap() {
            base[key] = value.clone();
        }
        base
    }

    #[test]
    fn grib_arrays_are_served_as_plain_floats_with_nan() {
        let info = ArrayInfo::parse(&zarray(&json!({}))).unwrap();
        let served = info.rewritten.clone().unwrap();
        assert_eq!(
            (&served["filters"], &served["fill_value"]),
            (&Value::Null, &json!("NaN"))
        );
        assert_eq!((info.chunk_bytes(), info.chunk_count()), (Some(584), 5));
    }

    #[test]
    fn other_codings_keep_their_metadata() {
        let info = ArrayInfo::parse(&zarray(
            &json!({"filters": [{"id": "shuffle"}], "compressor": {"id": "zlib"}}),
        ))
        .unwrap();
        assert_eq!((info.coding, info.rewritten), (Coding::Opaque, None));
    }

    #[test]
    fn what_cannot_be_shown_is_refused_by_its_reason() {
        for (more, word) in [
            (json!({"filters": [{"id": "grib"}, {"id": "zlib"}]}), "mix"),
            (json!({"chunks": [0, 73]}), "length 0"),
            (json!({"shape": [1]}), "rank"),
            (
                json!({"shape": [1_000_000_000_000_000_u64, 1_000_000_000_000_000_u64]}),
                "more chunks",
            ),
            (json!({"chunks": [1, 1_000_000_000_000_u64]}), "1 GiB"),
            (json!({"dtype": "<i4"}), "dtype"),
        ] {
            let refused = ArrayInfo::parse(&zarray(&more)).unwrap_err();
            assert!(refused.contains(word), "{refused}");
        }
    }
}

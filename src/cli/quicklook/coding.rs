//! What the bytes of a chunk file mean: how they are packed, and the numbers that come out.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::copy::{ShardParts, decompress_blosc, read_shard_index};

/// Largest chunk, unpacked.
const MOST_BYTES: usize = 4 << 30;

/// How the chunk files of an array are coded.
pub(super) struct Coding {
    element: Element,
    packing: Packing,
    /// Shape of the chunks inside a file, where it is a shard.
    inner: Option<Vec<u64>>,
}

/// Type of an element: kind as in numpy's words, size in bytes, order of bytes.
#[derive(Clone, Copy)]
struct Element {
    kind: char,
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Zstd,
    Gzip,
    Zlib,
    Blosc,
}

impl Coding {
    /// Of an array of Zarr v2.
    pub(super) fn of_v2(zarray: &Value) -> Result<Self, String> {
        let kind = zarray.get("dtype").and_then(Value::as_str);
        let packing = match zarray.pointer("/compressor/id").and_then(Value::as_str) {
            None => Packing::Plain,
            Some(name) => Packing::named(name)?,
        };
        Ok(Self {
            element: Element::of_v2(kind.unwrap_or_default())?,
            packing,
            inner: None,
        })
    }

    /// Of an array of Zarr v3.
    pub(super) fn of_v3(document: &Value) -> Result<Self, String> {
        let kind = document.get("data_type").and_then(Value::as_str);
        let mut coding = Self {
            element: Element::of_v3(kind.unwrap_or_default())?,
            packing: Packing::Plain,
            inner: None,
        };
        let mut chain = document.get("codecs");
        let first = chain.and_then(|chain| chain.get(0));
        if let Some(shard) = first.filter(|first| is(first, "sharding_indexed")) {
            let settings = shard.get("configuration").unwrap_or(&Value::Null);
            let shape = settings.get("chunk_shape").and_then(Value::as_array);
            let shape = shape.and_then(|shape| shape.iter().map(Value::as_u64).collect());
            let index = json!([
                { "name": "bytes", "configuration": { "endian": "little" } }, { "name": "crc32c" },
            ]);
            let location = settings.get("index_location").and_then(Value::as_str);
            if settings.get("index_codecs") != Some(&index) || location.unwrap_or("end") != "end" {
                return Err("shards with such an index are not read".to_owned());
            }
            coding.inner = Some(shape.ok_or("shards of no shape")?);
            chain = settings.get("codecs");
        }
        for codec in chain.and_then(Value::as_array).into_iter().flatten() {
            if is(codec, "bytes") {
                let endian = codec.pointer("/configuration/endian");
                coding.element.big_endian = endian.and_then(Value::as_str) == Some("big");
            } else {
                let name = codec.get("name").and_then(Value::as_str);
                coding.packing = Packing::named(name.unwrap_or_default())?;
            }
        }
        Ok(coding)
    }

    /// The numbers of a chunk file of a shape, row by row; `fill` where a shard has no chunk.
    pub(super) fn decode(&self, file: &[u8], shape: &[u64], fill: f64) -> Result<Vec<f64>, String> {
        let Some(inner) = &self.inner else {
            return self.numbers(file, count(shape)?);
        };
        let fits = shape.len() == inner.len()
            && shape
                .iter()
                .zip(inner)
                .all(|(shard, inner)| *inner > 0 && shard % inner == 0);
        if !fits {
            return Err("the shards do not hold whole chunks".to_owned());
        }
        let mut values = vec![fill; count(shape)?];
        let elements = count(inner)?;
        let sizes = |shape: &[u64]| -> Vec<usize> {
            let sizes = shape.iter().map(|length| usize::try_from(*length));
            sizes.filter_map(Result::ok).collect()
        };
        let (shape, inner) = (sizes(shape), sizes(inner));
        let parts = ShardParts::new(&shape, &inner, size_of::<f64>());
        for (number, range) in (0..).zip(read_shard_index(file, parts.count())?) {
            let Some(range) = range else { continue };
            let part = self.numbers(file.get(range).unwrap_or_default(), elements)?;
            let (from, to) = (&part, &mut values);
            parts.put(
                number,
                bytemuck::cast_slice(from),
                bytemuck::cast_slice_mut(to),
            );
        }
        Ok(values)
    }

    /// The numbers of a chunk.
    fn numbers(&self, packed: &[u8], elements: usize) -> Result<Vec<f64>, String> {
        let due = elements * self.element.size;
        let plain = self.packing.unpack(packed, due)?;
        if plain.len() != due {
            return Err(format!("{} bytes where {due} are due", plain.len()));
        }
        let elements = plain.chunks_exact(self.element.size);
        Ok(elements.map(|bytes| self.element.number(bytes)).collect())
    }
}

/// Elements of a chunk.
fn count(shape: &[u64]) -> Result<usize, String> {
    let product = shape
        .iter()
        .try_fold(1_u64, |product, n| product.checked_mul(*n));
    let count = product.and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| *count <= MOST_BYTES / size_of::<f64>());
    count.ok_or_else(|| "the chunk is too large".to_owned())
}

fn is(codec: &Value, name: &str) -> bool {
    codec.get("name").and_then(Value::as_str) == Some(name)
}

impl Packing {
    fn named(name: &str) -> Result<Self, String> {
        match name {
            "zstd" => Ok(Self::Zstd),
            "gzip" => Ok(Self::Gzip),
            "zlib" => Ok(Self::Zlib),
            "blosc" => Ok(Self::Blosc),
            other => Err(format!("chunks of the codec {other} are not read")),
        }
    }

    /// The bytes of a chunk, of which `due` are due; one more at the most.
    fn unpack(self, packed: &[u8], due: usize) -> Result<Vec<u8>, String> {
        let limit = due as u64 + 1;
        let mut plain = Vec::new();
        let read = match self {
            Self::Plain => return Ok(packed.to_vec()),
            Self::Blosc => return decompress_blosc(packed, due),
            Self::Zstd => zstd::Decoder::new(packed)
                .and_then(|decoder| decoder.take(limit).read_to_end(&mut plain)),
            Self::Gzip => flate2::read::MultiGzDecoder::new(packed)
                .take(limit)
                .read_to_end(&mut plain),
            Self::Zlib => flate2::read::ZlibDecoder::new(packed)
                .take(limit)
                .read_to_end(&mut plain),
        };
        read.map_err(|error| error.to_string())?;
        Ok(plain)
    }
}

impl Element {
    /// `<f4`, `|u1`, ...
    fn of_v2(text: &str) -> Result<Self, String> {
        let mut letters = text.chars();
        let (order, kind) = (letters.next(), letters.next());
        let size = letters.as_str().parse().unwrap_or(0);
        let kind = kind.filter(|kind| "fiu".contains(*kind));
        let kind = kind.ok_or_else(|| format!("elements of the type {text:?} are not read"))?;
        Self {
            kind,
            size,
            big_endian: order == Some('>'),
        }
        .checked(text)
    }

    /// `float32`, `int64`, ...
    fn of_v3(text: &str) -> Result<Self, String> {
        let kinds = [("float", 'f'), ("uint", 'u'), ("int", 'i')];
        let found = kinds.iter().find_map(|(word, kind)| {
            let bits: usize = text.strip_prefix(word)?.parse().ok()?;
            Some((*kind, bits / 8))
        });
        let (kind, size) = found.unwrap_or(('?', 0));
        Self {
            kind,
            size,
            big_endian: false,
        }
        .checked(text)
    }

    fn checked(self, text: &str) -> Result<Self, String> {
        match (self.kind, self.size) {
            ('f', 4 | 8) | ('i' | 'u', 1 | 2 | 4 | 8) => Ok(self),
            _ => Err(format!("elements of the type {text:?} are not read")),
        }
    }

    fn number(self, bytes: &[u8]) -> f64 {
        let mut raw = [0_u8; 8];
        for (place, byte) in bytes.iter().take(8).enumerate() {
            let place = if self.big_endian {
                self.size - 1 - place
            } else {
                place
            };
            if let Some(slot) = raw.get_mut(place) {
                *slot = *byte;
            }
        }
        let bits = u64::from_le_bytes(raw);
        let spare = 64 - 8 * u32::try_from(self.size).unwrap_or(8);
        match (self.kind, self.size) {
            ('f', 4) => f64::from(f32::from_bits(u32::try_from(bits).unwrap_or_default())),
            ('f', _) => f64::from_bits(bits),
            ('i', _) => ((bits << spare).cast_signed() >> spare) as f64,
            _ => bits as f64,
        }
    }
}

//! Compressors and filters of numcodecs, undone: what NetCDF and HDF5 chunks in reference sets are coded with.
//!
//! Source: numcodecs 0.16: `zlib`, `gzip`, `zstd`, `blosc` (with LZ4 or `BloscLZ` inside), `shuffle`, `fletcher32` (the checksum of HDF5).

use std::io::Read as _;

use serde_json::Value;

use super::super::blosc;

/// What a coded chunk may have beyond its values: checksums.
const SLACK: usize = 64;

/// One step of decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Zlib,
    Gzip,
    Zstd,
    Blosc,
    /// Bytes of elements, sorted by their place in those.
    Shuffle(usize),
    /// Four bytes at the end.
    Fletcher32,
}

/// The steps by which a chunk is decoded, in that order; none for plain values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain(Vec<Step>);

impl Chain {
    /// Of a `.zarray`.
    ///
    /// # Errors
    /// The codec that is not known here.
    pub(super) fn of(zarray: &Value) -> Result<Self, String> {
        let filters = zarray.get("filters").and_then(Value::as_array);
        let filters = filters.map(Vec::as_slice).unwrap_or_default();
        let compressor = zarray.get("compressor").filter(|value| !value.is_null());
        // Compressed last, so undone first.
        let coded = compressor.into_iter().chain(filters.iter().rev());
        Ok(Self(coded.map(step).collect::<Result<_, _>>()?))
    }

    /// The values of a chunk, which are so many bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(&self, chunk: &[u8], bytes: usize) -> Result<Vec<u8>, String> {
        let mut values = chunk.to_vec();
        for step in &self.0 {
            values = step.undo(&values, bytes.saturating_add(SLACK))?;
        }
        if values.len() == bytes {
            Ok(values)
        } else {
            Err(format!(
                "{} bytes of values where {bytes} are due",
                values.len()
            ))
        }
    }
}

fn step(codec: &Value) -> Result<Step, String> {
    let text = |key: &str| codec.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("id") {
        "zlib" => Ok(Step::Zlib),
        "gzip" => Ok(Step::Gzip),
        "zstd" => Ok(Step::Zstd),
        "blosc" => match text("cname") {
            "lz4" | "lz4hc" | "blosclz" => Ok(Step::Blosc),
            inner => Err(format!("blosc with {inner}")),
        },
        "shuffle" => {
            let size = codec
                .get("elementsize")
                .and_then(Value::as_u64)
                .unwrap_or(4);
            let size = usize::try_from(size).ok().filter(|size| *size > 0);
            size.map(Step::Shuffle)
                .ok_or_else(|| "shuffle of elements of no bytes".to_owned())
        }
        "fletcher32" => Ok(Step::Fletcher32),
        other => Err(if other.is_empty() {
            codec.to_string()
        } else {
            other.to_owned()
        }),
    }
}

impl Step {
    fn undo(self, coded: &[u8], most: usize) -> Result<Vec<u8>, String> {
        match self {
            Self::Zlib => unpack(flate2::read::ZlibDecoder::new(coded), most),
            Self::Gzip => unpack(flate2::read::MultiGzDecoder::new(coded), most),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(coded);
                unpack(decoder.map_err(|error| error.to_string())?, most)
            }
            Self::Blosc => {
                let held = coded.get(4..8).and_then(|bytes| bytes.try_into().ok());
                let held = held.map_or(0, u32::from_le_bytes);
                let held = usize::try_from(held).ok().filter(|held| *held <= most);
                blosc::decompress(coded, held.ok_or("more values than a chunk has")?)
            }
            Self::Shuffle(size) => Ok(unshuffle(coded, size)),
            Self::Fletcher32 => {
                let end = coded.len().checked_sub(4).ok_or("no room for a checksum")?;
                let (values, sum) = coded.split_at(end);
                if fletcher32(values).to_le_bytes().as_slice() == sum {
                    Ok(values.to_vec())
                } else {
                    Err("its checksum is another one".to_owned())
                }
            }
        }
    }
}

fn unpack(decoder: impl std::io::Read, most: usize) -> Result<Vec<u8>, String> {
    let mut values = Vec::new();
    let mut decoder = decoder.take((most as u64).saturating_add(1));
    decoder
        .read_to_end(&mut values)
        .map_err(|error| error.to_string())?;
    if values.len() > most {
        return Err("more values than a chunk has".to_owned());
    }
    Ok(values)
}

/// Puts the bytes of each element together again; those behind the last whole element stay where they are.
fn unshuffle(coded: &[u8], size: usize) -> Vec<u8> {
    let mut values = coded.to_vec();
    let count = coded.len() / size;
    if size > 1 && count > 0 {
        for (at, value) in values.chunks_exact_mut(size).enumerate() {
            let bytes = coded.iter().skip(at).step_by(count);
            for (to, from) in value.iter_mut().zip(bytes) {
                *to = *from;
            }
        }
    }
    values
}

/// The checksum of HDF5: Fletcher's, over words whose first byte is the high one.
fn fletcher32(values: &[u8]) -> u32 {
    let (mut low, mut high) = (0_u32, 0_u32);
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    for words in values.chunks(720) {
        for word in words.chunks(2) {
            let byte = |at: usize| u32::from(word.get(at).copied().unwrap_or(0));
            low += byte(0) << 8 | byte(1);
            high += low;
        }
        (low, high) = (fold(low), fold(high));
    }
    (low, high) = (fold(low), fold(high));
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write as _;

    #[test]
    fn what_hdf5_codes_is_decoded() {
        let values: Vec<u8> = (0..40_u8).collect();
        // As numcodecs' Shuffle(elementsize=4): all first bytes, all second ones, ...
        let shuffled: Vec<u8> = (0..4)
            .flat_map(|at| values.iter().copied().skip(at).step_by(4))
            .collect();
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(4));
        encoder.write_all(&shuffled).unwrap();
        let file = encoder.finish().unwrap();
        let zarray = json!({"filters": [{"id": "shuffle", "elementsize": 4}, {"id": "zlib", "level": 4}], "compressor": null});
        let chain = Chain::of(&zarray).unwrap();
        assert_eq!(chain.decode(&file, 40).unwrap(), values);
        assert!(chain.decode(&file, 39).is_err() && chain.decode(&file, 44).is_err());
        assert!(chain.decode(&file[..9], 40).is_err() && chain.decode(&[], 40).is_err());
        for at in 0..file.len() {
            let mut broken = file.clone();
            broken[at] ^= 0x11;
            if let Ok(got) = chain.decode(&broken, 40) {
                assert_eq!(got.len(), 40);
            }
        }
        let mut bomb = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(9));
        bomb.write_all(&vec![0; 10 << 20]).unwrap();
        assert!(
            chain
                .decode(&bomb.finish().unwrap(), 40)
                .unwrap_err()
                .contains("more values")
        );
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (codec, name) in [
            (json!({"id": "bz2"}), "bz2"),
            (json!({"id": "blosc", "cname": "zstd"}), "blosc with zstd"),
            (json!({"id": "shuffle", "elementsize": 0}), "no bytes"),
        ] {
            let error = Chain::of(&json!({"filters": null, "compressor": codec})).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        assert_eq!(Chain::of(&json!({})).unwrap(), Chain::default());
    }
}

//! JSON for footers and manifests: written, folded with zstd, read back within bounds; and lists that stand once.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::schema::TableError;

/// Most bytes that one compressed entry may unfold to: several times the largest met.
const UNPACKED_BYTES: u64 = 32 << 20;

/// Distinct values in order of first use.
pub(crate) struct Pool<T> {
    values: Vec<T>,
    positions: HashMap<T, usize>,
}

impl<T: Clone + Eq + Hash> Pool<T> {
    pub(crate) fn new() -> Self {
        Self {
            values: Vec::new(),
            positions: HashMap::new(),
        }
    }

    pub(crate) fn position(&mut self, value: T) -> usize {
        if let Some(found) = self.positions.get(&value) {
            return *found;
        }
        let position = self.values.len();
        self.values.push(value.clone());
        self.positions.insert(value, position);
        position
    }

    pub(crate) fn into_values(self) -> Vec<T> {
        self.values
    }
}

pub(crate) fn json(value: &impl Serialize) -> Result<String, TableError> {
    serde_json::to_string(value).map_err(|error| TableError::Io {
        action: "writing a table's metadata".to_owned(),
        reason: error.to_string(),
    })
}

pub(crate) fn from_json<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, TableError> {
    serde_json::from_slice(bytes).map_err(|error| TableError::damaged(format!("{key}: {error}")))
}

pub(crate) fn pack<T: Serialize + ?Sized>(value: &T) -> Result<String, TableError> {
    Ok(BASE64.encode(zip(value)?))
}

pub(crate) fn unpack<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, TableError> {
    let packed = BASE64
        .decode(text)
        .map_err(|error| TableError::damaged(format!("{key}: {error}")))?;
    from_json(key, &unzip(key, &packed, UNPACKED_BYTES)?)
}

/// JSON, compressed, with a checksum.
pub(crate) fn zip<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, TableError> {
    let failed = |reason: String| TableError::Io {
        action: "writing a table's metadata".to_owned(),
        reason,
    };
    let text = serde_json::to_vec(value).map_err(|error| failed(error.to_string()))?;
    let compress = || {
        let mut compressor = zstd::bulk::Compressor::new(12)?;
        compressor.include_checksum(true)?;
        compressor.compress(&text)
    };
    compress().map_err(|error: std::io::Error| failed(error.to_string()))
}

/// What [`zip`] made, as text of at most `most` bytes.
pub(crate) fn unzip(key: &str, packed: &[u8], most: u64) -> Result<Vec<u8>, TableError> {
    let damaged = |reason: String| TableError::damaged(format!("{key}: {reason}"));
    let mut bytes = Vec::new();
    zstd::stream::read::Decoder::new(packed)
        .map_err(|error| damaged(error.to_string()))?
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(error.to_string()))?;
    if u64::try_from(bytes.len()).is_ok_and(|count| count > most) {
        return Err(damaged(format!("unfolds to more than {most} bytes")));
    }
    Ok(bytes)
}

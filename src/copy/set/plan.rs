//! How each array of a set is written: chunk by chunk as it is, or decoded, put together anew and encoded.

use serde_json::{Map, Value, json};

use super::super::codec::{Codec, Encoder};
use super::super::layout::LayoutError;
use super::super::report::CopyError;
use super::super::round::Rounding;
use super::super::settings::CopySettings;
use super::chain::Chain;
use super::element::Element;
use super::pick::{Axis, length};
use crate::refs::{ArrayInfo, Coding};
use crate::zarr::Format;

/// Coordinates up to this size are one chunk, however many the set has.
const WHOLE_BYTES: u64 = 4 << 20;
/// Coordinates up to this size are not compressed.
const PLAIN_BYTES: u64 = 64 << 10;
/// Attributes that describe the whole grid, and are not true of a part of it.
const OF_GRID: [&str; 10] = [
    "GRIB_Nx",
    "GRIB_Ny",
    "GRIB_numberOfPoints",
    "GRIB_latitudeOfFirstGridPointInDegrees",
    "GRIB_latitudeOfLastGridPointInDegrees",
    "GRIB_longitudeOfFirstGridPointInDegrees",
    "GRIB_longitudeOfLastGridPointInDegrees",
    "GRIB_DxInMetres",
    "GRIB_DyInMetres",
    "GRIB_N",
];

/// An array of a set, and how it is written.
#[derive(Debug)]
pub(super) struct SetArray {
    /// Its number in the set.
    pub(super) node: usize,
    pub(super) path: String,
    pub(super) dimensions: Vec<String>,
    pub(super) attributes: Map<String, Value>,
    /// Its metadata, as the mount shows it.
    pub(super) zarray: Value,
    pub(super) info: ArrayInfo,
    /// `None`: chunk by chunk, as it is.
    pub(super) recoded: Option<Recoded>,
}

/// An array whose values are put together anew.
#[derive(Debug)]
pub(super) struct Recoded {
    pub(super) element: Element,
    pub(super) chain: Chain,
    /// What is copied of each axis.
    pub(super) axes: Vec<Axis>,
    pub(super) shape: Vec<u64>,
    /// Lengths of chunk files.
    pub(super) files: Vec<u64>,
    /// Chunks inside of those, where they are shards.
    pub(super) inner: Option<Vec<u64>>,
    /// Lengths of a block: whole files, made of chunks that no other block needs (or of all of an axis).
    pub(super) block: Vec<u64>,
    pub(super) codec: Codec,
    pub(super) encoder: Encoder,
    /// An element where nothing is.
    pub(super) fill: Vec<u8>,
    /// Bits of the mantissa that are kept.
    pub(super) bits: Option<u32>,
    /// Elements that say that there is no value, as they lie in the set: they are not rounded.
    pub(super) missing: Vec<Vec<u8>>,
    /// Whether the bytes of each element are turned around.
    pub(super) turned: bool,
}

/// An array as it is looked at.
pub(super) struct Candidate {
    pub(super) node: usize,
    pub(super) path: String,
    pub(super) dimensions: Vec<String>,
    pub(super) attributes: Map<String, Value>,
    pub(super) zarray: Value,
    pub(super) info: ArrayInfo,
    pub(super) is_coordinate: bool,
    /// What is copied of each axis; `None` is all of all.
    pub(super) axes: Option<Vec<Axis>>,
}

impl Candidate {
    /// The element, and how its chunks are decoded.
    ///
    /// # Errors
    /// Why the values cannot be had, for people.
    pub(super) fn values(&self) -> Result<(Element, Chain, Vec<u8>), String> {
        let info = &self.info;
        let element = Element::parse(&info.data_type)
            .ok_or_else(|| format!("its elements are {}", info.data_type))?;
        if self.zarray.get("order").and_then(Value::as_str) == Some("F") && info.shape.len() > 1 {
            return Err("its values are in Fortran order".to_owned());
        }
        let chain = match info.coding {
            Coding::Grib { .. } | Coding::Plain { .. } => Chain::default(),
            Coding::Opaque => {
                Chain::of(&self.zarray).map_err(|codec| format!("it is coded with {codec}"))?
            }
        };
        let fill = self.zarray.get("fill_value").unwrap_or(&Value::Null);
        let fill = element
            .fill(fill)
            .ok_or_else(|| format!("its fill value is {fill}"))?;
        Ok((element, chain, fill))
    }

    /// How it is written; `codec` is the one that was asked for by name.
    pub(super) fn plan(
        self,
        settings: &CopySettings,
        codec: Option<Codec>,
    ) -> Result<SetArray, CopyError> {
        let named = |lengths: &[(String, u64)]| {
            lengths
                .iter()
                .any(|(name, _)| self.dimensions.contains(name))
        };
        let is_opaque = matches!(self.info.coding, Coding::Opaque);
        let decoded = self.values();
        let is_float = matches!(&decoded, Ok((element, ..)) if element.is_float())
            || Element::parse(&self.info.data_type).is_some_and(Element::is_float);
        let rounds = settings.rounding != Rounding::None && is_float && !self.is_coordinate;
        // What would have to be done to the values, in the words of the flags.
        let mut asked = Vec::new();
        if named(&settings.chunks) && !self.is_coordinate {
            asked.push("--chunks");
        }
        if named(&settings.shards) && !self.is_coordinate {
            asked.push("--shards");
        }
        if codec.is_some() && !self.is_coordinate {
            asked.push("--codec");
        }
        if rounds {
            asked.push("--round-bits");
        }
        if self.axes.is_some() {
            asked.push("--bbox");
        }
        if settings.format == Format::V3 {
            asked.push("--zarr-format 3");
        }
        if is_opaque && asked.is_empty() {
            return Ok(self.with(None));
        }
        match decoded {
            Ok((element, chain, fill)) => {
                let recoded = self.recoded(settings, (element, chain, fill), rounds)?;
                Ok(self.with(Some(recoded)))
            }
            Err(_) if asked.is_empty() => Ok(self.with(None)),
            Err(why) => Err(CopyError::Selection(format!(
                "{}: {} cannot be done to this array, for {why}: leave it out with --variable, or the flag",
                self.path,
                asked.join(" and ")
            ))),
        }
    }

    fn recoded(
        &self,
        settings: &CopySettings,
        (element, chain, fill): (Element, Chain, Vec<u8>),
        rounds: bool,
    ) -> Result<Recoded, CopyError> {
        let info = &self.info;
        let whole = || {
            info.shape
                .iter()
                .map(|length| super::pick::range(0, *length))
                .collect()
        };
        let axes: Vec<Axis> = self.axes.clone().unwrap_or_else(whole);
        let shape: Vec<u64> = axes.iter().map(|axis| length(axis)).collect();
        let bytes = bytes_of(&shape, element);
        let asked = |lengths: &[(String, u64)], axis: usize| {
            let name = self.dimensions.get(axis)?;
            let found = lengths.iter().find(|(known, _)| known == name);
            found.map(|(_, length)| *length)
        };
        let (mut chunks, mut files) = (Vec::new(), Vec::new());
        for (axis, length) in shape.iter().enumerate() {
            let most = (*length).max(1);
            let own = info.chunks.get(axis).copied().unwrap_or(1);
            if self.is_coordinate {
                let one = if bytes <= WHOLE_BYTES {
                    most
                } else {
                    own.min(most)
                };
                chunks.push(one);
                files.push(one);
                continue;
            }
            let chunk = asked(&settings.chunks, axis).unwrap_or(own).clamp(1, most);
            files.push(match asked(&settings.shards, axis) {
                None => chunk,
                Some(shard) if shard % chunk == 0 => shard,
                Some(shard) if shard >= most => most.div_ceil(chunk) * chunk,
                Some(shard) => {
                    return Err(CopyError::Layout(LayoutError::Shard {
                        name: self.dimensions.get(axis).cloned().unwrap_or_default(),
                        shard,
                        chunk,
                    }));
                }
            });
            chunks.push(chunk);
        }
        let shards = !settings.shards.is_empty() && !self.is_coordinate && !shape.is_empty();
        let inner = shards.then_some(chunks);
        let codec = if self.is_coordinate && bytes <= PLAIN_BYTES {
            Codec::None
        } else {
            settings.codec
        };
        let along = axes.iter().zip(&info.chunks).zip(&files);
        let block = along
            .map(|((axis, own), file)| block(axis, *own, *file))
            .collect();
        let bits = match settings.rounding {
            Rounding::Bits(bits) if rounds => Some(bits),
            Rounding::None | Rounding::Bits(_) | Rounding::Auto => None,
        };
        let turned = element.is_turned() && settings.format == Format::V3;
        let named = ["_FillValue", "missing_value"]
            .iter()
            .filter_map(|key| element.fill(self.attributes.get(*key)?));
        let missing = named.chain([fill.clone()]).collect();
        let mut fill = fill;
        if turned {
            element.turn(&mut fill);
        }
        let encoder = Encoder::of(&files, element.bytes, fill.clone(), codec, inner.as_deref());
        Ok(Recoded {
            encoder: encoder.map_err(LayoutError::from)?,
            turned,
            element,
            chain,
            axes,
            shape,
            files,
            inner,
            block,
            codec,
            fill,
            bits,
            missing,
        })
    }

    fn with(self, recoded: Option<Recoded>) -> SetArray {
        let mut attributes = self.attributes;
        if self.axes.is_some() {
            attributes.retain(|name, _| !OF_GRID.contains(&name.as_str()));
        }
        if let Some(bits) = recoded.as_ref().and_then(|recoded| recoded.bits) {
            attributes.insert(super::super::round::ROUNDED.to_owned(), json!(bits));
        }
        SetArray {
            node: self.node,
            path: self.path,
            dimensions: self.dimensions,
            attributes,
            zarray: self.zarray,
            info: self.info,
            recoded,
        }
    }
}

/// Length of a block along an axis whose chunks are `own` long in the set and `file` long in the copy: whole files that share no chunk with
/// others, or all.
fn block(axis: &[super::pick::Run], own: u64, file: u64) -> u64 {
    let all = length(axis).div_ceil(file).max(1) * file;
    let [run] = axis else { return all };
    if own == 1 {
        return file;
    }
    if run.from % own != 0 {
        return all;
    }
    let (mut a, mut b) = (own, file);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (own / a).saturating_mul(file).min(all)
}

/// Bytes of the values of a shape, which an untrusted set may make larger than any number.
pub(super) fn bytes_of(shape: &[u64], element: Element) -> u64 {
    let all = shape.iter();
    all.fold(element.bytes as u64, |all, length| {
        all.saturating_mul(*length)
    })
}

impl Recoded {
    /// Bytes of a block.
    pub(super) fn block_bytes(&self) -> u64 {
        bytes_of(&self.block, self.element)
    }

    /// Blocks along each axis.
    pub(super) fn block_grid(&self) -> Vec<u64> {
        let pairs = self.shape.iter().zip(&self.block);
        pairs
            .map(|(length, block)| length.div_ceil(*block))
            .collect()
    }
}

impl SetArray {
    /// Pieces of work: blocks, or chunks.
    pub(super) fn count(&self) -> u64 {
        match &self.recoded {
            Some(recoded) => recoded.block_grid().iter().product(),
            None => self.info.chunk_count(),
        }
    }

    /// What a piece of work weighs among others: bytes of values.
    pub(super) fn piece_weight(&self) -> u128 {
        let bytes = match &self.recoded {
            Some(recoded) => recoded.block_bytes(),
            None => self.info.chunk_elements(),
        };
        u128::from(bytes.max(1))
    }

    /// What all of them weigh.
    pub(super) fn weight(&self) -> u128 {
        u128::from(self.count()) * self.piece_weight()
    }

    /// Its documents in Zarr v2.
    pub(super) fn v2(&self) -> Value {
        let mut zarray = self.zarray.clone();
        if let (Some(recoded), Some(members)) = (&self.recoded, zarray.as_object_mut()) {
            for (key, value) in [
                ("shape", json!(recoded.shape)),
                ("chunks", json!(recoded.files)),
                ("compressor", recoded.codec.v2()),
                ("filters", Value::Null),
                ("order", json!("C")),
                ("dimension_separator", json!(".")),
                ("zarr_format", json!(2)),
            ] {
                members.insert(key.to_owned(), value);
            }
        }
        zarray
    }

    /// Its document in Zarr v3.
    pub(super) fn v3(&self) -> Option<Value> {
        let recoded = self.recoded.as_ref()?;
        let mut attributes = self.attributes.clone();
        attributes.remove("_ARRAY_DIMENSIONS");
        let fill = self.zarray.get("fill_value").unwrap_or(&Value::Null);
        // In v3 the fill value says nothing about missing values; xarray looks at this attribute.
        let own = attributes.get("_FillValue").cloned();
        let missing =
            own.or_else(|| (!fill.is_null() && fill.as_str() != Some("NaN")).then(|| fill.clone()));
        if let Some(missing) = missing {
            attributes.insert(
                "_FillValue".to_owned(),
                recoded.element.v3_missing(&missing),
            );
        }
        let item = recoded.element.bytes as u64;
        let mut document = json!({
            "zarr_format": 3,
            "node_type": "array",
            "shape": recoded.shape,
            "data_type": recoded.element.v3(),
            "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": recoded.files } },
            "chunk_key_encoding": { "name": "v2", "configuration": { "separator": "." } },
            "fill_value": recoded.element.v3_fill(fill),
            "codecs": recoded.codec.v3_chain(item, recoded.inner.as_deref()),
            "attributes": attributes,
            "storage_transformers": [],
        });
        if self.dimensions.len() == recoded.shape.len()
            && let Some(members) = document.as_object_mut()
        {
            members.insert("dimension_names".to_owned(), json!(self.dimensions));
        }
        Some(document)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pick::range;
    use super::*;

    #[test]
    fn blocks_are_whole_files_of_whole_chunks() {
        // One field per chunk, 24 in a file; chunks of 721 in files of 256; the same lengths; a part that begins inside a chunk.
        assert_eq!(block(&range(0, 100), 1, 24), 24);
        assert_eq!(block(&range(0, 721), 721, 256), 768);
        assert_eq!(block(&range(0, 100), 10, 10), 10);
        assert_eq!(block(&range(0, 1000), 10, 15), 30);
        assert_eq!(block(&range(7, 20), 10, 10), 20);
        assert_eq!(block(&range(20, 20), 10, 10), 10);
        assert_eq!(block(&range(0, 0), 10, 10), 10);
    }

    #[test]
    fn shapes_larger_than_any_archive_do_not_overflow() {
        let element = Element::parse("<f8").unwrap();
        assert_eq!(bytes_of(&[1 << 40, 1 << 40], element), u64::MAX);
        assert_eq!(bytes_of(&[], element), 8);
    }
}

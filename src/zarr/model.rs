//! A Zarr hierarchy described: groups, arrays, dimensions, attributes. What is shown, before any format of it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

/// Attributes of a group or array, in the order in which they are written.
pub type Attributes = Map<String, Value>;

/// Element type of an array. Numeric only: one type that netCDF-C cannot map makes it refuse a whole store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// 32-bit float, little endian.
    Float32,
    /// 64-bit float, little endian.
    Float64,
    /// 32-bit integer, little endian.
    Int32,
    /// 64-bit integer, little endian.
    Int64,
}

impl DataType {
    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            Self::Float32 | Self::Int32 => 4,
            Self::Float64 | Self::Int64 => 8,
        }
    }
}

/// What readers see where no chunk exists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// NaN, for floats.
    NaN,
    /// A number, for integers that have gaps.
    Integer(i64),
    /// None: every chunk exists.
    None,
}

/// Fill value of 64-bit integers with gaps: netCDF's own default, so that no reader takes it for data.
pub const FILL_INT64: i64 = -9_223_372_036_854_775_806;

/// Bytes that cost time to make.
pub trait Produce: Send + Sync {
    /// The bytes, if they are made already.
    fn ready(&self) -> Option<Bytes>;

    /// The bytes, made now if need be.
    fn make(&self) -> Bytes;
}

/// A chunk whose length is known and whose bytes are made when first read.
#[derive(Clone)]
pub struct Deferred {
    /// Its length in bytes.
    pub length: u64,
    /// What makes it.
    pub source: Arc<dyn Produce>,
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deferred({} bytes)", self.length)
    }
}

impl PartialEq for Deferred {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && Arc::ptr_eq(&self.source, &other.source)
    }
}

/// Where the chunks of an array come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// One chunk that covers the whole array, known now.
    Inline(Bytes),
    /// One chunk that covers the whole array, made when first read.
    Deferred(Deferred),
    /// One field per chunk.
    Fields {
        /// Group of the collection.
        group: usize,
        /// Array of that group.
        array: usize,
    },
}

/// An array: its metadata, and where its chunks come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Name in its group.
    pub name: String,
    /// Dimension names, outermost first.
    pub dimensions: Vec<String>,
    /// Length of each dimension.
    pub shape: Vec<u64>,
    /// Chunk length along each dimension.
    pub chunks: Vec<u64>,
    /// Element type.
    pub data_type: DataType,
    /// Fill value.
    pub fill: Fill,
    /// Attributes, without `_ARRAY_DIMENSIONS`.
    pub attributes: Attributes,
    /// Chunks.
    pub content: Content,
}

impl Array {
    /// An array of one chunk whose values are in memory, little-endian.
    #[must_use]
    pub fn inline(
        name: String,
        dimensions: Vec<String>,
        shape: Vec<u64>,
        (data_type, fill): (DataType, Fill),
        attributes: Attributes,
        values: Bytes,
    ) -> Self {
        Self {
            name,
            dimensions,
            chunks: shape.clone(),
            shape,
            data_type,
            fill,
            attributes,
            content: Content::Inline(values),
        }
    }

    /// Number of chunks along each dimension.
    #[must_use]
    pub fn chunk_grid(&self) -> Vec<u64> {
        self.shape
            .iter()
            .zip(&self.chunks)
            .map(|(length, chunk)| length.div_ceil((*chunk).max(1)))
            .collect()
    }

    /// Number of chunks that the array's shape has, present or not.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        self.chunk_grid().iter().product()
    }

    /// Bytes of one chunk.
    #[must_use]
    pub fn chunk_bytes(&self) -> u64 {
        self.chunks.iter().product::<u64>() * self.data_type.size()
    }
}

/// A group: arrays and further groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// Attributes.
    pub attributes: Attributes,
    /// Arrays, in the order in which they are listed.
    pub arrays: Vec<Array>,
    /// Groups within, by name.
    pub groups: Vec<(String, Self)>,
}

//! Reference sets in everybody's formats: kerchunk JSON and Parquet, GIK Parquet, `k_index` tables.
//!
//! Every format becomes one [`RefSet`]: groups and arrays with their Zarr v2 metadata, and for each chunk where its bytes lie.
//! `["s3://b/f.grib2", 0, 11357]` under `t2m/0.0.0` is chunk 0 of the array `t2m`, bytes 0 to 11356 of that object. What a format
//! is, is told by content ([`sniff`]). A set is untrusted: keys that would leave the tree are dropped and listed, numbers are
//! bounded before anything is reserved, nothing in a file is evaluated.
//!
//! Knows texts and numbers. Reads nothing itself (records of a Parquet set come through [`RecordSource`]) and decodes no GRIB.

mod array;
mod builder;
mod cells;
mod chunks;
mod error;
mod expect;
mod gik;
mod json;
mod json_text;
mod k_index;
mod literal;
mod members;
mod records;
mod repair;
mod set;
mod sniff;
mod stream;
mod templates;
mod urls;
mod value;
mod write;

pub use array::{ArrayInfo, Coding, GribVar};
pub use builder::SetBuilder;
pub use chunks::{ChunkTable, Slot, Target};
pub use error::{Defect, RefsError};
pub use expect::Expectation;
pub use gik::read_gik;
pub use json::read_json;
pub use json_text::parse_lenient;
pub use k_index::{MessageRef, read_k_index, step_messages};
pub use literal::{Literal, parse_literal};
pub use members::{combine, member_in_name};
pub use records::{RecordSource, read_directory, read_record};
pub use set::{Kind, Node, RefSet};
pub use sniff::{
    Compression, Format, decompress, parquet_footer, parquet_footer_length, sniff,
    sniff_compression,
};
pub use write::{ExportArray, json_set, record_bytes, zmetadata};

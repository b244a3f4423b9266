//! Schema 1 of the table's Parquet form: columns, their types and encodings, and the errors of reading and writing it.
//!
//! The columns say by themselves what they hold, so that `DuckDB`, pandas and Polars need no help; where kerchunk's `k_index`
//! has a column of the same meaning its name is used. `kind` links a row to the exact identities in the file's
//! key-value metadata (`table::meta`), which gribfs itself goes by.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

/// Version that this program writes, and the newest that it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// Most rows of a row group: small enough for pruning to pay, large enough for the dictionaries to cost nothing.
pub const ROW_GROUP_ROWS: usize = 131_072;

/// Names of the columns.
pub mod column {
    /// Array name.
    pub const VARNAME: &str = "varname";
    /// ecCodes' name of the level type.
    pub const LEVEL_TYPE: &str = "typeOfLevel";
    /// First surface, in the unit of the level type.
    pub const LEVEL: &str = "level";
    /// Second surface of a layer.
    pub const LEVEL2: &str = "level2";
    /// instant, accum, avg, ...
    pub const STEP_TYPE: &str = "stepType";
    /// Long name.
    pub const NAME: &str = "name";
    /// Units of the values.
    pub const UNITS: &str = "units";
    /// Reference time of the run.
    pub const TIME: &str = "time";
    /// Step, the window's end, in seconds.
    pub const STEP: &str = "step";
    /// The window's start, in seconds from the reference time.
    pub const STEP_START: &str = "step_start";
    /// Run plus step.
    pub const VALID_TIME: &str = "valid_time";
    /// Ensemble member.
    pub const NUMBER: &str = "number";
    /// URL of the object.
    pub const URI: &str = "uri";
    /// First byte of the message.
    pub const OFFSET: &str = "offset";
    /// Count of bytes of the message.
    pub const LENGTH: &str = "length";
    /// Position of the field in its message.
    pub const FIELD: &str = "field";
    /// What became of the message.
    pub const STATUS: &str = "status";
    /// Why it is not placed.
    pub const REASON: &str = "reason";
    /// Words of the index line.
    pub const WORDS: &str = "words";
    /// Reset period of accumulations, in seconds.
    pub const BUCKET: &str = "bucket";
    /// Index into `gribfs.grids`.
    pub const GRID: &str = "grid";
    /// Index into `gribfs.kinds`.
    pub const KIND: &str = "kind";
    /// Size of the object.
    pub const OBJECT_SIZE: &str = "object_size";
    /// `ETag` of the object.
    pub const OBJECT_ETAG: &str = "object_etag";
}

/// What a kind is called: the columns that are made for people from a [`Kind`](super::row::Kind).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KindColumns {
    /// Array name; empty if the kind could not be placed.
    pub varname: String,
    /// ecCodes' name of the level type; empty if there is none.
    pub type_of_level: String,
    /// Step type; empty if unknown.
    pub step_type: String,
    /// Long name; empty if unknown.
    pub name: String,
    /// Units of the values; empty if unknown.
    pub units: String,
    /// First surface in the unit of the level axis; `None` where it has no value.
    pub level: Option<f64>,
    /// Second surface of a layer.
    pub level2: Option<f64>,
}

/// Why a table could not be read or written.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TableError {
    /// The bytes are no table of gribfs.
    #[error("not a gribfs table: {reason}")]
    NotATable {
        /// What is missing.
        reason: String,
    },
    /// Written by a newer gribfs.
    #[error(
        "the table has schema version {found}, this gribfs reads up to {SCHEMA_VERSION}: use a newer gribfs, or index again"
    )]
    TooNew {
        /// The version that the file states.
        found: u32,
    },
    /// The table is damaged.
    #[error("the table is damaged: {reason}; index again")]
    Damaged {
        /// What does not hold.
        reason: String,
    },
    /// Rows that the table cannot hold: an index out of range, a number beyond the column's type.
    #[error("row {row} cannot be written: {reason}")]
    Row {
        /// Position of the row, from 0.
        row: usize,
        /// What is wrong.
        reason: String,
    },
    /// Too many of something for one table.
    #[error("{what}: more than a table can hold; write several tables")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
    /// Reading or writing failed.
    #[error("{action}: {reason}")]
    Io {
        /// What was being done.
        action: String,
        /// The cause.
        reason: String,
    },
}

impl TableError {
    /// A damage.
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged {
            reason: reason.into(),
        }
    }
}

/// Text that repeats: indices into a dictionary, as pandas' and Polars' categories.
pub(crate) fn dictionary_of_text() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Instants: milliseconds since 1970 UTC without a zone, as xarray and `k_index` have them.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

/// Columns in their order. The types are what Arrow readers see; `docs/table.md` has the Parquet ones.
#[must_use]
pub fn arrow_schema() -> SchemaRef {
    let text = dictionary_of_text;
    let seconds = || DataType::Duration(TimeUnit::Second);
    let fields = vec![
        Field::new(column::VARNAME, text(), true),
        Field::new(column::LEVEL_TYPE, text(), true),
        Field::new(column::LEVEL, DataType::Float64, true),
        Field::new(column::LEVEL2, DataType::Float64, true),
        Field::new(column::STEP_TYPE, text(), true),
        Field::new(column::NAME, text(), true),
        Field::new(column::UNITS, text(), true),
        Field::new(column::TIME, timestamp(), false),
        Field::new(column::STEP, seconds(), false),
        Field::new(column::STEP_START, seconds(), false),
        Field::new(column::VALID_TIME, timestamp(), true),
        Field::new(column::NUMBER, DataType::Int32, true),
        Field::new(column::URI, text(), false),
        Field::new(column::OFFSET, DataType::Int64, false),
        Field::new(column::LENGTH, DataType::Int64, true),
        Field::new(column::FIELD, DataType::Int32, false),
        Field::new(column::STATUS, text(), false),
        Field::new(column::REASON, text(), true),
        Field::new(column::WORDS, text(), true),
        Field::new(column::BUCKET, DataType::Int64, true),
        Field::new(column::GRID, DataType::Int32, true),
        Field::new(column::KIND, DataType::Int32, false),
        Field::new(column::OBJECT_SIZE, DataType::Int64, true),
        Field::new(column::OBJECT_ETAG, text(), true),
    ];
    Arc::new(Schema::new(fields))
}

/// Columns that a [`Row`](super::row::Row) is made from; the others repeat what `kind` says, or sums.
pub(crate) const ROW_COLUMNS: [&str; 13] = [
    column::TIME,
    column::STEP,
    column::STEP_START,
    column::NUMBER,
    column::URI,
    column::OFFSET,
    column::LENGTH,
    column::FIELD,
    column::STATUS,
    column::REASON,
    column::KIND,
    column::OBJECT_SIZE,
    column::OBJECT_ETAG,
];

/// How the columns are encoded.
///
/// Everything but offsets and lengths repeats in the sort order, so a dictionary with run lengths makes it vanish. Offsets
/// and lengths hold real information: their differences are packed into as many bits as they need, which every reader
/// knows (byte-stream splits of integers are 3 % smaller, but many readers refuse them).
///
/// # Errors
/// None in practice: the compression level is valid.
pub(crate) fn writer_properties() -> Result<WriterPropertiesBuilder, TableError> {
    let level = ZstdLevel::try_new(9).map_err(|error| TableError::Io {
        action: "writing a table".to_owned(),
        reason: error.to_string(),
    })?;
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("gribfs {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(level))
        // The writer ends row groups itself, to know their bytes.
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None)
        .set_data_page_row_count_limit(ROW_GROUP_ROWS / 4)
        .set_dictionary_page_size_limit(64 << 20)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(64));
    for name in [column::OFFSET, column::LENGTH] {
        let path = ColumnPath::from(name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
            .set_column_compression(path, Compression::ZSTD(ZstdLevel::default()));
    }
    // Nobody prunes by these, and comparing long texts per row is a fifth of the time of writing.
    for name in [column::URI, column::NAME, column::UNITS, column::WORDS] {
        let path = ColumnPath::from(name);
        properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    Ok(properties)
}

//! The index table: one row per field of an archive, and its Parquet form.

pub mod row;

//! The index table: one row per field of an archive, and its Parquet form.
//!
//! `src/docs/table.md` is the documented schema. [`write::write`] sorts the rows and writes them, [`read::TableFile`] reads
//! all of them, a range of them, or only the summary; [`merge::merge`] makes one table of several.
//!
//! Knows rows and Parquet. Knows no index dialect and no naming rule: the names of a kind are given by the caller.

pub mod atomic;
mod columns;
mod footer;
pub mod manifest;
pub mod merge;
pub mod meta;
mod pack;
pub mod read;
pub mod row;
mod rows;
pub mod schema;
mod source;
pub mod write;

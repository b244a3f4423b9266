//! Building a table: from names of GRIB files to rows, by their index files or by hops through their section headers.
//!
//! For each file: read the index file beside it, learn each new kind of message from one header of a few hundred bytes, and
//! write a row for every line. Where there is no index file, or what it says is wrong, the section headers of the GRIB are
//! walked instead. Whatever cannot be placed is a row too, with its reason, so that no reader takes it for a gap.
//!
//! Knows storage and both index dialects. Prints nothing: the [`Account`] says what happened.

mod account;
mod assemble;
mod braces;
mod buckets;
mod builder;
mod expected;
mod file;
mod hop;
mod learn;
mod run;
mod save;
mod sidecar;
mod sources;
mod twins;

pub use account::{Account, Problem};
pub use braces::expand_braces;
pub use run::{Progress, ScanConfig, ScanError, build};
pub use save::{SaveError, Saved, kind_columns, load, save};
pub use sources::{Source, SourceError, expand};

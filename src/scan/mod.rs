//! Building a table: from names of GRIB files to rows, by their index files or by hops through their section headers.
//!
//! For each file: read the index file beside it, learn each new kind of message from one header of a few hundred bytes, and
//! write a row for every line. Where there is no index file, or what it says is wrong, the section headers of the GRIB are
//! walked instead. Whatever cannot be placed is a row too, with its reason, so that no reader takes it for a gap.
//!
//! Knows storage and both index dialects. Prints nothing: the [`Account`] says what happened. [`follow`] does the same again and again
//! while a run arrives, [`compact`] puts many small tables together. A [`Library`] opens tables for a mount: what they hold at once, their
//! rows when wanted.

mod account;
mod assemble;
mod braces;
mod buckets;
mod builder;
mod compact;
mod expected;
mod extend;
mod file;
mod folder;
mod follow;
mod hop;
mod learn;
mod library;
mod products;
mod raw;
mod raw_part;
mod run;
mod save;
mod shelf;
mod shorthand;
mod sidecar;
mod sources;
mod table_watch;
mod twins;
mod verify;
mod watch;

pub use account::{Account, Problem};
pub use braces::expand_braces;
pub use compact::{Compacted, compact};
pub use follow::{FollowConfig, FollowError, FollowEvent, follow, newest_files, now};
pub use library::{BadTable, Found, Library};
pub use products::Product;
pub use raw::{RawError, RawProgress, RawReport, raw_copy};
pub use raw_part::{Check, PART_BYTES};
pub use run::{Indexer, Plan, Progress, ScanConfig, ScanError, build};
pub use save::{SaveError, Saved, kind_columns, load, load_runs, save};
pub use shorthand::{ProductError, Shorthand};
pub use sources::{Source, SourceError, expand, run_in_name};
pub use table_watch::TableWatch;

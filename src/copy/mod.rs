//! `gribfs copy`: a store of the mount, or part of it, streamed into a real compressed Zarr.
//!
//! What is written is what the mount shows: the same model ([`StoreView`](crate::slices::StoreView)) gives names, axes, coordinates and
//! attributes, with other chunks and a codec. A *block* is what fills output chunks that lie on top of each other on the grid: of
//! `time=24,latitude=256` all messages of 24 times. Each message belongs to one block of an array, so it is fetched and decoded once
//! whatever the chunks are; blocks wait in memory, or on disk where they are larger than the budget allows.
//!
//! Arrays may be computed on the way (`derive`): differences of accumulations, statistics over members. Their blocks hold the fields that they
//! are computed of (`recipe`), and are written when all have come.
//!
//! Order of writing, so that a destination never looks complete before it is: the state document, chunks, then the metadata, of which the
//! root's comes last, then the state document goes.
//!
//! Knows rows, stores and chunks. Knows no GRIB and no paths of a mount. The C library of Blosc is named here and nowhere else.

mod append;
mod block;
mod blosc;
mod codec;
mod computed;
mod count;
mod derive;
mod destination;
mod documents;
mod engine;
mod fields;
mod job;
mod kept;
mod layout;
mod ledger;
mod open;
mod parts;
mod plan;
mod recipe;
mod report;
mod round;
mod set;
mod settings;
mod shard;
mod split;
mod state;
mod statistic;

pub(crate) use blosc::decompress as decompress_blosc;
pub use codec::{Codec, CodecError};
pub use derive::Deaccumulate;
pub use job::Copy;
pub use layout::LayoutError;
pub use parts::{Part, PartError};
pub use report::{CopyError, CopyPlan, CopyProgress, CopyReport, MissingCell};
pub use round::{Rounding, RoundingError};
pub use set::{SetChoice, SetCopy};
pub use settings::{CopySettings, Lengths, Parts, lengths};
pub(crate) use shard::{Parts as ShardParts, read_index as read_shard_index};
pub use state::STATE;
pub use statistic::{Comparison, Statistic, StatisticError, statistics};

//! Slices of the forecast collection (FMRC): which cell of the collection fills which chunk of which store.
//!
//! A slice has one or two time-like axes. A position along them means a run and a step: in RunTime `(time, step)` they are
//! the axes themselves, in ValidTime `(valid_time, step)` the run is their difference, in BestAvailable a choice per array.
//! Nothing is materialised: a slice is axes and arithmetic, made from a collection when it is first looked at.

mod axis;
mod best;
mod layout;
mod model;
mod origin;
mod slice;
mod view;

pub use layout::Layout;
pub use slice::{BestRule, Slice, SliceError, SliceGroup, SliceKind};
pub use view::{StoreView, ViewGroup};

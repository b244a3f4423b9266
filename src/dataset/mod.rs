//! From rows to arrays: the one model of an archive that every view is made from.
//!
//! A [`Collection`] knows arrays, their axes (runs, steps, levels, members, grid) and, for every combination of them, whether
//! a message is there. `array.cells.get(key)` of run, step, level and member is [`CellState::Present`] with a row, [`CellState::Pending`]
//! or [`CellState::Gap`]. How cells are laid out as chunks is the business of `slices`.

pub mod archive;
mod build;
pub mod cells;
pub mod collection;
pub mod crop;
pub mod grid_view;
pub mod horizontal;
pub mod intervals;
pub mod levels;
mod place;
mod rows;
pub mod selection;
mod shrink;
mod slab;

pub use archive::Archive;
pub use cells::CellState;
pub use collection::{Collection, FieldArray, GridGroup};
pub use crop::{BoundingBox, Crop};
pub use grid_view::GridView;
pub use horizontal::Horizontal;
pub use intervals::Intervals;
pub use levels::LevelAxis;
pub use selection::Selection;

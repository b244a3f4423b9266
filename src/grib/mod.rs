//! GRIB messages: sections, identity, grids, names, values. Pure functions of bytes.

mod decimal;
pub mod identity;
pub mod levels;
pub mod naming;
pub mod parameters;
mod suffix;

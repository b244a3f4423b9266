//! GRIB messages: sections, identity, grids, names, values. Pure functions of bytes.

mod base_name;
mod decimal;
pub mod identity;
pub mod levels;
pub mod naming;
pub mod parameters;
mod suffix;

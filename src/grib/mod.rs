//! GRIB messages: sections, identity, grids, names, values. Pure functions of bytes.

pub mod bytes;
pub mod head;
pub mod identity;
mod layout;
pub mod product;
pub mod section;

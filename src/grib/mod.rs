//! GRIB messages: sections, identity, grids, names, values. Pure functions of bytes.

pub mod bytes;
pub mod head;
pub mod identity;
pub mod section;

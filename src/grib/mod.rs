//! GRIB messages: sections, identity, grids, names, values. Pure functions of bytes.

pub mod decode;
pub mod identity;

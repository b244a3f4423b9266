//! GRIB messages: sections, identity, grids, names, values. Pure functions of bytes.

pub mod bytes;
pub mod coordinates;
pub mod earth;
pub mod gaussian;
pub mod grid;
mod grid_latlon;
mod grid_names;
mod grid_projected;
mod grid_reduced;
pub mod head;
pub mod healpix;
pub mod identity;
mod layout;
pub mod product;
pub mod projection;
pub mod scan;
pub mod section;
pub mod walker;

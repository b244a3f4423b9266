//! GRIB messages: sections, identity, grids, names, values. Pure functions of bytes.

mod azimuthal;
pub mod bytes;
mod conformal;
pub mod coordinates;
mod decimal;
pub mod decode;
pub mod earth;
mod error;
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
pub mod levels;
pub mod naming;
pub mod parameters;
pub mod product;
pub mod projection;
pub mod scan;
pub mod section;
mod suffix;
pub mod walker;

//! A field as a map for the eye: chosen colours, graticule, labels; as PNG or as half blocks in a terminal.
//!
//! A [`Field`] is cells in rows, north (or the projection's y) up, and where they lie. It is drawn on its own grid: regular and Gaussian
//! grids as they are, projected ones in their projection with the graticule bent, and grids that are one row of cells (reduced Gaussian,
//! HEALPix) on a latitude-longitude grid of the same density. No coastlines: none come with the program.
//!
//! Knows nothing of Zarr, GRIB and storage.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixels, cells and colours: small numbers that are not negative"
)]

mod canvas;
mod draw;
mod field;
mod graticule;
mod quantity;
mod rings;
mod scale;
mod terminal;

pub use draw::{Picture, PictureError};
pub use field::{Field, FieldError, Places};
pub use quantity::{Conversion, Quantity, look_of};
pub use scale::{Palette, Scale};
pub use terminal::Colours;

//! Map projections of GRIB grids: degrees to metres and back, on a sphere or an ellipsoid.
//!
//! A projected grid is laid out in metres: `forward` places its first point, the increments give the others, `inverse`
//! turns them into latitudes and longitudes. One formula serves both shapes of the earth: with eccentricity 0 the
//! ellipsoidal one is the spherical one.
//!
//! Knows geometry. Knows no octets and no scanning. The formulas are in `conformal`, `azimuthal` and
//! `space_view`. Source of the former: J. P. Snyder, Map Projections - A Working Manual (USGS Professional Paper 1395),
//! equations (7-*), (14-15), (15-*), (21-*), (24-*), (3-12) to (3-16).

pub use super::azimuthal::Azimuthal;
pub use super::conformal::{Lambert, Mercator, Polar};
use super::coordinates::Attribute;
pub use super::space_view::SpaceView;

/// A projection with its constants worked out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Projection {
    /// Lambert conformal conic.
    Lambert(Lambert),
    /// Polar stereographic.
    Polar(Polar),
    /// Mercator.
    Mercator(Mercator),
    /// Lambert azimuthal equal area.
    Azimuthal(Azimuthal),
    /// Geostationary satellite.
    SpaceView(SpaceView),
}

impl Projection {
    /// Metres east and north of the projection's origin, from degrees north and east.
    #[must_use]
    pub fn forward(&self, latitude: f64, longitude: f64) -> (f64, f64) {
        let phi = latitude.to_radians();
        match self {
            Self::Lambert(it) => it.forward(phi, longitude),
            Self::Polar(it) => it.forward(phi, longitude),
            Self::Mercator(it) => it.forward(phi, longitude),
            Self::Azimuthal(it) => it.forward(phi, longitude),
            Self::SpaceView(it) => it.forward(phi, longitude),
        }
    }

    /// Degrees north and east of a point in metres. The longitude is within 180 degrees of the projection's central one
    /// for all but Mercator. Not a number where the plane shows no point of the earth.
    #[must_use]
    pub fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        match self {
            Self::Lambert(it) => it.inverse(x, y),
            Self::Polar(it) => it.inverse(x, y),
            Self::Mercator(it) => it.inverse(x, y),
            Self::Azimuthal(it) => it.inverse(x, y),
            Self::SpaceView(it) => it.inverse(x, y),
        }
    }

    /// CF attributes of the grid mapping variable, without the figure of the earth.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let mut attributes = match self {
            Self::Lambert(it) => it.attributes(),
            Self::Polar(it) => it.attributes(),
            Self::Mercator(it) => it.attributes(),
            Self::Azimuthal(it) => it.attributes(),
            Self::SpaceView(it) => it.attributes(),
        };
        attributes.push(("false_easting", Attribute::Number(0.0)));
        attributes.push(("false_northing", Attribute::Number(0.0)));
        attributes
    }
}

/// The angle as the one within [-180, 180) that is the same direction, in degrees.
pub(super) fn within_half_turn(degrees: f64) -> f64 {
    (degrees + 180.0).rem_euclid(360.0) - 180.0
}

/// A rotated pole: turns latitudes and longitudes of the rotated frame into those of the earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotation {
    /// Latitude of the southern pole of the rotated frame, in degrees.
    pub south_latitude: f64,
    /// Longitude of the southern pole of the rotated frame, in degrees.
    pub south_longitude: f64,
}

impl Rotation {
    /// Degrees north and east on the earth of a point of the rotated frame.
    #[must_use]
    pub fn inverse(&self, latitude: f64, longitude: f64) -> (f64, f64) {
        let (sine, cosine) = (self.south_latitude + 90.0).to_radians().sin_cos();
        let (z, flat) = latitude.to_radians().sin_cos();
        let (east, along) = longitude.to_radians().sin_cos();
        let (x, y) = (flat * along, flat * east);
        let (north, front) = (z.mul_add(cosine, x * sine), x.mul_add(cosine, -z * sine));
        (
            north.clamp(-1.0, 1.0).asin().to_degrees(),
            y.atan2(front).to_degrees() + self.south_longitude,
        )
    }

    /// CF attributes of the grid mapping variable, without the figure of the earth.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![
            (
                "grid_mapping_name",
                Attribute::Text("rotated_latitude_longitude"),
            ),
            (
                "grid_north_pole_latitude",
                Attribute::Number(-self.south_latitude),
            ),
            (
                "grid_north_pole_longitude",
                Attribute::Number(within_half_turn(self.south_longitude + 180.0)),
            ),
            ("north_pole_grid_longitude", Attribute::Number(0.0)),
        ]
    }
}

#[cfg(test)]
#[path = "projection_tests.rs"]
mod tests;

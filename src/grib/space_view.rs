//! The earth as a geostationary satellite sees it: x and y are angles at the camera, times its height above the surface.
//!
//! The camera turns about the earth's axis for x and up and down for y (CF's and PROJ's sweep angle axis `y`, as Meteosat
//! does it). Directions that miss the earth have no latitude and longitude.
//!
//! Source: CGMS 03, LRIT/HRIT Global Specification, section 4.4.3.2.

use std::f64::consts::FRAC_PI_2;

use super::coordinates::Attribute;
use super::earth::Earth;

/// View of the earth from above the equator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpaceView {
    /// Radius at the equator, in metres.
    major: f64,
    /// Square of the ratio of the earth's axes, at least 1.
    flat: f64,
    /// Distance of the camera from the centre of the earth, in metres.
    distance: f64,
    /// Longitude below the camera, in degrees.
    longitude: f64,
}

impl SpaceView {
    /// From the camera's distance from the centre in equatorial radii, above 1, and the longitude below it in degrees.
    #[must_use]
    pub fn new(earth: Earth, radii: f64, longitude: f64) -> Option<Self> {
        (radii > 1.0 && radii.is_finite()).then_some(Self {
            major: earth.major,
            flat: (earth.major / earth.minor).powi(2),
            distance: radii * earth.major,
            longitude,
        })
    }

    /// Height of the camera above the surface, in metres.
    #[must_use]
    pub fn height(&self) -> f64 {
        self.distance - self.major
    }

    pub(super) fn forward(&self, phi: f64, longitude: f64) -> (f64, f64) {
        let (sine, cosine) = (phi.tan() / self.flat).atan().sin_cos();
        let radius = self.major / (cosine * cosine + self.flat * sine * sine).sqrt();
        let (east, along) = (longitude - self.longitude).to_radians().sin_cos();
        let (front, right, up) = (
            radius * cosine * along,
            radius * cosine * east,
            radius * sine,
        );
        // The horizon is where the line of sight touches the ellipsoid.
        if front * self.distance < self.major * self.major {
            return (f64::NAN, f64::NAN);
        }
        let ahead = self.distance - front;
        let height = self.height();
        (
            height * right.atan2(ahead),
            height * up.atan2(ahead.hypot(right)),
        )
    }

    pub(super) fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let height = self.height();
        let (azimuth, elevation) = (x / height, y / height);
        if !(azimuth.abs() < FRAC_PI_2 && elevation.abs() < FRAC_PI_2) {
            return (f64::NAN, f64::NAN);
        }
        let (right, along) = azimuth.sin_cos();
        let (up, level) = elevation.sin_cos();
        let ahead = along * level;
        // Where the line of sight meets the ellipsoid: the nearer root of a quadratic equation.
        let stretch = level * level + self.flat * up * up;
        let middle = self.distance * ahead;
        let root =
            middle * middle - stretch * (self.distance * self.distance - self.major * self.major);
        if root.is_nan() || root < 0.0 {
            return (f64::NAN, f64::NAN);
        }
        let far = (middle - root.sqrt()) / stretch;
        let (front, east, north) = (self.distance - far * ahead, far * right * level, far * up);
        (
            (self.flat * north).atan2(front.hypot(east)).to_degrees(),
            east.atan2(front).to_degrees() + self.longitude,
        )
    }

    pub(super) fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![
            ("grid_mapping_name", Attribute::Text("geostationary")),
            ("latitude_of_projection_origin", Attribute::Number(0.0)),
            (
                "longitude_of_projection_origin",
                Attribute::Number(self.longitude),
            ),
            ("perspective_point_height", Attribute::Number(self.height())),
            ("sweep_angle_axis", Attribute::Text("y")),
        ]
    }
}

//! Lambert's azimuthal projection of equal area.
//!
//! Source: Snyder, as in [`super::projection`], equations (24-*), (3-12) and (3-16).

use std::f64::consts::FRAC_PI_2;

use super::conformal::{CONVERGED, ROUNDS, parallel};
use super::coordinates::Attribute;
use super::earth::Earth;

/// Lambert azimuthal equal area, oblique or polar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Azimuthal {
    e: f64,
    /// q of the pole, Snyder (3-12).
    q_pole: f64,
    /// Radius of the authalic sphere.
    radius: f64,
    /// D of Snyder (24-20).
    ratio: f64,
    /// Sine and cosine of the authalic latitude of the origin.
    origin: (f64, f64),
    centre: (f64, f64),
}

impl Azimuthal {
    /// From latitude and longitude of the centre, in degrees.
    #[must_use]
    pub fn new(earth: Earth, latitude: f64, longitude: f64) -> Option<Self> {
        let e = earth.eccentricity();
        let phi = latitude.to_radians();
        let q_pole = authalic(FRAC_PI_2, e);
        let radius = earth.major * (q_pole / 2.0).sqrt();
        let beta = (authalic(phi, e) / q_pole).clamp(-1.0, 1.0).asin();
        let ratio = if FRAC_PI_2 - phi.abs() < 1e-10 {
            1.0
        } else {
            earth.major * parallel(phi, e) / (radius * beta.cos())
        };
        (radius.is_finite() && ratio.is_finite()).then_some(Self {
            e,
            q_pole,
            radius,
            ratio,
            origin: beta.sin_cos(),
            centre: (latitude, longitude),
        })
    }

    pub(super) fn forward(&self, phi: f64, longitude: f64) -> (f64, f64) {
        let (sine0, cosine0) = self.origin;
        let beta = (authalic(phi, self.e) / self.q_pole)
            .clamp(-1.0, 1.0)
            .asin();
        let (sine, cosine) = beta.sin_cos();
        let (east, along) = (longitude - self.centre.1).to_radians().sin_cos();
        let b = self.radius * (2.0 / (1.0 + sine0 * sine + cosine0 * cosine * along)).sqrt();
        (
            b * self.ratio * cosine * east,
            b / self.ratio * (cosine0 * sine - sine0 * cosine * along),
        )
    }

    pub(super) fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let (sine0, cosine0) = self.origin;
        let rho = (x / self.ratio).hypot(y * self.ratio);
        if rho < 1e-9 {
            return self.centre;
        }
        let (sine_c, cosine_c) = (2.0 * (rho / (2.0 * self.radius)).asin()).sin_cos();
        let north = y * self.ratio * sine_c * cosine0 / rho;
        let phi = latitude_of_authalic(
            self.q_pole * (cosine_c * sine0 + north),
            self.q_pole,
            self.e,
        );
        let theta = (x * sine_c).atan2(
            self.ratio * rho * cosine0 * cosine_c - self.ratio * self.ratio * y * sine0 * sine_c,
        );
        (phi.to_degrees(), theta.to_degrees() + self.centre.1)
    }

    pub(super) fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![
            (
                "grid_mapping_name",
                Attribute::Text("lambert_azimuthal_equal_area"),
            ),
            (
                "latitude_of_projection_origin",
                Attribute::Number(self.centre.0),
            ),
            (
                "longitude_of_projection_origin",
                Attribute::Number(self.centre.1),
            ),
        ]
    }
}

/// Snyder (3-12): q, twice the sine of the latitude on a sphere.
fn authalic(phi: f64, e: f64) -> f64 {
    let sine = phi.sin();
    if e == 0.0 {
        return 2.0 * sine;
    }
    let es = e * sine;
    (1.0 - e * e) * (sine / (1.0 - es * es) - ((1.0 - es) / (1.0 + es)).ln() / (2.0 * e))
}

/// Snyder (3-16): the latitude of a q, by iteration.
fn latitude_of_authalic(q: f64, q_pole: f64, e: f64) -> f64 {
    if (q_pole - q.abs()) < 1e-12 {
        return FRAC_PI_2 * q.signum();
    }
    let mut phi = (q / 2.0).clamp(-1.0, 1.0).asin();
    if e == 0.0 {
        return phi;
    }
    for _ in 0..ROUNDS {
        let w = 1.0 - (e * phi.sin()).powi(2);
        let change = w * w / (2.0 * phi.cos()) * (q - authalic(phi, e)) / (1.0 - e * e);
        phi += change;
        if change.abs() < CONVERGED {
            break;
        }
    }
    phi
}

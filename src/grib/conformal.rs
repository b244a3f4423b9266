//! Conformal projections: Lambert's cone, the polar stereographic plane, Mercator's cylinder.
//!
//! All three are powers of one function of latitude, the isometric tangent t. Source: Snyder, as in [`super::projection`].

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

use super::coordinates::Attribute;
use super::earth::Earth;
use super::projection::within_half_turn;

/// Rounds of the inverse series: each gains a factor of the square of the eccentricity, so 6 suffice for the earth.
pub(super) const ROUNDS: usize = 15;

/// Change of latitude, in radians, below which the inverse has converged.
pub(super) const CONVERGED: f64 = 1e-14;

/// Snyder (14-15): radius of the parallel over the major axis.
pub(super) fn parallel(phi: f64, e: f64) -> f64 {
    phi.cos() / (1.0 - (e * phi.sin()).powi(2)).sqrt()
}

/// Snyder (15-9): the isometric tangent t.
fn tangent(phi: f64, e: f64) -> f64 {
    let sine = e * phi.sin();
    (FRAC_PI_4 - phi / 2.0).tan() / ((1.0 - sine) / (1.0 + sine)).powf(e / 2.0)
}

/// Snyder (7-9): the latitude of an isometric tangent, by iteration.
fn latitude_of_tangent(t: f64, e: f64) -> f64 {
    let mut phi = FRAC_PI_2 - 2.0 * t.atan();
    if e == 0.0 {
        return phi;
    }
    for _ in 0..ROUNDS {
        let sine = e * phi.sin();
        let next = FRAC_PI_2 - 2.0 * (t * ((1.0 - sine) / (1.0 + sine)).powf(e / 2.0)).atan();
        let change = (next - phi).abs();
        phi = next;
        if change < CONVERGED {
            break;
        }
    }
    phi
}

/// Lambert conformal conic with one or two standard parallels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lambert {
    e: f64,
    /// Cone constant.
    n: f64,
    /// Major axis times F of Snyder (15-10).
    scale: f64,
    /// Radius of the parallel of the origin.
    rho_origin: f64,
    central: f64,
    origin: f64,
    parallels: (f64, f64),
}

impl Lambert {
    /// From the standard parallels, the latitude of the origin and the central longitude, in degrees; `None` if the
    /// parallels make no cone.
    #[must_use]
    pub fn new(earth: Earth, parallels: (f64, f64), origin: f64, central: f64) -> Option<Self> {
        let e = earth.eccentricity();
        let (phi1, phi2) = (parallels.0.to_radians(), parallels.1.to_radians());
        let (m1, t1) = (parallel(phi1, e), tangent(phi1, e));
        let n = if (phi1 - phi2).abs() < 1e-10 {
            phi1.sin()
        } else {
            let (m2, t2) = (parallel(phi2, e), tangent(phi2, e));
            (m1.ln() - m2.ln()) / (t1.ln() - t2.ln())
        };
        let scale = earth.major * m1 / (n * t1.powf(n));
        let rho_origin = scale * tangent(origin.to_radians(), e).powf(n);
        let usable = n.abs() > 1e-10 && scale.is_finite() && rho_origin.is_finite();
        usable.then_some(Self {
            e,
            n,
            scale,
            rho_origin,
            central,
            origin,
            parallels,
        })
    }

    pub(super) fn forward(&self, phi: f64, longitude: f64) -> (f64, f64) {
        let rho = self.scale * tangent(phi, self.e).powf(self.n);
        let theta = self.n * within_half_turn(longitude - self.central).to_radians();
        (
            rho * theta.sin(),
            rho.mul_add(-theta.cos(), self.rho_origin),
        )
    }

    pub(super) fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let (side, up) = (self.n.signum(), self.rho_origin - y);
        let rho = side * x.hypot(up);
        let theta = (side * x).atan2(side * up);
        let t = (rho / self.scale).powf(1.0 / self.n);
        (
            latitude_of_tangent(t, self.e).to_degrees(),
            (theta / self.n).to_degrees() + self.central,
        )
    }

    pub(super) fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let (first, second) = self.parallels;
        #[expect(clippy::float_cmp, reason = "as coded: one parallel or two")]
        let parallels = if first == second {
            Attribute::Number(first)
        } else {
            Attribute::Numbers(vec![first, second])
        };
        vec![
            (
                "grid_mapping_name",
                Attribute::Text("lambert_conformal_conic"),
            ),
            ("standard_parallel", parallels),
            (
                "longitude_of_central_meridian",
                Attribute::Number(self.central),
            ),
            (
                "latitude_of_projection_origin",
                Attribute::Number(self.origin),
            ),
        ]
    }
}

/// Polar stereographic, true to scale at one parallel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polar {
    e: f64,
    /// 1 for the north pole, -1 for the south pole.
    side: f64,
    /// Radius over the isometric tangent.
    scale: f64,
    central: f64,
    standard: f64,
}

impl Polar {
    /// From the parallel of true scale and the longitude that points along +y, in degrees.
    #[must_use]
    pub fn new(earth: Earth, south: bool, standard: f64, central: f64) -> Option<Self> {
        let e = earth.eccentricity();
        let phi = standard.abs().to_radians();
        let scale = if FRAC_PI_2 - phi < 1e-10 {
            2.0 * earth.major / ((1.0 + e).powf(1.0 + e) * (1.0 - e).powf(1.0 - e)).sqrt()
        } else {
            earth.major * parallel(phi, e) / tangent(phi, e)
        };
        let side = if south { -1.0 } else { 1.0 };
        (scale.is_finite() && scale > 0.0).then_some(Self {
            e,
            side,
            scale,
            central,
            standard: standard.abs() * side,
        })
    }

    pub(super) fn forward(&self, phi: f64, longitude: f64) -> (f64, f64) {
        let rho = self.scale * tangent(self.side * phi, self.e);
        let theta = (longitude - self.central).to_radians();
        (rho * theta.sin(), -self.side * rho * theta.cos())
    }

    pub(super) fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let t = x.hypot(y) / self.scale;
        let theta = x.atan2(-self.side * y);
        (
            self.side * latitude_of_tangent(t, self.e).to_degrees(),
            theta.to_degrees() + self.central,
        )
    }

    pub(super) fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![
            ("grid_mapping_name", Attribute::Text("polar_stereographic")),
            ("standard_parallel", Attribute::Number(self.standard)),
            (
                "straight_vertical_longitude_from_pole",
                Attribute::Number(self.central),
            ),
            (
                "latitude_of_projection_origin",
                Attribute::Number(90.0 * self.side),
            ),
        ]
    }
}

/// Mercator, true to scale at one parallel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mercator {
    e: f64,
    /// Metres per radian of longitude.
    scale: f64,
    central: f64,
    standard: f64,
}

impl Mercator {
    /// From the parallel of true scale and the longitude of x = 0, in degrees.
    #[must_use]
    pub fn new(earth: Earth, standard: f64, central: f64) -> Option<Self> {
        let e = earth.eccentricity();
        let scale = earth.major * parallel(standard.to_radians(), e);
        (scale.is_finite() && scale > 1.0).then_some(Self {
            e,
            scale,
            central,
            standard,
        })
    }

    /// Degrees of longitude that a distance along x spans.
    #[must_use]
    pub fn span(&self, metres: f64) -> f64 {
        (metres / self.scale).to_degrees()
    }

    pub(super) fn forward(&self, phi: f64, longitude: f64) -> (f64, f64) {
        (
            self.scale * within_half_turn(longitude - self.central).to_radians(),
            -self.scale * tangent(phi, self.e).ln(),
        )
    }

    pub(super) fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let t = (-y / self.scale).exp();
        (
            latitude_of_tangent(t, self.e).to_degrees(),
            self.span(x) + self.central,
        )
    }

    pub(super) fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![
            ("grid_mapping_name", Attribute::Text("mercator")),
            ("standard_parallel", Attribute::Number(self.standard)),
            (
                "longitude_of_projection_origin",
                Attribute::Number(self.central),
            ),
        ]
    }
}

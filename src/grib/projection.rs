//! Map projections of GRIB grids: degrees to metres and back, on a sphere or an ellipsoid.
//!
//! A projected grid is laid out in metres: `forward` places its first point, the increments give the others, `inverse`
//! turns them into latitudes and longitudes. One formula serves both shapes of the earth: with eccentricity 0 the
//! ellipsoidal one is the spherical one.
//!
//! Knows geometry. Knows no octets and no scanning. Source: J. P. Snyder, Map Projections - A Working Manual (USGS
//! Professional Paper 1395), equations (7-*), (14-15), (15-*), (21-*), (24-*), (3-12) to (3-16).

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

use super::coordinates::Attribute;
use super::earth::Earth;

/// Rounds of the inverse series: each gains a factor of the square of the eccentricity, so 6 suffice for the earth.
const ROUNDS: usize = 15;

/// Change of latitude, in radians, below which the inverse has converged.
const CONVERGED: f64 = 1e-14;

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

/// Snyder (14-15): radius of the parallel over the major axis.
fn parallel(phi: f64, e: f64) -> f64 {
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

    fn forward(&self, phi: f64, longitude: f64) -> (f64, f64) {
        let rho = self.scale * tangent(phi, self.e).powf(self.n);
        let theta = self.n * within_half_turn(longitude - self.central).to_radians();
        (
            rho * theta.sin(),
            rho.mul_add(-theta.cos(), self.rho_origin),
        )
    }

    fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let (side, up) = (self.n.signum(), self.rho_origin - y);
        let rho = side * x.hypot(up);
        let theta = (side * x).atan2(side * up);
        let t = (rho / self.scale).powf(1.0 / self.n);
        (
            latitude_of_tangent(t, self.e).to_degrees(),
            (theta / self.n).to_degrees() + self.central,
        )
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
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

    fn forward(&self, phi: f64, longitude: f64) -> (f64, f64) {
        let rho = self.scale * tangent(self.side * phi, self.e);
        let theta = (longitude - self.central).to_radians();
        (rho * theta.sin(), -self.side * rho * theta.cos())
    }

    fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let t = x.hypot(y) / self.scale;
        let theta = x.atan2(-self.side * y);
        (
            self.side * latitude_of_tangent(t, self.e).to_degrees(),
            theta.to_degrees() + self.central,
        )
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
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

    fn forward(&self, phi: f64, longitude: f64) -> (f64, f64) {
        (
            self.scale * within_half_turn(longitude - self.central).to_radians(),
            -self.scale * tangent(phi, self.e).ln(),
        )
    }

    fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
        let t = (-y / self.scale).exp();
        (
            latitude_of_tangent(t, self.e).to_degrees(),
            self.span(x) + self.central,
        )
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
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

    fn forward(&self, phi: f64, longitude: f64) -> (f64, f64) {
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

    fn inverse(&self, x: f64, y: f64) -> (f64, f64) {
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

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
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
mod tests {
    use super::*;

    const WGS84: Earth = Earth {
        shape: 5,
        major: 6_378_137.0,
        minor: 6_356_752.314_245,
    };
    const SPHERE: Earth = Earth {
        shape: 6,
        major: 6_371_229.0,
        minor: 6_371_229.0,
    };

    fn all(earth: Earth) -> Vec<Projection> {
        vec![
            Projection::Lambert(Lambert::new(earth, (38.5, 38.5), 38.5, 262.5).unwrap()),
            Projection::Lambert(Lambert::new(earth, (49.8, 51.2), 49.8, 4.4).unwrap()),
            Projection::Lambert(Lambert::new(earth, (-30.0, -50.0), -40.0, 150.0).unwrap()),
            Projection::Polar(Polar::new(earth, false, 60.0, 249.0).unwrap()),
            Projection::Polar(Polar::new(earth, false, 90.0, -30.0).unwrap()),
            Projection::Polar(Polar::new(earth, true, -71.0, 0.0).unwrap()),
            Projection::Mercator(Mercator::new(earth, 20.0, 200.0).unwrap()),
            Projection::Azimuthal(Azimuthal::new(earth, 52.0, 10.0).unwrap()),
            Projection::Azimuthal(Azimuthal::new(earth, 90.0, 0.0).unwrap()),
            Projection::Azimuthal(Azimuthal::new(earth, -90.0, 20.0).unwrap()),
            Projection::Azimuthal(Azimuthal::new(earth, 0.0, 20.0).unwrap()),
        ]
    }

    #[test]
    fn forward_and_inverse_agree() {
        for earth in [SPHERE, WGS84] {
            for projection in all(earth) {
                for latitude in [-61.0, -12.3, 0.5, 33.0, 71.9] {
                    for longitude in [-120.0, 3.0, 100.5, 251.0] {
                        let (x, y) = projection.forward(latitude, longitude);
                        let (north, east) = projection.inverse(x, y);
                        let turn = within_half_turn(east - longitude);
                        let close = (north - latitude).abs() < 1e-9 && turn.abs() < 1e-9;
                        assert!(
                            close,
                            "{projection:?} {latitude} {longitude}: {north} {east}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn published_examples_hold() {
        // Snyder's numerical examples on the Clarke 1866 ellipsoid, pages 296, 314 and 333.
        let clarke = Earth {
            shape: 7,
            major: 6_378_206.4,
            minor: 6_356_583.8,
        };
        let near = |found: (f64, f64), x: f64, y: f64| {
            assert!(
                (found.0 - x).abs() < 0.2 && (found.1 - y).abs() < 0.2,
                "{found:?}"
            );
        };
        let lambert = Lambert::new(clarke, (33.0, 45.0), 23.0, -96.0).unwrap();
        near(
            Projection::Lambert(lambert).forward(35.0, -75.0),
            1_894_410.9,
            1_564_649.5,
        );
        let azimuthal = Azimuthal::new(clarke, 40.0, -100.0).unwrap();
        near(
            Projection::Azimuthal(azimuthal).forward(30.0, -110.0),
            -965_932.1,
            -1_056_814.9,
        );
    }

    #[test]
    fn rotation_by_nothing_is_nothing() {
        let rotation = Rotation {
            south_latitude: -90.0,
            south_longitude: 0.0,
        };
        let (latitude, longitude) = rotation.inverse(30.0, 77.0);
        assert!((latitude - 30.0).abs() < 1e-12 && (longitude - 77.0).abs() < 1e-12);
    }

    #[test]
    fn rotation_keeps_distances_and_moves_the_pole() {
        let rotation = Rotation {
            south_latitude: -36.088_52,
            south_longitude: 245.305_142,
        };
        // The rotated frame's own southern pole, and its origin: 90 degrees north of it on the same meridian.
        let (latitude, longitude) = rotation.inverse(-90.0, 0.0);
        assert!((latitude + 36.088_52).abs() < 1e-9);
        assert!(within_half_turn(longitude - 245.305_142).abs() < 1e-9);
        let (latitude, longitude) = rotation.inverse(0.0, 0.0);
        assert!((latitude - 53.911_48).abs() < 1e-9);
        assert!(within_half_turn(longitude - 245.305_142).abs() < 1e-9);
        // East in the frame is east on the earth along that meridian.
        let (_, east) = rotation.inverse(0.0, 1.0);
        assert!(within_half_turn(east - 245.305_142) > 0.0);
        let unit = |(latitude, longitude): (f64, f64)| {
            let (z, flat) = latitude.to_radians().sin_cos();
            let (y, x) = longitude.to_radians().sin_cos();
            [flat * x, flat * y, z]
        };
        let cosine = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (p, q) = ((12.0, -30.0), (-41.0, 77.0));
        let moved = cosine(
            unit(rotation.inverse(p.0, p.1)),
            unit(rotation.inverse(q.0, q.1)),
        );
        assert!((moved - cosine(unit(p), unit(q))).abs() < 1e-14);
    }

    #[test]
    fn what_makes_no_projection_is_refused() {
        assert_eq!(Lambert::new(SPHERE, (0.0, 0.0), 0.0, 0.0), None);
        assert_eq!(Lambert::new(SPHERE, (30.0, -30.0), 0.0, 0.0), None);
        assert_eq!(Mercator::new(SPHERE, 90.0, 0.0), None);
    }
}

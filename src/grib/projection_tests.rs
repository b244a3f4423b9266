//! Unit tests of projections and of the rotated pole.

use super::*;
use crate::grib::earth::Earth;

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

/// What is in sight comes back, what is behind the horizon has no place on the plane, and beside the disc there is no earth.
#[test]
fn a_satellite_sees_less_than_half_of_the_earth() {
    for earth in [SPHERE, WGS84] {
        let view = SpaceView::new(earth, 6.6107, 9.5).unwrap();
        let height = view.height();
        let view = Projection::SpaceView(view);
        for (latitude, longitude) in [(0.0, 9.5), (80.0, 9.5), (-45.0, 50.0), (12.0, -60.0)] {
            let (x, y) = view.forward(latitude, longitude);
            let (north, east) = view.inverse(x, y);
            let close = (north - latitude).abs() < 1e-8 && (east - longitude).abs() < 1e-8;
            assert!(close, "{latitude} {longitude}: {north} {east}");
        }
        for (latitude, longitude) in [(82.0, 9.5), (0.0, 92.0), (0.0, 189.5), (90.0, 0.0)] {
            let (x, y) = view.forward(latitude, longitude);
            assert!(x.is_nan() && y.is_nan(), "{latitude} {longitude}");
        }
        for (x, y) in [
            (0.16, 0.0),
            (0.0, -0.16),
            (0.12, 0.12),
            (2.0, 0.0),
            (3.1, 3.1),
        ] {
            let (north, east) = view.inverse(x * height, y * height);
            assert!(north.is_nan() && east.is_nan(), "{x} {y}");
        }
        assert_eq!(SpaceView::new(earth, 1.0, 0.0), None);
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

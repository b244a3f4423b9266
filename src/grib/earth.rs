//! The shape of the earth that a grid is laid on (section 3, octets 15 to 30; Code Table 3.2).

use super::bytes::Octets;

/// A sphere or an ellipsoid of revolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Earth {
    /// Code Table 3.2.
    pub shape: u8,
    /// Radius at the equator, in metres.
    pub major: f64,
    /// Radius at the poles, in metres; equal to `major` for a sphere.
    pub minor: f64,
}

impl Earth {
    /// Reads octets 15 to 30 of section 3; `None` for a shape that is not known or a radius that is missing or silly.
    #[must_use]
    pub fn parse(section3: Octets<'_>) -> Option<Self> {
        let shape = section3.u8(15)?;
        let length = |at: usize| scaled_length(section3, at);
        let (major, minor) = match shape {
            0 => (6_367_470.0, 6_367_470.0),
            1 => {
                let radius = length(16)?;
                (radius, radius)
            }
            2 => (6_378_160.0, 6_356_775.0),
            3 => (length(21)? * 1000.0, length(26)? * 1000.0),
            4 => (6_378_137.0, flattened(6_378_137.0, 298.257_222_101)),
            5 => (6_378_137.0, flattened(6_378_137.0, 298.257_223_563)),
            6 => (6_371_229.0, 6_371_229.0),
            7 => (length(21)?, length(26)?),
            8 => (6_371_200.0, 6_371_200.0),
            9 => (6_377_563.396, 6_356_256.909),
            _ => return None,
        };
        // A hundredth to a hundred times the earth, and at most as flat again as Saturn: other planets pass, units that are
        // wrong by a thousand do not, nor a lens for which no series of the projections converges.
        let plausible = (6.3e4..6.4e8).contains(&major) && minor <= major && minor >= 0.8 * major;
        plausible.then_some(Self {
            shape,
            major,
            minor,
        })
    }

    /// Whether it is a sphere.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "both axes of a sphere are one number")]
    pub fn is_sphere(self) -> bool {
        self.major == self.minor
    }

    /// First eccentricity, 0 for a sphere.
    #[must_use]
    pub fn eccentricity(self) -> f64 {
        let ratio = self.minor / self.major;
        ratio.mul_add(-ratio, 1.0).max(0.0).sqrt()
    }
}

fn flattened(major: f64, inverse: f64) -> f64 {
    major * (1.0 - 1.0 / inverse)
}

/// Scale factor and value of a length; `None` if missing.
fn scaled_length(section3: Octets<'_>, at: usize) -> Option<f64> {
    let (factor, value) = (section3.u8(at)?, section3.u32(at + 1)?);
    if factor == u8::MAX || value == u32::MAX {
        return None;
    }
    Some(f64::from(value) / 10_f64.powi(i32::from(section3.i8(at)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earth(octets: &[u8]) -> Option<Earth> {
        let mut section = vec![0; 30];
        section[14..14 + octets.len()].copy_from_slice(octets);
        Earth::parse(Octets(&section))
    }

    #[test]
    fn shapes_have_radii() {
        assert_eq!(earth(&[6]).map(|earth| earth.major), Some(6_371_229.0));
        let sphere = earth(&[1, 1, 0x03, 0xcc, 0x2b, 0x00]).unwrap();
        assert_eq!((sphere.major, sphere.is_sphere()), (6_371_200.0, true));
        let wgs84 = earth(&[5]).unwrap();
        assert!((wgs84.minor - 6_356_752.314_245).abs() < 1e-6);
        assert!((wgs84.eccentricity() - 0.081_819_190_842_6).abs() < 1e-12);
        let bessel = [
            7, 255, 255, 255, 255, 255, 2, 0x26, 0x03, 0x22, 0xc4, 2, 0x25, 0xe2, 0x9b, 0x58,
        ];
        assert_eq!(earth(&bessel).map(|earth| earth.minor), Some(6_356_078.96));
    }

    #[test]
    fn radii_that_are_not_there_are_refused() {
        assert_eq!(earth(&[1, 255, 255, 255, 255, 255]), None);
        assert_eq!(earth(&[1, 0, 0, 0, 0, 0]), None);
        assert_eq!(earth(&[3]), None);
        assert_eq!(earth(&[77]), None);
    }

    /// Latitudes of 184 degrees came from an ellipsoid that is four times as wide as it is high.
    #[test]
    fn a_lens_is_no_earth() {
        let lens = [
            7, 255, 255, 255, 255, 255, 2, 0xa3, 0x03, 0x22, 0xc4, 2, 0x25, 0xe2, 0x9b, 0x58,
        ];
        assert_eq!(earth(&lens), None);
    }
}

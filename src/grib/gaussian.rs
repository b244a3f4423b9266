//! Latitudes of Gaussian grids: the arcsines of the roots of a Legendre polynomial.

use std::f64::consts::PI;

/// Most parallels between pole and equator that are taken: the work grows with their square.
pub const MAX_PARALLELS: u32 = 16_384;

/// The `2 n` latitudes of a Gaussian grid of `n` parallels between pole and equator, in degrees, from north to south.
/// Empty above [`MAX_PARALLELS`].
///
/// Newton's method on P(2n), started from the asymptotic estimate; converges to a few units in the last place.
#[must_use]
pub fn latitudes(n: u32) -> Vec<f64> {
    if n > MAX_PARALLELS {
        return Vec::new();
    }
    let degree = 2 * n;
    let north: Vec<f64> = (1..=n)
        .map(|k| root(degree, k).asin().to_degrees())
        .collect();
    let south: Vec<f64> = north.iter().rev().map(|latitude| -latitude).collect();
    [north, south].concat()
}

/// The k-th root of the Legendre polynomial of a degree, counted from 1 at the largest.
fn root(degree: u32, k: u32) -> f64 {
    let d = f64::from(degree);
    let theta = PI * (f64::from(k) - 0.25) / (d + 0.5);
    let mut x = (1.0 - (d - 1.0) / (8.0 * d * d * d)) * theta.cos();
    for _ in 0..10 {
        let (value, before) = legendre(degree, x);
        let slope = d * (before - x * value) / (1.0 - x * x);
        let change = value / slope;
        x -= change;
        if change.abs() < 1e-15 {
            break;
        }
    }
    x
}

/// P(degree) and P(degree - 1) at x, by the recurrence.
fn legendre(degree: u32, x: f64) -> (f64, f64) {
    let (mut value, mut before) = (x, 1.0);
    for j in 2..=degree {
        let j = f64::from(j);
        let next = ((2.0 * j - 1.0) * x * value - (j - 1.0) * before) / j;
        (before, value) = (value, next);
    }
    (value, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_latitudes_come_out() {
        let n32 = latitudes(32);
        assert_eq!(n32.len(), 64);
        assert!((n32[0] - 87.863_798_839_232_63).abs() < 1e-12);
        assert!((n32[1] - 85.096_526_988_317_3).abs() < 1e-12);
        assert!((n32[63] + 87.863_798_839_232_63).abs() < 1e-12);
        let n1280 = latitudes(1280);
        assert!(n1280.windows(2).all(|pair| pair[0] > pair[1]));
        assert!((n1280[0] - 89.946_187_715_665_6).abs() < 1e-10);
    }

    #[test]
    fn work_is_bounded() {
        assert!(latitudes(u32::MAX).is_empty());
        assert!(latitudes(0).is_empty());
    }
}

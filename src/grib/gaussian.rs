//! Latitudes of Gaussian grids: the arcsines of the roots of a Legendre polynomial.

use std::f64::consts::PI;

/// Most parallels between pole and equator that are taken: the work grows with their square, half a second for so many.
/// The largest grids in use have 2560.
pub const MAX_PARALLELS: u32 = 8_000;

/// Roots worked out side by side: the recurrence waits for its own results, so one alone would leave the processor idle.
const LANES: usize = 8;

/// The `2 n` latitudes of a Gaussian grid of `n` parallels between pole and equator, in degrees, from north to south.
/// Empty above [`MAX_PARALLELS`].
///
/// Newton's method on P(2n), started from the asymptotic estimate; good to a few units in the last place.
#[must_use]
pub fn latitudes(n: u32) -> Vec<f64> {
    if n > MAX_PARALLELS {
        return Vec::new();
    }
    let recurrence = recurrence(2 * n);
    let mut roots: Vec<f64> = (1..=n).map(|k| estimate(2 * n, k)).collect();
    for block in roots.chunks_mut(LANES) {
        // A short last block is filled up with its own first root.
        let mut lanes = [block.first().copied().unwrap_or(0.0); LANES];
        for (lane, root) in lanes.iter_mut().zip(block.iter()) {
            *lane = *root;
        }
        refine(&mut lanes, &recurrence);
        for (root, lane) in block.iter_mut().zip(lanes) {
            *root = lane;
        }
    }
    let north: Vec<f64> = roots.iter().map(|root| root.asin().to_degrees()).collect();
    let south: Vec<f64> = north.iter().rev().map(|latitude| -latitude).collect();
    [north, south].concat()
}

/// Where the k-th root of the Legendre polynomial of a degree lies, about; k = 1 is the largest.
fn estimate(degree: u32, k: u32) -> f64 {
    let d = f64::from(degree);
    let theta = PI * (f64::from(k) - 0.25) / (d + 0.5);
    (1.0 - (d - 1.0) / (8.0 * d * d * d)) * theta.cos()
}

/// Factors of the recurrence j P(j) = (2j - 1) x P(j - 1) - (j - 1) P(j - 2), for j from 2, divided by j.
fn recurrence(degree: u32) -> Vec<(f64, f64)> {
    (2..=degree)
        .map(|j| {
            let j = f64::from(j);
            ((2.0 * j - 1.0) / j, (j - 1.0) / j)
        })
        .collect()
}

/// Newton's method on all lanes until the next step would change nothing.
fn refine(lanes: &mut [f64; LANES], recurrence: &[(f64, f64)]) {
    let degree = recurrence.iter().fold(1.0, |count, _| count + 1.0);
    for _ in 0..10 {
        let (values, before) = legendre(lanes, recurrence);
        let mut left = 0.0_f64;
        for ((x, value), before) in lanes.iter_mut().zip(values).zip(before) {
            let flat = 1.0 - *x * *x;
            let change = value * flat / (degree * (before - *x * value));
            // What Newton's method leaves: half the square of the change times P'' / P' = 2x / (1 - x^2).
            left = left.max(change * change * x.abs() / flat);
            *x -= change;
        }
        if left < 1e-17 {
            break;
        }
    }
}

/// P(degree) and P(degree - 1) at each lane.
fn legendre(x: &[f64; LANES], recurrence: &[(f64, f64)]) -> ([f64; LANES], [f64; LANES]) {
    let (mut value, mut before) = (*x, [1.0; LANES]);
    for (forward, back) in recurrence {
        for ((x, value), before) in x.iter().zip(&mut value).zip(&mut before) {
            let next = forward * x * *value - back * *before;
            (*before, *value) = (*value, next);
        }
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
        assert_eq!(latitudes(MAX_PARALLELS).len(), 16_000);
        assert!(latitudes(u32::MAX).is_empty());
        assert!(latitudes(0).is_empty());
    }
}

//! Time-like axes: values, and their completion to a regular cadence.

/// Largest growth that completing an axis may cause: beyond it, the moments that exist stand alone.
const MOST_SLOTS_PER_VALUE: usize = 16;

/// All moments from the first to the last at the cadence of those given (the greatest common divisor of their distances), so that
/// a late run has a slot waiting. Moments too sparse for that (a few runs of different years) stay as they are.
///
/// `values` are seconds, ascending, without repetition; so is the result, and it holds all of them.
pub(super) fn at_cadence(values: &[i64]) -> Vec<i64> {
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return Vec::new();
    };
    let cadence = values.windows(2).fold(0, |cadence, pair| match pair {
        [a, b] => gcd(cadence, b.abs_diff(*a)),
        _ => cadence,
    });
    let slots = last
        .abs_diff(*first)
        .checked_div(cadence)
        .map_or(1, |steps| steps.saturating_add(1));
    let most = u64::try_from(values.len().saturating_mul(MOST_SLOTS_PER_VALUE)).unwrap_or(u64::MAX);
    match (slots <= most, i64::try_from(cadence)) {
        (true, Ok(cadence)) if cadence > 0 => {
            std::iter::successors(Some(*first), |at| at.checked_add(cadence))
                .take_while(|at| at <= last)
                .collect()
        }
        _ => values.to_vec(),
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::at_cadence;

    #[test]
    fn missing_moments_get_their_slots() {
        assert_eq!(at_cadence(&[0, 6, 18]), [0, 6, 12, 18]);
        assert_eq!(at_cadence(&[7]), [7]);
        assert!(at_cadence(&[]).is_empty());
    }

    #[test]
    fn sparse_moments_stand_alone() {
        assert_eq!(at_cadence(&[0, 1, 1_000_000]), [0, 1, 1_000_000]);
    }
}

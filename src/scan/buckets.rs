//! Accumulations: which windows count from the start of the run, and which are buckets of what reset period.
//!
//! GFS writes `18-21 hour acc` and `0-21 hour acc` side by side: a bucket that is reset every 6 hours and the run total. NBM writes
//! windows of 1, 6, 12 and 24 hours for one end. Which a message is becomes part of its kind, so that the two never share an array.

use std::collections::{BTreeSet, HashMap};

use super::builder::Builder;
use crate::grib::identity::Identity;
use crate::table::row::Kind;
use crate::time::Window;

/// Code Table 4.10: accumulation.
const ACCUMULATION: u8 = 1;

/// Writes the bucket of every accumulation into its row's kind.
pub(super) fn assign(builder: &mut Builder) {
    let accumulations: Vec<Option<Quantity>> =
        builder.table().kinds.iter().map(Quantity::of).collect();
    let mut windows: HashMap<&Quantity, BTreeSet<Window>> = HashMap::new();
    for row in &builder.table().rows {
        if let Some(Some(quantity)) = accumulations.get(row.kind as usize)
            && row.window.start > 0
        {
            windows.entry(quantity).or_default().insert(row.window);
        }
    }
    let rules: HashMap<&Quantity, Rule> = windows
        .iter()
        .map(|(quantity, windows)| (*quantity, Rule::of(windows)))
        .collect();
    let mut rows = std::mem::take(builder.rows_mut());
    let mut known: HashMap<(u32, i64), u32> = HashMap::new();
    for row in &mut rows {
        let Some(Some(quantity)) = accumulations.get(row.kind as usize) else {
            continue;
        };
        let bucket = if row.window.start <= 0 {
            0
        } else {
            rules
                .get(quantity)
                .map_or(row.window.length(), |rule| rule.period(row.window))
        };
        if let Some(kind) = known.get(&(row.kind, bucket)) {
            row.kind = *kind;
        } else if let Some(kind) = builder.table().kinds.get(row.kind as usize).cloned() {
            let of_bucket = builder.kind(Kind {
                bucket_seconds: Some(bucket),
                ..kind
            });
            known.insert((row.kind, bucket), of_bucket);
            row.kind = of_bucket;
        }
    }
    *builder.rows_mut() = rows;
}

/// An accumulated quantity on a grid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Quantity {
    identity: Identity,
    grid: Option<u32>,
}

impl Quantity {
    fn of(kind: &Kind) -> Option<Self> {
        let identity = kind
            .identity
            .clone()
            .filter(|identity| identity.statistic == Some(ACCUMULATION))?;
        Some(Self {
            identity,
            grid: kind.grid,
        })
    }
}

/// How windows that do not begin with the run are told apart.
#[derive(Debug, PartialEq, Eq)]
enum Rule {
    /// Buckets that are reset at multiples of this period.
    Reset(i64),
    /// Several windows end together: each length is a bucket of its own.
    ByLength,
}

impl Rule {
    fn of(windows: &BTreeSet<Window>) -> Self {
        let mut ends = BTreeSet::new();
        if windows.iter().any(|window| !ends.insert(window.end)) {
            return Self::ByLength;
        }
        let period = windows
            .iter()
            .fold(0, |period, window| gcd(period, window.start));
        if period > 0 && windows.iter().all(|window| window.length() <= period) {
            Self::Reset(period)
        } else {
            Self::ByLength
        }
    }

    fn period(&self, window: Window) -> i64 {
        match self {
            Self::Reset(period) => *period,
            Self::ByLength => window.length(),
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(windows: &[(i64, i64)]) -> Rule {
        Rule::of(
            &windows
                .iter()
                .map(|(start, end)| Window {
                    start: start * 3600,
                    end: end * 3600,
                })
                .collect(),
        )
    }

    #[test]
    fn gfs_buckets_are_reset_every_six_hours() {
        assert_eq!(
            rule(&[(6, 7), (6, 9), (12, 15), (12, 18)]),
            Rule::Reset(6 * 3600)
        );
    }

    #[test]
    fn hrrr_buckets_are_hourly() {
        assert_eq!(rule(&[(1, 2), (2, 3), (23, 24)]), Rule::Reset(3600));
    }

    #[test]
    fn windows_that_end_together_are_told_by_length() {
        assert_eq!(rule(&[(23, 24), (18, 24), (12, 24)]), Rule::ByLength);
    }

    #[test]
    fn windows_longer_than_their_distance_are_told_by_length() {
        assert_eq!(rule(&[(6, 30), (12, 36)]), Rule::ByLength);
    }
}

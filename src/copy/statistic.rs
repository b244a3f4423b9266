//! Statistics over the members of an ensemble: their names, and the arithmetic.
//!
//! Members come in the order of their numbers and all arithmetic is in 64 bits, whatever the order in which messages arrive, so the same
//! command always writes the same bytes. Each number equals numpy's over float64 values along the first axis, rounded to float32 at the end:
//! `mean`, `std` (of the population, `ddof=0`), `min`, `max`, `median`, `percentile` (linear). Members without a value at a point are
//! left out there, as by `nanmean` and its kin; where no member has one the result is NaN.

use std::fmt;
use std::str::FromStr;

/// A comparison with a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

/// A statistic over members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// Arithmetic mean.
    Mean,
    /// Standard deviation of the population: numpy's with `ddof=0`.
    Std,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// The middle value, or the mean of the two middle ones.
    Median,
    /// How many members have a value.
    Count,
    /// Percentile, 0 to 100, interpolated linearly between the two nearest members.
    Percentile(f64),
    /// The part of the members, 0 to 1, whose value compares so with a threshold in the array's units, as float32.
    Probability(Comparison, f32),
}

/// A text that names no statistic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no statistic: mean, std, min, max, median, count, p10 (0 to 100), 'prob>25', 'prob>=25', 'prob<25', 'prob<=25'"
)]
pub struct StatisticError(String);

impl FromStr for Statistic {
    type Err = StatisticError;

    fn from_str(text: &str) -> Result<Self, StatisticError> {
        let wrong = || StatisticError(text.to_owned());
        match text {
            "mean" => return Ok(Self::Mean),
            "std" => return Ok(Self::Std),
            "min" => return Ok(Self::Min),
            "max" => return Ok(Self::Max),
            "median" => return Ok(Self::Median),
            "count" => return Ok(Self::Count),
            _ => {}
        }
        if let Some(rest) = text.strip_prefix("prob") {
            let signs = [
                (">=", Comparison::GreaterOrEqual),
                ("<=", Comparison::LessOrEqual),
                (">", Comparison::Greater),
                ("<", Comparison::Less),
            ];
            let found = signs
                .into_iter()
                .find_map(|(sign, comparison)| Some((rest.strip_prefix(sign)?, comparison)));
            let (number, comparison) = found.ok_or_else(wrong)?;
            let threshold = number.trim().parse::<f32>().ok();
            let threshold = threshold.filter(|threshold| threshold.is_finite());
            // -0 compares as 0 does.
            return threshold
                .map(|threshold| Self::Probability(comparison, threshold + 0.0))
                .ok_or_else(wrong);
        }
        let number = text.strip_prefix('p').ok_or_else(wrong)?;
        let is_plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let percent = number.parse::<f64>().ok().filter(|_| is_plain);
        percent
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(Self::Percentile)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean => f.write_str("mean"),
            Self::Std => f.write_str("std"),
            Self::Min => f.write_str("min"),
            Self::Max => f.write_str("max"),
            Self::Median => f.write_str("median"),
            Self::Count => f.write_str("count"),
            Self::Percentile(percent) => write!(f, "p{percent}"),
            Self::Probability(comparison, threshold) => {
                write!(f, "prob{}{threshold}", comparison.sign())
            }
        }
    }
}

impl Comparison {
    const fn sign(self) -> &'static str {
        match self {
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
        }
    }

    fn holds(self, value: f32, threshold: f32) -> bool {
        match self {
            Self::Greater => value > threshold,
            Self::GreaterOrEqual => value >= threshold,
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
        }
    }
}

impl Statistic {
    /// The statistic as a part of a name: letters, digits and `_` alone. `prob_gt_25`, `p2_5`, `prob_lt_m0_5` (below -0.5).
    pub(super) fn name(self) -> String {
        let text = match self {
            Self::Probability(comparison, threshold) => {
                format!("prob_{}_{threshold}", comparison.word())
            }
            Self::Mean
            | Self::Std
            | Self::Min
            | Self::Max
            | Self::Median
            | Self::Count
            | Self::Percentile(_) => self.to_string(),
        };
        text.replace('.', "_").replace('-', "m")
    }

    /// What it is, in words.
    pub(super) fn words(self) -> String {
        match self {
            Self::Mean => "mean".to_owned(),
            Self::Std => "standard deviation".to_owned(),
            Self::Min => "minimum".to_owned(),
            Self::Max => "maximum".to_owned(),
            Self::Median => "median".to_owned(),
            Self::Count => "members with a value".to_owned(),
            Self::Percentile(percent) => format!("percentile {percent}"),
            Self::Probability(comparison, threshold) => {
                format!("probability of {} {threshold}", comparison.sign())
            }
        }
    }

    /// The method as CF has it (appendix E), which knows no percentiles and no probabilities.
    pub(super) const fn cell_method(self) -> Option<&'static str> {
        match self {
            Self::Mean => Some("mean"),
            Self::Std => Some("standard_deviation"),
            Self::Min => Some("minimum"),
            Self::Max => Some("maximum"),
            Self::Median => Some("median"),
            Self::Count | Self::Percentile(_) | Self::Probability(..) => None,
        }
    }

    /// Whether the result is a number of its own kind rather than one in the array's units.
    pub(super) const fn is_pure(self) -> bool {
        matches!(self, Self::Count | Self::Probability(..))
    }

    const fn needs_order(self) -> bool {
        matches!(self, Self::Median | Self::Percentile(_))
    }
}

/// Reads `mean,p10,prob>25`.
///
/// # Errors
/// What is wrong with it, for people.
pub fn statistics(text: &str) -> Result<Vec<Statistic>, String> {
    let mut all: Vec<Statistic> = Vec::new();
    for part in text.split(',') {
        let statistic: Statistic = part.trim().parse().map_err(|error| format!("{error}"))?;
        if all.contains(&statistic) {
            return Err(format!("{statistic} stands there twice"));
        }
        all.push(statistic);
    }
    Ok(all)
}

/// Statistics of each point: `members` are the values of all members in order, `out` has a place for each of `statistics`, all of one length.
#[expect(
    clippy::cast_possible_truncation,
    reason = "results are float32 as the values are"
)]
pub(super) fn summarise(members: &[Vec<f32>], statistics: &[Statistic], out: &mut [&mut [f32]]) {
    let points = members.iter().map(Vec::len).min().unwrap_or(0);
    let ordered = statistics.iter().any(|statistic| statistic.needs_order());
    let mut column: Vec<f32> = Vec::with_capacity(members.len());
    let mut sorted: Vec<f32> = Vec::new();
    for point in 0..points {
        column.clear();
        let values = members.iter().filter_map(|member| member.get(point));
        column.extend(values.filter(|value| !value.is_nan()));
        if ordered {
            sorted.clone_from(&column);
            sorted.sort_unstable_by(f32::total_cmp);
        }
        for (statistic, out) in statistics.iter().zip(out.iter_mut()) {
            if let Some(place) = out.get_mut(point) {
                *place = of_column(*statistic, &column, &sorted) as f32;
            }
        }
    }
}

/// A statistic of values of which none is NaN; `sorted` holds them in order, where that is needed.
fn of_column(statistic: Statistic, column: &[f32], sorted: &[f32]) -> f64 {
    let count = column.len() as f64;
    if let Statistic::Count = statistic {
        return count;
    }
    if column.is_empty() {
        return f64::NAN;
    }
    let at = |index: usize| sorted.get(index).copied().map_or(f64::NAN, f64::from);
    match statistic {
        Statistic::Count => count,
        Statistic::Mean => mean(column),
        Statistic::Std => {
            let mean = mean(column);
            let squares = column.iter().map(|value| {
                let off = f64::from(*value) - mean;
                off * off
            });
            (squares.fold(0.0, |sum, square| sum + square) / count).sqrt()
        }
        Statistic::Min => f64::from(column.iter().copied().fold(f32::INFINITY, f32::min)),
        Statistic::Max => f64::from(column.iter().copied().fold(f32::NEG_INFINITY, f32::max)),
        Statistic::Median => {
            let middle = sorted.len() / 2;
            if sorted.len() % 2 == 1 {
                at(middle)
            } else {
                f64::midpoint(at(middle - 1), at(middle))
            }
        }
        Statistic::Percentile(percent) => {
            let place = (sorted.len() - 1) as f64 * (percent / 100.0);
            let below = place.floor();
            let along = place - below;
            let first = index(below);
            if first + 1 >= sorted.len() {
                return at(sorted.len() - 1);
            }
            let (a, b) = (at(first), at(first + 1));
            // As numpy: from the nearer end, so that both ends are met exactly.
            if along >= 0.5 {
                b - (b - a) * (1.0 - along)
            } else {
                a + (b - a) * along
            }
        }
        Statistic::Probability(comparison, threshold) => {
            let holds = |value: &&f32| comparison.holds(**value, threshold);
            column.iter().filter(holds).count() as f64 / count
        }
    }
}

fn mean(column: &[f32]) -> f64 {
    let sum = column
        .iter()
        .fold(0.0, |sum, value| sum + f64::from(*value));
    sum / column.len() as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole, not negative, and below the count of members"
)]
const fn index(whole: f64) -> usize {
    whole as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, column: &[f32]) -> f32 {
        let members: Vec<Vec<f32>> = column.iter().map(|value| vec![*value]).collect();
        let mut out = [0.0];
        summarise(&members, &statistics(text).unwrap(), &mut [&mut out]);
        out[0]
    }

    #[test]
    fn statistics_are_those_of_numpy() {
        // numpy.mean, std, median, percentile of these as float64.
        let column = [3.0, 1.0, 4.0, 1.5, 9.0];
        for (text, wanted) in [
            ("mean", 3.7),
            ("std", 2.856_571_4),
            ("min", 1.0),
            ("max", 9.0),
            ("median", 3.0),
            ("p0", 1.0),
            ("p10", 1.2),
            ("p37.5", 2.25),
            ("p90", 7.0),
            ("p100", 9.0),
            ("count", 5.0),
            ("prob>3", 0.4),
            ("prob>=3", 0.6),
            ("prob<3", 0.4),
            ("prob<=3", 0.6),
        ] {
            assert_eq!(of(text, &column).to_bits(), f32::to_bits(wanted), "{text}");
        }
        assert_eq!(of("median", &[2.0, 8.0, 4.0, 3.0]), 3.5);
        assert_eq!(of("std", &[2.0]), 0.0);
        assert_eq!(of("p99.9", &[7.0]), 7.0);
    }

    #[test]
    fn members_without_a_value_are_left_out_and_none_gives_none() {
        let column = [f32::NAN, 2.0, 4.0, f32::NAN];
        for (text, wanted) in [
            ("mean", 3.0),
            ("std", 1.0),
            ("min", 2.0),
            ("max", 4.0),
            ("p50", 3.0),
            ("prob>3", 0.5),
            ("count", 2.0),
        ] {
            assert_eq!(of(text, &column), wanted, "{text}");
            let none = of(text, &[f32::NAN, f32::NAN]);
            assert!(none.is_nan() != (text == "count"), "{text}");
        }
        assert_eq!(of("count", &[f32::NAN]), 0.0);
    }

    #[test]
    fn a_threshold_is_compared_as_the_values_are_kept() {
        // 0.7 as float32 is less than 0.7 as float64.
        assert_eq!(of("prob>=0.7", &[0.7, 0.5]), 0.5);
        assert_eq!(of("prob>0.7", &[0.7, 0.5]), 0.0);
        assert_eq!(of("prob<-1.5", &[-2.0, 0.0, 1.0, 2.0]), 0.25);
    }

    #[test]
    fn lists_are_read_and_named() {
        let all = statistics("mean, p2.5,prob>25,prob<=-0.5,prob>=0.10,count").unwrap();
        let names: Vec<String> = all.iter().map(|one| one.name()).collect();
        assert_eq!(
            names,
            [
                "mean",
                "p2_5",
                "prob_gt_25",
                "prob_le_m0_5",
                "prob_ge_0_1",
                "count"
            ]
        );
        let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
        let joined = texts.join(",");
        assert_eq!(statistics(&joined).unwrap(), all);
        for text in [
            "",
            "mean,",
            "avg",
            "p",
            "p101",
            "p-1",
            "pinf",
            "p1e1",
            "prob",
            "prob=3",
            "prob>",
            "prob>nan",
            "prob>1e99",
            "mean,mean",
            "p5,p5.0",
            "prob>1,prob>1.0",
        ] {
            assert!(statistics(text).is_err(), "{text}");
        }
    }
}

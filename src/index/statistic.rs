//! Statistics over a window: wgrib2's words, WMO's numbers, ecCodes' names.

/// A statistical processing (Code Table 4.10), as wgrib2 writes it in the forecast time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statistic {
    /// 0, `ave`.
    Average,
    /// 1, `acc`.
    Accumulation,
    /// 2, `max`.
    Maximum,
    /// 3, `min`.
    Minimum,
    /// 4, `last-first`: value at the end minus value at the start.
    Difference,
    /// 5, `RMS`.
    RootMeanSquare,
    /// 6, `StdDev`.
    StandardDeviation,
    /// 7, `covar`.
    Covariance,
    /// 8, `first-last`.
    ReverseDifference,
    /// 9, `ratio`.
    Ratio,
    /// 10, `standardized anomaly`.
    StandardizedAnomaly,
    /// 11, `summation`.
    Summation,
    /// 12, `return period`.
    ReturnPeriod,
    /// 100, `severity`.
    Severity,
    /// 101, `mode`.
    Mode,
    /// 255, `missing`, or a window without a statistic (old TMAX and TMIN of NCEP).
    Missing,
}

impl Statistic {
    const ALL: [(Self, &'static str, u8, Option<&'static str>); 16] = [
        (Self::Average, "ave", 0, Some("avg")),
        (Self::Accumulation, "acc", 1, Some("accum")),
        (Self::Maximum, "max", 2, Some("max")),
        (Self::Minimum, "min", 3, Some("min")),
        (Self::Difference, "last-first", 4, Some("diff")),
        (Self::RootMeanSquare, "RMS", 5, Some("rms")),
        (Self::StandardDeviation, "StdDev", 6, Some("sd")),
        (Self::Covariance, "covar", 7, Some("cov")),
        (Self::ReverseDifference, "first-last", 8, Some("sdiff")),
        (Self::Ratio, "ratio", 9, Some("ratio")),
        (
            Self::StandardizedAnomaly,
            "standardized anomaly",
            10,
            Some("stdanom"),
        ),
        (Self::Summation, "summation", 11, Some("sum")),
        (Self::ReturnPeriod, "return period", 12, None),
        (Self::Severity, "severity", 100, Some("severity")),
        (Self::Mode, "mode", 101, Some("mode")),
        (Self::Missing, "missing", 255, None),
    ];

    fn entry(self) -> (Self, &'static str, u8, Option<&'static str>) {
        Self::ALL
            .into_iter()
            .find(|entry| entry.0 == self)
            .unwrap_or((Self::Missing, "missing", 255, None))
    }

    /// All statistics that wgrib2 has words for.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().map(|entry| entry.0)
    }

    /// The statistic that a word of wgrib2's names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        // The five that make up nearly all lines come first in the table.
        Self::ALL
            .iter()
            .find(|entry| entry.1 == word)
            .map(|entry| entry.0)
    }

    /// wgrib2's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.entry().1
    }

    /// Code Table 4.10.
    #[must_use]
    pub fn code(self) -> u8 {
        self.entry().2
    }

    /// ecCodes' `stepType`; `None` where it has no name of its own.
    #[must_use]
    pub fn step_type(self) -> Option<&'static str> {
        self.entry().3
    }
}

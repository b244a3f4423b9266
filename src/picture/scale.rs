//! From values to colours: a range or classes, and a palette.

use std::str::FromStr;

/// Colour of cells without a value.
pub(super) const MISSING: [u8; 3] = [160, 160, 160];

/// A palette, from low to high.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    gradient: colorous::Gradient,
    is_reversed: bool,
}

/// Names of palettes for `--palette`.
const NAMED: [(&str, Palette); 10] = [
    ("spectral", Palette::reversed(colorous::SPECTRAL)),
    ("turbo", Palette::new(colorous::TURBO)),
    ("viridis", Palette::new(colorous::VIRIDIS)),
    ("magma", Palette::new(colorous::MAGMA)),
    ("red-blue", Palette::new(colorous::RED_BLUE)),
    ("blue-red", Palette::reversed(colorous::RED_YELLOW_BLUE)),
    ("rain", Palette::new(colorous::YELLOW_GREEN_BLUE)),
    ("wind", Palette::new(colorous::PURPLE_BLUE_GREEN)),
    ("clouds", Palette::reversed(colorous::BLUES)),
    ("grey", Palette::reversed(colorous::GREYS)),
];

impl Palette {
    /// Where no name fits.
    pub(super) const PLAIN: Self = Self::new(colorous::VIRIDIS);

    const fn new(gradient: colorous::Gradient) -> Self {
        Self {
            gradient,
            is_reversed: false,
        }
    }

    const fn reversed(gradient: colorous::Gradient) -> Self {
        Self {
            gradient,
            is_reversed: true,
        }
    }

    /// A palette by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let found = NAMED.iter().find(|(own, _)| *own == name);
        found.map(|(_, palette)| *palette)
    }

    /// Colour at a place from 0 (low) to 1 (high).
    fn at(self, place: f64) -> [u8; 3] {
        let place = place.clamp(0.0, 1.0);
        let place = if self.is_reversed { 1.0 - place } else { place };
        let colour = self.gradient.eval_continuous(place);
        [colour.r, colour.g, colour.b]
    }
}

impl FromStr for Palette {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
        Self::named(text).ok_or_else(|| format!("palettes are {}", names.join(", ")))
    }
}

/// How values become colours.
#[derive(Clone, Debug)]
pub enum Scale {
    /// Evenly from one value to another; what lies beyond has the colour of the end.
    Linear {
        /// Value of the palette's low end.
        low: f64,
        /// Value of its high end.
        high: f64,
        /// The palette.
        palette: Palette,
    },
    /// One colour from each limit to the next; white below the first, the last colour from the last on.
    Classes {
        /// Ascending.
        limits: Vec<f64>,
        /// The palette.
        palette: Palette,
    },
}

impl Scale {
    /// The same with another range, or another palette.
    #[must_use]
    pub fn with(self, range: Option<(f64, f64)>, palette: Option<Palette>) -> Self {
        let own = match &self {
            Self::Linear { palette, .. } | Self::Classes { palette, .. } => *palette,
        };
        let palette = palette.unwrap_or(own);
        match (self, range) {
            (_, Some((low, high))) | (Self::Linear { low, high, .. }, None) => {
                Self::Linear { low, high, palette }
            }
            (Self::Classes { limits, .. }, None) => Self::Classes { limits, palette },
        }
    }

    /// Colour of a value.
    #[must_use]
    pub fn colour(&self, value: f64) -> [u8; 3] {
        if value.is_nan() {
            return MISSING;
        }
        match self {
            Self::Linear { low, high, palette } => palette.at((value - low) / (high - low)),
            Self::Classes { limits, .. } => {
                self.class_colour(limits.iter().filter(|limit| value >= **limit).count())
            }
        }
    }

    /// Colour of a class; 0 lies below the first limit.
    pub(super) fn class_colour(&self, class: usize) -> [u8; 3] {
        match self {
            Self::Classes { limits, palette } if class > 0 => {
                let place = (class - 1) as f64 / (limits.len().max(2) - 1) as f64;
                palette.at(0.08 + 0.92 * place)
            }
            Self::Classes { .. } | Self::Linear { .. } => [255; 3],
        }
    }
}

/// The round number at or above a positive one: 1, 2, 2.5 or 5 times a power of ten.
pub(super) fn round_step(least: f64) -> f64 {
    if !least.is_finite() || least <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    let rounds = [1.0, 2.0, 2.5, 5.0, 10.0];
    let found = rounds
        .into_iter()
        .find(|round| round * power >= least * 0.999_999);
    found.unwrap_or(10.0) * power
}

/// The range with round ends around two values.
pub(super) fn round_range(low: f64, high: f64) -> (f64, f64) {
    if high <= low {
        let around = low.abs().max(1.0) * 0.05;
        return (low - around, low + around);
    }
    let step = round_step((high - low) / 10.0);
    ((low / step).floor() * step, (high / step).ceil() * step)
}

/// Round numbers from `low` to `high`, at most about `most` of them.
pub(super) fn ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let step = round_step((high - low) / most.max(1) as f64);
    let first = (low / step - 1e-6).ceil() as i64;
    let last = (high / step + 1e-6).floor() as i64;
    (first..=last.min(first + 100))
        .map(|at| at as f64 * step)
        .collect()
}

/// A number as short as its distance to the next allows.
pub(super) fn short(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded != 0.0 && (rounded.abs() < 1e-3 || rounded.abs() >= 1e7) {
        return format!("{rounded:.2e}");
    }
    if value != 0.0 && rounded == 0.0 {
        return format!("{value:.2e}");
    }
    // Not "-0".
    format!("{}", rounded + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_round() {
        assert_eq!(round_range(-13.2, 27.9), (-15.0, 30.0));
        assert_eq!(round_range(96_800.0, 104_100.0), (96_000.0, 105_000.0));
        assert_eq!(
            ticks(-15.0, 30.0, 9),
            [-15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]
        );
        assert_eq!(short(0.1 + 0.2), "0.3");
        assert_eq!(short(-0.0), "0");
        assert_eq!(short(2.5e-5), "2.50e-5");
        let (low, high) = round_range(5.0, 5.0);
        assert!(low < 5.0 && high > 5.0);
    }

    #[test]
    fn classes_and_ends_have_their_colours() {
        let rain = Scale::Classes {
            limits: vec![0.1, 1.0, 10.0],
            palette: Palette::named("rain").unwrap(),
        };
        assert_eq!(rain.colour(0.05), [255; 3]);
        assert_ne!(rain.colour(0.1), [255; 3]);
        assert_eq!(rain.colour(0.1), rain.colour(0.99));
        assert_eq!(rain.colour(10.0), rain.colour(1000.0));
        assert_eq!(rain.colour(f64::NAN), MISSING);
        let linear = Scale::Linear {
            low: 0.0,
            high: 1.0,
            palette: Palette::named("viridis").unwrap(),
        };
        assert_eq!(linear.colour(-5.0), linear.colour(0.0));
        assert_ne!(linear.colour(0.0), linear.colour(1.0));
        assert!("pink".parse::<Palette>().is_err());
    }
}

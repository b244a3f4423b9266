//! Which range, palette and units suit a quantity.

use super::scale::{Palette, Scale, round_range, round_step};

/// What is known of a quantity: CF's words and ecCodes' name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity<'a> {
    /// Name of the array.
    pub name: &'a str,
    /// CF standard name; empty if there is none.
    pub standard_name: &'a str,
    /// Name in words.
    pub long_name: &'a str,
    /// Units of the values.
    pub units: &'a str,
}

/// From units of the values to those shown: value * factor + offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// Factor.
    pub factor: f64,
    /// Offset.
    pub offset: f64,
    /// Units that are shown.
    pub units: String,
}

impl Conversion {
    /// A value in the units shown.
    #[must_use]
    pub fn apply(&self, value: f32) -> f64 {
        f64::from(value) * self.factor + self.offset
    }

    fn none(units: &str) -> Self {
        Self::times(1.0, units)
    }

    fn times(factor: f64, units: &str) -> Self {
        Self {
            factor,
            offset: 0.0,
            units: units.to_owned(),
        }
    }
}

const RAIN_MM: [f64; 11] = [
    0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, 200.0,
];
const RAIN_MM_PER_HOUR: [f64; 9] = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

/// Pressure at sea level that the two halves of its palette part at, in hPa.
const USUAL_PRESSURE: f64 = 1013.0;

/// Units and colours for a quantity with these values.
#[must_use]
pub fn look_of(quantity: Quantity<'_>, values: &[f32]) -> (Conversion, Scale) {
    let sorted = sorted(values);
    let words = format!(
        "{} {}",
        quantity.standard_name.replace('_', " "),
        quantity.long_name
    )
    .to_lowercase();
    let has = |word: &str| words.contains(word);
    let name = quantity.name.split('_').next().unwrap_or_default();
    let units = quantity.units;
    let is_speed = matches!(units, "m s**-1" | "m s-1" | "m/s");
    let is_mass = matches!(units, "kg m**-2" | "kg m-2" | "kg/m^2" | "mm");
    let is_rate = matches!(units, "kg m**-2 s**-1" | "kg m-2 s-1" | "mm s**-1");
    let is_fall = has("precipitation") || has("rain") || has("snowfall") || name == "tp";

    if is_fall && is_rate {
        return (
            Conversion::times(3600.0, "mm/h"),
            classes(&RAIN_MM_PER_HOUR),
        );
    }
    if is_fall && (is_mass || units == "m") {
        let factor = if units == "m" { 1000.0 } else { 1.0 };
        return (Conversion::times(factor, "mm"), classes(&RAIN_MM));
    }
    if units == "K" && has("temperature") && !has("potential") {
        let conversion = Conversion {
            factor: 1.0,
            offset: -273.15,
            units: "°C".to_owned(),
        };
        let scale = spread(&sorted, &conversion, (0.005, 0.995), "spectral");
        return (conversion, scale);
    }
    if units == "Pa" {
        let conversion = Conversion::times(0.01, "hPa");
        let at_sea = has("mean sea level") || matches!(name, "prmsl" | "msl" | "mslet" | "mslma");
        let scale = if at_sea {
            around(&sorted, &conversion, USUAL_PRESSURE, "blue-red")
        } else {
            spread(&sorted, &conversion, (0.005, 0.995), "viridis")
        };
        return (conversion, scale);
    }
    let same = Conversion::none(units);
    if is_speed && (has("speed") || has("gust")) {
        let (_, high) = ends(&sorted, &same, (0.0, 0.998));
        let (_, high) = round_range(0.0, high.max(1.0));
        return (same, linear(0.0, high, "wind"));
    }
    let is_signed = is_speed || has("velocity") || has("vorticity") || has("divergence");
    if is_signed && sorted.first().is_some_and(|least| *least < 0.0) {
        let scale = around(&sorted, &same, 0.0, "blue-red");
        return (same, scale);
    }
    if units == "%" || (has("cloud cover") && matches!(units, "(0 - 1)" | "1")) {
        let high = if units == "%" { 100.0 } else { 1.0 };
        let palette = if has("cloud") { "clouds" } else { "rain" };
        return (same, linear(0.0, high, palette));
    }
    let palette = if has("geopotential") || has("temperature") {
        "spectral"
    } else {
        "viridis"
    };
    let scale = spread(&sorted, &same, (0.005, 0.995), palette);
    (same, scale)
}

/// Finite values, ascending.
fn sorted(values: &[f32]) -> Vec<f32> {
    // A few hundred thousand tell as much as all.
    let every = values.len().div_ceil(400_000).max(1);
    let some = values.iter().step_by(every);
    let mut sorted: Vec<f32> = some.copied().filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    sorted
}

/// Two quantiles, in the units shown.
fn ends(sorted: &[f32], conversion: &Conversion, (low, high): (f64, f64)) -> (f64, f64) {
    let at = |share: f64| {
        let last = sorted.len().saturating_sub(1);
        let at = (share * last as f64).round() as usize;
        sorted.get(at).map_or(0.0, |value| conversion.apply(*value))
    };
    (at(low), at(high))
}

fn spread(sorted: &[f32], conversion: &Conversion, share: (f64, f64), palette: &str) -> Scale {
    let (low, high) = ends(sorted, conversion, share);
    let (low, high) = round_range(low, high);
    linear(low, high, palette)
}

/// A range of the same width on both sides of a middle.
fn around(sorted: &[f32], conversion: &Conversion, middle: f64, palette: &str) -> Scale {
    let (low, high) = ends(sorted, conversion, (0.005, 0.995));
    let reach = (middle - low).max(high - middle).max(1e-12);
    let step = round_step(reach / 5.0);
    let reach = (reach / step).ceil() * step;
    linear(middle - reach, middle + reach, palette)
}

fn linear(low: f64, high: f64, palette: &str) -> Scale {
    Scale::Linear {
        low,
        high,
        palette: palette_of(palette),
    }
}

fn classes(limits: &[f64]) -> Scale {
    Scale::Classes {
        limits: limits.to_vec(),
        palette: palette_of("rain"),
    }
}

fn palette_of(name: &str) -> Palette {
    Palette::named(name).unwrap_or(Palette::PLAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(name: &str, long_name: &str, units: &str, values: &[f32]) -> (String, Scale) {
        let quantity = Quantity {
            name,
            standard_name: "",
            long_name,
            units,
        };
        let (conversion, scale) = look_of(quantity, values);
        (conversion.units, scale)
    }

    fn range(scale: &Scale) -> (f64, f64) {
        match scale {
            Scale::Linear { low, high, .. } => (*low, *high),
            Scale::Classes { limits, .. } => (limits[0], limits[limits.len() - 1]),
        }
    }

    #[test]
    fn quantities_get_units_and_ranges_that_suit_them() {
        let (units, scale) = look("t2m", "2 metre temperature", "K", &[250.0, 300.0]);
        assert_eq!((units.as_str(), range(&scale)), ("°C", (-25.0, 30.0)));
        let (units, scale) = look("tp", "Total precipitation", "m", &[0.0, 0.02]);
        assert_eq!((units.as_str(), range(&scale)), ("mm", (0.1, 200.0)));
        let (units, scale) = look("prate", "Precipitation rate", "kg m**-2 s**-1", &[0.0]);
        assert_eq!((units.as_str(), range(&scale)), ("mm/h", (0.1, 32.0)));
        let (units, scale) = look(
            "prmsl",
            "Pressure reduced to MSL",
            "Pa",
            &[98_000.0, 102_000.0],
        );
        assert_eq!((units.as_str(), range(&scale)), ("hPa", (973.0, 1053.0)));
        let (units, scale) = look("u10", "10 metre U wind component", "m s**-1", &[-3.0, 17.0]);
        assert_eq!((units.as_str(), range(&scale)), ("m s**-1", (-20.0, 20.0)));
        let (_, scale) = look("si10", "10 metre wind speed", "m s**-1", &[1.0, 17.0]);
        assert_eq!(range(&scale), (0.0, 18.0));
        let (_, scale) = look("tcc", "Total Cloud Cover", "%", &[3.0, 17.0]);
        assert_eq!(range(&scale), (0.0, 100.0));
        let (units, scale) = look("gh", "Geopotential height", "gpm", &[5000.0, 5900.0]);
        assert_eq!((units.as_str(), range(&scale)), ("gpm", (5000.0, 5900.0)));
        // Potential temperature is no temperature of a thermometer.
        assert_eq!(look("pt", "Potential temperature", "K", &[300.0]).0, "K");
    }

    #[test]
    fn fields_without_a_value_have_a_scale_too() {
        let (_, scale) = look("x", "Something", "1", &[f32::NAN]);
        let (low, high) = range(&scale);
        assert!(low < high);
    }
}

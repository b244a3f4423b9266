//! The picture: title, map, graticule, colour bar.

use super::canvas::{Canvas, LETTER, Side};
use super::field::Field;
use super::graticule::Graticule;
use super::quantity::Conversion;
use super::scale::{MISSING, Scale, short, ticks};

/// Room beside the map, in pixels.
const LEFT: u32 = 52;
const RIGHT: u32 = 34;
const TOP: u32 = 70;
const BOTTOM: u32 = 70;

/// Height of the colour bar.
const BAR: u32 = 14;

/// A field with what is needed to draw it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What it is.
    pub heading: String,
    /// Times, level, member; one line each.
    pub lines: Vec<String>,
    /// The field.
    pub field: Field,
    /// From its units to those shown.
    pub conversion: Conversion,
    /// Colours of values in the units shown.
    pub scale: Scale,
}

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Encoding failed.
    #[error("the PNG could not be written: {0}")]
    Png(#[from] png::EncodingError),
}

impl Picture {
    /// The picture as a PNG whose map is `width` pixels wide, or narrower where it would be higher than that.
    ///
    /// # Errors
    /// [`PictureError`].
    pub fn png(&self, width: u32) -> Result<Vec<u8>, PictureError> {
        let canvas = self.canvas(width);
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, canvas.width, canvas.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&canvas.pixels)?;
        writer.finish()?;
        Ok(bytes)
    }

    fn canvas(&self, width: u32) -> Canvas {
        let (width, height) = self.map_size(width);
        let mut canvas = Canvas::new(LEFT + width + RIGHT, TOP + height + BOTTOM);
        canvas.heading((LEFT, 16), &self.heading);
        for (line, y) in self.lines.iter().zip([36, 54]) {
            canvas.text((LEFT, y), line, Side::Right);
        }
        let colours = self.map(width as usize, height as usize);
        let graticule = Graticule::of(&self.field, width as usize, height as usize);
        let pixels = colours.into_iter().zip(&graticule.lines);
        for (at, (colour, is_line)) in (0_u32..).zip(pixels) {
            let colour = if *is_line { darkened(colour) } else { colour };
            canvas.set(LEFT + at % width, TOP + at / width, colour);
        }
        canvas.frame((LEFT, TOP), (width, height));
        for (row, text) in spaced(&graticule.left, 14) {
            canvas.text((LEFT - 6, TOP + row), text, Side::Left);
        }
        for (column, text) in spaced(&graticule.bottom, 6 * LETTER) {
            canvas.text((LEFT + column, TOP + height + 11), text, Side::Both);
        }
        self.bar(&mut canvas, width, TOP + height + 28);
        canvas
    }

    /// Width and height of the map in pixels.
    fn map_size(&self, width: u32) -> (u32, u32) {
        let most = f64::from(width.clamp(100, 8000));
        let aspect = self.field.aspect().clamp(0.05, 20.0);
        let size = (most.min(most * aspect), most.min(most / aspect));
        let whole = |length: f64| length.round().max(16.0) as u32;
        (whole(size.0).max(100), whole(size.1))
    }

    /// Colours of the map's pixels, row by row.
    fn map(&self, width: usize, height: usize) -> Vec<[u8; 3]> {
        let values = self.values(width, height);
        let colour = |value: f64| self.scale.colour(value);
        values.into_iter().map(colour).collect()
    }

    /// Values of the map's pixels in the units shown: of the one cell below a pixel, or the mean of several.
    pub(super) fn values(&self, width: usize, height: usize) -> Vec<f64> {
        let (rows, columns) = (self.field.rows, self.field.columns);
        let range = |at: usize, pixels: usize, cells: usize| {
            let first = at * cells / pixels;
            let end = ((at + 1) * cells / pixels).max(first + 1);
            first..end.min(cells).max(first + 1)
        };
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let (mut sum, mut count) = (0.0, 0_u32);
                for row in range(y, height, rows) {
                    for column in range(x, width, columns) {
                        let value = self.field.values.get(row * columns + column);
                        if let Some(value) = value.filter(|value| !value.is_nan()) {
                            sum += self.conversion.apply(*value);
                            count += 1;
                        }
                    }
                }
                values.push(if count > 0 {
                    sum / f64::from(count)
                } else {
                    f64::NAN
                });
            }
        }
        values
    }

    /// The colour bar with its numbers, below the map.
    fn bar(&self, canvas: &mut Canvas, width: u32, y: u32) {
        let has_missing = self.field.values.iter().any(|value| value.is_nan());
        let aside = if has_missing { 110 } else { 0 };
        let units_room =
            LETTER * u32::try_from(self.conversion.units.chars().count()).unwrap_or(0) + 16;
        let length = width.saturating_sub(units_room + aside).max(60);
        let numbers = y + BAR + 12;
        match &self.scale {
            Scale::Linear { low, high, .. } => {
                for x in 0..length {
                    let place = (f64::from(x) + 0.5) / f64::from(length);
                    let colour = self.scale.colour(low + (high - low) * place);
                    canvas.fill((LEFT + x, y), (1, BAR), colour);
                }
                for tick in ticks(*low, *high, (length / 70).max(2) as usize) {
                    let x = ((tick - low) / (high - low) * f64::from(length)).round() as u32;
                    canvas.fill((LEFT + x, y + BAR), (1, 4), [60; 3]);
                    canvas.text((LEFT + x, numbers), &short(tick), Side::Both);
                }
            }
            Scale::Classes { limits, .. } => {
                let count = u32::try_from(limits.len()).unwrap_or(1) + 1;
                for class in 0..count {
                    let (from, to) = (length * class / count, length * (class + 1) / count);
                    let colour = self.scale.class_colour(class as usize);
                    canvas.fill((LEFT + from, y), (to - from, BAR), colour);
                    let limit = limits.get(class as usize);
                    if let Some(limit) = limit {
                        canvas.fill((LEFT + to, y + BAR), (1, 4), [60; 3]);
                        canvas.text((LEFT + to, numbers), &short(*limit), Side::Both);
                    }
                }
            }
        }
        canvas.frame((LEFT, y), (length, BAR));
        let after = LEFT + length + 10;
        canvas.text((after, y + BAR / 2), &self.conversion.units, Side::Right);
        if has_missing {
            let x = LEFT + width - 88;
            canvas.fill((x, y), (BAR, BAR), MISSING);
            canvas.frame((x, y), (BAR, BAR));
            canvas.text((x + BAR + 8, y + BAR / 2), "no value", Side::Right);
        }
    }
}

/// Those labels that keep their distance from the one before.
pub(super) fn spaced(labels: &[(usize, String)], distance: u32) -> Vec<(u32, &str)> {
    let mut kept: Vec<(u32, &str)> = Vec::new();
    for (at, text) in labels {
        let at = u32::try_from(*at).unwrap_or(u32::MAX);
        if kept.last().is_none_or(|(last, _)| at >= last + distance) {
            kept.push((at, text));
        }
    }
    kept
}

/// A colour with a line of the graticule over it.
pub(super) fn darkened(colour: [u8; 3]) -> [u8; 3] {
    colour.map(|part| u8::try_from(u16::from(part) * 62 / 100).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Palette;

    /// A globe of 4 degrees that is 0 but for one cell.
    fn spike(latitude: f64, longitude: f64) -> Picture {
        let latitudes: Vec<f64> = (0..45).map(|at| -88.0 + f64::from(at) * 4.0).collect();
        let longitudes: Vec<f64> = (0..90).map(|at| f64::from(at) * 4.0).collect();
        let mut values = vec![0.0; 45 * 90];
        let row = latitudes.iter().position(|own| *own == latitude).unwrap();
        let column = longitudes.iter().position(|own| *own == longitude).unwrap();
        values[row * 90 + column] = 1.0;
        values[0] = f32::NAN;
        Picture {
            heading: "A spike".to_owned(),
            lines: vec!["nowhere".to_owned()],
            field: Field::on_axes(values, latitudes, longitudes).unwrap(),
            conversion: Conversion {
                factor: 1.0,
                offset: 0.0,
                units: "1".to_owned(),
            },
            scale: Scale::Linear {
                low: 0.0,
                high: 1.0,
                palette: "viridis".parse::<Palette>().unwrap(),
            },
        }
    }

    /// Middle of the pixels of the map that have a colour.
    fn middle_of(bytes: &[u8], colour: [u8; 3]) -> (f64, f64) {
        let decoder = png::Decoder::new(bytes);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let (width, map_bottom) = (info.width, info.height - BOTTOM);
        let found: Vec<(u32, u32)> = pixels
            .chunks(3)
            .zip(0_u32..)
            .filter(|(pixel, _)| *pixel == colour)
            .map(|(_, at)| (at % width, at / width))
            .filter(|(_, y)| *y < map_bottom)
            .collect();
        assert!(!found.is_empty());
        let count = found.len() as f64;
        let mean = |of: fn(&(u32, u32)) -> u32| {
            found.iter().map(|at| f64::from(of(at))).sum::<f64>() / count + 0.5
        };
        (mean(|at| at.0), mean(|at| at.1))
    }

    #[test]
    fn a_maximum_lands_where_it_is() {
        for (latitude, longitude) in [(40.0, 300.0), (-36.0, 8.0), (84.0, 180.0), (0.0, 176.0)] {
            let picture = spike(latitude, longitude);
            let (x, y) = middle_of(&picture.png(900).unwrap(), picture.scale.colour(1.0));
            // 10 pixels are 4 degrees; the map goes from 182 W to 178 E and from 90 N to 90 S.
            let east = if longitude < 180.0 {
                longitude
            } else {
                longitude - 360.0
            };
            let due = (
                f64::from(LEFT) + (east + 182.0) * 2.5,
                f64::from(TOP) + (90.0 - latitude) * 2.5,
            );
            assert!(
                (x - due.0).abs() <= 5.0 && (y - due.1).abs() <= 5.0,
                "{latitude} {longitude}: {x} {y}, due {due:?}"
            );
        }
    }

    #[test]
    fn what_has_no_value_is_grey() {
        let picture = spike(40.0, 300.0);
        let (x, y) = middle_of(&picture.png(900).unwrap(), MISSING);
        // 88 S, 0 E.
        assert!((x - f64::from(LEFT) - 455.0).abs() <= 5.0, "{x}");
        assert!((y - f64::from(TOP) - 445.0).abs() <= 5.0, "{y}");
    }
}

//! A picture in a terminal: two pixels to a character, the upper half block in front of the lower.

use std::fmt::Write as _;

use super::draw::{Picture, darkened, spaced};
use super::graticule::Graticule;
use super::scale::{Scale, short, ticks};

/// Colours that a terminal knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// 24 bits each.
    True,
    /// The 256 of xterm.
    Few,
}

/// Room for the labels of latitudes.
const LEFT: usize = 6;

impl Colours {
    fn escape(self, layer: u8, [red, green, blue]: [u8; 3]) -> String {
        match self {
            Self::True => format!("\x1b[{layer};2;{red};{green};{blue}m"),
            Self::Few => format!("\x1b[{layer};5;{}m", nearest([red, green, blue])),
        }
    }
}

/// The nearest of xterm's colours: its cube of 6 x 6 x 6, or its greys.
fn nearest(colour: [u8; 3]) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let distance = |other: [u8; 3]| -> u32 {
        let parts = colour.iter().zip(other);
        parts.map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    };
    let level = |part: u8| -> (u8, u8) {
        let all = (0_u8..).zip(LEVELS);
        let nearest = all.min_by_key(|(_, level)| part.abs_diff(*level));
        nearest.unwrap_or((0, 0))
    };
    let cube = colour.map(level);
    let [red, green, blue] = cube.map(|(at, _)| at);
    let in_cube = (
        16 + 36 * red + 6 * green + blue,
        distance(cube.map(|(_, level)| level)),
    );
    let greys = (0..24_u8).map(|at| (232 + at, distance([8 + 10 * at; 3])));
    let best = greys.chain([in_cube]).min_by_key(|(_, distance)| *distance);
    best.map_or(0, |(number, _)| number)
}

impl Picture {
    /// The picture in a terminal of some columns and lines.
    #[must_use]
    pub fn terminal(&self, columns: usize, lines: usize, colours: Colours) -> String {
        let (width, height) = self.terminal_size(columns, lines);
        let values = self.values(width, height);
        let graticule = Graticule::of(&self.field, width, height);
        let colour = |x: usize, y: usize| -> [u8; 3] {
            let at = y * width + x;
            let value = values.get(at).copied().unwrap_or(f64::NAN);
            let colour = self.scale.colour(value);
            match graticule.lines.get(at) {
                Some(true) => darkened(colour),
                _ => colour,
            }
        };
        let mut text = format!("{}\n", self.heading);
        for line in &self.lines {
            text += line;
            text.push('\n');
        }
        let labels = spaced(&graticule.left, 4);
        for y in (0..height).step_by(2) {
            let label = labels.iter().find(|(row, _)| *row as usize / 2 == y / 2);
            let _ = write!(text, "{:>LEFT$} ", label.map_or("", |(_, text)| *text));
            let (mut front, mut back) = (String::new(), String::new());
            for x in 0..width {
                let upper = colours.escape(38, colour(x, y));
                let lower = colours.escape(48, colour(x, y + 1));
                for (now, last) in [(upper, &mut front), (lower, &mut back)] {
                    if now != *last {
                        text += &now;
                        *last = now;
                    }
                }
                text.push('▀');
            }
            text += "\x1b[0m\n";
        }
        let mut below = " ".repeat(LEFT + 1);
        for (column, label) in spaced(&graticule.bottom, 8) {
            let at = LEFT + 1 + column as usize;
            let from = at.saturating_sub(label.chars().count() / 2);
            let written = below.chars().count();
            if from >= written {
                below.extend(std::iter::repeat_n(' ', from - written));
                below += label;
            }
        }
        text += below.trim_end();
        text.push('\n');
        self.terminal_bar(&mut text, width, colours);
        text
    }

    /// Pixels of the map; their count of rows is even.
    fn terminal_size(&self, columns: usize, lines: usize) -> (usize, usize) {
        let most_wide = columns.saturating_sub(LEFT + 2).max(16) as f64;
        let most_high = (lines.saturating_sub(self.lines.len() + 5).max(4) * 2) as f64;
        let aspect = self.field.aspect().clamp(0.05, 20.0);
        let width = most_wide.min(most_high * aspect).max(8.0);
        let height = (width / aspect).min(most_high).max(4.0);
        (width.round() as usize, (height / 2.0).round() as usize * 2)
    }

    fn terminal_bar(&self, text: &mut String, width: usize, colours: Colours) {
        let length = width.max(30);
        let mut numbers = " ".repeat(LEFT + 1);
        let mut number = |at: usize, value: f64| {
            let written = numbers.chars().count();
            let from = LEFT + 1 + at;
            if from >= written + usize::from(at > 0) {
                numbers.extend(std::iter::repeat_n(' ', from - written));
                numbers += &short(value);
            }
        };
        let _ = write!(text, "{:LEFT$} ", "");
        match &self.scale {
            Scale::Linear { low, high, .. } => {
                for x in 0..length {
                    let place = (x as f64 + 0.5) / length as f64;
                    *text += &colours.escape(48, self.scale.colour(low + (high - low) * place));
                    text.push(' ');
                }
                for tick in ticks(*low, *high, length / 10) {
                    let place = (tick - low) / (high - low) * length as f64;
                    number((place as usize).min(length - 1), tick);
                }
            }
            Scale::Classes { limits, .. } => {
                let count = limits.len() + 1;
                for class in 0..count {
                    let (from, to) = (length * class / count, length * (class + 1) / count);
                    *text += &colours.escape(48, self.scale.class_colour(class));
                    text.extend(std::iter::repeat_n(' ', to - from));
                    if let Some(limit) = limits.get(class) {
                        number(to, *limit);
                    }
                }
            }
        }
        let _ = writeln!(text, "\x1b[0m {}", self.conversion.units);
        let _ = writeln!(text, "{numbers}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Conversion, Field, Palette};

    #[test]
    fn the_256_colours_are_the_nearest() {
        assert_eq!(nearest([0, 0, 0]), 16);
        assert_eq!(nearest([255, 255, 255]), 231);
        assert_eq!(nearest([255, 0, 0]), 196);
        assert_eq!(nearest([130, 130, 130]), 244);
    }

    #[test]
    fn two_rows_share_a_line_of_text() {
        let field = Field::on_axes(
            vec![0.0, 0.0, 1.0, 0.0, f32::NAN, 0.0, 0.0, 0.0],
            vec![30.0, 10.0],
            vec![0.0, 20.0, 40.0, 60.0],
        );
        let picture = Picture {
            heading: "Steps".to_owned(),
            lines: Vec::new(),
            field: field.unwrap(),
            conversion: Conversion {
                factor: 1.0,
                offset: 0.0,
                units: "m".to_owned(),
            },
            scale: Scale::Linear {
                low: 0.0,
                high: 1.0,
                palette: "grey".parse::<Palette>().unwrap(),
            },
        };
        let text = picture.terminal(24, 9, Colours::True);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "Steps");
        let blocks = lines.iter().map(|line| line.matches('▀').count());
        assert_eq!(blocks.clone().max(), Some(15));
        // The upper half of the picture has the white cell, the lower one the grey of no value.
        let map: Vec<&&str> = lines.iter().filter(|line| line.contains('▀')).collect();
        assert!(map[0].contains("\x1b[38;2;255;255;255m"), "{:?}", map[0]);
        assert!(map[map.len() - 1].contains("2;160;160;160m"));
        assert!(lines.iter().any(|line| line.ends_with("\x1b[0m m")));
        let few = picture.terminal(24, 9, Colours::Few);
        assert!(few.contains("\x1b[38;5;231m") && !few.contains(";2;"));
    }
}

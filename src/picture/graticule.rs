//! Lines of latitude and longitude, and where they meet the edges of the map.

use super::field::{Field, Places, wrapped};
use super::scale::short;

/// Distances of lines, in degrees.
const STEPS: [f64; 12] = [
    0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0,
];

/// Lines that the longer side of a map is to have at most.
const MOST_LINES: f64 = 12.0;

/// The graticule of a map of some pixels.
pub(super) struct Graticule {
    /// For each pixel, row by row, whether a line runs through it.
    pub(super) lines: Vec<bool>,
    /// Pixel row and text of the lines that meet the left edge.
    pub(super) left: Vec<(usize, String)>,
    /// Pixel column and text of the lines that meet the lower edge.
    pub(super) bottom: Vec<(usize, String)>,
}

impl Graticule {
    /// The graticule of a field shown in `width` x `height` pixels.
    pub(super) fn of(field: &Field, width: usize, height: usize) -> Self {
        let places: Vec<Option<(f64, f64)>> = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| {
                let row = (y as f64 + 0.5) / height as f64 * field.rows as f64 - 0.5;
                let column = (x as f64 + 0.5) / width as f64 * field.columns as f64 - 0.5;
                field.place(row, column)
            })
            .collect();
        let step = step_of(&places, width);
        let has_axes = matches!(field.places, Places::Axes { .. });
        let place = |x: usize, y: usize| -> Option<(f64, f64)> {
            if x < width {
                *places.get(y * width + x)?
            } else {
                None
            }
        };
        let latitude = |a: (usize, usize), b: (usize, usize)| {
            let line = crossed(place(a.0, a.1)?.0, place(b.0, b.1)?.0, step);
            line.filter(|line| line.abs() < 90.0)
        };
        let longitude = |a: (usize, usize), b: (usize, usize)| {
            let (a, b) = (place(a.0, a.1)?, place(b.0, b.1)?);
            // Where all longitudes meet there is no line.
            let is_pole = !has_axes && (a.0.abs() > 89.0 || b.0.abs() > 89.0);
            // Whole turns only are added: a sum that rounds could put a line between this pair and the next, and neither would have it.
            let turns = ((a.1 - b.1) / 360.0).round() * 360.0;
            let line = crossed(a.1, b.1 + turns, step);
            line.filter(|_| !is_pole)
        };
        let mut lines = Vec::with_capacity(places.len());
        for y in 0..height {
            for x in 0..width {
                let next = [(x + 1, y), (x, y + 1)];
                lines.push(next.into_iter().any(|next| {
                    latitude((x, y), next).is_some() || longitude((x, y), next).is_some()
                }));
            }
        }
        let left = (0..height.saturating_sub(1))
            .filter_map(|y| Some((y, latitude_text(latitude((0, y), (0, y + 1))?))));
        let last = height.saturating_sub(1);
        let bottom = (0..width.saturating_sub(1))
            .filter_map(|x| Some((x, longitude_text(longitude((x, last), (x + 1, last))?))));
        Self {
            left: left.collect(),
            bottom: bottom.collect(),
            lines,
        }
    }
}

/// The multiple of `step` between two values, if there is one.
fn crossed(a: f64, b: f64, step: f64) -> Option<f64> {
    let (low, high) = ((a / step).floor(), (b / step).floor());
    (low != high).then(|| low.max(high) * step)
}

/// The distance of lines that suits the extent of a map.
fn step_of(places: &[Option<(f64, f64)>], width: usize) -> f64 {
    let latitudes = || places.iter().flatten().map(|place| place.0);
    let span = latitudes().fold(f64::MIN, f64::max) - latitudes().fold(f64::MAX, f64::min);
    // Along the middle row, so that it holds on maps around a pole as well.
    let rows = places.len() / width.max(1);
    let middle = places
        .chunks(width.max(1))
        .nth(rows / 2)
        .unwrap_or_default();
    let along: f64 = middle
        .windows(2)
        .filter_map(|pair| match pair {
            [Some(a), Some(b)] => Some(wrapped(b.1 - a.1).abs()),
            _ => None,
        })
        .sum();
    let least = span.max(along) / MOST_LINES;
    let found = STEPS.into_iter().find(|step| *step >= least);
    found.unwrap_or(60.0)
}

fn latitude_text(degrees: f64) -> String {
    match degrees {
        0.0 => "0°".to_owned(),
        _ if degrees > 0.0 => format!("{}°N", short(degrees)),
        _ => format!("{}°S", short(-degrees)),
    }
}

fn longitude_text(degrees: f64) -> String {
    let degrees = wrapped(degrees);
    match degrees {
        0.0 => "0°".to_owned(),
        -180.0 => "180°".to_owned(),
        _ if degrees > 0.0 => format!("{}°E", short(degrees)),
        _ => format!("{}°W", short(-degrees)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_where_their_degrees_are() {
        let latitudes: Vec<f64> = (0..181).map(|at| 90.0 - f64::from(at)).collect();
        let longitudes: Vec<f64> = (0..360).map(f64::from).collect();
        let field = Field::on_axes(vec![0.0; 181 * 360], latitudes, longitudes).unwrap();
        let graticule = Graticule::of(&field, 360, 181);
        // A degree is a pixel: 60 N lies 30 rows below the top, 0 E 180 columns from the left.
        let texts: Vec<&str> = graticule
            .left
            .iter()
            .map(|(_, text)| text.as_str())
            .collect();
        assert_eq!(texts, ["60°N", "30°N", "0°", "30°S", "60°S"]);
        let rows: Vec<usize> = graticule.left.iter().map(|(row, _)| *row).collect();
        assert!(
            rows[0].abs_diff(30) <= 1 && rows[2].abs_diff(90) <= 1,
            "{rows:?}"
        );
        let zero = graticule.bottom.iter().find(|(_, text)| text == "0°");
        assert!(zero.unwrap().0.abs_diff(180) <= 1);
        let line = |column: usize| graticule.lines[45 * 360 + column];
        assert!(line(179) || line(180));
        assert!(!line(170) && !line(190));
    }

    #[test]
    fn a_meridian_that_falls_on_the_middle_of_a_pixel_is_drawn() {
        let latitudes: Vec<f64> = (0..61).map(|at| 90.0 - 3.0 * f64::from(at)).collect();
        let longitudes: Vec<f64> = (0..120).map(|at| 3.0 * f64::from(at)).collect();
        let field = Field::on_axes(vec![0.0; 61 * 120], latitudes, longitudes).unwrap();
        for width in (300..1100).step_by(20) {
            let graticule = Graticule::of(&field, width, 20);
            let texts: Vec<&str> = graticule.bottom.iter().map(|(_, text)| &**text).collect();
            let all = [
                "180°", "150°W", "120°W", "90°W", "60°W", "30°W", "0°", "30°E", "60°E", "90°E",
                "120°E", "150°E",
            ];
            assert_eq!(texts, all, "{width} pixels");
        }
    }

    #[test]
    fn degrees_are_written_with_their_side() {
        assert_eq!(latitude_text(-30.0), "30°S");
        assert_eq!(longitude_text(190.0), "170°W");
        assert_eq!(longitude_text(-180.0), "180°");
        assert_eq!(longitude_text(7.5), "7.5°E");
    }
}

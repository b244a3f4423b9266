//! Flags that select a part of a collection: arrays, levels, steps, members, runs, and how its grids are shown.

use clap::Args;

use super::Failure;
use crate::dataset::selection::{LevelChoice, Selection, Span};
use crate::dataset::{BoundingBox, Collection, GridView};
use crate::time::{Instant, parse_step};

/// Flags of selection, common to all commands that show a collection.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectionArgs {
    /// Arrays by name (t2m,gh); * and ? stand for any characters and for one
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    variable: Vec<String>,
    /// Levels (500,850 on every level axis, isobaricInhPa=500,850 on that one); arrays without levels stay
    #[arg(long, value_name = "[TYPE=]VALUE,..")]
    level: Vec<String>,
    /// Steps: 6h,12h or 0h..48h
    #[arg(long, value_name = "STEP[..STEP],..")]
    step: Vec<String>,
    /// Ensemble members: 1,2 or 0..5; arrays without members stay
    #[arg(long, value_name = "N[..N],..", allow_hyphen_values = true)]
    member: Vec<String>,
    /// Runs by reference time: 2026-11-22T00 or 2026-11-20..2026-11-22T18
    #[arg(long, value_name = "INSTANT[..INSTANT],..")]
    run: Vec<String>,
    /// Box to cut out, in degrees (35,-10,60,30): west may be larger than east, across the date line
    #[arg(long, value_name = "S,W,N,E", allow_hyphen_values = true)]
    bbox: Option<String>,
    /// Show rows from north to south, whatever their order in the messages
    #[arg(long)]
    north_up: bool,
    /// Show longitudes from -180 to 180: a globe is turned to start at the date line
    #[arg(long)]
    lon180: bool,
}

impl SelectionArgs {
    /// The selected part of a collection.
    pub(super) fn select(&self, collection: Collection) -> Result<Collection, Failure> {
        self.selection()?.select(collection).map_err(Failure::usage)
    }

    /// The selection that the flags say.
    pub(super) fn selection(&self) -> Result<Selection, Failure> {
        let number = |text: &str| text.parse::<i16>().ok().map(i64::from);
        let instant = |text: &str| Instant::parse(text).map(Instant::seconds);
        Ok(Selection {
            variables: self.variable.clone(),
            levels: levels(&self.level)?,
            steps: spans(&self.step, "--step", "6h,12h or 0h..48h", parse_step)?,
            members: spans(&self.member, "--member", "1,2 or 0..5", number)?,
            runs: spans(
                &self.run,
                "--run",
                "2026-11-22T00 or 2026-11-20..2026-11-22T18",
                instant,
            )?,
            view: GridView {
                bounds: self.bbox.as_deref().map(bounds).transpose()?,
                north_up: self.north_up,
                lon180: self.lon180,
            },
        })
    }
}

/// `35,-10,60,30`: south, west, north, east.
fn bounds(text: &str) -> Result<BoundingBox, Failure> {
    let degrees: Option<Vec<f64>> = text
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    let bounds = match degrees.as_deref() {
        Some([south, west, north, east]) => BoundingBox::new(*south, *west, *north, *east),
        _ => None,
    };
    bounds.ok_or_else(|| {
        Failure::usage(format!(
            "--bbox {text}: a box is south,west,north,east in degrees, such as 35,-10,60,30"
        ))
    })
}

/// `isobaricInhPa=500,850`: a type stands for the values up to the next one.
fn levels(texts: &[String]) -> Result<Vec<LevelChoice>, Failure> {
    let mut choices = Vec::new();
    for text in texts {
        let mut level_type = None;
        for part in text.split(',') {
            let value = match part.split_once('=') {
                Some((name, value)) => {
                    level_type = Some(name.trim().to_owned());
                    value
                }
                None => part,
            };
            let number: Option<f64> = value.trim().parse().ok();
            let value = number.ok_or_else(|| {
                Failure::usage(format!(
                    "--level {text}: levels are written 500,850 or isobaricInhPa=500,850"
                ))
            })?;
            choices.push(LevelChoice {
                level_type: level_type.clone(),
                value,
            });
        }
    }
    Ok(choices)
}

/// Values and ranges separated by commas; a range may leave a side open.
fn spans(
    texts: &[String],
    flag: &str,
    like: &str,
    read: impl Fn(&str) -> Option<i64>,
) -> Result<Vec<Span>, Failure> {
    let span = |part: &str| -> Option<Span> {
        let Some((first, last)) = part.split_once("..") else {
            let value = read(part)?;
            return Some(Span {
                first: value,
                last: value,
            });
        };
        let end = |text: &str, open| match text {
            "" => Some(open),
            text => read(text),
        };
        Some(Span {
            first: end(first, i64::MIN)?,
            last: end(last, i64::MAX)?,
        })
        .filter(|span| span.first <= span.last)
    };
    texts
        .iter()
        .flat_map(|text| text.split(','))
        .map(|part| {
            span(part.trim())
                .ok_or_else(|| Failure::usage(format!("{flag} {part}: wanted is {like}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let read = |text: &str| spans(&[text.to_owned()], "--step", "6h", parse_step).ok();
        let span = |first, last| Span { first, last };
        assert_eq!(
            read("0h..6h,12h"),
            Some(vec![span(0, 21_600), span(43_200, 43_200)])
        );
        assert_eq!(read("6h.."), Some(vec![span(21_600, i64::MAX)]));
        assert_eq!(read("..6h"), Some(vec![span(i64::MIN, 21_600)]));
        for text in ["", "6", "6h..0h", "6h,", "6h...9h"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_level_type_stands_for_the_values_after_it() {
        let read = levels(&["isobaricInhPa=500,850,depthBelowLandLayer=0".to_owned()]).unwrap();
        let names: Vec<_> = read
            .iter()
            .map(|choice| (choice.level_type.as_deref().unwrap(), choice.value))
            .collect();
        assert_eq!(
            names,
            [
                ("isobaricInhPa", 500.0),
                ("isobaricInhPa", 850.0),
                ("depthBelowLandLayer", 0.0)
            ]
        );
        assert!(levels(&["high".to_owned()]).is_err());
    }
}

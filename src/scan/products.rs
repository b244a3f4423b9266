//! The published forecast products: where their files lie, and which files make a run.
//!
//! With that a run that is still arriving is told from a whole one. The products stand in `products.txt`, which explains itself.
//!
//! `hrrr` at 2026-11-22T06 is `hrrr.20261122/conus/hrrr.t06z.wrfsfcf00.grib2`, `...f01...`, ... `...f48...`, none of them a member.

use std::sync::LazyLock;

use crate::time::Instant;

/// Seconds of an hour.
pub(super) const HOUR: i64 = 3600;

/// The text that the products are read from.
const TEXT: &str = include_str!("products.txt");

/// A published forecast product.
#[derive(Debug, PartialEq, Eq)]
pub struct Product {
    /// The name of its shorthand.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// URL of the store that its paths begin at.
    pub root: &'static str,
    /// Hours between runs.
    pub(super) every: i64,
    /// How the index file's name comes from the GRIB's: `+` and what is appended, or what replaces `.grib2`.
    index: &'static str,
    files: Vec<Files>,
}

/// Some files of a product's runs.
#[derive(Debug, PartialEq, Eq)]
struct Files {
    runs: Vec<Condition>,
    steps: Vec<Steps>,
    members: Members,
    path: &'static str,
}

/// What a run must be to have these files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    At(i64, i64),
    Not(i64, i64),
    From(Instant),
    Until(Instant),
}

/// Steps from the first to the last: at a distance in hours from the first, or at valid hours that are multiples of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steps {
    first: i64,
    last: i64,
    every: i64,
    by_valid_hour: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Members {
    /// The name tells none.
    Unnamed,
    /// One file for each of these words.
    Named(Vec<String>),
    /// The forecast that is the control of the others.
    Control,
}

/// A file of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProductFile {
    /// Step in hours.
    pub(super) step: i64,
    /// Path below the root.
    pub(super) path: String,
    /// The member that its messages are, where they are one without saying so.
    pub(super) member: Option<i16>,
}

/// Every product that has a shorthand.
pub(super) fn products() -> &'static [Product] {
    static PRODUCTS: LazyLock<Vec<Product>> = LazyLock::new(|| read(TEXT).unwrap_or_default());
    &PRODUCTS
}

impl Product {
    /// The name of the index file beside a GRIB file.
    pub(super) fn index_name(&self, grib: &str) -> String {
        match self.index.strip_prefix('+') {
            Some(appended) => format!("{grib}{appended}"),
            None => format!("{}{}", grib.trim_end_matches(".grib2"), self.index),
        }
    }

    /// The files of a run, by steps.
    pub(super) fn files_of(&self, run: Instant) -> Vec<ProductFile> {
        let text = run.to_string();
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let date = digits.get(..8).unwrap_or_default();
        let hour = digits.get(8..10).unwrap_or_default();
        let mut all = Vec::new();
        for files in self.files.iter().filter(|files| files.belong_to(run)) {
            let path = files.path.replace("{date}", date).replace("{hour}", hour);
            for step in files.steps.iter().flat_map(|steps| steps.of(run)) {
                let path = path
                    .replace("{step3}", &format!("{step:03}"))
                    .replace("{step2}", &format!("{step:02}"))
                    .replace("{step}", &step.to_string());
                let file = |path: String, member| ProductFile { step, path, member };
                match &files.members {
                    Members::Unnamed => all.push(file(path, None)),
                    Members::Control => all.push(file(path, Some(0))),
                    Members::Named(names) => {
                        let paths = names.iter().map(|name| path.replace("{member}", name));
                        all.extend(paths.map(|path| file(path, None)));
                    }
                }
            }
        }
        all.sort_by_key(|file| file.step);
        all
    }
}

impl Files {
    fn belong_to(&self, run: Instant) -> bool {
        let hour = hour_of_day(run);
        self.runs.iter().all(|condition| match *condition {
            Condition::At(offset, every) => (hour - offset).rem_euclid(every) == 0,
            Condition::Not(offset, every) => (hour - offset).rem_euclid(every) != 0,
            Condition::From(first) => run >= first,
            Condition::Until(end) => run < end,
        })
    }
}

impl Steps {
    fn of(self, run: Instant) -> impl Iterator<Item = i64> {
        let from = if self.by_valid_hour {
            -hour_of_day(run)
        } else {
            self.first
        };
        (self.first..=self.last).filter(move |step| (step - from) % self.every == 0)
    }
}

fn hour_of_day(run: Instant) -> i64 {
    run.seconds().div_euclid(HOUR).rem_euclid(24)
}

/// Reads all products; `None` if a line is not understood.
fn read(text: &'static str) -> Option<Vec<Product>> {
    let mut products: Vec<Product> = Vec::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut parts = line.split(" | ").map(str::trim);
        if line.starts_with(' ') {
            let files = Files {
                runs: conditions(parts.next()?)?,
                steps: parts.next()?.split(' ').map(steps).collect::<Option<_>>()?,
                members: members(parts.next()?)?,
                path: parts.next()?,
            };
            products.last_mut()?.files.push(files);
        } else {
            products.push(Product {
                name: parts.next()?,
                title: parts.next()?,
                root: parts.next()?,
                every: parts.next()?.parse().ok().filter(|every| *every > 0)?,
                index: parts.next()?,
                files: Vec::new(),
            });
        }
    }
    Some(products)
}

fn conditions(text: &str) -> Option<Vec<Condition>> {
    if text == "*" {
        return Some(Vec::new());
    }
    let hours = |text: &str| {
        let (offset, every) = text.split_once('/')?;
        let every = every.parse().ok().filter(|every| *every > 0)?;
        Some((offset.parse().ok()?, every))
    };
    let mut words = text.split(' ');
    let mut conditions = Vec::new();
    while let Some(word) = words.next() {
        let value = words.next()?;
        conditions.push(match word {
            "at" => hours(value).map(|(offset, every)| Condition::At(offset, every))?,
            "not" => hours(value).map(|(offset, every)| Condition::Not(offset, every))?,
            "from" => Condition::From(Instant::parse(value)?),
            "until" => Condition::Until(Instant::parse(value)?),
            _ => return None,
        });
    }
    Some(conditions)
}

fn steps(text: &str) -> Option<Steps> {
    let by_valid_hour = text.contains('@');
    let (range, every) = text.split_once(['/', '@'])?;
    let (first, last) = range.split_once("..")?;
    Some(Steps {
        first: first.parse().ok()?,
        last: last.parse().ok()?,
        every: every.parse().ok().filter(|every| *every > 0)?,
        by_valid_hour,
    })
}

fn members(text: &str) -> Option<Members> {
    match text {
        "-" => return Some(Members::Unnamed),
        "control" => return Some(Members::Control),
        _ => {}
    }
    let mut names = Vec::new();
    for word in text.split(' ') {
        match word.split_once("..") {
            None => names.push(word.to_owned()),
            Some((first, last)) => {
                let prefix = first.trim_end_matches(|c: char| c.is_ascii_digit());
                let number = |name: &str| name.strip_prefix(prefix)?.parse::<u16>().ok();
                let numbers = number(first)?..=number(last)?;
                names.extend(numbers.map(|number| format!("{prefix}{number:02}")));
            }
        }
    }
    Some(Members::Named(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(name: &str, run: &str) -> Vec<ProductFile> {
        let product = products().iter().find(|product| product.name == name);
        product.unwrap().files_of(Instant::parse(run).unwrap())
    }

    fn steps_of(name: &str, run: &str) -> Vec<i64> {
        files(name, run).iter().map(|file| file.step).collect()
    }

    #[test]
    fn every_line_of_the_products_is_understood_and_every_run_has_files() {
        let products = read(TEXT).unwrap();
        let count = |start: &str| {
            let lines = TEXT.lines();
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines
                .filter(|line| line.starts_with("  ") == (start == "  "))
                .count()
        };
        assert_eq!(products.len(), count(""));
        let files: usize = products.iter().map(|product| product.files.len()).sum();
        assert_eq!(files, count("  "));
        for product in &products {
            for hour in (0..24).step_by(usize::try_from(product.every).unwrap()) {
                for day in [(2024, 6, 1), (2025, 6, 1), (2026, 5, 12), (2026, 11, 22)] {
                    let run = Instant::from_calendar(day.0, day.1, day.2, hour, 0, 0).unwrap();
                    let files = product.files_of(run);
                    assert!(!files.is_empty(), "{} {run}", product.name);
                    let mut paths: Vec<_> = files.iter().map(|file| &file.path).collect();
                    paths.sort();
                    paths.dedup();
                    assert_eq!(paths.len(), files.len(), "{} {run}", product.name);
                }
            }
        }
    }

    #[test]
    fn runs_are_as_long_as_they_are_published() {
        let last = |name, run| steps_of(name, run).last().copied().unwrap();
        assert_eq!(files("gfs", "2026-11-22T00").len(), 209);
        assert_eq!(files("gefs", "2026-11-22T06").len(), 31 * 81);
        assert_eq!(last("gefs-0p50", "2026-11-22T00"), 840);
        assert_eq!(last("gefs-0p50", "2026-11-22T06"), 384);
        assert_eq!(files("hrrr", "2026-11-22T06").len(), 49);
        assert_eq!(files("hrrr", "2026-11-22T07").len(), 19);
        assert_eq!(files("rap", "2026-11-22T03").len(), 52);
        assert_eq!(files("aifs-ens", "2026-11-22T00").len(), 122);
        assert_eq!(files("ecmwf-oper", "2026-11-22T06").len(), 49);
        assert_eq!(last("ecmwf-oper", "2024-11-12T00"), 240);
        assert_eq!(last("ecmwf-oper", "2024-11-12T06"), 144);
        assert_eq!(last("ecmwf-oper", "2024-11-11T18"), 90);
    }

    #[test]
    fn nbm_goes_by_the_valid_hour_past_its_hourly_steps() {
        assert_eq!(steps_of("nbm", "2026-11-22T00").len(), 36 + 52 + 12);
        assert_eq!(steps_of("nbm", "2026-11-22T00")[..3], [1, 2, 3]);
        assert_eq!(steps_of("nbm", "2026-11-22T00")[35..38], [36, 39, 42]);
        let five = steps_of("nbm", "2026-11-22T05");
        assert_eq!(five[35..38], [36, 37, 40]);
        for step in [88, 94, 187] {
            assert!(five.contains(&step), "{step}");
        }
    }

    #[test]
    fn the_ensembles_control_moved_to_the_files_of_the_deterministic_forecast() {
        let names = |run| {
            let files = files("ecmwf-ens", run);
            let step = files.into_iter().filter(|file| file.step == 6);
            step.map(|file| (file.path, file.member))
                .collect::<Vec<_>>()
        };
        let folder = "20260512/06z/ifs/0p25";
        assert_eq!(
            names("2026-05-12T06"),
            [
                (
                    format!("{folder}/oper/20260512060000-6h-oper-fc.grib2"),
                    Some(0)
                ),
                (
                    format!("{folder}/enfo/20260512060000-6h-enfo-ef.grib2"),
                    None
                ),
            ]
        );
        let folder = "20260512/00z/ifs/0p25";
        assert_eq!(
            names("2026-05-12T00"),
            [(
                format!("{folder}/enfo/20260512000000-6h-enfo-ef.grib2"),
                None
            )]
        );
        assert_eq!(files("ecmwf-ens", "2026-11-22T00").len(), 2 * 85);
        assert_eq!(files("ecmwf-ens", "2026-11-22T06").len(), 2 * 49);
        assert_eq!(files("ecmwf-ens", "2026-05-11T00").len(), 85);
    }

    #[test]
    fn runs_at_06_and_18_had_streams_of_their_own() {
        let first = |name, run| files(name, run)[0].path.clone();
        assert_eq!(
            first("ecmwf-oper", "2026-05-11T18"),
            "20260511/18z/ifs/0p25/scda/20260511180000-0h-scda-fc.grib2"
        );
        assert_eq!(
            first("ecmwf-wave", "2026-05-11T18"),
            "20260511/18z/ifs/0p25/scwv/20260511180000-0h-scwv-fc.grib2"
        );
        assert_eq!(
            first("ecmwf-wave", "2026-05-12T18"),
            "20260512/18z/ifs/0p25/wave/20260512180000-0h-wave-fc.grib2"
        );
    }
}

//! Product shorthands: `gfs:2026-11-22T00` stands for all files of that run at their public home.
//!
//! `--root` puts another store with the same tree in place of the public one.
//!
//! `hrrr:2026-11-22T06/0..2` is `s3://noaa-hrrr-bdp-pds/hrrr.20261122/conus/hrrr.t06z.wrfsfcf00.grib2`, `...f01...`, `...f02...`.

use std::path::Path;

use super::products::{HOUR, Product, products};
use super::sources::Source;
use crate::location::{Location, LocationError};
use crate::time::Instant;

/// A run of the kind that has most steps, for those that are not known yet.
const LONG_RUN: Instant = Instant(1_800_000_000 / 86_400 * 86_400);

/// Why a shorthand stands for nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProductError {
    /// No product has this name.
    #[error("{text}: no product `{name}`; known are {}", names())]
    Unknown {
        /// The shorthand.
        text: String,
        /// The name in it.
        name: String,
    },
    /// What follows the name is no run.
    #[error(
        "{text}: `{run}` is no run; write {name}:2026-11-22T00, or {name}:2026-11-22T00/0..48 for its first steps"
    )]
    Run {
        /// The shorthand.
        text: String,
        /// The product.
        name: &'static str,
        /// What should be a run.
        run: String,
    },
    /// The product has no run at this hour.
    #[error("{text}: {name} has a run every {every} hours from 00 UTC on")]
    Hour {
        /// The shorthand.
        text: String,
        /// The product.
        name: &'static str,
        /// Hours between its runs.
        every: i64,
    },
    /// What follows the slash are no steps, or none that the run has.
    #[error(
        "{text}: `{steps}` are no steps of this run; write /0..48 (hours, both included), /0..48..6 or /24"
    )]
    Steps {
        /// The shorthand.
        text: String,
        /// What should be steps.
        steps: String,
    },
    /// The root is no URL.
    #[error(transparent)]
    Root(#[from] LocationError),
}

fn names() -> String {
    let names: Vec<&str> = products().iter().map(|product| product.name).collect();
    names.join(", ")
}

/// A product, a run (or whichever is the newest), and a choice of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shorthand {
    /// The product.
    pub product: &'static Product,
    /// The run; `None` for `NAME:latest`.
    pub run: Option<Instant>,
    /// First and last step and their distance, in hours; `None` for all.
    steps: Option<(i64, i64, i64)>,
}

impl Shorthand {
    /// Reads `NAME:RUN`, `NAME:RUN/STEPS` or `NAME:latest`; `None` if the text is something else (a URL, a path).
    ///
    /// # Errors
    /// [`ProductError`] for unknown names, runs that are none, steps that the run does not have.
    pub fn parse(text: &str) -> Option<Result<Self, ProductError>> {
        let (name, rest) = text.split_once(':')?;
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() > 1
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_name || rest.starts_with("//") {
            return None;
        }
        Some(Self::read(text, name, rest))
    }

    fn read(text: &str, name: &str, rest: &str) -> Result<Self, ProductError> {
        let product = products()
            .iter()
            .find(|product| product.name == name)
            .ok_or_else(|| ProductError::Unknown {
                text: text.to_owned(),
                name: name.to_owned(),
            })?;
        let (run_text, steps_text) = match rest.split_once('/') {
            Some((run, steps)) => (run, Some(steps)),
            None => (rest, None),
        };
        let run = match run_text {
            "latest" => None,
            other => Some(Instant::parse(other).ok_or_else(|| ProductError::Run {
                text: text.to_owned(),
                name: product.name,
                run: other.to_owned(),
            })?),
        };
        if run.is_some_and(|run| run.seconds() % (product.every * HOUR) != 0) {
            return Err(ProductError::Hour {
                text: text.to_owned(),
                name: product.name,
                every: product.every,
            });
        }
        let steps = match steps_text {
            Some(steps) => Some(parse_steps(steps).ok_or_else(|| ProductError::Steps {
                text: text.to_owned(),
                steps: steps.to_owned(),
            })?),
            None => None,
        };
        let shorthand = Self {
            product,
            run,
            steps,
        };
        let files = product.files_of(run.unwrap_or(LONG_RUN));
        if !files.iter().any(|file| shorthand.wants(file.step)) {
            return Err(ProductError::Steps {
                text: text.to_owned(),
                steps: steps_text.unwrap_or_default().to_owned(),
            });
        }
        Ok(shorthand)
    }

    /// The files of a run, by steps, then members; below `root` in place of the product's own.
    ///
    /// # Errors
    /// [`ProductError::Root`] if the root is neither a URL nor a path.
    pub fn files(
        &self,
        run: Instant,
        root: Option<&str>,
        base: &Path,
    ) -> Result<Vec<Source>, ProductError> {
        let root = Location::parse(root.unwrap_or(self.product.root), base)?;
        let root_text = root.as_str().trim_end_matches('/');
        let files = self.product.files_of(run).into_iter();
        let wanted = files.filter(|file| self.wants(file.step));
        let sources = wanted.map(|file| {
            let location = root.with_text(&format!("{root_text}/{}", file.path));
            let index = self.product.index_name(location.file_name());
            Source {
                sidecar: Some(Some(location.with_file_name(&index))),
                member: file.member,
                ..Source::named(location)
            }
        });
        Ok(sources.collect())
    }

    /// The run before this one.
    #[must_use]
    pub fn before(&self, run: Instant) -> Instant {
        run.plus(-self.product.every * HOUR)
    }

    /// The run after this one.
    #[must_use]
    pub fn after(&self, run: Instant) -> Instant {
        run.plus(self.product.every * HOUR)
    }

    /// The last run that has begun at `now`.
    #[must_use]
    pub fn newest_at(&self, now: Instant) -> Instant {
        let period = self.product.every * HOUR;
        Instant(now.seconds().div_euclid(period) * period)
    }

    /// Whether a step, in hours, is one of those chosen.
    fn wants(&self, step: i64) -> bool {
        self.steps.is_none_or(|(first, last, every)| {
            (first..=last).contains(&step) && (step - first) % every == 0
        })
    }
}

/// `24`, `0..48`, `0..48..6`.
fn parse_steps(text: &str) -> Option<(i64, i64, i64)> {
    let parts = text
        .split("..")
        .map(|part| part.parse::<u16>().ok().map(i64::from))
        .collect::<Option<Vec<i64>>>()?;
    match parts.as_slice() {
        [one] => Some((*one, *one, 1)),
        [first, last] if first <= last => Some((*first, *last, 1)),
        [first, last, every] if first <= last && *every > 0 => Some((*first, *last, *every)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<String> {
        let shorthand = Shorthand::parse(text).unwrap().unwrap();
        let files = shorthand.files(shorthand.run.unwrap(), None, Path::new("/"));
        let name = |source: Source| source.location.as_str().to_owned();
        files.unwrap().into_iter().map(name).collect()
    }

    #[test]
    fn shorthands_stand_for_public_files() {
        let gfs = files("gfs:2026-11-22T00");
        assert_eq!(gfs.len(), 209);
        assert_eq!(
            gfs.last().unwrap(),
            "s3://noaa-gfs-bdp-pds/gfs.20261122/00/atmos/gfs.t00z.pgrb2.0p25.f384"
        );
        assert_eq!(
            files("gefs:2026-11-22T06")[1],
            "s3://noaa-gefs-pds/gefs.20261122/06/atmos/pgrb2sp25/gep01.t06z.pgrb2s.0p25.f000"
        );
        assert_eq!(
            files("ecmwf-ens:2026112212/144..150").last().unwrap(),
            "s3://ecmwf-forecasts/20261122/12z/ifs/0p25/enfo/20261122120000-150h-enfo-ef.grib2"
        );
        assert_eq!(files("gefs-0p50:2026-11-22T00/0").len(), 31);
    }

    #[test]
    fn index_files_lie_where_the_producer_puts_them() {
        let shorthand = Shorthand::parse("ecmwf-oper:2026-11-22T00/0")
            .unwrap()
            .unwrap();
        let root = Some("http://127.0.0.1:1/tree/");
        let files = shorthand
            .files(shorthand.run.unwrap(), root, Path::new("/"))
            .unwrap();
        assert_eq!(
            files[0].sidecar.clone().unwrap().unwrap().as_str(),
            "http://127.0.0.1:1/tree/20261122/00z/ifs/0p25/oper/20261122000000-0h-oper-fc.index"
        );
    }

    #[test]
    fn every_name_says_its_run_and_step() {
        for product in products() {
            let text = format!("{}:2026-11-22T12", product.name);
            let shorthand = Shorthand::parse(&text).unwrap().unwrap();
            let files = shorthand
                .files(shorthand.run.unwrap(), None, Path::new("/"))
                .unwrap();
            let steps = product.files_of(shorthand.run.unwrap());
            let last = crate::index::url_facts(files.last().unwrap().location.as_str());
            assert_eq!(last.run, shorthand.run, "{}", product.name);
            if product.name != "rtma" {
                let step = steps.last().map(|file| file.step * HOUR);
                assert_eq!(last.step, step, "{}", product.name);
            }
        }
    }

    #[test]
    fn what_is_no_shorthand_is_told() {
        assert!(Shorthand::parse("https://host/gfs:2026").is_none());
        assert!(Shorthand::parse("/data/a:b").is_none());
        assert!(Shorthand::parse("plain.grib2").is_none());
        let says = |text: &str, words: &str| {
            let error = Shorthand::parse(text).unwrap().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        says("icon:2026-11-22T00", "known are gfs, ");
        says("gfs:yesterday", "is no run");
        says("gfs:2026-11-22T05", "every 6 hours");
        says("gfs:2026-11-22T00/1..x", "no steps");
        says("gfs:2026-11-22T00/385..390", "no steps");
    }
}

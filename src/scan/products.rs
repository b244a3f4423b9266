//! Product shorthands: `gfs:2026-11-22T00` stands for all files of that run at their public home.
//!
//! What a run consists of is the product's definition: with it a run that is still arriving is told from a whole one. The tables
//! below say where each producer publishes and which steps each hour's run has; `--root` puts another store with the same tree in
//! place of the public one.
//!
//! `hrrr:2026-11-22T06/0..2` is `s3://noaa-hrrr-bdp-pds/hrrr.20261122/conus/hrrr.t06z.wrfsfcf00.grib2`, `...f01...`, `...f02...`.

use std::path::Path;

use super::sources::Source;
use crate::location::{Location, LocationError};
use crate::time::Instant;

/// Seconds of an hour.
const HOUR: i64 = 3600;

/// A published forecast product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// The name of its shorthand.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// URL of the store that its paths begin at.
    pub root: &'static str,
    /// Path below the root, with `{date}`, `{hour}`, `{step}` (as it is), `{step2}`, `{step3}` (with zeros) and `{member}`.
    path: &'static str,
    /// How the index file's name comes from the GRIB's.
    index: Index,
    /// Hours between runs.
    every: i64,
    steps: Steps,
    members: Members,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Index {
    /// `.idx` appended.
    Idx,
    /// `.index` in place of `.grib2`.
    Index,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Members {
    /// One file holds all there is.
    One,
    /// Each of these names.
    Named(&'static [&'static str]),
    /// A prefix and numbers of two digits from 1 to the last; first a name of its own (the control).
    Numbered(&'static str, &'static str, u16),
}

/// Steps in hours: `(last, every)` one after another, from `first`; `hours` gives the runs to which they belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steps {
    /// The same for each run.
    All(i64, &'static [(i64, i64)]),
    /// For runs at multiples of so many hours (after an offset) the first, for others the second.
    ByHour(i64, i64, &'static [(i64, i64)], &'static [(i64, i64)]),
    /// Hourly to the first, then at every third and sixth hour of the day to the second and third.
    OnTheClock(i64, i64, i64),
}

/// Every product that has a shorthand.
pub(super) const PRODUCTS: &[Product] = &[
    Product {
        name: "gfs",
        title: "GFS 0.25 degree",
        root: "s3://noaa-gfs-bdp-pds",
        path: "gfs.{date}/{hour}/atmos/gfs.t{hour}z.pgrb2.0p25.f{step3}",
        index: Index::Idx,
        every: 6,
        steps: Steps::All(0, &[(120, 1), (384, 3)]),
        members: Members::One,
    },
    Product {
        name: "gfs-0p50",
        title: "GFS 0.5 degree",
        root: "s3://noaa-gfs-bdp-pds",
        path: "gfs.{date}/{hour}/atmos/gfs.t{hour}z.pgrb2full.0p50.f{step3}",
        index: Index::Idx,
        every: 6,
        steps: Steps::All(0, &[(384, 3)]),
        members: Members::One,
    },
    Product {
        name: "gfs-1p00",
        title: "GFS 1 degree",
        root: "s3://noaa-gfs-bdp-pds",
        path: "gfs.{date}/{hour}/atmos/gfs.t{hour}z.pgrb2.1p00.f{step3}",
        index: Index::Idx,
        every: 6,
        steps: Steps::All(0, &[(384, 3)]),
        members: Members::One,
    },
    Product {
        name: "gfs-wave",
        title: "GFS wave, global 0.25 degree",
        root: "s3://noaa-gfs-bdp-pds",
        path: "gfs.{date}/{hour}/wave/gridded/gfswave.t{hour}z.global.0p25.f{step3}.grib2",
        index: Index::Idx,
        every: 6,
        steps: Steps::All(0, &[(120, 1), (384, 3)]),
        members: Members::One,
    },
    Product {
        name: "gefs",
        title: "GEFS 0.25 degree, control and 30 members",
        root: "s3://noaa-gefs-pds",
        path: "gefs.{date}/{hour}/atmos/pgrb2sp25/ge{member}.t{hour}z.pgrb2s.0p25.f{step3}",
        index: Index::Idx,
        every: 6,
        steps: Steps::All(0, &[(240, 3)]),
        members: Members::Numbered("c00", "p", 30),
    },
    Product {
        name: "gefs-0p50",
        title: "GEFS 0.5 degree (primary set), control and 30 members",
        root: "s3://noaa-gefs-pds",
        path: "gefs.{date}/{hour}/atmos/pgrb2ap5/ge{member}.t{hour}z.pgrb2a.0p50.f{step3}",
        index: Index::Idx,
        every: 6,
        steps: Steps::ByHour(24, 0, &[(240, 3), (840, 6)], &[(240, 3), (384, 6)]),
        members: Members::Numbered("c00", "p", 30),
    },
    Product {
        name: "gefs-mean",
        title: "GEFS 0.25 degree, mean and spread",
        root: "s3://noaa-gefs-pds",
        path: "gefs.{date}/{hour}/atmos/pgrb2sp25/ge{member}.t{hour}z.pgrb2s.0p25.f{step3}",
        index: Index::Idx,
        every: 6,
        steps: Steps::All(0, &[(240, 3)]),
        members: Members::Named(&["avg", "spr"]),
    },
    Product {
        name: "hrrr",
        title: "HRRR surface fields, CONUS 3 km",
        root: "s3://noaa-hrrr-bdp-pds",
        path: "hrrr.{date}/conus/hrrr.t{hour}z.wrfsfcf{step2}.grib2",
        index: Index::Idx,
        every: 1,
        steps: Steps::ByHour(6, 0, &[(48, 1)], &[(18, 1)]),
        members: Members::One,
    },
    Product {
        name: "hrrr-prs",
        title: "HRRR pressure levels, CONUS 3 km",
        root: "s3://noaa-hrrr-bdp-pds",
        path: "hrrr.{date}/conus/hrrr.t{hour}z.wrfprsf{step2}.grib2",
        index: Index::Idx,
        every: 1,
        steps: Steps::ByHour(6, 0, &[(48, 1)], &[(18, 1)]),
        members: Members::One,
    },
    Product {
        name: "hrrr-subh",
        title: "HRRR every 15 minutes, CONUS 3 km",
        root: "s3://noaa-hrrr-bdp-pds",
        path: "hrrr.{date}/conus/hrrr.t{hour}z.wrfsubhf{step2}.grib2",
        index: Index::Idx,
        every: 1,
        steps: Steps::All(0, &[(18, 1)]),
        members: Members::One,
    },
    Product {
        name: "nbm",
        title: "National Blend of Models, core, CONUS",
        root: "s3://noaa-nbm-grib2-pds",
        path: "blend.{date}/{hour}/core/blend.t{hour}z.core.f{step3}.co.grib2",
        index: Index::Idx,
        every: 1,
        steps: Steps::OnTheClock(36, 192, 264),
        members: Members::One,
    },
    Product {
        name: "rap",
        title: "RAP 13 km",
        root: "s3://noaa-rap-pds",
        path: "rap.{date}/rap.t{hour}z.awp130pgrbf{step2}.grib2",
        index: Index::Idx,
        every: 1,
        steps: Steps::ByHour(6, 3, &[(51, 1)], &[(21, 1)]),
        members: Members::One,
    },
    Product {
        name: "rtma",
        title: "RTMA analyses, CONUS 2.5 km",
        root: "s3://noaa-rtma-pds",
        path: "rtma2p5.{date}/rtma2p5.t{hour}z.2dvaranl_ndfd.grb2_wexp",
        index: Index::Idx,
        every: 1,
        steps: Steps::All(0, &[(0, 1)]),
        members: Members::One,
    },
    Product {
        name: "ecmwf-oper",
        title: "ECMWF open data, deterministic forecast 0.25 degree",
        root: "s3://ecmwf-forecasts",
        path: "{date}/{hour}z/ifs/0p25/oper/{date}{hour}0000-{step}h-oper-fc.grib2",
        index: Index::Index,
        every: 6,
        steps: Steps::ByHour(12, 0, &[(144, 3), (360, 6)], &[(144, 3)]),
        members: Members::One,
    },
    Product {
        name: "ecmwf-wave",
        title: "ECMWF open data, waves 0.25 degree",
        root: "s3://ecmwf-forecasts",
        path: "{date}/{hour}z/ifs/0p25/wave/{date}{hour}0000-{step}h-wave-fc.grib2",
        index: Index::Index,
        every: 6,
        steps: Steps::ByHour(12, 0, &[(144, 3), (360, 6)], &[(144, 3)]),
        members: Members::One,
    },
    Product {
        name: "ecmwf-ens",
        title: "ECMWF open data, ensemble 0.25 degree",
        root: "s3://ecmwf-forecasts",
        path: "{date}/{hour}z/ifs/0p25/enfo/{date}{hour}0000-{step}h-enfo-ef.grib2",
        index: Index::Index,
        every: 6,
        steps: Steps::ByHour(12, 0, &[(144, 3), (360, 6)], &[(144, 3)]),
        members: Members::One,
    },
    Product {
        name: "aifs-single",
        title: "ECMWF AIFS, deterministic forecast 0.25 degree",
        root: "s3://ecmwf-forecasts",
        path: "{date}/{hour}z/aifs-single/0p25/oper/{date}{hour}0000-{step}h-oper-fc.grib2",
        index: Index::Index,
        every: 6,
        steps: Steps::All(0, &[(360, 6)]),
        members: Members::One,
    },
    Product {
        name: "aifs-ens",
        title: "ECMWF AIFS, ensemble 0.25 degree: control and members",
        root: "s3://ecmwf-forecasts",
        path: "{date}/{hour}z/aifs-ens/0p25/enfo/{date}{hour}0000-{step}h-enfo-{member}.grib2",
        index: Index::Index,
        every: 6,
        steps: Steps::All(0, &[(360, 6)]),
        members: Members::Named(&["cf", "pf"]),
    },
];

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
    let names: Vec<&str> = PRODUCTS.iter().map(|product| product.name).collect();
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
        let product = PRODUCTS
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
        if shorthand.steps_of(run.unwrap_or(Instant(0))).is_empty() {
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
        let digits: String = run
            .to_string()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let date = digits.get(..8).unwrap_or_default();
        let hour = digits.get(8..10).unwrap_or_default();
        let members = self.product.members.names();
        let path = self
            .product
            .path
            .replace("{date}", date)
            .replace("{hour}", hour);
        let mut sources = Vec::new();
        for step in self.steps_of(run) {
            let path = path
                .replace("{step3}", &format!("{step:03}"))
                .replace("{step2}", &format!("{step:02}"))
                .replace("{step}", &step.to_string());
            for member in &members {
                let path = path.replace("{member}", member);
                let location = root.with_text(&format!("{root_text}/{path}"));
                let name = location.file_name();
                let index = match self.product.index {
                    Index::Idx => format!("{name}.idx"),
                    Index::Index => format!("{}.index", name.trim_end_matches(".grib2")),
                };
                let sidecar = location.with_file_name(&index);
                sources.push(Source {
                    sidecar: Some(Some(sidecar)),
                    ..Source::named(location)
                });
            }
        }
        Ok(sources)
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

    /// Steps in hours.
    fn steps_of(&self, run: Instant) -> Vec<i64> {
        let all = self.product.steps.of(run);
        match self.steps {
            None => all,
            Some((first, last, every)) => all
                .into_iter()
                .filter(|step| (first..=last).contains(step) && (step - first) % every == 0)
                .collect(),
        }
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

impl Members {
    fn names(self) -> Vec<String> {
        match self {
            Self::One => vec![String::new()],
            Self::Named(names) => names.iter().map(ToString::to_string).collect(),
            Self::Numbered(control, prefix, last) => std::iter::once(control.to_owned())
                .chain((1..=last).map(|number| format!("{prefix}{number:02}")))
                .collect(),
        }
    }
}

impl Steps {
    fn of(self, run: Instant) -> Vec<i64> {
        let hour = run.seconds().div_euclid(HOUR).rem_euclid(24);
        match self {
            Self::All(first, parts) => in_parts(first, parts),
            Self::ByHour(every, offset, long, short) => {
                let is_long = (hour - offset).rem_euclid(every) == 0;
                in_parts(0, if is_long { long } else { short })
            }
            Self::OnTheClock(hourly, third, sixth) => (1..=sixth)
                .filter(|step| {
                    let valid = hour + step;
                    *step <= hourly
                        || (*step <= third && valid % 3 == 0)
                        || (*step > third && valid % 6 == 0)
                })
                .collect(),
        }
    }
}

fn in_parts(first: i64, parts: &[(i64, i64)]) -> Vec<i64> {
    let mut steps = vec![first];
    let mut at = first;
    for (last, every) in parts {
        while at + every <= *last {
            at += every;
            steps.push(at);
        }
    }
    steps
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
        assert_eq!(files("gefs:2026-11-22T06").len(), 31 * 81);
        assert_eq!(
            files("gefs:2026-11-22T06")[1],
            "s3://noaa-gefs-pds/gefs.20261122/06/atmos/pgrb2sp25/gep01.t06z.pgrb2s.0p25.f000"
        );
        assert_eq!(files("ecmwf-ens:2026-11-22T00").len(), 85);
        assert_eq!(files("ecmwf-oper:2026-11-22T06").len(), 49);
        assert_eq!(
            files("ecmwf-ens:2026112212/144..150").last().unwrap(),
            "s3://ecmwf-forecasts/20261122/12z/ifs/0p25/enfo/20261122120000-150h-enfo-ef.grib2"
        );
        assert_eq!(files("hrrr:2026-11-22T06").len(), 49);
        assert_eq!(files("hrrr:2026-11-22T07").len(), 19);
        assert_eq!(files("rap:2026-11-22T03").len(), 52);
        assert_eq!(files("aifs-ens:2026-11-22T00").len(), 122);
        assert_eq!(files("nbm:2026-11-22T00").len(), 36 + 52 + 12);
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
        for product in PRODUCTS {
            let text = format!("{}:2026-11-22T12", product.name);
            let shorthand = Shorthand::parse(&text).unwrap().unwrap();
            let files = shorthand
                .files(shorthand.run.unwrap(), None, Path::new("/"))
                .unwrap();
            let steps = product.steps.of(shorthand.run.unwrap());
            let last = crate::index::url_facts(files.last().unwrap().location.as_str());
            assert_eq!(last.run, shorthand.run, "{}", product.name);
            if product.name != "rtma" {
                let step = steps.last().map(|step| step * HOUR);
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

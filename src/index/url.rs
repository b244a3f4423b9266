//! What the name of a file says of its run, step and member, and what files of one product have in common.
//!
//! `https://host/gfs.20260101/06/atmos/gfs.t06z.pgrb2.0p25.f024` is of the run 2026-01-01T06 and the step 24 h; its product is
//! `https://host/gfs.{date}/{hour}/atmos/gfs.t{hour}z.pgrb2.0p25.f{step}`. Names prove nothing: facts are for checking the
//! index (`d=`) against, the product for sharing what was learnt from headers.

use crate::time::Instant;

/// What a URL or file name says. All of it may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UrlFacts {
    /// Reference time of the run, where date and hour are there.
    pub run: Option<Instant>,
    /// Day of the run at 00 UTC, where a date is there.
    pub day: Option<Instant>,
    /// Step in seconds. The last one of several that a file may hold (HRRR sub-hourly, ECMWF's `-240h-enfo-ep`).
    pub step: Option<i64>,
    /// Ensemble member, control 0.
    pub member: Option<i16>,
}

impl UrlFacts {
    /// Whether a line of run `line_run` may stand in the index of this file. `d=` knows no minutes, so a line at the full
    /// hour agrees with any minute of it.
    #[must_use]
    pub fn agrees(&self, line_run: Instant) -> bool {
        let hour = |at: Instant| at.0.div_euclid(3600);
        let day = |at: Instant| at.0.div_euclid(86_400);
        match (self.run, self.day) {
            (Some(run), _) if line_run.0 % 3600 == 0 => hour(run) == hour(line_run),
            (Some(run), _) => run == line_run,
            (None, Some(date)) => day(date) == day(line_run),
            (None, None) => true,
        }
    }
}

/// What a URL or file name says of its run, step and member.
#[must_use]
pub fn url_facts(url: &str) -> UrlFacts {
    let mut facts = Facts::default();
    drop(walk(url, &mut facts));
    facts.finish()
}

/// The URL with the digits of run, step and member replaced by `{date}`, `{hour}`, `{step}`, `{member}`: equal for files
/// of one product.
///
/// The control, the perturbed members, mean and spread of an ensemble stay products of their own (`gec00`, `gep{member}`,
/// `geavg`), as their headers differ. A pattern that is not known keeps its digits, which costs headers and nothing else.
#[must_use]
pub fn product_key(url: &str) -> String {
    walk(url, &mut Facts::default())
}

#[derive(Default)]
struct Facts {
    day: Option<Instant>,
    /// Seconds of the day.
    time: Option<i64>,
    step: Option<i64>,
    member: Option<i16>,
}

impl Facts {
    fn finish(self) -> UrlFacts {
        UrlFacts {
            run: self.day.zip(self.time).map(|(day, time)| day.plus(time)),
            day: self.day,
            step: self.step,
            member: self.member,
        }
    }
}

/// Goes through the path of a URL, notes facts, and gives back the URL without them. Later parts win: a file's name over its
/// folders.
fn walk(url: &str, facts: &mut Facts) -> String {
    // A query holds signatures and their dates.
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let start = url.find("://").map_or(0, |at| at + 3);
    let (scheme, path) = url.split_at_checked(start).unwrap_or(("", url));
    let mut key = scheme.to_owned();
    let mut segments = path.split('/').enumerate().peekable();
    while let Some((number, segment)) = segments.next() {
        if number > 0 {
            key.push('/');
        }
        // Hosts and buckets have digits of their own.
        if number == 0 && start > 0 {
            key.push_str(segment);
        } else if let Some(day) = day_folders(segment, segments.clone()) {
            facts.day = Some(day);
            key.push_str("{date}");
            segments.next();
            segments.next();
        } else if let Some(hour) = hour_folder(segment, facts) {
            facts.time = Some(hour * 3600);
            key.push_str("{hour}");
            key.push_str(segment.trim_start_matches(|c: char| c.is_ascii_digit()));
        } else {
            walk_segment(segment, facts, &mut key);
        }
    }
    key
}

/// `/2026/01/31/`
fn day_folders<'a>(
    year: &str,
    mut next: impl Iterator<Item = (usize, &'a str)>,
) -> Option<Instant> {
    let (_, month) = next.next()?;
    let (_, day) = next.next()?;
    let lengths = (year.len(), month.len(), day.len()) == (4, 2, 2);
    lengths
        .then(|| date(&format!("{year}{month}{day}")))
        .flatten()
        .map(|found| found.0)
}

/// The day that a text beginning with `2026-01-31` names, and the rest of it.
fn dashed(text: &str) -> Option<(Instant, &str)> {
    let (head, rest) = text.split_at_checked(10)?;
    let mut parts = head.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let whole =
        (year.len(), month.len()) == (4, 2) && !rest.starts_with(|c: char| c.is_ascii_digit());
    whole
        .then(|| date(&format!("{year}{month}{day}")))
        .flatten()
        .map(|found| (found.0, rest))
}

/// `/00/` below a dated folder, or `/00z/`.
fn hour_folder(segment: &str, facts: &Facts) -> Option<i64> {
    let digits = match segment.strip_suffix('z') {
        Some(digits) => digits,
        None => segment,
    };
    facts.day?;
    (digits.len() == 2)
        .then(|| number(digits))
        .flatten()
        .filter(|hour| *hour < 24)
}

/// Splits a segment into runs of digits and the rest, and looks at each run with its neighbours.
fn walk_segment(segment: &str, facts: &mut Facts, key: &mut String) {
    let mut rest = segment;
    let mut done = "";
    let mut last = Last::Nothing;
    while !rest.is_empty() {
        let plain = rest.bytes().take_while(|b| !b.is_ascii_digit()).count();
        let (before, from_digits) = rest.split_at_checked(plain).unwrap_or((rest, ""));
        key.push_str(before);
        if let Some((day, after)) = dashed(from_digits) {
            facts.day = Some(day);
            key.push_str("{date}");
            last = Last::Date;
            rest = after;
            continue;
        }
        let count = from_digits.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = from_digits
            .split_at_checked(count)
            .unwrap_or((from_digits, ""));
        done = segment
            .get(..segment.len() - from_digits.len())
            .unwrap_or(done);
        rest = after;
        if digits.is_empty() {
            break;
        }
        let part = Part {
            before: done,
            gap: before,
            digits,
            after,
        };
        match part.read(last, facts) {
            Some((name, now)) => {
                key.push_str(name);
                last = now;
            }
            None => {
                key.push_str(digits);
                last = Last::Nothing;
            }
        }
    }
}

/// What the run of digits before this one was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Date,
    Time,
}

/// A run of digits in a segment.
struct Part<'a> {
    /// All of the segment before it.
    before: &'a str,
    /// What stands between it and the run of digits before it.
    gap: &'a str,
    digits: &'a str,
    /// All of the segment after it.
    after: &'a str,
}

impl Part<'_> {
    fn read(&self, last: Last, facts: &mut Facts) -> Option<(&'static str, Last)> {
        let value = number(self.digits)?;
        let count = self.digits.len();
        if let Some((day, time)) = date(self.digits) {
            facts.day = Some(day);
            facts.time = time.or(facts.time);
            return Some(("{date}", Last::Date));
        }
        // `_20260101_0600_024`: NCEI; `_20260101-001500`: MRMS.
        // `2026-01-31T00`, `2026-01-31T0015`: gribfs's own names of runs.
        if last == Last::Date && self.gap == "T" && count == 2 && value < 24 {
            facts.time = Some(value * 3600);
            return Some(("{hour}", Last::Time));
        }
        if last == Last::Date
            && matches!(self.gap, "_" | "-" | "T")
            && let Some(seconds) = clock(self.digits)
        {
            facts.time = Some(seconds);
            return Some(("{hour}", Last::Time));
        }
        if last == Last::Time && self.gap == "_" && count == 3 {
            facts.step = Some(value * 3600);
            return Some(("{step}", Last::Nothing));
        }
        let word = self.word();
        let ends = !self.after.starts_with(|c: char| c.is_ascii_alphanumeric());
        // `.t06z.`, `.t0015z.`
        if word == "t" && self.after.starts_with('z') {
            let seconds = match count {
                2 if value < 24 => value * 3600,
                4 => clock(self.digits)?,
                _ => return None,
            };
            facts.time = Some(seconds);
            return Some(("{hour}", Last::Nothing));
        }
        // `-24h-oper-fc`
        if self.gap == "-" && last == Last::Date && self.after.starts_with("h-") {
            facts.step = Some(value * 3600);
            return Some(("{step}", Last::Nothing));
        }
        if ends && word.ends_with('f') && (word == "f" || is_file_kind(word)) {
            facts.step = Some(match count {
                2 | 3 => value * 3600,
                // `wrfsubhf0015`: hours and minutes.
                4 => (value / 100) * 3600 + (value % 100) * 60,
                _ => return None,
            });
            return Some(("{step}", Last::Nothing));
        }
        if ends && (word == "awphys" || word == "awip") && count == 2 {
            facts.step = Some(value * 3600);
            return Some(("{step}", Last::Nothing));
        }
        let member = i16::try_from(value).ok()?;
        match word {
            "gep" if count == 2 => {
                facts.member = Some(member);
                Some(("{member}", Last::Nothing))
            }
            "gec" if value == 0 => {
                facts.member = Some(0);
                None
            }
            // The control of an ensemble has headers of its own.
            "mem" | "m" if ends && (2..=3).contains(&count) => {
                facts.member = Some(member);
                (value > 0).then_some(("{member}", Last::Nothing))
            }
            _ => None,
        }
    }

    /// The letters right before the digits.
    fn word(&self) -> &str {
        let letters = self
            .before
            .bytes()
            .rev()
            .take_while(u8::is_ascii_alphabetic)
            .count();
        self.before
            .get(self.before.len() - letters..)
            .unwrap_or_default()
    }
}

/// Words that end in the `f` of a step: HRRR's and RAP's files.
fn is_file_kind(word: &str) -> bool {
    let kinds = [
        "wrfsfcf", "wrfprsf", "wrfnatf", "wrfsubhf", "pgrbf", "bgrbf", "hiresf",
    ];
    kinds.contains(&word)
}

fn number(digits: &str) -> Option<i64> {
    super::noaa::digits(digits).and_then(|number| i64::try_from(number).ok())
}

/// `HHMM` or `HHMMSS` as seconds of the day.
fn clock(digits: &str) -> Option<i64> {
    let value = number(digits)?;
    let (hour, minute, second) = match digits.len() {
        4 => (value / 100, value % 100, 0),
        6 => (value / 10_000, value / 100 % 100, value % 100),
        _ => return None,
    };
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

/// `YYYYMMDD`, `YYYYMMDDHH`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS` of 1900 to 2199, as day and seconds of the day.
fn date(digits: &str) -> Option<(Instant, Option<i64>)> {
    let part = |from: usize, to: usize| {
        digits
            .get(from..to)
            .and_then(|part| part.parse::<u32>().ok())
            .unwrap_or(0)
    };
    if !matches!(digits.len(), 8 | 10 | 12 | 14) || !(1900..2200).contains(&part(0, 4)) {
        return None;
    }
    let year = i32::try_from(part(0, 4)).ok()?;
    let day = Instant::from_calendar(year, part(4, 6), part(6, 8), 0, 0, 0)?;
    if digits.len() == 8 {
        return Some((day, None));
    }
    let (hour, minute, second) = (part(8, 10), part(10, 12), part(12, 14));
    (hour < 24 && minute < 60 && second < 60)
        .then_some((day, Some(i64::from(hour * 3600 + minute * 60 + second))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(url: &str) -> (String, Option<i64>, Option<i16>) {
        let facts = url_facts(url);
        let run = facts.run.map_or_else(String::new, Instant::path_name);
        (run, facts.step.map(|step| step / 60), facts.member)
    }

    #[test]
    fn known_products_say_run_step_and_member() {
        for (url, run, minutes, member) in [
            (
                "https://noaa-gfs-bdp-pds.s3.amazonaws.com/gfs.20260101/06/atmos/gfs.t06z.pgrb2.0p25.f024",
                "2026-01-01T06",
                Some(24 * 60),
                None,
            ),
            (
                "s3://noaa-hrrr-bdp-pds/hrrr.20231104/conus/hrrr.t01z.wrfsubhf09.grib2",
                "2023-11-04T01",
                Some(9 * 60),
                None,
            ),
            (
                "hrrr.20160823/hrrr.t12z.wrfsubhf0015.grib2",
                "2016-08-23T12",
                Some(15),
                None,
            ),
            (
                "https://x/gefs.20250801/00/atmos/pgrb2sp25/gep07.t00z.pgrb2s.0p25.f003",
                "2025-08-01T00",
                Some(180),
                Some(7),
            ),
            (
                "https://x/gefs.20250801/18/atmos/pgrb2ap5/gec00.t18z.pgrb2a.0p50.f432",
                "2025-08-01T18",
                Some(432 * 60),
                Some(0),
            ),
            (
                "https://data.ecmwf.int/forecasts/20250301/12z/ifs/0p25/enfo/20250301120000-102h-enfo-ef.grib2",
                "2025-03-01T12",
                Some(102 * 60),
                None,
            ),
            (
                "https://x/rap130/202101/20210115/rap_130_20210115_0600_021.grb2",
                "2021-01-15T06",
                Some(21 * 60),
                None,
            ),
            (
                "rtma2p5_ru.20260101/rtma2p5_ru.t0015z.2dvaranl_ndfd.grb2",
                "2026-01-01T0015",
                None,
                None,
            ),
            (
                "MRMS_PrecipRate_00.00_20260101-001500.grib2.gz",
                "2026-01-01T0015",
                None,
                None,
            ),
            ("gfs.t00z.pgrb2.0p25.f006", "", Some(360), None),
            (
                "/data/2026/01/31/06/gfs.f003",
                "2026-01-31T06",
                Some(180),
                None,
            ),
            (
                "/data/2026-01-31T18Z/wrfsfcf07.grib2",
                "2026-01-31T18",
                Some(420),
                None,
            ),
            (
                "https://h/gfs.20260101/06/gfs.t06z.pgrb2.0p25.f024?X-Amz-Date=20270101T000000Z&f003",
                "2026-01-01T06",
                Some(24 * 60),
                None,
            ),
            ("a.grib2", "", None, None),
        ] {
            assert_eq!(facts(url), (run.to_owned(), minutes, member), "{url}");
        }
    }

    #[test]
    fn files_of_one_product_share_a_key() {
        let same = |a: &str, b: &str| assert_eq!(product_key(a), product_key(b));
        same(
            "https://h/gfs.20260101/06/atmos/gfs.t06z.pgrb2.0p25.f024",
            "https://h/gfs.20251231/18/atmos/gfs.t18z.pgrb2.0p25.f384",
        );
        same(
            "s3://b/gefs.20250801/00/gep07.t00z.pgrb2s.0p25.f003",
            "s3://b/gefs.20250802/06/gep30.t06z.pgrb2s.0p25.f240",
        );
        same(
            "https://h/20250301/12z/ifs/0p25/enfo/20250301120000-102h-enfo-ef.grib2",
            "https://h/20250302/00z/ifs/0p25/enfo/20250302000000-6h-enfo-ef.grib2",
        );
        assert_eq!(
            product_key("https://h1/gfs.20260101/06/gfs.t06z.pgrb2.0p25.f024"),
            "https://h1/gfs.{date}/{hour}/gfs.t{hour}z.pgrb2.0p25.f{step}"
        );
    }

    #[test]
    fn products_with_other_headers_have_other_keys() {
        let names = [
            "gec00.t00z.pgrb2a.0p50.f003",
            "gep01.t00z.pgrb2a.0p50.f003",
            "geavg.t00z.pgrb2a.0p50.f003",
            "gespr.t00z.pgrb2a.0p50.f003",
            "gep01.t00z.pgrb2b.0p50.f003",
            "gep01.t00z.pgrb2s.0p25.f003",
            "20250301120000-102h-enfo-ef.grib2",
            "20250301120000-102h-enfo-ep.grib2",
        ];
        let mut keys: Vec<_> = names.iter().map(|name| product_key(name)).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), names.len());
    }

    #[test]
    fn runs_are_compared_as_exactly_as_the_line_knows_them() {
        let at = |hour, minute| Instant::from_calendar(2026, 1, 1, hour, minute, 0).unwrap();
        let quarter = url_facts("rtma2p5_ru.20260101/rtma2p5_ru.t0015z.grb2");
        assert!(quarter.agrees(at(0, 0)));
        assert!(quarter.agrees(at(0, 15)));
        assert!(!quarter.agrees(at(0, 30)));
        assert!(!quarter.agrees(at(1, 0)));
        assert!(url_facts("a.20260101.grib2").agrees(at(7, 0)));
        assert!(!url_facts("a.20260102.grib2").agrees(at(7, 0)));
        assert!(url_facts("a.grib2").agrees(at(7, 0)));
    }
}

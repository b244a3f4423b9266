//! Products: what sections 0, 1 and 4 say about a field.
//!
//! [`Product::parse`] reads the parameter, both surfaces, the window in seconds from the reference time, member, derived
//! type, percentile and probability limits. Where they lie depends on the template; the module `layout` knows that.
//! A template that is not known is [`GribError::ProductTemplate`]: nothing is placed at step 0 for want of knowledge.
//!
//! Section 4 of template 4.8 with unit 1, forecast time 18, end of the window 21 h after the reference time and range
//! process 1 is `statistic: Some(1), window: Window { start: 64800, end: 75600 }`.
//!
//! Knows templates of section 4 and units of time. Knows no names. Source: WMO Manual on Codes, FM 92 GRIB, section 4.

use super::bytes::{Octets, sign_magnitude_16, sign_magnitude_32};
use super::identity::{Identity, Member, Parameter, Probability, Product, Surface};
use super::layout::{Ensemble, Layout, Times};
use super::section::GribError;
use crate::time::{Instant, Window};

/// Octets of one time range in a window block.
const RANGE_OCTETS: usize = 12;

/// NCEP's number, Common Code Table C-11.
const NCEP: u16 = 7;

impl Product {
    /// Reads what a field is, and when, from its discipline and its sections 1 and 4.
    ///
    /// # Errors
    /// [`GribError::ProductTemplate`] for a template that is not known, [`GribError::TemplateLength`] for a section shorter
    /// than its template, [`GribError::Date`] for a reference time or end of a window that is no date,
    /// [`GribError::TimeUnit`] for a forecast time in an unknown unit, [`GribError::Window`] for a window that ends before
    /// it starts.
    pub fn parse(discipline: u8, section1: &[u8], section4: &[u8]) -> Result<Self, GribError> {
        let (one, four) = (Octets(section1), Octets(section4));
        let too_short = GribError::TemplateLength {
            section: 1,
            need: 21,
            have: section1.len(),
        };
        let parameter = parameter(discipline, one, four).ok_or_else(|| too_short.clone())?;
        let reference = date(one, 13, "the reference time")?.ok_or(too_short)?;
        let template = four.u16(8).ok_or(GribError::TemplateLength {
            section: 4,
            need: 9,
            have: section4.len(),
        })?;
        let layout =
            Layout::of(template, four).ok_or(GribError::ProductTemplate { number: template })?;
        let ranges = layout.window.map(|at| Ranges::read(four, at));
        check_length(four, &layout, ranges)?;

        let start = start(four, &layout, reference)?;
        let end = match (layout.window, ranges) {
            (Some(at), Some(ranges)) => ranges.end(four, at, start)?,
            _ => start,
        };
        let window = window(reference, start, end)?;
        let member = layout.ensemble.and_then(|at| member(four, at));
        let identity = Identity {
            parameter,
            surfaces: surfaces(four, &layout),
            statistic: ranges.map(|ranges| ranges.statistic(parameter)),
            generating_process: four.u8(layout.process).unwrap_or(255),
            ensemble: member.is_some(),
            derived: layout.derived.and_then(|at| four.u8(at)),
            probability: layout.probability.and_then(|at| probability(four, at)),
            percentile: layout.percentile.and_then(|at| four.u8(at)),
            constituent: layout.constituent.and_then(|at| four.u16(at)),
            further: further(template, four, &layout, ranges),
        };
        Ok(Self {
            identity,
            reference,
            window,
            member,
            template,
            process_id: layout.process_id.and_then(|at| four.u8(at)).unwrap_or(255),
        })
    }
}

fn parameter(discipline: u8, one: Octets<'_>, four: Octets<'_>) -> Option<Parameter> {
    Some(Parameter {
        discipline,
        category: four.u8(10).unwrap_or(255),
        number: four.u8(11).unwrap_or(255),
        centre: one.u16(6)?,
        sub_centre: one.u16(8)?,
        master_table: one.u8(10)?,
        local_table: one.u8(11)?,
    })
}

fn check_length(
    four: Octets<'_>,
    layout: &Layout,
    ranges: Option<Ranges>,
) -> Result<(), GribError> {
    let counted = match ranges {
        Some(ranges) => layout.length - RANGE_OCTETS + RANGE_OCTETS * ranges.count,
        None => layout.length,
    };
    if four.len() < counted {
        return Err(GribError::TemplateLength {
            section: 4,
            need: counted,
            have: four.len(),
        });
    }
    Ok(())
}

/// Seven octets of a date from `at`; `None` past the end of the section.
fn date(octets: Octets<'_>, at: usize, what: &'static str) -> Result<Option<Instant>, GribError> {
    let (Some(year), Some(&[month, day, hour, minute, second])) = (
        octets.u16(at),
        octets
            .range(at + 2, at + 6)
            .and_then(|rest| rest.first_chunk::<5>()),
    ) else {
        return Ok(None);
    };
    let midnight = Instant::from_calendar(i32::from(year), month.into(), day.into(), 0, 0, 0);
    // 24:00 is in use for the end of a day.
    match midnight {
        Some(midnight) if hour <= 24 && minute < 60 && second <= 60 => {
            let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
            Ok(Some(midnight.plus(seconds)))
        }
        _ => Err(GribError::Date {
            what,
            year,
            month,
            day,
            hour,
            minute,
            second,
        }),
    }
}

/// The instant `count` units after another, by the calendar for months and years (Code Table 4.4).
fn later(from: Instant, unit: u8, count: i64) -> Result<Instant, GribError> {
    let wrong = GribError::TimeUnit { unit, count };
    let months = |months: i64| {
        count
            .checked_mul(months)
            .and_then(|months| i32::try_from(months).ok())
            .and_then(|months| from.plus_months(months))
            .ok_or_else(|| wrong.clone())
    };
    let seconds: i64 = match unit {
        0 => 60,
        1 => 3600,
        2 => 86_400,
        3 => return months(1),
        4 => return months(12),
        5 => return months(120),
        6 => return months(360),
        7 => return months(1200),
        10 => 3 * 3600,
        11 => 6 * 3600,
        12 => 12 * 3600,
        13 => 1,
        // No time in no unit: an analysis.
        255 if count == 0 => 0,
        _ => return Err(wrong),
    };
    let seconds = count.checked_mul(seconds).ok_or(wrong)?;
    Ok(from.plus(seconds))
}

/// The forecast time as coded. Sign and magnitude by the rules, two's complement as NCEP writes it: a magnitude that no
/// forecast has tells them apart.
fn forecast_time(raw: u32) -> i64 {
    let signed = sign_magnitude_32(raw);
    if signed < -(1 << 30) {
        i64::from(raw.cast_signed())
    } else {
        i64::from(signed)
    }
}

/// As [`forecast_time`], for the two octets of template 4.44.
fn short_forecast_time(raw: u16) -> i64 {
    let signed = sign_magnitude_16(raw);
    if signed < -(1 << 14) {
        i64::from(raw.cast_signed())
    } else {
        i64::from(signed)
    }
}

/// Reference time plus forecast time.
fn start(four: Octets<'_>, layout: &Layout, reference: Instant) -> Result<Instant, GribError> {
    let (unit, count) = match layout.times {
        Times::None => return Ok(reference),
        Times::Wide { unit } => (four.u8(unit), four.u32(unit + 1).map(forecast_time)),
        Times::Short { unit } => (four.u8(unit), four.u16(unit + 1).map(short_forecast_time)),
    };
    later(reference, unit.unwrap_or(255), count.unwrap_or(0))
}

fn window(reference: Instant, start: Instant, end: Instant) -> Result<Window, GribError> {
    let step = |at: Instant| at.seconds().saturating_sub(reference.seconds());
    let window = Window {
        start: step(start),
        end: step(end),
    };
    if window.end < window.start {
        return Err(GribError::Window {
            start: window.start,
            end: window.end,
        });
    }
    Ok(window)
}

/// The time ranges of a window block, the first of them in full.
#[derive(Clone, Copy)]
struct Ranges {
    /// How many are coded.
    count: usize,
    /// Statistical process of the first, outermost range (Code Table 4.10); 255 if there is none.
    process: u8,
}

impl Ranges {
    fn read(four: Octets<'_>, window: usize) -> Self {
        let coded = usize::from(four.u8(window + 7).unwrap_or(0));
        // A count of 0 with the octets of a range there is taken as 1: some encoders leave it so.
        let has_range = four.len() >= window + 2 * RANGE_OCTETS - 1;
        Self {
            count: if has_range { coded.max(1) } else { coded },
            process: four.u8(window + RANGE_OCTETS).unwrap_or(255),
        }
    }

    /// End of the window: the date coded, or where that is absent the start plus the length of the first range.
    fn end(self, four: Octets<'_>, window: usize, start: Instant) -> Result<Instant, GribError> {
        if !matches!(four.u16(window), Some(0 | u16::MAX) | None) {
            let end = date(four, window, "the end of the window")?;
            return Ok(end.unwrap_or(start));
        }
        if self.count == 0 {
            return Ok(start);
        }
        let unit = four.u8(window + RANGE_OCTETS + 2).unwrap_or(255);
        let length = four.u32(window + RANGE_OCTETS + 3).unwrap_or(u32::MAX);
        if length == u32::MAX {
            let count = i64::from(length);
            return Err(GribError::TimeUnit { unit, count });
        }
        later(start, unit, i64::from(length))
    }

    /// The statistic, with NCEP's TMAX and TMIN told by their parameter where the process is coded as missing.
    fn statistic(self, parameter: Parameter) -> u8 {
        let numbers = (parameter.discipline, parameter.category, parameter.number);
        match (self.process, parameter.centre, numbers) {
            (255, NCEP, (0, 0, 4)) => 2,
            (255, NCEP, (0, 0, 5)) => 3,
            (process, _, _) => process,
        }
    }
}

fn surfaces(four: Octets<'_>, layout: &Layout) -> (Surface, Surface) {
    let read = |at: usize| surface(four, at).unwrap_or(Surface::NONE);
    layout
        .surfaces
        .map_or((Surface::NONE, Surface::NONE), |at| {
            (read(at), read(at + 6))
        })
}

fn surface(four: Octets<'_>, at: usize) -> Option<Surface> {
    let kind = four.u8(at)?;
    if kind == 255 {
        return Some(Surface::NONE);
    }
    let scaled = scaled(four, at + 1);
    Some(Surface { kind, scaled })
}

/// Scale factor and value, both signed; `None` if either is missing.
fn scaled(four: Octets<'_>, at: usize) -> Option<(i8, i64)> {
    let (factor, value) = (four.u8(at)?, four.u32(at + 1)?);
    if factor == u8::MAX || value == u32::MAX {
        return None;
    }
    Some((four.i8(at)?, i64::from(sign_magnitude_32(value))))
}

fn member(four: Octets<'_>, at: Ensemble) -> Option<Member> {
    let (kind, number) = match at {
        Ensemble::Typed(at) => (four.u8(at)?, four.u8(at + 1)?),
        Ensemble::Bare(at) => (255, four.u8(at)?),
    };
    Some(Member {
        kind,
        number: number.into(),
    })
}

fn probability(four: Octets<'_>, at: usize) -> Option<Probability> {
    Some(Probability {
        number: (four.u8(at)?, four.u8(at + 1)?),
        kind: four.u8(at + 2)?,
        lower: scaled(four, at + 3),
        upper: scaled(four, at + 8),
    })
}

/// Octets that are part of what the field is: those that the layout names, then process and kind of increment of the
/// second and further time ranges (a monthly mean of daily maxima is not one of daily minima).
fn further(
    template: u16,
    four: Octets<'_>,
    layout: &Layout,
    ranges: Option<Ranges>,
) -> Option<(u16, Vec<u8>)> {
    let mut octets = Vec::new();
    for &(first, last) in layout.further() {
        octets.extend_from_slice(four.range(first, last).unwrap_or_default());
    }
    if let (Some(window), Some(ranges)) = (layout.window, ranges) {
        for inner in 1..ranges.count {
            let at = window + RANGE_OCTETS * (1 + inner);
            octets.extend_from_slice(four.range(at, at + 1).unwrap_or_default());
        }
    }
    (!octets.is_empty()).then_some((template, octets))
}

#[cfg(test)]
#[path = "product_tests.rs"]
mod tests;

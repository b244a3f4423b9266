//! Items of misc as typed values, to check headers with and to say what a row is that could not be placed.
//!
//! `prob >=9 <20:prob fcst 0/14` is a probability with both limits, and its count. An item that is not known is kept
//! verbatim ([`MiscItem::Other`]) and never ignored.
//!
//! Source: NOAA-EMC/wgrib2, its output for Code Tables 4.3, 4.6, 4.7 and 4.9.

use super::misc;
use super::noaa::digits;
use crate::grib::identity::Member;

/// Limits as they are written: `<x`, `>x`, `>=a,<b`, `=x`.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Bounds {
    /// Lower limit, and whether it is part of the range.
    pub lower: Option<(f64, bool)>,
    /// Upper limit, and whether it is part of the range.
    pub upper: Option<(f64, bool)>,
}

/// A derived forecast by its number in Code Table 4.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Derived(pub u8);

/// An item of misc, read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MiscItem<'a> {
    /// `ENS=+1`
    Member(Member),
    /// `ens mean`: Code Table 4.7. Cluster and whole-ensemble forms of a word share a number.
    Derived(Derived),
    /// `cluster=n`
    Cluster(u32),
    /// `prob >0.254`. Its number in Code Table 4.9 is for the header to say.
    Probability(Bounds),
    /// `prob above normal` (1), `prob near normal` (0), `prob below normal` (-1).
    ProbabilityOfNormal(i8),
    /// `prob fcst n/N`; 255 is "missing".
    ProbabilityCount {
        /// Forecast probability number.
        number: u8,
        /// Total number of forecast probabilities.
        total: u8,
    },
    /// `50% level`
    Percentile(u8),
    /// `wave partition=n/N`
    WavePartition {
        /// Partition number.
        number: u32,
        /// Total number of partitions.
        total: u32,
    },
    /// `chemical=NAME`: compare without case.
    Chemical(&'a str),
    /// `aerosol=NAME`: compare without case.
    Aerosol(&'a str),
    /// `aerosol_size ...`, in metres.
    AerosolSize(Bounds),
    /// `aerosol_wavelength ...`, in metres.
    AerosolWavelength(Bounds),
    /// `probability forecast`, `climatological`, ...: Code Table 4.3. `analysis/forecast error` is 6 or 7 there, here 7.
    Process(u8),
    /// Anything else, verbatim.
    Other(&'a str),
}

/// Reads what follows the forecast time of a line.
#[must_use]
pub fn parse_misc(misc: &str) -> Vec<MiscItem<'_>> {
    let mut items = Vec::new();
    for text in misc.split(':').filter(|text| !text.is_empty()) {
        let found = misc::member(text);
        if let Some(member) = found.member {
            items.push(MiscItem::Member(member));
            items.extend(found.others().map(item));
            continue;
        }
        // Newer sources print size and wavelength in one item.
        match text.find("aerosol_wavelength ") {
            Some(at) if at > 0 && text.starts_with("aerosol_size ") => {
                let (size, wavelength) = text.split_at_checked(at).unwrap_or((text, ""));
                items.push(item(size.trim_end_matches([' ', ','])));
                items.push(item(wavelength));
            }
            Some(_) | None => items.push(item(text)),
        }
    }
    items
}

fn item(text: &str) -> MiscItem<'_> {
    derived(text)
        .map(|code| MiscItem::Derived(Derived(code)))
        .or_else(|| process(text).map(MiscItem::Process))
        .or_else(|| probability(text))
        .or_else(|| keyed(text))
        .unwrap_or(MiscItem::Other(text))
}

fn derived(text: &str) -> Option<u8> {
    Some(match text {
        "ens mean" => 0,
        "wt ens mean" => 1,
        "ens std dev" | "cluster std dev" => 2,
        "normalized ens std dev" | "normalized cluster std dev" => 3,
        "ens spread" => 4,
        "ens large anom index" => 5,
        "unwt ens mean" | "unwt cluster mean" => 6,
        "25%-75% range" => 7,
        "min all members" => 8,
        "max all members" => 9,
        "unwt mode all members" => 192,
        "10% all members" => 193,
        "50% all members" => 194,
        "90% all members" => 195,
        "stat. weight for each members" => 196,
        "percentile from climate distribution" => 197,
        "deviation of ens mean from daily climo" => 198,
        "extreme forecast index" => 199,
        "equally weighted mean" => 200,
        "5% all members" => 201,
        "25% all members" => 202,
        "75% all members" => 203,
        "95% all members" => 204,
        _ => return None,
    })
}

fn process(text: &str) -> Option<u8> {
    Some(match text {
        "probability forecast" => 5,
        "analysis/forecast error" => 7,
        "climatological" => 9,
        "Confidence Indicator" => 192,
        "Neighborhood Probability" => 194,
        _ => return u8::try_from(digits(text.strip_prefix("process=")?)?).ok(),
    })
}

fn probability(text: &str) -> Option<MiscItem<'_>> {
    let rest = text.strip_prefix("prob ")?;
    if let Some(count) = rest.strip_prefix("fcst ") {
        let (number, total) = pair(count)?;
        return Some(MiscItem::ProbabilityCount {
            number: u8::try_from(number).ok()?,
            total: u8::try_from(total).ok()?,
        });
    }
    Some(match rest {
        "above normal" => MiscItem::ProbabilityOfNormal(1),
        "near normal" => MiscItem::ProbabilityOfNormal(0),
        "below normal" => MiscItem::ProbabilityOfNormal(-1),
        limits => MiscItem::Probability(bounds(limits, ' ')?),
    })
}

fn keyed(text: &str) -> Option<MiscItem<'_>> {
    if let Some(percent) = text.strip_suffix("% level") {
        return Some(MiscItem::Percentile(
            u8::try_from(digits(percent)?).ok().filter(|p| *p <= 100)?,
        ));
    }
    if let Some(limits) = text.strip_prefix("aerosol_size ") {
        return Some(MiscItem::AerosolSize(bounds(limits, ',')?));
    }
    if let Some(limits) = text.strip_prefix("aerosol_wavelength ") {
        return Some(MiscItem::AerosolWavelength(bounds(limits, ',')?));
    }
    let (key, value) = text.split_once('=')?;
    Some(match key {
        "cluster" => MiscItem::Cluster(u32::try_from(digits(value)?).ok()?),
        "wave partition" => {
            let (number, total) = pair(value)?;
            MiscItem::WavePartition { number, total }
        }
        "chemical" => MiscItem::Chemical(value),
        "aerosol" => MiscItem::Aerosol(value),
        _ => return None,
    })
}

/// `n/N`
fn pair(text: &str) -> Option<(u32, u32)> {
    let (number, total) = text.split_once('/')?;
    let small = |text| u32::try_from(digits(text)?).ok();
    Some((small(number)?, small(total)?))
}

/// `<x`, `>x`, `=x`, `>=a,<b` ...
fn bounds(text: &str, separator: char) -> Option<Bounds> {
    let mut bounds = Bounds::default();
    for part in text.split(separator).filter(|part| !part.is_empty()) {
        let number = |text: &str| text.parse::<f64>().ok().filter(|x| x.is_finite());
        let (slot, closed, value) = if let Some(value) = part.strip_prefix(">=") {
            (&mut bounds.lower, true, value)
        } else if let Some(value) = part.strip_prefix('>') {
            (&mut bounds.lower, false, value)
        } else if let Some(value) = part.strip_prefix("<=") {
            (&mut bounds.upper, true, value)
        } else if let Some(value) = part.strip_prefix('<') {
            (&mut bounds.upper, false, value)
        } else {
            let exact = (number(part.strip_prefix('=')?)?, true);
            if bounds.lower.is_some() || bounds.upper.is_some() {
                return None;
            }
            bounds.lower = Some(exact);
            bounds.upper = Some(exact);
            continue;
        };
        if slot.replace((number(value)?, closed)).is_some() {
            return None;
        }
    }
    (bounds != Bounds::default()).then_some(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_derived_forecasts_are_told_apart() {
        let member = |kind, number| MiscItem::Member(Member { kind, number });
        for (text, expected) in [
            ("ENS=hi-res ctl", vec![member(0, 0)]),
            ("ENS=low-res ctl", vec![member(1, 0)]),
            ("ENS=-3", vec![member(2, 3)]),
            ("ENS=+21", vec![member(3, 21)]),
            ("ENS=7", vec![member(192, 7)]),
            ("MM-ENS=7", vec![member(4, 7)]),
            ("ENS=? table4.6=9 pert=2", vec![member(9, 2)]),
            (
                "ENS=+1 ens mean",
                vec![member(3, 1), MiscItem::Derived(Derived(0))],
            ),
            ("ens std dev", vec![MiscItem::Derived(Derived(2))]),
            ("25%-75% range", vec![MiscItem::Derived(Derived(7))]),
            ("ENS=x", vec![MiscItem::Other("ENS=x")]),
        ] {
            assert_eq!(parse_misc(text), expected, "{text}");
        }
    }

    #[test]
    fn limits_keep_what_belongs_to_them() {
        let bounds = |lower, upper| Bounds { lower, upper };
        assert_eq!(
            parse_misc("prob >=9 <20:prob fcst 0/14"),
            [
                MiscItem::Probability(bounds(Some((9.0, true)), Some((20.0, false)))),
                MiscItem::ProbabilityCount {
                    number: 0,
                    total: 14
                }
            ]
        );
        assert_eq!(
            parse_misc("prob =1"),
            [MiscItem::Probability(bounds(
                Some((1.0, true)),
                Some((1.0, true))
            ))]
        );
        assert_eq!(
            parse_misc(
                "aerosol=Dust dry:aerosol_size <2e-05:aerosol_wavelength >=5.45e-07,<=5.65e-07"
            ),
            [
                MiscItem::Aerosol("Dust dry"),
                MiscItem::AerosolSize(bounds(None, Some((2e-5, false)))),
                MiscItem::AerosolWavelength(bounds(Some((5.45e-7, true)), Some((5.65e-7, true)))),
            ]
        );
        assert_eq!(
            parse_misc("aerosol_size >=2e-07,<2e-06aerosol_wavelength =5.5e-07"),
            [
                MiscItem::AerosolSize(bounds(Some((2e-7, true)), Some((2e-6, false)))),
                MiscItem::AerosolWavelength(bounds(Some((5.5e-7, true)), Some((5.5e-7, true)))),
            ]
        );
    }

    #[test]
    fn other_items_are_read_or_kept() {
        assert_eq!(
            parse_misc("analysis/forecast error"),
            [MiscItem::Process(7)]
        );
        assert_eq!(parse_misc("50% level"), [MiscItem::Percentile(50)]);
        assert_eq!(
            parse_misc("wave partition=1/3"),
            [MiscItem::WavePartition {
                number: 1,
                total: 3
            }]
        );
        assert_eq!(
            parse_misc("spatial ave:bilinear interpolation"),
            [
                MiscItem::Other("spatial ave"),
                MiscItem::Other("bilinear interpolation")
            ]
        );
        assert_eq!(parse_misc("prob >=x"), [MiscItem::Other("prob >=x")]);
        assert_eq!(parse_misc(""), []);
    }
}

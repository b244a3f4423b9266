//! Suffixes of array names for what a field is beyond parameter, level and statistic.
//!
//! A probability above 0.254 adds `_prob_gt_0p254`, the median of an ensemble `_p50`, the spread `_spread`, an aerosol's
//! diameter below 2.5 micrometres `_size_lt_2500nm`. Octets that have no words of their own stand as hexadecimal digits
//! (`_t15_000308`), or as a hash of them if they are many. Different fields have different suffixes.

use std::fmt::Write as _;

use super::decimal::{self, Coded};
use super::identity::{Identity, Probability};

/// Everything that follows base name, level and step type in an array's name. `with_constituent` and `with_wavelength`
/// tell whether the base name leaves them open.
pub(super) fn of(identity: &Identity, with_constituent: bool, with_wavelength: bool) -> String {
    let mut out = String::new();
    if let Some(derived) = identity.derived {
        out.push_str(&derived_text(derived, identity.parameter.centre));
    }
    if let Some(limits) = identity.probability {
        out.push_str(&probability(limits));
    }
    if let Some(percentile) = identity.percentile {
        add(&mut out, format_args!("_p{percentile}"));
    }
    if let Some(constituent) = identity.constituent.filter(|_| with_constituent) {
        add(&mut out, format_args!("_c{constituent}"));
    }
    if let Some((template, octets)) = &identity.further {
        further(&mut out, *template, octets, with_wavelength);
    }
    out.push_str(process(identity.generating_process));
    out
}

fn add(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(text).unwrap_or_default();
}

/// Suffix of a generating process whose fields are no values of the quantity itself (Code Table 4.3).
const fn process(kind: u8) -> &'static str {
    match kind {
        6 => "_fcerror",
        7 => "_error",
        9 => "_clim",
        10 => "_weighted",
        _ => "",
    }
}

/// Code Table 4.7; 192 and above as NCEP defines them. `_min`, `_max`, `_mode` are statistics over time, so those over members
/// are `_ensmin`, `_ensmax`, `_ensmode`; likewise `_q10` for NCEP's 10 % of all members, where `_p10` is a percentile forecast.
pub(super) fn derived_text(kind: u8, centre: u16) -> String {
    let ncep = centre == 7;
    let word = match kind {
        0 => "mean",
        1 => "wmean",
        2 => "std",
        3 => "nstd",
        4 => "spread",
        5 => "anomidx",
        6 => "cmean",
        7 => "iqr",
        8 => "ensmin",
        9 => "ensmax",
        10 => "ensvar",
        192 if ncep => "ensmode",
        193 if ncep => "q10",
        194 if ncep => "q50",
        195 if ncep => "q90",
        196 if ncep => "weight",
        197 if ncep => "climpct",
        198 if ncep => "climdev",
        199 if ncep => "efi",
        200 if ncep => "eqmean",
        201 if ncep => "q5",
        202 if ncep => "q25",
        203 if ncep => "q75",
        204 if ncep => "q95",
        other => return format!("_d{other}"),
    };
    format!("_{word}")
}

/// Code Table 4.9. The two kinds "above" differ in the limit that they use, and so in the word; a limit that a kind does
/// not use is named only if it is given and not zero.
pub(super) fn probability(limits: Probability) -> String {
    let text = |limit: Option<Coded>| {
        limit.map_or_else(|| "any".to_owned(), |coded| decimal::name_text(coded, 0))
    };
    let (lower, upper) = (limits.lower, limits.upper);
    let unused = |limit: Option<Coded>| match limit {
        Some(coded) if coded.1 != 0 => format!("_or_{}", text(limit)),
        Some(_) | None => String::new(),
    };
    let (number, total) = limits.number;
    match limits.kind {
        0 => format!("_prob_lt_{}{}", text(lower), unused(upper)),
        1 => format!("_prob_gt_{}{}", text(upper), unused(lower)),
        2 => format!("_prob_from_{}_to_{}", text(lower), text(upper)),
        3 => format!("_prob_above_{}{}", text(lower), unused(upper)),
        4 => format!("_prob_below_{}{}", text(upper), unused(lower)),
        5 => format!("_prob_eq_{}{}", text(lower), unused(upper)),
        6 => "_prob_above_normal".to_owned(),
        7 => "_prob_near_normal".to_owned(),
        8 => "_prob_below_normal".to_owned(),
        kind => format!(
            "_prob{kind}_{number}of{total}_{}_{}",
            text(lower),
            text(upper)
        ),
    }
}

/// A limit of five octets: scale factor and four octets of value, both with a sign bit; `None` if missing.
pub(super) fn limit(octets: &[u8]) -> Option<Coded> {
    let [factor, value @ ..] = octets else {
        return None;
    };
    let value = u32::from_be_bytes(value.try_into().ok()?);
    if *factor == 255 || value == u32::MAX {
        return None;
    }
    let magnitude = i64::from(value & 0x7fff_ffff);
    let sign = if value >> 31 == 1 { -1 } else { 1 };
    let scale = i8::try_from(factor & 0x7f).ok()?;
    Some((
        if factor >> 7 == 1 { -scale } else { scale },
        sign * magnitude,
    ))
}

/// An interval of Code Table 4.91 in nanometres, or `None` where nothing is said.
fn interval(octets: &[u8]) -> Option<String> {
    let (kind, limits) = octets.split_first()?;
    let (one, two) = limits.split_at_checked(5)?;
    let number = |octets: &[u8]| limit(octets);
    let (one, two) = (number(one), number(two));
    let text = |limit: Option<Coded>| {
        limit.map_or_else(|| "any".to_owned(), |coded| decimal::name_text(coded, 9))
    };
    // A limit that a kind does not use is missing or 0.
    let idle = |limit: Option<Coded>| limit.is_none_or(|coded| coded.1 == 0);
    let (first, second) = (text(one), text(two));
    Some(match kind {
        255 if idle(one) && idle(two) => return None,
        0 if idle(two) => format!("lt_{first}nm"),
        1 if idle(one) => format!("gt_{second}nm"),
        2 => format!("{first}to{second}nm"),
        3 if idle(two) => format!("gt1_{first}nm"),
        4 if idle(one) => format!("lt2_{second}nm"),
        5 if idle(two) => format!("le_{first}nm"),
        6 if idle(one) => format!("ge_{second}nm"),
        7 => format!("{first}through{second}nm"),
        8 if idle(two) => format!("ge1_{first}nm"),
        9 if idle(one) => format!("le2_{second}nm"),
        11 if idle(two) => format!("{first}nm"),
        kind => format!("k{kind}_{first}_{second}nm"),
    })
}

/// The template under which its kin are named: an ensemble's or a window's template keeps the same octets.
const fn family(template: u16) -> u16 {
    match template {
        44..=47 => 44,
        48 | 49 => 48,
        13 => 3,
        14 => 4,
        32..=34 => 32,
        91 => 51,
        54 => 53,
        56 | 59 => 55,
        58 | 67 | 68 => 57,
        71..=73 => 70,
        104 => 103,
        106 | 107 => 105,
        other => other,
    }
}

fn further(out: &mut String, template: u16, octets: &[u8], with_wavelength: bool) {
    let family = family(template);
    let mut rest = octets;
    let mut take = |count: usize| {
        let (head, tail) = rest.split_at_checked(count)?;
        rest = tail;
        Some(head)
    };
    if matches!(family, 44 | 48) {
        if let Some(size) = take(11).and_then(interval) {
            add(out, format_args!("_size_{size}"));
        }
        if family == 48
            && let Some(wave) = take(11).and_then(interval)
            && with_wavelength
        {
            add(out, format_args!("_wave_{wave}"));
        }
    }
    if rest.is_empty() {
        return;
    }
    add(out, format_args!("_t{family}_"));
    if rest.len() <= 24 {
        for octet in rest {
            add(out, format_args!("{octet:02x}"));
        }
    } else {
        add(out, format_args!("h{:016x}", fnv(rest)));
    }
}

/// FNV-1a, 64 bits: a hash that is the same in every build, for names that stay.
fn fnv(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn above(kind: u8, lower: Option<Coded>, upper: Option<Coded>) -> String {
        probability(Probability {
            number: (0, 255),
            kind,
            lower,
            upper,
        })
    }

    #[test]
    fn probabilities_name_kind_and_limits() {
        assert_eq!(above(1, None, Some((3, 254))), "_prob_gt_0p254");
        assert_eq!(above(1, Some((0, 0)), Some((3, 254))), "_prob_gt_0p254");
        assert_eq!(above(3, Some((3, 254)), None), "_prob_above_0p254");
        assert_eq!(above(2, Some((0, 9)), Some((0, 20))), "_prob_from_9_to_20");
        assert_eq!(above(0, Some((0, -5)), None), "_prob_lt_m5");
        assert_eq!(above(8, None, None), "_prob_below_normal");
    }

    #[test]
    fn limits_of_aerosols_are_read_in_nanometres() {
        // Size below 20 micrometres, wavelength in [545, 565] nanometres.
        let mut octets = vec![0, 6, 0, 0, 0, 20, 255, 255, 255, 255, 255];
        octets.extend([7, 9, 0, 0, 2, 0x21, 9, 0, 0, 2, 0x35]);
        let mut out = String::new();
        further(&mut out, 48, &octets, true);
        assert_eq!(out, "_size_lt_20000nm_wave_545through565nm");
    }

    #[test]
    fn unknown_octets_stand_as_they_are() {
        let mut out = String::new();
        further(&mut out, 15, &[0, 3, 8], true);
        assert_eq!(out, "_t15_000308");
        let mut one = String::new();
        further(&mut one, 3, &[1; 30], true);
        let mut two = String::new();
        further(&mut two, 3, &[2; 30], true);
        assert_ne!(one, two);
    }
}

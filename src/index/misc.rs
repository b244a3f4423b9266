//! What follows the forecast time in a wgrib2 line: member, derived forecast, probability, percentile, aerosol, ...
//!
//! `ENS=+1`, `ens mean`, `prob >0.254`, `50% level`. Only the member is taken out of the words of a kind; every other
//! item, known or not, is part of them verbatim and so costs one header, once.
//!
//! Source: NOAA-EMC/wgrib2, `Misc.c` and `Ens_processing.c` (their output, not their text).

use std::borrow::Cow;

use super::noaa::digits;
use crate::grib::identity::Member;

/// The member that an item of misc names, and the other items.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) member: Option<Member>,
    /// Whether there is a member's item that could not be read.
    pub(super) doubtful: bool,
    before: &'a str,
    /// What stands in the member's item after the member: a derived forecast.
    derived: &'a str,
    after: &'a str,
}

impl<'a> Found<'a> {
    /// The items other than the member, in their order.
    pub(super) fn others(&self) -> impl Iterator<Item = &'a str> {
        [self.before, self.derived, self.after]
            .into_iter()
            .filter(|part| !part.is_empty())
    }

    /// The items other than the member as one text.
    pub(super) fn rest(&self) -> Cow<'a, str> {
        let mut parts = self.others();
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => Cow::Borrowed(""),
            (Some(one), None, _) => Cow::Borrowed(one),
            (Some(one), Some(two), None) => Cow::Owned(format!("{one}:{two}")),
            (Some(one), Some(two), Some(three)) => Cow::Owned(format!("{one}:{two}:{three}")),
        }
    }
}

/// Looks for the member among the items.
pub(super) fn member(misc: &str) -> Found<'_> {
    let none = Found {
        member: None,
        doubtful: false,
        before: misc,
        derived: "",
        after: "",
    };
    if misc.is_empty() {
        return none;
    }
    let mut start = 0;
    for item in misc.split(':') {
        if item.starts_with("ENS=") || item.starts_with("MM-ENS=") {
            let before = misc.get(..start).unwrap_or_default();
            let after = misc.get(start + item.len()..).unwrap_or_default();
            let read = member_item(item);
            return Found {
                member: read.map(|read| read.0),
                doubtful: read.is_none(),
                before: before.strip_suffix(':').unwrap_or(before),
                derived: read.map_or(item, |read| read.1),
                after: after.strip_prefix(':').unwrap_or(after),
            };
        }
        start += item.len() + 1;
    }
    none
}

/// `ENS=+1`: the member, and what stands after a blank.
fn member_item(item: &str) -> Option<(Member, &str)> {
    let of = |kind: u8, text: &str| {
        digits(text)
            .and_then(|number| i16::try_from(number).ok())
            .map(|number| Member {
                kind,
                number: number.unsigned_abs(),
            })
    };
    let split = |text| match str::split_once(text, ' ') {
        Some((number, rest)) => (number, rest),
        None => (text, ""),
    };
    if let Some(text) = item.strip_prefix("MM-ENS=") {
        let (number, rest) = split(text);
        return Some((of(4, number)?, rest));
    }
    let text = item.strip_prefix("ENS=")?;
    for (word, kind) in [("hi-res ctl", 0), ("low-res ctl", 1)] {
        if let Some(rest) = text.strip_prefix(word)
            && (rest.is_empty() || rest.starts_with(' '))
        {
            return Some((Member { kind, number: 0 }, rest.trim_start()));
        }
    }
    if let Some(text) = text.strip_prefix("? table4.6=") {
        let (kind, text) = text.split_once(" pert=")?;
        let kind = u8::try_from(digits(kind)?).ok()?;
        let (number, rest) = split(text);
        return Some((of(kind, number)?, rest));
    }
    let (number, rest) = split(text);
    let member = match (number.strip_prefix('+'), number.strip_prefix('-')) {
        (Some(number), _) => of(3, number),
        (_, Some(number)) => of(2, number),
        (None, None) => of(192, number),
    };
    Some((member?, rest))
}

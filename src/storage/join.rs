//! Several ranges of one object by few requests: neighbours are fetched together, and each gets its own bytes.
//!
//! Bytes 0-99 and 120-199 with gaps of up to 16 KiB allowed become one GET of 0-199, whose bytes 100-119 are thrown away.
//! Promise: what is thrown away is at most a tenth of what is wanted, whatever the gaps; so a wide gap between small
//! messages is not bridged.
//!
//! [`join`] plans and touches nothing; [`Storage::get_joined`] fetches one planned request, [`Storage::get_ranges`] all of
//! them at once. Bytes handed out are slices of the request's one buffer, which stays in memory as long as any of them.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::error::{ErrorKind, Fault, Operation, StorageError};
use super::read::{check_end, refuse_impossible};
use super::{Fetched, Short, Storage};
use crate::location::{ByteRange, Location};

/// Bytes that are thrown away stay below the wanted ones divided by this.
const WASTE: u64 = 10;

/// When neighbours are fetched together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joining {
    /// Widest gap that is fetched in vain. 16 KiB: less than a line of 10 MB/s carries in the 2 ms that a request costs
    /// a server, and an index file's gaps are far smaller or far larger.
    pub max_gap_bytes: u64,
    /// Most bytes of one joined request. 4 MiB: one connection carries that in about the time that it takes to get up
    /// to speed over 30 ms; more is faster over several connections.
    pub max_bytes: u64,
}

impl Default for Joining {
    fn default() -> Self {
        Self {
            max_gap_bytes: 16 << 10,
            max_bytes: 4 << 20,
        }
    }
}

/// One request for one or several ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// What is asked for.
    pub range: ByteRange,
    /// Positions of the ranges that it serves, in the order of their offsets.
    pub members: Vec<usize>,
    /// Bytes that nobody wanted.
    pub gap_bytes: u64,
}

/// Plans the requests for `ranges`, by offset. Each range is a member of exactly one of them; overlapping ranges share
/// their bytes. A range of no bytes joins nothing. An open range (to the object's end) can only be the last of a request.
#[must_use]
pub fn join(ranges: &[ByteRange], joining: &Joining) -> Vec<Joined> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    let key = |at: &usize| ranges.get(*at).map(|range| (range.offset, range.length));
    order.sort_by_key(key);
    let mut plans: Vec<Joined> = Vec::new();
    for at in order {
        let Some(range) = ranges.get(at) else {
            continue;
        };
        let extended = plans
            .last()
            .and_then(|last| extended(last, *range, joining));
        match (plans.last_mut(), extended) {
            (Some(last), Some((range, gap_bytes))) => {
                last.range = range;
                last.gap_bytes += gap_bytes;
                last.members.push(at);
            }
            _ => plans.push(Joined {
                range: *range,
                members: vec![at],
                gap_bytes: 0,
            }),
        }
    }
    plans
}

/// The range of `plan` with `next` added, and the width of the gap between; `None` if they are better apart.
fn extended(plan: &Joined, next: ByteRange, joining: &Joining) -> Option<(ByteRange, u64)> {
    let start = plan.range.offset;
    if next.length == Some(0) || plan.range.length == Some(0) {
        return None;
    }
    let Some(length) = plan.range.length else {
        // To the object's end already, and `next` begins no earlier.
        return Some((plan.range, 0));
    };
    let end = start.checked_add(length)?;
    let gap = next.offset.saturating_sub(end);
    let next_end = match next.length {
        Some(length) => Some(next.offset.checked_add(length)?.max(end)),
        None => None,
    };
    // How long an open range is nobody knows: what is known of it is where it begins.
    let known = next_end.unwrap_or_else(|| next.offset.max(end)) - start;
    let vain = plan.gap_bytes + gap;
    let bridged = gap <= joining.max_gap_bytes && vain <= (known - vain) / WASTE;
    let fits = known <= joining.max_bytes.max(length);
    let range = ByteRange {
        offset: start,
        length: next_end.map(|end| end - start),
    };
    (bridged && fits).then_some((range, gap))
}

impl Storage {
    /// Reads `ranges` of one object with as few requests as `joining` allows, all at once; the answers stand in the order
    /// of the ranges. `short` holds for each range by itself, as in [`Storage::get`].
    ///
    /// A failed request fails the ranges that it was for and no others.
    pub async fn get_ranges(
        &self,
        location: &Location,
        ranges: &[ByteRange],
        short: Short,
        joining: &Joining,
    ) -> Vec<Result<Fetched, StorageError>> {
        let plans = join(ranges, joining);
        let mut under_way: FuturesUnordered<_> = plans
            .iter()
            .map(|plan| async move {
                let got = self.get_joined(location, ranges, plan, short).await;
                (&plan.members, got)
            })
            .collect();
        let mut answers: Vec<Option<Result<Fetched, StorageError>>> = vec![None; ranges.len()];
        while let Some((members, got)) = under_way.next().await {
            for (at, answer) in members.iter().zip(got) {
                if let Some(place) = answers.get_mut(*at) {
                    *place = Some(answer);
                }
            }
        }
        let missing = || Err(StorageError::config("a range was left out of its plan"));
        let answer = |answer: Option<_>| answer.unwrap_or_else(missing);
        answers.into_iter().map(answer).collect()
    }

    /// Makes one request of a plan for `ranges`: the answers of its members, in the order of [`Joined::members`].
    pub async fn get_joined(
        &self,
        location: &Location,
        ranges: &[ByteRange],
        plan: &Joined,
        short: Short,
    ) -> Vec<Result<Fetched, StorageError>> {
        // Whether an end is reached too early is asked of each member below: the last one may lie beyond it alone.
        let several = plan.members.len() > 1;
        let allowed = if several { Short::Allow } else { short };
        let whole = self.get(location, plan.range, allowed).await;
        if several && whole.is_ok() {
            let joined = u64::try_from(plan.members.len() - 1).unwrap_or(0);
            self.0.tally.joined(joined, plan.gap_bytes);
        }
        let members = plan.members.iter();
        members
            .map(|at| {
                let range = ranges.get(*at).copied().unwrap_or(plan.range);
                let whole = whole.clone()?;
                if several {
                    part(&whole, plan.range, range, short).map_err(|fault| {
                        StorageError::of_read(fault, Operation::Read(range), location)
                    })
                } else {
                    Ok(whole)
                }
            })
            .collect()
    }
}

/// The bytes of `range` out of those of `from`.
fn part(
    whole: &Fetched,
    from: ByteRange,
    range: ByteRange,
    short: Short,
) -> Result<Fetched, Fault> {
    refuse_impossible(range, u64::MAX)?;
    let size = whole.bytes.len();
    let clamp = |at: u64| usize::try_from(at).map_or(size, |at| at.min(size));
    let begin = clamp(range.offset.saturating_sub(from.offset));
    let end = match range.length {
        Some(length) => clamp((range.offset - from.offset).saturating_add(length)),
        None => size,
    };
    if begin == end {
        let cause = "the object ends before the range";
        return Err(Fault::new(ErrorKind::Truncated, cause));
    }
    let fetched = Fetched {
        bytes: whole.bytes.slice(begin..end),
        ..whole.clone()
    };
    check_end(range, short, &fetched)?;
    Ok(fetched)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn range(offset: u64, length: u64) -> ByteRange {
        ByteRange::new(offset, length)
    }

    const fn open(offset: u64) -> ByteRange {
        ByteRange {
            offset,
            length: None,
        }
    }

    const JOINING: Joining = Joining {
        max_gap_bytes: 50,
        max_bytes: 3000,
    };

    fn ranges_of(ranges: &[ByteRange]) -> Vec<(ByteRange, Vec<usize>)> {
        let plans = join(ranges, &JOINING);
        let pairs = plans.into_iter().map(|plan| (plan.range, plan.members));
        pairs.collect()
    }

    #[test]
    fn neighbours_share_a_request_in_whatever_order_they_come() {
        let got = ranges_of(&[range(1000, 1000), range(0, 1000), range(5000, 10)]);
        assert_eq!(
            got,
            [(range(0, 2000), vec![1, 0]), (range(5000, 10), vec![2])]
        );
    }

    #[test]
    fn a_gap_is_bridged_if_it_is_narrow_and_a_tenth_of_what_is_wanted() {
        let got = ranges_of(&[range(0, 1000), range(1050, 1000)]);
        assert_eq!(got.len(), 1, "50 of 2000 in vain");
        assert_eq!(ranges_of(&[range(0, 1000), range(1051, 1000)]).len(), 2);
        assert_eq!(
            ranges_of(&[range(0, 100), range(150, 100)]).len(),
            2,
            "50 of 200"
        );
    }

    #[test]
    fn a_request_has_a_largest_size_but_no_range_is_cut() {
        let got = ranges_of(&[range(0, 2000), range(2000, 1000), range(3000, 1)]);
        assert_eq!(got.len(), 2);
        assert_eq!(ranges_of(&[range(0, 10_000)]).len(), 1);
        assert_eq!(ranges_of(&[range(0, 10_000), range(10_000, 1)]).len(), 2);
        let inside = ranges_of(&[range(0, 10_000), range(5, 10)]);
        assert_eq!(inside, [(range(0, 10_000), vec![0, 1])]);
    }

    #[test]
    fn an_open_range_is_the_last_of_its_request_and_an_empty_one_stands_alone() {
        let got = ranges_of(&[open(1000), range(0, 1000), range(1000, 5)]);
        assert_eq!(got, [(open(0), vec![1, 0, 2])]);
        let got = ranges_of(&[range(0, 10), range(10, 0), range(10, 10)]);
        assert_eq!(
            got.iter().map(|(_, members)| members.len()).sum::<usize>(),
            3
        );
        assert!(got.contains(&(range(10, 0), vec![1])));
    }

    proptest! {
        #[test]
        fn every_range_is_covered_once_and_the_waste_is_bounded(
            lengths in proptest::collection::vec((0_u64..200, 0_u64..400), 0..40),
            max_gap_bytes in 0_u64..200,
            max_bytes in 0_u64..3000,
        ) {
            let mut end = 0;
            let ranges: Vec<_> = lengths
                .into_iter()
                .map(|(gap, length)| {
                    let start = end + gap;
                    end = start + length;
                    range(start, length)
                })
                .collect();
            let plans = join(&ranges, &Joining { max_gap_bytes, max_bytes });
            let mut seen: Vec<usize> = plans.iter().flat_map(|plan| plan.members.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..ranges.len()).collect::<Vec<_>>());
            for plan in &plans {
                let length = plan.range.length.unwrap();
                let wanted: u64 = plan.members.iter().map(|at| ranges[*at].length.unwrap()).sum();
                prop_assert_eq!(wanted + plan.gap_bytes, length);
                prop_assert!(plan.gap_bytes * 10 <= wanted);
                prop_assert!(plan.members.len() == 1 || length <= max_bytes);
                for at in &plan.members {
                    prop_assert!(ranges[*at].offset >= plan.range.offset);
                    prop_assert!(ranges[*at].offset + ranges[*at].length.unwrap() <= plan.range.offset + length);
                }
            }
        }
    }
}

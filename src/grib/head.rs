//! The head of a message: what the first few hundred bytes say about its first field.
//!
//! An index build reads 500 bytes or so of a message, never the data. [`Head::parse`] takes such a prefix and gives the
//! sections before the data, or says how many bytes it must have: lists of rows in section 3 and local sections can be long.
//!
//! Knows the first field only: that a message has more is seen by the walk over the whole ([`super::walker`]).

use super::bytes::Octets;
use super::section::{END, GribError, INDICATOR_BYTES, Indicator, Order};

/// Most bytes of sections 0 to 5 together: 1 MiB. The largest list of rows in use has some 10 kB.
pub const MAX_HEAD_BYTES: u64 = 1 << 20;

/// Bytes asked for beyond a section that did not fit, so that the sections after it come with the same request.
const SLACK_BYTES: u64 = 256;

/// Sections 0 to 5 of a message's first field, each as a whole with its 5-octet head.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Section 0.
    pub indicator: Indicator,
    /// Section 1, identification.
    pub section1: &'a [u8],
    /// Section 2, local use, if there is one.
    pub section2: Option<&'a [u8]>,
    /// Section 3, grid definition.
    pub section3: &'a [u8],
    /// Section 4, product definition.
    pub section4: &'a [u8],
    /// Section 5, data representation.
    pub section5: &'a [u8],
    /// Bitmap indicator of section 6, Code Table 6.0, where the prefix reaches it.
    pub bitmap_indicator: Option<u8>,
}

/// What a prefix of a message yields.
#[derive(Clone, Copy, Debug)]
pub enum HeadOutcome<'a> {
    /// Sections 0 to 5 are all there.
    Found(Head<'a>),
    /// The prefix ends too early: read so many bytes from the start of the message, at least.
    NeedMore(usize),
}

impl<'a> Head<'a> {
    /// Reads the sections before the data from the first bytes of a message.
    ///
    /// # Errors
    /// Those of [`Indicator::parse`] and of the walk; [`GribError::HeadersTooLong`] above [`MAX_HEAD_BYTES`].
    pub fn parse(prefix: &'a [u8]) -> Result<HeadOutcome<'a>, GribError> {
        if prefix.len() < INDICATOR_BYTES && b"GRIB".starts_with(prefix.get(..4).unwrap_or(prefix))
        {
            return Ok(HeadOutcome::NeedMore(INDICATOR_BYTES + 256));
        }
        let indicator = Indicator::parse(prefix)?;
        let end = indicator.length - END.len() as u64;
        let mut found: [&[u8]; 6] = [&[]; 6];
        let (mut order, mut at) = (Order::START, INDICATOR_BYTES);
        while found.iter().skip(5).any(|section| section.is_empty()) {
            let rest = prefix.get(at..).unwrap_or_default();
            if at as u64 + 5 > end {
                return Err(order.cannot_end(at as u64));
            }
            if rest.len() < 5 {
                return need_more(at as u64 + 5, indicator.length);
            }
            let head = order.accept(rest, at as u64, end)?;
            let to = at as u64 + u64::from(head.length);
            let section = usize::try_from(head.length)
                .ok()
                .and_then(|length| rest.get(..length));
            let Some(section) = section else {
                return need_more(to, indicator.length);
            };
            if let Some(slot) = found.get_mut(usize::from(head.number)) {
                *slot = section;
            }
            at += section.len();
        }
        let [_, section1, section2, section3, section4, section5] = found;
        let rest = prefix.get(at..).unwrap_or_default();
        Ok(HeadOutcome::Found(Self {
            indicator,
            section1,
            section2: (!section2.is_empty()).then_some(section2),
            section3,
            section4,
            section5,
            bitmap_indicator: Octets(rest).u8(6).filter(|_| rest.get(4) == Some(&6)),
        }))
    }
}

fn need_more<'a>(bytes: u64, total: u64) -> Result<HeadOutcome<'a>, GribError> {
    let too_long = GribError::HeadersTooLong { bytes };
    if bytes > MAX_HEAD_BYTES {
        return Err(too_long);
    }
    usize::try_from(bytes.saturating_add(SLACK_BYTES).min(total))
        .map(HeadOutcome::NeedMore)
        .map_err(|_too_large| too_long)
}

#[cfg(test)]
mod tests {
    use super::super::section::tests::{message, parts, section};
    use super::*;

    #[test]
    fn a_prefix_yields_the_head_or_asks_for_more() {
        let mut all = parts(5, 0).to_vec();
        all.insert(1, section(2, &[7; 1000]));
        let bytes = message(&all);
        let mut have = 3;
        let mut rounds = 0;
        let head = loop {
            match Head::parse(&bytes[..have]).unwrap() {
                HeadOutcome::Found(head) => break head,
                HeadOutcome::NeedMore(need) => {
                    assert!(need > have && need <= bytes.len().max(272));
                    have = need.min(bytes.len());
                    rounds += 1;
                }
            }
        };
        assert!(rounds <= 3);
        assert_eq!(head.section2.map(<[u8]>::len), Some(1005));
        assert_eq!(head.section4[9], 5);
        assert_eq!(head.bitmap_indicator, Some(0));
    }

    /// The head of a message without section 5 was asked for again and again.
    #[test]
    fn a_message_that_ends_before_section_5_is_refused() {
        let bytes = message(&parts(5, 0)[..3]);
        for have in [bytes.len(), bytes.len() - 4] {
            assert!(matches!(
                Head::parse(&bytes[..have]),
                Err(GribError::SectionOrder { section: 8, .. })
            ));
        }
    }

    #[test]
    fn headers_are_bounded() {
        let mut bytes = b"GRIB\0\0\x00\x02".to_vec();
        bytes.extend_from_slice(&(1_u64 << 30).to_be_bytes());
        bytes.extend_from_slice(&section(1, &[0; 16]));
        bytes.extend_from_slice(&(1_u32 << 29).to_be_bytes());
        bytes.push(3);
        assert!(matches!(
            Head::parse(&bytes),
            Err(GribError::HeadersTooLong { .. })
        ));
        assert!(matches!(
            Head::parse(b"<xml"),
            Err(GribError::NotGrib { .. })
        ));
    }
}

//! A message of which few rows are wanted, without the rest of its data.
//!
//! With a box, rows of a simply packed field (5.0, 5.4; no bitmap) lie in one range of its section 7. Three requests then take the
//! place of one: the head, which says who the message is and how it is packed, then at once the rows and the last four octets. What
//! comes of it is the whole message with zeros where nothing is wanted, which is verified as any other, and of which the decoder reads
//! the wanted range alone. Worked example: a box of 100 of 1801 rows of 20 MB is 1.1 MB and a second round trip.

use std::ops::Range;

use bytes::Bytes;
use futures::future::try_join;

use super::fetch::FetchError;
use super::origin::{Came, Origin};
use crate::grib::decode::byte_range_of_values;
use crate::grib::head::{Head, HeadOutcome};
use crate::location::ByteRange;
use crate::storage::Short;

/// Smallest message worth it, in bytes: what a fast line (70 MB/s) carries during the second round trip of 30 ms.
const WORTH_BYTES: u64 = 2 << 20;
/// The wanted cells are at most one of so many.
const ONE_OF: usize = 4;
/// Bytes fetched first: sections 0 to 6, and the head of section 7.
const HEAD_BYTES: u64 = 4096;
/// Octets of a section's head, of a section 6 without a bitmap, and of section 8.
const SECTION_HEAD: u64 = 5;
const NO_BITMAP_SECTION: u64 = 6;
const END: u64 = 4;
/// Code Table 6.0: a bitmap does not apply.
const NO_BITMAP: u8 = 255;

/// Whether a part may be worth it: `cells` of `points` of a message of so many bytes.
pub(super) fn is_worth_it(length: Option<u64>, cells: &Range<usize>, points: usize) -> bool {
    length.is_some_and(|length| length >= WORTH_BYTES) && cells.len() <= points / ONE_OF
}

/// The message at `range` of an object with the values of `cells` in it; `None` where it must be fetched whole.
///
/// # Errors
/// As of any fetch.
pub(super) async fn fetch(
    origin: &Origin,
    object: u32,
    range: ByteRange,
    cells: Range<usize>,
) -> Result<Option<Came>, FetchError> {
    let head = ByteRange::new(range.offset, HEAD_BYTES);
    let head = origin.fetch(object, head, Short::Refuse).await?;
    let Some((total, wanted)) = wanted(&head.bytes, range.length, &cells) else {
        return Ok(None);
    };
    let part = |at: &Range<u64>| ByteRange::new(range.offset + at.start, at.end - at.start);
    let last = total - END..total;
    let (rows, end) = try_join(
        origin.fetch(object, part(&wanted), Short::Refuse),
        origin.fetch(object, part(&last), Short::Refuse),
    )
    .await?;
    let Ok(size) = usize::try_from(total) else {
        return Ok(None);
    };
    let mut message = vec![0_u8; size];
    for (start, bytes) in [
        (0, &head.bytes),
        (wanted.start, &rows.bytes),
        (last.start, &end.bytes),
    ] {
        let place = usize::try_from(start)
            .ok()
            .and_then(|start| message.get_mut(start..start.checked_add(bytes.len())?));
        match place {
            Some(place) => place.copy_from_slice(bytes),
            None => return Ok(None),
        }
    }
    Ok(Some(Came {
        bytes: Bytes::from(message),
        version: end.version,
        from_disk: false,
    }))
}

/// Length of a message, and where in it the values of some cells lie; `None` where that cannot be told, or is no gain.
fn wanted(bytes: &[u8], length: Option<u64>, cells: &Range<usize>) -> Option<(u64, Range<u64>)> {
    let Ok(HeadOutcome::Found(head)) = Head::parse(bytes) else {
        return None;
    };
    let total = head.indicator.length;
    // A length that does not fit, or a further field, is for those who see the whole message.
    if head.bitmap_indicator != Some(NO_BITMAP) || Some(total) != length {
        return None;
    }
    let sections = [
        head.section1,
        head.section2.unwrap_or_default(),
        head.section3,
        head.section4,
        head.section5,
    ];
    let before: usize = sections.iter().map(|section| section.len()).sum();
    let section7 = 16 + before as u64 + NO_BITMAP_SECTION;
    let at = usize::try_from(section7).ok()?;
    let own: [u8; 5] = bytes.get(at..at + 5)?.try_into().ok()?;
    let [a, b, c, d, number] = own;
    let end = section7 + u64::from(u32::from_be_bytes([a, b, c, d]));
    if number != 7 || end + END != total {
        return None;
    }
    let inside = byte_range_of_values(head.section5, cells.start as u64, cells.len() as u64)?;
    let wanted = section7 + inside.start..section7 + inside.end;
    let fits = wanted.start >= section7 + SECTION_HEAD && wanted.end <= end;
    (fits && wanted.end - wanted.start <= total / ONE_OF as u64).then_some((total, wanted))
}

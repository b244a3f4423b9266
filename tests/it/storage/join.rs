//! Neighbouring ranges in one request: how many requests, which bytes, and who fails.

use gribfs::location::ByteRange;
use gribfs::storage::{ErrorKind, Joining, Short};

use super::{PATH, object, served, storage};
use crate::support::http::Fault;

const fn range(offset: u64, length: u64) -> ByteRange {
    ByteRange::new(offset, length)
}

fn bytes_of(range: ByteRange) -> Vec<u8> {
    let begin = usize::try_from(range.offset).unwrap();
    let length = range.length.map(|length| usize::try_from(length).unwrap());
    object()[begin..length.map_or(40_000, |length| begin + length)].to_vec()
}

#[tokio::test]
async fn neighbours_are_one_get_and_each_has_its_bytes() {
    let (server, location) = served();
    let storage = storage();
    let last = ByteRange {
        offset: 39_000,
        length: None,
    };
    // Out of order, a gap of 10, a twin, one far away, and the end of the object.
    let ranges = [
        range(2010, 1000),
        range(1000, 1000),
        range(2010, 1000),
        range(20_000, 500),
        last,
    ];
    let got = storage
        .get_ranges(&location, &ranges, Short::Refuse, &Joining::default())
        .await;
    for (range, got) in ranges.iter().zip(&got) {
        let got = got.as_ref().unwrap();
        assert!(got.bytes[..] == bytes_of(*range)[..], "{range}");
        assert_eq!(got.object_size, Some(40_000));
        assert!(got.etag.is_some());
    }
    let mut asked: Vec<_> = server
        .requests()
        .into_iter()
        .map(|seen| seen.range.unwrap())
        .collect();
    asked.sort();
    assert_eq!(
        asked,
        ["bytes=1000-3009", "bytes=20000-20499", "bytes=39000-"]
    );
    let counters = storage.counters();
    assert_eq!((counters.requests, counters.bytes), (3, 2010 + 500 + 1000));
    assert_eq!((counters.joined, counters.gap_bytes), (2, 10));
}

#[tokio::test]
async fn no_gap_is_bridged_where_none_is_allowed() {
    let (server, location) = served();
    let none = Joining {
        max_gap_bytes: 0,
        ..Joining::default()
    };
    let ranges = [range(0, 1000), range(1000, 1000), range(2001, 1000)];
    let got = storage()
        .get_ranges(&location, &ranges, Short::Refuse, &none)
        .await;
    assert!(got.iter().all(Result::is_ok));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn sixty_eight_messages_side_by_side_are_few_requests_of_exactly_their_bytes() {
    let (server, location) = served();
    let storage = storage();
    let ranges: Vec<_> = (0..68).map(|number| range(number * 500, 500)).collect();
    let joining = Joining {
        max_bytes: 10_000,
        ..Joining::default()
    };
    let got = storage
        .get_ranges(&location, &ranges, Short::Refuse, &joining)
        .await;
    for (range, got) in ranges.iter().zip(got) {
        assert!(got.unwrap().bytes[..] == bytes_of(*range)[..], "{range}");
    }
    assert_eq!(server.requests().len(), 4, "20 + 20 + 20 + 8");
    assert_eq!(storage.counters().bytes, 68 * 500);
}

#[tokio::test]
async fn a_failed_request_fails_its_own_ranges_alone() {
    let (server, location) = served();
    server.fault(PATH, Fault::Status(403).times(1));
    let ranges = [range(0, 100), range(100, 100)];
    let got = storage()
        .get_ranges(&location, &ranges, Short::Refuse, &Joining::default())
        .await;
    for one in got {
        assert_eq!(one.unwrap_err().kind(), ErrorKind::Forbidden);
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_range_past_the_end_does_not_take_its_neighbour_with_it() {
    let (server, location) = served();
    let storage = storage();
    let ranges = [range(38_000, 1000), range(39_000, 2000), range(41_000, 10)];
    for (short, second) in [(Short::Refuse, None), (Short::Allow, Some(1000))] {
        server.forget();
        let got = storage
            .get_ranges(&location, &ranges, short, &Joining::default())
            .await;
        assert_eq!(server.requests().len(), 1);
        assert_eq!(got[0].as_ref().unwrap().bytes.len(), 1000);
        assert_eq!(got[1].as_ref().ok().map(|got| got.bytes.len()), second);
        let error = got[2].as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
        assert!(
            error.to_string().contains("bytes 41000-41009 of"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_range_of_no_bytes_asks_nothing() {
    let (server, location) = served();
    let got = storage()
        .get_ranges(
            &location,
            &[range(5, 0)],
            Short::Refuse,
            &Joining::default(),
        )
        .await;
    assert!(got[0].as_ref().unwrap().bytes.is_empty());
    assert!(server.requests().is_empty());
}

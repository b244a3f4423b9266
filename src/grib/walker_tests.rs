//! Unit tests of the walk over files.

use super::super::section::tests::{message, parts, section};
use super::*;

/// Walks a file, giving exactly what is asked for; answers what was found and the reads.
fn drive(file: &[u8], window: usize) -> (Vec<Found>, Vec<(u64, usize)>) {
    let mut walker = Walker::with_window(file.len() as u64, window);
    let (mut found, mut reads) = (Vec::new(), Vec::new());
    loop {
        match walker.step() {
            Step::Found(one) => found.push(one),
            Step::Done => return (found, reads),
            Step::Read { offset, length } => {
                assert!(length > 0 && offset + length as u64 <= file.len() as u64);
                let from = usize::try_from(offset).unwrap();
                walker.give(offset, &file[from..from + length]);
                reads.push((offset, length));
            }
        }
    }
}

fn places(found: &[Found]) -> Vec<(u64, u64, usize)> {
    found
        .iter()
        .map(|one| match one {
            Found::Message(message) => (message.offset, message.length, message.fields.len()),
            other @ (Found::Edition1 { .. } | Found::Broken { .. } | Found::Lost { .. }) => {
                panic!("{other:?}")
            }
        })
        .collect()
}

/// A message with a data section of many bytes.
fn large(bytes: usize) -> Vec<u8> {
    let mut all = parts(1, 255).to_vec();
    all[5] = section(7, &vec![b'G'; bytes]);
    message(&all)
}

#[test]
fn data_sections_are_not_read() {
    let file = [large(1_000_000), large(2_000_000), large(10)].concat();
    let (found, reads) = drive(&file, WINDOW_BYTES);
    assert_eq!(found.len(), 3);
    let bytes: usize = reads.iter().map(|(_, length)| length).sum();
    assert!(reads.len() <= 3 && bytes <= 3 * WINDOW_BYTES, "{reads:?}");
    for window in [0, 16, 100, 1 << 20] {
        assert_eq!(drive(&file, window).0, found);
    }
}

#[test]
fn fields_of_a_message_have_their_sections() {
    let (one, again) = (parts(1, 0), parts(2, 254));
    let mut all = one.to_vec();
    all.extend_from_slice(&again[2..]);
    let file = message(&all);
    let found = walk(&file);
    let [Found::Message(message)] = found.as_slice() else {
        panic!("{found:?}")
    };
    let [first, second] = message.fields.as_slice() else {
        panic!("two fields")
    };
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!((first.section4[9], second.section4[9]), (1, 2));
    assert_eq!((first.bitmap_indicator, second.bitmap_indicator), (0, 254));
    assert!(Arc::ptr_eq(&first.section3, &second.section3));
    assert!(!Arc::ptr_eq(&first.section5, &second.section5));
}

#[test]
fn bytes_between_messages_are_skipped() {
    let plain = message(&parts(1, 255));
    let bulletin: &[u8] = b"\x01\r\r\n123\r\r\nYXXX98 GRIB KWBC 220600\r\r\n";
    let file = [
        bulletin,
        &plain,
        &[0; 70_000],
        &plain,
        b"GR",
        &plain,
        b"GRI",
    ]
    .concat();
    for window in [16, 17, 512, 1 << 17] {
        let (found, _) = drive(&file, window);
        assert_eq!(found.len(), 3, "{found:?}");
        for (offset, length, fields) in places(&found) {
            let from = usize::try_from(offset).unwrap();
            assert_eq!(&file[from..from + 4], b"GRIB");
            assert_eq!((length, fields), (plain.len() as u64, 1));
        }
    }
}

#[test]
fn a_gap_without_an_end_is_given_up() {
    let mut file = message(&parts(1, 255));
    let gap = file.len() as u64;
    file.resize(file.len() + 6_000_000, 0);
    let (found, reads) = drive(&file, WINDOW_BYTES);
    assert_eq!(found.last(), Some(&Found::Lost { offset: gap }));
    assert!(reads.len() < 100, "{}", reads.len());
    let bytes: usize = reads.iter().map(|(_, length)| length).sum();
    assert!(bytes < 5_000_000);
}

#[test]
fn edition_1_is_told_and_stepped_over() {
    let plain = message(&parts(1, 255));
    let old = |length: usize| {
        let mut bytes = b"GRIB\0\0\0\x01".to_vec();
        bytes[4..7].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes()[1..]);
        bytes.resize(length - 4, 0);
        // 2 March of the year 100 of the 20th century, 18:30.
        bytes[20..25].copy_from_slice(&[100, 3, 2, 18, 30]);
        bytes[32] = 20;
        bytes.extend_from_slice(END);
        bytes
    };
    let mut dateless = old(50);
    dateless[21] = 13;
    let file = [old(100), plain.clone(), dateless].concat();
    let reference = Instant::from_calendar(2000, 3, 2, 18, 30, 0);
    let edition_1 = |offset, length, reference| Found::Edition1 {
        offset,
        length,
        reference,
    };
    for window in [16, WINDOW_BYTES] {
        let (found, _) = drive(&file, window);
        assert_eq!(found[0], edition_1(0, 100, reference));
        assert_eq!(found[2], edition_1(100 + plain.len() as u64, 50, None));
        assert_eq!(found.len(), 3);
    }
}

#[test]
fn truncation_is_reported() {
    let plain = message(&parts(1, 255));
    let mut file = [plain.clone(), plain.clone()].concat();
    for cut in [1, 4, 30, plain.len() - 16, plain.len() - 4] {
        file.truncate(2 * plain.len() - cut);
        let found = walk(&file);
        let offset = plain.len() as u64;
        assert!(
            matches!(found.last(), Some(Found::Broken { offset: at, error: GribError::Truncated { .. } }) if *at == offset),
            "{cut}: {found:?}"
        );
        assert_eq!(found.len(), 2);
    }
    // A file that is shorter than was thought.
    let mut walker = Walker::new(1_000_000);
    let mut found = Vec::new();
    loop {
        match walker.step() {
            Step::Found(one) => found.push(one),
            Step::Done => break,
            Step::Read { offset, length } => {
                let from = usize::try_from(offset).unwrap().min(plain.len());
                let to = plain.len().min(from + length);
                walker.give(offset, &plain[from..to]);
            }
        }
    }
    assert_eq!(found.len(), 1);
}

#[test]
fn a_broken_message_does_not_hide_the_next() {
    let plain = message(&parts(1, 255));
    let mut bad_section = plain.clone();
    bad_section[20] = 9;
    let mut bad_end = plain.clone();
    let last = bad_end.len() - 1;
    bad_end[last] = b'8';
    let mut too_short = plain.clone();
    too_short[15] -= 30;
    for bad in [bad_section, bad_end, too_short] {
        let file = [bad.clone(), plain.clone()].concat();
        let found = walk(&file);
        assert!(
            matches!(found[0], Found::Broken { offset: 0, .. }),
            "{found:?}"
        );
        assert_eq!(
            places(&found[1..]),
            [(bad.len() as u64, plain.len() as u64, 1)]
        );
    }
}

#[test]
fn a_bitmap_that_was_not_given_is_told() {
    let found = walk(&message(&parts(1, 254)));
    assert!(matches!(
        found.as_slice(),
        [Found::Broken {
            error: GribError::NoBitmap { field: 1 },
            ..
        }]
    ));
}

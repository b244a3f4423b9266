//! Unit tests of the walk over a message, and messages made by hand for other tests.

use super::*;

/// A section of a number with a body after the head.
pub(crate) fn section(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 5).unwrap();
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.push(number);
    bytes.extend_from_slice(body);
    bytes
}

/// A message of the sections given, with section 0 and 8 around.
pub(crate) fn message(sections: &[Vec<u8>]) -> Vec<u8> {
    let body = sections.concat();
    let mut bytes = b"GRIB\0\0\x00\x02".to_vec();
    bytes.extend_from_slice(&(body.len() as u64 + 20).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(END);
    bytes
}

/// Sections 1, 3, 4, 5, 6, 7 of a tiny field of 8 points; `tag` is in section 4, `indicator` the bitmap's.
pub(crate) fn parts(tag: u8, indicator: u8) -> [Vec<u8>; 6] {
    let mut three = vec![0; 9];
    three[4] = 8;
    let bitmap: &[u8] = if indicator == 0 {
        &[0, 0b1010_1010]
    } else {
        &[indicator]
    };
    [
        section(1, &[0; 16]),
        section(3, &three),
        section(4, &[0, 0, 0, 0, tag]),
        section(5, &[0, 0, 0, 4, 0, 0]),
        section(6, bitmap),
        section(7, &[1, 2, 3, 4]),
    ]
}

#[test]
fn one_field_is_walked() {
    let mut bytes = message(&parts(9, 255));
    bytes.extend_from_slice(b"padding");
    let message = Message::parse(&bytes).unwrap();
    let [field] = message.fields() else {
        panic!("one field expected")
    };
    assert_eq!((field.points, field.values, field.bitmap), (8, 4, None));
    assert_eq!(field.section4[9 - 1], 9 - 9);
    assert_eq!(field.section7, section(7, &[1, 2, 3, 4]));
}

#[test]
fn repeated_sections_make_fields_and_the_bitmap_is_reused() {
    let [one, three, four, five, six, seven] = parts(1, 0);
    let again = parts(2, 254);
    let plain = parts(3, 255);
    let mut all = vec![one, section(2, b"local"), three, four, five, six, seven];
    all.extend(again[2..].iter().cloned());
    all.extend(plain[1..].iter().cloned());
    let bytes = message(&all);
    let fields = Message::parse(&bytes).unwrap().into_fields();
    assert_eq!(fields.len(), 3);
    assert_eq!(fields[0].bitmap, Some(&[0b1010_1010][..]));
    assert_eq!(fields[1].bitmap, fields[0].bitmap);
    assert_eq!(fields[2].bitmap, None);
    assert!(fields.iter().all(|field| field.section2.is_some()));
    let tags: Vec<u8> = fields.iter().map(|field| field.section4[9]).collect();
    assert_eq!(tags, [1, 2, 3]);
}

#[test]
fn bitmaps_that_are_not_there_are_refused() {
    let parse = |indicator| Message::parse(&message(&parts(0, indicator))).map(|_| ());
    assert_eq!(parse(254), Err(GribError::NoBitmap { field: 1 }));
    assert_eq!(parse(7), Err(GribError::PredefinedBitmap { number: 7 }));
    let mut short = parts(0, 0);
    short[4] = section(6, &[0]);
    assert_eq!(
        Message::parse(&message(&short)).map(|_| ()),
        Err(GribError::BitmapLength {
            bytes: 0,
            points: 8
        })
    );
}

#[test]
fn order_length_and_end_are_checked() {
    let good = parts(0, 255);
    let swapped = [&good[0], &good[2]].map(Clone::clone);
    assert!(matches!(
        Message::parse(&message(&swapped)),
        Err(GribError::SectionOrder {
            section: 4,
            after: 1,
            ..
        })
    ));
    let mut cut = message(&good);
    assert!(matches!(
        Message::parse(&cut[..cut.len() - 1]),
        Err(GribError::Truncated { .. })
    ));
    let last = cut.len() - 1;
    cut[last] = b'8';
    assert!(matches!(Message::parse(&cut), Err(GribError::NoEnd { .. })));
    let mut zero = message(&good);
    zero[16..20].fill(0);
    assert!(matches!(
        Message::parse(&zero),
        Err(GribError::SectionLength {
            section: 1,
            offset: 16,
            length: 0
        })
    ));
    assert!(matches!(
        Message::parse(&message(&[])),
        Err(GribError::SectionOrder {
            section: 8,
            after: 0,
            ..
        })
    ));
}

#[test]
fn editions_are_told_apart() {
    let mut bytes = message(&parts(0, 255));
    bytes[7] = 3;
    assert_eq!(
        Indicator::parse(&bytes),
        Err(GribError::Edition { edition: 3 })
    );
    bytes[7] = 1;
    bytes[4..7].copy_from_slice(&[0x80, 0, 2]);
    assert_eq!(
        Indicator::parse(&bytes),
        Err(GribError::Edition1 { length: 240 })
    );
    assert!(matches!(
        Indicator::parse(b"<?xml version"),
        Err(GribError::NotGrib {
            found: [b'<', b'?', b'x', b'm']
        })
    ));
}

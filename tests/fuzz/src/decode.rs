//! Sections 5, 6 and 7 of any content.

use gribfs::grib::decode::{DecodeError, Packed, byte_range_of_values, decode, decode_range};

/// Decodes a fuzzed field in every way: points (2 octets), length of section 5 (1), length of the bitmap (2, 0 for none),
/// then section 5, bitmap, section 7.
///
/// # Panics
/// If a decoder panicked: a find.
pub fn run(input: &[u8]) {
    let Some((&[p0, p1, length5, b0, b1], rest)) = input.split_first_chunk::<5>() else {
        return;
    };
    let Some((section5, rest)) = rest.split_at_checked(usize::from(length5)) else {
        return;
    };
    let length = usize::from(u16::from_be_bytes([b0, b1]));
    let Some((bitmap, section7)) = rest.split_at_checked(length) else {
        return;
    };
    let points = usize::from(u16::from_be_bytes([p0, p1]));
    let field = Packed {
        points,
        section5,
        bitmap: (length > 0).then_some(bitmap),
        section7,
    };
    let mut values = vec![0.0; points];
    let whole = decode(&field, &mut values);
    let mut part = vec![0.0; points / 2];
    let half = decode_range(&field, points / 3, &mut part);
    for result in [&whole, &half] {
        assert!(
            !matches!(result, Err(DecodeError::Panicked { .. })),
            "{result:?}"
        );
    }
    if whole.is_ok() && half.is_ok() {
        for (part, whole) in part.iter().zip(&values[points / 3..]) {
            assert_eq!(part.to_bits(), whole.to_bits());
        }
    }
    let _octets = byte_range_of_values(section5, 3, u64::from(p0));
}

//! Unsigned integers of a fixed bit width out of octets, most significant bit first.
//!
//! One loop per width, made by the compiler: a 64 bit load holds several values of up to 57 bits altogether, whatever
//! bit it starts at, and with a width known at compile time each value costs one shift and one mask. Reading past the end
//! gives zero bits, never a panic; callers check beforehand that the bits are there.

/// Calls a function generic over bit width and values per 64 bit load with the constants that belong to a width of
/// 1..=32. Any other width gives `$otherwise`.
macro_rules! for_width {
    ($width:expr, $otherwise:expr, $name:ident [$($generic:ty),*] $arguments:tt) => {
        $crate::grib::decode::unpack::for_width!(@ $width, $otherwise, $name, [$($generic),*], $arguments,
            (1, 16), (2, 16), (3, 16), (4, 14), (5, 11), (6, 9), (7, 8), (8, 7), (9, 6), (10, 5), (11, 5),
            (12, 4), (13, 4), (14, 4), (15, 3), (16, 3), (17, 3), (18, 3), (19, 3), (20, 2), (21, 2), (22, 2),
            (23, 2), (24, 2), (25, 2), (26, 2), (27, 2), (28, 2), (29, 1), (30, 1), (31, 1), (32, 1))
    };
    (@ $width:expr, $otherwise:expr, $name:ident, $generics:tt, $arguments:tt, $(($bits:literal, $per:literal)),*) => {
        match $width {
            $($bits => $crate::grib::decode::unpack::for_width!(@@ $name, $generics, $bits, $per, $arguments),)*
            _ => $otherwise,
        }
    };
    (@@ $name:ident, [$($generic:ty),*], $bits:literal, $per:literal, ($($argument:expr),*)) => {
        $name::<$($generic,)* $bits, $per>($($argument),*)
    };
}
pub(super) use for_width;

/// 64 bits from an octet on; bits past the end are 0.
#[inline(always)]
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        Some(octets) => u64::from_be_bytes(*octets),
        None => tail(bytes, at),
    }
}

#[cold]
fn tail(bytes: &[u8], at: usize) -> u64 {
    let mut octets = [0; 8];
    for (to, from) in octets.iter_mut().zip(bytes.iter().skip(at)) {
        *to = *from;
    }
    u64::from_be_bytes(octets)
}

/// At least 57 bits from a bit on, at the top of the word.
#[inline(always)]
pub(super) fn window(bytes: &[u8], bit: u64) -> u64 {
    word(bytes, (bit >> 3) as usize) << (bit & 7)
}

/// The top `bits` (1..=32) of a word.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "at most 32 bits are left after the shift"
)]
pub(super) fn top(word: u64, bits: u32) -> u32 {
    (word >> (64 - bits)) as u32
}

/// Unpacks `out.len()` integers of `width` bits (0..=32) from a bit on. Width 0 gives zeros.
pub(super) fn unpack(bytes: &[u8], bit: u64, width: u32, out: &mut [u32]) {
    for_width!(width, out.fill(0), fixed[](bytes, bit, out));
}

/// The loop for one width; `N` values of `W` bits have at most 57 bits altogether.
pub(super) fn fixed<const W: u32, const N: usize>(bytes: &[u8], mut bit: u64, out: &mut [u32]) {
    let (chunks, rest) = out.as_chunks_mut::<N>();
    for chunk in chunks {
        let mut word = window(bytes, bit);
        for out in chunk {
            *out = top(word, W);
            word <<= W;
        }
        bit += u64::from(W) * N as u64;
    }
    let mut word = window(bytes, bit);
    for out in rest {
        *out = top(word, W);
        word <<= W;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_offset_agrees_with_reading_bit_by_bit() {
        let bytes: Vec<u8> = (0..200_u32)
            .map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[1])
            .collect();
        for width in 0..=32_u32 {
            for start in 0..9_u64 {
                let mut out = [0; 40];
                unpack(&bytes, start, width, &mut out);
                for (k, &got) in out.iter().enumerate() {
                    let mut want = 0_u64;
                    for i in 0..u64::from(width) {
                        let at = start + k as u64 * u64::from(width) + i;
                        let bit = bytes[(at / 8) as usize] >> (7 - at % 8) & 1;
                        want = want << 1 | u64::from(bit);
                    }
                    assert_eq!(
                        u64::from(got),
                        want,
                        "width {width}, start {start}, value {k}"
                    );
                }
            }
        }
    }

    #[test]
    fn past_the_end_there_are_zero_bits() {
        let mut out = [7; 4];
        unpack(&[0xff, 0xff], 12, 4, &mut out);
        assert_eq!(out, [15, 0, 0, 0]);
        unpack(&[], 1 << 40, 32, &mut out);
        assert_eq!(out, [0; 4]);
    }
}

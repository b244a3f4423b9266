//! Reading octets: big-endian integers and sign-magnitude, counted as GRIB counts.
//!
//! Octets count from 1 within their section, so `Octets(section).u16(8)` are octets 8 and 9. Every reader answers
//! `None` past the end; nothing panics.
//!
//! Knows bytes. Knows no sections and no templates.

/// The bytes of one section, with readers by octet number (first octet is 1).
#[derive(Clone, Copy, Debug)]
pub struct Octets<'a>(pub &'a [u8]);

impl<'a> Octets<'a> {
    /// Number of octets.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Octets `first` to `last`, both included.
    #[must_use]
    pub fn range(self, first: usize, last: usize) -> Option<&'a [u8]> {
        self.0.get(first.checked_sub(1)?..last)
    }

    fn array<const N: usize>(self, octet: usize) -> Option<[u8; N]> {
        let start = octet.checked_sub(1)?;
        self.0.get(start..start.checked_add(N)?)?.try_into().ok()
    }

    /// One octet, unsigned.
    #[must_use]
    pub fn u8(self, octet: usize) -> Option<u8> {
        self.array(octet).map(u8::from_be_bytes)
    }

    /// Two octets, unsigned.
    #[must_use]
    pub fn u16(self, octet: usize) -> Option<u16> {
        self.array(octet).map(u16::from_be_bytes)
    }

    /// Three octets, unsigned (edition 1).
    #[must_use]
    pub fn u24(self, octet: usize) -> Option<u32> {
        self.array(octet)
            .map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Four octets, unsigned.
    #[must_use]
    pub fn u32(self, octet: usize) -> Option<u32> {
        self.array(octet).map(u32::from_be_bytes)
    }

    /// Eight octets, unsigned.
    #[must_use]
    pub fn u64(self, octet: usize) -> Option<u64> {
        self.array(octet).map(u64::from_be_bytes)
    }

    /// One octet, sign and magnitude: `0x82` is -2.
    #[must_use]
    pub fn i8(self, octet: usize) -> Option<i8> {
        self.u8(octet).map(sign_magnitude_8)
    }

    /// Two octets, sign and magnitude: `0x8002` is -2.
    #[must_use]
    pub fn i16(self, octet: usize) -> Option<i16> {
        self.u16(octet).map(sign_magnitude_16)
    }

    /// Four octets, sign and magnitude: `0x80000002` is -2.
    #[must_use]
    pub fn i32(self, octet: usize) -> Option<i32> {
        self.u32(octet).map(sign_magnitude_32)
    }

    /// Four octets as an IEEE 754 number.
    #[must_use]
    pub fn f32(self, octet: usize) -> Option<f32> {
        self.array(octet).map(f32::from_be_bytes)
    }
}

/// The value of a coded signed octet: top bit is the sign, so `0x80` is 0.
#[must_use]
pub fn sign_magnitude_8(raw: u8) -> i8 {
    let magnitude = (raw & 0x7f).cast_signed();
    if raw & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// The value of a coded signed 16-bit number: top bit is the sign.
#[must_use]
pub fn sign_magnitude_16(raw: u16) -> i16 {
    let magnitude = (raw & 0x7fff).cast_signed();
    if raw & 0x8000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// The value of a coded signed 32-bit number: top bit is the sign.
#[must_use]
pub fn sign_magnitude_32(raw: u32) -> i32 {
    let magnitude = (raw & 0x7fff_ffff).cast_signed();
    if raw & 0x8000_0000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_count_from_one_and_end() {
        let octets = Octets(&[0x01, 0x80, 0x02, 0xff]);
        assert_eq!(octets.u8(1), Some(1));
        assert_eq!(octets.u16(1), Some(0x0180));
        assert_eq!(octets.u24(2), Some(0x0080_02ff));
        assert_eq!(octets.i16(2), Some(-2));
        assert_eq!(octets.i8(4), Some(-127));
        assert_eq!(octets.u8(0), None);
        assert_eq!(octets.u8(5), None);
        assert_eq!(octets.u32(2), None);
        assert_eq!(octets.u16(usize::MAX), None);
        assert_eq!(octets.range(2, 3), Some(&[0x80, 0x02][..]));
        assert_eq!(octets.range(3, 1), None);
    }

    #[test]
    fn minus_zero_is_zero() {
        assert_eq!(sign_magnitude_8(0x80), 0);
        assert_eq!(sign_magnitude_16(0x8000), 0);
        assert_eq!(sign_magnitude_32(0x8000_0000), 0);
        assert_eq!(sign_magnitude_32(0xffff_ffff), -0x7fff_ffff);
    }
}

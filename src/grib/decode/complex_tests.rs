//! Unit tests of complex packing: groups of every length and width against the formula, value by value.

use super::*;

/// Bits, most significant first.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: u64, width: u32) {
        self.0
            .extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(8), false);
    }

    fn octets(mut self) -> Vec<u8> {
        self.pad();
        let octet = |bits: &[bool]| {
            bits.iter()
                .fold(0, |octet, bit| octet << 1 | u8::from(*bit))
        };
        self.0.chunks(8).map(octet).collect()
    }
}

/// A generator of numbers that is the same on every run (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A field of random groups: its header, its data, and the integers in it.
fn field(
    order: u32,
    widest: u64,
    longest: u64,
    random: &mut Random,
) -> (Complex, Vec<u8>, Vec<i128>) {
    let groups: Vec<(u64, u32, u64)> = (0..40)
        .map(|_| {
            let width = u32::try_from(random.next() % (widest + 1)).unwrap();
            (random.next() % 1024, width, 1 + random.next() % longest)
        })
        .collect();
    let (first, minimum) = ([1000_i128, 990], -512_i128);
    let mut data = Bits::default();
    if order > 0 {
        for first in first.iter().take(order as usize) {
            data.put(u64::try_from(*first).unwrap(), 32);
        }
        data.put(1 << 31 | 512, 32);
    }
    groups.iter().for_each(|group| data.put(group.0, 10));
    data.pad();
    groups.iter().for_each(|group| data.put(group.1.into(), 6));
    data.pad();
    groups.iter().for_each(|group| data.put(group.2, 12));
    data.pad();
    let mut integers: Vec<i128> = Vec::new();
    for &(reference, width, length) in &groups {
        for _ in 0..length {
            let packed = random.next() & ((1 << width) - 1);
            data.put(packed, width);
            let raw = i128::from(reference + packed);
            integers.push(match (order, integers.as_slice()) {
                (0, _) => raw,
                (_, []) => first[0],
                (1, [.., one]) => one + raw + minimum,
                (_, [.., two, one]) => 2 * one - two + raw + minimum,
                (_, [_]) => first[1],
            });
        }
    }
    let packing = Complex {
        scale: Scale::try_new(0.0, 0, 0).unwrap(),
        bits: 10,
        missing: 0,
        groups: 40,
        width_reference: 0,
        width_bits: 6,
        length_reference: 0,
        length_increment: 1,
        last_length: u32::try_from(groups.last().unwrap().2).unwrap(),
        length_bits: 12,
        order,
        extra_octets: 4,
    };
    (packing, data.octets(), integers)
}

#[test]
fn groups_of_every_length_and_width_follow_the_formula() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..60 {
        // Short groups, groups longer than a block, narrow and wide ones.
        let longest = [1, 3, 9, 40, 2500][round % 5];
        let widest = [0, 3, 16, 32][round % 4];
        for order in 0..3 {
            let (packing, data, integers) = field(order, widest, longest, &mut random);
            let mut values = vec![0.0_f64; integers.len()];
            let decoded = decode(&packing, &data, &mut values);
            if integers.iter().any(|integer| integer.abs() >= 1 << 51) {
                assert_eq!(decoded, Err(DecodeError::Overflow));
                continue;
            }
            decoded.unwrap();
            for (at, (value, integer)) in values.iter().zip(&integers).enumerate() {
                assert!(
                    *value == *integer as f64,
                    "order {order}, widths to {widest}, lengths to {longest}, value {at}: {value}, not {integer}"
                );
            }
        }
    }
}

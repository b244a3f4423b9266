//! Hostile: broken sections end in values or an error, at once, and never in a panic.

use std::time::{Duration, Instant};

use gribfs::grib::decode::{
    DecodeError, Packed, byte_range_of_values, decode, decode_range, supported,
};

use crate::decode_corpus::fields;
use crate::decode_packings::packings;

/// A small generator of our own: the same cases on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `limit`.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[3]
    }
}

/// Sections of a field that can be broken.
#[derive(Clone)]
struct Sections {
    name: String,
    points: usize,
    section5: Vec<u8>,
    bitmap: Option<Vec<u8>>,
    section7: Vec<u8>,
}

impl Sections {
    fn of_all_packings() -> Vec<Self> {
        packings()
            .iter()
            .map(|(name, _, message)| {
                let field = fields(message)[0];
                Self {
                    name: name.clone(),
                    points: field.points,
                    section5: field.section5.to_vec(),
                    bitmap: field.bitmap.map(<[u8]>::to_vec),
                    section7: field.section7.to_vec(),
                }
            })
            .collect()
    }

    /// One of the ways in which octets go wrong.
    fn break_somewhere(&mut self, random: &mut Random, others: &[Self]) {
        let octets = match random.below(8) {
            0 | 1 => &mut self.section5,
            2 if self.bitmap.is_some() => self.bitmap.as_mut().unwrap(),
            _ => &mut self.section7,
        };
        let at = random.below(octets.len());
        match random.below(10) {
            0 => octets.truncate(at),
            1 => octets.extend([0; 40]),
            2 => octets[at..].fill(if random.below(2) == 0 { 0 } else { 0xff }),
            3 => {
                for octet in &mut octets[at..] {
                    *octet = random.octet();
                }
            }
            4 => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.section7.len());
                octets.truncate(at);
                octets.extend(&other.section7[from..]);
            }
            5 if at + 4 <= octets.len() => octets[at..at + 4].fill(random.octet()),
            6 => octets[at] = random.octet(),
            _ => octets[at] ^= 1 << random.below(8),
        }
    }

    /// Decodes in every way; complains about panics and slowness only.
    fn survive(&self, what: &str) -> Result<(), DecodeError> {
        let start = Instant::now();
        let field = Packed {
            points: self.points,
            section5: &self.section5,
            bitmap: self.bitmap.as_deref(),
            section7: &self.section7,
        };
        let mut values = vec![0.0; self.points];
        let mut part = vec![0.0; self.points / 2];
        let whole = decode(&field, &mut values);
        let half = decode_range(&field, self.points / 3, &mut part);
        for result in [&whole, &half] {
            assert!(
                !matches!(result, Err(DecodeError::Panicked { .. })),
                "{}, {what}: {result:?}",
                self.name
            );
        }
        let _packing = supported(&self.section5);
        let _octets = byte_range_of_values(&self.section5, 7, u64::MAX - 8);
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{}, {what}: {:?}",
            self.name,
            start.elapsed()
        );
        whole
    }
}

/// `GRIBFS_LONG=1` runs twenty times as many.
fn cases() -> usize {
    if std::env::var_os("GRIBFS_LONG").is_some() {
        400_000
    } else {
        20_000
    }
}

#[test]
fn broken_sections_give_values_or_an_error() {
    let seeds = Sections::of_all_packings();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut good, mut bad) = (0, 0);
    for case in 0..cases() {
        let mut sections = seeds[case % seeds.len()].clone();
        for _ in 0..=random.below(3) {
            if !sections.section5.is_empty() && !sections.section7.is_empty() {
                sections.break_somewhere(&mut random, &seeds);
            }
        }
        match sections.survive(&format!("case {case}")) {
            Ok(()) => good += 1,
            Err(_) => bad += 1,
        }
    }
    println!("{good} with values, {bad} with an error");
    assert!(good > 0 && bad > 0);
}

#[test]
fn every_truncation_gives_an_error() {
    for seed in Sections::of_all_packings() {
        if !seed.name.starts_with("jpeg2000") && !seed.name.starts_with("png") {
            let data = seed.section7.len();
            // A few octets less may still hold all bits of an entropy-coded stream.
            for length in (0..data.saturating_sub(8)).step_by(7) {
                let mut sections = seed.clone();
                sections.section7.truncate(length);
                assert!(
                    sections.survive("truncated").is_err(),
                    "{}: {length} of {data} octets",
                    seed.name
                );
            }
        }
        for length in 0..seed.section5.len() {
            let mut sections = seed.clone();
            sections.section5.truncate(length);
            assert!(sections.survive("truncated").is_err(), "{}", seed.name);
        }
    }
}

/// gribberish 1.9.0 loops forever where a code stream ends early: its read callback answers 0 where OpenJPEG wants -1.
#[test]
fn code_streams_that_end_early_give_an_error_at_once() {
    for seed in Sections::of_all_packings() {
        if seed.name.starts_with("jpeg2000") && seed.section7.len() > 5 {
            for length in 5..seed.section7.len() - 8 {
                let mut sections = seed.clone();
                sections.section7.truncate(length);
                assert!(sections.survive("truncated").is_err(), "{}", seed.name);
            }
        }
    }
}

#[test]
fn random_octets_give_values_or_an_error() {
    let mut random = Random(42);
    for _ in 0..cases() / 4 {
        let mut octets = |most: usize| -> Vec<u8> {
            let length = random.below(most);
            (0..length).map(|_| random.octet()).collect()
        };
        let (mut section5, mut section7) = (octets(60), octets(400));
        let bitmap = octets(50);
        let template = [0, 2, 3, 4, 40, 41, 42, 200][random.below(8)];
        if section5.len() > 10 {
            section5[4] = 5;
            section5[5..11].copy_from_slice(&[0, 0, 0, 200, 0, template]);
        }
        if section7.len() > 4 {
            section7[4] = 7;
        }
        let sections = Sections {
            name: "random".to_owned(),
            points: 200,
            section5,
            bitmap: (random.below(4) == 0).then_some(bitmap),
            section7,
        };
        let _result = sections.survive("random");
    }
}

/// Numbers of a header that would have an unpacker allocate, loop or overflow.
#[test]
fn headers_that_promise_too_much_are_refused() {
    let seeds = Sections::of_all_packings();
    let seed = |name: &str| {
        seeds
            .iter()
            .find(|seed| seed.name.contains(name))
            .unwrap()
            .clone()
    };
    let refused = |mut sections: Sections, changes: &[(usize, u8)]| {
        for &(octet, value) in changes {
            sections.section5[octet - 1] = value;
        }
        assert!(
            sections.survive("changed").is_err(),
            "{} with {changes:?}",
            sections.name
        );
    };
    let simple = seed("simple.grib2: 12 bits");
    refused(simple.clone(), &[(20, 33)]);
    refused(simple.clone(), &[(20, 255)]);
    // R not finite.
    refused(simple.clone(), &[(12, 0x7f), (13, 0xc0)]);
    refused(simple.clone(), &[(12, 0xff), (13, 0x80), (14, 0), (15, 0)]);
    // 2^E, 10^-D not finite.
    refused(simple.clone(), &[(16, 0x7f), (17, 0xff)]);
    refused(simple.clone(), &[(18, 0xff), (19, 0xff)]);
    refused(simple, &[(6, 0xff), (7, 0xff), (8, 0xff), (9, 0xff)]);
    let constant = seed("simple.grib2: constant");
    refused(constant, &[(12, 0x7f), (13, 0x80), (14, 0), (15, 0)]);
    let differenced = seed("order 2, smooth, D 2");
    for (octet, value) in [
        (23, 3),
        (47, 33),
        (37, 33),
        (36, 200),
        (48, 0),
        (48, 3),
        (49, 9),
    ] {
        refused(differenced.clone(), &[(octet, value)]);
    }
    refused(
        differenced.clone(),
        &[(32, 0xff), (33, 0xff), (34, 0xff), (35, 0xff)],
    );
    refused(
        seed("0 bits per reference"),
        &[
            (32, 0xff),
            (33, 0xff),
            (34, 0xff),
            (35, 0xff),
            (37, 0),
            (47, 0),
        ],
    );
    refused(
        differenced,
        &[(43, 0xff), (44, 0xff), (45, 0xff), (46, 0xff)],
    );
    let ccsds = seed("ccsds.grib2: 12 bits");
    for block in [0, 1, 7, 24, 128, 255] {
        refused(ccsds.clone(), &[(23, block)]);
    }
    refused(ccsds.clone(), &[(24, 0), (25, 0)]);
    refused(ccsds.clone(), &[(24, 0x10), (25, 1)]);
    refused(ccsds, &[(20, 33)]);
    let runs = seed("run_length.grib2: 8 bits, 5 levels");
    refused(runs.clone(), &[(12, 0)]);
    refused(runs.clone(), &[(12, 17)]);
    refused(runs.clone(), &[(13, 0xff)]);
    refused(runs, &[(15, 0xff)]);
}

/// gribberish 1.9.0 reads the first values of spatial differencing as signed: 2.8 instead of 30.0.
#[test]
fn first_values_of_differencing_are_unsigned() {
    // One group of width 0, differences 0, first value 0xfffe in 2 octets.
    let mut section5 = vec![0, 0, 0, 49, 5, 0, 0, 0, 3, 0, 3];
    section5.extend([0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 1, 0]);
    section5.extend([0; 8]);
    section5.extend([0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 3, 4, 1, 2]);
    let section7 = [0, 0, 0, 12, 7, 0xff, 0xfe, 0, 0, 0, 0, 0];
    let field = Packed {
        points: 3,
        section5: &section5,
        bitmap: None,
        section7: &section7,
    };
    let mut values = [0.0; 3];
    decode(&field, &mut values).unwrap();
    assert_eq!(values, [65534.0; 3]);
}

/// gribberish 1.9.0 computes bit offsets in f32, wrong from 2^24 on.
#[test]
fn offsets_of_more_than_2_to_the_24_bits_are_exact() {
    let groups = 1_000_001_u32;
    let mut section5 = vec![0, 0, 0, 47, 5];
    section5.extend(groups.to_be_bytes());
    section5.extend([0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 17, 0, 1, 0]);
    section5.extend([0; 8]);
    section5.extend(groups.to_be_bytes());
    section5.extend([0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0]);
    let mut section7 = vec![0, 0, 0, 0, 7];
    let (mut word, mut held) = (0_u64, 0);
    for group in 0..groups {
        word = word << 17 | u64::from(group % 100_003);
        held += 17;
        while held >= 8 {
            held -= 8;
            section7.push((word >> held).to_be_bytes()[7]);
        }
    }
    section7.push((word << (8 - held)).to_be_bytes()[7]);
    let points = usize::try_from(groups).unwrap();
    let field = Packed {
        points,
        section5: &section5,
        bitmap: None,
        section7: &section7,
    };
    let mut values = vec![0.0; points];
    decode(&field, &mut values).unwrap();
    for (group, value) in (0..groups).zip(values) {
        assert_eq!(f64::from(value), f64::from(group % 100_003));
    }
}

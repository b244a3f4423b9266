//! Files of the shared corpus walked by their headers only, and messages broken on purpose.

use gribfs::grib::grid::Grid;
use gribfs::grib::head::Head;
use gribfs::grib::identity::Product;
use gribfs::grib::section::Message;
use gribfs::grib::walker::{Found, Step, WalkedMessage, Walker, walk};
use serde_json::Value;

use crate::grib_corpus::{corpus, messages, samples};

/// Walks a file by exact reads; answers what was found, and how many bytes were asked for in how many reads.
fn hop(file: &[u8]) -> (Vec<Found>, usize, usize) {
    let mut walker = Walker::new(file.len() as u64);
    let (mut found, mut bytes, mut reads) = (Vec::new(), 0, 0);
    loop {
        match walker.step() {
            Step::Found(one) => found.push(one),
            Step::Done => return (found, bytes, reads),
            Step::Read { offset, length } => {
                let from = usize::try_from(offset).unwrap();
                walker.give(offset, &file[from..from + length]);
                bytes += length;
                reads += 1;
            }
        }
    }
}

fn check_walked(message: &WalkedMessage, file: &[u8], name: &str) {
    let from = usize::try_from(message.offset).unwrap();
    let whole = Message::parse(&file[from..]).unwrap();
    assert_eq!(message.fields.len(), whole.fields().len(), "{name}");
    for (walked, field) in message.fields.iter().zip(whole.fields()) {
        assert_eq!(&*walked.section1, field.section1, "{name}");
        assert_eq!(&*walked.section3, field.section3, "{name}");
        assert_eq!(&*walked.section4, field.section4, "{name}");
        assert_eq!(&*walked.section5, field.section5, "{name}");
    }
}

#[test]
fn files_are_walked_by_their_headers() {
    let Some(corpus) = corpus() else { return };
    let mut broken = Vec::new();
    let (mut messages, mut all, mut asked, mut reads) = (0, 0, 0, 0);
    for sample in samples(&corpus) {
        let (found, bytes, count) = hop(&sample.bytes);
        let mut ours = Vec::new();
        for one in &found {
            match one {
                Found::Message(message) => {
                    check_walked(message, &sample.bytes, &sample.name);
                    ours.push((2, message.offset, message.length));
                }
                Found::Edition1 { offset, length } => ours.push((1, *offset, *length)),
                other @ (Found::Broken { .. } | Found::Lost { .. }) => {
                    broken.push(format!("{}: {other:?}", sample.name));
                }
            }
        }
        let number = |value: &Value, key: &str| value[key].as_u64().unwrap();
        let theirs: Vec<(u64, u64, u64)> = sample.expected["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|message| message["error"].is_null())
            .map(|message| {
                (
                    number(message, "edition"),
                    number(message, "offset"),
                    number(message, "length"),
                )
            })
            .collect();
        assert_eq!(ours, theirs, "{}", sample.name);
        messages += ours.len();
        all += sample.bytes.len();
        asked += bytes;
        reads += count;
    }
    println!("{messages} messages in {all} bytes: {reads} reads of {asked} bytes");
    assert_eq!(broken, BROKEN);
    assert!(reads < 2 * messages && asked < 2048 * messages);
}

/// What the walk reports as broken; ecCodes agrees.
const BROKEN: [&str; 1] =
    ["cfgrib/era5-levels-corrupted.grib: Broken { offset: 0, error: NoEnd { length: 1588 } }"];

/// A generator of numbers that is the same on every run (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// Reads everything that this module reads of a message, and does not care what comes of it.
fn read_all(bytes: &[u8]) {
    drop(Head::parse(bytes));
    drop(walk(bytes));
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    for field in message.fields() {
        drop(Product::parse(
            field.discipline,
            field.section1,
            field.section4,
        ));
        if let Ok(grid) = Grid::parse(field.section3) {
            let (ny, nx) = grid.shape();
            assert_eq!(ny * nx, grid.points());
            for (row, column) in [(0, 0), (ny - 1, nx - 1), (ny / 2, nx / 2), (ny, nx)] {
                let place = grid.locator().locate(row, column);
                assert_eq!(place.is_some(), row < ny && column < nx);
            }
        }
    }
}

/// Flips bits, sets octets to their extremes, cuts: most of it in the headers, where it hurts.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let within = if random.below(4) == 0 {
            bytes.len()
        } else {
            bytes.len().min(260)
        };
        let at = random.below(within);
        match random.below(8) {
            0 => bytes[at] = 0,
            1 => bytes[at] = 255,
            2 => bytes[at] = 0x80,
            3 => bytes[at] = random.next().to_le_bytes()[0],
            4 if bytes.len() > 40 => bytes.truncate(bytes.len() - random.below(20)),
            5 => {
                let to = bytes.len().min(at + 4);
                bytes[at..to].fill(255);
            }
            _ => bytes[at] ^= 1 << random.below(8),
        }
    }
}

#[test]
fn broken_messages_end_in_values_or_errors() {
    let Some(corpus) = corpus() else { return };
    let rounds: usize = std::env::var("GRIBFS_MUTATIONS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(5000);
    let mut seeds = Vec::new();
    for sample in samples(&corpus) {
        for (offset, length, _) in messages(&sample) {
            let bytes = &sample.bytes[offset..offset + length];
            // One of a kind, and short ones: the data does not matter here.
            let kind = (
                bytes.get(16 + 21..16 + 21 + 40).map(<[u8]>::to_vec),
                length / 4,
            );
            if length < 20_000 && !seeds.iter().any(|(known, _)| *known == kind) {
                seeds.push((kind, bytes.to_vec()));
            }
        }
    }
    assert!(seeds.len() > 30, "{} seeds", seeds.len());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..rounds {
        let mut bytes = seeds[round % seeds.len()].1.clone();
        mutate(&mut bytes, &mut random);
        // Half of the time the length fits, so that the walk goes deeper.
        if random.below(2) == 0 && bytes.len() > 20 {
            let length = bytes.len() as u64;
            bytes[8..16].copy_from_slice(&length.to_be_bytes());
            let end = bytes.len() - 4;
            bytes[end..].copy_from_slice(b"7777");
        }
        read_all(&bytes);
    }
}

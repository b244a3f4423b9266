//! What the fuzzer runs (`scripts/fuzz`), run here: over the files of `tests/data/bad`, each of which broke something once, and
//! over good messages and index files that are broken at random.
//!
//! `GRIBFS_LONG=1` breaks 100 000 of each kind, `GRIBFS_MUTATIONS=N` as many as it says.

#![expect(
    unreachable_pub,
    reason = "the modules of the targets are public in the fuzzer's crate"
)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::grib_corpus::{corpus, messages, samples};

// The modules call each other as `super::`, here as in the fuzzer's own crate.
#[path = "../fuzz/src/decode.rs"]
mod decode;
#[path = "../fuzz/src/grid.rs"]
mod grid;
#[path = "../fuzz/src/index.rs"]
mod index;
#[path = "../fuzz/src/message.rs"]
mod message;
#[path = "../fuzz/src/product.rs"]
mod product;

type Target = (&'static str, fn(&[u8]));

/// The targets, by the names of their folders.
const TARGETS: [Target; 6] = [
    ("decode", decode::run),
    ("grid", grid::run),
    ("index", index::run),
    ("json", index::run_json),
    ("message", message::run),
    ("product", product::run),
];

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

#[test]
fn what_broke_something_once_does_so_no_more() {
    let mut count = 0;
    for (name, run) in TARGETS {
        for file in files(&data().join("bad").join(name)) {
            println!("{}", file.display());
            count += 1;
            run(&fs::read(file).unwrap());
        }
    }
    assert!(count > 5, "{count} files");
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

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn octet(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}

fn rounds() -> usize {
    let asked = std::env::var("GRIBFS_MUTATIONS").ok();
    match asked.and_then(|text| text.parse().ok()) {
        Some(rounds) => rounds,
        None if std::env::var_os("GRIBFS_LONG").is_some() => 100_000,
        None => 3000,
    }
}

/// Flips bits, sets octets to their extremes, cuts, splices: most of it among the first `heads` octets, where it hurts.
fn mutate(bytes: &mut Vec<u8>, heads: usize, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let within = match random.below(4) {
            0 => bytes.len(),
            _ => bytes.len().min(heads),
        };
        if within == 0 {
            return;
        }
        let at = random.below(within);
        match random.below(10) {
            0 => bytes[at] = [0, 0x7f, 0x80, 255][random.below(4)],
            1 => bytes[at] = random.octet(),
            2 => {
                let to = bytes.len().min(at + 4);
                bytes[at..to].fill(255);
            }
            3 => bytes.truncate(bytes.len() - random.below(20).min(bytes.len() - 1)),
            4 => {
                // The rest from another one, from the same place on: sections of one kind stand about there.
                bytes.truncate(at);
                bytes.extend(other.iter().skip(at));
            }
            5 => {
                let from = random.below(bytes.len());
                let octets = bytes[from..bytes.len().min(from + 30)].to_vec();
                bytes.splice(at..at, octets);
            }
            6 => drop(bytes.drain(at..bytes.len().min(at + 1 + random.below(8)))),
            _ => bytes[at] ^= 1 << random.below(8),
        }
    }
}

/// Real messages if they are at hand, else those of our own fixtures: one of a kind, and short ones.
fn some_messages() -> Vec<Vec<u8>> {
    let mut seeds: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut add = |bytes: &[u8]| {
        let kind = [
            bytes.get(37..77).unwrap_or_default(),
            &(bytes.len() / 4).to_le_bytes(),
        ]
        .concat();
        if bytes.len() < 20_000 && !seeds.iter().any(|(known, _)| *known == kind) {
            seeds.push((kind, bytes.to_vec()));
        }
    };
    for file in files(&data().join("packings")) {
        let bytes = fs::read(file).unwrap();
        let mut rest = bytes.as_slice();
        while rest.starts_with(b"GRIB") {
            let length = u64::from_be_bytes(rest[8..16].try_into().unwrap());
            let (message, later) = rest.split_at(usize::try_from(length).unwrap());
            add(message);
            rest = later;
        }
    }
    if let Some(corpus) = corpus() {
        for sample in samples(&corpus) {
            for (offset, length, _) in messages(&sample) {
                add(&sample.bytes[offset..offset + length]);
            }
        }
    }
    seeds.into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn broken_messages_end_in_values_or_errors() {
    let seeds = some_messages();
    assert!(seeds.len() > 30, "{} seeds", seeds.len());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..rounds() {
        let mut bytes = seeds[round % seeds.len()].clone();
        let other = &seeds[random.below(seeds.len())];
        mutate(&mut bytes, 260, other, &mut random);
        // Half of the time the length fits, so that the walk goes deeper.
        if random.below(2) == 0 && bytes.len() > 20 {
            let length = bytes.len() as u64;
            bytes[8..16].copy_from_slice(&length.to_be_bytes());
            let end = bytes.len() - 4;
            bytes[end..].copy_from_slice(b"7777");
        }
        message::run(&bytes);
    }
}

#[test]
fn broken_grids_and_products_end_in_values_or_errors() {
    let cases = |name: &str| -> Vec<serde_json::Value> {
        serde_json::from_slice(&fs::read(data().join(name)).unwrap()).unwrap()
    };
    let octets = |case: &serde_json::Value, key: &str| -> Vec<u8> {
        let text = case[key].as_str().unwrap();
        (0..text.len() / 2)
            .map(|k| u8::from_str_radix(text.get(2 * k..2 * k + 2).unwrap(), 16).unwrap())
            .collect()
    };
    let grids: Vec<Vec<u8>> = cases("grid_cases.json")
        .iter()
        .map(|case| octets(case, "section3"))
        .collect();
    let products: Vec<Vec<u8>> = cases("product_cases.json")
        .iter()
        .map(|case| {
            let one = octets(case, "section1");
            let length = u8::try_from(one.len()).unwrap();
            [&[0, length][..], &one, &octets(case, "section4")].concat()
        })
        .collect();
    let mut random = Random(1);
    for round in 0..rounds() {
        for (seeds, run) in [(&grids, grid::run as fn(&[u8])), (&products, product::run)] {
            let mut bytes = seeds[round % seeds.len()].clone();
            let other = &seeds[random.below(seeds.len())];
            mutate(&mut bytes, usize::MAX, other, &mut random);
            run(&bytes);
        }
    }
}

#[test]
fn broken_index_files_end_in_lines_or_errors() {
    let seeds: Vec<Vec<u8>> = files(&data())
        .iter()
        .filter(|path| {
            let extension = path.extension().unwrap_or_default();
            extension == "idx" || extension == "index"
        })
        .map(|path| {
            let bytes = fs::read(path).unwrap();
            let lines = bytes.split_inclusive(|octet| *octet == b'\n');
            lines.take(4).flatten().copied().collect()
        })
        .collect();
    assert!(seeds.len() > 20, "{} seeds", seeds.len());
    let mut random = Random(2);
    for round in 0..rounds() {
        let mut bytes = seeds[round % seeds.len()].clone();
        let other = &seeds[random.below(seeds.len())];
        mutate(&mut bytes, usize::MAX, other, &mut random);
        index::run(&bytes);
    }
}

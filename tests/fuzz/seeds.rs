//! Writes inputs that the fuzzer starts from, one folder per target, out of our own fixtures: TESTS-DATA CORPUS.
//!
//! A program without dependencies, compiled by `scripts/fuzz`: what is instrumented for fuzzing has no ordinary `main`.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};

/// Longest input that is a good seed.
const MOST_BYTES: usize = 4096;

fn main() -> Result<()> {
    let folders: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let [data, corpus] = folders.as_slice() else {
        return Err(Error::other("TESTS-DATA CORPUS"));
    };
    let mut seeds = Seeds { corpus, written: 0 };
    for path in files(data)? {
        let name = path.to_string_lossy().into_owned();
        let octets = std::fs::read(&path)?;
        if name.ends_with(".idx") || name.ends_with(".index") {
            seeds.index(&octets)?;
        } else if octets.starts_with(b"PAR1") {
            seeds.write("refs_parquet", &octets)?;
            seeds.literals(&octets)?;
        } else if name.contains("/refs/v") && name.ends_with(".json") {
            seeds.references(&octets)?;
        } else if octets.starts_with(b"GRIB") {
            seeds.messages(&octets)?;
        } else if name.ends_with("grid_cases.json") {
            for section3 in hex_values(&octets, "section3") {
                seeds.write("grid", &section3)?;
            }
        } else if name.ends_with("product_cases.json") {
            let ones = hex_values(&octets, "section1");
            for (one, four) in ones.iter().zip(hex_values(&octets, "section4")) {
                seeds.product(0, one, &four)?;
            }
        }
    }
    println!("{} seeds", seeds.written);
    Ok(())
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(files(&path)?);
        } else {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

struct Seeds<'a> {
    corpus: &'a Path,
    written: usize,
}

impl Seeds<'_> {
    fn write(&mut self, target: &str, input: &[u8]) -> Result<()> {
        let folder = self.corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        if input.len() <= MOST_BYTES {
            std::fs::write(folder.join(format!("seed-{}", self.written)), input)?;
            self.written += 1;
        }
        Ok(())
    }

    /// The first lines of an index file, and each alone.
    fn index(&mut self, octets: &[u8]) -> Result<()> {
        let lines: Vec<&[u8]> = octets.split_inclusive(|octet| *octet == b'\n').collect();
        self.write("index", &lines[..lines.len().min(8)].concat())?;
        for line in lines.iter().take(40) {
            self.write("index", line)?;
            let inside = line.trim_ascii().strip_prefix(b"{");
            if let Some(inside) = inside.and_then(|inside| inside.strip_suffix(b"}")) {
                self.write("json", inside)?;
            }
        }
        Ok(())
    }

    /// The start of a reference set, closed after one of its members, and its members alone.
    fn references(&mut self, octets: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(octets);
        let inner = text.trim().trim_start_matches('{').trim_end_matches('}');
        self.write("refs_json", format!("{{{inner}}}").as_bytes())?;
        let members: Vec<&str> = inner.split(", \"").collect();
        for few in members.chunks(12) {
            let start = few[0].trim_start_matches('"');
            let rest = few[1..].join(", \"");
            let comma = if rest.is_empty() { "" } else { ", \"" };
            self.write("refs_json", format!("{{\"{start}{comma}{rest}}}").as_bytes())?;
        }
        Ok(())
    }

    /// Python's `repr` of a dict, where one lies in a Parquet file.
    fn literals(&mut self, octets: &[u8]) -> Result<()> {
        for value in [
            r#"{'a': ['s3://b/k', 0, 1], 'b': b'\x00', 'c': '\u00e9', 'd/.zarray': '{"shape":[]}'}"#,
            "{'a': (1, -2.5e3, None, True, nan, inf), \"b\": {'c': [[], {}]}}",
        ] {
            self.write("refs_literal", value.as_bytes())?;
        }
        if let Some(at) = octets.windows(2).position(|two| two == b"{'") {
            let end = octets.len().min(at + 2000);
            self.write("refs_literal", &octets[at..end])?;
        }
        Ok(())
    }

    /// The inputs made from good messages.
    fn messages(&mut self, octets: &[u8]) -> Result<()> {
        let mut rest = octets;
        while rest.len() > 16 && rest[7] == 2 {
            let total = u64::from_be_bytes(rest[8..16].try_into().map_err(Error::other)?);
            let Some((message, later)) =
                rest.split_at_checked(usize::try_from(total).map_err(Error::other)?)
            else {
                break;
            };
            self.message(message)?;
            rest = later;
        }
        Ok(())
    }

    /// As `run` of the targets takes them apart.
    fn message(&mut self, message: &[u8]) -> Result<()> {
        self.write("message", message)?;
        let none = &message[..0];
        let (mut one, mut four, mut five, mut bitmap, mut points) = (none, none, none, none, 0);
        let mut at = 16;
        while at + 4 < message.len() {
            let length = u32::from_be_bytes(message[at..at + 4].try_into().map_err(Error::other)?);
            let section = &message[at..at + length as usize];
            match section[4] {
                1 => one = section,
                3 => {
                    points = u32::from_be_bytes(section[6..10].try_into().map_err(Error::other)?);
                    self.write("grid", section)?;
                }
                4 => four = section,
                5 => five = section,
                6 if section[5] == 0 => bitmap = &section[6..],
                6 => bitmap = none,
                7 => {
                    self.product(message[6], one, four)?;
                    if let (Ok(points), Ok(length5), Ok(length6)) = (
                        u16::try_from(points),
                        u8::try_from(five.len()),
                        u16::try_from(bitmap.len()),
                    ) {
                        let mut input = points.to_be_bytes().to_vec();
                        input.push(length5);
                        input.extend(length6.to_be_bytes());
                        input.extend([five, bitmap, section].concat());
                        self.write("decode", &input)?;
                    }
                }
                _ => {}
            }
            at += section.len();
        }
        Ok(())
    }

    fn product(&mut self, discipline: u8, section1: &[u8], section4: &[u8]) -> Result<()> {
        let length = u8::try_from(section1.len()).map_err(Error::other)?;
        self.write(
            "product",
            &[&[discipline, length], section1, section4].concat(),
        )
    }
}

/// The values of a key in JSON, each a text of hexadecimal digits.
fn hex_values(json: &[u8], key: &str) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(json);
    let start = format!("\"{key}\": \"");
    let digits = text
        .split(&start)
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let octets = |digits: &str| {
        (0..digits.len() / 2)
            .filter_map(|k| u8::from_str_radix(digits.get(2 * k..2 * k + 2)?, 16).ok())
            .collect()
    };
    digits.map(octets).collect()
}

//! Writes the small fields of every packing as inputs of the target `decode`: FIELDS-FOLDER CORPUS-FOLDER.
//!
//! A program without dependencies, compiled by `scripts/fuzz`: what is instrumented for fuzzing has no ordinary `main`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folders: Vec<String> = std::env::args().skip(1).collect();
    let [fields, corpus] = folders.as_slice() else {
        return Err(std::io::Error::other("FIELDS-FOLDER CORPUS-FOLDER"));
    };
    let mut written = 0;
    for entry in std::fs::read_dir(fields)? {
        let path = entry?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "grib2")
        {
            continue;
        }
        let octets = std::fs::read(&path)?;
        let mut rest = octets.as_slice();
        while rest.len() > 16 {
            let total = u64::from_be_bytes(rest[8..16].try_into().expect("8 octets"));
            let (message, later) = rest.split_at(usize::try_from(total).expect("a small message"));
            if let Some(input) = input(message) {
                std::fs::write(Path::new(corpus).join(format!("seed-{written}")), input)?;
                written += 1;
            }
            rest = later;
        }
    }
    println!("{written} seeds");
    Ok(())
}

/// The input made from a good message of one field.
fn input(message: &[u8]) -> Option<Vec<u8>> {
    let (mut points, mut section5, mut bitmap) = (0, &message[..0], &message[..0]);
    let mut at = 16;
    loop {
        let length = u32::from_be_bytes(message[at..at + 4].try_into().ok()?) as usize;
        let section = &message[at..at + length];
        match section[4] {
            3 => points = u32::from_be_bytes(section[6..10].try_into().ok()?),
            5 => section5 = section,
            6 if section[5] == 0 => bitmap = &section[6..],
            7 => {
                // As `gribfs_fuzz::run_decode` takes it apart.
                let mut input = u16::try_from(points).ok()?.to_be_bytes().to_vec();
                input.push(u8::try_from(section5.len()).ok()?);
                input.extend(u16::try_from(bitmap.len()).ok()?.to_be_bytes());
                input.extend([section5, bitmap, section].concat());
                return Some(input);
            }
            _ => {}
        }
        at += length;
    }
}

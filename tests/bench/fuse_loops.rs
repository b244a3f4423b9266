//! The loops of `fuse.py` without an interpreter in them: reads commands from standard input, answers each with its seconds.
//!
//! `rustc -O fuse_loops.rs`, no crates. Words of a command are separated by tabs:
//!
//! | command | timed | answer |
//! |---|---|---|
//! | `whole PATH SIZE` | open, reads with a buffer of SIZE bytes, close | seconds, bytes |
//! | `first PATH` | open, read of 4 KiB, close | seconds |
//! | `stat PATH N` | N times the same `stat` | seconds of one |
//! | `new FOLDER FROM N` | `stat` of FOLDER/FROM, FOLDER/FROM+1, ... N names that were not asked for before | seconds of one |
//! | `missing PATH N` | N times `stat` of a name that is not there | seconds of one |
//! | `list FOLDER` | all names of a directory | seconds, names |

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead as _, ErrorKind, Read as _, Write as _};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut buffer = vec![0_u8; 4 << 20];
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split('\t').collect();
        let answer = answer(&words, &mut buffer).map_err(|error| format!("{line}: {error}"))?;
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(words: &[&str], buffer: &mut [u8]) -> Result<String, Box<dyn Error>> {
    let start = Instant::now();
    Ok(match *words {
        ["whole", path, size] => {
            let size: usize = size.parse()?;
            let start = Instant::now();
            let mut file = File::open(path)?;
            let mut read = 0;
            loop {
                match file.read(&mut buffer[..size])? {
                    0 => break,
                    got => read += got,
                }
            }
            drop(file);
            format!("{} {read}", start.elapsed().as_secs_f64())
        }
        ["first", path] => {
            let mut file = File::open(path)?;
            file.read_exact(&mut buffer[..4096])?;
            drop(file);
            format!("{}", start.elapsed().as_secs_f64())
        }
        ["stat", path, times] => {
            let times: u32 = times.parse()?;
            for _ in 0..times {
                fs::metadata(path)?;
            }
            each(start, times)
        }
        ["new", folder, from, times] => {
            let (from, times): (u64, u32) = (from.parse()?, times.parse()?);
            let mut path = String::new();
            for number in from..from + u64::from(times) {
                path.clear();
                write!(path, "{folder}/{number}")?;
                fs::metadata(&path)?;
            }
            each(start, times)
        }
        ["missing", path, times] => {
            let times: u32 = times.parse()?;
            for _ in 0..times {
                match fs::metadata(path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    other => return Err(format!("not missing: {other:?}").into()),
                }
            }
            each(start, times)
        }
        ["list", folder] => {
            let mut names = 0_u64;
            for entry in fs::read_dir(folder)? {
                entry?;
                names += 1;
            }
            format!("{} {names}", start.elapsed().as_secs_f64())
        }
        _ => return Err("no such command".into()),
    })
}

fn each(start: Instant, times: u32) -> String {
    format!("{}", start.elapsed().as_secs_f64() / f64::from(times))
}

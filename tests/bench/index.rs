//! Lines of index files read per second and core, for both dialects, on input made here.
//!
//! `cargo bench --bench index`. Wanted: 2 million lines per second (issue "Index any forecast archive"). The first run of
//! each input warms up; the median of the others counts. Input: 164 inventories of 743 lines like GFS's, of 85 like one
//! member of GEFS's, and 8,160 lines (51 members of 160 fields) like a step of ECMWF's ensemble.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, and ends at the first surprise"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use gribfs::index::parse;

const LEVELS: [u32; 33] = [
    1000, 975, 950, 925, 900, 850, 800, 750, 700, 650, 600, 550, 500, 450, 400, 350, 300, 250, 200,
    150, 100, 70, 50, 40, 30, 20, 15, 10, 7, 5, 3, 2, 1,
];

/// An inventory of `count` lines at `hour`, with `misc` at the end of each.
fn noaa(count: usize, hour: u32, misc: &str) -> String {
    let names = [
        "HGT", "TMP", "RH", "TCDC", "SPFH", "VVEL", "DZDT", "UGRD", "VGRD", "ABSV", "O3MR", "CLMR",
        "ICMR", "RWMR", "SNMR", "GRLE",
    ];
    let surface = [
        "APCP:surface:0-6 hour acc fcst",
        "DSWRF:surface:0-6 hour ave fcst",
        "TMAX:2 m above ground:0-6 hour max fcst",
        "TSOIL:0-0.1 m below ground:6 hour fcst",
        "UGRD:PV=2e-06 (Km^2/kg/s) surface:6 hour fcst",
        "RH:entire atmosphere (considered as a single layer):6 hour fcst",
    ];
    let mut text = String::new();
    let mut offset = 0_u64;
    for number in 0..count {
        let message = number + 1;
        if number % 6 == 5 {
            let words = surface[number / 6 % surface.len()];
            let (variable, rest) = words.split_once(':').expect("three fields");
            writeln!(
                text,
                "{message}:{offset}:d=2026110100:{variable}{number}:{rest}:{misc}"
            )
        } else {
            let (name, level) = (names[number / 33 % 16], LEVELS[number % 33]);
            let tail = if number / 33 < 16 {
                ""
            } else {
                " above ground"
            };
            writeln!(
                text,
                "{message}:{offset}:d=2026110100:{name}:{level} mb{tail}:{hour} hour fcst:{misc}"
            )
        }
        .expect("a String takes all");
        offset += 400_000 + u64::try_from(number).expect("small") * 617 % 500_000;
    }
    text
}

/// One step of an ensemble: members interleaved, in ECMWF's order of keys.
fn ecmwf(step: u32) -> String {
    let mut text = String::new();
    let mut offset = 0_u64;
    for field in 0..160_usize {
        for number in 0..51 {
            let kind = if number == 0 {
                "\"type\": \"cf\", \"stream\": \"enfo\"".to_owned()
            } else {
                format!("\"type\": \"pf\", \"stream\": \"enfo\", \"number\": \"{number}\"")
            };
            let level = if field < 130 {
                let names = ["gh", "t", "u", "v", "q", "r", "w", "d", "vo", "z"];
                let (name, level) = (names[field % 10], LEVELS[field / 10]);
                format!("\"levtype\": \"pl\", \"levelist\": \"{level}\", \"param\": \"{name}\"")
            } else {
                format!("\"levtype\": \"sfc\", \"param\": \"s{field}\"")
            };
            let length = 600_000 + u64::from(field % 7 == 0) * 12_345;
            writeln!(
                text,
                "{{\"domain\": \"g\", \"date\": \"20261101\", \"time\": \"0000\", \"expver\": \"0001\", \"class\": \"od\", {kind}, \"step\": \"{step}\", {level}, \"_offset\": {offset}, \"_length\": {length}}}"
            )
            .expect("a String takes all");
            offset += length;
        }
    }
    text
}

/// Time that this thread had a core, where the kernel tells; else the time that passed since `start`.
fn core_time(start: Instant) -> Duration {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Reads all files of a set again and again and prints the median rate.
fn measure(name: &str, files: &[String]) {
    let start = Instant::now();
    let mut rates = Vec::new();
    let (mut lines, mut kinds) = (0, 0);
    let bytes: usize = files.iter().map(String::len).sum();
    for round in 0..12 {
        let before = core_time(start);
        (lines, kinds) = (0, 0);
        for text in files {
            let file = parse(black_box(text.as_bytes()), None).expect("a good index");
            lines += file.lines.len();
            kinds += file.kinds.len();
            black_box(&file);
        }
        if round > 0 {
            rates.push(lines as f64 / (core_time(start) - before).as_secs_f64());
        }
    }
    rates.sort_by(f64::total_cmp);
    let median = rates.get(rates.len() / 2).copied().unwrap_or_default();
    println!(
        "{name:24} {:4} files {lines:7} lines {kinds:6} kinds {:6.2} M lines/s {:7.0} MB/s",
        files.len(),
        median / 1e6,
        median * bytes as f64 / lines as f64 / 1e6
    );
}

fn main() {
    let gfs: Vec<String> = (0..164).map(|hour| noaa(743, hour, "")).collect();
    measure("gfs .idx", &gfs);
    let gefs: Vec<String> = (0..1000)
        .map(|n| noaa(85, n % 240, &format!("ENS=+{}", n % 30 + 1)))
        .collect();
    measure("gefs .idx", &gefs);
    let ensemble: Vec<String> = (0..20).map(|n| ecmwf(n * 3)).collect();
    measure("ecmwf ensemble .index", &ensemble);
}

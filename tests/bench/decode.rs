//! How fast values are unpacked, against gribberish and ecCodes, and against the floor that memory sets.
//!
//! ```sh
//! scripts/make_packing_fixtures.py --large DIR              # or shared/data/make/synthetic.py DIR
//! GRIBFS_SYNTHETIC=DIR ECCODES_LIB=.../libeccodes.so cargo bench --bench decode [-- PART-OF-A-FILE-NAME...]
//! ```
//! Each file's first field is decoded by all contestants in turn, round by round; the table has the medians of the thread's
//! CPU time in ms. Ours and `fill` write one reused f32 buffer, gribberish and ecCodes f64 as they only can. Without
//! `ECCODES_LIB` there is no ecCodes column.
//!
//! Instructions per point, whatever the load of the machine: `scripts/bench_instructions FILE CONTESTANT`, which runs
//! `decode --once FILE CONTESTANT REPEATS` under callgrind with 1 and 11 repeats.

#![expect(
    unsafe_code,
    reason = "ecCodes is a C library, and the thread's CPU time is a system call"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program for developers, on good files"
)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gribfs::grib::decode::{Packed, decode};

const ROUNDS: usize = 15;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--once", file, contestant, repeats] = arguments.as_slice() {
        let mut message = Message::read(Path::new(file));
        for _ in 0..repeats.parse().expect("a number of repeats") {
            message.run(contestant);
        }
        println!("{} points", message.points);
        return ExitCode::SUCCESS;
    }
    let Some(folder) = std::env::var_os("GRIBFS_SYNTHETIC").map(PathBuf::from) else {
        println!("skipped: no fields to decode (GRIBFS_SYNTHETIC)");
        return ExitCode::SUCCESS;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of GRIBFS_SYNTHETIC")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "grib2")
        })
        .filter(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            arguments.is_empty() || arguments.iter().any(|part| name.contains(part))
        })
        .collect();
    files.sort();
    println!(
        "{:24} {:>9} {:>9} {:>8} {:>8} {:>10} {:>8} {:>12} {:>9}",
        "field",
        "octets",
        "points",
        "fill",
        "ours",
        "gribberish",
        "ecCodes",
        "x gribberish",
        "x ecCodes"
    );
    for file in files {
        let mut message = Message::read(&file);
        if message.points < 100_000 {
            continue;
        }
        message.compare();
        let names = ["fill", "ours", "gribberish", "eccodes"];
        let mut times = [const { Vec::new() }; 4];
        for round in 0..=ROUNDS {
            for (name, times) in names.iter().zip(&mut times) {
                let start = cpu_ms();
                let ran = message.run(name);
                if ran && round > 0 {
                    times.push(cpu_ms() - start);
                }
            }
        }
        let [fill, ours, gribberish, eccodes] = times.map(median);
        println!(
            "{:24} {:9} {:9} {:8.3} {:8.3} {:10.3} {:8.3} {:12.1} {:9.1}",
            file.file_stem().unwrap_or_default().to_string_lossy(),
            message.bytes.len(),
            message.points,
            fill,
            ours,
            gribberish,
            eccodes,
            gribberish / ours,
            eccodes / ours
        );
    }
    ExitCode::SUCCESS
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn cpu_ms() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes one timespec, which is what it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// A message, with what every contestant reuses.
struct Message {
    bytes: Vec<u8>,
    points: usize,
    values: Vec<f32>,
    doubles: Vec<f64>,
    eccodes: Option<Eccodes>,
}

impl Message {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("a readable file");
        let points = field(&bytes).points;
        Self {
            points,
            values: vec![0.0; points],
            doubles: vec![0.0; points],
            eccodes: Eccodes::load(),
            bytes,
        }
    }

    /// Whether the contestant could.
    fn run(&mut self, contestant: &str) -> bool {
        let bytes = black_box(self.bytes.as_slice());
        match contestant {
            "fill" => {
                black_box(self.values.as_mut_slice()).fill(black_box(1.5));
                true
            }
            "ours" => decode(&field(bytes), black_box(&mut self.values)).is_ok(),
            "gribberish" => {
                // Some of the fields make it panic.
                let values = std::panic::catch_unwind(|| {
                    gribberish::message::read_message(bytes, 0).and_then(|m| m.data().ok())
                });
                black_box(values).is_ok_and(|values| values.is_some())
            }
            "eccodes" => match &self.eccodes {
                Some(eccodes) => eccodes.values(bytes, black_box(&mut self.doubles)),
                None => false,
            },
            other => panic!("no contestant {other}: fill, ours, gribberish, eccodes"),
        }
    }

    /// Checks our values against those of ecCodes before anything is timed.
    fn compare(&mut self) {
        if !self.run("ours") || !self.run("eccodes") {
            return;
        }
        for (at, (ours, theirs)) in self.values.iter().zip(&self.doubles).enumerate() {
            let same = if *theirs == Eccodes::MISSING {
                ours.is_nan()
            } else {
                ours.to_bits() == (*theirs as f32).to_bits()
            };
            assert!(same, "point {at}: {ours}, but {theirs}");
        }
    }
}

/// The first field of a good message.
fn field(message: &[u8]) -> Packed<'_> {
    let mut at = 16;
    let (mut points, mut section5, mut bitmap) = (0, &message[..0], None);
    loop {
        let length = u32::from_be_bytes(message[at..at + 4].try_into().expect("4 octets")) as usize;
        let section = &message[at..at + length];
        match section[4] {
            3 => points = u32::from_be_bytes(section[6..10].try_into().expect("4 octets")) as usize,
            5 => section5 = section,
            6 => bitmap = (section[5] == 0).then(|| &section[6..]),
            7 => {
                return Packed {
                    points,
                    section5,
                    bitmap,
                    section7: section,
                };
            }
            _ => {}
        }
        at += length;
    }
}

type New = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void;
type SetDouble = unsafe extern "C" fn(*mut c_void, *const c_char, f64) -> c_int;
type GetSize = unsafe extern "C" fn(*mut c_void, *const c_char, *mut usize) -> c_int;
type GetValues = unsafe extern "C" fn(*mut c_void, *const c_char, *mut f64, *mut usize) -> c_int;
type Delete = unsafe extern "C" fn(*mut c_void) -> c_int;

/// What a user of ecCodes' C library must call for the values of a message in memory.
struct Eccodes {
    new: New,
    set_double: SetDouble,
    get_size: GetSize,
    get_values: GetValues,
    delete: Delete,
    // Keeps the functions above where they are.
    _library: libloading::Library,
}

impl Eccodes {
    const MISSING: f64 = -1e100;
    const VALUES: &CStr = c"values";

    fn load() -> Option<Self> {
        let path = std::env::var_os("ECCODES_LIB")?;
        // SAFETY: the functions have the signatures that eccodes.h declares, and the library stays loaded with them.
        unsafe {
            let library = libloading::Library::new(path).expect("ECCODES_LIB is libeccodes.so");
            Some(Self {
                new: *library
                    .get(b"codes_handle_new_from_message\0")
                    .expect("new"),
                set_double: *library.get(b"codes_set_double\0").expect("set"),
                get_size: *library.get(b"codes_get_size\0").expect("size"),
                get_values: *library.get(b"codes_get_double_array\0").expect("values"),
                delete: *library.get(b"codes_handle_delete\0").expect("delete"),
                _library: library,
            })
        }
    }

    fn values(&self, message: &[u8], out: &mut [f64]) -> bool {
        // SAFETY: the handle borrows the message until it is deleted below; ecCodes writes at most `size` values, which is
        // told to be the length of `out`.
        unsafe {
            let handle = (self.new)(std::ptr::null_mut(), message.as_ptr().cast(), message.len());
            if handle.is_null() {
                return false;
            }
            (self.set_double)(handle, c"missingValue".as_ptr(), Self::MISSING);
            let mut size = 0;
            let sized = (self.get_size)(handle, Self::VALUES.as_ptr(), &raw mut size) == 0;
            let right = sized
                && size == out.len()
                && (self.get_values)(
                    handle,
                    Self::VALUES.as_ptr(),
                    out.as_mut_ptr(),
                    &raw mut size,
                ) == 0;
            (self.delete)(handle);
            right
        }
    }
}

//! Any octets as an index file, of either dialect.

use gribfs::index::{Doubt, IndexFile, IndexLine, KindText, KindWords, parse};

/// Reads the octets as an index file of a GRIB whose size is not known, and of one whose size is.
///
/// # Panics
/// If anything panics, or if what was read does not read the same when it is written anew: a find.
pub fn run(bytes: &[u8]) {
    if let Ok(file) = parse(bytes, None) {
        check(&file);
    }
    if let Ok(file) = parse(bytes, Some(1 << 32)) {
        assert!(file.lines.iter().all(|line| line.length.is_some()));
    }
}

/// Reads the octets as what stands between the braces of one line of JSON, behind an ordinary line.
///
/// # Panics
/// As [`run`].
pub fn run_json(inside: &[u8]) {
    let ordinary = br#"{"_offset": 0, "_length": 10, "date": "20250101", "time": "0000", "step": "6", "param": "t"}"#;
    run(&[ordinary, &b"\n{"[..], inside, b"}\n"].concat());
}

fn check(file: &IndexFile<'_>) {
    let _asks = (file.run(), file.asks_rescan());
    for line in &file.lines {
        assert!(file.kind(line).is_some());
        let _source = file.source(line);
    }
    // A file that is in doubt is not one that is written anew.
    if !file.warnings.is_empty() || file.lines.iter().any(|line| line.doubt.is_some()) {
        return;
    }
    let text = file.print();
    // NUL is looked for in the first octets only.
    if text.contains('\0') || file.kinds.iter().any(is_odd) {
        return;
    }
    let again = parse(text.as_bytes(), None).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(meanings(file), meanings(&again), "{text}");
}

/// Words that are written otherwise than they stood: an unknown key twice, of which the last one counts in lines that are
/// no plain JSON; items without a word, which the last colon may swallow.
fn is_odd(kind: &KindText<'_>) -> bool {
    let words = match &kind.parts {
        KindWords::Ecmwf(words) => words,
        KindWords::Noaa(words) => return words.misc.split(':').any(str::is_empty),
    };
    let mut keys: Vec<&str> = words.pairs.iter().map(|(key, _)| key.as_ref()).collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    keys.len() < all
}

/// What the lines mean, apart from where they stand.
fn meanings(file: &IndexFile<'_>) -> Vec<(IndexLine, String)> {
    let meaning = |line: &IndexLine| {
        let place = IndexLine {
            line: 0,
            at: 0,
            doubt: line.doubt.filter(|doubt| *doubt != Doubt::Tail),
            ..*line
        };
        (place, file.words(line).to_owned())
    };
    file.lines.iter().map(meaning).collect()
}

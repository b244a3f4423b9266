//! Runs, lengths, order and repeats.

use gribfs::index::{Doubt, IndexError, IndexFile, IndexLine, Warning, parse};
use gribfs::time::Instant;

use super::one;

#[test]
fn dates_come_with_hours_minutes_or_seconds() {
    let run = |date: &str| one(&format!("1:0:{date}:TMP:surface:anl:")).0.run.unwrap();
    let at = |minute, second| Instant::from_calendar(2025, 8, 1, 6, minute, second).unwrap();
    assert_eq!(run("d=2025080106"), at(0, 0));
    assert_eq!(run("d=202508010615"), at(15, 0));
    assert_eq!(run("d=20250801061530"), at(15, 30));
    assert_eq!(run("D=20250801061530"), at(15, 30));
}

#[test]
fn lengths_reach_to_the_next_greater_offset() {
    let text = "1:0:d=2025080100:A:surface:anl:\n3:2000:d=2025080100:B:surface:anl:\n2:1000:d=2025080100:C:surface:anl:\n";
    let lengths = |size| {
        let file = parse(text.as_bytes(), size).unwrap();
        assert_eq!(file.warnings, []);
        file.lines
            .iter()
            .map(|line| line.length)
            .collect::<Vec<_>>()
    };
    assert_eq!(lengths(None), [Some(1000), None, Some(1000)]);
    assert_eq!(lengths(Some(2500)), [Some(1000), Some(500), Some(1000)]);
    let past = parse(text.as_bytes(), Some(2000)).unwrap_err();
    assert!(matches!(past, IndexError::BeyondObject { line: 2, .. }));
    let ecmwf = "{\"param\": \"2t\", \"_offset\": 0, \"_length\": 1000}\n";
    assert!(matches!(
        parse(ecmwf.as_bytes(), Some(999)).unwrap_err(),
        IndexError::BeyondObject { line: 1, .. }
    ));
    let uncovered = parse(ecmwf.as_bytes(), Some(1001)).unwrap();
    assert!(uncovered.asks_rescan());
    assert!(!parse(ecmwf.as_bytes(), Some(1000)).unwrap().asks_rescan());
}

#[test]
fn field_ten_follows_field_nine_and_shares_its_length() {
    let text = "623:100:d=2025080100:A:surface:anl:\n624.9:5000000000:d=2025080100:B:surface:anl:\n624.10:5000000000:d=2025080100:C:surface:anl:\n";
    let file = parse(text.as_bytes(), Some(5_000_000_700)).unwrap();
    let places: Vec<_> = file
        .lines
        .iter()
        .map(|line| (line.message, line.field, line.offset, line.length))
        .collect();
    assert_eq!(
        places,
        [
            (623, 0, 100, Some(4_999_999_900)),
            (624, 8, 5_000_000_000, Some(700)),
            (624, 9, 5_000_000_000, Some(700)),
        ]
    );
    assert_eq!(file.warnings, []);
}

#[test]
fn places_that_contradict_each_other_ask_for_a_rescan() {
    let line = |number: &str, offset: u64| {
        format!("{number}:{offset}:d=2025080100:V{offset}:surface:anl:\n")
    };
    for (numbers, rescan) in [
        (vec![("1", 0), ("2", 10), ("3", 20)], false),
        (vec![("3", 20), ("1", 0), ("2", 10)], false),
        (vec![("1.1", 0), ("1.2", 0), ("2", 10)], false),
        (vec![("1.2", 0), ("2", 10), ("1.1", 0)], false),
        // 32 bits that overflowed and came back positive.
        (vec![("1", 0), ("2", 4_000_000_000), ("3", 1000)], true),
        (vec![("1", 0), ("2", 0)], true),
        (vec![("1", 0), ("1", 10)], true),
        (vec![("1.1", 0), ("1.2", 10)], true),
    ] {
        let text: String = numbers
            .iter()
            .map(|(number, offset)| line(number, *offset))
            .collect();
        let file = parse(text.as_bytes(), None).unwrap();
        assert_eq!(file.asks_rescan(), rescan, "{numbers:?}");
    }
    let json = |offset: u64, param: &str| {
        format!("{{\"param\": \"{param}\", \"_offset\": {offset}, \"_length\": 10, \"step\": 0}}\n")
    };
    let overlap = json(0, "a") + &json(20, "b") + &json(5, "c");
    let file = parse(overlap.as_bytes(), None).unwrap();
    assert_eq!(file.warnings, [Warning::Overlap { line: 3, other: 1 }]);
    let shuffled = json(20, "a") + &json(0, "b") + &json(10, "c");
    assert_eq!(parse(shuffled.as_bytes(), None).unwrap().warnings, []);
}

#[test]
fn equal_lines_at_two_offsets_both_ask_for_their_headers() {
    let text = "1:0:d=2023092800:APCP:surface:0-6 hour acc fcst:\n2:10:d=2023092800:APCP:surface:0-360 min acc fcst:\n3:20:d=2023092800:APCP:surface:5-6 hour acc fcst:\n";
    let file = parse(text.as_bytes(), None).unwrap();
    let repeats: Vec<_> = file
        .lines
        .iter()
        .map(|line| (line.repeat, line.doubt))
        .collect();
    assert_eq!(
        repeats,
        [
            (1, Some(Doubt::Repeat)),
            (2, Some(Doubt::Repeat)),
            (0, None)
        ]
    );
    assert_eq!(file.warnings, [Warning::Repeats { count: 1 }]);
    assert_eq!(file.kinds.len(), 1);
    // Members of an ensemble are no repeats.
    let members =
        "1:0:d=2023092800:APCP:surface:anl:ENS=+1\n2:10:d=2023092800:APCP:surface:anl:ENS=-1\n";
    assert_eq!(parse(members.as_bytes(), None).unwrap().warnings, []);
}

#[test]
fn line_ends_blanks_and_quotes_do_not_matter() {
    let plain = "1:0:d=2025080100:TMP:\"2 m:anl:\n2:10:d=2025080100:A:surface:anl:\n";
    let file = parse(plain.as_bytes(), None).unwrap();
    assert_eq!(file.words(&file.lines[0]), "TMP:\"2 m");
    assert_eq!(
        file.source(&file.lines[1]),
        "2:10:d=2025080100:A:surface:anl:"
    );
    let odd = format!(
        "\r\n{}\r\n\n",
        plain.replace('\n', "\r\n").replace("\n2:", "\n  2:")
    );
    let other = parse(odd.as_bytes(), None).unwrap();
    let key = |file: &IndexFile<'_>| {
        let of = |line: &IndexLine| {
            (
                line.message,
                line.offset,
                file.words(line).to_owned(),
                line.doubt,
            )
        };
        file.lines.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(key(&file), key(&other));
    assert_eq!(other.lines[0].line, 2);
}

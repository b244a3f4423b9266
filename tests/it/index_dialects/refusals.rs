//! Bad lines and cut files.

use gribfs::index::{Doubt, IndexError, LineFault, Warning, parse};

fn refused(text: &str) -> IndexError {
    parse(text.as_bytes(), None).unwrap_err()
}

#[test]
fn bad_lines_are_errors_of_the_file_with_their_number() {
    let good = "1:0:d=2025080100:TMP:surface:anl:\n";
    for (bad, expected) in [
        (
            "2:10:d=2025080100:TMP:surface",
            LineFault::Fields { found: 5 },
        ),
        ("x:10:d=2025080100:TMP:surface:anl:", LineFault::Message),
        ("0:10:d=2025080100:TMP:surface:anl:", LineFault::Message),
        ("2.0:10:d=2025080100:TMP:surface:anl:", LineFault::Message),
        (
            "2.70000:10:d=2025080100:TMP:surface:anl:",
            LineFault::Message,
        ),
        (
            "2:-10:d=2025080100:TMP:surface:anl:",
            LineFault::NegativeOffset,
        ),
        (
            "2:99999999999999999999:d=2025080100:TMP:surface:anl:",
            LineFault::Offset,
        ),
        ("2::d=2025080100:TMP:surface:anl:", LineFault::Offset),
        ("2:10:d=2025083200:TMP:surface:anl:", LineFault::Date),
        ("2:10:d=20250801:TMP:surface:anl:", LineFault::Date),
        ("2:10:D=2025080100:TMP:surface:anl:", LineFault::Date),
        ("2:10:2025080100:TMP:surface:anl:", LineFault::Date),
        ("2:10:d=2025080100::surface:anl:", LineFault::Variable),
        ("<Error><Code>SlowDown</Code></Error>", LineFault::Markup),
    ] {
        let error = refused(&format!(
            "{good}\n{bad}\n3:20:d=2025080100:TMP:surface:anl:\n"
        ));
        let IndexError::Line {
            line: 3,
            text,
            fault,
        } = error
        else {
            panic!("{bad}: {error}");
        };
        assert_eq!(fault, expected, "{bad}");
        assert!(
            bad.starts_with(text.to_string().get(..5).unwrap()),
            "{text}"
        );
    }
}

#[test]
fn bad_lines_of_ecmwf_are_errors_of_the_file() {
    let line = |rest: &str| format!("{{\"param\": \"t\", {rest}}}\n");
    for (rest, expected) in [
        (r#""_offset": -1, "_length": 9"#, LineFault::NegativeOffset),
        (
            r#""_offset": 1.5, "_length": 9"#,
            LineFault::Value("_offset"),
        ),
        (r#""_offset": 0, "_length": 0"#, LineFault::Value("_length")),
        (
            r#""_offset": 18446744073709551615, "_length": 2"#,
            LineFault::Value("_length"),
        ),
        (
            r#""_offset": 0, "_length": 9, "step": "x""#,
            LineFault::Value("step"),
        ),
        (
            r#""_offset": 0, "_length": 9, "number": "-1""#,
            LineFault::Value("number"),
        ),
        (
            r#""_offset": 0, "_length": 9, "date": "2025", "time": "00""#,
            LineFault::Value("date"),
        ),
        (
            r#""_offset": 0, "_length": 9, "_offset": 1"#,
            LineFault::Twice("_offset"),
        ),
    ] {
        let text = line(r#""_offset": 0, "_length": 9"#) + &line(rest);
        let error = refused(&text);
        let IndexError::Line { line: 2, fault, .. } = error else {
            panic!("{rest}: {error}");
        };
        assert_eq!(fault, expected, "{rest}");
    }
    let throttled = line(r#""_offset": 0, "_length": 9"#)
        + "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>";
    assert!(matches!(
        refused(&throttled),
        IndexError::Line {
            line: 2,
            fault: LineFault::Markup,
            ..
        }
    ));
}

#[test]
fn a_file_cut_anywhere_is_refused_or_doubts_its_last_line() {
    let whole = "1:0:d=2025080100:VIS:surface:15 hour fcst:ENS=+12\n2:1000:d=2025080100:APCP:surface:12-15 hour acc fcst:ENS=+12\n";
    let complete = parse(whole.as_bytes(), None).unwrap();
    for end in 1..whole.len() {
        let Ok(file) = parse(&whole.as_bytes()[..end], None) else {
            continue;
        };
        let last = file.lines.last().unwrap();
        if whole.as_bytes()[end - 1] == b'\n' {
            assert_eq!(last.doubt, None, "{end}");
            continue;
        }
        // `ENS=` is cut too, and says so itself.
        assert!(
            matches!(last.doubt, Some(Doubt::Tail | Doubt::Member)),
            "{end}"
        );
        assert_eq!(last.when, complete.lines[file.lines.len() - 1].when);
        assert_eq!(file.warnings, [Warning::NoFinalNewline]);
    }
    let ecmwf = "{\"param\": \"2t\", \"_offset\": 0, \"_length\": 1000, \"step\": \"6\"}\n";
    for end in 1..ecmwf.len() - 1 {
        let error = parse(&ecmwf.as_bytes()[..end], None).unwrap_err();
        assert!(matches!(error, IndexError::Cut { line: 1, .. }), "{error}");
    }
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_line() {
    let mut bytes = b"1:0:d=2025080100:TMP:surface:anl:\n2:10:d=2025080100:T".to_vec();
    bytes.extend([0xff, b'\n']);
    assert_eq!(
        parse(&bytes, None).unwrap_err(),
        IndexError::NotText { line: 2 }
    );
}

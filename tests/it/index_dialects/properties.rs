//! What is written reads as what it was; nothing makes the readers panic.

use gribfs::index::{
    Ftime, NoaaLine, Over, Range, RangeEnd, Span, Statistic, Unit, parse, parse_level, parse_misc,
    parse_variable, sniff,
};
use gribfs::time::{Instant, Window};
use proptest::prelude::*;

use super::{reads_again, vector_lines};

fn unit() -> impl Strategy<Value = Unit> {
    prop::sample::select(vec![
        Unit::Second,
        Unit::Minute,
        Unit::Hour,
        Unit::Hours3,
        Unit::Hours6,
        Unit::Hours12,
        Unit::Day,
        Unit::Month,
        Unit::Year,
        Unit::Decade,
        Unit::Normal,
        Unit::Century,
    ])
}

fn span() -> impl Strategy<Value = Span> {
    (-2000_i64..2000, unit()).prop_map(|(count, unit)| Span { count, unit })
}

fn statistic() -> impl Strategy<Value = Statistic> {
    prop::sample::select(Statistic::all().collect::<Vec<_>>())
}

fn range() -> impl Strategy<Value = Range> {
    let same = (-2000_i64..2000, -2000_i64..2000, unit()).prop_map(|(start, end, unit)| Range {
        start: Span { count: start, unit },
        end: RangeEnd::At(Span { count: end, unit }),
    });
    let after = (span(), span()).prop_map(|(start, length)| Range {
        start,
        end: RangeEnd::After(length),
    });
    prop_oneof![same, after]
}

fn simple_time() -> impl Strategy<Value = Ftime<'static>> {
    let over = prop_oneof![
        Just(Over::Forecast),
        Just(Over::Analyses),
        (span(), prop::option::of(0_u32..500))
            .prop_map(|(every, missing)| Over::Steps { every, missing }),
        span().prop_map(Over::Lead),
    ];
    let window = (range(), statistic(), over).prop_map(|(range, statistic, over)| Ftime::Window {
        range,
        statistic,
        over,
    });
    prop_oneof![
        Just(Ftime::Analysis),
        span().prop_map(Ftime::Instant),
        window
    ]
}

fn time() -> impl Strategy<Value = Ftime<'static>> {
    let nested = (
        0_u32..500,
        span(),
        statistic(),
        simple_time(),
        prop::option::of(0_u32..9),
    )
        .prop_map(
            |(count, every, statistic, inner, missing)| Ftime::References {
                count,
                every,
                statistic,
                inner: Box::new(inner),
                missing,
            },
        );
    prop_oneof![4 => simple_time(), 1 => nested]
}

fn noaa_line() -> impl Strategy<Value = (Option<u16>, String, String, String, String)> {
    let words = |list: &'static [&'static str]| prop::sample::select(list).prop_map(str::to_owned);
    let variable = prop_oneof![
        words(&[
            "TMP",
            "APCP",
            "var discipline=0 center=7 local_table=1 parmcat=16 parm=201"
        ]),
        "[A-Z\"=, ]{1,12}",
    ];
    let level = prop_oneof![
        words(&[
            "surface",
            "2 m above ground",
            "PV=2e-06 (Km^2/kg/s) surface",
            ""
        ]),
        "[a-z0-9 \"<>%(),.-]{0,20}",
    ];
    let misc = prop_oneof![
        words(&[
            "",
            "ENS=+1",
            "ENS=low-res ctl",
            "ENS=-7 ens mean",
            "ens spread",
            "50% level",
            "prob >0.254:prob fcst 255/255",
            "MM-ENS=3:x",
            "ENS=? table4.6=9 pert=12",
            "spatial ave:ENS=+2:y",
        ]),
        "[a-z0-9=%<>]{0,12}(:[a-z0-9]{1,5}){0,2}",
    ];
    (
        prop::option::of(1_u16..99),
        variable,
        level,
        time().prop_map(|time| time.to_string()),
        misc,
    )
}

/// Each line means in its file what it means in a file of its own.
fn alone_as_together(text: &str) {
    let file = parse(text.as_bytes(), None).unwrap();
    for (line, source) in file.lines.iter().zip(text.split_inclusive('\n')) {
        let alone = parse(source.as_bytes(), None).unwrap();
        let single = alone.lines[0];
        assert_eq!(file.words(line), alone.words(&single), "{source}");
        assert_eq!(
            (line.offset, line.length, line.run, line.when, line.member),
            (
                single.offset,
                single.length,
                single.run,
                single.when,
                single.member
            ),
            "{source}"
        );
    }
}

proptest! {
    #[test]
    fn a_forecast_time_reads_as_it_was_written(time in time()) {
        let text = time.to_string();
        prop_assert_eq!(Ftime::parse(&text), time, "{}", text);
    }

    #[test]
    fn folding_never_changes_a_window(start in -4_000_000_i64..4_000_000, length in 0_i64..4_000_000) {
        let window = Window { start, end: start + length };
        let text = format!("{} acc fcst", Range::folded(window));
        prop_assert_eq!(Ftime::parse(&text).window(Instant(0)), Some(window), "{}", text);
    }

    #[test]
    fn a_noaa_line_reads_as_it_was_written((sub, variable, level, ftime, misc) in noaa_line(), message in 1_u32.., offset: u64) {
        let misc = misc.trim_matches(':');
        let number = sub.map_or_else(|| message.to_string(), |sub| format!("{message}.{sub}"));
        let text = format!("{number}:{offset}:d=2025080100:{variable}:{level}:{ftime}:{misc}");
        let line = NoaaLine::parse(&text).unwrap();
        prop_assert_eq!((line.message, line.sub, line.offset), (message, sub, offset));
        prop_assert_eq!((line.variable, line.level, line.ftime, line.misc), (&*variable, &*level, &*ftime, misc));
        let again = line.to_string();
        let line_again = NoaaLine::parse(&again).unwrap();
        prop_assert_eq!(line_again.to_string(), again);
    }

    #[test]
    fn a_noaa_file_reads_as_it_was_written(lines in prop::collection::vec((noaa_line(), 0_u32..50, any::<u32>()), 1..20)) {
        let text: String = lines
            .iter()
            .map(|((sub, variable, level, ftime, misc), message, offset)| {
                let sub = sub.map_or_else(String::new, |sub| format!(".{sub}"));
                format!("{}{sub}:{offset}:D=20250801001500:{variable}:{level}:{ftime}:{misc}:\n", message + 1)
            })
            .collect();
        let file = parse(text.as_bytes(), None).unwrap();
        prop_assert_eq!(file.lines.len(), lines.len());
        reads_again(&file, "generated");
    }

    #[test]
    fn an_ecmwf_file_reads_as_it_was_written(
        lines in prop::collection::vec(
            (
                prop::collection::btree_map("[a-z]{2,8}", "[ -~\u{e9}]{0,8}", 0..6),
                0_u64..1 << 40, 1_u64..1 << 30, 0_i64..40_000, prop::option::of(0_i64..40_000),
                prop::option::of(0_u16..=32_767), any::<bool>(),
            ),
            1..10,
        )
    ) {
        let mut text = String::new();
        for (mut words, offset, length, start, window, number, run) in lines {
            for key in ["date", "time", "step", "number", "param"] {
                words.remove(key);
            }
            let mut object = serde_json::Map::new();
            let step = window.map_or_else(|| format!("{start}"), |length| format!("{}m-{}m", start, start + length));
            object.extend(words.into_iter().map(|(key, value)| (key, value.into())));
            object.insert("step".into(), step.into());
            object.insert("param".into(), "tp".into());
            object.insert("_offset".into(), offset.into());
            object.insert("_length".into(), length.into());
            if let Some(number) = number {
                object.insert("number".into(), number.into());
            }
            if run {
                object.insert("date".into(), "20250301".into());
                object.insert("time".into(), 600.into());
            }
            text += &serde_json::Value::Object(object).to_string();
            text.push('\n');
        }
        let file = parse(text.as_bytes(), None).unwrap();
        reads_again(&file, "generated");
        alone_as_together(&text);
    }

    /// Lines that begin alike, as those of real files do.
    #[test]
    fn an_ecmwf_line_is_read_alike_alone_and_after_others(
        cuts in prop::collection::vec((0_usize..14, "[0-9]{1,4}", any::<bool>(), 0_usize..14), 2..12)
    ) {
        let keys = [
            "domain", "date", "time", "step", "class", "type", "stream", "levtype", "number", "param", "levelist",
            "_offset", "_length", "other",
        ];
        let mut values = keys.map(|key| match key {
            "date" => "20250301".to_owned(),
            "time" => "0600".to_owned(),
            _ => "1".to_owned(),
        });
        let mut text = String::new();
        for (changed, value, quoted, left_out) in cuts {
            if !matches!(keys[changed], "date" | "time") {
                values[changed] = format!("1{value}");
            }
            let mut line = String::new();
            for (at, key) in keys.iter().enumerate() {
                let needed = matches!(*key, "param" | "_offset" | "_length");
                if at == left_out && !needed {
                    continue;
                }
                let number = !quoted && !values[at].starts_with('0');
                let value = if number { values[at].clone() } else { format!("\"{}\"", values[at]) };
                line += &format!("{}\"{key}\": {value}", if line.is_empty() { "{" } else { ", " });
            }
            text += &line;
            text += "}\n";
        }
        alone_as_together(&text);
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), size: Option<u64>) {
        drop(parse(&bytes, size));
        drop(sniff(&bytes));
        let text = String::from_utf8_lossy(&bytes);
        drop((parse_level(&text), parse_misc(&text), parse_variable(&text), Ftime::parse(&text)));
        drop((gribfs::index::url_facts(&text), gribfs::index::product_key(&text), gribfs::index::sidecar_names(&text)));
    }

    #[test]
    fn mangled_lines_never_make_the_readers_panic(
        at in 0_usize..200, with in "[0-9:.e(){}\",@<-]{0,3}", line in prop::sample::select(vector_lines()), size: Option<u64>,
    ) {
        let mut text = format!("{line}\n");
        let at = at.min(text.len());
        text.insert_str(at, &with);
        text += vector_lines()[0];
        text.push('\n');
        drop(parse(text.as_bytes(), size));
        if let Ok(file) = parse(text.as_bytes(), None) {
            reads_again(&file, "mangled");
        }
        let mut json = "{\"param\": \"tp\", \"step\": \"0-6\", \"number\": 3, \"_offset\": 10, \"_length\": 20}\n".to_owned();
        let at = at.min(json.len());
        json.insert_str(at, &with);
        if let Ok(file) = parse(json.as_bytes(), None) {
            reads_again(&file, "mangled");
        }
    }
}

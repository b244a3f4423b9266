//! Lines of the format's description, and what their words are.

use gribfs::grib::identity::Member;
use gribfs::index::{
    Bounds, Derived, Doubt, IndexError, KindWords, MiscItem, NoaaLine, NoaaWords, Over, Span,
    Statistic, Unit, VariableText, When, parse, parse_level, parse_misc, parse_variable,
};
use gribfs::time::{Instant, Window};

use super::{VECTORS, one, vector_lines, words_of};

/// eccodes' name of the statistic, as the vectors have it.
fn step_type(words: &NoaaWords<'_>) -> &'static str {
    words
        .statistic
        .map_or("instant", |statistic| statistic.step_type().unwrap())
}

#[test]
fn real_lines_are_read_as_the_vectors_say() {
    for row in VECTORS.lines() {
        let cells: Vec<_> = row.split(" | ").collect();
        let [text, kinds, values, step, statistic] = cells[..] else {
            panic!("{row}");
        };
        let kinds: Vec<u8> = kinds.split(' ').map(|kind| kind.parse().unwrap()).collect();
        let mut values = values.split(' ').map(|value| value.parse::<f64>().ok());
        let step: Vec<i64> = step.split(' ').map(|step| step.parse().unwrap()).collect();
        let (line, words) = one(text);
        let mut fields = text.split(':');
        let number = fields.next().unwrap();
        let (message, sub) = number.split_once('.').unwrap_or((number, "1"));
        assert_eq!(line.message.to_string(), message, "{text}");
        assert_eq!((line.field + 1).to_string(), sub, "{text}");
        assert_eq!(line.offset.to_string(), fields.next().unwrap(), "{text}");
        let digits = fields.next().unwrap().strip_prefix("d=").unwrap();
        assert_eq!(line.run, Instant::parse(digits), "{text}");
        assert_eq!(words.variable, fields.next().unwrap(), "{text}");
        assert_eq!(words.level, fields.next().unwrap(), "{text}");
        let level = parse_level(words.level).unwrap();
        assert_eq!(level.kinds, (kinds[0], kinds[1]), "{text}");
        let values = (values.next().flatten(), values.next().flatten());
        assert_eq!(level.si_values(), values, "{text}");
        let window = line.when.window().unwrap();
        assert_eq!([window.start, window.end], step[..], "{text}");
        assert_eq!(step_type(&words), statistic, "{text}");
        assert_eq!(line.doubt, None, "{text}");
    }
}

#[test]
fn members_derived_forecasts_and_limits_are_read_as_the_vectors_say() {
    let lines = vector_lines();
    let member = |kind, number| Some(Member { kind, number });
    let of = |text: &str| one(text).0.member;
    assert_eq!(of(lines[22]), member(1, 0));
    assert_eq!(of(lines[23]), member(3, 1));
    assert_eq!(of(lines[24]), None);
    let items = |text: &'static str| parse_misc(NoaaLine::parse(text).unwrap().misc);
    assert_eq!(items(lines[24]), [MiscItem::Derived(Derived(0))]);
    assert_eq!(items(lines[30]), [MiscItem::Derived(Derived(2))]);
    assert_eq!(items(lines[35]), [MiscItem::Derived(Derived(7))]);
    assert_eq!(items(lines[37]), [MiscItem::Process(7)]);
    let bounds = |lower, upper| Bounds { lower, upper };
    assert_eq!(
        items(lines[31]),
        [MiscItem::Probability(bounds(Some((0.254, false)), None))]
    );
    assert_eq!(
        items(lines[32])[1],
        MiscItem::ProbabilityCount {
            number: 0,
            total: 14
        }
    );
    assert_eq!(
        items(lines[34]),
        [
            MiscItem::Aerosol("Dust Dry"),
            MiscItem::AerosolSize(bounds(Some((2e-7, true)), Some((2e-6, false)))),
        ]
    );
    assert_eq!(
        parse_variable(one(lines[9]).1.variable),
        VariableText::Local {
            discipline: 0,
            centre: 7,
            local_table: 1,
            category: 16,
            number: 201
        }
    );
}

#[test]
fn fragments_of_real_lines_are_read_field_by_field() {
    // 32, 35, 36, 37, 45 and 47 of the vectors: message, offset and run are not known.
    let read = |rest: &str| one(&format!("1:0:d=2026010100:{rest}"));
    let (_, words) = read("ACPCP:surface:0-6 hour acc fcst:");
    assert_eq!(
        (words.variable, words.statistic),
        ("ACPCP", Some(Statistic::Accumulation))
    );
    for (rest, start, end, every, percent) in [
        (
            "APCP:surface:18-24 hour acc@(fcst,dt=6 hour),missing=0:50% level",
            64800,
            86400,
            6,
            50,
        ),
        (
            "ASNOW:surface:5-29 hour acc@(fcst,dt=24 hour),missing=0:50% level",
            18000,
            104_400,
            24,
            50,
        ),
    ] {
        let (line, words) = read(rest);
        assert_eq!(line.when, When::Window(Window { start, end }));
        let every = Span {
            count: every,
            unit: Unit::Hour,
        };
        assert_eq!(
            words.over,
            Some(Over::Steps {
                every,
                missing: Some(0)
            })
        );
        assert_eq!(parse_misc(&words.misc), [MiscItem::Percentile(percent)]);
    }
    let (_, words) = read("APCP:surface:18-24 hour acc fcst:prob >0.254:prob fcst 255/255");
    assert_eq!(
        parse_misc(&words.misc)[1],
        MiscItem::ProbabilityCount {
            number: 255,
            total: 255
        }
    );
    assert_eq!(
        parse_variable("var discipline=209 center=161 local_table=1 parmcat=6 parm=41"),
        VariableText::Local {
            discipline: 209,
            centre: 161,
            local_table: 1,
            category: 6,
            number: 41
        }
    );
    assert_eq!(parse_misc("probability forecast"), [MiscItem::Process(5)]);
}

#[test]
fn lines_that_only_the_header_settles_say_so() {
    // 38: the second surface has no name. The step is known.
    let (line, words) = one("6:7000000:d=2026061400:PWTHER:surface - reserved:24 hour fcst:");
    assert_eq!(parse_level(words.level), None);
    assert_eq!(line.when.step(), Some(86_400));
    // 42: an average of four accumulations.
    let (line, words) =
        one("1:0:d=2017010700:APCP:surface:4@6 hour ave(0-6 hour acc fcst),missing=0:");
    assert_eq!((line.when, line.doubt), (When::Header, Some(Doubt::Time)));
    assert_eq!(words.statistic, Some(Statistic::Average));
    // A colon inside the time.
    let (line, words) =
        one("1:0:d=2017010700:TMP:2 m above ground:0-12 hour ave(24:12 hour fcst):ENS=+3");
    assert_eq!((line.when, line.doubt), (When::Header, Some(Doubt::Time)));
    assert_eq!(words.level, "2 m above ground");
    assert_eq!(line.member, Some(Member { kind: 3, number: 3 }));
    // An empty time, as FV3-LAM's inventory has one.
    let (line, _) = one("849:5007283138:d=2022062100:MAXUW:10 m above ground::");
    assert_eq!((line.when, line.doubt), (When::Header, Some(Doubt::Time)));
    // A member that cannot be read.
    let (line, _) = one("1:0:d=2017010700:TMP:2 m above ground:anl:ENS=x");
    assert_eq!((line.member, line.doubt), (None, Some(Doubt::Member)));
}

#[test]
fn words_name_the_kind_and_nothing_else() {
    let same = |a: &str, b: &str| assert_eq!(words_of(a), words_of(b));
    let other = |a: &str, b: &str| assert_ne!(words_of(a), words_of(b));
    // Folding of units, offsets, runs, and an analysis among forecasts.
    same(
        "1:0:d=2025080100:APCP:surface:0-1 day acc fcst:",
        "7:9:d=2025080206:APCP:surface:0-23 hour acc fcst:",
    );
    same(
        "1:0:d=2025080100:TMP:2 m above ground:anl:",
        "1:0:d=2025080100:TMP:2 m above ground:384 hour fcst:",
    );
    same(
        "1:0:d=2025080100:TMP:surface:anl:ENS=+1",
        "1:0:d=2025080100:TMP:surface:6 hour fcst:ENS=+17:",
    );
    same(
        "1:0:d=2025080100:TMP:surface:anl:ENS=low-res ctl",
        "1:0:d=2025080100:TMP:surface:anl:ENS=-3",
    );
    // What is another quantity.
    other(
        "1:0:d=2025080100:WEASD:surface:24 hour fcst:",
        "1:0:d=2025080100:WEASD:surface:0-1 day acc fcst:",
    );
    other(
        "1:0:d=2025080100:REFD:263 K level:anl:",
        "1:0:d=2025080100:REFD:263 K level:0-0 day max fcst:",
    );
    other(
        "1:0:d=2025080100:TMP:surface:anl:",
        "1:0:d=2025080100:TMP:surface:anl:ENS=+1",
    );
    other(
        "1:0:d=2025080100:TMP:surface:anl:",
        "1:0:d=2025080100:TMP:surface:anl:ens mean",
    );
    other(
        "1:0:d=2025080100:TMP:surface:anl:50% level",
        "1:0:d=2025080100:TMP:surface:anl:10% level",
    );
    other(
        "1:0:d=2025080100:APCP:surface:0-6 hour acc fcst:",
        "1:0:d=2025080100:APCP:surface:0-6 hour acc@(fcst,dt=1 hour),missing=0:",
    );
    other(
        "1:0:d=2025080100:TMP:surface:0-6 hour ave fcst:",
        "1:0:d=2025080100:TMP:surface:6 hour fcst:ave",
    );
    assert_eq!(
        words_of("38:25757161:d=2025080100:APCP:surface:0-1 day acc fcst:ENS=+1"),
        "APCP:surface:acc:ENS"
    );
}

#[test]
fn ecmwf_lines_are_read_as_the_vectors_say() {
    let run = r#""domain": "g", "date": "20250301", "time": "0000", "expver": "0001""#;
    let text = [
        format!(r#"{{{run}, "class": "ai", "type": "fc", "stream": "oper", "step": "0", "levelist": "1", "levtype": "sol", "param": "vsw", "_offset": 0, "_length": 691563}}"#),
        format!(r#"{{{run}, "class": "ai", "type": "fc", "stream": "oper", "levtype": "sfc", "step": "0", "param": "rowe", "_offset": 12230292, "_length": 224}}"#),
        r#"{"domain": "g", "date": "20230501", "time": "0000", "expver": "0001", "class": "od", "type": "pf", "stream": "enfo", "levtype": "sfc", "number": "21", "step": "102", "param": "tp", "_offset": 20000000, "_length": 812043}"#.to_owned(),
        format!(r#"{{{run}, "class": "ai", "type": "pf", "stream": "enfo", "levtype": "sfc", "number": "23", "step": "0", "param": "tp", "model": "aifs-ens", "_offset": 30000000, "_length": 227}}"#),
        r#"{"type": "pf", "param": "2t", "step": 3, "levtype": "sfc", "_offset": 705336632, "_length": 2076642, "number": 1}"#.to_owned(),
        String::new(),
    ]
    .join("\n");
    let file = parse(text.as_bytes(), None).unwrap();
    let word = |at: usize, key: &str| match &file.kind(&file.lines[at]).unwrap().parts {
        KindWords::Ecmwf(words) => words.get(key).map(str::to_owned),
        KindWords::Noaa(_) => panic!("NOAA"),
    };
    let number = |at: usize| file.lines[at].member.map(|member| member.number);
    let of = |at: usize, key| word(at, key).unwrap_or_default();
    assert_eq!(
        (of(0, "param"), of(0, "levelist")),
        ("vsw".into(), "1".into())
    );
    assert_eq!((file.lines[0].when, number(0)), (When::End(0), None));
    assert_eq!(file.lines[0].length, Some(691_563));
    assert_eq!((of(1, "param"), word(1, "levelist")), ("rowe".into(), None));
    assert_eq!(
        (file.lines[2].when, number(2)),
        (When::End(367_200), Some(21))
    );
    assert_eq!(file.lines[2].run, Instant::parse("2023050100"));
    assert_eq!((of(3, "model"), number(3)), ("aifs-ens".into(), Some(23)));
    assert_eq!(
        (file.lines[4].when, number(4)),
        (When::End(10_800), Some(1))
    );
    assert_eq!(file.lines[4].run, None);
    assert_eq!((file.lines[4].message, file.lines[4].line), (5, 5));
    // 54: another producer's.
    let other = r#"{"ensemble_member": 0, "lead_hours": 24, "length": 58286, "level": "", "offset": 0, "variable": "2_m_temperature"}"#;
    let error = parse(other.as_bytes(), None).unwrap_err();
    assert!(matches!(error, IndexError::ForeignJson { line: 1, .. }));
    let text = error.to_string();
    assert!(text.contains("no `_offset`, `_length`, `param`"), "{text}");
    assert!(text.contains("`lead_hours`"), "{text}");
}

#[test]
fn ecmwf_words_do_not_depend_on_the_order_of_keys() {
    let words = |line: &str| words_of(line);
    let a = r#"{"param": "tp", "type": "pf", "zz": "1", "number": "3", "aa": 2, "_offset": 0, "_length": 9, "step": "6"}"#;
    let b = r#"{"aa": "2", "zz": 1, "step": 12, "_length": 9, "_offset": 4, "number": 50, "type": "pf", "param": "tp"},"#;
    assert_eq!(words(a), words(b));
    assert_eq!(words(a), "param=tp,type=pf,aa=2,zz=1");
    let forged = r#"{"param": "tp,type=pf", "_offset": 0, "_length": 9}"#;
    assert_eq!(words(forged), r#"param="tp,type=pf""#);
}

#[test]
fn controls_and_steps_of_ecmwf_are_told_by_their_keys() {
    let read = |rest: &str| {
        let text = format!("{{\"param\": \"tp\", \"_offset\": 0, \"_length\": 9, {rest}}}\n");
        let file = parse(text.as_bytes(), None).unwrap();
        file.lines[0]
    };
    let number = |rest: &str| read(rest).member.map(|member| member.number);
    assert_eq!(number(r#""type": "cf", "step": "0""#), Some(0));
    assert_eq!(number(r#""type": "fc", "step": "0""#), None);
    assert_eq!(number(r#""type": "em", "step": "0""#), None);
    let lost = read(r#""type": "pf", "step": "0""#);
    assert_eq!((lost.member, lost.doubt), (None, Some(Doubt::Member)));
    let window = read(r#""type": "ep", "step": "0-24""#).when;
    assert_eq!(
        window.window(),
        Some(Window {
            start: 0,
            end: 86_400
        })
    );
    let timeless = read(r#""type": "fc""#);
    assert_eq!(
        (timeless.when, timeless.doubt),
        (When::Header, Some(Doubt::Time))
    );
}

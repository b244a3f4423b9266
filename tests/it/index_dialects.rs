//! Index files: the vectors of the format, real files against facts, hostile files, printing and reading.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gribfs::grib::identity::Member;
use gribfs::index::{
    Bounds, Derived, Dialect, Doubt, Ftime, IndexError, IndexFile, IndexLine, KindWords, LineFault,
    MiscItem, NoaaLine, NoaaWords, Over, Range, Span, Statistic, Unit, VariableText, Warning, When,
    parse, parse_level, parse_misc, parse_variable, sniff,
};
use gribfs::time::{Instant, Window};
use proptest::prelude::*;

/// The words of a line of NOAA's dialect.
fn noaa<'f, 'a>(file: &'f IndexFile<'a>, line: &IndexLine) -> &'f NoaaWords<'a> {
    match &file.kind(line).unwrap().parts {
        KindWords::Noaa(words) => words,
        KindWords::Ecmwf(_) => panic!("ECMWF"),
    }
}

/// One line, read as a file of its own.
fn one(line: &str) -> (IndexLine, NoaaWords<'static>) {
    let text: &'static str = Box::leak(format!("{line}\n").into_boxed_str());
    let file = parse(text.as_bytes(), None).unwrap_or_else(|error| panic!("{line}: {error}"));
    let line = file.lines[0];
    let words = noaa(&file, &line).clone();
    (line, words)
}

/// eccodes' name of the statistic, as the vectors have it.
fn step_type(words: &NoaaWords<'_>) -> &'static str {
    words
        .statistic
        .map_or("instant", |statistic| statistic.step_type().unwrap())
}

struct Vector {
    line: &'static str,
    kinds: (u8, u8),
    values: (Option<f64>, Option<f64>),
    step: (i64, i64),
    step_type: &'static str,
}

const fn vector(
    line: &'static str,
    kinds: (u8, u8),
    values: (Option<f64>, Option<f64>),
    step: (i64, i64),
    step_type: &'static str,
) -> Vector {
    Vector {
        line,
        kinds,
        values,
        step,
        step_type,
    }
}

const NONE: (Option<f64>, Option<f64>) = (None, None);

/// Real lines whose level, step and statistic the text settles.
const VECTORS: [Vector; 39] = [
    vector(
        "1:0:d=2025080100:REFC:entire atmosphere:24 hour fcst:",
        (10, 255),
        NONE,
        (86400, 86400),
        "instant",
    ),
    vector(
        "38:27792334:d=2025080100:MAXUVV:100-1000 mb above ground:23-24 hour max fcst:",
        (108, 108),
        (Some(10000.0), Some(100000.0)),
        (82800, 86400),
        "max",
    ),
    vector(
        "40:29568010:d=2025080100:DZDT:0.5-0.8 sigma layer:23-24 hour ave fcst:",
        (104, 104),
        (Some(0.5), Some(0.8)),
        (82800, 86400),
        "avg",
    ),
    vector(
        "46:32311251:d=2025080100:MNUPHL:5000-2000 m above ground:23-24 hour min fcst:",
        (103, 103),
        (Some(5000.0), Some(2000.0)),
        (82800, 86400),
        "min",
    ),
    vector(
        "65:47181371:d=2025080100:ASNOW:surface:0-1 day acc fcst:",
        (1, 255),
        NONE,
        (0, 86400),
        "accum",
    ),
    vector(
        "68:48803831:d=2025080100:WEASD:surface:24 hour fcst:",
        (1, 255),
        NONE,
        (86400, 86400),
        "instant",
    ),
    vector(
        "85:66875270:d=2025080100:WEASD:surface:0-1 day acc fcst:",
        (1, 255),
        NONE,
        (0, 86400),
        "accum",
    ),
    vector(
        "91:67504690:d=2025080100:WEASD:surface:23-24 hour acc fcst:",
        (1, 255),
        NONE,
        (82800, 86400),
        "accum",
    ),
    vector(
        "38:25757161:d=2025080100:MAXUVV:100-1000 mb above ground:0-0 day max fcst:",
        (108, 108),
        (Some(10000.0), Some(100000.0)),
        (0, 0),
        "max",
    ),
    vector(
        "3:455125:d=2023110401:var discipline=0 center=7 local_table=1 parmcat=16 parm=201:entire atmosphere:anl:",
        (10, 255),
        NONE,
        (0, 0),
        "instant",
    ),
    vector(
        "44:25958305:d=2023110401:REFD:263 K level:0-0 day max fcst:",
        (20, 255),
        (Some(263.0), None),
        (0, 0),
        "max",
    ),
    vector(
        "14:11099008:d=2023110401:TMP:2 m above ground:495 min fcst:",
        (103, 255),
        (Some(2.0), None),
        (29700, 29700),
        "instant",
    ),
    vector(
        "161:153575758:d=2023110401:TMP:2 m above ground:540 min fcst:",
        (103, 255),
        (Some(2.0), None),
        (32400, 32400),
        "instant",
    ),
    vector(
        "19:19895901:d=2023110401:WIND:10 m above ground:490-495 min ave fcst:",
        (103, 255),
        (Some(10.0), None),
        (29400, 29700),
        "avg",
    ),
    vector(
        "26:25941773:d=2023110401:APCP:surface:480-495 min acc fcst:",
        (1, 255),
        NONE,
        (28800, 29700),
        "accum",
    ),
    vector(
        "596:433733937:d=2023110400:APCP:surface:18-21 hour acc fcst:",
        (1, 255),
        NONE,
        (64800, 75600),
        "accum",
    ),
    vector(
        "597:434047034:d=2023110400:APCP:surface:0-21 hour acc fcst:",
        (1, 255),
        NONE,
        (0, 75600),
        "accum",
    ),
    vector(
        "685:502243345:d=2023110400:UGRD:PV=2e-06 (Km^2/kg/s) surface:anl:",
        (109, 255),
        (Some(2e-6), None),
        (0, 0),
        "instant",
    ),
    vector(
        "691:506795597:d=2023110400:UGRD:PV=-2e-06 (Km^2/kg/s) surface:anl:",
        (109, 255),
        (Some(-2e-6), None),
        (0, 0),
        "instant",
    ),
    vector(
        "681:500964676:d=2023110400:PLPL:255-0 mb above ground:anl:",
        (108, 108),
        (Some(25500.0), Some(0.0)),
        (0, 0),
        "instant",
    ),
    vector(
        "564:412074072:d=2023110400:TSOIL:0-0.1 m below ground:anl:",
        (106, 106),
        (Some(0.0), Some(0.1)),
        (0, 0),
        "instant",
    ),
    vector(
        "669:492125333:d=2023110400:RH:0.72-0.94 sigma layer:anl:",
        (104, 104),
        (Some(0.72), Some(0.94)),
        (0, 0),
        "instant",
    ),
    vector(
        "1:0:d=2025080100:PRES:mean sea level:3 hour fcst:ENS=low-res ctl",
        (101, 255),
        NONE,
        (10800, 10800),
        "instant",
    ),
    vector(
        "18:8838298:d=2025080100:APCP:surface:12-15 hour acc fcst:ENS=+1",
        (1, 255),
        NONE,
        (43200, 54000),
        "accum",
    ),
    vector(
        "14:6143264:d=2025080100:TMAX:2 m above ground:0-0 day max fcst:ens mean",
        (103, 255),
        (Some(2.0), None),
        (0, 0),
        "max",
    ),
    vector(
        "65:11731320:d=2025080100:TMAX:2 m above ground:426-432 hour max fcst:ENS=low-res ctl",
        (103, 255),
        (Some(2.0), None),
        (1_533_600, 1_555_200),
        "max",
    ),
    vector(
        "9:325418:d=2023082318:SWELL:1 in sequence:1 hour fcst:",
        (241, 255),
        (Some(1.0), None),
        (3600, 3600),
        "instant",
    ),
    vector(
        "112.1:3395201:d=2016021722:UGRD:1000 mb:anl:",
        (100, 255),
        (Some(100000.0), None),
        (0, 0),
        "instant",
    ),
    vector(
        "112.2:3395201:d=2016021722:VGRD:1000 mb:anl:",
        (100, 255),
        (Some(100000.0), None),
        (0, 0),
        "instant",
    ),
    vector(
        "237.2:7056753:d=2021041500:VSTM:0-6000 m above ground:anl:",
        (103, 103),
        (Some(0.0), Some(6000.0)),
        (0, 0),
        "instant",
    ),
    vector(
        "51:56845276:d=2021052700:TMAX:2 m above ground:12-24 hour max fcst:ens std dev",
        (103, 255),
        (Some(2.0), None),
        (43200, 86400),
        "max",
    ),
    vector(
        "56:63509902:d=2021052700:APCP:surface:23-24 hour acc fcst:prob >0.254",
        (1, 255),
        NONE,
        (82800, 86400),
        "accum",
    ),
    vector(
        "172:3:d=2026092112:JFWPRB:10 m above ground:18 hour fcst:prob >=9 <20:prob fcst 0/14",
        (103, 255),
        (Some(10.0), None),
        (64800, 64800),
        "instant",
    ),
    vector(
        "7:6682180:d=2026091900:AOTK:entire atmosphere:3 hour fcst:aerosol=Dust dry:aerosol_size <2e-05:aerosol_wavelength >=5.45e-07,<=5.65e-07",
        (10, 255),
        NONE,
        (10800, 10800),
        "instant",
    ),
    vector(
        "4:205847:d=2014081000:MASSMR:1 hybrid level:3 hour fcst:aerosol=Dust Dry:aerosol_size >=2e-07,<2e-06:",
        (105, 255),
        (Some(1.0), None),
        (10800, 10800),
        "instant",
    ),
    vector(
        "5:497569:d=2018020600:PRES:mean sea level:84 hour fcst:25%-75% range",
        (101, 255),
        NONE,
        (302_400, 302_400),
        "instant",
    ),
    vector(
        "1:0:d=2017010120:var discipline=0 center=34 local_table=1 parmcat=1 parm=201:surface:-10-0 min acc fcst:",
        (1, 255),
        NONE,
        (-600, 0),
        "accum",
    ),
    vector(
        "1:0:d=2013051806:TMP:2 m above ground:anl:analysis/forecast error",
        (103, 255),
        (Some(2.0), None),
        (0, 0),
        "instant",
    ),
    vector(
        "1:0:d=2009042400:APCP:surface:0-0 day acc fcst:",
        (1, 255),
        NONE,
        (0, 0),
        "accum",
    ),
];

#[test]
fn real_lines_are_read_as_the_vectors_say() {
    for vector in VECTORS {
        let text = vector.line;
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
        assert_eq!(level.kinds, vector.kinds, "{text}");
        assert_eq!(level.si_values(), vector.values, "{text}");
        let window = line.when.window().unwrap();
        assert_eq!((window.start, window.end), vector.step, "{text}");
        assert_eq!(step_type(&words), vector.step_type, "{text}");
        assert_eq!(line.doubt, None, "{text}");
    }
}

#[test]
fn members_derived_forecasts_and_limits_are_read_as_the_vectors_say() {
    let member = |kind, number| Some(Member { kind, number });
    let of = |text: &str| one(text).0.member;
    assert_eq!(of(VECTORS[22].line), member(1, 0));
    assert_eq!(of(VECTORS[23].line), member(3, 1));
    assert_eq!(of(VECTORS[24].line), None);
    let items = |text: &'static str| parse_misc(NoaaLine::parse(text).unwrap().misc);
    assert_eq!(items(VECTORS[24].line), [MiscItem::Derived(Derived(0))]);
    assert_eq!(items(VECTORS[30].line), [MiscItem::Derived(Derived(2))]);
    assert_eq!(items(VECTORS[35].line), [MiscItem::Derived(Derived(7))]);
    assert_eq!(items(VECTORS[37].line), [MiscItem::Process(7)]);
    let bounds = |lower, upper| Bounds { lower, upper };
    assert_eq!(
        items(VECTORS[31].line),
        [MiscItem::Probability(bounds(Some((0.254, false)), None))]
    );
    assert_eq!(
        items(VECTORS[32].line)[1],
        MiscItem::ProbabilityCount {
            number: 0,
            total: 14
        }
    );
    assert_eq!(
        items(VECTORS[34].line),
        [
            MiscItem::Aerosol("Dust Dry"),
            MiscItem::AerosolSize(bounds(Some((2e-7, true)), Some((2e-6, false)))),
        ]
    );
    assert_eq!(
        parse_variable(one(VECTORS[9].line).1.variable),
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

/// The words of the first line.
fn words_of(line: &str) -> String {
    let text = format!("{line}\n");
    let file = parse(text.as_bytes(), None).unwrap();
    file.words(&file.lines[0]).to_owned()
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

fn refused(text: &str) -> IndexError {
    match parse(text.as_bytes(), None) {
        Ok(file) => panic!("read: {:?}", file.lines),
        Err(error) => error,
    }
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
        match refused(&format!(
            "{good}\n{bad}\n3:20:d=2025080100:TMP:surface:anl:\n"
        )) {
            IndexError::Line {
                line: 3,
                text,
                fault,
            } => {
                assert_eq!(fault, expected, "{bad}");
                assert!(bad.starts_with(&text.to_string()[..5]), "{text}");
            }
            other => panic!("{bad}: {other}"),
        }
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
        match refused(&text) {
            IndexError::Line { line: 2, fault, .. } => assert_eq!(fault, expected, "{rest}"),
            other => panic!("{rest}: {other}"),
        }
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

#[test]
fn bytes_that_are_no_text_are_named_with_their_line() {
    let mut bytes = b"1:0:d=2025080100:TMP:surface:anl:\n2:10:d=2025080100:T".to_vec();
    bytes.extend([0xff, b'\n']);
    assert_eq!(
        parse(&bytes, None).unwrap_err(),
        IndexError::NotText { line: 2 }
    );
}

fn own(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/index/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

#[test]
fn own_files_that_are_no_index_are_refused_with_their_reason() {
    for (name, reason) in [
        (
            "cut.idx",
            "line 2, the last, is cut off (the forecast time is incomplete)",
        ),
        ("overflown.idx", "line 3: negative offset"),
        ("empty.idx", "empty (0 bytes)"),
        ("not_found.idx", "an HTML page of a server"),
        ("slow_down.index", "an XML answer of a server"),
        ("pickle.idx", "a Python pickle"),
        ("other_producer.index", "no `_offset`, `_length`, `param`"),
        (
            "cut.index",
            "line 2, the last, is cut off (not a JSON object",
        ),
        (
            "throttled.index",
            "line 2: an error body of a server inside the file",
        ),
    ] {
        let error = parse(&own(name), None).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn own_files_of_noaas_dialect_are_read() {
    let read = |name: &str, size, each: &dyn Fn(&IndexFile<'_>)| {
        let bytes = own(name);
        let file = parse(&bytes, size).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!file.asks_rescan(), "{name}: {:?}", file.warnings);
        assert_eq!(file.run(), Instant::parse("2026110106"), "{name}");
        each(&file);
        reads_again(&file, name);
    };
    read("fields_of_a_message.idx", Some(5_000_001_000), &|file| {
        let places = file.lines.iter().map(|line| (line.field, line.length));
        assert_eq!(
            places.collect::<Vec<_>>(),
            [
                (0, Some(5_000_000_000)),
                (1, Some(5_000_000_000)),
                (0, Some(700)),
                (8, Some(300)),
                (9, Some(300))
            ]
        );
    });
    read("bucket_and_total.idx", None, &|file| {
        let repeats = file.lines.iter().map(|line| line.repeat);
        assert_eq!(repeats.collect::<Vec<_>>(), [1, 2, 0]);
    });
    read("times_of_all_kinds.idx", None, &|file| {
        let doubts = file.lines.iter().map(|line| line.doubt);
        let time = Some(Doubt::Time);
        assert_eq!(
            doubts.collect::<Vec<_>>(),
            [time, time, None, None, None, None, time]
        );
        let month = file.lines[5].when.window().unwrap();
        assert_eq!(month.end, 30 * 86_400, "November");
    });
    read("one_parameter_many_kinds.idx", None, &|file| {
        assert_eq!(
            file.kinds.len(),
            9,
            "members share a kind: {:?}",
            file.kinds
        );
        assert_eq!(file.warnings, []);
    });
    read("any_order.idx", None, &|file| {
        let lengths = file.lines.iter().map(|line| line.length);
        assert_eq!(lengths.collect::<Vec<_>>(), [None, Some(1000), Some(1000)]);
    });
    read("crlf_and_blanks.idx", None, &|file| {
        let numbers = file.lines.iter().map(|line| line.line);
        assert_eq!(numbers.collect::<Vec<_>>(), [2, 4]);
    });
    read("no_final_newline.idx", None, &|file| {
        assert_eq!(file.warnings, [Warning::NoFinalNewline]);
        assert_eq!(file.lines[1].doubt, Some(Doubt::Tail));
    });
}

#[test]
fn an_own_file_of_ecmwfs_dialect_is_read() {
    let bytes = own("ensemble.index");
    let file = parse(&bytes, Some(4227)).unwrap();
    assert_eq!(file.warnings, []);
    let numbers = file.lines.iter().map(|line| line.member.map(|m| m.number));
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        [Some(0), Some(21), Some(50), None, None]
    );
    let kinds = file.lines.iter().map(|line| line.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), [0, 1, 1, 2, 3]);
    let window = file.lines[3].when.window();
    assert_eq!(window.map(|window| window.end), Some(86_400));
    assert!(
        matches!(&file.kinds[3].parts, KindWords::Ecmwf(words) if words.is_bufr() && words.get("param") == Some("tf"))
    );
    reads_again(&file, "ensemble.index");
}

/// Where shared test data lies, if it is there.
fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("GRIBFS_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let folder = root.join("index");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no shared test data at {}", root.display());
    None
}

fn count<'s>(texts: impl Iterator<Item = &'s str>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(text.to_owned()).or_insert(0) += 1;
    }
    counts
}

fn counts_of(facts: &serde_json::Value, key: &str) -> BTreeMap<String, u64> {
    let object = facts[key].as_object().unwrap().iter();
    object
        .map(|(key, count)| (key.clone(), count.as_u64().unwrap()))
        .collect()
}

/// Every file of the shared folder: what it holds equals the facts about it, or it is refused for the right reason.
#[test]
fn every_shared_file_is_placed_or_refused_with_its_reason() {
    let Some(folder) = shared() else { return };
    let facts = std::fs::read_to_string(folder.join("facts.json")).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
    let (mut read, mut refused) = (0, 0);
    for (name, facts) in facts.as_object().unwrap() {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let result = parse(&bytes, None);
        let reason = match name.rsplit('/').next().unwrap() {
            "cut_line.idx" => Some("line 3, the last, is cut off"),
            "ecmwf_cut_line.index" => Some("line 2, the last, is cut off"),
            "html_error_page.idx" => Some("an HTML page"),
            "empty.idx" => Some("empty (0 bytes)"),
            "hrrr.t06z.wrfsfcf01-TMP.grib2.9093e.idx" => Some("a Python pickle"),
            "s2s_control_2026-08-10T00Z.grib2.index" => Some("JSON of another dialect"),
            "ref_rrfs.t18z.prslev.f000.grib2.inv" => Some("line 369: negative offset"),
            _ => None,
        };
        if let Some(reason) = reason {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
            refused += 1;
            continue;
        }
        let file = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        read += 1;
        assert_eq!(facts["lines"], file.lines.len(), "{name}");
        let offsets: Vec<u64> = file.lines.iter().map(|line| line.offset).collect();
        assert_eq!(
            facts["offsets"]["sum"],
            offsets.iter().sum::<u64>(),
            "{name}"
        );
        assert_eq!(facts["offsets"]["first"], offsets[0], "{name}");
        assert_eq!(
            facts["offsets"]["last"],
            offsets[offsets.len() - 1],
            "{name}"
        );
        assert!(!file.asks_rescan(), "{name}: {:?}", file.warnings);
        match file.dialect {
            Dialect::Noaa => noaa_facts(name, &file, facts),
            Dialect::Ecmwf => ecmwf_facts(name, &file, facts),
        }
    }
    assert_eq!(refused, 7);
    assert!(read >= 40, "{read}");
}

fn noaa_facts(name: &str, file: &IndexFile<'_>, facts: &serde_json::Value) {
    assert_eq!(facts["dialect"], "noaa", "{name}");
    let fields: Vec<_> = file
        .lines
        .iter()
        .map(|line| NoaaLine::parse(file.source(line)).unwrap())
        .collect();
    let parameters = count(fields.iter().map(|line| line.variable));
    assert_eq!(parameters, counts_of(facts, "parameters"), "{name}");
    let steps = count(fields.iter().map(|line| line.ftime));
    assert_eq!(steps, counts_of(facts, "steps"), "{name}");
    let levels = count(fields.iter().map(|line| line.level));
    assert_eq!(facts["levels"], levels.len(), "{name}");
    let rest = count(fields.iter().map(|line| line.misc));
    assert_eq!(rest, counts_of(facts, "rest"), "{name}");
    let subs = file.lines.iter().filter(|line| line.numbered_field);
    assert_eq!(facts["submessage_lines"], subs.count(), "{name}");
    let seen = file.lines.iter().filter(|line| line.repeat > 1).count();
    assert_eq!(facts["lines_with_an_identity_seen_before"], seen, "{name}");
    let unknown: Vec<_> = levels
        .keys()
        .filter(|level| parse_level(level).is_none())
        .collect();
    let edge = name.starts_with("edge/");
    assert!(unknown.is_empty() || edge, "{name}: {unknown:?}");
    for (line, fields) in file.lines.iter().zip(&fields) {
        let headers = !matches!(line.doubt, None | Some(Doubt::Repeat));
        let excused = edge || fields.ftime.is_empty();
        assert!(!headers || excused, "{name}: {fields}: {:?}", line.doubt);
    }
    let lengths: u64 = file.lines.iter().filter_map(|line| line.length).sum();
    assert!(lengths > 0, "{name}");
    reads_again(file, name);
}

fn ecmwf_facts(name: &str, file: &IndexFile<'_>, facts: &serde_json::Value) {
    assert_eq!(facts["dialect"], "json lines", "{name}");
    let lengths: u64 = file.lines.iter().filter_map(|line| line.length).sum();
    assert_eq!(facts["lengths_sum"], lengths, "{name}");
    let parameters = file
        .lines
        .iter()
        .map(|line| match &file.kind(line).unwrap().parts {
            KindWords::Ecmwf(words) => words.get("param").unwrap(),
            KindWords::Noaa(_) => panic!("NOAA"),
        });
    assert_eq!(count(parameters), counts_of(facts, "parameters"), "{name}");
    let hours: Vec<_> = file
        .lines
        .iter()
        .map(|line| match line.when {
            When::End(step) => (step / 3600).to_string(),
            When::Window(window) => format!("{}-{}", window.start / 3600, window.end / 3600),
            When::Header => "?".to_owned(),
        })
        .collect();
    let hours = count(hours.iter().map(String::as_str));
    assert_eq!(hours, counts_of(facts, "steps"), "{name}");
    reads_again(file, name);
}

/// What a line means, apart from where it stands.
type Meaning = (IndexLine, String);

fn meanings(file: &IndexFile<'_>) -> Vec<Meaning> {
    let meaning = |line: &IndexLine| {
        let place = IndexLine {
            line: 0,
            at: 0,
            // Without a newline at the end the last line was in doubt; written anew it is not.
            doubt: line.doubt.filter(|doubt| *doubt != Doubt::Tail),
            ..*line
        };
        (place, file.words(line).to_owned())
    };
    file.lines.iter().map(meaning).collect()
}

fn reads_again(file: &IndexFile<'_>, name: &str) {
    let text = file.print();
    // The size of the object, if the file was read with one.
    let ends = file
        .lines
        .iter()
        .map(|line| Some(line.offset + line.length?));
    let size = ends
        .collect::<Option<Vec<_>>>()
        .and_then(|ends| ends.into_iter().max());
    let again =
        parse(text.as_bytes(), size).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
    assert_eq!(meanings(file), meanings(&again), "{name}\n{text}");
    assert_eq!(text, again.print(), "{name}");
}

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
    use gribfs::index::RangeEnd;
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
                prop::option::of(any::<u16>()), any::<bool>(),
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
        at in 0_usize..200, with in "[0-9:.e(){}\",@<-]{0,3}", which in 0_usize..VECTORS.len(), size: Option<u64>,
    ) {
        let mut text = format!("{}\n", VECTORS[which].line);
        let at = at.min(text.len());
        text.insert_str(at, &with);
        text += VECTORS[0].line;
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

//! Index files: the vectors of the format, real files against facts, hostile files, printing and reading.

mod files;
mod places;
mod properties;
mod refusals;
mod vectors;

use gribfs::index::{Doubt, IndexFile, IndexLine, KindWords, NoaaWords, parse};

/// Real lines whose level, step and statistic the text settles: line | surface types | their values in SI units |
/// start and end in seconds | eccodes' stepType.
const VECTORS: &str = r#"1:0:d=2025080100:REFC:entire atmosphere:24 hour fcst: | 10 255 | - | 86400 86400 | instant
38:27792334:d=2025080100:MAXUVV:100-1000 mb above ground:23-24 hour max fcst: | 108 108 | 10000.0 100000.0 | 82800 86400 | max
40:29568010:d=2025080100:DZDT:0.5-0.8 sigma layer:23-24 hour ave fcst: | 104 104 | 0.5 0.8 | 82800 86400 | avg
46:32311251:d=2025080100:MNUPHL:5000-2000 m above ground:23-24 hour min fcst: | 103 103 | 5000.0 2000.0 | 82800 86400 | min
65:47181371:d=2025080100:ASNOW:surface:0-1 day acc fcst: | 1 255 | - | 0 86400 | accum
68:48803831:d=2025080100:WEASD:surface:24 hour fcst: | 1 255 | - | 86400 86400 | instant
85:66875270:d=2025080100:WEASD:surface:0-1 day acc fcst: | 1 255 | - | 0 86400 | accum
91:67504690:d=2025080100:WEASD:surface:23-24 hour acc fcst: | 1 255 | - | 82800 86400 | accum
38:25757161:d=2025080100:MAXUVV:100-1000 mb above ground:0-0 day max fcst: | 108 108 | 10000.0 100000.0 | 0 0 | max
3:455125:d=2023110401:var discipline=0 center=7 local_table=1 parmcat=16 parm=201:entire atmosphere:anl: | 10 255 | - | 0 0 | instant
44:25958305:d=2023110401:REFD:263 K level:0-0 day max fcst: | 20 255 | 263.0 | 0 0 | max
14:11099008:d=2023110401:TMP:2 m above ground:495 min fcst: | 103 255 | 2.0 | 29700 29700 | instant
161:153575758:d=2023110401:TMP:2 m above ground:540 min fcst: | 103 255 | 2.0 | 32400 32400 | instant
19:19895901:d=2023110401:WIND:10 m above ground:490-495 min ave fcst: | 103 255 | 10.0 | 29400 29700 | avg
26:25941773:d=2023110401:APCP:surface:480-495 min acc fcst: | 1 255 | - | 28800 29700 | accum
596:433733937:d=2023110400:APCP:surface:18-21 hour acc fcst: | 1 255 | - | 64800 75600 | accum
597:434047034:d=2023110400:APCP:surface:0-21 hour acc fcst: | 1 255 | - | 0 75600 | accum
685:502243345:d=2023110400:UGRD:PV=2e-06 (Km^2/kg/s) surface:anl: | 109 255 | 2e-6 | 0 0 | instant
691:506795597:d=2023110400:UGRD:PV=-2e-06 (Km^2/kg/s) surface:anl: | 109 255 | -2e-6 | 0 0 | instant
681:500964676:d=2023110400:PLPL:255-0 mb above ground:anl: | 108 108 | 25500.0 0.0 | 0 0 | instant
564:412074072:d=2023110400:TSOIL:0-0.1 m below ground:anl: | 106 106 | 0.0 0.1 | 0 0 | instant
669:492125333:d=2023110400:RH:0.72-0.94 sigma layer:anl: | 104 104 | 0.72 0.94 | 0 0 | instant
1:0:d=2025080100:PRES:mean sea level:3 hour fcst:ENS=low-res ctl | 101 255 | - | 10800 10800 | instant
18:8838298:d=2025080100:APCP:surface:12-15 hour acc fcst:ENS=+1 | 1 255 | - | 43200 54000 | accum
14:6143264:d=2025080100:TMAX:2 m above ground:0-0 day max fcst:ens mean | 103 255 | 2.0 | 0 0 | max
65:11731320:d=2025080100:TMAX:2 m above ground:426-432 hour max fcst:ENS=low-res ctl | 103 255 | 2.0 | 1533600 1555200 | max
9:325418:d=2023082318:SWELL:1 in sequence:1 hour fcst: | 241 255 | 1.0 | 3600 3600 | instant
112.1:3395201:d=2016021722:UGRD:1000 mb:anl: | 100 255 | 100000.0 | 0 0 | instant
112.2:3395201:d=2016021722:VGRD:1000 mb:anl: | 100 255 | 100000.0 | 0 0 | instant
237.2:7056753:d=2021041500:VSTM:0-6000 m above ground:anl: | 103 103 | 0.0 6000.0 | 0 0 | instant
51:56845276:d=2021052700:TMAX:2 m above ground:12-24 hour max fcst:ens std dev | 103 255 | 2.0 | 43200 86400 | max
56:63509902:d=2021052700:APCP:surface:23-24 hour acc fcst:prob >0.254 | 1 255 | - | 82800 86400 | accum
172:3:d=2026092112:JFWPRB:10 m above ground:18 hour fcst:prob >=9 <20:prob fcst 0/14 | 103 255 | 10.0 | 64800 64800 | instant
7:6682180:d=2026091900:AOTK:entire atmosphere:3 hour fcst:aerosol=Dust dry:aerosol_size <2e-05:aerosol_wavelength >=5.45e-07,<=5.65e-07 | 10 255 | - | 10800 10800 | instant
4:205847:d=2014081000:MASSMR:1 hybrid level:3 hour fcst:aerosol=Dust Dry:aerosol_size >=2e-07,<2e-06: | 105 255 | 1.0 | 10800 10800 | instant
5:497569:d=2018020600:PRES:mean sea level:84 hour fcst:25%-75% range | 101 255 | - | 302400 302400 | instant
1:0:d=2017010120:var discipline=0 center=34 local_table=1 parmcat=1 parm=201:surface:-10-0 min acc fcst: | 1 255 | - | -600 0 | accum
1:0:d=2013051806:TMP:2 m above ground:anl:analysis/forecast error | 103 255 | 2.0 | 0 0 | instant
1:0:d=2009042400:APCP:surface:0-0 day acc fcst: | 1 255 | - | 0 0 | accum"#;

/// The lines of [`VECTORS`] without what must be read from them.
fn vector_lines() -> Vec<&'static str> {
    let rows = VECTORS.lines();
    rows.filter_map(|row| Some(row.split_once(" | ")?.0))
        .collect()
}

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

/// The words of the first line.
fn words_of(line: &str) -> String {
    let text = format!("{line}\n");
    let file = parse(text.as_bytes(), None).unwrap();
    file.words(&file.lines[0]).to_owned()
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

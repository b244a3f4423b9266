//! Names that people expect.

use gribfs::grib::identity::{Probability, Surface};
use gribfs::grib::naming::name_array;

use super::{HPA_500, SURFACE, TEN_METRES, TWO_METRES, at, ecmwf, field, layer, name, over};

#[test]
fn typical_fields_have_the_names_that_people_expect() {
    let golden = [
        (field(0, 0, 0, TWO_METRES), "t2m"),
        (field(0, 0, 6, TWO_METRES), "d2m"),
        (field(0, 1, 1, TWO_METRES), "r2"),
        (field(0, 1, 0, TWO_METRES), "sh2"),
        (field(0, 2, 2, TEN_METRES), "u10"),
        (field(0, 2, 3, TEN_METRES), "v10"),
        (field(0, 2, 2, at(103, 0, 100)), "u100"),
        (field(0, 2, 2, at(103, 0, 80)), "u_heightAboveGround"),
        (field(0, 0, 0, at(103, 0, 80)), "t_heightAboveGround"),
        (field(0, 0, 0, SURFACE), "t_surface"),
        (field(0, 0, 0, HPA_500), "t"),
        (field(0, 2, 2, HPA_500), "u"),
        (field(0, 2, 3, HPA_500), "v"),
        (field(0, 3, 5, HPA_500), "gh"),
        (field(0, 1, 1, HPA_500), "r"),
        (field(0, 2, 8, HPA_500), "w"),
        (field(0, 2, 2, at(109, 9, 2000)), "u_potentialVorticity"),
        (field(0, 2, 2, Surface::bare(7)), "u_tropopause"),
        (field(0, 3, 1, Surface::bare(101)), "prmsl"),
        (field(0, 3, 192, Surface::bare(101)), "mslet"),
        (field(0, 3, 0, Surface::bare(101)), "msl"),
        (field(0, 3, 0, SURFACE), "sp"),
        (field(0, 7, 6, SURFACE), "cape"),
        (
            layer(field(0, 7, 6, at(108, 0, 18_000)), at(108, 0, 0)),
            "cape_pressureFromGroundLayer",
        ),
        (field(0, 6, 1, Surface::bare(10)), "tcc"),
        (over(field(0, 0, 0, TWO_METRES), 2), "mx2t"),
        (over(field(0, 0, 4, TWO_METRES), 2), "tmax"),
        (over(field(0, 0, 5, TWO_METRES), 3), "tmin"),
        (field(0, 16, 196, Surface::bare(10)), "refc"),
        (layer(field(2, 0, 2, at(106, 0, 0)), at(106, 1, 1)), "st"),
        (field(0, 16, 201, Surface::bare(10)), "p0_16_201_atmosphere"),
        (field(0, 2, 22, SURFACE), "gust"),
        (field(0, 19, 0, SURFACE), "vis"),
        (field(0, 3, 5, SURFACE), "orog"),
        (field(0, 1, 13, SURFACE), "sdwe"),
        (over(field(0, 1, 13, SURFACE), 1), "sdwe_accum"),
        (field(0, 1, 7, SURFACE), "prate"),
        (over(field(0, 1, 7, SURFACE), 0), "prate_avg"),
        (over(field(0, 4, 192, SURFACE), 0), "sdswrf"),
        (field(0, 4, 192, SURFACE), "sdswrf_instant"),
        (over(field(0, 6, 1, Surface::bare(10)), 0), "tcc_avg"),
        (field(0, 6, 3, Surface::bare(214)), "lcc"),
        (over(field(0, 6, 3, Surface::bare(214)), 0), "avg_lcc"),
        (field(0, 1, 3, Surface::bare(200)), "pwat"),
        (
            over(field(0, 16, 198, at(103, 0, 1000)), 2),
            "p0_16_198_heightAboveGround_max",
        ),
        (
            layer(field(0, 7, 8, at(103, 0, 3000)), at(103, 0, 0)),
            "hlcy",
        ),
        (field(10, 0, 3, SURFACE), "swh"),
        (field(10, 0, 3, at(1, 0, 1)), "swh"),
        (field(10, 0, 8, at(241, 0, 1)), "shts"),
        (
            layer(field(0, 1, 1, at(104, 2, 44)), at(104, 0, 1)),
            "r_sigmaLayer",
        ),
        (
            layer(ecmwf(field(0, 7, 6, SURFACE), 28), Surface::bare(8)),
            "cape",
        ),
        (ecmwf(field(0, 7, 6, Surface::bare(17)), 28), "mucape"),
        (
            layer(ecmwf(field(0, 1, 64, SURFACE), 28), Surface::bare(8)),
            "tcwv",
        ),
        (over(ecmwf(field(0, 4, 7, SURFACE), 28), 1), "ssrd"),
        (over(ecmwf(field(0, 5, 5, Surface::bare(8)), 28), 1), "ttr"),
        (ecmwf(field(0, 1, 52, SURFACE), 28), "tprate"),
        (ecmwf(field(0, 0, 17, SURFACE), 28), "skt"),
        (
            layer(ecmwf(field(2, 3, 18, at(151, 0, 0)), 28), at(151, 0, 1)),
            "sot",
        ),
        (ecmwf(field(10, 0, 3, Surface::bare(101)), 28), "swh"),
        (over(ecmwf(field(0, 2, 22, TEN_METRES), 28), 2), "fg10"),
        (over(ecmwf(field(0, 1, 52, SURFACE), 28), 1), "tp_p0_1_52"),
        (
            layer(
                ecmwf(field(10, 2, 1, Surface::bare(174)), 35),
                Surface::bare(176),
            ),
            "sithick",
        ),
        (ecmwf(field(10, 3, 1, at(160, 0, 0)), 35), "zos"),
        (ecmwf(field(0, 3, 0, Surface::bare(101)), 28), "msl"),
        (ecmwf(field(0, 0, 0, TWO_METRES), 28), "t2m"),
        (ecmwf(field(0, 0, 0, TWO_METRES), 35), "t2m"),
        (over(ecmwf(field(0, 0, 0, TWO_METRES), 28), 2), "mx2t"),
    ];
    let wrong: Vec<_> = golden
        .iter()
        .filter(|(identity, expected)| name(identity) != *expected)
        .map(|(identity, expected)| (*expected, name(identity), identity))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn accumulations_are_named_by_their_buckets() {
    let rain = over(field(0, 1, 8, SURFACE), 1);
    assert_eq!(name_array(&rain, Some(0)).array, "tp");
    assert_eq!(name_array(&rain, Some(21_600)).array, "tp_bucket6h");
    assert_eq!(name_array(&rain, Some(900)).array, "tp_bucket15m");
    assert_eq!(name(&over(field(0, 1, 8, SURFACE), 0)), "tp_avg");
    assert_eq!(name(&field(0, 1, 8, SURFACE)), "tp_instant");
    let mut old = over(ecmwf(field(0, 1, 193, SURFACE), 27), 1);
    old.parameter.local_table = 1;
    assert_eq!(name_array(&old, Some(0)).array, "tp");
    assert_eq!(name_array(&old, Some(0)).units, "m");
}

#[test]
fn only_levels_with_a_value_make_an_axis() {
    let naming = name_array(&field(0, 0, 0, at(100, 0, 50)), None);
    assert_eq!(naming.level, Some((0.5, None)));
    let axis = naming.level_axis.unwrap();
    assert_eq!(axis.name, "isobaricInhPa");
    assert_eq!(axis.units, "hPa");
    assert_eq!(axis.positive, Some("down"));
    assert_eq!(axis.standard_name, Some("air_pressure"));

    let fixed = name_array(&field(0, 0, 0, TWO_METRES), None);
    assert_eq!((fixed.level_axis, fixed.level), (None, None));
    assert_eq!(name_array(&field(0, 3, 0, SURFACE), None).level_axis, None);

    let soil = layer(field(2, 0, 2, at(106, 0, 0)), at(106, 1, 1));
    let naming = name_array(&soil, None);
    assert_eq!(naming.level, Some((0.0, Some(0.1))));
    assert!(naming.level_axis.unwrap().layer);

    let swell = name_array(&field(10, 0, 8, at(241, 0, 1)), None);
    assert_eq!(swell.level_axis.unwrap().name, "orderedSequenceData");
}

#[test]
fn versions_and_kinds_of_process_do_not_change_a_name() {
    for base in [
        field(0, 0, 0, TWO_METRES),
        over(field(0, 1, 8, SURFACE), 1),
        ecmwf(field(0, 6, 1, layer_top()), 28),
    ] {
        let expected = name(&base);
        for process in [0, 1, 2, 3, 4] {
            for master in [2, 27, 28, 33, 34, 35] {
                let mut other = base.clone();
                other.generating_process = process;
                other.parameter.master_table = master;
                other.parameter.sub_centre = 4;
                assert_eq!(name(&other), expected, "{other:?}");
            }
        }
    }
}

const fn layer_top() -> Surface {
    Surface::bare(10)
}

#[test]
fn products_of_ensembles_have_suffixes() {
    let mut spread = field(0, 0, 0, TWO_METRES);
    spread.derived = Some(4);
    assert_eq!(name(&spread), "t2m_spread");
    let mut chance = over(field(0, 1, 8, SURFACE), 1);
    chance.probability = Some(Probability {
        number: (0, 255),
        kind: 1,
        lower: None,
        upper: Some((3, 254)),
    });
    assert_eq!(name_array(&chance, Some(0)).array, "tp_prob_gt_0p254");
    assert_eq!(name_array(&chance, Some(0)).units, "%");
    let mut median = over(field(0, 1, 8, SURFACE), 1);
    median.percentile = Some(50);
    assert_eq!(name_array(&median, Some(21_600)).array, "tp_bucket6h_p50");
    let mut error = field(0, 0, 0, TWO_METRES);
    error.generating_process = 7;
    assert_eq!(name(&error), "t2m_error");
}

//! Two fields, two names.

use std::collections::{BTreeSet, HashMap};

use gribfs::grib::identity::{Identity, Probability, Surface};
use gribfs::grib::naming::{ArrayNaming, name_array};
use gribfs::grib::parameters::facts;

use super::oracle::{corpus, limit_octets, shared_data};
use super::{HPA_500, SURFACE, TWO_METRES, at, field, name};

/// What tells two fields of one array apart on its axes, as text.
fn place(naming: &ArrayNaming) -> String {
    format!("{} {:?}", naming.array, naming.level)
}

/// Value of a coded number, for comparison.
fn number(coded: Option<(i8, i64)>) -> Option<String> {
    coded
        .and_then(|(factor, scaled)| {
            format!("{scaled}e{}", -i32::from(factor))
                .parse::<f64>()
                .ok()
        })
        .map(|value| value.to_string())
}

/// Whether two fields that have one place are the same quantity, or from centres that have to agree themselves.
fn may_share(one: &Identity, two: &Identity) -> bool {
    let error = |identity: &Identity| match identity.generating_process {
        kind @ (6 | 7 | 9 | 10) => kind,
        _ => 0,
    };
    let extras = |identity: &Identity| {
        let limits = identity.probability.map(|p| {
            let zero = |limit: Option<(i8, i64)>| number(limit).filter(|text| text != "0");
            (p.kind, zero(p.lower), zero(p.upper))
        });
        (
            identity.derived,
            identity.percentile,
            identity.constituent,
            limits,
            identity.further.clone().map(|further| further.1),
            error(identity),
        )
    };
    if extras(one) != extras(two) {
        return false;
    }
    if one.parameter.centre != two.parameter.centre {
        return true;
    }
    let numbers = |identity: &Identity| {
        let p = identity.parameter;
        (p.discipline, p.category, p.number)
    };
    if numbers(one) != numbers(two) {
        // ecCodes may say that two numbers, with their levels and statistics, are one parameter.
        let id = |identity: &Identity| {
            let mut plain = identity.clone();
            plain.probability = None;
            facts(&plain).map(|f| f.param_id)
        };
        return id(one).is_some() && id(one) == id(two);
    }
    let level = |identity: &Identity| {
        let naming = name_array(identity, None);
        (naming.level_type.name, naming.level)
    };
    let step_type = |identity: &Identity| name_array(identity, None).step_type;
    step_type(one) == step_type(two) && level(one) == level(two)
}

fn assert_injective(fields: impl Iterator<Item = Identity>) {
    let mut seen: HashMap<String, Identity> = HashMap::new();
    let mut wrong = BTreeSet::new();
    for field in fields {
        let key = place(&name_array(&field, None));
        match seen.get(&key) {
            Some(other) if !may_share(other, &field) => {
                let brief = |i: &Identity| {
                    let p = i.parameter;
                    format!(
                        "{} ({}, {}, {}) {:?} {:?} {:?}",
                        p.centre,
                        p.discipline,
                        p.category,
                        p.number,
                        i.surfaces,
                        i.statistic,
                        facts(i).map(|f| (f.param_id, f.cf_var_name, f.units)),
                    )
                };
                wrong.insert(format!(
                    "{key}\n    {}\n    {}",
                    brief(other),
                    brief(&field)
                ));
            }
            Some(_) => {}
            None => {
                seen.insert(key, field);
            }
        }
    }
    let shown: Vec<&String> = wrong.iter().collect();
    assert!(wrong.is_empty(), "{} collide: {shown:#?}", wrong.len());
}

/// Every parameter of the rules, at a few surfaces and statistics.
fn every_parameter(centre: u16) -> impl Iterator<Item = Identity> {
    let mut numbers = BTreeSet::new();
    for line in include_str!("../../../src/grib/tables/rules.tsv").lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let byte = |at: usize| columns[at].parse::<u8>().unwrap();
        numbers.insert((byte(1), byte(2), byte(3)));
    }
    let surfaces = [
        (SURFACE, Surface::NONE),
        (TWO_METRES, Surface::NONE),
        (HPA_500, Surface::NONE),
        (SURFACE, Surface::bare(8)),
    ];
    numbers
        .into_iter()
        .flat_map(move |(discipline, category, number)| {
            surfaces.into_iter().flat_map(move |pair| {
                [None, Some(0), Some(1), Some(2)]
                    .into_iter()
                    .map(move |statistic| {
                        let mut identity = field(discipline, category, number, pair.0);
                        identity.surfaces = pair;
                        identity.parameter.centre = centre;
                        identity.statistic = statistic;
                        identity
                    })
            })
        })
}

#[test]
fn different_parameters_have_different_names() {
    for centre in [7, 98] {
        assert_injective(every_parameter(centre));
    }
}

/// Fields that differ in one thing each, on top of a few parameters, surfaces and statistics.
fn synthetic() -> impl Iterator<Item = Identity> {
    let parameters = [
        (0, 0, 0),
        (0, 0, 4),
        (0, 1, 1),
        (0, 1, 8),
        (0, 1, 52),
        (0, 2, 2),
        (0, 2, 22),
        (0, 3, 0),
        (0, 3, 5),
        (0, 4, 192),
        (0, 6, 1),
        (0, 7, 6),
        (0, 16, 195),
        (0, 16, 201),
        (0, 20, 2),
        (0, 20, 102),
        (2, 0, 2),
        (10, 0, 8),
        (3, 1, 0),
    ];
    let mut surfaces: Vec<(Surface, Surface)> =
        [1, 2, 3, 7, 8, 10, 101, 200, 214, 215, 204, 192, 255]
            .into_iter()
            .map(|kind| (Surface::bare(kind), Surface::NONE))
            .collect();
    for kind in [
        20, 100, 102, 103, 104, 105, 106, 107, 108, 109, 111, 151, 160, 168, 117, 18, 193, 235, 241,
    ] {
        for scaled in [
            None,
            Some((0, 0)),
            Some((0, 2)),
            Some((0, 10)),
            Some((2, 5)),
            Some((-1, 5)),
            Some((0, -2)),
        ] {
            surfaces.push((Surface { kind, scaled }, Surface::NONE));
            surfaces.push((Surface { kind, scaled }, at(kind, 0, 20)));
            surfaces.push((Surface { kind, scaled }, Surface::bare(kind)));
            surfaces.push((Surface { kind, scaled }, at(100, 0, 1000)));
            surfaces.push((SURFACE, Surface { kind, scaled }));
        }
    }
    for pair in [(1, 8), (1, 9), (7, 36), (1, 7), (220, 215)] {
        surfaces.push((Surface::bare(pair.0), Surface::bare(pair.1)));
    }
    parameters
        .into_iter()
        .flat_map(move |(discipline, category, number)| {
            let base = move |pair: (Surface, Surface), statistic: Option<u8>| {
                let mut identity = field(discipline, category, number, pair.0);
                identity.surfaces.1 = pair.1;
                identity.statistic = statistic;
                identity
            };
            let by_surface: Vec<Identity> = surfaces
                .iter()
                .flat_map(|pair| {
                    [None, Some(0), Some(1), Some(2)].map(|statistic| base(*pair, statistic))
                })
                .collect();
            let by_statistic =
                (0..=255).map(move |statistic| base((HPA_500, Surface::NONE), Some(statistic)));
            let by_extra = [
                (SURFACE, Surface::NONE),
                (TWO_METRES, Surface::NONE),
                (HPA_500, Surface::NONE),
            ]
            .into_iter()
            .flat_map(move |pair| [None, Some(1), Some(2)].map(|statistic| base(pair, statistic)))
            .flat_map(|identity| extras(&identity));
            by_surface.into_iter().chain(by_statistic).chain(by_extra)
        })
}

/// The field with one more thing said of it.
fn extras(base: &Identity) -> Vec<Identity> {
    let mut out = Vec::new();
    let mut add = |change: &dyn Fn(&mut Identity)| {
        let mut identity = base.clone();
        change(&mut identity);
        out.push(identity);
    };
    for kind in 0..=255 {
        add(&|i| i.derived = Some(kind));
    }
    for percentile in 0..=100 {
        add(&|i| i.percentile = Some(percentile));
    }
    for process in [6, 7, 9, 10] {
        add(&|i| i.generating_process = process);
    }
    let limits = [
        None,
        Some((0, 1)),
        Some((1, 1)),
        Some((3, 254)),
        Some((0, -5)),
        Some((2, 5)),
        Some((-3, 3)),
    ];
    for kind in 0..=11 {
        for lower in limits {
            for upper in limits {
                if (6..=8).contains(&kind) && (lower.is_some() || upper.is_some()) {
                    continue;
                }
                add(&|i| {
                    i.probability = Some(Probability {
                        number: (0, 255),
                        kind,
                        lower,
                        upper,
                    });
                });
            }
        }
    }
    for constituent in [0, 1, 7, 62_000, 62_001, 65_535] {
        add(&|i| i.constituent = Some(constituent));
        for template in [44, 48] {
            for kind in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255] {
                for (first, second) in [
                    (Some((6, 1)), None),
                    (None, Some((7, 25))),
                    (Some((6, 1)), Some((6, 10))),
                ] {
                    let mut octets = vec![kind];
                    octets.extend(limit_octets(first));
                    octets.extend(limit_octets(second));
                    if template == 48 {
                        octets.push(11);
                        octets.extend(limit_octets(Some((9, 550))));
                        octets.extend(limit_octets(None));
                    }
                    add(&|i| {
                        i.constituent = Some(constituent);
                        i.further = Some((template, octets.clone()));
                    });
                }
            }
        }
    }
    for template in [3, 15, 31, 51, 53, 70, 103, 105] {
        for octets in [
            vec![0],
            vec![1],
            vec![0, 0],
            vec![0, 3, 8],
            vec![7; 30],
            vec![8; 30],
        ] {
            add(&|i| i.further = Some((template, octets.clone())));
        }
    }
    out
}

#[test]
fn different_fields_have_different_names() {
    assert_injective(synthetic());
}

#[test]
fn names_of_real_fields_fit_and_differ() {
    let Some(data) = shared_data() else { return };
    let fields = corpus(&data);
    for field in &fields {
        let name = name(&field.identity);
        let mut letters = name.chars();
        assert!(
            letters
                .next()
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        );
        assert!(
            letters.all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "{name}"
        );
    }
    assert_injective(fields.into_iter().map(|field| field.identity));
}

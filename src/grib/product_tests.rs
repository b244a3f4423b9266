//! Unit tests of products: templates built by hand, octet by octet.

use super::*;

/// Section 1: NCEP, 2026-11-22T06.
fn one() -> Vec<u8> {
    let mut one = vec![0; 21];
    one[5..7].copy_from_slice(&7_u16.to_be_bytes());
    one[12..14].copy_from_slice(&2026_u16.to_be_bytes());
    one[14..18].copy_from_slice(&[11, 22, 6, 0]);
    one
}

/// Section 4 of a template, `length` octets of zeros, then `(octet, bytes)` put in.
fn four(template: u16, length: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut four = vec![0; length];
    four[7..9].copy_from_slice(&template.to_be_bytes());
    for (octet, bytes) in parts {
        four[octet - 1..octet - 1 + bytes.len()].copy_from_slice(bytes);
    }
    four
}

fn parse(four: &[u8]) -> Result<Product, GribError> {
    Product::parse(0, &one(), four)
}

#[test]
fn an_instant_has_a_level_and_a_step() {
    let section = four(
        0,
        34,
        &[
            (10, &[3, 5, 2, 0, 96]),
            (18, &[1, 0, 0, 0, 24, 100, 0x82, 0, 0, 1, 244, 255]),
        ],
    );
    let product = parse(&section).unwrap();
    assert_eq!(product.window, Window::instant(86_400));
    assert_eq!(product.reference.path_name(), "2026-11-22T06");
    assert_eq!((product.template, product.process_id), (0, 96));
    let (first, second) = product.identity.surfaces;
    assert_eq!((first.kind, first.value()), (100, Some(50_000.0)));
    assert_eq!(second, Surface::NONE);
    assert_eq!(product.identity.further, None);
    assert_eq!(product.identity.generating_process, 2);
}

#[test]
fn surfaces_may_be_negative_or_missing() {
    let with = |octets: &[u8]| {
        let section = four(0, 34, &[(18, &[1]), (23, octets)]);
        parse(&section).unwrap().identity.surfaces.0.value()
    };
    assert_eq!(with(&[106, 1, 0, 0, 0, 15]), Some(1.5));
    assert_eq!(with(&[20, 1, 0x80, 0, 0, 15]), Some(-1.5));
    assert_eq!(with(&[1, 255, 0, 0, 0, 0]), None);
    assert_eq!(with(&[1, 0, 255, 255, 255, 255]), None);
    assert_eq!(with(&[255, 0, 0, 0, 0, 0]), None);
}

#[test]
fn windows_end_at_their_date() {
    let end = [0x07, 0xea, 11, 23, 3, 0, 0, 1, 0, 0, 0, 0];
    let range = [1, 2, 1, 0, 0, 0, 99];
    let section = four(8, 58, &[(18, &[1, 0, 0, 0, 18]), (35, &end), (47, &range)]);
    let product = parse(&section).unwrap();
    let window = Window {
        start: 64_800,
        end: 75_600,
    };
    assert_eq!(product.window, window);
    assert_eq!(product.identity.statistic, Some(1));

    let no_date = four(
        8,
        58,
        &[
            (18, &[1, 0, 0, 0, 18]),
            (42, &[1]),
            (47, &[1, 2, 1, 0, 0, 0, 3]),
        ],
    );
    assert_eq!(parse(&no_date).unwrap().window, window);

    let backwards = four(8, 58, &[(18, &[1, 0, 0, 0, 30]), (35, &end), (47, &range)]);
    assert!(matches!(parse(&backwards), Err(GribError::Window { .. })));

    let mut bad = section.clone();
    bad[36] = 13;
    assert!(matches!(
        parse(&bad),
        Err(GribError::Date { month: 13, .. })
    ));
    assert!(matches!(
        parse(&section[..57]),
        Err(GribError::TemplateLength {
            section: 4,
            need: 58,
            have: 57
        })
    ));
}

#[test]
fn months_are_steps_of_the_calendar() {
    let section = four(0, 34, &[(18, &[3, 0, 0, 0, 1])]);
    assert_eq!(
        parse(&section).unwrap().window,
        Window::instant(30 * 86_400)
    );
    let years = four(
        8,
        58,
        &[(18, &[1]), (42, &[1]), (47, &[0, 2, 4, 0, 0, 0, 1])],
    );
    assert_eq!(parse(&years).unwrap().window.end, 365 * 86_400);
    let silly = four(0, 34, &[(18, &[7, 0x3f, 0xff, 0xff, 0xff])]);
    assert!(matches!(
        parse(&silly),
        Err(GribError::TimeUnit { unit: 7, .. })
    ));
}

#[test]
fn negative_times_are_read_both_ways() {
    let step = |unit: u8, raw: u32| {
        let mut octets = vec![unit];
        octets.extend_from_slice(&raw.to_be_bytes());
        parse(&four(0, 34, &[(18, &octets)])).map(|product| product.window.end)
    };
    assert_eq!(step(1, 0x8000_0007), Ok(-7 * 3600));
    assert_eq!(step(1, 0xffff_fff9), Ok(-7 * 3600));
    assert_eq!(step(0, 15), Ok(900));
    assert_eq!(step(13, 90), Ok(90));
    assert_eq!(step(11, 2), Ok(43_200));
    assert_eq!(step(255, 0), Ok(0));
    assert_eq!(
        step(255, 1),
        Err(GribError::TimeUnit {
            unit: 255,
            count: 1
        })
    );
}

#[test]
fn ncep_extremes_without_a_process_are_extremes() {
    let end = [0x07, 0xea, 11, 22, 9, 0, 0, 1, 0, 0, 0, 0, 255];
    let with = |number: u8| {
        let section = four(8, 58, &[(10, &[0, number]), (18, &[1]), (35, &end)]);
        parse(&section).unwrap().identity.statistic
    };
    assert_eq!([with(4), with(5), with(0)], [Some(2), Some(3), Some(255)]);
}

#[test]
fn ensembles_probabilities_and_percentiles_are_read() {
    let member = parse(&four(1, 37, &[(18, &[1]), (35, &[3, 17, 51])])).unwrap();
    assert_eq!(
        member.member,
        Some(Member {
            kind: 3,
            number: 17
        })
    );
    assert!(member.identity.ensemble);

    let tile = parse(&four(56, 42, &[(24, &[1]), (41, &[5, 51])])).unwrap();
    assert_eq!(
        tile.member,
        Some(Member {
            kind: 255,
            number: 5
        })
    );

    let mean = parse(&four(2, 36, &[(18, &[1]), (35, &[4, 51])])).unwrap();
    assert_eq!((mean.identity.derived, mean.member), (Some(4), None));

    let octets = [1, 5, 1, 255, 255, 255, 255, 255, 3, 0, 0, 0, 254];
    let above = parse(&four(5, 47, &[(18, &[1]), (35, &octets)])).unwrap();
    let probability = above.identity.probability.unwrap();
    assert_eq!((probability.number, probability.kind), ((1, 5), 1));
    assert_eq!(
        (probability.lower, probability.upper),
        (None, Some((3, 254)))
    );

    let tenth = parse(&four(6, 35, &[(18, &[1]), (35, &[10])])).unwrap();
    assert_eq!(tenth.identity.percentile, Some(10));
}

#[test]
fn the_two_forms_of_4_44_are_told_by_length() {
    let short = four(44, 45, &[(12, &[0xf2, 0x31]), (31, &[1, 0, 6, 1])]);
    let long = four(44, 47, &[(12, &[0xf2, 0x31]), (31, &[1, 0, 0, 0, 6, 1])]);
    for section in [short, long] {
        let product = parse(&section).unwrap();
        assert_eq!(product.window, Window::instant(21_600));
        assert_eq!(product.identity.surfaces.0.kind, 1);
        assert_eq!(product.identity.constituent, Some(0xf231));
        assert_eq!(
            product.identity.further.map(|(_, octets)| octets.len()),
            Some(11)
        );
    }
}

#[test]
fn unknown_templates_are_refused_by_number() {
    for number in [16, 30, 50, 254, 1000, 65535] {
        let section = four(number, 200, &[]);
        assert_eq!(parse(&section), Err(GribError::ProductTemplate { number }));
    }
}

#[test]
fn every_template_of_every_length_ends_without_a_panic() {
    for template in 0..=110 {
        for length in 0..130 {
            for fill in [0, 1, 2, 255] {
                let mut section = vec![fill; length];
                if let Some(octets) = section.get_mut(7..9) {
                    octets.copy_from_slice(&u16::to_be_bytes(template));
                }
                drop(parse(&section));
            }
        }
    }
}

//! Level types: what a field's pair of fixed surfaces is called, and which coordinate its values make.
//!
//! Surfaces (100, 85000 Pa) and (255) are `isobaricInhPa` with the value 850 hPa; (106, 0 m) and (106, 0.1 m) are the layer
//! `depthBelowLandLayer`; (1) and (8) are `entireAtmosphere` without a value. Pressure levels are always in hPa, with
//! fractions where they have them: ecCodes' `isobaricInPa` does not occur. Potential vorticity is in K m2 kg-1 s-1, not
//! ecCodes' multiple. A pair that ecCodes does not know is named by its numbers: `level_1_192`.
//!
//! Names are generated (`tables/levels.tsv`), the meaning of values is written by hand (`tables/surfaces.tsv`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::decimal::{self, Coded};
use super::identity::{Identity, Surface};

/// A level type: name and coordinate.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelType {
    /// ecCodes' `typeOfLevel`, or `level_1_192` (types of both surfaces), `level_192` (of one), `nolevel` (of none).
    pub name: Cow<'static, str>,
    /// Whether levels of this type have a value: if so, arrays have an axis of this name.
    pub has_value: bool,
    /// Whether a level has two values, those of its surfaces.
    pub layer: bool,
    /// Units of the value, UDUNITS spelling; empty where there is none.
    pub units: &'static str,
    /// CF standard name of the axis.
    pub standard_name: Option<&'static str>,
    /// CF `positive`: `up` or `down`, where larger values lie.
    pub positive: Option<&'static str>,
    /// The axis in words.
    pub long_name: &'static str,
    /// Value on the axis = SI value x 10^exponent (pressure in hPa: -2).
    pub exponent: i32,
}

/// A level type with what this identity's surfaces add to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Level {
    /// The level type.
    pub(super) kind: LevelType,
    /// Value, or both values of a layer, on its axis.
    pub(super) values: Option<(f64, Option<f64>)>,
    /// What the surfaces say beyond type and values, for the array's name; empty as a rule.
    pub(super) remark: String,
}

/// The level type of a field's surfaces.
#[must_use]
pub fn level_type(identity: &Identity) -> LevelType {
    level(identity).kind
}

/// Names that versions of ecCodes and generations of encoding have had for one level type.
const ALIASES: [&[&str]; 3] = [
    &["depthBelowLand", "soil"],
    &["isobaricInhPa", "isobaricInPa"],
    &["atmosphere", "entireAtmosphere", "atmosphereSingleLayer"],
];

/// Whether some version of ecCodes may call a field's level type `name`; so it is where nobody knows the name.
#[must_use]
pub fn may_be_called(identity: &Identity, name: &str) -> bool {
    let (first, second) = identity.surfaces;
    let mut known = false;
    for ((_, one, two), names) in PAIRS.iter() {
        if names.iter().any(|row| row.name == name) {
            known = true;
            if *one == first.kind && two.is_none_or(|two| two == second.kind) {
                return true;
            }
        }
    }
    if !known {
        return true;
    }
    let own = level_type(identity).name;
    let plain = |name: &str| name.strip_suffix("Layer").unwrap_or(name).to_owned();
    let (own, name) = (plain(&own), plain(name));
    let among = |names: &[&str]| {
        names.iter().any(|one| plain(one) == own) && names.iter().any(|one| plain(one) == name)
    };
    own == name || ALIASES.iter().any(|names| among(names))
}

/// A row of `surfaces.tsv`.
#[derive(Clone, Copy, Debug)]
struct SurfaceKind {
    valued: bool,
    optional: bool,
    units: &'static str,
    exponent: i32,
    standard_name: Option<&'static str>,
    positive: Option<&'static str>,
    long_name: &'static str,
}

static SURFACES: LazyLock<HashMap<(Option<u16>, u8), SurfaceKind>> = LazyLock::new(|| {
    include_str!("tables/surfaces.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut columns = line.split('\t');
            let centre = columns.next()?;
            let kind = columns.next()?.parse().ok()?;
            let word = columns.next()?;
            let (valued, optional) = (word == "yes", word == "maybe");
            let units = columns.next()?;
            let exponent = columns.next()?.parse().unwrap_or(0);
            let word = |text: &'static str| (!text.is_empty()).then_some(text);
            let row = SurfaceKind {
                valued,
                optional,
                units,
                exponent,
                standard_name: word(columns.next()?),
                positive: word(columns.next()?),
                long_name: columns.next()?,
            };
            Some(((centre.parse().ok(), kind), row))
        })
        .collect()
});

/// A row of `levels.tsv`: name of a pair, of any centre (`None`) or one; `None` for any second type.
#[derive(Clone, Copy, Debug)]
struct PairName {
    values: (Option<Coded>, Option<Coded>),
    name: &'static str,
}

type PairKey = (Option<u16>, u8, Option<u8>);

static PAIRS: LazyLock<HashMap<PairKey, Vec<PairName>>> = LazyLock::new(|| {
    let mut pairs: HashMap<PairKey, Vec<PairName>> = HashMap::new();
    for line in include_str!("tables/levels.tsv").lines() {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let [scope, first, second, x, y, name] = columns.as_slice() else {
            continue;
        };
        let Ok(first) = first.parse() else { continue };
        let coded = |text: &str| {
            let (factor, scaled) = text.split_once(':')?;
            Some((factor.parse().ok()?, scaled.parse().ok()?))
        };
        pairs
            .entry((scope.parse().ok(), first, second.parse().ok()))
            .or_default()
            .push(PairName {
                values: (coded(x), coded(y)),
                name,
            });
    }
    pairs
});

/// ecCodes' name of a pair, and whether it includes the values.
fn pair_name(centre: u16, first: Surface, second: Surface) -> Option<(&'static str, bool)> {
    let matches = |wanted: Option<Coded>, surface: Surface| match (wanted, surface.scaled) {
        (None, _) => true,
        (Some(one), Some(two)) => decimal::equal(one, two),
        (Some(_), None) => false,
    };
    // A name for any second surface says nothing of it: it serves only where there is none.
    let second_key = [Some(second.kind), None];
    for scope in [Some(centre), None] {
        for key in second_key {
            if key.is_none() && second != Surface::NONE && second.scaled.is_some_and(|s| s.1 != 0) {
                continue;
            }
            let Some(names) = PAIRS.get(&(scope, first.kind, key)) else {
                continue;
            };
            let valued = |name: &&PairName| name.values.0.is_some() || name.values.1.is_some();
            let fitting =
                |name: &&PairName| matches(name.values.0, first) && matches(name.values.1, second);
            if let Some(name) = names.iter().filter(valued).find(fitting) {
                return Some((name.name, true));
            }
            if let Some(name) = names.iter().find(|name| !valued(name)) {
                return Some((name.name, false));
            }
        }
    }
    None
}

fn surface_kind(centre: u16, kind: u8) -> Option<SurfaceKind> {
    let by_centre = SURFACES.get(&(Some(centre), kind));
    by_centre.or_else(|| SURFACES.get(&(None, kind))).copied()
}

/// Kind of a surface; one that is in no table counts as valued if it has a value other than 0.
fn kind_of(centre: u16, surface: Surface) -> SurfaceKind {
    surface_kind(centre, surface.kind).unwrap_or(SurfaceKind {
        // Zero is a common filling where there is no value.
        valued: surface.kind != 255 && surface.scaled.is_some_and(|coded| coded.1 != 0),
        optional: false,
        units: "1",
        exponent: 0,
        standard_name: None,
        positive: None,
        long_name: "level",
    })
}

/// The level of a field.
pub(super) fn level(identity: &Identity) -> Level {
    let (first, second) = identity.surfaces;
    let centre = identity.parameter.centre;
    let (name, values_in_name) = match pair_name(centre, first, second) {
        Some((name, by_values)) if name != "unknown" => (Cow::Borrowed(name), by_values),
        Some(_) | None => (name_by_numbers(first, second), false),
    };
    if values_in_name {
        let kind = without_value(name, kind_of(centre, first).long_name);
        return Level {
            kind,
            values: None,
            remark: String::new(),
        };
    }
    let (one, two) = (kind_of(centre, first), kind_of(centre, second));
    let has_second = second.kind != 255 && two.valued;
    let mut remark = String::new();
    for (surface, row) in [(first, one), (second, two)] {
        if surface.kind == 255 {
            continue;
        }
        match surface.scaled {
            // Rarely given: where it is, it must not be lost.
            Some(coded) if row.optional && coded.1 != 0 => {
                remark.push_str("_at");
                remark.push_str(&decimal::name_text(coded, row.exponent));
            }
            // Known to have a value, but without one.
            None if row.valued => remark.push_str("_novalue"),
            // In no table and with a value: not the same array as without one.
            Some(_) if row.valued && surface_kind(centre, surface.kind).is_none() => {
                remark.push_str("_valued");
            }
            Some(_) | None => {}
        }
    }
    let along = |row: SurfaceKind, layer: bool| LevelType {
        name: name.clone(),
        has_value: true,
        layer,
        units: row.units,
        standard_name: row.standard_name,
        positive: row.positive,
        long_name: row.long_name,
        exponent: row.exponent,
    };
    let value = |surface: Surface, row: SurfaceKind| {
        row.valued
            .then(|| decimal::value(surface, row.exponent))
            .flatten()
    };
    let found = match (value(first, one), value(second, two)) {
        (Some(top), Some(bottom)) if has_second => {
            let mut kind = along(one, true);
            if one.units != two.units {
                // Two surfaces of different kinds make no common coordinate: both values, each in its own unit.
                kind.units = "1";
                kind.standard_name = None;
                kind.positive = None;
            }
            Some((kind, (top, Some(bottom))))
        }
        (Some(only), _) => Some((along(one, false), (only, None))),
        (None, Some(only)) if has_second => Some((along(two, false), (only, None))),
        (None, _) => None,
    };
    match found {
        Some((kind, values)) => Level {
            kind,
            values: Some(values),
            remark,
        },
        None => Level {
            kind: without_value(name, one.long_name),
            values: None,
            remark,
        },
    }
}

fn without_value(name: Cow<'static, str>, long_name: &'static str) -> LevelType {
    LevelType {
        name,
        has_value: false,
        layer: false,
        units: "",
        standard_name: None,
        positive: None,
        long_name,
        exponent: 0,
    }
}

fn name_by_numbers(first: Surface, second: Surface) -> Cow<'static, str> {
    match (first.kind, second.kind) {
        (255, 255) => Cow::Borrowed("nolevel"),
        (kind, 255) => Cow::Owned(format!("level_{kind}")),
        (one, two) => Cow::Owned(format!("level_{one}_{two}")),
    }
}

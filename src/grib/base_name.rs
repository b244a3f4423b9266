//! The base of an array's name: ecCodes' cfVarName, where it is at home, and what it already says.
//!
//! Temperature at 2 m is `t2m`: the level is in the name. Temperature elsewhere is `t`, at home on pressure levels.
//! Precipitation is `tp`, at home at the surface, and usually an accumulation.
//!
//! Homes and usual step types are data: `tables/demands.tsv` from ecCodes' conditions, `tables/homes.tsv` by hand, with
//! reasons. So are the names that two parameters of a centre have in common, `tables/homonyms.tsv`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::identity::Identity;
use super::parameters::{ParameterFacts, Query};

/// What a name begins with, and what that already says.
#[derive(Clone, Debug)]
pub(super) struct Base {
    /// ecCodes' facts, if it knows the parameter.
    pub(super) facts: Option<ParameterFacts>,
    /// cfVarName or numbers.
    pub(super) name: String,
    /// Level type at which the name stands alone; empty: none.
    pub(super) home: &'static str,
    /// Step type with which the name stands alone.
    pub(super) usual: &'static str,
    /// The name means one value of the level.
    pub(super) level_fixed: bool,
    /// The name means one statistic.
    pub(super) statistic_fixed: bool,
    /// The name means one constituent.
    pub(super) constituent_fixed: bool,
    /// The name means one wavelength.
    pub(super) wavelength_fixed: bool,
}

impl Base {
    /// The base of a field's name.
    pub(super) fn of(identity: &Identity) -> Self {
        let parameter = identity.parameter;
        let mut query = Query::of(identity).without_probability();
        query.process = query.process.filter(|kind| distinct_process(*kind));
        let facts_of = |query: &Query| {
            let old_ecmwf = parameter.centre == 98;
            query
                .facts(false)
                .or_else(|| query.facts(true).filter(|_| old_ecmwf))
        };
        let name_of = |query: &Query| facts_of(query).map(|facts| facts.cf_var_name);
        let Some(facts) = facts_of(&query) else {
            return Self {
                facts: None,
                name: numbers(identity),
                home: "",
                usual: "instant",
                level_fixed: false,
                statistic_fixed: false,
                constituent_fixed: false,
                wavelength_fixed: false,
            };
        };
        let name = Some(facts.cf_var_name);
        let level_fixed = name_of(&query.without_values()) != name
            // A second surface that the name does not mean must not get lost: 2 m is `t2m`, the layer 2-20 m is not.
            && (identity.surfaces.1.kind == 255 || name_of(&query.without_second()) != name);
        let statistic_fixed =
            identity.statistic.is_some() && name_of(&query.without_statistic()) != name;
        let constituent_fixed =
            identity.constituent.is_some() && name_of(&query.without_constituent()) != name;
        let wavelength_fixed = name_of(&query.without_wavelength()) != name;
        let habit = Habit::of(identity, facts.cf_var_name);
        Self {
            facts: Some(facts),
            name: if is_homonym(identity, facts.cf_var_name) {
                format!("{}_{}", facts.cf_var_name, numbers(identity))
            } else {
                facts.cf_var_name.to_owned()
            },
            home: habit.home,
            usual: habit.usual,
            level_fixed,
            statistic_fixed,
            constituent_fixed,
            wavelength_fixed,
        }
    }
}

/// The parameter by its numbers.
fn numbers(identity: &Identity) -> String {
    let parameter = identity.parameter;
    format!(
        "p{}_{}_{}",
        parameter.discipline, parameter.category, parameter.number
    )
}

type Homonyms = HashSet<(Option<u16>, u8, u8, u8, &'static str)>;

/// Parameters that share a name with another one of their centre (`None`: of centres without tables of their own) and do
/// not bear it, and the centres that have tables.
static HOMONYMS: LazyLock<(Homonyms, HashSet<u16>)> = LazyLock::new(|| {
    let mut homonyms = HashSet::new();
    let mut centres = HashSet::new();
    for line in include_str!("tables/homonyms.tsv").lines() {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let [scopes, discipline, category, number, name] = columns.as_slice() else {
            continue;
        };
        let (Ok(discipline), Ok(category), Ok(number)) =
            (discipline.parse(), category.parse(), number.parse())
        else {
            continue;
        };
        for scope in scopes.split(',') {
            let centre: Option<u16> = scope.parse().ok();
            centres.extend(centre);
            homonyms.insert((centre, discipline, category, number, *name));
        }
    }
    (homonyms, centres)
});

/// Whether the name belongs to another parameter: ECMWF's (0, 1, 193) is `tp` in metres, so its (0, 1, 52), in kg m-2, is
/// `tp_p0_1_52`. One array must not hold both.
fn is_homonym(identity: &Identity, name: &'static str) -> bool {
    let (homonyms, centres) = &*HOMONYMS;
    let p = identity.parameter;
    let centre = Some(p.centre).filter(|centre| centres.contains(centre));
    homonyms.contains(&(centre, p.discipline, p.category, p.number, name))
}

/// Processes whose fields ecCodes may call by other names, and which are no mere way of making a forecast.
const fn distinct_process(kind: u8) -> bool {
    !matches!(kind, 0..=7 | 10..=12 | 255)
}

/// Where and how a parameter is at home.
#[derive(Clone, Copy, Debug)]
struct Habit {
    home: &'static str,
    usual: &'static str,
}

/// Rows of the hand-written and the generated table: centre, cfVarName or `@discipline[.category]` -> home and usual step
/// type, either of which may be empty.
static HABITS: LazyLock<HashMap<(Option<u16>, &'static str), Habit>> = LazyLock::new(|| {
    let mut habits = HashMap::new();
    // The later file wins: by hand over generated.
    for text in [
        include_str!("tables/demands.tsv"),
        include_str!("tables/homes.tsv"),
    ] {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            let (Some(centre), Some(key), Some(home), Some(usual)) = (
                columns.next(),
                columns.next(),
                columns.next(),
                columns.next(),
            ) else {
                continue;
            };
            let habit = habits.entry((centre.parse().ok(), key)).or_insert(Habit {
                home: "",
                usual: "",
            });
            if !home.is_empty() {
                habit.home = home;
            }
            if !usual.is_empty() {
                habit.usual = usual;
            }
        }
    }
    habits
});

impl Habit {
    /// Home and usual step type: of the name at this centre, of the name, of the category, of the discipline, and at last
    /// surface and instant.
    fn of(identity: &Identity, name: &str) -> Self {
        let parameter = identity.parameter;
        let centre = Some(parameter.centre);
        let category = format!("@{}.{}", parameter.discipline, parameter.category);
        let discipline = format!("@{}", parameter.discipline);
        let mut habit = Self {
            home: "",
            usual: "",
        };
        // A statistic of a parameter is at home where the parameter is.
        let plain = ["avg_", "max_", "min_", "std_"]
            .into_iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name);
        for key in [
            (centre, name),
            (None, name),
            (centre, plain),
            (None, plain),
            (centre, category.as_str()),
            (None, category.as_str()),
            (None, discipline.as_str()),
        ] {
            if let Some(found) = HABITS.get(&key) {
                if habit.home.is_empty() {
                    habit.home = found.home;
                }
                if habit.usual.is_empty() {
                    habit.usual = found.usual;
                }
            }
        }
        if habit.home.is_empty() {
            habit.home = "surface";
        }
        if habit.usual.is_empty() {
            habit.usual = "instant";
        }
        habit
    }
}

//! What ecCodes calls a field: facts by parameter numbers, surfaces, statistic, constituent, centre and tables version.
//!
//! Temperature (0, 0, 0) is `t`; at 2 m above ground it is `2t`, as maximum over a window there `max_2t`. The tables are
//! rules: conditions and a fact; of the rules whose conditions all hold the one with the most wins. They are generated
//! from ecCodes' answers by `scripts/make_parameter_tables.py`, which describes their columns and what is left out.
//!
//! Knows ecCodes' words. Knows no array names (`grib::naming`) and no level axes (`grib::levels`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::decimal::{self, Coded};
use super::identity::Identity;

/// ecCodes' description of a field. Never its words for "not known".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterFacts {
    /// Short name (`2t`).
    pub short_name: &'static str,
    /// Short name fit for a variable (`t2m`).
    pub cf_var_name: &'static str,
    /// Name in words.
    pub name: &'static str,
    /// Units in ecCodes' spelling (`m s**-1`).
    pub units: &'static str,
    /// CF standard name, where ecCodes knows one.
    pub standard_name: Option<&'static str>,
    /// ECMWF's parameter number.
    pub param_id: u32,
}

/// ecCodes' facts about a field, or `None` if ecCodes does not know it. Window lengths do not count: what ecCodes calls
/// `mx2t6` over 6 hours is `mx2t` here.
#[must_use]
pub fn facts(identity: &Identity) -> Option<ParameterFacts> {
    let query = Query::of(identity);
    query.facts(old_ecmwf_tables(identity))
}

/// Whether ecCodes reads the parameter by the tables that ECMWF used up to tables version 33.
fn old_ecmwf_tables(identity: &Identity) -> bool {
    identity.parameter.centre == 98 && identity.parameter.master_table <= 33
}

/// A fact as it is kept: some texts are put together from others when the table is read.
#[derive(Debug)]
struct Fact {
    short_name: Cow<'static, str>,
    cf_var_name: Cow<'static, str>,
    name: Cow<'static, str>,
    units: &'static str,
    standard_name: Option<&'static str>,
    param_id: u32,
}

/// Facts by their number, the line of `facts.tsv`.
static FACTS: LazyLock<Vec<Fact>> = LazyLock::new(|| {
    let mut facts: Vec<Fact> = Vec::new();
    for line in include_str!("tables/facts.tsv").lines() {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let fact = match columns.as_slice() {
            [id, statistic, base] => variant(id, statistic, base, &facts),
            [id, short_name, cf_var_name, name, units, standard_name] => {
                let above = facts.last();
                Fact {
                    short_name: Cow::Borrowed(short_name),
                    cf_var_name: match *cf_var_name {
                        "" => Cow::Borrowed(*short_name),
                        "p" => Cow::Owned(format!("p{id}")),
                        other => Cow::Borrowed(other),
                    },
                    name: match above {
                        Some(above) if name.is_empty() => above.name.clone(),
                        Some(_) | None => Cow::Borrowed(name),
                    },
                    units: match (*units, above) {
                        (".", _) => "",
                        ("", Some(above)) => above.units,
                        (units, _) => units,
                    },
                    standard_name: (!standard_name.is_empty()).then_some(standard_name),
                    param_id: id.parse().unwrap_or(0),
                }
            }
            _ => continue,
        };
        facts.push(fact);
    }
    facts
});

/// The statistic over time of another fact: `max` of `t`, "Temperature", is `max_t`, "Time-maximum temperature".
fn variant(id: &str, statistic: &str, base: &str, facts: &[Fact]) -> Fact {
    let base = base.parse().ok().and_then(|at: usize| facts.get(at));
    let words = match statistic {
        "avg" => "mean",
        "max" => "maximum",
        "min" => "minimum",
        _ => "standard-deviation",
    };
    let (short_name, name, units) = base.map_or(("", "", ""), |f| {
        (f.short_name.as_ref(), f.name.as_ref(), f.units)
    });
    let mut letters = name.chars();
    let first: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_lowercase)
        .collect();
    let short_name = format!("{statistic}_{short_name}");
    Fact {
        cf_var_name: Cow::Owned(short_name.clone()),
        short_name: Cow::Owned(short_name),
        name: Cow::Owned(format!("Time-{words} {first}{}", letters.as_str())),
        units,
        standard_name: None,
        param_id: id.parse().unwrap_or(0),
    }
}

/// The facts of a number; 0 is ecCodes' `unknown`.
fn fact(number: usize) -> Option<ParameterFacts> {
    if number == 0 {
        return None;
    }
    let fact = FACTS.get(number)?;
    Some(ParameterFacts {
        short_name: &fact.short_name,
        cf_var_name: &fact.cf_var_name,
        name: &fact.name,
        units: fact.units,
        standard_name: fact.standard_name,
        param_id: fact.param_id,
    })
}

/// Whose tables a rule is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Any,
    Centre(u16),
    OldEcmwf,
}

type RuleKey = (Scope, u8, u8, u8);

/// Rules by scope and parameter, still as text: only the lines that are asked for are ever parsed.
static RULES: LazyLock<HashMap<RuleKey, &'static str>> = LazyLock::new(|| {
    include_str!("tables/rules.tsv")
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('\t');
            let scope = match columns.next()? {
                "*" => Scope::Any,
                "98old" => Scope::OldEcmwf,
                centre => Scope::Centre(centre.parse().ok()?),
            };
            let mut number = || columns.next()?.parse().ok();
            let key = (scope, number()?, number()?, number()?);
            Some((key, columns.next()?))
        })
        .collect()
});

/// What is asked of the rules. A condition on something that is `None` here never holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    parameter: (u8, u8, u8),
    centre: u16,
    local_table: u8,
    kinds: (u8, u8),
    values: (Option<Coded>, Option<Coded>),
    pub(super) statistic: Option<u8>,
    pub(super) process: Option<u8>,
    pub(super) constituent: Option<u16>,
    aerosol: bool,
    optical: bool,
    pub(super) probability: Option<(u8, Option<Coded>)>,
    wavelength: Option<(u8, Coded)>,
}

impl Query {
    /// Everything that the identity says.
    pub(super) fn of(identity: &Identity) -> Self {
        let parameter = identity.parameter;
        let (first, second) = identity.surfaces;
        let template = identity.further.as_ref().map(|further| further.0);
        Self {
            parameter: (parameter.discipline, parameter.category, parameter.number),
            centre: parameter.centre,
            local_table: parameter.local_table,
            kinds: (first.kind, second.kind),
            values: (first.scaled, second.scaled),
            statistic: identity.statistic,
            process: Some(identity.generating_process),
            constituent: identity.constituent,
            aerosol: matches!(template, Some(44..=49)),
            optical: matches!(template, Some(48 | 49)),
            probability: identity.probability.map(|p| (p.kind, p.lower)),
            wavelength: wavelength(identity),
        }
    }

    /// The same field at no particular level value.
    pub(super) fn without_values(mut self) -> Self {
        self.values = (None, None);
        self
    }

    /// The same field without its second surface.
    pub(super) fn without_second(mut self) -> Self {
        self.kinds.1 = 255;
        self.values.1 = None;
        self
    }

    /// The same field as an instant.
    pub(super) fn without_statistic(mut self) -> Self {
        self.statistic = None;
        self
    }

    /// The same field of no particular constituent.
    pub(super) fn without_constituent(mut self) -> Self {
        self.constituent = None;
        self
    }

    /// The same field at no particular wavelength.
    pub(super) fn without_wavelength(mut self) -> Self {
        self.wavelength = None;
        self
    }

    /// The same field, not a probability.
    pub(super) fn without_probability(mut self) -> Self {
        self.probability = None;
        self
    }

    /// The facts of the best rule, by ECMWF's old tables or today's.
    pub(super) fn facts(&self, old_ecmwf: bool) -> Option<ParameterFacts> {
        let (discipline, category, number) = self.parameter;
        let scopes = [
            old_ecmwf.then_some(Scope::OldEcmwf),
            Some(Scope::Centre(self.centre)),
            Some(Scope::Any),
        ];
        let rules = scopes
            .into_iter()
            .flatten()
            .find_map(|scope| RULES.get(&(scope, discipline, category, number)))?;
        let mut best = (0, 0);
        for rule in rules.split(';') {
            let Some((conditions, number)) = rule.rsplit_once('=') else {
                continue;
            };
            if let Some(count) = self.count_if_all_hold(conditions)
                && count >= best.0
            {
                best = (count, number.parse().ok()?);
            }
        }
        fact(best.1)
    }

    /// How many conditions there are, if all of them hold.
    fn count_if_all_hold(&self, conditions: &str) -> Option<usize> {
        let mut count = 0;
        for condition in conditions.split(',').filter(|text| !text.is_empty()) {
            let (letter, value) = condition.split_at_checked(1)?;
            if !self.holds(letter, value) {
                return None;
            }
            count += 1;
        }
        Some(count)
    }

    fn holds(&self, letter: &str, value: &str) -> bool {
        let is = |mine: Option<u16>| mine.is_some() && mine == value.parse().ok();
        let same = |mine: Option<Coded>| {
            mine.zip(coded(value))
                .is_some_and(|(one, two)| decimal::equal(one, two))
        };
        match letter {
            "a" => is(Some(self.kinds.0.into())),
            "b" => is(Some(self.kinds.1.into())),
            "x" => same(self.values.0),
            "y" => same(self.values.1),
            "s" => is(self.statistic.map(u16::from)),
            "g" => is(self.process.map(u16::from)),
            "l" => is(Some(self.local_table.into())),
            "c" => is(self.constituent),
            "k" => {
                self.constituent.is_some()
                    && match value {
                        "aero" => self.aerosol,
                        _ => !self.aerosol,
                    }
            }
            "o" => self.optical,
            "p" => is(self.probability.map(|p| p.0.into())),
            "q" => same(self.probability.and_then(|p| p.1)),
            "w" => self.wavelength.is_some_and(|(kind, first)| {
                kind == 11 && coded(value).is_some_and(|other| decimal::equal(first, other))
            }),
            _ => false,
        }
    }
}

/// Reads `factor:scaled`.
fn coded(text: &str) -> Option<Coded> {
    let (factor, scaled) = text.split_once(':')?;
    Some((factor.parse().ok()?, scaled.parse().ok()?))
}

/// Kind of wavelength interval (Code Table 4.91) and its first limit, of templates 4.48 and 4.49: octets 12 to 16 of
/// those that `further` keeps from octet 14 on.
fn wavelength(identity: &Identity) -> Option<(u8, Coded)> {
    let (template, octets) = identity.further.as_ref()?;
    if !matches!(template, 48 | 49) {
        return None;
    }
    let kind = *octets.get(11)?;
    let limit = super::suffix::limit(octets.get(12..17)?)?;
    Some((kind, limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grib::identity::{Parameter, Surface};

    fn identity(parameter: (u8, u8, u8), kind: u8, scaled: Option<(i8, i64)>) -> Identity {
        Identity {
            parameter: Parameter {
                discipline: parameter.0,
                category: parameter.1,
                number: parameter.2,
                centre: 7,
                sub_centre: 0,
                master_table: 2,
                local_table: 1,
            },
            surfaces: (Surface { kind, scaled }, Surface::NONE),
            statistic: None,
            generating_process: 2,
            ensemble: false,
            derived: None,
            probability: None,
            percentile: None,
            constituent: None,
            further: None,
        }
    }

    #[test]
    fn the_level_may_change_the_name() {
        let name = |kind, scaled| {
            facts(&identity((0, 0, 0), kind, scaled))
                .unwrap()
                .cf_var_name
        };
        assert_eq!(name(103, Some((0, 2))), "t2m");
        assert_eq!(name(103, Some((1, 20))), "t2m");
        assert_eq!(name(103, Some((0, 80))), "t");
        assert_eq!(name(100, Some((0, 50_000))), "t");
    }

    #[test]
    fn the_statistic_may_change_the_name() {
        let mut two_metres = identity((0, 0, 0), 103, Some((0, 2)));
        two_metres.statistic = Some(2);
        assert_eq!(facts(&two_metres).unwrap().cf_var_name, "mx2t");
    }

    #[test]
    fn the_centre_may_change_the_name() {
        let mut tp = identity((0, 1, 8), 1, None);
        assert_eq!(facts(&tp).unwrap().short_name, "tp");
        tp.parameter.centre = 54;
        assert_eq!(facts(&tp), None);
    }

    #[test]
    fn every_rule_names_a_fact_and_can_be_read() {
        for rules in RULES.values() {
            for rule in rules.split(';').filter(|rule| !rule.is_empty()) {
                let (conditions, number) = rule.rsplit_once('=').unwrap();
                let number: usize = number.parse().unwrap();
                assert!(number == 0 || fact(number).is_some(), "{rule}");
                for condition in conditions.split(',').filter(|text| !text.is_empty()) {
                    assert!(
                        condition.starts_with(|c| "abxysglckopqw".contains(c)),
                        "{rule}"
                    );
                }
            }
        }
        assert!(RULES.len() > 5000);
    }
}

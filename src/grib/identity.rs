//! What a field is: the numbers of a GRIB message that tell one quantity from another.
//!
//! An [`Identity`] holds everything but the run, the window and the grid: two fields of one identity at different steps
//! belong to one array. Names are made from it (`grib::parameters`), never the other way round.

use serde::{Deserialize, Serialize};

use crate::time::{Instant, Window};

/// Parameter numbers with the tables that give them meaning (section 0 octet 7, section 1 octets 6-11, section 4 octets 10-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Parameter {
    /// Discipline, Code Table 0.0.
    pub discipline: u8,
    /// Parameter category, Code Table 4.1.
    pub category: u8,
    /// Parameter number, Code Table 4.2.
    pub number: u8,
    /// Originating centre, Common Code Table C-11 (7 NCEP, 98 ECMWF).
    pub centre: u16,
    /// Sub-centre.
    pub sub_centre: u16,
    /// GRIB master tables version.
    pub master_table: u8,
    /// Local tables version, 0 if none is used.
    pub local_table: u8,
}

/// A fixed surface: type and value (section 4, Code Table 4.5). Type 255 means that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Surface {
    /// Code Table 4.5; 192-254 are local to the centre, 255 is missing.
    pub kind: u8,
    /// Decimal scale factor and scaled value, `value = scaled x 10^-factor` in the SI unit of the type; `None` where coded as missing.
    pub scaled: Option<(i8, i64)>,
}

impl Surface {
    /// No surface (type 255).
    pub const NONE: Self = Self {
        kind: 255,
        scaled: None,
    };

    /// A surface of a type without a value.
    #[must_use]
    pub const fn bare(kind: u8) -> Self {
        Self { kind, scaled: None }
    }

    /// The value in the SI unit of the type (Pa, m, K, ...), correctly rounded, or `None` if coded as missing.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        let (factor, scaled) = self.scaled?;
        // Through decimal text: one rounding only, so that 2 x 10^-6 is the double that "2e-6" names.
        format!("{scaled}e{}", -i32::from(factor)).parse().ok()
    }
}

/// Member of an ensemble (templates 4.1, 4.11, ...; Code Table 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Type of ensemble forecast, Code Table 4.6: 0 high-resolution control, 1 low-resolution control, 2 negative, 3 positive, 4 multi-model.
    pub kind: u8,
    /// Perturbation number; control is 0.
    pub number: u16,
}

impl Member {
    /// The number on the axis of members: 0 for a control, `-n` for the negatively perturbed twin of member `n`, else the number.
    ///
    /// Pairs of a positive and a negative perturbation carry one number, and are two members: wgrib2 writes `ENS=+1` and `ENS=-1`.
    #[must_use]
    pub fn axis_number(self) -> i16 {
        let number = i16::try_from(self.number).unwrap_or(i16::MAX);
        match self.kind {
            0 | 1 => 0,
            2 => -number,
            _ => number,
        }
    }
}

/// Limits of a probability forecast (templates 4.5, 4.9; Code Table 4.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Probability {
    /// Forecast probability number and total number of them.
    pub number: (u8, u8),
    /// Code Table 4.9.
    pub kind: u8,
    /// Scale factor and scaled value of the lower limit.
    pub lower: Option<(i8, i64)>,
    /// Scale factor and scaled value of the upper limit.
    pub upper: Option<(i8, i64)>,
}

/// Everything that tells one quantity from another, apart from run, window, member and grid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Parameter numbers.
    pub parameter: Parameter,
    /// First and second fixed surface, as coded.
    pub surfaces: (Surface, Surface),
    /// Statistical processing over the window (Code Table 4.10), outermost range; `None` for an instant.
    pub statistic: Option<u8>,
    /// Type of generating process, Code Table 4.3 (2 forecast, 4 ensemble forecast, 8 observation, ...). Analysis, forecast
    /// and ensemble kinds of the same quantity count as one: see [`Identity::is_error`] for those that do not.
    pub generating_process: u8,
    /// Whether the product is one member of an ensemble: its arrays have an axis `number`.
    pub ensemble: bool,
    /// Derived forecast, Code Table 4.7 (0 mean, 2 standard deviation, 4 spread, ...).
    pub derived: Option<u8>,
    /// Limits of a probability forecast.
    pub probability: Option<Probability>,
    /// Percentile, 0..=100.
    pub percentile: Option<u8>,
    /// Atmospheric chemical constituent or aerosol type, Code Table 4.230 / 4.233.
    pub constituent: Option<u16>,
    /// Further octets of the product template that are part of what the field is (aerosol size and wavelength limits,
    /// spatial statistic, wave partition and period, tile, category, cluster, satellite bands, ...), verbatim as
    /// `(template number, octets)`; empty for plain products. Never holds time, member or model version.
    pub further: Option<(u16, Vec<u8>)>,
}

/// One field as its sections 0, 1 and 4 describe it: what, when, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// What the field is.
    pub identity: Identity,
    /// Reference time of the data (section 1 octets 13-19).
    pub reference: Instant,
    /// Start and end step in seconds; equal for an instant.
    pub window: Window,
    /// Ensemble member, where the template has one.
    pub member: Option<Member>,
    /// Product definition template number, Code Table 4.0.
    pub template: u16,
    /// Generating process identifier of the centre (the model).
    pub process_id: u8,
}

impl Identity {
    /// Whether the generating process marks an error or bias field of a quantity, not the quantity (Code Table 4.3: 6, 7, 10).
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self.generating_process, 6 | 7 | 10)
    }

    /// Whether two fields are of one quantity: all of the identity is equal but for what does not change it (versions of tables, the
    /// sub-centre, and whether an analysis, a forecast or an ensemble made it).
    #[must_use]
    pub fn same_quantity(&self, other: &Self) -> bool {
        let plain = |identity: &Self| Self {
            parameter: Parameter {
                sub_centre: 0,
                master_table: 0,
                local_table: 0,
                ..identity.parameter
            },
            generating_process: u8::from(identity.is_error()),
            ..identity.clone()
        };
        plain(self) == plain(other)
    }

    /// The numbers in a line, for errors: `parameter 0-1-8 of centre 7, surfaces 1/255, statistic 1`.
    #[must_use]
    pub fn describe(&self) -> String {
        let Parameter {
            discipline,
            category,
            number,
            centre,
            ..
        } = self.parameter;
        let surface = |surface: Surface| match surface.value() {
            Some(value) => format!("{} at {value}", surface.kind),
            None => surface.kind.to_string(),
        };
        let mut text = format!(
            "parameter {discipline}-{category}-{number} of centre {centre}, surfaces {} / {}",
            surface(self.surfaces.0),
            surface(self.surfaces.1)
        );
        for (name, code) in [
            ("statistic", self.statistic),
            ("derived forecast", self.derived),
            ("percentile", self.percentile),
        ] {
            if let Some(code) = code {
                text += &format!(", {name} {code}");
            }
        }
        if self.probability.is_some() {
            text += ", a probability";
        }
        if let Some(constituent) = self.constituent {
            text += &format!(", constituent {constituent}");
        }
        text
    }
}

//! Names of arrays against ecCodes' answers, and against each other: one field one name, two fields two names.

use gribfs::grib::identity::{Identity, Parameter, Surface};
use gribfs::grib::naming::name_array;

mod golden;
mod injective;
mod oracle;

/// An instant forecast of centre 7 with the tables of GFS.
fn field(discipline: u8, category: u8, number: u8, first: Surface) -> Identity {
    Identity {
        parameter: Parameter {
            discipline,
            category,
            number,
            centre: 7,
            sub_centre: 0,
            master_table: 2,
            local_table: 1,
        },
        surfaces: (first, Surface::NONE),
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

const fn at(kind: u8, factor: i8, scaled: i64) -> Surface {
    Surface {
        kind,
        scaled: Some((factor, scaled)),
    }
}

fn ecmwf(mut identity: Identity, master_table: u8) -> Identity {
    identity.parameter.centre = 98;
    identity.parameter.master_table = master_table;
    identity.parameter.local_table = 0;
    identity
}

fn layer(mut identity: Identity, second: Surface) -> Identity {
    identity.surfaces.1 = second;
    identity
}

fn over(mut identity: Identity, statistic: u8) -> Identity {
    identity.statistic = Some(statistic);
    identity
}

fn name(identity: &Identity) -> String {
    name_array(identity, None).array
}

const SURFACE: Surface = Surface::bare(1);
const HPA_500: Surface = at(100, 0, 50_000);
const TWO_METRES: Surface = at(103, 0, 2);
const TEN_METRES: Surface = at(103, 0, 10);

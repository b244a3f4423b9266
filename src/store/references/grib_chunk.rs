//! A GRIB message as the chunk of a reference set: proven to be what the set says, decoded in the message's own order.

use bytes::Bytes;

use crate::grib::decode::{DecodeError, Packed, decode, decode_f64};
use crate::grib::grid::{Grid, GridError};
use crate::grib::identity::{Identity, Product};
use crate::grib::levels::may_be_called;
use crate::grib::naming::name_array;
use crate::grib::parameters::{ParameterFacts, facts};
use crate::grib::section::{Field, GribError, Message};
use crate::refs::{Expectation, GribVar};
use crate::time::Instant;

/// Why bytes are no such chunk.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// Not a whole, sound GRIB2 message.
    #[error("not a sound GRIB2 message: {0}")]
    Grib(#[from] GribError),
    /// The grid cannot be read.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// The grid has not as many points as the chunk.
    #[error("the message has {found} points, the chunk {expected}")]
    Size {
        /// Points of the grid.
        found: u64,
        /// Elements of the chunk.
        expected: u64,
    },
    /// Another message.
    #[error("another message lies there: {what} is {found}, the set says {expected}")]
    Other {
        /// What differs.
        what: &'static str,
        /// What the message says.
        found: String,
        /// What the set says.
        expected: String,
    },
    /// The values cannot be unpacked.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// The chunk's bytes: little-endian floats of `item_bytes` each.
///
/// # Errors
/// [`ChunkError`].
pub fn chunk(
    bytes: &[u8],
    wanted: &Expectation,
    var: &GribVar,
    item_bytes: u64,
) -> Result<Bytes, ChunkError> {
    let fields = Message::parse(bytes)?.into_fields();
    let mut first_error = None;
    for field in &fields {
        match check(field, wanted) {
            Ok(()) => return decode_field(field, var, item_bytes),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(ChunkError::Size {
        found: 0,
        expected: wanted.elements,
    }))
}

fn decode_field(field: &Field<'_>, var: &GribVar, item_bytes: u64) -> Result<Bytes, ChunkError> {
    let points = usize::try_from(field.points).unwrap_or(usize::MAX);
    if let GribVar::Latitude | GribVar::Longitude = var {
        let grid = Grid::parse(field.section3)?;
        let order = grid.cell_order();
        let locator = grid.locator();
        let mut values = vec![0.0_f64; points];
        for (index, value) in values.iter_mut().enumerate() {
            let place = order
                .position(index)
                .and_then(|(row, column)| locator.locate(row, column));
            let (latitude, longitude) = place.unwrap_or((f64::NAN, f64::NAN));
            *value = if *var == GribVar::Latitude {
                latitude
            } else {
                longitude
            };
        }
        return Ok(match item_bytes {
            4 => bytes_of(&values, |value| narrow(*value).to_le_bytes()),
            _ => bytes_of(&values, |value| value.to_le_bytes()),
        });
    }
    let packed = Packed {
        points,
        section5: field.section5,
        bitmap: field.bitmap,
        section7: field.section7,
    };
    if item_bytes == 4 {
        let mut values = vec![0.0_f32; points];
        decode(&packed, &mut values)?;
        return Ok(bytes_of(&values, |value| value.to_le_bytes()));
    }
    let mut values = vec![0.0_f64; points];
    decode_f64(&packed, &mut values)?;
    Ok(bytes_of(&values, |value| value.to_le_bytes()))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest single is what is wanted"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}

fn bytes_of<T, const N: usize>(values: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Bytes {
    let mut out = Vec::with_capacity(values.len() * N);
    for value in values {
        out.extend_from_slice(&bytes(value));
    }
    Bytes::from(out)
}

/// Whether a field is what the set says.
fn check(field: &Field<'_>, wanted: &Expectation) -> Result<(), ChunkError> {
    if u64::from(field.points) != wanted.elements {
        return Err(ChunkError::Size {
            found: field.points.into(),
            expected: wanted.elements,
        });
    }
    if !wanted.is_values {
        return Ok(());
    }
    let product = Product::parse(field.discipline, field.section1, field.section4)?;
    let naming = name_array(&product.identity, None);
    let differs = |what, found: String, expected: String| {
        Err(ChunkError::Other {
            what,
            found,
            expected,
        })
    };
    if let Some(name) = &wanted.name
        && let Some(found) = other_parameter(&product.identity, name, wanted.param_id)
    {
        return differs("the parameter", found.to_owned(), name.clone());
    }
    if let Some(step_type) = &wanted.step_type {
        let known = ["instant", "accum", "avg", "max", "min"];
        let (found, expected) = (naming.step_type, step_type.as_str());
        if found != expected && known.contains(&found) && known.contains(&expected) {
            return differs("the step type", found.to_owned(), expected.to_owned());
        }
    }
    if let Some(run) = wanted.run.filter(|run| *run != product.reference.seconds()) {
        return differs(
            "the run",
            product.reference.to_string(),
            Instant(run).to_string(),
        );
    }
    let valid = product.reference.plus(product.window.end);
    if let Some(time) = wanted.valid_time.filter(|time| *time != valid.seconds()) {
        return differs(
            "the valid time",
            valid.to_string(),
            Instant(time).to_string(),
        );
    }
    if wanted.is_member
        && let Some(found) = no_member(&product.identity)
    {
        return differs("the product", found.to_owned(), "a member".to_owned());
    }
    // Controls that have a stream of their own say nothing of members.
    let member = product.member.map_or(0, |member| i64::from(member.number));
    if let Some(expected) = wanted.member.filter(|expected| *expected != member) {
        return differs("the member", member.to_string(), expected.to_string());
    }
    if let Some(level_type) = &wanted.level_type
        && !may_be_called(&product.identity, level_type)
    {
        let found = naming.level_type.name.to_string();
        return differs("the level type", found, level_type.clone());
    }
    if let (Some((found, second)), Some(expected), Some(level_type)) =
        (naming.level, wanted.level, &wanted.level_type)
        && *level_type == naming.level_type.name
    {
        // Writers round levels to whole numbers of their unit.
        let near = |value: f64| (value - expected).abs() < 0.5_f64.max(expected.abs() * 1e-6);
        if !near(found) && !second.is_some_and(near) {
            return differs("the level", found.to_string(), expected.to_string());
        }
    }
    Ok(())
}

/// What a product is that is made of many members, or of none.
fn no_member(identity: &Identity) -> Option<&'static str> {
    match identity {
        Identity {
            derived: Some(_), ..
        } => Some("derived from an ensemble (mean, spread, ...)"),
        Identity {
            percentile: Some(_),
            ..
        } => Some("a percentile"),
        Identity {
            probability: Some(_),
            ..
        } => Some("a probability"),
        _ => None,
    }
}

/// The message's parameter, if it is known and cannot be the one that the set names. Names change between versions of ecCodes:
/// a daily mean of `t2m` is `avg_2t` to some and `t2m` to others, `sm` of a layer is `sm20`.
fn other_parameter(identity: &Identity, name: &str, param_id: Option<u64>) -> Option<&'static str> {
    let own = facts(identity)?;
    let mut plain = identity.clone();
    plain.statistic = None;
    let fits = |facts: &ParameterFacts| {
        let with_level = |short: &str| {
            let rest = name.strip_prefix(short);
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        facts.cf_var_name == name
            || facts.short_name == name
            || param_id == Some(facts.param_id.into())
            || with_level(facts.cf_var_name)
            || with_level(facts.short_name)
    };
    let fits_plain = facts(&plain).is_some_and(|facts| fits(&facts));
    (!fits(&own) && !fits_plain).then_some(own.cf_var_name)
}

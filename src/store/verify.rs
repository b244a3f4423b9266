//! Proof that fetched bytes are the message that the table names (DESIGN, promise 2), before a value is decoded from them.

use crate::dataset::horizontal::describe;
use crate::grib::grid::{Grid, GridError};
use crate::grib::identity::{Identity, Member, Product};
use crate::grib::section::{Field, GribError, Message};
use crate::table::row::{Kind, Row};
use crate::time::step_text;

/// Why bytes are not the message that is wanted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Not a whole, sound GRIB2 message.
    #[error("not a sound GRIB2 message: {0}")]
    Grib(#[from] GribError),
    /// The message is shorter than the reference by more than padding could explain, or longer than what was fetched.
    #[error("the message has {found} bytes, the index says {expected}")]
    Length {
        /// Total length in section 0.
        found: u64,
        /// Length of the reference.
        expected: u64,
    },
    /// The message has fewer fields than the reference counts.
    #[error("the message has {found} fields, field {wanted} is wanted")]
    FieldCount {
        /// Fields in the message.
        found: usize,
        /// Field of the reference, from 1.
        wanted: usize,
    },
    /// The grid cannot be read.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// It is another message.
    #[error("another message lies there: {what} is {found}, the table says {expected}")]
    Other {
        /// What differs.
        what: &'static str,
        /// What the message says.
        found: String,
        /// What the table says.
        expected: String,
    },
    /// The table does not know what the message is, so nothing can be checked.
    #[error("the table does not say what this message is")]
    Unknown,
}

/// Checks that `bytes` hold the message of `row`, and gives the field that the row refers to.
///
/// The length must equal the reference's, or be shorter where the range may hold padding; run, window, member, identity and grid
/// must be the table's.
///
/// # Errors
/// [`VerifyError`], with what was found and what was expected.
pub fn verify<'a>(
    bytes: &'a [u8],
    row: &Row,
    kind: &Kind,
    (grid, section3): (&Grid, &[u8]),
) -> Result<Field<'a>, VerifyError> {
    let message = Message::parse(bytes)?;
    let fields = message.into_fields();
    let found = fields.len();
    let field = fields
        .into_iter()
        .nth(usize::from(row.field))
        .ok_or(VerifyError::FieldCount {
            found,
            wanted: usize::from(row.field) + 1,
        })?;
    let product = Product::parse(field.discipline, field.section1, field.section4)?;
    let expected = kind.identity.as_ref().ok_or(VerifyError::Unknown)?;
    same_field(&product, expected, row)?;
    if field.section3 != section3 {
        let own_grid = Grid::parse(field.section3)?;
        if own_grid != *grid {
            return Err(VerifyError::Other {
                what: "grid",
                found: describe(&own_grid),
                expected: describe(grid),
            });
        }
    }
    Ok(field)
}

/// Whether a product is the row's: run, quantity, window, member.
pub(super) fn same_field(
    product: &Product,
    expected: &Identity,
    row: &Row,
) -> Result<(), VerifyError> {
    let differs = |what, found: String, expected: String| {
        Err(VerifyError::Other {
            what,
            found,
            expected,
        })
    };
    if product.reference != row.reference {
        return differs(
            "run",
            product.reference.to_string(),
            row.reference.to_string(),
        );
    }
    let found = &product.identity;
    if !found.same_quantity(expected) {
        return differs("identity", found.describe(), expected.describe());
    }
    if product.window != row.window {
        let text = |start, end| {
            if start == end {
                step_text(end)
            } else {
                format!("{}..{}", step_text(start), step_text(end))
            }
        };
        return differs(
            "step",
            text(product.window.start, product.window.end),
            text(row.window.start, row.window.end),
        );
    }
    let member = product.member.map(Member::axis_number);
    if let (Some(wanted), true) = (row.member, expected.ensemble)
        && member != Some(wanted)
    {
        return differs(
            "member",
            member.map_or("none".to_owned(), |m| m.to_string()),
            wanted.to_string(),
        );
    }
    Ok(())
}

//! Walking an object whose index is stale: which of the rows that the table has of it lies where.
//!
//! The walk reads headers by small ranges, one after the other; each answer is held to what the object was when first seen. Then every
//! row of the object is looked for among the fields by all that makes its identity, so one walk puts a whole object right.
//!
//! Knows rows and requests. Knows no readers and no files.

use std::collections::HashMap;
use std::sync::Arc;

use super::failure::FailureKind;
use super::fetch::{FetchError, Source};
use super::rows::section3;
use super::side::{Scan, Verdict, digest};
use super::verify::same_field;
use crate::grib::grid::Grid;
use crate::grib::identity::{Identity, Product};
use crate::grib::walker::{Found, Step, WINDOW_BYTES, WalkedMessage, Walker};
use crate::location::ByteRange;
use crate::storage::Short;
use crate::table::row::{Row, Status, Table};
use crate::time::{Instant, Window};

/// Requests of one walk; the largest files in use have some 10,000 messages.
const MAX_REQUESTS: u64 = 20_000;
/// Fields of one object that are remembered during a walk.
const MAX_FIELDS: usize = 50_000;

/// Why a stale index could not be healed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum HealError {
    #[error("the object was searched: it holds no such message")]
    Absent,
    #[error(
        "the object was searched: it holds {0} such messages, and nothing tells which is meant"
    )]
    Ambiguous(usize),
    #[error("the object was searched: the message is there and nowhere else")]
    Unmoved,
    #[error("the object could not be searched: {text}")]
    Walk { kind: FailureKind, text: String },
    #[error("the object is being searched; read again later")]
    Waiting,
}

impl HealError {
    fn limit(text: &str) -> Self {
        Self::Walk {
            kind: FailureKind::Unavailable,
            text: text.to_owned(),
        }
    }
}

impl From<FetchError> for HealError {
    fn from(error: FetchError) -> Self {
        Self::Walk {
            kind: error.kind(),
            text: error.to_string(),
        }
    }
}

/// A field as the walk found it.
struct Seen {
    product: Product,
    section3: Arc<[u8]>,
    verdict: Verdict,
}

/// What is equal whenever two fields are of one identity: looked up before all is compared.
type Rough = (Instant, Window, [u8; 3]);

fn rough(identity: &Identity, reference: Instant, window: Window) -> Rough {
    let parameter = identity.parameter;
    let numbers = [parameter.discipline, parameter.category, parameter.number];
    (reference, window, numbers)
}

/// Walks an object and looks for all rows that the table has of it.
///
/// # Errors
/// [`HealError::Walk`] if it cannot be walked to its end, within its limits, or is not the object any more that it was.
pub(super) async fn rescan(
    source: &Arc<Source>,
    object: u32,
    now_seconds: i64,
) -> Result<Scan, HealError> {
    let origin = &source.origin;
    let window = ByteRange::new(0, WINDOW_BYTES as u64);
    let first = origin.fetch(object, window, Short::Allow).await?;
    let size = first
        .version
        .size
        .ok_or_else(|| HealError::limit("its server does not tell its size"))?;
    let mut requests = 1;
    let mut seen = Vec::new();
    let mut walker = Walker::new(size);
    let mut first_bytes = Some(first.bytes);
    loop {
        match walker.step() {
            Step::Read { offset, length } => {
                let at_hand = first_bytes
                    .take()
                    .filter(|bytes| offset == 0 && bytes.len() >= length);
                if let Some(bytes) = at_hand {
                    walker.give(0, &bytes);
                    continue;
                }
                if requests == MAX_REQUESTS {
                    return Err(HealError::limit("it takes too many requests"));
                }
                requests += 1;
                let range = ByteRange::new(offset, length as u64);
                let came = origin.fetch(object, range, Short::Refuse).await?;
                walker.give(offset, &came.bytes);
            }
            Step::Found(Found::Message(message)) => add(&mut seen, &message)?,
            // The walk goes on behind them.
            Step::Found(Found::Edition1 { .. } | Found::Broken { .. }) => {}
            Step::Found(Found::Lost { offset }) => {
                let text = format!("from byte {offset} on it holds no GRIB for megabytes");
                return Err(HealError::limit(&text));
            }
            Step::Done => break,
        }
    }
    let version = origin.pins.of(&origin.objects, object);
    let location = origin.location(object)?;
    let mut scan = Scan::new(&location, &version, now_seconds, requests);
    let source = Arc::clone(source);
    let looking = tokio::task::spawn_blocking(move || {
        let table = source.rows_in(object);
        let table = table.map_err(|error| HealError::limit(&error.to_string()))?;
        scan.messages = look_for_rows(&source, &table, &seen);
        Ok(scan)
    });
    looking
        .await
        .map_err(|ended| HealError::limit(&format!("the search ended abnormally: {ended}")))?
}

fn add(seen: &mut Vec<Seen>, message: &WalkedMessage) -> Result<(), HealError> {
    if seen.len() + message.fields.len() > MAX_FIELDS {
        return Err(HealError::limit("it holds too many fields"));
    }
    let fields = message.fields.iter().zip(0_u16..);
    seen.extend(fields.filter_map(|(field, position)| {
        // What cannot be read is none of the rows.
        let product = Product::parse(message.discipline, &field.section1, &field.section4);
        Some(Seen {
            product: product.ok()?,
            section3: Arc::clone(&field.section3),
            verdict: Verdict::At(message.offset, message.length, position),
        })
    }));
    Ok(())
}

fn look_for_rows(
    source: &Source,
    table: &Table,
    seen: &[Seen],
) -> std::collections::BTreeMap<String, Verdict> {
    let mut by_rough: HashMap<Rough, Vec<&Seen>> = HashMap::new();
    for field in seen {
        let product = &field.product;
        by_rough
            .entry(rough(&product.identity, product.reference, product.window))
            .or_default()
            .push(field);
    }
    let rows = table.rows.iter();
    rows.filter(|row| row.status == Status::Placed)
        .filter_map(|row| {
            let identity = table.kinds.get(row.kind as usize)?.identity.as_ref()?;
            let alike = by_rough.get(&rough(identity, row.reference, row.window));
            let found: Vec<&Seen> = alike
                .into_iter()
                .flatten()
                .copied()
                .filter(|field| {
                    same_field(&field.product, identity, row).is_ok()
                        && same_grid(source, table, row, &field.section3)
                })
                .collect();
            let verdict = match found.as_slice() {
                [] => Verdict::Absent,
                [field] => field.verdict,
                several => Verdict::Times(several.len()),
            };
            Some((digest(table, row), verdict))
        })
        .collect()
}

fn same_grid(source: &Source, table: &Table, row: &Row, found: &[u8]) -> bool {
    section3(table, row).is_ok_and(|expected| {
        found == expected
            || source
                .grid(expected)
                .is_some_and(|delivered| Grid::parse(found).is_ok_and(|own| own == delivered.grid))
    })
}

//! Reduced grids: rows of unequal length, listed after the template (3.0, 3.1, 3.40, 3.41 with Ni missing).
//!
//! Delivered as one axis of cells. The list counts the cells of each row: in the message, or, for a part of the globe as
//! ECMWF's archive cuts it out, of the whole parallel; then the cells are those between first and last longitude. N640 has
//! 1864 cells on the parallel of 25 S, of which 135 E to 179 E holds 229.

use super::coordinates::{Axis, Coordinates, Locator, Placement, Row};
use super::grid::{GridError, Parsed, Source};
use super::grid_latlon::Frame;

/// Cells of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cells {
    /// Number of the first one, counted on the whole parallel from longitude 0 (from the first longitude, if all are there).
    first: i128,
    count: u32,
}

/// Reads a reduced grid.
pub(super) fn read(source: &Source<'_>, frame: Frame) -> Result<Parsed, GridError> {
    if frame.scan.i_negative() || frame.scan.j_consecutive() || frame.scan.alternating() {
        return Err(source.unsupported("reduced grid in another order than west to east"));
    }
    let template = if frame.rotation.is_some() { 84 } else { 72 };
    let list = row_counts(source, frame.nj, template)?;
    let latitudes = frame.rows(source)?;
    let rows = match source.octets.u8(12) {
        Some(1) => on_parallels(source, frame, &latitudes, &list)?,
        Some(2) => between_longitudes(source, frame, &latitudes, &list)?,
        _ => return Err(source.unsupported("reduced grid with a list of another meaning")),
    };
    let cells = usize::try_from(source.points).unwrap_or(0);
    Ok(Parsed {
        kind: frame.kind(true),
        scan: frame.scan,
        resolution: frame.resolution,
        coordinates: Coordinates {
            axes: vec![Axis::cells(cells)],
            mapping: frame.mapping(),
            has_locations: true,
        },
        locator: Locator {
            placement: Placement::Rows {
                rows,
                rotation: frame.rotation,
            },
            ny: 1,
            nx: cells,
            signed: frame.longitudes.0 < 0,
        },
    })
}

/// Span from first to last longitude, eastwards, in the frame's unit.
const fn span(frame: Frame) -> i128 {
    let (first, last) = frame.longitudes;
    if last < first {
        last - first + frame.unit.turn()
    } else {
        last - first
    }
}

fn total(counts: impl Iterator<Item = u32>) -> u64 {
    counts.map(u64::from).sum()
}

/// Rows that span first to last longitude, both included (meaning 2 of the list).
fn between_longitudes(
    source: &Source<'_>,
    frame: Frame,
    latitudes: &[f64],
    list: &[u32],
) -> Result<Vec<Row>, GridError> {
    check_count(source, total(list.iter().copied()))?;
    let (first, span) = (
        frame.unit.degrees(frame.longitudes.0),
        frame.unit.degrees(span(frame)),
    );
    let mut before = 0;
    let row = |(latitude, count): (&f64, &u32)| {
        let row = Row {
            before,
            latitude: *latitude,
            first,
            span,
            steps: count.saturating_sub(1).max(1),
        };
        before += usize::try_from(*count).unwrap_or(0);
        row
    };
    Ok(latitudes.iter().zip(list).map(row).collect())
}

/// Rows on whole parallels (meaning 1 of the list): all of their cells, or those between first and last longitude.
fn on_parallels(
    source: &Source<'_>,
    frame: Frame,
    latitudes: &[f64],
    list: &[u32],
) -> Result<Vec<Row>, GridError> {
    let all = total(list.iter().copied());
    let whole = closes_the_circle(frame, list);
    let (start, cells): (f64, Vec<Cells>) = if whole && all == u64::from(source.points) {
        let cells = list.iter().map(|count| Cells {
            first: 0,
            count: *count,
        });
        (frame.unit.degrees(frame.longitudes.0), cells.collect())
    } else if whole {
        return Err(count_error(source, all));
    } else {
        (
            0.0,
            part(source, frame, list).ok_or_else(|| count_error(source, all))?,
        )
    };
    let mut before = 0;
    let mut rows = Vec::with_capacity(cells.len());
    for ((latitude, cells), on_parallel) in latitudes.iter().zip(cells).zip(list) {
        rows.push(Row {
            before,
            latitude: *latitude,
            first: start + 360.0 * ratio(cells.first, (*on_parallel).max(1)),
            span: 360.0,
            steps: (*on_parallel).max(1),
        });
        before += usize::try_from(cells.count).unwrap_or(0);
    }
    Ok(rows)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of cells are below 2^33"
)]
fn ratio(number: i128, of: u32) -> f64 {
    number as f64 / f64::from(of)
}

/// Whether the longest row runs around the earth: its last cell is a step before the first, give or take one.
fn closes_the_circle(frame: Frame, list: &[u32]) -> bool {
    let longest = list.iter().copied().max().unwrap_or(0);
    let open = frame.unit.turn() - span(frame);
    open * i128::from(longest) <= 2 * frame.unit.turn()
}

/// The cells of each row between first and last longitude. Two rules are in use; the one that makes the announced count of
/// points is the one that was used, and if neither does there is none.
fn part(source: &Source<'_>, frame: Frame, list: &[u32]) -> Option<Vec<Cells>> {
    let (turn, west, span) = (frame.unit.turn(), frame.longitudes.0, span(frame));
    // The first cell that is not west of the first longitude.
    let first = |n: u32| (west * i128::from(n) + turn - 1).div_euclid(turn);
    let within = |n: u32| {
        let last = ((west + span) * i128::from(n)).div_euclid(turn);
        last - first(n) + 1
    };
    // The older rule: as many steps as fit into the span, wherever they start, so the last one may lie beyond the end.
    let fitting = |n: u32| (span * i128::from(n)).div_euclid(turn) + 1;
    let rows = |rule: &dyn Fn(u32) -> i128| -> Vec<Cells> {
        list.iter()
            .map(|n| Cells {
                first: first(*n),
                count: u32::try_from(rule(*n).clamp(0, i128::from(*n))).unwrap_or(0),
            })
            .collect()
    };
    [rows(&within), rows(&fitting)]
        .into_iter()
        .find(|cells| total(cells.iter().map(|row| row.count)) == u64::from(source.points))
        .filter(|_| source.points > 0)
}

const fn count_error(source: &Source<'_>, cells: u64) -> GridError {
    GridError::PointCount {
        points: source.points,
        cells,
    }
}

fn check_count(source: &Source<'_>, cells: u64) -> Result<(), GridError> {
    if cells != u64::from(source.points) || cells == 0 {
        return Err(count_error(source, cells));
    }
    Ok(())
}

/// The list of cells per row, octet 11 octets each, after the `template` octets.
fn row_counts(source: &Source<'_>, nj: u32, template: usize) -> Result<Vec<u32>, GridError> {
    let width = usize::from(source.octets.u8(11).unwrap_or(0));
    if !(1..=4).contains(&width) {
        return Err(source.invalid("a reduced grid without a list of rows"));
    }
    let rows = usize::try_from(nj).unwrap_or(usize::MAX);
    let need = rows.saturating_mul(width).saturating_add(template);
    source.need(need)?;
    let list = source.octets.range(template + 1, need).unwrap_or_default();
    let number = |entry: &[u8]| {
        entry
            .iter()
            .fold(0_u32, |sum, octet| sum << 8 | u32::from(*octet))
    };
    Ok(list.chunks_exact(width).map(number).collect())
}

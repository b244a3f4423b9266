//! Which positions of an array are copied, axis by axis, and how the values of one chunk come into a block of others.

use crate::zarr::key::chunk_positions;

/// Neighbouring positions that stay neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First position in the copy.
    pub(super) to: u64,
    /// First position in the set's array.
    pub(super) from: u64,
    pub(super) length: u64,
}

/// The positions of one axis that are copied, in the order of the copy.
pub(super) type Axis = Vec<Run>;

/// All of an axis, or a part of it.
pub(super) fn range(from: u64, length: u64) -> Axis {
    vec![Run {
        to: 0,
        from,
        length,
    }]
}

/// Count of positions.
pub(super) fn length(axis: &[Run]) -> u64 {
    axis.iter().map(|run| run.length).sum()
}

/// Elements that lie side by side in a block and in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) to: usize,
    pub(super) from: usize,
    pub(super) length: usize,
}

/// What a block, positions `first` to `first + count` of the copy, has of the chunk number `chunk` of so many positions.
pub(super) fn pieces(
    axis: &[Run],
    (first, count): (u64, u64),
    (chunk, size): (u64, u64),
) -> Vec<Piece> {
    let (start, end) = (chunk * size, (chunk + 1) * size);
    let pieces = axis.iter().filter_map(|run| {
        let low = first.max(run.to);
        let high = (first + count).min(run.to + run.length);
        let from = (run.from + low.checked_sub(run.to)?).max(start);
        let until = (run.from + high.checked_sub(run.to)?).min(end);
        let length = until.checked_sub(from).filter(|length| *length > 0)?;
        let small = |number: u64| usize::try_from(number).ok();
        Some(Piece {
            to: small(run.to + (from - run.from) - first)?,
            from: small(from - start)?,
            length: small(length)?,
        })
    });
    pieces.collect()
}

/// Chunks of so many positions that a block has anything of, ascending.
fn chunks(axis: &[Run], (first, count): (u64, u64), size: u64) -> Vec<u64> {
    let mut found = Vec::new();
    for run in axis {
        let low = first.max(run.to);
        let high = (first + count).min(run.to + run.length);
        if low < high {
            let from = run.from + low - run.to;
            let last = run.from + high - 1 - run.to;
            found.extend(from / size..=last / size);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The chunks of an array, by their positions, that a block has anything of.
pub(super) fn chunks_of(axes: &[Axis], block: &[(u64, u64)], sizes: &[u64]) -> Vec<Vec<u64>> {
    let along = axes.iter().zip(block).zip(sizes);
    let along: Vec<Vec<u64>> = along
        .map(|((axis, part), size)| chunks(axis, *part, *size))
        .collect();
    let counts: Vec<u64> = along.iter().map(|list| list.len() as u64).collect();
    let all = 0..counts.iter().product::<u64>();
    all.map(|number| {
        let at = chunk_positions(number, &counts);
        let places = along.iter().zip(at);
        places
            .filter_map(|(list, at)| list.get(usize::try_from(at).ok()?).copied())
            .collect()
    })
    .collect()
}

/// A block or chunk: its values, lengths of its axes, bytes of an element.
pub(super) struct Grid<'a> {
    pub(super) shape: &'a [usize],
    pub(super) item: usize,
}

/// Copies what `pieces` say, by axis, from the values of a chunk into those of a block.
pub(super) fn put(
    values: &mut [u8],
    block: &Grid<'_>,
    chunk: &[u8],
    shape: &[usize],
    pieces: &[Vec<Piece>],
) {
    lay(values, block, chunk, shape, pieces, (0, 0));
}

/// Copies elements that lie side by side.
fn run(values: &mut [u8], chunk: &[u8], item: usize, (to, from, count): (usize, usize, usize)) {
    let place = values.get_mut(to * item..(to + count) * item);
    let own = chunk.get(from * item..(from + count) * item);
    if let (Some(place), Some(own)) = (place, own) {
        place.copy_from_slice(own);
    }
}

fn lay(
    values: &mut [u8],
    block: &Grid<'_>,
    chunk: &[u8],
    shape: &[usize],
    pieces: &[Vec<Piece>],
    (to, from): (usize, usize),
) {
    let Some((along, rest)) = pieces.split_first() else {
        run(values, chunk, block.item, (to, from, 1));
        return;
    };
    let axis = block.shape.len() - pieces.len();
    let size = |shape: &[usize]| shape.get(axis).copied().unwrap_or(1);
    let (to, from) = (to * size(block.shape), from * size(shape));
    for piece in along {
        if rest.is_empty() {
            let place = (to + piece.to, from + piece.from, piece.length);
            run(values, chunk, block.item, place);
            continue;
        }
        for step in 0..piece.length {
            let at = (to + piece.to + step, from + piece.from + step);
            lay(values, block, chunk, shape, rest, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_put_together_of_chunks() {
        // 6 x 7 values, chunks of 4 x 3; copied are rows 1 to 4 and columns 5, 6, 0, 1.
        let value = |row: usize, column: usize| u8::try_from(row * 10 + column).unwrap();
        let small = |number: u64| usize::try_from(number).unwrap();
        let rows = range(1, 4);
        let columns = vec![
            Run {
                to: 0,
                from: 5,
                length: 2,
            },
            Run {
                to: 2,
                from: 0,
                length: 2,
            },
        ];
        let axes = [rows.clone(), columns.clone()];
        let block = [(1, 3), (0, 4)];
        let found = chunks_of(&axes, &block, &[4, 3]);
        assert_eq!(found, [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        let mut values = vec![255; 12];
        for at in found {
            let chunk: Vec<u8> = (0..12)
                .map(|cell| {
                    let place = (small(at[0]) * 4 + cell / 3, small(at[1]) * 3 + cell % 3);
                    if place.0 < 6 && place.1 < 7 {
                        value(place.0, place.1)
                    } else {
                        99
                    }
                })
                .collect();
            let pieces: Vec<Vec<Piece>> = axes
                .iter()
                .zip(block)
                .zip(at.iter().zip([4, 3]))
                .map(|((axis, part), (chunk, size))| pieces(axis, part, (*chunk, size)))
                .collect();
            let grid = Grid {
                shape: &[3, 4],
                item: 1,
            };
            put(&mut values, &grid, &chunk, &[4, 3], &pieces);
        }
        let wanted: Vec<u8> = (2..5)
            .flat_map(|row| [5, 6, 0, 1].map(|column| value(row, column)))
            .collect();
        assert_eq!(values, wanted);
        assert_eq!(length(&columns), 4);
    }

    #[test]
    fn a_scalar_is_one_element() {
        assert_eq!(chunks_of(&[], &[], &[]), [Vec::<u64>::new()]);
        let mut values = [0_u8; 2];
        let grid = Grid {
            shape: &[],
            item: 2,
        };
        put(&mut values, &grid, &[7, 8], &[], &[]);
        assert_eq!(values, [7, 8]);
    }
}

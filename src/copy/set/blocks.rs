//! Blocks: which chunks of the set make which chunk files of the copy.

use std::collections::HashSet;

use super::pick::{self, Piece};
use super::plan::{Recoded, SetArray};
use crate::refs::RefSet;
use crate::zarr::key::{chunk_key, chunk_positions};

/// A block that is to be made.
#[derive(Debug)]
pub(super) struct Block {
    /// First position and count of positions of each axis.
    pub(super) part: Vec<(u64, u64)>,
    /// Lengths with the rest of its last chunk files.
    pub(super) shape: Vec<usize>,
    /// Chunks that the set has of it: number, and positions.
    pub(super) chunks: Vec<(u64, Vec<u64>)>,
    /// Its chunk files that hold any of those, by their numbers in the block.
    pub(super) files: Vec<usize>,
}

/// Whether a set has a chunk, or may have it and cannot tell.
pub(super) fn has(set: &RefSet, array: &SetArray, number: u64) -> bool {
    array.info.must_be_whole || !matches!(set.chunk(array.node, number), Ok(None))
}

/// Block `number` of an array. Looks references up, which may take time.
pub(super) fn block(set: &RefSet, array: &SetArray, recoded: &Recoded, number: u64) -> Block {
    let at = chunk_positions(number, &recoded.block_grid());
    let axes = at.iter().zip(&recoded.block).zip(&recoded.shape);
    let part: Vec<(u64, u64)> = axes
        .map(|((at, block), length)| (at * block, (*block).min(length.saturating_sub(at * block))))
        .collect();
    let padded = part.iter().zip(&recoded.files);
    let shape: Vec<usize> = padded
        .map(|((_, count), file)| small(count.div_ceil(*file) * file))
        .collect();
    let mut files = HashSet::new();
    let tiles: Vec<u64> = shape
        .iter()
        .zip(&recoded.files)
        .map(|(length, file)| *length as u64 / file)
        .collect();
    let mut chunks = Vec::new();
    for at in pick::chunks_of(&recoded.axes, &part, &array.info.chunks) {
        let number = at
            .iter()
            .zip(&array.info.grid)
            .fold(0, |number, (at, count)| number * count + at);
        if !has(set, array, number) {
            continue;
        }
        let along = pieces(recoded, array, &part, &at);
        let ranges: Vec<Vec<u64>> = along
            .iter()
            .zip(&recoded.files)
            .map(|(pieces, file)| {
                let of = |piece: &Piece| {
                    let last = (piece.to + piece.length - 1) as u64;
                    piece.to as u64 / file..=last / file
                };
                let mut tiles: Vec<u64> = pieces.iter().flat_map(of).collect();
                tiles.sort_unstable();
                tiles.dedup();
                tiles
            })
            .collect();
        let counts: Vec<u64> = ranges.iter().map(|range| range.len() as u64).collect();
        for number in 0..counts.iter().product() {
            let within = chunk_positions(number, &counts);
            let tile = ranges.iter().zip(within).zip(&tiles);
            let tile = tile.fold(0, |all, ((range, at), count)| {
                all * count + range.get(small(at)).copied().unwrap_or(0)
            });
            files.insert(small(tile));
        }
        chunks.push((number, at));
    }
    let mut files: Vec<usize> = files.into_iter().collect();
    files.sort_unstable();
    Block {
        part,
        shape,
        chunks,
        files,
    }
}

pub(super) fn pieces(
    recoded: &Recoded,
    array: &SetArray,
    part: &[(u64, u64)],
    at: &[u64],
) -> Vec<Vec<Piece>> {
    let axes = recoded.axes.iter().zip(part);
    let chunks = at.iter().zip(&array.info.chunks);
    axes.zip(chunks)
        .map(|((axis, part), (at, size))| pick::pieces(axis, *part, (*at, *size)))
        .collect()
}

pub(super) fn small(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The key of a chunk file of a block.
pub(super) fn file_key(recoded: &Recoded, block: &Block, tile: usize) -> String {
    let tiles: Vec<u64> = block
        .shape
        .iter()
        .zip(&recoded.files)
        .map(|(length, file)| *length as u64 / file)
        .collect();
    if tiles.is_empty() {
        return "0".to_owned();
    }
    let within = chunk_positions(tile as u64, &tiles);
    let at = block.part.iter().zip(&recoded.files).zip(within);
    let at: Vec<u64> = at
        .map(|(((first, _), file), tile)| first / file + tile)
        .collect();
    let pairs = recoded.shape.iter().zip(&recoded.files);
    let grid: Vec<u64> = pairs
        .map(|(length, file)| length.div_ceil(*file).max(1))
        .collect();
    let number = at
        .iter()
        .zip(&grid)
        .fold(0, |number, (at, count)| number * count + at);
    chunk_key(number, &grid)
}

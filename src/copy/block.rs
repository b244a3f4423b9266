//! A block while its fields come: its tiles, in memory or in a scratch file.
//!
//! The scratch file has no name: it goes with the process, however that ends. It holds the tiles one after the other, each with a place
//! for every slot, so that a tile is read in one piece.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fields::Fields;
use crate::files::At as _;

/// Values of no message, and of what lies behind the edge of the grid.
const MISSING: f32 = f32::NAN;

/// The fields of a block that have come.
#[derive(Debug)]
pub(super) struct Assembly {
    shape: Shape,
    tiles: Tiles,
    /// By slot: its field has come.
    filled: Vec<bool>,
    /// By tile and slot: it was carried over. Of memory nothing is noted.
    carried: Vec<bool>,
}

#[derive(Debug)]
enum Tiles {
    /// Tiles by number: slots one after the other.
    Memory(Vec<Vec<f32>>),
    Scratch(File),
}

/// Sizes of faces and tiles.
#[derive(Clone, Copy, Debug)]
struct Shape {
    face: (usize, usize),
    tile: (usize, usize),
    grid: (usize, usize),
    slots: usize,
}

impl Assembly {
    /// A block of so many fields in memory.
    pub(super) fn in_memory(fields: &Fields, slots: usize) -> Self {
        let shape = Shape::of(fields, slots);
        let points = shape.slots.saturating_mul(fields.tile_points());
        let tiles = (0..shape.grid.0 * shape.grid.1).map(|_| vec![MISSING; points]);
        Self {
            shape,
            tiles: Tiles::Memory(tiles.collect()),
            filled: vec![false; shape.slots],
            carried: Vec::new(),
        }
    }

    /// A block in a file of a directory.
    pub(super) fn on_disk(fields: &Fields, slots: usize, directory: &Path) -> io::Result<Self> {
        let shape = Shape::of(fields, slots);
        Ok(Self {
            shape,
            tiles: Tiles::Scratch(nameless(directory)?),
            filled: vec![false; shape.slots],
            carried: vec![false; shape.slots * shape.grid.0 * shape.grid.1],
        })
    }

    /// Puts a field, rows one after the other, into its slot.
    pub(super) fn put(&mut self, slot: usize, field: &[f32]) -> io::Result<()> {
        let shape = self.shape;
        if field.len() != shape.face.0 * shape.face.1 {
            return Err(io::Error::other(format!(
                "a field of {} values for a grid of {} x {}",
                field.len(),
                shape.face.0,
                shape.face.1
            )));
        }
        let points = shape.tile.0 * shape.tile.1;
        let mut piece = Vec::new();
        for tile in 0..shape.grid.0 * shape.grid.1 {
            match &mut self.tiles {
                Tiles::Memory(tiles) => {
                    let place = tiles
                        .get_mut(tile)
                        .and_then(|tile| tile.get_mut(slot * points..(slot + 1) * points));
                    shape.cut(field, tile, place.unwrap_or_default());
                }
                Tiles::Scratch(file) => {
                    piece.clear();
                    piece.resize(points, MISSING);
                    shape.cut(field, tile, &mut piece);
                    let at = (tile * shape.slots + slot) * points * 4;
                    file.write_all_at(bytemuck::cast_slice(&piece), at as u64)?;
                }
            }
        }
        if let Some(filled) = self.filled.get_mut(slot) {
            *filled = true;
        }
        Ok(())
    }

    /// Puts the fields of some slots that a tile of the store holds already, slot after slot.
    pub(super) fn carry(&mut self, tile: usize, slots: &[usize], values: &[f32]) -> io::Result<()> {
        let points = self.shape.tile.0 * self.shape.tile.1;
        for slot in slots {
            let range = slot * points..(slot + 1) * points;
            let Some(own) = values.get(range.clone()) else {
                return Err(io::Error::other("a chunk of the store is too short"));
            };
            match &mut self.tiles {
                Tiles::Memory(tiles) => {
                    let place = tiles.get_mut(tile).and_then(|tile| tile.get_mut(range));
                    if let Some(place) = place {
                        place.copy_from_slice(own);
                    }
                }
                Tiles::Scratch(file) => {
                    let at = (tile * self.shape.slots + slot) * points * 4;
                    file.write_all_at(bytemuck::cast_slice(own), at as u64)?;
                }
            }
            if let Tiles::Scratch(_) = &self.tiles
                && let Some(filled) = self.carried.get_mut(tile * self.shape.slots + slot)
            {
                *filled = true;
            }
        }
        Ok(())
    }

    /// Reads some points of a slot of a tile into `out`; NaN where no field has come.
    pub(super) fn read(
        &self,
        tile: usize,
        slot: usize,
        points: Range<usize>,
        out: &mut Vec<f32>,
    ) -> io::Result<()> {
        out.clear();
        let first = slot * self.shape.tile.0 * self.shape.tile.1;
        match &self.tiles {
            Tiles::Memory(tiles) => {
                let range = first + points.start..first + points.end;
                let values = tiles.get(tile).and_then(|tile| tile.get(range));
                out.extend_from_slice(values.unwrap_or_default());
            }
            Tiles::Scratch(file) => {
                out.resize(points.len(), MISSING);
                let carried = self.carried.get(tile * self.shape.slots + slot);
                if self.filled.get(slot).copied().unwrap_or(false) || carried == Some(&true) {
                    let before = tile * self.shape.slots * self.shape.tile.0 * self.shape.tile.1;
                    let at = (before + first + points.start) * 4;
                    file.read_exact_at(bytemuck::cast_slice_mut(out), at as u64)?;
                }
            }
        }
        Ok(())
    }

    /// Forgets a tile, where it takes memory.
    pub(super) fn forget(&mut self, tile: usize) {
        if let Tiles::Memory(tiles) = &mut self.tiles
            && let Some(tile) = tiles.get_mut(tile)
        {
            *tile = Vec::new();
        }
    }

    /// The values of a tile, slot after slot; from memory it is taken out.
    pub(super) fn take(&mut self, tile: usize) -> io::Result<Vec<f32>> {
        let shape = self.shape;
        match &mut self.tiles {
            Tiles::Memory(tiles) => Ok(tiles.get_mut(tile).map(std::mem::take).unwrap_or_default()),
            Tiles::Scratch(file) => {
                let points = shape.tile.0 * shape.tile.1;
                let mut values = vec![MISSING; points * shape.slots];
                for (slot, filled) in self.filled.iter().enumerate() {
                    let place = values.get_mut(slot * points..(slot + 1) * points);
                    let carried = self.carried.get(tile * shape.slots + slot);
                    let there = *filled || carried.copied().unwrap_or(false);
                    if let (true, Some(place)) = (there, place) {
                        let at = (tile * shape.slots + slot) * points * 4;
                        file.read_exact_at(bytemuck::cast_slice_mut(place), at as u64)?;
                    }
                }
                Ok(values)
            }
        }
    }
}

impl Shape {
    const fn of(fields: &Fields, slots: usize) -> Self {
        Self {
            face: fields.face,
            tile: fields.tile,
            grid: fields.tile_grid(),
            slots,
        }
    }

    /// Copies what a tile has of a field.
    fn cut(self, field: &[f32], tile: usize, out: &mut [f32]) {
        let (tile_row, tile_column) = (tile / self.grid.1.max(1), tile % self.grid.1.max(1));
        let column = tile_column * self.tile.1;
        let width = self.tile.1.min(self.face.1.saturating_sub(column));
        for (row, out) in out.chunks_exact_mut(self.tile.1.max(1)).enumerate() {
            let row = tile_row * self.tile.0 + row;
            if row >= self.face.0 {
                break;
            }
            let from = row * self.face.1 + column;
            if let (Some(values), Some(out)) = (field.get(from..from + width), out.get_mut(..width))
            {
                out.copy_from_slice(values);
            }
        }
    }
}

/// A file that has no name once it is open.
pub(super) fn nameless(directory: &Path) -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let path = directory.join(format!(
        ".gribfs-scratch-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    ));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = file.map_err(named)?;
    std::fs::remove_file(&path).map_err(named)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn fields() -> Fields {
        Fields {
            group: 0,
            number: 0,
            source_grid: vec![3, 1, 1],
            lead: vec![3],
            lead_chunk: vec![2],
            face: (3, 5),
            tile: (2, 3),
            face_axes: 2,
            along: None,
        }
    }

    #[test]
    fn a_block_in_memory_and_one_on_disk_hold_the_same_tiles() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = [
            Assembly::in_memory(&fields(), 2),
            Assembly::on_disk(&fields(), 2, folder.path()).unwrap(),
        ];
        let field: Vec<f32> = (0_u8..15).map(f32::from).collect();
        for assembly in &mut all {
            assembly.put(1, &field).unwrap();
            let old: Vec<f32> = (0_u8..12).map(|at| f32::from(at) + 100.0).collect();
            assembly.carry(1, &[0], &old).unwrap();
            assert!(assembly.carry(1, &[0], &old[1..6]).is_err());
            assert!(assembly.put(0, &field[1..]).is_err());
        }
        let [memory, disk] = &mut all;
        for (slot, range) in [(1, 1..4), (0, 0..6), (1, 0..0)] {
            let (mut a, mut b) = (vec![1.0], Vec::new());
            memory.read(1, slot, range.clone(), &mut a).unwrap();
            disk.read(1, slot, range.clone(), &mut b).unwrap();
            assert_eq!(a.len(), range.len());
            assert_eq!(format!("{a:?}"), format!("{b:?}"));
        }
        for tile in 0..4 {
            let (a, b) = (memory.take(tile).unwrap(), disk.take(tile).unwrap());
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&a), bits(&b));
            assert_eq!(a.len(), 12);
            assert!((tile == 1) != a[..6].iter().all(|value| value.is_nan()));
            if tile == 3 {
                // Rows 2 and (behind the edge) 3, columns 3, 4 and (behind the edge) 5.
                assert_eq!(a[6..8], [13.0, 14.0]);
                assert!(a[8..].iter().all(|value| value.is_nan()));
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_cells_of_a_block_end_with_the_array() {
        let fields = fields();
        assert_eq!(fields.block_grid(), [2]);
        let cells = |fields: &Fields, block| -> Vec<(usize, u64, Option<u64>)> {
            let cells = fields.cells(&[block]).into_iter();
            cells
                .map(|cell| (cell.slot, cell.linear, cell.source))
                .collect()
        };
        assert_eq!(cells(&fields, 0), [(0, 0, Some(0)), (1, 1, Some(1))]);
        assert_eq!(cells(&fields, 1), [(0, 2, Some(2))]);
        // Of a store of one position that gets two further ones, the slice's fourth and seventh.
        let grown = Fields {
            along: Some(super::super::append::Along {
                axis: 0,
                old: 1,
                new: vec![3, 6],
                again: HashMap::new(),
            }),
            source_grid: vec![7, 1, 1],
            ..fields.clone()
        };
        assert_eq!(cells(&grown, 0), [(0, 0, None), (1, 1, Some(3))]);
        assert_eq!(cells(&grown, 1), [(0, 2, Some(6))]);
        assert_eq!(fields.key(&[1], (0, 1)), "1.0.1");
        assert_eq!(fields.block_bytes(), 4 * 2 * 6 * 4);
        assert!(!fields.is_direct());
    }
}

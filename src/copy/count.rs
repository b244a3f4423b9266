//! What a layout is of: arrays, fields, bytes, and which cells have a message.

use super::layout::Layout;
use super::recipe;
use super::report::CopyReport;
use crate::dataset::CellState;
use crate::slices::StoreView;
use crate::zarr::key::chunk_positions;

/// What a copy is of.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) report: CopyReport,
    /// A number of the cells that are no gaps: of a table that has grown since it is another.
    pub(super) cells: u64,
}

/// Arrays, fields and bytes of a layout.
pub(super) fn counted(view: &StoreView, layout: &Layout) -> Counted {
    let mut report = CopyReport::default();
    let mut cells = Digest::default();
    for (number, target) in layout.targets.iter().enumerate() {
        let Some(fields) = &target.fields else {
            continue;
        };
        let mut count = 0_u64;
        let mut arrays = 1;
        cells.add(number as u64);
        if let Some(derived) = target.derived {
            if derived.leader != number {
                continue;
            }
            arrays = layout.siblings(number).len() as u64;
            for linear in 0..fields.block_grid().iter().product() {
                let at = chunk_positions(linear, &fields.block_grid());
                let block = recipe::block(view, layout, fields, number, at);
                count += block.fields as u64;
                cells.add(block.recipe.as_ref().map_or(0, |r| r.inputs as u64));
                block.cells().into_iter().for_each(|cell| cells.add(cell));
            }
        } else if fields.along.is_some() {
            for linear in 0..fields.block_grid().iter().product() {
                let at = chunk_positions(linear, &fields.block_grid());
                for source in fields.cells(&at).into_iter().filter_map(|cell| cell.source) {
                    let (group, array) = (fields.group, fields.number);
                    if view.cell(group, array, &fields.source_grid, source) != CellState::Gap {
                        count += 1;
                        cells.add(source);
                    }
                }
            }
        } else {
            let (group, array) = (fields.group, fields.number);
            view.for_each_cell(group, array, &fields.source_grid, 0, &mut |linear| {
                count += 1;
                cells.add(linear);
                true
            });
        }
        report.arrays += arrays;
        report.fields += count;
        report.raw_bytes += count * fields.points() * 4;
    }
    Counted {
        report,
        cells: cells.0,
    }
}

/// FNV-1a over whole numbers.
#[derive(Debug)]
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn add(&mut self, number: u64) {
        for byte in number.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

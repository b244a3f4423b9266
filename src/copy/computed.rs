//! Blocks that are computed: fields kept for a later batch, and what is made of a block once all its fields have come.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::{StreamExt as _, TryStreamExt as _};

use super::block::Assembly;
use super::engine::{Engine, UNIT, on_a_thread};
use super::fields::Fields;
use super::kept::{Duty, Place};
use super::open::{self, Body, Open};
use super::plan::Block;
use super::recipe::Recipe;
use super::report::{CopyError, CopyProgress};
use super::round::{Rounding, round};
use super::statistic::Statistic;
use crate::store::BulkField;
use crate::sync::lock;

/// A tile of a computed block.
#[derive(Clone)]
struct Computation {
    recipe: Arc<Recipe>,
    assembly: Arc<Mutex<Assembly>>,
    /// Cells that cannot be computed.
    missing: Arc<BTreeSet<u64>>,
    tile: usize,
}

impl Computation {
    /// The tile's values for each statistic, of tiles of a number, of so many points and slots.
    fn values(
        &self,
        statistics: &[Statistic],
        shape: (usize, usize, usize),
        rounding: Rounding,
    ) -> std::io::Result<Vec<Vec<f32>>> {
        let (recipe, missing) = (&self.recipe, &self.missing);
        let mut all = recipe.values(statistics, &self.assembly, shape, missing)?;
        // What is computed has no packing: only a number of bits can be asked for.
        if let Rounding::Bits(bits) = rounding {
            for values in &mut all {
                round(values, bits);
            }
        }
        Ok(all)
    }
}

impl Engine {
    /// Puts a field away for a later batch.
    pub(super) async fn keep(
        &self,
        field: &Result<BulkField, String>,
        duty: Duty,
    ) -> Result<(), CopyError> {
        let outcome = match field {
            Ok(field) => {
                let (kept, bytes) = (Arc::clone(&self.kept), field.bytes.clone());
                let stored = on_a_thread(move || kept.store(&bytes)).await?;
                Ok(stored.map_err(|error| CopyError::Scratch(error.to_string()))?)
            }
            Err(reason) => Err(reason.clone()),
        };
        duty.fulfil(outcome);
        Ok(())
    }

    /// Takes a field that was put away.
    pub(super) async fn take_kept(&self, place: Place) -> Result<BulkField, CopyError> {
        let kept = Arc::clone(&self.kept);
        let bytes = on_a_thread(move || kept.take(place)).await?;
        let bytes = bytes.map_err(|error| CopyError::Scratch(error.to_string()))?;
        Ok(BulkField { bytes, step: None })
    }

    /// Computes, encodes and writes a block whose inputs have come.
    pub(super) async fn finish_computed(
        self: &Arc<Self>,
        open: &Open,
        recipe: &Recipe,
    ) -> Result<(), CopyError> {
        let (_, fields) = self.target(&open.block)?;
        let failed = recipe.missing(&open.gone);
        self.note(fields, &open.block, &failed).await?;
        let Body::Assembled(assembly) = &open.body else {
            return Err(CopyError::Internal(
                "a computed block of one field".to_owned(),
            ));
        };
        if failed.len() < recipe.outputs.len() {
            let missing: Arc<BTreeSet<u64>> =
                Arc::new(failed.iter().map(|(linear, _)| *linear).collect());
            let recipe = Arc::new(recipe.clone());
            let (rows, columns) = fields.tile_grid();
            let tiles = futures::stream::iter(0..rows * columns).map(|tile| {
                let work = Computation {
                    recipe: Arc::clone(&recipe),
                    assembly: Arc::clone(assembly),
                    missing: Arc::clone(&missing),
                    tile,
                };
                let key = fields.key(&open.block.at, (tile / columns, tile % columns));
                async move { self.write_computed(&open.block, fields, work, &key).await }
            });
            let at_once = self.cores.available_permits().max(1);
            tiles
                .buffer_unordered(at_once)
                .try_for_each(|()| async { Ok(()) })
                .await?;
        }
        CopyProgress::add(&self.progress.done, open.block.fields);
        Ok(())
    }

    /// Computes a tile of each array of a block, and writes it: as many arrays at once as have room.
    async fn write_computed(
        self: &Arc<Self>,
        block: &Block,
        fields: &Fields,
        work: Computation,
        key: &str,
    ) -> Result<(), CopyError> {
        let targets = self.targets(block);
        let shape = (work.tile, fields.tile_points(), fields.slots());
        let bytes = (shape.1 as u64) * (shape.2 as u64) * 4;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
        let room = self.block_units * UNIT / cores / 4 / bytes.max(1);
        let at_once = usize::try_from(room).unwrap_or(usize::MAX).max(1);
        for some in targets.chunks(at_once) {
            let statistics: Vec<Statistic> = some
                .iter()
                .filter_map(|(number, _)| self.layout.targets.get(*number)?.derived?.statistic)
                .collect();
            let permit = Arc::clone(&self.cores).acquire_owned().await;
            let (own, rounding) = (work.clone(), self.settings.rounding);
            let computed = on_a_thread(move || own.values(&statistics, shape, rounding)).await?;
            drop(permit);
            let computed = computed.map_err(|error| CopyError::Scratch(error.to_string()))?;
            for ((number, _), mut values) in some.iter().zip(computed) {
                self.carry_computed(block, *number, key, &mut values)
                    .await?;
                let encoding = Arc::clone(self);
                let (number, permit) = (*number, Arc::clone(&self.cores).acquire_owned().await);
                let encoded = on_a_thread(move || encoding.encode_values(number, &values)).await;
                drop(permit);
                self.write(number, key, encoded??).await?;
            }
        }
        lock(&work.assembly).forget(work.tile);
        Ok(())
    }

    /// Takes over what the store has of a computed tile that reaches into its new part.
    async fn carry_computed(
        &self,
        block: &Block,
        number: usize,
        key: &str,
        values: &mut [f32],
    ) -> Result<(), CopyError> {
        let Some(target) = self.layout.targets.get(number) else {
            return Ok(());
        };
        let Some(fields) = target.fields.as_ref().filter(|_| !block.carried.is_empty()) else {
            return Ok(());
        };
        let Some(old) = self.old_tile(target, key).await? else {
            return Ok(());
        };
        let old = open::values(&old);
        for slot in &block.carried {
            let range = slot * fields.tile_points()..(slot + 1) * fields.tile_points();
            if let (Some(own), Some(old)) = (values.get_mut(range.clone()), old.get(range)) {
                own.copy_from_slice(old);
            }
        }
        Ok(())
    }
}

//! A block under way: the fields that have come for it, then its chunk files, encoded and written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use super::append::old_file;
use super::block::Assembly;
use super::engine::{Engine, on_a_thread};
use super::fields::Fields;
use super::layout::Target;
use super::plan::Block;
use super::report::{CopyError, CopyProgress};
use super::round::{Rounding, round};
use crate::store::BulkField;
use crate::sync::lock;
use crate::zarr::key::chunk_positions;

/// A block under way.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) block: Block,
    /// Fields still to come.
    pub(super) left: usize,
    failed: Vec<(u64, String)>,
    /// Of a computed block: inputs that did not come.
    pub(super) gone: BTreeMap<usize, String>,
    pub(super) body: Body,
}

impl Open {
    pub(super) fn fail(&mut self, slot: usize, linear: u64, reason: String) {
        if self.block.recipe.is_some() {
            self.gone.insert(slot, reason);
        } else {
            self.failed.push((linear, reason));
        }
    }
}

#[derive(Debug)]
pub(super) enum Body {
    /// One field, which is a chunk file as it is.
    Direct(Option<Bytes>),
    Assembled(Arc<Mutex<Assembly>>),
}

impl Engine {
    pub(super) async fn open(&self, block: Block, in_memory: bool) -> Result<Open, CopyError> {
        let (_, fields) = self.target(&block)?;
        let recipe = block.recipe.as_ref();
        let body = if fields.is_direct() && recipe.is_none() {
            Body::Direct(None)
        } else {
            let slots = recipe.map_or(fields.slots(), |recipe| recipe.inputs);
            let mut made = if in_memory {
                Assembly::in_memory(fields, slots)
            } else {
                Assembly::on_disk(fields, slots, &self.settings.scratch)
                    .map_err(|error| CopyError::Scratch(error.to_string()))?
            };
            if recipe.is_none() {
                self.carry(&block, &mut made).await?;
            }
            Body::Assembled(Arc::new(Mutex::new(made)))
        };
        let mut failed = Vec::new();
        for (row, linear) in &block.pending {
            failed.push((*linear, self.reader.why_pending(*row).await.message));
        }
        let mut gone = BTreeMap::new();
        for (row, input) in recipe.iter().flat_map(|recipe| &recipe.pending) {
            gone.insert(*input, self.reader.why_pending(*row).await.message);
        }
        Ok(Open {
            left: block.rows.len(),
            block,
            failed,
            gone,
            body,
        })
    }

    /// Takes over what the store has of a block that reaches into its new part.
    async fn carry(&self, block: &Block, assembly: &mut Assembly) -> Result<(), CopyError> {
        if block.carried.is_empty() {
            return Ok(());
        }
        let (target, fields) = self.target(block)?;
        let (rows, columns) = fields.tile_grid();
        for tile in 0..rows * columns {
            let key = fields.key(&block.at, (tile / columns, tile % columns));
            if let Some(old) = self.old_tile(target, &key).await? {
                assembly
                    .carry(tile, &block.carried, &values(&old))
                    .map_err(|error| {
                        CopyError::Append(format!("{}/{key}: {error}", target.path))
                    })?;
            }
        }
        Ok(())
    }

    /// The values of a chunk file that is there already.
    pub(super) async fn old_tile(
        &self,
        target: &Target,
        key: &str,
    ) -> Result<Option<Vec<u8>>, CopyError> {
        let name = format!("{}/{key}", target.path);
        let place = self.settings.destination.below(&name);
        let Some(file) = old_file(&self.storage, &place).await? else {
            return Ok(None);
        };
        let old = target.encoder.decode(&file);
        let old = old.map_err(|error| CopyError::Append(format!("{place}: {error}")))?;
        Ok(Some(old))
    }

    pub(super) async fn put(
        &self,
        open: &mut Open,
        slot: usize,
        field: &BulkField,
    ) -> Result<(), CopyError> {
        let rounding = match open.block.recipe {
            // What is computed is rounded at the end.
            Some(_) => Rounding::None,
            None => self.settings.rounding,
        };
        let field = field.clone();
        match &mut open.body {
            Body::Direct(place) if rounding == Rounding::None => *place = Some(field.bytes),
            Body::Direct(place) => {
                let work = move || little_endian(&rounded(&field, rounding));
                *place = Some(on_a_thread(work).await?);
            }
            Body::Assembled(assembly) => {
                let assembly = Arc::clone(assembly);
                let work = move || lock(&assembly).put(slot, &rounded(&field, rounding));
                let put = on_a_thread(work).await?;
                put.map_err(|error| CopyError::Scratch(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Encodes and writes what has come of a block; what has not is noted first.
    pub(super) async fn finish(self: Arc<Self>, open: Open) -> Result<(), CopyError> {
        if let Some(recipe) = &open.block.recipe {
            return self.finish_computed(&open, recipe).await;
        }
        let (_, fields) = self.target(&open.block)?;
        self.note(fields, &open.block, &open.failed).await?;
        let count = open.block.rows.len();
        if open.failed.len() < count + open.block.pending.len() {
            let (rows, columns) = fields.tile_grid();
            let tiles = futures::stream::iter(0..rows * columns).map(|tile| {
                let engine = Arc::clone(&self);
                let source = match &open.body {
                    Body::Direct(field) => Source::Field(field.clone().unwrap_or_default()),
                    Body::Assembled(assembly) => Source::Assembly(Arc::clone(assembly)),
                };
                let key = fields.key(&open.block.at, (tile / columns, tile % columns));
                let number = open.block.target;
                async move {
                    let permit = Arc::clone(&engine.cores).acquire_owned().await;
                    let encoding = Arc::clone(&engine);
                    let work = move || encoding.encode(number, &source, tile);
                    let encoded = on_a_thread(work).await;
                    drop(permit);
                    let encoded = encoded??;
                    engine.write(number, &key, encoded).await
                }
            });
            let at_once = self.cores.available_permits().max(1);
            tiles
                .buffer_unordered(at_once)
                .try_for_each(|()| async { Ok(()) })
                .await?;
        }
        CopyProgress::add(&self.progress.done, count);
        Ok(())
    }

    /// Writes the state where cells of a block are left as fill, or no longer are.
    pub(super) async fn note(
        &self,
        fields: &Fields,
        block: &Block,
        failed: &[(u64, String)],
    ) -> Result<(), CopyError> {
        let (targets, cells) = (self.targets(block), block.cells());
        let name = |path: &str, linear: u64| cell_name(path, fields, linear);
        let (mut here, mut lost) = (Vec::new(), Vec::new());
        for (_, path) in targets {
            if self.ledger.has_holes() {
                here.extend(cells.iter().map(|linear| name(path, *linear)));
            }
            let failed = failed.iter();
            lost.extend(failed.map(|(linear, reason)| (name(path, *linear), reason.clone())));
        }
        CopyProgress::add(&self.progress.missing, lost.len());
        let place = (&self.storage, &self.settings.destination);
        self.ledger.note(here, lost, place).await
    }

    fn encode(&self, number: usize, source: &Source, tile: usize) -> Result<Bytes, CopyError> {
        let target = self.layout.targets.get(number);
        let target = target.ok_or_else(|| CopyError::Internal("no such array".to_owned()))?;
        let encoded = match source {
            Source::Field(field) => target.encoder.encode(field),
            Source::Assembly(assembly) => {
                let values = lock(assembly).take(tile);
                let values = values.map_err(|error| CopyError::Scratch(error.to_string()))?;
                return self.encode_values(number, &values);
            }
        };
        encoded.map_err(|error| CopyError::Layout(error.into()))
    }

    pub(super) fn encode_values(&self, number: usize, values: &[f32]) -> Result<Bytes, CopyError> {
        let target = self.layout.targets.get(number);
        let target = target.ok_or_else(|| CopyError::Internal("no such array".to_owned()))?;
        let encoded = if cfg!(target_endian = "little") {
            target.encoder.encode(bytemuck::cast_slice(values))
        } else {
            target.encoder.encode(&little_endian(values))
        };
        encoded.map_err(|error| CopyError::Layout(error.into()))
    }

    pub(super) async fn write(
        &self,
        number: usize,
        key: &str,
        bytes: Bytes,
    ) -> Result<(), CopyError> {
        let path = self
            .layout
            .targets
            .get(number)
            .map(|target| target.path.as_str());
        let name = format!("{}/{key}", path.unwrap_or_default());
        let place = self.settings.destination.below(&name);
        CopyProgress::add(&self.progress.written, bytes.len());
        self.storage.put_unsettled(&place, bytes).await?;
        Ok(())
    }
}

/// Where the values of a tile are.
enum Source {
    Field(Bytes),
    Assembly(Arc<Mutex<Assembly>>),
}

/// A cell as it is named in the state, the report and the attributes: `t2m[3,0]`.
pub(super) fn cell_name(path: &str, fields: &Fields, linear: u64) -> String {
    let at = chunk_positions(linear, &fields.lead);
    let at: Vec<String> = at.iter().map(u64::to_string).collect();
    format!("{path}[{}]", at.join(","))
}

/// Little-endian bytes as values.
pub(super) fn values(bytes: &[u8]) -> Cow<'_, [f32]> {
    if cfg!(target_endian = "little")
        && let Ok(values) = bytemuck::try_cast_slice(bytes)
    {
        return Cow::Borrowed(values);
    }
    let (items, _) = bytes.as_chunks::<4>();
    Cow::Owned(items.iter().map(|item| f32::from_le_bytes(*item)).collect())
}

/// Values as little-endian bytes.
fn little_endian(values: &[f32]) -> Bytes {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    bytes.collect::<Vec<u8>>().into()
}

/// The values of a field, rounded as asked.
fn rounded(field: &BulkField, rounding: Rounding) -> Cow<'_, [f32]> {
    let mut values = values(&field.bytes);
    if let Some(bits) = rounding.bits(&values, field.step) {
        round(values.to_mut(), bits);
    }
    values
}

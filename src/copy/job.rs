//! A copy from beginning to end: what lies in the destination, the state document, chunks, metadata.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::append::{APPENDED, extend};
use super::codec::fill_element;
use super::count::counted;
use super::derive::{Derivation, derive};
use super::destination::{Company, Destination, Found};
use super::documents::documents;
use super::engine::Engine;
use super::fields::Fields;
use super::layout::{Layout, Target, piece};
use super::parts::Share;
use super::plan;
use super::report::{CopyError, CopyPlan, CopyProgress, CopyReport, MissingCell};
use super::settings::{CopySettings, Parts};
use super::state::State;
use crate::dataset::archive::RowId;
use crate::slices::StoreView;
use crate::storage::{Holders, Storage};
use crate::store::BulkReader;
use crate::zarr::Format;
use crate::zarr::key::chunk_positions;
use crate::zarr::metadata::CONSOLIDATED;
use crate::zarr::metadata_v3;
use crate::zarr::model::{Attributes, Content, Group};

/// Attribute of the root: a number of what was copied, and how.
const COPY: &str = "gribfs_copy";
/// Most cells that the attributes name; all are counted.
const MOST_NAMED: usize = 1000;

/// A copy to be made.
#[derive(Debug)]
pub struct Copy {
    pub(super) settings: CopySettings,
    pub(super) view: StoreView,
    reader: BulkReader,
    pub(super) storage: Storage,
}

impl Copy {
    /// The copy of a slice whose fields `reader` reads; `storage` writes the destination.
    #[must_use]
    pub const fn new(
        settings: CopySettings,
        view: StoreView,
        reader: BulkReader,
        storage: Storage,
    ) -> Self {
        Self {
            settings,
            view,
            reader,
            storage,
        }
    }

    pub(super) fn model(&self) -> Result<Layout, CopyError> {
        let mut root = self.view.hierarchy(self.settings.layout);
        let derived = derive(&mut root, &self.view, &self.settings)?;
        describe(&mut root, &self.settings, &derived);
        let layout = Layout::new(&root, &self.settings, &derived)?;
        if layout.targets.iter().all(|target| target.fields.is_none()) {
            return Err(CopyError::Empty);
        }
        let room = self.settings.memory_bytes / 2;
        for target in &layout.targets {
            let fields = target.fields.as_ref().filter(|fields| fields.slots() > 1);
            let bytes = fields.map_or(0, Fields::file_bytes);
            if bytes > room {
                return Err(CopyError::Selection(format!(
                    "{}: chunk files of {bytes} bytes, not packed, must fit into half of --memory: give --memory {} or smaller --chunks (or --shards)",
                    target.path,
                    bytes.saturating_mul(2)
                )));
            }
        }
        Ok(layout)
    }

    /// What the copy would do, whatever lies in the destination.
    ///
    /// # Errors
    /// [`CopyError`].
    pub async fn plan(&self) -> Result<CopyPlan, CopyError> {
        let seen = self.root_document().await?;
        let mut layout = self.extended(self.model()?, seen.as_ref()).await?.0;
        if let Parts::One(part) = self.settings.parts {
            layout.share = Some(Share::new(part, &layout));
        }
        let mut sum = CopyPlan {
            arrays: fields_of(&layout).count() as u64,
            ..CopyPlan::default()
        };
        // A message is counted once for each portion, but where one portion keeps it for the next.
        let mut seen = HashSet::new();
        for portion in 0..plan::portions(&layout) {
            let blocks = plan::blocks(&self.view, &layout, portion);
            let mut rows: Vec<RowId> = Vec::new();
            for block in &blocks {
                let target = layout.targets.get(block.target);
                let Some(fields) = target.and_then(|target| target.fields.as_ref()) else {
                    continue;
                };
                let (tile_rows, tile_columns) = fields.tile_grid();
                let mut arrays = 1;
                let mut missing = block.pending.len() as u64;
                if let Some(recipe) = &block.recipe {
                    arrays = layout.siblings(block.target).len() as u64;
                    missing = recipe.known_missing() as u64 * arrays;
                }
                let fields_there = block.fields as u64;
                // Chunks of nothing but cells that are known to be missing are not written.
                if block.recipe.is_none() || missing < fields_there {
                    sum.files += (tile_rows * tile_columns) as u64 * arrays;
                }
                let there = match block.recipe {
                    Some(_) => fields_there - missing,
                    None => fields_there,
                };
                sum.fields += there;
                sum.missing += missing;
                sum.raw_bytes += there * fields.points() * 4;
                rows.extend(block.rows.iter().map(|(row, ..)| *row));
            }
            rows.sort_unstable();
            rows.dedup();
            if self.settings.deaccumulate.is_none() {
                seen.clear();
            }
            for place in self.reader.places(&rows).await? {
                if seen.insert((place.object, place.offset)) {
                    sum.messages += 1;
                    sum.message_bytes += place.message_bytes;
                }
            }
        }
        Ok(sum)
    }

    /// Makes the copy, or goes on with one that was begun.
    ///
    /// # Errors
    /// [`CopyError`]. What was written stays, and the same copy goes on there.
    pub async fn run(self, progress: Arc<CopyProgress>) -> Result<CopyReport, CopyError> {
        match self.settings.parts {
            Parts::Whole => self.whole(progress).await,
            Parts::One(part) => self.part(part, progress).await,
            Parts::Finish => self.finish_parts().await,
        }
    }

    async fn whole(self, progress: Arc<CopyProgress>) -> Result<CopyReport, CopyError> {
        let model = self.model()?;
        let _held = self.there().hold(Holders::One).await?;
        // What the layout is made of must still be there when the state says that this process writes.
        let seen = self.root_document().await?;
        let (mut layout, extends) = self.extended(model, seen.as_ref()).await?;
        let plan = identity(&self.settings, &layout);
        let counted = counted(&self.view, &layout);
        if !extends {
            mark(&mut layout.root.attributes, &plan, Some(counted.cells));
        }
        let there = self.there();
        let mut state = match there.look(plan, Some(counted.cells), extends).await? {
            Found::Begun(state) => *state,
            Found::Store if self.settings.resume && self.is_ours(&layout).await? => {
                return Ok(nothing_to_do());
            }
            Found::Store => return Err(self.there().is_taken()),
        };
        let company = if extends {
            Company::Store
        } else {
            Company::None
        };
        let existing = self.there().files(company).await?.chunks;
        let mut report = counted.report;
        let grown = state.outgrown(counted.cells);
        if report.fields == 0 && extends {
            report.nothing_to_do = state.missing.is_empty();
        }
        let engine = self
            .work(layout, (existing, state, grown), &report, progress)
            .await?;
        engine.there().still(engine.settings.format, seen).await?;
        report.kept = engine.run().await?;
        report.written_bytes = engine.progress.written();
        let mut state = engine.ledger.state().await;
        state.cells = Some(counted.cells);
        let ending = Ending {
            storage: &engine.storage,
            settings: &engine.settings,
            layout: &engine.layout,
            extends,
        };
        ending.publish(state, &mut report).await?;
        Ok(report)
    }

    /// Says in the destination what is begun, and makes what does it.
    pub(super) async fn work(
        self,
        layout: Layout,
        (existing, mut state, grown): (HashSet<String>, State, bool),
        report: &CopyReport,
        progress: Arc<CopyProgress>,
    ) -> Result<Arc<Engine>, CopyError> {
        state
            .write(&self.storage, &self.settings.destination)
            .await?;
        CopyProgress::add(
            &progress.fields,
            usize::try_from(report.fields).unwrap_or(usize::MAX),
        );
        Ok(Arc::new(Engine::new(
            self.settings,
            layout,
            self.view,
            self.reader,
            self.storage,
            progress,
            (existing, state, grown),
        )))
    }

    pub(super) const fn there(&self) -> Destination<'_> {
        Destination {
            storage: &self.storage,
            place: &self.settings.destination,
        }
    }

    /// The document that makes a store of what is there, if it is there.
    async fn root_document(&self) -> Result<Option<Bytes>, CopyError> {
        self.there().document(root_name(self.settings.format)).await
    }

    /// Cells that the store has as fill since they could not be had.
    async fn holes(&self) -> Result<BTreeMap<String, String>, CopyError> {
        let state = State::read(&self.storage, &self.settings.destination).await?;
        let finished = state.and_then(Result::ok).filter(|state| state.finished);
        Ok(finished.map(|state| state.missing).unwrap_or_default())
    }

    /// What is to be written, of a store whose root document is `seen`, and whether that extends it.
    async fn extended(
        &self,
        mut layout: Layout,
        seen: Option<&Bytes>,
    ) -> Result<(Layout, bool), CopyError> {
        let format = self.settings.format;
        let (Some(dimension), Some(seen)) = (&self.settings.append, seen) else {
            return Ok((layout, false));
        };
        let root: Value = serde_json::from_slice(seen).map_err(|error| {
            let place = self.settings.destination.below(root_name(format));
            CopyError::Append(format!("{place}: {error}"))
        })?;
        let place = (&self.storage, &self.settings.destination);
        let holes = self.holes().await?;
        extend(&mut layout, &root, format, (dimension, &holes), place).await?;
        if let Some(path) = layout.uneven() {
            return Err(CopyError::Append(format!(
                "{path} has other chunks than the other statistics of its array"
            )));
        }
        Ok((layout, true))
    }

    /// Whether the store in the destination is what this copy would write.
    pub(super) async fn is_ours(&self, layout: &Layout) -> Result<bool, CopyError> {
        let all = documents(&layout.root, &layout.targets, self.settings.format);
        let Some((name, wanted)) = all.last() else {
            return Ok(false);
        };
        Ok(self.there().document(name).await?.as_ref() == Some(wanted))
    }
}

/// Name of the document at the root that makes a store of what is there.
pub(super) const fn root_name(format: Format) -> &'static str {
    match format {
        Format::V2 => CONSOLIDATED,
        Format::V3 => metadata_v3::DOCUMENT,
    }
}

/// Notes in the attributes of a root which copy it is of: of another day the arrays have the same names, shapes and attributes.
pub(super) fn mark(attributes: &mut Attributes, plan: &Value, cells: Option<u64>) {
    let digest = Sha256::digest(format!("{plan} {cells:?}"));
    let digest: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    attributes.insert(COPY.to_owned(), json!(digest));
}

/// What makes chunks a store.
pub(super) struct Ending<'a> {
    pub(super) storage: &'a Storage,
    pub(super) settings: &'a CopySettings,
    pub(super) layout: &'a Layout,
    pub(super) extends: bool,
}

impl Ending<'_> {
    /// Writes coordinates, then the documents, of which the root's comes last.
    pub(super) async fn publish(
        &self,
        mut state: State,
        report: &mut CopyReport,
    ) -> Result<(), CopyError> {
        let (storage, settings) = (self.storage, self.settings);
        let destination = &settings.destination;
        let targets = self.layout.targets.iter();
        for target in targets.filter(|target| target.fields.is_none()) {
            if self.extends && target.grown.is_none() {
                continue;
            }
            for (key, bytes) in coordinate_files(target)? {
                report.written_bytes += bytes.len() as u64;
                let place = destination.below(&key);
                storage.put_unsettled(&place, bytes).await?;
            }
        }
        report.missing = missing(&state);
        storage.settle(destination).await?;
        if state.is_ours() {
            // Nobody else has gone on with it meanwhile.
            state.write(storage, destination).await?;
        }
        let mut root = self.layout.root.clone();
        root.attributes.extend(missing_attributes(&report.missing));
        for (name, bytes) in documents(&root, &self.layout.targets, settings.format) {
            let place = destination.below(&name);
            storage.put(&place, bytes).await?;
        }
        if state.missing.is_empty() {
            State::remove(storage, destination).await?;
        } else {
            state.finish(storage, destination).await?;
        }
        Ok(())
    }
}

pub(super) fn nothing_to_do() -> CopyReport {
    CopyReport {
        nothing_to_do: true,
        ..CopyReport::default()
    }
}

pub(super) fn fields_of(layout: &Layout) -> impl Iterator<Item = &Target> {
    layout
        .targets
        .iter()
        .filter(|target| target.fields.is_some())
}

/// Adds to the attributes of the root and of the arrays how the copy was made.
fn describe(root: &mut Group, settings: &CopySettings, derived: &BTreeMap<String, Derivation>) {
    root.attributes.insert(
        "source".to_owned(),
        json!("GRIB messages, decoded and written by gribfs copy"),
    );
    let Some((name, value)) = settings.rounding.attribute() else {
        return;
    };
    let mut open = vec![(String::new(), root)];
    while let Some((prefix, group)) = open.pop() {
        for array in &mut group.arrays {
            let computed = derived.contains_key(&format!("{prefix}{}", array.name));
            if matches!(array.content, Content::Fields { .. }) && settings.rounding.is_of(computed)
            {
                let attributes = &mut array.attributes;
                attributes.insert(name.to_owned(), value.clone());
            }
        }
        let groups = group.groups.iter_mut();
        open.extend(groups.map(|(name, inner)| (format!("{prefix}{name}/"), inner)));
    }
}

/// Attributes of the root that name the cells that were left as fill.
pub(super) fn missing_attributes(missing: &[MissingCell]) -> Attributes {
    let mut attributes = Attributes::new();
    if !missing.is_empty() {
        let named = missing.iter().take(MOST_NAMED);
        let cells: Vec<&str> = named.map(|cell| cell.cell.as_str()).collect();
        attributes.insert("gribfs_missing_count".to_owned(), json!(missing.len()));
        attributes.insert("gribfs_missing".to_owned(), json!(cells.join(" ")));
    }
    attributes
}

pub(super) fn missing(state: &State) -> Vec<MissingCell> {
    let cells = state.missing.iter();
    cells
        .map(|(cell, reason)| MissingCell {
            cell: cell.clone(),
            reason: reason.clone(),
        })
        .collect()
}

/// What tells one copy from another.
pub(super) fn identity(settings: &CopySettings, layout: &Layout) -> Value {
    let arrays: Vec<Value> = layout
        .targets
        .iter()
        .map(|target| {
            json!({
                "path": target.path,
                "shape": target.array.shape,
                "chunks": target.array.chunks,
                "inner": target.inner_chunks,
            })
        })
        .collect();
    let mut plan = json!({
        "source": settings.source,
        "codec": settings.codec.to_string(),
        "zarr_format": match settings.format { Format::V2 => 2, Format::V3 => 3 },
        "round_bits": settings.rounding.to_string(),
        "arrays": arrays,
        "axes": axes_digest(layout),
    });
    if let Some(plan) = plan.as_object_mut() {
        if let Some(kind) = settings.deaccumulate {
            plan.insert("deaccumulate".to_owned(), json!(kind.to_string()));
        }
        if !layout.appended.is_empty() {
            plan.insert(APPENDED.to_owned(), json!(layout.appended));
        }
    }
    plan
}

/// What the coordinates hold, in short: another day's copy has arrays of the same shapes.
fn axes_digest(layout: &Layout) -> String {
    let mut digest = Sha256::new();
    for target in &layout.targets {
        if let Content::Inline(bytes) = &target.array.content {
            digest.update(target.path.as_bytes());
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        }
    }
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The chunk files of a coordinate, by their names below the root; of one that was made longer, those that hold something new.
pub(super) fn coordinate_files(target: &Target) -> Result<Vec<(String, Bytes)>, CopyError> {
    let whole = match &target.array.content {
        Content::Inline(bytes) => bytes.clone(),
        Content::Deferred(deferred) => deferred.source.make(),
        Content::Fields { .. } => return Ok(Vec::new()),
    };
    let fill = fill_element(&target.array);
    let mut files = Vec::new();
    let grid = target.array.chunk_grid();
    for linear in 0..target.array.chunk_count() {
        if let Some((axis, before)) = target.grown {
            let at = chunk_positions(linear, &grid)
                .get(axis)
                .copied()
                .unwrap_or(0);
            let chunk = target.array.chunks.get(axis).copied().unwrap_or(1);
            if (at + 1) * chunk <= before {
                continue;
            }
        }
        let (key, values) = piece(&target.array, &whole, linear, &fill);
        let encoded = target
            .encoder
            .encode(&values)
            .map_err(|error| CopyError::Layout(error.into()))?;
        files.push((format!("{}/{key}", target.path), encoded));
    }
    Ok(files)
}

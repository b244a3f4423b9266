//! A copy from beginning to end: what lies in the destination, the state document, chunks, metadata.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::append::extend;
use super::codec::fill_element;
use super::count::counted;
use super::derive::{Derivation, derive};
use super::documents::documents;
use super::engine::Engine;
use super::layout::{Layout, Target, piece};
use super::plan;
use super::report::{CopyError, CopyPlan, CopyProgress, CopyReport, MissingCell};
use super::settings::CopySettings;
use super::state::{STATE, State};
use crate::dataset::archive::RowId;
use crate::location::Location;
use crate::slices::StoreView;
use crate::storage::{ErrorKind, Storage};
use crate::store::BulkReader;
use crate::zarr::Format;
use crate::zarr::key::chunk_positions;
use crate::zarr::metadata::{CONSOLIDATED, GROUP};
use crate::zarr::metadata_v3;
use crate::zarr::model::{Content, Group};

/// Largest root document.
const MAX_DOCUMENT: u64 = 256 << 20;
/// Most cells that the attributes name; all are counted.
const MOST_NAMED: usize = 1000;

/// A copy to be made.
#[derive(Debug)]
pub struct Copy {
    settings: CopySettings,
    view: StoreView,
    reader: BulkReader,
    storage: Storage,
}

/// What lies in a destination.
enum Found {
    /// Nothing, or a copy like this one: the state to go on from.
    Begun(State),
    /// A store.
    Store,
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

    fn model(&self) -> Result<Layout, CopyError> {
        let mut root = self.view.hierarchy(self.settings.layout);
        let derived = derive(&mut root, &self.view, &self.settings)?;
        describe(&mut root, &self.settings, &derived);
        let layout = Layout::new(&root, &self.settings, &derived)?;
        if layout.targets.iter().all(|target| target.fields.is_none()) {
            return Err(CopyError::Empty);
        }
        Ok(layout)
    }

    /// What the copy would do, whatever lies in the destination.
    ///
    /// # Errors
    /// [`CopyError`].
    pub async fn plan(&self) -> Result<CopyPlan, CopyError> {
        let layout = self.layout().await?.0;
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
        let (layout, extends) = self.layout().await?;
        let plan = identity(&self.settings, &layout);
        let counted = counted(&self.view, &layout);
        let mut state = match self.look(plan, counted.cells, extends).await? {
            Found::Begun(state) => state,
            Found::Store if self.settings.resume && self.is_ours(&layout).await? => {
                return Ok(CopyReport {
                    nothing_to_do: true,
                    ..CopyReport::default()
                });
            }
            Found::Store => {
                return Err(self.occupied(
                    "is a store already: remove it, extend it with --append DIM, or give --resume if it may be complete",
                ));
            }
        };
        let existing = self.existing(extends).await?;
        let mut report = counted.report;
        let grown = state.cells != Some(counted.cells);
        if grown {
            // As long as chunks of before may be there.
            state.cells = None;
        }
        if report.fields == 0 && extends {
            report.nothing_to_do = state.missing.is_empty();
        }
        state
            .write(&self.storage, &self.settings.destination)
            .await?;
        CopyProgress::add(
            &progress.fields,
            usize::try_from(report.fields).unwrap_or(usize::MAX),
        );
        let engine = Arc::new(Engine::new(
            self.settings,
            layout,
            self.view,
            self.reader,
            self.storage,
            Arc::clone(&progress),
            (existing, state, grown),
        ));
        report.kept = engine.run().await?;
        finish(&engine, counted.cells, extends, &mut report).await?;
        Ok(report)
    }

    /// What is to be written, and whether that extends a store that is there.
    async fn layout(&self) -> Result<(Layout, bool), CopyError> {
        let mut layout = self.model()?;
        let Some(dimension) = &self.settings.append else {
            return Ok((layout, false));
        };
        let format = self.settings.format;
        let name = match format {
            Format::V2 => CONSOLIDATED,
            Format::V3 => metadata_v3::DOCUMENT,
        };
        let Some(bytes) = self.document(name).await? else {
            return Ok((layout, false));
        };
        let root: Value = serde_json::from_slice(&bytes).map_err(|error| {
            CopyError::Append(format!("{}/{name}: {error}", self.settings.destination))
        })?;
        let place = (&self.storage, &self.settings.destination);
        extend(&mut layout, &root, format, dimension, place).await?;
        if let Some(path) = layout.uneven() {
            return Err(CopyError::Append(format!(
                "{path} has other chunks than the other statistics of its array"
            )));
        }
        Ok((layout, true))
    }

    /// What lies in the destination.
    async fn look(&self, plan: Value, cells: u64, extends: bool) -> Result<Found, CopyError> {
        let destination = &self.settings.destination;
        let mut state = State::new(plan, cells);
        match State::read(&self.storage, destination).await? {
            Some(Ok(known)) if known.plan == state.plan => return Ok(Found::Begun(known)),
            Some(Ok(known)) if known.finished && extends => {
                // Cells that were missing then still are.
                state.missing = known.missing;
                return Ok(Found::Begun(state));
            }
            Some(Ok(known)) if known.finished => return Ok(Found::Store),
            Some(Ok(known)) => {
                let what = format!(
                    "holds an unfinished copy of something else ({}): finish that one, or remove it",
                    difference(&known.plan, &state.plan)
                );
                return Err(self.occupied(&what));
            }
            Some(Err(text)) => return Err(self.occupied(&format!("has no sound state: {text}"))),
            None if extends => return Ok(Found::Begun(state)),
            None => {}
        }
        for name in [CONSOLIDATED, GROUP, metadata_v3::DOCUMENT] {
            if self.document(name).await?.is_some() {
                return Ok(Found::Store);
            }
        }
        Ok(Found::Begun(state))
    }

    /// A document of the destination.
    async fn document(&self, name: &str) -> Result<Option<Bytes>, CopyError> {
        let place = self.settings.destination.with_suffix(&format!("/{name}"));
        match self.storage.get_whole(&place, MAX_DOCUMENT).await {
            Ok(fetched) => Ok(Some(fetched.bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the store in the destination is what this copy would write.
    async fn is_ours(&self, layout: &Layout) -> Result<bool, CopyError> {
        let all = documents(&layout.root, &layout.targets, self.settings.format);
        let Some((name, wanted)) = all.last() else {
            return Ok(false);
        };
        Ok(self.document(name).await?.as_ref() == Some(wanted))
    }

    /// Chunk files in the destination, which must hold nothing else, unless it `is_ours`.
    async fn existing(&self, is_ours: bool) -> Result<HashSet<String>, CopyError> {
        let destination = &self.settings.destination;
        let folder = destination.with_suffix("/");
        let path = destination.to_path();
        if path.as_ref().is_some_and(|path| path.is_file()) {
            return Err(self.occupied("is a file: a store is a directory"));
        }
        // A listing of what is not there gives its neighbours of like names.
        if path.is_some_and(|path| !path.exists()) {
            return Ok(HashSet::new());
        }
        let listed = match self.storage.list(&folder).await {
            Ok(listed) => listed,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let own = is_ours || State::read(&self.storage, destination).await?.is_some();
        let mut existing = HashSet::new();
        for file in listed {
            let name = below(destination, &file.location);
            if name == STATE {
                continue;
            }
            if !own {
                return Err(self.occupied(&format!(
                    "is not empty and no copy of gribfs (it holds {name}): give a new place"
                )));
            }
            // What a power failure left is empty.
            if file.size > 0 {
                existing.insert(name);
            }
        }
        Ok(existing)
    }

    fn occupied(&self, what: &str) -> CopyError {
        CopyError::Occupied {
            place: self.settings.destination.to_string(),
            what: what.to_owned(),
        }
    }
}

/// Writes what makes the chunks a store: coordinates, then the documents, of which the root's comes last.
async fn finish(
    engine: &Engine,
    cells: u64,
    extends: bool,
    report: &mut CopyReport,
) -> Result<(), CopyError> {
    let (storage, settings) = (&engine.storage, &engine.settings);
    let destination = &settings.destination;
    for target in engine
        .layout
        .targets
        .iter()
        .filter(|target| target.fields.is_none())
    {
        if extends && target.grown.is_none() {
            continue;
        }
        for (key, bytes) in coordinate_files(target)? {
            CopyProgress::add(&engine.progress.written, bytes.len());
            let place = destination.with_suffix(&key);
            storage.put_unsettled(&place, bytes).await?;
        }
    }
    let mut state = engine.state.lock().await.clone();
    report.missing = missing(&state);
    report.written_bytes = engine.progress.written();
    storage.settle(destination).await?;
    let mut root = engine.layout.root.clone();
    name_missing(&mut root, &report.missing);
    for (name, bytes) in documents(&root, &engine.layout.targets, settings.format) {
        let place = destination.with_suffix(&format!("/{name}"));
        storage.put(&place, bytes).await?;
    }
    if state.missing.is_empty() {
        State::remove(storage, destination).await?;
    } else {
        state.finished = true;
        state.cells = Some(cells);
        state.write(storage, destination).await?;
    }
    Ok(())
}

/// The name of an object below a destination.
fn below(destination: &Location, location: &Location) -> String {
    match (destination.to_path(), location.to_path()) {
        (Some(folder), Some(path)) => path
            .strip_prefix(&folder)
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        _ => location
            .as_str()
            .strip_prefix(destination.as_str())
            .unwrap_or(location.as_str())
            .trim_start_matches('/')
            .to_owned(),
    }
}

fn fields_of(layout: &Layout) -> impl Iterator<Item = &Target> {
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

/// Names the cells that were left as fill in the attributes of the root.
fn name_missing(root: &mut Group, missing: &[MissingCell]) {
    if missing.is_empty() {
        return;
    }
    let cells: Vec<&str> = missing
        .iter()
        .take(MOST_NAMED)
        .map(|cell| cell.cell.as_str())
        .collect();
    root.attributes
        .insert("gribfs_missing_count".to_owned(), json!(missing.len()));
    root.attributes
        .insert("gribfs_missing".to_owned(), json!(cells.join(" ")));
}

fn missing(state: &State) -> Vec<MissingCell> {
    let cells = state.missing.iter();
    cells
        .map(|(cell, reason)| MissingCell {
            cell: cell.clone(),
            reason: reason.clone(),
        })
        .collect()
}

/// What tells one copy from another.
fn identity(settings: &CopySettings, layout: &Layout) -> Value {
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
    if let (Some(kind), Some(plan)) = (settings.deaccumulate, plan.as_object_mut()) {
        plan.insert("deaccumulate".to_owned(), json!(kind.to_string()));
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

/// The first thing in which two copies differ.
fn difference(one: &Value, other: &Value) -> String {
    let keys = [
        "source",
        "codec",
        "zarr_format",
        "round_bits",
        "deaccumulate",
        "arrays",
        "axes",
    ];
    let found = keys.iter().find(|key| one.get(**key) != other.get(**key));
    match found {
        Some(&"arrays") => "its arrays, shapes or chunks are others".to_owned(),
        Some(&"axes") => "its times, levels or other axes are others".to_owned(),
        Some(key) => {
            let text = |value: &Value| value.get(*key).map_or(String::new(), Value::to_string);
            format!("{key} is {}, now {}", text(one), text(other))
        }
        None => "its settings are others".to_owned(),
    }
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
        files.push((format!("/{}/{key}", target.path), encoded));
    }
    Ok(files)
}

//! A copy of a reference set: what the mount shows of it, in other chunks and compressed.
//!
//! Arrays of GRIB messages and of plain numbers are decoded, put into the chunks that are asked for, and encoded. Arrays that somebody else's
//! codecs have coded (NetCDF and HDF5 chunks, Zarr) are copied chunk by chunk as they are, unless something is asked that needs their
//! values, and numcodecs' usual ones are known ([`chain`]); where they are not, that is refused, array by array.
//!
//! `t2m[24 x 721 x 1440]` in chunks `1 x 721 x 1440` of the set, to be written in chunks `8 x 256 x 1440`: a block is 8 chunks of the set,
//! which become 3 chunk files. No chunk belongs to two blocks.

mod blocks;
mod chain;
mod choose;
mod documents;
mod element;
mod engine;
mod pick;
mod plan;
mod windows;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::codec::Codec;
use super::destination::{Company, Destination, Found};
use super::engine::on_a_thread;
use super::job::{missing, nothing_to_do, root_name};
use super::layout::LayoutError;
use super::ledger::Ledger;
use super::report::{CopyError, CopyPlan, CopyProgress, CopyReport, MissingCell};
use super::round::Rounding;
use super::settings::{CopySettings, Parts};
use super::split::{Begun, Gathered, sum};
use super::state::State;
use crate::dataset::BoundingBox;
use crate::refs::{Kind, RefSet, Target};
use crate::storage::{Holders, Storage};
use crate::store::RefReader;
use crate::zarr::Format;
use crate::zarr::metadata::ARRAY;
use blocks::block;
use documents::documents_of;
use engine::{Work, units};
use plan::{Candidate, SetArray};
use windows::cut;

/// Chunks of coordinates of which the identity of a copy knows the bytes or the places.
const MOST_NOTED: usize = 20_000;

/// What of a set is copied, and how that was asked.
#[derive(Clone, Debug, Default)]
pub struct SetChoice {
    /// Names or paths of arrays; `*` and `?` stand for any characters and for one. Empty takes all.
    pub variables: Vec<String>,
    /// The box that is cut out.
    pub bounds: Option<BoundingBox>,
    /// The codec, if one was asked for: what is coded already stays as it is else.
    pub codec: Option<Codec>,
}

/// A copy of a reference set to be made.
#[derive(Debug)]
pub struct SetCopy {
    settings: CopySettings,
    choice: SetChoice,
    reader: Arc<RefReader>,
    storage: Storage,
}

/// What is written.
struct Layout {
    /// Groups: number, path.
    groups: Vec<(usize, String)>,
    arrays: Vec<SetArray>,
}

impl SetCopy {
    /// The copy of the set that `reader` reads; `storage` writes the destination.
    #[must_use]
    pub const fn new(
        settings: CopySettings,
        choice: SetChoice,
        reader: Arc<RefReader>,
        storage: Storage,
    ) -> Self {
        Self {
            settings,
            choice,
            reader,
            storage,
        }
    }

    /// What the copy would do, whatever lies in the destination.
    ///
    /// # Errors
    /// [`CopyError`].
    pub async fn plan(&self) -> Result<CopyPlan, CopyError> {
        let layout = self.layout().await?;
        let set = Arc::clone(self.reader.set());
        on_a_thread(move || {
            let mut sum = CopyPlan {
                arrays: layout.arrays.len() as u64,
                ..CopyPlan::default()
            };
            for array in &layout.arrays {
                let mut took = |number: u64| match set.chunk(array.node, number) {
                    Ok(None) => false,
                    Ok(Some(target)) => {
                        sum.messages += 1;
                        sum.message_bytes += match target {
                            Target::Object { length, .. } => length.unwrap_or(0),
                            Target::Inline(_) | Target::NoTarget => 0,
                        };
                        true
                    }
                    Err(_) => true,
                };
                for number in 0..array.count() {
                    match &array.recoded {
                        None => sum.files += u64::from(took(number)),
                        Some(recoded) => {
                            let block = block(&set, array, recoded, number);
                            for (number, _) in &block.chunks {
                                took(*number);
                            }
                            sum.files += block.files.len() as u64;
                            let file = recoded.files.iter().product::<u64>();
                            sum.raw_bytes +=
                                block.files.len() as u64 * file * recoded.element.bytes as u64;
                        }
                    }
                }
            }
            sum.fields = sum.messages;
            sum
        })
        .await
    }

    /// Makes the copy, or goes on with one that was begun.
    ///
    /// # Errors
    /// [`CopyError`]. What was written stays, and the same copy goes on there.
    pub async fn run(self, progress: Arc<CopyProgress>) -> Result<CopyReport, CopyError> {
        let layout = self.layout().await?;
        let plan = self.identity(&layout).await?;
        let root = self
            .documents((&layout.groups, &layout.arrays), &plan, &[])
            .pop()
            .ok_or(CopyError::Empty)?;
        let again = self.settings.resume.then_some(&root);
        let there = self.there();
        let _held = there
            .hold(match self.settings.parts {
                Parts::Whole | Parts::Finish => Holders::One,
                Parts::One(_) => Holders::Several,
            })
            .await?;
        let seen = there.document(root_name(self.settings.format)).await?;
        let (mut state, existing) = match self.settings.parts {
            Parts::Whole => match there.look(plan, None, false).await? {
                Found::Begun(state) => (*state, there.files(Company::None).await?.chunks),
                Found::Store => {
                    return match again {
                        Some(root) if there.holds(root).await? => Ok(nothing_to_do()),
                        Some(_) | None => Err(there.is_taken()),
                    };
                }
            },
            Parts::One(part) => match there.begin_part(part, &plan, None, again).await? {
                Begun::Complete => return Ok(nothing_to_do()),
                Begun::Part(state, _) if state.finished && state.missing.is_empty() => {
                    return Ok(nothing_to_do());
                }
                Begun::Part(mut state, existing) => {
                    state.finished = false;
                    (*state, existing)
                }
            },
            Parts::Finish => {
                let records = match there.gather(&plan, None, &root).await? {
                    Gathered::Complete(missing) => {
                        return Ok(CopyReport {
                            missing,
                            ..nothing_to_do()
                        });
                    }
                    Gathered::Done(records) => records,
                };
                let mut state = State::new(plan, None);
                let mut report = CopyReport::default();
                sum(&records, &mut state, &mut report);
                report.raw_bytes = total(&layout.arrays);
                let all = (layout.groups.as_slice(), layout.arrays.as_slice());
                self.publish(all, state, &mut report).await?;
                let records = records.into_iter().map(|(part, _)| part);
                there.forget(records).await?;
                return Ok(report);
            }
        };
        state.write(&self.storage, there.place).await?;
        if self.settings.parts == Parts::Whole {
            there.still(self.settings.format, seen).await?;
        }
        let pieces: u64 = layout.arrays.iter().map(SetArray::count).sum();
        let pieces = match self.settings.parts {
            Parts::One(part) => pieces / u64::from(part.of),
            Parts::Whole | Parts::Finish => pieces,
        };
        CopyProgress::add(
            &progress.fields,
            usize::try_from(pieces).unwrap_or(usize::MAX),
        );
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = usize::try_from(units(self.settings.memory_bytes / 2)).unwrap_or(1);
        let work = Arc::new(Work {
            settings: self.settings.clone(),
            reader: Arc::clone(&self.reader),
            storage: self.storage.clone(),
            arrays: layout.arrays,
            progress,
            existing,
            ledger: Ledger::new(state),
            found: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            blocks: Arc::new(Semaphore::new(memory.min(Semaphore::MAX_PERMITS))),
            cores: Arc::new(Semaphore::new(cores)),
        });
        work.run().await?;
        let state = work.ledger.state().await;
        let mut report = CopyReport {
            fields: work.found.load(Relaxed),
            kept: work.kept.load(Relaxed),
            raw_bytes: total(&work.arrays),
            written_bytes: work.progress.written(),
            arrays: work.arrays.len() as u64,
            ..CopyReport::default()
        };
        if let Parts::One(_) = self.settings.parts {
            there.end_part(state, &mut report).await?;
            return Ok(report);
        }
        let all = (layout.groups.as_slice(), work.arrays.as_slice());
        self.publish(all, state, &mut report).await?;
        Ok(report)
    }

    /// Makes a store of the chunks that are there.
    async fn publish(
        &self,
        all: (&[(usize, String)], &[SetArray]),
        mut state: State,
        report: &mut CopyReport,
    ) -> Result<(), CopyError> {
        let there = self.there();
        report.missing = missing(&state);
        report.arrays = all.1.len() as u64;
        self.storage.settle(there.place).await?;
        if state.is_ours() {
            // Nobody else has gone on with it meanwhile.
            state.write(&self.storage, there.place).await?;
        }
        let plan = state.plan.clone();
        for (name, bytes) in self.documents(all, &plan, &report.missing) {
            let place = there.place.below(&name);
            self.storage.put(&place, bytes).await?;
        }
        if state.missing.is_empty() {
            State::remove(&self.storage, there.place).await?;
        } else {
            state.finish(&self.storage, there.place).await?;
        }
        Ok(())
    }

    const fn there(&self) -> Destination<'_> {
        Destination {
            storage: &self.storage,
            place: &self.settings.destination,
        }
    }

    /// The arrays that are written, and how.
    async fn layout(&self) -> Result<Layout, CopyError> {
        let set = self.reader.set();
        let settings = &self.settings;
        if !settings.shards.is_empty() && settings.format == Format::V2 {
            return Err(LayoutError::ShardsOfV2.into());
        }
        if settings.rounding == Rounding::Auto {
            return Err(CopyError::Selection(
                "--round-bits auto is for tables; of a reference set give the bits to keep"
                    .to_owned(),
            ));
        }
        let reached = choose::reached(set);
        let coordinates = choose::coordinates(set, &reached);
        let kept = choose::chosen(set, &reached, &coordinates, &self.choice.variables)?;
        if set.is_deflated() {
            return Err(CopyError::Selection(
                "the set is deflated: its arrays of GRIB have no references".to_owned(),
            ));
        }
        let known: BTreeSet<String> = kept.iter().flat_map(|node| set.dimensions(*node)).collect();
        for (name, _) in settings.chunks.iter().chain(&settings.shards) {
            if !known.contains(name) {
                return Err(LayoutError::NoDimension {
                    name: name.clone(),
                    known: known.into_iter().collect::<Vec<_>>().join(", "),
                }
                .into());
            }
        }
        let windows = self.windows(&kept, &coordinates).await?;
        let mut layout = Layout {
            groups: Vec::new(),
            arrays: Vec::new(),
        };
        for number in kept {
            if set.path(number).split('/').any(is_reserved) {
                return Err(CopyError::Selection(format!(
                    "{}: a store of Zarr has documents of its own by such a name",
                    set.path(number)
                )));
            }
            let Some(candidate) = candidate(set, number, &coordinates) else {
                let path = set.path(number).to_owned();
                layout.groups.push((number, path));
                continue;
            };
            let group = set.nodes.get(number).map_or(0, |node| node.parent);
            let axes = cut(set, &candidate, group, &windows);
            let array = Candidate { axes, ..candidate }.plan(settings, self.choice.codec)?;
            let bytes = array.recoded.as_ref().map_or(0, plan::Recoded::block_bytes);
            if bytes > settings.memory_bytes / 2 {
                return Err(CopyError::Selection(format!(
                    "{}: {bytes} bytes of its values must be in memory at once for these chunks: give --memory {} or other --chunks",
                    array.path,
                    bytes.saturating_mul(2)
                )));
            }
            layout.arrays.push(array);
        }
        let loose = |(number, _): &(usize, String)| {
            set.nodes.get(*number).map_or(0, |node| node.files.len())
        };
        let loose: usize = layout.groups.iter().map(loose).sum();
        if loose > 0 {
            tracing::warn!("{loose} files of the set belong to no array and are not copied");
        }
        if layout.arrays.is_empty() {
            return Err(CopyError::Empty);
        }
        Ok(layout)
    }

    /// What tells one copy from another.
    async fn identity(&self, layout: &Layout) -> Result<Value, CopyError> {
        let settings = &self.settings;
        let arrays: Vec<Value> = layout
            .arrays
            .iter()
            .map(|array| match &array.recoded {
                None => json!({ "path": array.path, "as_it_is": array.info.shape }),
                Some(recoded) => json!({
                    "path": array.path,
                    "shape": recoded.shape,
                    "chunks": recoded.files,
                    "inner": recoded.inner,
                }),
            })
            .collect();
        let mut digest = Sha256::new();
        for array in &layout.arrays {
            digest.update(array.path.as_bytes());
            digest.update(array.zarray.to_string());
            digest.update(json!(array.attributes).to_string());
            if let Some(recoded) = &array.recoded {
                digest.update(format!("{:?}", recoded.axes));
            }
        }
        let set = Arc::clone(self.reader.set());
        let nodes: Vec<usize> = layout.arrays.iter().map(|array| array.node).collect();
        // Another day's set has arrays of the same shapes, and other times or places.
        let places = on_a_thread(move || {
            let mut digest = Sha256::new();
            for node in nodes {
                let mut noted = 0;
                let _unread = set.present(node, 0, &mut |number| {
                    let target = set.chunk(node, number);
                    digest.update(format!("{node} {number} {target:?}"));
                    noted += 1;
                    noted < MOST_NOTED
                });
            }
            digest.finalize()
        });
        digest.update(places.await?);
        let digest: String = digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(json!({
            "source": settings.source,
            "codec": settings.codec.to_string(),
            "zarr_format": match settings.format { Format::V2 => 2, Format::V3 => 3 },
            "round_bits": settings.rounding.to_string(),
            "arrays": arrays,
            "axes": digest,
        }))
    }

    fn documents(
        &self,
        all: (&[(usize, String)], &[SetArray]),
        plan: &Value,
        missing: &[MissingCell],
    ) -> Vec<(String, bytes::Bytes)> {
        documents_of(
            self.reader.set(),
            all,
            self.settings.format,
            (plan, missing),
        )
    }
}

/// Whether a name is one that the documents of a store, or of a copy, may have.
fn is_reserved(name: &str) -> bool {
    [ARRAY, ".zgroup", ".zattrs", ".zmetadata", "zarr.json"].contains(&name)
        || name.starts_with(".gribfs-copy")
}

/// An array of a set, as it is looked at; `None` for groups.
fn candidate(set: &RefSet, number: usize, coordinates: &HashSet<usize>) -> Option<Candidate> {
    let node = set.nodes.get(number)?;
    let Kind::Array { info, .. } = &node.kind else {
        return None;
    };
    let served = node.documents.iter().find(|(name, _)| *name == ARRAY);
    let zarray = served.and_then(|(_, bytes)| serde_json::from_slice(bytes).ok());
    Some(Candidate {
        node: number,
        path: node.path.clone(),
        dimensions: set.dimensions(number),
        attributes: node.attributes.clone(),
        zarray: zarray.unwrap_or_default(),
        info: info.clone(),
        is_coordinate: coordinates.contains(&number),
        axes: None,
    })
}

fn total(arrays: &[SetArray]) -> u64 {
    arrays.iter().map(raw_bytes).fold(0, u64::saturating_add)
}

fn raw_bytes(array: &SetArray) -> u64 {
    let recoded = array.recoded.as_ref();
    recoded.map_or(0, |recoded| plan::bytes_of(&recoded.shape, recoded.element))
}

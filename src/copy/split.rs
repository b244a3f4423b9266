//! The steps of a copy in parts: one process writes the chunks of a part, the last one makes a store of them.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::count::counted;
use super::destination::{Company, Destination, difference};
use super::documents::documents;
use super::job::{Copy, Ending, fields_of, identity, mark, missing, nothing_to_do};
use super::layout::Layout;
use super::parts::{Part, Share, lacking};
use super::report::{CopyError, CopyProgress, CopyReport, MissingCell};
use super::state::{Counts, State};
use crate::storage::Holders;

/// Records of parts that are read at once.
const RECORDS_AT_ONCE: usize = 32;

/// What a part finds when it begins.
pub(super) enum Begun {
    /// The store is there already.
    Complete,
    /// Its record, and the chunk files that lie there.
    Part(Box<State>, HashSet<String>),
}

/// What the last step finds.
pub(super) enum Gathered {
    /// The store is there already, with these cells left as fill.
    Complete(Vec<MissingCell>),
    /// All parts are done: their records.
    Done(Vec<(Part, State)>),
}

impl Destination<'_> {
    /// Looks what lies there for a part of the copy whose identity is `plan`; `root` is the document that makes it a store, where a
    /// store that is there already is no error.
    pub(super) async fn begin_part(
        &self,
        part: Part,
        plan: &Value,
        cells: Option<u64>,
        root: Option<&(String, Bytes)>,
    ) -> Result<Begun, CopyError> {
        if self.is_store().await? {
            return match root {
                Some(root) if self.holds(root).await? => Ok(Begun::Complete),
                Some(_) | None => Err(self.is_taken()),
            };
        }
        let (name, files) = (part.record(), self.files(Company::Parts).await?);
        if let Some(other) = files.parts.iter().find(|other| other.of != part.of) {
            return Err(self.occupied(&format!(
                "holds a copy in {} parts: go on with those, or remove it",
                other.of
            )));
        }
        // One of the records stands for all: the last step compares each.
        let known = files.parts.iter().find(|known| **known == part);
        let known = known.or(files.parts.first()).map(|known| known.record());
        let mut state = State::new(of_parts(plan, part.of), cells);
        if let Some(known) = known {
            match State::read_named(self.storage, self.place, &known).await? {
                Some(Ok(found)) if found.plan != state.plan => {
                    return Err(self.occupied(&format!(
                        "holds parts of a copy of something else ({}): finish that one, or remove it",
                        difference(&found.plan, &state.plan)
                    )));
                }
                Some(Ok(found)) if known == name => state = found,
                Some(Err(text)) if known == name => {
                    return Err(self.occupied(&format!("has no sound record: {text}")));
                }
                Some(_) | None => {}
            }
        }
        state.name = Some(name);
        Ok(Begun::Part(Box::new(state), files.chunks))
    }

    /// Notes that a part is done.
    pub(super) async fn end_part(
        &self,
        mut state: State,
        report: &mut CopyReport,
    ) -> Result<(), CopyError> {
        self.storage.settle(self.place).await?;
        report.missing = missing(&state);
        state.counts = Some(Counts {
            fields: report.fields,
            raw_bytes: report.raw_bytes,
            written_bytes: report.written_bytes,
        });
        state.finish(self.storage, self.place).await
    }

    /// Looks whether all parts of a copy are done; `root` is the document that makes it a store.
    pub(super) async fn gather(
        &self,
        plan: &Value,
        cells: Option<u64>,
        root: &(String, Bytes),
    ) -> Result<Gathered, CopyError> {
        if let Some(missing) = self.finished(plan, cells, root).await? {
            // Records go after the store is there: a process that ended meanwhile left some.
            let left = self.list().await?;
            self.forget(left.iter().filter_map(|(name, _)| Part::of_record(name)))
                .await?;
            return Ok(Gathered::Complete(missing));
        }
        let files = self.files(Company::Parts).await?;
        let Some(first) = files.parts.first() else {
            return Err(CopyError::Parts(format!(
                "{} holds no part of a copy: make its parts with --part 1/N to N/N",
                self.place
            )));
        };
        let of = first.of;
        if let Some(other) = files.parts.iter().find(|other| other.of != of) {
            return Err(self.occupied(&format!(
                "holds parts of two copies, in {of} and in {} parts: remove it",
                other.of
            )));
        }
        let records = self.records(&files.parts, &of_parts(plan, of)).await?;
        let Some(lacking) = lacking(of, &records) else {
            return Ok(Gathered::Done(records));
        };
        Err(CopyError::Parts(format!("{}: {lacking}", self.place)))
    }

    /// The records of parts, which must be of the copy that `plan` tells.
    async fn records(&self, parts: &[Part], plan: &Value) -> Result<Vec<(Part, State)>, CopyError> {
        let mut reads = futures::stream::iter(parts)
            .map(async |part| {
                let name = part.record();
                let read = State::read_named(self.storage, self.place, &name).await;
                (*part, read)
            })
            .buffered(RECORDS_AT_ONCE);
        let mut records = Vec::new();
        while let Some((part, read)) = reads.next().await {
            match read? {
                Some(Ok(state)) if state.plan == *plan => records.push((part, state)),
                Some(Ok(state)) => {
                    return Err(self.occupied(&format!(
                        "holds parts of a copy of something else ({}): give the flags of its parts, or remove it",
                        difference(&state.plan, plan)
                    )));
                }
                Some(Err(text)) => {
                    return Err(self.occupied(&format!("has no sound record: {text}")));
                }
                None => {}
            }
        }
        Ok(records)
    }

    /// The cells left as fill of the store that is there as this copy writes it.
    async fn finished(
        &self,
        plan: &Value,
        cells: Option<u64>,
        root: &(String, Bytes),
    ) -> Result<Option<Vec<MissingCell>>, CopyError> {
        if self.holds(root).await? {
            return Ok(Some(Vec::new()));
        }
        let state = State::read(self.storage, self.place).await?;
        let known = state.and_then(Result::ok).filter(|state| state.finished);
        let same = known.filter(|state| state.plan == *plan && state.cells == cells);
        Ok(same.map(|state| missing(&state)))
    }

    /// Whether a document is there as it is given.
    pub(super) async fn holds(&self, (name, wanted): &(String, Bytes)) -> Result<bool, CopyError> {
        Ok(self.document(name).await?.as_ref() == Some(wanted))
    }

    /// Removes the records of parts.
    pub(super) async fn forget(
        &self,
        records: impl IntoIterator<Item = Part>,
    ) -> Result<(), CopyError> {
        for part in records {
            let record = self.place.below(&part.record());
            self.storage.remove(&record).await?;
        }
        Ok(())
    }
}

/// Adds what parts did to the report of the whole; gives all that is missing.
pub(super) fn sum(records: &[(Part, State)], state: &mut State, report: &mut CopyReport) {
    for (_, record) in records {
        state.missing.extend(record.missing.clone());
        let counts = record.counts.unwrap_or_default();
        report.fields += counts.fields;
        report.raw_bytes += counts.raw_bytes;
        report.written_bytes += counts.written_bytes;
    }
}

/// What tells one copy in so many parts from another.
fn of_parts(plan: &Value, of: u32) -> Value {
    let mut plan = plan.clone();
    if let Some(members) = plan.as_object_mut() {
        members.insert("parts".to_owned(), json!(of));
    }
    plan
}

impl Copy {
    /// Writes the chunks of one part, and that they are written.
    pub(super) async fn part(
        self,
        part: Part,
        progress: Arc<CopyProgress>,
    ) -> Result<CopyReport, CopyError> {
        let mut layout = self.model()?;
        let plan = identity(&self.settings, &layout);
        let mut root = None;
        if self.settings.resume {
            let cells = counted(&self.view, &layout).cells;
            mark(&mut layout.root.attributes, &plan, Some(cells));
            root = self.root(&layout);
        }
        layout.share = Some(Share::new(part, &layout));
        let counted = counted(&self.view, &layout);
        let there = self.there();
        let _held = there.hold(Holders::Several).await?;
        let begun = there.begin_part(part, &plan, Some(counted.cells), root.as_ref());
        let (mut state, existing) = match begun.await? {
            Begun::Complete => return Ok(nothing_to_do()),
            Begun::Part(state, existing) => (*state, existing),
        };
        let mut report = counted.report;
        let grown = state.outgrown(counted.cells);
        if state.finished && state.missing.is_empty() && !grown {
            report.nothing_to_do = true;
            return Ok(report);
        }
        state.finished = false;
        let engine = self
            .work(layout, (existing, state, grown), &report, progress)
            .await?;
        report.kept = engine.run().await?;
        report.written_bytes = engine.progress.written();
        let mut state = engine.ledger.state().await;
        state.cells = Some(counted.cells);
        engine.there().end_part(state, &mut report).await?;
        Ok(report)
    }

    /// Makes a store of parts that are all done.
    pub(super) async fn finish_parts(self) -> Result<CopyReport, CopyError> {
        let mut layout = self.model()?;
        let plan = identity(&self.settings, &layout);
        let cells = counted(&self.view, &layout).cells;
        mark(&mut layout.root.attributes, &plan, Some(cells));
        let root = self.root(&layout).ok_or(CopyError::Empty)?;
        let _held = self.there().hold(Holders::One).await?;
        let records = match self.there().gather(&plan, Some(cells), &root).await? {
            Gathered::Complete(missing) => {
                return Ok(CopyReport {
                    missing,
                    ..nothing_to_do()
                });
            }
            Gathered::Done(records) => records,
        };
        self.is_of_now(&mut layout, &records)?;
        let mut state = State::new(plan, Some(cells));
        let mut report = CopyReport {
            arrays: fields_of(&layout).count() as u64,
            ..CopyReport::default()
        };
        sum(&records, &mut state, &mut report);
        let ending = Ending {
            storage: &self.storage,
            settings: &self.settings,
            layout: &layout,
            extends: false,
        };
        ending.publish(state, &mut report).await?;
        let records = records.into_iter().map(|(part, _)| part);
        self.there().forget(records).await?;
        Ok(report)
    }

    /// Refuses parts that were made before the table had what it has now: the store would lack that, and nothing would tell.
    fn is_of_now(&self, layout: &mut Layout, records: &[(Part, State)]) -> Result<(), CopyError> {
        let mut old = Vec::new();
        for (part, state) in records {
            layout.share = Some(Share::new(*part, layout));
            if state.cells != Some(counted(&self.view, layout).cells) {
                old.push(part.to_string());
            }
        }
        layout.share = None;
        if old.is_empty() {
            return Ok(());
        }
        let (place, old) = (&self.settings.destination, old.join(", "));
        Err(CopyError::Parts(format!(
            "{place}: the table has grown since some parts were made; make them again, which adds what is new: {old}"
        )))
    }

    /// The document that makes a store of what is written, if nothing is missing.
    fn root(&self, layout: &Layout) -> Option<(String, Bytes)> {
        documents(&layout.root, &layout.targets, self.settings.format).pop()
    }
}

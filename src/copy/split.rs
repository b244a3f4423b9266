//! The steps of a copy in parts: one process writes the chunks of a part, the last one makes a store of them.

use std::sync::Arc;

use futures::StreamExt as _;
use serde_json::{Value, json};

use super::destination::{Company, Files, difference};
use super::job::{Copy, Ending, counted, fields_of, identity, missing, nothing_to_do};
use super::layout::Layout;
use super::parts::{Part, Share, lacking};
use super::report::{CopyError, CopyProgress, CopyReport};
use super::settings::CopySettings;
use super::state::{Counts, State};

/// Records of parts that are read at once.
const RECORDS_AT_ONCE: usize = 32;

impl Copy {
    /// Writes the chunks of one part, and that they are written.
    pub(super) async fn part(
        self,
        part: Part,
        progress: Arc<CopyProgress>,
    ) -> Result<CopyReport, CopyError> {
        let mut layout = self.model()?;
        layout.share = Some(Share::new(part, &layout));
        let plan = identity_of_parts(&self.settings, &layout, part.of);
        let there = self.there();
        if there.is_store().await? {
            if self.settings.resume && self.is_ours(&layout).await? {
                return Ok(nothing_to_do());
            }
            return Err(there.is_taken());
        }
        let (name, files) = (part.record(), there.files(Company::Parts).await?);
        if let Some(other) = files.parts.iter().find(|other| other.of != part.of) {
            return Err(there.occupied(&format!(
                "holds a copy in {} parts: go on with those, or remove it",
                other.of
            )));
        }
        // One of the records stands for all: the last step compares each.
        let known = files.parts.iter().find(|known| **known == part);
        let known = known.or(files.parts.first()).map(|known| known.record());
        let mut state = State::new(plan);
        if let Some(known) = known {
            let found = State::read_named(&self.storage, there.place, &known).await?;
            match found {
                Some(Ok(found)) if found.plan != state.plan => {
                    return Err(there.occupied(&format!(
                        "holds parts of a copy of something else ({}): finish that one, or remove it",
                        difference(&found.plan, &state.plan)
                    )));
                }
                Some(Ok(found)) if known == name => state = found,
                Some(Err(text)) if known == name => {
                    return Err(there.occupied(&format!("has no sound record: {text}")));
                }
                Some(_) | None => {}
            }
        }
        let mut report = counted(&self.view, &layout);
        if state.finished && state.missing.is_empty() {
            report.nothing_to_do = true;
            return Ok(report);
        }
        state.name = Some(name);
        state.finished = false;
        let engine = self
            .work(layout, (files.chunks, state), &report, progress)
            .await?;
        report.kept = engine.run().await?;
        report.written_bytes = engine.progress.written();
        let destination = &engine.settings.destination;
        engine.storage.settle(destination).await?;
        let mut state = engine.state.lock().await.clone();
        report.missing = missing(&state);
        state.finished = true;
        state.counts = Some(Counts {
            fields: report.fields,
            raw_bytes: report.raw_bytes,
            written_bytes: report.written_bytes,
        });
        state.write(&engine.storage, destination).await?;
        Ok(report)
    }

    /// Makes a store of parts that are all done.
    pub(super) async fn finish_parts(self) -> Result<CopyReport, CopyError> {
        let layout = self.model()?;
        let there = self.there();
        let files = there.files(Company::Parts).await;
        let files = match files {
            Err(CopyError::Occupied { .. }) if self.is_finished(&layout).await? => Files::default(),
            other => other?,
        };
        let Some(first) = files.parts.first() else {
            if self.is_finished(&layout).await? {
                return Ok(nothing_to_do());
            }
            return Err(CopyError::Parts(format!(
                "{} holds no part of a copy: make its parts with --part 1/N to N/N",
                there.place
            )));
        };
        let of = first.of;
        if let Some(other) = files.parts.iter().find(|other| other.of != of) {
            return Err(there.occupied(&format!(
                "holds parts of two copies, in {of} and in {} parts: remove it",
                other.of
            )));
        }
        let plan = identity_of_parts(&self.settings, &layout, of);
        let records = self.records(&files.parts, &plan).await?;
        if let Some(lacking) = lacking(of, &records) {
            // Records go after the store is there: a process that ended meanwhile left some.
            let all_done = records.iter().all(|(_, state)| state.finished);
            if all_done && self.is_finished(&layout).await? {
                self.forget(&files.parts).await?;
                return Ok(nothing_to_do());
            }
            return Err(CopyError::Parts(format!("{}: {lacking}", there.place)));
        }
        let mut state = State::new(identity(&self.settings, &layout));
        let mut report = CopyReport {
            arrays: fields_of(&layout).count() as u64,
            ..CopyReport::default()
        };
        for (_, record) in records {
            state.missing.extend(record.missing);
            let counts = record.counts.unwrap_or_default();
            report.fields += counts.fields;
            report.raw_bytes += counts.raw_bytes;
            report.written_bytes += counts.written_bytes;
        }
        let ending = Ending {
            storage: &self.storage,
            settings: &self.settings,
            layout: &layout,
            extends: false,
        };
        ending.publish(state, &mut report).await?;
        self.forget(&files.parts).await?;
        Ok(report)
    }

    /// The records of parts, which must be of the copy that `plan` tells.
    async fn records(&self, parts: &[Part], plan: &Value) -> Result<Vec<(Part, State)>, CopyError> {
        let there = self.there();
        let mut reads = futures::stream::iter(parts)
            .map(async |part| {
                let name = part.record();
                (
                    *part,
                    State::read_named(there.storage, there.place, &name).await,
                )
            })
            .buffered(RECORDS_AT_ONCE);
        let mut records = Vec::new();
        while let Some((part, read)) = reads.next().await {
            match read? {
                Some(Ok(state)) if state.plan == *plan => records.push((part, state)),
                Some(Ok(state)) => {
                    return Err(there.occupied(&format!(
                        "holds parts of a copy of something else ({}): give the flags of its parts, or remove it",
                        difference(&state.plan, plan)
                    )));
                }
                Some(Err(text)) => {
                    return Err(there.occupied(&format!("has no sound record: {text}")));
                }
                None => {}
            }
        }
        Ok(records)
    }

    /// Whether the store is there as this copy writes it, or with cells left as fill.
    async fn is_finished(&self, layout: &Layout) -> Result<bool, CopyError> {
        if self.is_ours(layout).await? {
            return Ok(true);
        }
        let plan = identity(&self.settings, layout);
        let state = State::read(&self.storage, &self.settings.destination).await?;
        Ok(matches!(state, Some(Ok(state)) if state.finished && state.plan == plan))
    }

    /// Removes the records of parts.
    async fn forget(&self, parts: &[Part]) -> Result<(), CopyError> {
        let there = self.there();
        for part in parts {
            let record = there.place.with_suffix(&format!("/{}", part.record()));
            there.storage.remove(&record).await?;
        }
        Ok(())
    }
}

/// What tells one copy in parts from another.
fn identity_of_parts(settings: &CopySettings, layout: &Layout, of: u32) -> Value {
    let mut plan = identity(settings, layout);
    if let Some(members) = plan.as_object_mut() {
        members.insert("parts".to_owned(), json!(of));
    }
    plan
}

//! The references of a set, one by one, in bounded memory whatever the set says that it holds.

use std::sync::Arc;

use futures::StreamExt as _;

use super::report::Report;
use super::{AT_ONCE, stride};
use crate::cli::progress::{Bar, Steps};
use crate::refs::{ArrayInfo, RefSet, RefsError, Target};
use crate::storage::Storage;
use crate::store::{RefKey, RefReadError, RefReader};

/// References that are listed at once.
const BATCH: usize = 1 << 16;

/// Looks at the references of a set, or at about `sample` of them.
pub(super) async fn set(reader: &Arc<RefReader>, sample: Option<u64>, storage: &Storage) -> Report {
    let set = Arc::clone(reader.set());
    let total: u64 = set
        .arrays()
        .map(|(_, _, info)| info.chunk_count())
        .fold(0, u64::saturating_add);
    let every = stride(total, sample);
    let steps = Steps::of(total.div_ceil(every));
    let _bar = Bar::show("reference", Arc::clone(&steps), storage);
    let mut check = Check {
        reader,
        set: &set,
        report: Report {
            defects: set.defects.clone(),
            defect_counts: set.defect_counts.clone(),
            ..Report::default()
        },
        steps: &steps,
    };
    let mut passed = 0_u64;
    // Phase of the sample, carried from array to array.
    let mut skip = 0_u64;
    for (node, array, info) in set.arrays() {
        let array = Array {
            node,
            path: &array.path,
            info,
        };
        let count = info.chunk_count();
        if every == 1 {
            check.all(&array).await;
        } else if let Some(rest) = count.checked_sub(skip).filter(|rest| *rest > 0) {
            let taken = rest.div_ceil(every);
            let numbers = (0..taken).map(|at| skip + at * every);
            check.some(&array, numbers).await;
            skip = skip.saturating_add(taken.saturating_mul(every)) - count;
        } else {
            skip -= count;
        }
        // Of what has no reference nothing is to be looked at.
        passed = passed.saturating_add(count);
        steps.reach(passed / every);
    }
    check.report
}

struct Array<'a> {
    node: usize,
    path: &'a str,
    info: &'a ArrayInfo,
}

impl Array<'_> {
    fn at(&self, number: u64) -> String {
        format!("{}/{}", self.path, self.info.chunk_name(number))
    }
}

struct Check<'a> {
    reader: &'a Arc<RefReader>,
    set: &'a Arc<RefSet>,
    report: Report,
    steps: &'a Steps,
}

impl Check<'_> {
    /// All chunks of an array that have references, and those that must have one.
    async fn all(&mut self, array: &Array<'_>) {
        let mut next = 0;
        loop {
            let (batch, failed) = self.batch(array.node, next).await;
            for number in &batch {
                self.missing(array, next, *number);
                next = number + 1;
            }
            let is_last = batch.len() < BATCH;
            self.some(array, batch.into_iter()).await;
            if let Some(error) = failed {
                let found = ("dead".to_owned(), error.to_string());
                return self.report.add(array.path, array.path, Err(found));
            }
            if is_last {
                return self.missing(array, next, array.info.chunk_count());
            }
        }
    }

    /// Numbers of the next chunks that have references, and why there are no more where that is not known. Records are read on a thread
    /// for that.
    async fn batch(&self, node: usize, from: u64) -> (Vec<u64>, Option<RefsError>) {
        let set = Arc::clone(self.set);
        let listed = tokio::task::spawn_blocking(move || {
            let mut batch = Vec::new();
            let told = set.present(node, from, &mut |number| {
                batch.push(number);
                batch.len() < BATCH
            });
            (batch, told.err())
        });
        listed
            .await
            .unwrap_or_else(|panic| (Vec::new(), Some(RefsError::Read(panic.to_string()))))
    }

    /// Chunks from `from` to before `to` have no reference.
    fn missing(&mut self, array: &Array<'_>, from: u64, to: u64) {
        if array.info.must_be_whole && from < to {
            self.report.missing(array.path, &array.at(from), to - from);
        }
    }

    /// Chunks by their numbers, as far as they have references or must have one.
    async fn some(&mut self, array: &Array<'_>, numbers: impl Iterator<Item = u64>) {
        let (must, due) = (array.info.must_be_whole, array.info.chunk_bytes());
        let mut outcomes = futures::stream::iter(numbers)
            .map(|number| {
                let (reader, set, node) = (self.reader, self.set, array.node);
                async move {
                    let is_absent = !must && matches!(set.chunk(node, number), Ok(None));
                    let outcome = if is_absent {
                        None
                    } else {
                        Some(reader.fetch(RefKey::Chunk(node, number)).await)
                    };
                    (number, outcome)
                }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((number, outcome)) = outcomes.next().await {
            self.steps.step();
            let Some(outcome) = outcome else { continue };
            let outcome = match outcome {
                Ok(bytes) => match due {
                    Some(due) if due != bytes.len() as u64 => Err((
                        "broken".to_owned(),
                        format!("{} bytes where {due} are due", bytes.len()),
                    )),
                    _ => Ok(()),
                },
                Err(error) => {
                    if let RefReadError::Refused(_) = &error
                        && let Ok(Some(Target::Object { url, .. })) =
                            self.set.chunk(array.node, number)
                    {
                        self.report.leads_to(&url);
                    }
                    Err((error.word().to_owned(), error.to_string()))
                }
            };
            self.report.add(array.path, &array.at(number), outcome);
        }
    }
}

//! The last failures, for the status file.

use std::collections::VecDeque;

use super::failure::FailureKind;

/// How many failures are remembered.
const KEPT: usize = 32;

/// A failure that a reader was told of.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When it last happened, seconds since 1970.
    pub at_seconds: i64,
    /// Kind.
    pub kind: FailureKind,
    /// What failed, where and why.
    pub message: String,
    /// How often in a row.
    pub count: u64,
}

/// The most recent failures, the newest last; equal ones in a row are counted.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    recent: VecDeque<Failure>,
    total: u64,
}

impl FailureLog {
    pub(super) fn push(&mut self, at_seconds: i64, kind: FailureKind, message: &str) {
        self.total += 1;
        if let Some(last) = self
            .recent
            .back_mut()
            .filter(|last| last.message == message)
        {
            last.count += 1;
            last.at_seconds = at_seconds;
            return;
        }
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(Failure {
            at_seconds,
            kind,
            message: message.to_owned(),
            count: 1,
        });
    }

    pub(super) fn recent(&self) -> Vec<Failure> {
        self.recent.iter().cloned().collect()
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

//! One operation under way: what was asked for, until when, and what has happened so far.
//!
//! `object_store` stands between the operation and its HTTP requests and has no place for such facts, so they travel beside
//! it as a task-local: [`Call::run`] sets it, [`wire`](super::wire) reads it. When the deadline strikes, the call still
//! knows how many requests were sent and what the last one met.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::{ErrorKind, Failure, Fault, Operation, StorageError};
use super::standing::Standing;
use crate::location::Location;

tokio::task_local! {
    static CURRENT: Arc<Call>;
}

/// One operation and its story.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) location: Location,
    /// Bodies larger than this are not read.
    pub(super) max_bytes: u64,
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    /// Another origin has the object too, so this one is not asked for long.
    pub(super) has_alternative: bool,
    story: Mutex<Story>,
}

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) requests: u32,
    /// The failure that ended the operation.
    pub(super) fault: Option<Fault>,
    /// What the last failed attempt met, for the message of a timeout.
    pub(super) last_cause: Option<String>,
    /// Status and words of the last answer that was no success and is not tried again.
    pub(super) refusal: Option<(u16, String)>,
    /// The region that S3 named when asked in another.
    pub(super) region: Option<String>,
    /// When the request under way was sent, and whether its answer has begun.
    pub(super) sent: Option<(Instant, bool)>,
    /// The server answered the range without telling the object's size.
    pub(super) size_unknown: bool,
}

impl Call {
    pub(super) fn new(
        operation: Operation,
        location: &Location,
        timeout: Duration,
        max_bytes: u64,
    ) -> Arc<Self> {
        Self::for_place(operation, location, timeout, max_bytes, false)
    }

    /// The call of one of several places of an object.
    pub(super) fn for_place(
        operation: Operation,
        location: &Location,
        timeout: Duration,
        max_bytes: u64,
        has_alternative: bool,
    ) -> Arc<Self> {
        let started = Instant::now();
        Arc::new(Self {
            operation,
            location: location.clone(),
            max_bytes,
            started,
            // A timeout beyond the clock's end is none; a century is the same to a reader.
            deadline: started
                .checked_add(timeout)
                .unwrap_or_else(|| started + Duration::from_secs(3_155_760_000)),
            has_alternative,
            story: Mutex::default(),
        })
    }

    /// The call that the running task works for.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Runs `work` as this call, until it ends or the deadline strikes.
    ///
    /// # Errors
    /// What `work` returns, or [`ErrorKind::TimedOut`].
    pub(super) async fn run<T>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, StorageError> {
        let scoped = CURRENT.scope(Arc::clone(self), work);
        match tokio::time::timeout_at(self.deadline.into(), scoped).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(fault)) => Err(self.failed(fault)),
            Err(_) => {
                let limit = self.deadline - self.started;
                let cause = match self.story().last_cause.take() {
                    Some(last) => {
                        format!("not done within {:.1} s; last: {last}", limit.as_secs_f64())
                    }
                    None => format!("no answer within {:.1} s", limit.as_secs_f64()),
                };
                Err(self.failed(Fault::new(ErrorKind::TimedOut, cause).advising("see --timeout")))
            }
        }
    }

    /// Requests sent so far.
    pub(super) fn requests(&self) -> u32 {
        self.story().requests
    }

    /// Forgets why what was tried failed, before something else is.
    pub(super) fn forget_refusal(&self) {
        let mut story = self.story();
        story.fault = None;
        story.refusal = None;
    }

    /// For how long a request has been out without an answer.
    pub(super) fn silent_for(&self) -> Option<Duration> {
        match self.story().sent {
            Some((at, false)) => Some(at.elapsed()),
            Some((_, true)) | None => None,
        }
    }

    /// Waits until the request under way is overdue by the standing of its origin: true; or has an answer: false. Time in the
    /// queue for a place among the origin's requests does not count.
    pub(super) async fn is_overdue(&self, standing: &Standing) -> bool {
        let patience = standing.hedge_after();
        loop {
            let sent = self.story().sent;
            let due = match sent {
                Some((_, true)) => return false,
                Some((at, false)) => at.checked_add(patience),
                None => Instant::now().checked_add(patience),
            };
            let Some(due) = due else { return false };
            if due <= Instant::now() {
                return true;
            }
            tokio::time::sleep_until(due.into()).await;
        }
    }

    /// The error of this call for a fault.
    pub(super) fn failed(&self, fault: Fault) -> StorageError {
        StorageError::new(Failure {
            fault,
            operation: self.operation,
            location: Some(self.location.clone()),
            requests: self.story().requests,
            elapsed: self.started.elapsed(),
        })
    }

    pub(super) fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Failed reads in the log: what is wrong is said once, how often it came again after a while.
//!
//! A server that is down fails thousands of reads alike. The first failure of an object of the archive of each kind is a
//! line; those that follow are counted, and a line after ten seconds tells how many and what the last one said. While it goes on
//! such lines come less and less often, down to one in ten minutes; what has been quiet for so long is news when it comes back.
//!
//! Knows failures and the log. Knows no replies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{Level, debug, error, warn};

use super::errno;
use crate::sync::lock;
use crate::vfs::tree::{FailureKind, Inode, ReadFailure};

/// When repetitions are told first; each time twice as late as the time before.
const FIRST_TELLING: Duration = Duration::from_secs(10);
/// The longest that repetitions go untold.
const LAST_TELLING: Duration = Duration::from_secs(600);
/// Causes that are followed at once; those beyond are logged each time.
const FOLLOWED: usize = 1024;

/// Kind of failure and the object that fails; the file of the mount where no object is to blame.
type Cause = (FailureKind, Arc<str>);

/// Writes failed reads to the log.
#[derive(Debug)]
pub(super) struct FailureLog {
    runtime: Handle,
    first_telling: Duration,
    causes: Arc<Mutex<HashMap<Cause, Repeated>>>,
}

/// What came again since it was last told.
#[derive(Debug, Default)]
struct Repeated {
    count: u64,
    last: String,
}

impl FailureLog {
    /// A log whose later lines are written from `runtime`.
    pub(super) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            first_telling: FIRST_TELLING,
            causes: Arc::default(),
        }
    }

    /// Logs a failure, or counts it.
    pub(super) fn note(&self, inode: Inode, failure: &ReadFailure) {
        if self.is_news(inode, failure) {
            say(
                failure.kind,
                format_args!("inode {inode}: {}", failure.message),
            );
        } else {
            debug!(inode, "again: {failure}");
        }
    }

    fn is_news(&self, inode: Inode, failure: &ReadFailure) -> bool {
        let about = match &failure.object {
            Some(object) => Arc::clone(object),
            None => format!("inode {inode}").into(),
        };
        let cause = (failure.kind, about);
        let mut causes = lock(&self.causes);
        if let Some(repeated) = causes.get_mut(&cause) {
            repeated.count += 1;
            repeated.last.clone_from(&failure.message);
            return false;
        }
        if causes.len() < FOLLOWED {
            causes.insert(cause.clone(), Repeated::default());
            let causes = Arc::clone(&self.causes);
            drop(
                self.runtime
                    .spawn(follow(causes, cause, self.first_telling)),
            );
        }
        true
    }
}

/// Tells of repetitions until there are none.
async fn follow(causes: Arc<Mutex<HashMap<Cause, Repeated>>>, cause: Cause, mut wait: Duration) {
    let mut told = Instant::now();
    loop {
        tokio::time::sleep_until(told + wait).await;
        let repeated = {
            let mut causes = lock(&causes);
            let known = causes.get_mut(&cause).map(std::mem::take);
            let Some(repeated) = known.filter(|repeated| repeated.count > 0) else {
                causes.remove(&cause);
                return;
            };
            repeated
        };
        say(
            cause.0,
            format_args!(
                "{}: {} more failures like it in {} s, the last: {}",
                cause.1,
                repeated.count,
                told.elapsed().as_secs(),
                repeated.last
            ),
        );
        told = Instant::now();
        wait = (wait * 2).min(LAST_TELLING);
    }
}

fn say(kind: FailureKind, text: std::fmt::Arguments<'_>) {
    if errno::level(kind) == Level::ERROR {
        error!(?kind, "{text}");
    } else {
        warn!(?kind, "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: FailureKind, object: Option<&str>) -> ReadFailure {
        ReadFailure {
            kind,
            message: "no".to_owned(),
            object: object.map(Arc::from),
        }
    }

    #[tokio::test]
    async fn a_thousand_failures_of_one_object_are_news_once_until_it_is_quiet() {
        let mut log = FailureLog::new(Handle::current());
        log.first_telling = Duration::from_millis(5);
        let gone = failure(FailureKind::Unavailable, Some("s3://b/k"));
        let news = (0..1000).filter(|inode| log.is_news(*inode, &gone)).count();
        assert_eq!(news, 1);
        for other in [
            failure(FailureKind::Changed, Some("s3://b/k")),
            failure(FailureKind::Unavailable, Some("s3://b/other")),
            failure(FailureKind::Internal, None),
        ] {
            assert!(log.is_news(1, &other));
            assert!(!log.is_news(1, &other));
        }
        assert!(log.is_news(2, &failure(FailureKind::Internal, None)));
        // Told, then quiet for twice as long, then forgotten.
        while !lock(&log.causes).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(log.is_news(1, &gone));
    }

    #[tokio::test]
    async fn what_is_followed_is_bounded() {
        let log = FailureLog::new(Handle::current());
        for inode in 0..10_000 {
            assert!(log.is_news(inode, &failure(FailureKind::Internal, None)));
        }
        assert_eq!(lock(&log.causes).len(), FOLLOWED);
    }
}

//! How many files this process may hold open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// The number of files that may be open, raised first to what the user's hard limit allows: a mount holds its tables open.
#[must_use]
pub fn open_files_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused where it already is as high as it may be.
    let _ = setrlimit(Resource::Nofile, limit);
    let current = getrlimit(Resource::Nofile).current;
    current
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(1024)
}

//! Who reads how much: bytes asked for by each process, so that a walk through a whole archive has a name.
//!
//! What the kernel's page cache answers never comes here, so a file read twice counts once. Processes are told apart by number; one
//! that reads through threads or `fork` is several.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

/// Processes that are told apart at once; of more, those that read least are forgotten.
const KEPT: usize = 256;
/// Processes that the status file shows.
const SHOWN: usize = 16;

/// Readers of a mount.
#[derive(Debug, Default)]
pub struct Usage(Mutex<HashMap<u32, Reader>>);

#[derive(Debug)]
struct Reader {
    command: String,
    reads: u64,
    bytes: u64,
    last: Instant,
}

impl Usage {
    /// A process asked for bytes. `pid` is the kernel's number of it, 0 where it is in another namespace.
    pub fn note(&self, pid: u32, bytes: u64) {
        let mut readers = self.readers();
        if !readers.contains_key(&pid) && readers.len() >= KEPT {
            let least = readers.iter().min_by_key(|(_, reader)| reader.bytes);
            if let Some(least) = least.map(|(pid, _)| *pid) {
                readers.remove(&least);
            }
        }
        let reader = readers.entry(pid).or_insert_with(|| Reader {
            command: command(pid),
            reads: 0,
            bytes: 0,
            last: Instant::now(),
        });
        reader.reads += 1;
        reader.bytes = reader.bytes.saturating_add(bytes);
        reader.last = Instant::now();
    }

    /// Those that asked for most, for the status file.
    pub(super) fn most(&self) -> Value {
        let readers = self.readers();
        let mut sorted: Vec<_> = readers.iter().collect();
        sorted.sort_by_key(|(pid, reader)| (std::cmp::Reverse(reader.bytes), **pid));
        sorted
            .into_iter()
            .take(SHOWN)
            .map(|(pid, reader)| {
                json!({
                    "pid": pid,
                    "command": reader.command,
                    "reads": reader.reads,
                    "bytes": reader.bytes,
                    "idle_seconds": reader.last.elapsed().as_secs(),
                })
            })
            .collect()
    }

    /// The process that asked for most: `rsync (pid 12), 4000000 bytes`.
    #[must_use]
    pub fn greatest(&self) -> Option<String> {
        let readers = self.readers();
        let (pid, reader) = readers.iter().max_by_key(|(_, reader)| reader.bytes)?;
        Some(format!(
            "{} (pid {pid}), {} bytes",
            reader.command, reader.bytes
        ))
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<u32, Reader>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The short name of a process; empty where it cannot be told.
fn command(pid: u32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_readers_are_kept_and_come_first() {
        let usage = Usage::default();
        assert_eq!(usage.greatest(), None);
        let own = std::process::id();
        usage.note(own, 1 << 40);
        for pid in 0..2000 {
            usage.note(4_000_000 + pid, u64::from(pid));
        }
        usage.note(own, 1);
        assert_eq!(usage.readers().len(), KEPT);
        let most = usage.most();
        assert_eq!(most[0]["pid"], own);
        assert_eq!(most[0]["bytes"], (1_u64 << 40) + 1);
        assert_eq!(most[0]["reads"], 2);
        assert_eq!(most.as_array().unwrap().len(), SHOWN);
        let greatest = usage.greatest().unwrap();
        assert!(greatest.contains(&format!("(pid {own})")), "{greatest}");
    }
}

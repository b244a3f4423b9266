//! Waiting for tables to change: the kernel tells of local directories (inotify), others are looked at from time to time.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::location::Location;

/// How often a local directory is looked at although nothing was told: some file systems tell nothing of what others write.
const LOCAL_INTERVAL: Duration = Duration::from_secs(2);

/// How often a prefix on a server is listed: at one request each, polite, and soon enough for runs that take an hour.
const REMOTE_INTERVAL: Duration = Duration::from_secs(5);

/// How long further events are waited for once one came: a writer renames several files one after the other.
const SETTLING: Duration = Duration::from_millis(50);

/// What is watched.
#[derive(Debug)]
pub struct TableWatch {
    events: Option<mpsc::Receiver<()>>,
    interval: Duration,
}

impl TableWatch {
    /// Watches a table, a directory of tables or a prefix.
    #[must_use]
    pub fn new(source: &Location) -> Self {
        let Some(path) = source.to_path() else {
            return Self {
                events: None,
                interval: REMOTE_INTERVAL,
            };
        };
        let folder = if path.is_dir() {
            Some(path.as_path())
        } else {
            path.parent()
        };
        Self {
            events: folder.and_then(|folder| listen(folder).ok()),
            interval: LOCAL_INTERVAL,
        }
    }

    /// Returns when something may have changed.
    pub async fn changed(&mut self) {
        let Some(events) = &mut self.events else {
            return tokio::time::sleep(self.interval).await;
        };
        match tokio::time::timeout(self.interval, events.recv()).await {
            Ok(Some(())) => {
                tokio::time::sleep(SETTLING).await;
                while events.try_recv().is_ok() {}
            }
            // The listener has ended: the directory is gone.
            Ok(None) => {
                self.events = None;
            }
            Err(_elapsed) => {}
        }
    }
}

/// Other systems tell nothing: directories are looked at from time to time.
#[cfg(not(target_os = "linux"))]
fn listen(_folder: &std::path::Path) -> std::io::Result<mpsc::Receiver<()>> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Events of a directory, from a thread that waits for them.
#[cfg(target_os = "linux")]
fn listen(folder: &std::path::Path) -> rustix::io::Result<mpsc::Receiver<()>> {
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

    let descriptor = inotify::init(CreateFlags::CLOEXEC)?;
    let wanted = WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE
        | WatchFlags::ONLYDIR;
    inotify::add_watch(&descriptor, folder, wanted)?;
    let (sender, receiver) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(&descriptor, &mut buffer);
            while reader.next().is_ok() && !sender.is_closed() {
                // One event that waits says as much as many.
                let _ = sender.try_send(());
            }
        })
        .map_err(|_error| rustix::io::Errno::AGAIN)?;
    Ok(receiver)
}

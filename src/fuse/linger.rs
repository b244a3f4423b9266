//! A short look for the next request before the thread that answers goes to sleep.
//!
//! What a program asks of a file comes in sequence: `open`, `read`, `release`, the next `lookup`, each a few microseconds after the
//! answer to the one before. A thread that sleeps in between must be woken, which takes 30 us where cores are virtual: longer than the
//! answer itself. So a thread that has answered looks for the next request a little while, as long as that pays: after a few looks in
//! vain it goes to sleep at once and tries again only now and then.
//!
//! For one thread only. Where several wait at the device, the kernel wakes one that sleeps although another one looks, and they are in
//! each other's way.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest look.
const LOOK: Duration = Duration::from_micros(25);
/// Looks in vain after which the thread sleeps at once.
const PATIENCE: i32 = 4;
/// Then one request in so many is followed by a look.
const RARELY: i32 = 32;

/// Looks for requests at the kernel's door.
#[derive(Debug)]
pub(super) struct Linger {
    /// `None`: it sleeps at once.
    device: Option<OwnedFd>,
    /// Looks that are left; below one, requests since the last look, counted down.
    left: AtomicI32,
}

impl Default for Linger {
    fn default() -> Self {
        Self {
            device: None,
            left: AtomicI32::new(PATIENCE),
        }
    }
}

impl Linger {
    /// At the session's device, unless there is but one core: whoever asks needs it.
    pub(super) fn at(device: Option<OwnedFd>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            device: device.filter(|_| cores > 1),
            ..Self::default()
        }
    }

    /// Returns when a request has come, or soon. Tells whether it saw one.
    pub(super) fn look(&self) -> bool {
        let Some(device) = &self.device else {
            return false;
        };
        let left = self.left.load(Ordering::Relaxed);
        if left <= 0 && left > -RARELY {
            self.left.store(left - 1, Ordering::Relaxed);
            return false;
        }
        let start = Instant::now();
        let mut door = [PollFd::new(device, PollFlags::IN)];
        let has_come = loop {
            match poll(&mut door, Some(&Timespec::default())) {
                Ok(0) if start.elapsed() < LOOK => std::hint::spin_loop(),
                Ok(0) | Err(_) => break false,
                Ok(_) => break true,
            }
        };
        let left = if has_come {
            PATIENCE
        } else {
            (left - 1).max(0)
        };
        self.left.store(left, Ordering::Relaxed);
        has_come
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn looks_that_are_in_vain_end_until_one_pays_again() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let linger = Linger {
            device: Some(reader.try_clone().unwrap().into()),
            ..Linger::default()
        };
        let mut byte = [0];
        for _ in 0..100 {
            writer.write_all(b"x").unwrap();
            assert!(linger.look(), "as long as it pays");
            reader.read_exact(&mut byte).unwrap();
        }
        for _ in 0..PATIENCE {
            assert!(!linger.look());
        }
        writer.write_all(b"x").unwrap();
        for _ in 0..RARELY {
            assert!(
                !linger.look(),
                "it does not look although something is there"
            );
        }
        assert!(linger.look(), "now and then it does");
        assert!(linger.look(), "and since that paid it goes on");
        assert!(!Linger::default().look());
    }
}

//! A bar for long work, on a terminal: how far it is, what it moves, when it ends. Nothing where standard error is no terminal.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::{bytes_text, grouped};
use crate::storage::{Counters, Storage};

/// Time between two looks.
const TICK: Duration = Duration::from_millis(100);

/// Time that a rate is taken over.
const RATE_SPAN: Duration = Duration::from_secs(5);

/// How far a job is: the job counts, the bar reads.
#[derive(Debug, Default)]
pub(super) struct Steps {
    done: AtomicU64,
    total: AtomicU64,
}

impl Steps {
    /// Steps of which `total` are expected; 0 if that is not known.
    pub(super) fn of(total: u64) -> Arc<Self> {
        let steps = Self::default();
        steps.total.store(total, Relaxed);
        Arc::new(steps)
    }

    /// One more is done.
    pub(super) fn step(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    /// So many are done, whatever was counted before.
    pub(super) fn reach(&self, done: u64) {
        self.done.store(done, Relaxed);
    }
}

/// A bar that is shown until it is dropped.
pub(super) struct Bar {
    bar: ProgressBar,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Bar {
    /// Shows how far `steps` are, in units called `noun` (`file`), with the bytes, their rate, and the retries of a storage.
    pub(super) fn show(noun: &str, steps: Arc<Steps>, storage: &Storage) -> Self {
        let total = steps.total.load(Relaxed);
        Self::watch(noun, total, move || steps.done.load(Relaxed), storage)
    }

    /// The same where something else counts.
    pub(super) fn watch(
        noun: &str,
        total: u64,
        done: impl Fn() -> u64 + Send + 'static,
        storage: &Storage,
    ) -> Self {
        Self::tell(noun, move || (done(), total), String::new, storage)
    }

    /// The same of a job that finds out how much there is to do (`count`: how far it is, of how many; 0 as long as it does not know) and has
    /// more to tell (`more`: ends with two blanks, if it is not empty).
    pub(super) fn tell(
        noun: &str,
        count: impl Fn() -> (u64, u64) + Send + 'static,
        more: impl Fn() -> String + Send + 'static,
        storage: &Storage,
    ) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self {
                bar: ProgressBar::hidden(),
                thread: None,
            };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let (shown, storage, noun) = (bar.clone(), storage.clone(), noun.to_owned());
        let look = move || {
            let mut rate = Rate::default();
            let mut known = None;
            while !shown.is_finished() {
                let (done, total) = count();
                if known != Some(total) {
                    known = Some(total);
                    shown.set_style(style(&noun, total));
                    if total > 0 {
                        shown.set_length(total);
                    }
                }
                let counters = storage.counters();
                let moved = moved(&counters, rate.of(counters.bytes, Instant::now()));
                shown.set_message(moved + &more());
                shown.set_position(done);
                std::thread::park_timeout(TICK);
            }
        };
        let thread = std::thread::Builder::new().name("progress".to_owned());
        Self {
            bar,
            thread: thread.spawn(look).ok(),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            drop(thread.join());
        }
    }
}

/// A bar where it is known how much there is to do, a wheel where it is not.
fn style(noun: &str, total: u64) -> ProgressStyle {
    let template = if total > 0 {
        format!("{{bar:30}} {{human_pos}}/{{human_len}} {noun}s  {{msg}}{{elapsed}}  eta {{eta}}")
    } else {
        format!("{{spinner}} {{human_pos}} {noun}s  {{msg}}{{elapsed}}")
    };
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `1.4 GB at 210 MB/s, 3 retries  `; nothing before anything has moved.
fn moved(counters: &Counters, rate: Option<u64>) -> String {
    if counters.bytes == 0 && counters.retries == 0 {
        return String::new();
    }
    let rate = rate.map(|rate| format!(" at {}/s", bytes_text(rate)));
    let retries = match counters.retries {
        0 => String::new(),
        1 => ", 1 retry".to_owned(),
        more => format!(", {} retries", grouped(more)),
    };
    format!(
        "{}{}{retries}  ",
        bytes_text(counters.bytes),
        rate.unwrap_or_default()
    )
}

/// Bytes per second over the last seconds.
#[derive(Debug, Default)]
struct Rate {
    seen: std::collections::VecDeque<(Instant, u64)>,
}

impl Rate {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes per second are positive and far below 2^53"
    )]
    fn of(&mut self, bytes: u64, now: Instant) -> Option<u64> {
        self.seen.push_back((now, bytes));
        while let [(first, _), (second, _), ..] = self.seen.make_contiguous()
            && now.duration_since(*second) >= RATE_SPAN
            && first < second
        {
            self.seen.pop_front();
        }
        let (since, before) = *self.seen.front()?;
        let seconds = now.duration_since(since).as_secs_f64();
        let moved = bytes.saturating_sub(before);
        (seconds > 0.5).then(|| (moved as f64 / seconds) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut rate = Rate::default();
        assert_eq!(rate.of(0, start), None);
        for second in 1..=10 {
            let told = rate.of(second * 1000, start + Duration::from_secs(second));
            assert_eq!(told, Some(1000));
        }
        // From then on nothing moves.
        for second in 11..=14 {
            rate.of(10_000, start + Duration::from_secs(second));
        }
        assert_eq!(rate.of(10_000, start + Duration::from_secs(15)), Some(0));
    }

    #[test]
    fn what_moved_is_told_with_retries() {
        let counters = Counters {
            bytes: 1_400_000,
            retries: 3,
            ..Counters::default()
        };
        assert_eq!(
            moved(&counters, Some(2000)),
            "1.4 MB at 2.0 kB/s, 3 retries  "
        );
        assert_eq!(moved(&Counters::default(), Some(0)), "");
    }
}

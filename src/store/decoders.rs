//! Threads that decode: one per core, and they give way to those that answer the kernel.

use futures::channel::oneshot;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// How much lower than the program's own the priority of these threads is, in steps of `nice`. While 64 fields were decoded on two cores,
/// the 99th of 100 reads of what is in memory took 0.4 to 0.8 ms instead of 1.9 to 5; the fields took no longer.
#[cfg(target_os = "linux")]
const GIVES_WAY: i32 = 5;

/// The threads; work is begun in the order in which it came.
#[derive(Debug)]
pub(super) struct Decoders {
    /// None where the system gives no threads: then the runtime's do it.
    threads: Option<ThreadPool>,
}

impl Decoders {
    /// So many threads as there are cores to be used.
    pub(super) fn new(cores: usize) -> Self {
        let threads = ThreadPoolBuilder::new()
            .num_threads(cores.max(1))
            .thread_name(|number| format!("decode-{number}"))
            .start_handler(|_| give_way())
            .build();
        if let Err(error) = &threads {
            tracing::warn!("no threads for decoding ({error}): it is done beside all else");
        }
        Self {
            threads: threads.ok(),
        }
    }

    /// What the work gives, or None if it did not come to an end.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let Some(threads) = &self.threads else {
            return tokio::task::spawn_blocking(work).await.ok();
        };
        let (sender, receiver) = oneshot::channel();
        threads.spawn_fifo(move || {
            // A panic drops the sender, which is told of below.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            if let Ok(done) = done {
                // Nobody may wait any more.
                drop(sender.send(done));
            }
        });
        receiver.await.ok()
    }
}

/// Lowers the priority of the thread that calls. Elsewhere than on Linux priorities are those of whole processes.
fn give_way() {
    #[cfg(target_os = "linux")]
    lower_priority();
}

#[cfg(target_os = "linux")]
fn lower_priority() {
    let lowered = rustix::process::getpriority_process(None)
        .and_then(|own| rustix::process::setpriority_process(None, own.saturating_add(GIVES_WAY)));
    if let Err(error) = lowered {
        tracing::debug!("the priority of a decoding thread stays: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_is_told_of_and_the_next_is_done() {
        let decoders = Decoders::new(1);
        let panics = || -> u8 { std::panic::resume_unwind(Box::new("planted")) };
        assert_eq!(decoders.run(panics).await, None);
        assert_eq!(decoders.run(|| 7).await, Some(7));
    }
}

//! How long a thread computes before others may take its core from it.

/// What the system's scheduler counts as one turn of a thread that decodes: the longest that it takes.
#[cfg(target_os = "linux")]
const LONG_NANOSECONDS: u64 = 100_000_000;

/// Takes long turns for the thread that calls. It gets as much of the cores as before, but a thread with shorter turns (all others) that
/// wakes up takes its core at once instead of waiting for the end of a turn of about 3 ms: while 64 fields are decoded on two cores, the
/// 99th of 100 reads of what is in memory takes 0.9 ms instead of 1.2 to 2.4. Kernels before 6.12 take no notice.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "a system call that no safe crate offers for threads of the normal policy"
)]
pub(super) fn take_long_turns() {
    let nice = rustix::process::getpriority_process(None).unwrap_or_default();
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or_default(),
        sched_policy: libc::SCHED_OTHER.unsigned_abs(),
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: LONG_NANOSECONDS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: thread 0 is the one that calls, and the kernel only reads the structure, whose size it is told.
    let refused = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if refused != 0 {
        tracing::debug!(
            "turns of decoding threads stay as they are: {}",
            std::io::Error::last_os_error()
        );
    }
}

/// Other systems have no such setting.
#[cfg(not(target_os = "linux"))]
pub(super) fn take_long_turns() {}

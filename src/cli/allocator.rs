//! Memory that was freed goes back to the system.

/// Smallest allocation that is mapped by itself, in bytes: messages and fields are, small things are not.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM_BYTES: libc::c_int = 256 << 10;

/// Keeps the system's allocator from holding on to the bytes of messages and fields: what a budget of 256 MB counts stayed 412 MB for
/// the machine, because the threshold above which memory is mapped by itself grows with what is freed. Set by hand it stays where it is:
/// 188 MB. The buffers that this makes dearer are used again.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "a setting of the C library; there is no other way to it"
)]
pub(super) fn give_back() {
    // SAFETY: mallopt takes two integers, may be called at any time, and changes nothing about memory in use.
    let taken = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES) };
    if taken == 0 {
        tracing::debug!("the allocator keeps its own threshold");
    }
}

/// Other C libraries have no such setting.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn give_back() {}

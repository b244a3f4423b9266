//! The kernel's side of a mount: a [`Tree`](crate::vfs::tree::Tree) shown through `/dev/fuse`.
//!
//! Owns everything that names fuser or an errno: the operations (`callbacks`, `adapter`, `answer`), the one table from
//! failures to errno (`errno`), mounting and the life of a mount (`device`, `recover`, [`session`]), unmounting
//! ([`mod@umount`]), and the way of a command into the background ([`daemon`]). Knows the tree's contract and nothing
//! of what stands behind it.
//!
//! Three rules come from how readers fail (each was tried with a prototype):
//! * a callback never blocks and never lets a panic out, since a panic in fuser's loop ends the mount;
//! * no answer is short before the end of a file, since the kernel then shrinks the file it has cached;
//! * a mount that breaks stays as a dead mount. Readers then get ENOTCONN and say so, where an empty directory would
//!   read as fill values. So there is no lazy unmount anywhere here, and no unmount that fuser does by itself.
//!
//! ```no_run
//! # fn example(tree: std::sync::Arc<dyn gribfs::vfs::tree::Tree>) -> Result<(), Box<dyn std::error::Error>> {
//! use gribfs::fuse::{MountConfig, Signals, mount};
//! let runtime = tokio::runtime::Runtime::new()?;
//! let signals = Signals::listen(runtime.handle())?;
//! let session = mount(tree, runtime.handle().clone(), "/mnt/gfs".as_ref(), &MountConfig::default())?;
//! let ended = runtime.block_on(session.run_until_unmounted(signals));
//! # Ok(())
//! # }
//! ```

mod adapter;
mod answer;
mod callbacks;
mod checkup;
pub mod daemon;
mod device;
mod errno;
mod error;
mod failure_log;
pub mod holders;
pub mod list;
pub mod mounts;
pub mod options;
mod recover;
pub mod session;
mod snapshots;
pub mod umount;

pub use checkup::{Finding, Verdict, checkup};
pub use device::is_passed;
pub use error::MountError;
pub use list::{ListedMount, MountState, list};
pub use options::MountConfig;
pub use session::{Ended, Session, Signals, mount};
pub use umount::{UmountError, umount};

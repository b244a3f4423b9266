//! From `/dev/fuse` to a mounted file descriptor: mount(2), or `fusermount3` for users who may not call it.
//!
//! fuser can mount by itself, but what it mounts it also unmounts, lazily where a plain unmount is refused, and at the
//! path rather than the mount, so it can take away the next mount's place. Here the descriptor is all that is handed
//! on (`fuser::Session::from_fd`): when the process ends, the mount is dead and stays until somebody clears it.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::error::MountError;
use super::mounts::FS_TYPE;
use super::options::MountConfig;

/// The kernel's door.
const DEVICE: &str = "/dev/fuse";
/// Subtype, as `fusermount3` wants it: [`FS_TYPE`] without the `fuse.`.
const SUBTYPE: &str = "gribfs";
/// The set-uid program that mounts for users, and where it is if it is not on the path.
const HELPERS: [&str; 3] = ["fusermount3", "/usr/bin/fusermount3", "/bin/fusermount3"];
/// Names the socket through which `fusermount3` passes the descriptor. Ours is its standard input.
const HELPER_SOCKET: (&str, &str) = ("_FUSE_COMMFD", "0");
/// Lowest number of a copied descriptor: beyond standard input, output and error.
const FIRST_FREE: i32 = 3;
/// File type and permissions of the root as the kernel first knows them, octal: a directory.
const ROOT_MODE: &str = "40000";

/// Opens the device.
///
/// # Errors
/// [`MountError::NoDevice`], [`MountError::DeviceDenied`] or [`MountError::Device`].
pub(super) fn open() -> Result<OwnedFd, MountError> {
    let file = OpenOptions::new().read(true).write(true).open(DEVICE);
    file.map(OwnedFd::from).map_err(|error| {
        // The node may be there without the module behind it.
        let absent = [Errno::NODEV, Errno::NXIO].map(|errno| Some(errno.raw_os_error()));
        if error.kind() == io::ErrorKind::NotFound || absent.contains(&error.raw_os_error()) {
            MountError::NoDevice
        } else if error.kind() == io::ErrorKind::PermissionDenied {
            MountError::DeviceDenied
        } else {
            MountError::Device { source: error }
        }
    })
}

/// The number in a mount point like `/dev/fd/5`: a descriptor on which somebody else has mounted, or will.
pub(super) fn passed(mountpoint: &Path) -> Option<i32> {
    let number = mountpoint.strip_prefix("/dev/fd").ok()?.to_str()?;
    number.parse().ok().filter(|number| *number >= 0)
}

/// Whether a mount point is a descriptor, `/dev/fd/N`, on which the starting program mounts.
#[must_use]
pub fn is_passed(mountpoint: &Path) -> bool {
    passed(mountpoint).is_some()
}

/// A descriptor of ours for the device that this process was started with.
///
/// # Errors
/// [`MountError::NotPassed`] if that number is not an open `/dev/fuse`.
pub(super) fn adopt(number: i32) -> Result<OwnedFd, MountError> {
    let not_passed = |reason: String| MountError::NotPassed { number, reason };
    // Opening the path anew would be another, unconnected device, so the descriptor itself is copied.
    let target = fs::read_link(format!("/proc/self/fd/{number}"))
        .map_err(|error| not_passed(error.to_string()))?;
    if target != Path::new(DEVICE) {
        return Err(not_passed(format!("it is {}", target.display())));
    }
    let copied = match number {
        0 => rustix::io::fcntl_dupfd_cloexec(io::stdin(), FIRST_FREE),
        _ => pidfd_open(getpid(), PidfdFlags::empty())
            .and_then(|this| pidfd_getfd(this, number, PidfdGetfdFlags::empty())),
    };
    copied.map_err(|errno| not_passed(errno.to_string()))
}

/// Mounts, and returns the descriptor that the kernel's requests come from.
///
/// # Errors
/// [`MountError`] with what was refused.
pub(super) fn attach(
    device: OwnedFd,
    mountpoint: &Path,
    config: &MountConfig,
) -> Result<OwnedFd, MountError> {
    match by_system_call(&device, mountpoint, config) {
        Ok(()) => Ok(device),
        Err(Errno::PERM) => by_helper(mountpoint, config),
        Err(errno) => Err(MountError::Refused {
            path: mountpoint.to_owned(),
            reason: errno.to_string(),
        }),
    }
}

fn by_system_call(device: &OwnedFd, mountpoint: &Path, config: &MountConfig) -> Result<(), Errno> {
    let mut data = format!(
        "fd={},rootmode={ROOT_MODE},user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if config.allow_other {
        data.push_str(",allow_other");
    }
    let data = CString::new(data).map_err(|_nul| Errno::INVAL)?;
    let mut flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    if !config.exec {
        flags |= MountFlags::NOEXEC;
    }
    rustix::mount::mount(
        config.source_name.as_str(),
        mountpoint,
        FS_TYPE,
        flags,
        data.as_c_str(),
    )
}

/// Lets `fusermount3` mount; it opens the device itself and sends the descriptor.
fn by_helper(mountpoint: &Path, config: &MountConfig) -> Result<OwnedFd, MountError> {
    let (ours, theirs) = UnixStream::pair().map_err(|source| MountError::Device { source })?;
    let name = config.source_name.replace('\\', r"\\").replace(',', r"\,");
    let mut options =
        format!("ro,nosuid,nodev,default_permissions,subtype={SUBTYPE},fsname={name}");
    if !config.exec {
        options.push_str(",noexec");
    }
    if config.allow_other {
        options.push_str(",allow_other");
    }
    let child = helper(|command| {
        let theirs = OwnedFd::from(theirs.try_clone()?);
        command
            .args(["-o", &options, "--"])
            .arg(mountpoint)
            .env(HELPER_SOCKET.0, HELPER_SOCKET.1)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
    })
    .map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            MountError::NoHelper
        } else {
            MountError::Device { source: error }
        }
    })?;
    // Ours must be the only other end, or a helper that fails would leave us waiting.
    drop(theirs);
    let received = receive(&ours);
    let output = child
        .wait_with_output()
        .map_err(|source| MountError::Device { source })?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match received {
        Ok(Some(device)) => Ok(device),
        Ok(None) | Err(_) if said.contains("user_allow_other") => Err(MountError::AllowOther),
        Ok(None) => Err(MountError::Refused {
            path: mountpoint.to_owned(),
            reason: if said.is_empty() {
                format!("fusermount3 ended with {}", output.status)
            } else if said.contains("Operation not permitted") {
                format!(
                    "{said} (a container needs `--cap-add SYS_ADMIN`, or mount inside `unshare -Urm`)"
                )
            } else {
                said
            },
        }),
        Err(source) => Err(MountError::Device { source }),
    }
}

/// Runs `start` with the first helper that there is. The helper's sentences are read, so they must be English.
///
/// # Errors
/// `NotFound` if there is none; else what `start` says.
pub(super) fn helper<T>(mut start: impl FnMut(&mut Command) -> io::Result<T>) -> io::Result<T> {
    for program in HELPERS {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        match start(&mut command) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Of a name that is looked for, this only says that a folder of PATH is closed to this user (/root/bin after `su`).
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied && !program.contains('/') => {}
            outcome => return outcome,
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// The descriptor that the helper sends; none if it ends without sending one.
fn receive(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8];
    loop {
        let mut into = [IoSliceMut::new(&mut byte)];
        match recvmsg(
            socket.as_fd(),
            &mut into,
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
            return Ok(descriptors.next());
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helper_mounts_and_hands_over_its_descriptor() {
        if open().is_err() || helper(|command| command.arg("-V").output()).is_err() {
            println!("skipped: /dev/fuse or fusermount3 is missing");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let mountpoint = fs::canonicalize(directory.path()).unwrap();
        let config = MountConfig {
            source_name: r"a,b\c".to_owned(),
            ..MountConfig::default()
        };
        let device = by_helper(&mountpoint, &config).unwrap();
        let entry = super::super::mounts::at(&mountpoint).unwrap().unwrap();
        drop(device);
        let cleared = super::super::umount::detach(&entry);
        assert!(entry.is_ours(), "{entry:?}");
        assert_eq!(entry.source, r"a,b\c");
        cleared.unwrap();
    }

    #[test]
    fn a_passed_descriptor_is_told_from_a_directory() {
        assert_eq!(passed(Path::new("/dev/fd/12")), Some(12));
        for path in [
            "/dev/fd",
            "/dev/fd/",
            "/dev/fd/x",
            "/dev/fd/-1",
            "/dev/fd/1/2",
            "/mnt/5",
        ] {
            assert_eq!(passed(Path::new(path)), None, "{path}");
        }
        let file = tempfile::tempfile().unwrap();
        for (number, reason) in [(file.as_raw_fd(), "it is "), (9999, "No such file")] {
            let error = adopt(number).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_folder_of_the_path_that_is_closed_hides_no_helper_and_is_none() {
        let closed = |command: &mut Command| match command.get_program().to_str() {
            Some("fusermount3") => Err(io::ErrorKind::PermissionDenied.into()),
            Some("/bin/fusermount3") => Ok("found"),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        assert_eq!(helper(closed).unwrap(), "found");
        let none = |command: &mut Command| match command.get_program().to_str() {
            Some("fusermount3") => Err::<(), _>(io::ErrorKind::PermissionDenied.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        assert_eq!(helper(none).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_helper_that_refuses_is_quoted() {
        if helper(|command| command.arg("-V").output()).is_err() {
            println!("skipped: fusermount3 is missing");
            return;
        }
        let absent = Path::new("/absent/for/sure");
        let error = by_helper(absent, &MountConfig::default()).unwrap_err();
        assert!(error.to_string().contains("/absent/for/sure"), "{error}");
    }
}

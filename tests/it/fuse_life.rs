//! The life of a mount: its beginning and end, by commands, signals and accidents, for root and for users. Where a
//! mount has to die, another process serves it: this test program, running one of the helpers at the end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gribfs::fuse::{
    Ended, MountConfig, MountError, Signals, UmountError, daemon, mount, mounts, umount,
};
use gribfs::vfs::tree::FailureKind;
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::fuse_mount::{MountDirectory, errno, is_skipped, mounted};
use crate::fuse_tree::{CHUNK_BYTES, FAILURES, FakeTree, pattern};

#[test]
fn a_mount_is_found_after_its_directory_was_renamed() {
    if is_skipped() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let [before, after] = ["before", "after"].map(|name| place.path().join(name).join("mnt"));
    fs::create_dir_all(&before).unwrap();
    let runtime = Runtime::new().unwrap();
    let session = mount(
        Arc::new(FakeTree::new()),
        runtime.handle().clone(),
        &before,
        &MountConfig::default(),
    )
    .unwrap();
    fs::rename(before.parent().unwrap(), after.parent().unwrap()).unwrap();
    let read = fs::read(after.join("hello"));
    session.unmount().unwrap();
    assert_eq!(read.unwrap(), b"hello world");
    assert_eq!(session.wait(), Ended::Unmounted);
    assert_eq!(fs::read_dir(&after).unwrap().count(), 0);
}

/// As an administrator does with a mount that hangs: the connection is cut, the mount stays and answers errors.
#[test]
fn a_cut_connection_is_told_from_an_unmount() {
    let Some(m) = mounted() else { return };
    let control = tempfile::tempdir().unwrap();
    let flags = rustix::mount::MountFlags::empty();
    if rustix::mount::mount("x", control.path(), "fusectl", flags, None).is_err() {
        println!("skipped: no fusectl");
        return;
    }
    let (_, minor) = mounts::at(m.session.mountpoint()).unwrap().unwrap().device;
    let abort = control.path().join(minor.to_string()).join("abort");
    let cut = fs::write(abort, "1");
    rustix::mount::unmount(control.path(), UnmountFlags::empty()).unwrap();
    cut.unwrap();
    let ended = m.session.wait();
    assert!(matches!(ended, Ended::Broken { .. }), "{ended:?}");
    assert_eq!(
        errno(fs::read_dir(m.directory.path()).map(drop)),
        libc::ENOTCONN
    );
    umount(m.directory.path()).unwrap();
}

#[test]
fn a_mount_on_top_is_left_alone() {
    let Some(m) = mounted() else { return };
    let flags = rustix::mount::MountFlags::empty();
    for place in [m.directory.path().to_owned(), m.path("folder")] {
        rustix::mount::mount("x", &place, "tmpfs", flags, None).unwrap();
        let result = m.session.unmount();
        rustix::mount::unmount(&place, UnmountFlags::empty()).unwrap();
        let text = result.unwrap_err().to_string();
        assert!(
            text.contains(&format!("{} is mounted in it", place.display())),
            "{text}"
        );
    }
    m.session.unmount().unwrap();
}

#[test]
fn what_is_busy_is_not_unmounted_and_its_holder_named() {
    let Some(m) = mounted() else { return };
    let file = File::open(m.path("folder/deeper/0.0.0")).unwrap();
    for result in [umount(m.directory.path()), m.session.unmount()] {
        let error = result.unwrap_err();
        assert!(matches!(error, UmountError::Busy { .. }), "{error}");
        let pid = std::process::id();
        let text = error.to_string();
        assert!(text.contains(&format!("(pid {pid}) has")), "{text}");
        assert!(text.contains("folder/deeper/0.0.0 open"), "{text}");
    }
    drop(file);
    let mut shell = Command::new("sleep")
        .arg("600")
        .current_dir(m.path("folder"))
        .spawn()
        .unwrap();
    let error = umount(m.directory.path()).unwrap_err().to_string();
    shell.kill().unwrap();
    shell.wait().unwrap();
    assert!(
        error.contains(&format!("sleep (pid {}) works in", shell.id())),
        "{error}"
    );
    let error = umount(&m.path("folder")).unwrap_err();
    assert!(matches!(error, UmountError::Inside { .. }), "{error}");
    umount(m.directory.path()).unwrap();
    assert_eq!(m.session.wait(), Ended::Unmounted);
    let error = umount(m.directory.path()).unwrap_err();
    assert!(matches!(error, UmountError::NotMounted { .. }), "{error}");
}

#[test]
fn a_directory_in_use_is_not_mounted_on() {
    let Some(m) = mounted() else { return };
    let runtime = Runtime::new().unwrap();
    let again = |path: &Path| {
        mount(
            Arc::new(FakeTree::new()),
            runtime.handle().clone(),
            path,
            &MountConfig::default(),
        )
        .unwrap_err()
    };
    let error = again(m.directory.path());
    assert!(
        matches!(error, MountError::AlreadyMounted { .. }),
        "{error}"
    );
    assert_eq!(fs::read(m.path("hello")).unwrap(), b"hello world");
    let full = tempfile::tempdir().unwrap();
    fs::write(full.path().join("file"), "").unwrap();
    let error = again(full.path());
    assert!(matches!(error, MountError::NotEmpty { .. }), "{error}");
}

/// A mount served by another process: this test program, running one of the helpers at the end of this file.
struct Server {
    process: Child,
    directory: MountDirectory,
}

impl Server {
    fn start() -> Option<Self> {
        if is_skipped() {
            return None;
        }
        let directory = MountDirectory::new();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(helper_arguments("helper_serves", directory.path()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mounted = output.lines().any(|line| line.unwrap() == "mounted");
        assert!(mounted);
        Some(Self { process, directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Exit code, if it was not killed.
    fn ended(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    fn log(&mut self) -> String {
        let mut text = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut text).unwrap();
        text
    }

    fn is_mounted(&self) -> bool {
        mounts::at(self.directory.path()).unwrap().is_some()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn helper_arguments(helper: &str, directory: &Path) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<_> = ["--ignored", "--nocapture", "--exact"]
        .map(Into::into)
        .into();
    arguments.push(format!("fuse_life::{helper}").into());
    // A filter that matches no test: read by the helper.
    arguments.push(directory.into());
    arguments
}

#[test]
fn signals_unmount_what_is_idle() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let Some(mut server) = Server::start() else {
            return;
        };
        assert_eq!(fs::read(server.path("hello")).unwrap(), b"hello world");
        server.signal(signal);
        assert_eq!(server.ended(), Some(0));
        assert!(!server.is_mounted());
    }
}

#[test]
fn signals_leave_what_is_busy_and_the_second_leaves_a_dead_mount() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let file = File::open(server.path("fetched")).unwrap();
    let pause = Duration::from_millis(700);
    server.signal(Signal::HUP);
    std::thread::sleep(pause);
    server.signal(Signal::TERM);
    std::thread::sleep(pause);
    assert!(server.is_mounted());
    assert_eq!(
        fs::read(server.path("chunk")).unwrap(),
        pattern(CHUNK_BYTES)
    );
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(4));
    assert!(server.is_mounted());
    assert_eq!(
        errno(fs::read_dir(server.path("")).map(drop)),
        libc::ENOTCONN
    );
    assert_eq!(errno(file.read_at(&mut [0; 10], 2_000_000)), libc::ENOTCONN);
    let log = server.log();
    assert!(
        log.contains(&format!("(pid {}) has", std::process::id())),
        "{log}"
    );
    // The dead mount is busy: it is neither mounted over nor lazily thrown away.
    let runtime = Runtime::new().unwrap();
    let again = || {
        mount(
            Arc::new(FakeTree::new()),
            runtime.handle().clone(),
            server.directory.path(),
            &MountConfig::default(),
        )
    };
    let error = again().unwrap_err();
    assert!(matches!(error, MountError::DeadMount { .. }), "{error}");
    assert!(error.to_string().contains("has"), "{error}");
    drop(file);
    let session = again().unwrap();
    assert_eq!(fs::read(server.path("hello")).unwrap(), b"hello world");
    session.unmount().unwrap();
    assert_eq!(session.wait(), Ended::Unmounted);
}

#[test]
fn after_a_kill_readers_get_errors_and_the_next_mount_recovers() {
    let Some(mut server) = Server::start() else {
        return;
    };
    assert_eq!(fs::read(server.path("hello")).unwrap(), b"hello world");
    server.signal(Signal::KILL);
    assert_eq!(server.ended(), None);
    assert!(server.is_mounted());
    // Not ENOENT, which a Zarr reader would take for a fill value.
    assert_eq!(
        errno(fs::read(server.path("folder/deeper/0.0.0"))),
        libc::ENOTCONN
    );
    assert_eq!(
        errno(fs::read_dir(server.path("")).map(drop)),
        libc::ENOTCONN
    );
    let runtime = Runtime::new().unwrap();
    let session = mount(
        Arc::new(FakeTree::new()),
        runtime.handle().clone(),
        server.directory.path(),
        &MountConfig::default(),
    )
    .unwrap();
    assert_eq!(
        fs::read(server.path("folder/deeper/0.0.0")).unwrap(),
        pattern(1000)
    );
    session.unmount().unwrap();
}

#[test]
fn a_dead_mount_is_unmounted_by_name() {
    let Some(mut server) = Server::start() else {
        return;
    };
    server.signal(Signal::KILL);
    server.ended();
    umount(server.directory.path()).unwrap();
    assert!(!server.is_mounted());
}

#[test]
fn each_failure_is_one_line_in_the_log() {
    let Some(mut server) = Server::start() else {
        return;
    };
    for (_, name, _) in FAILURES {
        drop(fs::read(server.path("fails_later").join(name)));
    }
    drop(fs::read(server.path("wrong/short_now")));
    drop(fs::read(server.path("panics/now")));
    drop(fs::read(server.path("panics/later")));
    drop(fs::metadata(server.path("panic_in_lookup")));
    drop(fs::metadata(server.path("absent")));
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    let log = server.log();
    let lines = |level: &str, text: &str| {
        log.lines()
            .filter(|line| line.contains(level) && line.contains(text))
            .count()
    };
    for (kind, _, _) in FAILURES {
        let ours = kind == FailureKind::Internal;
        let level = if ours { "ERROR" } else { "WARN" };
        assert_eq!(
            lines(level, &format!("planted failure {kind:?}")),
            1,
            "{log}"
        );
    }
    assert_eq!(lines("ERROR", "was answered with"), 1, "{log}");
    assert_eq!(
        lines("ERROR", "panic in a read: planted in a read"),
        1,
        "{log}"
    );
    assert_eq!(
        lines("ERROR", "panic in a read: planted in a later read"),
        1,
        "{log}"
    );
    assert_eq!(
        lines("ERROR", "panic in lookup, answered with EIO"),
        1,
        "{log}"
    );
    assert_eq!(lines("", "absent"), 0, "{log}");
}

#[test]
fn a_command_goes_into_the_background_once_its_mount_answers() {
    if is_skipped() {
        return;
    }
    let directory = MountDirectory::new();
    let program = std::env::current_exe().unwrap();
    let deadline = Duration::from_secs(30);
    let start = || {
        daemon::spawn(
            &program,
            helper_arguments("helper_goes_into_the_background", directory.path()),
            deadline,
        )
    };
    start().unwrap();
    assert_eq!(
        fs::read(directory.path().join("hello")).unwrap(),
        b"hello world"
    );
    // A second one fails, and its parent hears why.
    let error = start().unwrap_err();
    assert!(error.to_string().contains("already mounted at"), "{error}");
    umount(directory.path()).unwrap();
}

/// A reader that is killed while its chunk is on the way ends at once and leaves nothing that holds the mount.
#[test]
fn a_killed_reader_is_gone_at_once() {
    let Some(m) = mounted() else { return };
    let mut reader = Command::new("cat").arg(m.path("never")).spawn().unwrap();
    let asked = || m.tree.reads.load(Ordering::Relaxed) > 0;
    while !asked() && reader.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let started = Instant::now();
    reader.kill().unwrap();
    reader.wait().unwrap();
    m.session.unmount().unwrap();
    assert_eq!(m.session.wait(), Ended::Unmounted);
    assert!(started.elapsed() < MountConfig::default().read_deadline / 4);
}

/// The starting program opens the device, mounts, and passes the descriptor on, as container runtimes do.
#[test]
fn a_descriptor_that_is_passed_is_served() {
    if is_skipped() {
        return;
    }
    let directory = MountDirectory::new();
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    let data = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0",
        std::os::fd::AsRawFd::as_raw_fd(&device)
    );
    let data = std::ffi::CString::new(data).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    let mounted = rustix::mount::mount("x", directory.path(), "fuse", flags, data.as_c_str());
    if mounted.is_err() {
        println!("skipped: may not mount");
        return;
    }
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(helper_arguments("helper_serves", Path::new("/dev/fd/0")))
        .stdin(Stdio::from(device))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let hello = fs::read(directory.path().join("hello"));
    // Not even a mount that allows writes is written to.
    let written = [
        fs::write(directory.path().join("hello"), "x"),
        fs::write(directory.path().join("new"), "x"),
        fs::create_dir(directory.path().join("new")),
        fs::remove_file(directory.path().join("hello")),
        fs::set_permissions(
            directory.path().join("hello"),
            fs::Permissions::from_mode(0o777),
        ),
        fs::rename(directory.path().join("hello"), directory.path().join("new")),
    ];
    rustix::mount::unmount(directory.path(), UnmountFlags::empty()).unwrap();
    let code = process.wait().unwrap().code();
    assert_eq!(hello.unwrap(), b"hello world");
    for result in written {
        assert_eq!(errno(result), libc::EROFS);
    }
    assert_eq!(code, Some(0));
}

#[test]
fn a_user_namespace_is_enough() {
    if is_skipped() {
        return;
    }
    let directory = MountDirectory::new();
    let run = |program: &Path, arguments: Vec<std::ffi::OsString>| {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount"])
            .arg(program)
            .args(arguments)
            .output()
    };
    if !run(Path::new("true"), vec![]).is_ok_and(|output| output.status.success()) {
        println!("skipped: no user namespaces here");
        return;
    }
    let output = run(
        &std::env::current_exe().unwrap(),
        helper_arguments("helper_reads_its_own_mount", directory.path()),
    )
    .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(mounts::at(directory.path()).unwrap().is_none());
}

/// What a user without privilege meets: `fusermount3` mounts, unmounts, names holders and clears a dead mount;
/// `allow_other` and a closed device are refused with advice. Runs in a mount namespace with a device of its own.
#[test]
fn an_ordinary_user_mounts_through_the_helper() {
    const AS_ROOT: &str = r#"
        set -e
        mknod "$DEVICE" c 10 229
        chmod 666 "$DEVICE"
        mount --bind "$DEVICE" /dev/fuse
        exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "$AS_USER"
    "#;
    const AS_USER: &str = r#"
        run() { "$PROGRAM" --ignored --nocapture --exact "$@" 2>&1; }
        run fuse_life::helper_serves "$DIR" & server=$!
        until cat "$DIR/hello" 2>/dev/null; do kill -0 $server || exit 3; sleep 0.05; done
        kill -9 $(pgrep -P $server) $server; wait $server
        ls "$DIR" 2>&1
        run fuse_life::helper_reads_its_own_mount "$DIR"
        run fuse_life::helper_reads_its_own_mount allow_other "$DIR"
        exit 0
    "#;
    if is_skipped() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("it");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let directory = place.path().join("mnt");
    fs::create_dir(&directory).unwrap();
    if std::os::unix::fs::chown(&directory, Some(65534), Some(65534)).is_err() {
        println!("skipped: only root can become another user");
        return;
    }
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", AS_ROOT])
        .env("DEVICE", place.path().join("fuse"))
        .env("PROGRAM", &program)
        .env("DIR", &directory)
        .env("AS_USER", AS_USER)
        .env("RUST_BACKTRACE", "0")
        .current_dir("/")
        .output();
    let Ok(output) = output else {
        println!("skipped: no unshare");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        println!("skipped: {said}{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    for sentence in [
        "hello world",
        "cannot open directory",
        "hello open",
        "1 passed",
        "add the line `user_allow_other` to /etc/fuse.conf",
    ] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
}

/// Not a test: mounts, reads and unmounts, in surroundings of the caller's choice.
#[test]
#[ignore = "run by other tests"]
fn helper_reads_its_own_mount() {
    let directory = PathBuf::from(std::env::args_os().next_back().unwrap());
    let runtime = Runtime::new().unwrap();
    let session = mount(
        Arc::new(FakeTree::new()),
        runtime.handle().clone(),
        &directory,
        &MountConfig {
            allow_other: std::env::args().any(|argument| argument == "allow_other"),
            ..MountConfig::default()
        },
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fs::read(directory.join("hello")).unwrap(), b"hello world");
    assert_eq!(
        fs::read(directory.join("fetched")).unwrap(),
        pattern(CHUNK_BYTES)
    );
    let file = File::open(directory.join("hello")).unwrap();
    let busy = umount(&directory).unwrap_err();
    println!("{busy}");
    assert!(matches!(busy, UmountError::Busy { .. }), "{busy}");
    drop(file);
    umount(&directory).unwrap();
    assert_eq!(session.wait(), Ended::Unmounted);
}

/// Not a test: the program that [`Server`] runs. Exit code 0 unmounted, 3 broken, 4 abandoned.
#[test]
#[ignore = "run by other tests"]
fn helper_serves() {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
    let directory = std::env::args_os().next_back().unwrap();
    let runtime = Runtime::new().unwrap();
    let signals = Signals::listen(runtime.handle()).unwrap();
    let session = mount(
        Arc::new(FakeTree::new()),
        runtime.handle().clone(),
        directory.as_ref(),
        &MountConfig::default(),
    )
    .unwrap();
    println!("\nmounted");
    let code = match runtime.block_on(session.run_until_unmounted(signals)) {
        Ended::Unmounted => 0,
        Ended::Broken { .. } => 3,
        Ended::Abandoned => 4,
    };
    leave(code);
}

/// Not a test: a command that goes into the background.
#[test]
#[ignore = "run by other tests"]
fn helper_goes_into_the_background() {
    println!();
    let child = daemon::Child::begin().unwrap();
    let directory = std::env::args_os().next_back().unwrap();
    let runtime = Runtime::new().unwrap();
    let signals = Signals::listen(runtime.handle()).unwrap();
    match mount(
        Arc::new(FakeTree::new()),
        runtime.handle().clone(),
        directory.as_ref(),
        &MountConfig::default(),
    ) {
        Err(error) => {
            child.failed(&error.to_string()).unwrap();
            leave(1);
        }
        Ok(session) => {
            child.ready(None).unwrap();
            runtime.block_on(session.run_until_unmounted(signals));
            leave(0);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::exit,
    reason = "these helpers are whole programs"
)]
fn leave(code: i32) -> ! {
    std::process::exit(code);
}

//! A tree on the real `/dev/fuse`, read with ordinary file operations. Each test has a mount of its own below a
//! temporary directory, which is cleared whatever happens; where there is no `/dev/fuse` they are skipped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gribfs::fuse::{
    Ended, MountConfig, MountError, Session, Signals, UmountError, daemon, mount, mounts, umount,
};
use gribfs::vfs::tree::FailureKind;
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::fuse_tree::{CHUNK_BYTES, FAILURES, FakeTree, MILLION, SLOW, pattern};

/// A directory that is unmounted, if need be lazily, before it is removed.
struct MountDirectory(tempfile::TempDir);

impl MountDirectory {
    fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("gribfs-")
                .tempdir()
                .unwrap(),
        )
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for MountDirectory {
    fn drop(&mut self) {
        while mounts::at(self.path()).unwrap().is_some() {
            if umount(self.path()).is_err() {
                rustix::mount::unmount(self.path(), UnmountFlags::DETACH).unwrap();
            }
        }
    }
}

/// A mount served by this process.
struct Mounted {
    // Fields are dropped in this order.
    directory: MountDirectory,
    session: Session,
    tree: Arc<FakeTree>,
    _runtime: Runtime,
}

impl Mounted {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn is_skipped() -> bool {
    let skipped = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .is_err();
    if skipped {
        println!("skipped: /dev/fuse cannot be opened");
    }
    skipped
}

fn mounted_with(config: &MountConfig) -> Option<Mounted> {
    if is_skipped() {
        return None;
    }
    let directory = MountDirectory::new();
    let tree = Arc::new(FakeTree::new());
    let runtime = Runtime::new().unwrap();
    let session = mount(
        Arc::<FakeTree>::clone(&tree),
        runtime.handle().clone(),
        directory.path(),
        config,
    )
    .unwrap();
    Some(Mounted {
        directory,
        session,
        tree,
        _runtime: runtime,
    })
}

fn mounted() -> Option<Mounted> {
    mounted_with(&MountConfig::default())
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

#[test]
fn names_sizes_and_bytes_are_those_of_the_tree() {
    let Some(m) = mounted() else { return };
    assert_eq!(fs::read(m.path("hello")).unwrap(), b"hello world");
    assert_eq!(fs::read(m.path("empty")).unwrap(), b"");
    assert_eq!(
        fs::read(m.path("folder/deeper/0.0.0")).unwrap(),
        pattern(1000)
    );
    assert_eq!(fs::read(m.path("fetched")).unwrap(), pattern(CHUNK_BYTES));
    let stat = fs::metadata(m.path("chunk")).unwrap();
    assert_eq!(stat.len(), CHUNK_BYTES as u64);
    assert_eq!(stat.blocks(), (CHUNK_BYTES as u64).div_ceil(512));
    assert_eq!(stat.mtime(), 1_700_000_000);
    assert_eq!(stat.permissions().mode() & 0o777, 0o444);
    assert_eq!(stat.uid(), rustix::process::getuid().as_raw());
    let directory = fs::metadata(m.path("folder")).unwrap();
    assert!(directory.is_dir());
    assert_eq!(directory.permissions().mode() & 0o777, 0o555);
    // Neither stat nor ls reads.
    let reads = m.tree.reads.load(Ordering::Relaxed);
    for entry in fs::read_dir(m.path("slow")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().len(), 100_000);
    }
    assert_eq!(m.tree.reads.load(Ordering::Relaxed), reads);
}

#[test]
fn the_mount_table_and_df_show_it() {
    let Some(m) = mounted_with(&MountConfig {
        source_name: "a table, with a comma".into(),
        ..MountConfig::default()
    }) else {
        return;
    };
    let entry = mounts::at(m.session.mountpoint()).unwrap().unwrap();
    assert!(entry.is_ours());
    assert_eq!(entry.source, "a table, with a comma");
    let statfs = rustix::fs::statvfs(m.directory.path()).unwrap();
    assert_eq!(statfs.f_blocks * statfs.f_frsize, MILLION * 64);
    assert!(statfs.f_files > MILLION);
    assert_eq!((statfs.f_bfree, statfs.f_namemax), (0, 255));
}

#[test]
fn every_piece_of_a_file_is_the_right_one() {
    for direct_io in [false, true] {
        let config = MountConfig {
            direct_io,
            ..MountConfig::default()
        };
        let Some(m) = mounted_with(&config) else {
            return;
        };
        let expected = pattern(CHUNK_BYTES);
        for name in ["chunk", "fetched"] {
            let file = File::open(m.path(name)).unwrap();
            let mut random = 12345_u64;
            for _ in 0..200 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let offset = (random >> 20) as usize % (CHUNK_BYTES + 5000);
                let size = (random >> 44) as usize % 300_000;
                let mut bytes = vec![0; size];
                let mut got = 0;
                loop {
                    let n = file
                        .read_at(&mut bytes[got..], (offset + got) as u64)
                        .unwrap();
                    got += n;
                    if n == 0 {
                        break;
                    }
                }
                let start = offset.min(CHUNK_BYTES);
                let end = (offset + size).min(CHUNK_BYTES).max(start);
                assert!(
                    bytes[..got] == expected[start..end],
                    "{name} {offset} {size}"
                );
            }
        }
    }
}

#[test]
fn a_file_read_once_is_not_asked_for_again() {
    let Some(m) = mounted() else { return };
    for expected in [true, false] {
        let before = m.tree.reads.load(Ordering::Relaxed);
        assert_eq!(fs::read(m.path("fetched")).unwrap(), pattern(CHUNK_BYTES));
        let asked = m.tree.reads.load(Ordering::Relaxed) > before;
        assert_eq!(asked, expected);
    }
}

#[test]
fn mapped_files_read_as_well() {
    const SCRIPT: &str = "
import hashlib, mmap, sys
for access in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
    with open(sys.argv[1], 'rb') as f, mmap.mmap(f.fileno(), 0, access, mmap.PROT_READ) as m:
        print(len(m), sum(m[::4096]), m[-1], m.read(100_000)[-1], end=';')
";
    for direct_io in [false, true] {
        let config = MountConfig {
            direct_io,
            ..MountConfig::default()
        };
        let Some(m) = mounted_with(&config) else {
            return;
        };
        let run = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(m.path("fetched"))
            .output();
        let Ok(output) = run else {
            println!("skipped: no python3");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if direct_io && said.contains("No such device") {
            println!("skipped: this kernel maps no files that are read past its cache");
            continue;
        }
        let bytes = pattern(CHUNK_BYTES);
        let sum: u64 = bytes.iter().step_by(4096).map(|b| u64::from(*b)).sum();
        let line = format!(
            "{CHUNK_BYTES} {sum} {} {};",
            bytes[CHUNK_BYTES - 1],
            bytes[99_999]
        );
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            line.repeat(2),
            "{said}"
        );
    }
}

#[test]
fn absent_names_are_absent_and_remembered() {
    let Some(m) = mounted() else { return };
    for name in [
        "absent",
        "folder/absent",
        "million/1000000",
        "million/01",
        "million/+1",
    ] {
        assert_eq!(errno(fs::metadata(m.path(name))), libc::ENOENT, "{name}");
    }
    let before = m.tree.lookups.load(Ordering::Relaxed);
    for _ in 0..50 {
        assert_eq!(errno(File::open(m.path("absent"))), libc::ENOENT);
    }
    assert_eq!(m.tree.lookups.load(Ordering::Relaxed), before);
    let long = "n".repeat(256);
    assert_eq!(errno(fs::metadata(m.path(&long))), libc::ENAMETOOLONG);
    assert_eq!(errno(fs::metadata(m.path("hello/x"))), libc::ENOTDIR);
    assert_eq!(
        errno(fs::read_dir(m.path("hello")).map(drop)),
        libc::ENOTDIR
    );
}

#[test]
fn writes_of_every_kind_are_refused() {
    let Some(m) = mounted() else { return };
    let hello = m.path("hello");
    let results = [
        ("write", fs::write(&hello, "x")),
        (
            "append",
            OpenOptions::new().append(true).open(&hello).map(drop),
        ),
        (
            "truncate",
            OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&hello)
                .map(drop),
        ),
        ("create", File::create(m.path("new")).map(drop)),
        ("mkdir", fs::create_dir(m.path("new"))),
        ("unlink", fs::remove_file(&hello)),
        ("rmdir", fs::remove_dir(m.path("folder"))),
        ("rename", fs::rename(&hello, m.path("new"))),
        ("link", fs::hard_link(&hello, m.path("new"))),
        ("symlink", std::os::unix::fs::symlink("x", m.path("new"))),
        (
            "chmod",
            fs::set_permissions(&hello, fs::Permissions::from_mode(0o777)),
        ),
        ("chown", std::os::unix::fs::chown(&hello, Some(1), Some(1))),
    ];
    for (operation, result) in results {
        assert_eq!(errno(result), libc::EROFS, "{operation}");
    }
    assert_eq!(fs::read(&hello).unwrap(), b"hello world");
}

#[test]
fn failures_are_raised_by_read_and_by_nothing_else() {
    for direct_io in [false, true] {
        let config = MountConfig {
            direct_io,
            ..MountConfig::default()
        };
        let Some(m) = mounted_with(&config) else {
            return;
        };
        for folder in ["fails_later", "fails_now"] {
            assert_eq!(
                fs::read_dir(m.path(folder)).unwrap().count(),
                FAILURES.len()
            );
            for (kind, name, expected) in FAILURES {
                let path = m.path(folder).join(name);
                assert_eq!(fs::metadata(&path).unwrap().len(), 10_000);
                let mut file = File::open(&path).unwrap();
                assert_eq!(errno(file.read(&mut [0; 100])), expected, "{kind:?}");
                assert_eq!(
                    errno(file.read_at(&mut [0; 100], 9_000)),
                    expected,
                    "{kind:?}"
                );
                // Nothing of it is kept.
                assert_eq!(fs::metadata(&path).unwrap().len(), 10_000);
                assert_eq!(errno(fs::read(&path)), expected, "{kind:?}");
            }
        }
        assert_eq!(fs::read(m.path("hello")).unwrap(), b"hello world");
    }
}

#[test]
fn a_panic_is_an_error_and_the_mount_lives() {
    let Some(m) = mounted() else { return };
    for round in 0..20 {
        assert_eq!(errno(fs::metadata(m.path("panic_in_lookup"))), libc::EIO);
        assert_eq!(errno(fs::read(m.path("panics/now"))), libc::EIO);
        assert_eq!(errno(fs::read(m.path("panics/later"))), libc::EIO);
        let listed: io::Result<Vec<_>> = fs::read_dir(m.path("panics/list")).unwrap().collect();
        assert_eq!(errno(listed), libc::EIO, "round {round}");
    }
    assert_eq!(fs::read(m.path("chunk")).unwrap(), pattern(CHUNK_BYTES));
    assert_eq!(fs::read(m.path("fetched")).unwrap(), pattern(CHUNK_BYTES));
    m.session.unmount().unwrap();
    assert_eq!(m.session.wait(), Ended::Unmounted);
}

/// A short answer makes the kernel cut the file it has cached, and the next reader gets a short file without an error.
#[test]
fn an_answer_of_the_wrong_length_is_an_error_and_cuts_nothing() {
    for direct_io in [false, true] {
        let config = MountConfig {
            direct_io,
            ..MountConfig::default()
        };
        let Some(m) = mounted_with(&config) else {
            return;
        };
        for name in [
            "short_now",
            "short_later",
            "nothing",
            "long_now",
            "long_later",
        ] {
            let path = m.path("wrong").join(name);
            for _ in 0..2 {
                assert_eq!(errno(fs::read(&path)), libc::EIO, "{name}");
                assert_eq!(fs::metadata(&path).unwrap().len(), 10_000, "{name}");
            }
        }
    }
}

#[test]
fn a_read_that_never_ends_is_ended() {
    let Some(m) = mounted_with(&MountConfig {
        read_deadline: Duration::from_millis(200),
        ..MountConfig::default()
    }) else {
        return;
    };
    assert_eq!(errno(fs::read(m.path("never"))), libc::ETIMEDOUT);
}

#[test]
fn a_live_file_shows_its_present_text() {
    let Some(m) = mounted() else { return };
    let read = || fs::read_to_string(m.path("live")).unwrap();
    let (first, second) = (read(), read());
    assert!(first.ends_with("longer than declared"), "{first}");
    assert_ne!(first, second);
}

#[test]
fn slow_reads_wait_together_and_hold_up_nobody() {
    let Some(m) = mounted() else { return };
    let started = Instant::now();
    let quick = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..64)
            .map(|i| {
                let path = m.path("slow").join(i.to_string());
                scope.spawn(move || {
                    let mut bytes = [0; 4096];
                    File::open(path).unwrap().read_exact(&mut bytes).unwrap();
                    assert!(bytes == pattern(4096)[..]);
                })
            })
            .collect();
        std::thread::sleep(SLOW / 6);
        let begun = Instant::now();
        for index in 0..20 {
            fs::read(m.path("million").join(index.to_string())).unwrap();
        }
        let quick = begun.elapsed();
        for reader in readers {
            reader.join().unwrap();
        }
        quick
    });
    let all = started.elapsed();
    println!("64 slow reads: {all:?}; 20 quick ones meanwhile: {quick:?}");
    // One after the other they would take 64 times as long; in waves of 16, four times.
    assert!(all >= SLOW);
    assert!(all < SLOW * 10, "{all:?}");
    assert!(quick < SLOW * 5, "{quick:?}");
}

#[test]
fn a_million_names_are_listed_once_each_and_in_order() {
    let Some(m) = mounted() else { return };
    let started = Instant::now();
    let mut expected = 0_u64;
    for entry in fs::read_dir(m.path("million")).unwrap() {
        let name = entry.unwrap().file_name();
        assert_eq!(name.to_str().unwrap().parse(), Ok(expected));
        expected += 1;
    }
    assert_eq!(expected, MILLION);
    println!("1 000 000 names in {:?}", started.elapsed());
    // The dots, which the standard library hides, and resuming in the middle.
    let folder = File::open(m.path("folder")).unwrap();
    let mut listing = rustix::fs::Dir::read_from(&folder).unwrap();
    let mut names = Vec::new();
    for entry in &mut listing {
        let entry = entry.unwrap();
        names.push((entry.file_name().to_owned(), entry.ino()));
    }
    let expect = |name: &str, path: &str| {
        let inode = fs::metadata(m.path(path)).unwrap().ino();
        (std::ffi::CString::new(name).unwrap(), inode)
    };
    assert_eq!(
        names,
        [
            expect(".", "folder"),
            expect("..", "."),
            expect("deeper", "folder/deeper")
        ]
    );
    let folder = File::open(m.path("million")).unwrap();
    let mut listing = rustix::fs::Dir::read_from(&folder).unwrap();
    let nth = |listing: &mut rustix::fs::Dir, n| {
        let entry = listing.nth(n).unwrap().unwrap();
        (entry.file_name().to_owned(), entry.offset())
    };
    let (name, offset) = nth(&mut listing, 500_001);
    assert_eq!(name.to_str(), Ok("499999"));
    assert_eq!(nth(&mut listing, 9).0.to_str(), Ok("500009"));
    listing.seek(offset).unwrap();
    assert_eq!(nth(&mut listing, 0).0.to_str(), Ok("500000"));
}

#[test]
fn find_tar_and_cp_understand_it() {
    let Some(m) = mounted() else { return };
    let target = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .args([m.path("folder"), m.path("chunk"), m.path("hello")])
        .arg(target.path())
        .status()
        .unwrap();
    assert!(copied.success());
    assert_eq!(
        fs::read(target.path().join("chunk")).unwrap(),
        pattern(CHUNK_BYTES)
    );
    let compared = Command::new("diff")
        .arg("-r")
        .args([m.path("folder"), target.path().join("folder")])
        .status()
        .unwrap();
    assert!(compared.success());
    let tar = Command::new("tar")
        .args(["-cS", "-f", "-", "-C"])
        .arg(m.directory.path())
        .args(["chunk", "folder"])
        .output()
        .unwrap();
    assert!(
        tar.status.success(),
        "{}",
        String::from_utf8_lossy(&tar.stderr)
    );
    assert!(tar.stdout.len() > CHUNK_BYTES);
    let find = Command::new("find").arg(m.path("folder")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&find.stdout).lines().count(), 3);
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
    arguments.push(format!("fuse_mount::{helper}").into());
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
        run fuse_mount::helper_serves "$DIR" & server=$!
        until cat "$DIR/hello" 2>/dev/null; do kill -0 $server || exit 3; sleep 0.05; done
        kill -9 $(pgrep -P $server) $server; wait $server
        ls "$DIR" 2>&1
        run fuse_mount::helper_reads_its_own_mount "$DIR"
        run fuse_mount::helper_reads_its_own_mount allow_other "$DIR"
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

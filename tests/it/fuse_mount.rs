//! A tree on the real `/dev/fuse`, read with ordinary file operations. Each test has a mount of its own below a
//! temporary directory, which is cleared whatever happens; where there is no `/dev/fuse` they are skipped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gribfs::fuse::{Ended, MountConfig, Session, mount, mounts, umount};
use rustix::mount::UnmountFlags;
use tokio::runtime::Runtime;

use crate::fuse_tree::{CHUNK_BYTES, FAILURES, FakeTree, MILLION, SLOW, pattern};

/// A directory that is unmounted, if need be lazily, before it is removed.
pub(crate) struct MountDirectory(tempfile::TempDir);

impl MountDirectory {
    pub(crate) fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("gribfs-")
                .tempdir()
                .unwrap(),
        )
    }

    pub(crate) fn path(&self) -> &Path {
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
pub(crate) struct Mounted {
    // Fields are dropped in this order.
    pub(crate) directory: MountDirectory,
    pub(crate) session: Session,
    pub(crate) tree: Arc<FakeTree>,
    _runtime: Runtime,
}

impl Mounted {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

pub(crate) fn is_skipped() -> bool {
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

pub(crate) fn mounted() -> Option<Mounted> {
    mounted_with(&MountConfig::default())
}

pub(crate) fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
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
    let is_asked = || {
        let before = m.tree.reads.load(Ordering::Relaxed);
        assert_eq!(fs::read(m.path("fetched")).unwrap(), pattern(CHUNK_BYTES));
        m.tree.reads.load(Ordering::Relaxed) > before
    };
    assert!(is_asked(), "the first time");
    // The kernel may drop pages whenever it likes (and does, where a daemon of its own looks for cold ones), not each time.
    assert!((0..5).any(|_| !is_asked()), "each time");
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

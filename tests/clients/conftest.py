"""Client tests: what people's Python reads from a real mount, against what ecCodes reads from the same GRIB files.

The program comes from GRIBFS_BIN (default: the newest of target/{release,debug}/gribfs). Without `/dev/fuse` or without the program
everything that mounts is skipped, with a line that says so. Larger test data lies in GRIBFS_TEST_DATA (default ../shared/data).
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
ARCHIVE = ROOT / "tests/data/archive"
TEST_DATA = pathlib.Path(os.environ.get("GRIBFS_TEST_DATA", ROOT.parent / "shared/data"))

# What mounts learn of archives (corrections of stale indexes) must not outlive the tests, nor reach the next ones.
STATE = tempfile.TemporaryDirectory(prefix="gribfs-test-state-")
os.environ["XDG_STATE_HOME"] = STATE.name
os.environ.pop("STATE_DIRECTORY", None)

sys.path.insert(0, str(HERE))
import readers  # noqa: E402
import server  # noqa: E402


def find_program():
    if "GRIBFS_BIN" in os.environ:
        return pathlib.Path(os.environ["GRIBFS_BIN"]).resolve()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for path in (target / "release/gribfs", target / "debug/gribfs") if path.exists()]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


PROGRAM = find_program()


def run(*args, code=0, timeout=120, **more):
    """Runs `gribfs ARGS` and returns the finished process; wants the exit code `code`, or none in particular if that is None."""
    done = subprocess.run([str(PROGRAM), *map(str, args)], capture_output=True, text=True, timeout=timeout, **more)
    assert code in (None, done.returncode), f"gribfs {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def wait_until(true, seconds, what):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


class Mount:
    """One mount, made by `gribfs mount`; `log()` is what the daemon wrote, where it runs in the foreground."""

    def __init__(self, table, path, *args, foreground=False):
        self.path, self.process, self.log_path = path, None, path.with_suffix(".log")
        path.mkdir(parents=True, exist_ok=True)
        if not foreground:
            run("mount", table, path, *args)
            assert os.path.ismount(path), "gribfs mount returned 0 before the mount answers"
            return
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([str(PROGRAM), "mount", "-f", str(table), str(path), *map(str, args)], stderr=log, stdout=log)
        wait_until(lambda: os.path.ismount(path) or self.process.poll() is not None, 20, f"mount of {table}")
        assert self.process.poll() is None, self.log()

    def __truediv__(self, name):
        return self.path / name

    def log(self):
        return self.log_path.read_text()

    def stop(self):
        if os.path.ismount(self.path):
            done = run("umount", self.path, code=None)
            if os.path.ismount(self.path):
                subprocess.run(["fusermount3", "-uz", str(self.path)], check=False)
                raise AssertionError(f"gribfs umount left the mount: exit {done.returncode} {done.stderr}")
        if self.process:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("gribfs mount -f outlives its mount") from None


@pytest.fixture(scope="session")
def gribfs():
    """The function that runs the program."""
    if PROGRAM is None or not PROGRAM.exists():
        pytest.skip("skipped: gribfs is not built (cargo build, or set GRIBFS_BIN)")
    return run


@pytest.fixture(scope="session")
def fuse():
    if not os.path.exists("/dev/fuse") or not shutil.which("fusermount3"):
        pytest.skip("skipped: no /dev/fuse or no fusermount3 here")


def mounter(folder):
    mounts = []

    def mount(table, *args, **more):
        made = Mount(table, folder / f"mnt{len(mounts)}", *args, **more)
        mounts.append(made)
        return made

    return mount, mounts


@pytest.fixture
def mount(gribfs, fuse, tmp_path):
    """`mount(table, *args, foreground=False)` mounts below the test's folder; everything is unmounted at the end."""
    make, mounts = mounter(tmp_path)
    yield make
    for made in mounts:
        made.stop()


@pytest.fixture(scope="module")
def module_mount(gribfs, fuse, tmp_path_factory):
    """The same for all tests of a file."""
    make, mounts = mounter(tmp_path_factory.mktemp("mounts"))
    yield make
    for made in mounts:
        made.stop()


@pytest.fixture
def http():
    """An HTTP server on loopback over tests/data/archive, with faults to switch on: see server.py."""
    with server.Server(ARCHIVE) as running:
        yield running


@pytest.fixture(scope="session", params=["zarr3", "zarr2"])
def reader(request):
    """`reader(store)` is everything that xarray reads from a store: with zarr-python 3, or 2.18 in an environment of its own."""
    worker = readers.Worker(request.param, ROOT)
    if not worker.available:
        pytest.skip(f"skipped: {worker.missing}")
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def zarr3():
    worker = readers.Worker("zarr3", ROOT)
    yield worker
    worker.close()

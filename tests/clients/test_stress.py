"""Many opens, many threads, killed readers and a killed daemon: against a plain copy of the tree made beforehand."""

import collections
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import ARCHIVE, run, wait_until
from test_faults import F006, KEYS, T2M, chunk, errno_of, read_soon, store, table  # noqa: F401

LIVE = {".gribfs", "asof", "latest"}  # what changes, or is made when looked up


def status(mounted):
    import json

    return json.loads((mounted / ".gribfs/status.json").read_text())


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def test_ten_thousand_opens_leave_nothing_open(store, http):
    wanted = T2M.values.tobytes()
    path = chunk(store, "t2m")
    assert path.read_bytes() == wanted
    before = descriptors(store.mount.process)
    for number in range(10_000):
        with open(path, "rb", buffering=0) as file:
            if number % 100 == 0:
                assert file.read(len(wanted) + 1) == wanted
    assert descriptors(store.mount.process) <= before + 2
    assert len(http.requests) == 1


def test_ten_thousand_files_open_at_once(store, http):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, hard - 100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, hard))
    before = descriptors(store.mount.process)
    held = []
    try:
        held = [os.open(chunk(store, "t2m"), os.O_RDONLY) for _ in range(count)]
        assert os.pread(held[-1], 16, 0) == T2M.values.tobytes()[:16]
        assert descriptors(store.mount.process) <= before + 4, "an open file costs the mount no descriptor"
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


READER = "import sys; open(sys.argv[1], 'rb', buffering=0).read(1 << 20)"


def test_a_reader_that_is_killed_leaves_the_mount_whole(store, http):
    http.fault(F006, "hang")
    readers = [subprocess.Popen([sys.executable, "-c", READER, str(chunk(store, "t2m"))], stderr=subprocess.DEVNULL) for _ in range(4)]
    wait_until(lambda: http.requests, 20, "a reader that waits")
    for reader in readers:
        reader.kill()
    for reader in readers:
        assert reader.wait(10) == -signal.SIGKILL
    assert errno_of(chunk(store, "t2m", step=0)) is None, "others are served meanwhile"
    http.heal()
    assert read_soon(chunk(store, "t2m"), 10) == T2M.values.tobytes()
    wait_until(lambda: status(store.mount)["in_flight"] == 0, 10, "the killed readers' fetch")


def test_a_daemon_that_is_killed_gives_errors_and_the_next_mount_recovers(table, mount, http):
    mounted = mount(table, foreground=True)
    path = chunk(mounted / "run_time.zarr", "t2m")
    http.fault(F006, "hang")
    outcome = []

    def read():
        try:
            outcome.append(path.read_bytes())
        except OSError as error:
            outcome.append(error.errno)

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: http.requests, 20, "a reader that waits")
    mounted.process.kill()
    mounted.process.wait(10)
    reader.join(10)
    assert not reader.is_alive(), "a reader hangs though nobody is there to answer it"
    swallowed = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINTR, errno.EAGAIN}
    assert len(outcome) == 1 and isinstance(outcome[0], int) and outcome[0] not in swallowed, outcome
    # The kernel may keep what it knows (the size of a chunk), but no name, listing or byte comes from nowhere.
    new = mounted / "run_time.zarr/u10/0.0.0.0"
    for look in (lambda: os.stat(new), lambda: os.listdir(mounted.path), lambda: open(path)):
        with pytest.raises(OSError) as caught:
            look()
        assert caught.value.errno == errno.ENOTCONN, "a dead mount is not an empty folder"
    http.heal()
    run("mount", table, mounted.path)
    mounted.process = None
    assert path.read_bytes() == T2M.values.tobytes()


def copied(source, to):
    """A plain copy of what never changes in a mount."""
    shutil.copytree(source, to, ignore=lambda folder, names: LIVE & set(names) if folder == str(source) else set(), copy_function=shutil.copyfile)
    return to


def everything(folder):
    """All paths below a folder, relative, and names that are not there."""
    found = [""]
    for base, folders, files in os.walk(folder):
        found += [os.path.relpath(os.path.join(base, name), folder) for name in folders + files]
    rng = random.Random(1)
    absent = [os.path.join(rng.choice(found), name) for name in ("nothing", "0.99.0.0", "0.0.0.0.0", "00.0.0.0", ".zarray2", "t2m ", "x" * 255, "x" * 256)]
    return found, absent


def outcome(operation, path, rng):
    """What an operation gives: a value that must be the same in mount and copy, or an errno."""
    try:
        if operation == "stat":
            found = os.stat(path)
            return found.st_mode & 0o170000, found.st_size if os.path.isfile(path) else None
        if operation == "list":
            return sorted(name for name in os.listdir(path) if name not in LIVE)
        if operation == "exists":
            return os.path.exists(path), os.path.isdir(path), os.path.isfile(path)
        if operation == "walk-up":
            return os.path.isdir(os.path.join(path, ".."))
        descriptor = os.open(path, os.O_RDONLY)
        try:
            if operation == "open":
                return None
            offset, length = rng.choice([(0, 16), (0, 1 << 20), (100, 5000), (1 << 16, 1 << 16), (1 << 30, 10)])
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        return OSError, error.errno


def hammer(mounted, model, paths, absent, seed, count, failures, may_fail=False):
    rng = random.Random(seed)
    seen = collections.Counter()
    for _ in range(count):
        path = rng.choice(absent) if rng.random() < 0.1 else rng.choice(paths)
        operation = rng.choice(["stat", "list", "exists", "open", "read", "read", "walk-up"])
        state = rng.getstate()
        expected = outcome(operation, os.path.join(model, path), rng)
        rng.setstate(state)
        got = outcome(operation, os.path.join(mounted, path), rng)
        seen[operation] += 1
        if got != expected:
            harmless = may_fail and operation == "read" and isinstance(got, tuple) and got[0] is OSError
            if not (harmless and got[1] in (errno.EIO, errno.ETIMEDOUT)):
                failures.append((operation, path, str(expected)[:200], str(got)[:200]))


def in_threads(count, target, *args):
    threads = [threading.Thread(target=target, args=(*args[:4], seed, *args[4:])) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive(), "an operation hangs"


def test_random_operations_give_what_a_plain_copy_gives(gribfs, mount, tmp_path):
    path = tmp_path / "gfs.parquet"
    gribfs("index", ARCHIVE / "gfs.20261122/00", "-o", path)
    model = copied(mount(path).path, tmp_path / "copy")
    mounted = mount(path, foreground=True)  # another one, with nothing in any cache
    paths, absent = everything(model)
    assert len(paths) > 500
    failures = []
    in_threads(8, hammer, mounted.path, model, paths, absent, 1500, failures)
    assert not failures, failures[:5]
    assert "panic" not in mounted.log()


def test_random_operations_while_the_archive_fails_give_right_bytes_or_an_error(gribfs, http, table, mount, tmp_path):
    model = copied(mount(table).path, tmp_path / "copy")
    mounted = mount(table, "--timeout", "2", foreground=True)
    before = descriptors(mounted.process)
    paths, absent = everything(model)
    stop = threading.Event()

    def spoil():
        rng = random.Random(7)
        while not stop.is_set():
            fault = rng.choice(["500", "503", "404", "cut", "short", "reset", "page", "whole", "shifted", "garbage", "stall", "slow"])
            http.fault(rng.choice(KEYS), fault, times=rng.choice([1, 2, 10]))
            time.sleep(0.02)

    spoiler = threading.Thread(target=spoil)
    spoiler.start()
    failures = []
    try:
        in_threads(6, hammer, mounted.path, model, paths, absent, 400, failures, True)
    finally:
        stop.set()
        spoiler.join()
    assert not failures, failures[:5]
    http.heal()
    time.sleep(1.1)  # a failure stands for a second
    failures = []
    hammer(mounted.path, model, paths, absent, 99, 300, failures)
    assert not failures, failures[:5]
    wait_until(lambda: status(mounted)["in_flight"] == 0, 10, "all fetches to end")
    assert descriptors(mounted.process) <= before + 64 + 8, "no more than the connections that are kept"
    assert "panic" not in mounted.log()

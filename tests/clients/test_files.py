"""A mount as files: what find, tar, cp, rsync and mmap make of it. Copies are the mount's bytes; sizes are what stat says; nothing can be changed."""

import errno
import filecmp
import mmap
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray
from matrix import BROKEN, damaged, matrix, missing  # noqa: F401 (fixtures)

PRODUCTS = ["gfs", "ecmwf"]  # runs with pressure levels and gaps; an ensemble on pressure levels


def command(*args, code=0, **more):
    if not shutil.which(args[0]):
        missing(args[0])
    done = subprocess.run([str(arg) for arg in args], capture_output=True, text=True, timeout=120, **more)
    assert code in (None, done.returncode), f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done


def tree(folder):
    """Relative path -> size, of every file."""
    return {os.path.relpath(os.path.join(where, name), folder): os.lstat(os.path.join(where, name)).st_size for where, _, names in os.walk(folder) for name in names}


def same_tree(a, b):
    files = tree(a)
    assert files == tree(b) and len(files) > 40
    wrong = [name for name in files if not filecmp.cmp(os.path.join(a, name), os.path.join(b, name), shallow=False)]
    assert not wrong, f"{len(wrong)} of {len(files)} files differ: {wrong[:5]}"


@pytest.fixture(params=PRODUCTS)
def store(request, matrix):  # noqa: F811
    return matrix.store(request.param)


def test_find_lists_every_chunk_that_exists_and_no_other(store, request, matrix):  # noqa: F811
    name = request.node.callspec.params["store"]
    for array, whole in matrix.arrays(name).items():
        points = whole.values.shape[-2] * whole.values.shape[-1]
        listed = command("find", store / array, "-type", "f", "-name", "[0-9]*", "-size", f"{points * 4}c", "-printf", "%f\\n").stdout.split()
        assert sorted(listed) == sorted(".".join(map(str, (*index, 0, 0))) for index in whole.fields), array
    everything = command("find", store, "-type", "f", "-printf", "%P %s\\n").stdout.splitlines()
    assert dict(line.rsplit(" ", 1) for line in everything) == {path: str(size) for path, size in tree(store).items()}


def test_sizes_are_true_and_no_file_looks_like_a_hole(store):
    for name, size in tree(store).items():
        with open(store / name, "rb") as file:
            assert len(file.read()) == size, name
        assert os.stat(store / name).st_blocks * 512 >= size, f"{name} looks sparse"


@pytest.mark.parametrize("flags", [["-S"], []], ids=["sparse", "plain"])
def test_tar(store, tmp_path, flags):
    command("tar", *flags, "-C", store, "-cf", tmp_path / "all.tar", ".")
    (tmp_path / "out").mkdir()
    command("tar", "-C", tmp_path / "out", "-xf", tmp_path / "all.tar")
    same_tree(store, tmp_path / "out")


@pytest.mark.parametrize("sparse", ["always", "auto", "never"])
def test_cp(store, tmp_path, sparse):
    command("cp", "-r", f"--sparse={sparse}", store, tmp_path / "out")
    same_tree(store, tmp_path / "out")


@pytest.mark.parametrize("flags", ["-a", "-aS", "-rc"])
def test_rsync(store, tmp_path, flags):
    command("rsync", flags, f"{store}/", tmp_path / "out")
    same_tree(store, tmp_path / "out")
    again = command("rsync", flags, "--itemize-changes", f"{store}/", tmp_path / "out").stdout.splitlines()
    assert flags == "-rc" or not [line for line in again if line.startswith(">f")], "a second run finds nothing new"


def test_a_copy_is_a_store(matrix, tmp_path):  # noqa: F811
    command("cp", "-r", matrix.store("gfs"), tmp_path / "copy.zarr")
    copy = xarray.open_zarr(str(tmp_path / "copy.zarr"), chunks=None)
    for name, whole in matrix.arrays("gfs").items():
        whole.same(copy[name].values, name)


def test_a_whole_mount_can_be_copied(matrix, tmp_path):  # noqa: F811
    command("cp", "-r", matrix.root("gefs"), tmp_path / "out")
    command("tar", "-C", matrix.root("gefs"), "-cf", tmp_path / "all.tar", ".")
    command("rsync", "-a", f"{matrix.root('gefs')}/", tmp_path / "out2")
    same_tree(tmp_path / "out/runs", matrix.root("gefs") / "runs")


def test_mmap(matrix):  # noqa: F811
    whole = matrix.arrays("gfs")["t2m"]
    for index in whole.fields:
        path = matrix.store("gfs") / "t2m" / ".".join(map(str, (*index, 0, 0)))
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            assert len(mapped) == path.stat().st_size
            # The last page first, then all of it.
            last = np.frombuffer(mapped, "<f4", count=1, offset=len(mapped) - 4)
            assert last[0] == whole.values[index][-1, -1]
            whole.same(np.frombuffer(mapped, "<f4").reshape(whole.values.shape[-2:]).copy(), f"mmap {index}", index)
            del last
    array = np.memmap(path, "<f4", mode="r", shape=whole.values.shape[-2:])
    whole.same(np.array(array), "numpy.memmap", index)


CHANGES = {
    "write": lambda path: os.open(path / "t2m/0.1.0.0", os.O_WRONLY),
    "append": lambda path: os.open(path / ".zattrs", os.O_RDWR | os.O_APPEND),
    "create": lambda path: os.open(path / "t2m/9.9.9.9", os.O_CREAT | os.O_WRONLY),
    "truncate": lambda path: os.truncate(path / "t2m/0.1.0.0", 0),
    "unlink": lambda path: os.unlink(path / "t2m/0.1.0.0"),
    "rename": lambda path: os.rename(path / "t2m/0.1.0.0", path / "t2m/0.2.0.0"),
    "mkdir": lambda path: os.mkdir(path / "new"),
    "rmdir": lambda path: os.rmdir(path / "t2m"),
    "symlink": lambda path: os.symlink("t2m", path / "other"),
    "link": lambda path: os.link(path / "t2m/0.1.0.0", path / "t2m/7.7.7.7"),
    "chmod": lambda path: os.chmod(path / "t2m/0.1.0.0", 0o777),
    "chown": lambda path: os.chown(path / "t2m/0.1.0.0", 12345, 12345),
    "utime": lambda path: os.utime(path / "t2m/0.1.0.0", (1, 1)),
    "setxattr": lambda path: os.setxattr(path / "t2m/0.1.0.0", "user.x", b"1"),
    "mknod": lambda path: os.mkfifo(path / "pipe"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_can_be_changed(matrix, change):  # noqa: F811
    with pytest.raises(OSError) as raised:
        CHANGES[change](matrix.store("gfs"))
    assert raised.value.errno == errno.EROFS, raised.value


def test_zarr_cannot_write_either(matrix):  # noqa: F811
    import zarr

    with pytest.raises(OSError) as raised:
        zarr.open_group(str(matrix.store("gfs")), mode="r+")["t2m"][0, 1] = 0
    assert raised.value.errno == errno.EROFS


def test_tools_fail_on_a_bad_message_and_copy_the_rest(damaged, tmp_path):  # noqa: F811
    bad = damaged / "t2m" / f"{BROKEN[0]}.{BROKEN[1]}.0.0"
    assert bad.stat().st_size > 0, "the file is there, with its size"
    with open(bad, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert len(mapped) == bad.stat().st_size
    touch = "import mmap, sys; f = open(sys.argv[1], 'rb'); print(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[0])"
    command(sys.executable, "-c", touch, bad, code=-signal.SIGBUS)
    assert command("cp", bad, tmp_path / "chunk", code=1).stderr
    assert command("cp", "-r", "--sparse=always", damaged / "t2m", tmp_path / "out", code=1).stderr.count("error reading") == 1
    assert command("tar", "-cSf", tmp_path / "all.tar", "-C", damaged, "t2m", code=None).returncode != 0
    assert command("rsync", "-a", f"{damaged}/t2m/", tmp_path / "rsync", code=23).stderr
    assert not (tmp_path / f"rsync/{bad.name}").exists()
    good = damaged / "t2m" / "0.1.0.0"
    assert good.read_bytes() == (tmp_path / "out/0.1.0.0").read_bytes() == (tmp_path / "rsync/0.1.0.0").read_bytes()

"""The commands as a user meets them: the demo, and what bad usage gives."""

import os
import re
import subprocess

import pytest
from conftest import ARCHIVE, PROGRAM

GFS = ARCHIVE / "gfs.20261122"
ONE = GFS / "00/atmos/gfs.t00z.pgrb2.3p00.f000"


@pytest.fixture(scope="module")
def table(gribfs, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "gfs.parquet"
    gribfs("index", GFS, "-o", path)
    return path


def refused(done, *words):
    """One clear sentence on stderr, exit code 1 or 2, no panic."""
    assert done.returncode in (1, 2), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    text = done.stderr.strip()
    assert text and "panicked" not in text and "RUST_BACKTRACE" not in text, text
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"
    return text


def test_every_command_has_help_with_an_example(gribfs):
    for command in ("index", "mount", "umount", "info", "demo"):
        assert f"gribfs {command}" in gribfs(command, "--help").stdout
    assert re.match(r"gribfs \d+\.\d+\.\d+", gribfs("--version").stdout)


def test_wrong_flags_are_exit_2(gribfs):
    assert gribfs("index", code=None).returncode == 2
    assert gribfs("mount", "--nonsense", code=None).returncode == 2
    assert gribfs("nonsense", code=None).returncode == 2


def test_a_source_that_is_not_there(gribfs, tmp_path):
    refused(gribfs("index", tmp_path / "absent.grib2", "-o", tmp_path / "t.parquet", code=None), "absent.grib2")
    assert not (tmp_path / "t.parquet").exists()


def test_a_source_that_is_no_grib(gribfs, tmp_path):
    (tmp_path / "letter.txt").write_text("dear all\n" * 1000)
    refused(gribfs("index", tmp_path / "letter.txt", "-o", tmp_path / "t.parquet", code=None), "letter.txt")


def test_an_empty_directory(gribfs, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(gribfs("index", tmp_path / "empty", "-o", tmp_path / "t.parquet", code=None), "empty")


def test_a_mount_point_that_cannot_be_one(gribfs, fuse, table, tmp_path):
    (tmp_path / "file").write_text("")
    refused(gribfs("mount", table, tmp_path / "file", code=None), "file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thing").write_text("")
    refused(gribfs("mount", table, tmp_path / "full", code=None), "full", "empty")


def test_a_table_that_is_not_ours(gribfs, fuse, tmp_path):
    (tmp_path / "dir").mkdir()
    refused(gribfs("mount", ONE, tmp_path / "dir", code=None), ONE.name)
    refused(gribfs("mount", tmp_path / "absent.parquet", tmp_path / "dir", code=None), "absent.parquet")
    refused(gribfs("info", ONE, code=None), ONE.name)
    assert not os.path.ismount(tmp_path / "dir")


def test_umount_of_what_is_not_mounted(gribfs, tmp_path):
    refused(gribfs("umount", tmp_path, code=None), tmp_path.name)


def test_umount_says_who_holds_it(gribfs, table, mount):
    mounted = mount(table)
    with open(mounted / "run_time.zarr/.zmetadata", "rb"):
        text = refused(gribfs("umount", mounted.path, code=None))
        assert str(os.getpid()) in text, text
        assert os.path.ismount(mounted.path)
    gribfs("umount", mounted.path)
    assert not os.path.ismount(mounted.path)


def test_sigterm_unmounts_an_idle_mount(table, mount):
    mounted = mount(table, foreground=True)
    mounted.process.terminate()
    assert mounted.process.wait(10) == 0
    assert not os.path.ismount(mounted.path)


def test_info_tells_what_is_in_a_table(gribfs, table):
    text = gribfs("info", table).stdout
    for word in ("t2m", "gh", "tp", "2026-11-22"):
        assert word in text, text


def test_a_directory_of_one_table_per_run(gribfs, tmp_path, mount):
    gribfs("index", GFS / "00", "-o", tmp_path / "gfs")
    gribfs("index", GFS / "06", "-o", tmp_path / "gfs")
    assert len([name for name in os.listdir(tmp_path / "gfs") if name.endswith(".parquet")]) == 2
    assert sorted(os.listdir(mount(tmp_path / "gfs") / "runs")) == ["2026-11-22T00.zarr", "2026-11-22T06.zarr"]


def test_the_same_input_gives_the_same_table(gribfs, table, tmp_path):
    gribfs("index", GFS, "-o", tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == table.read_bytes()


def test_the_demo_runs_twice_and_leaves_a_mount(gribfs, fuse, tmp_path):
    import xarray

    home = tmp_path / "demo"
    home.mkdir()
    mounts = []
    try:
        for _ in range(2):
            done = gribfs("demo", home, timeout=60)
            text = done.stdout
            assert "open_zarr" in text and "umount" in text, text
            with open("/proc/self/mounts") as lines:
                mounts = [line.split()[1] for line in lines if line.split()[1].startswith(str(home))]
            assert len(mounts) == 1, mounts
            store = re.search(r"open_zarr\(['\"](.+?)['\"]\)", text)[1]
            data = xarray.open_zarr(store)
            assert {"t2m", "tp"} & set(data.data_vars)
            data.close()
    finally:
        for path in mounts:
            subprocess.run([str(PROGRAM), "umount", path], check=False)
    assert not os.path.ismount(mounts[0])

"""The commands as a user meets them: the demo, and what bad usage gives."""

import json
import os
import pty
import re
import struct
import subprocess
import zlib

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
    for command in ("index", "mount", "umount", "info", "quicklook", "demo"):
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


def test_info_counts_cells_and_bytes(gribfs, table):
    told = json.loads(gribfs("info", table, "--json").stdout)
    assert told["version"] == 1 and told["runs"] and told["unknown_lengths"] == 0
    main = told["groups"][0]
    for array in main["arrays"]:
        assert array["virtual_bytes"] == (array["present"] + array["pending"]) * main["points"] * 4
        assert len(array["shape"]) == len(array["dimensions"])
    import pandas

    rows = pandas.read_parquet(table)
    placed = rows[rows.status == "placed"]
    # An accumulation's first window stands in two arrays.
    for array in (array for array in main["arrays"] if not array["name"].startswith("tp")):
        own = placed[placed.varname == array["name"]]
        assert (array["present"], array["real_bytes"]) == (len(own), own.length.sum()), array["name"]
    assert told["real_bytes"] == sum(array["real_bytes"] for group in told["groups"] for array in group["arrays"])
    only = json.loads(gribfs("info", table, "--json", "--variable", "t2m", "--step", "6h").stdout)
    own = placed[(placed.varname == "t2m") & (placed.step.dt.total_seconds() == 6 * 3600)]
    assert only["real_bytes"] == own.length.sum() and only["cells"] == len(own)


def test_info_charts_runs_and_gaps(gribfs, tmp_path):
    """A run that lacks a file has a gap there, one that lacks a message is partly there."""
    files = [path for path in sorted((GFS).rglob("*.pgrb2.3p00.f???"))]
    assert len(files) > 6
    lost = files[-1]
    gribfs("index", *[path for path in files if path != lost], "-o", tmp_path / "gfs.parquet")
    told = json.loads(gribfs("info", tmp_path / "gfs.parquet", "--json").stdout)
    (main,) = told["groups"]
    steps = [second // 3600 for second in main["steps_seconds"]]
    run, step = lost.parts[-3], int(lost.name[-3:])
    letters = {line["run"][-2:]: line["steps"] for line in main["coverage"]}
    assert all(len(line) == len(steps) for line in letters.values())
    assert letters[run][steps.index(step)] == "."
    assert "c" in letters["00"]
    text = gribfs("info", tmp_path / "gfs.parquet", env={**os.environ, "LC_ALL": "C", "COLUMNS": "80"}).stdout
    assert "complete" in text and "gap" in text
    chart = {line.split()[0][-2:]: line.split()[1] for line in text.splitlines() if re.match(r"  2026-11-22T\d\d [#+?.]+$", line)}
    signs = str.maketrans("cp", "#+")
    assert chart == {run: line.translate(signs) for run, line in letters.items()}


def test_info_draws_a_tree(gribfs, table):
    lines = gribfs("info", table, "--tree", env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout.splitlines()
    assert any(line.startswith("├── run_time.zarr") for line in lines)
    assert any(line.startswith("│   ├── t2m") or line.startswith("│   └── t2m") for line in lines) and lines[-1].startswith("└── best_available.zarr")


def test_info_tells_of_a_reference_set(gribfs, tmp_path):
    zarray = {"zarr_format": 2, "shape": [2, 3], "chunks": [1, 3], "dtype": "<f4", "fill_value": None, "compressor": None, "filters": None, "order": "C"}
    refs = {".zgroup": '{"zarr_format": 2}', "a/.zarray": json.dumps(zarray), "a/.zattrs": '{"_ARRAY_DIMENSIONS": ["y", "x"], "units": "K"}', "a/0.0": "base64:AAAAAAAAAAAAAAAA", "a/1.0": "base64:AAAAAAAAAAAAAAAA"}
    (tmp_path / "refs.json").write_text(json.dumps({"version": 1, "refs": refs}))
    told = json.loads(gribfs("info", tmp_path / "refs.json", "--json").stdout)
    assert told["reference_set"] and told["arrays"][0]["shape"] == [2, 3] and told["arrays"][0]["virtual_bytes"] == 24
    assert "y 2, x 3" in gribfs("info", tmp_path / "refs.json").stdout


def on_a_terminal(*args):
    """What `gribfs ARGS` shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(PROGRAM), *map(str, args)], stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(60) == 0
    return shown


def test_progress_is_shown_on_a_terminal_and_nowhere_else(gribfs, tmp_path):
    quiet = gribfs("index", GFS, "-o", tmp_path / "a.parquet", "--scan")
    assert quiet.stderr == ""
    shown = on_a_terminal("index", GFS, "-o", tmp_path / "b.parquet", "--scan")
    assert b"files" in shown and b"eta" in shown, shown
    assert gribfs("copy", tmp_path / "a.parquet", tmp_path / "a.zarr").stderr == ""
    shown = on_a_terminal("copy", tmp_path / "a.parquet", tmp_path / "b.zarr")
    assert b"fields" in shown and b"written" in shown, shown


def picture(path):
    """Width, height and RGB rows of a PNG without interlacing."""
    data, at, pixels, size = path.read_bytes(), 8, b"", None
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
            assert body[8:10] == b"\x08\x02", "8 bits, RGB"
        elif kind == b"IDAT":
            pixels += body
        at += 12 + length
    assert len(zlib.decompress(pixels)) == (size[0] * 3 + 1) * size[1]
    return size


def test_quicklook_draws_from_a_mount_and_from_a_table(gribfs, table, mount, tmp_path):
    mounted = mount(table)
    gribfs("quicklook", mounted / "run_time.zarr", "t2m", "--run", "2026-11-22T00", "--step", "6h", "-o", tmp_path / "a.png", "--width", "600")
    gribfs("quicklook", table, "t2m", "--run", "2026-11-22T00", "--step", "6h", "-o", tmp_path / "b.png", "--width", "600")
    width, height = picture(tmp_path / "a.png")
    assert width > 600 and 300 < height < 600
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    gribfs("quicklook", mounted / "best_available.zarr", "gh", "--level", "500", "--valid-time", "2026-11-22T06", "-o", tmp_path / "c.png", "--bbox", "35,-15,65,35")
    picture(tmp_path / "c.png")


@pytest.mark.parametrize("flags", [[], ["--codec", "zstd"], ["--codec", "gzip", "--chunks", "step=2,latitude=50"], ["--zarr-format", "3"],
                                   ["--zarr-format", "3", "--chunks", "latitude=20,longitude=30", "--shards", "step=2,latitude=40,longitude=120"]])
def test_quicklook_draws_copies_as_it_draws_what_they_are_of(gribfs, table, tmp_path, flags):
    """It read neither Blosc, which copies have unless told otherwise, nor shards."""
    gribfs("copy", table, tmp_path / "a.zarr", "--slice", "run_time", "--variable", "t2m", *flags)
    for source, picture in ((table, "shown.png"), (tmp_path / "a.zarr", "copied.png")):
        gribfs("quicklook", source, "t2m", "--run", "2026-11-22T00", "--step", "6h", "-o", tmp_path / picture)
    assert (tmp_path / "shown.png").read_bytes() == (tmp_path / "copied.png").read_bytes()


def test_quicklook_of_a_mountpoint_without_its_mount_says_so(gribfs, tmp_path):
    (tmp_path / "gfs").mkdir()
    for store in (tmp_path / "gfs", tmp_path / "gfs/best_available.zarr"):
        told = gribfs("quicklook", store, "t2m", code=2).stderr
        assert f"{tmp_path / 'gfs'} is empty: is something to be mounted on it?" in told, told


def test_quicklook_tells_values_as_they_are(gribfs, table, mount):
    """The summary above the map has the extremes that xarray finds in the same cell."""
    import xarray

    text = gribfs("quicklook", table, "t2m", "--run", "2026-11-22T00", "--step", "6h", env={**os.environ, "COLUMNS": "80", "COLORTERM": "truecolor"}).stdout
    low, high = map(float, re.search(r"t2m: (-?[\d.]+) to (-?[\d.]+)", text).groups())
    data = xarray.open_zarr(mount(table) / "run_time.zarr").t2m.sel(time="2026-11-22T00", step="6h").values - 273.15
    assert abs(low - data.min()) < 1e-3 and abs(high - data.max()) < 1e-3
    assert "run 2026-11-22T00 + 6h, valid 2026-11-22T06 UTC" in text and "°C" in text
    assert "▀" in text and "\x1b[38;2;" in text and "\x1b[38;5;" not in text
    plain = gribfs("quicklook", table, "t2m", env={**os.environ, "COLUMNS": "80", "COLORTERM": ""}).stdout
    assert "\x1b[38;5;" in plain and "\x1b[38;2;" not in plain
    assert max(len(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in plain.splitlines() if "▀" in line) <= 80


def test_quicklook_says_what_there_is(gribfs, table, mount, tmp_path):
    refused(gribfs("quicklook", table, "nonsense", code=2), "nonsense", "t2m")
    refused(gribfs("quicklook", table, "t2m", "--step", "5h", code=2), "5h", "6h")
    refused(gribfs("quicklook", table, "t2m", "--level", "500", code=2), "--level")
    refused(gribfs("quicklook", mount(table).path, "t2m", code=2), "run_time.zarr")
    refused(gribfs("quicklook", tmp_path / "absent.parquet", "t2m", code=2), "absent.parquet")


def test_quicklook_of_a_message_gone_bad_is_an_error(gribfs, tmp_path):
    archive = tmp_path / "gfs"
    archive.mkdir()
    for path in (ONE, ONE.with_name(ONE.name + ".idx")):
        (archive / path.name).write_bytes(path.read_bytes())
    gribfs("index", archive / ONE.name, "-o", tmp_path / "t.parquet")
    gribfs("quicklook", tmp_path / "t.parquet", "t2m", "-o", tmp_path / "good.png")
    damaged = bytearray((archive / ONE.name).read_bytes())
    damaged[:] = bytes(len(damaged))
    (archive / ONE.name).write_bytes(damaged)
    refused(gribfs("quicklook", tmp_path / "t.parquet", "t2m", "-o", tmp_path / "bad.png", code=1), ONE.name)
    assert not (tmp_path / "bad.png").exists()


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

"""gribfs copy: what it writes is what the mount shows, whatever the chunks, and a copy that was killed ends with the same bytes."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import conftest
import eccodes as ec
import numpy as np
import oracle
import pytest
import rasterio
import s3
import server
import xarray
import zarr
from conftest import ARCHIVE
from test_slices import check_store
from test_values import products, run_name  # noqa: F401 (products is a fixture)

RUN_TIME = {"time": lambda cell: cell.reference, "step": lambda cell: cell.step}


def tree(folder):
    """Names and bytes of all files below a folder; without how long it took to learn that something cannot be had."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}
    return {name: re.sub(rb", \d+\.\d s\)", b")", body) if name.endswith(".gribfs-copy.json") else body for name, body in files.items()}


def load(store, **more):
    return xarray.open_zarr(str(store), chunks=None, decode_cf=False, **more).load()


def without_fill(attributes):
    return {key: value for key, value in attributes.items() if key != "_FillValue"}


def check_same(copy, shown, rounded=None, but=()):
    """Every variable of two stores: equal bits, dimensions and attributes."""
    copy, shown = load(copy), load(shown)
    assert set(copy.variables) == set(shown.variables)
    assert dict(copy.sizes) == dict(shown.sizes)
    for name in shown.variables:
        own, wanted = copy[name], shown[name]
        assert own.dims == wanted.dims and own.dtype == wanted.dtype, name
        a, b = own.values, wanted.values
        if rounded and a.dtype == np.float32:
            b = rounded(b)
        assert a.tobytes() == b.tobytes(), f"{name}: {np.sum(a != b)} values differ"
        attributes = {key: value for key, value in own.attrs.items() if key not in but}
        # Without `_FillValue`, which zarr-python makes of the metadata of v2 and not of v3; NaN equals itself.
        assert repr(without_fill(attributes)) == repr(without_fill(wanted.attrs)), name
    assert len(copy.attrs.get("gribfs_copy", "")) == 32
    ours = {key: value for key, value in copy.attrs.items() if key not in ("source", "gribfs_copy", *but)}
    assert ours == {key: value for key, value in shown.attrs.items() if key not in ("source", "gribfs_copy")}


@pytest.mark.parametrize("name", ["gfs", "gefs", "ecmwf"])
def test_a_copy_is_what_ecCodes_reads(products, gribfs, reader, tmp_path, name):  # noqa: F811, N802
    product = products(name)
    gribfs("copy", product.table, tmp_path / "a.zarr", "--slice", "run_time")
    check_store(reader(tmp_path / "a.zarr"), product.arrays, RUN_TIME, f"copy of {name}")
    assert not (tmp_path / "a.zarr/.gribfs-copy.json").exists()


LAYOUTS = {
    "as the mount's": [],
    "zstd": ["--codec", "zstd:3"],
    "gzip": ["--codec", "gzip:1"],
    "blosc": ["--codec", "blosc:lz4:1"],
    "plain": ["--codec", "none"],
    "long in time": ["--chunks", "step=3"],
    "longer than time": ["--chunks", "time=4,step=100"],
    "tiles": ["--chunks", "latitude=25,longitude=50"],
    "all ways": ["--chunks", "time=2,step=2,latitude=40,longitude=33"],
    "all ways with less memory than a block": ["--chunks", "time=2,step=4,latitude=40,longitude=33", "--memory", "512K", "--codec", "zstd"],
    "v3": ["--zarr-format", "3"],
    "v3, all ways": ["--zarr-format", "3", "--chunks", "time=2,step=2,latitude=40,longitude=33", "--codec", "zstd:1"],
    "shards": ["--zarr-format", "3", "--chunks", "latitude=20,longitude=30", "--shards", "time=3,step=2,latitude=40,longitude=120"],
    "shards in little memory": ["--zarr-format", "3", "--chunks", "step=2,longitude=30", "--shards", "step=4,longitude=60", "--memory", "128K", "--codec", "gzip"],
    "levels": ["--chunks", "isobaricInhPa=2"],
    "a tree": ["--layout", "flat", "--slice", "valid_time"],
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_whatever_the_chunks_the_values_are_those_of_the_mount(products, gribfs, tmp_path, case):  # noqa: F811
    product, flags = products("gfs"), LAYOUTS[case]
    slice_of = flags[flags.index("--slice") + 1] if "--slice" in flags else "run_time"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    gribfs("copy", product.table, tmp_path / "a.zarr", *([] if "--slice" in flags else ["--slice", "run_time"]), *flags, "--scratch", scratch)
    check_same(tmp_path / "a.zarr", product.mount / f"{slice_of}.zarr")
    assert not list(scratch.iterdir())
    wanted = dict(pair.split("=") for pair in flags[flags.index("--chunks") + 1].split(",")) if "--chunks" in flags else {}
    array = zarr.open_group(str(tmp_path / "a.zarr"))["gh"]
    names = load(tmp_path / "a.zarr")["gh"].dims
    for dimension, length in wanted.items():
        size = array.chunks[names.index(dimension)]
        assert size == int(length) or dimension in ("latitude", "longitude", "isobaricInhPa") and size == min(int(length), array.shape[names.index(dimension)])


@pytest.mark.parametrize("slice_of", ["valid_time", "horizon", "best_available", "runs", "leads/006h", "valid/2026-11-22T12"])
def test_every_slice(products, gribfs, tmp_path, slice_of):  # noqa: F811
    product = products("gfs")
    if slice_of == "runs":
        slice_of = f"runs/{run_name(product.runs[-1])}"
    gribfs("copy", product.table, tmp_path / "a.zarr", "--slice", slice_of)
    check_same(tmp_path / "a.zarr", product.mount / f"{slice_of}.zarr")


def test_one_run_is_copied_as_a_run(products, gribfs, tmp_path):  # noqa: F811
    product = products("gfs")
    name = run_name(product.runs[0])
    gribfs("copy", product.table, tmp_path / "a.zarr", "--run", name)
    check_same(tmp_path / "a.zarr", product.mount / f"runs/{name}.zarr")


def test_a_selection_and_a_box(products, gribfs, mount, tmp_path):  # noqa: F811
    flags = ["--bbox", "35,-10,60,30", "--variable", "t2m,gh", "--level", "500", "--step", "0h..6h", "--north-up"]
    product = products("gfs")
    gribfs("copy", product.table, tmp_path / "a.zarr", "--slice", "run_time", *flags, "--chunks", "latitude=5,step=2")
    check_same(tmp_path / "a.zarr", mount(product.table, *flags) / "run_time.zarr")


def test_a_mount_as_the_source(products, gribfs, mount, tmp_path):  # noqa: F811
    product = products("gfs")
    gribfs("copy", product.mount / "best_available.zarr", tmp_path / "a.zarr")
    check_same(tmp_path / "a.zarr", product.mount / "best_available.zarr")
    gribfs("copy", product.mount.path, tmp_path / "b.zarr", "--run", run_name(product.runs[0]))
    check_same(tmp_path / "b.zarr", product.mount / f"runs/{run_name(product.runs[0])}.zarr")
    assert "part of" in gribfs("copy", mount(product.table, "--variable", "t2m").path, tmp_path / "c.zarr", code=2).stderr
    assert "--as-of" in gribfs("copy", product.mount / f"asof/{run_name(product.runs[0])}/run_time.zarr", tmp_path / "c.zarr", code=2).stderr


def test_a_projected_grid(products, gribfs, tmp_path):  # noqa: F811
    product = products("hrrr")
    gribfs("copy", product.table, tmp_path / "a.zarr", "--slice", "run_time", "--chunks", "y=50,x=64")
    check_same(tmp_path / "a.zarr", product.mount / "run_time.zarr")


def test_members_as_chunks(products, gribfs, tmp_path):  # noqa: F811
    product = products("gefs")
    gribfs("copy", product.table, tmp_path / "a.zarr", "--chunks", "number=2,valid_time=2")
    check_same(tmp_path / "a.zarr", product.mount / f"runs/{run_name(product.runs[0])}.zarr")


def test_readers_of_yesterday_and_gdal(products, gribfs, reader, tmp_path):  # noqa: F811
    product = products("gfs")
    gribfs("copy", product.table, tmp_path / "a.zarr", "--slice", "run_time", "--chunks", "step=2,latitude=30")
    store = reader(tmp_path / "a.zarr")
    assert set(store.arrays) == set(xarray.open_zarr(str(product.mount / "run_time.zarr"), chunks=None).data_vars)
    shown = load(product.mount / "run_time.zarr")["t2m"].values
    with rasterio.open(f'ZARR:"{tmp_path / "a.zarr"}":/t2m') as dataset:
        bands = dataset.read()
    assert bands.reshape(shown.shape).tobytes() == shown.tobytes()


def test_bits_are_rounded_as_numcodecs_does(products, gribfs, tmp_path):  # noqa: F811
    from numcodecs.bitround import BitRound

    product = products("gfs")
    gribfs("copy", product.table, tmp_path / "a.zarr", "--slice", "run_time", "--round-bits", "7", "--chunks", "step=2")

    def rounded(values):
        return BitRound(keepbits=7).encode(values).view("f4").reshape(values.shape)

    check_same(tmp_path / "a.zarr", product.mount / "run_time.zarr", rounded, but=["_QuantizeBitRoundNumberOfSignificantBits"])
    assert load(tmp_path / "a.zarr")["t2m"].attrs["_QuantizeBitRoundNumberOfSignificantBits"] == 7


def test_bits_that_the_packing_does_not_tell_are_dropped(products, gribfs, tmp_path):  # noqa: F811
    product = products("gfs")
    steps = {}
    for path in oracle.grib_files(ARCHIVE / "gfs.20261122/00"):
        with open(path, "rb") as file:
            while (handle := ec.codes_grib_new_from_file(file)) is not None:
                step = 2.0 ** ec.codes_get(handle, "binaryScaleFactor") * 10.0 ** -ec.codes_get(handle, "decimalScaleFactor")
                name = ec.codes_get(handle, "cfVarName")
                steps[name] = max(step, steps.get(name, 0.0))
                ec.codes_release(handle)
    for chunks in ("step=1", "step=2"):
        store = tmp_path / f"{chunks}.zarr"
        gribfs("copy", product.table, store, "--slice", "run_time", "--run", "2026-11-22T00", "--round-bits", "auto", "--chunks", chunks, "--codec", "zstd:3")
        gribfs("copy", product.table, tmp_path / f"{chunks}.whole", "--slice", "run_time", "--run", "2026-11-22T00", "--chunks", chunks, "--codec", "zstd:3")
        own, whole = load(store), load(tmp_path / f"{chunks}.whole")
        for name in ("t2m", "gh", "prmsl"):
            off = np.nanmax(np.abs(own[name].values.astype("f8") - whole[name].values.astype("f8")))
            assert 0 < off <= steps[name] * 0.51, f"{name}: off by {off}, a step is {steps[name]}"
            assert "packing" in own[name].attrs["rounding"]
        size = [sum(map(len, tree(folder).values())) for folder in (store, tmp_path / f"{chunks}.whole")]
        assert size[0] < size[1]


def remote_table(gribfs, http, folder, work, name="a.table"):
    files = [http.url(path.relative_to(http.folder)) for path in oracle.grib_files(folder)]
    gribfs("index", *files, "-o", work / name)
    http.forget()
    return work / name


def data_requests(http):
    return [request for request in http.requests if request.method == "GET" and not request.path.endswith(".idx")]


def test_each_message_is_fetched_once_and_neighbours_together(gribfs, http, tmp_path):
    table = remote_table(gribfs, http, ARCHIVE / "gfs.20261122/00", tmp_path)
    planned = gribfs("copy", table, tmp_path / "a.zarr", "--chunks", "valid_time=3,latitude=20", "--dry-run").stdout
    assert not data_requests(http) and not (tmp_path / "a.zarr").exists()
    gribfs("copy", table, tmp_path / "a.zarr", "--chunks", "valid_time=3,latitude=20", "--report", tmp_path / "report.json")
    got = data_requests(http)
    report = json.loads((tmp_path / "report.json").read_text())
    bytes_of = [tuple(map(int, request.range.removeprefix("bytes=").split("-"))) for request in got]
    fetched = sum(last - first + 1 for first, last in bytes_of)
    whole = sum(os.path.getsize(path) for path in oracle.grib_files(ARCHIVE / "gfs.20261122/00"))
    assert fetched <= whole, "no byte comes twice"
    assert len(got) < report["fields"] / 3, "neighbours share requests"
    assert report["complete"] and report["requests"] >= len(got) and f"{report['fields']} fields" in planned
    for path in {request.path for request in got}:
        ranges = sorted(where for request, where in zip(got, bytes_of) if request.path == path)
        assert all(a[1] < b[0] for a, b in zip(ranges, ranges[1:])), "ranges of one file do not overlap"


@pytest.mark.parametrize("flags", [[], ["--chunks", "isobaricInhPa=2"]])
def test_fields_of_one_message_are_one_fetch(gribfs, tmp_path, flags):
    source = tmp_path / "grib"
    source.mkdir()
    many = ec.codes_grib_multi_new()
    with open(oracle.grib_files(ARCHIVE / "gfs.20261122/00")[0], "rb") as file:
        while ec.codes_get(handle := ec.codes_grib_new_from_file(file), "typeOfLevel") != "isobaricInhPa":
            ec.codes_release(handle)
    for level in (300, 500, 850):
        ec.codes_set(handle, "level", level)
        ec.codes_grib_multi_append(handle, 4, many)
    with open(source / "many.grib2", "wb") as file:
        ec.codes_grib_multi_write(many, file)
    values = ec.codes_get_values(handle).astype("f4")
    with server.Server(source) as http:
        gribfs("index", http.url("many.grib2"), "-o", tmp_path / "t.parquet")
        http.forget()
        gribfs("copy", tmp_path / "t.parquet", tmp_path / "a.zarr", *flags)
        assert len(data_requests(http)) == 1, data_requests(http)
    (array,) = xarray.open_zarr(str(tmp_path / "a.zarr"), chunks=None).data_vars.values()
    assert array.shape[:2] == (1, 3) and all(field.tobytes() == values.tobytes() for field in array.values[0])


@pytest.mark.parametrize("after", [0, 1, 20, 60])
@pytest.mark.parametrize("flags", [[], ["--chunks", "step=2,latitude=30"], ["--zarr-format", "3", "--chunks", "latitude=31", "--shards", "time=3,latitude=62"]])
def test_a_copy_killed_at_any_point_goes_on_and_ends_with_the_same_bytes(gribfs, tmp_path, flags, after):
    with server.Server(ARCHIVE, latency=0.02) as http:
        table = remote_table(gribfs, http, ARCHIVE / "gfs.20261122", tmp_path)
        command = ["copy", table, tmp_path / "a.zarr", "--slice", "run_time", "--max-requests", "2", *flags]
        gribfs("copy", table, tmp_path / "whole.zarr", *command[3:])
        process = subprocess.Popen([str(conftest.PROGRAM), *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        state = tmp_path / "a.zarr/.gribfs-copy.json"
        while process.poll() is None:
            there = [name for name in tree(tmp_path / "a.zarr") if "unfinished" not in name] if state.exists() else []
            if state.exists() and len(there) > after:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        process.wait()
        assert state.exists(), "it was killed before its end"
        for name in (".zmetadata", ".zgroup", ".zattrs", "zarr.json"):
            assert not (tmp_path / "a.zarr" / name).exists(), "an unfinished store does not look like one"
        with pytest.raises((FileNotFoundError, zarr.errors.GroupNotFoundError)):
            xarray.open_zarr(str(tmp_path / "a.zarr"))
        other = gribfs("copy", table, tmp_path / "a.zarr", "--slice", "run_time", *flags, "--codec", "gzip:2", code=2)
        assert "unfinished copy" in other.stderr and "codec" in other.stderr
        http.latency = 0
        done = gribfs(*command)
        assert after < 20 or "there already" in done.stdout
    ended = {name: body for name, body in tree(tmp_path / "a.zarr").items() if "unfinished" not in name}
    assert ended == tree(tmp_path / "whole.zarr")


def test_what_is_there_is_left_alone(products, gribfs, tmp_path):  # noqa: F811
    table = products("gefs").table
    gribfs("copy", table, tmp_path / "a.zarr", "--variable", "t2m")
    before = tree(tmp_path / "a.zarr")
    assert "--append" in gribfs("copy", table, tmp_path / "a.zarr", "--variable", "t2m", code=2).stderr
    assert "complete already" in gribfs("copy", table, tmp_path / "a.zarr", "--variable", "t2m", "--resume").stdout
    gribfs("copy", table, tmp_path / "a.zarr", "--resume", code=2)
    assert tree(tmp_path / "a.zarr") == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("years")
    assert "thesis.txt" in gribfs("copy", table, tmp_path / "full", code=2).stderr
    assert tree(tmp_path / "full") == {"thesis.txt": b"years"}


@pytest.mark.parametrize(("flags", "words"), [
    (["--chunks", "height=3"], ["height", "latitude"]), (["--chunks", "latitude"], ["time=24"]), (["--codec", "lz77"], ["lz77", "blosc"]),
    (["--shards", "latitude=10"], ["--zarr-format 3"]), (["--zarr-format", "3", "--chunks", "latitude=4", "--shards", "latitude=6"], ["latitude", "whole chunks"]),
    (["--round-bits", "0"], ["1 to 23"]), (["--slice", "runs/1999-01-01T00"], ["no message"]), (["--variable", "t3m"], ["t3m", "t2m"]),
])
def test_what_cannot_be_is_said(products, gribfs, tmp_path, flags, words):  # noqa: F811
    done = gribfs("copy", products("gefs").table, tmp_path / "a.zarr", *flags, code=2)
    assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("flags", [[], ["--chunks", "valid_time=3,longitude=50"]])
def test_messages_that_cannot_be_had_are_left_as_fill_and_told(gribfs, http, mount, tmp_path, flags):
    folder = ARCHIVE / "gfs.20261122/00"
    table = remote_table(gribfs, http, folder, tmp_path)
    gribfs("copy", table, tmp_path / "whole.zarr", *flags)
    broken = oracle.grib_files(folder)[1].relative_to(ARCHIVE)
    http.fault(str(broken), "404")
    done = gribfs("copy", table, tmp_path / "a.zarr", *flags, "--report", tmp_path / "report.json", code=1)
    report = json.loads((tmp_path / "report.json").read_text())
    store, whole = load(tmp_path / "a.zarr"), load(tmp_path / "whole.zarr")
    named = store.attrs["gribfs_missing"].split()
    assert report["missing_fields"] == len(report["missing"]) == len(named) == store.attrs["gribfs_missing_count"] > 0
    assert not report["complete"] and all(str(broken) in cell["reason"] and "404" in cell["reason"] for cell in report["missing"])
    assert "left as fill" in done.stdout
    for name in whole.data_vars:
        own, wanted = store[name].values, whole[name].values.copy()
        for cell in named:
            array, _, at = cell.removesuffix("]").partition("[")
            if array == name:
                wanted[tuple(map(int, at.split(",")))] = np.nan
        assert own.tobytes() == wanted.tobytes(), name
    gribfs("copy", table, tmp_path / "a.zarr", *flags, "--allow-missing")
    http.heal()
    gribfs("copy", table, tmp_path / "a.zarr", *flags)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr"), "what can be had again is filled in"


def test_chunks_of_before_get_what_the_table_has_learnt_since(gribfs, tmp_path):
    """A copy that went on after its table had grown left NaN for what had come, in chunks that were there, and said that it was complete."""
    folder = ARCHIVE / "gefs.20261122"
    late = next(path for path in oracle.grib_files(folder) if path.name == "gep02.t00z.pgrb2a.3p00.f006").relative_to(ARCHIVE)
    broken = next(path for path in oracle.grib_files(folder) if path.name == "gep01.t00z.pgrb2a.3p00.f000").relative_to(ARCHIVE)
    flags = ["--variable", "t2m", "--chunks", "number=3"]
    with server.Server(ARCHIVE) as http:
        files = {path.relative_to(ARCHIVE): http.url(path.relative_to(ARCHIVE)) for path in oracle.grib_files(folder)}
        table = tmp_path / "a.table"
        gribfs("index", *(url for path, url in files.items() if path != late), "-o", table)
        http.fault(str(broken), "404")
        gribfs("copy", table, tmp_path / "a.zarr", *flags, code=1)
        gribfs("index", files[late], "-o", table)
        gribfs("copy", table, tmp_path / "a.zarr", *flags, code=1)
        assert np.isnan(load(tmp_path / "a.zarr")["t2m"].values).all(axis=(2, 3)).sum() == 1
        http.heal()
        done = gribfs("copy", table, tmp_path / "a.zarr", *flags)
        assert "6 fields there already" in done.stdout, "what is known to be whole is not fetched again"
        gribfs("copy", table, tmp_path / "whole.zarr", *flags)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")


def test_a_message_that_comes_at_a_second_try_is_there(gribfs, http, tmp_path):
    folder = ARCHIVE / "gefs.20261122"
    table = remote_table(gribfs, http, folder, tmp_path)
    gribfs("copy", table, tmp_path / "whole.zarr")
    for path in oracle.grib_files(folder)[:3]:
        http.fault(str(path.relative_to(ARCHIVE)), "garbage", times=1)
    gribfs("copy", table, tmp_path / "a.zarr")
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")


@pytest.mark.parametrize("flags", [[], ["--zarr-format", "3"]])
@pytest.mark.parametrize("chunks", [None, "time=2,step=3,latitude=40"])
def test_runs_are_appended_and_what_was_there_stays(products, gribfs, tmp_path, flags, chunks):  # noqa: F811
    product = products("gfs")
    runs = [run_name(run) for run in product.runs]
    made = ["--slice", "run_time", *flags]
    gribfs("copy", product.table, tmp_path / "a.zarr", *made, "--run", runs[0], *(["--chunks", chunks] if chunks else []), "--codec", "zstd:2")
    seen = load(tmp_path / "a.zarr")
    for run in runs[1:]:
        before = tree(tmp_path / "a.zarr")
        done = gribfs("copy", product.table, tmp_path / "a.zarr", *made, "--append", "time", "--run", f"{runs[0]}..{run}")
        after = tree(tmp_path / "a.zarr")
        assert set(before) <= set(after)
        changed = {name for name in before if after[name] != before[name]}
        kept = {name for name in before if name.startswith("t2m/") and name not in changed and "/." not in name and not name.endswith("json")}
        assert chunks or kept, f"chunks of old runs are not written again: {done.stdout}"
    shown = load(product.mount / "run_time.zarr")
    whole = load(tmp_path / "a.zarr")
    for name in shown.variables:
        assert whole[name].values.tobytes() == shown[name].values.tobytes(), name
        assert seen[name].dims == whole[name].dims
    again = tree(tmp_path / "a.zarr")
    gribfs("copy", product.table, tmp_path / "a.zarr", *made, "--append", "time")
    assert tree(tmp_path / "a.zarr") == again, "nothing new, nothing changed"
    for wrong, words in ((["--variable", "t2m"], "select the same"), (["--round-bits", "5"], "--round-bits"), (["--level", "500"], "must be the same")):
        assert words in gribfs("copy", product.table, tmp_path / "a.zarr", *made, "--append", "time", *wrong, code=2).stderr


def test_an_append_that_is_killed_leaves_the_old_store_and_goes_on(gribfs, tmp_path):
    with server.Server(ARCHIVE, latency=0.02) as http:
        table = remote_table(gribfs, http, ARCHIVE / "gfs.20261122", tmp_path)
        base = ["--slice", "run_time", "--max-requests", "2"]
        for name in ("a.zarr", "whole.zarr"):
            gribfs("copy", table, tmp_path / name, *base, "--run", "2026-11-22T00", "--chunks", "time=2,step=2")
        old = load(tmp_path / "a.zarr")
        gribfs("copy", table, tmp_path / "whole.zarr", *base, "--append", "time")
        for _ in range(3):
            process = subprocess.Popen([str(conftest.PROGRAM), "copy", str(table), str(tmp_path / "a.zarr"), *base, "--append", "time"], stdout=subprocess.DEVNULL)
            state = tmp_path / "a.zarr/.gribfs-copy.json"
            conftest.wait_until(lambda: state.exists() or process.poll() is not None, 20, "the state")
            time.sleep(0.05)
            process.kill()
            process.wait()
            now = load(tmp_path / "a.zarr")
            assert dict(now.sizes) == dict(old.sizes)
            for name in old.variables:
                assert now[name].values.tobytes() == old[name].values.tobytes(), name
        http.latency = 0
        gribfs("copy", table, tmp_path / "a.zarr", *base, "--append", "time")
    ended = {name: body for name, body in tree(tmp_path / "a.zarr").items() if "unfinished" not in name}
    assert ended == tree(tmp_path / "whole.zarr")


def test_a_bucket_of_s3(products, gribfs, tmp_path):  # noqa: F811
    product = products("gefs")
    flags = ["--chunks", "number=2,latitude=30", "--slice", "run_time"]
    gribfs("copy", product.table, tmp_path / "a.zarr", *flags)
    with s3.S3() as bucket:
        place = ["s3://results/deep/a.zarr/", "--dest-endpoint-url", bucket.url]
        puts = []

        def stop_in_the_middle(key):
            puts.append(key)
            assert len(puts) < 40 or len(puts) > 60

        bucket.before_put = stop_in_the_middle
        first = subprocess.Popen([str(conftest.PROGRAM), "copy", str(product.table), *place, *flags], env=bucket.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        conftest.wait_until(lambda: len(puts) >= 40, 30, "forty objects")
        first.kill()
        first.wait()
        assert "deep/a.zarr/.zmetadata" not in bucket.objects
        bucket.before_put = None
        done = gribfs("copy", product.table, *place, *flags, env=bucket.env)
        assert "there already" in done.stdout
        assert {key.removeprefix("deep/a.zarr/"): body for key, body in bucket.objects.items()} == tree(tmp_path / "a.zarr")
        assert all(bucket.signed), "writes and reads of the destination are signed"


def test_credentials_for_google_are_wanted_before_anything_is_asked(products, gribfs):  # noqa: F811
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE", "SERVICE_ACCOUNT"))}
    done = gribfs("copy", products("gefs").table, "gs://somewhere/a.zarr", code=2, env=env)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in done.stderr


def test_valid_times_are_appended_to_a_run(products, gribfs, tmp_path):  # noqa: F811
    product = products("gfs")
    run = f"runs/{run_name(product.runs[0])}"
    flags = ["--slice", run, "--variable", "t2m,gh,prmsl"]
    gribfs("copy", product.table, tmp_path / "a.zarr", *flags, "--step", "0h..6h", "--chunks", "valid_time=2")
    gribfs("copy", product.table, tmp_path / "a.zarr", *flags, "--append", "valid_time")
    shown, whole = load(product.mount / f"{run}.zarr"), load(tmp_path / "a.zarr")
    assert shown.sizes["valid_time"] == whole.sizes["valid_time"]
    for name in whole.variables:
        assert whole[name].values.tobytes() == shown[name].values.tobytes(), name
    gribfs("copy", product.table, tmp_path / "b.zarr", *flags, "--step", "6h..")
    assert "before" in gribfs("copy", product.table, tmp_path / "b.zarr", *flags, "--append", "valid_time", code=2).stderr

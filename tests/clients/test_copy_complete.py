"""A destination is called complete only if it is what the command would write; what another process writes meanwhile is never mixed in."""

import shutil

import numpy as np
import oracle
import pytest
import s3
from conftest import ARCHIVE
from test_copy import load, tree
from test_values import products, run_name  # noqa: F401 (products is a fixture)


@pytest.mark.parametrize("slice_", ["run_time", "best_available", "valid_time"])
def test_the_store_of_another_day_is_not_complete(products, gribfs, tmp_path, slice_):  # noqa: F811
    """Its names, shapes and attributes are the same: only its values tell."""
    product = products("gfs")
    command = ["copy", product.table, tmp_path / "a.zarr", "--slice", slice_, "--step", "0h,6h,12h"]
    first, second = (run_name(run) for run in product.runs[:2])
    gribfs(*command, "--run", first)
    before = tree(tmp_path / "a.zarr")
    assert "complete" in gribfs(*command, "--run", first, "--resume").stdout
    for more in (["--resume"], ["--resume", "--part", "1/2"], ["--finish"]):
        done = gribfs(*command, "--run", second, *more, code=None)
        assert done.returncode not in (0, None) and "complete" not in done.stdout, more
    assert tree(tmp_path / "a.zarr") == before
    for more in (["--resume"], ["--resume", "--part", "1/2"], ["--finish"]):
        assert "complete" in gribfs(*command, "--run", first, *more).stdout


def test_another_box_of_the_same_size_is_not_complete(products, gribfs, tmp_path):  # noqa: F811
    command = ["copy", products("gfs").table, tmp_path / "a.zarr", "--variable", "t2m", "--slice", "run_time"]
    gribfs(*command, "--bbox=0,0,30,30")
    gribfs(*command, "--bbox=0,0,30,30", "--resume")
    assert "is a store already" in gribfs(*command, "--bbox=0,30,30,60", "--resume", code=2).stderr


def test_a_table_that_has_gained_cells_is_told(gribfs, tmp_path):
    """Members of one step came late: the axes are the same, a field is there that was a gap."""
    files = oracle.grib_files(ARCHIVE / "gefs.20261122")
    late = files[-1]
    for name, some in (("t.parquet", [file for file in files if file != late]), ("later.parquet", files)):
        gribfs("index", *some, "-o", tmp_path / name)
    shutil.copy(tmp_path / "t.parquet", tmp_path / "table.parquet")
    command = ["copy", tmp_path / "table.parquet", tmp_path / "a.zarr", "--slice", "run_time"]
    gribfs(*command)
    shutil.copy(tmp_path / "later.parquet", tmp_path / "table.parquet")
    assert load(tmp_path / "a.zarr").sizes == load_slice(gribfs, tmp_path).sizes, "the same axes"
    done = gribfs(*command, "--resume", code=2)
    assert "is a store already" in done.stderr


def load_slice(gribfs, work):
    gribfs("copy", work / "later.parquet", work / "later.zarr", "--slice", "run_time")
    return load(work / "later.zarr")


@pytest.mark.parametrize("key", [".gribfs-copy.json", ".zmetadata"])
def test_an_append_between_the_steps_of_another_is_not_mixed_with_it(products, gribfs, tmp_path, key):  # noqa: F811
    """One run's values stood under another one's time."""
    product = products("gfs")
    runs = [run_name(run) for run in product.runs[:3]]
    flags = ["--slice", "run_time", "--variable", "t2m", "--step", "0h,6h,12h", "--append", "time"]
    with s3.S3() as bucket:
        def append(run, code=0):
            place = ["s3://results/a.zarr", "--dest-endpoint-url", bucket.url]
            return gribfs("copy", product.table, *place, *flags, "--run", run, env=bucket.env, code=code)

        append(runs[0])
        between = []

        def another(asked):
            # Before the state is looked at, or before what the store is was looked at again.
            count = [name for method, name in bucket.requests if method == "GET"].count(f"a.zarr/{key}")
            if asked == f"a.zarr/{key}" and not between and count == 1:
                between.append(asked)
                append(runs[1])

        bucket.requests.clear()
        bucket.before_get = another
        done = append(runs[2], code=None)
        assert between
        bucket.before_get = None
        if done.returncode:
            assert "written by another process" in done.stderr
            append(runs[2])
        for name, body in bucket.objects.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
    whole = tmp_path / "whole.zarr"
    gribfs("copy", product.table, whole, *flags[:-2], "--run", f"{runs[0]}..{runs[2]}")
    own, wanted = load(tmp_path / "a.zarr"), load(whole)
    assert np.array_equal(own.time.values, wanted.time.values)
    assert own.t2m.values.tobytes() == wanted.t2m.values.tobytes()


@pytest.mark.parametrize("chunks", ["step=2000000", "step=100000000000,time=100000000000", "step=500,latitude=2000"])
def test_chunks_larger_than_memory_are_refused_before_anything_is_made(products, gribfs, tmp_path, chunks):  # noqa: F811
    command = ["copy", products("gfs").table, tmp_path / "a.zarr", "--slice", "run_time", "--memory", "16M"]
    done = gribfs(*command, "--chunks", chunks, code=2)
    assert ("must fit into half of --memory" in done.stderr or "a chunk larger than memory" in done.stderr) and not (tmp_path / "a.zarr").exists()

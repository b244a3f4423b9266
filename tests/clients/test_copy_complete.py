"""A destination is called complete only if it is what the command would write; what another process writes meanwhile is never mixed in."""

import shutil
import subprocess
import time

import conftest
import numpy as np
import oracle
import pytest
import s3
from conftest import ARCHIVE
from test_copy import load, remote_table, tree
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


@pytest.mark.parametrize("flags", [[], ["--chunks", "time=2,step=2"], ["--chunks", "time=2,step=2,latitude=40", "--zarr-format", "3"]])
def test_a_hole_of_an_append_is_tried_again_by_the_next(gribfs, http, tmp_path, flags):
    """It stayed for good, though the command said that it would be tried again."""
    folder = ARCHIVE / "gfs.20261122"
    table = remote_table(gribfs, http, folder, tmp_path)
    command = ["copy", table, tmp_path / "a.zarr", "--slice", "run_time", *flags]
    runs = ["2026-11-22T00", "2026-11-22T06", "2026-11-22T12"]
    gribfs(*command, "--run", runs[0])
    gone = next(file for file in oracle.grib_files(folder / "06") if "f003" in file.name or "f006" in file.name)
    http.fault(str(gone.relative_to(ARCHIVE)), "404")
    done = gribfs(*command, "--append", "time", "--run", f"{runs[0]}..{runs[1]}", code=1)
    assert "left as fill" in done.stdout
    assert "left as fill" in gribfs(*command, "--append", "time", "--run", f"{runs[0]}..{runs[1]}", code=1).stdout
    http.heal()
    # The next day's takes it along; or the same command, with nothing new.
    for more in (runs[1], runs[2]):
        shutil.copytree(tmp_path / "a.zarr", tmp_path / "b.zarr")
        ours = [tmp_path / "b.zarr" if word == tmp_path / "a.zarr" else word for word in command]
        gribfs(*ours, "--append", "time", "--run", f"{runs[0]}..{more}")
        gribfs(*[tmp_path / "whole.zarr" if word == tmp_path / "a.zarr" else word for word in command], "--run", f"{runs[0]}..{more}")
        own, whole = load(tmp_path / "b.zarr"), load(tmp_path / "whole.zarr")
        for name in whole.variables:
            assert own[name].values.tobytes() == whole[name].values.tobytes(), (more, name)
        assert "gribfs_missing" not in own.attrs and not (tmp_path / "b.zarr/.gribfs-copy.json").exists()
        shutil.rmtree(tmp_path / "b.zarr")
        shutil.rmtree(tmp_path / "whole.zarr")


def test_an_append_leaves_runs_that_are_not_complete_for_later(gribfs, http, tmp_path):
    """What came later for times that the store had already was never added, and nothing said so."""
    folder = ARCHIVE / "gfs.20261122"
    last = str(sorted(oracle.grib_files(folder / "06"))[-1].relative_to(ARCHIVE))
    for name in (last, last + ".idx"):
        http.fault(name, "404")
    urls = [http.url(file.relative_to(ARCHIVE)) for file in oracle.grib_files(folder)]
    gribfs("index", *urls, "-o", tmp_path / "t.parquet", code=None)
    runs = ["--run", "2026-11-22T00..2026-11-22T06"]

    def copy(name, *more, code=0):
        return gribfs("copy", tmp_path / "t.parquet", tmp_path / name, "--slice", "run_time", *more, code=code)

    copy("a.zarr", "--run", "2026-11-22T00")
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert "1 run left out that is not complete" in copy("a.zarr", "--append", "time", *runs).stdout
    assert load(tmp_path / "a.zarr").sizes["time"] == 1
    assert "not complete" not in copy("b.zarr", "--append", "time", "--partial", *runs, code=None).stdout
    assert load(tmp_path / "b.zarr").sizes["time"] == 2
    http.heal()
    gribfs("index", *urls, "-o", tmp_path / "t.parquet")
    copy("a.zarr", "--append", "time", *runs)
    copy("whole.zarr", *runs)
    own, whole = load(tmp_path / "a.zarr"), load(tmp_path / "whole.zarr")
    for name in whole.variables:
        assert own[name].values.tobytes() == whole[name].values.tobytes(), name


@pytest.mark.parametrize(("flags", "form"), [([], []), (["--chunks", "time=2,step=2"], []), (["--chunks", "time=3"], ["--zarr-format", "3"])])
@pytest.mark.parametrize("when", ["in its chunks", "before its state goes"])
def test_an_append_that_was_stopped_is_gone_on_with_by_the_next_days(gribfs, http, tmp_path, flags, form, when):
    """The same command, of a table that has a run more, was refused for good: every crash of a daily job was one."""
    folder = ARCHIVE / "gfs.20261122"
    table = remote_table(gribfs, http, folder, tmp_path)
    state = tmp_path / "a.zarr/.gribfs-copy.json"

    def command(name, last, *more):
        return ["copy", table, tmp_path / name, "--slice", "run_time", "--max-requests", "1", "--run", f"2026-11-22T00..2026-11-22T{last}", *form, *more]

    gribfs(*command("a.zarr", "00", *flags))
    http.latency = 0.3
    process = subprocess.Popen([str(word) for word in (conftest.PROGRAM, *command("a.zarr", "06", "--append", "time"))], stdout=subprocess.DEVNULL)
    conftest.wait_until(state.exists, 30, "the state")
    time.sleep(0.7)  # a few of its requests
    assert process.poll() is None
    process.kill()
    process.wait()
    http.latency = 0
    assert load(tmp_path / "a.zarr").sizes["time"] == 1
    if when == "before its state goes":
        kept = state.read_bytes()
        gribfs(*command("a.zarr", "06", "--append", "time"))
        state.write_bytes(kept)
    gribfs(*command("a.zarr", "12", "--append", "time"))
    gribfs(*command("whole.zarr", "12", *flags))
    own, whole = load(tmp_path / "a.zarr"), load(tmp_path / "whole.zarr")
    for name in whole.variables:
        assert own[name].values.tobytes() == whole[name].values.tobytes(), name
    assert not state.exists()

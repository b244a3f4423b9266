"""`mount --follow`: new runs get new paths, and no path that was there ever means anything else.

The tables grow, shrink and break below a mount that readers hold open. Every value is held against ecCodes': it is the one that its
coordinates named when the store was opened, or an error.
"""

import datetime as dt
import json
import os
import shutil

import eccodes as ec
import numpy as np
import oracle
import pytest
import server
import xarray
from conftest import ARCHIVE, wait_until
from test_slices import check_store, some, valid
from test_values import run_name

HOUR = 3600
AXES = {
    "run_time": {"time": lambda cell: cell.reference, "step": lambda cell: cell.step},
    "valid_time": {"valid_time": valid, "step": lambda cell: cell.step},
    "horizon": {"step": lambda cell: cell.step, "valid_time": valid},
}


def shifted(source, target, hours, warmer):
    """A file of another run: the same messages, so many hours later and so many units more."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(source, "rb") as old, open(target, "wb") as new:
        while (h := ec.codes_grib_new_from_file(old)) is not None:
            ec.codes_set(h, "dataTime", ec.codes_get(h, "dataTime") + 100 * hours)
            if ec.codes_is_defined(h, "yearOfEndOfOverallTimeInterval"):
                names = [f"{part}OfEndOfOverallTimeInterval" for part in ("year", "month", "day", "hour")]
                end = dt.datetime(*(ec.codes_get(h, name) for name in names)) + dt.timedelta(hours=hours)
                for name, part in zip(names, (end.year, end.month, end.day, end.hour)):
                    ec.codes_set(h, name, part)
            ec.codes_set_values(h, ec.codes_get_values(h) + warmer)
            ec.codes_write(h, new)
            ec.codes_release(h)


class Bed:
    """An archive of GFS files by run and step, and a directory of tables."""

    def __init__(self, gribfs, folder):
        self.gribfs, self.archive, self.tables = gribfs, folder / "gfs.20261122", folder / "tables"
        self.tables.mkdir()
        for run in ("00", "06", "12"):
            shutil.copytree(ARCHIVE / "gfs.20261122" / run, self.archive / run)
        for path in self.files("12"):
            shifted(path, self.path("18", path.name[-3:]), 6, 3)

    def path(self, run, step):
        return self.archive / run / f"atmos/gfs.t{run}z.pgrb2.3p00.f{step}"

    def files(self, run):
        return sorted(path for path in (self.archive / run).rglob("*.f0??"))

    def index(self, *files, code=0):
        self.gribfs("index", *files, "-o", self.tables, "--allow-missing", code=code)

    def arrays(self, files):
        return oracle.arrays(oracle.read_files(sorted(files), keep_values=True))


@pytest.fixture
def bed(gribfs, tmp_path):
    return Bed(gribfs, tmp_path)


def stores(root):
    """Every store of a mount, by its path below it."""
    found = [path.relative_to(root.path) for pattern in ("*.zarr", "runs/*.zarr", "leads/*.zarr", "valid/*.zarr") for path in root.path.glob(pattern)]
    return sorted(map(str, found))


def documents(root, names):
    return {name: (root / name / ".zmetadata").read_bytes() for name in names}


def best(arrays):
    return {names: {cell: field for chosen in oracle.best(cells).values() for cell, field in chosen.items()}
            for names, cells in arrays.items() if isinstance(names, tuple) or not oracle.is_run_total(names, cells)}


def check_all(zarr3, folder, arrays, what):
    """Every cell of every store of a collection."""
    for name, axes in AXES.items():
        check_store(zarr3(folder / f"{name}.zarr"), arrays, axes, f"{what} {name}")
    check_store(zarr3(folder / "best_available.zarr"), best(arrays), {"valid_time": valid}, f"{what} best_available")
    cells = [cell for by_cell in arrays.values() for cell in by_cell]
    for run in {cell.reference for cell in cells}:
        check_store(zarr3(folder / f"runs/{run_name(run)}.zarr"), some(arrays, lambda c: c.reference == run), {"valid_time": valid}, f"{what} {run}")
    for step in {cell.step for cell in cells}:
        check_store(zarr3(folder / f"leads/{step // HOUR:03}h.zarr"), some(arrays, lambda c: c.step == step), {"valid_time": valid}, f"{what} lead {step}")
    for moment in sorted({valid(cell) for cell in cells})[::3]:
        check_store(zarr3(folder / f"valid/{run_name(moment)}.zarr"), some(arrays, lambda c: valid(c) == moment),
                    {"time": lambda cell: cell.reference}, f"{what} valid {moment}")


def value_by_coordinates(store, arrays):
    """Reads each cell of `t2m` of a store that was opened long ago; it is the message of the run and step that the store says, or NaN."""
    t2m = store.t2m
    leading = [d for d in t2m.dims if d not in ("latitude", "longitude")]
    by_origin = {(cell.reference, cell.step): field for cell, field in arrays["t2m"].items()}
    count = 0
    for index in np.ndindex(*(t2m.sizes[d] for d in leading)):
        cell = t2m.isel(dict(zip(leading, index)))
        time, step = cell.time.values, cell.step.values
        if np.isnat(time):
            continue
        origin = (int(time.astype("datetime64[s]").astype(int)), int(step.astype("timedelta64[s]").astype(int)))
        field = by_origin.get(origin)
        try:
            values = cell.values
        except OSError:
            continue
        if field is None:
            assert np.isnan(values).all(), f"{origin}: numbers of no message that was there when the store was opened"
        else:
            assert values.astype("<f4").tobytes() == field.values.tobytes(), f"{origin}: not the values that the coordinates name"
            count += 1
    return count


def test_no_path_ever_changes_its_meaning(bed, mount, zarr3):
    first = [path for run in ("00", "12") for path in bed.files(run) if not (run == "00" and path.name.endswith("f012"))]
    bed.index(*first)
    made = mount(bed.tables, "--follow", foreground=True)
    then = bed.arrays(first)
    names = stores(made)
    assert {"runs/2026-11-22T00.zarr", "runs/2026-11-22T12.zarr", "best_available.zarr", "leads/009h.zarr"} <= set(names)
    stood = "asof/2026-11-22T12"
    names += [f"{stood}/{name}" for name in ("run_time.zarr", "best_available.zarr", "runs/2026-11-22T00.zarr")]
    before = documents(made, names)
    opened = {name: xarray.open_zarr(str(made / name), chunks=None) for name in names}
    for store in opened.values():
        store.t2m.isel({d: 0 for d in store.t2m.dims[:-2]}).values  # some cells are in the page cache, others are not

    events = []

    def after(what, seen):
        events.append(what)
        wait_until(seen, 10, f"{what} is seen")
        assert documents(made, names) == before, f"after {what} an old store describes itself otherwise"
        check_all(zarr3, made, then, f"after {events}")
        check_store(zarr3(made / stood / "run_time.zarr"), then, AXES["run_time"], f"{stood} after {events}")

    listed = lambda: sorted(os.listdir(made / "runs"))  # noqa: E731
    with pytest.raises(FileNotFoundError):
        (made / "runs/2026-11-22T06.zarr").stat()

    bed.index(*bed.files("06"))
    after("an older run", lambda: "2026-11-22T06.zarr" in listed())
    assert (made / "latest").read_text() == "2026-11-22T12\n"
    bed.index(*bed.files("18"))
    after("a newer run", lambda: "2026-11-22T18.zarr" in listed())
    assert (made / "latest").read_text() == "2026-11-22T18\n"
    size = os.stat(bed.tables / "2026-11-22T00.parquet").st_size
    bed.index(bed.path("00", "012"))
    assert os.stat(bed.tables / "2026-11-22T00.parquet").st_size != size
    after("a late step", lambda: len(os.listdir(made / "asof")) >= 4)

    # New paths know what is new: the runs, and the collection as it stands now.
    all_files = [path for run in ("00", "06", "12", "18") for path in bed.files(run)]
    now = bed.arrays(all_files)
    for run in ("06", "18"):
        path, reference = made / f"runs/2026-11-22T{run}.zarr", np.datetime64(f"2026-11-22T{run}", "s").astype(int)
        check_store(zarr3(path), some(now, lambda cell: cell.reference == reference), {"valid_time": valid}, f"new run {run}")
    without_late = some(now, lambda cell: (cell.reference, cell.step) != (np.datetime64("2026-11-22T00", "s").astype(int), 12 * HOUR))
    check_store(zarr3(made / "asof/2026-11-22T18/run_time.zarr"), without_late, AXES["run_time"], "as of the newest run")
    check_all(zarr3, made / "asof/2026-11-22T17", some(now, lambda cell: cell.reference < np.datetime64("2026-11-22T17", "s").astype(int)), "as of 17")
    newest = [name for name in os.listdir(made / "asof") if name > "2026-11-22T18"][-1]
    check_store(zarr3(made / f"asof/{newest}/best_available.zarr"), best(now), {"valid_time": valid}, "as of now")
    with pytest.raises(FileNotFoundError):
        (made / "asof/2099-01-01T00").stat()  # what will stand then is not known yet

    (bed.tables / "2026-11-22T12.parquet").unlink()
    after("a run pruned", lambda: "2026-11-22T12.zarr" not in listed())
    counts = {name: value_by_coordinates(store, then) for name, store in opened.items()}
    assert min(counts.values()) > 0 and counts["run_time.zarr"] == len(then["t2m"]), counts

    for path in bed.tables.glob("*.parquet"):
        path.unlink()
    after("all tables removed", lambda: listed() == [])
    assert (made / "latest").read_text() == ""
    shutil.rmtree(bed.tables)
    wait_until(lambda: json.loads((made / ".gribfs/status.json").read_text())["source_failure"], 10, "the directory is gone")
    check_all(zarr3, made, then, "without tables")


def test_what_cannot_be_read_is_told_once_and_the_rest_is_shown(bed, mount, zarr3):
    bed.index(*bed.files("00"))
    (bed.tables / "bad.parquet").write_bytes(b"no table")
    made = mount(bed.tables, "--follow", foreground=True)
    status = lambda: json.loads((made / ".gribfs/status.json").read_text())  # noqa: E731
    assert [bad["table"] for bad in status()["bad_tables"]] == ["bad.parquet"]
    good = (bed.tables / "2026-11-22T00.parquet").read_bytes()
    (bed.tables / "2026-11-22T06.parquet").write_bytes(good[: len(good) // 2])
    wait_until(lambda: len(status()["bad_tables"]) == 2, 10, "the half table is told of")
    flipped = bytearray(good)
    flipped[200] ^= 0xFF
    (bed.tables / "flipped.parquet").write_bytes(flipped)
    bed.index(*bed.files("12"))
    wait_until(lambda: "2026-11-22T12.zarr" in os.listdir(made / "runs"), 10, "the next run")
    arrays = bed.arrays(bed.files("00"))
    check_store(zarr3(made / "runs/2026-11-22T00.zarr"), arrays, {"valid_time": valid}, "beside bad tables")
    bed.index(*bed.files("12"))
    assert made.log().count("bad.parquet") == 1, made.log()
    (bed.tables / "bad.parquet").unlink()
    wait_until(lambda: all(bad["table"] != "bad.parquet" for bad in status()["bad_tables"]), 10, "the bad table is gone")


def test_a_run_is_hidden_until_it_is_complete(bed, mount, zarr3):
    bed.index(*bed.files("00"))
    made = mount(bed.tables, "--follow")
    eager = mount(bed.tables, "--follow", "--partial")
    name = "runs/2026-11-22T12.zarr"
    with server.Server(bed.archive.parent) as http:
        files = [f"{bed.archive.name}/{path.relative_to(bed.archive)}" for path in bed.files("12")]
        waiting = [files[-1], files[-1] + ".idx"]
        for path in waiting:
            http.fault(path, "404")
        bed.index(*map(http.url, files), code=None)
        wait_until(lambda: (eager / name).exists(), 10, "--partial shows what arrives")
        assert not (made / name).exists() and (made / "latest").read_text() == "2026-11-22T00\n"
        assert (eager / "latest").read_text() == "2026-11-22T00\n", "the newest complete run"
        chunks = sorted((eager / name / "t2m").glob("*.0.0"))
        assert len(chunks) == 5
        assert len(chunks[0].read_bytes()) == chunks[-1].stat().st_size
        with pytest.raises(OSError) as pending:
            chunks[-1].read_bytes()
        assert pending.value.errno == 5
        http.heal()
        bed.index(*map(http.url, files))
        wait_until(lambda: (made / name).exists(), 10, "the complete run")
        assert (made / "latest").read_text() == "2026-11-22T12\n"
        arrays = bed.arrays(bed.files("12"))
        check_store(zarr3(made / name), arrays, {"valid_time": valid}, "the run once it is complete")
        # What was pending is there now: the same cells, the same coordinates.
        check_store(zarr3(eager / name), arrays, {"valid_time": valid}, "the run that was shown while it arrived")


def test_a_mount_of_nothing_yet_shows_what_comes(bed, mount, zarr3):
    made = mount(bed.tables, "--follow")
    assert stores(made) == [] and (made / "latest").read_text() == ""
    bed.index(*bed.files("06"))
    wait_until(lambda: (made / "best_available.zarr").exists(), 10, "the first run")
    check_all(zarr3, made, bed.arrays(bed.files("06")), "the first run")


def test_many_runs_in_one_file_are_followed_too(bed, gribfs, mount, zarr3):
    for run in ("00", "06"):
        bed.index(*bed.files(run))
    made = mount(bed.tables, "--follow")
    before = documents(made, stores(made))
    gribfs("index", "--compact", bed.tables)
    assert len(list(bed.tables.glob("*.parquet"))) == 1
    bed.index(*bed.files("12"))
    wait_until(lambda: "2026-11-22T12.zarr" in os.listdir(made / "runs"), 10, "the run after compaction")
    assert sorted(os.listdir(made / "runs")) == [f"2026-11-22T{run}.zarr" for run in ("00", "06", "12")]
    assert documents(made, before) == before
    then = bed.arrays([path for run in ("00", "06") for path in bed.files(run)])
    check_all(zarr3, made, then, "after compaction")


def test_what_stands_at_an_instant_is_settled_when_it_is_first_looked_up(bed, mount, zarr3):
    bed.index(*bed.files("00"))
    bed.index(*bed.files("12"))
    made = mount(bed.tables, "--follow")
    then = bed.arrays([*bed.files("00"), *bed.files("12")])
    check_store(zarr3(made / "asof/2026-11-22T11/run_time.zarr"), some(then, lambda c: run_name(c.reference)[-2:] == "00"), AXES["run_time"], "as of 11")
    bed.index(*bed.files("06"))
    wait_until(lambda: "2026-11-22T06.zarr" in os.listdir(made / "runs"), 10, "the older run")
    assert os.listdir(made / "asof/2026-11-22T11/runs") == ["2026-11-22T00.zarr"]
    assert sorted(os.listdir(made / "asof/2026-11-22T10/runs")) == ["2026-11-22T00.zarr", "2026-11-22T06.zarr"]


def test_wrong_flags_of_following(bed, gribfs, tmp_path):
    (tmp_path / "mnt").mkdir()
    for flags in (["--partial"], ["--follow", "--as-of", "2026-11-22T00"]):
        done = gribfs("mount", bed.tables, tmp_path / "mnt", *flags, code=2)
        assert done.stderr and "panicked" not in done.stderr

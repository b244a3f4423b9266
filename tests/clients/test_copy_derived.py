"""gribfs copy --stat and --deaccumulate: what ecCodes decodes, computed by numpy, is what the copy holds, bit for bit."""

import collections
import json
import signal
import subprocess
import time
import warnings

import conftest
import eccodes as ec
import numpy as np
import oracle
import pytest
import server
from conftest import ARCHIVE
from test_copy import check_same, data_requests, load, remote_table, tree
from test_values import products, run_name  # noqa: F401 (products is a fixture)

HOUR = 3600
Wanted = collections.namedtuple("Wanted", "values window")


# ---------------------------------------------------------------- the truth, by numpy

def where_there(function):
    """`function` over the members that have a value: columns that lack the same members together, as numpy's own way is a column at a time."""
    def over(stack):
        flat = stack.reshape(len(stack), -1)
        out = np.full(flat.shape[1], np.nan)
        patterns, which = np.unique(~np.isnan(flat), axis=1, return_inverse=True)
        for number, there in enumerate(patterns.T):
            if there.any():
                columns = which.ravel() == number
                out[columns] = function(flat[np.ix_(there, columns)], axis=0)
        return out.reshape(stack.shape[1:])

    return over


def percentile(q):
    return where_there(lambda stack, axis: np.percentile(stack, q, axis=axis))


STATISTICS = {
    "mean": lambda stack: np.nanmean(stack, axis=0),
    "std": lambda stack: np.nanstd(stack, axis=0),
    "min": lambda stack: np.nanmin(stack, axis=0),
    "max": lambda stack: np.nanmax(stack, axis=0),
    "median": where_there(np.median),
    "count": lambda stack: np.sum(~np.isnan(stack), axis=0),
    **{f"p{q}": percentile(q) for q in (0, 10, 33.3, 50, 90, 100)},
}
COMPARISONS = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}


@pytest.fixture(autouse=True)
def quiet_numpy():
    """numpy warns where no member has a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def statistic(name, members):
    """numpy's answer over float64 values of the members, one after the other, as float32."""
    stack = np.stack(members)
    if name.startswith("prob"):
        sign = next(sign for sign in (">=", "<=", ">", "<") if name[4:].startswith(sign))
        holds = COMPARISONS[sign](stack, np.float32(name[4 + len(sign):]))
        there = np.sum(~np.isnan(stack), axis=0)
        return np.where(there == 0, np.nan, holds.sum(axis=0) / np.maximum(there, 1)).astype("f4")
    return STATISTICS[name](stack.astype("f8")).astype("f4")


def suffix(name):
    for sign, word in ((">=", "ge"), ("<=", "le"), (">", "gt"), ("<", "lt")):
        if sign in name:
            name = name.replace(sign, f"_{word}_")
            break
    return "_ens_" + name.replace(".", "_").replace("-", "m")


def intervals(cells, rate=False):
    """Cells of an accumulation as differences to the longest earlier window of the run that begins with theirs; `None` where a member lacks that."""
    ends = collections.defaultdict(set)
    for cell in cells:
        ends[cell.reference, cell.start].add(cell.step)
    made = {}
    for cell, field in cells.items():
        before = max((step for step in ends[cell.reference, cell.start] if step < cell.step), default=None)
        values, start = field.values, cell.start
        if before is not None:
            earlier, start = cells.get(cell._replace(step=before)), before
            values = None if earlier is None else values - earlier.values
        if rate and values is not None:
            less = 0 if before is None else earlier.values.astype("f8")
            values = ((field.values.astype("f8") - less) / (cell.step - start)).astype("f4")
        made[cell] = Wanted(values, (start, cell.step))
    return made


def over_members(cells, name):
    """Statistics of cells, by run, step and level; `None` where a member cannot be computed."""
    groups = collections.defaultdict(list)
    for cell in sorted(cells, key=lambda cell: (cell.member is None, cell.member)):
        groups[cell._replace(member=None, start=None)].append(cells[cell])
    return {cell: Wanted(None if any(one.values is None for one in some) else statistic(name, [one.values for one in some]), some[0].window)
            for cell, some in groups.items()}


def plain(cells):
    return {cell: Wanted(field.values, field.window) for cell, field in cells.items()}


def same_bits(a, b):
    """Equal bits, but for the sign of zero and the bits of NaN."""
    return np.array_equal(a, b, equal_nan=True)


def check(store, name, wanted, windows=False):
    """Every cell of an array (by run and step): the wanted numbers, or NaN. The windows that its bounds tell."""
    data = store[name]
    first = data.isel(latitude=0, longitude=0, drop=True)
    run, step = (store[origin_of(data, name)].broadcast_like(first).transpose(*first.dims).values for name in ("time", "step"))
    lead = data.ndim - 2
    seen = set()
    for at in np.ndindex(data.shape[:lead]):
        labels = {dim: store[dim].values[i] for dim, i in zip(data.dims, at)}
        key = (int(run[at]), int(step[at]), labels.get("number"), labels.get("isobaricInhPa"))
        cell = wanted.get(key)
        values = data.values[at]
        if cell is None or cell.values is None:
            assert np.isnan(values).all(), f"{name} {key}: nothing is wanted there"
        else:
            assert same_bits(values, cell.values), f"{name} {key}: {np.sum(values != cell.values)} of {values.size} differ"
        if cell is not None:
            seen.add(key)
            if windows:
                bounds = store[data.attrs["step_bounds"]]
                here = bounds.isel({dim: i for dim, i in zip(data.dims, at) if dim in bounds.dims}).values
                assert tuple(here) == cell.window, f"{name} {key}: window {here}"
    return seen


def fields_of(store):
    return [name for name in store.data_vars if "latitude" in store[name].dims]


def origin_of(data, what):
    """The coordinate that tells run or step of an array's cells; best_available may have one of its own for it."""
    own = f"{what}_{data.name.removesuffix('_rate')}"
    return own if own in data.attrs.get("coordinates", "").split() else what


def keyed(cells):
    return {(cell.reference, cell.step, cell.member, cell.level): wanted for cell, wanted in cells.items()}


# ---------------------------------------------------------------- statistics of the archive's ensembles

ALL = "mean,std,min,max,median,count,p0,p10,p33.3,p90,p100,prob>280,prob>=0.5,prob<275.5,prob<=0"

LAYOUTS = {
    "as it comes": [],
    "run_time": ["--slice", "run_time"],
    "horizon, other chunks": ["--slice", "horizon", "--chunks", "step=2,latitude=25,longitude=50", "--codec", "zstd:1"],
    "shards in little memory": ["--zarr-format", "3", "--chunks", "latitude=20,longitude=30", "--shards", "valid_time=3,latitude=40,longitude=120", "--memory", "128K"],
    "best_available": ["--slice", "best_available", "--chunks", "valid_time=2"],
}


@pytest.mark.parametrize(("name", "case"), [*(("gefs", case) for case in LAYOUTS), ("ecmwf", "run_time"), ("ecmwf", "shards in little memory")])
def test_statistics_over_members_are_numpys(products, gribfs, tmp_path, name, case):  # noqa: F811
    product = products(name)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    flags = [*LAYOUTS[case], "--scratch", scratch, "--stat", ALL]
    planned = gribfs("copy", product.table, tmp_path / "a.zarr", *flags, "--dry-run").stdout
    gribfs("copy", product.table, tmp_path / "a.zarr", *flags, "--report", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert f"{report['fields']} fields of {report['arrays']} arrays" in planned.replace(",", "")
    files = [key for key in tree(tmp_path / "a.zarr") if "_ens_" in key and "_members" not in key and key.rpartition("/")[2][0].isdigit()]
    assert f"{len(files)} chunk files" in planned.replace(",", ""), planned
    assert not list(scratch.iterdir())
    store = load(tmp_path / "a.zarr")
    assert "number" not in store.variables and "number" not in store.sizes
    names = {f"{array}{suffix(one)}" for array in product.arrays for one in ALL.split(",")}
    if case == "best_available":
        names = {one for one in names if not one.startswith("tp_ens")}
    assert names | {f"{one.partition('_ens_')[0]}_ens_members" for one in names} == {one for one in store.data_vars if "_ens_" in one}
    for array, cells in product.arrays.items():
        if f"{array}_ens_mean" not in names:
            continue
        for one in ALL.split(","):
            wanted = keyed(over_members(plain(cells), one))
            assert check(store, array + suffix(one), wanted) == set(wanted), "each is there"
        counts = store[f"{array}_ens_members"].values
        assert set(counts.flat) <= {0, len({cell.member for cell in cells})} and counts.sum() == len(cells)


def test_statistics_say_what_they_are(products, gribfs, tmp_path):  # noqa: F811
    product = products("ecmwf")
    gribfs("copy", product.table, tmp_path / "a.zarr", "--stat", "mean,std,p90,prob>0.01,count", "--deaccumulate", "rate")
    store = load(tmp_path / "a.zarr")
    (tp,) = {name.partition("_rate")[0] for name in fields_of(store) if name.startswith("tp")}
    mean, std, high, chance = (store[f"{tp}_rate{suffix(one)}"].attrs for one in ("mean", "std", "p90", "prob>0.01"))
    assert mean["cell_methods"] == "time: mean realization: mean" and std["cell_methods"] == "time: mean realization: standard_deviation"
    assert "realization" not in high["cell_methods"] and high["ensemble_statistic"] == "p90"
    assert mean["units"] == std["units"] == high["units"] == chance["threshold_units"] and mean["units"].endswith(" s**-1")
    assert chance["units"] == "1" and "standard_name" not in chance
    assert all(one["ensemble_members"] == 4 and one["ancillary_variables"] == f"{tp}_rate_ens_members" for one in (mean, std, high, chance))
    assert mean["deaccumulated"] == "rate" and mean["step_bounds"] in store.variables
    t2m = store["t2m_ens_mean"].attrs
    assert t2m["units"] == "K" and t2m["standard_name"] == "air_temperature" and t2m["cell_methods"] == "realization: mean"
    assert "deaccumulated" not in t2m


def test_a_box_of_statistics_is_the_statistics_of_a_box(products, gribfs, tmp_path):  # noqa: F811
    product = products("gefs")
    flags = ["--stat", "mean,p90", "--variable", "t2m"]
    gribfs("copy", product.table, tmp_path / "a.zarr", *flags)
    gribfs("copy", product.table, tmp_path / "b.zarr", *flags, "--bbox", "35,-10,60,30", "--north-up", "--lon180", "--member", "1..2", "--step", "6h")
    whole, part = load(tmp_path / "a.zarr"), load(tmp_path / "b.zarr")
    assert part["t2m_ens_mean"].attrs["ensemble_members"] == 2 and part.sizes["valid_time"] == 1
    fields = [field for cell, field in product.arrays["t2m"].items() if cell.step == 6 * HOUR and cell.member in (1, 2)]
    rows = [list(whole["latitude"].values).index(value) for value in part["latitude"].values]
    columns = [list(whole["longitude"].values).index(value % 360) for value in part["longitude"].values]
    cut = [field.values[np.ix_(rows, columns)] for field in sorted(fields, key=lambda field: field.member)]
    for one in ("mean", "p90"):
        assert same_bits(part["t2m" + suffix(one)].values[0], statistic(one, cut))


def test_bits_of_statistics_are_rounded_as_numcodecs_does_and_auto_leaves_them(products, gribfs, tmp_path):  # noqa: F811
    from numcodecs.bitround import BitRound

    product = products("gefs")
    flags = ["--stat", "mean,p10", "--variable", "t2m"]
    for name, more in (("plain", []), ("auto", ["--round-bits", "auto"]), ("seven", ["--round-bits", "7"])):
        gribfs("copy", product.table, tmp_path / name, *flags, *more)
    whole = load(tmp_path / "plain")
    check_same(tmp_path / "auto", tmp_path / "plain")
    rounded = load(tmp_path / "seven")
    for name in ("t2m_ens_mean", "t2m_ens_p10"):
        values = whole[name].values
        assert rounded[name].values.tobytes() == BitRound(keepbits=7).encode(values).tobytes()
        assert rounded[name].attrs["_QuantizeBitRoundNumberOfSignificantBits"] == 7


# ---------------------------------------------------------------- differences in the archive

@pytest.mark.parametrize(("slice_of", "kind"), [
    *((one, "bucket") for one in ("run_time", "valid_time", "horizon", "best_available", "runs", "leads/006h", "leads/012h", "valid/2026-11-22T12")),
    *((one, "rate") for one in ("run_time", "valid_time", "best_available", "runs")),
])
def test_accumulations_are_cut_where_they_begin_together(products, gribfs, tmp_path, slice_of, kind):  # noqa: F811
    product = products("gfs")
    runs = product.runs
    if slice_of == "runs":
        slice_of, runs = f"runs/{run_name(product.runs[1])}", product.runs[1:2]
    # The run of 06 lacks its ninth hour: what follows is of six hours, and says so.
    axes = {"run_time": "time=2,step=3", "valid_time": "valid_time=2,step=2", "horizon": "step=3", "valid": "time=2"}
    chunks = [] if kind == "bucket" else ["--chunks", axes.get(slice_of.partition("/")[0], "valid_time=3") + ",latitude=40"]
    flags = ["--slice", slice_of, "--variable", "tp*,t2m", "--deaccumulate", kind, *chunks]
    gribfs("copy", product.table, tmp_path / "a.zarr", *flags)
    store = load(tmp_path / "a.zarr")
    end = "_rate" if kind == "rate" else ""
    for name in ("tp", "tp_bucket6h"):
        cells = product.arrays[name]
        made = keyed(intervals(cells, kind == "rate"))
        seen = check(store, name + end, made, windows=True)
        if slice_of in ("run_time", "valid_time", "horizon"):
            assert seen == set(made)
        elif slice_of == "best_available":
            newest = {moment: max(run for run, step, *_ in made if run + step == moment) for moment in {run + step for run, step, *_ in made}}
            assert seen == {key for key in made if newest[key[0] + key[1]] == key[0]}
        else:
            assert seen and {run for run, *_ in seen} <= set(runs)
    gap = (product.runs[1], 12 * HOUR, None, None)
    assert keyed(intervals(product.arrays["tp"]))[gap].window == (6 * HOUR, 12 * HOUR)
    check(store, "t2m", keyed(plain(product.arrays["t2m"])))
    assert "deaccumulated" not in store["t2m"].attrs


def test_differences_of_the_steps_selected(products, gribfs, tmp_path):  # noqa: F811
    product = products("gfs")
    steps = [6 * HOUR, 12 * HOUR]
    gribfs("copy", product.table, tmp_path / "a.zarr", "--slice", "run_time", "--variable", "tp", "--step", "6h,12h", "--deaccumulate", "bucket")
    cells = {cell: field for cell, field in product.arrays["tp"].items() if cell.step in steps}
    wanted = keyed(intervals(cells))
    assert {one.window for one in wanted.values()} == {(0, 6 * HOUR), (6 * HOUR, 12 * HOUR)}
    assert check(load(tmp_path / "a.zarr"), "tp", wanted, windows=True) == set(wanted)


# ---------------------------------------------------------------- an ensemble of totals with holes

MEMBERS, STEPS = 5, (3, 6, 9, 12)
POINTS = 61 * 120


def write_ensemble(folder, days=(20261122,), lacks=(), members=MEMBERS):
    """Totals `0-3 h` to `0-12 h` of members and runs, one file each: with points that some or all members lack, and packing that makes the total fall."""
    with open(next(path for path in oracle.grib_files(ARCHIVE / "gefs.20261122") if path.name.endswith("gep01.t00z.pgrb2a.3p00.f006") or "gep01" in path.name and path.name.endswith("f006")), "rb") as file:
        while ec.codes_get(message := ec.codes_grib_new_from_file(file), "shortName") != "tp":
            ec.codes_release(message)
    random = np.random.default_rng(7)
    for day in days:
        for member in range(members):
            total = np.zeros(POINTS)
            for step in STEPS:
                total = total + random.gamma(0.5, 4.0, POINTS) * (random.random(POINTS) < 0.6)
                if (day, member, step) in lacks:
                    continue
                copy = ec.codes_clone(message)
                ec.codes_set(copy, "dataDate", day)
                ec.codes_set(copy, "perturbationNumber", member)
                ec.codes_set(copy, "stepRange", f"0-{step}")
                ec.codes_set(copy, "bitmapPresent", 1)
                ec.codes_set(copy, "missingValue", 9999)
                # Coarse, and otherwise at each step: a total that has not grown comes out smaller now and then.
                ec.codes_set(copy, "bitsPerValue", 7 + step % 2)
                values = total.copy()
                values[:50] = 9999
                values[50 + member * 20:120 + member * 20] = 9999
                ec.codes_set_values(copy, values)
                path = folder / f"{day}/m{member:02}.f{step:03}.grib2"
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "ab") as out:
                    ec.codes_write(copy, out)
                ec.codes_release(copy)
    ec.codes_release(message)


def totals(folder):
    """Cells of the totals as ecCodes reads them."""
    return oracle.arrays(oracle.read_files(oracle.grib_files(folder), keep_values=True))["tp"]


@pytest.fixture(scope="module")
def ensemble(gribfs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble")
    write_ensemble(folder / "grib")
    gribfs("index", folder / "grib", "-o", folder / "t.table")
    return folder / "t.table", totals(folder / "grib")


@pytest.mark.parametrize("flags", [[], ["--chunks", "valid_time=2,latitude=20", "--memory", "256K"]])
def test_first_differences_then_statistics_with_points_that_members_lack(ensemble, gribfs, tmp_path, flags):
    table, cells = ensemble
    gribfs("copy", table, tmp_path / "a.zarr", "--deaccumulate", "bucket", "--stat", ALL.replace("280", "25"), *flags)
    store = load(tmp_path / "a.zarr")
    buckets = intervals(cells)
    stack = np.stack([one.values for one in buckets.values()])
    assert np.nanmin(stack) < 0, "packing makes some totals fall"
    there = np.sum(~np.isnan(stack[:MEMBERS]), axis=0)
    assert there.min() == 0 and there.max() == MEMBERS and len(np.unique(there)) > 2
    for one in ALL.replace("280", "25").split(","):
        wanted = keyed(over_members(buckets, one))
        assert check(store, "tp" + suffix(one), wanted, windows=True) == set(wanted)


def test_buckets_add_up_to_the_total_and_keep_what_packing_did(ensemble, gribfs, tmp_path):
    table, cells = ensemble
    gribfs("copy", table, tmp_path / "a.zarr", "--deaccumulate", "bucket", "--chunks", "number=2")
    store = load(tmp_path / "a.zarr")
    wanted = keyed(intervals(cells))
    assert check(store, "tp", wanted, windows=True) == set(wanted)
    assert np.nanmin(store["tp"].values) < 0
    last = np.stack([cells[cell].values for cell in sorted(cells, key=lambda cell: cell.member) if cell.step == 12 * HOUR])
    off = np.abs(store["tp"].values.astype("f8").sum(axis=0) - last)
    assert np.nanmax(off) < 1e-4


@pytest.mark.parametrize(("slice_of", "flags"), [
    *((one, ["--deaccumulate", "rate"]) for one in ("run_time", "runs/2026-11-22T00", "valid_time", "horizon", "best_available")),
    *((one, ["--deaccumulate", "bucket", "--stat", "p50,mean"]) for one in ("run_time", "runs/2026-11-22T00")),
    *((one, ["--deaccumulate", "bucket", "--chunks", "LONG"]) for one in ("run_time", "valid_time")),
])
def test_each_total_is_fetched_once_though_two_cells_need_it(gribfs, tmp_path, slice_of, flags):
    write_ensemble(tmp_path / "grib", days=(20261122, 20261123))
    flags = [("step=3" if slice_of == "run_time" else "valid_time=3") if flag == "LONG" else flag for flag in flags]
    with server.Server(tmp_path / "grib") as http:
        table = remote_table(gribfs, http, tmp_path / "grib", tmp_path)
        planned = gribfs("copy", table, tmp_path / "a.zarr", "--slice", slice_of, *flags, "--dry-run").stdout
        http.forget()
        gribfs("copy", table, tmp_path / "a.zarr", "--slice", slice_of, *flags)
        count = collections.Counter(request.path for request in data_requests(http))
    days = 1 if slice_of.startswith("runs") else 2
    assert len(count) == days * MEMBERS * len(STEPS) and set(count.values()) == {1}, count
    assert f"from {len(count)} messages" in planned, planned


def test_a_member_without_a_message_is_left_out_and_counted(gribfs, tmp_path):
    lacks = {(20261122, 2, 6), (20261122, 2, 9), (20261122, 2, 12), (20261122, 4, 3)}
    write_ensemble(tmp_path / "grib", lacks=lacks)
    gribfs("index", tmp_path / "grib", "-o", tmp_path / "t.table", code=None)
    cells = totals(tmp_path / "grib")
    gribfs("copy", tmp_path / "t.table", tmp_path / "a.zarr", "--stat", "mean,count")
    store = load(tmp_path / "a.zarr")
    assert list(store["tp_ens_members"].values) == [4, 4, 4, 4]
    assert store["tp_ens_mean"].attrs["ensemble_members"] == MEMBERS
    for one in ("mean", "count"):
        check(store, "tp" + suffix(one), keyed(over_members(plain(cells), one)))


def test_a_total_without_the_one_before_is_left_as_fill_and_told(gribfs, tmp_path):
    write_ensemble(tmp_path / "grib", lacks={(20261122, 2, 6)})
    gribfs("index", tmp_path / "grib", "-o", tmp_path / "t.table", code=None)
    wanted = intervals(totals(tmp_path / "grib"))
    lost = [cell for cell, one in wanted.items() if one.values is None]
    assert [(cell.member, cell.step) for cell in lost] == [(2, 9 * HOUR)]
    for name, more, cells in (("a.zarr", [], ["tp[2,2]"]), ("b.zarr", ["--stat", "mean,max"], ["tp_ens_max[2]", "tp_ens_mean[2]"])):
        flags = ["--deaccumulate", "bucket", *more]
        assert "1 field known" in gribfs("copy", tmp_path / "t.table", tmp_path / name, *flags, "--dry-run").stdout or more
        done = gribfs("copy", tmp_path / "t.table", tmp_path / name, *flags, code=1)
        assert "no message at 6h of the same run" in done.stdout
        store = load(tmp_path / name)
        assert store.attrs["gribfs_missing"].split() == cells
        for array in fields_of(store):
            if more:
                check(store, array, keyed(over_members(wanted, array.rpartition("_")[2])), windows=True)
            else:
                check(store, array, keyed(wanted), windows=True)
        before = tree(tmp_path / name)
        gribfs("copy", tmp_path / "t.table", tmp_path / name, *flags, "--allow-missing")
        assert tree(tmp_path / name) == before


@pytest.mark.parametrize("flags", [["--stat", "mean", "--deaccumulate", "bucket"], ["--deaccumulate", "rate", "--chunks", "valid_time=4"]])
def test_what_needs_a_message_that_cannot_be_had_is_fill_until_it_can(gribfs, tmp_path, flags):
    write_ensemble(tmp_path / "grib")
    with server.Server(tmp_path / "grib") as http:
        table = remote_table(gribfs, http, tmp_path / "grib", tmp_path)
        gribfs("copy", table, tmp_path / "whole.zarr", *flags)
        http.fault("20261122/m03.f006.grib2", "404")
        done = gribfs("copy", table, tmp_path / "a.zarr", *flags, "--report", tmp_path / "report.json", code=1)
        report = json.loads((tmp_path / "report.json").read_text())
        http.heal()
        own, whole = load(tmp_path / "a.zarr"), load(tmp_path / "whole.zarr")
        steps = [1, 2] if "--deaccumulate" in flags else [1]
        for name in fields_of(whole):
            gone = np.zeros(whole[name].shape[0], bool) if "--stat" in flags else np.zeros(whole[name].shape[:2], bool)
            gone[(steps, 3) if gone.ndim == 2 else (steps,)] = True
            assert np.isnan(own[name].values[gone]).all() and own[name].values[~gone].tobytes() == whole[name].values[~gone].tobytes()
            named = {f"{name}[{','.join(map(str, at))}]" for at in np.argwhere(gone)}
            assert named <= set(own.attrs["gribfs_missing"].split())
        assert not report["complete"] and all("404" in cell["reason"] for cell in report["missing"])
        assert "left as fill" in done.stdout
        gribfs("copy", table, tmp_path / "a.zarr", *flags)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr"), "what can be had again is computed"


# ---------------------------------------------------------------- killed, appended, refused

@pytest.mark.parametrize("after", [1, 20])
@pytest.mark.parametrize("flags", [["--deaccumulate", "bucket", "--stat", "mean,p90,prob>5"], ["--deaccumulate", "rate"], ["--stat", "median,std", "--chunks", "step=2,latitude=25", "--memory", "256K"]])
def test_a_copy_killed_at_any_point_ends_with_the_same_bytes(gribfs, tmp_path, flags, after):
    write_ensemble(tmp_path / "grib", days=(20261122, 20261123), members=3)
    with server.Server(tmp_path / "grib", latency=0.02) as http:
        table = remote_table(gribfs, http, tmp_path / "grib", tmp_path)
        more = ["--slice", "run_time", "--max-requests", "2", *flags]
        gribfs("copy", table, tmp_path / "whole.zarr", *more)
        state = tmp_path / "a.zarr/.gribfs-copy.json"
        process = subprocess.Popen([str(conftest.PROGRAM), "copy", str(table), str(tmp_path / "a.zarr"), *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if state.exists() and sum("unfinished" not in name for name in tree(tmp_path / "a.zarr")) > after:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        process.wait()
        assert state.exists() or after == 20, "it was killed before its end"
        if state.exists():
            other = gribfs("copy", table, tmp_path / "a.zarr", "--slice", "run_time", code=2)
            assert "unfinished copy" in other.stderr
        http.latency = 0
        gribfs("copy", table, tmp_path / "a.zarr", *more, "--resume")
    ended = {name: body for name, body in tree(tmp_path / "a.zarr").items() if "unfinished" not in name}
    assert ended == tree(tmp_path / "whole.zarr")


@pytest.mark.parametrize("flags", [["--deaccumulate", "bucket", "--stat", "mean,p90"], ["--deaccumulate", "rate"]])
@pytest.mark.parametrize("chunks", [None, "time=2,step=3,latitude=40"])
def test_runs_and_times_are_appended(gribfs, tmp_path, flags, chunks):
    write_ensemble(tmp_path / "grib", days=(20261122, 20261123, 20261124), members=3)
    gribfs("index", tmp_path / "grib", "-o", tmp_path / "t.table")
    table, made = tmp_path / "t.table", ["--slice", "run_time", *flags]
    size = ["--chunks", chunks] if chunks else []
    gribfs("copy", table, tmp_path / "whole.zarr", *made, *size)
    gribfs("copy", table, tmp_path / "a.zarr", *made, *size, "--run", "2026-11-22T00")
    for run in ("2026-11-23T00", "2026-11-24T00"):
        gribfs("copy", table, tmp_path / "a.zarr", *made, "--append", "time", "--run", f"2026-11-22T00..{run}")
    own, whole = load(tmp_path / "a.zarr"), load(tmp_path / "whole.zarr")
    assert set(own.variables) == set(whole.variables)
    for name in whole.variables:
        assert own[name].values.tobytes() == whole[name].values.tobytes(), name
    # The step before the first new one is the store's last: it is fetched again, not guessed.
    run = ["--slice", "runs/2026-11-22T00", *flags]
    gribfs("copy", table, tmp_path / "b.zarr", *run, "--step", "3h..6h", *(["--chunks", "valid_time=3"] if chunks else []))
    gribfs("copy", table, tmp_path / "b.zarr", *run, "--append", "valid_time")
    gribfs("copy", table, tmp_path / "c.zarr", *run)
    own, whole = load(tmp_path / "b.zarr"), load(tmp_path / "c.zarr")
    for name in whole.variables:
        assert own[name].values.tobytes() == whole[name].values.tobytes(), name


def test_what_does_not_go_together_is_said(ensemble, products, gribfs, tmp_path):  # noqa: F811
    table, _ = ensemble
    gribfs("copy", table, tmp_path / "a.zarr", "--stat", "mean", "--step", "3h..6h")
    gribfs("copy", table, tmp_path / "b.zarr", "--step", "3h..6h")
    before = tree(tmp_path / "a.zarr"), tree(tmp_path / "b.zarr")
    append = ["--append", "valid_time"]
    for store, flags, words in (
        ("a.zarr", ["--stat", "mean", "--member", "0..2", *append], ["5 members", "of 3"]),
        ("a.zarr", ["--stat", "mean", "--deaccumulate", "bucket", *append], ["--deaccumulate"]),
        ("b.zarr", ["--deaccumulate", "bucket", *append], ["--deaccumulate"]),
        ("a.zarr", ["--stat", "mean,max", *append], ["arrays"]),
        ("c.zarr", ["--stat", "mean", "--chunks", "number=2"], ["number", "latitude"]),
        ("c.zarr", ["--stat", "average"], ["average", "mean"]),
        ("c.zarr", ["--stat", "mean,mean"], ["twice"]),
        ("c.zarr", ["--stat", "p101"], ["p101"]),
        ("c.zarr", ["--stat", "prob=3"], ["prob>25"]),
        ("c.zarr", ["--deaccumulate", "daily"], ["bucket", "rate"]),
        ("c.zarr", ["--raw", "--stat", "mean"], ["--raw"]),
    ):
        done = gribfs("copy", table, tmp_path / store, *flags, code=2)
        assert all(word in done.stderr for word in words), done.stderr
    gfs = products("gfs").table
    assert "no array selected has members" in gribfs("copy", gfs, tmp_path / "c.zarr", "--stat", "mean", code=2).stderr
    assert "no array selected is an accumulation" in gribfs("copy", gfs, tmp_path / "c.zarr", "--deaccumulate", "rate", "--variable", "t2m,tcc_avg", code=2).stderr
    assert (tree(tmp_path / "a.zarr"), tree(tmp_path / "b.zarr")) == before and not (tmp_path / "c.zarr").exists()


def test_arrays_without_members_are_copied_as_they_are(gribfs, tmp_path):
    files = [*oracle.grib_files(ARCHIVE / "gefs.20261122"), *oracle.grib_files(ARCHIVE / "gfs.20261122/00")]
    gribfs("index", *files, "-o", tmp_path / "t.table")
    flags = ["--variable", "sst,t2m,gh", "--slice", "run_time"]
    gribfs("copy", tmp_path / "t.table", tmp_path / "plain.zarr", *flags)
    gribfs("copy", tmp_path / "t.table", tmp_path / "a.zarr", *flags, "--stat", "max")
    own, whole = load(tmp_path / "a.zarr"), load(tmp_path / "plain.zarr")
    assert set(own.data_vars) - set(whole.data_vars) == {"t2m_ens_max", "t2m_ens_members"} and "t2m" not in own
    for name in ("sst", "gh"):
        assert own[name].values.tobytes() == whole[name].values.tobytes() and repr(own[name].attrs) == repr(whole[name].attrs)
    assert same_bits(own["t2m_ens_max"].values, np.nanmax(whole["t2m"].values, axis=2))


def test_a_tree_of_statistics(ensemble, gribfs, tmp_path):
    import xarray

    table, cells = ensemble
    gribfs("copy", table, tmp_path / "a.zarr", "--stat", "mean", "--layout", "tree")
    nodes = xarray.open_datatree(str(tmp_path / "a.zarr"), engine="zarr", decode_cf=False)
    store = nodes["tp/accum/surface"].to_dataset().load()
    wanted = keyed(over_members(plain(cells), "mean"))
    assert check(store, "tp_ens_mean", wanted, windows=True) == set(wanted)

"""A collection as irregular as they come, made here: every cell of every slice against ecCodes' values, and against kerchunk's.

Runs 00, 06 and 18 (no 12), each with its own uneven steps; four members, one of which lacks a step; three levels, one of which lacks a
member; totals and buckets of precipitation. Expectations are arithmetic on what ecCodes reads from the files.
"""

import itertools
import json

import compare
import eccodes as ec
import numpy as np
import oracle
import pytest
from conftest import TEST_DATA
from test_slices import check_store, some, valid
from test_values import products, run_name  # noqa: F401 (products is a fixture)

HOUR = 3600
STEPS = {0: (0, 1, 2, 3, 6, 9, 12, 24), 6: (0, 3, 6, 7, 12), 18: (0, 1, 5, 6, 30)}
MEMBERS, LEVELS = (0, 1, 2, 3), (1000, 850, 500)


def write(path, run, step, member, parameter, level=None, window=None):
    h = ec.codes_grib_new_from_samples("regular_ll_sfc_grib2" if level is None else "regular_ll_pl_grib2")
    keys = {"centre": 7, "dataDate": 20261122, "dataTime": run * 100, "productDefinitionTemplateNumber": 1 if window is None else 11,
            "Ni": 12, "Nj": 7, "iDirectionIncrementInDegrees": 30.0, "jDirectionIncrementInDegrees": 30.0, "longitudeOfLastGridPointInDegrees": 330.0,
            "latitudeOfLastGridPointInDegrees": -90.0, "latitudeOfFirstGridPointInDegrees": 90.0,
            "discipline": 0, "parameterCategory": parameter[0], "parameterNumber": parameter[1], "indicatorOfUnitOfTimeRange": 1,
            "typeOfEnsembleForecast": 3 if member else 1, "perturbationNumber": member, "numberOfForecastsInEnsemble": len(MEMBERS)}
    for key, value in keys.items():
        ec.codes_set(h, key, value)
    if window is None:
        ec.codes_set(h, "forecastTime", step)
    else:
        ec.codes_set(h, "stepType", "accum")
        ec.codes_set(h, "stepRange", f"{window[0]}-{window[1]}")
    surface = (103, 2) if parameter == (0, 0) and level is None else (1, 0)
    if level is None:
        for key, value in {"typeOfFirstFixedSurface": surface[0], "scaleFactorOfFirstFixedSurface": 0, "scaledValueOfFirstFixedSurface": surface[1],
                           "typeOfSecondFixedSurface": 255}.items():
            ec.codes_set(h, key, value)
    else:
        ec.codes_set(h, "typeOfLevel", "isobaricInhPa")
        ec.codes_set(h, "level", level)
    number = hash((run, step, member, parameter, level, window)) % 100_000
    ec.codes_set_values(h, number + np.arange(84, dtype=float))
    with open(path, "ab") as out:
        ec.codes_write(h, out)
    ec.codes_release(h)


@pytest.fixture(scope="module")
def collection(gribfs, module_mount, tmp_path_factory):
    folder = tmp_path_factory.mktemp("irregular")
    for run, member in itertools.product(STEPS, MEMBERS):
        for step in STEPS[run]:
            if (run, member, step) == (6, 3, 7):
                continue  # a member lacks a step
            path = folder / f"run{run:02}.m{member}.f{step:03}.grib2"
            write(path, run, step, member, (0, 0))
            for level in LEVELS:
                if (level, member) != (500, 2):  # and another one a level
                    write(path, run, step, member, (0, 0), level)
            if step:
                write(path, run, step, member, (1, 8), window=(0, step))
                bucket = (step - 1) // 6 * 6
                if bucket and step % 6 in (0, 1, 3):
                    write(path, run, step, member, (1, 8), window=(bucket, step))
    files = sorted(folder.glob("*.grib2"))
    gribfs("index", *files, "-o", folder / "table")
    fields = oracle.read_files(files, keep_values=True)
    assert all(field.plain for field in fields), [field.why_not for field in fields if not field.plain]
    return module_mount(folder / "table"), oracle.arrays(fields), sorted({field.reference for field in fields})


def test_every_cell_of_every_slice(collection, zarr3):
    mount, arrays, runs = collection
    cells = [cell for by_cell in arrays.values() for cell in by_cell]
    assert len({name if isinstance(name, str) else name[0] for name in arrays}) >= 4
    for name, axes in {"run_time": {"time": lambda c: c.reference, "step": lambda c: c.step},
                       "valid_time": {"valid_time": valid, "step": lambda c: c.step},
                       "horizon": {"step": lambda c: c.step, "valid_time": valid}}.items():
        store = zarr3(mount / f"{name}.zarr")
        check_store(store, arrays, axes, name)
        check_arithmetic(store, name)
    for run in runs:
        store = zarr3(mount / f"runs/{run_name(run)}.zarr")
        check_store(store, some(arrays, lambda c: c.reference == run), {"valid_time": valid}, f"run {run}")
        check_arithmetic(store, f"run {run}")
        for names, by_cell in some(arrays, lambda c: c.reference == run).items():
            array = compare.choose(names, store)
            windows = {(valid(cell),): (cell.start, cell.step) for cell in by_cell}
            if "tp" in array:
                compare.check_windows(store, array, ["valid_time"], windows, f"run {run} {array}")
    for step in sorted({cell.step for cell in cells}):
        store = zarr3(mount / f"leads/{step // HOUR:03}h.zarr")
        check_store(store, some(arrays, lambda c: c.step == step), {"valid_time": valid}, f"lead {step}")
        check_arithmetic(store, f"lead {step}")
    for moment in sorted({valid(cell) for cell in cells}):
        store = zarr3(mount / f"valid/{run_name(moment)}.zarr")
        check_store(store, some(arrays, lambda c: valid(c) == moment), {"time": lambda c: c.reference}, f"valid {moment}")
        check_arithmetic(store, f"valid {moment}")
    for instant in (*runs, runs[1] + 5 * HOUR):
        then = some(arrays, lambda c: c.reference <= instant)
        check_store(zarr3(mount / f"asof/{run_name(instant)}/run_time.zarr"), {n: c for n, c in then.items() if c},
                    {"time": lambda c: c.reference, "step": lambda c: c.step}, f"as of {instant}")


def check_arithmetic(store, what):
    """run + step = valid time at every position, whatever the axes; the clocks are 1-D, 2-D or one number."""
    axes = ("time", "step", "valid_time")
    found = {name: store.coordinates[name] for name in axes}
    dims = sorted({d for c in found.values() for d in c["dims"]} & set(axes))
    sizes = {d: len(found[d]["values"]) for d in dims}
    full = {}
    for name, coordinate in found.items():
        values = np.array(coordinate["values"], dtype="float64").reshape([sizes.get(d, 1) for d in coordinate["dims"]])
        order = [coordinate["dims"].index(d) for d in dims if d in coordinate["dims"]]
        values = values.transpose([*order, *(i for i in range(values.ndim) if i not in order)])
        full[name] = np.broadcast_to(values.reshape([sizes[d] if d in coordinate["dims"] else 1 for d in dims]), [sizes[d] for d in dims])
    assert np.array_equal(full["time"] + full["step"], full["valid_time"]), what


def test_best_available_is_the_newest_that_is_whole(collection, zarr3):
    mount, arrays, _ = collection
    store = zarr3(mount / "best_available.zarr")
    chosen = {}
    for names, cells in arrays.items():
        if not isinstance(names, tuple) and oracle.is_run_total(names, cells):
            continue
        # As many levels and members as any run has of that moment; of those the smallest step.
        by_moment = {}
        for cell in cells:
            by_moment.setdefault(valid(cell), {}).setdefault((cell.reference, cell.step), []).append(cell)
        chosen[names] = {cell: cells[cell] for runs in by_moment.values()
                         for cell in max(runs.items(), key=lambda run: (len(run[1]), -run[0][1]))[1]}
        origins = {valid(cell): (cell.reference, cell.step) for cell in chosen[names]}
        compare.check_origin(store, compare.choose(names, store), origins, f"best {names}")
    check_store(store, chosen, {"valid_time": valid}, "best_available")


# ---------------------------------------------------------------- kerchunk's four aggregations of the same archive

GROUPS = {"t2m/instant/heightAboveGround/t2m": ("t2m", ()), "u/instant/isobaricInhPa/u": ("u", ("isobaricInhPa",))}


def reinflate(kind):
    """kerchunk's `reinflate_grib_store` on the index of the test data: references by key, and the values of its axes in seconds."""
    grib_idx = pytest.importorskip("kerchunk._grib_idx", reason="skipped: no kerchunk")
    pandas = pytest.importorskip("pandas", reason="skipped: no pandas")
    refs = TEST_DATA / "refs"
    if not (refs / "kindex/k_index_fmrc.parquet").exists():
        pytest.skip("skipped: no GRIBFS_TEST_DATA")
    index = pandas.read_parquet(refs / "kindex/k_index_fmrc.parquet")
    deflated = json.loads((refs / "json/deflated_tree.json").read_text())
    at = lambda hours: pandas.Timestamp("2023-09-28") + pandas.Timedelta(hours=hours)  # noqa: E731
    steps = pandas.TimedeltaIndex([pandas.Timedelta(hours=h) for h in (0, 1, 2, 3, 6)], name="step")
    moments = pandas.date_range(at(0), at(18), freq="1h", name="valid_time")
    kinds = grib_idx.AggregationType
    axes = {"run_time": (kinds.RUN_TIME, [steps, pandas.date_range(at(0), at(12), freq="6h", name="time")]),
            "valid_time": (kinds.VALID_TIME, [steps, moments]),
            "horizon": (kinds.HORIZON, [pandas.Index([pandas.timedelta_range(f"{h}h", f"{h}h", freq="1h", name=f"{h}h") for h in (0, 1, 2, 3, 6)],
                                                     name="step"), moments]),
            "best_available": (kinds.BEST_AVAILABLE, [pandas.DatetimeIndex([at(12)], name="time"), moments])}
    kind, of_kind = axes[kind]
    store = grib_idx.reinflate_grib_store(axes=of_kind, aggregation_type=kind, chunk_index=index, zarr_ref_store=deflated)
    seconds = {"time": [int(t.timestamp()) for t in pandas.date_range(at(0), at(12), freq="6h")], "step": [h * HOUR for h in (0, 1, 2, 3, 6)],
               "valid_time": [int(t.timestamp()) for t in moments]}
    return store.get("refs", store), seconds


@pytest.mark.parametrize("kind", ["run_time", "valid_time", "horizon", "best_available"])
def test_kerchunks_aggregation_agrees_where_its_rule_is_ours(products, zarr3, mount, kind):  # noqa: F811
    """Every reference that kerchunk has is a cell that we have with that message's values, at the same coordinates.

    Where they differ, and why:
    * BestAvailable: kerchunk takes for moments up to the as-of only the run *of* that moment with step 0, after it the as-of run alone. By
      `--best exact` we say the same; by the default we have every moment that some run reaches: those cells are listed below as ours alone.
    * Horizon: kerchunk's `horizon` has one row per range of leads that the caller names. With one lead per range it is our store.
    * Run totals (`tp`): ours leaves them out of BestAvailable, kerchunk does not; only `t2m` and level fields are compared there.
    """
    product = products("refs-gfs")
    references, seconds = reinflate(kind)
    axes = {"run_time": ("time", "step"), "valid_time": ("valid_time", "step"), "horizon": ("step", "valid_time"), "best_available": ("valid_time",)}[kind]
    by_place = {(str(field.path).partition("gfs.20230928")[2], field.offset): field for field in product.fields}
    root = mount(product.table, "--best", "exact") if kind == "best_available" else product.mount
    store = zarr3(root / f"{kind}.zarr")
    labels = seconds | {"isobaricInhPa": sorted({field.level for field in product.fields if field.type_of_level == "isobaricInhPa"})}
    compared = 0
    for group, (name, level) in GROUPS.items():
        order, theirs = (*axes, *level), {}
        for key, reference in references.items():
            if key.startswith(f"{group}/") and isinstance(reference, (list, tuple)) and len(reference) == 3:
                position = [int(part) for part in key.removeprefix(f"{group}/").split(".")][: len(order)]
                place = compare.key_of({axis: labels[axis][at] for axis, at in zip(order, position)}, order)
                theirs[place] = by_place[(reference[0].partition("gfs.20230928")[2], reference[1])]
        ours = {compare.key_of(cell["labels"], order): cell for cell in store.arrays[name]["cells"] if cell["there"]}
        for place, field in theirs.items():
            assert ours[place]["sha256"] == field.sha256, f"{kind} {name} {place}"
            compared += 1
        alone = sorted(set(ours) - set(theirs))
        assert not alone, f"{kind} {name}: cells that kerchunk has not: {alone}"
    assert compared >= 7 * len(GROUPS), compared
    if kind == "best_available":
        default = zarr3(product.mount / "best_available.zarr")
        more = {cell["labels"]["valid_time"] for cell in default.arrays["t2m"]["cells"] if cell["there"]}
        exact = {cell["labels"]["valid_time"] for cell in store.arrays["t2m"]["cells"] if cell["there"]}
        alone = sorted((moment - seconds["valid_time"][0]) // HOUR for moment in more - exact)
        # 00z reaches 1, 2 and 3 h, 06z 7, 8 (its 9 h file is missing): moments that no run of their own has.
        assert alone == [1, 2, 3, 7, 8] and exact <= more, alone

"""Selection on mount and info: what is left equals ecCodes' values, axes shrink to it, and what is not there is said in a sentence."""

import json

import pytest
from test_slices import check_store, some, valid
from test_values import products, run_name  # noqa: F401 (products is a fixture)

HOUR = 3600
RUN_TIME = {"time": lambda cell: cell.reference, "step": lambda cell: cell.step}


def selected(product, variables=None, level=None, keep=lambda cell: True):
    """The arrays of a product whose names (or one of the allowed ones) are asked for; `level` holds for arrays with levels."""
    named = {names: cells for names, cells in product.arrays.items()
             if variables is None or variables & ({names} if isinstance(names, str) else set(names))}
    return some(named, lambda cell: keep(cell) and (level is None or cell.level is None or cell.level in level))


CASES = {
    "variables": ("gfs", ["--variable", "t2m,gh"], {"variables": {"t2m", "gh"}}),
    "a glob": ("gfs", ["--variable", "tp*"], {"variables": {"tp", "tp_bucket6h"}}),
    "a bucket array keeps the windows it shares": ("gfs", ["--variable", "tp_bucket6h"], {"variables": {"tp_bucket6h"}}),
    "a level": ("gfs", ["--level", "500"], {"level": {500.0}}),
    "a level of a type": ("gfs", ["--variable", "gh,t2m", "--level", "isobaricInhPa=500,850"], {"variables": {"gh", "t2m"}, "level": {500.0, 850.0}}),
    "steps": ("gfs", ["--step", "0h,6h..9h"], {"keep": lambda cell: cell.step in (0, 6 * HOUR, 9 * HOUR)}),
    "members": ("gefs", ["--member", "1..2"], {"keep": lambda cell: cell.member in (1, 2)}),
    "one member": ("ecmwf", ["--member", "0"], {"keep": lambda cell: cell.member in (0, None)}),
    "runs": ("gfs", ["--run", "2026-11-22T06..", "--step", "..6h"], {"keep": lambda cell: cell.reference >= 1795327200 and cell.step <= 6 * HOUR}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_are_the_cells_selected(products, mount, zarr3, case):  # noqa: F811
    name, flags, wanted = CASES[case]
    product = products(name)
    arrays = selected(product, **wanted)
    made = mount(product.table, *flags)
    store = zarr3(made / "run_time.zarr")
    check_store(store, arrays, RUN_TIME, case)
    cells = [cell for these in arrays.values() for cell in these]
    assert store.coordinates["step"]["values"] == sorted({cell.step for cell in cells})
    runs = sorted({cell.reference for cell in cells})
    assert store.coordinates["time"]["values"] == runs
    levels = sorted({cell.level for cell in cells if cell.level is not None})
    assert not levels or store.coordinates["isobaricInhPa"]["values"] == levels
    members = sorted({cell.member for cell in cells if cell.member is not None})
    assert not members or store.coordinates["number"]["values"] == members
    check_store(zarr3(made / "valid_time.zarr"), arrays, {"valid_time": valid, "step": lambda cell: cell.step}, case)
    if len(runs) > 1:
        early = some(arrays, lambda cell: cell.reference <= runs[0])
        check_store(zarr3(made / f"asof/{run_name(runs[0])}/run_time.zarr"), early, RUN_TIME, f"{case}, as of the first run")


def test_info_tells_of_the_same_part(products, gribfs):  # noqa: F811
    product = products("gfs")
    told = json.loads(gribfs("info", product.table, "--json", "--variable", "gh", "--level", "500", "--step", "6h").stdout)
    (group,) = told["groups"]
    (array,) = group["arrays"]
    arrays = selected(product, {"gh"}, {500.0}, lambda cell: cell.step == 6 * HOUR)
    assert array["name"] == "gh" and array["present"] == len(arrays["gh"])
    assert group["steps_seconds"] == [6 * HOUR] and [axis["values"] for axis in group["levels"] if axis["values"]] == [[500]]
    assert "cells selected" in gribfs("info", product.table, "--variable", "gh").stdout


@pytest.mark.parametrize(("flags", "words"), [
    (["--variable", "t3m"], ["t3m", "t2m", "gh"]), (["--level", "333"], ["333", "isobaricInhPa=500"]), (["--level", "isobaric=500"], ["isobaricInhPa"]),
    (["--level", "high"], ["high"]), (["--step", "7h"], ["7h", "6h"]), (["--step", "6"], ["6h,12h"]), (["--member", "99"], ["99"]),
    (["--run", "1999-01-01"], ["1999-01-01T00", "2026-11-22T00"]), (["--run", "noon"], ["noon"]),
    (["--variable", "tp", "--step", "0h"], ["not together"]),
])
def test_what_is_not_there_is_said_in_one_sentence(products, gribfs, tmp_path, flags, words):  # noqa: F811
    table = products("gfs").table
    (tmp_path / "mnt").mkdir()
    for command in (["info", table], ["mount", table, tmp_path / "mnt"]):
        done = gribfs(*command, *flags, code=2)
        assert done.stderr.count("\n") == 1 and all(word in done.stderr for word in words), done.stderr

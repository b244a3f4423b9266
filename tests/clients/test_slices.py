"""The other cuts of the collection: every cell of valid_time, horizon, leads/, valid/ and asof/ against ecCodes' values.

Each expectation is arithmetic on the fields that ecCodes read: run + step = valid time. Nothing here asks the store what a cell should be.
"""

import os

import compare
import numpy as np
import oracle
import pytest
from test_values import level_axis, products, run_name  # noqa: F401 (products is a fixture)

PRODUCTS = ["gfs", "gefs", "refs-gfs"]


@pytest.fixture(params=PRODUCTS)
def product(request, products):  # noqa: F811
    return products(request.param)


def check_store(store, arrays, axes, what):
    """`arrays`: name -> {cell: field}; `axes`: leading dimension -> its label of a cell."""
    wanted = {compare.choose(names, store): cells for names, cells in arrays.items() if cells}
    assert set(store.arrays) == set(wanted), what
    for name, cells in wanted.items():
        array = store.arrays[name]
        assert array["dims"][: len(axes)] == list(axes), f"{what} {name}: {array['dims']}"
        order = [*axes, "number", level_axis(array)]
        expected = {}
        for cell, field in cells.items():
            labels = {axis: label(cell) for axis, label in axes.items()} | {"number": cell.member, "isobaricInhPa": cell.level}
            key = compare.key_of({k: v for k, v in labels.items() if k in array["dims"]}, order)
            assert key not in expected, f"{what} {name}: two messages for {key}"
            expected[key] = field
        compare.check_cells(array, expected, order, f"{what} {name}")


def valid(cell):
    return cell.reference + cell.step


def some(arrays, keep):
    return {names: {cell: field for cell, field in cells.items() if keep(cell)} for names, cells in arrays.items()}


def test_valid_time_is_every_forecast_of_each_moment(product, zarr3):
    store = zarr3(product.mount / "valid_time.zarr")
    check_store(store, product.arrays, {"valid_time": valid, "step": lambda cell: cell.step}, f"{product.name} valid_time")
    time = store.coordinates["time"]
    assert time["dims"] == ["valid_time", "step"]
    moments, steps = store.coordinates["valid_time"]["values"], store.coordinates["step"]["values"]
    assert np.array_equal(time["values"], np.subtract.outer(moments, steps))


def test_horizon_is_each_lead_across_runs(product, zarr3):
    store = zarr3(product.mount / "horizon.zarr")
    check_store(store, product.arrays, {"step": lambda cell: cell.step, "valid_time": valid}, f"{product.name} horizon")
    assert store.coordinates["time"]["dims"] == ["step", "valid_time"]


def test_each_lead_is_a_store(product, zarr3):
    steps = sorted({field.step for field in product.fields})
    assert sorted(os.listdir(product.mount / "leads")) == [f"{step // 3600:03}h.zarr" for step in steps]
    for step in steps[:3]:
        store = zarr3(product.mount / f"leads/{step // 3600:03}h.zarr")
        check_store(store, some(product.arrays, lambda cell: cell.step == step), {"valid_time": valid}, f"{product.name} lead {step}")
        times, moments = store.coordinates["time"]["values"], store.coordinates["valid_time"]["values"]
        assert [moment - step for moment in moments] == times


def test_each_moment_is_a_store(product, zarr3):
    moments = sorted({field.reference + field.step for field in product.fields})
    assert sorted(os.listdir(product.mount / "valid")) == [f"{run_name(moment)}.zarr" for moment in moments]
    for moment in moments[len(moments) // 2:][:2]:
        store = zarr3(product.mount / f"valid/{run_name(moment)}.zarr")
        check_store(store, some(product.arrays, lambda cell: valid(cell) == moment), {"time": lambda cell: cell.reference},
                    f"{product.name} valid {moment}")


def test_asof_is_the_collection_as_it_stood(product, zarr3):
    if len(product.runs) < 2:
        pytest.skip("skipped: one run only")
    instant = product.runs[-2]
    then = some(product.arrays, lambda cell: cell.reference <= instant)
    folder = product.mount / f"asof/{run_name(instant)}"
    assert sorted(os.listdir(folder / "runs")) == [f"{run_name(run)}.zarr" for run in product.runs if run <= instant]
    check_store(zarr3(folder / "run_time.zarr"), then, {"time": lambda cell: cell.reference, "step": lambda cell: cell.step},
                f"{product.name} asof run_time")
    store = zarr3(folder / "best_available.zarr")
    best = {names: {cell: field for chosen in oracle.best(cells).values() for cell, field in chosen.items()}
            for names, cells in then.items() if isinstance(names, tuple) or not oracle.is_run_total(names, cells)}
    check_store(store, best, {"valid_time": valid}, f"{product.name} asof best_available")

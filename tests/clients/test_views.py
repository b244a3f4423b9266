"""What the flags of `mount` change: the metadata format, what BestAvailable takes. Values are ecCodes', in every view."""

import json
import os

import compare
import oracle
import pytest
from test_slices import check_store, some, valid
from test_values import products, run_name  # noqa: F401 (products is a fixture)

HOUR = 3600


@pytest.fixture
def gfs(products):  # noqa: F811
    return products("gfs")


def check_best(store, arrays, takes, what, totals=False):
    best = {names: {cell: field for chosen in oracle.best(cells, takes).values() for cell, field in chosen.items()}
            for names, cells in arrays.items() if totals or isinstance(names, tuple) or not oracle.is_run_total(names, cells)}
    # An array of which nothing counts stays, as gaps.
    empty = {compare.choose(names, store) for names, cells in best.items() if not cells}
    assert all(not any(cell["there"] for cell in store.arrays[name]["cells"]) for name in empty), what
    for name in empty:
        del store.arrays[name]
    check_store(store, best, {"valid_time": valid}, what)


# ---------------------------------------------------------------- --zarr-format

def test_version_2_is_the_default(gfs):
    store = gfs.mount / "run_time.zarr"
    assert (store / ".zmetadata").exists() and (store / "t2m/.zarray").exists()
    assert not (store / "zarr.json").exists() and not (store / "t2m/zarr.json").exists()


@pytest.mark.parametrize("name", ["gfs", "gefs", "hrrr"])
def test_version_3_is_the_same_data(products, mount, zarr3, name):  # noqa: F811
    import xarray
    import zarr

    product = products(name)
    made = mount(product.table, "--zarr-format", "3")
    folder = made / "run_time.zarr"
    assert sorted(os.listdir(made / "run_time.zarr/t2m"))[-1] == "zarr.json" and not (folder / ".zmetadata").exists()
    check_store(zarr3(folder), product.arrays, {"time": lambda cell: cell.reference, "step": lambda cell: cell.step}, f"{name} v3")
    check_best(zarr3(made / "best_available.zarr"), product.arrays, lambda cell: True, f"{name} v3 best")
    assert zarr.open_group(str(folder), mode="r").metadata.consolidated_metadata is not None
    for store in ("run_time", "best_available", "valid_time"):
        with xarray.open_zarr(str(product.mount / f"{store}.zarr")) as two, xarray.open_zarr(str(made / f"{store}.zarr"), consolidated=True) as three:
            xarray.testing.assert_identical(two, three)


def test_version_3_documents_are_what_zarr_python_writes(gfs, mount, tmp_path):
    import numpy
    import zarr

    made = mount(gfs.table, "--zarr-format", "3")
    group = zarr.open_group(str(tmp_path / "own.zarr"), mode="w", zarr_format=3)
    array = group.create_array("t2m", shape=(2, 2), chunks=(1, 2), dtype="float32", fill_value=numpy.nan, compressors=None, filters=None,
                               chunk_key_encoding={"name": "v2", "separator": "."}, dimension_names=("a", "b"))
    assert array.metadata.zarr_format == 3
    zarr.consolidate_metadata(str(tmp_path / "own.zarr"))
    own = json.loads((tmp_path / "own.zarr/zarr.json").read_text())
    ours = json.loads((made / "run_time.zarr/zarr.json").read_text())
    assert set(own) == set(ours) and set(own["consolidated_metadata"]) == set(ours["consolidated_metadata"])
    own, ours = (document["consolidated_metadata"]["metadata"]["t2m"] for document in (own, ours))
    assert set(own) == set(ours)
    for key in ("codecs", "chunk_key_encoding", "fill_value", "data_type", "node_type"):
        assert own[key] == ours[key], key


# ---------------------------------------------------------------- BestAvailable

def test_min_step_leaves_the_first_hours_out(gfs, mount, zarr3):
    store = zarr3(mount(gfs.table, "--min-step", "6h") / "best_available.zarr")
    check_best(store, gfs.arrays, lambda cell: cell.step >= 6 * HOUR, "gfs min-step")


def test_best_exact_is_kerchunks_rule(gfs, mount, zarr3):
    newest = gfs.runs[-1]
    store = zarr3(mount(gfs.table, "--best", "exact") / "best_available.zarr")
    check_best(store, gfs.arrays, lambda cell: cell.step == 0 or cell.reference == newest, "gfs exact")


def test_best_totals_are_shown_if_asked_for(gfs, mount, zarr3):
    store = zarr3(mount(gfs.table, "--best-totals") / "best_available.zarr")
    check_best(store, gfs.arrays, lambda cell: True, "gfs totals", totals=True)


def test_as_of_is_the_whole_mount_as_it_stood(gfs, mount, zarr3):
    then = gfs.runs[-2]
    made = mount(gfs.table, "--as-of", run_name(then), "--best", "exact")
    known = some(gfs.arrays, lambda cell: cell.reference <= then)
    assert sorted(os.listdir(made / "runs")) == [f"{run_name(run)}.zarr" for run in gfs.runs if run <= then]
    assert (made / "latest").read_text().strip() == run_name(then)
    check_store(zarr3(made / "run_time.zarr"), known, {"time": lambda cell: cell.reference, "step": lambda cell: cell.step}, "gfs as of")
    check_best(zarr3(made / "best_available.zarr"), known, lambda cell: cell.step == 0 or cell.reference == then, "gfs as of, exact")
    assert sorted(os.listdir(made / f"asof/{run_name(gfs.runs[-1])}/runs")) == sorted(os.listdir(made / "runs")), "nothing later is known"


@pytest.mark.parametrize("flags", [("--as-of", "1999-01-01"), ("--as-of", "noon"), ("--min-step", "24"), ("--best", "worst"), ("--zarr-format", "4"),
                                   ("--best", "exact", "--min-step", "6h")])
def test_wrong_flags_are_one_sentence_and_exit_2(gfs, gribfs, tmp_path, flags):
    (tmp_path / "mnt").mkdir()
    done = gribfs("mount", gfs.table, tmp_path / "mnt", *flags, code=2)
    assert done.stderr and "panicked" not in done.stderr

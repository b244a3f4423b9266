"""Whole archives through the mount: every cell of every store equals ecCodes' float32 to the last bit, or is a gap and NaN.

Products of tests/data/archive by their folder; those of the larger test data (refs/archive) by lists of files.
"""

import os
import pathlib

import compare
import numpy as np
import oracle
import pytest
from conftest import ARCHIVE, TEST_DATA

REFS = TEST_DATA / "refs/archive"
PRODUCTS = {"gfs": ARCHIVE / "gfs.20261122", "gefs": ARCHIVE / "gefs.20261122", "ecmwf": ARCHIVE / "ecmwf", "hrrr": ARCHIVE / "hrrr.20261122",
            "refs-gfs": REFS / "gfs.20230928", "refs-ecmwf": REFS / "ecmwf"}


class Product:
    def __init__(self, name, folder, gribfs, mount, work):
        self.name, self.table = name, work / f"{name}.table"
        files = oracle.grib_files(folder)
        self.account = gribfs("index", *(files if name.startswith("refs") else [folder]), "-o", self.table)
        self.mount = mount(self.table)
        self.fields = oracle.read_files(files, keep_values=True)
        assert self.fields and all(field.plain for field in self.fields)
        self.arrays = oracle.arrays(self.fields)
        self.runs = sorted({field.reference for field in self.fields})


@pytest.fixture(scope="module")
def products(gribfs, module_mount, tmp_path_factory):
    made = {}

    def get(name):
        folder = PRODUCTS[name]
        if not folder.exists():
            pytest.skip(f"skipped: no {folder}")
        if name not in made:
            made[name] = Product(name, folder, gribfs, module_mount, tmp_path_factory.mktemp(name))
        return made[name]

    return get


@pytest.fixture(params=PRODUCTS)
def product(request, products):
    return products(request.param)


def run_name(reference):
    return str(np.datetime64(reference, "s"))[:13]


def level_axis(array):
    return next((d for d in array["dims"] if d.startswith("isobaric")), None)


def test_account_says_that_all_is_placed(product):
    count = len(product.fields)
    text = product.account.stdout + product.account.stderr
    assert f"{count} of {count} messages placed" in text.replace(",", ""), text


def test_run_time_is_every_cell_of_the_archive(product, reader):
    path = product.mount / "run_time.zarr"
    store = reader(path)
    wanted = {compare.choose(names, store): cells for names, cells in product.arrays.items()}
    assert set(store.arrays) == set(wanted)
    for name, cells in wanted.items():
        array = store.arrays[name]
        order = ["time", "step", "number", level_axis(array)]
        ensemble = any(cell.member is not None for cell in cells)
        leveled = any(cell.level is not None for cell in cells)
        leading = ["time", "step"] + ["number"] * ensemble + ["isobaricInhPa"] * leveled
        assert array["dims"][:-2] == leading, f"{name}: {array['dims']}"
        assert array["dtype"] == "float32"
        expected = {}
        for cell, field in cells.items():
            labels = {"time": cell.reference, "step": cell.step, "number": cell.member, "isobaricInhPa": cell.level}
            expected[compare.key_of({k: v for k, v in labels.items() if k in leading}, order)] = field
        compare.check_cells(array, expected, order, f"{product.name} run_time {name}")
        if any(field.step_type != "instant" for field in cells.values()):
            windows = {(cell.reference, cell.step): field.window for cell, field in cells.items()}
            compare.check_windows(store, name, ["time", "step"], windows, f"{product.name} run_time {name}")
    compare.check_grid(store.coordinates, product.fields[0], product.name)
    assert store.coordinates["time"]["values"] == product.runs
    assert store.coordinates["time"]["decoded"].startswith("datetime64")
    assert store.coordinates["step"]["decoded"].startswith("timedelta64")
    assert store.coordinates["step"]["values"] == sorted({field.step for field in product.fields})


def test_best_available_takes_the_newest_run_that_has_the_cell(product, reader):
    store = reader(product.mount / "best_available.zarr")
    wanted = {compare.choose(names, store): cells for names, cells in product.arrays.items()
              if not oracle.is_run_total(names, cells)}
    assert set(store.arrays) == set(wanted)
    for name, cells in wanted.items():
        array = store.arrays[name]
        order = ["valid_time", "number", level_axis(array)]
        assert array["dims"][0] == "valid_time" and "step" not in array["dims"], f"{name}: {array['dims']}"
        expected = {}
        for valid, some in oracle.best(cells).items():
            for cell, field in some.items():
                labels = {"valid_time": valid, "number": cell.member, "isobaricInhPa": cell.level}
                expected[compare.key_of({k: v for k, v in labels.items() if k in array["dims"]}, order)] = field
        compare.check_cells(array, expected, order, f"{product.name} best_available {name}")
        origins = {valid: next((cell.reference, cell.step) for cell in some) for valid, some in oracle.best(cells).items()}
        compare.check_origin(store, name, origins, f"{product.name} best_available {name}")
    compare.check_grid(store.coordinates, product.fields[0], product.name)


def test_each_run_is_a_store_of_its_own(product, reader):
    assert sorted(p.removesuffix(".zarr") for p in os.listdir(product.mount / "runs")) == [run_name(r) for r in product.runs]
    for reference in product.runs:
        store = reader(product.mount / f"runs/{run_name(reference)}.zarr")
        for names, cells in product.arrays.items():
            mine = {cell: field for cell, field in cells.items() if cell.reference == reference}
            if not mine:
                continue
            name = compare.choose(names, store)
            array = store.arrays[name]
            order = ["valid_time", "number", level_axis(array)]
            expected = {}
            for cell, field in mine.items():
                labels = {"valid_time": reference + cell.step, "number": cell.member, "isobaricInhPa": cell.level}
                expected[compare.key_of({k: v for k, v in labels.items() if k in array["dims"]}, order)] = field
            compare.check_cells(array, expected, order, f"{product.name} {run_name(reference)} {name}")
        steps = store.coordinates["step"]
        assert steps["dims"] == ["valid_time"]
        assert [reference + step for step in steps["values"]] == store.coordinates["valid_time"]["values"]


def test_latest_names_a_run(product):
    latest = (product.mount / "latest").read_text().strip()
    assert latest.removesuffix(".zarr") in map(run_name, product.runs)


def test_a_chunk_file_is_plain_little_endian_floats(products):
    product = products("gfs")
    reference = product.runs[0]
    field = product.arrays["t2m"][oracle.Cell(reference, 6 * 3600, 6 * 3600, None, None)]
    path = product.mount / "run_time.zarr/t2m/0.2.0.0"
    assert path.stat().st_size == field.values.nbytes
    assert path.stat().st_blocks * 512 >= field.values.nbytes
    assert path.read_bytes() == field.values.tobytes()


def test_gaps_have_no_file_and_read_as_nan(products):
    product = products("gfs")
    store = product.mount / "run_time.zarr"
    assert not (store / "tp/0.0.0.0").exists(), "an analysis has no accumulation"
    assert not (store / "t2m/1.3.0.0").exists(), "06z f009 is not in the archive"
    assert (store / "t2m/1.4.0.0").exists()
    with pytest.raises(FileNotFoundError):
        (store / "tp/0.0.0.0").read_bytes()
    for name in ("t2m/0.5.0.0", "t2m/3.0.0.0", "t2m/00.0.0.0", "t2m/0.0.0", "t2m/0.0.0.0.0", "nonsense", "t2m/-1.0.0.0"):
        assert not (store / name).exists(), name


def test_what_the_readme_says_in_three_lines(products):
    import xarray

    product = products("gfs")
    data = xarray.open_zarr(str(product.mount / "best_available.zarr"))
    point = data.t2m.sel(latitude=51, longitude=0).values
    assert point.shape == data.valid_time.shape and np.isfinite(point).all() and (200 < point).all() and (point < 330).all()
    high = data.gh.sel(isobaricInhPa=500).isel(valid_time=2)
    assert high.dims == ("latitude", "longitude") and 4500 < float(high.mean()) < 6000


def test_the_tree_is_read_only(products):
    store = products("gfs").mount / "run_time.zarr"
    with pytest.raises(OSError):
        (store / "t2m/0.0.0.0").write_bytes(b"no")
    with pytest.raises(OSError):
        pathlib.Path(store / "new").mkdir()

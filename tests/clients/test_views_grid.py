"""`--north-up`, `--lon180`: cells and coordinates are reordered together, with and without a box, on regular and Gaussian grids.

Each cell of the turned store is compared with ecCodes' value at the same latitude and longitude; nothing here asks the store where a cell was.
"""

import json

import eccodes as ec
import numpy as np
import pytest
import xarray
from test_values import products  # noqa: F401 (a fixture)


def message(path, kind, south_up, west_first, first_longitude, globe=True):
    """One message with values that name their place: latitude + longitude / 1000, on a grid coded as asked."""
    h = ec.codes_grib_new_from_samples("regular_gg_pl_grib2" if kind == "none" else ("regular_gg_ml_grib2" if kind == "gaussian" else "regular_ll_sfc_grib2"))
    if kind == "gaussian":
        n = ec.codes_get(h, "N")
        ni, nj = 4 * n, 2 * n
    else:
        ni, nj = 36, 19
        ec.codes_set(h, "Ni", ni)
        ec.codes_set(h, "Nj", nj)
        ec.codes_set(h, "jDirectionIncrementInDegrees", 10.0)
    step = 360 / ni if globe else 5.0
    last = first_longitude + (ni - 1) * step
    first, end = (last, first_longitude) if west_first else (first_longitude, last)
    north = ec.codes_get(h, "latitudeOfFirstGridPointInDegrees") if kind == "gaussian" else 90.0
    for key, value in {"latitudeOfFirstGridPointInDegrees": -north if south_up else north, "latitudeOfLastGridPointInDegrees": north if south_up else -north,
                       "longitudeOfFirstGridPointInDegrees": first % 360, "longitudeOfLastGridPointInDegrees": end % 360,
                       "iDirectionIncrementInDegrees": step, "jScansPositively": int(south_up), "iScansNegatively": int(west_first)}.items():
        ec.codes_set(h, key, value)
    for key, value in {"dataDate": 20261122, "dataTime": 0, "forecastTime": 6, "discipline": 0, "parameterCategory": 0, "parameterNumber": 0,
                       "typeOfFirstFixedSurface": 103, "scaleFactorOfFirstFixedSurface": 0, "scaledValueOfFirstFixedSurface": 2,
                       "typeOfSecondFixedSurface": 255}.items():
        ec.codes_set(h, key, value)
    ec.codes_set_values(h, np.arange(ni * nj, dtype=float))
    with open(path, "wb") as out:
        ec.codes_write(h, out)
    ec.codes_release(h)
    return truth(path)


def truth(path):
    """(latitude, longitude mod 360) -> value, as ecCodes has them."""
    with open(path, "rb") as file:
        h = ec.codes_grib_new_from_file(file)
    lat, lon, values = (ec.codes_get_array(h, key) for key in ("latitudes", "longitudes", "values"))
    return {(round(float(a), 5), round(float(b) % 360, 5) % 360): float(v) for a, b, v in zip(lat, lon, values)}


def check(store, expected, whole=True):
    t2m = store.t2m.isel({d: 0 for d in store.t2m.dims[:-2]})
    lat, lon, values = store.latitude.values, store.longitude.values, t2m.values
    for (i, j), value in np.ndenumerate(values):
        place = (round(float(lat[i]), 5), round(float(lon[j]) % 360, 5) % 360)
        assert expected[place] == pytest.approx(value, abs=1e-3), f"row {i} column {j}: {place}"
    if whole:
        assert values.size == len(expected)
    return lat, lon


CASES = [("regular", south, west, first, globe) for south in (False, True) for west in (False, True) for first, globe in ((0, True), (180, True), (160, False), (335, False))]
CASES += [("gaussian", south, False, 0, True) for south in (False, True)]


@pytest.mark.parametrize("kind,south_up,west_first,first,globe", CASES)
def test_cells_and_coordinates_turn_together(gribfs, mount, tmp_path, kind, south_up, west_first, first, globe):
    expected = message(tmp_path / "one.grib2", kind, south_up, west_first, first, globe)
    table = tmp_path / "table.parquet"
    gribfs("index", tmp_path / "one.grib2", "-o", table)
    for flags in (["--north-up"], ["--lon180"], ["--north-up", "--lon180"]):
        store = xarray.open_zarr(str(mount(table, *flags) / "run_time.zarr"), chunks=None)
        lat, lon = check(store, expected)
        if "--north-up" in flags:
            assert (np.diff(lat) < 0).all()
        elif south_up:
            assert (np.diff(lat) > 0).all(), "rows stay as coded without the flag"
        if "--lon180" in flags:
            assert (np.diff(lon) > 0).all() or (west_first and (np.diff(lon) < 0).all())
            start = lon.max() if west_first and not globe else lon.min()
            assert -180 <= start < 180 or (globe and lon.max() < 180 + 1e-9)
            assert np.abs(np.diff(lon)).max() < 1.5 * (360 / lon.size if globe else 5.0), "one piece"
    box = mount(table, "--north-up", "--lon180", "--bbox", "-40,-60,50,40")
    inside = {place: value for place, value in expected.items() if -40 <= place[0] <= 50 and (place[1] + 60) % 360 <= 100}
    if inside:
        store = xarray.open_zarr(str(box / "run_time.zarr"), chunks=None)
        lat, lon = check(store, inside)
        assert (np.diff(lat) < 0).all() and -60 <= lon.min() and lon.max() <= 40
        assert (box / "run_time.zarr/t2m/0.0.0.0").stat().st_size == 4 * len(inside)


def test_a_box_across_the_date_line_stays_in_one_piece(products, mount):  # noqa: F811
    product = products("gfs")
    made = mount(product.table, "--lon180", "--bbox", "-20,170,20,-170", "--variable", "t2m")
    plain = mount(product.table, "--bbox", "-20,170,20,-170", "--variable", "t2m")
    ours, theirs = (xarray.open_zarr(str(root / "run_time.zarr"), chunks=None) for root in (made, plain))
    assert (np.diff(ours.longitude) > 0).all() and ours.longitude.size == theirs.longitude.size
    assert np.array_equal(ours.t2m.values, theirs.t2m.values, equal_nan=True)


def test_every_store_is_turned_alike(products, mount):  # noqa: F811
    product = products("gfs")
    made = mount(product.table, "--lon180", "--layout", "tree")
    for name in ("run_time", "valid_time", "horizon", "best_available", "runs/2026-11-22T00", "leads/006h", "valid/2026-11-22T12"):
        plain = xarray.open_zarr(str(product.mount / f"{name}.zarr"), chunks=None).t2m
        turned = xarray.open_zarr(str(made / f"{name}.zarr/t2m/instant/heightAboveGround"), chunks=None).t2m
        east = plain.assign_coords(longitude=(plain.longitude + 180) % 360 - 180).sortby("longitude")
        assert np.array_equal(turned.longitude, east.longitude) and np.array_equal(turned.values, east.values, equal_nan=True), name


def test_what_cannot_be_turned_is_refused_and_rows_of_projected_grids_can(products, gribfs, mount, tmp_path):  # noqa: F811
    product = products("hrrr")
    (tmp_path / "mnt").mkdir()
    done = gribfs("mount", product.table, tmp_path / "mnt", "--lon180", code=2)
    assert "longitudes" in done.stderr and "lambert" in done.stderr, done.stderr
    up = xarray.open_zarr(str(mount(product.table, "--north-up") / "run_time.zarr"), chunks=None)
    plain = xarray.open_zarr(str(product.mount / "run_time.zarr"), chunks=None)
    assert (np.diff(up.y) < 0).all() and (np.diff(plain.y) > 0).all()
    xarray.testing.assert_identical(up.drop_attrs(), plain.isel(y=slice(None, None, -1)).drop_attrs())


def test_info_tells_how_grids_are_turned(products, gribfs):  # noqa: F811
    table = products("gfs").table
    grid = json.loads(gribfs("info", table, "--lon180", "--json").stdout)["groups"][0]["grid"]
    assert "longitude -180..177" in grid, grid

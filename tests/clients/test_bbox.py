"""--bbox: a store holds exactly the cells of the box, with ecCodes' values to the last bit and ecCodes' coordinates."""

import json

import eccodes as ec
import numpy as np
import pytest
import server
import xarray
from conftest import TEST_DATA
from test_values import products  # noqa: F401 (a fixture)


def inside(field, box):
    """Whether each grid point of a field lies in the box, by ecCodes' coordinates."""
    south, west, north, east = box
    width = 360 if east - west >= 360 else (east - west) % 360
    lat, lon = field.latitudes, field.longitudes
    return (south - 1e-6 <= lat) & (lat <= north + 1e-6) & ((lon - west + 1e-6) % 360 <= width + 2e-6)


def wanted(field, box):
    """Rows and columns: those in the box, from west to east; on a projected grid the range of both that holds all its cells."""
    there = inside(field, box)
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    if field.grid != "regular_ll":
        return np.arange(rows[0], rows[-1] + 1), np.arange(columns[0], columns[-1] + 1)
    if len(columns) == there.shape[1]:
        return rows, columns
    return rows, columns[np.argsort((field.longitudes[0, columns] - box[1] + 1e-6) % 360, kind="stable")]


def chunk(store, array, field):
    leading = tuple(0 if array.dims[i] not in ("time", "step") else
                    int(np.flatnonzero(store[array.dims[i]].values.astype("int64") // 10**9 == {"time": field.reference, "step": field.step}[array.dims[i]])[0])
                    for i in range(array.ndim - 2))
    return array[leading]


BOXES = {
    "inside": (30, 20, 60, 50), "across greenwich": (35, -10, 60, 30), "the same from 0 to 360": (35, 350, 60, 30), "across the date line": (-20, 170, 20, -170),
    "the date line in 0 to 360": (-20, 170, 20, 190), "all longitudes": (-90, -180, 0, 180), "the world": (-90, 0, 90, 360), "one point": (48, 9, 48, 9),
}


@pytest.mark.parametrize("case", BOXES)
def test_a_box_of_a_regular_grid(products, mount, case):  # noqa: F811
    product, box = products("gfs"), BOXES[case]
    made = mount(product.table, "--bbox", ",".join(map(str, box)), "--variable", "t2m,tp*")
    store = xarray.open_zarr(str(made / "run_time.zarr"), chunks=None)
    for field in product.arrays["t2m"].values():
        rows, columns = wanted(field, box)
        ours = chunk(store, store.t2m, field)
        expected = field.values[np.ix_(rows, columns)]
        assert ours.shape == expected.shape and ours.values.tobytes() == expected.tobytes(), f"{case} {field.name}"
    file = made / "run_time.zarr/t2m/0.0.0.0"
    assert file.stat().st_size == len(file.read_bytes()) == 4 * len(rows) * len(columns)
    lat, lon = store.latitude.values, store.longitude.values
    assert np.array_equal(lat, field.latitudes[rows, 0])
    turn = np.abs(lon - field.longitudes[0, columns]) % 360
    assert np.minimum(turn, 360 - turn).max() < 1e-9
    assert (np.diff(lon) > 0).all() and lon[-1] - lon[0] < 360, f"{case}: {lon}"
    best = xarray.open_zarr(str(made / "best_available.zarr"), chunks=None)
    assert best.t2m.shape[1:] == expected.shape and np.isfinite(best.t2m.values).any()


@pytest.mark.parametrize("box", [(38, -98, 40, -95), (38, 262, 40, 265), (20, -140, 60, -50)])
def test_a_box_of_a_projected_grid(products, mount, box):  # noqa: F811
    product = products("hrrr")
    field = next(f for f in product.fields if f.cf_name == "t2m")
    if not inside(field, box).any():
        pytest.skip(f"skipped: {box} is not on the grid")
    rows, columns = wanted(field, box)
    made = mount(product.table, "--bbox", ",".join(map(str, box)))
    cut = xarray.open_zarr(str(made / "run_time.zarr"), chunks=None)
    whole = xarray.open_zarr(str(product.mount / "run_time.zarr"), chunks=None)
    for field in product.arrays["t2m"].values():
        assert chunk(cut, cut.t2m, field).values.tobytes() == field.values[np.ix_(rows, columns)].tobytes(), field.name
    xarray.testing.assert_identical(cut.drop_attrs(), whole.isel(y=rows, x=columns).drop_attrs())
    assert np.abs(cut.latitude.values - field.latitudes[np.ix_(rows, columns)]).max() < 1e-6


def test_info_tells_the_size_of_the_part(products, gribfs):  # noqa: F811
    product = products("gfs")
    rows, columns = wanted(product.fields[0], (35, -10, 60, 30))
    assert f"selected {len(rows)} x {len(columns)}" in gribfs("info", product.table, "--bbox", "35,-10,60,30").stdout


@pytest.mark.parametrize(("box", "words"), [("1,2,3", "south,west,north,east"), ("60,0,35,10", "south,west,north,east"), ("49,1,50,2", "no grid point"),
                                            ("-91,0,0,1", "south,west,north,east"), ("a,b,c,d", "south,west,north,east")])
def test_boxes_that_are_none(products, gribfs, box, words):  # noqa: F811
    done = gribfs("info", products("gfs").table, "--bbox", box, code=2)
    assert done.stderr.count("\n") == 1 and words in done.stderr


GRIDS = ["regular_gg", "rotated_ll", "rotated_gg", "reduced_gg", "reduced_rotated_gg", "healpix", "polar_stereographic", "mercator", "space_view",
         "lambert_azimuthal_equal_area", "transverse_mercator"]


@pytest.mark.parametrize("name", GRIDS)
def test_a_box_of_any_grid_is_that_part_of_the_whole(gribfs, mount, tmp_path, name):
    path = TEST_DATA / f"grib/eccodes/{name}.grib"
    if not path.exists():
        pytest.skip(f"skipped: no {path}")
    table = tmp_path / "t.parquet"
    gribfs("index", "--scan", path, "-o", table, "--allow-missing", code=None)
    if not table.exists() or not json.loads(gribfs("info", table, "--json").stdout)["groups"]:
        pytest.skip(f"skipped: {name} is refused when it is indexed")
    whole = xarray.open_zarr(str(mount(table) / "run_time.zarr"), chunks=None)
    (array, *_) = [a for a in whole.data_vars.values() if {"cell", "latitude", "y", "rlat"} & set(a.dims)]
    grid = array.dims[-1:] if array.dims[-1] == "cell" else array.dims[-2:]
    template = array.isel({d: 0 for d in array.dims if d not in grid})
    lat, lon = (np.broadcast_to(c, template.shape) for c in (
        (whole.latitude.values[:, None], whole.longitude.values[None, :]) if grid == ("latitude", "longitude") else (whole.latitude.values, whole.longitude.values)))
    known = np.flatnonzero(np.isfinite(lat) & np.isfinite(lon))
    at = known[len(known) // 2]
    south, north = max(lat.flat[at] - 8, -90), min(lat.flat[at] + 8, 90)
    box = (round(south, 3), round(lon.flat[at] - 12, 3), round(north, 3), round(lon.flat[at] + 12, 3))
    there = (box[0] - 1e-7 <= lat) & (lat <= box[2] + 1e-7) & ((lon - box[1] + 1e-7) % 360 <= 24 + 2e-7)
    if grid == ("cell",):
        wanted = whole.isel(cell=np.flatnonzero(there))
    else:
        rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
        rows, columns = np.arange(rows[0], rows[-1] + 1), columns if grid[0] == "latitude" else np.arange(columns[0], columns[-1] + 1)
        wanted = whole.isel({grid[0]: rows, grid[1]: columns})
    made = mount(table, "--bbox", ",".join(map(str, box)))
    cut = xarray.open_zarr(str(made / "run_time.zarr"), chunks=None)
    assert 0 < np.prod([cut.sizes[d] for d in grid]) < template.size or there.all(), f"{name}: {box}"
    if grid == ("latitude", "longitude"):
        wanted = wanted.isel(longitude=np.argsort((wanted.longitude.values - box[1] + 1e-7) % 360))
        assert np.allclose((cut.longitude - wanted.longitude.values + 180) % 360, 180)
        wanted = wanted.assign_coords(longitude=cut.longitude)
    # Runs of other grids of the file, of which nothing lies in the box, are gone.
    wanted = wanted.sel(time=cut.time.values, step=cut.step.values)
    xarray.testing.assert_identical(cut.drop_attrs(), wanted.drop_attrs())


def test_few_rows_of_a_large_message_are_fetched_without_the_rest(gribfs, mount, tmp_path):
    ni, nj, bits = 1440, 721, 24
    rng = np.random.default_rng(7)
    values = rng.uniform(200, 320, (nj, ni))
    handle = ec.codes_grib_new_from_samples("GRIB2")
    for key, value in [("gridType", "regular_ll"), ("centre", 7), ("dataDate", 20261122), ("dataTime", 0), ("Ni", ni), ("Nj", nj),
                       ("latitudeOfFirstGridPointInDegrees", 90), ("latitudeOfLastGridPointInDegrees", -90), ("longitudeOfFirstGridPointInDegrees", 0),
                       ("longitudeOfLastGridPointInDegrees", 359.75), ("iDirectionIncrementInDegrees", 0.25), ("jDirectionIncrementInDegrees", 0.25),
                       ("discipline", 0), ("parameterCategory", 0), ("parameterNumber", 0), ("typeOfFirstFixedSurface", 103),
                       ("scaleFactorOfFirstFixedSurface", 0), ("scaledValueOfFirstFixedSurface", 2), ("packingType", "grid_simple"), ("bitsPerValue", bits)]:
        ec.codes_set(handle, key, value)
    ec.codes_set_values(handle, values.ravel())
    message, expected = ec.codes_get_message(handle), ec.codes_get_values(handle).astype("<f4").reshape(nj, ni)
    ec.codes_release(handle)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/f000").write_bytes(message)
    with server.Server(tmp_path / "a") as http:
        table = tmp_path / "t.parquet"
        gribfs("index", "--scan", http.url("f000"), "-o", table)
        made = mount(table, "--bbox", "-12,20,23,52")
        cut = xarray.open_zarr(str(made / "run_time.zarr"), chunks=None)
        before = len(http.requests)
        got = cut["t2m"].values.squeeze()
        asked = http.requests[before:]
        rows, columns = slice(268, 409), slice(80, 209)
        assert np.array_equal(got, expected[rows, columns])
        assert [r.method for r in asked] == ["GET"] * 3

        def size(request):
            first, last = request.range.removeprefix("bytes=").split("-")
            return int(last) - int(first) + 1

        assert sum(map(size, asked)) < len(message) / 4

        # A part is verified as a whole message is: its end must be there.
        http.fault("f000", "bytes", message[:-4] + b"7778")
        again = mount(table, "--bbox", "-12,20,23,52", "--on-stale", "fail")
        with pytest.raises(OSError):
            (again / "run_time.zarr/t2m/0.0.0.0").read_bytes()

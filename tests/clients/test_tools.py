"""Command line readers of `scripts/test --clients all`: Debian's GDAL, netCDF-C (ncdump, nccopy), NCO, CDO, and zarrs by a small Rust program.

Whole arrays against ecCodes, as in test_readers.py. What a reader cannot do is tested where it would give wrong labels or nothing without a word,
so that the README's sentences stay true.
"""

import itertools
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from conftest import HERE
from matrix import BROKEN, PRODUCTS, damaged, matrix, missing, product  # noqa: F401 (fixtures)


def command(*args, code=0, **more):
    if not shutil.which(args[0]):
        missing(args[0])
    done = subprocess.run([str(arg) for arg in args], capture_output=True, text=True, timeout=120, **more)
    assert code in (None, done.returncode), f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done


def version(program, *args):
    """The first version number that a program tells of itself."""
    done = command(program, *args, code=None)
    return tuple(map(int, re.search(r"(\d+)\.(\d+)", done.stdout + done.stderr).groups()))


def url(store):
    """A store as netCDF-C and all on top of it want it."""
    return f"file://{store}#mode=zarr,file"


def netcdf(path):
    netCDF4 = pytest.importorskip("netCDF4")
    return netCDF4.Dataset(path)


# ---------------------------------------------------------------- GDAL of the distribution


def gdal(store, array, index):
    return f'ZARR:"{store}":/{array}:{":".join(map(str, index))}'


def test_gdal_translate(matrix, product, tmp_path):  # noqa: F811
    store = matrix.store(product)
    for name, whole in matrix.arrays(product).items():
        # One cell of each array and both ends of each axis; a cell without a message is NaN.
        for index in {tuple(min(n - 1, at) for n, at in zip(whole.values.shape[:-2], ats)) for ats in itertools.product((0, 99), repeat=whole.values.ndim - 2)}:
            command("gdal_translate", "-q", "-of", "ENVI", gdal(store, name, index), tmp_path / "out.bin")
            whole.same(np.fromfile(tmp_path / "out.bin", "<f4").reshape(whole.values.shape[-2:]), f"{product} {name} {index}", index)


@pytest.mark.parametrize("layout", ["flat", "tree"])
def test_gdalinfo_places_the_grid(matrix, layout):  # noqa: F811
    group = "t2m/instant/heightAboveGround/t2m" if layout == "tree" else "t2m"
    info = json.loads(command("gdalinfo", "-json", gdal(matrix.store("gfs", layout=layout), group, BROKEN)).stdout)
    assert info["geoTransform"] == [-1.5, 3, 0, 91.5, 0, -3] and info["bands"][0]["type"] == "Float32"
    assert info["bands"][0]["unit"] == "K"


def test_gdal_lists_the_arrays_and_their_axes(matrix):  # noqa: F811
    info = json.loads(command("gdalmdiminfo", f'ZARR:"{matrix.store("ecmwf")}"').stdout)
    for name, whole in matrix.arrays("ecmwf").items():
        assert info["arrays"][name]["dimensions"] == [f"/{dimension}" for dimension in whole.dims]
    assert info["arrays"]["t2m"]["nodata_value"] == "NaN"


def test_gdal_fails_on_a_bad_message(damaged, tmp_path):  # noqa: F811
    done = command("gdal_translate", "-q", "-of", "ENVI", gdal(damaged, "t2m", BROKEN), tmp_path / "out.bin", code=1)
    assert "ERROR" in done.stderr
    assert "ERROR" in command("gdallocationinfo", "-valonly", gdal(damaged, "t2m", BROKEN), "5", "5", code=None).stderr
    command("gdal_translate", "-q", "-of", "ENVI", gdal(damaged, "t2m", (0, 1)), tmp_path / "out.bin")


# ---------------------------------------------------------------- netCDF-C, NCO


def numbers_of(text, name):
    data = text[text.index("\ndata:"):]
    body = re.search(rf"\n {re.escape(name)} =([^;]*);", data).group(1)
    return np.array([float("nan") if word.startswith("NaN") else float(word) for word in body.replace(",", " ").split()], "<f4")


def test_ncdump(matrix, product):  # noqa: F811
    for name, whole in matrix.arrays(product).items():
        text = command("ncdump", "-p", "9,17", "-v", name, url(matrix.store(product))).stdout
        assert f"float {name}({', '.join(whole.dims)}) ;" in text
        whole.same(numbers_of(text, name).reshape(whole.values.shape), f"{product} {name}")


def test_ncdump_tells_times_of_the_axes(matrix):  # noqa: F811
    text = command("ncdump", "-i", "-v", "time,valid_time", url(matrix.store("gfs"))).stdout
    assert 'time = "2026-11-22", "2026-11-22T06", "2026-11-22T12"' in text and '"2026-11-23"' in text


def test_ncdump_reads_the_groups_of_the_tree(matrix):  # noqa: F811
    text = command("ncdump", "-h", url(matrix.store("gfs", layout="tree"))).stdout
    assert "group: heightAboveGround" in text and "float t2m(time, step, latitude, longitude)" in text


def test_nccopy(matrix, product, tmp_path):  # noqa: F811
    command("nccopy", url(matrix.store(product)), tmp_path / "copy.nc")
    with netcdf(tmp_path / "copy.nc") as copy:
        for name, whole in matrix.arrays(product).items():
            whole.same(copy[name][...], f"{product} {name}")


def test_netcdf_tools_fail_on_a_bad_message(damaged, tmp_path):  # noqa: F811
    command("ncdump", "-v", "u10", url(damaged))
    assert command("ncdump", "-v", "t2m", url(damaged), code=None).returncode != 0
    assert command("ncks", "-O", "-v", "t2m", url(damaged), tmp_path / "out.nc", code=None).returncode != 0
    assert command("cdo", "-s", "-O", "-selname,t2m", url(damaged), tmp_path / "out.nc", code=None).returncode != 0


@pytest.mark.parametrize("store", ["run_time", "best_available"])
def test_ncks(matrix, product, store, tmp_path):  # noqa: F811
    command("ncks", "-O", url(matrix.store(product, store)), tmp_path / "copy.nc")
    with netcdf(tmp_path / "copy.nc") as copy:
        for name, whole in matrix.arrays(product, store).items():
            assert copy[name].dimensions == whole.dims
            whole.same(copy[name][...], f"{product} {name}")
            for axis, labels in whole.labels.items():
                assert copy[axis][...].tolist() == labels


def test_nco_selects_by_label_and_averages_members(matrix, tmp_path):  # noqa: F811
    whole = matrix.arrays("ecmwf")["u"]
    command("ncks", "-O", "-v", "u", "-d", "isobaricInhPa,850.", "-d", "step,1", url(matrix.store("ecmwf")), tmp_path / "part.nc")
    with netcdf(tmp_path / "part.nc") as part:
        whole.same(part["u"][...], "u at 850 hPa", np.ix_([0], [1], range(4), [1], range(61), range(120)))
    command("ncwa", "-O", "-a", "number", "-v", "u", url(matrix.store("ecmwf")), tmp_path / "mean.nc")
    with netcdf(tmp_path / "mean.nc") as mean:
        assert np.allclose(mean["u"][...], whole.values.mean(2), rtol=1e-5, atol=1e-5)


def test_nco_leaves_gaps_out_of_means_once_nan_is_a_fill_value(matrix, tmp_path):  # noqa: F811
    """NaN is never equal to itself, so NCO must be given a fill value that is; the README has these two commands."""
    whole = matrix.arrays("gfs")["tp"]
    copy = tmp_path / "tp.nc"
    command("ncks", "-O", "-v", "tp", url(matrix.store("gfs")), copy)
    command("ncatted", "-O", "-a", "_FillValue,tp,o,f,NaN", copy)
    command("ncatted", "-O", "-a", "_FillValue,tp,m,f,1e36", copy)
    command("ncwa", "-O", "-a", "step", "-v", "tp", copy, tmp_path / "mean.nc")
    with netcdf(tmp_path / "mean.nc") as mean:
        assert np.allclose(np.ma.filled(mean["tp"][...], np.nan), np.nanmean(whole.values, 1), rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- CDO


@pytest.mark.parametrize("store", ["best_available", "runs/2026-11-22T00"])
@pytest.mark.parametrize("name", ["gfs", "gefs"])
def test_cdo(matrix, name, store, tmp_path):  # noqa: F811
    """Stores of at most four dimensions: pressure levels as levels, members as levels."""
    command("cdo", "-s", "-O", "-f", "nc4", "copy", url(matrix.store(name, store)), tmp_path / "copy.nc")
    if store == "best_available":
        with netcdf(tmp_path / "copy.nc") as copy:
            for array, whole in matrix.arrays(name, store).items():
                whole.same(copy[array][...], f"{name} {array}")
                assert copy["valid_time"][...].tolist() == whole.labels["valid_time"]
        return
    with netcdf(tmp_path / "copy.nc") as copy:
        for array, whole in matrix.arrays(name).items():
            whole.same(copy[array][...], f"{name} {array}", 0)


def test_cdo_takes_steps_and_members_for_levels(matrix, tmp_path):  # noqa: F811
    whole = matrix.arrays("gfs")["t2m"]
    command("cdo", "-s", "-O", "-f", "nc4", "-selname,t2m", url(matrix.store("gfs")), tmp_path / "copy.nc")
    with netcdf(tmp_path / "copy.nc") as copy:
        whole.same(copy["t2m"][...], "t2m")
    ensemble = matrix.arrays("gefs", "best_available")["t2m"]
    command("cdo", "-s", "-O", "-f", "nc4", "-vertmean", "-selname,t2m", url(matrix.store("gefs", "best_available")), tmp_path / "mean.nc")
    with netcdf(tmp_path / "mean.nc") as mean:
        assert np.allclose(np.squeeze(mean["t2m"][...]), ensemble.values.mean(1), rtol=1e-6)


def test_cdo_knows_the_projected_grid(matrix, tmp_path):  # noqa: F811
    whole = matrix.arrays("hrrr")["t2m"]
    text = command("cdo", "-s", "griddes", url(matrix.store("hrrr"))).stdout
    assert "gridtype  = curvilinear" in text or "gridtype  = projection" in text
    assert "lambert_conformal_conic" in text
    command("cdo", "-s", "-O", "-f", "nc4", "copy", url(matrix.store("hrrr")), tmp_path / "copy.nc")
    with netcdf(tmp_path / "copy.nc") as copy:
        whole.same(copy["t2m"][...], "t2m")
    field = next(iter(whole.fields.values()))
    command("cdo", "-s", "-O", "-f", "nc4", "-remapnn,lon=262.5/lat=38.5", "-selname,t2m", url(matrix.store("hrrr")), tmp_path / "point.nc")
    away = np.hypot((field.longitudes - 262.5) * np.cos(np.deg2rad(38.5)), field.latitudes - 38.5)
    with netcdf(tmp_path / "point.nc") as point:
        assert float(np.ravel(point["t2m"][...])[0]) == whole.values[0, 0][np.unravel_index(away.argmin(), away.shape)]


def test_cdo_counts_gaps_when_told_that_nan_is_missing(matrix):  # noqa: F811
    lines = command("cdo", "-s", "info", "-setmissval,nan", "-selname,tp_bucket6h", "-seltimestep,1", url(matrix.store("gfs", "best_available"))).stdout.splitlines()
    assert "7320    7320" in lines[1], lines


def test_cdo_skips_what_has_five_dimensions_and_says_so(matrix):  # noqa: F811
    names = command("cdo", "-s", "showname", url(matrix.store("gfs"))).stdout.split()
    whole = matrix.arrays("gfs")
    assert set(names) == {name for name in whole if whole[name].values.ndim < 5}
    done = command("cdo", "-s", "showname", url(matrix.store("ecmwf")), code=None)
    assert done.returncode != 0 and "not supported" in done.stderr


def test_nco_hands_cdo_one_member_of_an_ensemble_on_levels(matrix, tmp_path):  # noqa: F811
    whole = matrix.arrays("ecmwf", "best_available")["u"]
    command("ncwa", "-O", "-a", "number", "-d", "number,1", "-v", "u", url(matrix.store("ecmwf", "best_available")), tmp_path / "member.nc")
    command("cdo", "-s", "-O", "-f", "nc4", "copy", tmp_path / "member.nc", tmp_path / "copy.nc")
    with netcdf(tmp_path / "copy.nc") as copy:
        whole.same(copy["u"][...], "member 1", (slice(None), whole.labels["number"].index(1)))


def test_cdo_refuses_the_valid_time_store_and_the_groups_of_the_tree(matrix):  # noqa: F811
    for store in (matrix.store("gfs", "valid_time"), matrix.store("gfs", layout="tree")):
        done = command("cdo", "-s", "showname", url(store), code=None)
        assert done.returncode != 0 and "Unsupported file structure" in done.stderr
    whole = matrix.arrays("gfs")["t2m"]
    group = matrix.store("gfs", layout="tree") / "t2m/instant/heightAboveGround"
    assert command("cdo", "-s", "showname", url(group)).stdout.split() == ["t2m"] and whole.values.ndim == 4


def test_cdo_2_1_takes_step_for_the_time_of_the_horizon_store(matrix):  # noqa: F811
    if version("cdo", "--version") > (2, 1):
        pytest.skip("skipped: a newer CDO")
    dates = command("cdo", "-s", "showtimestamp", url(matrix.store("gfs", "horizon"))).stdout.split()
    assert dates and all(date.startswith("0000-00-00") for date in dates), "if it has right dates now, tell the README"


# ---------------------------------------------------------------- formats that a tool does not know


def test_zarr_v3_is_nothing_to_netcdf_4_9_and_older(matrix):  # noqa: F811
    if version("ncdump") > (4, 9):
        pytest.skip("skipped: a newer netCDF-C")
    text = command("ncdump", "-h", url(matrix.store("gfs", version=3)), code=None).stdout
    assert "t2m" not in text, "if it reads v3 now, tell the README"


def test_zarr_v3_is_nothing_to_gdal_before_3_12(matrix, tmp_path):  # noqa: F811
    if version("gdalinfo", "--version") >= (3, 12):
        pytest.skip("skipped: a newer GDAL")
    done = command("gdal_translate", "-q", "-of", "ENVI", gdal(matrix.store("gfs", version=3), "t2m", (0, 2)), tmp_path / "out.bin", code=None)
    assert done.returncode != 0 and "ERROR" in done.stderr


# ---------------------------------------------------------------- zarrs


@pytest.fixture(scope="module")
def zarrs():
    """The program tests/clients/zarrs_reader, built by `scripts/test --clients all`."""
    program = os.environ.get("GRIBFS_ZARRS_READER", shutil.which("zarrs_reader"))
    if not program or not os.path.exists(program):
        missing(f"zarrs_reader ({HERE / 'zarrs_reader'})")
    return program


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", PRODUCTS)
def test_zarrs(matrix, zarrs, name, version, tmp_path):  # noqa: F811
    for array, whole in matrix.arrays(name).items():
        done = command(zarrs, matrix.store(name, version=version), f"/{array}", tmp_path / "out.bin")
        seen = json.loads(done.stdout)
        assert seen["shape"] == list(whole.values.shape)
        assert version == 2 or seen["dimensions"] == list(whole.dims)
        whole.same(np.fromfile(tmp_path / "out.bin", "<f4").reshape(seen["shape"]), f"{name} {array}")


def test_zarrs_walks_the_groups_of_the_tree(matrix, zarrs):  # noqa: F811
    listed = command(zarrs, matrix.store("gfs", layout="tree")).stdout.split()
    assert "/t2m/instant/heightAboveGround/t2m" in listed


def test_zarrs_fails_on_a_bad_message(damaged, zarrs, tmp_path):  # noqa: F811
    done = command(zarrs, damaged, "/t2m", tmp_path / "out.bin", code=1)
    assert "Input/output error" in done.stderr or "os error" in done.stderr, done.stderr

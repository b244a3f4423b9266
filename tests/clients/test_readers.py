"""Python readers of local Zarr on a real mount: whole arrays, bit for bit, of runs with gaps, pressure levels, ensembles and a projected grid.

Each reader also meets a message that has gone bad, which it must raise and not take for "no data". Command line tools: test_tools.py, test_files.py.
"""

import itertools
import os
import subprocess

import numpy as np
import pytest
import readers
from conftest import ROOT
from matrix import BROKEN, damaged, matrix, missing, product  # noqa: F401 (fixtures)


def library(name):
    try:
        return __import__(name)
    except ImportError:
        missing(name)


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_python_3(matrix, product, version):  # noqa: F811
    import zarr

    group = zarr.open_group(str(matrix.store(product, version=version)), mode="r")
    for name, whole in matrix.arrays(product).items():
        whole.same(group[name][...], f"{product} {name}")


READ_ALL = "import sys, numpy, zarr; g = zarr.open_group(sys.argv[1], mode='r'); numpy.savez(sys.argv[2], **{n: a[...] for n, a in g.arrays()})"


def test_zarr_python_2(matrix, product, tmp_path):  # noqa: F811
    worker = readers.Worker("zarr2", ROOT)
    if not worker.available:
        missing(worker.missing)
    subprocess.run([worker.python, "-c", READ_ALL, matrix.store(product), tmp_path / "all.npz"], check=True)
    with np.load(tmp_path / "all.npz") as seen:
        for name, whole in matrix.arrays(product).items():
            whole.same(seen[name], f"{product} {name}")


@pytest.mark.parametrize("store", ["run_time", "best_available"])
def test_xarray(matrix, product, store):  # noqa: F811
    import xarray

    data = xarray.open_zarr(str(matrix.store(product, store)), chunks=None)
    for name, whole in matrix.arrays(product, store).items():
        assert data[name].dims == whole.dims
        whole.same(data[name].values, f"{product} {name}")
        for axis, labels in whole.labels.items():
            seen = data[axis].values
            if seen.dtype.kind in "mM":
                seen = (seen - np.array(0, seen.dtype)) / np.timedelta64(1, "s")
            assert seen.tolist() == labels, f"{product} {axis}"


@pytest.mark.parametrize("version", [2, 3])
def test_xarray_open_datatree(matrix, product, version):  # noqa: F811
    import xarray

    tree = xarray.open_datatree(str(matrix.store(product, layout="tree", version=version)), engine="zarr", chunks=None)
    leaves = {(array.attrs["GRIB_shortName"], array.attrs["GRIB_stepType"], array.attrs["GRIB_typeOfLevel"], name): array
              for node in tree.leaves for name, array in node.data_vars.items() if "GRIB_shortName" in array.attrs}
    for name, whole in matrix.arrays(product).items():
        field = next(iter(whole.fields.values()))
        found = [array for key, array in leaves.items() if key[:3] == (field.short_name, field.step_type, field.type_of_level) and name.startswith(key[3])]
        # A leaf of the tree has the axes of its own array alone; where they are as long as the flat store's, all values are there.
        same = [array for array in found if array.shape == whole.values.shape]
        assert same, f"{product} {name}: {[array.shape for array in found]}"
        assert any(np.array_equal(array.values, whole.values, equal_nan=True) for array in same), f"{product} {name}"


@pytest.mark.parametrize("version", [2, 3])
def test_tensorstore(matrix, product, version):  # noqa: F811
    ts = library("tensorstore")
    driver = {2: "zarr", 3: "zarr3"}[version]
    for name, whole in matrix.arrays(product).items():
        array = ts.open({"driver": driver, "kvstore": {"driver": "file", "path": f"{matrix.store(product, version=version) / name}/"}}, read=True).result()
        if version == 3:
            assert array.domain.labels == whole.dims
        whole.same(array.read().result(), f"{product} {name}")


@pytest.mark.parametrize("version", [2, 3])
def test_zarrs_beneath_zarr_python(matrix, product, version):  # noqa: F811
    """The wheel `zarrs`: zarr-python reads the metadata, zarrs (Rust) the chunk files."""
    library("zarrs")
    import zarr

    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True}):
        group = zarr.open_group(str(matrix.store(product, version=version)), mode="r")
        for name, whole in matrix.arrays(product).items():
            assert type(group[name]._async_array.codec_pipeline).__name__ == "ZarrsCodecPipeline"
            whole.same(group[name][...], f"{product} {name}")


def gdal_version():
    return tuple(map(int, library("rasterio").__gdal_version__.split(".")[:2]))


@pytest.mark.parametrize("version", [2, 3])
def test_gdal_of_the_rasterio_wheel(matrix, product, version):  # noqa: F811
    rasterio = library("rasterio")
    if version == 3 and gdal_version() < (3, 12):
        pytest.skip(f"skipped: GDAL {rasterio.__gdal_version__} lists Zarr v3 arrays and cannot decode them")
    import xarray

    store = matrix.store(product, version=version)
    data = xarray.open_zarr(str(store), chunks=None)
    for name, whole in matrix.arrays(product).items():
        for index in itertools.product(*map(range, whole.values.shape[:-2])):
            with rasterio.open(f'ZARR:"{store}":/{name}:{":".join(map(str, index))}') as band:
                whole.same(band.read(1), f"{product} {name} {index}", index)
        y, x = (data[dimension].values for dimension in whole.dims[-2:])
        west, dx, _, north, _, dy = band.transform.to_gdal()
        assert np.allclose([west + dx / 2, north + dy / 2, dx, dy], [x[0], y[0], x[1] - x[0], y[1] - y[0]]), f"{product} {name}: {band.transform}"
        assert np.isnan(band.nodata)


def test_gdal_takes_the_projection_from_the_grid_mapping(matrix):  # noqa: F811
    rasterio = library("rasterio")
    from rasterio.warp import transform

    if gdal_version() < (3, 9):
        pytest.skip("skipped: this GDAL does not read grid_mapping")
    whole = matrix.arrays("hrrr")["t2m"]
    field = next(iter(whole.fields.values()))
    with rasterio.open(f'ZARR:"{matrix.store("hrrr")}":/t2m:0:1') as band:
        # The coordinates of ecCodes, on the same sphere, lie in the middle of the cells.
        sphere = "+proj=longlat +R=6371229 +no_defs"
        xs, ys = transform(sphere, band.crs, field.longitudes.ravel().tolist(), field.latitudes.ravel().tolist())
        west, dx, _, north, _, dy = band.transform.to_gdal()
        columns, rows = (np.array(xs) - west) / dx, (np.array(ys) - north) / dy
    rows_at, columns_at = np.indices(field.latitudes.shape)
    assert np.abs(rows - rows_at.ravel() - 0.5).max() < 1e-3 and np.abs(columns - columns_at.ravel() - 0.5).max() < 1e-3


def test_gdal_takes_the_earth_of_latitudes_and_longitudes_from_the_grid_mapping(matrix):  # noqa: F811
    rasterio = library("rasterio")
    if gdal_version() < (3, 9):
        pytest.skip("skipped: this GDAL does not read grid_mapping")
    field = next(iter(matrix.arrays("gfs")["t2m"].fields.values()))
    with rasterio.open(f'ZARR:"{matrix.store("gfs")}":/t2m:0:1') as band:
        assert band.crs.is_geographic
        assert band.crs.to_dict()["R"] == field.radius


def test_netcdf_4_10_refuses_zarr_v3_over_these_chunk_files(matrix):  # noqa: F811
    netCDF4 = library("netCDF4")
    if tuple(map(int, netCDF4.__netcdf4libversion__.split(".")[:2])) != (4, 10):
        pytest.skip("skipped: another netCDF-C")
    with pytest.raises(OSError, match="Unknown file format"):
        netCDF4.Dataset(f"file://{matrix.store('gfs', version=3)}#mode=zarr,file")


def test_netcdf_c_of_the_netcdf4_wheel(matrix, product):  # noqa: F811
    netCDF4 = library("netCDF4")
    with netCDF4.Dataset(f"file://{matrix.store(product)}#mode=zarr,file") as data:
        for name, whole in matrix.arrays(product).items():
            assert data[name].dimensions == whole.dims
            whole.same(data[name][...], f"{product} {name}")
            assert data[name].units
        for axis, labels in whole.labels.items():
            assert data[axis][...].tolist() == labels, f"{product} {axis}"
        assert str(netCDF4.num2date(data["time"][0], data["time"].units, data["time"].calendar)).startswith("2026-11-22")


def test_netcdf_c_reads_the_groups_of_the_tree(matrix):  # noqa: F811
    netCDF4 = library("netCDF4")
    whole = matrix.arrays("gfs")["t2m"]
    with netCDF4.Dataset(f"file://{matrix.store('gfs', layout='tree')}#mode=zarr,file") as data:
        whole.same(data["t2m/instant/heightAboveGround/t2m"][...], "t2m of the tree")


def test_xarray_by_netcdf_c(matrix, product):  # noqa: F811
    library("netCDF4")
    import xarray

    data = xarray.open_dataset(f"file://{matrix.store(product)}#mode=zarr,file", engine="netcdf4")
    by_zarr = xarray.open_zarr(str(matrix.store(product)), chunks=None)
    for name, whole in matrix.arrays(product).items():
        whole.same(data[name].values, f"{product} {name}")
    for name in ("time", "step", "valid_time", "latitude", "longitude"):
        assert data[name].dtype == by_zarr[name].dtype and (data[name].values == by_zarr[name].values).all(), name


def test_dask_distributed_with_several_processes(matrix):  # noqa: F811
    """Three worker processes read one mount; each says which process it is, and all of the array is right."""
    library("distributed")
    import xarray
    from distributed import Client, LocalCluster

    def block(values):
        return np.full(values.shape, os.getpid(), "f8")

    with LocalCluster(n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None) as cluster, Client(cluster):
        for product, names in {"gfs": ["t2m", "gh"], "ecmwf": ["u"]}.items():
            data = xarray.open_zarr(str(matrix.store(product)), chunks={})
            for name in names:
                whole = matrix.arrays(product)[name]
                whole.same(data[name].compute().values, f"{product} {name}")
        mean = data["u"].mean("number").compute().values
        assert np.allclose(mean, whole.values.mean(2), rtol=1e-5, atol=1e-5)
        pids = set(np.unique(data["u"].data.map_blocks(block, dtype="f8").compute()).astype(int))
        assert len(pids) > 1 and os.getpid() not in pids


# ---------------------------------------------------------------- a message that has gone bad


def cell_by_tensorstore(store, driver="zarr"):
    return library("tensorstore").open({"driver": driver, "kvstore": {"driver": "file", "path": f"{store}/t2m/"}}, read=True).result()[BROKEN].read().result()


def cell_by_rasterio(store):
    with library("rasterio").open(f'ZARR:"{store}":/t2m:{BROKEN[0]}:{BROKEN[1]}') as band:
        return band.read(1)


def cell_by_netcdf(store):
    with library("netCDF4").Dataset(f"file://{store}#mode=zarr,file") as data:
        return data["t2m"][BROKEN]


def cell_by_zarr(store):
    import zarr

    return zarr.open_group(str(store), mode="r")["t2m"][BROKEN]


def cell_by_zarrs(store):
    library("zarrs")
    import zarr

    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True}):
        return cell_by_zarr(store)


def cell_by_xarray(store):
    import xarray

    return xarray.open_zarr(str(store))["t2m"].isel(time=BROKEN[0], step=BROKEN[1]).values


@pytest.mark.parametrize("read", [cell_by_zarr, cell_by_xarray, cell_by_zarrs, cell_by_tensorstore, cell_by_rasterio, cell_by_netcdf],
                         ids=lambda read: read.__name__.removeprefix("cell_by_"))
def test_a_bad_message_raises_and_is_not_nan(damaged, read):  # noqa: F811
    with pytest.raises(Exception) as raised:
        read(damaged)
    assert not isinstance(raised.value, AssertionError | ImportError), raised.value


def test_a_bad_message_raises_in_zarr_python_2(damaged):  # noqa: F811
    worker = readers.Worker("zarr2", ROOT)
    if not worker.available:
        missing(worker.missing)
    done = subprocess.run([worker.python, "-c", "import sys, zarr; zarr.open_group(sys.argv[1], mode='r')['t2m'][0, 2]", damaged], capture_output=True, text=True)
    assert done.returncode == 1 and "OSError" in done.stderr, done.stderr

"""Other readers of local Zarr, where they are installed (`scripts/test --clients all`): GDAL, netCDF-C, tensorstore."""

import numpy as np
import oracle
import pytest
from conftest import ARCHIVE

GFS = ARCHIVE / "gfs.20261122"
F006 = GFS / "00/atmos/gfs.t00z.pgrb2.3p00.f006"


@pytest.fixture(scope="module")
def store(gribfs, module_mount, tmp_path_factory):
    table = tmp_path_factory.mktemp("table") / "gfs.parquet"
    gribfs("index", GFS, "-o", table)
    return module_mount(table) / "run_time.zarr"


@pytest.fixture(scope="module")
def t2m():
    return next(f for f in oracle.read_files([F006], keep_values=True) if f.short_name == "2t")


def test_zarr_python(store, t2m):
    import zarr

    group = zarr.open_group(str(store), mode="r")
    assert np.array_equal(group["t2m"][0, 2], t2m.values)
    assert np.isnan(group["tp"][0, 0]).all()


def test_tensorstore(store, t2m):
    ts = pytest.importorskip("tensorstore", reason="skipped: tensorstore is not installed")
    array = ts.open({"driver": "zarr", "kvstore": {"driver": "file", "path": f"{store}/t2m/"}}).result()
    assert np.array_equal(array[0, 2].read().result(), t2m.values)


def test_gdal(store, t2m):
    rasterio = pytest.importorskip("rasterio", reason="skipped: rasterio is not installed")
    with rasterio.open(f'ZARR:"{store}":/t2m:0:2') as data:
        assert np.array_equal(data.read(1), t2m.values)


def test_netcdf_c(store, t2m):
    netCDF4 = pytest.importorskip("netCDF4", reason="skipped: netCDF4 is not installed")
    with netCDF4.Dataset(f"file://{store}#mode=zarr,file") as data:
        assert np.array_equal(np.asarray(data["t2m"][0, 2]), t2m.values)
        assert len(data["step"]) == 5

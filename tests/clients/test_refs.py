"""Reference sets: everything in GRIBFS_TEST_DATA/refs mounts, and every array equals the values stored beside it."""

import gzip
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy
import pytest
import server
from conftest import TEST_DATA, run

REFS = TEST_DATA / "refs"
needs_data = pytest.mark.skipif(not REFS.is_dir(), reason=f"skipped: no {REFS}")
zarr = pytest.importorskip("zarr")

# Set -> the expected values that it has.
SETS = {
    "json/kerchunk_flat_t2m.json": "kerchunk_flat_t2m",
    "json/kerchunk_tree_f000_f001.json": "kerchunk_tree_f000_f001",
    "json/kerchunk_tree_f006_two_apcp.json": "kerchunk_tree_f006_two_apcp",
    "json/real_hrrr_subhourly_tree.json": "real_hrrr_subhourly_tree",
    "json/real_ifs_surface_tree.json": "real_ifs_surface_tree",
    "json/real_s2s_tree.json": "real_s2s_tree",
    "json/gik_ecmwf_ensemble_tree.json": "gik_ecmwf_ensemble_tree",
    "gik/v5_ecmwf_path_offset_size.parquet": "gik_ecmwf_ensemble_tree",
    "gik/v1_gefs_two_rows.par": "gik_v1_to_v4",
    "gik/v2_gfs_two_rows.par": "gik_v1_to_v4",
    "gik/v3_gefs_row_per_key.par": "gik_v1_to_v4",
    "gik/v4_index_processor.parquet": "gik_v1_to_v4",
    "gik/v3_ecmwf_member_ens_07.parquet": "gik_v3_ecmwf_member_ens_07",
    "reinflated/best_available.json": "reinflated_best_available",
    "reinflated/horizon.json": "reinflated_horizon",
    "reinflated/run_time.json": "reinflated_run_time",
    "reinflated/valid_time.json": "reinflated_valid_time",
} | {f"parquet/flat_t2m_{name}.parq": "kerchunk_flat_t2m" for name in (
    "records2_fastparquet", "records2_pyarrow", "records100k_fastparquet", "records100k_pyarrow", "refs_to_dataframe")} | {
    f"parquet/tree_f000_f001_{name}.parq": "kerchunk_tree_f000_f001" for name in ("fastparquet", "pyarrow")}


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """The buckets `archive` and `grib` of the samples, as any server of the S3 dialect has them."""
    home = tmp_path_factory.mktemp("buckets")
    (home / "archive").symlink_to(REFS / "archive")
    (home / "grib").symlink_to(TEST_DATA / "grib")
    with server.Server(home) as running:
        yield running


def flags(s3):
    return ["--endpoint-url", s3.url("").rstrip("/"), "--anonymous"]


def canonical(values):
    """The values as expected/ has them: C order, little endian, one NaN."""
    values = numpy.ascontiguousarray(values)
    values = values.astype(values.dtype.newbyteorder("<"))
    if values.dtype.kind == "f":
        values = values.copy()
        values[numpy.isnan(values)] = numpy.nan
    return values


def right(expected, path, want, name):
    """What is known to be wrong in the expected values, and what is right: see README.md beside them."""
    last = path.rpartition("/")[2]
    if last in ("heightAboveGround",) and want.get("shape") == [1] and (name.startswith("reinflated") or name == "gik_v1_to_v4"):
        return numpy.array([2.0])
    return None


@needs_data
@pytest.mark.parametrize("path", SETS)
def test_every_array_equals_the_values_beside_it(path, s3, mount):
    name = SETS[path]
    mounted = mount(REFS / path, *flags(s3))
    expected = json.loads((REFS / "expected" / f"{name}.json").read_text())
    group = zarr.open_group(str(mounted.path), mode="r", zarr_format=2) if zarr.__version__ >= "3" else zarr.open_consolidated(str(mounted.path))
    wrong = []
    for array, want in expected.items():
        try:
            wrong += check(group, array, want, name)
        except Exception as error:  # noqa: BLE001
            wrong.append(f"{array}: {type(error).__name__} {error}"[:300])
    assert not wrong, "\n".join(wrong)


def check(group, path, want, name):
    if "error" in want:
        return []
    read = group[path]
    values = canonical(read[...]).reshape(want["shape"])
    if list(read.attrs.get("_ARRAY_DIMENSIONS", want["dims"])) != want["dims"]:
        return [f"{path}: dims {read.attrs['_ARRAY_DIMENSIONS']}"]
    true = right(want, path, want, name)
    if true is not None:
        return [] if (values == true).all() else [f"{path}: {values} is not {true}"]
    if str(values.dtype.str) != want["dtype"]:
        return [f"{path}: dtype {values.dtype.str} is not {want['dtype']}"]
    if hashlib.sha256(values.tobytes()).hexdigest() == want["sha256"]:
        return []
    if name == "gik_v3_ecmwf_member_ens_07" and path == "u/instant/isobaricInhPa/valid_time":  # no chunk: 0 to others
        time, step = group[path[:-10] + "time"][...], group[path[:-10] + "step"][...]
        assert (values == (time[:, None] + step * 3600)[:, :, None]).all(), path
        return []
    if path.endswith("/time") and name == "gik_v1_to_v4":
        step = group[path[:-4] + "step"][...]
        assert (group[path[:-4] + "valid_time"][...] == values + step * 3600).all(), path
        return []
    flat = values.reshape(-1)
    # What only differs where a chunk is absent: NaN here, 0.0 in other readers.
    off = [(at, value, flat[at]) for at, value in want["samples"]
           if not same(value, flat[at], 1e-9 if path.endswith(("latitude", "longitude")) else 0)]
    if all(value == 0.0 and numpy.isnan(found) for _, value, found in off) and (off or path.endswith(("latitude", "longitude"))):
        return []
    return [f"{path}: {off[:4]} nan {int(numpy.isnan(flat).sum()) if flat.dtype.kind == 'f' else 0} want {want['nan']} {list(values.shape)}"]


def same(value, found, tolerance):
    if value is None or value == "NaN" or (isinstance(value, float) and numpy.isnan(value)):
        return bool(numpy.isnan(found))
    return bool(value == found) or abs(value - found) <= tolerance

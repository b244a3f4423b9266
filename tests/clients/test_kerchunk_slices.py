"""The four slices beside those that kerchunk's own `reinflate_grib_store` made of the same archive, read by kerchunk's own codec.

Where both rules say the same, every cell is the same message; where they differ, the test says how.
"""

import json
import subprocess
import sys

import pytest
from conftest import TEST_DATA
from test_values import products  # noqa: F401 (a fixture)

REINFLATED = TEST_DATA / "refs/reinflated"
ARRAYS = {"t2m": "t2m/instant/heightAboveGround", "u": "u/instant/isobaricInhPa", "tp": "tp/accum/surface"}

# {array: {"time step valid_time [level]": hash of the values as float32}} of a reference set's groups, or of a store.
READ = """
import hashlib, json, sys, warnings
import kerchunk.codecs, numpy, xarray
warnings.simplefilter("ignore")
def cells(data, name):
    array, found = data[name], {}
    leading = array.dims[:-2]
    labels = [data[c].load() for c in ("time", "step", "valid_time")]
    for at in numpy.ndindex(array.shape[:-2]):
        values = array.isel(dict(zip(leading, at))).values.astype("<f4")
        if not numpy.isnan(values).all():
            key = [int(v.isel({d: i for d, i in zip(leading, at) if d in v.dims}).values.astype("int64")) // 10**9 for v in labels]
            key += [float(data[d].values[i]) for d, i in zip(leading, at) if d == "isobaricInhPa"]
            found[" ".join(map(str, key))] = hashlib.sha256(values.tobytes()).hexdigest()
    return found
told = {}
for name, path in zip(sys.argv[1::2], sys.argv[2::2]):
    if path.endswith(".json"):
        data = xarray.open_dataset(path, engine="kerchunk", storage_options={"remote_protocol": "file"}, decode_timedelta=True)
    else:
        data = xarray.open_zarr(path, decode_timedelta=True, chunks=None)
    told[name] = cells(data, name) if name in data.variables else None
print(json.dumps(told))
"""


def read(*pairs):
    done = subprocess.run([sys.executable, "-c", READ, *(str(word) for pair in pairs for word in pair)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def archive(products):  # noqa: F811
    pytest.importorskip("kerchunk")
    if not REINFLATED.is_dir():
        pytest.skip(f"skipped: no {REINFLATED}")
    return products("refs-gfs")


@pytest.fixture
def theirs(tmp_path):
    """Cells of one of their slices; the archive lies here instead of in their bucket."""

    def cells(name):
        text = (REINFLATED / f"{name}.json").read_text().replace("s3://archive/", f"{TEST_DATA}/refs/archive/")
        pairs = []
        for array, group in ARRAYS.items():
            refs = {key[len(group) + 1:]: value for key, value in json.loads(text)["refs"].items() if key.startswith(group + "/")}
            part = tmp_path / f"{array}.json"
            part.write_text(json.dumps({"version": 1, "refs": {".zgroup": '{"zarr_format": 2}', **refs}}))
            pairs.append((array, part))
        return read(*pairs)

    return cells


def ours(store):
    return read(*((array, store) for array in ARRAYS))


def origin(key):
    time, step, valid, *level = key.split()
    return int(time), int(step), int(valid), tuple(level)


@pytest.mark.parametrize("name", ["run_time", "horizon"])
def test_run_time_and_horizon_have_the_same_cells(name, archive, theirs):
    kerchunks = theirs(name)
    assert [len(cells) for cells in kerchunks.values()] == [14, 42, 11]
    assert kerchunks == ours(archive.mount / f"{name}.zarr")


def test_valid_time_has_their_cells_and_the_moments_that_their_axis_left_out(archive, theirs):
    """Their axis is an argument of the call (here nine moments); ours is every moment of the archive."""
    kerchunks, own = theirs("valid_time"), ours(archive.mount / "valid_time.zarr")
    for array, cells in kerchunks.items():
        moments = {origin(key)[2] for key in cells}
        assert cells and cells == {key: value for key, value in own[array].items() if origin(key)[2] in moments}, array


def test_best_available_by_kerchunks_rule_is_kerchunks(archive, theirs, module_mount):
    kerchunks = theirs("best_available")  # as of the run of 06 h, the one that the call named
    exact = ours(module_mount(archive.table, "--best", "exact", "--best-totals", "--as-of", "2023-09-28T06") / "best_available.zarr")
    for array, cells in kerchunks.items():
        moments = {origin(key)[2] for key in cells}
        assert cells and cells == {key: value for key, value in exact[array].items() if origin(key)[2] in moments}, array


def test_best_available_by_our_rule_is_fuller_and_fresher(archive, theirs):
    """Theirs takes each moment from the run that starts there, and after the newest run from that one: what no such run has is NaN.
    Ours takes the newest run that has it. Run totals, whose windows would change from cell to cell, are left out by default."""
    kerchunks, own = theirs("best_available"), ours(archive.mount / "asof/2023-09-28T06/best_available.zarr")
    assert own["tp"] is None and kerchunks["tp"]
    for array in ("t2m", "u"):
        freshest = {(origin(key)[2:]): key for key in own[array]}
        for key, value in kerchunks[array].items():
            mine = freshest[origin(key)[2:]]
            assert origin(mine)[0] >= origin(key)[0], f"{array} {key}: {mine} is older"
            assert mine != key or own[array][mine] == value, f"{array} {key}"
        assert len(own[array]) > len(kerchunks[array])

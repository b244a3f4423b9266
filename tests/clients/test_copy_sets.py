"""gribfs copy of reference sets: every array equals the values stored beside the samples, and what kerchunk, fsspec and numcodecs read."""

import base64
import hashlib
import json
import pathlib
import shutil
import signal
import subprocess
import time

import conftest
import numpy
import pytest
import server
import xarray
from conftest import TEST_DATA
from test_copy import tree
from test_refs import REFS, SETS, check, flags, needs_data, s3  # noqa: F401 (s3 is a fixture)

zarr = pytest.importorskip("zarr")
numcodecs = pytest.importorskip("numcodecs")

FLAT, TREE = "json/kerchunk_flat_t2m.json", "json/kerchunk_tree_f000_f001.json"


def opened(store):
    if (pathlib.Path(store) / "zarr.json").exists():
        return zarr.open_group(str(store), mode="r")
    return zarr.open_group(str(store), mode="r", zarr_format=2) if zarr.__version__ >= "3" else zarr.open_consolidated(str(store))


def equals_what_is_beside(store, path, only=None):
    name = SETS[path]
    expected = json.loads((REFS / "expected" / f"{name}.json").read_text())
    group, wrong = opened(store), []
    for array, want in expected.items():
        if only is None or only(array):
            wrong += check(group, array, want, name)
    assert not wrong, "\n".join(wrong)
    return group


@needs_data
@pytest.mark.parametrize("path", SETS)
def test_every_array_of_a_copy_equals_the_values_beside_it(path, s3, gribfs, tmp_path):  # noqa: F811
    done = gribfs("copy", REFS / path, tmp_path / "a.zarr", *flags(s3))
    equals_what_is_beside(tmp_path / "a.zarr", path)
    assert "chunk" in done.stdout and not (tmp_path / "a.zarr/.gribfs-copy.json").exists()


LAYOUTS = {
    "zstd": ["--codec", "zstd:3"],
    "plain": ["--codec", "none"],
    "long in time": ["--chunks", "step=3"],
    "longer than time": ["--chunks", "step=100,longitude=144"],
    "tiles": ["--chunks", "latitude=25,longitude=50", "--codec", "gzip:1"],
    "all ways": ["--chunks", "step=2,latitude=40,longitude=33", "--codec", "zstd"],
    "v3": ["--zarr-format", "3"],
    "v3, all ways": ["--zarr-format", "3", "--chunks", "step=2,latitude=40,longitude=33"],
    "shards": ["--zarr-format", "3", "--chunks", "latitude=20,longitude=30", "--shards", "step=2,latitude=40,longitude=120"],
    "little memory": ["--chunks", "step=2,latitude=40", "--memory", "1M"],
}


@needs_data
@pytest.mark.parametrize("case", LAYOUTS)
def test_whatever_the_chunks_the_values_are_those_beside(case, s3, gribfs, tmp_path):  # noqa: F811
    gribfs("copy", REFS / FLAT, tmp_path / "a.zarr", *flags(s3), *LAYOUTS[case])
    array = equals_what_is_beside(tmp_path / "a.zarr", FLAT)["t2m"]
    wanted = dict(pair.split("=") for pair in LAYOUTS[case][LAYOUTS[case].index("--chunks") + 1].split(",")) if "--chunks" in LAYOUTS[case] else {}
    for axis, name in enumerate(("step", "latitude", "longitude")):
        assert name not in wanted or array.chunks[axis] == min(int(wanted[name]), array.shape[axis])
    data = xarray.open_zarr(str(tmp_path / "a.zarr"), chunks=None)
    assert data.t2m.dims == ("step", "latitude", "longitude") and {"latitude", "longitude"} <= set(data.coords)


@needs_data
def test_a_copy_is_what_kerchunks_codec_reads_through_fsspec(s3, gribfs, tmp_path):  # noqa: F811
    pytest.importorskip("kerchunk.codecs")
    fsspec = pytest.importorskip("fsspec")
    for path, arrays in ((FLAT, ["t2m"]), (TREE, ["t2m/instant/heightAboveGround/t2m", "u/instant/isobaricInhPa/u"])):
        text = (REFS / path).read_text().replace("s3://archive/", f"file://{REFS}/archive/")
        (tmp_path / "local.json").write_text(text)
        shutil.rmtree(tmp_path / "a.zarr", ignore_errors=True)
        assert gribfs("copy", tmp_path / "local.json", tmp_path / "b.zarr", code=1).stdout.count("not followed"), "files elsewhere are not followed unasked"
        shutil.rmtree(tmp_path / "b.zarr")
        gribfs("copy", tmp_path / "local.json", tmp_path / "a.zarr", "--allow-root", REFS, "--chunks", "latitude=20")
        files = fsspec.filesystem("reference", fo=str(tmp_path / "local.json"), remote_protocol="file", asynchronous=True)
        theirs = zarr.open_group(zarr.storage.FsspecStore(files, read_only=True, path=""), mode="r", zarr_format=2)
        for array in arrays:
            ours = opened(tmp_path / "a.zarr")[array][...]
            assert ours.tobytes() == theirs[array][...].tobytes(), array


@needs_data
def test_arrays_are_selected_with_their_coordinates(s3, gribfs, tmp_path):  # noqa: F811
    gribfs("copy", REFS / TREE, tmp_path / "a.zarr", *flags(s3), "--variable", "t2m")
    equals_what_is_beside(tmp_path / "a.zarr", TREE, lambda name: name.startswith("t2m/"))
    assert sorted(path.name for path in (tmp_path / "a.zarr").iterdir() if not path.name.startswith(".")) == ["t2m"]
    gribfs("copy", REFS / TREE, tmp_path / "b.zarr", *flags(s3), "--variable", "u/*")
    equals_what_is_beside(tmp_path / "b.zarr", TREE, lambda name: name.startswith("u/"))
    done = gribfs("copy", REFS / TREE, tmp_path / "c.zarr", *flags(s3), "--variable", "t3m", code=2)
    assert "t3m" in done.stderr and "t2m/instant/heightAboveGround/t2m" in done.stderr and not (tmp_path / "c.zarr").exists()


@needs_data
def test_a_box_of_two_axes_and_of_a_projected_grid(s3, gribfs, tmp_path):  # noqa: F811
    for path, name, box in ((FLAT, "t2m", (-12, 21, 23, 53)), ("json/real_hrrr_subhourly_tree.json", None, (30, -110, 40, -95))):
        copy, whole = tmp_path / f"{name}-box.zarr", tmp_path / f"{name}-whole.zarr"
        some = [*flags(s3), "--variable", name or "refc"]
        gribfs("copy", REFS / path, copy, *some, "--bbox", ",".join(map(str, box)), "--chunks", "latitude=3" if name else "y=7")
        gribfs("copy", REFS / path, whole, *some)
        equals_what_is_beside(whole, path, lambda array: name or array.startswith("refc/"))
        south, west, north, east = box
        seen = 0
        for at, array in opened(whole).members(max_depth=None):
            if not isinstance(array, zarr.Array) or len(array.shape) < 2 or at.rpartition("/")[2] in ("latitude", "longitude"):
                continue
            group = at.rpartition("/")[0]
            if not {"y", "latitude"} & set(array.attrs["_ARRAY_DIMENSIONS"]):
                assert opened(copy)[at][...].tobytes() == array[...].tobytes(), at
                continue
            latitude, longitude = (opened(whole)[f"{group}/{axis}".lstrip("/")][...] for axis in ("latitude", "longitude"))
            if latitude.ndim == 1:
                latitude, longitude = numpy.meshgrid(latitude, longitude, indexing="ij")
            inside = (latitude >= south) & (latitude <= north) & ((longitude - west) % 360 <= east - west)
            rows, columns = (numpy.flatnonzero(inside.any(axis)) for axis in (1, 0))
            window = (..., slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            own = opened(copy)[at]
            assert own[...].tobytes() == array[...][window].tobytes() and own.size < array.size, at
            assert not {"GRIB_Nx", "GRIB_numberOfPoints"} & set(own.attrs)
            own_latitude = opened(copy)[f"{group}/latitude".lstrip("/")][...]
            assert own_latitude.shape[0] == own.shape[-2] and south - 3 <= own_latitude.min() and own_latitude.max() <= north + 3
            seen += 1
        assert seen
    done = gribfs("copy", REFS / FLAT, tmp_path / "c.zarr", *flags(s3), "--bbox=-10,-20,10,20", code=2)
    assert "edge of the grid" in done.stderr and not (tmp_path / "c.zarr").exists()


@needs_data
def test_a_mount_of_a_set_as_the_source(s3, gribfs, mount, tmp_path):  # noqa: F811
    mounted = mount(REFS / TREE, *flags(s3))
    gribfs("copy", mounted.path, tmp_path / "a.zarr", *flags(s3))
    equals_what_is_beside(tmp_path / "a.zarr", TREE)
    shown = xarray.open_zarr(str(mounted / "t2m/instant/heightAboveGround"), chunks=None, decode_cf=False, consolidated=True).load()
    own = xarray.open_zarr(str(tmp_path / "a.zarr/t2m/instant/heightAboveGround"), chunks=None, decode_cf=False, consolidated=True).load()
    assert set(own.variables) == set(shown.variables) and own.attrs == shown.attrs
    for name in shown.variables:
        assert own[name].values.tobytes() == shown[name].values.tobytes() and own[name].attrs.keys() == shown[name].attrs.keys(), name
    assert "root of its mount" in gribfs("copy", mounted / "t2m", tmp_path / "b.zarr", code=2).stderr


@needs_data
def test_bits_are_rounded_as_numcodecs_does(s3, gribfs, tmp_path):  # noqa: F811
    from numcodecs.bitround import BitRound

    gribfs("copy", REFS / FLAT, tmp_path / "a.zarr", *flags(s3), "--round-bits", "7")
    gribfs("copy", REFS / FLAT, tmp_path / "b.zarr", *flags(s3))
    equals_what_is_beside(tmp_path / "a.zarr", FLAT, lambda name: name != "t2m")
    own, whole = opened(tmp_path / "a.zarr")["t2m"], opened(tmp_path / "b.zarr")["t2m"][...]
    assert own[...].tobytes() == numpy.asarray(BitRound(keepbits=7).encode(whole.copy())).view("f8").tobytes()
    assert own.attrs["_QuantizeBitRoundNumberOfSignificantBits"] == 7


@needs_data
@pytest.mark.parametrize(("more", "words"), [
    (["--slice", "run_time"], "--slice"), (["--append", "time"], "--append"), (["--level", "500"], "--variable and --bbox"),
    (["--round-bits", "auto"], "auto"), (["--chunks", "height=3"], "no dimension height"), (["--shards", "latitude=9"], "--zarr-format 3"),
    (["--chunks", "step=5", "--memory", "200K"], "--memory"), (["--north-up"], "keeps its axes"), (["--layout", "tree"], "--layout"),
])
def test_what_cannot_be_is_said(more, words, s3, gribfs, tmp_path):  # noqa: F811
    done = gribfs("copy", REFS / FLAT, tmp_path / "a.zarr", *flags(s3), *more, code=2)
    assert words in done.stderr and not (tmp_path / "a.zarr").exists()


@needs_data
def test_references_that_lead_nowhere_are_left_as_fill_and_told(s3, gribfs, tmp_path):  # noqa: F811
    sound = json.loads((REFS / FLAT).read_text())
    refs = json.loads((REFS / FLAT).read_text())
    url, offset, length = refs["refs"]["t2m/0.0.0"]
    refs["refs"] |= {"t2m/1.0.0": ["s3://archive/gone", 0, 100], "t2m/2.0.0": [url, offset, length], "t2m/3.0.0": ["/etc/passwd", 0, 100]}
    path = tmp_path / "set.json"
    for chunks in ([], ["--chunks", "step=2,longitude=50"]):
        path.write_text(json.dumps(refs))
        done = gribfs("copy", path, tmp_path / "a.zarr", *flags(s3), *chunks, "--report", tmp_path / "report.json", code=1)
        report = json.loads((tmp_path / "report.json").read_text())
        assert {cell["cell"] for cell in report["missing"]} == {"t2m/1.0.0", "t2m/2.0.0", "t2m/3.0.0"} and not report["complete"]
        reasons = {cell["cell"]: cell["reason"] for cell in report["missing"]}
        assert "404" in reasons["t2m/1.0.0"] and "another message" in reasons["t2m/2.0.0"] and "not followed" in reasons["t2m/3.0.0"], reasons
        assert "3 chunks left as fill" in done.stdout
        group = opened(tmp_path / "a.zarr")
        assert group.attrs["gribfs_missing"].split() == sorted(reasons) and group.attrs["gribfs_missing_count"] == 3
        values = group["t2m"][...]
        assert [bool(numpy.isnan(field).all()) for field in values] == [False, True, True, True, False]
        gribfs("copy", path, tmp_path / "a.zarr", *flags(s3), *chunks, "--allow-missing")
        shutil.rmtree(tmp_path / "a.zarr")
    path.write_text(json.dumps(sound))
    gribfs("copy", path, tmp_path / "a.zarr", *flags(s3))
    equals_what_is_beside(tmp_path / "a.zarr", FLAT)


@needs_data
def test_a_copy_that_was_killed_goes_on_and_ends_with_the_same_bytes(gribfs, tmp_path):
    home = tmp_path / "buckets"
    home.mkdir()
    (home / "archive").symlink_to(REFS / "archive")
    with server.Server(home, latency=0.05) as slow:
        command = ["copy", REFS / TREE, tmp_path / "a.zarr", *flags(slow), "--max-requests", "1", "--chunks", "longitude=60"]
        gribfs(*command[:2], tmp_path / "whole.zarr", *command[3:])
        process = subprocess.Popen([str(conftest.PROGRAM), *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        state = tmp_path / "a.zarr/.gribfs-copy.json"
        while process.poll() is None:
            if state.exists() and len(tree(tmp_path / "a.zarr")) > 4:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        assert process.wait() == -signal.SIGKILL and state.exists()
        assert not (tmp_path / "a.zarr/.zmetadata").exists()
        assert "codec" in gribfs(*command, "--codec", "gzip", code=2).stderr
        slow.latency = 0
        assert "there already" in gribfs(*command).stdout
    ended = {name: body for name, body in tree(tmp_path / "a.zarr").items() if "unfinished" not in name}
    assert ended == tree(tmp_path / "whole.zarr")
    assert "is a store already" in gribfs(*command, code=2).stderr
    assert "complete already" in gribfs(*command, "--resume").stdout


@needs_data
def test_parts_of_many_processes_are_the_store_of_one(s3, gribfs, tmp_path):  # noqa: F811
    for path, more in ((TREE, ["--chunks", "latitude=30"]), (FLAT, ["--zarr-format", "3", "--chunks", "step=2,latitude=30"])):
        command = ["copy", REFS / path, tmp_path / f"{len(more)}.zarr", *flags(s3), *more]
        gribfs(*command[:2], tmp_path / f"{len(more)}.whole", *command[3:])
        for part in (1, 3, 4):
            gribfs(*command, "--part", f"{part}/4")
        assert "1 of 4 parts are not done: 2" in gribfs(*command, "--finish", code=1).stderr
        gribfs(*command, "--part", "2/4")
        assert "part 2/4 is complete already" in gribfs(*command, "--part", "2/4").stdout
        gribfs(*command, "--finish")
        assert tree(command[2]) == tree(tmp_path / f"{len(more)}.whole")
        assert "complete already" in gribfs(*command, "--finish").stdout


@needs_data
def test_a_dry_run_tells_what_the_set_knows(s3, gribfs, tmp_path):  # noqa: F811
    done = gribfs("copy", REFS / FLAT, tmp_path / "a.zarr", *flags(s3), "--chunks", "step=5,latitude=40", "--dry-run")
    refs = json.loads((REFS / FLAT).read_text())["refs"]
    count = sum(not key.rpartition("/")[2].startswith(".") for key in refs)
    assert f"{count} chunks" in done.stdout and not (tmp_path / "a.zarr").exists()
    gribfs("copy", REFS / FLAT, tmp_path / "a.zarr", *flags(s3), "--chunks", "step=5,latitude=40")
    files = sum(not path.name.startswith(".") for path in (tmp_path / "a.zarr").rglob("*") if path.is_file())
    assert f"{files} chunk files" in done.stdout


# Arrays that are not GRIB


@pytest.fixture(scope="module")
def sea(tmp_path_factory):
    """Chunks in every coding that is common, written by numcodecs into one file; `(set, values by array, names that are not known here)`."""
    folder, generator = tmp_path_factory.mktemp("sea"), numpy.random.default_rng(5)
    codings = {
        "plain": ([], None, "<f4"), "big": ([], None, ">i2"), "flag": ([], None, "|b1"),
        "zlib": ([], numcodecs.Zlib(4), "<f8"), "gzip": ([], numcodecs.GZip(1), "<i4"), "zstd": ([], numcodecs.Zstd(3), "<f4"),
        "lz4hc": ([], numcodecs.Blosc("lz4hc", 5, numcodecs.Blosc.SHUFFLE), "<f4"), "blosclz": ([], numcodecs.Blosc("blosclz", 5, numcodecs.Blosc.BITSHUFFLE), "<u2"),
        "hdf": ([numcodecs.Shuffle(4), numcodecs.Zlib(1)], None, "<f4"), "checked": ([numcodecs.Shuffle(2), numcodecs.Zlib(1), numcodecs.Fletcher32()], None, "<i2"),
        "bz2": ([], numcodecs.BZ2(1), "<f4"), "delta": ([numcodecs.Delta("<i4")], numcodecs.Zlib(1), "<i4"),
    }
    refs, body, values = {".zgroup": '{"zarr_format":2}', ".zattrs": '{"title":"sea"}'}, bytearray(b"head"), {}
    for name, (filters, compressor, dtype) in codings.items():
        array = numpy.zeros((5, 50, 70), dtype)
        array[...] = generator.integers(0, 2, array.shape) if dtype == "|b1" else generator.normal(100, 20, array.shape)
        zarray = {"zarr_format": 2, "shape": [5, 50, 70], "chunks": [2, 25, 30], "dtype": dtype, "order": "C", "fill_value": None if dtype == "|b1" else 7,
                  "filters": [f.get_config() for f in filters] or None, "compressor": compressor.get_config() if compressor else None}
        refs |= {f"{name}/.zarray": json.dumps(zarray), f"{name}/.zattrs": json.dumps({"_ARRAY_DIMENSIONS": ["time", "lat", "lon"], "units": "K"})}
        for at in numpy.ndindex(3, 2, 3):
            if at == (2, 1, 2) and dtype != "|b1":  # no such chunk
                array[4:, 25:, 60:] = 7
                continue
            chunk = numpy.full((2, 25, 30), 7 if dtype != "|b1" else 0, dtype)
            part = array[tuple(slice(i * n, (i + 1) * n) for i, n in zip(at, chunk.shape))]
            chunk[tuple(map(slice, part.shape))] = part
            for codec in [*filters, *([compressor] if compressor else [])]:
                chunk = codec.encode(chunk)
            coded = bytes(numcodecs.compat.ensure_bytes(chunk))
            refs[f"{name}/{'.'.join(map(str, at))}"] = ["sea.bin", len(body), len(coded)]
            body += coded
        values[name] = array
    for name, length in (("time", 5), ("lat", 50), ("lon", 70)):
        axis = numpy.arange(length, dtype="<f8")
        refs |= {f"{name}/.zarray": json.dumps({"zarr_format": 2, "shape": [length], "chunks": [length], "dtype": "<f8", "order": "C", "fill_value": None, "filters": None, "compressor": None}),
                 f"{name}/.zattrs": json.dumps({"_ARRAY_DIMENSIONS": [name]}), f"{name}/0": "base64:" + __import__("base64").b64encode(axis.tobytes()).decode()}
    refs |= {"names/.zarray": json.dumps({"zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "|S3", "order": "C", "fill_value": None, "filters": None, "compressor": None}),
             "names/.zattrs": json.dumps({"_ARRAY_DIMENSIONS": ["station"]}), "names/0": "base64:" + __import__("base64").b64encode(b"abcdef").decode()}
    (folder / "sea.bin").write_bytes(body)
    (folder / "sea.json").write_text(json.dumps({"version": 1, "refs": refs}))
    return folder / "sea.json", values, {"bz2", "delta"}


def test_coded_chunks_are_copied_as_they_are(sea, gribfs, tmp_path):
    path, values, _ = sea
    gribfs("copy", path, tmp_path / "a.zarr")
    refs, body, group = json.loads(path.read_text())["refs"], path.with_name("sea.bin").read_bytes(), opened(tmp_path / "a.zarr")
    for name, array in values.items():
        assert group[name][...].tobytes() == array.tobytes() and group[name].dtype == array.dtype, name
        if name not in ("plain", "big", "flag"):
            kept = {f"{name}/{file.name}": file.read_bytes() for file in (tmp_path / "a.zarr" / name).iterdir() if not file.name.startswith(".")}
            assert kept == {key: body[at[1]:at[1] + at[2]] for key, at in refs.items() if key.startswith(f"{name}/") and isinstance(at, list)}
            assert json.loads((tmp_path / "a.zarr" / name / ".zarray").read_text()) == json.loads(refs[f"{name}/.zarray"])
    assert (tmp_path / "a.zarr/names/0").read_bytes() == b"abcdef" and group.attrs["title"] == "sea"
    assert group["lat"][...].tolist() == list(range(50))


@pytest.mark.parametrize("more", [
    ["--chunks", "time=5,lat=20"], ["--codec", "zstd:1"], ["--zarr-format", "3"], ["--zarr-format", "3", "--chunks", "lat=10,lon=7", "--shards", "time=2,lat=20,lon=35"],
    ["--chunks", "time=3,lat=7,lon=11", "--codec", "blosc"],
])
def test_coded_chunks_are_decoded_where_that_is_asked_for(sea, gribfs, tmp_path, more):
    path, values, unknown = sea
    known = [name for name in values if name not in unknown]
    gribfs("copy", path, tmp_path / "a.zarr", *more, "--variable", ",".join(known))
    group = opened(tmp_path / "a.zarr")
    assert set(group.array_keys()) == {*known, "time", "lat", "lon"}
    for name in known:
        got = group[name][...]
        assert (got == values[name]).all() and got.dtype.newbyteorder("<") == values[name].dtype.newbyteorder("<"), name
    for name in unknown:
        done = gribfs("copy", path, tmp_path / "b.zarr", *more, "--variable", name, code=2)
        assert name in done.stderr and more[0] in done.stderr and not (tmp_path / "b.zarr").exists()


def test_a_box_of_coded_chunks(sea, gribfs, tmp_path):
    path, values, unknown = sea
    known = [name for name in values if name not in unknown]
    gribfs("copy", path, tmp_path / "a.zarr", "--bbox", "10,20,30,45", "--variable", ",".join(known))
    group = opened(tmp_path / "a.zarr")
    for name in known:
        assert (group[name][...] == values[name][:, 10:31, 20:46]).all(), name
    assert group["lon"][...].tolist() == list(range(20, 46)) and group["time"].shape == (5,)
    assert "bz2" in gribfs("copy", path, tmp_path / "b.zarr", "--bbox", "10,20,30,45", code=2).stderr


def test_damaged_chunks_are_told_and_what_has_no_fill_value_ends_the_copy(sea, gribfs, tmp_path):
    path, values, _ = sea
    text = json.loads(path.read_text())
    (tmp_path / "sea.bin").write_bytes(path.with_name("sea.bin").read_bytes())
    text["refs"]["hdf/1.0.0"][1] += 3
    text["refs"]["zlib/0.0.0"] = ["gone.bin", 0, 9]
    (tmp_path / "sea.json").write_text(json.dumps(text))
    done = gribfs("copy", tmp_path / "sea.json", tmp_path / "a.zarr", "--variable", "hdf,zlib", "--chunks", "lon=70", code=1)
    assert "hdf/1.0.0" in done.stdout and "zlib/0.0.0" in done.stdout and "2 chunks left as fill" in done.stdout
    group = opened(tmp_path / "a.zarr")
    wanted = values["hdf"].copy()
    wanted[2:4, :25, :30] = 7
    assert (group["hdf"][...] == wanted).all()
    text["refs"]["flag/0.0.0"] = ["gone.bin", 0, 9]
    (tmp_path / "sea.json").write_text(json.dumps(text))
    done = gribfs("copy", tmp_path / "sea.json", tmp_path / "b.zarr", "--variable", "flag", code=1)
    assert "flag/0.0.0" in done.stderr and "no fill value" in done.stderr and not (tmp_path / "b.zarr/.zmetadata").exists()


def test_a_coordinate_larger_than_memory_is_refused_before_it_is_read(gribfs, tmp_path):
    """Shapes of untrusted sets are numbers that anybody writes."""
    zarray = {"zarr_format": 2, "dtype": "<f8", "order": "C", "fill_value": None, "filters": None, "compressor": None}
    refs = {".zgroup": '{"zarr_format":2}'}
    for name, shape, chunks in (("lat", [1 << 40], [1 << 26]), ("lon", [1 << 40], [1 << 26]), ("sst", [1 << 40, 1 << 40], [1 << 22, 1 << 22])):
        coded = {} if name != "sst" else {"compressor": {"id": "zlib", "level": 1}}
        refs |= {f"{name}/.zarray": json.dumps({**zarray, **coded, "shape": shape, "chunks": chunks}), f"{name}/.zattrs": json.dumps({"_ARRAY_DIMENSIONS": ["lat", "lon"] if name == "sst" else [name]})}
    (tmp_path / "huge.json").write_text(json.dumps({"version": 1, "refs": refs}))
    assert "larger than 1 GiB" in gribfs("copy", tmp_path / "huge.json", tmp_path / "a.zarr", "--bbox", "0,0,1,1", code=2).stderr
    assert "--memory" in gribfs("copy", tmp_path / "huge.json", tmp_path / "a.zarr", "--chunks", "lat=7", code=2).stderr


def plain_set(folder, arrays, **zarray):
    """A set of plain float32 arrays, in the references themselves."""
    refs = {".zgroup": '{"zarr_format":2}'}
    for name, values in arrays.items():
        about = {"zarr_format": 2, "shape": values.shape, "chunks": values.shape, "dtype": values.dtype.str, "order": "C", "fill_value": None, "filters": None, "compressor": None}
        refs[f"{name}/.zarray"] = json.dumps(about | zarray)
        refs[f"{name}/.zattrs"] = json.dumps({"_ARRAY_DIMENSIONS": [f"d{axis}" for axis in range(values.ndim)]})
        refs[f"{name}/" + ".".join("0" * values.ndim)] = "base64:" + base64.b64encode(values.tobytes()).decode()
    path = folder / "set.json"
    path.write_text(json.dumps({"version": 1, "refs": refs}))
    return path


@pytest.mark.parametrize("more", [[], ["--codec", "none"], ["--zarr-format", "3"]])
def test_names_that_mean_something_in_urls_stay_below_the_destination(gribfs, tmp_path, more):
    """`%2e%2e` in the name of an array led out of it, and `rh%41` was written as `rhA`."""
    values = numpy.arange(12, dtype="<f4").reshape(3, 4)
    names = ["%2e%2e/%2e%2e/%2e%2e/esc", "..%2fevil", "rh%41", "a b#c", "why?"]
    source = plain_set(tmp_path, {name: values for name in names})
    work = tmp_path / "x" / "y" / "z"
    work.mkdir(parents=True)
    gribfs("copy", source, work / "a.zarr", *more)
    assert {path.name for path in tmp_path.iterdir()} == {"set.json", "x"}
    assert [path.name for path in work.iterdir()] == ["a.zarr"] and [path.name for path in work.parent.iterdir()] == ["z"]
    for name in names:
        assert (work / "a.zarr" / name).is_dir(), name
        assert opened(work / "a.zarr")[name][...].tobytes() == values.tobytes(), name


@pytest.mark.parametrize("name", [".gribfs-copy.json", "a/.zarray", "zarr.json"])
def test_names_of_a_stores_own_documents_are_refused(gribfs, tmp_path, name):
    source = plain_set(tmp_path, {name: numpy.zeros((2, 2), "<f4")})
    done = gribfs("copy", source, tmp_path / "a.zarr", code=None)
    assert done.returncode == 2 and not (tmp_path / "a.zarr").exists(), done.stderr


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8"])
@pytest.mark.parametrize("more", [["--round-bits", "7"], ["--round-bits", "7", "--zarr-format", "3"], ["--zarr-format", "3"]])
def test_rounding_leaves_what_says_that_there_is_no_value(gribfs, tmp_path, kind, more):
    """-9999 became -9984, a number like any other; and xarray did not open the store in Zarr v3."""
    values = numpy.linspace(-3, 250, 24).astype(kind).reshape(4, 6)
    values[1, 2:] = -9999
    source = plain_set(tmp_path, {"t": values}, fill_value=-9999.0)
    gribfs("copy", source, tmp_path / "a.zarr", *more)
    shown = xarray.open_zarr(str(tmp_path / "a.zarr")).t.values
    assert numpy.array_equal(numpy.isnan(shown), values == -9999)
    exact = "--round-bits" not in more
    assert numpy.allclose(shown[values != -9999], values[values != -9999], rtol=0 if exact else 2**-8, atol=0)

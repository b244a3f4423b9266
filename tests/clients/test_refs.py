"""Reference sets: everything in GRIBFS_TEST_DATA/refs mounts, and every array equals the values stored beside it."""

import gzip
import hashlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import numpy
import pytest
import server
from conftest import TEST_DATA, run

REFS = (TEST_DATA / "refs").resolve()  # a set may not name paths with `..`
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


# What expected/ has no values for.


@needs_data
def test_a_set_by_hand_shows_its_files(s3, mount):
    mounted = mount(REFS / "json/spec_v1_templates_gen.json", *flags(s3))
    source = REFS / "archive/gfs.20230928/00/atmos"
    assert (mounted / "key0").read_bytes() == b"data"
    assert (mounted / "key1").read_bytes() == b"GRIB"
    assert (mounted / "key2").read_bytes() == b"GRIB"
    assert (mounted / "key3").read_bytes() == bytes([0, 1, 2])
    assert (mounted / "key4").read_bytes() == (source / "gfs.t00z.pgrb2.0p25.f003").read_bytes()
    for i in range(3):
        assert (mounted / f"gen_key{i}").read_bytes() == (source / f"gfs.t00z.pgrb2.0p25.f00{i}").read_bytes()[: i * 10 + 4]
    first = mount(REFS / "json/spec_v0.json", *flags(s3))
    for name, value in json.loads((REFS / "json/spec_v0.json").read_text()).items():
        if not name.startswith(".z"):
            assert (first / name).exists(), name
            assert not isinstance(value, list) or (first / name).stat().st_size == value[2]


@needs_data
def test_plain_chunks_pass_through_byte_for_byte(s3, mount):
    """VirtualiZarr's set: raw floats, a scalar under an empty chunk name (0.0 to others), a bare NaN in attributes."""
    mounted = mount(REFS / "json/virtualizarr_written.json", *flags(s3))
    raw = (REFS / "archive/gfs.20230928/00/atmos/raw.bin").read_bytes()
    assert (mounted / "v/0.0.0").read_bytes() + (mounted / "v/1.0.0").read_bytes() == raw
    group = zarr.open_group(str(mounted.path), mode="r", zarr_format=2)
    assert group["lev"][...] == 2.0
    assert group["time"][...].tolist() == [0, 6]
    refs = json.loads((REFS / "json/virtualizarr_written.json").read_text())["refs"]
    assert (mounted / "v/.zarray").read_text() == refs["v/.zarray"]


@needs_data
def test_a_deflated_set_is_refused(s3, gribfs, tmp_path):
    done = gribfs("mount", REFS / "json/deflated_tree.json", tmp_path, *flags(s3), code=None)
    assert done.returncode != 0 and "deflated" in done.stderr


@needs_data
def test_a_list_of_sets_becomes_groups(s3, mount):
    mounted = mount(REFS / "json/scan_grib_f001_per_message.json", *flags(s3))
    group = zarr.open_group(str(mounted.path), mode="r", zarr_format=2)
    assert group["0/t2m"][...].shape == (73, 144)
    assert len(list(mounted.path.iterdir())) >= 5
    mount(REFS / "json/real_gec00_soilw_scan.json", *flags(s3))


@needs_data
@pytest.mark.parametrize("pack", ["gz", "zst"])
@pytest.mark.parametrize("name", ["json/kerchunk_flat_t2m.json", "gik/v3_gefs_row_per_key.par"])
def test_packed_sets_mount_whatever_their_name(pack, name, s3, mount, tmp_path):
    data, packed = (REFS / name).read_bytes(), tmp_path / "whatever"
    if pack == "gz":
        packed.write_bytes(gzip.compress(data))
    else:
        codec = pytest.importorskip("numcodecs").Zstd()
        packed.write_bytes(bytes(codec.encode(data)))
    mounted = mount(packed, *flags(s3))
    plain = mount(REFS / name, *flags(s3))
    names = sorted(str(path.relative_to(plain.path)) for path in plain.path.rglob("*.0") if path.is_file())
    assert names
    for chunk in names:
        assert (mounted / chunk).read_bytes() == (plain / chunk).read_bytes(), chunk


@needs_data
def test_sets_are_read_from_storage_too(s3, mount):
    """The sets themselves at http:// and in a bucket: JSON, GIK and a Parquet directory."""
    home = s3.folder
    if not (home / "refs").exists():
        (home / "refs").symlink_to(REFS)
    for name in ("json/kerchunk_flat_t2m.json", "parquet/flat_t2m_records2_pyarrow.parq"):
        for url in (s3.url(f"refs/{name}"), f"s3://refs/{name}"):
            mounted = mount(url, *flags(s3))
            group = zarr.open_group(str(mounted.path), mode="r", zarr_format=2)
            plain = zarr.open_group(str(mount(REFS / name, *flags(s3)).path), mode="r", zarr_format=2)
            assert (group["t2m"][...] == plain["t2m"][...]).all()


# Tables made of lists, members as one store.


def truth():
    return [json.loads(line) for line in (REFS / "archive/truth.jsonl").read_text().splitlines()]


@needs_data
def test_a_k_index_is_a_table_with_all_four_slices(s3, mount):
    import xarray
    mounted = mount(REFS / "kindex/k_index_fmrc.parquet", *flags(s3))
    for store in ("run_time", "valid_time", "horizon", "best_available"):
        data = xarray.open_zarr(mounted / f"{store}.zarr", decode_timedelta=True)
        assert {"t2m", "u"} <= set(data), store
    data = xarray.open_zarr(mounted / "run_time.zarr", decode_timedelta=True)
    assert data.t2m.shape == (3, 5, 73, 144)
    other = xarray.open_zarr(mount(REFS / "reinflated/run_time.json", *flags(s3)) / "t2m/instant/heightAboveGround", consolidated=True)
    numpy.testing.assert_array_equal(data.t2m.values, other.t2m.values.astype("f4"))


@needs_data
def test_step_keys_become_a_table(s3, mount):
    """URLs without .grib2, the level lost: what the messages are is told by themselves."""
    import xarray
    mounted = mount(REFS / "gik/stage3_ens_07_final.parquet", *flags(s3))
    data = xarray.open_zarr(mounted / "run_time.zarr", decode_timedelta=True)
    assert data.number.values.tolist() == [7]
    assert set(data) >= {"t2m", "u"} and any(name.startswith("tp") for name in data)
    whole = numpy.isfinite(data.u.values).all(axis=(-2, -1))
    assert whole.sum() == 2, "one of two levels was kept at each step"


@needs_data
@pytest.mark.parametrize("pattern", [False, True])
def test_members_become_one_store_with_a_number_axis(pattern, s3, mount, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet
    # A second member made from the first by its own messages.
    table = pyarrow.parquet.read_table(REFS / "gik/v3_ecmwf_member_ens_07.parquet")
    where = {(row["key"], row["offset"]): row for row in truth()}
    lookup = {}
    for row in truth():
        lookup[(row["key"], row.get("variable", row.get("name")), row.get("level"), row.get("member"))] = row
    values = []
    for value in table["value"].to_pylist():
        text = value.decode("latin-1")
        if text.startswith('["s3'):
            url, offset, _ = json.loads(text)
            key = url.partition("s3://archive/")[2]
            row = where[key, offset]
            other = next(r for r in truth() if r["key"] == key and r["member"] == 3 and all(r[k] == row[k] for k in row if k not in ("offset", "length", "member")))
            value = json.dumps([url, other["offset"], other["length"]]).encode()
        values.append(value)
    folder = tmp_path / "members"
    folder.mkdir()
    shutil.copy(REFS / "gik/v3_ecmwf_member_ens_07.parquet", folder / "ens_07.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"key": table["key"], "value": pyarrow.array(values, pyarrow.binary())}), folder / "ens_03.parquet")
    mounted = mount(f"{folder}/ens_*.parquet" if pattern else folder, *flags(s3))
    group = zarr.open_group(str(mounted.path), mode="r", zarr_format=2)["t2m/instant/heightAboveGround"]
    assert group["number"][...].tolist() == [3, 7]
    assert group["t2m"].attrs["_ARRAY_DIMENSIONS"] == ["time", "step", "number", "latitude", "longitude"]
    one = zarr.open_group(str(mount(folder / "ens_07.parquet", *flags(s3)).path), mode="r", zarr_format=2)
    numpy.testing.assert_array_equal(group["t2m"][:, :, 1], one["t2m/instant/heightAboveGround/t2m"][...])
    assert (group["t2m"][:, :, 0] != group["t2m"][:, :, 1]).any()


# gribfs verify


def verify(*args, **more):
    done = run("verify", *args, "--json", code=None, **more)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout), done.returncode


@needs_data
def test_verify_finds_nothing_in_a_sound_set(s3, gribfs):
    report, code = verify(REFS / "json/kerchunk_tree_f000_f001.json", *flags(s3))
    assert code == 0 and report["ok"] and report["counts"] == {} and report["sound"] == report["looked_at"] > 10
    report, code = verify(REFS / "parquet/flat_t2m_records2_pyarrow.parq", "--sample", "3", *flags(s3))
    assert code == 0 and 0 < report["looked_at"] <= 8


@needs_data
def test_verify_names_the_writers_own_errors(s3, gribfs):
    report, code = verify(REFS / "gik/v3_ecmwf_member_ens_07.parquet", *flags(s3))
    assert code == 1 and report["defect_counts"]["levels-as-members"] == 1 and report["defect_counts"]["number"] == 3
    report, code = verify(REFS / "gik/stage3_ens_07_final.parquet", *flags(s3))
    assert code == 1 and "1 of 2 levels kept" in str([d for d in report["defects"] if d["kind"] == "collapsed-levels"])
    report, _ = verify(REFS / "gik/v3_gefs_row_per_key.par", *flags(s3))
    assert report["defect_counts"]["time"] == 3


@needs_data
def test_verify_tells_dead_stale_wrong_and_refused_references(s3, gribfs, tmp_path):
    refs = json.loads((REFS / "json/kerchunk_flat_t2m.json").read_text())
    good = {k: v for k, v in refs["refs"].items() if isinstance(v, list)}
    url, offset, length = good["t2m/0.0.0"]
    # t2m is followed by u in these files: the message behind it is another variable's.
    other = [offset + length, 11000]
    for row in truth():
        if url.endswith(row["key"]) and row["offset"] != offset:
            other = [row["offset"], row["length"]]
            break
    refs["refs"] |= {
        "t2m/0.0.0": [url, *other],
        "t2m/1.0.0": ["s3://archive/gone", 0, 100],
        "t2m/2.0.0": [good["t2m/2.0.0"][0], offset + 1, length],
        "t2m/3.0.0": ["http://169.254.169.254/latest/meta-data", 0, 100],
        "t2m/4.0.0": ["/etc/passwd", 0, 100],
        "../../x": "1",
    }
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(refs))
    report, code = verify(path, *flags(s3))
    assert code == 1
    assert report["counts"] == {"wrong": 1, "dead": 1, "stale": 1, "refused": 2}, report["findings"]
    assert report["defect_counts"] == {"key": 1}


@needs_data
def test_bad_references_raise_and_never_read_as_fill(s3, mount, tmp_path):
    refs = json.loads((REFS / "json/kerchunk_flat_t2m.json").read_text())
    url, offset, length = refs["refs"]["t2m/0.0.0"]
    (tmp_path / "own").mkdir()
    (tmp_path / "own/link").symlink_to("/etc/hostname")
    bad = [
        [url, offset + 1, length], [url, offset, length - 1], [url, offset, 0], ["s3://archive/gone", 0, 9], ["/etc/passwd", 0, 9], ["link", 0, 9],
        ["../../../etc/passwd", 0, 9], ["ftp://h/x", 0, 9], ["https://me:hush@h/x", 0, 9], ["http://[fe80::1]/x", 0, 9], [None, 0, 9],
    ]
    path = tmp_path / "own/bad.json"
    for start in range(0, len(bad), 5):
        for at, value in zip(range(5), bad[start : start + 5] + bad[:5]):
            refs["refs"][f"t2m/{at}.0.0"] = value
        path.write_text(json.dumps(refs))
        mounted = mount(path, *flags(s3), foreground=True)
        for at in range(5):
            chunk = mounted / f"t2m/{at}.0.0"
            assert chunk.stat().st_size == 73 * 144 * 8
            with pytest.raises(OSError) as raised:
                chunk.read_bytes()
            assert raised.value.errno not in (2, 20, 21, 4, 11), raised.value
        status = (mounted / ".gribfs/status.json").read_text()
        assert "hush" not in status and "hush" not in mounted.log()


@needs_data
def test_a_redirect_to_a_metadata_address_is_refused(gribfs, mount, tmp_path):
    import http.server
    import threading

    class Redirect(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        refs = {"x": [f"http://127.0.0.1:{running.server_port}/k", 0, 5]}
        path = tmp_path / "r.json"
        path.write_text(json.dumps(refs))
        mounted = mount(path)
        with pytest.raises(OSError):
            (mounted / "x").read_bytes()
        assert "redirect" in (mounted / ".gribfs/status.json").read_text()
        running.shutdown()


@needs_data
def test_local_files_below_the_set_and_below_allowed_roots_are_read(mount, tmp_path):
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir(), other.mkdir()
    (own / "a").write_bytes(b"0123"), (other / "b").write_bytes(b"4567")
    path = own / "r.json"
    path.write_text(json.dumps({"x": ["a", 1, 2], "y": [f"file://{other}/b"], "z": [str(other / "b"), 0, 2]}))
    mounted = mount(path)
    assert (mounted / "x").read_bytes() == b"12"
    for name in "yz":
        with pytest.raises(OSError):
            (mounted / name).read_bytes()
    mounted = mount(path, "--allow-root", other)
    assert (mounted / "y").read_bytes() == b"4567" and (mounted / "z").read_bytes() == b"45"


# Sets of files that are not GRIB


def test_a_kerchunk_set_of_a_compressed_netcdf_reads_as_the_netcdf(mount, tmp_path):
    """zlib and shuffle, several chunks, packed integers with a fill value: byte for byte, the metadata as it is."""
    pytest.importorskip("h5py")
    hdf, netCDF4 = pytest.importorskip("kerchunk.hdf"), pytest.importorskip("netCDF4")
    import xarray

    path, generator = tmp_path / "sea.nc", numpy.random.default_rng(5)
    with netCDF4.Dataset(path, "w") as out:
        for name, length in (("time", 5), ("lat", 50), ("lon", 70)):
            out.createDimension(name, length)
            out.createVariable(name, "f8", (name,))[:] = numpy.arange(length)
        out["time"].units = "hours since 2026-11-22"
        sst = out.createVariable("sst", "f4", ("time", "lat", "lon"), zlib=True, complevel=4, shuffle=True, chunksizes=(2, 25, 30), fill_value=numpy.nan)
        sst[:] = generator.normal(280, 5, (5, 50, 70))
        packed = out.createVariable("ice", "i2", ("time", "lat", "lon"), zlib=True, shuffle=True, chunksizes=(1, 50, 70), fill_value=-999)
        packed.scale_factor, packed.add_offset = 0.01, 1.0
        packed[:] = numpy.ma.masked_less(generator.uniform(0, 1, (5, 50, 70)), 0.2)
        out.createVariable("plain", "f8", ("lat", "lon"), contiguous=True)[:] = generator.normal(size=(50, 70))
    refs = hdf.SingleHdf5ToZarr(str(path), inline_threshold=0).translate()
    compressors = {json.loads(refs["refs"][f"{name}/.zarray"])["dtype"]: refs["refs"][f"{name}/.zarray"] for name in ("sst", "ice")}
    assert all("zlib" in text and "shuffle" in text for text in compressors.values())
    (tmp_path / "sea.json").write_text(json.dumps(refs))
    mounted = mount(tmp_path / "sea.json")
    ours, true = xarray.open_zarr(mounted.path), xarray.open_dataset(path, engine="netcdf4")
    for name in ("sst", "ice", "plain", "time", "lat", "lon"):
        numpy.testing.assert_array_equal(ours[name].values, true[name].values, err_msg=name)
    assert numpy.isnan(ours.ice.values).any() and len(list((mounted / "sst").iterdir())) == 2 + 3 * 2 * 3
    raw = path.read_bytes()
    for key, value in refs["refs"].items():
        if isinstance(value, list):
            assert (mounted / key).read_bytes() == raw[value[1] : value[1] + value[2]], key
    report, code = verify(tmp_path / "sea.json")
    assert code == 0 and report["ok"]


def test_chunks_of_any_codec_pass_through(mount, tmp_path):
    """blosc, zstd, zlib with shuffle, delta, fixed scale and offset: decoded by the reader, as each `.zarray` says."""
    numcodecs = pytest.importorskip("numcodecs")
    values = numpy.cumsum(numpy.random.default_rng(7).integers(0, 9, (4, 300)), axis=1).astype("<f8")
    chains = {
        "blosc": ([], numcodecs.Blosc("lz4", 5, numcodecs.Blosc.SHUFFLE)),
        "blosc_zstd": ([], numcodecs.Blosc("zstd", 3, numcodecs.Blosc.BITSHUFFLE)),
        "zstd": ([], numcodecs.Zstd(3)),
        "shuffle_zlib": ([numcodecs.Shuffle(8)], numcodecs.Zlib(4)),
        "delta": ([numcodecs.Delta("<f8")], numcodecs.GZip(1)),
        "scaled": ([numcodecs.FixedScaleOffset(0, 10, "<f8", "<i4")], numcodecs.LZ4()),
    }
    refs, blob = {".zgroup": '{"zarr_format":2}'}, b""
    for name, (filters, compressor) in chains.items():
        refs[f"{name}/.zarray"] = json.dumps({
            "zarr_format": 2, "shape": [5, 300], "chunks": [1, 300], "dtype": "<f8", "order": "C", "fill_value": -1.0, "compressor": compressor.get_config(),
            "filters": [each.get_config() for each in filters] or None})
        for at, row in enumerate(values):
            chunk = row
            for each in filters:
                chunk = each.encode(chunk)
            chunk = bytes(compressor.encode(numpy.ascontiguousarray(chunk)))
            refs[f"{name}/{at}.0"], blob = ["blob", len(blob), len(chunk)], blob + chunk
    # One chunk is a whole object, whose size is asked for.
    (tmp_path / "whole").write_bytes(blob[refs["zstd/1.0"][1] : sum(refs["zstd/1.0"][1:])])
    refs["zstd/1.0"] = ["whole"]
    (tmp_path / "blob").write_bytes(blob)
    (tmp_path / "r.json").write_text(json.dumps({"version": 1, "refs": refs}))
    mounted = mount(tmp_path / "r.json")
    group = zarr.open_group(str(mounted.path), mode="r", zarr_format=2) if zarr.__version__ >= "3" else zarr.open_consolidated(str(mounted.path))
    for name in chains:
        numpy.testing.assert_array_equal(group[name][:4], values, err_msg=name)
        assert (group[name][4] == -1.0).all(), "the chunk that has no reference"
        assert (mounted / name / ".zarray").read_text() == refs[f"{name}/.zarray"]


def test_verify_tells_what_a_list_names_and_the_objects_do_not_have(gribfs, tmp_path):
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    own = pathlib.Path(__file__).resolve().parent.parent / "data"
    table = parquet.read_table(own / "refs/kindex_direct.parquet")
    columns = {"uri": [str(own / url) for url in table["uri"].to_pylist()], "offset": table["offset"].to_pylist()}
    columns["uri"][-1] = "/etc/passwd"
    columns["offset"][1] += 1
    for name, values in columns.items():
        table = table.set_column(table.schema.names.index(name), name, arrow.array(values))
    parquet.write_table(table, tmp_path / "k.parquet")
    report, code = verify(tmp_path / "k.parquet", "--allow-root", own)
    assert code == 1 and report["defect_counts"] == {"stale": 1, "refused": 1}, report
    stale = next(defect for defect in report["defects"] if defect["kind"] == "stale")
    assert "1 of " in stale["what"] and str(columns["offset"][1]) in stale["what"], stale


# What a mount of a set shares with that of a table


@needs_data
def test_messages_of_a_set_are_kept_on_disk(s3, mount, tmp_path):
    cache = tmp_path / "cache"
    for round_ in range(2):
        mounted = mount(REFS / "json/kerchunk_flat_t2m.json", *flags(s3), "--cache-dir", cache, "--memory", "64M")
        chunks = [(mounted / f"t2m/{at}.0.0").read_bytes() for at in range(5)]
        status = json.loads((mounted / ".gribfs/status.json").read_text())
        if round_:
            assert chunks == before and status["disk_cache"]["hits"] == 5, status["disk_cache"]
        before = chunks
        mounted.stop()


@needs_data
def test_counters_of_a_set_are_served(s3, mount):
    import urllib.request

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    mounted = mount(REFS / "json/kerchunk_flat_t2m.json", *flags(s3), "--metrics-addr", str(port))
    (mounted / "t2m/0.0.0").read_bytes()
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    assert "\ngribfs_fields_total 1\n" in page and "gribfs_storage_requests_total" in page
    assert "\ngribfs_fields_total 1\n" in (mounted / ".gribfs/metrics").read_text()


# gribfs export


# What is exported of the archive of the repository: several runs with gaps in all four slices, members on levels, a projected grid.
EXPORTED = {
    "gfs": ("gfs.20261122", ["best_available", "run_time", "valid_time", "horizon"]),
    "gefs": ("gefs.20261122", ["run_time"]),
    "ecmwf": ("ecmwf", ["run_time"]),
    "hrrr": ("hrrr.20261122", ["best_available"]),
}

COMPARE = """
import sys
import kerchunk.codecs, numpy, xarray
for theirs, ours in zip(sys.argv[1::2], sys.argv[2::2]):
    theirs = xarray.open_dataset(theirs, engine="kerchunk", decode_timedelta=True, storage_options={"remote_protocol": "file"})
    ours = xarray.open_zarr(ours, decode_timedelta=True)
    assert set(theirs.variables) == set(ours.variables), set(theirs.variables) ^ set(ours.variables)
    for name in ours.variables:
        theirs_values, values = theirs[name].values, ours[name].values
        assert theirs[name].dims == ours[name].dims, name
        if values.dtype.kind == "f":
            # Their codec takes every 9999.0 for a missing value.
            theirs_values = numpy.where(values == 9999, values, theirs_values)
        numpy.testing.assert_array_equal(theirs_values, values, err_msg=name)
        print(name, values.size)
"""


@pytest.mark.parametrize("kind", ["kerchunk-json", "kerchunk-parquet"])
@pytest.mark.parametrize("source", EXPORTED)
def test_an_export_read_by_kerchunk_equals_the_mount(source, kind, gribfs, mount, tmp_path):
    """The golden test against filesystem_spec with kerchunk's codec: all cells of all arrays."""
    pytest.importorskip("kerchunk")
    from conftest import ARCHIVE

    folder, slices = EXPORTED[source]
    # Both formats hold the same references; what differs is read of two slices.
    slices = slices if kind.endswith("json") else slices[:2]
    table = tmp_path / "t.parquet"
    run("index", ARCHIVE / folder, "-o", table, code=None)
    mounted = mount(table)
    pairs, outs = [], {}
    for name in slices:
        outs[name] = out = tmp_path / (f"{name}.json" if kind.endswith("json") else f"{name}.parq")
        run("export", table, out, "--slice", name, "--format", kind, code=None)
        pairs += [str(out), str(mounted / (name + ".zarr"))]
    done = subprocess.run([sys.executable, "-c", COMPARE, *pairs], capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    assert done.returncode == 0, done.stderr[-2000:]
    assert sum(int(line.split()[1]) for line in done.stdout.splitlines()) > 10_000
    for name, out in outs.items():
        with pytest.raises(AssertionError):
            run("export", table, out, "--slice", name, "--format", kind)
    name = slices[0]
    again = mount(outs[name], "--allow-root", ARCHIVE)
    first = zarr.open_group(str(again.path), mode="r", zarr_format=2)
    second = zarr.open_group(str(mounted / f"{name}.zarr"), mode="r", zarr_format=2)
    for array, read in second.arrays():
        numpy.testing.assert_array_equal(first[array][...], read[...], err_msg=array)

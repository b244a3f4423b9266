"""What goes wrong between the mount and the archive: an errno in read(), one line in the log, and the mount serves on.

The archive is the gfs folder of tests/data/archive behind an HTTP server that can be told to misbehave.
"""

import concurrent.futures
import errno
import os
import time

import eccodes
import numpy as np
import oracle
import pytest
import server
from conftest import ARCHIVE

GFS = ARCHIVE / "gfs.20261122"
F006 = "gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f006"
KEYS = [str(path.relative_to(ARCHIVE)) for path in oracle.grib_files(GFS)]
FIELDS = {(f.path.name, f.offset): f for f in oracle.read_files([ARCHIVE / F006], keep_values=True)}
STEP_6H = 2  # index of step 6 h in 0, 3, 6, 9, 12


def field(short_name, level=None):
    return next(f for f in FIELDS.values() if f.short_name == short_name and (level is None or f.level == level))


T2M, U10 = field("2t"), field("10u")


@pytest.fixture
def table(gribfs, http, tmp_path):
    """A table of the gfs files by their URLs; the server has forgotten the requests that made it."""
    path = tmp_path / "gfs.parquet"
    gribfs("index", "-", "-o", path, input="".join(http.url(key) + "\n" for key in KEYS))
    http.index_requests = list(http.requests)
    http.forget()
    return path


class StorePath(type(GFS)):
    """A path that knows its mount."""

    mount = None


@pytest.fixture
def store(table, mount):
    """run_time.zarr of that table, mounted in the foreground; reads give up after 3 s."""
    mounted = mount(table, "--timeout", "3", foreground=True)
    path = StorePath(mounted / "run_time.zarr")
    path.mount = mounted
    return path


def chunk(store, name, step=STEP_6H, run=0):
    return store / name / f"{run}.{step}.0.0"


def errno_of(path):
    """The errno that read() of a file gives; stat and open must work. None if all bytes come."""
    size = os.stat(path).st_size
    with open(path, "rb", buffering=0) as file:
        try:
            got = 0
            while part := file.read(1 << 20):
                got += len(part)
        except OSError as error:
            return error.errno
    assert got == size, f"a short read: {got} of {size} bytes"
    return None


def read_soon(path, seconds=2.5):
    """The bytes of a file whose read failed a moment ago: a failure may stand for a second, since the kernel asks twice for each page."""
    end = time.monotonic() + seconds
    while True:
        try:
            return path.read_bytes()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_the_table_costs_no_head_and_few_header_reads(table, http):
    requests = http.index_requests
    assert not [r for r in requests if r.method == "HEAD"]
    idx = [r for r in requests if r.path.endswith(".idx")]
    assert len(idx) == len(KEYS), "each index file is read once"
    headers = [r for r in requests if not r.path.endswith(".idx")]
    assert all(r.range for r in headers), "no GRIB is read whole"

    def length(r):
        first, last = r.range.removeprefix("bytes=").split("-")
        return int(last) - int(first) + 1

    assert max(map(length, headers)) <= 4096
    assert len(headers) < 100, f"{len(headers)} header reads for 243 messages"


def test_metadata_touches_no_network(store, http):
    for name in os.listdir(store):
        if (store / name).is_dir():
            for chunk_name in os.listdir(store / name):
                os.stat(store / name / chunk_name)
    with open(chunk(store, "t2m"), "rb"):
        pass
    assert not http.requests


def test_one_cold_chunk_is_one_get_of_that_message(store, http):
    assert chunk(store, "t2m").read_bytes() == T2M.values.tobytes()
    assert [(r.method, r.path, r.range) for r in http.requests] == [("GET", F006, f"bytes={T2M.offset}-{T2M.offset + T2M.length - 1}")]
    chunk(store, "t2m").read_bytes()
    assert len(http.requests) == 1, "a second read comes from memory"


def test_the_open_ended_last_message_is_one_get_too(store, http):
    last = max(FIELDS.values(), key=lambda f: f.offset)
    assert chunk(store, "sst").read_bytes() == last.values.tobytes()
    assert len(http.requests) == 1
    assert http.requests[0].range in (f"bytes={last.offset}-", f"bytes={last.offset}-{last.offset + last.length - 1}")


def test_many_readers_of_one_chunk_share_one_get(store, http):
    http.latency = 0.2
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        bodies = set(pool.map(lambda _: chunk(store, "t2m").read_bytes(), range(16)))
    assert bodies == {T2M.values.tobytes()} and len(http.requests) == 1


def changed_header(name, value, of=T2M):
    """The f006 file in which one message says of itself that it is something else; same lengths everywhere."""
    body = (ARCHIVE / F006).read_bytes()
    h = eccodes.codes_new_from_message(body[of.offset:of.offset + of.length])
    eccodes.codes_set(h, name, value)
    other = eccodes.codes_get_message(h)
    eccodes.codes_release(h)
    assert len(other) == of.length
    return body[:of.offset] + other + body[of.offset + of.length:]


FAULTS = {
    "404": (errno.EIO, None), "403": (errno.EACCES, None), "500": (errno.EIO, None), "503": (errno.EIO, None),
    "cut": (errno.EIO, None), "short": (errno.EIO, None), "garbage": (errno.EIO, None), "page": (errno.EIO, None),
    "429": (errno.EIO, None), "416": (errno.EIO, None), "reset": (errno.EIO, None), "whole": (errno.EIO, None), "shifted": (errno.EIO, None),
    "moved": (errno.EIO, None), "hang": (errno.ETIMEDOUT, None), "stall": (errno.ETIMEDOUT, None),
    "other-parameter": (errno.EIO, lambda: changed_header("parameterNumber", 6)),
    "other-step": (errno.EIO, lambda: changed_header("forecastTime", 9)),
    "other-run": (errno.EIO, lambda: changed_header("dataTime", 600)),
    "other-level": (errno.EIO, lambda: changed_header("scaledValueOfFirstFixedSurface", 80)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_errno_and_the_mount_serves_on(fault, store, http):
    wanted, body = FAULTS[fault]
    http.fault(F006, "bytes" if body else fault, body() if body else None)
    got = errno_of(chunk(store, "t2m"))
    assert got == wanted, f"{errno.errorcode.get(got, got)}, not {errno.errorcode[wanted]}\n{store.mount.log()}"
    # What healing found is a line of its own.
    log = [line for line in store.mount.log().splitlines() if F006 in line and "the index is stale" not in line]
    assert log, f"the log does not name the object:\n{store.mount.log()}"
    assert len(log) == 1, f"one line per failure, not {len(log)}:\n{store.mount.log()}"
    assert str(T2M.offset) in log[0], log[0]
    http.heal()
    http.forget()
    assert read_soon(chunk(store, "t2m")) == T2M.values.tobytes(), "a failure must not stick"
    assert chunk(store, "u10").read_bytes() == U10.values.tobytes()


@pytest.mark.parametrize("fault", ["500", "503", "429", "reset", "cut", "slow"])
def test_a_fault_that_passes_is_not_seen(fault, store, http):
    http.fault(F006, fault, times=1)
    assert chunk(store, "t2m").read_bytes() == T2M.values.tobytes(), store.mount.log()
    assert len(http.requests) == (1 if fault == "slow" else 2)


def test_a_hundred_failures_of_one_object_are_one_line_of_the_log(store, http):
    http.fault(F006, "404")
    names = [name for name in os.listdir(store) if chunk(store, name).exists()]
    failed = 0
    for _ in range(20):
        failed += sum(errno_of(chunk(store, name)) == errno.EIO for name in names)
    assert failed >= 100
    assert len([line for line in store.mount.log().splitlines() if F006 in line]) == 1, store.mount.log()


def test_a_mirror_serves_what_the_first_origin_has_not(table, mount, http):
    with server.Server(ARCHIVE) as other:
        store = mount(table, "--mirror", f"{http.url('')}={other.url('')}", "--timeout", "5", foreground=True) / "run_time.zarr"
        assert chunk(store, "t2m").read_bytes() == T2M.values.tobytes()
        assert not other.requests, "the first is well"
        for fault in ("404", "503", "hang", "page"):
            http.fault(F006, fault)
            name = {"404": "u10", "503": "v10", "hang": "r2", "page": "prmsl"}[fault]
            assert errno_of(chunk(store, name)) is None, fault
        assert len(other.requests) == 4


def test_a_mirror_that_is_none_is_wrong_usage(table, gribfs, tmp_path):
    assert "URL=URL" in gribfs("mount", table, tmp_path, "--mirror", "s3://a", code=2).stderr


@pytest.mark.parametrize("fault", ["etag", "grown"])
def test_a_changed_object_is_estale(fault, store, http):
    assert chunk(store, "t2m").read_bytes() == T2M.values.tobytes()  # pins the first ETag and size
    http.fault(F006, fault)
    assert errno_of(chunk(store, "u10")) == errno.ESTALE, store.mount.log()
    assert errno_of(chunk(store, "v10", step=0)) is None, "other objects are not touched by it"


def test_a_slow_object_does_not_stall_others(store, http):
    http.fault(F006, "hang")
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        slow = [pool.submit(errno_of, chunk(store, name)) for name in ("t2m", "r2", "u10", "v10", "prmsl", "sst")]
        others = [pool.submit(errno_of, chunk(store, "t2m", step=step)) for step in (0, 1, 3)]
        assert [other.result(2.5) for other in others] == [None, None, None]
        assert {one.result(10) for one in slow} == {errno.ETIMEDOUT}


def test_xarray_raises_where_a_message_cannot_be_read(store, http, tmp_path):
    import xarray

    http.fault(F006, "404")
    data = xarray.open_zarr(str(store), chunks=None)
    with pytest.raises(OSError):
        data.t2m.isel(time=0, step=STEP_6H).load()
    assert np.isfinite(data.t2m.isel(time=0, step=0).values).all()
    assert np.isnan(data.tp.isel(time=0, step=0).values).all(), "a gap stays a gap"


def test_a_message_that_could_not_be_placed_is_eio_not_nan(gribfs, http, mount, tmp_path):
    # Both APCP lines of f003 have the same words, so their headers must be read; there is only rubbish in their place.
    key = F006.replace("f006", "f003")
    body = bytearray((ARCHIVE / key).read_bytes())
    twins = [f for f in oracle.read_files([ARCHIVE / key]) if f.short_name == "tp"]
    assert len(twins) == 2
    for twin in twins:
        body[twin.offset:twin.offset + twin.length] = b"\xa5" * twin.length
    http.fault(key, "bytes", bytes(body))
    table = tmp_path / "t.parquet"
    listing = "".join(http.url(name) + "\n" for name in KEYS)
    done = gribfs("index", "-", "-o", table, input=listing, code=1)
    assert key in done.stdout + done.stderr, "what was not placed is named"
    gribfs("index", "-", "-o", table, "--allow-missing", input=listing)
    http.heal()
    store = mount(table) / "run_time.zarr"
    assert errno_of(chunk(store, "tp", step=1)) == errno.EIO
    assert errno_of(chunk(store, "tp", step=2)) is None
    assert not chunk(store, "tp", step=0).exists()


def test_a_missing_grib_beside_a_good_index_is_eio(gribfs, http, mount, tmp_path):
    http.fault(F006, "404")
    table = tmp_path / "t.parquet"
    gribfs("index", "-", "-o", table, "--allow-missing", input="".join(http.url(name) + "\n" for name in KEYS))
    store = mount(table, "--timeout", "3") / "run_time.zarr"
    assert errno_of(chunk(store, "t2m")) == errno.EIO
    assert errno_of(chunk(store, "t2m", step=0)) is None

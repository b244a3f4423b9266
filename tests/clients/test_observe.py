"""What an operator sees: status, counters, and one id from the kernel's request to the HTTP request."""

import concurrent.futures
import json
import os
import pathlib
import re
import socket
import urllib.error
import urllib.request

from conftest import wait_until
from test_faults import F006, T2M, chunk, store, table  # noqa: F401


def samples(text):
    """{name{labels}: value} of a text in the format of Prometheus; every line must be one."""
    found, kinds = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r'([a-z_0-9]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)+\})? ([0-9.e+-]+)', line)
            assert match, line
            assert match[1] in kinds, f"{match[1]} has no type"
            assert kinds[match[1]] == "counter" or not match[1].endswith("_total")
            found[match[1] + (match[2] or "")] = float(match[3])
    return found


def test_metrics_count_what_was_read_and_follow(store, http):
    page = store.mount / ".gribfs/metrics"
    before = samples(page.read_text())
    assert before["gribfs_fields_total"] == 0
    assert sorted(name.name for name in (store.mount / ".gribfs").iterdir()) == ["metrics", "status.json"]
    chunk(store, "t2m").read_bytes()
    wait_until(lambda: samples(page.read_text())["gribfs_fields_total"] == 1, 5, "the counter")
    after = samples(page.read_text())
    origin = f'{{origin="{http.url("").rstrip("/")}"}}'
    assert after["gribfs_storage_requests_total" + origin] == 1
    assert after["gribfs_storage_bytes_total" + origin] == T2M.length
    assert after["gribfs_storage_limit" + origin] == 64
    assert 0 < after["gribfs_storage_answer_p50_seconds" + origin] < 10
    assert after["process_open_fds"] > 3 and after["process_resident_memory_bytes"] > 1 << 20


def test_status_says_what_an_operator_asks(store, http):
    http.fault(F006, "503", times=1)
    chunk(store, "t2m").read_bytes()
    status = json.loads((store.mount / ".gribfs/status.json").read_text())
    assert status["uptime_seconds"] >= 0 and status["fields_read"] == 1 and status["failures"] == 0
    assert {"cache", "memory", "look_ahead", "in_flight", "last_failures"} <= set(status)
    storage = status["storage"]
    assert (storage["retries"], storage["throttled"], storage["hedges"]) == (1, 1, 0)
    (origin,) = [o for o in storage["origins"] if o["origin"].startswith("http")]
    assert (origin["requests"], origin["retries"], origin["throttled"]) == (2, 1, 1)
    assert origin["limit"] == 32 and origin["in_flight"] == 0 and origin["answer_ms"]["p50"] > 0 and not origin["down"]


def test_opening_any_slice_asks_the_archive_for_nothing(store, http):
    import xarray

    root = pathlib.Path(store.mount / ".")
    roots = [root, root / "asof/2026-11-22T00"]
    stores = [found for root in roots for found in (*root.glob("*.zarr"), *root.glob("runs/*"), *root.glob("leads/*"), *root.glob("valid/*"))]
    kinds = {found.name if found.parent in roots else found.parent.name for found in stores}
    assert kinds == {"run_time.zarr", "valid_time.zarr", "horizon.zarr", "best_available.zarr", "runs", "leads", "valid"}
    http.forget()
    for found in stores:
        with xarray.open_zarr(str(found)) as data:
            assert len(data.data_vars) > 0
            for coordinate in data.coords.values():
                assert coordinate.load().size > 0, f"{found} {coordinate.name}"
    assert [str(request) for request in http.requests] == []
    chunk(store, "t2m").read_bytes()
    assert len(http.requests) == 1, "the log of requests does see a read"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_metrics_over_http_are_the_same_and_on_loopback(table, mount, gribfs, tmp_path):
    port = free_port()
    mounted = mount(table, "--metrics-addr", str(port), foreground=True)

    def get(path):
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}{path}", timeout=10)

    with get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        served = samples(answer.read().decode())
    assert served.keys() == samples((mounted / ".gribfs/metrics").read_text()).keys()
    try:
        get("/")
        raise AssertionError("only /metrics is served")
    except urllib.error.HTTPError as error:
        assert error.code == 404
    with open("/proc/net/tcp") as lines:
        listening = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    assert f"0100007F:{port:04X}" in listening and f"00000000:{port:04X}" not in listening
    other = tmp_path / "other"
    other.mkdir()
    taken = gribfs("mount", table, other, "--metrics-addr", str(port), code=1)
    assert f"127.0.0.1:{port}" in taken.stderr, taken.stderr


def test_one_id_leads_from_the_kernels_request_to_the_http_request(table, mount, http, monkeypatch):
    monkeypatch.setenv("RUST_LOG", "gribfs=debug")
    mounted = mount(table, "--look-ahead", "0", foreground=True)
    chunk(mounted / "run_time.zarr", "t2m").read_bytes()
    log = mounted.log()
    (request,) = [line for line in log.splitlines() if " request " in line and F006 in line]
    found = re.search(r"read\{id=(\d+) inode=(\d+)\}", request)
    assert found, request
    assert f"range=\"bytes={T2M.offset}-" in request, request
    same = [line for line in log.splitlines() if f"read{{id={found[1]} inode={found[2]}}}" in line]
    assert any("asked" in line and "offset=" in line for line in same), "the kernel's request"
    assert any("answered" in line and "status=206" in line for line in same), "the answer's head and body"


def test_a_reader_that_joins_a_read_is_led_to_it(table, mount, http, monkeypatch):
    monkeypatch.setenv("RUST_LOG", "gribfs=debug")
    mounted = mount(table, "--look-ahead", "0", foreground=True)
    http.fault(F006, "slow")
    descriptor = os.open(chunk(mounted / "run_time.zarr", "t2m"), os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda offset: os.pread(descriptor, 4096, offset), [0, 16384]))
    os.close(descriptor)
    assert [len(part) for part in parts] == [4096, 4096] and len(http.of(F006)) == 1
    log = mounted.log()
    (first,) = re.findall(r"read\{id=(\d+) .*row (\d+) is read for this request", log)
    (joined,) = re.findall(r"read\{id=(\d+) .*row (\d+) is being read for another request", log)
    assert first[0] != joined[0] and first[1] == joined[1]

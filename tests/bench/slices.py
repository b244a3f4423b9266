#!/usr/bin/env python3
"""What looking at slices costs, as ratios from one interleaved run: opening them, listing a million chunks, a mean over members, following.

    slices.py [--rounds N] [--gribfs PROGRAM] [--members N] [--part PART ...]      PART: open list mean many follow

| part | what is measured | target |
|---|---|---|
| open | `xarray.open_zarr` of each slice of a 4-run GFS-like table, mount fresh in each round (the first look makes the store) and again, against the same metadata on tmpfs; requests that reach the archive's server | at most 0.02 s more, no request |
| list | an array of a million chunks: `getdents64` as `ls -f` calls it, then `os.scandir`, which makes a Python object of each name; both beside 100,000 files on tmpfs | 0.3 s |
| mean | the mean over 31 members of one step through `valid_time.zarr` and through `runs/`, opening apart from reading | reading 1.0 times |
| many | mounting a directory of 5,000 tables by their manifest: seconds and memory | 2 s, 500 MB |
| follow | from a table's rename into the directory to its run in `runs/` | 1 s |

The archives are made here: constant or noisy fields in messages that are patched, not packed, so that a million of them take seconds.
"""

import argparse
import contextlib
import http.server
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings

warnings.simplefilter("ignore")
ROOT = pathlib.Path(__file__).resolve().parents[2]
SHM = pathlib.Path("/dev/shm")


# ---------------------------------------------------------------- archives

class Message:
    """A GRIB2 message whose run, step, level and member are patched in its bytes."""

    def __init__(self, ni, nj, parameter=(0, 3, 5), pressure=True, ensemble=False, noisy=False):
        import eccodes as ec
        import numpy as np

        h = ec.codes_grib_new_from_samples("GRIB2")
        keys = {"centre": 7, "dataDate": 20261122, "dataTime": 0, "productDefinitionTemplateNumber": 1 if ensemble else 0, "gridType": "regular_ll",
                "Ni": ni, "Nj": nj, "latitudeOfFirstGridPointInDegrees": 90.0, "latitudeOfLastGridPointInDegrees": -90.0,
                "longitudeOfFirstGridPointInDegrees": 0.0, "longitudeOfLastGridPointInDegrees": 360 - 360 / ni, "iDirectionIncrementInDegrees": 360 / ni,
                "jDirectionIncrementInDegrees": 180 / (nj - 1), "discipline": parameter[0], "parameterCategory": parameter[1], "parameterNumber": parameter[2],
                "typeOfFirstFixedSurface": 100 if pressure else 103, "scaleFactorOfFirstFixedSurface": 0, "scaledValueOfFirstFixedSurface": 50000 if pressure else 2,
                "typeOfSecondFixedSurface": 255, "indicatorOfUnitOfTimeRange": 1, "forecastTime": 0}
        for key, value in keys.items():
            ec.codes_set(h, key, value)
        if ensemble:
            ec.codes_set(h, "numberOfForecastsInEnsemble", 31)
            ec.codes_set(h, "typeOfEnsembleForecast", 3)
        values = np.random.default_rng(1).standard_normal(ni * nj) + 280 if noisy else np.full(ni * nj, 280.0)
        ec.codes_set_values(h, values)
        self.body = bytearray(ec.codes_get_message(h))
        sections, at = {}, 16
        while self.body[at:at + 4] != b"7777":
            length, number = struct.unpack_from(">IB", self.body, at)
            sections[number], at = at, at + length
        self.one, self.four = sections[1], sections[4]

    def at(self, run, step, level=None, member=None, parameter=None):
        """`run`: (year, month, day, hour)."""
        struct.pack_into(">HBBB", self.body, self.one + 12, *run)
        struct.pack_into(">I", self.body, self.four + 18, step)
        if parameter is not None:
            struct.pack_into(">BB", self.body, self.four + 9, *parameter)
        if level is not None:
            struct.pack_into(">I", self.body, self.four + 24, level)
        if member is not None:
            self.body[self.four + 35] = member
        return bytes(self.body)


def gribfs(*arguments):
    done = subprocess.run([ARGS.gribfs, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"gribfs {' '.join(map(str, arguments))}: {done.stderr}"
    return done.stdout


class Counting(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    requests = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        Counting.requests += 1
        path = pathlib.Path(self.directory + self.path)
        if not path.is_file():
            return self.send_error(404)
        size, asked = path.stat().st_size, self.headers.get("Range")
        first, last = 0, size - 1
        if asked:
            left, _, right = asked.removeprefix("bytes=").partition("-")
            first, last = (int(left), min(int(right or last), last)) if left else (max(0, size - int(right)), last)
        with open(path, "rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{size}"')
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def served(folder):
    handler = lambda *args: Counting(*args, directory=str(folder))  # noqa: E731
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@contextlib.contextmanager
def mounted(table, *flags):
    point = pathlib.Path(tempfile.mkdtemp(prefix="slices-"))
    start = time.perf_counter()
    gribfs("mount", table, point, *flags)
    seconds = time.perf_counter() - start
    try:
        yield point, seconds
    finally:
        gribfs("umount", point)
        point.rmdir()


def gfs_like(folder):
    """Four runs of 209 steps: 16 quantities near the ground and 2 on 33 levels, at 0.25 degrees, constant so that each takes 200 bytes."""
    pressure, ground = Message(1440, 721), Message(1440, 721, parameter=(0, 0, 0), pressure=False)
    steps = list(range(0, 120)) + list(range(120, 385, 3))
    levels = [100 * level for level in (1, 2, 3, 5, 7, *range(10, 100, 10), *range(100, 1001, 50))]
    for hour in (0, 6, 12, 18):
        run = (2026, 11, 22, hour)
        for step in steps:
            body = [ground.at(run, step, parameter=(0, number)) for number in range(16)]
            body += [pressure.at(run, step, level, parameter=(3, 5)) for level in levels]
            body += [pressure.at(run, step, level, parameter=(2, 2)) for level in levels]
            (folder / f"gfs.t{hour:02}z.f{step:03}").write_bytes(b"".join(body))


# ---------------------------------------------------------------- measurements

def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def open_zarr(path):
    import xarray

    with xarray.open_zarr(str(path), chunks=None) as store:
        return len(store)


def metadata_of(store, target):
    """All of a store but the chunks of its fields."""
    for folder, _, names in os.walk(store):
        own = target / os.path.relpath(folder, store)
        own.mkdir(parents=True, exist_ok=True)
        array = pathlib.Path(folder) / ".zarray"
        is_field = array.exists() and '"<f4"' in array.read_text().replace(" ", "")
        for name in names:
            if name.startswith(".") or not is_field:
                shutil.copyfile(os.path.join(folder, name), own / name)


SLICES = ("run_time", "valid_time", "horizon", "best_available", "runs/2026-11-22T06", "leads/024h", "valid/2026-11-23T00", "asof/2026-11-22T12/best_available")


def part_open(work):
    folder = work / "gfs"
    folder.mkdir()
    gfs_like(folder)
    with served(folder) as root:
        local = work / "local.parquet"
        seconds, _ = timed(lambda: gribfs("index", "--scan", folder, "-o", local))
        print(f"open: a table of {len(list(folder.iterdir()))} files, indexed in {seconds:.1f} s, {local.stat().st_size / 1e6:.1f} MB")
        table = work / "remote.parquet"
        urls = "\n".join(f"{root}/{path.name}" for path in sorted(folder.iterdir()))
        done = subprocess.run([ARGS.gribfs, "index", "--scan", "-", "-o", str(table)], input=urls, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        plain = pathlib.Path(tempfile.mkdtemp(dir=SHM))
        try:
            with mounted(table) as (point, _):
                for name in SLICES:
                    metadata_of(point / f"{name}.zarr", plain / f"{name}.zarr")
            kinds = ("tmpfs", "first", "again")
            walls = {(name, kind): [] for name in SLICES for kind in kinds}
            cpus = {(name, kind): [] for name in SLICES for kind in kinds}
            for path in SLICES:
                open_zarr(plain / f"{path}.zarr")
            for number in range(ARGS.rounds + 1):
                for name in SLICES:
                    with mounted(table) as (point, _):
                        Counting.requests = 0
                        for kind, path in (("tmpfs", plain), ("first", point), ("tmpfs", plain), ("again", point)):
                            server, own = server_cpu(point), time.process_time()
                            seconds, _ = timed(lambda: open_zarr(path / f"{name}.zarr"))
                            cpu = time.process_time() - own + server_cpu(point) - server
                            if number:
                                walls[name, kind].append(seconds)
                                cpus[name, kind].append(cpu)
                        assert Counting.requests == 0, f"opening {name} asked the server {Counting.requests} times"
            print("open: seconds by the clock (median, least) and CPU of reader and server together (median); requests to the archive: 0")
            print(f"{'slice':<36}" + "".join(f"{kind:>24}" for kind in kinds) + f"{'least first':>14}{'least again':>14}   (least - least of tmpfs)")
            for name in SLICES:
                of = lambda kind: (statistics.median(walls[name, kind]), min(walls[name, kind]), statistics.median(cpus[name, kind]))  # noqa: E731
                print(f"{name:<36}" + "".join("{:8.4f}{:8.4f}{:8.4f}".format(*of(kind)) for kind in kinds)
                      + "".join(f"{of(kind)[1] - of('tmpfs')[1]:14.4f}" for kind in ("first", "again")))
        finally:
            shutil.rmtree(plain)


def getdents(folder):
    """Reads a directory by the system call, 32 KiB a time as the C library does; gives the bytes of its entries."""
    import ctypes

    call, number = ctypes.CDLL(None, use_errno=True).syscall, {"x86_64": 217, "aarch64": 61}[os.uname().machine]
    buffer, total = ctypes.create_string_buffer(32768), 0
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while (got := call(number, descriptor, buffer, len(buffer))) > 0:
            total += got
        assert got == 0, os.strerror(ctypes.get_errno())
        return total
    finally:
        os.close(descriptor)


def part_list(work):
    message, folder = Message(12, 7, ensemble=True), work / "million"
    folder.mkdir()
    for hour in range(5):
        for member in range(31):
            run = (2026, 11, 22, hour)
            body = [message.at(run, step, level, member) for step in range(209) for level in range(1000, 34_000, 1000)]
            (folder / f"r{hour}.m{member:02}").write_bytes(b"".join(body))
    table = work / "million.parquet"
    seconds, _ = timed(lambda: gribfs("index", "--scan", folder, "-o", table))
    print(f"list: {5 * 31 * 209 * 33:,} messages indexed in {seconds:.1f} s")
    with mounted(table) as (point, seconds):
        array = next(path.parent for path in (point / "run_time.zarr").glob("*/.zarray") if b'"<f4"' in path.read_bytes().replace(b" ", b""))
        plain = pathlib.Path(tempfile.mkdtemp(dir=SHM))
        try:
            for number in range(100_000):
                (plain / f"0.0.0.{number}.0.0").touch()
            print(f"  mounted in {seconds:.2f} s; seconds for a million names (tmpfs: ten times those for 100,000)")
            print(f"  {'names':>12}{'getdents':>10}{'server CPU':>12}{'on tmpfs':>10}{'scandir':>10}{'on tmpfs':>10}")
            for _ in range(ARGS.rounds):
                count = sum(1 for _ in os.scandir(array))
                server = server_cpu(point)
                calls, _ = timed(lambda: getdents(array))
                server = server_cpu(point) - server
                scan, _ = timed(lambda: sum(1 for _ in os.scandir(array)))
                plain_calls, _ = timed(lambda: getdents(plain))
                plain_scan, _ = timed(lambda: sum(1 for _ in os.scandir(plain)))
                share = 1e6 / count
                print(f"  {count:12,}{calls * share:10.3f}{server * share:12.3f}{plain_calls * 10:10.3f}{scan * share:10.3f}{plain_scan * 10:10.3f}")
        finally:
            shutil.rmtree(plain)


def part_mean(work):
    import xarray

    message, folder = Message(720, 361, ensemble=True, noisy=True), work / "gefs"
    folder.mkdir()
    for hour in (0, 6):
        for member in range(31):
            body = [message.at((2026, 11, 22, hour), step, member=member) for step in (0, 6, 12)]
            (folder / f"gefs.t{hour:02}z.m{member:02}").write_bytes(b"".join(body))
    table = work / "gefs.parquet"
    gribfs("index", "--scan", folder, "-o", table)
    times = {("valid_time", what): [] for what in ("open", "read")} | {("runs", what): [] for what in ("open", "read")}
    values = set()
    for number in range(2 * ARGS.rounds):
        for kind in ("valid_time", "runs") if number % 2 else ("runs", "valid_time"):
            with mounted(table) as (point, _):
                path = point / ("valid_time.zarr" if kind == "valid_time" else "runs/2026-11-22T06.zarr")
                opening, store = timed(lambda: xarray.open_zarr(str(path), chunks=None))
                name = next(name for name in store.data_vars if store[name].ndim > 3)
                one = store[name].sel(valid_time="2026-11-22T12").squeeze()
                one = one.sel(step="6h").squeeze() if "step" in one.dims else one
                reading, mean = timed(lambda: float(one.mean("number").mean()))
                values.add(round(mean, 6))
            if number > 1:
                times[kind, "open"].append(opening)
                times[kind, "read"].append(reading)
    assert len(values) == 1, values
    medians = {key: statistics.median(all) for key, all in times.items()}
    print("mean over 31 members of 720 x 361, each mount fresh")
    for kind in ("valid_time", "runs"):
        print(f"  {kind:<12} open {medians[kind, 'open']:.4f} s   read {medians[kind, 'read']:.4f} s")
    print(f"  reading through valid_time / through runs: {medians['valid_time', 'read'] / medians['runs', 'read']:.3f}")


def part_many(work):
    message, archive, tables = Message(12, 7), work / "archive", work / "tables"
    archive.mkdir()
    ground = Message(12, 7, parameter=(0, 0, 0), pressure=False)
    import datetime as dt

    files = []
    for number in range(ARGS.tables):
        when = dt.datetime(2020, 1, 1) + dt.timedelta(hours=6 * number)
        run = (when.year, when.month, when.day, when.hour)
        body = [message.at(run, step, level) for step in range(0, 24, 3) for level in range(10_000, 100_001, 10_000)]
        body += [ground.at(run, step, parameter=(0, kind)) for step in range(0, 24, 3) for kind in range(6)]
        files.append(archive / f"{when:%Y%m%d%H}")
        files[-1].write_bytes(b"".join(body))
    seconds, _ = timed(lambda: gribfs("index", "--scan", archive, "-o", tables))
    count = len(list(tables.glob("*.parquet")))
    print(f"many: {count} tables of {len(body)} rows, indexed in {seconds:.1f} s")
    manifest = tables / ".gribfs-manifest"
    for what in ("footers", "manifest"):
        if what == "manifest":
            write_manifest(tables, message, archive)
            if not manifest.exists():
                print("  no manifest: gribfs index --compact would merge the tables")
                return
        with mounted(tables) as (point, seconds):
            memory = resident(point)
            look, names = timed(lambda: len(os.listdir(point / "runs")))
            first, _ = timed(lambda: open_zarr(point / "runs/2021-01-01T00.zarr"))
            whole, _ = timed(lambda: open_zarr(point / "run_time.zarr"))
            best, _ = timed(lambda: open_zarr(point / "best_available.zarr"))
            print(f"  by {what:<9} mounted in {seconds:.2f} s, {memory} MB; {names} runs listed in {look:.3f} s; opening one run {first:.3f} s, "
                  f"run_time {whole:.3f} s, best_available {best:.3f} s; then {resident(point)} MB")


def write_manifest(tables, message, archive):
    """A directory that has a manifest gets a new one when a run is added; an empty one makes it have one."""
    (tables / ".gribfs-manifest").write_bytes(b"")
    (archive.parent / "extra").write_bytes(message.at((2019, 12, 31, 0), 0, 50_000))
    gribfs("index", "--scan", archive.parent / "extra", "-o", tables)


def server_of(point):
    """The process that serves a mount, as a path below /proc."""
    for command in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = command.read_bytes().split(b"\0")
            if str(point).encode() in words and b"--in-background" in words:
                return command.parent
    raise AssertionError(f"nobody serves {point}")


def server_cpu(point):
    """Seconds of CPU that a mount's server has used."""
    tasks = (server_of(point) / "task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def resident(point):
    """Megabytes that a mount's server has in memory."""
    line = next(line for line in (server_of(point) / "status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def part_follow(work):
    message, tables, other = Message(12, 7), work / "followed", work / "other"
    for folder in (tables, other, work / "runs"):
        folder.mkdir()
    for hour in range(ARGS.rounds + 2):
        (work / f"runs/{hour}").write_bytes(b"".join(message.at((2026, 11, 22, hour), step, 50_000) for step in range(0, 24, 3)))
        gribfs("index", "--scan", work / f"runs/{hour}", "-o", other)
    made = sorted(other.glob("*.parquet"))
    shutil.copy(made[0], tables)
    times = []
    with mounted(tables, "--follow") as (point, _):
        for path in made[1:]:
            name = point / f"runs/{path.stem}.zarr"
            assert not name.exists()
            shutil.copy(path, tables / ".new")
            start = time.perf_counter()
            os.rename(tables / ".new", tables / path.name)
            while f"{path.stem}.zarr" not in os.listdir(point / "runs"):
                time.sleep(0.002)
            listed = time.perf_counter() - start
            while not name.exists():
                time.sleep(0.002)
            times.append((listed, time.perf_counter() - start))
    print(f"follow: listed after {statistics.median(t for t, _ in times):.3f} s (at most {max(t for t, _ in times):.3f}), "
          f"found by a reader that had asked for it in vain just before after {statistics.median(t for _, t in times):.3f} s")


PARTS = {"open": part_open, "list": part_list, "mean": part_mean, "many": part_many, "follow": part_follow}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tables", type=int, default=5000)
    parser.add_argument("--gribfs", default=os.environ.get("GRIBFS_BIN", str(ROOT / "target/release/gribfs")))
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    ARGS = parser.parse_args()
    for part in ARGS.part:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](pathlib.Path(folder))
            sys.stdout.flush()

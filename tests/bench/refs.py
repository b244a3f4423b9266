#!/usr/bin/env python3
"""Reference sets of 10 and 100 million references: how long a mount of one takes, how much memory, and what its first questions cost.

    refs.py [--gribfs PROGRAM] [--parquet N,N] [--json N] [--fsspec N] [--keep]

The sets are made below BENCH_DIR (default: a temporary folder, gone afterwards; with --keep they stay and are used again): arrays of a million
chunks each, t000/0.0.0 ..., in objects of 100 messages, record files of 100,000 rows as fsspec's LazyReferenceMapper writes them (zstd,
dictionaries, one row group, no statistics). No reference is followed, so the objects need not exist.

| column | what is measured |
|---|---|
| mount | seconds from the start of `gribfs mount -f` until the mount answers |
| rss | resident memory of the daemon then, and its peak (VmHWM) |
| touch | median ms of the first `stat` of a chunk in arrays that nobody looked at before |
| list | seconds of `os.scandir` over 200,000 names of an array (first time, cold), and once more |
| after | resident memory after a chunk of every record of 20 arrays was looked at |
| fsspec | seconds and peak memory of fsspec's ReferenceFileSystem on a JSON of --fsspec references, in a process of its own |

The daemon's CPU stands beside wall time: a busy machine stretches the latter.

A release build on two quiet cores (100 M and fsspec: on busy ones, so that only CPU and memory mean anything):

| set | mount | memory | touch | list 200,000 names, then again |
|---|---|---|---|---|
| Parquet, 10 M | 0.01 s | 11 MB, 181 MB after looking at all arrays | 3.7 ms | 0.061 s, 0.055 s |
| Parquet, 100 M | 0.04 s | 13 MB, 214 MB after looking at 100 arrays | | |
| JSON, 10 M (1.2 GB) | 3.9 s | 176 MB | 0.03 ms | 0.086 s, 0.084 s |
| JSON, 1.2 M by fsspec 2026.9 | 3.8 s of CPU (here 0.5 s) | 737 MB (here 25 MB) | | 6.7 s of wall |
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

ARRAY, RECORD, LISTED = 1_000_000, 100_000, 200_000
ZARRAY = {"shape": [1000, 1000, 721, 1440], "chunks": [1, 1, 721, 1440], "dtype": "<f4", "fill_value": None, "order": "C", "filters":
          [{"id": "grib", "var": "t", "dtype": "float32"}], "compressor": None, "zarr_format": 2}
ZATTRS = {"_ARRAY_DIMENSIONS": ["time", "step", "latitude", "longitude"]}


def zarray(chunks):
    return ZARRAY | {"shape": [max(1, chunks // 1000), 1000, 721, 1440]}


def documents(arrays, chunks):
    """`.zmetadata` of arrays of so many chunks; one more of LISTED chunks."""
    found = {".zgroup": {"zarr_format": 2}}
    for name, count in [(f"t{n:03}", chunks) for n in range(arrays)] + [("listed", LISTED)]:
        found |= {f"{name}/.zarray": zarray(count), f"{name}/.zattrs": ZATTRS}
    return found


def url(array, n):
    return f"s3://noaa-gfs-bdp-pds/gfs.202611{array % 28 + 1:02}/00/atmos/gfs.t00z.pgrb2.0p25.f{array:03}.{n:05}"


def make_parquet(folder, total):
    import pyarrow
    import pyarrow.parquet as parquet

    arrays = total // ARRAY
    folder.mkdir(parents=True)
    offsets = pyarrow.array([row % 100 * 812_345 for row in range(RECORD)], pyarrow.int64())
    sizes = pyarrow.array([700_000 + row * 37 % 99_991 for row in range(RECORD)], pyarrow.int64())
    raw = pyarrow.nulls(RECORD, pyarrow.binary())
    codes = pyarrow.array([row // 100 for row in range(RECORD)], pyarrow.int32())
    for array, name, count in [(n, f"t{n:03}", ARRAY) for n in range(arrays)] + [(999, "listed", LISTED)]:
        (folder / name).mkdir()
        for record in range(count // RECORD):
            words = pyarrow.array([url(array, record * 1000 + n) for n in range(RECORD // 100)])
            path = pyarrow.DictionaryArray.from_arrays(codes, words)
            table = pyarrow.table({"path": path, "offset": offsets, "size": sizes, "raw": raw})
            parquet.write_table(table, folder / name / f"refs.{record}.parq", compression="zstd", write_statistics=False, row_group_size=RECORD)
    (folder / ".zmetadata").write_text(json.dumps({"metadata": documents(arrays, ARRAY), "record_size": RECORD}))


def make_json(path, total):
    arrays, chunks = (total // ARRAY, ARRAY) if total >= ARRAY else (1, total)
    part = path.with_suffix(".part")
    with open(part, "w") as out:
        out.write('{"version": 1, "refs": {')
        head = [f"{json.dumps(key)}: {json.dumps(json.dumps(value))}" for key, value in documents(arrays, chunks).items()]
        out.write(", ".join(head))
        for array, name, count in [(n, f"t{n:03}", chunks) for n in range(arrays)] + [(999, "listed", LISTED)]:
            for first in range(0, count, 1000):
                out.write("".join(
                    f', "{name}/{row // 1000}.{row % 1000}.0.0": ["{url(array, row // 100)}", {row % 100 * 812345}, {700000 + row * 37 % 99991}]'
                    for row in range(first, min(first + 1000, count))))
        out.write("}}")
    part.rename(path)


class Mount:
    def __init__(self, program, source, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        start = time.perf_counter()
        self.daemon = subprocess.Popen([program, "mount", "-f", source, self.folder], stdout=subprocess.DEVNULL)
        while not os.path.ismount(self.folder):
            assert self.daemon.poll() is None, "the mount did not start"
            time.sleep(0.002)
        os.stat(self.folder / ".zmetadata")
        self.seconds = time.perf_counter() - start
        self.cpu = self.cpu_seconds()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.program, "umount", self.folder], check=True, stdout=subprocess.DEVNULL)
        self.daemon.wait(30)

    def megabytes(self, name):
        status = pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(name))

    def cpu_seconds(self):
        threads = pathlib.Path(f"/proc/{self.daemon.pid}/task").glob("*/schedstat")
        return sum(int(file.read_text().split()[0]) for file in threads) / 1e9


def listed(mounted):
    start, cpu = time.perf_counter(), mounted.cpu_seconds()
    names = os.listdir(mounted.folder / "listed")
    seconds, cpu = time.perf_counter() - start, mounted.cpu_seconds() - cpu
    assert len(names) == LISTED + 2, len(names)
    return f"{seconds:.3f} s (cpu {cpu:.3f})"


def measure(program, source, folder):
    with Mount(program, source, folder) as mounted:
        line = [f"mount {mounted.seconds:.2f} s (cpu {mounted.cpu:.2f})", f"rss {mounted.megabytes('VmRSS'):.0f} MB, peak {mounted.megabytes('VmHWM'):.0f} MB"]
        arrays = sorted(path.name for path in mounted.folder.iterdir() if path.name.startswith("t"))
        touches, before = [], mounted.cpu_seconds()
        for name in random.Random(1).sample(arrays, min(10, len(arrays))):
            os.stat(mounted.folder / name)
            start = time.perf_counter()
            os.stat(mounted.folder / name / "3.7.0.0")
            touches.append((time.perf_counter() - start) * 1e3)
        cpu = (mounted.cpu_seconds() - before) * 1e3 / len(touches)
        line.append(f"touch {statistics.median(touches):.2f} ms (worst {max(touches):.2f}, cpu {cpu:.2f})")
        line.append(f"list {listed(mounted)}, again {listed(mounted)}")
        for name in arrays[:20]:
            for step in range(0, 1000, 100):
                os.stat(mounted.folder / name / f"{step}.0.0.0")
        line.append(f"after {mounted.megabytes('VmRSS'):.0f} MB")
        print("  " + " | ".join(line), flush=True)


FSSPEC = """
import resource, sys, time
import fsspec
from fsspec.implementations.reference import ReferenceFileSystem
start, cpu = time.perf_counter(), time.process_time()
made = ReferenceFileSystem(sys.argv[1], fs={"s3": fsspec.filesystem("http")})
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
start = time.perf_counter(); found = made.ls("listed", detail=False); listing = time.perf_counter() - start
print(f"load {seconds:.1f} s (cpu {cpu:.1f}) | peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB | list {listing:.1f} s")
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gribfs", default=os.environ.get("GRIBFS_BIN", "target/release/gribfs"))
    parser.add_argument("--parquet", default="10000000,100000000")
    parser.add_argument("--json", type=int, default=10_000_000)
    parser.add_argument("--fsspec", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = pathlib.Path(os.environ["BENCH_DIR"]) / "refs" if arguments.keep else pathlib.Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        mnt = pathlib.Path(temporary) / "mnt"
        for total in [int(n) for n in arguments.parquet.split(",") if n]:
            folder = home / f"{total}.parq"
            if not (folder / ".zmetadata").exists():
                make_parquet(folder, total)
            size = sum(file.stat().st_size for file in folder.rglob("*.parq")) / 1e6
            print(f"Parquet, {total:,} references, {size:,.0f} MB", flush=True)
            measure(arguments.gribfs, folder, mnt)
        for total, reader in ((arguments.json, "gribfs"), (arguments.fsspec, "fsspec")):
            if not total:
                continue
            path = home / f"{total}.json"
            if not path.exists():
                make_json(path, total)
            print(f"JSON, {total:,} references, {path.stat().st_size / 1e6:,.0f} MB, {reader}", flush=True)
            if reader == "gribfs":
                measure(arguments.gribfs, path, mnt)
            else:
                print("  " + subprocess.run([sys.executable, "-c", FSSPEC, path], check=True, capture_output=True, text=True).stdout, end="", flush=True)


if __name__ == "__main__":
    main()

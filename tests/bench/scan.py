#!/usr/bin/env python3
"""Time, CPU and memory of `gribfs index` on archives in real numbers, served by the benchmark bed.

  scan.py [--gribfs target/release/gribfs] [--only ecmwf,gefs,w1,gfs,tables] [--repeats 3]

Wanted: BENCH_DIR, the bed's work folder, with the archives of `gen_index.py all` in BENCH_DIR/archive, and its server running on
BENCH_PORT (no latency) and BENCH_PORT + 1 (30 ms before the first byte). Results go to standard output, tables to BENCH_DIR/scan.

ecmwf   an ensemble run: 85 index files of 8,160 lines, no latency             CPU < 5 s, memory < 300 MB, <= 8 bytes a row
gefs    a run: 2,430 index files of 38 lines at 30 ms                          wall < 6 s, <= 8 bytes a row
w1      68 index files of 743 lines (4 runs of GFS, 17 steps) at 30 ms         wall < 0.6 s
gfs     164 index files of 743 lines at 30 ms                                  wall < 2 s, <= 8 bytes a row
tables  5,000 tables of a run each: merged by --compact, then opened at 30 ms  wall < 2 s
"""
import argparse
import datetime
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
BENCH = pathlib.Path(os.environ.get("BENCH_DIR", "bench-work"))
PORT = int(os.environ.get("BENCH_PORT", "8080"))
OUT = BENCH / "scan"


def measure(command, stdin=""):
    """Runs a command: wall seconds, CPU seconds, peak memory in MB, what it printed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process.stdin.write(stdin.encode())
    process.stdin.close()
    text = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, process.returncode, text


def urls(name, port, keep=lambda path: True):
    lines = (BENCH / "archive" / f"manifest-{name}.tsv").read_text().splitlines()
    paths = [line.split("\t")[0] for line in lines]
    return [f"http://127.0.0.1:{port}/{path}" for path in paths if keep(path)]


def index(args, title, sources, goal):
    for _ in range(args.repeats):
        table = OUT / f"{title}.parquet"
        table.unlink(missing_ok=True)
        wall, cpu, memory, code, text = measure([args.gribfs, "index", "-", "-o", str(table)], "\n".join(sources))
        if code:
            sys.exit(f"{title}: exit {code}\n{text}")
        placed = int(text.split(" of ")[0].replace(",", ""))
        print(f"{title:8} {len(sources):5} files {placed:8} rows  wall {wall:6.2f} s  CPU {cpu:5.2f} s  memory {memory:4.0f} MB  "
              f"{table.stat().st_size / placed:5.2f} bytes/row   (goal: {goal})", flush=True)


def dated(grib, run):
    """A small GRIB file with another run in section 1 of each of its messages."""
    grib, at = bytearray(grib), 0
    while at < len(grib):
        length = int.from_bytes(grib[at + 8:at + 16], "big")
        grib[at + 28:at + 35] = run.year.to_bytes(2, "big") + bytes([run.month, run.day, run.hour, 0, 0])
        at += length
    return bytes(grib)


def tables(args, count=5000):
    archive, folder = OUT / "small", BENCH / "archive" / "tables"
    fixture = HERE.parent / "data/archive/gfs.20261122/00/atmos"
    first = datetime.datetime(2022, 1, 1)
    if not folder.exists():
        for step in (3, 6):
            name = f"gfs.t00z.pgrb2.3p00.f{step:03}"
            grib, text = (fixture / name).read_bytes(), (fixture / f"{name}.idx").read_text()
            for number in range(count):
                run = first + datetime.timedelta(hours=6 * number)
                path = archive / f"gfs.{run:%Y%m%d}/{run:%H}/{name.replace('t00z', f't{run:%H}z')}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(dated(grib, run))
                pathlib.Path(f"{path}.idx").write_text(text.replace("d=2026112200", f"d={run:%Y%m%d%H}"))
        wall, cpu, memory, code, text = measure([args.gribfs, "index", f"{archive}/", "-o", str(folder)])
        print(f"{count} runs to tables: wall {wall:.2f} s  CPU {cpu:.2f} s  memory {memory:.0f} MB", flush=True)
        if code:
            sys.exit(text)
        shutil.rmtree(archive)
    before = len(list(folder.glob("*.parquet")))
    if before > 1000:
        wall, cpu, memory, code, text = measure([args.gribfs, "index", "--compact", str(folder)])
        print(f"compact: wall {wall:.2f} s  CPU {cpu:.2f} s  memory {memory:.0f} MB: {text.strip()}", flush=True)
    for _ in range(args.repeats):
        wall, cpu, memory, code, text = measure([args.gribfs, "info", f"http://127.0.0.1:{PORT + 1}/tables/"])
        if code:
            sys.exit(text)
        print(f"tables   opened at 30 ms: wall {wall:.2f} s  CPU {cpu:.2f} s  memory {memory:.0f} MB   (goal: wall < 2 s)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gribfs", default="target/release/gribfs")
    parser.add_argument("--only", default="ecmwf,gefs,w1,gfs,tables")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    only = args.only.split(",")
    OUT.mkdir(parents=True, exist_ok=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if "ecmwf" in only:
        index(args, "ecmwf", urls("ecmwf", PORT), "CPU < 5 s, memory < 300 MB, 8 bytes")
    if "gefs" in only:
        index(args, "gefs", urls("gefs", PORT + 1), "wall < 6 s, 8 bytes")
    if "w1" in only:
        index(args, "w1", urls("gfs", PORT + 1, lambda path: int(path[-3:]) <= 48), "wall < 0.6 s")
    if "gfs" in only:
        index(args, "gfs", urls("gfs", PORT + 1), "wall < 2 s, 8 bytes")
    if "tables" in only:
        tables(args)


if __name__ == "__main__":
    main()

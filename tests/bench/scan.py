#!/usr/bin/env python3
"""Time, CPU and memory of `gribfs index` on archives in real numbers, served by the benchmark bed.

  scan.py [--gribfs target/release/gribfs] [--only ecmwf,gefs,w1,peers,w1all,gfs,follow,tables] [--repeats 3]

Wanted: BENCH_DIR, the bed's work folder, with the archives of `gen_index.py all` in BENCH_DIR/archive, and its server running on
BENCH_PORT (no latency) and BENCH_PORT + 1 (30 ms before the first byte). Results go to standard output, tables to BENCH_DIR/scan.

ecmwf   an ensemble run: 85 index files of 8,160 lines, no latency             CPU < 5 s, memory < 300 MB, <= 8 bytes a row
gefs    a run: 2,430 index files of 38 lines at 30 ms                          wall < 6 s, <= 8 bytes a row
w1      68 index files of 15 lines (4 runs of GFS, 17 steps) at 30 ms          wall < 0.6 s
peers   the same by kerchunk's index path and by VirtualiZarr with gribberish, in turn with gribfs (--bed says where their scripts are)
w1all   68 files of 743 lines
gfs     164 index files of 743 lines at 30 ms                                  wall < 2 s, <= 8 bytes a row
follow  --follow on runs of GFS and of the ECMWF ensemble whose files are put there one by one: from the index file visible to
        the table written, with 1 s polling                                    p50 < 2 s, p95 < 4 s
tables  5,000 tables of a run each: merged by --compact, then opened at 30 ms  wall < 2 s
"""
import argparse
import datetime
import json
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
BENCH = pathlib.Path(os.environ.get("BENCH_DIR", "bench-work"))
PORT = int(os.environ.get("BENCH_PORT", "8080"))
OUT = BENCH / "scan"

# At 3 and 6 h the generated set gives bucket and run total the same words and different lengths, which real ones have not.
CONFLICTS = ["--allow-missing"]


def measure(command, stdin="", environment=None):
    """Runs a command: wall seconds, CPU seconds, peak memory in MB, what it printed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**os.environ, **(environment or {})})
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


def index(args, title, sources, goal, repeats=None, more=()):
    """Indexes the sources some times over; gives the last wall and CPU seconds."""
    sources = list(sources)
    for _ in range(repeats or args.repeats):
        table = OUT / f"{title}.parquet"
        table.unlink(missing_ok=True)
        wall, cpu, memory, code, text = measure([args.gribfs, "index", "-", "-o", str(table), *more], "\n".join(sources))
        if code:
            sys.exit(f"{title}: exit {code}\n{text}")
        placed = int(text.split(" of ")[0].replace(",", ""))
        print(f"{title:8} {len(sources):5} files {placed:8} rows  wall {wall:6.2f} s  CPU {cpu:5.2f} s  memory {memory:4.0f} MB  "
              f"{table.stat().st_size / placed:5.2f} bytes/row   (goal: {goal})", flush=True)
    return wall, cpu


def short(path):
    """Steps to 48 h."""
    return int(path[-3:]) <= 48


def w1_urls():
    """The GFS set of the bed's own archive: 4 runs x 17 steps, 15 messages each."""
    archive = BENCH / "archive"
    paths = sorted(archive.glob("noaa-gfs-bdp-pds/gfs.20251101/*/atmos/gfs.t*z.pgrb2.0p25.f???"))
    return [f"http://127.0.0.1:{PORT + 1}/{path.relative_to(archive)}" for path in paths]


def last_json(text):
    return next(json.loads(line) for line in reversed(text.splitlines()) if line.startswith("{"))


def peers(args):
    """W1 by kerchunk's whole index path, by VirtualiZarr with gribberish, and by gribfs, one after the other in each repeat."""
    bed = pathlib.Path(args.bed)
    python = str(BENCH / "venv/bin/python")
    for _ in range(args.repeats):
        ours = index(args, "w1", w1_urls(), "wall < 0.6 s", repeats=1)
        for name, command in [("kerchunk", [python, str(bed / "w1_kerchunk.py"), str(PORT + 1), "idx"]),
                              ("VirtualiZarr", [python, str(bed / "build_icechunk.py"), str(PORT + 1), "gfs"])]:
            wall, cpu, memory, code, text = measure(command, environment={"BENCH_DIR": str(BENCH), "BENCH_PORT": str(PORT)})
            if code:
                sys.exit(f"{name}: exit {code}\n{text}")
            if name == "kerchunk":      # without its imports and without writing JSON
                stages = {stage: took for stage, took in last_json(text).items() if isinstance(took, dict) and stage != "json"}
                wall, cpu = (sum(took[key] for took in stages.values()) for key in ("s", "cpu"))
            print(f"peer     {name:12} wall {wall:6.2f} s  CPU {cpu:5.2f} s  memory {memory:4.0f} MB: gribfs is {wall / ours[0]:.0f} times as fast, "
                  f"{cpu / ours[1]:.0f} times by CPU   (goal: 50)", flush=True)


def follow(args, name, shorthand, bucket, keep, count, lists):
    """Puts the files of a run one by one where the program looks for them; `lists`: on disk, where it can list."""
    tree, table = BENCH / "archive/follow", OUT / "follow"
    for folder in (tree, table):
        shutil.rmtree(folder, ignore_errors=True)
    (tree / bucket).mkdir(parents=True)
    paths = [url.split("/", 3)[3] for url in urls(name, PORT, keep)][:count]
    root = str(tree / bucket) if lists else f"http://127.0.0.1:{PORT}/follow/{bucket}"
    program = subprocess.Popen([args.gribfs, "index", shorthand, "--follow", "--root", root, "-o", str(table)], stdout=subprocess.PIPE)
    time.sleep(3)
    rng, taken, written = random.Random(1), [], table / "2025-11-02T00.parquet"
    for path in paths:
        here, there = tree / path, (BENCH / "archive" / path).resolve()
        index = (lambda p: p.with_suffix(".index")) if name == "ecmwf" else (lambda p: p.with_name(p.name + ".idx"))
        here.parent.mkdir(parents=True, exist_ok=True)
        time.sleep(rng.random())
        before = written.stat().st_mtime_ns if written.exists() else 0
        here.symlink_to(there)
        index(here).symlink_to(index(there))
        began = time.perf_counter()
        while not written.exists() or written.stat().st_mtime_ns == before:
            time.sleep(0.002)
            if time.perf_counter() - began > 60:
                program.kill()
                sys.exit(f"{path} never came to be in the table")
        taken.append(time.perf_counter() - began)
    program.terminate()
    _, _, used = os.wait4(program.pid, 0)
    taken.sort()
    print(f"follow   {name} by {'listing' if lists else 'asking'}, {count} files: from visible to readable p50 {taken[len(taken) // 2]:.2f} s  "
          f"p95 {taken[int(len(taken) * .95)]:.2f} s  most {taken[-1]:.2f} s  CPU {used.ru_utime + used.ru_stime:.1f} s  "
          f"memory {used.ru_maxrss / 1024:.0f} MB   (goal: p50 < 2 s, p95 < 4 s)", flush=True)


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
    parser.add_argument("--only", default="ecmwf,gefs,w1,w1all,gfs,follow,tables")
    parser.add_argument("--bed", default="../shared/bench", help="the benchmark bed's scripts")
    parser.add_argument("--ecmwf-files", type=int, default=20, help="files of the ECMWF run that are followed (85 are all)")
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
        index(args, "w1", w1_urls(), "wall < 0.6 s")
    if "peers" in only:
        peers(args)
    if "w1all" in only:
        index(args, "w1all", urls("gfs", PORT + 1, short), "none", more=CONFLICTS)
    if "gfs" in only:
        index(args, "gfs", urls("gfs", PORT + 1), "wall < 2 s, 8 bytes", more=CONFLICTS)
    if "follow" in only:
        for lists in (False, True):
            follow(args, "gfs", "gfs:2025-11-02T00/0..120..3", "noaa-gfs-bdp-pds", lambda path: "/00/" in path, 25, lists)
            follow(args, "ecmwf", "ecmwf-ens:2025-11-02T00", "ecmwf-forecasts", lambda path: True, args.ecmwf_files, lists)
    if "tables" in only:
        tables(args)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Time, CPU, memory and output size of `gribfs copy`, from archives served by the benchmark bed at 30 ms.

  copy_zarr.py --bed FOLDER [--gribfs target/release/gribfs] [--only w6,codecs,chunks,memory,ensemble,regional,peers] [--repeats 3]

Wanted: BENCH_DIR, the bed's work folder, with its archive, and its server on BENCH_PORT (no latency) and BENCH_PORT + 1 (30 ms before the
first byte). Copies go to BENCH_DIR/copy and are removed.

w6        one run of GFS: 15 variables, 17 steps, one field per chunk           wall < 2.9 s, memory < 1 GB
codecs    the same with every codec, to choose the default: CPU seconds and size
chunks    the same with chunks over time and tiles of the grid
memory    the same with --memory 256M                                           memory < 400 MB
ensemble  5 members x 17 steps x 6 variables of GEFS, 23 N to 12 S, 20 to 52 E
regional  ensemble in turn with the usual loop over references (`regional_peer.py`), and the sum of all values, which must be the same; at
          least 5 times faster
peers     w6 by the bed's peers (kerchunk's stack p1, exact ranges and gribberish p4cat), in turn with gribfs
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import time

BENCH = pathlib.Path(os.environ.get("BENCH_DIR", "bench-work"))
PORT = int(os.environ.get("BENCH_PORT", "8080"))
OUT = BENCH / "copy"

CODECS = ["none", "blosc:lz4:1", "blosc:lz4:5", "blosc:lz4:9", "zstd:1", "zstd:3", "gzip:1"]
CHUNKS = ["valid_time=17", "valid_time=17,latitude=103,longitude=103", "latitude=181,longitude=360"]


def measure(command, stdin=None):
    """Runs a command: wall seconds, CPU seconds, peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=stdin and subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if stdin:
        process.stdin.write(stdin.encode())
        process.stdin.close()
    text = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{command}: {text}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def table(args, name):
    path = OUT / f"{name}.parquet"
    if not path.exists():
        python = BENCH / "venv/bin/python"
        urls = subprocess.run([python, args.bed / "bed.py", name, str(PORT + 1)], capture_output=True, text=True, check=True).stdout
        measure([args.gribfs, "index", "-", "-o", path], urls)
    return path


def row(args, title, source, flags):
    """Copies several times; the middle of each figure."""
    runs, megabytes = [], 0
    for _ in range(args.repeats):
        shutil.rmtree(OUT / "a.zarr", ignore_errors=True)
        runs.append(measure([args.gribfs, "copy", source, OUT / "a.zarr", *flags]))
        megabytes = size(OUT / "a.zarr")
        shutil.rmtree(OUT / "a.zarr")
    wall, cpu, memory = (statistics.median(run[at] for run in runs) for at in range(3))
    print(f"{title:44} {wall:8.2f} {cpu:8.2f} {memory:8.0f} {megabytes:8.1f}", flush=True)


def regional(args):
    """The ensemble's box by gribfs and by the usual loop, in turn."""
    source, flags = table(args, "gefs"), ["--bbox=-12,20,23,52", "--chunks", "valid_time=17,number=5"]
    python, peer = BENCH / "venv/bin/python", pathlib.Path(__file__).with_name("regional_peer.py")
    refs = BENCH / f"refs/gefs-{PORT + 1}-kv.parquet"
    contestants = {
        "gribfs copy": [args.gribfs, "copy", source, OUT / "a.zarr", *flags],
        "open, seek, read": [python, peer, refs, OUT / "a.zarr"],
        "exact ranges": [python, peer, refs, OUT / "a.zarr", "--exact"],
    }
    adds_up = "import sys, zarr, numpy; g = zarr.open_group(sys.argv[1], mode='r'); " \
        "print(round(sum(float(numpy.nansum(a[:], dtype='f8')) for _, a in g.arrays() if a.ndim == 4)))"
    runs, sums = {name: [] for name in contestants}, set()
    for _ in range(args.repeats):
        for name, command in contestants.items():
            shutil.rmtree(OUT / "a.zarr", ignore_errors=True)
            runs[name].append((*measure(command), size(OUT / "a.zarr")))
            sums.add(subprocess.run([python, "-c", adds_up, OUT / "a.zarr"], check=True, capture_output=True, text=True).stdout.strip())
    shutil.rmtree(OUT / "a.zarr")
    for name, own in runs.items():
        wall, cpu, memory, megabytes = (statistics.median(run[at] for run in own) for at in range(4))
        print(f"{'regional, ' + name:44} {wall:8.2f} {cpu:8.2f} {memory:8.0f} {megabytes:8.1f}", flush=True)
    assert len(sums) == 1, f"other values: {sums}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bed", type=pathlib.Path, required=True)
    parser.add_argument("--gribfs", default="target/release/gribfs")
    parser.add_argument("--only", default="w6,codecs,chunks,memory,ensemble")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    args.gribfs = str(pathlib.Path(args.gribfs).resolve())
    only = args.only.split(",")
    OUT.mkdir(parents=True, exist_ok=True)
    print(f"{'':44} {'wall s':>8} {'CPU s':>8} {'RSS MB':>8} {'MB':>8}")
    gfs, run = table(args, "gfs"), ["--run", "2025-11-01T00"]
    if "w6" in only:
        row(args, "w6", gfs, run)
    if "codecs" in only:
        for codec in CODECS:
            row(args, f"w6, {codec}", gfs, [*run, "--codec", codec])
    if "chunks" in only:
        for chunks in CHUNKS:
            row(args, f"w6, {chunks}", gfs, [*run, "--chunks", chunks])
    if "memory" in only:
        row(args, "w6, --memory 256M", gfs, [*run, "--memory", "256M"])
        row(args, f"w6, --memory 256M, {CHUNKS[1]}", gfs, [*run, "--memory", "256M", "--chunks", CHUNKS[1]])
    if "ensemble" in only:
        row(args, "ensemble", table(args, "gefs"), ["--bbox=-12,20,23,52", "--chunks", "valid_time=17,number=5"])
    if "regional" in only:
        regional(args)
    if "peers" in only:
        # Each run anew: a destination that is a store already is refused.
        command = f"rm -rf {OUT}/p.zarr && {args.gribfs} copy {gfs} {OUT}/p.zarr {' '.join(run)}"
        subprocess.run([BENCH / "venv/bin/python", args.bed / "run.py", "--peers", "floor,p1,p4cat,cmd", "--work", "W6", "--port", str(PORT + 1),
                        "--repeats", str(args.repeats), "--cmd", command], check=True)
        shutil.rmtree(OUT / "p.zarr", ignore_errors=True)


if __name__ == "__main__":
    main()

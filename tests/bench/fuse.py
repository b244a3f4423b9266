#!/usr/bin/env python3
"""What the way through the kernel costs: reads, names and listings of a mount against tmpfs, in one interleaved run.

    fuse.py [--gribfs PROGRAM] [--rounds N] [--names N] [--json FILE]

Two mounts of one reference set of plain 4 MiB chunks (nothing to decode, nothing to fetch but a local file), one as it is and one with
`-o direct_io`; beside them a copy on /dev/shm. Each round does everything once, in turn; the first round is dropped; figures are medians
of the rounds. `cold` means that the daemon has the chunk in memory and the kernel does not (posix_fadvise DONTNEED). The loops that are
timed run in a compiled program, `fuse_loops.rs` (mmap alone in Python), since an interpreter takes as long as the kernel for a `stat`.

| figure | target |
|---|---|
| warm read of a whole chunk, 1 MiB buffers, against tmpfs | at least 0.80 |
| warm mmap, each page touched, against tmpfs | at least 0.85 |
| direct_io of a chunk in the daemon's memory, 1 MiB buffers, against tmpfs | at least 0.80; at most 0.1 ms per MiB more |
| cold read of a chunk in the daemon's memory | at most 0.7 ms per MiB |
| first 4 KiB of such a chunk: open, read, close | at most 100 us |
| cached stat against tmpfs | at least 0.8 |
| lookups of new names | at least 50,000 a second |
| cached missing name | at most 2 us |
| list of a million chunk names | at most 0.3 s, less than 1 MiB more of memory |

The rest of the targets (readers of slow chunks side by side) is `read_path.py --only waves`.
"""

import argparse
import json
import mmap
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from read_path import Mount

HERE = pathlib.Path(__file__).resolve().parent
MIB = 1 << 20
CHUNK = 4 * MIB
CHUNKS = 8


def reference_set(folder, names):
    """`x`: chunks of 4 MiB in one file. `names`: an array of that many chunk names."""
    data = folder / "data.bin"
    with open(data, "wb") as file:
        for number in range(CHUNKS):
            file.write(os.urandom(MIB) * (CHUNK // MIB - 1) + bytes([number]) * MIB)
    array = {"zarr_format": 2, "dtype": "<f4", "compressor": None, "filters": None, "fill_value": 0, "order": "C"}
    refs = {
        ".zgroup": '{"zarr_format":2}',
        "x/.zarray": json.dumps(array | {"shape": [CHUNKS * CHUNK // 4], "chunks": [CHUNK // 4]}),
        "names/.zarray": json.dumps(array | {"shape": [names], "chunks": [1]}),
    }
    refs |= {f"x/{i}": [f"file://{data}", i * CHUNK, CHUNK] for i in range(CHUNKS)}
    refs |= {f"names/{i}": [f"file://{data}", i % CHUNK * 4, 4] for i in range(names)}
    (folder / "refs.json").write_text(json.dumps({"version": 1, "refs": refs}))
    return data, folder / "refs.json"


class Loops:
    """`fuse_loops.rs`, compiled: the loops that are timed, without Python in them."""

    def __init__(self, folder):
        program = folder / "fuse_loops"
        subprocess.run(["rustc", "-O", "--edition", "2024", "-o", program, HERE / "fuse_loops.rs"], check=True)
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, *words):
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return [float(word) for word in self.process.stdout.readline().split()]

    def whole(self, path, size=MIB):
        """Seconds to open, read and close."""
        seconds, read = self("whole", path, size)
        assert read == CHUNK, read
        return seconds

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def mapped(path):
    descriptor = os.open(path, os.O_RDONLY)
    start = time.perf_counter()
    with mmap.mmap(descriptor, CHUNK, prot=mmap.PROT_READ) as area:
        assert len(area[:: mmap.PAGESIZE]) == CHUNK // mmap.PAGESIZE
    seconds = time.perf_counter() - start
    os.close(descriptor)
    return seconds


def drop(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def measure(args, folder, shm):
    data, refs = reference_set(folder, args.names)
    plain_files = []
    # As deep as the files of the mounts, so that paths are walked alike.
    (shm / "plain/x").mkdir(parents=True)
    for number in range(CHUNKS):
        path = shm / f"plain/x/{number}"
        path.write_bytes(data.read_bytes()[number * CHUNK : (number + 1) * CHUNK])
        plain_files.append(path)
    times = {}

    def note(name, seconds):
        times.setdefault(name, []).append(seconds)

    with Loops(folder) as loops, Mount(args.gribfs, refs, shm / "cached") as cached, Mount(args.gribfs, refs, shm / "direct", "-o", "direct_io") as direct:
        listed = []
        many = min(20_000, args.names // (args.rounds + 1))
        for turn in range(args.rounds + 1):
            for number, plain in enumerate(plain_files):
                path, straight = cached.folder / f"x/{number}", direct.folder / f"x/{number}"
                note("tmpfs read", loops.whole(plain))
                drop(path)
                note("cold read", loops.whole(path))
                note("warm read", loops.whole(path))
                note("direct read", loops.whole(straight))
                note("tmpfs mmap", mapped(plain))
                note("warm mmap", mapped(path))
                note("tmpfs 4 KiB", loops("first", plain)[0])
                drop(path)
                note("cold 4 KiB", loops("first", path)[0])
                note("direct 4 KiB", loops("first", straight)[0])
                note("direct read, 4 KiB buffers", loops.whole(straight, 4096))
                note("warm read, 4 KiB buffers", loops.whole(path, 4096))
            note("tmpfs stat", loops("stat", plain_files[0], 20_000)[0])
            note("cached stat", loops("stat", cached.folder / "x/0", 20_000)[0])
            note("new name", loops("new", cached.folder / "names", turn * many, many)[0])
            note("tmpfs missing name", loops("missing", plain_files[0].parent / "nothing", 20_000)[0])
            note("missing name", loops("missing", cached.folder / "x/nothing", 20_000)[0])
            before = cached.status_mb("VmRSS")
            seconds, names = loops("list", cached.folder / "names")
            assert names >= args.names
            note("list", seconds)
            listed.append(cached.status_mb("VmRSS") - before)
    dropped = {name: values[len(values) // (args.rounds + 1) :] for name, values in times.items()}
    return {name: statistics.median(values) for name, values in dropped.items()}, statistics.median(listed[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gribfs", default=HERE.parent.parent / "target/release/gribfs")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gribfs-bench-") as folder, tempfile.TemporaryDirectory(dir="/dev/shm", prefix="gribfs-bench-") as shm:
        t, grown = measure(args, pathlib.Path(folder), pathlib.Path(shm))
    us, per_mib = 1e6, 1e3 / (CHUNK / MIB)
    rows = [
        ("warm read / tmpfs", t["tmpfs read"] / t["warm read"], ">= 0.80"),
        ("warm mmap / tmpfs", t["tmpfs mmap"] / t["warm mmap"], ">= 0.85"),
        ("direct read / tmpfs", t["tmpfs read"] / t["direct read"], ">= 0.80"),
        ("direct read, ms more per MiB", (t["direct read"] - t["tmpfs read"]) * per_mib, "<= 0.1"),
        ("cold read, ms more per MiB", (t["cold read"] - t["tmpfs read"]) * per_mib, "<= 0.7"),
        ("cold first 4 KiB, us", t["cold 4 KiB"] * us, "<= 100"),
        ("direct first 4 KiB, us", t["direct 4 KiB"] * us, ""),
        ("direct read with 4 KiB buffers / warm one", t["direct read, 4 KiB buffers"] / t["warm read, 4 KiB buffers"], ""),
        ("cached stat / tmpfs", t["tmpfs stat"] / t["cached stat"], ">= 0.8"),
        ("lookups of new names, 1/s", 1 / t["new name"], ">= 50000"),
        ("missing name, us", t["missing name"] * us, "<= 2"),
        ("missing name / tmpfs", t["missing name"] / t["tmpfs missing name"], ""),
        (f"list {args.names} names, s", t["list"], "<= 0.3 for a million"),
        ("memory that it took, MiB", grown, "< 1"),
    ]
    for name, value, target in rows:
        print(f"{name:<44} {value:>12.3f}   {target}")
    if args.json:
        args.json.write_text(json.dumps({"seconds": t, "figures": {name: value for name, value, _ in rows}}, indent=1))


if __name__ == "__main__":
    sys.exit(main())

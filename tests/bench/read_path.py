#!/usr/bin/env python3
"""What a mount does under many readers: slow chunks side by side, memory, and all cores.

    read_path.py [--gribfs PROGRAM] [--slow SECONDS] [--only waves,memory,bulk]

| part | what is measured |
|---|---|
| waves | 64 cold chunks of a server that answers after `--slow` seconds, read by 64 threads at once, against one such chunk; meanwhile a chunk that is in the daemon's memory is read again and again past the kernel's page cache, and a byte sent through a pipe to a process that sends it back |
| memory | 64 threads read all 1,012 fields of the bed's GFS archive at 30 ms through a mount with `--memory 256M`: the daemon's peak resident size |
| bulk | the same archive without latency, 8 threads: the daemon's CPU seconds and the wall, and how many of the cores the daemon kept busy |

waves makes its own archive. memory and bulk want BENCH_DIR and the bed's servers (see `workloads`, which makes the tables).
"""

import argparse
import concurrent.futures
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))
import read_one_field as one  # noqa: E402

READERS = 64


class Mount:
    """A mount for the length of a `with`."""

    def __init__(self, program, table, folder, *options):
        self.program, self.folder = program, pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.daemon = subprocess.Popen([program, "mount", "-f", table, self.folder, *options], stdout=subprocess.DEVNULL)
        while not os.path.ismount(self.folder):
            assert self.daemon.poll() is None, "the mount did not start"
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.program, "umount", self.folder], check=True, stdout=subprocess.DEVNULL)
        self.daemon.wait(10)

    def status_mb(self, word):
        """MB by /proc: `VmRSS`, resident now, or `VmHWM`, at most so far."""
        status = pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(word))

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.daemon.pid}/stat").read_text().rsplit(")")[-1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def chunks(store):
    return sorted(p for p in store.glob("*/*") if p.name[0].isdigit() and p.stat().st_size >= 1_000_000)


def timed(work, *arguments):
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def read_again(path):
    """128 KiB of a chunk, past the page cache, until standard input ends; prints the seconds of each read.

    Before each, a byte goes to a process that does nothing else and comes back: what waking another process and being woken costs on this
    machine at that moment, whoever answers. Its seconds are printed on a second line.
    """
    import select

    times, bare, file = [], [], os.open(path, os.O_RDONLY)
    (there, ask), (answer, back) = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.close(ask)
        while os.read(there, 1):
            os.write(back, b".")
        os._exit(0)
    print("reading", flush=True)
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        start = time.perf_counter()
        os.write(ask, b".")
        os.read(answer, 1)
        bare.append(time.perf_counter() - start)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        assert len(os.pread(file, 131072, 1 << 20)) == 131072
        times.append(time.perf_counter() - start)
    os.close(file)
    os.close(ask)
    os.wait()
    print(*times)
    print(*bare)


def spread(line):
    """Of seconds in a line: median and 99th percentile in ms."""
    times = sorted(float(word) for word in line.split())
    return f"median {1e3 * statistics.median(times):.2f} ms, p99 {1e3 * times[int(len(times) * 0.99)]:.2f} ms of {len(times)}"


def waves(program, slow, folder):
    one.make_file(folder)
    message = (folder / one.FILE).read_bytes()
    index = (folder / f"{one.FILE}.idx").read_text()
    files = []
    for step in range(1, READERS + 3):
        name = f"gfs.t00z.pgrb2.0p25.f{step:03d}"
        # Another step is another number in section 4 of each message: its offset is the same in each, found by the words around it.
        (folder / name).write_bytes(with_step(message, step))
        (folder / f"{name}.idx").write_text(index.replace("24 hour", f"{step} hour"))
        files.append(name)
    # The server and the reader of what is in memory are processes of their own: Python's threads would wait for each other.
    http = subprocess.Popen([sys.executable, one.__file__, "--serve", folder, "--latency", str(slow * 1000)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = http.stdout.readline().strip()
    table = folder / "waves.parquet"
    subprocess.run([program, "index", *[url + name for name in files], "-o", table], check=True, stdout=subprocess.DEVNULL)
    # Without look-ahead: what is measured is the readers' own requests.
    with Mount(program, table, folder / "mnt", "--look-ahead", "0") as mount:
        paths = [p for p in chunks(mount.folder / "run_time.zarr") if p.parent.name == "t2m"]
        assert len(paths) >= READERS + 2
        single = timed(paths[0].read_bytes)
        again = subprocess.Popen([sys.executable, __file__, "--again", paths[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        again.stdout.readline()
        try:
            with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
                together = timed(lambda: list(pool.map(lambda p: len(p.read_bytes()), paths[1 : READERS + 1])))
        finally:
            said, _ = again.communicate("\n")
    http.stdin.close()
    http.wait(10)
    read, bare = said.strip().splitlines()
    print(f"waves   one slow chunk {single:.2f} s, {READERS} at once {together:.2f} s: x {together / single:.2f}; "
          f"meanwhile from memory: {spread(read)}; a byte to another process and back: {spread(bare)}")


def with_step(file, step):
    """The messages with another forecast time."""
    import eccodes as ec

    out, at = b"", 0
    while at < len(file):
        length = int.from_bytes(file[at + 8 : at + 16], "big")
        handle = ec.codes_new_from_message(file[at : at + length])
        ec.codes_set(handle, "forecastTime", step)
        out += ec.codes_get_message(handle)
        ec.codes_release(handle)
        at += length
    return out


def bed_table(port):
    table = pathlib.Path(os.environ["BENCH_DIR"]) / f"run/gfs-{port}.parquet"
    if not table.exists():
        sys.exit(f"{table} is missing: run `workloads` once")
    return table


def memory(program, folder):
    with Mount(program, bed_table(8081), folder / "mnt", "--memory", "256M") as mount:
        paths = chunks(mount.folder / "run_time.zarr")
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            took = timed(lambda: list(pool.map(lambda p: len(p.read_bytes()), paths)))
        print(f"memory  {len(paths)} fields by {READERS} readers in {took:.1f} s; peak {mount.status_mb('VmHWM'):.0f} MB of 320 allowed")


def bulk(program, folder):
    with Mount(program, bed_table(8080), folder / "mnt") as mount:
        paths = chunks(mount.folder / "run_time.zarr")
        before = mount.cpu_seconds()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            took = timed(lambda: list(pool.map(lambda p: len(p.read_bytes()), paths)))
        used = mount.cpu_seconds() - before
        cores = os.cpu_count()
        print(f"bulk    {len(paths)} fields in {took:.2f} s, {1e3 * used / len(paths):.1f} ms of the daemon's CPU each; "
              f"{used / took:.2f} of {cores} cores in the daemon, {4.15 * len(paths) / took / 1e3:.2f} GB/s of values")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--gribfs", default=one.find_program(), help="the program (default: target/release/gribfs)")
    parser.add_argument("--slow", type=float, default=2, help="seconds before each answer in `waves` (default 2)")
    parser.add_argument("--only", default="waves,memory,bulk")
    parser.add_argument("--again", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.again:
        return read_again(args.again)
    with tempfile.TemporaryDirectory() as folder:
        for part in args.only.split(","):
            inner = pathlib.Path(folder) / part
            inner.mkdir()
            if part == "waves":
                waves(args.gribfs, args.slow, inner)
            else:
                {"memory": memory, "bulk": bulk}[part](args.gribfs, inner)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""gribfs copy, spread over a Dask cluster: each task is one `gribfs copy ... --part I/N`, and the last step makes the store.

    dask_copy.py gefs/ s3://mine/gefs.zarr --parts 64 --scheduler tcp://head:8786 -- --slice run_time --chunks number=31
    dask_copy.py gfs.parquet gfs.zarr --workers 4                      # processes of this machine

What stands behind `--` are flags of `gribfs copy`. Source and destination must be what all workers see: a shared file system, or URLs. Tasks
share nothing and may run twice: a worker that dies costs the part that it had, and giving the command again costs what was not done.
Ends with the exit code of the last step: 1 if messages could not be had, unless --allow-missing stands among the flags.
"""

import argparse
import subprocess
import sys
import uuid


def part(command, number, count):
    """One part, as a worker makes it; what could not be had is told by the last step."""
    allowed = [] if "--allow-missing" in command else ["--allow-missing"]
    done = subprocess.run([*command, "--part", f"{number}/{count}", *allowed], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"part {number}/{count}: exit {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def arguments(argv):
    own, flags = (argv[:argv.index("--")], argv[argv.index("--") + 1:]) if "--" in argv else (argv, [])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="table, or whatever gribfs copy takes")
    parser.add_argument("destination", help="directory, s3://, gs:// or az://")
    parser.add_argument("--parts", type=int, default=64, help="tasks; of a copy that goes on as many as before [default: %(default)s]")
    parser.add_argument("--scheduler", help="address of a scheduler [default: processes of this machine]")
    parser.add_argument("--workers", type=int, default=4, help="processes, where there is no scheduler [default: %(default)s]")
    parser.add_argument("--gribfs", default="gribfs", help="the program, as workers find it [default: %(default)s]")
    return parser.parse_args(own), flags


def main(argv):
    args, flags = arguments(argv)
    from distributed import Client, LocalCluster, as_completed

    command = [args.gribfs, "copy", args.source, args.destination, *flags]
    cluster = None if args.scheduler else LocalCluster(n_workers=args.workers, threads_per_worker=1, processes=True, dashboard_address=None)
    try:
        with Client(args.scheduler or cluster) as client:
            count = args.parts
            numbers = range(1, count + 1)
            # Of this command alone: a scheduler that others use too hands out what it has by a key.
            name = f"gribfs-copy-{uuid.uuid4().hex[:12]}"
            tasks = [client.submit(part, command, number, count, retries=2, pure=False, key=f"{name}-{number}-of-{count}") for number in numbers]
            for number, task in enumerate(as_completed(tasks), 1):
                task.result()
                print(f"{number} of {count} parts are done", file=sys.stderr)
    finally:
        if cluster:
            cluster.close()
    return subprocess.run([*command, "--finish"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

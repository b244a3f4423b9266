#!/usr/bin/env python3
"""gribfs index, spread over a Dask cluster: each task indexes one run, whose file in the table's directory no other task writes.

    dask_index.py 'gefs:%Y-%m-%dT%H/0..120' -o gefs/ --runs 2026-11-01T00..2026-11-30T18 --every 6h --scheduler tcp://head:8786
    dask_index.py 's3://noaa-gfs-bdp-pds/gfs.%Y%m%d/%H/atmos/gfs.t%Hz.pgrb2.0p25.f{000..024}' -o gfs/ --runs 2026-11-22T00..2026-11-23T18 -- --anonymous

In each SOURCE the run's date and hour stand as %Y %m %d %H %j. What stands behind `--` are flags of `gribfs index`. The directory must be what all
workers see: a shared file system, or a URL. Exit code 1 if a run could not be indexed or messages of it are missing (not with --allow-missing);
the other runs are in the table then, and the same command tries all of them again. `gribfs index --compact DIR` afterwards is a good end.
"""

import argparse
import datetime
import re
import subprocess
import sys

UNITS = {"h": 3600, "d": 86400}


def index(command):
    """One run, as a worker indexes it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def span(text):
    """Runs from the first to the last one."""
    first, _, last = text.partition("..")
    return [datetime.datetime.fromisoformat(one) for one in (first, last or first)]


def duration(text):
    found = re.fullmatch(r"(\d+)([hd])", text)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text}: durations are written 6h or 1d")
    return datetime.timedelta(seconds=int(found[1]) * UNITS[found[2]])


def arguments(argv):
    own, flags = (argv[:argv.index("--")], argv[argv.index("--") + 1:]) if "--" in argv else (argv, [])
    parser = argparse.ArgumentParser(description=__doc__.replace("%", "%%"), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="what gribfs index takes, with the run as %%Y %%m %%d %%H")
    parser.add_argument("-o", "--output", required=True, help="directory of the table")
    parser.add_argument("--runs", required=True, type=span, metavar="FIRST[..LAST]", help="2026-11-01T00..2026-11-30T18")
    parser.add_argument("--every", default="6h", type=duration, help="between runs [default: %(default)s]")
    parser.add_argument("--scheduler", help="address of a scheduler [default: processes of this machine]")
    parser.add_argument("--workers", type=int, default=4, help="processes, where there is no scheduler [default: %(default)s]")
    parser.add_argument("--gribfs", default="gribfs", help="the program, as workers find it [default: %(default)s]")
    args = parser.parse_args(own)
    if args.output.endswith(".parquet"):
        parser.error(f"{args.output}: tasks write one file per run: name a directory")
    if args.runs[0] != args.runs[1] and not all(re.search("%[YmdHj]", source) for source in args.sources):
        parser.error("a SOURCE without %Y %m %d %H is the same for all runs")
    return args, flags


def tasks(args, flags):
    """The command of each run. Two that index the same would write the same file."""
    run, commands = args.runs[0], {}
    while run <= args.runs[1]:
        sources = tuple(run.strftime(source) for source in args.sources)
        if sources in commands.values():
            sys.exit(f"dask_index.py: {run:%Y-%m-%dT%H} has the sources of another run: name the hour, %H, in SOURCE")
        commands[run] = sources
        run += args.every
    return {run: [args.gribfs, "index", *sources, "-o", args.output, *flags] for run, sources in commands.items()}


def main(argv):
    args, flags = arguments(argv)
    commands = tasks(args, flags)
    from distributed import Client, LocalCluster, as_completed

    cluster = None if args.scheduler else LocalCluster(n_workers=args.workers, threads_per_worker=1, processes=True, dashboard_address=None)
    failed = 0
    try:
        with Client(args.scheduler or cluster) as client:
            runs = {client.submit(index, command, retries=2, pure=False): run for run, command in commands.items()}
            for task in as_completed(list(runs)):
                code, out, err = task.result()
                failed += code != 0
                print(f"{runs[task]:%Y-%m-%dT%H}: {'done' if code == 0 else f'exit {code}'}\n{out}{err}".rstrip())
    finally:
        if cluster:
            cluster.close()
    print(f"{len(commands) - failed} of {len(commands)} runs are indexed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

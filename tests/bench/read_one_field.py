#!/usr/bin/env python3
"""One 0.25-degree field from an HTTP server into numpy: through a gribfs mount, by kerchunk and fsspec, and by nothing but a GET and a decode.

    read_one_field.py [--latency MS] [--repeats N] [--gribfs PROGRAM] [--keep DIR]

Makes a GRIB2 file of three fields of 721 x 1440 (complex packing, second-order differences, as NCEP packs) with its index file, serves it from
a process of its own on loopback, makes the table (`gribfs index`) and kerchunk's references beforehand, and then lets each reader fetch
t2m once per round:

| reader | what is timed |
|---|---|
| gribfs | `xarray.open_zarr(MOUNT/run_time.zarr)`, then the field as numpy; the mount is new in each round (its making is a column of its own) |
| kerchunk | `xarray.open_dataset(REFERENCES, engine="kerchunk")`, then the field as numpy; decoded by ecCodes |
| floor | one ranged GET (http.client) and one decode by ecCodes |

Every run is a fresh process that has imported and once used its libraries on something small before the clock starts. Readers take turns, so
that load from elsewhere hits all alike. Prints medians and ratios, and checks that all got the same numbers.
"""

import argparse
import http.client
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

warnings.simplefilter("ignore")
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "clients"))
NI, NJ = 1440, 721
FILE = "gfs.t00z.pgrb2.0p25.f024"
READERS = ("gribfs", "kerchunk", "floor")


# ---------------------------------------------------------------- before

def make_file(folder):
    """FILE and its index; returns offset and length of t2m, the second of three messages."""
    import eccodes as ec
    import numpy as np

    lat, lon = np.radians(np.linspace(90, -90, NJ))[:, None], np.radians(np.arange(NI) / 4)[None, :]
    noise = np.random.default_rng(1).standard_normal((NJ, NI))
    waves = sum(np.sin(k * lon + k) * np.cos(lat) ** (k % 4) * np.sin((k + 2) * lat + k) / k for k in range(1, 30))
    fields = [((0, 3, 1), (101, 0), "PRMSL:mean sea level", 101_300 + 900 * waves + 4 * noise, 14),
              ((0, 0, 0), (103, 2), "TMP:2 m above ground", 288 - 30 * np.sin(lat) ** 2 + 6 * waves + 0.1 * noise, 12),
              ((0, 2, 2), (103, 10), "UGRD:10 m above ground", 6 * waves + 0.06 * noise, 13)]
    lines, places = [], []
    with open(folder / FILE, "wb") as file:
        for number, (parameter, surface, words, values, bits) in enumerate(fields, 1):
            h = ec.codes_grib_new_from_samples("GRIB2")
            for key, value in [("gridType", "regular_ll"), ("centre", 7), ("tablesVersion", 2), ("dataDate", 20261122), ("dataTime", 0), ("Ni", NI), ("Nj", NJ),
                               ("latitudeOfFirstGridPointInDegrees", 90), ("latitudeOfLastGridPointInDegrees", -90),
                               ("longitudeOfFirstGridPointInDegrees", 0), ("longitudeOfLastGridPointInDegrees", 359.75),
                               ("iDirectionIncrementInDegrees", 0.25), ("jDirectionIncrementInDegrees", 0.25), ("shapeOfTheEarth", 6),
                               ("discipline", parameter[0]), ("parameterCategory", parameter[1]), ("parameterNumber", parameter[2]),
                               ("typeOfGeneratingProcess", 2), ("typeOfFirstFixedSurface", surface[0]), ("scaleFactorOfFirstFixedSurface", 0),
                               ("scaledValueOfFirstFixedSurface", surface[1]), ("indicatorOfUnitOfTimeRange", 1), ("forecastTime", 24)]:
                ec.codes_set(h, key, value)
            ec.codes_set_values(h, np.linspace(0, 1, NI * NJ))
            ec.codes_set(h, "packingType", "grid_complex_spatial_differencing")
            ec.codes_set(h, "orderOfSpatialDifferencing", 2)
            ec.codes_set(h, "bitsPerValue", bits)
            ec.codes_set_values(h, values.ravel())
            message = ec.codes_get_message(h)
            ec.codes_release(h)
            lines.append(f"{number}:{file.tell()}:d=2026112200:{words}:24 hour fcst:")
            places.append((file.tell(), len(message)))
            file.write(message)
    (folder / f"{FILE}.idx").write_text("\n".join(lines) + "\n")
    return places[1]


def serve(folder, latency):
    """The child process that serves the folder: prints its port, ends with its standard input."""
    import server

    with server.Server(folder, latency / 1000) as running:
        print(running.url(""), flush=True)
        sys.stdin.read()


def make_references(url, folder):
    from kerchunk.grib2 import scan_grib

    for references in scan_grib(url):
        if "t2m/.zarray" in references["refs"]:
            (folder / "t2m.json").write_text(json.dumps(references))
            return
    raise SystemExit("kerchunk finds no t2m")


# ---------------------------------------------------------------- one run, in a process of its own

def tiny_store(folder):
    """A v2 store of four numbers, for warming up: {key: text}."""
    array = {"zarr_format": 2, "compressor": None, "filters": None, "order": "C", "shape": [2, 2], "chunks": [2, 2], "dtype": "<f4", "fill_value": "NaN"}
    meta = {".zgroup": {"zarr_format": 2}, ".zattrs": {}, "a/.zarray": array, "a/.zattrs": {"_ARRAY_DIMENSIONS": ["y", "x"]}}
    keys = {key: json.dumps(value) for key, value in meta.items()} | {"a/0.0": "\0" * 16}
    for key, text in (keys | {".zmetadata": json.dumps({"zarr_consolidated_format": 1, "metadata": meta})}).items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_text(text)
    return keys


def decode(message):
    import eccodes as ec

    h = ec.codes_new_from_message(message)
    values = ec.codes_get_values(h)
    ec.codes_release(h)
    return values


def worker(reader, source, offset, length):
    import numpy as np

    small = (ROOT / "tests/data/archive/gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f000").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if reader == "floor":
            decode(small)
        else:
            import xarray

            keys = tiny_store(folder / "tiny.zarr")
            xarray.open_zarr(str(folder / "tiny.zarr"), chunks=None)["a"].values
        if reader == "kerchunk":
            import fsspec
            import kerchunk.codecs  # noqa: F401

            fsspec.filesystem("http")
            decode(small)
            (folder / "r.json").write_text(json.dumps({"version": 1, "refs": keys}))
            xarray.open_dataset(str(folder / "r.json"), engine="kerchunk", chunks=None)["a"].values
        host, _, path = source.removeprefix("http://").partition("/")
        start = time.perf_counter()
        if reader == "gribfs":
            values = xarray.open_zarr(source, chunks=None)["t2m"][0, 0].values
        elif reader == "kerchunk":
            values = xarray.open_dataset(source, engine="kerchunk", chunks=None)["t2m"].values
        else:
            connection = http.client.HTTPConnection(host)
            connection.request("GET", "/" + path, headers={"Range": f"bytes={offset}-{offset + length - 1}"})
            values = decode(connection.getresponse().read())
        took = time.perf_counter() - start
    values = np.asarray(values, dtype="<f4").ravel()
    assert values.size == NI * NJ
    print(json.dumps({"seconds": took, "sum": float(values.astype("f8").sum())}))


# ---------------------------------------------------------------- all runs

def find_program():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return next((p for p in (target / "release/gribfs", target / "debug/gribfs") if p.exists()), None)


def measure(args, folder):
    offset, length = make_file(folder)
    say = subprocess.Popen([sys.executable, __file__, "--serve", str(folder), "--latency", str(args.latency)],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = say.stdout.readline().strip() + FILE
        make_references(url, folder)
        readers = [r for r in READERS if r != "gribfs" or args.gribfs]
        if args.gribfs:
            subprocess.run([args.gribfs, "index", url, "-o", folder / "t.parquet"], check=True, stdout=subprocess.DEVNULL)
        mount = folder / "mnt"
        mount.mkdir()
        sources = {"gribfs": mount / "run_time.zarr", "kerchunk": folder / "t2m.json", "floor": url}
        seconds, sums, mounting = {r: [] for r in readers}, {}, []
        for round_ in range(args.repeats):
            for reader in readers[round_ % len(readers):] + readers[:round_ % len(readers)]:
                if reader == "gribfs":
                    start = time.perf_counter()
                    subprocess.run([args.gribfs, "mount", folder / "t.parquet", mount], check=True, stdout=subprocess.DEVNULL)
                    mounting.append(time.perf_counter() - start)
                try:
                    done = subprocess.run([sys.executable, __file__, "--worker", reader, str(sources[reader]), str(offset), str(length)],
                                          check=True, capture_output=True, text=True)
                finally:
                    if reader == "gribfs":
                        subprocess.run([args.gribfs, "umount", mount], check=True, stdout=subprocess.DEVNULL)
                result = json.loads(done.stdout.strip().splitlines()[-1])
                seconds[reader].append(result["seconds"])
                sums[reader] = result["sum"]
        assert len(set(sums.values())) == 1, f"the readers do not agree: {sums}"
        return length, seconds, mounting
    finally:
        say.stdin.close()
        say.wait(10)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0, help="milliseconds before each answer of the server (default 0)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--gribfs", default=find_program(), help="the program (default: target/release/gribfs)")
    parser.add_argument("--keep", type=pathlib.Path, help="work here, and leave the files")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--serve", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve(args.serve, args.latency)
    if args.worker:
        reader, source, offset, length = args.worker
        return worker(reader, source, int(offset), int(length))
    folder = args.keep or pathlib.Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        length, seconds, mounting = measure(args, folder)
    finally:
        if not args.keep and not os.path.ismount(folder / "mnt"):
            shutil.rmtree(folder)
    median = {reader: statistics.median(times) for reader, times in seconds.items()}
    if args.json:
        print(json.dumps({"latency_ms": args.latency, "bytes": length, "seconds": seconds, "median": median, "mount_seconds": mounting}))
        return
    if not args.gribfs:
        print("no gribfs program: build it, or name it with --gribfs")
    print(f"one field of {NJ} x {NI}, {length:,} bytes; {args.latency:g} ms latency; medians of {args.repeats} (least, most), ms")
    for reader, times in seconds.items():
        more = f"   mounting: {1000 * statistics.median(mounting):.0f}" if reader == "gribfs" else ""
        print(f"  {reader:9} {1000 * median[reader]:7.1f} ({1000 * min(times):.1f}, {1000 * max(times):.1f})   "
              f"x floor {median[reader] / median['floor']:.2f}   x kerchunk {median[reader] / median['kerchunk']:.2f}{more}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A peer of `gribfs copy --bbox`: the usual loop over a key/value Parquet of references, one message after the other in 8 threads.

  regional_peer.py REFS.parquet OUT.zarr [--exact]

Reads the references row by row, opens each message's URL with fsspec, seeks and reads (--exact: one exact range instead, without read-ahead),
decodes it with gribberish, cuts the box 23 N to 12 S, 20 to 52 E out of the 0.25 degree field, and writes arrays of (member, step, row, column)
in chunks of all steps and members. Prints seconds and the sum of all values that are there. Needs fsspec, aiohttp, gribberish, pandas and
zarr 3: the venv of the benchmark bed.
"""
import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor

import fsspec
import gribberish
import numpy as np
import pandas as pd
import zarr

ROWS, COLUMNS = slice(268, 409), slice(80, 209)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("refs")
    parser.add_argument("out")
    parser.add_argument("--exact", action="store_true")
    args = parser.parse_args()
    began = time.perf_counter()
    messages = {}
    for _, row in pd.read_parquet(args.refs).iterrows():
        value = row["value"].decode() if isinstance(row["value"], bytes) else row["value"]
        name, _, at = row["key"].partition("/")
        # Fields of members and steps; coordinates and documents are not messages.
        if at.count(".") == 3 and not at.startswith(".") and value.startswith("["):
            member, step = (int(part) for part in at.split(".")[:2])
            messages[name, member, step] = json.loads(value)
    files = fsspec.filesystem("http")

    def field(key):
        url, offset, length = messages[key]
        if args.exact:
            message = files.cat_file(url, start=offset, end=offset + length)
        else:
            with files.open(url, "rb") as opened:
                opened.seek(offset)
                message = opened.read(length)
        return np.asarray(gribberish.parse_grib_array(message, 0)).reshape(721, 1440)[ROWS, COLUMNS].astype("f4")

    with ThreadPoolExecutor(8) as pool:
        fields = dict(zip(messages, pool.map(field, messages)))
    members, steps = (max(key[axis] for key in messages) + 1 for axis in (1, 2))
    store = zarr.open_group(args.out, mode="w")
    total = 0.0
    for name in sorted({key[0] for key in messages}):
        values = np.full((members, steps, *next(iter(fields.values())).shape), np.nan, "f4")
        for (_, member, step), box in ((key, box) for key, box in fields.items() if key[0] == name):
            values[member, step] = box
        store.create_array(name, data=values, chunks=values.shape)
        total += float(np.nansum(values, dtype="f8"))
    print(f"{time.perf_counter() - began:.2f} s, {len(messages)} messages, sum {total:.3f}")


if __name__ == "__main__":
    main()

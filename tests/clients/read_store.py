"""Reads Zarr stores with xarray, whatever version this Python has, and tells what it saw: one JSON line in, one out.

In: {"store": PATH}. Out: {"groups": [{"name": "", "arrays": [...], "coordinates": {...}}, ...]} or {"error": TEXT}. Each array has its
dimensions, attributes and one entry per cell (one position of all axes but the grid's): labels, sha256 of the float32 bytes with NaN as
0x7fc00000, number of NaN, and whether the chunk file exists. Times are seconds since 1970, steps seconds. Cells of an array are read
one by one, as xarray reads them; no more than LIMIT points each.
"""

import hashlib
import itertools
import json
import os
import sys
import traceback

import numpy as np
import xarray as xr

LIMIT = 50_000_000
MOST_CELLS = 4000
GRID = {"latitude", "longitude", "y", "x"}


def plain(values):
    if values.dtype.kind == "M":
        return values.astype("datetime64[s]").astype("int64")
    if values.dtype.kind == "m":
        return values.astype("timedelta64[s]").astype("int64")
    return values


def attribute(value):
    return value.tolist() if hasattr(value, "tolist") else value


def digest(values):
    single = np.ascontiguousarray(values, dtype="<f4")
    nan = np.isnan(single)
    if nan.any():
        single = single.copy()
        single.view("<u4")[nan] = 0x7FC00000
    return hashlib.sha256(single.tobytes()).hexdigest(), int(nan.sum())


def read_array(folder, name, array, coordinates):
    leading = [dimension for dimension in array.dims if dimension not in GRID]
    cells = []
    sizes = [array.sizes[d] for d in leading]
    out = {"name": name, "dims": list(array.dims), "shape": list(array.shape), "dtype": str(array.dtype),
           "attrs": {key: attribute(value) for key, value in array.attrs.items()}, "coordinates": str(array.encoding.get("coordinates", "")).split(), "cells": cells}
    points = int(np.prod([array.sizes[d] for d in array.dims if d in GRID], dtype="int64"))
    if points > LIMIT:
        out["skipped"] = f"{points} points"
        return out
    everything = int(np.prod(sizes, dtype="int64")) <= MOST_CELLS
    for index in itertools.product(*map(range, sizes)):
        there = os.path.exists(os.path.join(folder, name, ".".join(map(str, index + (0,) * (array.ndim - len(leading))))))
        if not there and not everything:
            continue
        labels = {d: coordinates[d]["values"][i] if d in coordinates else i for d, i in zip(leading, index)}
        cell = {"labels": labels, "there": there}
        try:
            values = array.isel(dict(zip(leading, index))).values
            cell["sha256"], cell["nan"] = digest(values)
            cell["count"] = values.size
        except Exception as error:  # what the reader raises is the result
            cell["error"] = f"{type(error).__name__}: {error}"
        cells.append(cell)
    return out


def read_group(store, path):
    folder = os.path.join(store, path) if path else store
    data = xr.open_zarr(folder, chunks=None)
    coordinates = {}
    for name, coordinate in data.coords.items():
        values = plain(coordinate.values)
        coordinates[str(name)] = {"dims": list(coordinate.dims), "dtype": str(values.dtype), "decoded": str(coordinate.dtype),
                                  "values": values.tolist(), "attrs": {k: attribute(v) for k, v in coordinate.attrs.items()}}
    arrays = [read_array(folder, str(name), array, coordinates) for name, array in data.data_vars.items()
              if set(array.dims) & GRID and array.dims[-1] in GRID]
    others = {str(name): {"dims": list(array.dims), "values": plain(array.values).tolist()} for name, array in data.data_vars.items()
              if array.dims and array.dims[-1] not in GRID and array.size < 100_000}
    return {"name": path, "arrays": arrays, "coordinates": coordinates, "others": others, "attrs": {k: attribute(v) for k, v in data.attrs.items()}}


def is_group(store, name):
    path = os.path.join(store, name, "zarr.json")
    if not os.path.exists(path):
        return True
    with open(path) as document:
        return json.load(document)["node_type"] == "group"


def read_store(store):
    groups = [read_group(store, "")]
    for name in sorted(os.listdir(store)):
        if any(os.path.exists(os.path.join(store, name, document)) for document in (".zgroup", "zarr.json")) and is_group(store, name):
            groups.append(read_group(store, name))
    return {"groups": groups}


def main():
    for line in sys.stdin:
        try:
            answer = read_store(json.loads(line)["store"])
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes tests/data/refs: a small reference set in each format, pointing into tests/data/archive, and what ecCodes reads from the messages.

    make_ref_fixtures.py [-o tests/data/refs]

Needs eccodes, fsspec, kerchunk, pandas, pyarrow and fastparquet (tests/clients/requirements.txt). Formats: ../shared/docs/reference-formats.md
and src/refs. URLs are relative to tests/data.

| file | format |
|---|---|
| v0.json, v1.json, v1.json.gz | kerchunk JSON; v1 with plain templates, a template that is a function, and `gen` |
| scan.json | a list of sets, as kerchunk's `scan_grib` gives (all messages of a GFS file), its refs by template |
| records_fastparquet.parq, records_pyarrow.parq | kerchunk Parquet: by fsspec's LazyReferenceMapper, and with Null-typed columns as pyarrow writes them |
| gik_v1.par .. gik_v5.par | the five layouts of GIK Parquet |
| ens_01.par, ens_02.par | files of members, one store with an axis `number` |
| stage3_ens_01_final.parquet | `step_` keys of an ECMWF member, URLs without `.grib2`, the level lost |
| k_index.parquet, gik_kind.parquet, kindex_direct.parquet, mapping.parquet | lists of messages: steps as TIME_MICROS; valid times that are wrong; as nanoseconds; 19 columns, one message unmapped |
| expected.json | of each set, the SHA-256 of each chunk's bytes (little-endian, the dtype that `.zarray` declares) as ecCodes decodes the message, or the coordinate's values; of each list, its messages |

The set of v0.json is also opened by zarr-python through fsspec's `reference://` with kerchunk's codec here, and must equal expected.json.
"""

import argparse
import base64
import gzip
import hashlib
import json
import math
import os
import pathlib
import shutil
import warnings

import eccodes as ec
import numpy as np

warnings.simplefilter("ignore")
DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/data"
GFS = "archive/gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f{:03}"
ENFO = "archive/ecmwf/20261122/00z/ifs/3p00/enfo/20261122000000-{}h-enfo-ef.grib2"
HRRR = "archive/hrrr.20261122/conus/hrrr.t12z.wrfsfcf00.grib2"
RUN = 1795305600  # 2026-11-22T00
STEPS, LEVELS = (3, 6, 9), (850, 500)
MESSAGES = [m | {"key": f"archive/{m['key']}"} for m in json.loads((DATA / "archive/manifest.json").read_text())["messages"]]


def message(key, name, level=None, member=None, window=None):
    found = [m for m in MESSAGES if m["key"] == key and m["cfVarName"] == name and level in (None, m["level"]) and member in (None, m.get("member"))
             and window in (None, m["window"])]
    return found[0]


def decoded(m, dtype, what="values"):
    """Bytes of a message's values (or latitudes, longitudes), as ecCodes decodes it, missing ones as NaN."""
    with open(DATA / m["key"], "rb") as file:
        file.seek(m["offset"])
        handle = ec.codes_new_from_message(file.read(m["length"]))
    if what == "values":
        ec.codes_set(handle, "missingValue", 1e300)
        values = ec.codes_get_array(handle, "values")
        values[values == 1e300] = np.nan
    else:
        values = ec.codes_get_array(handle, what)
    ec.codes_release(handle)
    return values.astype(dtype).tobytes()


def digest(content):
    return hashlib.sha256(content).hexdigest()


class Tree:
    """References in kerchunk's tree of groups, and what each chunk holds."""

    def __init__(self):
        self.refs, self.expected = {".zgroup": '{"zarr_format":2}', ".zattrs": "{}"}, {}

    def group(self, path):
        for depth in range(1, path.count("/") + 2):
            self.refs["/".join(path.split("/")[:depth]) + "/.zgroup"] = '{"zarr_format":2}'

    def array(self, path, dims, shape, chunks, dtype, attributes, var=None):
        filters = [{"id": "grib", "var": var, "dtype": {"<f8": "float64", "<f4": "float32"}[dtype]}] if var else None
        # A bare NaN, as these writers leave it.
        text = json.dumps({"shape": shape, "chunks": chunks, "dtype": dtype, "fill_value": math.nan if dtype[1] == "f" else None, "order": "C",
                           "filters": filters, "compressor": None, "zarr_format": 2})
        self.refs[f"{path}/.zarray"] = text
        self.refs[f"{path}/.zattrs"] = json.dumps({"_ARRAY_DIMENSIONS": dims} | attributes)
        self.expected[path] = {}

    def inline(self, path, dims, values, dtype, attributes, name=None, text=False):
        values = np.asarray(values, dtype)
        self.array(path, dims, list(values.shape), list(values.shape), dtype, attributes)
        content = values.tobytes()
        key = name if name is not None else ".".join("0" * values.ndim) or "0"
        self.refs[f"{path}/{key}"] = content.decode("ascii") if text else "base64:" + base64.b64encode(content).decode()
        self.expected[path][".".join("0" * values.ndim) or "0"] = digest(content)

    def message(self, path, chunk, m, dtype, what="values"):
        self.refs[f"{path}/{chunk}"] = [m["key"], m["offset"], m["length"]]
        self.expected[path][chunk] = digest(decoded(m, dtype, what))


def times(tree, group, steps):
    tree.inline(f"{group}/time", ["valid_time"], [RUN] * len(steps), "<i8", {"units": "seconds since 1970-01-01T00:00:00"})
    tree.inline(f"{group}/step", ["valid_time"], steps, "<f8", {"units": "hours", "dtype": "timedelta64[ns]"})
    tree.inline(f"{group}/valid_time", ["valid_time"], [RUN + 3600 * s for s in steps], "<i8", {"units": "seconds since 1970-01-01T00:00:00"})


def globe(tree, group, first=0):
    tree.inline(f"{group}/latitude", ["latitude"], np.arange(90, -91, -3), "<f8", {"units": "degrees_north"})
    tree.inline(f"{group}/longitude", ["longitude"], first + np.arange(0, 360, 3), "<f8", {"units": "degrees_east"})


def attributes(m):
    return {"GRIB_cfVarName": m["cfVarName"], "GRIB_typeOfLevel": m["typeOfLevel"], "GRIB_stepType": m["stepType"], "units": m["units"]}


def forecast():
    """2 m temperature with its level under an empty name, wind on levels with a gap, single precision totals, coordinates that are GRIB."""
    tree = Tree()
    group = "t2m/instant/heightAboveGround"
    tree.group(group)
    tree.array(f"{group}/t2m", ["valid_time", "latitude", "longitude"], [3, 61, 120], [1, 61, 120], "<f8", attributes(message(GFS.format(3), "t2m")), "t2m")
    for at, step in enumerate(STEPS):
        tree.message(f"{group}/t2m", f"{at}.0.0", message(GFS.format(step), "t2m"), "<f8")
    times(tree, group, STEPS), globe(tree, group)
    tree.inline(f"{group}/heightAboveGround", [], 2.0, "<f8", {"units": "m"}, name="", text=True)
    group = "u/instant/isobaricInhPa"
    tree.group(group)
    levels = sorted({m["level"] for m in MESSAGES if m["key"] == GFS.format(3) and m["cfVarName"] == "u" and m["typeOfLevel"] == "isobaricInhPa"})[:2]
    sample = message(GFS.format(3), "u", levels[0])
    tree.array(f"{group}/u", ["valid_time", "isobaricInhPa", "latitude", "longitude"], [3, 2, 61, 120], [1, 1, 61, 120], "<f8", attributes(sample), "u")
    for at, step in enumerate(STEPS):
        for z, level in enumerate(levels):
            if (at, z) != (1, 1):
                tree.message(f"{group}/u", f"{at}.{z}.0.0", message(GFS.format(step), "u", level), "<f8")
    times(tree, group, STEPS), globe(tree, group)
    tree.inline(f"{group}/isobaricInhPa", ["isobaricInhPa"], levels, "<f8", {"units": "hPa"})
    group = "tp/accum/surface"
    tree.group(group)
    m = message(GFS.format(9), "tp", window=[0, 32400])
    tree.array(f"{group}/tp", ["valid_time", "latitude", "longitude"], [1, 61, 120], [1, 61, 120], "<f4", attributes(m), "tp")
    tree.message(f"{group}/tp", "0.0.0", m, "<f4")
    times(tree, group, STEPS[2:]), globe(tree, group)
    group = "projected"
    tree.group(group)
    m = next(m for m in MESSAGES if m["key"] == HRRR and m["cfVarName"] == "t2m")
    tree.array(f"{group}/t2m", ["y", "x"], [27, 45], [27, 45], "<f8", attributes(m), "t2m")
    tree.message(f"{group}/t2m", "0.0", m, "<f8")
    for name in ("latitude", "longitude"):
        tree.array(f"{group}/{name}", ["y", "x"], [27, 45], [27, 45], "<f8", {}, name)
        # Degrees to a millionth: the projection's formulae differ in the last bits.
        tree.refs[f"{group}/{name}/0.0"] = [m["key"], m["offset"], m["length"]]
        values = np.frombuffer(decoded(m, "<f8", f"{name}s"))
        tree.expected[f"{group}/{name}"]["0.0"] = [round(float(v), 6) for v in values[::101]]
    return tree


def member(number):
    tree = Tree()
    group = "t2m/instant/heightAboveGround"
    tree.group(group)
    sample = message(ENFO.format(0), "t2m", member=number)
    tree.array(f"{group}/t2m", ["time", "step", "latitude", "longitude"], [1, 2, 61, 120], [1, 1, 61, 120], "<f8", attributes(sample), "t2m")
    for at, step in enumerate((0, 6)):
        tree.message(f"{group}/t2m", f"0.{at}.0.0", message(ENFO.format(step), "t2m", member=number), "<f8")
    tree.inline(f"{group}/time", ["time"], [RUN], "<i8", {"units": "seconds since 1970-01-01T00:00:00"})
    tree.inline(f"{group}/step", ["step"], [0, 6], "<i8", {"units": "hours"})
    globe(tree, group, -180)
    return tree


def write_table(path, columns):
    import pyarrow.parquet

    pyarrow.parquet.write_table(columns, path, compression="snappy")


def as_text(value):
    return value if isinstance(value, str) else json.dumps(value)


def gik(out, refs):
    import pyarrow as pa

    whole = {"refs": repr(refs).encode(), "version": b"1"}
    two = {"key": pa.array(list(whole)), "value": pa.array(list(whole.values()), pa.binary())}
    write_table(out / "gik_v1.par", pa.table(two))
    write_table(out / "gik_v2.par", pa.table(two | {name: pa.array([text] * 2) for name, text in (("date", "20261122"), ("run", "00"), ("source", "aws_s3"))}))
    write_table(out / "gik_v3.par", by_key(refs))
    write_table(out / "gik_v4.par", pa.table({"reference": pa.array([as_text(v) for v in refs.values()], pa.large_string()), "key": pa.array(list(refs))}))
    split = {"key": list(refs), "value": [None if isinstance(v, list) else v for v in refs.values()]}
    for at, (name, kind) in enumerate((("path", pa.large_string()), ("offset", pa.float64()), ("size", pa.float64()))):
        split[name] = pa.array([v[at] if isinstance(v, list) else None for v in refs.values()], kind)
    write_table(out / "gik_v5.par", pa.table(split))


def by_key(refs):
    import pyarrow as pa

    keys = ["version", "_kerchunk_metadata", *refs]
    values = [b"1", b"{}", *(as_text(v).encode() for v in refs.values())]
    return pa.table({"key": pa.array(keys, pa.large_string()), "value": pa.array(values, pa.binary())})


def records(out, refs):
    """As fsspec writes them, and once more with pyarrow: what is all null there is of the type Null."""
    import fsspec
    import pyarrow.parquet as parquet
    from fsspec.implementations.reference import LazyReferenceMapper

    # An empty chunk name has no place in a record.
    refs = {key[:-1] + "/0" if key.endswith("/") else key: value for key, value in refs.items()}
    for engine in ("fastparquet", "pyarrow"):
        root = out / f"records_{engine}.parq"
        mapper = LazyReferenceMapper.create(root=str(root), fs=fsspec.filesystem("file"), record_size=4, engine=engine)
        for key, value in refs.items():
            if key.rpartition("/")[2].startswith("."):
                mapper[key] = json.dumps(json.loads(value)).encode()
            elif isinstance(value, list):
                mapper[key] = value
            else:
                mapper[key] = base64.b64decode(value[7:]) if value.startswith("base64:") else value.encode()
        mapper.flush()
        # fsspec's fields come with the writer's version in them; nothing else changes from run to run.
        for file in root.rglob("*.parq"):
            assert parquet.read_metadata(file).num_rows == 4, file


def lists(out):
    import pandas as pd
    import pyarrow as pa

    named = [m for m in MESSAGES if m["key"] in (GFS.format(3), GFS.format(9)) and m["cfVarName"] in ("t2m", "u", "tp")]
    run, step = pd.Timestamp(RUN, unit="s"), [pd.Timedelta(hours=m["window"][1] // 3600) for m in named]
    columns = {
        "varname": [m["cfVarName"] for m in named], "typeOfLevel": [m["typeOfLevel"] for m in named], "stepType": [m["stepType"] for m in named],
        "name": [m["shortName"] for m in named], "step": pd.to_timedelta(step), "time": [run] * len(named), "valid_time": [run + s for s in step],
        "uri": [m["key"] for m in named], "offset": [m["offset"] for m in named], "length": [m["length"] for m in named],
        "inline_value": [None] * len(named), "level": [float(m["level"]) for m in named],
    }
    frame = pd.DataFrame(columns)
    frame.to_parquet(out / "k_index.parquet", engine="fastparquet", times="int64", object_encoding={"inline_value": "bytes"} | dict.fromkeys(
        ("varname", "typeOfLevel", "stepType", "name", "uri"), "utf8"), index=False)
    frame.to_parquet(out / "kindex_direct.parquet", engine="pyarrow")
    # As GIK calls it: the run for the valid time, so that the step counts twice.
    frame.assign(time=frame.valid_time, valid_time=frame.valid_time + frame.step).to_parquet(out / "gik_kind.parquet", engine="pyarrow", index=True)
    mapping = {
        "offset_idx": frame.offset, "date": ["2026112200"] * len(named), "attrs": [f"{m['shortName']}:words:" for m in named], "length_idx": frame.length,
        "idx_uri": frame.uri + ".idx", "grib_uri": frame.uri, "varname": frame.varname, "typeOfLevel": frame.typeOfLevel, "stepType": frame.stepType,
        "name": frame.name, "time": frame.time, "step": frame.step, "level": frame.level, "valid_time": frame.valid_time, "uri": frame.uri,
        "offset_grib": frame.offset.astype(float), "length_grib": frame.length.astype(float), "inline_value": [None] * len(named),
    }
    mapping = pd.DataFrame({name: list(values) for name, values in mapping.items()})
    mapping.loc[len(mapping) - 1, ["offset_grib", "length_grib"]] = None
    mapping.index.name = "idx"
    mapping.to_parquet(out / "mapping.parquet", engine="pyarrow")
    steps = {}
    for hours in (0, 6):
        for m in MESSAGES:
            if m["key"] == ENFO.format(hours) and m.get("member") == 1 and m["level"] != LEVELS[0]:
                name = {"t2m": "2t"}.get(m["cfVarName"], m["cfVarName"])
                level_type = "pl" if m["typeOfLevel"] == "isobaricInhPa" else "sfc"
                steps[f"step_{hours:03}/{name}/{level_type}/ens01/0.0.0"] = [m["key"].removesuffix(".grib2"), m["offset"], m["length"]]
    write_table(out / "stage3_ens_01_final.parquet", by_key(steps))
    told = sorted([m["key"], m["offset"], m["length"]] for m in named)
    unmapped = [named[-1]["key"], named[-1]["offset"], named[-1]["length"]]
    return {"k_index.parquet": told, "kindex_direct.parquet": told, "gik_kind.parquet": told, "mapping.parquet": [m for m in told if m != unmapped],
            "stage3_ens_01_final.parquet": sorted([f"{url}.grib2", offset, length] for url, offset, length in steps.values())}


def scanned(out):
    """What kerchunk makes of a file; the chunks it refers to are looked up among the messages."""
    from kerchunk.grib2 import scan_grib

    here = os.getcwd()
    os.chdir(DATA)
    try:
        sets = scan_grib(GFS.format(3))
    finally:
        os.chdir(here)
    plain = json.loads(json.dumps(sets, default=lambda content: content.decode()))
    (out / "scan.json").write_text(json.dumps(plain))
    expected = {}
    for number, one in enumerate(plain):
        for key, value in one["refs"].items():
            if isinstance(value, list):
                path, _, chunk = key.rpartition("/")
                m = next(m for m in MESSAGES if m["key"] == GFS.format(3) and m["offset"] == value[1])
                dtype = json.loads(one["refs"][f"{path}/.zarray"])["dtype"]
                expected[f"{number}/{path}"] = {chunk: digest(decoded(m, dtype))}
    return expected


def check_with_fsspec(tree):
    """zarr-python on `reference://` with kerchunk's codec reads what is expected."""
    import kerchunk.codecs  # noqa: F401
    import zarr
    from fsspec.implementations.reference import ReferenceFileSystem

    for path, chunks in tree.expected.items():
        if path.startswith("projected/l") or path.endswith("heightAboveGround/heightAboveGround"):
            continue
        absolute = {key: value if isinstance(value, str) else [str(DATA / value[0]), *value[1:]] for key, value in tree.refs.items()}
        fs = ReferenceFileSystem(absolute, remote_protocol="file", asynchronous=True)
        array = zarr.open_array(zarr.storage.FsspecStore(fs, path=path), mode="r", zarr_format=2)
        for chunk, expected in chunks.items():
            place = tuple(slice(int(at) * length, (int(at) + 1) * length) for at, length in zip(chunk.split("."), array.chunks)) if array.shape else ()
            assert digest(np.ascontiguousarray(array[place]).tobytes()) == expected, (path, chunk)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", type=pathlib.Path, default=DATA / "refs")
    out = parser.parse_args().o
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    tree = forecast()
    check_with_fsspec(tree)
    refs = tree.refs
    # Version 0, metadata of arrays as JSON objects where that is possible, numbers as floats here and there.
    zero = {key: json.loads(value) if key.endswith(".zgroup") else [*value[:2], float(value[2])] if isinstance(value, list) else value for key, value in refs.items()}
    (out / "v0.json").write_text(json.dumps(zero))
    templates = {"g": GFS.format(3)[:-1], "f": GFS.format(3)[:-1] + "{{c}}"}
    one, generated = {}, []
    for key, value in refs.items():
        if isinstance(value, list) and value[0].startswith(templates["g"]) and key.startswith("u/"):
            dimensions = {"i": [int(key.rpartition("/")[2].split(".")[0])]}
            generated.append({"key": key.rpartition("/")[0] + "/{{i}}." + key.rpartition("/")[2].split(".", 1)[1], "url": "{{g}}" + value[0][-1],
                              "offset": f"{{{{{value[1]} + i * 0}}}}", "length": str(value[2]), "dimensions": dimensions})
        elif isinstance(value, list) and value[0].startswith(templates["g"]):
            one[key] = ["{{g}}" + value[0][-1] if key.startswith("tp") else '{{f(c="' + value[0][-1] + '")}}', *value[1:]]
        else:
            one[key] = value
    text = json.dumps({"version": 1, "templates": templates, "gen": generated, "refs": one})
    (out / "v1.json").write_text(text)
    (out / "v1.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    gik(out, refs)
    records(out, refs)
    sets = dict.fromkeys(("v0.json", "v1.json", "v1.json.gz", "records_fastparquet.parq", "records_pyarrow.parq", *(f"gik_v{n}.par" for n in range(1, 6))), tree.expected)
    sets["scan.json"] = scanned(out)
    joined = {}
    for place, number in enumerate((1, 2)):
        own = member(number)
        write_table(out / f"ens_{number:02}.par", by_key(own.refs))
        sets[f"ens_{number:02}.par"] = own.expected
        for path, chunks in own.expected.items():
            for chunk, content in chunks.items():
                chunk = chunk if not path.endswith("t2m") else ".".join([*chunk.split(".")[:2], str(place), "0", "0"])
                joined.setdefault(path, {})[chunk] = content
    joined["t2m/instant/heightAboveGround/number"] = {"0": digest(np.array([1, 2], "<i8").tobytes())}
    sets["ens_*.par"] = joined
    distinct = {}
    for content in sets.values():
        distinct.setdefault(json.dumps(content), len(distinct))
    document = {"made_by": "scripts/make_ref_fixtures.py", "eccodes": ec.__version__, "values": [json.loads(text) for text in distinct],
                "sets": {name: distinct[json.dumps(content)] for name, content in sets.items()}, "lists": lists(out)}
    (out / "expected.json").write_text(json.dumps(document, indent=0))


if __name__ == "__main__":
    main()

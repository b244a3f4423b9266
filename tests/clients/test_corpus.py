"""Real GRIB2 files of many centres, one mount each: every plain message is found with ecCodes' bits, or refused when it is indexed.

Cells are matched by value and label, not by array name, so these tests do not lean on the naming rule: a message on a regular
latitude-longitude or Lambert grid must be a cell of its own run, step and member with equal bits, and no cell may hold anything that is no message.
"""

import collections
import functools
import json
import re

import compare
import oracle
import pytest
from conftest import TEST_DATA

FOLDER = TEST_DATA / "grib"
FILES = [p for p in oracle.grib_files(FOLDER) if "expected" not in p.parts and p.suffix not in (".csv", ".md")] if FOLDER.exists() else []
KNOWN_REASONS = (
    "conflict",  # two messages of one identity that differ: neither can be told to be right (files put together from others)
    "contradicts itself",  # a grid whose latitudes run against its scanning mode: ecCodes has no coordinates for it either
    "ends before it starts",  # a window of -36 h: ecCodes reads an end step of half a million years
)


@functools.cache
def truth(path):
    return oracle.read_files([path])


@pytest.fixture(scope="module")
def indexed(gribfs, tmp_path_factory):
    """Table and account of one file, made once."""
    made = {}

    def get(path):
        if path not in made:
            table = tmp_path_factory.mktemp("corpus") / "t.parquet"
            done = gribfs("index", "--scan", "--json", path, "-o", table, "--allow-missing", code=None)
            assert done.returncode in (0, 1) and "panicked" not in done.stderr, done.stderr
            assert done.stdout, f"no account: {done.stderr}"
            made[path] = (table, json.loads(done.stdout))
        return made[path]

    return get


def refused(account):
    """Offset of each message that was refused -> why."""
    places = ((re.search(r"byte (\d+)", problem["message"] or ""), problem) for problem in account["problems"])
    return {int(place[1]): f"{problem['status']}: {problem['reason']}" for place, problem in places if place}


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_plain_message_is_served_or_refused(path, indexed, mount, reader):
    fields = truth(path)
    if not fields:
        pytest.skip("no whole GRIB2 message")
    table, account = indexed(path)
    why = refused(account)
    plain = [field for field in fields if field.plain]
    if not account["placed"]:
        assert not [field.name for field in plain if field.offset not in why]
        pytest.skip(f"nothing placed: {sorted(set(why.values()))[:3]}")
    groups = reader(mount(table) / "run_time.zarr").groups
    cells = collections.defaultdict(list)
    for group in groups:
        for array in group["arrays"]:
            for cell in array["cells"]:
                where = f"{group['name']}/{array['name']} {cell['labels']}"
                if "error" in cell:
                    # What the table cannot place raises, where there is a cell for it.
                    assert why, f"{where}: {cell['error']}"
                elif cell["there"]:
                    cells[cell["sha256"]].append((group, array, cell["labels"], where))
                else:
                    assert cell["nan"] == cell["count"], where
    # Fields on other grids and in messages of several fields may be served too, once they are supported; then this must learn them.
    if all(field.plain for field in fields):
        known = {field.sha256 for field in plain}
        foreign = [entry[3] for digest, entries in cells.items() if digest not in known for entry in entries]
        assert not foreign, f"cells that hold no message of the file: {foreign[:5]}"
    lost = []
    for field in plain:
        labels = {"time": field.reference} | ({"step": field.step} if field.step is not None else {})
        matching = [entry for entry in cells[field.sha256] if all(entry[2].get(k) == v for k, v in labels.items())
                    and entry[2].get("number", field.member) == field.member]
        if field.type_of_level == "isobaricInhPa":
            matching = [entry for entry in matching if abs(entry[2].get("isobaricInhPa", field.surface[1] / 100) - field.surface[1] / 100) < 1e-6]
        if matching and field.latitudes is not None:
            compare.check_grid(matching[0][0]["coordinates"], field, field.name)
        if not matching and field.offset not in why:
            lost.append(f"{field.name} (equal bits at {[entry[3] for entry in cells[field.sha256]][:2]})")
    assert not lost, f"{len(lost)} messages are neither served nor refused, e.g. {lost[:4]}; refused: {list(why.items())[:4]}"


def test_what_is_refused_is_not_what_is_promised(indexed):
    """Single fields on regular latitude-longitude and Lambert grids are refused only for reasons that are known here."""
    surprises, count = [], 0
    for path in FILES:
        why = refused(indexed(path)[1])
        for field in truth(path):
            count += field.plain
            if field.plain and field.offset in why and not any(known in why[field.offset] for known in KNOWN_REASONS):
                surprises.append(f"{field.name}: {why[field.offset]}")
    assert not surprises, f"{len(surprises)} of {count}: {surprises[:10]}"

"""Real GRIB2 files of many centres, one mount each: every plain message is found with ecCodes' bits, or refused when it is indexed.

Cells are matched by value and label, not by array name, so these tests do not lean on the naming rule: a message on a regular
latitude-longitude or Lambert grid must be a cell of its own run, step and member with equal bits, and no cell may hold anything that is no message.
"""

import collections
import functools
import re

import compare
import oracle
import pytest
from conftest import TEST_DATA

FOLDER = TEST_DATA / "grib"
FILES = [p for p in oracle.grib_files(FOLDER) if "expected" not in p.parts and p.suffix not in (".csv", ".md")] if FOLDER.exists() else []


def has_plain_message(path):
    return any(length > 0 for _, length, _, _ in oracle.messages(path.read_bytes()))


@functools.cache
def truth(path):
    return oracle.read_files([path])


@pytest.fixture(scope="module")
def mounted(gribfs, module_mount, tmp_path_factory):
    made = {}

    def get(path):
        if path not in made:
            table = tmp_path_factory.mktemp("corpus") / "t.parquet"
            done = gribfs("index", "--scan", path, "-o", table, "--allow-missing", check=None)
            assert done.returncode in (0, 1) and "panicked" not in done.stderr, done.stderr
            said = re.search(r"([\d,]+) of ([\d,]+) messages placed", done.stdout + done.stderr)
            placed = int(said[1].replace(",", "")) if said else 0
            made[path] = (module_mount(table) if placed else None, done, placed)
        return made[path]

    return get


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_plain_message_is_served_or_refused(path, mounted, reader):
    fields = truth(path)
    if not fields:
        pytest.skip("no whole GRIB2 message")
    mount, done, placed = mounted(path)
    text = done.stdout + done.stderr
    plain = [field for field in fields if field.plain]
    refused = len(fields) - placed
    if mount is None:
        assert len(text.strip().splitlines()) >= 1, "nothing placed, nothing said"
        assert not plain or refused >= len(plain)
        pytest.skip(f"nothing placed: {text.strip().splitlines()[-1][:200]}")
    groups = reader(mount / "run_time.zarr").groups
    cells = collections.defaultdict(list)
    for group in groups:
        for array in group["arrays"]:
            for cell in array["cells"]:
                where = f"{group['name']}/{array['name']} {cell['labels']}"
                assert "error" not in cell, f"{where}: {cell['error']}"
                if cell["there"]:
                    cells[cell["sha256"]].append((group, array, cell["labels"], where))
                else:
                    assert cell["nan"] == cell["count"], where
    known = {field.sha256 for field in plain}
    foreign = [entry[3] for digest, entries in cells.items() if digest not in known for entry in entries]
    # Fields on other grids and in messages of several fields may be served too, once they are supported; then this must learn them.
    if not any(not field.plain for field in fields):
        assert not foreign, f"cells that hold no message of the file: {foreign[:5]}"
    lost = []
    for field in plain:
        labels = {"time": field.reference} | ({"step": field.step} if field.step is not None else {})
        matching = [entry for entry in cells[field.sha256] if all(entry[2].get(k) == v for k, v in labels.items())
                    and entry[2].get("number", field.member) == field.member]
        if field.type_of_level == "isobaricInhPa":
            matching = [entry for entry in matching if abs(entry[2].get("isobaricInhPa", field.surface[1] / 100) - field.surface[1] / 100) < 1e-6]
        if not matching:
            lost.append(f"{field.name} (equal bits at {[entry[3] for entry in cells[field.sha256]][:2]})")
            continue
        if field.latitudes is not None:
            compare.check_grid(matching[0][0]["coordinates"], field, field.name)
    assert len(lost) <= refused, f"{len(lost)} messages are neither served nor refused, e.g. {lost[:4]}\n{text}"

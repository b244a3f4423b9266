"""The README's table of readers, line by line: each command is run as it stands, beside a mount `gfs`."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ARCHIVE, ROOT
from matrix import missing

TABLE = (ROOT / "README.md").read_text().split("\n## Readers\n")[1].split("\n## ")[0]
LINES = {cells[0].strip(): cells[2].split("`")[1] for cells in (line.strip("|").split(" | ") for line in TABLE.splitlines()[2:] if line.startswith("| ")) if "`" in cells[2]}


@pytest.fixture(scope="module")
def place(gribfs, module_mount, tmp_path_factory):
    """A folder with a mount `gfs` in it."""
    folder = tmp_path_factory.mktemp("readme")
    gribfs("index", ARCHIVE / "gfs.20261122", "-o", folder / "gfs.parquet")
    os.symlink(module_mount(folder / "gfs.parquet").path, folder / "gfs")
    return folder


def python_of(text):
    """The modules that a line of Python names, or None if it is none."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return None
    return sorted({node.value.id for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)})


def test_the_table_has_every_reader():
    assert len(LINES) >= 18, sorted(LINES)


@pytest.mark.parametrize("reader", LINES)
def test_the_line_of(place, reader):
    text = LINES[reader]
    modules = python_of(text)
    environment = {**os.environ}
    if modules:
        program = f"import {', '.join(modules)}\nseen = {text}\nassert seen is not None\n"
        command = [sys.executable, "-W", "ignore", "-c", program]
        if reader == "zarr-python 2":
            command[0] = os.environ.get("GRIBFS_ZARR2_PYTHON", str(ROOT / ".venv-zarr2/bin/python"))
        absent = [module for module in modules if not importlib.util.find_spec(module)] if command[0] == sys.executable else []
        if absent or not os.path.exists(command[0]):
            missing(absent or command[0])
    else:
        if "GRIBFS_ZARRS_READER" in os.environ:
            environment["PATH"] += os.pathsep + os.path.dirname(os.environ["GRIBFS_ZARRS_READER"])
        tool = re.match(r"\S+", text).group()
        if not shutil.which(tool, path=environment["PATH"]):
            missing(tool)
        command = ["sh", "-c", text]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "ERROR" not in done.stderr, f"{text}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"

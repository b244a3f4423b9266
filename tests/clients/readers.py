"""A Python of another environment as a reader: keeps one process of read_store.py, so that imports are paid once."""

import json
import os
import pathlib
import subprocess
import sys


class Worker:
    """`worker(store)` returns what read_store.py saw."""

    def __init__(self, kind, root):
        self.kind = kind
        self.python = pathlib.Path(sys.executable)
        if kind == "zarr2":
            self.python = pathlib.Path(os.environ.get("GRIBFS_ZARR2_PYTHON", root / ".venv-zarr2/bin/python"))
        self.available = self.python.exists()
        self.missing = f"no environment with zarr-python 2.18 ({self.python}); scripts/setup makes it"
        self.process = None

    def __call__(self, store):
        if self.process is None:
            script = pathlib.Path(__file__).with_name("read_store.py")
            self.process = subprocess.Popen([str(self.python), "-W", "ignore", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(json.dumps({"store": str(store)}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, f"{self.kind} cannot read {store}:\n{answer['error']}"
        return Store(answer["groups"])

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(10)


class Store:
    """What a reader saw of one store; `arrays` and `coordinates` are those of the root group, by name."""

    def __init__(self, groups):
        self.groups = groups
        self.arrays = {array["name"]: array for array in groups[0]["arrays"]}
        self.coordinates = groups[0]["coordinates"]
        self.others = groups[0]["others"]

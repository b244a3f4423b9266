"""The archive as the reader tests see it: each product mounted in each layout and format, beside what ecCodes says of it."""

import os
import pathlib

import expected
import oracle
import pytest
from conftest import ARCHIVE

# A collection of runs with pressure levels and gaps, two ensembles (one of them with pressure levels), a projected grid.
PRODUCTS = {"gfs": "gfs.20261122", "gefs": "gefs.20261122", "ecmwf": "ecmwf", "hrrr": "hrrr.20261122"}
# `--clients all` promises that every reader runs; then a missing one fails instead of being skipped.
ALL = os.environ.get("GRIBFS_CLIENTS") == "all"


def missing(what):
    """Skips, or fails where all readers are wanted."""
    (pytest.fail if ALL else pytest.skip)(f"skipped: {what} is not here (scripts/test --clients all)")


class Matrix:
    """`store(product, name, layout, version)` is the path of a store of a mount that is made when first wanted."""

    def __init__(self, gribfs, mount, work):
        self.gribfs, self.mount, self.work = gribfs, mount, work
        self.tables, self.mounts, self.known = {}, {}, {}

    def table(self, product):
        if product not in self.tables:
            self.tables[product] = self.work / f"{product}.parquet"
            self.gribfs("index", ARCHIVE / PRODUCTS[product], "-o", self.tables[product])
        return self.tables[product]

    def root(self, product, layout="flat", version=2):
        key = (product, layout, version)
        if key not in self.mounts:
            self.mounts[key] = self.mount(self.table(product), "--layout", layout, "--zarr-format", version).path
        return self.mounts[key]

    def store(self, product, name="run_time", layout="flat", version=2):
        return pathlib.Path(self.root(product, layout, version)) / f"{name}.zarr"

    def arrays(self, product, name="run_time"):
        """Array -> Whole, by the names that the store uses."""
        key = (product, name)
        if key not in self.known:
            fields = self.fields(product)
            there = set(os.listdir(self.store(product, name)))
            wanted = getattr(expected, name)(fields)
            self.known[key] = {next(n for n in ((names,) if isinstance(names, str) else names) if n in there): whole for names, whole in wanted.items()}
        return self.known[key]

    def fields(self, product):
        if product not in self.known:
            self.known[product] = oracle.read_files(oracle.grib_files(ARCHIVE / PRODUCTS[product]), keep_values=True)
        return self.known[product]


@pytest.fixture(scope="module")
def matrix(module_mount, gribfs, tmp_path_factory):
    return Matrix(gribfs, module_mount, tmp_path_factory.mktemp("matrix"))


@pytest.fixture(params=PRODUCTS)
def product(request):
    return request.param


@pytest.fixture(scope="module")
def damaged(gribfs, module_mount, tmp_path_factory):
    """A store whose t2m of run 0, step 6 h is no message any more: the index lists it, the file has other bytes there."""
    folder = tmp_path_factory.mktemp("damaged")
    archive = folder / "archive"
    for source in (ARCHIVE / PRODUCTS["gfs"]).rglob("*"):
        if source.is_file():
            copy = archive / source.relative_to(ARCHIVE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    gribfs("index", archive, "-o", folder / "table.parquet")
    broken = next(path for path in archive.rglob("*.f006") if "t00z" in path.name)
    field = next(f for f in oracle.read_files([broken]) if f.short_name == "2t")
    before = broken.stat()
    with open(broken, "r+b") as file:
        file.seek(field.offset)
        file.write(b"\0" * field.length)
    # A changed file is refused as a whole (ESTALE); here only the bytes of one message are to be wrong.
    os.utime(broken, ns=(before.st_atime_ns, before.st_mtime_ns))
    return module_mount(folder / "table.parquet") / "run_time.zarr"


BROKEN = (0, 2)  # index of that cell

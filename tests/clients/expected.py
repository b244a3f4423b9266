"""Whole arrays of a store by ecCodes alone: every cell at its place along sorted axes, NaN where there is no message.

A second way to say what `compare.check_cells` says cell by cell, for readers that hand over arrays without labels (GDAL, CDO, tensorstore).
"""

import dataclasses

import numpy as np
import oracle


@dataclasses.dataclass
class Whole:
    """One array: names and labels of its axes (the grid's last), and its values as float32."""

    dims: tuple
    labels: dict
    values: np.ndarray
    fields: dict  # index of a cell -> Field

    def same(self, seen, what, at=()):
        """`seen` has the same shape and bits, NaN for NaN, as the part `at` of this array."""
        wanted = self.values[at]
        seen = np.ma.filled(np.ma.asarray(seen).astype("<f4"), np.nan)
        assert seen.shape == wanted.shape, f"{what}: shape {seen.shape}, {wanted.shape} is right"
        wrong = ~((seen == wanted) | (np.isnan(seen) & np.isnan(wanted)))
        assert not wrong.any(), f"{what}: {int(wrong.sum())} of {wrong.size} values are wrong, {int((wrong & np.isnan(seen)).sum())} of them NaN"


def whole(cells, axes, sizes):
    """`cells`: Cell -> Field; `axes`: name -> labels; `sizes`: name -> function of a cell, or None for an axis that this array lacks."""
    used = [axis for axis in axes if all(sizes[axis](cell) is not None for cell in cells)]
    labels = {axis: axes[axis] for axis in used}
    some = next(iter(cells.values()))
    values = np.full((*(len(labels[axis]) for axis in used), *some.values.shape), np.nan, "<f4")
    fields = {}
    for cell, field in cells.items():
        index = tuple(labels[axis].index(sizes[axis](cell)) for axis in used)
        assert index not in fields, f"two messages for one cell: {field.name}"
        values[index], fields[index] = field.values, field
    return Whole((*used, *grid_of(some)), labels, values, fields)


def grid_of(field):
    return ("latitude", "longitude") if field.grid == "regular_ll" else ("y", "x")


LABEL = {"time": lambda cell: cell.reference, "step": lambda cell: cell.step, "valid_time": lambda cell: cell.reference + cell.step,
         "number": lambda cell: cell.member, "isobaricInhPa": lambda cell: cell.level}


def every(values):
    """Moments at one cadence, as `time` and `valid_time` have them."""
    found = sorted(set(values))
    gap = min((b - a for a, b in zip(found, found[1:])), default=1)
    return list(range(found[0], found[-1] + 1, gap))


def axes_of(arrays, *time_like):
    cells = [cell for found in arrays.values() for cell in found]
    def labels(axis):
        values = {LABEL[axis](cell) for cell in cells} - {None}
        return every(values) if axis in ("time", "valid_time") else sorted(values)
    return {axis: labels(axis) for axis in (*time_like, "number", "isobaricInhPa")}


def run_time(fields):
    """Name (or alternatives) -> Whole of run_time.zarr."""
    arrays = oracle.arrays(fields)
    axes = axes_of(arrays, "time", "step")
    return {name: whole(cells, axes, LABEL) for name, cells in arrays.items()}


def best_available(fields):
    """The same of best_available.zarr."""
    arrays = {name: {cell: field for chosen in oracle.best(cells).values() for cell, field in chosen.items()}
              for name, cells in oracle.arrays(fields).items() if not oracle.is_run_total(name, cells)}
    axes = axes_of(arrays, "valid_time")
    return {name: whole(cells, axes, LABEL) for name, cells in arrays.items()}

"""Compares what a reader saw of a store with what ecCodes says must be in it, cell by cell."""

import numpy as np

DEGREES = 1e-9  # both compute in double precision from the same integers
PROJECTED_DEGREES = 1e-6


def label(value):
    return round(value, 6) if isinstance(value, float) else value


def key_of(labels, order):
    return tuple(label(labels[name]) for name in order if name in labels)


def check_cells(array, expected, order, what):
    """`expected`: labels in the order of `order` -> Field. Every one must be there with equal bits, every other cell must be NaN."""
    seen = {}
    for cell in array["cells"]:
        key = key_of(cell["labels"], order)
        assert key not in seen, f"{what}: two cells are labelled {key}"
        seen[key] = cell
    absent = [key for key in expected if key not in seen]
    assert not absent, f"{what}: no cell for {absent[:5]}; the store has {list(seen)[:5]} ..."
    for key, cell in seen.items():
        assert "error" not in cell, f"{what} {key}: {cell['error']}"
        field = expected.get(key)
        if field is None:
            assert cell["nan"] == cell["count"], f"{what} {key}: there is no such message, yet the cell has numbers"
            assert not cell["there"], f"{what} {key}: a gap has a chunk file"
        else:
            assert cell["there"], f"{what} {key}: the chunk file of {field.name} is missing"
            assert cell["sha256"] == field.sha256, f"{what} {key}: not the values of {field.name} ({cell['nan']} NaN, ecCodes {field.nan})"


def check_grid(coordinates, field, what):
    """1-D latitude and longitude of a regular grid, or 2-D ones over y, x, against ecCodes' points (see `oracle.slack`)."""
    lat, lon = (np.array(coordinates[name]["values"]) for name in ("latitude", "longitude"))
    tolerance = DEGREES if field.grid == "regular_ll" else PROJECTED_DEGREES
    if field.grid == "regular_ll":
        assert coordinates["latitude"]["dims"] == ["latitude"] and coordinates["longitude"]["dims"] == ["longitude"], what
        lat, lon = np.broadcast_arrays(lat[:, None], lon[None, :])
    else:
        assert coordinates["latitude"]["dims"] == ["y", "x"], what
        spacing = np.diff(coordinates["x"]["values"])
        assert np.allclose(spacing, spacing[0]), f"{what}: x is not evenly spaced"
    assert lat.shape == field.latitudes.shape, f"{what}: {lat.shape}, ecCodes has {field.latitudes.shape}"
    off_lat = np.abs(lat - field.latitudes).max()
    turn = np.abs(lon - field.longitudes) % 360
    off_lon = np.minimum(turn, 360 - turn)[np.abs(lat) < 89.999999].max(initial=0)
    assert off_lat <= tolerance + field.slack[0] and off_lon <= tolerance + field.slack[1], f"{what}: off by {off_lat} in latitude, {off_lon} in longitude"


def choose(names, store):
    """The name that the store uses of several that the rules allow."""
    if isinstance(names, str):
        return names
    found = [name for name in names if name in store.arrays]
    assert len(found) == 1, f"exactly one of {names} must be there; the store has {sorted(store.arrays)}"
    return found[0]


def check_windows(store, name, order, cells, what):
    """The bounds variable that an array names holds the window of each of its cells, as seconds from the run. `cells`: labels -> window."""
    array = store.arrays[name]
    bounds = store.coordinates.get(array["attrs"].get("step_bounds"))
    assert bounds, f"{what}: no bounds variable"
    *leading, last = bounds["dims"]
    assert last == "bnds", f"{what}: {bounds['dims']}"
    for labels, window in cells.items():
        value = bounds["values"]
        for dimension in leading:
            value = value[store.coordinates[dimension]["values"].index(labels[order.index(dimension)])]
        assert tuple(value) == tuple(window), f"{what} {labels}: the bounds say {value}, the message {window}"


def check_origin(store, name, cells, what):
    """`time` and `step` along valid_time (an array's own where it has them) say which run each cell is from. `cells`: valid time -> (run, step)."""
    named = store.arrays[name]["coordinates"]
    for base, wanted in (("time", 0), ("step", 1)):
        own = [c for c in named if c in (base, f"{base}_{name}")]
        assert len(own) == 1, f"{what}: {named}"
        values = dict(zip(store.coordinates["valid_time"]["values"], store.coordinates[own[0]]["values"]))
        for valid, origin in cells.items():
            assert values[valid] == origin[wanted], f"{what} {valid}: {own[0]} is {values[valid]}, the cell is from {origin}"

"""--layout tree: kerchunk's groups, each a whole data set of its own, with the same values as the flat store."""

import json

import pytest
import xarray
from test_values import products  # noqa: F401 (a fixture)


def leaves(arrays):
    """Path of each array by the rule: variable, step type, level type, and the name without what those say."""
    for name, array in arrays.items():
        level, step = array.attrs["GRIB_typeOfLevel"], array.attrs["GRIB_stepType"]
        leaf = name.removesuffix(f"_{step}").removesuffix(f"_{level}")
        yield name, f"/{array.attrs['GRIB_cfVarName']}/{step}/{level}", leaf


@pytest.mark.parametrize("name", ["gfs", "gefs", "hrrr"])
@pytest.mark.parametrize("version", ["2", "3"])
def test_the_tree_holds_what_the_flat_store_holds(products, mount, name, version):  # noqa: F811
    product = products(name)
    made = mount(product.table, "--layout", "tree", "--zarr-format", version)
    for store in ("run_time", "best_available"):
        flat = xarray.open_zarr(str(product.mount / f"{store}.zarr"), chunks=None)
        tree = xarray.open_datatree(str(made / f"{store}.zarr"), engine="zarr", chunks=None)
        seen = set()
        for flat_name, path, leaf in leaves(flat.data_vars):
            if flat[flat_name].dims[-1] not in ("longitude", "x"):
                continue
            array = tree[path][leaf]
            # A leaf has the coordinates of its own arrays alone.
            own = set(flat[flat_name].encoding["coordinates"].split()) if "coordinates" in flat[flat_name].encoding else set()
            assert (own | set(array.dims)) & set(flat.coords) <= set(tree[path].coords), f"{path}: {sorted(tree[path].coords)}"
            others = set(flat[flat_name].coords) - set(array.coords)
            xarray.testing.assert_identical(array.rename(flat_name), flat[flat_name].drop_vars(others))
            seen.add(path)
        assert {node.path for node in tree.leaves} == seen
    path = product.mount.path if hasattr(product.mount, "path") else product.mount
    assert not (path / "run_time.zarr/t2m/instant").exists(), "flat is the default"


def test_each_group_can_be_opened_alone(products, mount):  # noqa: F811
    made = mount(products("gfs").table, "--layout", "tree", "--variable", "t2m,gh")
    folder = made / "run_time.zarr"
    for group in ("", "t2m", "t2m/instant", "t2m/instant/heightAboveGround"):
        document = json.loads((folder / group / ".zmetadata").read_text())
        assert any(key.endswith("t2m/.zarray") for key in document["metadata"]), group
    leaf = xarray.open_zarr(str(folder / "t2m/instant/heightAboveGround"), consolidated=True)
    assert list(leaf.data_vars) == ["t2m"] and {"latitude", "longitude", "time", "step", "valid_time"} <= set(leaf.coords)
    assert "isobaricInhPa" not in leaf.coords and "isobaricInhPa" in xarray.open_zarr(str(folder / "gh/instant/isobaricInhPa")).coords

"""The scripts that spread gribfs over a cluster: processes of a LocalCluster, a Slurm array, a shell; each result is that of one process."""

import os
import subprocess
import sys

import conftest
import oracle
import pytest
from conftest import ARCHIVE, ROOT
from test_copy import remote_table, tree
from test_values import products  # noqa: F401 (a fixture)

SCRIPTS = ROOT / "scripts"


def script(name, *args, code=0, env=None, timeout=120):
    pytest.importorskip("distributed", reason="skipped: no dask.distributed here")
    done = subprocess.run([sys.executable, SCRIPTS / name, *map(str, args)], capture_output=True, text=True, timeout=timeout, env=env, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_a_copy_by_processes_of_dask_is_that_of_one(products, gribfs, tmp_path):  # noqa: F811
    product = products("gfs")
    flags = ["--slice", "run_time", "--variable", "t2m,gh,tp*", "--chunks", "step=2,latitude=40"]
    gribfs("copy", product.table, tmp_path / "whole.zarr", *flags)
    own = ["--workers", "3", "--parts", "7", "--gribfs", conftest.PROGRAM, "--", *flags]
    done = script("dask_copy.py", product.table, tmp_path / "a.zarr", *own)
    assert "7 of 7 parts are done" in done.stderr
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")


def test_messages_that_dask_cannot_have_either_are_told(gribfs, http, tmp_path):
    folder = ARCHIVE / "gefs.20261122"
    table = remote_table(gribfs, http, folder, tmp_path)
    http.fault(str(oracle.grib_files(folder)[0].relative_to(ARCHIVE)), "404")
    gribfs("copy", table, tmp_path / "whole.zarr", code=1)
    done = script("dask_copy.py", table, tmp_path / "a.zarr", "--workers", "2", "--gribfs", conftest.PROGRAM, code=1)
    assert "left as fill" in done.stdout
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")


def test_a_table_by_processes_of_dask_is_that_of_one(gribfs, tmp_path):
    runs = sorted(path.name for path in (ARCHIVE / "gfs.20261122").iterdir() if path.is_dir())
    assert len(runs) > 1
    source = str(ARCHIVE / "gfs.%Y%m%d/%H/atmos/*")
    source = source if (ARCHIVE / "gfs.20261122" / runs[0] / "atmos").is_dir() else str(ARCHIVE / "gfs.%Y%m%d/%H/")
    gribfs("index", *(source.replace("%Y%m%d", "20261122").replace("%H", run) for run in runs), "-o", tmp_path / "whole/")
    own = ["--runs", f"2026-11-22T{runs[0]}..2026-11-22T{runs[-1]}", "--every", "6h", "--workers", "3", "--gribfs", conftest.PROGRAM]
    done = script("dask_index.py", source, "-o", tmp_path / "a/", *own)
    assert f"{len(runs)} of {len(runs)} runs are indexed" in done.stdout
    assert tree(tmp_path / "a") == tree(tmp_path / "whole") and len(tree(tmp_path / "a")) == len(runs)
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in tree(tmp_path / "whole"):
        assert parquet.read_table(tmp_path / "a" / name).equals(parquet.read_table(tmp_path / "whole" / name)), name
    done = script("dask_index.py", str(tmp_path / "none-%H.grib2"), "-o", tmp_path / "b/", *own, code=1)
    assert f"0 of {len(runs)} runs" in done.stdout
    assert "same for all runs" in script("dask_index.py", "a.grib2", "-o", tmp_path / "b/", *own, code=2).stderr
    assert "sources of another run" in script("dask_index.py", "a-%d.grib2", "-o", tmp_path / "b/", *own, code=1).stderr
    assert "name a directory" in script("dask_index.py", "a-%H.grib2", "-o", tmp_path / "b.parquet", *own, code=2).stderr


SBATCH = """#!/bin/sh
# Runs the tasks of an array at once, as Slurm does, and a job that waits for them after those.
for flag; do
    case $flag in
    --array=1-*) last=${flag#--array=1-} ;;
    --*) ;;
    *) break ;;
    esac
    shift
done
[ -z "${last:-}" ] && { "$@" >&2; echo "$?" > "$CODE"; echo 8; exit 0; }
for task in $(seq "$last"); do
    SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_MAX=$last "$@" >&2 &
done
wait
echo 7
"""


def test_an_array_of_slurm(products, gribfs, tmp_path):  # noqa: F811
    """Slurm's part is played by a script: which variables tasks have, and that the last job comes behind them."""
    product = products("gefs")
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin/sbatch"
    sbatch.write_text(SBATCH)
    sbatch.chmod(0o755)
    env = os.environ | {"PATH": f"{sbatch.parent}:{os.environ['PATH']}", "GRIBFS": str(conftest.PROGRAM), "CODE": str(tmp_path / "code")}
    flags = ["--chunks", "number=2", "--variable", "t2m,tp*"]
    gribfs("copy", product.table, tmp_path / "whole.zarr", *flags)
    done = subprocess.run([SCRIPTS / "slurm_copy.sh", "5", product.table, tmp_path / "a.zarr", *flags], env=env, capture_output=True, text=True, check=True)
    assert "parts: job 7, last step: job 8" in done.stdout
    assert (tmp_path / "code").read_text() == "0\n", done.stderr
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")


def test_a_shell(products, gribfs, tmp_path):  # noqa: F811
    product = products("gefs")
    gribfs("copy", product.table, tmp_path / "whole.zarr")
    line = 'seq 5 | xargs -P 3 -I{} "$0" copy "$1" "$2" --part {}/5 && "$0" copy "$1" "$2" --finish'
    subprocess.run(["sh", "-c", line, conftest.PROGRAM, product.table, tmp_path / "a.zarr"], check=True, capture_output=True)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")

"""gribfs copy in parts: processes that know nothing of each other write disjoint chunks, and the store is the one that a single process writes."""

import json
import os
import signal
import subprocess
import time

import conftest
import oracle
import pytest
import s3
import server
import xarray
import zarr
from conftest import ARCHIVE
from test_copy import data_requests, load, remote_table, tree
from test_values import products  # noqa: F401 (a fixture)


def start(*args, **more):
    return subprocess.Popen([str(conftest.PROGRAM), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def wait(processes):
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err


def records(folder):
    return sorted(path.name for path in folder.glob(".gribfs-copy*"))


LAYOUTS = {
    "as the mount's": [],
    "chunks across all axes": ["--chunks", "time=2,step=2,latitude=40,longitude=33", "--codec", "zstd:1"],
    "shards of v3": ["--zarr-format", "3", "--chunks", "latitude=20,longitude=30", "--shards", "time=2,step=3,latitude=40,longitude=120"],
    "one chunk of all times": ["--chunks", "time=100,step=10"],
}


@pytest.mark.parametrize(("case", "count"), [*((case, 3) for case in LAYOUTS), ("chunks across all axes", 40)])
def test_parts_of_many_processes_are_the_store_of_one(products, gribfs, tmp_path, case, count):  # noqa: F811
    product = products("gfs")
    command = ["copy", product.table, tmp_path / "a.zarr", "--slice", "run_time", "--variable", "t2m,gh,tp*,prmsl", *LAYOUTS[case]]
    gribfs("copy", product.table, tmp_path / "whole.zarr", *command[3:])
    parts = list(range(1, count + 1))
    for few in (parts[i:i + 4] for i in range(0, count, 4)):
        wait([start(*command, "--part", f"{part}/{count}") for part in few])
    assert len(records(tmp_path / "a.zarr")) == count
    with pytest.raises((FileNotFoundError, zarr.errors.GroupNotFoundError)):
        xarray.open_zarr(str(tmp_path / "a.zarr"))
    done = gribfs(*command, "--finish", "--report", tmp_path / "report.json")
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr"), done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["complete"] and report["written_bytes"] == sum(
        len(body) for name, body in tree(tmp_path / "whole.zarr").items() if not name.rpartition("/")[2].startswith(".") and not name.endswith(".json"))
    assert "complete already" in gribfs(*command, "--finish").stdout
    assert "complete already" in gribfs(*command, "--part", f"1/{count}", "--resume").stdout
    assert "is a store already" in gribfs(*command, "--part", f"1/{count}", code=2).stderr


@pytest.mark.parametrize("count", [2, 5])
def test_parts_compute_what_one_process_computes(products, gribfs, tmp_path, count):  # noqa: F811
    """Differences want the step before, which another part may have; statistics of one array are several arrays, which one part writes."""
    command = ["copy", products("gefs").table, tmp_path / "a.zarr", "--deaccumulate", "bucket", "--stat", "mean,p90,prob>1", "--chunks", "valid_time=1,latitude=30"]
    gribfs("copy", command[1], tmp_path / "whole.zarr", *command[3:])
    wait([start(*command, "--part", f"{part}/{count}") for part in range(1, count + 1)])
    gribfs(*command, "--finish")
    names = {name.split("/")[0] for name in tree(tmp_path / "whole.zarr")}
    assert any(name.endswith("_ens_p90") for name in names), names
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")


def test_parts_of_before_the_table_grew_are_made_again(gribfs, tmp_path):
    """The store would lack what has come since, and say that it is whole."""
    table, flags = tmp_path / "t", ["--slice", "run_time", "--variable", "t2m,gh", "--chunks", "step=3"]
    files = oracle.grib_files(ARCHIVE / "gfs.20261122")
    late = next(file for file in files if "00/" in str(file) and "f003" in file.name)
    gribfs("index", *(file for file in files if file != late), "-o", table)
    command = ["copy", table, tmp_path / "a.zarr", *flags]
    parts = [f"{part}/3" for part in (1, 2, 3)]
    for part in parts:
        gribfs(*command, "--part", part)
    gribfs("index", late, "-o", table)
    told = gribfs(*command, "--finish", code=1).stderr
    assert "has grown" in told and any(part in told for part in parts), told
    for part in parts:
        gribfs(*command, "--part", part)
    gribfs(*command, "--finish")
    gribfs("copy", table, tmp_path / "whole.zarr", *flags)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")


def test_parts_share_the_messages(gribfs, http, tmp_path):
    """Each message is fetched by one of them only, and all about the same number."""
    table = remote_table(gribfs, http, ARCHIVE / "gfs.20261122/00", tmp_path)
    seen = []
    for part in range(1, 5):
        http.forget()
        gribfs("copy", table, tmp_path / "a.zarr", "--variable", "t2m,gh,prmsl", "--part", f"{part}/4")
        seen.append(sum(int(r.range.split("-")[1]) - int(r.range.removeprefix("bytes=").split("-")[0]) + 1 for r in data_requests(http)))
    http.forget()
    gribfs("copy", table, tmp_path / "a.zarr", "--variable", "t2m,gh,prmsl", "--finish")
    assert not data_requests(http)
    gribfs("copy", table, tmp_path / "whole.zarr", "--variable", "t2m,gh,prmsl")
    whole = sum(int(r.range.split("-")[1]) - int(r.range.removeprefix("bytes=").split("-")[0]) + 1 for r in data_requests(http))
    # Neighbours that are fetched in one request may have a gap between them.
    assert abs(sum(seen) - whole) < whole / 10 and min(seen) > whole / 12, (seen, whole)


def test_the_last_step_wants_all_parts_and_names_those_that_lack(products, gribfs, tmp_path):  # noqa: F811
    command = ["copy", products("gefs").table, tmp_path / "a.zarr", "--chunks", "number=2"]
    assert "--part 1/N" in gribfs(*command, "--finish", code=1).stderr
    for part in (1, 3, 4):
        gribfs(*command, "--part", f"{part}/5")
    assert "2 of 5 parts are not done: 2, 5" in gribfs(*command, "--finish", code=1).stderr
    assert "5 parts" in gribfs(*command, "--part", "2/6", code=2).stderr
    assert "codec" in gribfs(*command, "--codec", "gzip", "--part", "2/5", code=2).stderr
    assert "in 5 parts that is not finished" in gribfs(*command, code=2).stderr
    before = tree(tmp_path / "a.zarr")
    assert "part 1/5 is complete already" in gribfs(*command, "--part", "1/5").stdout
    assert tree(tmp_path / "a.zarr") == before and ".zmetadata" not in before
    gribfs(*command, "--part", "2/5")
    gribfs(*command, "--part", "5/5")
    assert "something else" in gribfs(*command, "--codec", "gzip", "--finish", code=2).stderr
    gribfs(*command, "--finish")
    gribfs("copy", products("gefs").table, tmp_path / "whole.zarr", *command[3:])
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")
    (tmp_path / "half.zarr").mkdir()
    (tmp_path / "half.zarr/.gribfs-copy.json").write_text('{"version":1,"plan":{},"missing":{}}')
    assert "one process" in gribfs("copy", products("gefs").table, tmp_path / "half.zarr", "--part", "1/2", code=2).stderr
    for wrong in ("0/3", "4/3", "1", "a/b"):
        assert "3/16" in gribfs(*command, "--part", wrong, code=2).stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("years")
    assert "thesis.txt" in gribfs("copy", products("gefs").table, tmp_path / "full", "--part", "1/2", code=2).stderr


@pytest.mark.parametrize("after", [1, 12])
def test_a_part_that_was_killed_goes_on(gribfs, tmp_path, after):
    with server.Server(ARCHIVE, latency=0.02) as http:
        table = remote_table(gribfs, http, ARCHIVE / "gfs.20261122", tmp_path)
        command = ["copy", table, tmp_path / "a.zarr", "--slice", "run_time", "--max-requests", "2", "--variable", "t2m,gh,u,t"]
        gribfs("copy", table, tmp_path / "whole.zarr", *command[3:])
        gribfs(*command, "--part", "1/2")
        before = len(tree(tmp_path / "a.zarr"))
        process = start(*command, "--part", "2/2")
        while process.poll() is None:
            if len(tree(tmp_path / "a.zarr")) > before + after:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it was killed before its end"
        assert "1 of 2 parts are not done: 2" in gribfs(*command, "--finish", code=1).stderr
        http.latency = 0
        done = gribfs(*command, "--part", "2/2")
        assert after < 5 or "there already" in done.stdout
        gribfs(*command, "--finish")
    ended = {name: body for name, body in tree(tmp_path / "a.zarr").items() if "unfinished" not in name}
    assert ended == tree(tmp_path / "whole.zarr")


def test_messages_that_no_part_could_have_are_told_by_the_store(gribfs, http, tmp_path):
    folder = ARCHIVE / "gfs.20261122/00"
    table = remote_table(gribfs, http, folder, tmp_path)
    flags = ["--variable", "t2m,gh", "--chunks", "valid_time=2"]
    gribfs("copy", table, tmp_path / "sound.zarr", *flags)
    http.fault(str(oracle.grib_files(folder)[1].relative_to(ARCHIVE)), "404")
    gribfs("copy", table, tmp_path / "whole.zarr", *flags, code=1)
    codes = {gribfs("copy", table, tmp_path / "a.zarr", *flags, "--part", f"{part}/3", code=None).returncode for part in (1, 2, 3)}
    assert codes == {0, 1}
    done = gribfs("copy", table, tmp_path / "a.zarr", *flags, "--finish", "--report", tmp_path / "report.json", code=1)
    assert "left as fill" in done.stdout and "without --finish" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    store = load(tmp_path / "a.zarr")
    assert store.attrs["gribfs_missing_count"] == report["missing_fields"] == len(report["missing"]) > 0
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")
    # A last step that was killed while it removed the records, and given again.
    (tmp_path / "a.zarr/.gribfs-copy.part-2-of-3.json").write_text("{}")
    again = gribfs("copy", table, tmp_path / "a.zarr", *flags, "--finish", "--report", tmp_path / "again.json", code=1)
    assert "left as fill" in again.stdout and not list((tmp_path / "a.zarr").glob(".gribfs-copy.part*"))
    assert json.loads((tmp_path / "again.json").read_text())["missing"] == report["missing"]
    gribfs("copy", table, tmp_path / "a.zarr", *flags, "--finish", "--allow-missing")
    http.heal()
    gribfs("copy", table, tmp_path / "a.zarr", *flags)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "sound.zarr")


def test_a_part_with_a_hole_tries_again(gribfs, http, tmp_path):
    folder = ARCHIVE / "gefs.20261122"
    table = remote_table(gribfs, http, folder, tmp_path)
    gribfs("copy", table, tmp_path / "whole.zarr")
    http.fault(str(oracle.grib_files(folder)[0].relative_to(ARCHIVE)), "404")
    codes = [gribfs("copy", table, tmp_path / "a.zarr", "--part", f"{part}/2", code=None).returncode for part in (1, 2)]
    assert 1 in codes
    http.heal()
    for part in (1, 2):
        gribfs("copy", table, tmp_path / "a.zarr", "--part", f"{part}/2")
    gribfs("copy", table, tmp_path / "a.zarr", "--finish")
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")


def test_parts_in_a_bucket_and_a_last_step_that_is_cut_off(products, gribfs, tmp_path):  # noqa: F811
    product = products("gefs")
    flags = ["--chunks", "number=2,latitude=30", "--slice", "run_time"]
    gribfs("copy", product.table, tmp_path / "a.zarr", *flags)
    with s3.S3() as bucket:
        command = ["copy", product.table, "s3://results/a.zarr", "--dest-endpoint-url", bucket.url, *flags]
        wait([start(*command, "--part", f"{part}/3", env=bucket.env) for part in (1, 2, 3)])
        kept = dict(bucket.objects)
        gribfs(*command, "--finish", env=bucket.env)

        def objects():
            return {key.removeprefix("a.zarr/"): body for key, body in bucket.objects.items()}

        assert objects() == tree(tmp_path / "a.zarr")
        # The store is there, and the process ended before it had removed the records of all parts.
        left = {key: body for key, body in kept.items() if "part-2" in key}
        assert len(left) == 1
        bucket.objects.update(left)
        assert "complete already" in gribfs(*command, "--finish", env=bucket.env).stdout
        assert objects() == tree(tmp_path / "a.zarr")


def test_a_dry_run_tells_of_its_part(products, gribfs, tmp_path):  # noqa: F811
    table = products("gefs").table

    def fields(*flags):
        return int(gribfs("copy", table, tmp_path / "a.zarr", "--dry-run", *flags).stdout.split(": ")[1].split()[0].replace(",", ""))

    whole, parts = fields(), [fields("--part", f"{part}/3") for part in (1, 2, 3)]
    assert sum(parts) == whole and all(0 < part < whole for part in parts)
    assert not os.path.exists(tmp_path / "a.zarr")

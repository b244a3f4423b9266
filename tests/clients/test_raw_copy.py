"""`gribfs copy --raw`: the messages themselves in files of one's own. The copy mounts as the source does, goes on where it was stopped, and tells what is missing."""

import struct
import os
import hashlib
import json
import pathlib
import re
import shutil
import signal
import subprocess
import time

import numpy
import pytest
from conftest import ARCHIVE, PROGRAM

GFS = ARCHIVE / "gfs.20261122"


@pytest.fixture
def archive(tmp_path):
    """An archive that can be taken away."""
    return pathlib.Path(shutil.copytree(GFS, tmp_path / "archive"))


def opened(path):
    import xarray

    return xarray.open_zarr(path)


def documents(folder):
    """Metadata of a store, but for what names the source."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob(".z*")}


def objects(copy):
    return sorted(copy.rglob("*.grib2"))


def test_a_raw_copy_mounts_as_the_source_does_without_it(gribfs, archive, mount, tmp_path):
    gribfs("index", archive, "-o", tmp_path / "gfs.parquet")
    select = ["--variable", "t2m,gh,tp", "--step", "0h..6h"]
    gribfs("copy", "--raw", tmp_path / "gfs.parquet", tmp_path / "copy", *select)
    source = mount(tmp_path / "gfs.parquet", *select)
    before = {name: opened(source / name).load() for name in ("run_time.zarr", "best_available.zarr", "runs/2026-11-22T06.zarr")}
    meta = documents(source / "run_time.zarr")
    gribfs("umount", source.path)
    archive.rename(tmp_path / "gone")
    copy = mount(tmp_path / "copy")
    assert documents(copy / "run_time.zarr") == meta
    for name, data in before.items():
        again = opened(copy / name)
        assert set(again.variables) == set(data.variables)
        for variable in data.variables:
            numpy.testing.assert_array_equal(again[variable].values, data[variable].values, err_msg=f"{name} {variable}")


def test_the_messages_are_copied_unchanged_and_summed(gribfs, archive, tmp_path):
    import eccodes

    gribfs("index", archive, "-o", tmp_path / "gfs.parquet")
    gribfs("copy", "--raw", tmp_path / "gfs.parquet", tmp_path / "copy", "--variable", "t2m", "--run", "2026-11-22T00", "--report", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    found, whole = [], b"".join(path.read_bytes() for path in sorted(archive.rglob("*.f0??")))
    for path in objects(tmp_path / "copy"):
        digest, name = path.with_name(path.name + ".sha256").read_text().split()
        assert (digest, name) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.name)
        with open(path, "rb") as file:
            while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
                found.append((eccodes.codes_get(handle, "cfVarName"), eccodes.codes_get(handle, "dataTime"), eccodes.codes_get(handle, "endStep")))
                assert eccodes.codes_get_message(handle) in whole
                eccodes.codes_release(handle)
    assert report["complete"] and report["messages"] == len(found) == 5
    assert {(name, run) for name, run, _ in found} == {("t2m", 0)}
    assert [step for *_, step in sorted(found)] == [0, 3, 6, 9, 12]


def test_a_second_copy_fetches_nothing_and_a_damaged_file_is_made_again(gribfs, archive, tmp_path):
    gribfs("index", archive, "-o", tmp_path / "gfs.parquet")
    command = ["copy", "--raw", tmp_path / "gfs.parquet", tmp_path / "copy", "--variable", "t2m,u10"]
    gribfs(*command)
    contents = {path: path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    text = gribfs(*command, "--report", tmp_path / "again.json").stdout
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["kept_messages"] == again["messages"] > 0 and again["tables"] == 0 and "unchanged" in text
    victim = objects(tmp_path / "copy")[0]
    victim.write_bytes(victim.read_bytes()[:-5] + b"wrong")
    gribfs(*command)
    assert {path: path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file()} == contents


def test_more_variables_join_what_is_there(gribfs, archive, mount, tmp_path):
    """A second copy of an overlapping selection: no cell stands in the table twice, which would make it unreadable."""
    gribfs("index", archive, "-o", tmp_path / "gfs.parquet")
    gribfs("copy", "--raw", tmp_path / "gfs.parquet", tmp_path / "copy", "--variable", "t2m,u10")
    gribfs("copy", "--raw", tmp_path / "gfs.parquet", tmp_path / "copy", "--variable", "t2m,v10")
    told = json.loads(gribfs("info", tmp_path / "copy", "--json").stdout)
    assert [array["name"] for array in told["groups"][0]["arrays"]] == ["t2m", "u10", "v10"]
    assert all(array["pending"] == 0 for array in told["groups"][0]["arrays"])
    data = opened(mount(tmp_path / "copy") / "run_time.zarr")
    assert numpy.isfinite(data.t2m.sel(step="6h").values[0]).all() and numpy.isfinite(data.u10.sel(step="6h").values[0]).all()


def test_a_message_that_cannot_be_had_is_pending_and_is_tried_again(gribfs, archive, mount, tmp_path):
    gribfs("index", archive, "-o", tmp_path / "gfs.parquet")
    victim = archive / "00/atmos/gfs.t00z.pgrb2.3p00.f003"
    sound = victim.rename(tmp_path / "sound")
    command = ["copy", "--raw", tmp_path / "gfs.parquet", tmp_path / "copy", "--variable", "t2m"]
    done = gribfs(*command, code=1)
    assert "missing" in done.stdout and victim.name in done.stdout
    gribfs(*command, "--allow-missing")
    with pytest.raises(OSError):
        (mount(tmp_path / "copy") / "run_time.zarr/t2m/0.1.0.0").read_bytes()
    sound.rename(victim)
    gribfs(*command)
    told = json.loads(gribfs("info", tmp_path / "copy", "--json").stdout)
    assert told["groups"][0]["arrays"][0]["pending"] == 0 and not told["not_placed"]


def test_another_message_at_that_place_is_not_copied(gribfs, archive, tmp_path):
    """The proof that a mount demands of a message is demanded here too: an archive that changed unseen gives no wrong copy."""
    path = archive / "00/atmos/gfs.t00z.pgrb2.3p00.f006"
    gribfs("index", archive, "-o", tmp_path / "gfs.parquet")
    before = path.stat()
    lines = path.with_name(path.name + ".idx").read_text().splitlines()
    winds = [line for line in lines if ":GRD:10 m" in line.replace("UGRD", "GRD").replace("VGRD", "GRD")]
    with open(path, "r+b") as file:
        for line in winds:  # u becomes v and v u, at the same place, in as many bytes, at the same time
            offset = int(line.split(":")[1])
            file.seek(offset)
            section4 = file.read(4096).index(struct.pack(">IBHH", 34, 4, 0, 0))
            file.seek(offset + section4 + 10)
            number = file.read(1)[0]
            file.seek(offset + section4 + 10)
            file.write(bytes([{2: 3, 3: 2}[number]]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = gribfs("copy", "--raw", tmp_path / "gfs.parquet", tmp_path / "copy", "--variable", "u10,v10,t2m", "--step", "6h", "--run", "2026-11-22T00", code=1)
    assert len(winds) == 2 and done.stdout.count("another message lies there") == 2, done.stdout
    assert len(objects(tmp_path / "copy")) == 1


def test_neighbours_come_in_one_request(gribfs, http, tmp_path):
    urls = [http.url(path.relative_to(ARCHIVE)) for path in sorted((GFS / "00").rglob("*.f0??"))]
    gribfs("index", *urls, "-o", tmp_path / "gfs.parquet")
    http.forget()
    gribfs("copy", "--raw", tmp_path / "gfs.parquet", tmp_path / "copy")
    asked = len(http.requests)
    messages = json.loads(gribfs("info", tmp_path / "copy", "--json").stdout)["messages"]
    assert len(urls) <= asked <= 2 * len(urls) < messages, (asked, messages)


def test_a_copy_that_is_killed_shows_nothing_and_goes_on(gribfs, archive, tmp_path):
    gribfs("index", archive, "-o", tmp_path / "gfs.parquet")
    command = [str(PROGRAM), "copy", "--raw", str(tmp_path / "gfs.parquet"), str(tmp_path / "copy")]
    for pause in (0.01, 0.05, 0.1, 0.2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for table in (tmp_path / "copy").glob("*.parquet"):
            told = json.loads(gribfs("info", table, "--json").stdout)
            assert told["incomplete_runs"] == []
    gribfs(*command[1:])
    gribfs("copy", "--raw", tmp_path / "gfs.parquet", tmp_path / "straight")
    files = lambda folder: {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.grib2*") if not path.name.startswith(".")}  # noqa: E731
    assert files(tmp_path / "copy") == files(tmp_path / "straight")


def test_what_a_raw_copy_cannot_do_is_said(gribfs, archive, tmp_path):
    gribfs("index", archive, "-o", tmp_path / "gfs.parquet")
    for flags, word in [(["--bbox", "35,-10,60,30"], "bbox"), (["--chunks", "time=2"], "--chunks"), (["--variable", "nothing"], "nothing")]:
        done = gribfs("copy", "--raw", tmp_path / "gfs.parquet", tmp_path / "copy", *flags, code=2)
        assert re.search(word, done.stderr), done.stderr
    assert not (tmp_path / "copy").exists()

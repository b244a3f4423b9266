"""Two copies into one place at once: one of them goes on, the other one stops, and what is there in the end is what one makes alone."""

import subprocess
import threading

import conftest
import pytest
import s3
import server
from conftest import ARCHIVE
from test_copy import remote_table, tree
from test_values import products, run_name  # noqa: F401 (products is a fixture)


def begin(*args, **more):
    command = [str(word) for word in (conftest.PROGRAM, "copy", *args)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more)


def test_a_folder_that_another_process_writes_is_left_to_it(gribfs, tmp_path):
    with server.Server(ARCHIVE) as http:
        table = remote_table(gribfs, http, ARCHIVE / "gfs.20261122", tmp_path)
        http.latency = 1.0
        flags = ["--slice", "run_time", "--max-requests", "1", "--chunks", "time=2"]
        first = begin(table, tmp_path / "a.zarr", *flags)
        conftest.wait_until(lambda: (tmp_path / "a.zarr/.gribfs-copy.json").exists(), 20, "the state")
        for more in ([], ["--resume"], ["--append", "time"], ["--part", "1/2"], ["--finish"]):
            done = gribfs("copy", table, tmp_path / "a.zarr", *flags, *more, code=2)
            assert "is being written by another process" in done.stderr
        assert first.poll() is None, "the first one still works"
        http.latency = 0
        assert first.wait(timeout=60) == 0, first.stderr.read()
        gribfs("copy", table, tmp_path / "b.zarr", *flags)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "b.zarr")


def test_parts_are_made_side_by_side_but_not_finished_meanwhile(gribfs, tmp_path):
    with server.Server(ARCHIVE) as http:
        table = remote_table(gribfs, http, ARCHIVE / "gfs.20261122", tmp_path)
        http.latency = 1.0
        flags = ["--slice", "run_time", "--max-requests", "1"]
        parts = [begin(table, tmp_path / "a.zarr", *flags, "--part", f"{part}/2") for part in (1, 2)]
        record = tmp_path / "a.zarr/.gribfs-copy.part-{}-of-2.json"
        for part in (1, 2):
            conftest.wait_until(lambda: record.with_name(record.name.format(part)).exists(), 20, "the record")  # noqa: B023
        done = gribfs("copy", table, tmp_path / "a.zarr", *flags, "--finish", code=2)
        assert "is being written by another process" in done.stderr
        http.latency = 0
        assert [part.wait(timeout=60) for part in parts] == [0, 0]
        gribfs("copy", table, tmp_path / "a.zarr", *flags, "--finish")
        gribfs("copy", table, tmp_path / "b.zarr", *flags)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "b.zarr")


class Gate:
    """Holds up what is stored, from the moment that a key of a kind comes."""

    def __init__(self, kind):
        self.kind, self.reached, self.opened = kind, threading.Event(), threading.Event()

    def __call__(self, key):
        if self.kind(key):
            self.reached.set()
            assert self.opened.wait(60)


@pytest.mark.parametrize("where", ["in its chunks", "before its metadata"])
def test_in_a_bucket_who_comes_later_takes_the_copy_over(products, gribfs, tmp_path, where):  # noqa: F811
    product = products("gefs")
    flags = ["--chunks", "number=2,latitude=30", "--slice", "run_time"]
    gribfs("copy", product.table, tmp_path / "a.zarr", *flags)
    kinds = {"in its chunks": lambda key: "t2m/0" in key, "before its metadata": lambda key: "/latitude/" in key}
    with s3.S3() as bucket:
        place = ["s3://results/a.zarr", "--dest-endpoint-url", bucket.url]
        gate = bucket.before_put = Gate(kinds[where])
        first = begin(product.table, *place, *flags, env=bucket.env)
        assert gate.reached.wait(60)
        # The second one is not held up.
        bucket.before_put = None
        gribfs("copy", product.table, *place, *flags, env=bucket.env)
        whole = dict(bucket.objects)
        gate.opened.set()
        assert first.wait(timeout=60) == 2
        assert "is being written by another process" in first.stderr.read()
        assert bucket.objects == whole
    assert {key.removeprefix("a.zarr/"): body for key, body in whole.items()} == tree(tmp_path / "a.zarr")


def test_of_two_that_begin_in_a_bucket_at_one_moment_one_goes_on(products, gribfs, tmp_path):  # noqa: F811
    product = products("gefs")
    run, name = run_name(product.runs[0]), "a.zarr/.gribfs-copy.json"
    flags = ["--slice", f"runs/{run}"]
    with s3.S3() as bucket:
        place = ["s3://results/a.zarr", "--dest-endpoint-url", bucket.url]
        gate = bucket.before_put = Gate(lambda key: key == name)
        both = [begin(product.table, *place, *flags, "--codec", codec, env=bucket.env) for codec in ("zstd", "gzip")]
        # Both have seen an empty place, and want to say that it is theirs.
        conftest.wait_until(lambda: bucket.requests.count(("PUT", name)) == 2, 60, "two states")
        bucket.before_put = None
        gate.opened.set()
        ends = [process.wait(timeout=60) for process in both]
        assert sorted(ends) == [0, 2]
        loser = both[ends.index(2)].stderr.read()
        assert "is being written by another process" in loser
        codec = "zstd" if ends[0] == 0 else "gzip"
        gribfs("copy", product.table, tmp_path / "a.zarr", *flags, "--codec", codec)
        assert {key.removeprefix("a.zarr/"): body for key, body in bucket.objects.items()} == tree(tmp_path / "a.zarr")

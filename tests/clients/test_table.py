"""The table as other programs read it: pandas, Polars and DuckDB find a message by self-explaining columns, and ecCodes finds it there."""

import io
import subprocess

import conftest
import eccodes
import oracle
import pandas
import pytest
import s3
from conftest import ARCHIVE

GEFS = ARCHIVE / "gefs.20261122"


@pytest.fixture(scope="module")
def table(gribfs, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "gefs.parquet"
    gribfs("index", GEFS, "-o", path)
    return path


def message(uri, offset, length):
    """What ecCodes says of the message at a place."""
    assert uri.startswith("file://"), uri
    with open(uri.removeprefix("file://"), "rb") as file:
        file.seek(offset)
        grib = file.read(length)
    assert grib[:4] == b"GRIB" and grib[-4:] == b"7777"
    handle = eccodes.codes_new_from_message(grib)
    try:
        keys = ("cfVarName", "typeOfLevel", "level", "number", "dataDate", "dataTime", "stepRange", "stepType", "units", "name")
        return {key: eccodes.codes_get(handle, key) for key in keys}
    finally:
        eccodes.codes_release(handle)


def holds(row):
    """The wanted message lies where the row says, and is what its columns say."""
    found = message(row["uri"], row["offset"], row["length"])
    assert (found["cfVarName"], found["number"]) == ("t2m", 2)
    assert (found["dataDate"], found["dataTime"], str(found["stepRange"])) == (20261122, 0, "6")
    for column in ("typeOfLevel", "stepType", "units", "name"):
        assert row[column] == found[column], column


def test_pandas(table):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    frame = pandas.read_parquet(table)
    wanted = frame[(frame.varname == "t2m") & (frame.number == 2) & (frame.step == pandas.Timedelta(hours=6))]
    assert len(wanted) == 1
    row = wanted.iloc[0]
    assert row.status == "placed" and row.time == pandas.Timestamp("2026-11-22") and row.valid_time == pandas.Timestamp("2026-11-22T06")
    assert row.step_start == row.step and pandas.isna(row.reason)
    holds(row)
    rain = frame[(frame.stepType == "accum") & (frame.step == pandas.Timedelta(hours=12))]
    assert len(rain) == 3 and (rain.step_start == pandas.Timedelta(hours=6)).all()
    assert frame.groupby(["varname", "number"], observed=True).size().unstack().columns.tolist() == [0, 1, 2]


def test_pandas_reads_only_what_is_asked_for(table):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    frame = pandas.read_parquet(table, filters=[("varname", "==", "t2m")], columns=["uri", "offset", "length", "number"])
    assert len(frame) == 9 and frame.columns.tolist() == ["uri", "offset", "length", "number"]


def test_polars(table):
    polars = pytest.importorskip("polars", exc_type=ImportError)
    frame = polars.read_parquet(table)
    six = polars.duration(hours=6)
    wanted = frame.filter((polars.col("varname").cast(str) == "t2m") & (polars.col("number") == 2) & (polars.col("step") == six))
    assert len(wanted) == 1
    row = wanted.row(0, named=True)
    assert str(row["time"]) == "2026-11-22 00:00:00" and str(row["valid_time"]) == "2026-11-22 06:00:00"
    holds(row)


def test_duckdb(table):
    duckdb = pytest.importorskip("duckdb", exc_type=ImportError)
    columns = ["uri", '"offset"', "length", "typeOfLevel", "stepType", "units", "name", "time", "valid_time"]
    found = duckdb.sql(f"select {', '.join(columns)} from '{table}' where varname = 't2m' and number = 2 and step = 6 * 3600").fetchall()
    assert len(found) == 1
    row = dict(zip([column.strip('"') for column in columns], found[0]))
    assert str(row["time"]) == "2026-11-22 00:00:00" and str(row["valid_time"]) == "2026-11-22 06:00:00"
    holds(row)
    assert duckdb.sql(f"select count(*) from '{table}' where status = 'placed'").fetchall()[0][0] > 10


@pytest.mark.parametrize("place", ["a directory", "a file", "a bucket"])
def test_processes_that_index_files_of_one_run_at_once_lose_nothing(gribfs, tmp_path, place):
    """Each reads what is there and adds to it; without care the last one to write would be the only one."""
    files = sorted(oracle.grib_files(GEFS))[:12]
    gribfs("index", *files, "-o", tmp_path / "alone.parquet")
    with s3.S3() as bucket:
        places = {"a directory": tmp_path / "table", "a file": tmp_path / "table.parquet", "a bucket": "s3://results/table.parquet"}
        command = [conftest.PROGRAM, "index", "-o", places[place], "--endpoint-url", bucket.url]
        processes = [subprocess.Popen([str(word) for word in (*command, file)], env=bucket.env, stdout=subprocess.DEVNULL) for file in files]
        assert [process.wait(timeout=60) for process in processes] == [0] * len(files)
        made = {"a directory": lambda: next((tmp_path / "table").glob("*.parquet")), "a file": lambda: places["a file"],
                "a bucket": lambda: io.BytesIO(bucket.objects["table.parquet"])}
        rows = pandas.read_parquet(made[place]())
    columns = ["uri", "offset", "length", "varname", "number"]
    alone = pandas.read_parquet(tmp_path / "alone.parquet")[columns]
    assert sorted(map(tuple, rows[columns].astype(str).values)) == sorted(map(tuple, alone.astype(str).values))

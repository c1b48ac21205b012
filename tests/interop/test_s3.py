"""Tables in an S3 bucket: whole journeys, other engines in the same bucket, and a network that fails."""

import json
import os
import random
import subprocess
import time
import uuid

import duckdb
import duckdb_extensions
import pyarrow as pa
import pytest
from conftest import Ingot
from deltalake import DeltaTable, write_deltalake
from s3 import BUCKET, KEYS, Dice, Proxy, Server


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def proxy(server):
    proxy = Proxy(("127.0.0.1", server.port))
    yield proxy
    proxy.shutdown()
    proxy.server_close()


@pytest.fixture
def ingot(binary, tmp_path, proxy) -> Ingot:
    return Ingot(binary, tmp_path / "data", KEYS | {"AWS_ENDPOINT_URL": proxy.url})


@pytest.fixture
def place() -> str:
    """A folder of its own in the bucket."""
    return f"{uuid.uuid4().hex[:12]}/t"


def options(proxy: Proxy) -> dict[str, str]:
    return KEYS | {"AWS_ENDPOINT_URL": proxy.url, "AWS_ALLOW_HTTP": "true"}


def ids(ingot: Ingot, place: str) -> list[int]:
    return [row["id"] for row in ingot.sql(f"SELECT id FROM delta.`s3://{BUCKET}/{place}` ORDER BY id")]


def numbers(count: int) -> str:
    """A relation of the numbers below `count`, as `id`."""
    return f"(SELECT unnest(generate_series(0, {count - 1})) AS id)"


def create(ingot: Ingot, place: str):
    ingot.sql(f"CREATE TABLE main.default.t (id BIGINT, p STRING) USING DELTA LOCATION 's3://{BUCKET}/{place}'")


def test_statements_work_as_in_a_folder(ingot, server, place):
    create(ingot, place)
    ingot.sql(f"INSERT INTO main.default.t SELECT id, concat('p', id % 3) FROM {numbers(10)}")
    ingot.sql(
        "MERGE INTO main.default.t t USING (SELECT * FROM VALUES (0, 'm'), (8, 'x'), (9, 'x'), (20, 'm') AS s(id, p)) s"
        " ON t.id = s.id WHEN MATCHED AND s.p = 'x' THEN DELETE WHEN MATCHED THEN UPDATE SET *"
        " WHEN NOT MATCHED THEN INSERT *"
    )
    assert ids(ingot, place) == [*range(8), 20]
    (row,) = ingot.sql(f"SELECT sum(id) AS s FROM delta.`s3://{BUCKET}/{place}` VERSION AS OF 1")
    assert row["s"] == 45
    # Hadoop's name for the same place.
    (row,) = ingot.sql(f"SELECT count(*) AS n FROM delta.`s3a://{BUCKET}/{place}` WHERE p IN ('m', 'x')")
    assert row["n"] == 2
    operations = [row["operation"] for row in ingot.sql("DESCRIBE HISTORY main.default.t")]
    assert operations == ["MERGE", "WRITE", "CREATE TABLE"]
    assert not [key for key in server.keys(place) if ".probe" in key], "no probe stays"


def test_managed_tables_live_where_the_configuration_says(binary, tmp_path, proxy, server):
    folder = uuid.uuid4().hex[:12]
    config = tmp_path / "ingot.toml"
    config.write_text(
        f'[data]\ndirectory = "{tmp_path}/data"\ntables = "s3://{BUCKET}/{folder}"\n'
        f'[stores."s3://{BUCKET}"]\nendpoint = "{proxy.url}"\nregion = "us-east-1"\npath_style = true\n'
        'access_key_id = "test"\nsecret_access_key = "test"\n'
    )

    def sql(statement: str) -> list[dict]:
        done = subprocess.run(
            [binary, "sql", "--config", str(config), "--output", "json", "-e", statement],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    sql("CREATE TABLE main.default.managed AS SELECT id FROM " + numbers(5))
    assert sql("SELECT sum(id) AS s FROM main.default.managed") == [{"s": 10}]
    (detail,) = sql("DESCRIBE DETAIL main.default.managed")
    assert detail["location"].startswith(f"s3://{BUCKET}/{folder}/")
    assert any(key.endswith("/_delta_log/00000000000000000000.json") for key in server.keys(folder))


def test_files_of_a_bucket_are_read(ingot, proxy, place):
    ingot.sql(f"CREATE TABLE main.default.f USING DELTA LOCATION 's3://{BUCKET}/{place}' AS SELECT id FROM {numbers(7)}")
    rows = ingot.sql(
        f"SELECT count(*) AS n FROM read_files('s3://{BUCKET}/{place}/*.parquet', format => 'parquet')"
    )
    assert rows == [{"n": 7}]


@pytest.mark.parametrize("checkpointed", [False, True])
def test_other_engines_share_the_bucket(ingot, proxy, place, checkpointed):
    # deltalake's way through PyArrow refuses the feature; its other way holds the interpreter, in which the proxy runs.
    properties = "TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')"
    uri = f"s3://{BUCKET}/{place}"
    ingot.sql(f"CREATE TABLE main.default.t (id BIGINT, p STRING) USING DELTA LOCATION '{uri}' {properties}")
    expected = []
    for batch in range(12 if checkpointed else 2):
        ingot.sql(f"INSERT INTO main.default.t VALUES ({batch}, 'ours')")
        expected.append((batch, "ours"))
    theirs = pa.table({"id": pa.array([100], pa.int64()), "p": ["theirs"]})
    table = DeltaTable(uri, storage_options=options(proxy))
    rows = table.to_pyarrow_table().sort_by("id").to_pylist()
    assert [tuple(row.values()) for row in rows] == expected
    foreign = f"{uri}-foreign"
    write_deltalake(foreign, theirs, storage_options=options(proxy))
    ingot.sql(f"CREATE TABLE main.default.f USING DELTA LOCATION '{foreign}'")
    ingot.sql("INSERT INTO main.default.f VALUES (101, 'ours')")
    rows = DeltaTable(foreign, storage_options=options(proxy)).to_pyarrow_table().sort_by("id")
    assert rows.column("id").to_pylist() == [100, 101]

    duck = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for extension in ["httpfs", "delta"]:
        duckdb_extensions.import_extension(extension, con=duck)
        duck.execute(f"LOAD {extension}")
    endpoint = proxy.url.removeprefix("http://")
    duck.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID 'test', SECRET 'test', REGION 'us-east-1', ENDPOINT '{endpoint}',"
        " USE_SSL false, URL_STYLE 'path')"
    )
    assert duck.execute(f"SELECT id, p FROM delta_scan('{uri}') ORDER BY id").fetchall() == expected


@pytest.mark.parametrize(
    "fault",
    ["error_before", "error_after", "slow_down", "reset_before", "reset_after", "slow", "torn"],
)
def test_a_commit_counts_once_whatever_happens_to_its_request(ingot, proxy, place, fault):
    create(ingot, place)
    proxy.fail(lambda request: request.commits(), fault, times=2)
    ingot.sql("INSERT INTO main.default.t VALUES (1, 'a')")
    assert all(rule.times == 0 for rule in proxy.rules) or fault in ("error_after", "reset_after", "slow")
    proxy.rules.clear()
    assert ids(ingot, place) == [1]
    assert len(ingot.sql("DESCRIBE HISTORY main.default.t")) == 2


@pytest.mark.parametrize("fault", ["error_after", "slow_down", "reset_after", "torn"])
def test_a_table_is_made_once_whatever_happens_to_its_request(ingot, proxy, place, fault):
    proxy.fail(lambda request: request.commits(), fault)
    ingot.sql(f"CREATE TABLE main.default.c USING DELTA LOCATION 's3://{BUCKET}/{place}' AS SELECT id FROM {numbers(3)}")
    assert ids(ingot, place) == [0, 1, 2]


def test_a_commit_that_arrives_after_all_has_its_files(ingot, proxy, place):
    """The store's answer is lost and the request comes through later than anyone waited for it."""
    create(ingot, place)
    proxy.fail(lambda request: request.commits(), "hold_back", times=1000)
    done = ingot.run("INSERT INTO main.default.t VALUES (1, 'a')")
    assert done.returncode != 0
    assert "outcome of commit version=1" in done.stderr and "unknown" in done.stderr, done.stderr
    proxy.rules.clear()
    assert ids(ingot, place) == []
    assert 200 in proxy.deliver_late()
    assert ids(ingot, place) == [1], "the rows are whole: their files were not deleted"
    ingot.sql("INSERT INTO main.default.t VALUES (2, 'b')")
    assert ids(ingot, place) == [1, 2]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("forget_condition", "overwrites a file that was to be put only if absent"),
        ("not_implemented", "does not know how to put a file only if absent"),
    ],
)
def test_a_store_without_put_if_absent_is_refused(ingot, proxy, server, place, fault, message):
    proxy.fail(lambda request: "if-none-match" in request.headers, fault, times=1000)
    done = ingot.run(f"CREATE TABLE main.default.t (id BIGINT) USING DELTA LOCATION 's3://{BUCKET}/{place}'")
    assert done.returncode != 0
    assert message in done.stderr and f"s3://{BUCKET}/" in done.stderr, done.stderr
    assert "Amazon S3" in done.stderr, "the fix is named"
    assert server.keys(place) == []
    # A table that was made elsewhere is read, and refused for writing.
    proxy.rules.clear()
    write_deltalake(f"s3://{BUCKET}/{place}", pa.table({"id": [1]}), storage_options=options(proxy))
    proxy.fail(lambda request: "if-none-match" in request.headers, fault, times=1000)
    ingot.sql(f"CREATE TABLE main.default.foreign_table USING DELTA LOCATION 's3://{BUCKET}/{place}'")
    assert ids(ingot, place) == [1]
    done = ingot.run("INSERT INTO main.default.foreign_table VALUES (2)")
    assert done.returncode != 0 and message in done.stderr, done.stderr
    assert ids(ingot, place) == [1]


def test_parts_of_a_failed_upload_are_given_up(ingot, proxy, server, place):
    create(ingot, place)
    before = server.uploads()
    proxy.fail(lambda request: request.method == "PUT" and "partNumber=2" in request.path, "not_implemented", 1000)
    # Values that do not compress: several parts.
    rows = f"SELECT id, sha2(cast(id AS STRING), 512) FROM {numbers(200000)}"
    done = ingot.run(f"INSERT INTO main.default.t {rows}")
    assert done.returncode != 0
    assert any("partNumber=1" in path for _, path in proxy.seen), "the file was sent in parts"
    assert server.uploads() == before
    assert [key for key in server.keys(place) if key.endswith(".parquet")] == []
    proxy.rules.clear()
    ingot.sql(f"INSERT INTO main.default.t {rows}")
    assert ingot.value("SELECT count(*) FROM main.default.t") == 200000
    assert server.uploads() == before


def test_concurrent_writers_over_a_bad_network_lose_and_double_nothing(ingot, proxy, place):
    seed = int(os.environ.get("SEED", time.time_ns() % 2**32))
    print(f"SEED={seed}")
    create(ingot, place)
    proxy.dice = Dice(
        random.Random(seed),
        one_in=12,
        faults=["error_before", "error_after", "slow_down", "reset_before", "reset_after", "slow", "torn"],
    )
    writers, statements = 4, 6

    def script(writer: int) -> str:
        return "; ".join(
            f"INSERT INTO main.default.t VALUES ({writer * 100 + n}, 'w{writer}')"
            for n in range(statements)
        )

    processes = [
        subprocess.Popen(
            [ingot.binary, "sql", "--data-dir", str(ingot.data_dir), "-e", script(writer)],
            env=os.environ | ingot.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for writer in range(writers)
    ]
    outcomes = [(process.communicate(), process.returncode) for process in processes]
    proxy.dice = None
    found = ids(ingot, place)
    assert len(found) == len(set(found)), f"SEED={seed}: no row is doubled: {found}"
    for writer, ((_, errors), code) in enumerate(outcomes):
        theirs = [row % 100 for row in found if row // 100 == writer]
        # A writer stops at its first failure. What it wrote is there in order, all of it if it did not fail.
        assert theirs == list(range(len(theirs))), f"SEED={seed}: {theirs}"
        if code == 0:
            assert len(theirs) == statements, f"SEED={seed}: writer {writer} lost rows: {theirs}"
        else:
            assert "object store failed" in errors or "outcome of commit" in errors, f"SEED={seed}: {errors}"
    versions = [row["version"] for row in ingot.sql("DESCRIBE HISTORY main.default.t")]
    assert sorted(versions) == list(range(len(found) + 1)), f"SEED={seed}"

"""ADBC's driver of Arrow Flight SQL, against a server."""

import threading
import time
from datetime import date, datetime, timezone
from decimal import Decimal

import polars
import pyarrow
import pytest
from adbc_driver_flightsql import DatabaseOptions, dbapi

from conftest import Server

COOKIES = {DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true"}


@pytest.fixture
def connect(url):
    """Opens connections, and closes them."""
    opened = []

    def connect(uri=None, **options):
        uri = uri or url.replace("http://", "grpc://")
        connection = dbapi.connect(uri, db_kwargs=COOKIES | options, autocommit=True)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect):
    return connect()


@pytest.fixture
def cursor(connection):
    with connection.cursor() as cursor:
        yield cursor


@pytest.fixture
def arrow(cursor):
    """Runs a statement and returns its rows as a table of Arrow."""

    def arrow(statement, parameters=None):
        return cursor.execute(statement, parameters).fetch_arrow_table()

    return arrow


UTC = pyarrow.timestamp("us", "UTC")
VALUES = [
    ("1Y", pyarrow.int8(), 1),
    ("1S", pyarrow.int16(), 1),
    ("1", pyarrow.int32(), 1),
    ("9223372036854775807L", pyarrow.int64(), 9223372036854775807),
    ("CAST(0.5 AS FLOAT)", pyarrow.float32(), 0.5),
    ("0.5D", pyarrow.float64(), 0.5),
    ("CAST(-1.25 AS DECIMAL(38, 2))", pyarrow.decimal128(38, 2), Decimal("-1.25")),
    ("'Straße 🚲'", pyarrow.string(), "Straße 🚲"),
    ("true", pyarrow.bool_(), True),
    ("X'00FF'", pyarrow.binary(), b"\x00\xff"),
    ("DATE '2024-02-29'", pyarrow.date32(), date(2024, 2, 29)),
    ("TIMESTAMP '2024-02-29 12:30:00.000001Z'", UTC, datetime(2024, 2, 29, 12, 30, 0, 1, timezone.utc)),
    ("TIMESTAMP_NTZ '2024-02-29 12:30:00'", pyarrow.timestamp("us"), datetime(2024, 2, 29, 12, 30)),
    ("INTERVAL '1-2' YEAR TO MONTH", pyarrow.string(), "1-2"),
    ("INTERVAL '1 02:03:04' DAY TO SECOND", pyarrow.string(), "1 02:03:04.000000000"),
    ("parse_json('[1]')", pyarrow.string(), "[1]"),
    ("array(1, NULL)", None, [1, None]),
    ("map('k', 1)", None, [("k", 1)]),
    ("named_struct('a', 1, 'b', array(map(1, X'01')))", None, {"a": 1, "b": [[(1, b"\x01")]]}),
    ("CAST(NULL AS INT)", pyarrow.int32(), None),
    ("NULL", pyarrow.null(), None),
]


@pytest.mark.parametrize(("expression", "data_type", "expected"), VALUES, ids=[value[0] for value in VALUES])
def test_every_type_has_its_value(arrow, expression, data_type, expected):
    table = arrow(f"SELECT {expression} AS x")
    assert table.column("x").to_pylist() == [expected]
    assert data_type in (None, table.schema.field("x").type)


ROWS = 2_000_000


def test_a_large_result_arrives_whole(cursor):
    cursor.execute(f"SELECT id, repeat(CAST(id % 10 AS STRING), 20) AS text FROM range({ROWS})")
    seen, total = 0, 0
    for batch in cursor.fetch_record_batch():
        seen += batch.num_rows
        total += pyarrow.compute.sum(batch.column("id")).as_py()
    assert (seen, total) == (ROWS, ROWS * (ROWS - 1) // 2)


def test_rows_of_the_database_interface(cursor):
    cursor.execute("SELECT id, CAST(id AS STRING) AS text FROM range(3) ORDER BY id")
    assert [column[0] for column in cursor.description] == ["id", "text"]
    assert cursor.fetchone() == (0, "0")
    assert cursor.fetchall() == [(1, "1"), (2, "2")]


PARAMETERS = [
    (7, 7),
    (-1.5, -1.5),
    ("it's", "it's"),
    (None, None),
    (True, True),
    (b"\x00\xff", b"\x00\xff"),
    (date(2024, 1, 1), date(2024, 1, 1)),
    (Decimal("1.50"), Decimal("1.50")),
    (datetime(2024, 1, 1, 12, 0, 0, 1), datetime(2024, 1, 1, 12, 0, 0, 1)),
    ([1, 2], [1, 2]),
]


@pytest.mark.parametrize(("value", "expected"), PARAMETERS, ids=[repr(value[0]) for value in PARAMETERS])
def test_a_parameter_has_its_value(arrow, value, expected):
    assert arrow("SELECT ? AS x", [value]).column("x").to_pylist() == [expected]


def test_parameters_are_bound_anew(cursor):
    answers = [cursor.execute("SELECT ? + 1, ?", [n, str(n)]).fetchone() for n in range(3)]
    assert answers == [(1, "0"), (2, "1"), (3, "2")]
    names = pyarrow.table({"n": [5, 6], "m": ["x", "y"]})
    cursor.execute("SELECT :n * 2, :m", names)
    assert cursor.fetchall() == [(10, "x"), (12, "y")]


def test_a_statement_runs_for_each_row(cursor):
    cursor.execute("CREATE OR REPLACE TABLE many (a INT, b STRING)")
    cursor.executemany("INSERT INTO many VALUES (?, ?)", [(1, "x"), (2, None)])
    assert cursor.rowcount == 2
    cursor.executemany("INSERT INTO many VALUES (?, ?)", pyarrow.table({"x": [3], "y": ["z"]}))
    assert cursor.execute("SELECT * FROM many ORDER BY a").fetchall() == [(1, "x"), (2, None), (3, "z")]


def test_a_session_keeps_what_it_sets(connect):
    first, second = connect(), connect()
    with first.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS adbc_session")
        cursor.execute("USE SCHEMA adbc_session")
        cursor.execute("CREATE TEMPORARY VIEW kept AS SELECT 7 AS x")
        cursor.execute("SET TIME ZONE 'Asia/Tokyo'")
    with first.cursor() as cursor:
        cursor.execute("SELECT x, current_schema(), CAST(timestamp_seconds(0) AS STRING) FROM kept")
        assert cursor.fetchall() == [(7, "adbc_session", "1970-01-01 09:00:00")]
    assert first.adbc_current_db_schema == "adbc_session"
    with second.cursor() as cursor, pytest.raises(dbapi.Error, match="TABLE_OR_VIEW_NOT_FOUND"):
        cursor.execute("SELECT * FROM kept").fetchall()


def test_options_of_a_session(connection):
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS adbc_options")
        connection.adbc_current_catalog = "main"
        connection.adbc_current_db_schema = "adbc_options"
        assert cursor.execute("SELECT current_catalog(), current_schema()").fetchone() == ("main", "adbc_options")
        assert (connection.adbc_current_catalog, connection.adbc_current_db_schema) == ("main", "adbc_options")
        option = "adbc.flight.sql.session.option.ansi_mode"
        connection.adbc_connection.set_options(**{option: "false"})
        assert cursor.execute("SELECT CAST('x' AS INT)").fetchone() == (None,)
        with pytest.raises(dbapi.Error):
            connection.adbc_current_db_schema = "nowhere"
        assert connection.adbc_current_db_schema == "adbc_options"


def test_without_cookies_each_statement_is_alone(connect):
    connection = connect(**{DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "false"})
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS adbc_alone")
        cursor.execute("USE SCHEMA adbc_alone")
        assert cursor.execute("SELECT current_schema()").fetchone() == ("default",)
        assert cursor.execute("SELECT ? + 1", [1]).fetchone() == (2,)


def test_changes_are_counted(cursor):
    cursor.execute("CREATE OR REPLACE TABLE adbc_counted (a INT)")
    cursor.adbc_statement.set_sql_query("INSERT INTO adbc_counted VALUES (1), (2), (3)")
    assert cursor.adbc_statement.execute_update() == 3
    cursor.adbc_statement.set_sql_query("DELETE FROM adbc_counted WHERE a > 1")
    assert cursor.adbc_statement.execute_update() == 2


@pytest.mark.parametrize(
    ("statement", "condition", "state", "error"),
    [
        ("SELECT * FROM nowhere", "TABLE_OR_VIEW_NOT_FOUND", "42P01", dbapi.ProgrammingError),
        ("SELEC 1", "PARSE_SYNTAX_ERROR", "42601", dbapi.ProgrammingError),
        ("SELECT 1 / 0", "DIVIDE_BY_ZERO", "22012", dbapi.ProgrammingError),
        ("USE SCHEMA nowhere", "SCHEMA_NOT_FOUND", "42704", dbapi.ProgrammingError),
    ],
)
def test_an_error_has_its_condition(cursor, statement, condition, state, error):
    with pytest.raises(error, match=rf"\[{condition}\] .*SQLSTATE: {state}"):
        cursor.execute(statement).fetchall()
    assert cursor.execute("SELECT 1").fetchone() == (1,)


def test_an_error_after_the_first_rows_is_one(cursor):
    cursor.execute("SELECT assert_true(id < 1500000), id FROM range(2000000)")
    with pytest.raises(Exception, match="USER_RAISED_EXCEPTION"):
        for _ in cursor.fetch_record_batch():
            pass


def test_a_result_is_cancelled(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT a.id FROM range(100000000) a JOIN range(1000) b ON a.id % 7 <> b.id")
        reader = cursor.fetch_record_batch()
        reader.read_next_batch()
        cursor.adbc_cancel()
        with pytest.raises(Exception, match="(?i)cancel"):
            while True:
                reader.read_next_batch()
    with connection.cursor() as cursor:
        assert cursor.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_that_has_no_rows_yet_is_cancelled(connection, url):
    cursor = connection.cursor()
    ended = []

    def work():
        try:
            cursor.execute("SELECT count(*) FROM range(1000000000) a JOIN range(1000000) b ON a.id % 7 <> b.id")
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until = time.monotonic() + 60
    while thread.is_alive() and time.monotonic() < until:
        cursor.adbc_cancel()
        thread.join(timeout=0.1)
    assert not thread.is_alive()
    assert len(ended) == 1


def test_cursors_run_side_by_side(connect):
    answers = {}

    def work(number):
        with connect().cursor() as cursor:
            cursor.execute(f"SELECT sum(id) + {number} FROM range(100000)")
            answers[number] = cursor.fetchone()[0]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert answers == {number: 4999950000 + number for number in range(8)}


@pytest.fixture
def listed(cursor):
    cursor.execute("CREATE SCHEMA IF NOT EXISTS adbc_listed")
    cursor.execute("CREATE OR REPLACE TABLE adbc_listed.t_1 (a INT NOT NULL, b DECIMAL(10, 2), c ARRAY<STRING>)")
    cursor.execute("CREATE OR REPLACE VIEW adbc_listed.v AS SELECT 1 AS x")


def test_what_there_is_is_listed(connection, listed):
    objects = connection.adbc_get_objects(db_schema_filter="adbc_list%").read_all().to_pylist()
    (main,) = [catalog for catalog in objects if catalog["catalog_name"] == "main"]
    (schema,) = main["catalog_db_schemas"]
    assert schema["db_schema_name"] == "adbc_listed"
    tables = {table["table_name"]: table for table in schema["db_schema_tables"]}
    assert {name: table["table_type"] for name, table in tables.items()} == {"t_1": "TABLE", "v": "VIEW"}
    columns = tables["t_1"]["table_columns"]
    assert [(column["column_name"], column["ordinal_position"]) for column in columns] == [("a", 1), ("b", 2), ("c", 3)]
    views = connection.adbc_get_objects(depth="tables", db_schema_filter="adbc_listed", table_types_filter=["VIEW"])
    (main,) = [catalog for catalog in views.read_all().to_pylist() if catalog["catalog_name"] == "main"]
    assert [table["table_name"] for table in main["catalog_db_schemas"][0]["db_schema_tables"]] == ["v"]
    none = connection.adbc_get_objects(depth="tables", catalog_filter="main", db_schema_filter="nowhere")
    assert [catalog["catalog_db_schemas"] for catalog in none.read_all().to_pylist()] == [[]]


def test_a_table_tells_its_columns(connection, listed):
    schema = connection.adbc_get_table_schema("t_1", db_schema_filter="adbc_listed")
    assert schema.names == ["a", "b", "c"]
    assert schema.field("b").type == pyarrow.decimal128(10, 2)
    assert schema.field("c").type.value_type == pyarrow.string()
    with pytest.raises(dbapi.Error):
        connection.adbc_get_table_schema("nowhere")


def test_what_the_server_is(connection):
    info = connection.adbc_get_info()
    assert info["vendor_name"] == "Ingot"
    assert sorted(connection.adbc_get_table_types()) == ["TABLE", "VIEW"]


def test_the_columns_of_a_statement_that_does_not_run(cursor):
    schema = cursor.adbc_execute_schema("SELECT id, CAST(id AS STRING) AS text FROM range(1000000000000)")
    assert schema.names == ["id", "text"]
    statement = "SELECT parse_json('1') AS v, array(INTERVAL '1' MONTH) AS months"
    assert cursor.adbc_execute_schema(statement) == cursor.execute(statement).fetch_arrow_table().schema


TABLE = pyarrow.table(
    {
        "i": pyarrow.array([1, None, 3], pyarrow.int32()),
        "u": pyarrow.array([1, 2, 2**63], pyarrow.uint64()),
        "f": pyarrow.array([0.5, None, 1.5], pyarrow.float64()),
        "s": pyarrow.array(["a", None, "ß"], pyarrow.large_string()),
        "view": pyarrow.array(["a", None, "ß"], pyarrow.string_view()),
        "b": pyarrow.array([b"\x00", None, b"\xff"], pyarrow.binary()),
        "d": pyarrow.array([date(2024, 2, 29), None, None], pyarrow.date32()),
        "t": pyarrow.array([datetime(2024, 1, 1), None, None], pyarrow.timestamp("ns", "Europe/Berlin")),
        "n": pyarrow.array([datetime(2024, 1, 1), None, None], pyarrow.timestamp("ms")),
        "p": pyarrow.array([Decimal("1.50"), None, None], pyarrow.decimal128(12, 2)),
        "k": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
        "l": pyarrow.array([[1, None], None, []], pyarrow.list_(pyarrow.int64())),
        "m": pyarrow.array([[("k", 1)], None, []], pyarrow.map_(pyarrow.string(), pyarrow.int32())),
        "r": pyarrow.array([{"x": 1, "y": "z"}, None, None]),
        "none": pyarrow.nulls(3),
    }
)


def test_all_types_are_ingested(cursor):
    assert cursor.adbc_ingest("ingested_types", TABLE, mode="create") == 3
    back = cursor.execute("SELECT * FROM ingested_types ORDER BY u").fetch_arrow_table()
    assert back.to_pylist() == TABLE.to_pylist()
    assert back.schema.field("u").type == pyarrow.decimal128(20, 0)
    assert back.schema.field("k").type == pyarrow.string()


def numbers(*values):
    return pyarrow.table({"a": pyarrow.array(values, pyarrow.int32())})


def test_ways_to_ingest(cursor):
    def rows():
        return [row[0] for row in cursor.execute("SELECT a FROM ingested ORDER BY a").fetchall()]

    with pytest.raises(dbapi.ProgrammingError, match="TABLE_OR_VIEW_NOT_FOUND"):
        cursor.adbc_ingest("ingested", numbers(0), mode="append")
    assert cursor.adbc_ingest("ingested", numbers(1, 2), mode="create") == 2
    with pytest.raises(dbapi.Error, match="ALREADY_EXISTS"):
        cursor.adbc_ingest("ingested", numbers(0), mode="create")
    assert cursor.adbc_ingest("ingested", numbers(3), mode="append") == 1
    assert cursor.adbc_ingest("ingested", numbers(4), mode="create_append") == 1
    assert rows() == [1, 2, 3, 4]
    cursor.adbc_ingest("ingested", numbers(9), mode="replace")
    assert rows() == [9]
    history = cursor.execute("SELECT operation FROM (DESCRIBE HISTORY ingested)").fetchall()
    assert len(history) == 4, "one commit each"


def test_columns_are_ingested_by_name(cursor):
    cursor.execute("CREATE OR REPLACE TABLE by_name (a INT, b STRING, c BIGINT GENERATED ALWAYS AS (a * 2))")
    cursor.adbc_ingest("by_name", pyarrow.table({"B": ["x"], "a": [1]}), mode="append")
    cursor.adbc_ingest("by_name", pyarrow.table({"a": [2]}), mode="append")
    assert cursor.execute("SELECT * FROM by_name ORDER BY a").fetchall() == [(1, "x", 2), (2, None, 4)]
    with pytest.raises(dbapi.Error, match="EXTRA_COLUMNS"):
        cursor.adbc_ingest("by_name", pyarrow.table({"z": [1]}), mode="append")
    with pytest.raises(dbapi.Error, match="CAST_OVERFLOW"):
        cursor.adbc_ingest("by_name", pyarrow.table({"a": [2**40]}), mode="append")


def test_rows_go_to_a_schema(cursor):
    cursor.execute("CREATE SCHEMA IF NOT EXISTS adbc_target")
    cursor.adbc_ingest("t", numbers(1), mode="replace", catalog_name="main", db_schema_name="adbc_target")
    assert cursor.execute("SELECT * FROM main.adbc_target.t").fetchall() == [(1,)]


def test_many_rows_are_one_commit(cursor):
    schema = pyarrow.schema([("id", pyarrow.int64()), ("text", pyarrow.string())])

    def batches():
        for start in range(0, 500_000, 50_000):
            ids = pyarrow.array(range(start, start + 50_000), pyarrow.int64())
            yield pyarrow.record_batch([ids, ids.cast(pyarrow.string())], schema=schema)

    reader = pyarrow.RecordBatchReader.from_batches(schema, batches())
    assert cursor.adbc_ingest("ingested_many", reader, mode="create") == 500_000
    assert cursor.execute("SELECT count(*), sum(id), max(length(text)) FROM ingested_many").fetchone() == (
        500_000,
        124_999_750_000,
        6,
    )
    versions = cursor.execute("SELECT count(*) FROM (DESCRIBE HISTORY ingested_many)").fetchone()
    assert versions == (1,)


def test_transactions_are_refused(url):
    with pytest.warns(Warning, match="autocommit"):
        connection = dbapi.connect(url.replace("http://", "grpc://"))
    with connection, connection.cursor() as cursor:
        assert cursor.execute("SELECT 1").fetchone() == (1,)


def test_polars_reads_and_writes(connection):
    frame = polars.read_database("SELECT id, CAST(id AS STRING) AS text FROM range(1000)", connection)
    assert frame.shape == (1000, 2)
    frame.write_database("adbc_polars", connection, if_table_exists="replace")
    assert polars.read_database("SELECT count(*) FROM adbc_polars", connection).item() == 1000


def test_over_tls(connect, secured):
    url, authority = secured
    trusted = {DatabaseOptions.TLS_ROOT_CERTS.value: authority.read_text()}
    connection = connect(url.replace("https://", "grpc+tls://"), **trusted)
    with connection.cursor() as cursor:
        assert cursor.execute("SELECT 42").fetchall() == [(42,)]


def test_tokens(tmp_path):
    with Server(tmp_path, "--listen", "127.0.0.1:0") as server:
        uri, token = server.url.replace("http://", "grpc://"), server.token
        for options in [
            {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"},
            {"username": "token", "password": token},
        ]:
            with dbapi.connect(uri, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
                assert cursor.execute("SELECT 1").fetchone() == (1,)
        for options in [
            {},
            {DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer wrong"},
            {"username": "token", "password": "wrong"},
        ]:
            with pytest.raises(dbapi.Error, match="(?i)unauthenticated"):
                with dbapi.connect(uri, db_kwargs=options, autocommit=True) as connection:
                    connection.cursor().execute("SELECT 1")

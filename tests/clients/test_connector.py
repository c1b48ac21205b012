"""databricks-sql-connector, over Thrift, against a server."""

import json
import threading
import time
from datetime import date, datetime, timezone
from decimal import Decimal

import pyarrow
import pytest
from databricks.sql import exc
from databricks.sql.thrift_api.TCLIService import ttypes

VALUES = [
    ("1Y", "tinyint", 1),
    ("1S", "smallint", 1),
    ("1", "int", 1),
    ("9223372036854775807L", "bigint", 9223372036854775807),
    ("CAST(0.5 AS FLOAT)", "float", 0.5),
    ("0.5D", "double", 0.5),
    ("CAST(-1.25 AS DECIMAL(38, 2))", "decimal", Decimal("-1.25")),
    ("'Straße 🚲'", "string", "Straße 🚲"),
    ("true", "boolean", True),
    ("X'00FF'", "binary", b"\x00\xff"),
    ("DATE '2024-02-29'", "date", date(2024, 2, 29)),
    ("TIMESTAMP '2024-02-29 12:30:00.000001Z'", "timestamp", datetime(2024, 2, 29, 12, 30, 0, 1, timezone.utc)),
    ("TIMESTAMP_NTZ '2024-02-29 12:30:00'", "timestamp", datetime(2024, 2, 29, 12, 30)),
    ("named_struct('a', 1, 'b', 'x')", "struct", {"a": 1, "b": "x"}),
    ("map('k', 1)", "map", [("k", 1)]),
    ("parse_json('{\"a\": [1, \"x\"]}')", "variant", '{"a":[1,"x"]}'),
    ("CAST('text' AS VARIANT)", "variant", '"text"'),
    ("CAST(NULL AS VARIANT)", "variant", None),
    ("named_struct('v', parse_json('1'))", "struct", {"v": "1"}),
    ("map('k', parse_json('null'))", "map", [("k", "null")]),
    ("INTERVAL '-1-2' YEAR TO MONTH", "interval_year_month", "-1-2"),
    ("INTERVAL '2' DAY", "interval_day_time", "2 00:00:00.000000000"),
    ("INTERVAL '-1 02:03:04.5' DAY TO SECOND", "interval_day_time", "-1 02:03:04.500000000"),
    ("make_interval(1, 2, 0, 3)", "string", "1 years 2 months 3 days"),
    ("map('k', INTERVAL '1' MONTH)", "map", [("k", "0-1")]),
    ("named_struct('took', TIMESTAMP '2024-01-02' - TIMESTAMP '2024-01-01')", "struct", {"took": "1 00:00:00.000000000"}),
    ("CAST(NULL AS INT)", "int", None),
    ("NULL", "null", None),
]


@pytest.mark.parametrize(("expression", "type_code", "expected"), VALUES, ids=[value[0] for value in VALUES])
def test_every_type_has_its_value(cursor, expression, type_code, expected):
    cursor.execute(f"SELECT {expression} AS x")
    (row,) = cursor.fetchall()
    assert row.x == expected
    assert cursor.description[0][:2] == ("x", type_code)


def test_arrays_and_decimals_are_described(cursor):
    cursor.execute("SELECT array(1, NULL, 3) AS a, CAST(1 AS DECIMAL(12, 3)) AS d")
    assert [column[4:6] for column in cursor.description] == [(None, None), (12, 3)]
    table = cursor.fetchall_arrow()
    assert table.column("a").to_pylist() == [[1, None, 3]]
    assert table.schema.field("d").type == pyarrow.decimal128(12, 3)


def test_complex_types_as_texts(connect):
    cursor = connect(_use_arrow_native_complex_types=False).cursor()
    cursor.execute("SELECT array('x', NULL) AS a, map('k', 1) AS m, named_struct('s', \"it's\", 'n', NULL) AS st")
    (row,) = cursor.fetchall()
    assert [json.loads(value) for value in row] == [["x", None], {"k": 1}, {"s": "it's", "n": None}]


def test_parameters(rows):
    named = {"n": 5, "text": "it's", "none": None, "day": date(2024, 1, 1), "price": Decimal("1.50"), "yes": True}
    assert rows("SELECT :n + 1, :text, :none, :day, :price, :yes", named) == [
        (6, "it's", None, date(2024, 1, 1), Decimal("1.50"), True)
    ]
    assert rows("SELECT ? || ?, ?", ["a", "b", 1.5]) == [("ab", 1.5)]


def test_a_session_keeps_what_it_sets(connect):
    first, second = connect(catalog="main", schema="default").cursor(), connect().cursor()
    first.execute("CREATE SCHEMA IF NOT EXISTS session_test")
    first.execute("USE SCHEMA session_test")
    first.execute("CREATE TEMPORARY VIEW kept AS SELECT 7 AS x")
    first.execute("DECLARE OR REPLACE VARIABLE v = 8")
    first.execute("SET TIME ZONE 'Asia/Tokyo'")
    first.execute("SELECT x, v, current_schema(), CAST(timestamp_seconds(0) AS STRING) FROM kept")
    assert [tuple(row) for row in first.fetchall()] == [(7, 8, "session_test", "1970-01-01 09:00:00")]
    second.execute("SELECT current_schema()")
    assert second.fetchall()[0][0] == "default"
    with pytest.raises(exc.ServerOperationError, match="TABLE_OR_VIEW_NOT_FOUND"):
        second.execute("SELECT * FROM kept")


def test_a_session_begins_where_there_is_nothing_yet(connect):
    cursor = connect(catalog="main", schema="made_later", session_configuration={"ansi_mode": "true"}).cursor()
    cursor.execute("CREATE SCHEMA main.made_later")
    cursor.execute("CREATE TABLE t AS SELECT 1 AS a")
    cursor.execute("SELECT a FROM main.made_later.t")
    assert cursor.fetchall()[0][0] == 1
    cursor.execute("DROP SCHEMA main.made_later CASCADE")


def test_changes_are_counted(cursor):
    cursor.execute("CREATE OR REPLACE TABLE counted (a INT)")
    assert cursor.fetchall() == []
    cursor.execute("INSERT INTO counted VALUES (1), (2), (3)")
    assert cursor.rowcount == 3
    cursor.execute("DELETE FROM counted WHERE a > 1")
    assert cursor.rowcount == 2


ROWS = 2_000_000


def test_a_large_result_arrives_whole(cursor):
    cursor.execute(f"SELECT id, repeat(CAST(id % 10 AS STRING), 20) AS text FROM range({ROWS})")
    seen, total = 0, 0
    while (table := cursor.fetchmany_arrow(300_000)).num_rows:
        seen += table.num_rows
        total += pyarrow.compute.sum(table.column("id")).as_py()
    assert (seen, total) == (ROWS, ROWS * (ROWS - 1) // 2)


def test_rows_without_compression(connect):
    cursor = connect(enable_query_result_lz4_compression=False).cursor()
    cursor.execute("SELECT id FROM range(100000)")
    assert len(cursor.fetchall()) == 100_000


@pytest.mark.parametrize(
    ("statement", "condition", "state"),
    [
        ("SELECT * FROM nowhere", "TABLE_OR_VIEW_NOT_FOUND", "42P01"),
        ("SELEC 1", "PARSE_SYNTAX_ERROR", "42601"),
        ("SELECT 1 / 0", "DIVIDE_BY_ZERO", "22012"),
        ("USE SCHEMA nowhere", "SCHEMA_NOT_FOUND", "42704"),
    ],
)
def test_an_error_has_its_condition(cursor, statement, condition, state):
    with pytest.raises(exc.ServerOperationError, match=rf"^\[{condition}\] .*SQLSTATE: {state}$") as raised:
        cursor.execute(statement)
    assert raised.value.context["diagnostic-info"] is not None
    cursor.execute("SELECT 1")
    assert cursor.fetchall()[0][0] == 1


def test_an_error_after_the_first_rows_is_one(cursor):
    cursor.execute("SELECT assert_true(id < 1500000), id FROM range(2000000)")
    with pytest.raises(exc.Error, match="USER_RAISED_EXCEPTION"):
        while cursor.fetchmany_arrow(100_000).num_rows:
            pass


def test_a_statement_takes_longer_than_a_call_waits(cursor):
    cursor.execute("SELECT count(*) FROM range(3000000) a JOIN range(100) b ON a.id % 7 <> b.id % 5")
    assert cursor.fetchall()[0][0] > 0


def test_a_statement_is_cancelled(connect):
    cursor = connect().cursor()
    ended = []

    def work():
        try:
            cursor.execute("SELECT count(*) FROM range(1000000000) a JOIN range(1000000) b ON a.id % 7 <> b.id")
        except exc.Error as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    # The client knows what to cancel once its first call has returned.
    while cursor.active_command_id is None:
        time.sleep(0.05)
    cursor.cancel()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert len(ended) == 1


def test_cursors_of_one_connection_run_side_by_side(connect):
    connection = connect()
    answers = {}

    def work(number):
        cursor = connection.cursor()
        cursor.execute(f"SELECT sum(id) + {number} FROM range(100000)")
        answers[number] = cursor.fetchall()[0][0]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert answers == {number: 4999950000 + number for number in range(8)}


def test_what_there_is_is_listed(cursor):
    cursor.execute("CREATE SCHEMA IF NOT EXISTS listed")
    cursor.execute("CREATE OR REPLACE TABLE listed.t (a INT COMMENT 'first', b DECIMAL(10, 2) NOT NULL)")
    cursor.execute("CREATE OR REPLACE VIEW listed.v AS SELECT 1 AS x")
    cursor.catalogs()
    assert "main" in [row.TABLE_CAT for row in cursor.fetchall()]
    cursor.schemas(catalog_name="main", schema_name="list%")
    assert [(row.TABLE_SCHEM, row.TABLE_CATALOG) for row in cursor.fetchall()] == [("listed", "main")]
    cursor.tables(catalog_name="main", schema_name="listed")
    assert [(row.TABLE_NAME, row.TABLE_TYPE) for row in cursor.fetchall()] == [("t", "TABLE"), ("v", "VIEW")]
    cursor.tables(catalog_name="main", schema_name="listed", table_types=["VIEW"])
    assert [row.TABLE_NAME for row in cursor.fetchall()] == ["v"]
    cursor.columns(catalog_name="main", schema_name="listed", table_name="t")
    columns = [(row.COLUMN_NAME, row.DATA_TYPE, row.TYPE_NAME, row.NULLABLE) for row in cursor.fetchall()]
    assert columns == [("a", 4, "INT", 1), ("b", 3, "DECIMAL(10,2)", 0)]


def test_keys_are_listed_and_described(connect, rows, monkeypatch):
    rows("CREATE SCHEMA IF NOT EXISTS keyed")
    rows("CREATE OR REPLACE TABLE keyed.parent (b DATE, a INT, CONSTRAINT parent_key PRIMARY KEY (a, b) RELY)")
    rows(
        "CREATE OR REPLACE TABLE keyed.child (x DATE, y INT, CONSTRAINT `child-key` FOREIGN KEY (x, y) "
        "REFERENCES keyed.parent (b, a))"
    )
    connection = connect()
    client = connection.session.backend._client

    def listed(call, **names):
        """The rows of a call that the connector has no method for."""
        handle = connection.session.session_id.to_thrift_handle()
        limits = ttypes.TSparkGetDirectResults(maxRows=100, maxBytes=1 << 20)
        request = getattr(ttypes, f"T{call}Req")(sessionHandle=handle, getDirectResults=limits, **names)
        with monkeypatch.context() as patch:
            patch.setattr(client, "GetTables", lambda _: getattr(client, call)(request))
            return connection.cursor().tables().fetchall()

    keys = listed("GetPrimaryKeys", catalogName="main", schemaName="keyed", tableName="parent")
    assert [(row.COLUMN_NAME, row.KEY_SEQ, row.PK_NAME) for row in keys] == [("a", 1, "parent_key"), ("b", 2, "parent_key")]
    references = listed("GetCrossReference", foreignSchemaName="keyed", foreignTableName="child")
    assert [(row.PKTABLE_NAME, row.PKCOLUMN_NAME, row.FKCOLUMN_NAME, row.KEY_SEQ) for row in references] == [
        ("parent", "b", "x", 1),
        ("parent", "a", "y", 2),
    ]
    ((described,),) = rows("DESCRIBE TABLE EXTENDED keyed.child AS JSON")
    key = "FOREIGN KEY (`x`, `y`) REFERENCES `main`.`keyed`.`parent` (`b`, `a`)"
    assert json.loads(described)["table_constraints"] == f"[(child-key,{key})]"
    lines = [row[:2] for row in rows("DESCRIBE EXTENDED keyed.parent")]
    assert lines[-2:] == [("# Constraints", ""), ("parent_key", "PRIMARY KEY (`a`, `b`) RELY")]


def test_a_closed_session_is_gone(connect):
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    connection.close()
    with pytest.raises(exc.Error):
        connection.cursor().execute("SELECT 1")

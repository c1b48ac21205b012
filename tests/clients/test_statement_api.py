"""databricks-sdk, and the connector's other transports, on the Statement Execution API."""

import datetime
import io
from decimal import Decimal

import pyarrow as pa
import pytest
import requests
from conftest import Server
from databricks import sql
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound
from databricks.sdk.service.sql import (
    ColumnInfoTypeName,
    Disposition,
    ExecuteStatementRequestOnWaitTimeout,
    Format,
    StatementParameterListItem,
    StatementState,
)

ENDLESS = "SELECT count(*) FROM range(1000000000) a CROSS JOIN range(1000000000) b WHERE a.id * b.id = -1"


@pytest.fixture
def workspace(url):
    return WorkspaceClient(host=url, token="any")


@pytest.fixture
def statements(workspace):
    return workspace.statement_execution


def test_values_are_texts(statements):
    statement = """SELECT 1Y, 2S, 3, 4L, 1.5F, 1e10D, 10.50BD, true, DATE'2024-02-29',
        TIMESTAMP'2024-02-29 12:00:00.5+00:00', TIMESTAMP_NTZ'2024-02-29 12:00:00', 'text', X'00FF', NULL,
        array(1, NULL), map('a', 1), named_struct('a', 1), parse_json('{"a": 1.50}'),
        INTERVAL '1-2' YEAR TO MONTH, INTERVAL '90' MINUTE"""
    response = statements.execute_statement(statement, "ingot")
    assert response.status.state == StatementState.SUCCEEDED
    assert response.result.data_array == [
        ["1", "2", "3", "4", "1.5", "1.0E10", "10.50", "true", "2024-02-29", "2024-02-29T12:00:00.500Z"]
        + ["2024-02-29T12:00:00.000", "text", "00FF", None, "[1,null]", '{"a":1}', '{"a":1}', '{"a":1.5}']
        + ["1-2", "0 01:30:00.000000000"]
    ]
    columns = response.manifest.schema.columns
    assert [column.type_text for column in columns] == [
        *["TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(4,2)", "BOOLEAN", "DATE", "TIMESTAMP"],
        *["TIMESTAMP_NTZ", "STRING", "BINARY", "VOID", "ARRAY<INT>", "MAP<STRING, INT>"],
        *["STRUCT<a: INT>", "VARIANT", "INTERVAL YEAR TO MONTH", "INTERVAL DAY TO SECOND"],
    ]
    intervals = [(column.type_name, column.type_interval_type) for column in columns[-2:]]
    assert intervals == [
        (ColumnInfoTypeName.INTERVAL, "YEAR TO MONTH"),
        (ColumnInfoTypeName.INTERVAL, "DAY TO SECOND"),
    ]


def test_parameters(statements):
    parameters = [
        StatementParameterListItem(name="number", value="42", type="INT"),
        StatementParameterListItem(name="day", value="2024-02-29", type="DATE"),
        StatementParameterListItem(name="nothing"),
        StatementParameterListItem(name="text", value="'; DROP TABLE t --"),
    ]
    statement = "SELECT :number + 1, :day, :nothing, :text"
    response = statements.execute_statement(statement, "ingot", parameters=parameters)
    assert response.result.data_array == [["43", "2024-02-29", None, "'; DROP TABLE t --"]]


def test_a_large_result_comes_by_links(statements):
    rows = 3_000_000
    response = statements.execute_statement(
        f"SELECT id, id * 2 AS double FROM range({rows})",
        "ingot",
        disposition=Disposition.EXTERNAL_LINKS,
        format=Format.ARROW_STREAM,
        wait_timeout="50s",
    )
    assert response.manifest.total_chunk_count > 1
    assert response.manifest.total_row_count == rows
    links, numbers = response.result.external_links, []
    while links:
        [link] = links
        # As from a bucket: without a token.
        chunk = requests.get(link.external_link)
        chunk.raise_for_status()
        assert len(chunk.content) == link.byte_count
        table = pa.ipc.open_stream(io.BytesIO(chunk.content)).read_all()
        assert table.num_rows == link.row_count
        numbers.append(table["id"])
        more = link.next_chunk_index
        links = None
        if more is not None:
            chunk = statements.get_statement_result_chunk_n(response.statement_id, more)
            links = chunk.external_links
    numbers = pa.chunked_array([piece for column in numbers for piece in column.chunks])
    assert len(numbers.unique()) == rows


def test_a_result_too_large_for_an_answer_is_refused(statements):
    response = statements.execute_statement("SELECT repeat('x', 1000) FROM range(100000)", "ingot", wait_timeout="50s")
    assert response.status.state == StatementState.FAILED
    assert "EXTERNAL_LINKS" in response.status.error.message


def test_limits_cut_a_result_off(statements):
    response = statements.execute_statement("SELECT id FROM range(100) ORDER BY id", "ingot", row_limit=3)
    assert response.manifest.truncated
    assert response.result.data_array == [["0"], ["1"], ["2"]]
    response = statements.execute_statement("SELECT repeat('x', 100) FROM range(1000)", "ingot", byte_limit=5000)
    assert response.manifest.truncated
    assert 0 < response.manifest.total_byte_count <= 5000


def test_a_statement_is_polled_and_cancelled(statements):
    response = statements.execute_statement(ENDLESS, "ingot", wait_timeout="0s")
    assert response.status.state == StatementState.RUNNING
    assert statements.get_statement(response.statement_id).status.state == StatementState.RUNNING
    statements.cancel_execution(response.statement_id)
    state = StatementState.RUNNING
    while state == StatementState.RUNNING:
        state = statements.get_statement(response.statement_id).status.state
    assert state == StatementState.CANCELED


def test_a_statement_is_cancelled_when_the_wait_is_over(statements):
    response = statements.execute_statement(
        ENDLESS, "ingot", wait_timeout="5s", on_wait_timeout=ExecuteStatementRequestOnWaitTimeout.CANCEL
    )
    assert response.status.state == StatementState.CANCELED


def test_errors(statements):
    response = statements.execute_statement("SELECT * FROM no_such_table", "ingot")
    assert response.status.state == StatementState.FAILED
    assert response.status.error.message.startswith("[TABLE_OR_VIEW_NOT_FOUND]")
    with pytest.raises(BadRequest, match="wait_timeout"):
        statements.execute_statement("SELECT 1", "ingot", wait_timeout="100s")
    with pytest.raises(NotFound):
        statements.get_statement("00000000-0000-0000-0000-000000000000")


def test_statements_that_give_no_rows(statements):
    created = statements.execute_statement("CREATE TABLE sdk (id INT)", "ingot", catalog="main", schema="default")
    assert created.status.state == StatementState.SUCCEEDED
    inserted = statements.execute_statement("INSERT INTO main.default.sdk VALUES (1), (2)", "ingot")
    assert inserted.result.data_array == [["2", "2"]]
    empty = statements.execute_statement("SELECT * FROM main.default.sdk WHERE id > 2", "ingot")
    assert (empty.manifest.total_row_count, empty.manifest.schema.column_count) == (0, 1)


def test_the_server_is_a_warehouse(workspace):
    [warehouse] = workspace.warehouses.list()
    assert warehouse.state.value == "RUNNING"
    assert workspace.warehouses.get(warehouse.id).odbc_params.path == f"/sql/1.0/warehouses/{warehouse.id}"
    workspace.warehouses.start(warehouse.id)


def test_a_user_and_a_token_are_credentials_of_oauth(tmp_path):
    with Server(tmp_path, "--listen", "127.0.0.1:0") as server:
        workspace = WorkspaceClient(host=server.url, client_id="admin", client_secret=server.token)
        response = workspace.statement_execution.execute_statement("SELECT current_user()", "ingot")
        assert response.result.data_array == [["admin"]]


TRANSPORTS = {
    "statement_api": {"use_sea": True},
    "statement_api_inline": {"use_sea": True, "use_cloud_fetch": False},
    "statement_api_hybrid": {"use_sea": True, "use_hybrid_disposition": True},
    "kernel": {"use_kernel": True},
    "thrift": {},
}


@pytest.fixture(params=TRANSPORTS, ids=str)
def secured_connection(request, secured, secured_url):
    """A connection over HTTPS by each of the connector's transports."""
    host, port = secured_url.removeprefix("https://").split(":")
    options = TRANSPORTS[request.param] | {"enable_telemetry": False}
    if request.param == "thrift":
        options["_connection_uri"] = f"{secured_url}/sql/1.0/warehouses/ingot"
    elif request.param == "kernel":
        # It asks neither the environment nor the system whom to trust.
        host, options["_tls_trusted_ca_file"] = f"{host}:{port}", str(secured[1])
    else:
        options["_port"] = int(port)
    with sql.connect(host, "/sql/1.0/warehouses/ingot", access_token="any", **options) as connection:
        yield connection


def test_transports_give_the_same(secured_connection):
    cursor = secured_connection.cursor()
    cursor.execute("SELECT 1 AS n, 10.50BD AS d, 'text' AS t, DATE'2024-02-29' AS day, CAST(NULL AS INT) AS nothing")
    [row] = cursor.fetchall()
    assert tuple(row) == (1, Decimal("10.50"), "text", datetime.date(2024, 2, 29), None)
    cursor.execute("SELECT parse_json('[1]') AS v, array(parse_json('2')) AS vs")
    [row] = cursor.fetchall()
    assert row.v == "[1]"
    cursor.execute("SELECT 1 AS n WHERE false")
    assert cursor.fetchall() == []
    cursor.execute("CREATE OR REPLACE TEMPORARY VIEW numbers AS SELECT id FROM range(10)")
    cursor.execute("SELECT sum(id) FROM numbers")
    assert cursor.fetchone()[0] == 45, "a session's view is there for the next statement"


def test_transports_take_large_results(secured_connection):
    cursor = secured_connection.cursor()
    cursor.execute("SELECT id, uuid() AS text FROM range(200000)")
    table = cursor.fetchall()
    assert len(table) == len({row[0] for row in table}) == 200_000

"""The history of statements: by SQL, by databricks-sdk, and the profile of one."""

import json
import time
import urllib.error
import urllib.request

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.sql import QueryFilter, QueryStatementType, QueryStatus, TimeRange
from databricks.sql import exc


@pytest.fixture(scope="session")
def workspace(url):
    return WorkspaceClient(host=url, token="any")


def listed(workspace, **filters):
    return workspace.query_history.list(filter_by=QueryFilter(**filters), include_metrics=True).res


def test_an_operation_is_found_by_its_id(cursor, workspace, rows):
    rows("CREATE OR REPLACE TABLE history_read AS SELECT id FROM range(1000)")
    cursor.execute("SELECT id FROM history_read WHERE id >= 0")
    cursor.fetchall()
    (query,) = listed(workspace, statement_ids=[cursor.query_id])
    assert query.status == QueryStatus.FINISHED and query.is_final
    assert query.statement_type == QueryStatementType.SELECT
    assert query.query_text == "SELECT id FROM history_read WHERE id >= 0"
    assert (query.user_name, query.rows_produced, query.warehouse_id) == ("admin", 1000, "ingot")
    session_id = cursor.connection.get_session_id_hex().replace("-", "")
    assert query.session_id.replace("-", "") == session_id
    metrics = query.metrics
    assert (metrics.rows_read_count, metrics.rows_produced_count) == (1000, 1000)
    assert metrics.read_files_count >= 1 and metrics.read_bytes > 0
    assert 0 <= metrics.compilation_time_ms + metrics.execution_time_ms <= metrics.total_time_ms
    (row,) = rows(
        "SELECT execution_status, produced_rows, client_driver, read_rows, compute.warehouse_id"
        f" FROM system.query.history WHERE statement_id = '{cursor.query_id}'"
    )
    assert row == ("FINISHED", 1000, "Databricks SQL Connector for Python", 1000, "ingot")


def test_what_fails_says_why(cursor, workspace):
    started = int(time.time() * 1000) - 1
    with pytest.raises(exc.ServerOperationError):
        cursor.execute("SELECT * FROM history_nowhere")
    now = int(time.time() * 1000) + 1
    span = TimeRange(start_time_ms=started, end_time_ms=now)
    (query,) = [
        query
        for query in listed(workspace, statuses=[QueryStatus.FAILED], query_start_time_range=span)
        if "history_nowhere" in query.query_text
    ]
    assert query.error_message.startswith("[TABLE_OR_VIEW_NOT_FOUND]")
    assert not listed(workspace, query_start_time_range=TimeRange(end_time_ms=1000))


def test_pages_follow_each_other(rows, workspace):
    for number in range(5):
        rows(f"SELECT {number} AS of_a_page")
    seen, token = [], None
    while True:
        page = workspace.query_history.list(max_results=2, page_token=token)
        seen += page.res
        assert len(page.res) <= 2
        if not page.has_next_page:
            break
        token = page.next_page_token
    ids = [query.query_id for query in seen]
    assert len(ids) == len(set(ids))
    starts = [query.query_start_time_ms for query in seen]
    assert starts == sorted(starts, reverse=True)
    assert sum("of_a_page" in query.query_text for query in seen) == 5
    assert all(query.metrics is None for query in seen)


def test_users_and_warehouses_are_filters(rows, workspace):
    rows("SELECT 'of admin'")
    (user,) = {query.user_id for query in workspace.query_history.list(max_results=1).res}
    assert listed(workspace, user_ids=[user])
    assert not listed(workspace, user_ids=[user + 1])
    assert not listed(workspace, warehouse_ids=["another"])
    assert listed(workspace, warehouse_ids=["ingot"])


def test_tags_of_sessions_and_statements(connect, workspace):
    connection = connect(session_configuration={"QUERY_TAGS": "team:a\\:b,alone"})
    cursor = connection.cursor()
    cursor.execute("SET QUERY_TAGS['env'] = 'prod'")
    cursor.execute("SELECT 1", query_tags={"own": "x,y"})
    (query,) = listed(workspace, statement_ids=[cursor.query_id])
    tags = {tag.key: tag.value for tag in query.query_tags}
    assert tags == {"team": "a:b", "alone": None, "env": "prod", "own": "x,y"}


def get(url, path):
    with urllib.request.urlopen(url + path) as answer:
        return json.load(answer)


def operators(plan):
    yield plan
    for child in plan["children"]:
        yield from operators(child)


def test_a_profile_has_the_operators(cursor, url):
    cursor.execute("SELECT id % 7 AS k, count(*) AS n FROM range(1000) GROUP BY k")
    cursor.fetchall()
    profile = get(url, f"/api/v1/statements/{cursor.query_id}/profile")
    assert profile["statement"]["status"] == "FINISHED"
    names = {operator["name"] for plan in profile["plans"] for operator in operators(plan)}
    assert "AggregateExec" in names
    with pytest.raises(urllib.error.HTTPError) as missing:
        get(url, "/api/v1/statements/00000000-0000-0000-0000-000000000000/profile")
    assert missing.value.code == 404


def test_an_answer_over_http_names_its_statement(url):
    body = json.dumps({"statement": "SELECT 1 AS one"}).encode()
    request = urllib.request.Request(url + "/api/v1/sql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        statement_id = answer.headers["x-ingot-statement-id"]
        answer.read()
    profile = get(url, f"/api/v1/statements/{statement_id}/profile")
    assert profile["statement"]["statement_text"] == "SELECT 1 AS one"

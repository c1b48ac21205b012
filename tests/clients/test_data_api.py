"""The data API: what its description promises, checked by schemathesis; pages as a client follows them."""

import json
import urllib.request
from urllib.parse import quote, urljoin

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

TABLE = "main.data_api.flights"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ROWS = 2_000
# Requests for each operation; the same ones in each run.
BOUNDED = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def statement(url: str, text: str) -> None:
    response = requests.post(f"{url}/api/v1/sql", json={"statement": text}, timeout=60)
    assert response.status_code == 200, response.text


@pytest.fixture(scope="module")
def table(url) -> str:
    statement(url, "CREATE SCHEMA IF NOT EXISTS main.data_api")
    statement(
        url,
        f"CREATE TABLE {TABLE} TBLPROPERTIES (delta.enableChangeDataFeed = true) AS SELECT id, "
        "CASE WHEN id % 7 = 0 THEN NULL ELSE concat('N', id % 50) END AS tailnum, CAST(id % 120 AS INT) - 10 AS delay, "
        "CAST(id AS DOUBLE) / 3 AS distance, CAST(id % 100 AS DECIMAL(10, 2)) AS price, id % 2 = 0 AS late, "
        f"DATE '2024-01-01' + CAST(id % 31 AS INT) AS day, array(id, NULL) AS stops FROM range({ROWS})",
    )
    return f"{url}/api/v1/data/{TABLE}"


def conforms(document: dict, url: str) -> None:
    """Sends bounded, repeatable requests for every operation of a document, and checks each answer."""
    schema = schemathesis.openapi.from_dict(document)
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.method.upper() != "GET":
            continue

        @BOUNDED
        @given(case=operation.as_strategy())
        def check(case):
            case.validate_response(case.call(base_url=url, timeout=60), checks=CHECKS)

        check()


def test_a_table_is_as_it_is_described(url, table):
    document = requests.get(f"{table}/openapi.json", timeout=60).json()
    assert list(document["paths"]) == [f"/api/v1/data/{TABLE}"]
    conforms(document, url)


def test_the_api_is_as_it_is_described(url, table):
    document = requests.get(f"{url}/openapi.json", timeout=60).json()
    document["paths"] = {path: item for path, item in document["paths"].items() if path.startswith("/api/v1/")}
    conforms(document, url)


@pytest.mark.parametrize("order", ["", "&order=delay", "&order=-tailnum,delay"])
def test_pages_are_followed_while_others_write(url, table, order):
    expected = sorted(row["id"] for row in requests.get(f"{table}?select=id", timeout=60).json())
    found, pages = [], 0
    page = f"{table}?select=id&page_size=300{order}"
    while page:
        response = requests.get(page, timeout=60)
        assert response.status_code == 200, response.text
        found += [row["id"] for row in response.json()]
        page = urljoin(page, response.links["next"]["url"]) if "next" in response.links else None
        pages += 1
        if pages == 2:
            statement(url, f"DELETE FROM {TABLE} WHERE id IN (SELECT max(id) FROM {TABLE})")
        if pages == 3:
            statement(url, f"OPTIMIZE {TABLE}")
    assert pages > 3 and sorted(found) == expected


def test_formats_hold_the_same_rows(table):
    query = f"{table}?select=id,tailnum,price&order=id&limit=50"
    rows = requests.get(query, timeout=60).json()
    lines = requests.get(f"{query}&format=ndjson", timeout=60).text
    assert [json.loads(line) for line in lines.splitlines()] == rows
    arrow = requests.get(query, headers={"accept": "application/vnd.apache.arrow.stream"}, timeout=60)
    table_of_stream = pa.ipc.open_stream(arrow.content).read_all()
    parquet = requests.get(f"{query}&format=parquet", timeout=60)
    assert pq.read_table(pa.BufferReader(parquet.content)).equals(table_of_stream)
    assert table_of_stream.column("id").to_pylist() == [row["id"] for row in rows]


def test_a_cache_is_told_that_nothing_changed(url, table):
    session = requests.Session()
    first = session.get(f"{table}?group_by=late&aggregate=count", timeout=60)
    again = session.get(first.url, headers={"if-none-match": first.headers["etag"]}, timeout=60)
    assert (again.status_code, again.content) == (304, b"")
    statement(url, f"INSERT INTO {TABLE} (id) VALUES (999999)")
    changed = session.get(first.url, headers={"if-none-match": first.headers["etag"]}, timeout=60)
    assert changed.status_code == 200


def test_changes_go_on_from_a_version(url, table):
    version = int(requests.head(table, timeout=60).headers["ingot-table-version"])
    statement(url, f"INSERT INTO {TABLE} (id) VALUES (1000001)")
    changes = requests.get(f"{table}?changes_since={version}&select=id,_change_type", timeout=60)
    assert changes.json() == [{"id": 1000001, "_change_type": "insert"}]
    since = changes.headers["ingot-table-version"]
    assert requests.get(f"{table}?changes_since={since}", timeout=60).json() == []


def test_clients_of_the_standard_library_can_ask(table):
    with urllib.request.urlopen(f"{table}?tailnum.like={quote('N1%')}&limit=1", timeout=60) as response:
        assert len(json.load(response)) == 1

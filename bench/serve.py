"""Serving: many clients of one `ingot serve`, by the data API and by SQL over HTTP, and large results; see README.md."""

import json
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

from commits import Server, percentile
from harness import INGOT

CLIENTS = 64
TABLE = "main.default.flights"
ROWS_OF_POINTS = 1_000_000
ROWS_OF_FETCH = 10_000_000

# About 80 bytes a row; clustered by id, as a table that serves points is.
CREATE = """CREATE TABLE {table} AS SELECT id, concat('N', lpad(CAST(id % 4000 AS STRING), 5, '0')) AS tailnum,
    element_at(array('UA', 'AA', 'B6', 'DL', 'WN', 'F9'), CAST(id % 6 AS INT) + 1) AS carrier,
    CAST(id % 120 AS INT) - 10 AS dep_delay, CAST(id % 90 AS DOUBLE) - 20 AS arr_delay,
    DATE '2013-01-01' + CAST(id % 365 AS INT) AS day FROM range({rows})"""


def point(number: int) -> tuple[str, str]:
    """One row by its id: for the data API and as SQL."""
    row = number * 7919 % ROWS_OF_POINTS
    return f"/api/v1/data/{TABLE}?id={row}", f"SELECT * FROM {TABLE} WHERE id = {row}"


def aggregate(number: int) -> tuple[str, str]:
    """Groups of a part of the rows."""
    delay = number % 100
    return (
        f"/api/v1/data/{TABLE}?dep_delay.gte={delay}&group_by=carrier&aggregate=count,avg:arr_delay&order=carrier",
        f"SELECT carrier, count(*) AS count, avg(arr_delay) AS avg_arr_delay FROM {TABLE} WHERE dep_delay >= {delay} "
        "GROUP BY carrier ORDER BY carrier",
    )


def page(number: int) -> tuple[str, str]:
    """A first page of a hundred rows in an order, and the same as SQL."""
    carrier = ("UA", "AA", "B6", "DL", "WN", "F9")[number % 6]
    return (
        f"/api/v1/data/{TABLE}?carrier={carrier}&order=-id&page_size=100",
        f"SELECT * FROM {TABLE} WHERE carrier = '{carrier}' ORDER BY id DESC LIMIT 100",
    )


def ask(address: str, path: str, statement: str | None) -> tuple[float, bytes]:
    """Sends one request on this thread's connection; returns its seconds and its body."""
    import http.client

    connection = getattr(LOCAL, "connection", None)
    if connection is None:
        connection = LOCAL.connection = http.client.HTTPConnection(address)
    begun = time.perf_counter()
    if statement is None:
        connection.request("GET", quote(path, safe="/?=&.,:-_"))
    else:
        body = json.dumps({"statement": statement})
        connection.request("POST", "/api/v1/sql", body, {"content-type": "application/json"})
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {body[:500]!r}")
    return time.perf_counter() - begun, body


LOCAL = threading.local()


def crowd(server: Server, make, sql: bool, requests: int) -> None:
    """Has the clients send so many requests in all, and prints how long they took."""
    took, failed, lock = [], [], threading.Lock()
    numbers = iter(range(requests))

    def client() -> None:
        own = []
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            path, statement = make(number)
            try:
                own.append(ask(server.address, path, statement if sql else None)[0])
            except Exception as error:  # a failure is counted, whatever it is
                failed.append(error)
                LOCAL.connection = None
        with lock:
            took.extend(own)

    cpu_before, _ = server.usage()
    begun = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - begun
    cpu_after, resident = server.usage()
    took.sort()
    print(
        f"{make.__name__:<11}{'sql' if sql else 'data':<6}{len(took) / wall_s:>9.0f}{percentile(took, 0.5):>9.1f}"
        f"{percentile(took, 0.99):>9.1f}{(cpu_after - cpu_before) / max(len(took), 1) * 1000:>10.2f}{len(failed):>8}"
        f"{resident:>9}",
        flush=True,
    )
    if failed:
        print(f"    the first failure: {failed[0]}")


def known(server: Server, requests: int) -> None:
    """Asks again and again for what has not changed, with the tag that came first."""
    import http.client

    connection = http.client.HTTPConnection(server.address)
    path = aggregate(1)[0]
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    tag = response.headers["etag"]
    took = []
    for _ in range(requests):
        begun = time.perf_counter()
        connection.request("GET", path, headers={"if-none-match": tag})
        response = connection.getresponse()
        response.read()
        assert response.status == 304, response.status
        took.append(time.perf_counter() - begun)
    took.sort()
    print(f"{'304':<11}{'data':<6}{len(took) / sum(took):>9.0f}{percentile(took, 0.5):>9.1f}{percentile(took, 0.99):>9.1f}")


def fetch(server: Server, table: str, rows: int, rounds: int) -> None:
    """Reads a whole table as an Arrow stream, and prints megabytes of its columns for each CPU-second of the server."""
    import http.client

    import pyarrow as pa

    print(f"\nfetch {rows:,} rows as an Arrow stream\n{'':<9}{'wall s':>9}{'CPU s':>9}{'MB':>9}{'MB/s':>9}{'MB/CPU-s':>11}")
    ways = {"data": ("GET", f"/api/v1/data/{table}", None), "sql": ("POST", "/api/v1/sql", f"SELECT * FROM {table}")}
    for way, (method, path, statement) in ways.items():
        runs = []
        for _ in range(rounds):
            connection = http.client.HTTPConnection(server.address)
            cpu_before, _ = server.usage()
            begun = time.perf_counter()
            # The result cache would answer the second round.
            body = statement and json.dumps({"statement": statement, "settings": {"use_cached_result": "false"}})
            headers = {"accept": "application/vnd.apache.arrow.stream", "content-type": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            read = bytes_read = 0
            for batch in pa.ipc.open_stream(response):
                read, bytes_read = read + batch.num_rows, bytes_read + batch.nbytes
            wall_s = time.perf_counter() - begun
            assert read == rows, f"{read} rows of {rows}"
            runs.append((wall_s, server.usage()[0] - cpu_before, bytes_read / 1e6))
        wall_s, cpu_s, megabytes = (statistics.median(values) for values in zip(*runs))
        print(f"{way:<9}{wall_s:>9.2f}{cpu_s:>9.2f}{megabytes:>9.0f}{megabytes / wall_s:>9.0f}{megabytes / max(cpu_s, 0.01):>11.0f}")


def run(ingot: str, work: Path, rounds: int, requests: int = 20_000, fetched: int = ROWS_OF_FETCH) -> None:
    """All of it."""
    data_dir = Path(tempfile.mkdtemp(dir=work))
    for table, rows in ((TABLE, ROWS_OF_POINTS), ("main.default.large", fetched)):
        subprocess.run(
            [ingot, "sql", "--data-dir", str(data_dir), "-e", CREATE.format(table=table, rows=rows)],
            check=True, stdout=subprocess.DEVNULL,
        )
    server = Server(ingot, data_dir)
    try:
        print(f"\n{CLIENTS} clients, {requests:,} requests\n"
              f"{'':<11}{'':<6}{'per s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>10}{'failed':>8}{'MiB':>9}")
        for make in (point, aggregate, page):
            for sql in (False, True):
                crowd(server, make, sql, requests if make is point else requests // 10)
        known(server, requests // 10)
        fetch(server, "main.default.large", fetched, rounds)
    finally:
        server.stop()


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--fetched", type=int, default=ROWS_OF_FETCH)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingot-bench-") as work:
        run(INGOT, Path(work), arguments.rounds, arguments.requests, arguments.fetched)

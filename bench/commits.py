"""Commits: many writers of one Delta table, as processes of their own and through one server; see README.md.

Every commit of Ingot is synced to disk before
it is reported; the peers' are not.
"""

import http.client
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote, urlparse

ROWS = 1_000
TABLE = "main.default.t"
NUMBERS = f"(SELECT unnest(range(0, {ROWS})) AS id)"
INSERT = f"INSERT INTO {TABLE} SELECT id, id % 7 AS k, concat('name ', id) AS name FROM {NUMBERS}"
CREATE = f"CREATE TABLE {TABLE} (id BIGINT, k BIGINT, name STRING)"


class Server:
    """`ingot serve` over a data directory."""

    def __init__(self, ingot: str, data_dir: Path):
        self.process = subprocess.Popen(
            [ingot, "serve", "--data-dir", str(data_dir), "--listen", "127.0.0.1:0", "--development"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        self.address = urlparse(json.loads(self.process.stdout.readline())["http"]).netloc

    def usage(self) -> tuple[float, int]:
        """CPU-seconds and resident MiB so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return ticks / os.sysconf("SC_CLK_TCK"), int(resident.split()[1]) // 1024

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


class Client:
    """One connection."""

    def __init__(self, address: str, settings: dict[str, str] | None = None):
        self.connection = http.client.HTTPConnection(address)
        self.settings = settings or {}

    def sql(self, statement: str) -> list[dict]:
        text = self.post(statement)
        return json.loads(text) if text.strip() else []

    def post(self, statement: str) -> str:
        """The answer to a statement as it came."""
        body = json.dumps({"statement": statement, "settings": self.settings})
        self.connection.request("POST", "/api/v1/sql", body, {"content-type": "application/json"})
        response = self.connection.getresponse()
        text = response.read().decode()
        if response.status != 200:
            raise RuntimeError(f"{statement}: {response.status} {text}")
        return text


def server_client(address: str, appends: int, start, results) -> None:
    client = Client(address)
    client.sql("SELECT 1")
    start.wait()
    took = []
    for _ in range(appends):
        begun = time.perf_counter()
        client.sql(INSERT)
        took.append(time.perf_counter() - begun)
    results.put(took)


def ingot_process(ingot: str, data_dir: str, appends: int, start, results) -> None:
    """One process that runs many statements; each ends with a line of its output. The first takes the start along."""
    start.wait()
    begun = time.perf_counter()
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as statements:
        statements.write(";\n".join([INSERT] * appends))
        statements.flush()
        process = subprocess.Popen(
            [ingot, "sql", "--data-dir", data_dir, "--output", "json", "-f", statements.name],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        took = []
        for _ in process.stdout:
            ended = time.perf_counter()
            took.append(ended - begun)
            begun = ended
        errors = process.stderr.read()
        if process.wait() != 0:
            raise RuntimeError(errors)
    results.put(took)


def deltalake_process(path: str, appends: int, start, results) -> None:
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake
    from deltalake.exceptions import CommitFailedError

    rows = pa.table({
        "id": pa.array(range(ROWS), pa.int64()),
        "k": pa.array([i % 7 for i in range(ROWS)], pa.int64()),
        "name": [f"name {i}" for i in range(ROWS)],
    })
    table = DeltaTable(path)
    start.wait()
    took = []
    for _ in range(appends):
        begun = time.perf_counter()
        try:
            table.update_incremental()
            write_deltalake(table, rows, mode="append")
        except CommitFailedError:
            continue
        took.append(time.perf_counter() - begun)
    results.put(took)


def together(target, arguments: tuple, writers: int) -> tuple[float, list[float]]:
    """Runs writers at once; returns wall seconds of all and the times of their appends."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Event(), context.Queue()
    processes = [context.Process(target=target, args=(*arguments, start, results)) for _ in range(writers)]
    for process in processes:
        process.start()
    time.sleep(2)
    begun = time.perf_counter()
    start.set()
    took = [time for _ in processes for time in results.get(timeout=600)]
    wall_s = time.perf_counter() - begun
    for process in processes:
        process.join()
    return wall_s, took


def percentile(took: list[float], share: float) -> float:
    """Milliseconds that `share` of the times do not exceed."""
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def line(engine: str, commits: int, wall_s: float, took: list[float], failed: int) -> None:
    print(
        f"{engine:<34}{commits / wall_s:>11.1f}{percentile(took, 0.5):>10.1f}{percentile(took, 0.99):>10.1f}{failed:>8}"
    )


def sql(ingot: str, data_dir: Path, statement: str) -> list[dict]:
    done = subprocess.run(
        [ingot, "sql", "--data-dir", str(data_dir), "--output", "json", "-e", statement],
        check=True, capture_output=True, text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def many_writers(ingot: str, work: Path, writers: int, appends: int) -> None:
    """Writers of one table: through one server, as processes, and deltalake's processes."""
    commits = writers * appends
    print(f"\n{writers} writers x {appends} appends of {ROWS:,} rows to one table")
    print(f"{'engine':<34}{'commits/s':>11}{'p50 ms':>10}{'p99 ms':>10}{'failed':>8}")

    data_dir = Path(tempfile.mkdtemp(dir=work))
    server = Server(ingot, data_dir)
    try:
        Client(server.address).sql(CREATE)
        Client(server.address).sql(INSERT)
        cpu_before, _ = server.usage()
        wall_s, took = together(server_client, (server.address, appends), writers)
        cpu_after, _ = server.usage()
        counted = Client(server.address).sql(f"SELECT count(*) AS n FROM {TABLE}")[0]["n"]
    finally:
        server.stop()
    line("ingot, one server (synced)", commits, wall_s, took, commits + 1 - counted // ROWS)
    print(f"    CPU ms of the server per commit: {(cpu_after - cpu_before) / commits * 1000:.1f}")

    data_dir = Path(tempfile.mkdtemp(dir=work))
    sql(ingot, data_dir, CREATE)
    wall_s, took = together(ingot_process, (ingot, str(data_dir), appends), writers)
    counted = sql(ingot, data_dir, f"SELECT count(*) AS n FROM {TABLE}")[0]["n"]
    line("ingot, processes (synced)", commits, wall_s, took, commits - counted // ROWS)

    folder = tempfile.mkdtemp(dir=work)
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    schema = pa.schema([("id", pa.int64()), ("k", pa.int64()), ("name", pa.string())])
    write_deltalake(folder, schema.empty_table())
    wall_s, took = together(deltalake_process, (folder, appends), writers)
    counted = DeltaTable(folder).to_pyarrow_dataset().count_rows()
    line("deltalake, processes (not synced)", len(took), wall_s, took, commits - counted // ROWS)


def long_lived(ingot: str, work: Path, commits: int, share: int = 500, seconds_max: float = 900) -> None:
    """One handle that commits for long: the last commits beside the first, in CPU, time and memory.

    Ends early, and says so, when `seconds_max` have passed.
    """
    data_dir = Path(tempfile.mkdtemp(dir=work))
    server = Server(ingot, data_dir)
    print(f"\n{commits:,} commits of one row on one handle of a server, by {share}")
    print(f"{'commits':<14}{'wall ms':>9}{'p50':>7}{'p99':>7}{'CPU ms':>9}{'failed':>8}{'RSS MiB':>9}   per commit")
    insert = f"INSERT INTO {TABLE} VALUES (1, 2, 'three')"
    end = time.perf_counter() + seconds_max
    made = 0
    try:
        client = Client(server.address)
        client.sql(CREATE)
        while made < commits and time.perf_counter() < end:
            cpu_before, _ = server.usage()
            took, failed = [], 0
            for _ in range(min(share, commits - made)):
                begun = time.perf_counter()
                try:
                    client.sql(insert)
                except RuntimeError as error:
                    failed += 1
                    print(error, file=sys.stderr)
                took.append(time.perf_counter() - begun)
            cpu_after, resident = server.usage()
            print(
                f"{made:>6} +{len(took):<6}{sum(took) / len(took) * 1000:>9.2f}{percentile(took, 0.5):>7.1f}"
                f"{percentile(took, 0.99):>7.1f}{(cpu_after - cpu_before) / len(took) * 1000:>9.2f}{failed:>8}{resident:>9}",
                flush=True,
            )
            made += len(took)
        counted = client.sql(f"SELECT count(*) AS n FROM {TABLE}")[0]["n"]
        print(f"{counted:,} rows of {made:,} commits" + ("" if made == commits else f"; stopped after {seconds_max:.0f} s"))
    finally:
        server.stop()


def deltalake_long_lived(work: Path, commits: int, share: int = 500) -> None:
    """The same with one handle of deltalake."""
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    folder = tempfile.mkdtemp(dir=work)
    row = pa.table({"id": [1], "k": [2], "name": ["three"]})
    write_deltalake(folder, row)
    table = DeltaTable(folder)
    print("deltalake, one handle (not synced)")
    for first in range(0, commits, share):
        usage = os.times()
        begun = time.perf_counter()
        for _ in range(share):
            write_deltalake(table, row, mode="append")
        wall_s = time.perf_counter() - begun
        after = os.times()
        cpu_s = after.user + after.system - usage.user - usage.system
        status = Path("/proc/self/status").read_text()
        resident = int(next(l for l in status.splitlines() if l.startswith("VmRSS:")).split()[1]) // 1024
        if first in (0, share) or first + 2 * share >= commits or first % (4 * share) == 0:
            print(f"{first:>6} +{share:<6}{wall_s / share * 1000:>9.2f}{cpu_s / share * 1000:>9.2f}{resident:>9}")


def run(ingot: str, work: Path, rounds: int, commits: int) -> None:
    """All of it."""
    for _ in range(rounds):
        many_writers(ingot, work, writers=8, appends=50)
    long_lived(ingot, work, commits)
    deltalake_long_lived(work, min(commits, 2_000))

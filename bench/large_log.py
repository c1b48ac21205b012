"""Tables with large logs: how long a query takes to be planned, and a table to be opened.

The logs are written directly, without data files, so that what is measured is the log: queries are planned
(`EXPLAIN`). Each peer reads the same tables. Ingot's plans say how many files they skip, which is checked; the peers'
do not.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PLAN_FILES = 200_000
PLAN_COLUMNS = 32
# Further plans of a process: so many that they take longer than the start of one process differs from another's.
PLANS = {"ingot": 500, "duckdb": 20, "deltalake": 20}
OPEN_COMMITS = 10_000
OPEN_FILES = 100_000


def _commit(log: Path, version: int, actions: list[dict]) -> None:
    lines = "\n".join(json.dumps(action, separators=(",", ":")) for action in actions)
    (log / f"{version:020}.json").write_text(lines + "\n")


def _begin(table: Path, fields: list[dict]) -> Path:
    log = table / "_delta_log"
    log.mkdir(parents=True)
    _commit(log, 0, [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": {
            "id": "bench", "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": fields}), "partitionColumns": [],
            "configuration": {}, "createdTime": 0,
        }},
    ])
    return log


def _field(name: str, kind: str) -> dict:
    return {"name": name, "type": kind, "nullable": True, "metadata": {}}


def _add(path: str, stats: dict) -> dict:
    return {"add": {
        "path": path, "partitionValues": {}, "size": 1_000_000, "modificationTime": 0, "dataChange": True,
        "stats": json.dumps(stats, separators=(",", ":")),
    }}


def wide_table(table: Path) -> None:
    """Writes a table of many files with statistics of many columns."""
    kinds = ["long", "string", "timestamp", "double"]
    fields = [_field(f"c{column}", kinds[column % 4]) for column in range(PLAN_COLUMNS)]
    log = _begin(table, fields)
    names = [field["name"] for field in fields]

    def bounds(file: int, high: int) -> dict:
        values = [
            file * 100 + high,
            f"value-{file:08}-{high:02}",
            f"2024-01-01T{file % 24:02}:{file // 24 % 60:02}:{high % 60:02}.000Z",
            file + high / 100,
        ]
        return {name: values[place % 4] for place, name in enumerate(names)}

    nulls = dict.fromkeys(names, 0)
    per_commit = 1_000
    for commit in range(PLAN_FILES // per_commit):
        _commit(log, commit + 1, [
            _add(f"part-{file:08}.parquet", {
                "numRecords": 100, "minValues": bounds(file, 0), "maxValues": bounds(file, 99), "nullCount": nulls,
            })
            for file in range(commit * per_commit, (commit + 1) * per_commit)
        ])


def long_log(table: Path) -> None:
    """Writes a table of many commits, with a checkpoint of the newest."""
    log = _begin(table, [_field("id", "long"), _field("name", "string"), _field("price", "double")])
    per_commit = OPEN_FILES // OPEN_COMMITS
    for version in range(1, OPEN_COMMITS + 1):
        files = range((version - 1) * per_commit, version * per_commit)
        _commit(log, version, [
            _add(f"part-{file:08}.parquet", {
                "numRecords": 100,
                "minValues": {"id": file * 100, "name": f"name-{file:08}", "price": file / 4},
                "maxValues": {"id": file * 100 + 99, "name": f"name-{file:08}-99", "price": file / 4 + 1},
                "nullCount": {"id": 0, "name": 0, "price": 0},
            })
            for file in files
        ])
    from deltalake import DeltaTable

    DeltaTable(table).create_checkpoint()


DUCKDB = """
import sys, duckdb, duckdb_extensions
connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
duckdb_extensions.import_extension("delta", con=connection)
connection.execute("LOAD delta")
connection.execute(f"ATTACH '{sys.argv[1]}' AS t (TYPE delta, PIN_SNAPSHOT)")
for _ in range(int(sys.argv[3])):
    rows = connection.execute(sys.argv[2]).fetchall()
print(rows)
"""

DELTALAKE = """
import sys, pyarrow
from deltalake import DeltaTable, QueryBuilder
builder = QueryBuilder().register("t", DeltaTable(sys.argv[1]))
for _ in range(int(sys.argv[3])):
    rows = builder.execute(sys.argv[2]).read_all()
print(pyarrow.table(rows).to_pylist())
"""


class Peers:
    """The same statement, so many times in one process of each engine."""

    def __init__(self, ingot: str, work: Path, table: Path):
        self.ingot, self.table = ingot, table
        self.data_dir = work / f"{table.name}-ingot"
        create = f"CREATE TABLE main.default.t USING DELTA LOCATION 'file://{table}'"
        subprocess.run([ingot, "sql", "--data-dir", str(self.data_dir), "-e", create], check=True)

    def command(self, engine: str, statement: str, times: int) -> list[str]:
        if engine == "ingot":
            # A process of its own has nothing cached but what it read itself.
            statements = ";".join([statement.replace("FROM t", "FROM main.default.t")] * times)
            return [self.ingot, "sql", "--data-dir", str(self.data_dir), "-e", statements]
        source = {"duckdb": DUCKDB, "deltalake": DELTALAKE}[engine]
        return [sys.executable, "-c", source, str(self.table), statement, str(times)]


ENGINES = ["ingot", "duckdb", "deltalake"]


def check(command: list[str], wanted: str) -> None:
    """Ends the benchmark when an engine's answer is not what it should be."""
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if wanted not in answer:
        sys.exit(f"{' '.join(command)}\nanswers {answer[-2000:]}, without {wanted}")


def measure(command: list[str]) -> tuple[float, float]:
    """Returns wall and CPU seconds of a process."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime


def report(title: str, measured: dict[str, list[tuple[float, float]]], per: dict[str, int] | None = None) -> None:
    """Prints the medians, of each engine divided by its number in `per`."""
    print(f"\n{title}")
    print(f"{'engine':<12}{'wall ms':>10}{'CPU ms':>10}")
    for engine, runs in measured.items():
        wall, cpu = (statistics.median(run[part] for run in runs) * 1_000 / (per or {}).get(engine, 1) for part in (0, 1))
        print(f"{engine:<12}{wall:>10.1f}{cpu:>10.1f}")


def beyond(peers: Peers, engine: str, statement: str, once: int, more: int) -> tuple[float, float]:
    """What `more` further runs cost in a process that has run the statement `once` times."""
    first = measure(peers.command(engine, statement, once))
    both = measure(peers.command(engine, statement, once + more))
    return both[0] - first[0], both[1] - first[1]


def run(ingot: str, work: Path, rounds: int) -> None:
    """Measures planning over many files, and opening a table with a long log."""
    wide = work / "wide"
    wide_table(wide)
    peers = Peers(ingot, work, wide)
    filtered = f"EXPLAIN SELECT c1 FROM t WHERE c0 = {PLAN_FILES * 50}"
    planned: dict[str, list[tuple[float, float]]] = {engine: [] for engine in ENGINES}
    for _ in range(rounds):
        for engine in ENGINES:
            planned[engine].append(beyond(peers, engine, filtered, 1, PLANS[engine]))
    check(peers.command("ingot", filtered, 2), f"files_pruned={PLAN_FILES - 1}")
    report(f"plan a filtered query, {PLAN_FILES:,} files x {PLAN_COLUMNS} columns, warm", planned, PLANS)

    long = work / "long"
    long_log(long)
    peers = Peers(ingot, work, long)
    looked_up = "EXPLAIN SELECT name FROM t WHERE id = 5000"
    opened: dict[str, list[tuple[float, float]]] = {engine: [] for engine in ENGINES}
    again: dict[str, list[tuple[float, float]]] = {engine: [] for engine in ENGINES}
    for _ in range(rounds):
        for engine in ENGINES:
            opened[engine].append(measure(peers.command(engine, looked_up, 1)))
            again[engine].append(beyond(peers, engine, looked_up, 1, PLANS[engine]))
    check(peers.command("ingot", looked_up, 1), f"files_pruned={OPEN_FILES - 1}")
    title = f"{OPEN_COMMITS:,} commits, {OPEN_FILES:,} files, a checkpoint"
    report(f"{title}: a process with its first query planned", opened)
    report(f"{title}: each further query planned", again, PLANS)

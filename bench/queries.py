"""TPC-H and TPC-DS: every query on Delta tables, its answer compared with DuckDB's, and its CPU beside the peers'.

Data and texts of the queries come from generators (tpchgen-cli, DuckDB's tpcds extension). Engines stay up (see
query_worker.py), so that the second pass finds them hot; each runs a query in turn, and its CPU is read from the kernel.
"""

import json
import os
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from harness import HERE, INGOT, PYTHON, extension

# The Python that has DuckDB 2; the extensions of PyPI are for the version in `requirements.txt`.
DUCKDB_PYTHON = os.environ.get("DUCKDB_PYTHON", str(Path(PYTHON).parent.parent.parent / "venv-bench-duckdb/bin/python"))
ENGINES = {
    "tpch": ["ingot", "duckdb", "polars", "sail"],
    "tpcds": ["ingot", "duckdb", "sail"],
}
# Decimals are divided and averaged with as many digits as each engine gives them.
TOLERANCE = 1e-5


@dataclass
class Suite:
    name: str
    # Name of a table -> a Parquet file or folder of files.
    tables: dict[str, str]
    # Number of a query -> its text as DuckDB and Spark read it, but for quotes.
    queries: dict[int, str]


def spark(text: str) -> str:
    """Names in quotes are Spark's in backticks; both take the rest."""
    return re.sub(r'"([^"]*)"', r"`\1`", text)


def tpch(work: Path, scale: float) -> Suite:
    folder = work / "tpch"
    subprocess.run([str(Path(PYTHON).parent / "tpchgen-cli"), "parquet", "-s", str(scale), "--output-dir", str(folder)],
                   check=True)
    queries = extension("tpch").execute("SELECT query_nr, query FROM tpch_queries()").fetchall()
    return Suite("tpch", {path.stem: str(path) for path in folder.rglob("*.parquet")}, dict(queries))


def tpcds(work: Path, scale: float) -> Suite:
    folder = work / "tpcds"
    folder.mkdir()
    duck = extension("tpcds")
    duck.execute(f"CALL dsdgen(sf = {scale})")
    tables = {}
    for (table,) in duck.execute("SHOW TABLES").fetchall():
        tables[table] = str(folder / f"{table}.parquet")
        duck.execute(f"COPY {table} TO '{tables[table]}' (FORMAT parquet, COMPRESSION zstd)")
    queries = duck.execute("SELECT query_nr, query FROM tpcds_queries()").fetchall()
    return Suite("tpcds", tables, dict(queries))


class Worker:
    """A process that holds an engine and runs one query after another."""

    def __init__(self, engine: str, data_dir: Path, tables: dict[str, str]):
        python = DUCKDB_PYTHON if engine == "duckdb" else PYTHON
        self.process = subprocess.Popen([python, str(HERE / "query_worker.py"), engine, str(data_dir)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | {"PYTHONPATH": str(HERE), "INGOT": INGOT})
        self.pid = self.ask(tables)["pid"]

    def ask(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait()}")
        return json.loads(line)

    def cpu_s(self) -> float:
        """CPU-seconds of the process that holds the engine, so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, text: str) -> tuple[dict, float]:
        before = self.cpu_s()
        answer = self.ask(text)
        return answer, self.cpu_s() - before

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def value(text):
    """A value as it is compared: numbers as such, all else as text."""
    return float(text) if text is not None and re.fullmatch(r"-?\d[\d.]*([eE][-+]?\d+)?", text) else text


def same(left: list, right: list) -> bool:
    """Whether two answers hold the same rows, in any order."""
    def order(row):
        # Numbers last: those of two engines may differ in their last digits.
        texts = [str(cell) for cell in row if not isinstance(cell, float)]
        return texts, [cell for cell in row if isinstance(cell, float)]

    def equal(a, b):
        if isinstance(a, float) and isinstance(b, float):
            return abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))
        return a == b

    rows = [sorted(([value(cell) for cell in row] for row in answer), key=order) for answer in (left, right)]
    return len(left) == len(right) and all(
        len(a) == len(b) and all(map(equal, a, b)) for a, b in zip(*rows)
    )


def unlimited(text: str) -> str:
    """The query without the LIMIT at its end: which of equal rows are within it is for the engine to choose."""
    return re.sub(r"\s*LIMIT\s+\d+\s*;?\s*$", "", text, flags=re.IGNORECASE)


def differs(ingot: Worker, duckdb: Worker, text: str) -> str | None:
    """How the answers to a query differ, if they do."""
    answers = [worker.run(unlimited(query))[0] for worker, query in ((ingot, spark(text)), (duckdb, text))]
    for engine, answer in zip(("ingot", "duckdb"), answers):
        if "error" in answer:
            return f"{engine}: {answer['error']}"
    left, right = (answer["rows"] for answer in answers)
    if same(left, right):
        return None
    lost = [row for row in left if row not in right][:2], [row for row in right if row not in left][:2]
    return f"{len(left)} rows of ingot, {len(right)} of duckdb: {lost[0]} and {lost[1]}"


def create(suite: Suite, data_dir: Path) -> dict[str, str]:
    """Makes the Delta tables, and returns their folders."""
    for table, path in suite.tables.items():
        statement = f"CREATE TABLE main.default.{table} AS SELECT * FROM read_files('file://{path}', format => 'parquet')"
        subprocess.run([INGOT, "sql", "--data-dir", str(data_dir), "-e", statement], check=True, stdout=subprocess.DEVNULL)
    folders = {}
    for table in suite.tables:
        described = subprocess.run([INGOT, "sql", "--data-dir", str(data_dir), "--output", "json", "-e",
                                    f"DESCRIBE DETAIL main.default.{table}"], check=True, capture_output=True, text=True)
        folders[table] = json.loads(described.stdout)["location"].removeprefix("file://")
    return folders


def measure(suite: Suite, workers: dict[str, Worker], rounds: int) -> bool:
    """Compares every answer, then measures; says whether all agree."""
    wrong = {}
    for number, text in suite.queries.items():
        if found := differs(workers["ingot"], workers["duckdb"], text):
            wrong[number] = found
            print(f"{suite.name} {number}: {found}", flush=True)
    print(f"{suite.name}: {len(suite.queries) - len(wrong)} of {len(suite.queries)} answers agree with DuckDB")
    if rounds == 0:
        return not wrong

    spent: dict[str, dict[int, list[float]]] = {engine: defaultdict(list) for engine in workers}
    failed: dict[str, set[int]] = {engine: set() for engine in workers}
    for turn in range(rounds + 1):
        for number, text in suite.queries.items():
            for engine, worker in workers.items():
                answer, cpu_s = worker.run(text if engine == "duckdb" else spark(text))
                if "error" in answer:
                    failed[engine].add(number)
                elif turn > 0:
                    spent[engine][number].append(cpu_s)
    everyone = [number for number in suite.queries if not any(number in each for each in failed.values())]
    print(f"\n{suite.name}, hot, CPU-seconds (median of {rounds})\n{'query':<24}" + "".join(f"{e:>10}" for e in workers))
    for number in suite.queries:
        cells = [f"{statistics.median(spent[e][number]):>10.2f}" if number not in failed[e] else f"{'-':>10}" for e in workers]
        print(f"{number:<24}" + "".join(cells))
    totals = {e: sum(statistics.median(spent[e][n]) for n in everyone) for e in workers}
    print(f"{f'these {len(everyone)} by all':<24}" + "".join(f"{totals[e]:>10.2f}" for e in workers))
    print(f"{'Ingot to it':<24}" + "".join(f"{totals['ingot'] / totals[e]:>10.2f}" for e in workers))
    for engine in workers:
        if failed[engine]:
            both = [n for n in suite.queries if n not in failed[engine] and n not in failed["ingot"]]
            print(f"{engine} ran {len(suite.queries) - len(failed[engine])}; not {sorted(failed[engine])}")
    return not wrong


def run(name: str, work: Path, rounds: int, scale: float) -> None:
    """Runs a suite; ends the benchmark when an answer is wrong."""
    suite = {"tpch": tpch, "tpcds": tpcds}[name](work, scale)
    data_dir = work / f"{name}-data"
    folders = create(suite, data_dir)
    chosen = ENGINES[name] if rounds else ["ingot", "duckdb"]
    workers = {engine: Worker(engine, data_dir, folders) for engine in chosen}
    try:
        if not measure(suite, workers, rounds):
            sys.exit(1)
    finally:
        for worker in workers.values():
            worker.stop()

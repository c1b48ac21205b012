"""What the suites share: whole processes, measured and compared."""

import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
INGOT = os.environ.get("INGOT", str(HERE.parent / "target" / "release" / "ingot"))
PYTHON = sys.executable


@dataclass
class Run:
    """What one process used."""

    wall_s: float
    cpu_s: float
    # The most it held; `None` where that was less than this process had held before it.
    memory_mib: float | None


def measure(command: list[str], settings: dict[str, str] | None = None) -> Run:
    """Runs a command to its end and returns what it used; its failure ends the benchmark. `settings` join its
    environment."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PYTHONPATH": str(HERE)} | (settings or {}),
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    if status != 0:
        sys.exit(f"{' '.join(command)}\n{output}")
    # Linux counts kibibytes, and from what the parent held when it forked.
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory_mib = usage.ru_maxrss / 1024 if usage.ru_maxrss > ours else None
    return Run(wall_s, usage.ru_utime + usage.ru_stime, memory_mib)


def extension(name: str):
    """Connects to a DuckDB with an extension, from packages rather than the network."""
    import duckdb
    import duckdb_extensions

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    duckdb_extensions.import_extension(name, con=connection)
    connection.execute(f"LOAD {name}")
    return connection


def sail():
    """Starts Sail in this process and connects to it; the server ends with the process."""
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer()
    server.start(background=True)
    _, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
    session.keeps_alive = server
    return session


def report(title: str, rows: int, runs: dict[str, list[Run]]) -> None:
    """Prints medians by engine, the most memory that a run held, and the ratio of CPU to the first engine's."""
    print(f"\n{title}: {rows:,} rows")
    print(f"{'engine':<24}{'wall s':>9}{'CPU s':>9}{'rows/s':>12}{'rows/CPU-s':>12}{'MiB':>8}{'CPU ratio':>11}")
    first = None
    for engine, measured in runs.items():
        wall_s = statistics.median(run.wall_s for run in measured)
        cpu_s = statistics.median(run.cpu_s for run in measured)
        known = [run.memory_mib for run in measured if run.memory_mib is not None]
        memory_mib = f"{max(known):,.0f}" if known else "-"
        first = first or cpu_s
        print(
            f"{engine:<24}{wall_s:>9.2f}{cpu_s:>9.2f}{rows / wall_s:>12,.0f}{rows / cpu_s:>12,.0f}{memory_mib:>8}"
            f"{cpu_s / first:>11.2f}"
        )

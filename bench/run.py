"""Whole-process benchmarks of Ingot beside its peers; see README.md."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import commits
import large_log
import queries
import serve
from harness import HERE, INGOT, PYTHON, Run, measure, report
from merge import merge
from optimize import optimize

DELTALAKE_APPEND = """
import sys, pyarrow.dataset as ds
from deltalake import write_deltalake, WriterProperties
write_deltalake(sys.argv[2], ds.dataset(sys.argv[1]).scanner().to_reader(),
                writer_properties=WriterProperties(compression="ZSTD", compression_level=1))
"""
POLARS_APPEND = """
import sys, polars as pl
from deltalake import WriterProperties
pl.read_parquet(sys.argv[1]).write_delta(sys.argv[2], delta_write_options={
    "writer_properties": WriterProperties(compression="ZSTD", compression_level=1)})
"""


def append(work: Path, rounds: int, scale: float) -> None:
    """Appends lineitem to a new Delta table with each engine."""
    subprocess.run(
        [str(Path(PYTHON).parent / "tpchgen-cli"), "parquet", "-s", str(scale), "--tables", "lineitem",
         "--output-dir", str(work)],
        check=True,
    )
    source = next(work.rglob("lineitem*.parquet"))
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(source).metadata.num_rows
    statement = f"CREATE TABLE main.default.lineitem AS SELECT * FROM read_files('file://{source}', format => 'parquet')"

    def command(engine: str, target: Path) -> list[str]:
        return {
            "ingot": [INGOT, "sql", "--data-dir", str(target), "-e", statement],
            "deltalake": [PYTHON, "-c", DELTALAKE_APPEND, str(source), str(target)],
            "polars": [PYTHON, "-c", POLARS_APPEND, str(source), str(target)],
        }[engine]

    runs: dict[str, list[Run]] = {"ingot": [], "deltalake": [], "polars": []}
    for _ in range(rounds):
        for engine in runs:
            target = Path(tempfile.mkdtemp(dir=work))
            runs[engine].append(measure(command(engine, target / "table")))
            shutil.rmtree(target)
    report("append lineitem, zstd", rows, runs)


def produce(address: str, topic: str, records: int) -> None:
    """Sends synthetic flights as JSON, about 280 bytes each."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": address, "linger.ms": 50, "queue.buffering.max.messages": 500_000})
    for i in range(records):
        value = json.dumps({
            "year": 2013, "month": i % 12 + 1, "day": i % 28 + 1, "dep_time": 517, "sched_dep_time": 515,
            "dep_delay": i % 120 - 10, "arr_time": 830, "sched_arr_time": 819, "arr_delay": i % 90 - 20,
            "carrier": ("UA", "AA", "B6", "DL")[i % 4], "flight": i, "tailnum": f"N{i % 4000:05}",
            "origin": ("EWR", "JFK", "LGA")[i % 3], "dest": "IAH", "air_time": 227, "distance": 1400,
            "hour": 5, "minute": 15, "time_hour": "2013-01-01T10:00:00Z",
        })
        while True:
            try:
                producer.produce(topic, value=value, key=str(i), partition=i % 4)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def check_counts(data_dir: Path, records: int) -> None:
    """Ends the benchmark when a layer does not hold every record once."""
    for table in ("bronze.flights_raw", "silver.flights"):
        answer = subprocess.run(
            [INGOT, "sql", "--data-dir", str(data_dir), "--output", "json", "-e",
             f"SELECT count(*) AS n FROM main.{table}"],
            check=True, capture_output=True, text=True,
        )
        if json.loads(answer.stdout)["n"] != records:
            sys.exit(f"{table} holds {answer.stdout.strip()}, not {records} records")


def kafka(work: Path, rounds: int, records: int) -> None:
    """Measures Kafka -> bronze and bronze JSON -> silver, each as an update of its own pipeline."""
    broker = subprocess.Popen(
        [INGOT, "broker", "--listen", "127.0.0.1:0", "--topic", "flights:4"], stdout=subprocess.PIPE, text=True
    )
    try:
        address = json.loads(broker.stdout.readline())["kafka"]
        produce(address, "flights", records)
        runs: dict[str, list[Run]] = {"bronze": [], "silver": []}
        for _ in range(rounds):
            data_dir = Path(tempfile.mkdtemp(dir=work))
            for layer in runs:
                runs[layer].append(measure([
                    INGOT, "pipeline", "run", str(HERE / "pipelines" / layer), "--data-dir", str(data_dir),
                    "--set", f"bootstrap_servers={address}",
                ]))
            check_counts(data_dir, records)
            shutil.rmtree(data_dir)
        report("Kafka -> bronze -> silver", records, runs)
    finally:
        broker.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "suite", nargs="?", choices=["append", "kafka", "merge", "commits", "optimize", "log", "serve", "tpch", "tpcds"],
        help="one suite; all when absent",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="scale factor of TPC-H and TPC-DS")
    parser.add_argument("--commits", type=int, default=10_000, help="commits of `commits` on one handle")
    parser.add_argument("--records", type=int, default=1_000_000, help="records of `kafka`")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingot-bench-") as work:
        if arguments.suite in (None, "append"):
            append(Path(work), arguments.rounds, arguments.scale)
        if arguments.suite in (None, "kafka"):
            kafka(Path(work), arguments.rounds, arguments.records)
        if arguments.suite in (None, "merge"):
            merge(Path(work), arguments.rounds, arguments.scale)
        if arguments.suite in (None, "commits"):
            commits.run(INGOT, Path(work), arguments.rounds, arguments.commits)
        if arguments.suite in (None, "optimize"):
            optimize(Path(work), arguments.rounds, arguments.scale)
        if arguments.suite in (None, "log"):
            large_log.run(INGOT, Path(work), arguments.rounds)
        if arguments.suite in (None, "serve"):
            serve.run(INGOT, Path(work), arguments.rounds)
        for suite in ("tpch", "tpcds"):
            if arguments.suite in (None, suite):
                queries.run(suite, Path(work), arguments.rounds, arguments.scale)


if __name__ == "__main__":
    main()

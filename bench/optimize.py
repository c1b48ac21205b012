"""OPTIMIZE: 1,000 small files into few, and lineitem laid out by two columns. Rows and skipped files are checked.

By itself, `python bench/optimize.py` measures this suite alone.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from urllib.parse import unquote

from harness import INGOT, PYTHON, Run, measure, report

SMALL_FILES = 1_000
# Bytes of a file of the table that is laid out: at scale 1 it has about twenty.
CLUSTERED_FILE_BYTES = 8 << 20
LAID_OUT_FILES = 20
# One month, and a twentieth of the parts.
MONTH = (date(1995, 3, 1), date(1995, 3, 31))
PARTS_SHARE = (0.40, 0.45)
# What operators may hold where clustering has to spill: about a fifth of the rows.
SHORT_MEMORY_BYTES = 256 << 20
# Shares of files that a filter must skip: on both columns, and on either alone.
SKIPPED_BOTH_MIN, SKIPPED_ONE_MIN = 0.90, 0.55

SPLIT = """
import sys, pyarrow.parquet as pq
from deltalake import write_deltalake
rows, files = pq.read_table(sys.argv[1]), int(sys.argv[3])
size = -(-rows.num_rows // files)
for start in range(0, rows.num_rows, size):
    write_deltalake(sys.argv[2], rows.slice(start, size), mode="append")
"""
DELTALAKE_COMPACT = """
import sys
from deltalake import DeltaTable, WriterProperties
DeltaTable(sys.argv[1]).optimize.compact(target_size=128 << 20, writer_properties=WriterProperties(
    compression="ZSTD", compression_level=1))
"""
DELTALAKE_ZORDER = """
import sys
from deltalake import DeltaTable, WriterProperties
DeltaTable(sys.argv[1]).optimize.z_order(["l_shipdate", "l_partkey"], target_size=int(sys.argv[2]),
    writer_properties=WriterProperties(compression="ZSTD", compression_level=1))
"""


def ingot(data_dir: Path, statement: str) -> list[str]:
    return [INGOT, "sql", "--data-dir", str(data_dir), "-e", statement]


def files_of(table: Path):
    """Returns the statistics of a table's files, as the log has them."""
    import pyarrow as pa
    from deltalake import DeltaTable

    return pa.table(DeltaTable(table).get_add_actions(flatten=True)).to_pylist()


def checksum(files: list[str]) -> tuple:
    """Returns what two tables have in common that hold the same rows, in whatever order and files."""
    import duckdb

    return duckdb.sql(
        """SELECT count(*), sum(hash(l_orderkey, l_linenumber, l_partkey, l_suppkey, l_quantity, l_extendedprice,
           l_discount, l_tax, l_returnflag, l_linestatus, l_shipdate, l_commitdate, l_receiptdate, l_shipinstruct,
           l_shipmode, l_comment)) FROM read_parquet(?)""", params=[files]
    ).fetchone()


def check_rows(table: Path, expected: tuple) -> int:
    """Ends the benchmark when a table does not hold every row once; returns the count of its files."""
    files = [str(table / unquote(file["path"])) for file in files_of(table)]
    found = checksum(files)
    if found != expected:
        sys.exit(f"{table} holds {found}, not {expected}")
    return len(files)


def skipped(table: Path) -> dict[str, float]:
    """Returns the share of files that filters on the two columns leave out."""
    files = files_of(table)
    parts = max(file["max.l_partkey"] for file in files)
    bounds = {"l_shipdate": MONTH, "l_partkey": tuple(share * parts for share in PARTS_SHARE)}

    def out(file: dict, column: str) -> bool:
        low, high = bounds[column]
        return file[f"max.{column}"] < low or file[f"min.{column}"] > high

    both = sum(out(file, "l_shipdate") or out(file, "l_partkey") for file in files)
    alone = {column: sum(out(file, column) for file in files) / len(files) for column in bounds}
    return {"both": both / len(files), **alone}


def compact(work: Path, rounds: int, source: Path, rows: int) -> None:
    """Packs small files with each engine."""
    small = work / "small"
    subprocess.run([PYTHON, "-c", SPLIT, str(source), str(small), str(SMALL_FILES)], check=True)
    expected = checksum([str(source)])
    runs: dict[str, list[Run]] = {"ingot": [], "deltalake": []}
    for _ in range(rounds):
        for engine in runs:
            table = work / f"small-{engine}"
            shutil.copytree(small, table)
            runs[engine].append(measure({
                "ingot": ingot(work / "data", f"OPTIMIZE delta.`{table}`"),
                "deltalake": [PYTHON, "-c", DELTALAKE_COMPACT, str(table)],
            }[engine]))
            files = check_rows(table, expected)
            if files * 10 > SMALL_FILES:
                sys.exit(f"{engine} left {files} files")
            shutil.rmtree(table)
    report(f"OPTIMIZE {SMALL_FILES:,} small files", rows, runs)


def unordered(engine: str, data_dir: Path, table: Path, source: Path) -> list[str]:
    """Returns what writes lineitem as it comes; each engine has its own table, for deltalake refuses to write ours."""
    if engine.startswith("deltalake"):
        return [PYTHON, "-c", SPLIT, str(source), str(table), str(LAID_OUT_FILES)]
    clause = "CLUSTER BY (l_shipdate, l_partkey)" if engine.startswith("ingot cluster") else ""
    return ingot(data_dir, f"""
        CREATE TABLE main.default.lineitem {clause} LOCATION '{table}'
        TBLPROPERTIES ('delta.targetFileSize' = '{CLUSTERED_FILE_BYTES}')
        AS SELECT * FROM read_files('file://{source}', format => 'parquet')""")


def check_nothing_left(clustered: list[str], table: Path) -> None:
    """Ends the benchmark when clustering a second time writes anything."""
    before = {file["path"] for file in files_of(table)}
    subprocess.run(clustered, check=True, capture_output=True)
    if {file["path"] for file in files_of(table)} != before:
        sys.exit("what was clustered was clustered again")


def cluster(work: Path, rounds: int, source: Path, rows: int) -> None:
    """Lays lineitem out by two columns with each engine, and says what filters skip."""
    runs: dict[str, list[Run]] = {"ingot cluster": [], "ingot cluster, spilling": [], "ingot z-order": [],
                                  "deltalake z-order": []}
    settings = {"ingot cluster, spilling": {"INGOT__ENGINE__MEMORY_BYTES_MAX": str(SHORT_MEMORY_BYTES)}}
    expected = checksum([str(source)])
    shares: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for engine in runs:
            data_dir, table = work / "data", work / "clustered"
            subprocess.run(unordered(engine, data_dir, table, source), check=True, capture_output=True)
            clustered = ingot(data_dir, "OPTIMIZE main.default.lineitem")
            runs[engine].append(measure({
                "ingot cluster": clustered,
                "ingot cluster, spilling": clustered,
                "ingot z-order": ingot(data_dir, "OPTIMIZE main.default.lineitem ZORDER BY (l_shipdate, l_partkey)"),
                "deltalake z-order": [PYTHON, "-c", DELTALAKE_ZORDER, str(table), str(CLUSTERED_FILE_BYTES)],
            }[engine], settings.get(engine)))
            check_rows(table, expected)
            if engine.startswith("ingot cluster"):
                check_nothing_left(clustered, table)
            shares[engine] = skipped(table)
            shutil.rmtree(table)
            shutil.rmtree(data_dir, ignore_errors=True)
    report("lineitem by (l_shipdate, l_partkey)", rows, runs)
    print(json.dumps({"files skipped": shares}, indent=2, default=lambda share: round(share, 2)))
    ours = shares["ingot cluster"]
    if ours["both"] < SKIPPED_BOTH_MIN or min(ours["l_shipdate"], ours["l_partkey"]) < SKIPPED_ONE_MIN:
        sys.exit(f"clustering skips too few files: {ours}")


def optimize(work: Path, rounds: int, scale: float) -> None:
    """Measures compaction and clustering."""
    import pyarrow.parquet as pq

    tpch = work / "optimize"
    subprocess.run([str(Path(PYTHON).parent / "tpchgen-cli"), "parquet", "-s", str(scale), "--tables", "lineitem",
                    "--output-dir", str(tpch)], check=True)
    source = next(tpch.rglob("lineitem*.parquet"))
    rows = pq.ParquetFile(source).metadata.num_rows
    compact(tpch, rounds, source, rows)
    cluster(tpch, rounds, source, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="TPC-H scale factor")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingot-bench-") as work:
        optimize(Path(work), arguments.rounds, arguments.scale)


if __name__ == "__main__":
    main()

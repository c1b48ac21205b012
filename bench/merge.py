"""MERGE: scattered keys into a wide table, TPC-H orders, and SCD type 2. Every result is checked."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness import INGOT, PYTHON, Run, extension, measure, report

SCATTERED_ROWS = 5_000_000
SCATTERED_FILES = 20
SCATTERED_KEYS = 1_000


@dataclass
class Case:
    """One merge. Queries are DuckDB's over `t` (the table before) and `s` (the source)."""

    title: str
    table: Path
    source: Path
    # What the table holds afterwards.
    expected: str
    # The statement of Ingot and Sail for `t` and a source `s`, without its first line.
    statement: str
    # The same with deltalake: a chain on `table.merge(source, …)`.
    deltalake: str
    # Rows of a file of the table; all in one when absent.
    file_rows: int | None = None


DELTALAKE_MERGE = """
import sys, pyarrow.parquet as pq
from deltalake import DeltaTable
table, source = DeltaTable(sys.argv[1]), pq.read_table(sys.argv[2])
table{chain}.execute()
"""
POLARS_MERGE = """
import sys, polars as pl
source = pl.read_parquet(sys.argv[2])
merge = lambda source, **options: source.write_delta(sys.argv[1], mode="merge", delta_merge_options=options)
class table: merge = staticmethod(merge)
table{chain}.execute()
"""
SAIL_MERGE = """
import sys
from harness import sail
session = sail()
session.sql(f"CREATE TABLE t USING delta LOCATION '{sys.argv[1]}'")
session.read.parquet(sys.argv[2]).createOrReplaceTempView("s")
session.sql('''MERGE INTO t USING s {statement}''').collect()
"""
DELTALAKE_CREATE = """
import sys, pyarrow.parquet as pq
from deltalake import write_deltalake
rows, file_rows = pq.read_table(sys.argv[1]), int(sys.argv[3])
for start in range(0, rows.num_rows, file_rows):
    write_deltalake(sys.argv[2], rows.slice(start, file_rows), mode="append")
"""
UPSERT = ".when_matched_update_all().when_not_matched_insert_all()"


def cases(work: Path, scale: float) -> list[Case]:
    """Writes the tables and sources of all cases as Parquet."""
    duck = extension("delta")

    def write(name: str, query: str) -> Path:
        path = work / f"{name}.parquet"
        duck.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
        return path

    wide = write("wide", f"SELECT range AS id, (hash(range) % 1000)::BIGINT AS amount, 'name ' || range AS name, "
                         f"(range * 0.5)::DOUBLE AS price FROM range({SCATTERED_ROWS}) ORDER BY hash(range)")
    scattered = write("scattered", f"SELECT range * {SCATTERED_ROWS // SCATTERED_KEYS} AS id, -1::BIGINT AS amount, "
                                   f"'changed' AS name, 0.0::DOUBLE AS price FROM range({SCATTERED_KEYS})")
    subprocess.run([str(Path(PYTHON).parent / "tpchgen-cli"), "parquet", "-s", str(scale), "--tables", "orders",
                    "--output-dir", str(work / "tpch")], check=True)
    orders = write("orders", f"SELECT * FROM '{work}/tpch/**/orders*.parquet'")
    upsert = ("SELECT t.* FROM t ANTI JOIN s ON t.{key} = s.{key} UNION ALL SELECT * FROM s")
    found = []
    statement = "ON t.{key} = s.{key} WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    chain = ".merge(source, predicate='t.{key} = s.{key}', source_alias='s', target_alias='t')" + UPSERT
    found.append(Case(
        f"MERGE {SCATTERED_KEYS:,} scattered keys into {SCATTERED_ROWS:,} rows in {SCATTERED_FILES} files", wide,
        scattered, upsert.format(key="id"), statement.format(key="id"), chain.format(key="id"),
        SCATTERED_ROWS // SCATTERED_FILES))
    for percent in (1, 10):
        # Of the changes, a tenth is new: keys of TPC-H leave gaps.
        source = write(f"orders_{percent}", f"""
            SELECT * REPLACE (o_totalprice + 1 AS o_totalprice, 'changed' AS o_comment) FROM '{orders}'
            WHERE hash(o_orderkey) % 1000 < {9 * percent}
            UNION ALL SELECT * REPLACE (o_orderkey + 8 AS o_orderkey) FROM '{orders}'
            WHERE hash(o_orderkey) % 1000 < {percent}""")
        found.append(Case(f"MERGE {percent} % of TPC-H orders", orders, source, upsert.format(key="o_orderkey"),
                          statement.format(key="o_orderkey"), chain.format(key="o_orderkey")))
    history = write("history", f"SELECT *, true AS is_current, DATE '1990-01-01' AS valid_from, NULL::DATE AS valid_to "
                               f"FROM '{orders}'")
    changes = write("changes", f"""
        WITH changed AS (SELECT * REPLACE (o_totalprice + 1 AS o_totalprice) FROM '{orders}'
                         WHERE hash(o_orderkey) % 100 < 5)
        SELECT o_orderkey AS merge_key, * FROM changed UNION ALL SELECT NULL AS merge_key, * FROM changed""")
    found.append(Case(
        "SCD type 2, 5 % of TPC-H orders", history, changes,
        "SELECT t.* REPLACE (s.merge_key IS NULL AS is_current, CASE WHEN s.merge_key IS NOT NULL THEN DATE '2026-01-01' "
        "END AS valid_to) FROM t LEFT JOIN s ON t.o_orderkey = s.merge_key UNION ALL SELECT * EXCLUDE (merge_key), true, "
        "DATE '2026-01-01', NULL FROM s WHERE merge_key IS NULL",
        """ON t.o_orderkey = s.merge_key AND t.is_current
        WHEN MATCHED AND t.o_totalprice <> s.o_totalprice
          THEN UPDATE SET is_current = false, valid_to = DATE '2026-01-01'
        WHEN NOT MATCHED THEN INSERT (o_orderkey, o_custkey, o_orderstatus, o_totalprice, o_orderdate, o_orderpriority,
          o_clerk, o_shippriority, o_comment, is_current, valid_from) VALUES (s.o_orderkey, s.o_custkey, s.o_orderstatus,
          s.o_totalprice, s.o_orderdate, s.o_orderpriority, s.o_clerk, s.o_shippriority, s.o_comment, true,
          DATE '2026-01-01')""",
        """.merge(source, predicate='t.o_orderkey = s.merge_key AND t.is_current', source_alias='s', target_alias='t')
.when_matched_update(predicate='t.o_totalprice <> s.o_totalprice',
                     updates={'is_current': 'false', 'valid_to': "DATE '2026-01-01'"})
.when_not_matched_insert(updates={**{name: f's.{name}' for name in ('o_orderkey', 'o_custkey', 'o_orderstatus',
    'o_totalprice', 'o_orderdate', 'o_orderpriority', 'o_clerk', 'o_shippriority', 'o_comment')},
    'is_current': 'true', 'valid_from': "DATE '2026-01-01'"})""".replace("\n", "")))
    return found


def sql(data_dir: Path, statement: str) -> list[str]:
    return [INGOT, "sql", "--data-dir", str(data_dir), "-e", statement]


def create(engine: str, case: Case, place: Path) -> None:
    """Makes the table of a case."""
    rows = extension("delta").execute(f"SELECT count(*) FROM '{case.table}'").fetchone()[0]
    file_rows = case.file_rows or rows
    if engine != "ingot":
        subprocess.run([PYTHON, "-c", DELTALAKE_CREATE, str(case.table), str(place / "t"), str(file_rows)], check=True)
        return
    parts = place / "parts"
    parts.mkdir()
    import pyarrow.parquet as pq

    table = pq.read_table(case.table)
    for start in range(0, rows, file_rows):
        part = parts / f"{start}.parquet"
        pq.write_table(table.slice(start, file_rows), part)
        verb = "INSERT INTO t" if start else f"CREATE TABLE t LOCATION 'file://{place}/t' AS"
        measure(sql(place / "data", f"{verb} SELECT * FROM read_files('file://{part}', format => 'parquet')"))
    shutil.rmtree(parts)


def command(engine: str, case: Case, place: Path) -> list[str]:
    if engine == "ingot":
        source = f"(SELECT * FROM read_files('file://{case.source}', format => 'parquet')) s"
        return sql(place / "data", f"MERGE INTO t USING {source} {case.statement}")
    program = {"deltalake": DELTALAKE_MERGE, "polars": POLARS_MERGE, "sail": SAIL_MERGE}[engine]
    program = program.replace("{chain}", case.deltalake).replace("{statement}", case.statement)
    return [PYTHON, "-c", program, str(place / "t"), str(case.source)]


def check(engine: str, case: Case, place: Path) -> None:
    """Ends the benchmark when the table does not hold what it should."""
    duck = extension("delta")
    duck.execute(f"CREATE VIEW t AS FROM '{case.table}'; CREATE VIEW s AS FROM '{case.source}'")
    got = f"FROM delta_scan('file://{place}/t')"
    for left, right in ((case.expected, got), (got, case.expected)):
        lost = duck.execute(f"SELECT count(*) FROM (({left}) EXCEPT ALL ({right}))").fetchone()[0]
        if lost:
            sys.exit(f"{case.title}: {engine} has {lost} rows wrong")


def merge(work: Path, rounds: int, scale: float) -> None:
    """Measures each case with each engine on a copy of its own of the table."""
    engines = ["ingot", "deltalake", "polars", "sail"]
    for number, case in enumerate(cases(work, scale)):
        runs: dict[str, list[Run]] = {engine: [] for engine in engines}
        places = {engine: work / f"{number}-{engine}" for engine in engines}
        for engine, place in places.items():
            place.mkdir()
            create(engine, case, place)
            shutil.copytree(place, template(place))
        for _ in range(rounds):
            for engine, place in places.items():
                shutil.rmtree(place)
                shutil.copytree(template(place), place)
                runs[engine].append(measure(command(engine, case, place)))
        for engine, place in places.items():
            check(engine, case, place)
            shutil.rmtree(place)
            shutil.rmtree(template(place))
        rows = extension("delta").execute(f"SELECT count(*) FROM '{case.source}'").fetchone()[0]
        report(case.title, rows, runs)


def template(place: Path) -> Path:
    """Where a table is kept as it was made. A table knows its place, so it is copied back there."""
    return place.with_name(f"{place.name}-template")

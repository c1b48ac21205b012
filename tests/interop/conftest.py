"""Fixtures that drive the real `ingot` binary; INGOT names it (`make test` sets it)."""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlparse

import duckdb
import duckdb_extensions
import pytest
from deltalake import DeltaTable, QueryBuilder

REPOSITORY = Path(__file__).resolve().parents[2]


class Ingot:
    """One data directory, and the statements run on it by the embedded engine."""

    def __init__(self, binary: str, data_dir: Path, env: dict[str, str] | None = None):
        self.binary = binary
        self.data_dir = data_dir
        self.env = env or {}

    def run(self, statement: str) -> subprocess.CompletedProcess:
        """Runs one statement in a process of its own, however it ends."""
        return subprocess.run(
            [self.binary, "sql", "--data-dir", str(self.data_dir), "--output", "json", "-e", statement],
            capture_output=True,
            text=True,
            env=os.environ | self.env,
        )

    def sql(self, statement: str) -> list[dict]:
        """Runs one statement and returns its rows."""
        done = self.run(statement)
        assert done.returncode == 0, f"{statement}\n{done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines()]

    def value(self, statement: str):
        """Returns the only value of a statement that gives one row of one column."""
        (row,) = self.sql(statement)
        (value,) = row.values()
        return value

    def path(self, table: str) -> str:
        """Returns the folder of a table, as `DESCRIBE DETAIL` gives it."""
        (detail,) = self.sql(f"DESCRIBE DETAIL {table}")
        return unquote(urlparse(detail["location"]).path)


@pytest.fixture(scope="session")
def binary() -> str:
    path = os.environ.get("INGOT", str(REPOSITORY / "target" / "debug" / "ingot"))
    assert Path(path).exists(), f"no ingot binary at {path}; run `make test`"
    return path


@pytest.fixture
def ingot(binary, tmp_path) -> Ingot:
    return Ingot(binary, tmp_path / "data")


@pytest.fixture(scope="session")
def duck():
    """DuckDB with its Delta extension, installed from a package rather than the network."""
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    duckdb_extensions.import_extension("delta", con=connection)
    connection.execute("LOAD delta")
    return connection


@pytest.fixture
def readers(duck):
    """Foreign engines as functions from (folder, SQL over `t`) to rows."""

    def duckdb_rows(folder: str, query: str) -> list[tuple]:
        return duck.execute(query.replace(" t", f" delta_scan('{folder}')", 1)).fetchall()

    def deltalake_rows(folder: str, query: str) -> list[tuple]:
        # Its way through PyArrow refuses deletion vectors; the one through DataFusion honours them.
        rows = QueryBuilder().register("t", DeltaTable(folder)).execute("SELECT * FROM t")
        t = rows.read_all()  # noqa: F841 (DuckDB finds it by name)
        return duckdb.sql(query).fetchall()

    return {"duckdb": duckdb_rows, "deltalake": deltalake_rows}

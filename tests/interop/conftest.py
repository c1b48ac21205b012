"""Fixtures that drive the real `ingot` binary; INGOT names it (`make test` sets it)."""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

import engines

REPOSITORY = Path(__file__).resolve().parents[2]


class Ingot:
    """One data directory, and the statements run on it by the embedded engine."""

    def __init__(self, binary: str, data_dir: Path, env: dict[str, str] | None = None):
        self.binary = binary
        self.data_dir = data_dir
        self.env = env or {}

    def run(self, statements: str) -> subprocess.CompletedProcess:
        """Runs statements in a process of their own, however it ends; the rows of all of them are printed."""
        return subprocess.run(
            [self.binary, "sql", "--data-dir", str(self.data_dir), "--output", "json", "-e", statements],
            capture_output=True,
            text=True,
            env=os.environ | self.env,
        )

    def sql(self, statements: str) -> list[dict]:
        """Runs statements and returns the rows of all of them."""
        done = self.run(statements)
        assert done.returncode == 0, f"{statements[:400]}\n{done.stderr}"
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
def readers():
    """Foreign engines as functions from (folder, SQL over `t`) to rows; each starts when it is first asked."""
    return Readers()


class Readers(dict):
    """Engines by name."""

    def __missing__(self, engine: str):
        answer = getattr(engines, engine)()

        def rows(folder: str, query: str) -> list[tuple]:
            return [tuple(engines.normal(value) for value in row) for row in answer(folder, query)]

        rows.answer = answer
        self[engine] = rows
        return rows


def pytest_generate_tests(metafunc):
    """Runs a test that takes `engine` once for each engine that INTEROP_ENGINES names."""
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", engines.CHOSEN)
